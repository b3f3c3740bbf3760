//! Dilation of bytes along columns from one buffer to another: each result is the maximum of all that
//! its window has, read from the source. For few rows that is one pass over memory, and what it
//! writes is still in the nearest cache when rows are spread.

use core::ops::Range;

use super::Axis;
use super::beside::{LEAST, maxima};

/// The bytes of a map that repay it: those of a second cache. Smaller maps stay there when they are
/// passed over once more, with fewer loads (`dilate bytes` of the bench `floor`).
pub(super) const LARGE: usize = 1 << 20;

/// The most rows of a window.
const TAPS: usize = 8;

/// Whether windows are small enough, and rows long enough.
pub(super) const fn are_few(axis: &Axis) -> bool {
    let others = axis.before + axis.after;
    0 < others && others < TAPS && axis.stride >= LEAST
}

/// Writes these rows of a map, of which there must be few in a window.
#[inline(always)]
pub(super) fn spread<const LANES: usize>(
    map: &[u8],
    rows: Range<usize>,
    to: &mut [u8],
    axis: &Axis,
) {
    let &Axis { stride, period, before, after } = axis;
    let last = (period / stride).saturating_sub(1);
    let mut row = rows.start;
    while row < rows.end {
        // Rows whose windows lie inside the map are one line. A row twice does no harm.
        let is_inside = row >= after && row + before <= last;
        let next = if is_inside { rows.end.min(last + 1 - before) } else { row + 1 };
        let at =
            |tap: usize| (row + tap.min(before + after)).saturating_sub(after).min(last) * stride;
        let Some(to) = to.get_mut((row - rows.start) * stride..(next - rows.start) * stride) else {
            return;
        };
        if before + after < TAPS / 2 {
            maxima::<LANES, { TAPS / 2 }>(map, core::array::from_fn(at), to);
        } else {
            maxima::<LANES, TAPS>(map, core::array::from_fn(at), to);
        }
        row = next;
    }
}
