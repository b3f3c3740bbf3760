//! Dilation in plain code: a word, or eight bytes, at a time.

use core::ops::Range;

use super::{Axis, bytes, words};
use crate::bits::{WORD_BITS, word};

/// Spreads bits along an axis, within each line of the range.
pub(super) fn spread_bits(bits: &mut [u64], range: Range<usize>, axis: &Axis) {
    words::spread::<1, 1>(bits, range, axis);
}

/// Spreads bytes along an axis, within each line of the range.
pub(super) fn spread_bytes(bytes: &mut [u8], range: Range<usize>, axis: &Axis) {
    bytes::spread::<16>(bytes, range, axis);
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
