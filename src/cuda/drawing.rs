//! How a device draws the mask of a plan: which kernel, by how many threads a segment, in which parts.

use crate::gap::{COLUMNS, LONG};
use crate::key::SEGMENT;
use crate::{Key, Plan, Region};

use super::driver::Work;
use super::geometry::key_words;
use super::jump::{STEPS, polynomials};
use super::launch::{Cut, MAX_TILE, launch, parts};
use super::params::{Call, Count, Div, Jumps, Mask, Periods};
use super::{Error, Stream};

/// Centres that a tile has room to list, with some to spare.
const LISTED: f64 = 800.0;
/// With more centres a segment than this, single units are drawn into rows of their own.
const DENSE: f64 = 60.0;
/// Threads of `dense` for each multiprocessor that keep it busy, if a segment can have so many.
const THREADS: usize = 256;
/// Fewer threads than this are slower than one, which does not wait for others.
const LEAST_LANES: u32 = 4;
/// The warps of `generate`, and the states that each of them makes at most.
const WARPS: u32 = 8;
const STATES: usize = 32;
/// Planes of this many units and more are refused: positions have 32 bits, with a sign.
const MAX_PLANE: u64 = 1 << 30;

/// A block and where it lies, on a map.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blocks {
    pub(super) map: [usize; 3],
    pub(super) grid: [usize; 3],
    pub(super) block: [usize; 3],
    /// A block begins at its cell and this, clipped to the map.
    pub(super) offset: [i64; 3],
}

impl Blocks {
    /// Those of a plan.
    pub(super) fn of(plan: &Plan) -> Self {
        let blocks = &plan.sampler.blocks;
        let offset = blocks.reach().0.map(|before| -(before as i64));
        Self { map: blocks.map, grid: blocks.grid, block: blocks.block, offset }
    }

    /// Their centres alone.
    pub(super) fn centers(plan: &Plan) -> Self {
        let blocks = &plan.sampler.blocks;
        let valid = blocks.region == Region::Valid;
        let offset = blocks.before.map(|before| if valid { before as i64 } else { 0 });
        Self { block: [1; 3], offset, ..Self::of(plan) }
    }

    /// Those around set bits of a mask.
    pub(super) fn around(plan: &Plan) -> Self {
        let blocks = &plan.sampler.blocks;
        let offset = blocks.before.map(|before| -(before as i64));
        Self { grid: blocks.map, offset, ..Self::of(plan) }
    }

    fn plane(&self) -> u64 {
        self.map.iter().map(|&size| size as u64).product()
    }

    fn positions(&self) -> u64 {
        self.grid.iter().map(|&size| size as u64).product()
    }

    /// Whether a block is one unit, and positions are units.
    fn are_single(&self) -> bool {
        self.block == [1; 3] && self.grid == self.map
    }

    /// What kernels are told of any part, whose plane has fewer than [`MAX_PLANE`] units.
    pub(super) fn mask(&self, tile: usize) -> Mask {
        let [_, height, width] = self.map.map(|size| size as u64);
        let [_, grid_height, grid_width] = self.grid.map(|size| size as u64);
        let deep = self.map[0] > 1;
        let outer = usize::from(!deep);
        let outer_cells = if deep { grid_height * grid_width } else { grid_width };
        let [depth, rows, columns] = self.block.map(|size| size as u64);
        // Nothing is drawn where any of them is 0.
        let rows_before = depth.saturating_sub(1) * height + rows.saturating_sub(1);
        let small = |size: usize| size as u32;
        Mask {
            key: super::params::Key { words: [0; 2], step: 0, layer: 0 },
            line: 0,
            table: 0,
            jumps: 0,
            words: 0,
            plane: Div::new(self.plane()),
            cells: Div::new(self.positions()),
            slice_cells: Div::new(grid_height * grid_width),
            row_cells: Div::new(grid_width),
            outer: Div::new(if deep { height * width } else { width }),
            block_height: Div::new(rows),
            outer_cells: outer_cells as u32,
            outer_grid: small(self.grid[outer]),
            outer_block: small(self.block[outer]),
            outer_offset: self.offset[outer] as i32,
            map: self.map.map(small),
            block: self.block.map(small),
            offset: self.offset.map(|offset| offset as i32),
            span: (rows_before * width + columns) as u32,
            pattern: if columns > 32 { 0 } else { ((1_u64 << columns) - 1) as u32 },
            single: u32::from(self.are_single()),
            units: 0,
            start: 0,
            tile: tile as u32,
            lanes: 1,
        }
    }

    /// Tells a kernel of one part: its first unit and its length.
    pub(super) fn part(&self, mask: &Mask, (first, len): (usize, usize)) -> Mask {
        let start = first as u64 % self.plane().max(1);
        Mask { units: len as u32, start: start as u32, ..*mask }
    }

    /// Dilates a mask of `units` units.
    pub(super) fn dilate(
        &self,
        work: &Work<'_>,
        units: usize,
        tile: usize,
        source: u64,
        destination: u64,
    ) -> Result<(), Error> {
        let mask = self.mask(tile);
        for (first, len) in parts(units, tile) {
            let mut mask = self.part(&mask, (first, len));
            mask.words = destination + first as u64 / 8;
            let before = first as u64 - u64::from(mask.start);
            launch(work, &Call::DilateBits { source, before, mask }, len.div_ceil(tile))?;
        }
        Ok(())
    }

    /// The segments that a tile meets, at most.
    fn segments(&self, tile: usize) -> usize {
        let (plane, positions) = (self.plane().max(1) as usize, self.positions() as usize);
        let outer = usize::from(self.map[0] <= 1);
        let step = positions / self.grid[outer].max(1);
        let all = (tile / plane + 2) * positions;
        let reached = tile * positions / plane + 2 * step * (self.block[outer] + 1);
        all.min(reached) / SEGMENT as usize + 2
    }
}

/// What a kernel draws with, on some device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drawing {
    tile: usize,
    /// Threads that share a segment in `generate`.
    lanes: u32,
    /// And in `dense`, if the plan's masks can be drawn by it.
    dense: Option<Jumps>,
}

impl Drawing {
    pub(super) fn new(plan: &Plan, cut: Cut, stream: &Stream) -> Self {
        let blocks = Blocks::of(plan);
        let gamma = plan.sampler.gamma as f64 / (1_u64 << 63) as f64;
        let centres = gamma * f64::from(SEGMENT);
        let single = blocks.are_single();
        let room = if single || gamma == 0.0 { MAX_TILE } else { (LISTED / gamma) as usize };
        let tile = cut.tile(stream, plan.units(), room);
        // What most segments need.
        let wanted = ((centres + 1.5 * libm::sqrt(centres)) / STEPS as f64) as u32 + 1;
        let lanes = cut.lanes.unwrap_or_else(|| {
            let rounds = STATES / blocks.segments(tile).min(STATES + 1);
            let lanes = wanted.min(WARPS * rounds as u32).min(STATES as u32);
            if lanes < LEAST_LANES { 1 } else { lanes }
        });
        let dense = (single && centres > DENSE).then(|| {
            let multiprocessors = stream.inner().context().facts().multiprocessors as usize;
            let threads = multiprocessors * THREADS;
            let segments = plan.units() / SEGMENT as usize + 1;
            let shift = cut.lanes.map_or_else(
                || threads.div_ceil(segments).next_power_of_two().ilog2().min(5),
                u32::ilog2,
            );
            let lanes = f64::from(1_u32 << shift);
            // Slightly more than most need, as only the last lane goes on.
            let draws = ((centres / lanes * 1.01 + 2.0) as u32).next_multiple_of(4);
            // Whether the table has an entry that is no gap, in one of its two ways.
            let table = &plan.sampler.table;
            let column = |entry: u32| entry % COLUMNS as u32;
            let longs = table.iter().any(|&entry| column(entry) == LONG)
                || table.last().is_some_and(|&entry| entry >= COLUMNS as u32);
            let polynomials = polynomials(draws);
            Jumps { draws, shift, longs: u32::from(longs), polynomials, unused: 0 }
        });
        Self { tile, lanes, dense }
    }

    /// The units of a tile.
    pub(super) const fn tile(&self) -> usize {
        self.tile
    }

    /// Draws a mask, or the centres alone, and counts it. `words` are those of the mask.
    pub(super) fn draw(
        &self,
        work: &Work<'_>,
        plan: &Plan,
        blocks: &Blocks,
        at: &At,
        count: &Count,
    ) -> Result<(), Error> {
        let source = plan.source(at.key)?;
        let first_position = source.first_plane.wrapping_mul(blocks.positions());
        // Words of the mask and of segments begin together.
        let whole = first_position.is_multiple_of(32) && blocks.are_single();
        let dense = self.dense.as_ref().filter(|_| whole);
        let group_units = plan.geometry.group_units() as u64;
        let mask = Mask {
            key: key_words(at.key, at.step),
            table: at.table,
            jumps: work.context().jumps(),
            lanes: self.lanes,
            ..blocks.mask(self.tile)
        };
        for (first, len) in parts(plan.units(), self.tile) {
            let mut mask = blocks.part(&mask, (first, len));
            mask.words = at.words + first as u64 / 8;
            let periods = Periods::new(group_units, first as u64);
            let count = Count { more: u64::from(first > 0), periods, ..*count };
            if let Some(jumps) = dense {
                mask.line = first_position.wrapping_add(first as u64);
                let ends = mask.line % u64::from(SEGMENT) + len.next_multiple_of(64) as u64;
                let segments = ends.div_ceil(SEGMENT.into()) as usize;
                let call = Call::Dense { mask, jumps, count: Count { groups: 0, ..count } };
                launch(work, &call, segments.div_ceil(64 >> jumps.shift))?;
                if count.groups > 0 {
                    self.count(work, mask.words, count.groups, (first, len), periods)?;
                }
            } else {
                let plane = first as u64 / plan.geometry.plane as u64;
                let before = plane.wrapping_mul(blocks.positions());
                mask.line = first_position.wrapping_add(before);
                launch(work, &Call::Generate { mask, count }, len.div_ceil(self.tile))?;
            }
        }
        Ok(())
    }

    /// Adds the dropped units of a part of a mask to the counts of their groups.
    pub(super) fn count(
        &self,
        work: &Work<'_>,
        words: u64,
        counts: u64,
        (_, len): (usize, usize),
        periods: Periods,
    ) -> Result<(), Error> {
        let tile = self.tile as u64;
        let call = Call::Count { words, counts, len: len as u64, tile, periods };
        launch(work, &call, len.div_ceil(self.tile))
    }
}

/// What a mask is drawn of, and where to.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub(super) key: Key,
    /// The address of the step, or 0 for that of the key.
    pub(super) step: u64,
    pub(super) table: u64,
    pub(super) words: u64,
}

/// Refuses planes that are too large.
pub(super) const fn check_plane(units: usize) -> Result<(), Error> {
    let given = units as u64;
    if given >= MAX_PLANE {
        return Err(Error::Map { limit: MAX_PLANE, given });
    }
    Ok(())
}
