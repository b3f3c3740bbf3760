//! Masks in tiles of whole planes: in the caller's buffer, or in a chunk on the stack.

use core::ops::Range;

use super::Source;
use super::method::batch_planes;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
use super::x86;
use crate::bits::{self, WORD_BITS};
use crate::count::count;
use crate::cpu::{Level, on_x86};

/// The words of the chunk on the stack: 2 KiB.
pub(crate) const CHUNK: usize = 256;

/// The same where segments are drawn side by side: 32 KiB, for the mask of as many.
pub(super) const LARGE_CHUNK: usize = 4096;

/// For those who do not want to see the blocks. A function, so that there is one copy of what takes it.
pub(crate) fn ignore(_: usize, _: &[u32]) {}

impl Source<'_> {
    /// Fills a mask of `planes` planes and returns how many units are dropped, counted while they are
    /// in the nearest cache. Under `Valid` it visits the first units of all blocks, some at a time and
    /// in no order: a unit, and how far each of them is from it.
    pub(crate) fn fill(
        &self,
        planes: usize,
        mask: &mut [u64],
        mut visit: impl FnMut(usize, &[u32]),
    ) -> u64 {
        if let Level::X86(x86) = self.level
            && let Some(dropped) =
                on_x86!(x86, x86::fill_in_lanes(x86, self, planes, mask, &mut visit))
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
            dropped += self.fill_planes(&mut walker, plane..end, words, &mut visit);
            (rest, plane) = (others, end);
        }
        dropped
    }

    /// The units that a tile may have where these planes have no mask buffer.
    pub(crate) fn tile_units(&self, planes: usize) -> usize {
        if self.is_large(planes) { LARGE_CHUNK * WORD_BITS } else { CHUNK * WORD_BITS }
    }

    /// Whether tiles are to be large: where there are lanes, if each has enough segments for them.
    #[inline]
    fn is_large(&self, planes: usize) -> bool {
        matches!(self.level, Level::X86(_)) && planes >= self.sampler.recipe.large_from
    }

    /// Calls `visit(units, bits)` for the mask of a run of planes, a tile at a time, generated on
    /// the stack: the first bit of `bits` is the first of `units`. As long as `group` planes
    /// have no more than [`tile_units`](Self::tile_units), a tile holds a multiple of them. Visits
    /// blocks as [`fill`](Self::fill) does where a tile holds a plane. Returns how many units are
    /// dropped.
    pub(crate) fn for_each_tile(
        &self,
        planes: Range<usize>,
        group: usize,
        mut visit_blocks: impl FnMut(usize, &[u32]),
        visit: impl FnMut(Range<usize>, &[u64]),
    ) -> u64 {
        if self.is_large(planes.len()) {
            return self.for_each_large_tile(planes, group, visit_blocks, visit);
        }
        let mut walker = self.walker(self.position(planes.start));
        let fill = |tile: Range<usize>, words: &mut [u64]| {
            self.fill_planes(&mut walker, tile, words, &mut visit_blocks)
        };
        self.for_each_tile_in(&mut [0; CHUNK], planes, group, usize::MAX, fill, visit)
    }

    /// Counts the dropped units of a run of planes without a buffer.
    pub(crate) fn count(&self, planes: Range<usize>) -> u64 {
        self.for_each_tile(planes, 1, ignore, |_, _| ())
    }

    /// A tile has the segments that are drawn side by side, unless a group has more. Not inlined, or
    /// small tiles would have its stack.
    #[inline(never)]
    fn for_each_large_tile(
        &self,
        planes: Range<usize>,
        group: usize,
        mut visit_blocks: impl FnMut(usize, &[u32]),
        visit: impl FnMut(Range<usize>, &[u64]),
    ) -> u64 {
        let most = batch_planes(&self.sampler.blocks).max(1);
        let fill = |tile: Range<usize>, words: &mut [u64]| {
            let first = tile.start * self.plane_bits();
            let visit = |unit: usize, units: &[u32]| visit_blocks(first + unit, units);
            self.skip(tile.start).fill(tile.len(), words, visit)
        };
        self.for_each_tile_in(&mut [0; LARGE_CHUNK], planes, group, most, fill, visit)
    }

    /// Tiles of at most so many planes, unless a group has more; or windows of planes that do not fit.
    #[inline]
    fn for_each_tile_in(
        &self,
        chunk: &mut [u64],
        planes: Range<usize>,
        group: usize,
        most: usize,
        mut fill: impl FnMut(Range<usize>, &mut [u64]) -> u64,
        mut visit: impl FnMut(Range<usize>, &[u64]),
    ) -> u64 {
        let plane_bits = self.plane_bits();
        let fit = chunk.len() * WORD_BITS / plane_bits.max(1);
        if fit == 0 {
            return self.for_each_window(planes, chunk, visit);
        }
        let most = most.min(fit);
        let tile = match group {
            group if group <= most => most - most % group.max(1),
            group if group <= fit => group,
            _ => most,
        };
        let mut dropped = 0;
        for plane in planes.clone().step_by(tile.max(1)) {
            let tile = plane..planes.end.min(plane + tile);
            let units = tile.start * plane_bits..tile.end * plane_bits;
            let words = chunk.get_mut(..bits::words(units.len())).unwrap_or_default();
            dropped += fill(tile, words);
            visit(units, words);
        }
        dropped
    }

    /// Parts of planes that do not fit in the chunk.
    #[inline]
    fn for_each_window(
        &self,
        planes: Range<usize>,
        chunk: &mut [u64],
        mut visit: impl FnMut(Range<usize>, &[u64]),
    ) -> u64 {
        let mut dropped = 0;
        let plane_bits = self.plane_bits();
        let capacity = (chunk.len() * WORD_BITS).max(1);
        for plane in planes {
            for start in (0..plane_bits).step_by(capacity) {
                let window = start..plane_bits.min(start + capacity);
                let words = chunk.get_mut(..bits::words(window.len())).unwrap_or_default();
                self.fill_window(plane, window.clone(), words);
                dropped += count(self.level, words, 0..window.len());
                let first = plane * plane_bits;
                visit(first + window.start..first + window.end, words);
            }
        }
        dropped
    }
}
