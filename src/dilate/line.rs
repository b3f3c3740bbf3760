//! Dilation of a line of bytes where it lies, without masks: upwards, then downwards.
//!
//! Windows grow up to fourfold in one pass, which reads four positions for each that it writes.

use core::ops::Range;

use super::Axis;
use super::beside::LEAST;

/// Lines are not worth it below this length.
const LONG: usize = 1 << 10;

/// Lanes where there are fewer bytes than the usual ones.
pub(super) const FEW: usize = 32;

/// Whether a line is worth it: it is long, and its end, which goes row by row, is small or of long
/// rows.
pub(super) fn is_long(axis: &Axis) -> bool {
    axis.period >= LONG && (axis.stride >= LEAST || axis.before * axis.stride * 16 <= axis.period)
}

/// Spreads one line where it lies.
#[inline(always)]
pub(super) fn spread<const LANES: usize>(line: &mut [u8], axis: &Axis) {
    let &Axis { stride, before, after, .. } = axis;
    let len = line.len();
    let mut window = 1;
    while 4 * window <= after + 1 {
        let shift = window * stride;
        in_place::<LANES, 4>(line, 3 * shift..len, [0, shift, 2 * shift, 3 * shift], Way::Up);
        // The beginning of the line, which has less below it.
        in_place::<LANES, 2>(line, shift..3 * shift, [0, shift], Way::Up);
        in_place::<LANES, 2>(line, 2 * shift..3 * shift, [0, shift], Way::Up);
        window *= 4;
    }
    while window <= after {
        let shift = window.min(after + 1 - window) * stride;
        in_place::<LANES, 2>(line, shift..len, [0, shift], Way::Up);
        window += shift / stride;
    }
    // A position has as many others below as its window has, hence those of one further up. The
    // last position has all that those near it lack.
    let mut reach = 0;
    while reach < before {
        let shift = window.min(before - reach) * stride;
        let inside = len - shift;
        in_place::<LANES, 2>(line, 0..inside, [0, shift], Way::Down);
        for row in (inside..len - stride).step_by(stride) {
            let last = len - stride - row;
            in_place::<LANES, 2>(line, row..row + stride, [0, last], Way::Down);
        }
        reach += shift / stride;
        window += shift / stride;
    }
}

/// Where what is read lies: below what is written, from the top on, or above it, from the bottom on.
/// So no byte is read after it was written.
#[derive(Clone, Copy)]
pub(super) enum Way {
    Up,
    Down,
}

/// Bytes become maxima of those at these distances.
#[inline(always)]
pub(super) fn in_place<const LANES: usize, const TAPS: usize>(
    bytes: &mut [u8],
    range: Range<usize>,
    distances: [usize; TAPS],
    way: Way,
) {
    let from = distances.map(|distance| match way {
        Way::Up => range.start - distance,
        Way::Down => range.start + distance,
    });
    let len = range.len();
    if len >= LANES {
        in_place_chunks::<LANES, TAPS>(bytes, range, from, way);
    } else if len >= FEW {
        in_place_chunks::<FEW, TAPS>(bytes, range, from, way);
    } else if len >= 8 {
        in_place_chunks::<8, TAPS>(bytes, range, from, way);
    } else {
        in_place_chunks::<1, TAPS>(bytes, range, from, way);
    }
}

#[inline(always)]
fn in_place_chunks<const LANES: usize, const TAPS: usize>(
    bytes: &mut [u8],
    range: Range<usize>,
    from: [usize; TAPS],
    way: Way,
) {
    let Some(last) = range.len().checked_sub(LANES) else { return };
    let to = range.start;
    // The chunks at the ends overlap others: they are read first and written last.
    let first_chunk = maximum::<LANES, TAPS>(bytes, from, 0);
    let last_chunk = maximum::<LANES, TAPS>(bytes, from, last);
    let steps = last / LANES;
    for step in 0..steps {
        let i = LANES
            * match way {
                Way::Up => steps - step,
                Way::Down => step + 1,
            };
        let chunk = maximum::<LANES, TAPS>(bytes, from, i);
        store(bytes, to + i, chunk);
    }
    store(bytes, to, first_chunk);
    store(bytes, to + last, last_chunk);
}

/// Maxima in registers, as what is written may be among what is read. One lane of all chunks at a
/// time is what compilers turn into vectors reliably.
#[inline(always)]
fn maximum<const LANES: usize, const TAPS: usize>(
    bytes: &[u8],
    from: [usize; TAPS],
    i: usize,
) -> [u8; LANES] {
    let mut taps = [&[0; LANES]; TAPS];
    for (tap, from) in taps.iter_mut().zip(from) {
        match bytes.get(from + i..).and_then(<[u8]>::first_chunk) {
            Some(chunk) => *tap = chunk,
            None => return [0; LANES],
        }
    }
    let mut max = *taps[0];
    for (lane, max) in max.iter_mut().enumerate() {
        for tap in &taps[1..] {
            *max = (*max).max(tap[lane]);
        }
    }
    max
}

#[inline(always)]
fn store<const LANES: usize>(bytes: &mut [u8], at: usize, chunk: [u8; LANES]) {
    if let Some(bytes) = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *bytes = chunk;
    }
}
