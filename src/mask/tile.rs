//! Masks in tiles: in the caller's buffer, or in a chunk on the stack.

use core::ops::Range;

use super::Source;
use super::method::batch_planes;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
use super::{x86, x86_bands};
use crate::bits::{self, WORD_BITS};
use crate::count::count;
use crate::cpu::{Level, on_x86};
use crate::key::SEGMENT;

/// The words of the chunk on the stack: 2 KiB.
pub(crate) const CHUNK: usize = 256;

/// The same where segments are drawn side by side: 32 KiB, for the mask of as many.
pub(super) const LARGE_CHUNK: usize = 4096;

/// The elements of a cache line.
const LINE: usize = 16;

/// A visitor of blocks that ignores them. It is a named function, so that generic callers are
/// instantiated once.
pub(crate) fn ignore(_: usize, _: &[u32]) {}

/// A visitor of the blocks of a part of a mask, which begins at unit `first`. It takes the place of a
/// closure around the visitor, of which each caller has its own: all that draws would be compiled for
/// each of them.
pub(super) struct Visitor<'v, V> {
    first: usize,
    visit: &'v mut V,
}

impl<V: FnMut(usize, &[u32])> Visitor<'_, V> {
    /// The visitor of the part that begins at this unit of its part.
    #[inline(always)]
    pub(super) fn at(&mut self, unit: usize) -> Visitor<'_, V> {
        Visitor { first: self.first + unit, visit: self.visit }
    }

    /// Shows it blocks: a unit, and how far the first unit of each is from it.
    #[inline(always)]
    pub(super) fn visit(&mut self, unit: usize, units: &[u32]) {
        (self.visit)(self.first + unit, units);
    }
}

/// The mask of some planes at some positions of the map, at hand.
#[derive(Clone, Debug)]
pub(crate) struct Tile<'b> {
    /// Plane by plane; the first bit is that of the first plane at the first position.
    pub(crate) bits: &'b [u64],
    planes: Range<usize>,
    positions: Range<usize>,
    /// How far apart the bits of neighbouring planes lie.
    pub(crate) stride: usize,
}

impl<'b> Tile<'b> {
    /// Whole planes, bit by bit.
    #[inline]
    pub(crate) const fn whole(bits: &'b [u64], planes: Range<usize>, plane_bits: usize) -> Self {
        Self { bits, planes, positions: 0..plane_bits, stride: plane_bits }
    }

    /// The planes of the mask.
    #[inline]
    pub(crate) const fn planes(&self) -> Range<usize> {
        self.planes.start..self.planes.end
    }

    /// The positions of each plane.
    #[inline]
    pub(crate) const fn positions(&self) -> Range<usize> {
        self.positions.start..self.positions.end
    }

    /// The bit of a position of a plane.
    #[inline]
    pub(crate) const fn bit(&self, plane: usize, position: usize) -> usize {
        (plane - self.planes.start) * self.stride + position - self.positions.start
    }

    /// The units of a tile that has whole planes, or a part of one.
    #[inline]
    pub(crate) const fn units(&self, plane_bits: usize) -> Range<usize> {
        let start = self.planes.start * plane_bits + self.positions.start;
        let planes = self.planes.end - self.planes.start;
        start..start + planes * (self.positions.end - self.positions.start)
    }
}

impl Source<'_> {
    /// Fills a mask of `planes` planes and returns how many units are dropped, counted while they are
    /// in the nearest cache. Under `Valid` it visits the first units of all blocks, some at a time and
    /// in no order: a unit, and how far each of them is from it.
    #[inline(always)]
    pub(crate) fn fill(
        &self,
        planes: usize,
        mask: &mut [u64],
        mut visit: impl FnMut(usize, &[u32]),
    ) -> u64 {
        self.fill_visited(planes, mask, Visitor { first: 0, visit: &mut visit })
    }

    #[inline(always)]
    fn fill_visited(
        &self,
        planes: usize,
        mask: &mut [u64],
        mut visitor: Visitor<'_, impl FnMut(usize, &[u32])>,
    ) -> u64 {
        if let Level::X86(x86) = self.level
            && let Some(dropped) =
                on_x86!(x86, x86::fill_in_lanes(x86, self, planes, mask, visitor.at(0)))
        {
            return dropped;
        }
        // Tile by tile, each of which begins at a whole word and fits in the first cache.
        let plane_bits = self.plane_bits();
        let tile = self.sampler.recipe.tile_planes.max(1);
        let mut walker = self.walker(self.position(0));
        let (mut rest, mut plane, mut dropped) = (mask, 0, 0);
        // No iterators of chunks and steps, which divide.
        while plane < planes {
            let end = planes.min(plane + tile);
            let words = bits::words((end - plane) * plane_bits);
            let Some((words, others)) = rest.split_at_mut_checked(words) else { break };
            dropped +=
                self.fill_planes(&mut walker, plane..end, words, visitor.at(plane * plane_bits));
            (rest, plane) = (others, end);
        }
        dropped
    }

    /// The number of planes of which tiles have a multiple, in a chunk of so many words; `None` if tiles
    /// are bands. See [`for_each_tile`](Self::for_each_tile).
    fn tile_step(&self, words: usize, group: usize, together: usize) -> Option<usize> {
        let fit = words * WORD_BITS / self.plane_bits().max(1);
        // Fewer channels than a word's bits would be turned in vain, and their elements lie in short
        // runs: bands then take less time.
        let steps = [group.next_multiple_of(together.max(1)), together, together.min(WORD_BITS)];
        steps.into_iter().find(|&step| step <= fit)
    }

    /// Whether the tiles of so many planes have whole groups.
    pub(crate) fn has_groups(&self, planes: usize, group: usize, together: usize) -> bool {
        let words = if self.is_large(planes) { LARGE_CHUNK } else { CHUNK };
        self.tile_step(words, group, together).is_some_and(|step| step.is_multiple_of(group))
    }

    /// Whether tiles are to be large: where there are lanes, if each has enough segments for them.
    #[inline]
    fn is_large(&self, planes: usize) -> bool {
        matches!(self.level, Level::X86(_)) && planes >= self.sampler.recipe.large_from
    }

    /// Visits the mask of a run of planes, a tile at a time, generated on the stack; returns how many
    /// units are dropped. Tiles have whole planes, a multiple of the first of these numbers that fits:
    ///
    /// 1. whole groups of planes that are best worked on `together`,
    /// 2. `together`,
    /// 3. 64 of those.
    ///
    /// If none fits, tiles are bands: some positions of each plane. `visit_blocks` sees blocks as it
    /// does in [`fill`](Self::fill), but not those of bands.
    pub(crate) fn for_each_tile(
        &self,
        planes: Range<usize>,
        (group, together): (usize, usize),
        mut visit_blocks: impl FnMut(usize, &[u32]),
        visit: impl FnMut(&Tile<'_>),
    ) -> u64 {
        if self.is_large(planes.len()) {
            return self.for_each_large_tile(planes, (group, together), visit_blocks, visit);
        }
        let mut walker = self.walker(self.position(planes.start));
        let fill = |tile: Range<usize>, words: &mut [u64]| {
            let visitor =
                Visitor { first: tile.start * self.plane_bits(), visit: &mut visit_blocks };
            self.fill_planes(&mut walker, tile, words, visitor)
        };
        let chunk = &mut [0; CHUNK];
        self.for_each_tile_in(chunk, planes, (group, together), usize::MAX, fill, visit)
    }

    /// Counts the dropped units of a run of planes without a buffer.
    pub(crate) fn count(&self, planes: Range<usize>) -> u64 {
        self.for_each_tile(planes, (1, 1), ignore, |_| ())
    }

    /// The same in tiles of the segments that are drawn side by side. Not inlined, or small tiles would
    /// have its stack.
    #[inline(never)]
    fn for_each_large_tile(
        &self,
        planes: Range<usize>,
        (group, together): (usize, usize),
        mut visit_blocks: impl FnMut(usize, &[u32]),
        visit: impl FnMut(&Tile<'_>),
    ) -> u64 {
        let fill = |tile: Range<usize>, words: &mut [u64]| {
            let visitor =
                Visitor { first: tile.start * self.plane_bits(), visit: &mut visit_blocks };
            self.skip(tile.start).fill_visited(tile.len(), words, visitor)
        };
        let (chunk, most) = (&mut [0; LARGE_CHUNK], batch_planes(&self.sampler.blocks));
        self.for_each_tile_in(chunk, planes, (group, together), most, fill, visit)
    }

    /// The same in this chunk, of at most so many planes unless a step has more.
    #[inline]
    fn for_each_tile_in(
        &self,
        chunk: &mut [u64],
        planes: Range<usize>,
        (group, together): (usize, usize),
        most: usize,
        mut fill: impl FnMut(Range<usize>, &mut [u64]) -> u64,
        mut visit: impl FnMut(&Tile<'_>),
    ) -> u64 {
        let Some(step) = self.tile_step(chunk.len(), group, together) else {
            return self.for_each_band(planes, together, chunk, visit);
        };
        let most = most.min(chunk.len() * WORD_BITS / self.plane_bits().max(1));
        let tile = (most - most % step.max(1)).max(step);
        let plane_bits = self.plane_bits();
        let mut dropped = 0;
        for plane in planes.clone().step_by(tile.max(1)) {
            let planes = plane..planes.end.min(plane + tile);
            let words = bits::words(planes.len() * plane_bits);
            let words = chunk.get_mut(..words).unwrap_or_default();
            dropped += fill(planes.clone(), words);
            visit(&Tile::whole(words, planes, plane_bits));
        }
        dropped
    }

    /// Bands of planes of which so many are worked on at once: some positions of each. A band as long as
    /// a segment draws at most one segment in vain, so that as many planes come together as can with
    /// bands of that length, and the elements of a cache line in any case.
    #[inline]
    fn for_each_band(
        &self,
        planes: Range<usize>,
        together: usize,
        chunk: &mut [u64],
        mut visit: impl FnMut(&Tile<'_>),
    ) -> u64 {
        let (plane_bits, capacity) = (self.plane_bits(), chunk.len() * WORD_BITS);
        let wanted = plane_bits.min(SEGMENT as usize).next_multiple_of(WORD_BITS).max(1);
        let at_once = (capacity / wanted).max(LINE).min(together).max(1);
        // Before the positions of each plane, where planes are drawn side by side.
        let margin = match self.level {
            Level::X86(x86) if self.is_large(planes.len()) => {
                on_x86!(x86, x86_bands::margin(x86, self.sampler, capacity / at_once))
            }
            _ => 0,
        };
        let len = (capacity.saturating_sub(margin) / at_once).saturating_sub(margin);
        let len = len.min(plane_bits.next_multiple_of(WORD_BITS));
        // Bands begin where those of small chunks do, or at a word.
        let step = if len < CHUNK * WORD_BITS { WORD_BITS } else { CHUNK * WORD_BITS };
        let len = (len - len % step).max(WORD_BITS);
        let stride = margin + len;
        let mut dropped = 0;
        for first in planes.clone().step_by(together.max(1)) {
            let last = planes.end.min(first + together);
            for first in (first..last).step_by(at_once) {
                let planes = first..last.min(first + at_once);
                for start in (0..plane_bits).step_by(len) {
                    let positions = start..plane_bits.min(start + len);
                    dropped +=
                        self.fill_band(planes.clone(), positions.clone(), chunk, (stride, margin));
                    let bits = chunk.get(margin / WORD_BITS..).unwrap_or_default();
                    visit(&Tile { bits, planes: planes.clone(), positions, stride });
                }
            }
        }
        dropped
    }

    /// Fills a band, of which each plane has `stride` bits, the margin first. Returns how many units are
    /// dropped.
    fn fill_band(
        &self,
        planes: Range<usize>,
        positions: Range<usize>,
        chunk: &mut [u64],
        (stride, margin): (usize, usize),
    ) -> u64 {
        match self.level {
            Level::X86(x86) if margin > 0 => {
                on_x86!(
                    x86,
                    x86_bands::fill(x86, self, &planes, &positions, chunk, (stride, margin))
                );
            }
            _ => (),
        }
        // Not by chunks, whose iterator divides by their length and could panic.
        let (mut rest, mut dropped) = (&mut *chunk, 0);
        for plane in planes {
            let words = rest.split_at_mut_checked(stride / WORD_BITS);
            let Some((words, others)) = words else { break };
            rest = others;
            if margin == 0 {
                self.fill_window(plane, positions.clone(), words);
            }
            dropped += count(self.level, words, margin..margin + positions.len());
        }
        dropped
    }
}
