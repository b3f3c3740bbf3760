//! Dilation of bytes in longer lines, without masks.
//!
//! The maximum of a window of `k` positions is that of two windows of half as many. Near the end of
//! a line, where the window is cut off, one of the two is the first or last that the line has. The
//! half windows lie in a room beside the lines, so that the lines can be read or written anew: up to
//! four positions are read for each half window, and two of those for each result. Lines are passed
//! over as if they were one; only then their ends are put right.

use super::Axis;
use super::line::{FEW, Way, in_place};

/// How many bytes of lines there is room for on the stack.
pub(super) const ROOM: usize = 8 << 10;

/// Lines of bytes side by side are not worth it below this length.
const SHORT: usize = 40;

/// The least lanes, and the bytes in one step at the end of a line.
pub(super) const LEAST: usize = 16;

/// How lines are spread beside themselves.
pub(super) struct Beside {
    stride: usize,
    period: usize,
    /// How far the spread reaches below and above a position, in bytes.
    below: usize,
    above: usize,
    /// The positions of a window.
    window: usize,
}

impl Beside {
    /// If the lines are long enough to be worth it and the room holds one.
    pub(super) fn new(axis: &Axis, room: usize) -> Option<Self> {
        let &Axis { stride, period, before, after } = axis;
        let (below, above) = (after * stride, before * stride);
        let window = (before + after + 1).div_ceil(2);
        let worth =
            before + after >= 3 && if stride == 1 { period >= SHORT } else { stride >= LEAST };
        // Two windows make any other, the ends of a line are apart, and it fits.
        let can = before.abs_diff(after) <= 1
            && below + above.next_multiple_of(LEAST) <= period
            && below.max(above) + period <= room;
        (worth && can).then_some(Self { stride, period, below, above, window })
    }

    /// Where the second window of a position begins, if the first begins at 0.
    #[inline(always)]
    const fn second(&self) -> usize {
        self.below + self.above + self.stride - self.window * self.stride
    }

    /// Joins two windows where one of them would reach out of its line.
    #[inline(always)]
    fn join_ends<const LANES: usize>(&self, room: &[u8], to: &mut [u8]) {
        let &Self { stride, period, below, above, window } = self;
        let (first, last) = (below, below + period - window * stride);
        let second = self.second();
        if stride == 1 {
            for i in (0..below).step_by(LEAST) {
                let counted = LEAST - (below - i).min(LEAST);
                join_end(room, [i + second, i], first, counted, to, i, period);
            }
            for i in (0..above).step_by(LEAST) {
                let counted = LEAST + (above - i).min(LEAST);
                let i = period - LEAST - i;
                join_end(room, [i, i + second], last, counted, to, i, period);
            }
            return;
        }
        for (i, to) in to.chunks_exact_mut(period).enumerate() {
            let Some(from) = room.get(i * period..) else { return };
            for i in (0..below).step_by(stride) {
                if let Some(to) = to.get_mut(i..i + stride) {
                    maxima::<LANES, 2>(from, [first, i + second], to);
                }
            }
            for i in (period - above..period).step_by(stride) {
                if let Some(to) = to.get_mut(i..i + stride) {
                    maxima::<LANES, 2>(from, [i, last], to);
                }
            }
        }
    }
}

/// Spreads bytes within lines; those of the source replace them before.
#[inline(always)]
pub(super) fn spread<const LANES: usize, const ROOM: usize>(
    source: Option<&[u8]>,
    lines: &mut [u8],
    beside: &Beside,
) {
    let &Beside { stride, period, below, above, window } = beside;
    let step = (ROOM - below.max(above)) / period * period;
    let first = window.min(4);
    let mut room = [0; ROOM];
    let mut end = 0;
    while end < lines.len() {
        let part = end..lines.len().min(end + step);
        let len = part.len();
        end = part.end;
        let Some(from) = source.unwrap_or(lines).get(part.clone()) else { return };
        // Lines as if they were one: what reaches into the next one is replaced at the end.
        let Some(to) = room.get_mut(below..below + len - (first - 1) * stride) else { return };
        match first {
            1 => maxima::<LANES, 1>(from, [0], to),
            2 => maxima::<LANES, 2>(from, [0, stride], to),
            3 => maxima::<LANES, 3>(from, [0, stride, 2 * stride], to),
            _ => maxima::<LANES, 4>(from, [0, stride, 2 * stride, 3 * stride], to),
        }
        let mut grown = first;
        while grown < window {
            let step = grown.min(window - grown);
            let shift = step * stride;
            in_place::<LANES, 2>(&mut room, below..below + len - shift, [0, shift], Way::Down);
            grown += step;
        }
        let Some(to) = lines.get_mut(part) else { return };
        maxima::<LANES, 2>(&room, [0, beside.second()], to);
        beside.join_ends::<LANES>(&room, to);
    }
}

/// Masks of a chunk: from `LEAST - n` on the first `n` do not count, from `LEAST + n` on the last `n`.
const COUNTED: [u8; 3 * LEAST] = {
    let mut counted = [0; 3 * LEAST];
    let mut i = 0;
    while i < LEAST {
        counted[LEAST + i] = 255;
        i += 1;
    }
    counted
};

/// Maxima of two windows at one place in all lines, the second of which is that of the end where it
/// does not count.
#[inline(always)]
fn join_end(
    room: &[u8],
    [one, other]: [usize; 2],
    end: usize,
    counted: usize,
    to: &mut [u8],
    put: usize,
    period: usize,
) {
    let chunk =
        |bytes: &[u8], at: usize| bytes.get(at..).and_then(<[u8]>::first_chunk::<LEAST>).copied();
    let Some(counted) = chunk(&COUNTED, counted) else { return };
    let lines = to.len() / period;
    for line in 0..lines {
        let line = line * period;
        let (Some(one), Some(other), Some(&end)) =
            (chunk(room, line + one), chunk(room, line + other), room.get(line + end))
        else {
            return;
        };
        let Some(to) = to.get_mut(line + put..).and_then(<[u8]>::first_chunk_mut::<LEAST>) else {
            return;
        };
        for (lane, to) in to.iter_mut().enumerate() {
            *to = one[lane].max(other[lane] & counted[lane] | end & !counted[lane]);
        }
    }
}

/// Maxima of what lies from several places on.
///
/// Such loops are over one lane of all arrays at a time, which compilers turn into vectors reliably.
#[inline(always)]
pub(super) fn maxima<const LANES: usize, const TAPS: usize>(
    from: &[u8],
    at: [usize; TAPS],
    to: &mut [u8],
) {
    if to.len() >= LANES {
        chunks::<LANES, TAPS>(from, at, to);
    } else if to.len() >= FEW {
        chunks::<FEW, TAPS>(from, at, to);
    } else if to.len() >= LEAST {
        chunks::<LEAST, TAPS>(from, at, to);
    } else {
        chunks::<1, TAPS>(from, at, to);
    }
}

#[inline(always)]
fn chunks<const LANES: usize, const TAPS: usize>(from: &[u8], at: [usize; TAPS], to: &mut [u8]) {
    let Some(last) = to.len().checked_sub(LANES) else { return };
    let mut next = 0;
    while next < last + LANES {
        // The last chunk ends where the bytes end.
        let i = next.min(last);
        let mut taps = [&[0; LANES]; TAPS];
        for (tap, at) in taps.iter_mut().zip(at) {
            let Some(chunk) = from.get(at + i..).and_then(<[u8]>::first_chunk) else { return };
            *tap = chunk;
        }
        let Some(to) = to.get_mut(i..).and_then(<[u8]>::first_chunk_mut::<LANES>) else { return };
        for (lane, to) in to.iter_mut().enumerate() {
            *to = taps.iter().fold(0, |max, tap| max.max(tap[lane]));
        }
        next = i + LANES;
    }
}
