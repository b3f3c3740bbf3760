//! Blocks of the full region, which borders of the map may cut, with AVX2 and AVX-512. What is left of a
//! slice of a block is so many of its rows, each so long.

#![allow(unsafe_code, reason = "vector instructions, loads and a store through a pointer")]
#![allow(clippy::multiple_unsafe_ops_per_block, reason = "one proof for one expression")]

use core::arch::x86_64::*;
use core::marker::PhantomData;

use super::Source;
use super::method::Method;
use super::x86_blocks::{FEW, few, set_few};
use crate::bits::{self, Pattern, WORD_BITS, low};
use crate::block::Blocks;
use crate::center::x86_ints::Ints;
use crate::center::{LANES, Locator};

/// Sets what the method sets for blocks whose centres are these units, or whole blocks if they are a long
/// pattern.
///
/// # Safety
///
/// The level's instructions are there.
#[inline(always)]
pub(super) unsafe fn set_centers<V: Ints>(
    source: &Source<'_>,
    words: &mut [u64],
    shifts: Shifts<'_>,
    units: &[u32],
) {
    let (recipe, blocks) = (&source.sampler.recipe, &source.sampler.blocks);
    let (Blocks { block: [_, rows, len], map: [.., width], .. }, locator) =
        (*blocks, &recipe.locator);
    let fit = rows <= MOST && len <= MOST;
    // SAFETY: the instructions are there.
    unsafe {
        match (&recipe.long_pattern, source.method(), &recipe.pattern) {
            (None, Method::Runs, _) if matches!(shifts, Shifts::One(_)) => {
                set_runs::<V>(blocks, locator, words, shifts, units);
            }
            (None, Method::Blocks, &Some(Pattern([few, 0, 0, 0]))) if few <= low(FEW) => {
                Few::new(rows, width).set_all::<V>(blocks, locator, words, shifts, units);
            }
            (None, Method::Blocks, Some(_)) if fit => {
                Patterns::<V, 1, 5>::new(blocks)
                    .set_all::<V>(blocks, locator, words, shifts, units);
            }
            (Some(_), ..) if fit => {
                Patterns::<V, 3, 13>::new(blocks)
                    .set_all::<V>(blocks, locator, words, shifts, units);
            }
            _ => Rows { width }.set_all::<V>(blocks, locator, words, shifts, units),
        }
    }
}

/// Sets of blocks what is left of the row of the centre.
///
/// # Safety
///
/// The level's instructions are there.
#[inline(always)]
unsafe fn set_runs<V: Ints>(
    blocks: &Blocks,
    locator: &Locator,
    words: &mut [u64],
    shifts: Shifts<'_>,
    units: &[u32],
) {
    let mut boxes = Boxes::EMPTY;
    for units in units.chunks(SOME) {
        // SAFETY: the instructions are there.
        unsafe { boxes.fill::<V>(blocks, locator, units, shifts) };
        for i in 0..units.len() {
            let Clipped { row, len, .. } = boxes.get(i);
            if blocks.block[2] <= FEW {
                set_few(words, row, few(len));
            } else {
                bits::set(words, row, len);
            }
        }
    }
}

/// How far the bits of units are from their numbers; it may wrap.
#[derive(Clone, Copy)]
pub(super) enum Shifts<'s> {
    One(u32),
    /// Of each lane, whose number is in the highest bits of the unit: from bit [`LANE`] on.
    ByLane(&'s [u32; LANES]),
}

/// The bits of a unit below the number of its lane.
pub(super) const LANE: u32 = u32::BITS - LANES.trailing_zeros();

/// What lies in the map of a block.
#[derive(Clone, Copy)]
struct Clipped {
    /// The first bit in the row of the centre, and in the first slice.
    row: usize,
    corner: usize,
    slices: usize,
    rows: usize,
    len: usize,
}

/// The blocks that are clipped at a time.
const SOME: usize = 32;

/// What is [`Clipped`] of some blocks, number by number.
struct Boxes {
    row: [u32; SOME],
    corner: [u32; SOME],
    slices: [u32; SOME],
    rows: [u32; SOME],
    len: [u32; SOME],
}

impl Boxes {
    const EMPTY: Self = Self {
        row: [0; SOME],
        corner: [0; SOME],
        slices: [0; SOME],
        rows: [0; SOME],
        len: [0; SOME],
    };

    /// Of the blocks whose centres are these units, [`SOME`] at most.
    ///
    /// # Safety
    ///
    /// The level's instructions are there.
    #[inline(always)]
    unsafe fn fill<V: Ints>(
        &mut self,
        blocks: &Blocks,
        locator: &Locator,
        units: &[u32],
        shifts: Shifts<'_>,
    ) {
        const { assert!(SOME.is_multiple_of(V::LANES)) };
        let Blocks { before, after, map, .. } = *blocks;
        let [_, height, width] = map;
        let mut padded = [0; SOME];
        let all = units.first_chunk::<SOME>().unwrap_or_else(|| {
            for (padded, &unit) in padded.iter_mut().zip(units) {
                *padded = unit;
            }
            &padded
        });
        for i in (0..units.len().min(SOME)).step_by(V::LANES) {
            // Maps with lanes have fewer than 2^32 units, and positions are units.
            // SAFETY: arrays have vectors' worths; the instructions are there.
            unsafe {
                let listed = V::load(all.as_ptr().add(i));
                let (unit, shift) = match shifts {
                    Shifts::One(shift) => (listed, V::splat(shift)),
                    Shifts::ByLane(shifts) => {
                        let unit = listed.and(V::splat((1 << LANE) - 1));
                        let shifts = V::load(shifts.as_ptr());
                        (unit, shifts.of_lanes(listed.shr::<LANE>()))
                    }
                };
                let [d, h, w] = locator.cells(unit);
                let clip = |axis: usize, at: V| {
                    let above = V::splat(map[axis] as u32).sub(at);
                    let above = above.min(V::splat(after[axis] as u32 + 1));
                    let below = at.min(V::splat(before[axis] as u32));
                    (below, below.add(above))
                };
                let ((d, slices), (h, rows), (w, len)) = (clip(0, d), clip(1, h), clip(2, w));
                let row = unit.sub(w).add(shift);
                let lines = d.mul(height as u32).add(h);
                row.store(self.row.as_mut_ptr().add(i));
                row.sub(lines.mul(width as u32)).store(self.corner.as_mut_ptr().add(i));
                slices.store(self.slices.as_mut_ptr().add(i));
                rows.store(self.rows.as_mut_ptr().add(i));
                len.store(self.len.as_mut_ptr().add(i));
            }
        }
    }

    #[inline(always)]
    const fn get(&self, i: usize) -> Clipped {
        let i = i % SOME;
        Clipped {
            row: self.row[i] as usize,
            corner: self.corner[i] as usize,
            slices: self.slices[i] as usize,
            rows: self.rows[i] as usize,
            len: self.len[i] as usize,
        }
    }
}

/// A way to set what is left of a slice of a block.
trait Slice {
    /// Sets a slice that begins at this bit.
    ///
    /// # Safety
    ///
    /// The level's instructions are there.
    unsafe fn set(&self, words: &mut [u64], bit: usize, clipped: Clipped);

    /// Sets the blocks whose centres are these units.
    ///
    /// # Safety
    ///
    /// The level's instructions are there.
    #[inline(always)]
    unsafe fn set_all<V: Ints>(
        &self,
        blocks: &Blocks,
        locator: &Locator,
        words: &mut [u64],
        shifts: Shifts<'_>,
        units: &[u32],
    ) {
        let [_, height, width] = blocks.map;
        let mut boxes = Boxes::EMPTY;
        for units in units.chunks(SOME) {
            // SAFETY: the instructions are there.
            unsafe { boxes.fill::<V>(blocks, locator, units, shifts) };
            for i in 0..units.len() {
                let clipped = boxes.get(i);
                for slice in 0..clipped.slices {
                    let bit = clipped.corner + slice * height * width;
                    // SAFETY: the instructions are there.
                    unsafe { self.set(words, bit, clipped) };
                }
            }
        }
    }
}

/// Row by row.
struct Rows {
    width: usize,
}

impl Slice for Rows {
    #[inline(always)]
    unsafe fn set(&self, words: &mut [u64], bit: usize, Clipped { rows, len, .. }: Clipped) {
        set_rows(words, bit, rows, len, self.width);
    }
}

#[inline(always)]
fn set_rows(words: &mut [u64], bit: usize, rows: usize, len: usize, width: usize) {
    // Rows of the map's own width are one run.
    let (rows, len) = if len == width { (1, rows * len) } else { (rows, len) };
    (0..rows).for_each(|row| bits::set(words, bit + row * width, len));
}

/// The same of a slice among the last words: a function of its own, so that the loop has registers.
#[cold]
#[inline(never)]
fn set_last(words: &mut [u64], bit: usize, rows: usize, len: usize, width: usize) {
    set_rows(words, bit, rows, len, width);
}

/// Slices of [`FEW`] bits at most.
struct Few {
    /// The first bit of each row.
    firsts: u64,
    width: usize,
}

impl Few {
    fn new(rows: usize, width: usize) -> Self {
        Self { firsts: (0..rows).map(|row| 1 << (row * width)).sum(), width }
    }
}

impl Slice for Few {
    #[inline(always)]
    unsafe fn set(&self, words: &mut [u64], bit: usize, Clipped { rows, len, .. }: Clipped) {
        // Rows do not overlap.
        let all = few(len).wrapping_mul(self.firsts);
        set_few(words, bit, all & few((rows - 1) * self.width + len));
    }
}

/// The longest rows, and the most, of slices that have patterns.
const MOST: usize = 15;

/// All that may be left of a slice, in `4 N` words each, before them a word of 0.
struct Patterns<V, const N: usize, const M: usize> {
    /// All rows, by their length.
    by_len: [[u64; M]; MOST + 1],
    /// Whole rows of the map, by their number.
    by_rows: [[u64; M]; MOST + 1],
    width: usize,
    level: PhantomData<V>,
}

impl<V: Ints, const N: usize, const M: usize> Patterns<V, N, M> {
    #[inline(always)]
    fn new(blocks: &Blocks) -> Self {
        const { assert!(M == 4 * N + 1) };
        let Blocks { before, after, block, map: [.., width], .. } = *blocks;
        let mut patterns = Self {
            by_len: [[0; M]; MOST + 1],
            by_rows: [[0; M]; MOST + 1],
            width,
            level: PhantomData,
        };
        // At least the centre and its shorter side are left.
        let left = [1, 2].map(|axis| before[axis].min(after[axis])..block[axis]);
        let [rows_left, lens_left] = left;
        for len in lens_left {
            if let Some((_, words)) =
                patterns.by_len.get_mut(len + 1).and_then(|words| words.split_first_mut())
            {
                (0..block[1]).for_each(|row| bits::set(words, row * width, len + 1));
            }
        }
        for rows in rows_left {
            if let Some((_, words)) =
                patterns.by_rows.get_mut(rows + 1).and_then(|words| words.split_first_mut())
            {
                bits::set(words, 0, ((rows + 1) * width).min(words.len() * WORD_BITS));
            }
        }
        patterns
    }
}

impl<V: Ints, const N: usize, const M: usize> Slice for Patterns<V, N, M> {
    #[inline(always)]
    unsafe fn set(&self, words: &mut [u64], bit: usize, Clipped { rows, len, .. }: Clipped) {
        let (word, shift) = (bit / WORD_BITS, bit % WORD_BITS);
        if word + 4 * N > words.len() {
            return set_last(words, bit, rows, len, self.width);
        }
        let of_len = &self.by_len[len % (MOST + 1)];
        let of_rows = &self.by_rows[rows % (MOST + 1)];
        for i in 0..N {
            // SAFETY: arrays have `4 N + 1` words, and there are `4 N` from this one on; the
            // instructions are there.
            unsafe {
                let (of_len, of_rows) = (of_len.as_ptr().add(4 * i), of_rows.as_ptr().add(4 * i));
                let below = _mm256_and_si256(
                    _mm256_loadu_si256(of_len.cast()),
                    _mm256_loadu_si256(of_rows.cast()),
                );
                let four = _mm256_and_si256(
                    _mm256_loadu_si256(of_len.add(1).cast()),
                    _mm256_loadu_si256(of_rows.add(1).cast()),
                );
                let words = words.as_mut_ptr().add(word + 4 * i).cast();
                let block = V::shift_words(four, below, shift);
                _mm256_storeu_si256(words, _mm256_or_si256(_mm256_loadu_si256(words), block));
            }
        }
    }
}
