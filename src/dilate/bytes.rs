//! Dilation of bytes, `LANES` at a time, for short lines.
//!
//! As with bits, all lines of a range are treated as one: what moves across the border of two
//! lines is masked out.

use core::ops::Range;

use super::{Axis, Passes, TILE_BYTES};

/// The most bytes at a time.
const MOST: usize = 128;

/// Spreads bytes along an axis, within each line.
#[inline(always)]
pub(super) fn spread<const LANES: usize>(bytes: &mut [u8], axis: &Axis) {
    let end = bytes.len();
    for (shift, part) in Passes::new(0..end, axis.after, axis.stride, TILE_BYTES) {
        let border = Border::new(shift, axis.period);
        let part = end - part.end..end - part.start;
        // From the top, so that no byte is read after it was written.
        let part = max_up::<LANES>(bytes, part, &border);
        let part = if LANES > 8 { max_up::<8>(bytes, part, &border) } else { part };
        max_up::<1>(bytes, part, &border);
    }
    for (shift, part) in Passes::new(0..end, axis.before, axis.stride, TILE_BYTES) {
        let border = Border::new(shift, axis.period);
        let part = max_down::<LANES>(bytes, part, &border);
        let part = if LANES > 8 { max_down::<8>(bytes, part, &border) } else { part };
        max_down::<1>(bytes, part, &border);
    }
}

/// `byte[i] = max(byte[i], byte[i - shift])` where both are in the same line, from the old bytes.
/// Returns the rest of the range.
#[inline(always)]
fn max_up<const LANES: usize>(
    bytes: &mut [u8],
    range: Range<usize>,
    border: &Border,
) -> Range<usize> {
    let Border { shift, period, .. } = *border;
    let mut end = range.end;
    if end < range.start + LANES {
        return range;
    }
    let step = LANES % period;
    let mut phase = end % period;
    while end >= range.start + LANES {
        // How many steps there are to the border below; the end of a line is that of the last.
        let above = if phase == 0 { period } else { phase };
        let inside = (above.saturating_sub(shift) / LANES).min((end - range.start) / LANES);
        if inside > 0 {
            for _ in 0..inside {
                end -= LANES;
                max::<LANES>(bytes, end, end - shift, None);
            }
            phase = above - inside * LANES;
        } else {
            end -= LANES;
            phase = if phase >= step { phase - step } else { phase + period - step };
            max::<LANES>(bytes, end, end - shift, Some(border.masks(phase)));
        }
    }
    range.start..end
}

/// `byte[i] = max(byte[i], byte[i + shift])` where both are in the same line, from the old bytes.
/// Returns the rest of the range.
#[inline(always)]
fn max_down<const LANES: usize>(
    bytes: &mut [u8],
    range: Range<usize>,
    border: &Border,
) -> Range<usize> {
    let Border { shift, period, .. } = *border;
    let (mut start, end) = (range.start, range.end);
    if end < start + LANES {
        return range;
    }
    let step = LANES % period;
    let mut phase = (start + shift) % period;
    while start + LANES <= end {
        // How many steps there are to the border above.
        let below = if phase < shift { 0 } else { period - phase };
        let inside = (below / LANES).min((end - start) / LANES);
        let passed = if inside > 0 {
            for _ in 0..inside {
                max::<LANES>(bytes, start, start + shift, None);
                start += LANES;
            }
            inside * LANES
        } else {
            max::<LANES>(bytes, start, start + shift, Some(border.masks(phase)));
            start += LANES;
            step
        };
        phase += passed;
        phase = if phase >= period { phase - period } else { phase };
    }
    start..end
}

/// Maxima of the bytes from `start` on and of others, which count where the mask is 255.
#[inline(always)]
fn max<const LANES: usize>(bytes: &mut [u8], start: usize, other: usize, masks: Option<&[u8]>) {
    let Some(&(mut other)) = bytes.get(other..).and_then(<[u8]>::first_chunk::<LANES>) else {
        return;
    };
    if let Some(masks) = masks {
        let Some(masks) = masks.first_chunk::<LANES>() else {
            return;
        };
        for (other, mask) in other.iter_mut().zip(masks) {
            *other &= mask;
        }
    }
    if let Some(bytes) = bytes.get_mut(start..).and_then(<[u8]>::first_chunk_mut::<LANES>) {
        for (byte, other) in bytes.iter_mut().zip(other) {
            *byte = (*byte).max(other);
        }
    }
}

/// The first `shift` bytes of each line, those that no byte of the same line moves to.
struct Border {
    shift: usize,
    period: usize,
    /// The lengths of a border and of the rest of a line, as far as one step sees them.
    short_shift: usize,
    short_rest: usize,
    /// 0 for the border, else 255: a line and a step more.
    masks: [u8; 3 * MOST],
}

impl Border {
    /// `shift` is less than `period`.
    #[inline(always)]
    fn new(shift: usize, period: usize) -> Self {
        let (short_shift, short_rest) = (shift.min(MOST), (period - shift).min(MOST));
        let short = short_shift + short_rest;
        let mut masks = [255; 3 * MOST];
        for line in masks[..short + MOST].chunks_mut(short) {
            let len = short_shift.min(line.len());
            line[..len].fill(0);
        }
        Self { shift, period, short_shift, short_rest, masks }
    }

    /// The masks from this place of a line on, at least as many as in a step.
    #[inline(always)]
    fn masks(&self, phase: usize) -> &[u8] {
        let index = if phase < self.shift {
            self.short_shift - self.short_shift.min(self.shift - phase)
        } else {
            self.short_shift + self.short_rest - self.short_rest.min(self.period - phase)
        };
        self.masks.get(index..).unwrap_or(&[])
    }
}
