//! Filling planes, compiled for AVX2: shifts by a variable number of bits need one instruction.

#![allow(unsafe_code, reason = "instructions that are found at run time")]

use core::ops::Range;

use super::Source;
use crate::center::Walker;
use crate::x86::X86;

/// Fills whole planes of a cleared mask.
pub(super) fn fill_planes(
    x86: X86,
    source: &Source<'_>,
    walker: &mut Walker<'_>,
    planes: Range<usize>,
    words: &mut [u64],
) {
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn avx2(source: &Source<'_>, walker: &mut Walker<'_>, planes: Range<usize>, words: &mut [u64]) {
        source.fill_cleared(walker, planes, words);
    }

    let _avx2 = x86.avx2();
    // SAFETY: the token proves the instructions.
    unsafe { avx2(source, walker, planes, words) }
}
