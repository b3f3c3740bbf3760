//! Dilation of bytes, `LANES` at a time, where they lie.
//!
//! As with bits, all lines of a range are treated as one: what moves across the border of two lines
//! is masked out.

use core::ops::Range;

use crate::dilate::{Axis, Passes, TILE_BYTES};

/// The most bytes at a time.
const MOST: usize = 128;

/// Spreads bytes along an axis, within each line. `LANES` is at most 128.
#[inline(always)]
pub(super) fn spread<const LANES: usize>(bytes: &mut [u8], axis: &Axis) {
    let end = bytes.len();
    for (shift, part) in Passes::new(0..end, axis.after, axis.stride, TILE_BYTES) {
        pass::<LANES, true>(bytes, end - part.end..end - part.start, shift, axis.period);
    }
    for (shift, part) in Passes::new(0..end, axis.before, axis.stride, TILE_BYTES) {
        pass::<LANES, false>(bytes, part, shift, axis.period);
    }
}

/// Bytes become the maxima of themselves and of those `shift` below (`UP`) or above in their line.
#[inline(always)]
fn pass<const LANES: usize, const UP: bool>(
    bytes: &mut [u8],
    range: Range<usize>,
    shift: usize,
    period: usize,
) {
    let border = Border::new(shift, period);
    let rest = steps::<LANES, UP>(bytes, range, &border);
    let rest = steps::<8, UP>(bytes, rest, &border);
    steps::<1, UP>(bytes, rest, &border);
}

/// The same for whole steps; returns the rest of the range. The steps start where the bytes move to,
/// so that no byte is read after it was written.
#[inline(always)]
fn steps<const LANES: usize, const UP: bool>(
    bytes: &mut [u8],
    range: Range<usize>,
    border: &Border,
) -> Range<usize> {
    let Border { shift, period, .. } = *border;
    let Range { mut start, mut end } = range;
    if end - start < LANES {
        return range;
    }
    // The place in its line of what moves next: the end of a step up, the start of a step down.
    let mut phase = if UP { end } else { start + shift } % period;
    while end - start >= LANES {
        // How far the border is: many steps of a long line do not meet it.
        let clear = if UP {
            (if phase == 0 { period } else { phase }).saturating_sub(shift)
        } else if phase < shift {
            0
        } else {
            period - phase
        };
        let inside = (clear / LANES).min((end - start) / LANES);
        let moved = if inside > 0 { inside * LANES } else { LANES % period };
        let next = match UP {
            true if phase >= moved => phase - moved,
            true => phase + period - moved,
            false if phase + moved >= period => phase + moved - period,
            false => phase + moved,
        };
        let mut step = |masks| {
            if UP {
                end -= LANES;
                max::<LANES>(bytes, end, end - shift, masks);
            } else {
                max::<LANES>(bytes, start, start + shift, masks);
                start += LANES;
            }
        };
        if inside > 0 {
            (0..inside).for_each(|_| step(None));
        } else {
            step(Some(border.masks(if UP { next } else { phase })));
        }
        phase = next;
    }
    start..end
}

/// Maxima of the bytes from `to` on and of those from `from` on, which count where the mask is 255.
#[inline(always)]
fn max<const LANES: usize>(bytes: &mut [u8], to: usize, from: usize, masks: Option<&[u8]>) {
    let Some(&(mut moved)) = bytes.get(from..).and_then(<[u8]>::first_chunk::<LANES>) else {
        return;
    };
    if let Some(masks) = masks {
        let Some(masks) = masks.first_chunk::<LANES>() else { return };
        for (moved, mask) in moved.iter_mut().zip(masks) {
            *moved &= mask;
        }
    }
    if let Some(bytes) = bytes.get_mut(to..).and_then(<[u8]>::first_chunk_mut::<LANES>) {
        for (byte, moved) in bytes.iter_mut().zip(moved) {
            *byte = (*byte).max(moved);
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
