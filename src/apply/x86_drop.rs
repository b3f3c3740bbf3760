//! Vectors of elements of any type, which are kept or replaced by a value, for `x86.rs`: dropping without
//! scaling.
//!
//! Elements are only moved, as they may have bytes without a value. What is dropped is a vector of
//! integers as wide as they are.

#![allow(unsafe_code, reason = "vector instructions, loads and stores through pointers")]
#![allow(clippy::multiple_unsafe_ops_per_block, reason = "one proof for one expression")]

use core::arch::x86_64::*;
use core::marker::PhantomData;

use super::x86::Vector;

/// `N` elements; integers `L` say which are dropped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept<T, L, const N: usize>([T; N], PhantomData<L>);

/// Integers of 32 bytes together.
pub(super) trait Lane<const N: usize>: Copy + Default + PartialOrd {
    /// Those of vector `i` of a block: below 0 where the bit is set. `halves` are the two halves of the
    /// word, in all lanes of 32 bits.
    ///
    /// # Safety
    ///
    /// AVX2 is there.
    unsafe fn dropped(halves: [__m256i; 2], i: usize) -> [Self; N];
}

macro_rules! shifted {
    ($int:ident, $lanes:literal, $shift:ident, $greater:ident) => {
        impl Lane<$lanes> for $int {
            #[inline(always)]
            unsafe fn dropped(halves: [__m256i; 2], i: usize) -> [Self; $lanes] {
                // From each bit to that of the sign; where lanes have 64 bits, they hold the half twice.
                const UP: [[$int; $lanes]; 32 / $lanes] = {
                    let mut up = [[0; $lanes]; 32 / $lanes];
                    let mut bit = 0;
                    while bit < 32 {
                        up[bit / $lanes][bit % $lanes] = 31 - bit as $int;
                        bit += 1;
                    }
                    up
                };
                let (half, group) = (i / UP.len() % 2, i % UP.len());
                // SAFETY: the arrays have 32 bytes; the instructions are there.
                unsafe {
                    let up = _mm256_loadu_si256(UP[group].as_ptr().cast());
                    // All bits, or none: of the sign alone compilers make detours where runs are short.
                    core::mem::transmute($greater(_mm256_setzero_si256(), $shift(halves[half], up)))
                }
            }
        }
    };
}

shifted!(i32, 8, _mm256_sllv_epi32, _mm256_cmpgt_epi32);
shifted!(i64, 4, _mm256_sllv_epi64, _mm256_cmpgt_epi64);

macro_rules! compared {
    ($int:ident, $lanes:literal, $compare:ident) => {
        impl Lane<$lanes> for $int {
            #[inline(always)]
            unsafe fn dropped(halves: [__m256i; 2], i: usize) -> [Self; $lanes] {
                // The byte with the bit of each lane, and the bit.
                const BYTES: [[u8; 32]; 32 / $lanes] = {
                    let mut bytes = [[0; 32]; 32 / $lanes];
                    let mut i = 0;
                    while i < 32 * 32 / $lanes {
                        bytes[i / 32][i % 32] = (i / size_of::<$int>() / 8) as u8;
                        i += 1;
                    }
                    bytes
                };
                const BIT: [$int; $lanes] = {
                    let mut bits = [0; $lanes];
                    let mut i = 0;
                    while i < $lanes {
                        // In each byte of the lane, which is the same.
                        bits[i] = (($int::MAX as u64 * 2 + 1) / 255 * (1 << (i % 8))) as $int;
                        i += 1;
                    }
                    bits
                };
                let (half, group) = (i / BYTES.len() % 2, i % BYTES.len());
                // SAFETY: the arrays have 32 bytes; the instructions are there.
                unsafe {
                    let bytes = _mm256_loadu_si256(BYTES[group].as_ptr().cast());
                    let bit = _mm256_loadu_si256(BIT.as_ptr().cast());
                    let bits = _mm256_and_si256(_mm256_shuffle_epi8(halves[half], bytes), bit);
                    core::mem::transmute($compare(bits, bit))
                }
            }
        }
    };
}

compared!(i8, 32, _mm256_cmpeq_epi8);
compared!(i16, 16, _mm256_cmpeq_epi16);

impl<T: Copy, L: Lane<N>, const N: usize> Vector for Kept<T, L, N> {
    type Element = T;
    /// The value of dropped elements.
    type Scale = T;
    type Scales = [T; N];
    type Word = [__m256i; 2];
    const LANES: usize = N;
    const MASKS_LOADS: bool = false;

    /// Compilers that know that it is the same make masked stores, which take several times as long on
    /// some processors (Zen 3).
    #[inline(always)]
    fn in_place(y: *mut T) -> *mut T {
        core::hint::black_box(y)
    }

    #[inline(always)]
    unsafe fn store(self, y: *mut T) {
        // SAFETY: the caller's.
        unsafe { y.cast::<[T; N]>().write(self.0) }
    }

    #[inline(always)]
    unsafe fn stream(self, y: *mut T) {
        // SAFETY: the caller's.
        unsafe { self.store(y) }
    }

    #[inline(always)]
    unsafe fn store_part(self, y: *mut T, len: usize) {
        for (i, x) in self.0.into_iter().enumerate().take(len) {
            // SAFETY: the caller's.
            unsafe { y.add(i).write(x) };
        }
    }

    #[inline(always)]
    unsafe fn splat(value: T) -> [T; N] {
        [value; N]
    }

    #[inline(always)]
    unsafe fn scales(values: *const T) -> [T; N] {
        // SAFETY: the caller's.
        unsafe { values.cast::<[T; N]>().read() }
    }

    #[inline(always)]
    unsafe fn word(word: u64) -> [__m256i; 2] {
        // SAFETY: the caller's.
        unsafe { [_mm256_set1_epi32(word as i32), _mm256_set1_epi32((word >> 32) as i32)] }
    }

    /// The values are all the same.
    #[inline(always)]
    unsafe fn before(_: usize, _: usize, values: [T; N], _: [T; N]) -> [T; N] {
        values
    }

    #[inline(always)]
    unsafe fn select(x: *const T, word: [__m256i; 2], i: usize, values: [T; N]) -> Self {
        // SAFETY: the caller's.
        let (x, dropped) = unsafe { (x.cast::<[T; N]>().read(), L::dropped(word, i)) };
        let none = L::default();
        Self(
            core::array::from_fn(|j| if dropped[j] < none { values[j] } else { x[j] }),
            PhantomData,
        )
    }

    #[inline(always)]
    unsafe fn select_part(
        x: *const T,
        len: usize,
        word: [__m256i; 2],
        i: usize,
        values: [T; N],
    ) -> Self {
        let mut part = values;
        for (j, place) in part.iter_mut().enumerate().take(len) {
            // SAFETY: the caller's.
            *place = unsafe { x.add(j).read() };
        }
        // SAFETY: the array has `N` elements; the rest is the caller's.
        unsafe { Self::select(part.as_ptr(), word, i, values) }
    }
}

#[cfg(test)]
mod tests {
    extern crate alloc;

    use alloc::vec::Vec;
    use core::fmt::Debug;

    use crate::Backend;
    use crate::apply::{Runs, Tensor, drop_only};
    use crate::cpu::Level;

    /// Runs of all lengths, apart and side by side, lose on every backend what their bits say.
    fn check<T: Copy + PartialEq + Debug>(make: fn(u16) -> T) {
        let bits: Vec<u64> = (1..9_u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        let x: Vec<T> = (1..460).map(make).collect();
        for level in Backend::available().map(|backend| Level::of(Some(backend))) {
            // Miri takes minutes for all lengths.
            for len in (0..150).step_by(if cfg!(miri) { 37 } else { 1 }) {
                let runs = Runs {
                    bits: &bits,
                    bit: len % 71,
                    count: 3,
                    len,
                    step: len + 3,
                    bit_step: len,
                };
                let mut expected = x.clone();
                for (run, bit) in runs.each() {
                    for (x, bit) in expected[run].iter_mut().zip(bit..) {
                        if bits[bit / 64] >> (bit % 64) & 1 == 1 {
                            *x = make(0);
                        }
                    }
                }
                let mut y = x.clone();
                drop_only(level, &mut Tensor::InPlace(&mut y), runs, make(0));
                assert_eq!(y, expected, "{level:?} {len}");
            }
        }
    }

    #[test]
    fn drops_elements_of_every_width() {
        check(|i| i as u8);
        check(|i| i);
        check(f32::from);
        check(f64::from);
        check(|i| (i as u8, i));
        check(|i| (u32::from(i), i as u8));
        check(|i| [i; 3]);
        check(|i| [u64::from(i); 5]);
    }
}
