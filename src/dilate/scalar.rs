//! Dilation in plain code.

use core::ops::Range;

use crate::bits::{Span, WORD_BITS, word};

/// `bit[i] |= bit[i - shift]` for `i` in the range, from the old bits. `range.start >= shift`.
pub(super) fn or_up(bits: &mut [u64], range: Range<usize>, shift: usize) {
    let span = Span::new(range.start, range.end);
    // From the top, so that no word is read after it was written.
    or_masked(bits, span.tail, |bits, i| from_below(bits, i, shift));
    for i in span.whole.rev() {
        let or = from_below(bits, i, shift);
        if let Some(word) = bits.get_mut(i) {
            *word |= or;
        }
    }
    or_masked(bits, span.head, |bits, i| from_below(bits, i, shift));
}

/// `bit[i] |= bit[i + shift]` for `i` in the range, from the old bits.
pub(super) fn or_down(bits: &mut [u64], range: Range<usize>, shift: usize) {
    let span = Span::new(range.start, range.end);
    or_masked(bits, span.head, |bits, i| from_above(bits, i, shift));
    for i in span.whole {
        or_masked(bits, Some((i, !0)), |bits, i| from_above(bits, i, shift));
    }
    or_masked(bits, span.tail, |bits, i| from_above(bits, i, shift));
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

/// The word `index` of the bits shifted down.
#[inline]
pub(super) fn from_above(bits: &[u64], index: usize, shift: usize) -> u64 {
    crate::bits::load(bits, index * WORD_BITS + shift)
}

/// `byte[i] = max(byte[i], byte[i - shift])` for all `i >= shift`, from the old bytes.
pub(super) fn max_up(bytes: &mut [u8], shift: usize) {
    for i in (shift..bytes.len()).rev() {
        bytes[i] = bytes[i].max(bytes[i - shift]);
    }
}

/// `byte[i] = max(byte[i], byte[i + shift])` for all `i < len - shift`, from the old bytes.
pub(super) fn max_down(bytes: &mut [u8], shift: usize) {
    for i in 0..bytes.len().saturating_sub(shift) {
        bytes[i] = bytes[i].max(bytes[i + shift]);
    }
}
