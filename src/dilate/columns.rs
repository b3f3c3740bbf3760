//! Dilation of bytes along columns from one buffer to another: each result is the maximum of all that
//! its window has, read from the source. For few rows that is one pass over memory, and what it
//! writes is still in the nearest cache when rows are spread.

use core::ops::Range;

use super::beside::{LEAST, maxima};
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
use super::x86;
use super::{Axis, Dilation, TILE_BYTES, WIDTH, simd, spread_bytes};
use crate::cpu::Level;

/// The bytes of a map that repay it: those of a second cache. Smaller maps stay there when they are
/// passed over once more, with fewer loads (`dilate bytes` of the bench `floor`).
const LARGE: usize = 1 << 20;

/// The most rows of a window.
const TAPS: usize = 8;

impl Dilation {
    /// Spreads bytes along columns from a source, and then along rows, or returns false where that
    /// does not pay: for small maps, large windows, short rows, and without vectors.
    pub(super) fn spread_columns(&self, level: Level, source: &[u8], maps: &mut [u8]) -> bool {
        let (columns, rows) = (self.axis(1), self.axis(WIDTH));
        let Axis { stride, period, before, after } = columns;
        let pays = period >= LARGE && (1..TAPS).contains(&(before + after)) && stride >= LEAST;
        if matches!(level, Level::Scalar) || !pays {
            return false;
        }
        for (map, to) in source.chunks_exact(period).zip(maps.chunks_exact_mut(period)) {
            let mut row = 0;
            for part in to.chunks_mut((TILE_BYTES / stride).max(1) * stride) {
                let next = row + part.len() / stride;
                match level {
                    Level::Scalar => {}
                    Level::Simd(_) => simd::spread_columns(map, row..next, part, &columns),
                    #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
                    Level::X86(x86) => x86::spread_columns(x86, map, row..next, part, &columns),
                }
                spread_bytes(level, None, part, &rows);
                row = next;
            }
        }
        true
    }
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
