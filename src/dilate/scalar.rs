//! Dilation in plain code: a word, or eight bytes, at a time.

use core::ops::Range;

use super::beside::{self, Beside};
use super::{Axis, bytes, line, words};
use crate::bits::{WORD_BITS, word};

/// Spreads bits along an axis, within each line of the range.
pub(super) fn spread_bits(bits: &mut [u64], range: Range<usize>, axis: &Axis) {
    words::spread::<1, 1>(bits, range, axis);
}

/// What lines take on the stack beside themselves: little, for small machines.
pub(super) const ROOM: usize = 1 << 10;

/// Spreads bytes along an axis, within each line.
pub(super) fn spread_bytes(bytes: &mut [u8], axis: &Axis) {
    bytes::spread::<16>(bytes, axis);
}

/// Spreads bytes within lines; those of the source replace them before.
pub(super) fn spread_beside(source: Option<&[u8]>, lines: &mut [u8], beside: &Beside) {
    beside::spread::<16, ROOM>(source, lines, beside);
}

/// Spreads bytes of one line.
pub(super) fn spread_line(line: &mut [u8], axis: &Axis) {
    line::spread::<16>(line, axis);
}

/// ORs the masked part of a word, if there is one.
#[inline]
pub(super) fn or_masked(
    bits: &mut [u64],
    part: Option<(usize, u64)>,
    source: impl Fn(&[u64], usize) -> u64,
) {
    if let Some((index, mask)) = part {
        let or = source(bits, index) & mask;
        if let Some(word) = bits.get_mut(index) {
            *word |= or;
        }
    }
}

/// The word `index` of the bits shifted up.
#[inline]
pub(super) fn from_below(bits: &[u64], index: usize, shift: usize) -> u64 {
    let (words, shift) = (shift / WORD_BITS, shift % WORD_BITS);
    let Some(index) = index.checked_sub(words) else {
        return 0;
    };
    // In two steps, so that a shift by a whole word gives 0; word -1 is outside, hence 0.
    let below = word(bits, index.wrapping_sub(1)) >> 1 >> (WORD_BITS - 1 - shift);
    word(bits, index) << shift | below
}
