//! Stages 1 and 2 joined: the mask of any run of planes, or of a window of one plane.
//!
//! A mask is a flat line of bits: bit `i` is unit `i` in plane-major order, rows and planes
//! without padding, little-endian words, 1 = dropped, tail bits 0.

use core::ops::Range;

use crate::backend::Level;
use crate::bits::{self, WORD_BITS};
use crate::block::{Blocks, Region};
use crate::center::{Cell, Locator, Walker};
use crate::dilate::{Dilation, spread_bits_up};
use crate::gap::Table;
use crate::rng::Streams;

mod recipe;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod x86;

pub(crate) use recipe::Recipe;
use recipe::{Method, tile_planes};

/// Everything that decides the bits of a mask, but the plane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub(crate) blocks: &'a Blocks,
    pub(crate) table: &'a Table,
    pub(crate) streams: Streams,
    /// The plane of the whole batch with which plane 0 of the mask begins.
    pub(crate) first_plane: u64,
    pub(crate) recipe: &'a Recipe,
    pub(crate) method: Method,
    pub(crate) level: Level,
}

impl<'a> Source<'a> {
    fn plane_bits(&self) -> usize {
        self.blocks.units() as usize
    }

    /// The number of the first position of a plane.
    pub(crate) fn position(&self, plane: usize) -> u64 {
        (self.first_plane + plane as u64) * self.blocks.positions()
    }

    pub(crate) fn walker(&self, start: u64) -> Walker<'a> {
        Walker::new(self.table, self.streams, start)
    }

    /// Fills a mask of `planes` planes, tile by tile. A tile begins at a whole word.
    pub(crate) fn fill(&self, planes: usize, mask: &mut [u64]) {
        let mut walker = self.walker(self.position(0));
        self.for_each_mask_tile(planes, mask, |planes, words| {
            self.fill_planes(&mut walker, planes, words);
        });
    }

    /// Cuts a mask into tiles of whole planes that fit in the first cache, each at a whole word.
    pub(crate) fn for_each_mask_tile(
        &self,
        planes: usize,
        mask: &mut [u64],
        mut visit: impl FnMut(Range<usize>, &mut [u64]),
    ) {
        let plane_bits = self.plane_bits();
        let tile = tile_planes(self.blocks);
        let tiles = mask.chunks_mut(tile * plane_bits / WORD_BITS);
        for (words, plane) in tiles.zip((0..planes).step_by(tile)) {
            visit(plane..planes.min(plane + tile), words);
        }
    }

    /// Calls `visit(units, bits)` for the mask of a run of planes, a tile at a time, generated
    /// in `chunk`: the first bit of `bits` is the first of `units`. As long as `group` planes
    /// fit in the chunk, a tile holds a multiple of them.
    pub(crate) fn for_each_tile(
        &self,
        planes: Range<usize>,
        group: usize,
        chunk: &mut [u64],
        mut visit: impl FnMut(Range<usize>, &[u64]),
    ) {
        let plane_bits = self.plane_bits();
        let capacity = chunk.len() * WORD_BITS;
        if plane_bits > capacity {
            for plane in planes {
                for start in (0..plane_bits).step_by(capacity) {
                    let window = start..plane_bits.min(start + capacity);
                    let words = &mut chunk[..bits::words(window.len())];
                    self.fill_window(plane, window.clone(), words);
                    let first = plane * plane_bits;
                    visit(first + window.start..first + window.end, words);
                }
            }
            return;
        }
        let fit = capacity / plane_bits;
        let tile = if fit < group { fit } else { fit - fit % group };
        let mut walker = self.walker(self.position(planes.start));
        for plane in planes.clone().step_by(tile) {
            let tile = plane..planes.end.min(plane + tile);
            let units = tile.start * plane_bits..tile.end * plane_bits;
            let words = &mut chunk[..bits::words(units.len())];
            self.fill_planes(&mut walker, tile, words);
            visit(units, words);
        }
    }

    /// Fills whole planes.
    fn fill_planes(&self, walker: &mut Walker<'_>, planes: Range<usize>, words: &mut [u64]) {
        words.fill(0);
        match self.level {
            #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
            Level::X86(x86) => x86::fill_planes(x86, self, walker, planes, words),
            Level::Scalar | Level::Simd => self.fill_cleared(walker, planes, words),
        }
    }

    pub(crate) const fn region(&self) -> Region {
        self.blocks.region
    }

    /// Fills planes as [`fill_planes`](Self::fill_planes) does under `Valid`, and visits the first
    /// unit of each block, counted from the first of the planes. Blocks come in ascending order.
    #[inline]
    pub(crate) fn fill_planes_by_block(
        &self,
        walker: &mut Walker<'_>,
        planes: Range<usize>,
        words: &mut [u64],
        visit: impl FnMut(usize),
    ) {
        words.fill(0);
        self.fill_whole_blocks(walker, planes, words, visit);
    }

    /// Fills whole planes of a cleared mask. Inlined with all that it calls, so that it can be
    /// compiled for more instructions.
    #[inline(always)]
    fn fill_cleared(&self, walker: &mut Walker<'_>, planes: Range<usize>, words: &mut [u64]) {
        match (self.region(), self.method) {
            (Region::Valid, _) => self.fill_whole_blocks(walker, planes, words, |_| ()),
            (Region::Full, Method::Blocks) => self.fill_clipped_blocks(walker, planes, words),
            (Region::Full, Method::Runs) => self.fill_clipped_and_spread(walker, planes, words),
        }
    }

    /// Blocks that lie inside their maps, and a visit to the first unit of each.
    #[inline(always)]
    fn fill_whole_blocks(
        &self,
        walker: &mut Walker<'_>,
        planes: Range<usize>,
        words: &mut [u64],
        visit: impl FnMut(usize),
    ) {
        match self.method {
            Method::Blocks => self.fill_blocks(walker, planes, words, visit),
            Method::Runs => self.fill_and_spread(walker, planes, words, visit),
        }
    }

    /// Each block at once where its bits fit in a few words.
    #[inline(always)]
    fn fill_blocks(
        &self,
        walker: &mut Walker<'_>,
        planes: Range<usize>,
        words: &mut [u64],
        mut visit: impl FnMut(usize),
    ) {
        let depth = self.blocks.block[0];
        let [_, height, width] = self.blocks.map;
        let Some(pattern) = self.recipe.pattern else {
            return self.for_each_corner(walker, planes, |corner| {
                self.set_rows(words, corner);
                visit(corner);
            });
        };
        self.for_each_corner(walker, planes, |corner| {
            // Near the end of the mask row by row.
            if !(0..depth).all(|d| pattern.set(words, corner + d * height * width)) {
                self.set_rows(words, corner);
            }
            visit(corner);
        });
    }

    /// Sets a block that begins at this unit, row by row.
    fn set_rows(&self, words: &mut [u64], corner: usize) {
        let [depth, rows, len] = self.blocks.block;
        let [_, height, width] = self.blocks.map;
        for d in 0..depth {
            for h in 0..rows {
                bits::set(words, corner + (d * height + h) * width, len);
            }
        }
    }

    /// First rows of blocks, then doubling. No block crosses a border, so that all planes are one
    /// line.
    #[inline(always)]
    fn fill_and_spread(
        &self,
        walker: &mut Walker<'_>,
        planes: Range<usize>,
        words: &mut [u64],
        mut visit: impl FnMut(usize),
    ) {
        let ([depth, rows, len], [_, height, width]) = (self.blocks.block, self.blocks.map);
        let line = 0..planes.len() * self.plane_bits();
        self.for_each_corner(walker, planes, |corner| {
            bits::set(words, corner, len);
            visit(corner);
        });
        spread_bits_up(self.level, words, line.clone(), rows - 1, width);
        spread_bits_up(self.level, words, line, depth - 1, height * width);
    }

    fn fill_clipped_blocks(
        &self,
        walker: &mut Walker<'_>,
        planes: Range<usize>,
        words: &mut [u64],
    ) {
        let Blocks { before, after, block, map: [depth, height, width], .. } = *self.blocks;
        let pattern = self.recipe.pattern;
        self.for_each_center(walker, planes, |Cell { plane, at: [d, h, w] }| {
            let plane = plane * self.plane_bits();
            let start = w.saturating_sub(before[2]);
            let run = width.min(w + after[2] + 1) - start;
            let rows = h.saturating_sub(before[1])..height.min(h + after[1] + 1);
            for d in d.saturating_sub(before[0])..depth.min(d + after[0] + 1) {
                let slice = plane + d * height * width + start;
                let whole = run == block[2] && rows.len() == block[1];
                if let (true, Some(pattern)) = (whole, &pattern)
                    && pattern.set(words, slice + rows.start * width)
                {
                    continue;
                }
                for h in rows.clone() {
                    bits::set(words, slice + h * width, run);
                }
            }
        });
    }

    fn fill_clipped_and_spread(
        &self,
        walker: &mut Walker<'_>,
        planes: Range<usize>,
        words: &mut [u64],
    ) {
        let Blocks { before, after, map, .. } = *self.blocks;
        let len = planes.len() * self.plane_bits();
        let dilation = Dilation::from_reach(map, before, after, Some(self.level.backend()));
        let [_, height, width] = map;
        self.for_each_center(walker, planes, |Cell { plane, at: [d, h, w] }| {
            let row = ((plane * map[0] + d) * height + h) * width;
            let start = w.saturating_sub(before[2]);
            bits::set(words, row + start, width.min(w + after[2] + 1) - start);
        });
        dilation.spread_bit_cols(words, len);
    }

    /// Fills a window of one plane, block by block: a plane that does not fit in the chunk.
    pub(crate) fn fill_window(&self, plane: usize, window: Range<usize>, words: &mut [u64]) {
        words.fill(0);
        let (before, after) = self.blocks.spread();
        let [depth, height, width] = self.blocks.map;
        let rows = window.start / width..window.end.div_ceil(width);

        // The grid rows from which a block can reach the window's rows.
        let reach_up = after[0] * height + after[1];
        let reach_down = before[0] * height + before[1];
        let first = self.grid_row(rows.start.saturating_sub(reach_up));
        let end = self.grid_row(rows.end + reach_down);
        let positions = self.position(plane);
        let row_positions = self.blocks.grid[2] as u64;
        let (mut start, mut limit) = (first * row_positions, end * row_positions);
        if rows.len() == 1 && first < end {
            // Nor from beside the window, in rows so long that this matters.
            let row = rows.start * width;
            let left = (window.start - row).saturating_sub(after[2]) as u64;
            let right = (window.end - row + before[2]) as u64;
            start += left.min(row_positions);
            limit -= row_positions - right.min(row_positions);
        }
        let (start, limit) = (positions + start, positions + limit.min(self.blocks.positions()));

        let locator = Locator::new(self.blocks, 1);
        self.walker(start).walk(limit, |position| {
            let [d, h, w] = locator.cell(position - positions).at;
            let columns = w.saturating_sub(before[2])..width.min(w + after[2] + 1);
            for d in d.saturating_sub(before[0])..depth.min(d + after[0] + 1) {
                for h in h.saturating_sub(before[1])..height.min(h + after[1] + 1) {
                    let row = (d * height + h) * width;
                    let start = window.start.max(row + columns.start);
                    let end = window.end.min(row + columns.end);
                    if start < end {
                        bits::set(words, start - window.start, end - start);
                    }
                }
            }
        });
    }

    /// The number of grid rows whose cell lies before this row of the map.
    fn grid_row(&self, row: usize) -> u64 {
        let [_, height, _] = self.blocks.map;
        let [depth, rows, _] = self.blocks.grid;
        let (d, h) = (row / height, row % height);
        let before = d.min(depth) * rows + if d < depth { h.min(rows) } else { 0 };
        before as u64
    }

    /// Sets a bit at every centre's own cell in the map, and returns their number.
    pub(crate) fn fill_centers(&self, planes: usize, words: &mut [u64]) -> u64 {
        words.fill(0);
        let mut count = 0;
        let mut walker = self.walker(self.position(0));
        let tile = tile_planes(self.blocks);
        for plane in (0..planes).step_by(tile) {
            let first = plane * self.plane_bits();
            self.for_each_center(&mut walker, plane..planes.min(plane + tile), |cell| {
                bits::set(words, first + self.center_unit(cell), 1);
                count += 1;
            });
        }
        count
    }

    /// The unit of the map in which the block's centre lies.
    pub(crate) fn center_unit(&self, Cell { plane, at }: Cell) -> usize {
        let shift = match self.blocks.region {
            Region::Valid => self.blocks.before,
            Region::Full => [0; 3],
        };
        let [_, height, width] = self.blocks.map;
        let row = (at[0] + shift[0]) * height + at[1] + shift[1];
        plane * self.plane_bits() + row * width + at[2] + shift[2]
    }

    /// Visits the centres of a run of planes, a tile at most, that the walker has not visited yet;
    /// planes are counted from the first of the run.
    #[inline(always)]
    fn for_each_center(
        &self,
        walker: &mut Walker<'_>,
        planes: Range<usize>,
        mut visit: impl FnMut(Cell),
    ) {
        let locator = self.recipe.locator;
        let first = self.position(planes.start);
        walker.walk(self.position(planes.end), |position| visit(locator.cell(position - first)));
    }

    /// The same as units: of the first corner under `Valid`, the centre under `Full`.
    #[inline(always)]
    fn for_each_corner(
        &self,
        walker: &mut Walker<'_>,
        planes: Range<usize>,
        mut visit: impl FnMut(usize),
    ) {
        let locator = self.recipe.locator;
        let first = self.position(planes.start);
        walker.walk(self.position(planes.end), |position| visit(locator.unit(position - first)));
    }
}
