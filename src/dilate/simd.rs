//! Dilation of 256 bits, or 16 bytes, at a time in arrays that become the build's vectors.

use core::ops::Range;

use super::{Axis, bytes, words};

/// Spreads bits along an axis, within each line of the range.
pub(super) fn spread_bits(bits: &mut [u64], range: Range<usize>, axis: &Axis) {
    words::spread::<4, 4>(bits, range, axis);
}

/// Spreads bytes along an axis, within each line of the range.
pub(super) fn spread_bytes(bytes: &mut [u8], range: Range<usize>, axis: &Axis) {
    bytes::spread::<64>(bytes, range, axis);
}
