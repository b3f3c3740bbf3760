//! Dilation for compilers that may use AVX2 or AVX-512: 512 bits, or 64 bytes, at a time in
//! arrays that become vectors.

#![allow(unsafe_code, reason = "instructions that are found at run time")]

use core::ops::Range;

use super::scalar;
use crate::bits::{Span, WORD_BITS};
use crate::x86::X86;

const LANES: usize = 8;
const BYTES: usize = 64;

/// The same function compiled for each level.
macro_rules! levels {
    ($(#[$doc:meta])* $name:ident($data:ident: $type:ty $(, $argument:ident: $argument_type:ty)*)) => {
        $(#[$doc])*
        pub(super) fn $name(x86: X86, $data: $type $(, $argument: $argument_type)*) {
            #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
            fn avx2($data: $type $(, $argument: $argument_type)*) {
                body::$name($data $(, $argument)*);
            }

            #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi")]
            fn avx512($data: $type $(, $argument: $argument_type)*) {
                body::$name($data $(, $argument)*);
            }

            match x86 {
                // SAFETY: the token proves the instructions.
                X86::Avx2(_) => unsafe { avx2($data $(, $argument)*) },
                // SAFETY: the token proves the instructions.
                X86::Avx512(_) => unsafe { avx512($data $(, $argument)*) },
            }
        }
    };
}

levels! {
    /// `bit[i] |= bit[i - shift]` for `i` in the range, from the old bits. `range.start >= shift`.
    or_up(bits: &mut [u64], range: Range<usize>, shift: usize)
}
levels! {
    /// `bit[i] |= bit[i + shift]` for `i` in the range, from the old bits.
    or_down(bits: &mut [u64], range: Range<usize>, shift: usize)
}
levels! {
    /// `byte[i] = max(byte[i], byte[i - shift])` for all `i >= shift`, from the old bytes.
    max_up(bytes: &mut [u8], shift: usize)
}
levels! {
    /// `byte[i] = max(byte[i], byte[i + shift])` for all `i < len - shift`, from the old bytes.
    max_down(bytes: &mut [u8], shift: usize)
}

mod body {
    use super::*;

    #[inline(always)]
    pub(super) fn or_up(bits: &mut [u64], range: Range<usize>, shift: usize) {
        let span = Span::new(range.start, range.end);
        let (words, rest) = (shift / WORD_BITS, shift % WORD_BITS);
        let one = |bits: &mut [u64], part| {
            scalar::or_masked(bits, part, |bits, i| scalar::from_below(bits, i, shift));
        };
        one(bits, span.tail);
        // From the top, as long as the lowest word that is read exists.
        let mut end = span.whole.end;
        while end >= span.whole.start + LANES && end > LANES + words {
            let start = end - LANES;
            let (Some(&near), Some(&far)) =
                (chunk(bits, start - words), chunk(bits, start - words - 1))
            else {
                break;
            };
            or(bits, start, near, far, |near, far| near << rest | far >> 1 >> (63 - rest));
            end = start;
        }
        for i in (span.whole.start..end).rev() {
            one(bits, Some((i, !0)));
        }
        one(bits, span.head);
    }

    #[inline(always)]
    pub(super) fn or_down(bits: &mut [u64], range: Range<usize>, shift: usize) {
        let span = Span::new(range.start, range.end);
        let (words, rest) = (shift / WORD_BITS, shift % WORD_BITS);
        let one = |bits: &mut [u64], part| {
            scalar::or_masked(bits, part, |bits, i| scalar::from_above(bits, i, shift));
        };
        one(bits, span.head);
        let mut start = span.whole.start;
        while start + LANES <= span.whole.end {
            let (Some(&near), Some(&far)) =
                (chunk(bits, start + words), chunk(bits, start + words + 1))
            else {
                break;
            };
            or(bits, start, near, far, |near, far| near >> rest | far << 1 << (63 - rest));
            start += LANES;
        }
        for i in start..span.whole.end {
            one(bits, Some((i, !0)));
        }
        one(bits, span.tail);
    }

    #[inline(always)]
    fn chunk(bits: &[u64], start: usize) -> Option<&[u64; LANES]> {
        bits.get(start..).and_then(<[u64]>::first_chunk)
    }

    /// ORs eight words from `start` on with what is made of two others each.
    #[inline(always)]
    fn or(
        bits: &mut [u64],
        start: usize,
        near: [u64; LANES],
        far: [u64; LANES],
        join: impl Fn(u64, u64) -> u64,
    ) {
        if let Some(words) = bits.get_mut(start..).and_then(<[u64]>::first_chunk_mut::<LANES>) {
            for (word, (near, far)) in words.iter_mut().zip(near.into_iter().zip(far)) {
                *word |= join(near, far);
            }
        }
    }

    #[inline(always)]
    pub(super) fn max_up(bytes: &mut [u8], shift: usize) {
        let mut end = bytes.len();
        while end >= shift + BYTES {
            let start = end - BYTES;
            max(bytes, start, start - shift);
            end = start;
        }
        if let Some(rest) = bytes.get_mut(..end) {
            scalar::max_up(rest, shift);
        }
    }

    #[inline(always)]
    pub(super) fn max_down(bytes: &mut [u8], shift: usize) {
        let mut start = 0;
        while start + shift + BYTES <= bytes.len() {
            max(bytes, start, start + shift);
            start += BYTES;
        }
        if let Some(rest) = bytes.get_mut(start..) {
            scalar::max_down(rest, shift);
        }
    }

    #[inline(always)]
    fn max(bytes: &mut [u8], start: usize, other: usize) {
        let Some(&other) = bytes.get(other..).and_then(<[u8]>::first_chunk::<BYTES>) else {
            return;
        };
        if let Some(bytes) = bytes.get_mut(start..).and_then(<[u8]>::first_chunk_mut::<BYTES>) {
            for (byte, other) in bytes.iter_mut().zip(other) {
                *byte = (*byte).max(other);
            }
        }
    }
}
