//! Counting with POPCNT or VPOPCNTDQ, and the vectors that compilers make of them.

#![allow(unsafe_code, reason = "instructions that are found at run time")]

use core::ops::Range;

use super::{sum, sums};
use crate::cpu::X86;

/// See [`count_each`](super::count_each). Ranges are short, so that AVX-512 has nothing to add.
pub(super) fn count_each(_: X86, bits: &[u64], first: usize, len: usize, counts: &mut [u64]) {
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn avx2(bits: &[u64], first: usize, len: usize, counts: &mut [u64]) {
        sums(bits, first, len, counts);
    }

    // SAFETY: the token, of either level, proves the instructions.
    unsafe { avx2(bits, first, len, counts) }
}

/// The number of set bits in the range.
pub(super) fn count(x86: X86, bits: &[u64], range: Range<usize>) -> u64 {
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn avx2(bits: &[u64], range: Range<usize>) -> u64 {
        sum(bits, range)
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")]
    fn avx512(bits: &[u64], range: Range<usize>) -> u64 {
        sum(bits, range)
    }

    match x86 {
        // SAFETY: the token proves the instructions.
        X86::Avx2(_) => unsafe { avx2(bits, range) },
        // SAFETY: the token proves the instructions.
        X86::Avx512(_) => unsafe { avx512(bits, range) },
    }
}
