//! Stages 1 and 2 in parts: units of the mask.

use core::ops::Range;

use crate::bits::{WORD_BITS, words};
use crate::count::count;
use crate::mask::{CHUNK, Source, ignore};

/// The units of the chunk on the stack.
pub(super) const CHUNK_BITS: usize = CHUNK * WORD_BITS;

/// The fewest runs of `bits` bits that end at a whole word.
pub(super) const fn aligned(bits: usize) -> usize {
    let zeros = bits.trailing_zeros();
    let most = WORD_BITS.trailing_zeros();
    WORD_BITS >> if zeros < most { zeros } else { most }
}

/// Half of `len` in multiples of `step`, for a length above the step.
pub(super) fn half(len: usize, step: usize) -> usize {
    (len / 2).next_multiple_of(step)
}

/// Sums `part` over parts of the range, each a multiple of `step` but the last.
pub(super) fn sum(
    range: Range<usize>,
    step: usize,
    min_len: usize,
    part: &(impl Fn(Range<usize>) -> u64 + Sync),
) -> u64 {
    if range.len() <= step.max(min_len) {
        return part(range);
    }
    let middle = range.start + half(range.len(), step);
    let (a, b) = rayon::join(
        || sum(range.start..middle, step, min_len, part),
        || sum(middle..range.end, step, min_len, part),
    );
    a + b
}

/// Fills the mask of some units, of which the first begins a word, and counts the dropped ones.
/// `step` is a number of whole words, and perhaps of whole planes.
pub(super) fn fill_units(
    source: &Source<'_>,
    units: Range<usize>,
    mask: &mut [u64],
    step: usize,
    min_len: usize,
) -> u64 {
    let plane_bits = source.blocks.units() as usize;
    if units.len() > step.max(min_len) {
        let len = half(units.len(), step);
        let (first, second) = mask.split_at_mut((len / WORD_BITS).min(mask.len()));
        let middle = units.start + len;
        let (a, b) = rayon::join(
            || fill_units(source, units.start..middle, first, step, min_len),
            || fill_units(source, middle..units.end, second, step, min_len),
        );
        return a + b;
    }
    if let Some(planes) = whole_planes(plane_bits, &units) {
        return source.skip(planes.start).fill(planes.len(), mask, ignore);
    }
    let mut start = units.start;
    while start < units.end {
        let (word, shift) = ((start - units.start) / WORD_BITS, start % WORD_BITS);
        let (plane, window) = window(plane_bits, start..units.end);
        let rest = mask.get_mut(word..).unwrap_or_default();
        if shift == 0 {
            start += window.len();
            let len = words(window.len()).min(rest.len());
            source.fill_window(plane, window, &mut rest[..len]);
        } else {
            // The rest of a word that the plane before it has begun.
            let end = window.end.min(window.start + WORD_BITS - shift);
            start += end - window.start;
            let mut head = [0];
            source.fill_window(plane, window.start..end, &mut head);
            if let ([word, ..], [head]) = (rest, head) {
                *word |= head << shift;
            }
        }
    }
    count(source.level, mask, 0..units.len())
}

/// Does what [`Source::for_each_tile`] does, for units that may begin anywhere.
pub(super) fn generate(
    source: &Source<'_>,
    units: Range<usize>,
    group: usize,
    mut visit: impl FnMut(Range<usize>, &[u64]),
) -> u64 {
    let plane_bits = source.blocks.units() as usize;
    if let Some(planes) = whole_planes(plane_bits, &units) {
        return source.for_each_tile(planes, group, visit);
    }
    let mut chunk = [0; CHUNK];
    let mut dropped = 0;
    let mut start = units.start;
    while start < units.end {
        let (plane, window) = window(plane_bits, start..units.end.min(start + CHUNK_BITS));
        let end = start + window.len();
        let bits = &mut chunk[..words(window.len())];
        let len = window.len();
        source.fill_window(plane, window, bits);
        dropped += count(source.level, bits, 0..len);
        visit(start..end, bits);
        start = end;
    }
    dropped
}

/// The planes that units are, if they are whole.
fn whole_planes(plane_bits: usize, units: &Range<usize>) -> Option<Range<usize>> {
    let planes = units.start / plane_bits..units.end / plane_bits;
    (planes.start * plane_bits == units.start && planes.end * plane_bits == units.end)
        .then_some(planes)
}

/// The plane of the first unit, and those of the units that lie in it.
fn window(plane_bits: usize, units: Range<usize>) -> (usize, Range<usize>) {
    let plane = units.start / plane_bits;
    let first = plane * plane_bits;
    (plane, units.start - first..plane_bits.min(units.end - first))
}
