//! Applying a mask with the instructions of x86-64 that are found at run time: the functions that have
//! them, and what they need of a vector. The loops are in `x86_runs.rs`, the vectors in `x86_float.rs`
//! and `x86_half.rs`.

#![allow(unsafe_code, reason = "vector instructions, loads and stores through pointers")]
#![allow(clippy::multiple_unsafe_ops_per_block, reason = "one proof for one expression")]

use super::channels_last::{self, Turned};
use super::select::all_blocks;
use super::x86_runs::{Each, FIRST_CACHE, One, all_runs, counted};
use super::{BLOCK, Runs, Scales, Tensor, scalar};
use crate::Element;
use crate::cpu::X86;

/// An element type with a vector for each level.
#[allow(private_bounds, reason = "nothing outside can name it")]
pub trait Kernel: Sized {
    /// With AVX2.
    type Avx2: Vector<Element = Self>;
    /// With AVX-512.
    type Avx512: Vector<Element = Self>;
}

/// See [`apply`](super::apply).
#[inline]
pub(super) fn apply<T: Element>(
    x86: X86,
    tensor: &mut Tensor<'_, T>,
    runs: Runs<'_>,
    scales: Scales<'_, T::Scale>,
) {
    /// The function of a level. Each kind of scale has its loop, so that what it needs stays in
    /// registers.
    macro_rules! level {
        ($name:ident, $vector:ident, $($feature:literal)*) => {
            $(#[target_feature(enable = $feature)])*
            fn $name<T: Element>(
                tensor: &mut Tensor<'_, T>,
                runs: Runs<'_>,
                scales: Scales<'_, T::Scale>,
            ) {
                match scales {
                    Scales::One(scale) => {
                        // SAFETY: this function has the instructions.
                        let scales = One::<T::$vector>(unsafe { T::$vector::splat(scale) });
                        // SAFETY: this function has the instructions.
                        unsafe { all_runs(tensor, runs, scales) };
                    }
                    Scales::Each(scales) => {
                        let len = runs.len.min(scales.len() * BLOCK);
                        let (runs, scales) =
                            (Runs { len, ..runs }, Each(scales.as_flattened().as_ptr()));
                        // SAFETY: there are scales for all `len`; this function has the
                        // instructions.
                        unsafe { all_runs::<T::$vector, _>(tensor, runs, scales) };
                    }
                    Scales::Counted(len) => {
                        // SAFETY: this function has the instructions.
                        unsafe { counted::<T::$vector>(tensor, runs, len) };
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

    match x86 {
        X86::Avx512(_) if !is_long_copy::<T::Avx512>(tensor) => {
            // SAFETY: the token proves the instructions.
            unsafe { avx512(tensor, runs, scales) }
        }
        // SAFETY: the token proves the instructions.
        _ => unsafe { avx2(tensor, runs, scales) },
    }
}

/// See [`channels_last::turn`].
pub(super) fn turn(
    _: X86,
    bits: &[u64],
    first: (usize, usize),
    channels: usize,
    turned: &mut Turned,
) {
    // Not for AVX-512, of which compilers make gathers here, which are slower.
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn avx2(bits: &[u64], first: (usize, usize), channels: usize, turned: &mut Turned) {
        channels_last::turn(bits, first, channels, turned);
    }

    // SAFETY: the token, of either level, proves the instructions.
    unsafe { avx2(bits, first, channels, turned) }
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
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn avx2<T: Copy>(tensor: &mut Tensor<'_, T>, runs: Runs<'_>, value: T) {
        scalar::drop_only(tensor, runs, value);
    }

    // SAFETY: the token, of either level, proves the instructions.
    unsafe { avx2(tensor, runs, value) }
}

/// Whether the tensor is copied, with vectors of 512 bits, and larger than the first cache: those of
/// 256 bits then take 2 to 5 % less time (Zen 4; `apply` of the bench `floor`).
fn is_long_copy<V: Vector>(tensor: &Tensor<'_, V::Element>) -> bool {
    size_of::<V>() > 32 && matches!(tensor, Tensor::To(x, ..) if size_of_val(*x) > FIRST_CACHE)
}

/// A vector of elements at one level, whose instructions all functions need.
pub(super) trait Vector: Copy {
    type Element: Element;
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
    unsafe fn splat(scale: <Self::Element as Element>::Scale) -> Self::Scales;

    /// # Safety
    ///
    /// `scales` is valid for a read of `LANES` scales.
    unsafe fn scales(scales: *const <Self::Element as Element>::Scale) -> Self::Scales;

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
