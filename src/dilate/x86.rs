//! Dilation for compilers that may use AVX2 or AVX-512: 512 bits, or 32 or 64 bytes, at a time in
//! arrays that become vectors.

#![allow(unsafe_code, reason = "instructions that are found at run time")]

use core::ops::Range;

use super::{Axis, bytes, words};
use crate::x86::X86;

/// The same function compiled for each level.
macro_rules! levels {
    ($(#[$doc:meta])* $name:ident: $type:ty, $avx2:expr, $avx512:expr) => {
        $(#[$doc])*
        pub(super) fn $name(x86: X86, data: &mut [$type], range: Range<usize>, axis: &Axis) {
            #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
            fn avx2(data: &mut [$type], range: Range<usize>, axis: &Axis) {
                $avx2(data, range, axis);
            }

            #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi")]
            fn avx512(data: &mut [$type], range: Range<usize>, axis: &Axis) {
                $avx512(data, range, axis);
            }

            match x86 {
                // SAFETY: the token proves the instructions.
                X86::Avx2(_) => unsafe { avx2(data, range, axis) },
                // SAFETY: the token proves the instructions.
                X86::Avx512(_) => unsafe { avx512(data, range, axis) },
            }
        }
    };
}

levels! {
    /// Spreads bits along an axis, within each line of the range.
    spread_bits: u64, words::spread::<8, 8>, words::spread::<8, 8>
}
levels! {
    /// Spreads bytes along an axis, within each line of the range.
    spread_bytes: u8, bytes::spread::<128>, bytes::spread::<128>
}
