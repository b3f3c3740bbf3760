//! Counting with POPCNT and the vectors that compilers make of it.

#![allow(unsafe_code, reason = "instructions that are found at run time")]

use core::ops::Range;

use super::scalar;
use crate::x86::X86;

/// The number of set bits in the range.
pub(super) fn count(x86: X86, bits: &[u64], range: Range<usize>) -> u64 {
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn avx2(bits: &[u64], range: Range<usize>) -> u64 {
        scalar::count(bits, range)
    }

    let _avx2 = x86.avx2();
    // SAFETY: the token proves the instructions.
    unsafe { avx2(bits, range) }
}
