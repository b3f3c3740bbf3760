//! Counting the dropped units of a mask.

use core::ops::Range;

use crate::cpu::{Level, on_x86};

mod scalar;
mod simd;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod x86;

/// The number of set bits in the range.
#[inline]
pub(crate) fn count(level: Level, bits: &[u64], range: Range<usize>) -> u64 {
    match level {
        Level::Scalar => scalar::count(bits, range),
        Level::Simd(_) => simd::count(bits, range),
        Level::X86(x86) => on_x86!(x86, x86::count(x86, bits, range)),
    }
}
