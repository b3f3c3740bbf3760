//! Dilation with `wide`: 256 bits, or 16 bytes, at a time.

use core::ops::Range;

use wide::{u8x16, u64x4};

use super::scalar;
use crate::bits::{Span, WORD_BITS};

const LANES: usize = 4;
const BYTES: usize = 16;

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

/// `bit[i] |= bit[i + shift]` for `i` in the range, from the old bits.
pub(super) fn or_down(bits: &mut [u64], range: Range<usize>, shift: usize) {
    let span = Span::new(range.start, range.end);
    let (words, rest) = (shift / WORD_BITS, (shift % WORD_BITS) as u32);
    let one = |bits: &mut [u64], part| {
        scalar::or_masked(bits, part, |bits, i| scalar::from_above(bits, i, shift));
    };
    one(bits, span.head);
    let mut start = span.whole.start;
    while start + LANES <= span.whole.end && start + words + LANES < bits.len() {
        let old = load(bits, start);
        let near = load(bits, start + words);
        let far = load(bits, start + words + 1);
        let or = near.unbounded_shr_scalar(rest) | far.unbounded_shl_scalar(64 - rest);
        store(bits, start, old | or);
        start += LANES;
    }
    for i in start..span.whole.end {
        one(bits, Some((i, !0)));
    }
    one(bits, span.tail);
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

/// `byte[i] = max(byte[i], byte[i - shift])` for all `i >= shift`, from the old bytes.
pub(super) fn max_up(bytes: &mut [u8], shift: usize) {
    let mut end = bytes.len();
    while end >= shift + BYTES {
        let start = end - BYTES;
        let max = load_bytes(bytes, start).max(load_bytes(bytes, start - shift));
        store_bytes(bytes, start, max);
        end = start;
    }
    if let Some(rest) = bytes.get_mut(..end) {
        scalar::max_up(rest, shift);
    }
}

/// `byte[i] = max(byte[i], byte[i + shift])` for all `i < len - shift`, from the old bytes.
pub(super) fn max_down(bytes: &mut [u8], shift: usize) {
    let mut start = 0;
    while start + shift + BYTES <= bytes.len() {
        let max = load_bytes(bytes, start).max(load_bytes(bytes, start + shift));
        store_bytes(bytes, start, max);
        start += BYTES;
    }
    if let Some(rest) = bytes.get_mut(start..) {
        scalar::max_down(rest, shift);
    }
}

#[inline]
fn load_bytes(bytes: &[u8], start: usize) -> u8x16 {
    match bytes.get(start..).and_then(<[u8]>::first_chunk) {
        Some(&chunk) => u8x16::new(chunk),
        None => u8x16::ZERO,
    }
}

#[inline]
fn store_bytes(bytes: &mut [u8], start: usize, value: u8x16) {
    if let Some(chunk) = bytes.get_mut(start..).and_then(<[u8]>::first_chunk_mut) {
        *chunk = value.to_array();
    }
}
