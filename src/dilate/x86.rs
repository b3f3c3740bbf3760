//! Dilation for compilers that may use AVX2 or AVX-512: 512 bits at a time in arrays that become
//! vectors.

#![allow(unsafe_code, reason = "instructions that are found at run time")]

use core::ops::Range;

use super::{Axis, words};
use crate::cpu::X86;

const LANES: usize = 8;

/// Spreads bits along an axis, within each line of the range.
pub(super) fn spread(x86: X86, bits: &mut [u64], range: Range<usize>, axis: &Axis) {
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn avx2(bits: &mut [u64], range: Range<usize>, axis: &Axis) {
        words::spread::<LANES>(bits, range, axis);
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi")]
    fn avx512(bits: &mut [u64], range: Range<usize>, axis: &Axis) {
        words::spread::<LANES>(bits, range, axis);
    }

    match x86 {
        // SAFETY: the token proves the instructions.
        X86::Avx2(_) => unsafe { avx2(bits, range, axis) },
        // SAFETY: the token proves the instructions.
        X86::Avx512(_) => unsafe { avx512(bits, range, axis) },
    }
}
