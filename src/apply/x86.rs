//! Applying a mask with the instructions of x86-64 that are found at run time: the functions that have
//! them, and what they need of a vector. The loops are in `x86_runs.rs`, the vectors in `x86_float.rs`
//! and `x86_half.rs`.

#![allow(unsafe_code, reason = "vector instructions, loads and stores through pointers")]
#![allow(clippy::multiple_unsafe_ops_per_block, reason = "one proof for one expression")]

use super::channels_last::{self, Turned};
use super::select::all_blocks;
use super::x86_drop::Kept;
use super::x86_runs::{FIRST_CACHE, all_runs};
use super::x86_scales::{ByPart, ByRun, Each, One, Same};
use super::{BLOCK, Runs, Scales, Tensor, scalar, x86_turn};
use crate::Element;
use crate::cpu::X86;

/// An element type with a vector for each level.
#[allow(private_bounds, reason = "nothing outside can name it")]
pub trait Kernel: Sized {
    /// With AVX2.
    type Avx2: Vector<Element = Self, Scale = Self::Scale>
    where
        Self: Element;
    /// With AVX-512.
    type Avx512: Vector<Element = Self, Scale = Self::Scale>
    where
        Self: Element;
}

/// See [`apply`](super::apply).
#[inline]
pub(super) fn apply<T: Element>(
    x86: X86,
    tensor: &mut Tensor<'_, T>,
    runs: Runs<'_>,
    scales: Scales<'_, T::Scale>,
) {
    /// The function of a level, for short runs or for others. Each kind of scale has its loop, so that
    /// what it needs stays in registers.
    macro_rules! level {
        ($name:ident, $vector:ident, $($feature:literal)*) => {
            /// # Safety
            ///
            /// `SHORT` says how long runs are; there are scales for all elements, or for all runs.
            $(#[target_feature(enable = $feature)])*
            unsafe fn $name<T: Element, const SHORT: bool>(
                tensor: &mut Tensor<'_, T>,
                runs: Runs<'_>,
                scales: Scales<'_, T::Scale>,
            ) {
                match scales {
                    Scales::One(scale) => {
                        // SAFETY: this function has the instructions.
                        let scales = Same(One::<T::$vector>(unsafe { T::$vector::splat(scale) }));
                        // SAFETY: this function has the instructions.
                        unsafe { all_runs::<_, _, SHORT>(tensor, runs, scales) };
                    }
                    Scales::Each(scales) => {
                        let scales = Same(Each::new(scales));
                        // SAFETY: the caller's; this function has the instructions.
                        unsafe { all_runs::<T::$vector, _, SHORT>(tensor, runs, scales) };
                    }
                    // Whole blocks need no scales of two runs.
                    Scales::Runs(scales)
                        if !SHORT && runs.are_one() && !runs.len.is_multiple_of(BLOCK) =>
                    {
                        let run = Runs::one(runs.bits, runs.bit, runs.count * runs.len);
                        let scales = Same(ByPart::new(scales, runs.len));
                        // SAFETY: the caller's; this function has the instructions.
                        unsafe { all_runs::<T::$vector, _, SHORT>(tensor, run, scales) };
                    }
                    Scales::Runs(scales) => {
                        let scales = ByRun(scales.as_ptr());
                        // SAFETY: the caller's; this function has the instructions.
                        unsafe { all_runs::<T::$vector, _, SHORT>(tensor, runs, scales) };
                    }
                }
            }
        };
    }

    level!(avx2, Avx2, "avx2,bmi1,bmi2,lzcnt,popcnt,f16c");
    level!(
        avx512, Avx512, "avx2,bmi1,bmi2,lzcnt,popcnt,f16c"
        "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi"
    );

    // What has no scale is left out.
    let runs = match scales {
        Scales::One(_) => runs,
        Scales::Each(scales) if scales.len() < 2 * BLOCK => Runs { count: 0, ..runs },
        Scales::Each(_) => runs,
        Scales::Runs(scales) => Runs { count: runs.count.min(scales.len()), ..runs },
    };
    let is_short = runs.len <= BLOCK;
    // Runs that do not fill a vector take the shorter one. In place, where a masked load follows a store
    // to where its other lanes are, they take up to 3 times as long with the longer one (Zen 5).
    let is_wide = matches!(x86, X86::Avx512(_))
        && runs.len >= T::Avx512::LANES
        && !is_long_copy::<T::Avx512>(tensor);
    // SAFETY: the token proves the instructions; lengths are as said, and there are scales for all.
    unsafe {
        match (is_wide, is_short) {
            (false, false) => avx2::<T, false>(tensor, runs, scales),
            (false, true) => avx2::<T, true>(tensor, runs, scales),
            (true, false) => avx512::<T, false>(tensor, runs, scales),
            (true, true) => avx512::<T, true>(tensor, runs, scales),
        }
    }
}

/// See [`turn`](super::turn).
pub(super) fn turn(
    x86: X86,
    bits: &[u64],
    first: (usize, usize),
    len: (usize, usize),
    turned: &mut Turned,
) {
    match x86 {
        // SAFETY: the token proves the instructions.
        X86::Avx2(_) => unsafe { x86_turn::turn_256(bits, first, len, turned) },
        // SAFETY: the token proves the instructions.
        X86::Avx512(_) => unsafe { x86_turn::turn_512(bits, first, len, turned) },
    }
}

/// See [`interleave`](super::interleave).
pub(super) fn interleave(
    x86: X86,
    bits: &[u64],
    first: (usize, usize),
    channels: usize,
    words: &mut [u64],
) {
    match x86 {
        // SAFETY: the token proves the instructions.
        X86::Avx512(_) if channels <= x86_turn::FEW => unsafe {
            x86_turn::interleave(bits, first, channels, words);
        },
        _ => channels_last::interleave(bits, first, channels, words),
    }
}

/// See [`select`](super::select::select).
#[inline]
pub(super) fn select<T: Element>(
    _: X86,
    tensor: Tensor<'_, T>,
    bits: (&[u64], usize),
    function: impl Fn(T) -> T,
) {
    // A function is compiled for these instructions where it is inlined, as small ones are.
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,f16c")]
    fn avx2<T: Element>(tensor: Tensor<'_, T>, bits: (&[u64], usize), function: impl Fn(T) -> T) {
        all_blocks(tensor, bits, function);
    }

    // SAFETY: the token, of either level, proves the instructions.
    unsafe { avx2(tensor, bits, function) }
}

/// See [`drop_only`](super::drop_only).
pub(super) fn drop_only<T: Copy>(_: X86, tensor: &mut Tensor<'_, T>, runs: Runs<'_>, value: T) {
    /// # Safety
    ///
    /// `SHORT` says how long runs are.
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    unsafe fn avx2<T: Copy, const SHORT: bool>(
        tensor: &mut Tensor<'_, T>,
        runs: Runs<'_>,
        value: T,
    ) {
        // SAFETY: the caller's; this function has the instructions.
        unsafe {
            match size_of::<T>() {
                1 => replace::<Kept<T, i8, 32>, SHORT>(tensor, runs, value),
                2 => replace::<Kept<T, i16, 16>, SHORT>(tensor, runs, value),
                4 => replace::<Kept<T, i32, 8>, SHORT>(tensor, runs, value),
                8 => replace::<Kept<T, i64, 4>, SHORT>(tensor, runs, value),
                _ => scalar::drop_only(tensor, runs, value),
            }
        }
    }

    // Without bits nothing is dropped.
    if runs.bits.is_empty() {
        return;
    }
    // SAFETY: the token, of either level, proves the instructions; lengths are as said.
    unsafe {
        if runs.len <= BLOCK {
            avx2::<T, true>(tensor, runs, value);
        } else {
            avx2::<T, false>(tensor, runs, value);
        }
    }
}

/// Replaces dropped elements.
///
/// # Safety
///
/// `SHORT` says how long runs are. The level's instructions are there.
#[inline(always)]
unsafe fn replace<V: Vector, const SHORT: bool>(
    tensor: &mut Tensor<'_, V::Element>,
    runs: Runs<'_>,
    value: V::Scale,
) {
    // SAFETY: the caller's.
    unsafe { all_runs::<_, _, SHORT>(tensor, runs, Same(One::<V>(V::splat(value)))) }
}

/// Whether the tensor is copied, with vectors of 512 bits, and larger than the first cache: those of
/// 256 bits then take 2 to 5 % less time (Zen 4; `apply` of the bench `floor`).
fn is_long_copy<V: Vector>(tensor: &Tensor<'_, V::Element>) -> bool {
    size_of::<V>() > 32 && matches!(tensor, Tensor::To(x, ..) if size_of_val(*x) > FIRST_CACHE)
}

/// A vector of elements at one level, whose instructions all functions need.
pub(super) trait Vector: Copy {
    type Element: Copy;
    /// What kept elements are multiplied by, or what dropped ones become.
    type Scale: Copy;
    /// As many scales as elements.
    type Scales: Copy;
    /// A word of the mask, made ready for all vectors of a block.
    type Word: Copy;
    const LANES: usize;
    /// Whether loads are masked: processors do not see by themselves where those go on, and beyond
    /// the first cache take a third more time (Zen 3).
    const MASKS_LOADS: bool;

    /// Where to write what is read from the same elements.
    #[inline(always)]
    fn in_place(y: *mut Self::Element) -> *mut Self::Element {
        y
    }

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

    /// Scales of vector `i` of a block: these before element `end` of the block, others from there on.
    ///
    /// # Safety
    ///
    /// The level's instructions are there.
    unsafe fn before(
        end: usize,
        i: usize,
        scales: Self::Scales,
        others: Self::Scales,
    ) -> Self::Scales;

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
