//! Applying a mask with the instructions of x86-64 that are found at run time.
//!
//! Here is the walk over blocks of 64 elements; the vectors are in `x86_float.rs` and `x86_half.rs`.

#![allow(unsafe_code, reason = "vector instructions, loads and stores through pointers")]
#![allow(clippy::multiple_unsafe_ops_per_block, reason = "one proof for one expression")]

use core::ops::Range;

use super::{BLOCK, BLOCKS, Factors, Runs, Tensor, transpose};
use crate::bits::{self, Words};
use crate::x86::X86;
use crate::{Dropped, Element};

/// The least number of elements that repays aligning stores.
const LONG: usize = 1024;

/// Whether the tensor is copied, with vectors of 512 bits, and larger than the first cache: those of
/// 256 bits then take 2 to 5 % less time (Zen 4; `apply` of the bench `floor`).
pub(super) fn streams<V: Vector>(tensor: &Tensor<'_, V::Element>) -> bool {
    const FIRST_CACHE: usize = 1 << 15;
    size_of::<V>() > 32 && matches!(tensor, Tensor::To(_, y) if size_of_val(*y) > FIRST_CACHE)
}

/// A vector of elements at one level, whose instructions all functions need.
pub(super) trait Vector: Copy {
    type Element: Element<Scale = Self::Scale>;
    type Scale: Element<Scale = Self::Scale>;
    /// As many scales as elements.
    type Scales: Copy;
    /// A word of the mask, made ready for all vectors of a block.
    type Word: Copy;
    const LANES: usize;
    /// Whether parts of vectors are slower than a whole one more.
    const OVERLAPS: bool;

    /// # Safety
    ///
    /// `y` is valid for a write of `LANES` elements.
    unsafe fn store(self, y: *mut Self::Element);

    /// The first `len` elements; the others are not touched.
    ///
    /// # Safety
    ///
    /// `y` is valid for a write of `len` elements, fewer than `LANES`.
    unsafe fn store_part(self, y: *mut Self::Element, len: usize);

    /// # Safety
    ///
    /// The level's instructions are there.
    unsafe fn splat(scale: Self::Scale) -> Self::Scales;

    /// # Safety
    ///
    /// `scales` is valid for a read of `LANES` scales.
    unsafe fn scales(scales: *const Self::Scale) -> Self::Scales;

    /// # Safety
    ///
    /// The level's instructions are there.
    unsafe fn word(word: u64) -> Self::Word;

    /// Vector `i` of a block, which begins at `x`: scaled where it is kept, 0 elsewhere. Scales are
    /// finite and not negative, so that zeros may be scaled as well.
    ///
    /// # Safety
    ///
    /// `x` is valid for a read of `LANES` elements; the level's instructions are there.
    unsafe fn select(
        x: *const Self::Element,
        word: Self::Word,
        i: usize,
        scales: Self::Scales,
    ) -> Self;

    /// The same of a vector whose first `len` elements are there, fewer than `LANES`; the others are
    /// not touched.
    ///
    /// # Safety
    ///
    /// `x` is valid for a read of `len` elements; the level's instructions are there.
    unsafe fn select_part(
        x: *const Self::Element,
        len: usize,
        word: Self::Word,
        i: usize,
        scales: Self::Scales,
    ) -> Self;
}

/// See [`Tensor::apply_runs`].
///
/// # Safety
///
/// The level's instructions are there.
#[inline(always)]
pub(super) unsafe fn apply_runs<V: Vector>(
    tensor: &mut Tensor<'_, V::Element>,
    bits: &[u64],
    bit: usize,
    runs: Runs,
    factors: Factors<'_, V::Scale>,
) {
    match factors {
        Factors::One(scale) => {
            // SAFETY: the instructions are there.
            let scales = One(unsafe { V::splat(scale) });
            for i in 0..runs.count {
                let run = i * runs.step..i * runs.step + runs.len;
                // SAFETY: the instructions are there.
                unsafe { blocks::<V, _>(tensor, run, bits, bit + i * runs.bit_step, scales) };
            }
        }
        Factors::Each(scales) => {
            let len = runs.len.min(scales.len() * BLOCK);
            let scales = Each(scales.as_flattened().as_ptr());
            for i in 0..runs.count {
                let run = i * runs.step..i * runs.step + len;
                // SAFETY: there are scales for all `len`; the instructions are there.
                unsafe { blocks::<V, _>(tensor, run, bits, bit + i * runs.bit_step, scales) };
            }
        }
    }
}

/// See [`Tensor::apply_groups`].
///
/// # Safety
///
/// The level's instructions are there.
#[inline(always)]
pub(super) unsafe fn apply_groups<V: Vector>(
    tensor: &mut Tensor<'_, V::Element>,
    bits: &[u64],
    bit: usize,
    len: usize,
) {
    let mut start = 0;
    while start < tensor.len() && len > 0 {
        let mut count = 0;
        for at in (start..start + len).step_by(BLOCK) {
            count += (bits::load(bits, bit + at) & bits::low(start + len - at)).count_ones();
        }
        let dropped = Dropped { count: u64::from(count), of: len as u64 };
        // SAFETY: the instructions are there.
        unsafe {
            let scales = One(V::splat(dropped.scale::<V::Scale>()));
            blocks::<V, _>(tensor, start..start + len, bits, bit + start, scales);
        }
        start += len;
    }
}

/// Where the scales of a vector come from. Closures would not do: what is not inlined loses the
/// instructions.
trait Scales<V: Vector>: Copy {
    /// Whether a vector may begin anywhere.
    const ANYWHERE: bool;

    /// # Safety
    ///
    /// The elements from `start` on have scales; the level's instructions are there.
    unsafe fn at(self, start: usize) -> V::Scales;
}

#[derive(Clone, Copy)]
struct One<S>(S);

impl<V: Vector> Scales<V> for One<V::Scales> {
    const ANYWHERE: bool = true;

    #[inline(always)]
    unsafe fn at(self, _: usize) -> V::Scales {
        self.0
    }
}

/// Whole blocks, and so whole vectors.
#[derive(Clone, Copy)]
struct Each<S>(*const S);

impl<V: Vector> Scales<V> for Each<V::Scale> {
    const ANYWHERE: bool = false;

    #[inline(always)]
    unsafe fn at(self, start: usize) -> V::Scales {
        // SAFETY: the caller's.
        unsafe { V::scales(self.0.add(start)) }
    }
}

/// `y = bit ? 0 : x * scale` for the elements in the range, with the bits from `bit` on. None where
/// the range leaves the tensor.
///
/// # Safety
///
/// There are scales for all. The level's instructions are there.
#[inline(always)]
unsafe fn blocks<V: Vector, S: Scales<V>>(
    tensor: &mut Tensor<'_, V::Element>,
    range: Range<usize>,
    bits: &[u64],
    bit: usize,
    scales: S,
) {
    // From here on `x` and `y` are valid for `len` elements, and equal or apart.
    let (x, y, len) = match tensor.part(range) {
        Tensor::InPlace(y) => (y.as_ptr(), y.as_mut_ptr(), y.len()),
        Tensor::To(x, y) => (x.as_ptr(), y.as_mut_ptr(), y.len()),
    };
    let mut start = 0;
    if S::ANYWHERE && len >= LONG {
        // Stores that cross no cache line. Halves may lie so that this cannot be; no matter.
        start = y.align_offset(V::LANES * size_of::<V::Element>()) % V::LANES;
        if start != 0 {
            // SAFETY: fewer than `LANES` of at least `LONG`; the instructions are there.
            unsafe {
                let word = V::word(bits::load(bits, bit));
                V::select_part(x, start, word, 0, scales.at(0)).store_part(y, start);
            }
        }
    }
    // A last vector that overlaps the one before it, made before that one is written.
    let last = if V::OVERLAPS && len >= start + V::LANES && (len - start) % V::LANES != 0 {
        let last = len - V::LANES;
        // SAFETY: `LANES` elements are left; the instructions are there.
        Some(unsafe {
            let word = V::word(bits::load(bits, bit + last));
            V::select(x.add(last), word, 0, scales.at(last))
        })
    } else {
        None
    };
    let mut words = Words::new(bits, bit + start);
    while start + BLOCK <= len {
        // SAFETY: `BLOCK` elements are left, whole vectors; the instructions are there.
        unsafe {
            let word = V::word(words.next_word());
            for i in 0..BLOCK / V::LANES {
                let start = start + i * V::LANES;
                V::select(x.add(start), word, i, scales.at(start)).store(y.add(start));
            }
        }
        start += BLOCK;
    }
    if start == len {
        return;
    }
    // SAFETY: the instructions are there.
    let word = unsafe { V::word(words.next_word()) };
    let mut i = 0;
    while start + V::LANES <= len {
        // SAFETY: `LANES` elements are left; the instructions are there.
        unsafe {
            V::select(x.add(start), word, i, scales.at(start)).store(y.add(start));
        }
        (start, i) = (start + V::LANES, i + 1);
    }
    if let Some(last) = last {
        // SAFETY: there are `LANES` elements.
        unsafe { last.store(y.add(len - V::LANES)) };
    } else if start < len {
        // SAFETY: fewer than `LANES` are left; the instructions are there.
        unsafe {
            V::select_part(x.add(start), len - start, word, i, scales.at(start))
                .store_part(y.add(start), len - start);
        }
    }
}

/// Functions that any code may call, as the token proves the instructions.
macro_rules! kernel {
    ($name:ident: $element:ty, $scale:ty, $avx2:ty, $avx512:ty) => {
        pub(super) mod $name {
            use super::*;
            use crate::apply::x86::{apply_groups as groups, apply_runs as runs, streams};

            kernel!(@level apply: runs; $element, $avx2, $avx512;
                bits: &[u64], bit: usize, which: Runs, factors: Factors<'_, $scale>);
            kernel!(@level apply_groups: groups; $element, $avx2, $avx512;
                bits: &[u64], bit: usize, len: usize);
        }
    };
    (
        @level $name:ident: $body:ident; $element:ty, $avx2:ty, $avx512:ty;
        $($argument:ident: $type:ty),*
    ) => {
        pub(in crate::apply) fn $name(
            x86: X86,
            tensor: &mut Tensor<'_, $element>,
            $($argument: $type),*
        ) {
            #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,f16c")]
            fn avx2(tensor: &mut Tensor<'_, $element>, $($argument: $type),*) {
                // SAFETY: this function has the instructions.
                unsafe { $body::<$avx2>(tensor, $($argument),*) }
            }

            #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,f16c")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi")]
            fn avx512(tensor: &mut Tensor<'_, $element>, $($argument: $type),*) {
                // SAFETY: this function has the instructions.
                unsafe { $body::<$avx512>(tensor, $($argument),*) }
            }

            match x86 {
                // SAFETY: the token proves the instructions.
                X86::Avx512(_) if !streams::<$avx512>(tensor) => unsafe { avx512(tensor, $($argument),*) },
                // SAFETY: the token proves the instructions.
                _ => unsafe { avx2(tensor, $($argument),*) },
            }
        }
    };
}

pub(super) use kernel;

/// See [`transpose::turn`].
pub(super) fn turn(
    x86: X86,
    bits: &[u64],
    first: (usize, usize),
    channels: usize,
    turned: &mut [u64; BLOCKS * BLOCK],
) {
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn avx2(
        bits: &[u64],
        first: (usize, usize),
        channels: usize,
        turned: &mut [u64; BLOCKS * BLOCK],
    ) {
        transpose::turn(bits, first, channels, turned);
    }

    // Not for AVX-512, of which compilers make gathers here, which are slower.
    let _avx2 = x86.avx2();
    // SAFETY: the token proves the instructions.
    unsafe { avx2(bits, first, channels, turned) }
}
