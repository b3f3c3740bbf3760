//! Dilation of bytes for compilers that may use AVX2: 128 at a time in arrays that become vectors.

#![allow(unsafe_code, reason = "instructions that are found at run time")]

use super::lines;
use crate::cpu::X86;
use crate::dilate::Axis;

/// Spreads bytes along an axis, within each line. Bytes are not faster with AVX-512.
pub(super) fn spread(_: X86, bytes: &mut [u8], axis: &Axis) {
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn avx2(bytes: &mut [u8], axis: &Axis) {
        lines::spread::<128>(bytes, axis);
    }

    // SAFETY: the token, of either level, proves the instructions.
    unsafe { avx2(bytes, axis) }
}
