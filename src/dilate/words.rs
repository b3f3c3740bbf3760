//! Dilation of bits, `LANES` words at a time.
//!
//! All lines of a range lie one behind the other and are treated as one: bits move across the
//! border of two lines and are masked out there.

use core::ops::Range;

use super::{Axis, Passes, TILE_BYTES};
use crate::bits::{Span, WORD_BITS, load, low, word};

/// Spreads bits along an axis, within each line of the range.
#[inline(always)]
pub(super) fn spread<const LANES: usize>(bits: &mut [u64], range: Range<usize>, axis: &Axis) {
    let Range { start, end } = range;
    // Bits are few: the second cache serves as well, and tiles cost a few words each at their ends.
    let tile = TILE_BYTES * 8 * 8;
    for (shift, part) in Passes::new(range.clone(), axis.after, axis.stride, tile) {
        let border = Border::new(shift, axis.period);
        or_up::<LANES>(bits, end - part.end..end - part.start, border);
    }
    for (shift, part) in Passes::new(range, axis.before, axis.stride, tile) {
        let border = Border::new(shift, axis.period);
        or_down::<LANES>(bits, start + part.start..start + part.end, border);
    }
}

/// `bit[i] |= bit[i - shift]` where both are in the same line, from the old bits.
#[inline(always)]
fn or_up<const LANES: usize>(bits: &mut [u64], range: Range<usize>, border: Border) {
    let span = Span::new(range.start, range.end);
    // From the top, so that no word is read after it was written.
    or_up_part(bits, span.tail, border);
    let rest = or_up_words::<LANES>(bits, span.whole, border);
    let rest = if LANES > 1 { or_up_words::<1>(bits, rest, border) } else { rest };
    // What is left is at most the word that bit 0 moves to, which has nothing below it.
    for index in rest.rev() {
        or_up_part(bits, Some((index, !0)), border);
    }
    or_up_part(bits, span.head, border);
}

/// The same for whole words. Returns those that are left.
#[inline(always)]
fn or_up_words<const LANES: usize>(
    bits: &mut [u64],
    whole: Range<usize>,
    border: Border,
) -> Range<usize> {
    let Border { shift, period, .. } = border;
    // As long as the lowest word that is read exists.
    let (mut end, least) = (whole.end, whole.start.max(shift / WORD_BITS + 1));
    if end < least + LANES {
        return whole;
    }
    let offsets = border.offsets::<LANES>();
    let (step, edge_step) = (LANES * WORD_BITS, LANES * WORD_BITS % period);
    let mut phase = border.phase(end);
    while end >= least + LANES {
        // How many steps there are to the border below; the end of a line is that of the last.
        let above = if phase == 0 { period } else { phase };
        let inside = (above.saturating_sub(shift) / step).min((end - least) / LANES);
        if inside > 0 {
            for _ in 0..inside {
                end -= LANES;
                or_chunk(bits, end, from_below::<LANES>(bits, end, shift));
            }
            phase = above - inside * step;
        } else {
            end -= LANES;
            phase = border.less(phase, edge_step);
            let mut or = from_below::<LANES>(bits, end, shift);
            border.clear(&mut or, phase, &offsets);
            or_chunk(bits, end, or);
        }
    }
    whole.start..end
}

/// `bit[i] |= bit[i + shift]` where both are in the same line, from the old bits.
#[inline(always)]
fn or_down<const LANES: usize>(bits: &mut [u64], range: Range<usize>, border: Border) {
    let span = Span::new(range.start, range.end);
    or_down_part(bits, span.head, border);
    let rest = or_down_words::<LANES>(bits, span.whole, border);
    let rest = if LANES > 1 { or_down_words::<1>(bits, rest, border) } else { rest };
    // What is left is at most the word that the last one moves to, which has nothing above it.
    for index in rest {
        or_down_part(bits, Some((index, !0)), border);
    }
    or_down_part(bits, span.tail, border);
}

/// The same for whole words. Returns those that are left.
#[inline(always)]
fn or_down_words<const LANES: usize>(
    bits: &mut [u64],
    whole: Range<usize>,
    border: Border,
) -> Range<usize> {
    let Border { shift, period, .. } = border;
    // As long as the highest word that is read exists.
    let mut start = whole.start;
    let end = whole.end.min(bits.len().saturating_sub(shift / WORD_BITS + 1));
    if start + LANES > end {
        return whole;
    }
    let offsets = border.offsets::<LANES>();
    let (step, edge_step) = (LANES * WORD_BITS, LANES * WORD_BITS % period);
    let mut phase = border.phase_above(start);
    while start + LANES <= end {
        // How many steps there are to the border above.
        let below = if phase < shift { 0 } else { period - phase };
        let inside = (below / step).min((end - start) / LANES);
        if inside > 0 {
            for _ in 0..inside {
                or_chunk(bits, start, from_above::<LANES>(bits, start, shift));
                start += LANES;
            }
            phase = border.more(phase, inside * step);
        } else {
            let mut or = from_above::<LANES>(bits, start, shift);
            border.clear(&mut or, phase, &offsets);
            or_chunk(bits, start, or);
            start += LANES;
            phase = border.more(phase, edge_step);
        }
    }
    start..whole.end
}

/// The first `shift` bits of each line, those that no bit of the same line moves to.
#[derive(Clone, Copy)]
struct Border {
    shift: usize,
    period: usize,
    /// The first 64 positions of the lines, and those after `excess` positions of a longer border.
    pattern: u64,
    excess: u64,
    /// After how many positions the pattern repeats: the largest multiple of the period that is
    /// not above 64, or the period itself.
    repeat: u64,
}

impl Border {
    /// `shift` is less than `period`.
    #[inline(always)]
    fn new(shift: usize, period: usize) -> Self {
        let period = period.max(1);
        let mut pattern = low(shift);
        let mut repeat = period;
        if period < WORD_BITS {
            repeat *= WORD_BITS / period;
            let mut len = period;
            while len < WORD_BITS {
                pattern |= pattern << len;
                len *= 2;
            }
        }
        let excess = shift.saturating_sub(WORD_BITS) as u64;
        Self { shift, period, pattern, excess, repeat: repeat as u64 }
    }

    /// The bits of the border in a word whose lowest bit has this place in its line.
    #[inline(always)]
    const fn at(&self, phase: u64) -> u64 {
        let this = self.pattern.unbounded_shr(clamp(phase.saturating_sub(self.excess)));
        let next = self.pattern.unbounded_shl(clamp(self.repeat - phase));
        this | next
    }

    /// The place of a word in its line.
    #[inline(always)]
    const fn phase(&self, index: usize) -> usize {
        index * WORD_BITS % self.period
    }

    /// The place of the bits that move down to a word.
    #[inline(always)]
    const fn phase_above(&self, index: usize) -> usize {
        (index * WORD_BITS + self.shift) % self.period
    }

    /// The place that lies `step` lower, in the line before if need be; `step` is below the period.
    #[inline(always)]
    const fn less(&self, phase: usize, step: usize) -> usize {
        if phase >= step { phase - step } else { phase + self.period - step }
    }

    /// The place that lies `step` higher.
    #[inline(always)]
    const fn more(&self, phase: usize, step: usize) -> usize {
        let phase = phase + step;
        if phase >= self.period { phase - self.period } else { phase }
    }

    #[inline(always)]
    fn offsets<const LANES: usize>(&self) -> [u64; LANES] {
        let mut offsets = [0; LANES];
        let (step, mut offset) = (WORD_BITS % self.period, 0);
        for each in &mut offsets {
            *each = offset as u64;
            offset = self.more(offset, step);
        }
        offsets
    }

    /// Clears the bits of the border in words that follow each other.
    #[inline(always)]
    fn clear<const LANES: usize>(
        &self,
        words: &mut [u64; LANES],
        phase: usize,
        offsets: &[u64; LANES],
    ) {
        let period = self.period as u64;
        for (word, offset) in words.iter_mut().zip(offsets) {
            let phase = offset + phase as u64;
            let phase = phase.min(phase.wrapping_sub(period));
            *word &= !self.at(phase);
        }
    }
}

/// A shift that gives 0 from 64 on.
#[inline(always)]
const fn clamp(shift: u64) -> u32 {
    if shift < 64 { shift as u32 } else { 64 }
}

#[inline(always)]
fn or_up_part(bits: &mut [u64], part: Option<(usize, u64)>, border: Border) {
    let Some((index, mask)) = part else { return };
    let (words, rest) = (border.shift / WORD_BITS, border.shift % WORD_BITS);
    let or = index.checked_sub(words).map_or(0, |index| {
        // In two steps, so that a shift by a whole word gives 0; word -1 is outside, hence 0.
        let below = word(bits, index.wrapping_sub(1)) >> 1 >> (WORD_BITS - 1 - rest);
        word(bits, index) << rest | below
    });
    or_chunk(bits, index, [or & mask & !border.at(border.phase(index) as u64)]);
}

#[inline(always)]
fn or_down_part(bits: &mut [u64], part: Option<(usize, u64)>, border: Border) {
    let Some((index, mask)) = part else { return };
    let or = load(bits, index * WORD_BITS + border.shift);
    or_chunk(bits, index, [or & mask & !border.at(border.phase_above(index) as u64)]);
}

/// The words from `start` on of the bits shifted up.
#[inline(always)]
fn from_below<const LANES: usize>(bits: &[u64], start: usize, shift: usize) -> [u64; LANES] {
    let (start, rest) = (start - shift / WORD_BITS, shift % WORD_BITS);
    let mut moved = [0; LANES];
    if let (Some(near), Some(far)) = (chunk::<LANES>(bits, start), chunk::<LANES>(bits, start - 1))
    {
        for (moved, (near, far)) in moved.iter_mut().zip(near.iter().zip(far)) {
            *moved = near << rest | far >> 1 >> (WORD_BITS - 1 - rest);
        }
    }
    moved
}

/// The words from `start` on of the bits shifted down.
#[inline(always)]
fn from_above<const LANES: usize>(bits: &[u64], start: usize, shift: usize) -> [u64; LANES] {
    let (start, rest) = (start + shift / WORD_BITS, shift % WORD_BITS);
    let mut moved = [0; LANES];
    if let (Some(near), Some(far)) = (chunk::<LANES>(bits, start), chunk::<LANES>(bits, start + 1))
    {
        for (moved, (near, far)) in moved.iter_mut().zip(near.iter().zip(far)) {
            *moved = near >> rest | far << 1 << (WORD_BITS - 1 - rest);
        }
    }
    moved
}

#[inline(always)]
fn chunk<const LANES: usize>(bits: &[u64], start: usize) -> Option<&[u64; LANES]> {
    bits.get(start..).and_then(<[u64]>::first_chunk)
}

#[inline(always)]
fn or_chunk<const LANES: usize>(bits: &mut [u64], start: usize, or: [u64; LANES]) {
    if let Some(words) = bits.get_mut(start..).and_then(<[u64]>::first_chunk_mut::<LANES>) {
        for (word, or) in words.iter_mut().zip(or) {
            *word |= or;
        }
    }
}
