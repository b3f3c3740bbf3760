//! Applying a mask with the instructions of x86-64 that are found at run time.
//!
//! Here is the walk over blocks of 64 elements; the vectors are in `x86_float.rs` and `x86_half.rs`.

#![allow(unsafe_code, reason = "vector instructions, loads and stores through pointers")]
#![allow(clippy::multiple_unsafe_ops_per_block, reason = "one proof for one expression")]

use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch, _mm_sfence};
use core::ops::Range;

use super::{BLOCK, BLOCKS, Factors, Runs, Stores, Tensor, transpose};
use crate::bits::{self, Words};
use crate::x86::X86;
use crate::{Dropped, Element};

/// The least number of elements that repays aligning stores.
const LONG: usize = 1024;

/// The bytes of a tensor that may lie in the first cache.
const FIRST_CACHE: usize = 1 << 15;

/// The least number of elements that repays streams and the fence after them.
const STREAM: usize = 8192;

/// Whether the tensor is copied, with vectors of 512 bits, and larger than the first cache: those of
/// 256 bits then take 2 to 5 % less time (Zen 4; `apply` of the bench `floor`).
pub(super) fn is_long_copy<V: Vector>(tensor: &Tensor<'_, V::Element>) -> bool {
    size_of::<V>() > 32 && matches!(tensor, Tensor::To(_, y, _) if size_of_val(*y) > FIRST_CACHE)
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
    /// Whether loads are masked: processors do not see by themselves where those go on, and beyond
    /// the first cache take a third more time (Zen 3).
    const MASKS_LOADS: bool;

    /// # Safety
    ///
    /// `y` is valid for a write of `LANES` elements.
    unsafe fn store(self, y: *mut Self::Element);

    /// The same past the caches.
    ///
    /// # Safety
    ///
    /// As for `store`; `y` is aligned to a vector, and a fence comes before anyone reads it.
    unsafe fn stream(self, y: *mut Self::Element);

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
    let fetch = V::MASKS_LOADS && tensor.len() * size_of::<V::Element>() > FIRST_CACHE;
    // From here on `x` and `y` are valid for `len` elements, and equal or apart.
    let (x, y, len, stores) = match tensor.part(range) {
        Tensor::InPlace(y) => (y.as_ptr(), y.as_mut_ptr(), y.len(), Stores::Cached),
        Tensor::To(x, y, stores) => (x.as_ptr(), y.as_mut_ptr(), y.len(), stores),
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
    let whole = start..start + (len - start) / BLOCK * BLOCK;
    start = whole.end;
    let is_aligned = y.wrapping_add(whole.start).align_offset(size_of::<V>()) == 0;
    // SAFETY: blocks are whole, and where they are streamed aligned; the instructions are there.
    unsafe {
        if stores == Stores::Streamed && whole.len() >= STREAM && is_aligned {
            whole_blocks::<V, S, true>(x, y, whole, &mut words, scales, [true, false]);
            _mm_sfence();
        } else {
            let fetch = [fetch, fetch && !core::ptr::eq(x, y)];
            whole_blocks::<V, S, false>(x, y, whole, &mut words, scales, fetch);
        }
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

/// The blocks in the range, with or without streams. `fetch` asks for what will be read soon, and for
/// what will be written.
///
/// # Safety
///
/// `x` and `y` are valid for the range, which has whole blocks, and equal or apart; there are scales
/// for all. For streams `y` is aligned to a vector at the range's start, and a fence follows. The
/// level's instructions are there.
#[inline(always)]
unsafe fn whole_blocks<V: Vector, S: Scales<V>, const STREAM: bool>(
    x: *const V::Element,
    y: *mut V::Element,
    range: Range<usize>,
    words: &mut Words<'_>,
    scales: S,
    fetch: [bool; 2],
) {
    const LINE: usize = 64;
    /// How far ahead, in bytes.
    const AHEAD: usize = 2048;
    let mut start = range.start;
    while start < range.end {
        for (part, _) in [x, y.cast_const()].into_iter().zip(fetch).filter(|&(_, fetch)| fetch) {
            let ahead = part.wrapping_add(start).cast::<i8>().wrapping_add(AHEAD);
            for line in 0..BLOCK * size_of::<V::Element>() / LINE {
                // SAFETY: any address may be fetched; the instructions are there.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add(line * LINE)) };
            }
        }
        // SAFETY: a block is left, whole vectors; the rest is the caller's.
        unsafe {
            let word = V::word(words.next_word());
            for i in 0..BLOCK / V::LANES {
                let start = start + i * V::LANES;
                let vector = V::select(x.add(start), word, i, scales.at(start));
                if STREAM {
                    vector.stream(y.add(start));
                } else {
                    vector.store(y.add(start));
                }
            }
        }
        start += BLOCK;
    }
}

/// Functions that any code may call, as the token proves the instructions.
macro_rules! kernel {
    ($name:ident: $element:ty, $scale:ty, $avx2:ty, $avx512:ty) => {
        pub(super) mod $name {
            use super::*;
            use crate::apply::x86::{apply_groups as groups, apply_runs as runs, is_long_copy};

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
                X86::Avx512(_) if !is_long_copy::<$avx512>(tensor) => unsafe { avx512(tensor, $($argument),*) },
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

#[cfg(test)]
mod tests {
    extern crate alloc;

    use alloc::vec;

    use super::*;
    use crate::Backend;
    use crate::apply::Stores;
    use crate::backend::Level;

    /// Streams, which tensors take that tests do not have, write what stores write: from every place
    /// in a line, with and without a rest, one scale and several.
    fn streams_store<T: Element + PartialEq + core::fmt::Debug>(convert: impl Fn(u16) -> T)
    where
        T::Scale: From<u16>,
    {
        let x: vec::Vec<T> = (0..STREAM + 200).map(|i| convert(i as u16)).collect();
        let bits: vec::Vec<u64> =
            (0..200_u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) & (i << 58)).collect();
        let scales = vec![core::array::from_fn(|i| T::Scale::from(1 + i as u16)); STREAM / 32];
        for backend in [Backend::Avx2, Backend::Avx512].into_iter().filter(|b| b.is_available()) {
            for (offset, len, bit) in (0..34).map(|i| (i, STREAM + 5 * i - 20, 7 * i)) {
                for factors in [Factors::One(T::Scale::from(3)), Factors::Each(&scales)] {
                    let [stored, streamed] = [Stores::Cached, Stores::Streamed].map(|stores| {
                        let mut y = vec![convert(9); offset + len + 1];
                        let (from, to) = (&x[offset..offset + len], &mut y[offset..offset + len]);
                        let level = Level::of(Some(backend));
                        Tensor::To(from, to, stores).apply(level, &bits, bit, factors);
                        y
                    });
                    assert_eq!(stored, streamed, "{backend} {offset} {len}");
                }
            }
        }
    }

    #[test]
    fn streams_store_what_stores_do() {
        streams_store::<f32>(f32::from);
        streams_store::<f64>(f64::from);
        #[cfg(feature = "half")]
        {
            streams_store(|i| ::half::bf16::from_f32_const(f32::from(i)));
            streams_store(|i| ::half::f16::from_f32_const(f32::from(i)));
        }
    }
}
