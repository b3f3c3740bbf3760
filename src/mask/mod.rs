//! Stages 1 and 2 joined: the mask of any run of planes, or of a window of one plane.
//!
//! A mask is a flat line of bits: bit `i` is unit `i` in plane-major order, rows and planes
//! without padding, little-endian words, 1 = dropped, tail bits 0.

use core::ops::Range;

use crate::backend::Level;
use crate::bits;
use crate::block::{Blocks, Region};
use crate::center::{Cell, Locator, Walker};
use crate::count::count;
use crate::dilate::{LEADING, Reach, spread_bits_up};
use crate::gap::Table;
use crate::rng::{SEGMENT, Streams};

mod recipe;
mod tile;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod x86;

use recipe::Method;
pub(crate) use recipe::Recipe;
pub(crate) use tile::{CHUNK, ignore};

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

    /// Fills whole planes and visits blocks, in order, as [`fill`](Self::fill) does.
    fn fill_planes(
        &self,
        walker: &mut Walker<'_>,
        planes: Range<usize>,
        words: &mut [u64],
        visit: &mut impl FnMut(usize, &[u32]),
    ) -> u64 {
        words.fill(0);
        let units = planes.len() * self.plane_bits();
        let first = planes.start * self.plane_bits();
        match self.level {
            #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
            Level::X86(x86) => {
                let visit = |unit: usize, units: &[u32]| visit(first + unit, units);
                x86::fill_planes(x86, self, walker, planes, words, visit);
            }
            Level::Scalar | Level::Simd(_) => {
                self.fill_cleared(walker, planes, words, |corner| visit(first + corner, &[0]));
            }
        }
        count(self.level, words, 0..units)
    }

    pub(crate) const fn region(&self) -> Region {
        self.blocks.region
    }

    /// Fills whole planes of a cleared mask. Inlined with all that it calls, so that it can be
    /// compiled for more instructions.
    #[inline(always)]
    fn fill_cleared(
        &self,
        walker: &mut Walker<'_>,
        planes: Range<usize>,
        words: &mut [u64],
        visit: impl FnMut(usize),
    ) {
        match (self.region(), self.method) {
            (Region::Valid, Method::Blocks) => self.fill_blocks(walker, planes, words, visit),
            (Region::Valid, Method::Runs) => self.fill_and_spread(walker, planes, words, visit),
            (Region::Full, Method::Blocks) => self.fill_clipped_blocks(walker, planes, words),
            (Region::Full, Method::Runs) => self.fill_clipped_and_spread(walker, planes, words),
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
            (0..depth).for_each(|d| pattern.set(words, corner + d * height * width));
            visit(corner);
        });
    }

    /// Sets a block that begins at this unit, row by row.
    fn set_rows(&self, words: &mut [u64], corner: usize) {
        let [depth, rows, len] = self.blocks.block;
        let [_, height, width] = self.blocks.map;
        for d in 0..depth {
            let slice = corner + d * height * width;
            if len == width {
                bits::set(words, slice, rows * len);
                continue;
            }
            for h in 0..rows {
                bits::set(words, slice + h * width, len);
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
        let len = self.blocks.block[2];
        let line = 0..planes.len() * self.plane_bits();
        self.for_each_corner(walker, planes, |corner| {
            bits::set(words, corner, len);
            visit(corner);
        });
        self.spread_line(words, line);
    }

    /// Completes blocks of which the first rows are set.
    #[inline(always)]
    fn spread_line(&self, words: &mut [u64], line: Range<usize>) {
        let ([depth, rows, _], [_, height, width]) = (self.blocks.block, self.blocks.map);
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
                if let (true, Some(pattern)) = (whole, &pattern) {
                    pattern.set(words, slice + rows.start * width);
                    continue;
                }
                if run == width {
                    bits::set(words, slice + rows.start * width, rows.len() * width);
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
        let [_, height, width] = map;
        self.for_each_center(walker, planes, |Cell { plane, at: [d, h, w] }| {
            let row = ((plane * map[0] + d) * height + h) * width;
            let start = w.saturating_sub(before[2]);
            bits::set(words, row + start, width.min(w + after[2] + 1) - start);
        });
        Reach { map, before, after }.spread_bits(self.level, words, len, &LEADING);
    }

    /// Fills a window of one plane, block by block: a plane that does not fit in the chunk.
    pub(crate) fn fill_window(&self, plane: usize, window: Range<usize>, words: &mut [u64]) {
        words.fill(0);
        let [_, height, width] = self.blocks.map;
        // A part of a row is reached by parts of rows only, a part of a slice by parts of slices.
        let part = [width, height * width].into_iter().find(|&len| len >= window.len());
        let part = part.unwrap_or(self.plane_bits()).max(1);
        let mut start = window.start;
        while start < window.end {
            let end = window.end.min((start / part + 1) * part);
            self.fill_part(plane, start..end, words, start - window.start);
            start = end;
        }
    }

    /// Sets the blocks in a part of a plane, the first unit of which is bit `first`.
    fn fill_part(&self, plane: usize, part: Range<usize>, words: &mut [u64], first: usize) {
        let (before, after) = self.blocks.spread();
        let ([_, height, width], grid) = (self.blocks.map, self.blocks.grid);
        let within = |part: &Range<usize>, len: usize| {
            let len = len.max(1);
            part.start / len..part.end.div_ceil(len)
        };
        let all_rows = within(&part, width);
        let slices = within(&all_rows, height);
        let (mut rows, mut columns) = (0..height, 0..width);
        if slices.len() == 1 {
            let slice = slices.start * height;
            rows = all_rows.start - slice..all_rows.end - slice;
            if rows.len() == 1 {
                let row = all_rows.start * width;
                columns = part.start - row..part.end - row;
            }
        }
        let locator = Locator::new(self.blocks, 1);
        let positions = self.position(plane);
        let set = |words: &mut [u64], position: u64| {
            let [d, h, w] = locator.cell(position).at;
            // The block as far as it lies in the part.
            let clip = |axis: usize, at: usize, range: &Range<usize>| {
                range.start.max(at.saturating_sub(before[axis]))
                    ..range.end.min(at + after[axis] + 1)
            };
            let (columns, rows) = (clip(2, w, &columns), clip(1, h, &rows));
            // Rows of the map's own width are one run.
            let (step, run) =
                if columns.len() == width { (rows.len(), rows.len()) } else { (1, 1) };
            for d in clip(0, d, &slices) {
                for h in rows.clone().step_by(step.max(1)) {
                    let row = (d * height + h) * width;
                    let start = part.start.max(row + columns.start);
                    let end = part.end.min(row + (run - 1) * width + columns.end);
                    if start < end {
                        bits::set(words, first + start - part.start, end - start);
                    }
                }
            }
        };
        // The cells of the grid whose blocks reach the part.
        let reach = |axis: usize, range: &Range<usize>| {
            range.start.saturating_sub(after[axis])..grid[axis].min(range.end + before[axis])
        };
        let (grid_rows, grid_columns) = (reach(1, &rows), reach(2, &columns));
        let lines = if grid_columns.len() == grid[2] { 1 } else { grid_rows.len() };
        for d in reach(0, &slices) {
            for line in 0..lines {
                let row = d * grid[1] + grid_rows.start + line;
                let mut start = (row * grid[2] + grid_columns.start) as u64;
                let rows = if lines == 1 { grid_rows.len() } else { 1 };
                let end = start + (rows.saturating_sub(1) * grid[2] + grid_columns.len()) as u64;
                let mut walker = self.walker(positions + start);
                while start < end && rows > 0 {
                    start = end.min(start + u64::from(SEGMENT));
                    walker.walk(positions + start, |position| set(words, position - positions));
                    // Where blocks are many and large, the first ones leave nothing to drop.
                    if bits::are_set(words, first..first + part.len()) {
                        return;
                    }
                }
            }
        }
    }

    /// Sets a bit at every centre's own cell in the map, and returns their number.
    pub(crate) fn fill_centers(&self, planes: usize, words: &mut [u64]) -> u64 {
        words.fill(0);
        let mut count = 0;
        let mut walker = self.walker(self.position(0));
        let tile = self.recipe.tile_planes;
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
