//! Stages 1 and 2 joined: the mask of any run of planes, or of a window of one plane.
//!
//! A mask is a flat line of bits: bit `i` is unit `i` in plane-major order, rows and planes
//! without padding, little-endian words, 1 = dropped, tail bits 0.

use core::ops::Range;

use crate::backend::Level;
use crate::bits::{self, Pattern, WORD_BITS};
use crate::block::{Blocks, Region};
use crate::center::{Cell, Locator, Walker};
use crate::dilate::{Dilation, spread_bits_up};
use crate::gap::Table;
use crate::rng::Streams;

/// How whole planes are filled. The bits do not depend on it.
///
/// | method | a centre sets | then doubling along |
/// | --- | --- | --- |
/// | `Blocks` | its block: all rows at once if they lie in a few words, else row by row | nothing |
/// | `Runs` | the first row of its block | columns, depth |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Blocks,
    Runs,
}

impl Method {
    /// The cheaper one, by what was measured (`methods` in the tests below): picoseconds a unit.
    ///
    /// | | ps |
    /// | --- | --- |
    /// | a centre as a run | 4000 |
    /// | a centre as a block of `n` parts, slices or rows | 2000 + 2300 n |
    /// | a doubling of all units: scalar | 20 |
    /// | a doubling: `wide` | 8 |
    /// | a doubling: AVX2, AVX-512 | 3 |
    pub(crate) fn choose(blocks: &Blocks, gamma: f64, level: Level) -> Self {
        let [depth, rows, len] = blocks.block;
        let centers = gamma * blocks.positions() as f64 / blocks.units() as f64;
        let parts = depth * if is_pattern(rows, len, blocks.map[2]) { 1 } else { rows };
        let doublings = (doublings(depth) + doublings(rows)) as f64;
        let doubling = match level {
            Level::Scalar => 20.0,
            Level::Simd => 8.0,
            #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
            Level::X86(_) => 3.0,
        };
        if centers * (2000.0 + 2300.0 * parts as f64) < centers * 4000.0 + doublings * doubling {
            Self::Blocks
        } else {
            Self::Runs
        }
    }
}

/// The words of a block that is set at once.
const PATTERN: usize = 4;

/// Whether the rows of a block are set at once.
const fn is_pattern(rows: usize, len: usize, width: usize) -> bool {
    rows > 1 && Pattern::<PATTERN>::fits(rows, len, width)
}

/// The steps of a window that doubles from 1 to `size`.
const fn doublings(size: usize) -> u32 {
    usize::BITS - size.saturating_sub(1).leading_zeros()
}

/// The bits of a tile that is worked on at a time: small enough for the first cache.
const TILE_BITS: usize = 1 << 16;

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod x86;

/// Everything that decides the bits of a mask, but the plane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub(crate) blocks: &'a Blocks,
    pub(crate) table: &'a Table,
    pub(crate) streams: Streams,
    /// The plane of the whole batch with which plane 0 of the mask begins.
    pub(crate) first_plane: u64,
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
        // The fewest planes that end at a whole word.
        let step = WORD_BITS >> plane_bits.trailing_zeros().min(WORD_BITS.trailing_zeros());
        let tile = (TILE_BITS / (step * plane_bits)).max(1) * step;
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
        let [depth, rows, len] = self.blocks.block;
        let [_, height, width] = self.blocks.map;
        if !is_pattern(rows, len, width) {
            return self.for_each_corner(walker, planes, |corner| {
                self.set_rows(words, corner);
                visit(corner);
            });
        }
        let pattern = Pattern::<PATTERN>::rows(rows, len, width);
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
        let pattern = is_pattern(block[1], block[2], width)
            .then(|| Pattern::<PATTERN>::rows(block[1], block[2], width));
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
        self.for_each_center(&mut walker, 0..planes, |cell| {
            bits::set(words, self.center_unit(cell), 1);
            count += 1;
        });
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

    /// Visits the centres of a run of planes that the walker has not visited yet; planes are
    /// counted from the first of the run.
    #[inline(always)]
    fn for_each_center(
        &self,
        walker: &mut Walker<'_>,
        planes: Range<usize>,
        mut visit: impl FnMut(Cell),
    ) {
        let locator = Locator::new(self.blocks, planes.len());
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
        let locator = Locator::new(self.blocks, planes.len());
        let first = self.position(planes.start);
        walker.walk(self.position(planes.end), |position| visit(locator.unit(position - first)));
    }
}

#[cfg(test)]
mod tests {
    extern crate alloc;
    extern crate std;

    use alloc::vec;
    use std::println;
    use std::time::Instant;

    use super::*;
    use crate::{BlockSize, DropBlock, Gamma, Key, Shape};

    /// The measurement behind [`Method::choose`]: picoseconds a unit of each method, and by how
    /// much the chosen one is slower than the best.
    ///
    /// `cargo test --release --lib methods -- --ignored --nocapture`
    #[test]
    #[ignore = "a measurement"]
    fn methods() {
        println!("backend,map,block,gamma,blocks,runs,chosen,loss");
        for backend in crate::Backend::available() {
            for (map, block) in [
                ([1, 7, 7], [1, 3, 3]),
                ([1, 14, 14], [1, 7, 7]),
                ([1, 28, 28], [1, 7, 7]),
                ([1, 32, 32], [1, 5, 5]),
                ([1, 56, 56], [1, 7, 7]),
                ([1, 112, 112], [1, 7, 7]),
                ([1, 112, 112], [1, 3, 3]),
                ([1, 112, 112], [1, 31, 31]),
                ([1, 512, 512], [1, 101, 101]),
                ([1, 1, 196], [1, 1, 7]),
                ([8, 28, 28], [3, 3, 3]),
                ([8, 28, 28], [5, 5, 5]),
            ] {
                for drop_prob in [0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.9] {
                    measure(backend, map, block, drop_prob);
                }
            }
        }
    }

    fn measure(backend: crate::Backend, map: [usize; 3], block: [usize; 3], drop_prob: f64) {
        let [d, h, w] = map;
        let planes = ((1 << 20) / (d * h * w)).max(1);
        let shape = Shape::ncdhw(1, planes, d, h, w);
        let [bd, bh, bw] = block;
        let layer = DropBlock::new(1, drop_prob)
            .and_then(|layer| layer.with_block_size(BlockSize::dhw(bd, bh, bw)))
            .and_then(|layer| layer.with_gamma(Gamma::Paper { scale: 1.0 }))
            .and_then(|layer| layer.with_backend(backend));
        let Ok(Ok(plan)) = layer.map(|layer| layer.plan(shape)) else { return };
        let mut mask = vec![0; plan.mask_len()];
        let methods = [Method::Blocks, Method::Runs];
        let mut best = [u128::MAX; 2];
        for round in 0..9 {
            for (best, method) in best.iter_mut().zip(methods) {
                let Ok(mut source) = plan.source(Key::new(1).step(round)) else { return };
                source.method = method;
                let start = Instant::now();
                source.fill(planes, &mut mask);
                *best = start.elapsed().as_nanos().min(*best);
            }
        }
        let cost = best.map(|ns| ns * 1000 / plan.units() as u128);
        let Ok(Source { method: chosen, .. }) = plan.source(Key::new(1)) else { return };
        let of_chosen = cost[methods.iter().position(|&method| method == chosen).unwrap_or(0)];
        let fastest = cost.into_iter().min().unwrap_or(0).max(1);
        println!(
            "{backend},{d}x{h}x{w},{bd}x{bh}x{bw},{:.5},{},{},{chosen:?},{:.2}",
            plan.gamma(),
            cost[0],
            cost[1],
            of_chosen as f64 / fastest as f64
        );
    }
}
