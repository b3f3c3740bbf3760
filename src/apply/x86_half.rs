//! Vectors of `f16` and `bf16` for `x86.rs`: conversions of F16C, and shifts for `bf16`.
//!
//! Both levels work on 256 bits.

#![allow(unsafe_code, reason = "vector instructions, loads and stores through pointers")]
#![allow(clippy::multiple_unsafe_ops_per_block, reason = "one proof for one expression")]

use core::arch::x86_64::*;

use ::half::{bf16, f16};

use super::half::{LANE_BITS, LANES};
use super::x86::{Kernel, Vector};
use crate::Element;

impl Kernel for f16 {
    type Avx2 = Halves<Self>;
    type Avx512 = Halves<Self>;
}

impl Kernel for bf16 {
    type Avx2 = Halves<Self>;
    type Avx512 = Halves<Self>;
}

/// Sixteen elements; the even ones lie in the lower half of each lane of 32 bits.
#[derive(Clone, Copy, Debug)]
pub struct Halves<T>(__m256i, core::marker::PhantomData<T>);

/// `x * scale` in `f32`, rounded to nearest even.
pub(super) trait Scaled {
    /// # Safety
    ///
    /// AVX2 and F16C are there.
    unsafe fn scaled_vector(x: __m256i, scales: [__m256; 2]) -> __m256i;
}

impl Scaled for f16 {
    #[inline(always)]
    unsafe fn scaled_vector(x: __m256i, [low, high]: [__m256; 2]) -> __m256i {
        // SAFETY: the caller's.
        unsafe {
            let lower = scaled_f16(_mm256_castsi256_si128(x), low);
            let upper = scaled_f16(_mm256_extracti128_si256::<1>(x), high);
            _mm256_set_m128i(upper, lower)
        }
    }
}

/// # Safety
///
/// AVX2 and F16C are there.
#[inline(always)]
unsafe fn scaled_f16(x: __m128i, scales: __m256) -> __m128i {
    // SAFETY: the caller's.
    unsafe {
        let product = _mm256_mul_ps(_mm256_cvtph_ps(x), scales);
        _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(product)
    }
}

impl Scaled for bf16 {
    #[inline(always)]
    unsafe fn scaled_vector(x: __m256i, [low, high]: [__m256; 2]) -> __m256i {
        // SAFETY: the caller's.
        unsafe {
            // Each 128 bits are unpacked and packed by themselves, so that the order comes out
            // right.
            let zero = _mm256_setzero_si256();
            let first = _mm256_permute2f128_ps::<0x20>(low, high);
            let second = _mm256_permute2f128_ps::<0x31>(low, high);
            let first = rounded_bf16(_mm256_unpacklo_epi16(zero, x), first);
            let second = rounded_bf16(_mm256_unpackhi_epi16(zero, x), second);
            _mm256_packus_epi32(first, second)
        }
    }
}

/// The upper half of the `f32` product, to nearest even. NaN needs no care: its payload is that
/// of `x`, or the machine's own, in the upper half, so that no carry can leave the lower one.
///
/// # Safety
///
/// AVX2 is there.
#[inline(always)]
unsafe fn rounded_bf16(x: __m256i, scales: __m256) -> __m256i {
    // SAFETY: the caller's.
    unsafe {
        let product = _mm256_castps_si256(_mm256_mul_ps(_mm256_castsi256_ps(x), scales));
        let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(product), _mm256_set1_epi32(1));
        let half = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
        _mm256_srli_epi32::<16>(_mm256_add_epi32(product, half))
    }
}

#[allow(private_bounds, reason = "nothing outside can name it")]
impl<T: Element<Scale = f32> + Scaled> Vector for Halves<T> {
    type Element = T;
    type Scale = f32;
    type Scales = [__m256; 2];
    type Word = u64;
    const LANES: usize = LANES;
    const OVERLAPS: bool = true;
    const MASKS_LOADS: bool = false;

    #[inline(always)]
    unsafe fn store(self, y: *mut T) {
        // SAFETY: the caller's.
        unsafe { _mm256_storeu_si256(y.cast(), self.0) }
    }

    #[inline(always)]
    unsafe fn stream(self, y: *mut T) {
        // SAFETY: the caller's.
        unsafe { _mm256_stream_si256(y.cast(), self.0) }
    }

    #[inline(always)]
    unsafe fn store_part(self, y: *mut T, len: usize) {
        let mut part = [0_u16; LANES];
        // SAFETY: `y` is valid for `len`, and the array for a vector, which is more.
        unsafe {
            self.store(part.as_mut_ptr().cast());
            y.copy_from_nonoverlapping(part.as_ptr().cast(), len);
        }
    }

    #[inline(always)]
    unsafe fn splat(scale: f32) -> Self::Scales {
        // SAFETY: the caller's.
        [unsafe { _mm256_set1_ps(scale) }; 2]
    }

    #[inline(always)]
    unsafe fn scales(scales: *const f32) -> Self::Scales {
        // SAFETY: the caller's.
        unsafe { [_mm256_loadu_ps(scales), _mm256_loadu_ps(scales.add(LANES / 2))] }
    }

    #[inline(always)]
    unsafe fn word(word: u64) -> u64 {
        word
    }

    #[inline(always)]
    unsafe fn select(x: *const T, word: u64, i: usize, scales: Self::Scales) -> Self {
        // SAFETY: the load is of an array, the rest the caller's.
        unsafe {
            let x = _mm256_loadu_si256(x.cast());
            let lane = _mm256_loadu_si256(LANE_BITS.as_ptr().cast());
            let word = _mm256_set1_epi16((word >> (i * LANES % 64)) as i16);
            let dropped = _mm256_cmpeq_epi16(_mm256_and_si256(word, lane), lane);
            Self(
                _mm256_andnot_si256(dropped, T::scaled_vector(x, scales)),
                core::marker::PhantomData,
            )
        }
    }
    #[inline(always)]
    unsafe fn select_part(
        x: *const T,
        len: usize,
        word: u64,
        i: usize,
        scales: Self::Scales,
    ) -> Self {
        let mut part = [0_u16; LANES];
        // SAFETY: `x` is valid for `len`, and the array for a vector, which is more.
        unsafe {
            x.copy_to_nonoverlapping(part.as_mut_ptr().cast(), len);
            Self::select(part.as_ptr().cast(), word, i, scales)
        }
    }
}
