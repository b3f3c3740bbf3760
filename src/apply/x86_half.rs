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
impl<T: Scaled> Halves<T> {
    /// Scaled where the mask keeps it.
    ///
    /// # Safety
    ///
    /// AVX2 and F16C are there.
    #[inline(always)]
    unsafe fn selected(x: __m256i, word: u64, i: usize, scales: [__m256; 2]) -> Self {
        // SAFETY: the load is of an array, the rest the caller's.
        unsafe {
            let lane = _mm256_loadu_si256(LANE_BITS.as_ptr().cast());
            let word = _mm256_set1_epi16((word >> (i * LANES % 64)) as i16);
            let dropped = _mm256_cmpeq_epi16(_mm256_and_si256(word, lane), lane);
            let scaled = _mm256_andnot_si256(dropped, T::scaled_vector(x, scales));
            Self(scaled, core::marker::PhantomData)
        }
    }
}

/// The vector with its elements moved up by so many lanes, or down if the number is negative; zeros
/// come in.
///
/// # Safety
///
/// It is 8 lanes at most, either way; AVX2 is there.
#[inline(always)]
unsafe fn moved_up(x: __m128i, elements: isize) -> __m128i {
    const NONE: u8 = 0x80;
    static FROM: [u8; 48] = {
        let mut from = [NONE; 48];
        let mut i = 0;
        while i < 16 {
            from[16 + i] = i as u8;
            i += 1;
        }
        from
    };
    let at = (16 - 2 * elements) as usize;
    // SAFETY: 16 bytes are there; the instructions are there.
    unsafe { _mm_shuffle_epi8(x, _mm_loadu_si128(FROM.as_ptr().add(at).cast())) }
}

/// The first `len` elements, fewer than `LANES`. They are read in parts that overlap: what goes through
/// an array waits for it to be written.
///
/// # Safety
///
/// `x` is valid for a read of `len` elements; AVX2 is there.
#[inline(always)]
unsafe fn load_part(x: *const u16, len: usize) -> __m256i {
    // SAFETY: only the first `len` are read; the instructions are there.
    unsafe {
        if len >= 8 {
            let [low, high] = [0, len - 8].map(|start| _mm_loadu_si128(x.add(start).cast()));
            return _mm256_set_m128i(moved_up(high, len as isize - 16), low);
        }
        let x = if len >= 4 {
            let [low, high] = [0, len - 4].map(|start| _mm_loadl_epi64(x.add(start).cast()));
            _mm_or_si128(low, moved_up(high, len as isize - 4))
        } else {
            let mut part = 0;
            for i in 0..len {
                part |= u64::from(x.add(i).read_unaligned()) << (16 * i);
            }
            _mm_cvtsi64_si128(part as i64)
        };
        _mm256_castsi128_si256(x)
    }
}

/// Writes the first `len` elements, fewer than `LANES`, in such parts.
///
/// # Safety
///
/// `y` is valid for a write of `len` elements; AVX2 is there.
#[inline(always)]
unsafe fn store_part(vector: __m256i, y: *mut u16, len: usize) {
    // SAFETY: only the first `len` are written; the instructions are there.
    unsafe {
        let low = _mm256_castsi256_si128(vector);
        if len >= 8 {
            let high = moved_up(_mm256_extracti128_si256::<1>(vector), 16 - len as isize);
            let last = _mm_or_si128(moved_up(low, 8 - len as isize), high);
            _mm_storeu_si128(y.cast(), low);
            _mm_storeu_si128(y.add(len - 8).cast(), last);
        } else if len >= 4 {
            _mm_storel_epi64(y.cast(), low);
            _mm_storel_epi64(y.add(len - 4).cast(), moved_up(low, 4 - len as isize));
        } else {
            let part = _mm_cvtsi128_si64(low);
            for i in 0..len {
                y.add(i).write_unaligned((part >> (16 * i)) as u16);
            }
        }
    }
}

#[allow(private_bounds, reason = "nothing outside can name it")]
impl<T: Element<Scale = f32> + Scaled> Vector for Halves<T> {
    type Element = T;
    type Scale = f32;
    type Scales = [__m256; 2];
    type Word = u64;
    const LANES: usize = LANES;
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
        // SAFETY: the caller's.
        unsafe { store_part(self.0, y.cast(), len) }
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
    unsafe fn before(
        end: usize,
        i: usize,
        [low, high]: Self::Scales,
        [other_low, other_high]: Self::Scales,
    ) -> Self::Scales {
        // SAFETY: eight scales are half as many as elements, and one vector of them; the rest is the caller's.
        unsafe {
            [
                __m256::before(end, 2 * i, low, other_low),
                __m256::before(end, 2 * i + 1, high, other_high),
            ]
        }
    }

    #[inline(always)]
    unsafe fn select(x: *const T, word: u64, i: usize, scales: Self::Scales) -> Self {
        // SAFETY: the caller's.
        unsafe { Self::selected(_mm256_loadu_si256(x.cast()), word, i, scales) }
    }

    #[inline(always)]
    unsafe fn select_part(
        x: *const T,
        len: usize,
        word: u64,
        i: usize,
        scales: Self::Scales,
    ) -> Self {
        // SAFETY: the caller's.
        unsafe { Self::selected(load_part(x.cast(), len), word, i, scales) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::Level;

    /// Parts of every length are read and written, and nothing beside them.
    #[test]
    fn parts() {
        let Level::X86(_) = Level::of(None) else { return };
        let x: [u16; LANES] = core::array::from_fn(|i| 1 + i as u16);
        for len in 0..LANES {
            let mut y = [0; LANES];
            // SAFETY: the level proves the instructions; all slices have as many elements.
            unsafe { store_part(load_part(x[..len].as_ptr(), len), y[..len].as_mut_ptr(), len) };
            assert_eq!(y[..len], x[..len]);
            assert_eq!(y[len..], [0; LANES][len..], "{len}");
        }
    }
}
