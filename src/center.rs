//! Stage 1: the centres, drawn as gaps. Randomness is drawn in this file only.
//!
//! All positions of all planes stand in one line, plane by plane, numbered by the block's first
//! corner. The line is cut into segments of [`SEGMENT`] positions; each has its own generator
//! and starts anew, so that any plane is reached by walking from the start of one segment.

use rand_core::Rng;
use rand_xoshiro::Xoshiro128PlusPlus;

use crate::block::Blocks;
use crate::gap::{self, LONG, Table};
use crate::rng::{SEGMENT, Streams};

/// Walks the line of positions from centre to centre.
#[derive(Debug)]
pub(crate) struct Walker<'a> {
    table: &'a Table,
    streams: Streams,
    segment: u64,
    generator: Xoshiro128PlusPlus,
    /// The next centre, counted from the segment's start; past its end if there is none.
    center: u32,
}

impl<'a> Walker<'a> {
    /// A walker whose first centre is the first one at or after `start`.
    pub(crate) fn new(table: &'a Table, streams: Streams, start: u64) -> Self {
        let segment = start / u64::from(SEGMENT);
        let mut walker =
            Self { table, streams, segment, generator: streams.generator(segment), center: 0 };
        walker.center = next(table, &mut walker.generator, 0, SEGMENT);
        walker.walk(start, |_| ());
        walker
    }

    /// Visits the centres below `limit` that have not been visited yet, in order.
    #[inline]
    pub(crate) fn walk(&mut self, limit: u64, mut visit: impl FnMut(u64)) {
        loop {
            let base = self.segment * u64::from(SEGMENT);
            let end = limit.saturating_sub(base).min(u64::from(SEGMENT)) as u32;
            // Locals, so that the generator stays in registers.
            let (mut generator, mut center) = (self.generator.clone(), self.center);
            while center < end {
                visit(base + u64::from(center));
                center = next(self.table, &mut generator, center + 1, SEGMENT);
            }
            (self.generator, self.center) = (generator, center);
            if end < SEGMENT {
                return;
            }
            self.segment += 1;
            self.generator = self.streams.generator(self.segment);
            self.center = next(self.table, &mut self.generator, 0, SEGMENT);
        }
    }
}

/// The first centre at or after `position`; some position past `end` if none lies before it.
#[inline]
pub(crate) fn next<R: Rng + ?Sized>(
    table: &Table,
    generator: &mut R,
    mut position: u32,
    end: u32,
) -> u32 {
    while position < end {
        let gap = gap::gap(table, generator.next_u32());
        position += gap;
        if gap != LONG {
            break;
        }
    }
    position
}

/// Finds the plane and the cell of a position. The division by the grid's sizes is done once
/// for some thousand positions; in between it is a multiplication.
#[derive(Debug)]
pub(crate) struct Locator {
    grid: [u64; 3],
    divisors: [Divisor; 3],
    base: u64,
    plane: u64,
    cell: [u32; 3],
}

/// A position as plane and cell: depth, row, column of the grid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) plane: usize,
    pub(crate) at: [usize; 3],
}

impl Locator {
    /// A locator for positions from `start` on; planes are counted from that of position 0.
    pub(crate) fn new(blocks: &Blocks) -> Self {
        Self {
            grid: blocks.grid.map(|size| size as u64),
            divisors: blocks.grid.map(|size| Divisor::new(size as u32)),
            base: 0,
            plane: 0,
            cell: [0; 3],
        }
    }

    /// Locates a position; they come in ascending order.
    #[inline]
    pub(crate) fn locate(&mut self, position: u64) -> Cell {
        if position - self.base >= u64::from(SEGMENT) {
            self.rebase(position);
        }
        let [d, h, w] = self.cell;
        let offset = (position - self.base) as u32;
        let (carry, w) = self.divisors[2].divide(w + offset);
        let (carry, h) = self.divisors[1].divide(h + carry);
        let (carry, d) = self.divisors[0].divide(d + carry);
        Cell {
            plane: (self.plane + u64::from(carry)) as usize,
            at: [d as usize, h as usize, w as usize],
        }
    }

    #[cold]
    fn rebase(&mut self, position: u64) {
        self.base = position;
        let mut rest = position;
        for (cell, size) in self.cell.iter_mut().zip(self.grid).rev() {
            *cell = (rest % size.max(1)) as u32;
            rest /= size.max(1);
        }
        self.plane = rest;
    }
}

/// Finds the unit of the map at a position's cell, counted over all planes, without finding the
/// cell: along an axis of a grid that is shorter than its map, every line that has been passed
/// adds what the grid lacks.
#[derive(Debug)]
pub(crate) struct UnitLocator {
    locator: Locator,
    /// Units that a row, a slice, a plane of the grid lacks to that of the map.
    lacking: [usize; 3],
    map: [usize; 3],
    /// The unit of the locator's base.
    unit: usize,
}

impl UnitLocator {
    pub(crate) fn new(blocks: &Blocks) -> Self {
        let [depth, height, width] = blocks.map;
        let [slices, rows, columns] = blocks.grid;
        let lacking =
            [(depth - slices) * height * width, (height - rows) * width, width - columns];
        Self { locator: Locator::new(blocks), lacking, map: blocks.map, unit: 0 }
    }

    /// Locates a position; they come in ascending order.
    #[inline(always)]
    pub(crate) fn locate(&mut self, position: u64) -> usize {
        if position - self.locator.base >= u64::from(SEGMENT) {
            self.rebase(position);
        }
        let Locator { divisors, cell: [d, h, w], .. } = self.locator;
        let offset = (position - self.locator.base) as u32;
        let (rows, _) = divisors[2].divide(w + offset);
        let (slices, _) = divisors[1].divide(h + rows);
        let mut unit = self.unit + offset as usize;
        unit += rows as usize * self.lacking[2] + slices as usize * self.lacking[1];
        if self.lacking[0] != 0 {
            let (planes, _) = divisors[0].divide(d + slices);
            unit += planes as usize * self.lacking[0];
        }
        unit
    }

    #[cold]
    fn rebase(&mut self, position: u64) {
        self.locator.rebase(position);
        let [depth, height, width] = self.map;
        let [d, h, w] = self.locator.cell.map(|index| index as usize);
        self.unit = ((self.locator.plane as usize * depth + d) * height + h) * width + w;
    }
}

/// Division by a fixed divisor through multiplication by its reciprocal, rounded down
/// (Robison 2005, "N-bit unsigned division via N-bit multiply-add"): exact while
/// `(dividend + 1) * divisor < 2^64`, hence for all 32-bit values.
#[derive(Clone, Copy, Debug)]
struct Divisor {
    divisor: u32,
    reciprocal: u64,
}

impl Divisor {
    const fn new(divisor: u32) -> Self {
        let divisor = if divisor == 0 { 1 } else { divisor };
        Self { divisor, reciprocal: u64::MAX / divisor as u64 }
    }

    /// Returns quotient and remainder.
    #[inline]
    const fn divide(self, dividend: u32) -> (u32, u32) {
        let product = self.reciprocal as u128 * (dividend as u128 + 1);
        let quotient = (product >> 64) as u32;
        (quotient, dividend - quotient * self.divisor)
    }
}
