//! Stage 1: the centres, drawn as gaps. Randomness is drawn in this file only.
//!
//! All positions of all planes stand in one line, plane by plane, numbered by the block's first
//! corner. The line is cut into segments of [`SEGMENT`] positions; each has its own generator
//! and starts anew, so that any plane is reached by walking from the start of one segment.

use core::num::NonZeroUsize;

use rand_core::Rng;
use rand_xoshiro::Xoshiro128PlusPlus;

use crate::block::Blocks;
use crate::gap::{self, LONG, Table};
use crate::key::{SEGMENT, Streams};

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
pub(crate) mod x86;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
pub(crate) mod x86_ints;

/// The most segments that are drawn side by side, on any machine.
pub(crate) const LANES: usize = 16;

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
    #[inline(always)]
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
            self.start_segment();
        }
    }

    #[inline(always)]
    fn start_segment(&mut self) {
        self.segment += 1;
        self.generator = self.streams.generator(self.segment);
        self.center = next(self.table, &mut self.generator, 0, SEGMENT);
    }
}

/// The first centre at or after `position`; some position past `end` if none lies before it.
#[inline(always)]
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

/// Finds the plane and the cell, or the unit, of a position that is counted from the first of a
/// run of planes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Locator {
    grid: [Divisor; 3],
    /// The units that a row, a slice, a plane of the grid lacks to that of the map.
    lacking: [usize; 3],
}

/// A position as plane and cell: depth, row, column of the grid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) plane: usize,
    pub(crate) at: [usize; 3],
}

impl Locator {
    /// A locator for the positions of so many planes.
    pub(crate) const fn new(blocks: &Blocks, planes: usize) -> Self {
        let [depth, height, width] = blocks.map;
        let [slices, rows, columns] = blocks.grid;
        let positions = (planes as u64).saturating_mul(blocks.positions());
        Self {
            grid: [
                Divisor::new(slices, positions),
                Divisor::new(rows, positions),
                Divisor::new(columns, positions),
            ],
            lacking: [(depth - slices) * height * width, (height - rows) * width, width - columns],
        }
    }

    /// Whether nothing takes a division.
    pub(crate) const fn multiplies(&self) -> bool {
        let [slices, rows, columns] = &self.grid;
        slices.reciprocal != 0 && rows.reciprocal != 0 && columns.reciprocal != 0
    }

    #[inline(always)]
    pub(crate) fn cell(&self, position: u64) -> Cell {
        let (rest, w) = self.grid[2].divide(position as usize);
        let (rest, h) = self.grid[1].divide(rest);
        let (plane, d) = self.grid[0].divide(rest);
        Cell { plane, at: [d, h, w] }
    }

    /// The unit of the map at the position's cell, counted over the planes. Along an axis of a
    /// grid that is shorter than its map, every line that has been passed adds what it lacks.
    #[inline(always)]
    pub(crate) fn unit(&self, position: u64) -> usize {
        let position = position as usize;
        let rows = self.grid[2].quotient(position);
        let slices = self.grid[1].quotient(rows);
        let unit = position + rows * self.lacking[2] + slices * self.lacking[1];
        if self.lacking[0] == 0 {
            return unit;
        }
        unit + self.grid[0].quotient(slices) * self.lacking[0]
    }
}

/// Division by a fixed divisor through multiplication by its reciprocal, rounded up (Granlund,
/// Montgomery 1994, "Division by Invariant Integers using Multiplication", theorem 4.2).
///
/// For dividends below `n` and a divisor `d` it takes `2^shift >= n d`, as the reciprocal is too
/// large by less than `d / 2^shift`. The least such power makes it at most `2 n`.
#[derive(Clone, Copy, Debug)]
struct Divisor {
    /// By its type never 0, so that the division needs no check.
    divisor: NonZeroUsize,
    /// 0 where there are too many dividends.
    reciprocal: u32,
    shift: u32,
}

impl Divisor {
    /// For dividends below `limit`.
    const fn new(divisor: usize, limit: u64) -> Self {
        let divisor = match NonZeroUsize::new(divisor) {
            Some(divisor) => divisor,
            None => NonZeroUsize::MIN,
        };
        let value = divisor.get() as u64;
        if limit >= 1 << 30 || value >= 1 << 30 {
            return Self { divisor, reciprocal: 0, shift: 0 };
        }
        let shift = u64::BITS - (limit * value).leading_zeros();
        let reciprocal = ((1 << shift) / value + 1) as u32;
        Self { divisor, reciprocal, shift }
    }

    #[inline(always)]
    fn quotient(self, dividend: usize) -> usize {
        if self.reciprocal == 0 {
            return dividend / self.divisor;
        }
        ((self.reciprocal as u64 * dividend as u64) >> self.shift) as usize
    }

    /// Returns quotient and remainder.
    #[inline(always)]
    fn divide(self, dividend: usize) -> (usize, usize) {
        let quotient = self.quotient(dividend);
        (quotient, dividend - quotient * self.divisor.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With a reciprocal and, for too many dividends, without.
    #[test]
    fn quotients() {
        for divisor in [1, 2, 3, 7, 64, 1000, 8209, (1 << 30) - 1, 1 << 30] {
            for limit in [1, 5, 1 << 12, (1 << 30) - 1, 1 << 30, 1 << 31] {
                let by = Divisor::new(divisor, limit);
                let last = limit as usize - 1;
                for near in [0, divisor, last / 2, last / divisor * divisor, last] {
                    for dividend in near.saturating_sub(2)..near.saturating_add(3).min(last + 1) {
                        let expected = (dividend / divisor, dividend % divisor);
                        assert_eq!(
                            by.divide(dividend),
                            expected,
                            "{dividend} / {divisor}, {limit}"
                        );
                    }
                }
            }
        }
    }
}
