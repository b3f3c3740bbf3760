//! Vectors of `f32` and `f64` for `x86.rs`.
//!
//! With AVX-512 the bits of a word are lane masks as they stand: one instruction multiplies the
//! kept lanes and zeroes the others. With AVX2 half a word is broadcast, each lane keeps its own
//! bit, and a comparison turns it into a mask of the lane's width.

#![allow(unsafe_code, reason = "vector instructions, loads and stores through pointers")]
#![allow(clippy::multiple_unsafe_ops_per_block, reason = "one proof for one expression")]

use core::arch::x86_64::*;

use super::x86::{Kernel, Vector};
use crate::bits;

impl Kernel for f32 {
    type Avx2 = __m256;
    type Avx512 = __m512;
}

impl Kernel for f64 {
    type Avx2 = __m256d;
    type Avx512 = __m512d;
}

/// The lanes below `len`, all bits set.
macro_rules! lanes_below {
    ($int:ident, $lanes:literal, $len:expr) => {{
        // Zeros follow, so that a load further on has fewer.
        const LANES: [$int; 2 * $lanes] = {
            let mut lanes = [0; 2 * $lanes];
            let mut i = 0;
            while i < $lanes {
                lanes[i] = -1;
                i += 1;
            }
            lanes
        };
        _mm256_loadu_si256(LANES.as_ptr().add($lanes - $len.min($lanes)).cast())
    }};
}

/// The lanes of vector `i` of a block whose bit is set, by their highest bit.
macro_rules! kept_lanes {
    ($int:ident, $lanes:literal, $groups:literal, $shl:ident, $kept:expr, $i:expr) => {{
        const UP: [[$int; $lanes]; $groups] = {
            let mut up = [[0; $lanes]; $groups];
            let mut i = 0;
            while i < $lanes * $groups {
                up[i / $lanes][i % $lanes] = ($int::BITS as usize - 1 - i) as $int;
                i += 1;
            }
            up
        };
        let up = _mm256_loadu_si256(UP[$i % $groups].as_ptr().cast());
        $shl($kept[$i / $groups % (64 / $int::BITS as usize)], up)
    }};
}

/// Floats under AVX2: `$parts` of a word are broadcast at a time, to lanes of `$int` bits.
macro_rules! avx2 {
    (
        $vector:ident, $float:ident, $int:ident, $lanes:literal, $groups:literal,
        $store:ident, $stream:ident, $maskload:ident, $maskstore:ident, $load:ident,
        $splat:ident, $splat_int:ident, $shl:ident, $mul:ident, $greater:ident, $blend:ident, $as_float:ident
    ) => {
        impl Vector for $vector {
            type Element = $float;
            type Scale = $float;
            type Scales = Self;
            type Word = [__m256i; 64 / $int::BITS as usize];
            const LANES: usize = $lanes;
            const MASKS_LOADS: bool = true;

            #[inline(always)]
            unsafe fn store(self, y: *mut $float) {
                // SAFETY: the caller's.
                unsafe { $store(y, self) }
            }

            #[inline(always)]
            unsafe fn stream(self, y: *mut $float) {
                // SAFETY: the caller's.
                unsafe { $stream(y, self) }
            }

            #[inline(always)]
            unsafe fn store_part(self, y: *mut $float, len: usize) {
                // SAFETY: the lanes below `len` only are touched.
                unsafe { $maskstore(y, lanes_below!($int, $lanes, len), self) }
            }

            #[inline(always)]
            unsafe fn splat(scale: $float) -> Self {
                // SAFETY: the caller's.
                unsafe { $splat(scale) }
            }

            #[inline(always)]
            unsafe fn scales(scales: *const $float) -> Self {
                // SAFETY: the caller's.
                unsafe { $load(scales) }
            }

            #[inline(always)]
            unsafe fn word(word: u64) -> Self::Word {
                let kept = !word;
                // SAFETY: the caller's.
                core::array::from_fn(|i| unsafe {
                    $splat_int((kept >> (i as u32 * $int::BITS % 64)) as $int)
                })
            }

            #[inline(always)]
            unsafe fn before(end: usize, i: usize, scales: Self, others: Self) -> Self {
                const NUMBERS: [$int; 64] = {
                    let mut numbers = [0; 64];
                    let mut i = 0;
                    while i < 64 {
                        numbers[i] = i as $int;
                        i += 1;
                    }
                    numbers
                };
                // SAFETY: the load is of an array, the rest the caller's.
                unsafe {
                    let numbers = NUMBERS.as_ptr().add(i * $lanes % 64);
                    let before =
                        $greater($splat_int(end as $int), _mm256_loadu_si256(numbers.cast()));
                    $blend(others, scales, $as_float(before))
                }
            }

            #[inline(always)]
            unsafe fn select(x: *const $float, kept: Self::Word, i: usize, scales: Self) -> Self {
                // SAFETY: the caller's.
                unsafe {
                    $mul($maskload(x, kept_lanes!($int, $lanes, $groups, $shl, kept, i)), scales)
                }
            }

            #[inline(always)]
            unsafe fn select_part(
                x: *const $float,
                len: usize,
                kept: Self::Word,
                i: usize,
                scales: Self,
            ) -> Self {
                // SAFETY: the lanes below `len` only are touched; the rest is the caller's.
                unsafe {
                    let kept = kept_lanes!($int, $lanes, $groups, $shl, kept, i);
                    let kept = _mm256_and_si256(kept, lanes_below!($int, $lanes, len));
                    $mul($maskload(x, kept), scales)
                }
            }
        }
    };
}

avx2!(
    __m256,
    f32,
    i32,
    8,
    4,
    _mm256_storeu_ps,
    _mm256_stream_ps,
    _mm256_maskload_ps,
    _mm256_maskstore_ps,
    _mm256_loadu_ps,
    _mm256_set1_ps,
    _mm256_set1_epi32,
    _mm256_sllv_epi32,
    _mm256_mul_ps,
    _mm256_cmpgt_epi32,
    _mm256_blendv_ps,
    _mm256_castsi256_ps
);
avx2!(
    __m256d,
    f64,
    i64,
    4,
    16,
    _mm256_storeu_pd,
    _mm256_stream_pd,
    _mm256_maskload_pd,
    _mm256_maskstore_pd,
    _mm256_loadu_pd,
    _mm256_set1_pd,
    _mm256_set1_epi64x,
    _mm256_sllv_epi64,
    _mm256_mul_pd,
    _mm256_cmpgt_epi64,
    _mm256_blendv_pd,
    _mm256_castsi256_pd
);

/// Floats under AVX-512.
macro_rules! avx512 {
    (
        $vector:ident, $float:ident, $mask:ident, $lanes:literal, $load:ident, $store:ident, $stream:ident,
        $maskload:ident, $maskstore:ident, $splat:ident, $mul:ident, $blend:ident
    ) => {
        impl Vector for $vector {
            type Element = $float;
            type Scale = $float;
            type Scales = Self;
            type Word = u64;
            const LANES: usize = $lanes;
            const MASKS_LOADS: bool = false;

            #[inline(always)]
            unsafe fn store(self, y: *mut $float) {
                // SAFETY: the caller's.
                unsafe { $store(y, self) }
            }

            #[inline(always)]
            unsafe fn stream(self, y: *mut $float) {
                // SAFETY: the caller's.
                unsafe { $stream(y, self) }
            }

            #[inline(always)]
            unsafe fn store_part(self, y: *mut $float, len: usize) {
                // SAFETY: the lanes below `len` only are touched.
                unsafe { $maskstore(y, bits::low(len) as $mask, self) }
            }

            #[inline(always)]
            unsafe fn splat(scale: $float) -> Self {
                // SAFETY: the caller's.
                unsafe { $splat(scale) }
            }

            #[inline(always)]
            unsafe fn scales(scales: *const $float) -> Self {
                // SAFETY: the caller's.
                unsafe { $load(scales) }
            }

            #[inline(always)]
            unsafe fn word(word: u64) -> u64 {
                !word
            }

            #[inline(always)]
            unsafe fn before(end: usize, i: usize, scales: Self, others: Self) -> Self {
                let before = (bits::low(end) >> (i * $lanes % 64)) as $mask;
                // SAFETY: the caller's.
                unsafe { $blend(before, others, scales) }
            }

            #[inline(always)]
            unsafe fn select(x: *const $float, kept: u64, i: usize, scales: Self) -> Self {
                // SAFETY: the caller's.
                unsafe { $mul((kept >> (i * $lanes % 64)) as $mask, $load(x), scales) }
            }

            #[inline(always)]
            unsafe fn select_part(
                x: *const $float,
                len: usize,
                kept: u64,
                i: usize,
                scales: Self,
            ) -> Self {
                // SAFETY: the lanes below `len` only are touched; the rest is the caller's.
                unsafe {
                    let part = $maskload(bits::low(len) as $mask, x);
                    $mul((kept >> (i * $lanes % 64)) as $mask, part, scales)
                }
            }
        }
    };
}

avx512!(
    __m512,
    f32,
    u16,
    16,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_stream_ps,
    _mm512_maskz_loadu_ps,
    _mm512_mask_storeu_ps,
    _mm512_set1_ps,
    _mm512_maskz_mul_ps,
    _mm512_mask_blend_ps
);
avx512!(
    __m512d,
    f64,
    u8,
    8,
    _mm512_loadu_pd,
    _mm512_storeu_pd,
    _mm512_stream_pd,
    _mm512_maskz_loadu_pd,
    _mm512_mask_storeu_pd,
    _mm512_set1_pd,
    _mm512_maskz_mul_pd,
    _mm512_mask_blend_pd
);
