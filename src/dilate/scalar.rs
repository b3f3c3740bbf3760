//! Dilation in plain code: a word, or eight bytes, at a time.

use core::ops::Range;

use super::{Axis, bytes, words};

/// Spreads bits along an axis, within each line of the range.
pub(super) fn spread_bits(bits: &mut [u64], range: Range<usize>, axis: &Axis) {
    words::spread::<1, 1>(bits, range, axis);
}

/// Spreads bytes along an axis, within each line of the range.
pub(super) fn spread_bytes(bytes: &mut [u8], range: Range<usize>, axis: &Axis) {
    bytes::spread::<16>(bytes, range, axis);
}
