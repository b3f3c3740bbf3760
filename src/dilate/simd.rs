//! Dilation of 256 bits, or 16 bytes, at a time: one line with `wide`, lines with borders in arrays
//! that become the build's vectors.

use core::ops::Range;

use wide::u64x4;

use super::beside::{self, Beside, ROOM};
use super::{Axis, bytes, columns, line, scalar, words};
use crate::bits::{Span, WORD_BITS};

const LANES: usize = 4;

/// Spreads bits along an axis, within each line of the range.
pub(super) fn spread_bits(bits: &mut [u64], range: Range<usize>, axis: &Axis) {
    words::spread::<4, 4>(bits, range, axis);
}

/// Spreads bytes along an axis, within each line.
pub(super) fn spread_bytes(bytes: &mut [u8], axis: &Axis) {
    bytes::spread::<64>(bytes, axis);
}

/// Spreads bytes within lines; those of the source replace them before.
pub(super) fn spread_beside(source: Option<&[u8]>, lines: &mut [u8], beside: &Beside) {
    beside::spread::<64, ROOM>(source, lines, beside);
}

/// Spreads bytes along columns, from a map to some of its rows.
pub(super) fn spread_columns(map: &[u8], rows: Range<usize>, to: &mut [u8], axis: &Axis) {
    columns::spread::<64>(map, rows, to, axis);
}

/// Spreads bytes of one line.
pub(super) fn spread_line(line: &mut [u8], axis: &Axis) {
    line::spread::<64>(line, axis);
}

/// `bit[i] |= bit[i - shift]` for `i` in the range, from the old bits. `range.start >= shift`.
pub(super) fn or_up(bits: &mut [u64], range: Range<usize>, shift: usize) {
    let span = Span::new(range.start, range.end);
    let (words, rest) = (shift / WORD_BITS, (shift % WORD_BITS) as u32);
    let one = |bits: &mut [u64], part| {
        scalar::or_masked(bits, part, |bits, i| scalar::from_below(bits, i, shift));
    };
    one(bits, span.tail);
    // Whole words of four from the top, as long as the lowest word that is read exists.
    let mut end = span.whole.end;
    while end >= span.whole.start + LANES && end > LANES + words {
        let start = end - LANES;
        let old = load(bits, start);
        let near = load(bits, start - words);
        let far = load(bits, start - words - 1);
        // A shift by 64 gives 0 here, so that whole words need no case of their own.
        let or = near.unbounded_shl_scalar(rest) | far.unbounded_shr_scalar(64 - rest);
        store(bits, start, old | or);
        end = start;
    }
    for i in (span.whole.start..end).rev() {
        one(bits, Some((i, !0)));
    }
    one(bits, span.head);
}

#[inline]
fn load(words: &[u64], start: usize) -> u64x4 {
    match words.get(start..).and_then(<[u64]>::first_chunk) {
        Some(&chunk) => u64x4::new(chunk),
        None => u64x4::ZERO,
    }
}

#[inline]
fn store(words: &mut [u64], start: usize, value: u64x4) {
    if let Some(chunk) = words.get_mut(start..).and_then(<[u64]>::first_chunk_mut) {
        *chunk = value.to_array();
    }
}
