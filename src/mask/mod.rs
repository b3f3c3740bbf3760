//! Stages 1 and 2 joined: the mask of any run of planes, or of a window of one plane.
//!
//! A mask is a flat line of bits: bit `i` is unit `i` in plane-major order, rows and planes
//! without padding, little-endian words, 1 = dropped, tail bits 0.

use core::ops::Range;

use rand_core::Rng;

use crate::DropBlock;
use crate::bits;
use crate::block::{Blocks, Region};
use crate::center::{Cell, Locator, Walker, next};
use crate::count::count;
use crate::cpu::{Level, on_x86};
use crate::dilate::{LEADING, Reach, spread_bits_up};
use crate::gamma::{self, Gamma};
use crate::gap::{self, Table};
use crate::key::{SEGMENT, Streams};

mod method;
mod tile;
mod window;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod x86;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod x86_bands;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod x86_blocks;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod x86_clipped;

use method::{Method, Recipe};
use tile::Visitor;
pub(crate) use tile::{CHUNK, Tile, ignore};

/// What decides the bits of a mask for every key: the blocks, and gamma as a table of gaps. The
/// recipe decides only how fast they come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampler {
    pub(crate) blocks: Blocks,
    /// The gamma that the table realises, in units of 2^-63.
    pub(crate) gamma: u64,
    recipe: Recipe,
    pub(crate) table: Table,
}

impl Sampler {
    /// Inlined, so that the table is built in its place in the plan: it is most of a small machine's
    /// stack.
    #[inline(always)]
    pub(crate) const fn new(layer: &DropBlock, blocks: Blocks) -> Self {
        let mut gamma = match layer.gamma {
            _ if !layer.training => 0,
            Gamma::Paper { scale } => {
                gamma::paper(&blocks, blocks.positions(), layer.drop_prob, scale)
            }
            Gamma::PaperValid { scale } => {
                gamma::paper(&blocks, blocks.valid_positions(), layer.drop_prob, scale)
            }
            Gamma::Exact => gamma::exact(&blocks, gamma::from_f64(layer.drop_prob)),
            Gamma::Raw(gamma) => gamma::from_f64(gamma),
        };
        // No branch from here on, so that compilers need no copy of the table.
        let table = gap::build(&mut gamma);
        let recipe = Recipe::new(&blocks, gamma::to_f64(gamma));
        Self { blocks, gamma, recipe, table }
    }

    pub(crate) const fn plane_bits(&self) -> usize {
        self.blocks.units() as usize
    }
}

/// A sampler with a key: everything that decides the bits of a mask, but the plane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub(crate) sampler: &'a Sampler,
    pub(crate) streams: Streams,
    /// The plane of the whole batch with which plane 0 of the mask begins.
    pub(crate) first_plane: u64,
    pub(crate) level: Level,
}

impl<'a> Source<'a> {
    /// One that is never drawn from, as what a key draws takes a chain of multiplications.
    #[inline]
    pub(crate) const fn of_nothing(sampler: &'a Sampler, level: Level) -> Self {
        Self { sampler, streams: Streams::NONE, first_plane: 0, level }
    }

    fn plane_bits(&self) -> usize {
        self.sampler.plane_bits()
    }

    fn method(&self) -> Method {
        self.sampler.recipe.method(self.level)
    }

    /// The number of the first position of a plane.
    pub(crate) fn position(&self, plane: usize) -> u64 {
        (self.first_plane + plane as u64) * self.sampler.blocks.positions()
    }

    /// The source of the planes from this one on.
    pub(crate) fn skip(&self, planes: usize) -> Self {
        Self { first_plane: self.first_plane + planes as u64, ..*self }
    }

    fn walker(&self, start: u64) -> Walker<'a> {
        Walker::new(&self.sampler.table, self.streams, start)
    }

    /// Fills whole planes and returns how many units are dropped. Visits blocks as
    /// [`fill`](Self::fill) does.
    #[inline(always)]
    fn fill_planes(
        &self,
        walker: &mut Walker<'_>,
        planes: Range<usize>,
        words: &mut [u64],
        visitor: Visitor<'_, impl FnMut(usize, &[u32])>,
    ) -> u64 {
        words.fill(0);
        let units = planes.len() * self.plane_bits();
        match self.level {
            Level::X86(x86) => {
                on_x86!(x86, x86::fill_planes(x86, self, walker, planes, words, visitor));
            }
            Level::Scalar | Level::Simd(_) => {
                self.fill_cleared(walker, planes, words, visitor);
            }
        }
        count(self.level, words, 0..units)
    }

    /// Fills whole planes of a cleared mask. Each method is a function of its own, so that a program
    /// whose plans the compiler can see leaves out the others.
    #[inline(always)]
    fn fill_cleared(
        &self,
        walker: &mut Walker<'_>,
        planes: Range<usize>,
        words: &mut [u64],
        visitor: Visitor<'_, impl FnMut(usize, &[u32])>,
    ) {
        match (self.sampler.blocks.region, self.method()) {
            (Region::Valid, Method::Blocks) => self.fill_blocks(walker, planes, words, visitor),
            (Region::Valid, Method::Runs) => self.fill_and_double(walker, planes, words, visitor),
            (Region::Full, Method::Blocks) => self.fill_clipped_blocks(walker, planes, words),
            (Region::Full, Method::Runs) => self.fill_clipped_and_double(walker, planes, words),
        }
    }

    /// Each block at once where its bits fit in a few words.
    #[inline(never)]
    fn fill_blocks(
        &self,
        walker: &mut Walker<'_>,
        planes: Range<usize>,
        words: &mut [u64],
        mut visitor: Visitor<'_, impl FnMut(usize, &[u32])>,
    ) {
        let depth = self.sampler.blocks.block[0];
        let [_, height, width] = self.sampler.blocks.map;
        let Some(pattern) = self.sampler.recipe.pattern else {
            return self.for_each_corner(walker, planes, |corner| {
                self.set_rows(words, corner);
                visitor.visit(corner, &[0]);
            });
        };
        self.for_each_corner(walker, planes, |corner| {
            (0..depth).for_each(|d| pattern.set(words, corner + d * height * width));
            visitor.visit(corner, &[0]);
        });
    }

    /// Sets a block that begins at this unit, row by row.
    fn set_rows(&self, words: &mut [u64], corner: usize) {
        let [depth, rows, len] = self.sampler.blocks.block;
        let [_, height, width] = self.sampler.blocks.map;
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
    #[inline(never)]
    fn fill_and_double(
        &self,
        walker: &mut Walker<'_>,
        planes: Range<usize>,
        words: &mut [u64],
        mut visitor: Visitor<'_, impl FnMut(usize, &[u32])>,
    ) {
        let (len, count) = (self.sampler.blocks.block[2], planes.len());
        self.for_each_corner(walker, planes, |corner| {
            bits::set(words, corner, len);
            visitor.visit(corner, &[0]);
        });
        self.spread_rows(words, count);
    }

    /// Completes blocks in whole planes: of each the first row is set, or that of its centre under
    /// `Full`.
    #[inline(always)]
    fn spread_rows(&self, words: &mut [u64], planes: usize) {
        let Blocks { map, before, after, region, .. } = self.sampler.blocks;
        let len = planes * self.plane_bits();
        if region == Region::Full {
            return Reach { map, before, after }.spread_bits(self.level, words, len, &LEADING);
        }
        self.spread_line(words, len);
    }

    /// The same under `Valid`, of a line of so many bits, whatever planes they are of.
    #[inline(always)]
    fn spread_line(&self, words: &mut [u64], len: usize) {
        let Blocks { map, block: [depth, rows, _], .. } = self.sampler.blocks;
        spread_bits_up(self.level, words, 0..len, rows - 1, map[2]);
        spread_bits_up(self.level, words, 0..len, depth - 1, map[1] * map[2]);
    }

    #[inline(never)]
    fn fill_clipped_blocks(
        &self,
        walker: &mut Walker<'_>,
        planes: Range<usize>,
        words: &mut [u64],
    ) {
        let Blocks { before, after, block, map: [depth, height, width], .. } = self.sampler.blocks;
        let pattern = self.sampler.recipe.pattern;
        self.for_each_cell(walker, planes, |Cell { plane, at: [d, h, w] }| {
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

    #[inline(never)]
    fn fill_clipped_and_double(
        &self,
        walker: &mut Walker<'_>,
        planes: Range<usize>,
        words: &mut [u64],
    ) {
        let Blocks { before, after, map, .. } = self.sampler.blocks;
        let count = planes.len();
        let [_, height, width] = map;
        self.for_each_cell(walker, planes, |Cell { plane, at: [d, h, w] }| {
            let row = ((plane * map[0] + d) * height + h) * width;
            let start = w.saturating_sub(before[2]);
            bits::set(words, row + start, width.min(w + after[2] + 1) - start);
        });
        self.spread_rows(words, count);
    }

    /// Sets a bit at every centre's own cell in the map, and returns their number.
    pub(crate) fn fill_centers(&self, planes: usize, words: &mut [u64]) -> u64 {
        words.fill(0);
        let mut count = 0;
        let mut walker = self.walker(self.position(0));
        let tile = self.sampler.recipe.tile_planes;
        for plane in (0..planes).step_by(tile) {
            let first = plane * self.plane_bits();
            self.for_each_cell(&mut walker, plane..planes.min(plane + tile), |cell| {
                bits::set(words, first + self.center_unit(cell), 1);
                count += 1;
            });
        }
        count
    }

    /// The same with draws of a caller's generator, which goes on from segment to segment.
    pub(crate) fn fill_centers_from<R: Rng + ?Sized>(
        &self,
        rng: &mut R,
        planes: usize,
        words: &mut [u64],
    ) -> u64 {
        words.fill(0);
        let mut count = 0;
        let locator = Locator::new(&self.sampler.blocks, planes);
        let positions = planes as u64 * self.sampler.blocks.positions();
        let mut base = 0;
        while base < positions {
            let end = (positions - base).min(u64::from(SEGMENT)) as u32;
            let mut center = next(&self.sampler.table, rng, 0, end);
            while center < end {
                let cell = locator.cell(base + u64::from(center));
                bits::set(words, self.center_unit(cell), 1);
                count += 1;
                center = next(&self.sampler.table, rng, center + 1, end);
            }
            base += u64::from(SEGMENT);
        }
        count
    }

    /// The unit of the map in which the block's centre lies.
    fn center_unit(&self, Cell { plane, at }: Cell) -> usize {
        let shift = match self.sampler.blocks.region {
            Region::Valid => self.sampler.blocks.before,
            Region::Full => [0; 3],
        };
        let [_, height, width] = self.sampler.blocks.map;
        let row = (at[0] + shift[0]) * height + at[1] + shift[1];
        plane * self.plane_bits() + row * width + at[2] + shift[2]
    }

    /// Visits the centres of a run of planes, a tile at most, that the walker has not visited yet;
    /// planes are counted from the first of the run.
    #[inline(always)]
    fn for_each_cell(
        &self,
        walker: &mut Walker<'_>,
        planes: Range<usize>,
        mut visit: impl FnMut(Cell),
    ) {
        let locator = self.sampler.recipe.locator;
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
        let locator = self.sampler.recipe.locator;
        let first = self.position(planes.start);
        walker.walk(self.position(planes.end), |position| visit(locator.unit(position - first)));
    }
}
