//! Dilation for compilers that may use AVX2 or AVX-512: 512 bits, or 128 bytes, at a time in arrays
//! that become vectors.

#![allow(unsafe_code, reason = "instructions that are found at run time")]

use core::ops::Range;

use super::beside::{self, Beside, ROOM};
use super::{Axis, bytes, columns, line, scalar, words};
use crate::bits::{Span, WORD_BITS};
use crate::cpu::X86;

/// The same function compiled for each level.
macro_rules! levels {
    ($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*), $body:expr) => {
        $(#[$doc])*
        pub(super) fn $name(x86: X86, $($argument: $type),*) {
            #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
            fn avx2($($argument: $type),*) {
                $body($($argument),*);
            }

            #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi")]
            fn avx512($($argument: $type),*) {
                $body($($argument),*);
            }

            match x86 {
                // SAFETY: the token proves the instructions.
                X86::Avx2(_) => unsafe { avx2($($argument),*) },
                // SAFETY: the token proves the instructions.
                X86::Avx512(_) => unsafe { avx512($($argument),*) },
            }
        }
    };
}

/// The function compiled for AVX2, which both levels have; bytes are not faster with AVX-512.
macro_rules! bytes {
    ($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*), $body:expr) => {
        $(#[$doc])*
        pub(super) fn $name(_: X86, $($argument: $type),*) {
            #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
            fn avx2($($argument: $type),*) {
                $body($($argument),*);
            }

            // SAFETY: the token, of either level, proves the instructions.
            unsafe { avx2($($argument),*) }
        }
    };
}

levels! {
    /// Spreads bits along an axis, within each line of the range.
    spread_bits(bits: &mut [u64], range: Range<usize>, axis: &Axis), words::spread::<8, 8>
}
bytes! {
    /// Spreads bytes along an axis, within each line.
    spread_bytes(bytes: &mut [u8], axis: &Axis), bytes::spread::<128>
}
bytes! {
    /// Spreads bytes within lines; those of the source replace them before.
    spread_beside(source: Option<&[u8]>, lines: &mut [u8], beside: &Beside),
    beside::spread::<128, ROOM>
}
bytes! {
    /// Spreads bytes along columns, from a map to some of its rows.
    spread_columns(map: &[u8], rows: Range<usize>, to: &mut [u8], axis: &Axis),
    columns::spread::<128>
}
bytes! {
    /// Spreads bytes of one line.
    spread_line(line: &mut [u8], axis: &Axis), line::spread::<128>
}
levels! {
    /// `bit[i] |= bit[i - shift]` for `i` in the range, from the old bits. `range.start >= shift`.
    or_up(bits: &mut [u64], range: Range<usize>, shift: usize), or_up_body
}

const LANES: usize = 8;

#[inline(always)]
fn or_up_body(bits: &mut [u64], range: Range<usize>, shift: usize) {
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
