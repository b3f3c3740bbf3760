//! Blocks of the full region, which borders of the map may cut, compiled for AVX2. What is left of a
//! slice of a block is so many of its rows, each so long: the pattern for that length, as far as the
//! rows go.

#![allow(unsafe_code, reason = "vector instructions, loads and a store through a pointer")]
#![allow(clippy::multiple_unsafe_ops_per_block, reason = "one proof for one expression")]

use core::arch::x86_64::*;
use core::marker::PhantomData;

use super::Source;
use super::method::Method;
use crate::bits::{self, WORD_BITS};
use crate::block::Blocks;
use crate::center::Locator;
use crate::center::x86_ints::Ints;

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
    shift: usize,
    units: &[u32],
) {
    let (recipe, blocks) = (&source.sampler.recipe, &source.sampler.blocks);
    match (recipe.long_pattern, source.method(), recipe.pattern) {
        // SAFETY: the instructions are there.
        (Some(_), ..) => unsafe {
            Patterns::<V, 3, 13>::new(blocks).set_all(recipe.locator, words, shift, units);
        },
        // SAFETY: the instructions are there.
        (None, Method::Blocks, Some(_)) => unsafe {
            Patterns::<V, 1, 5>::new(blocks).set_all(recipe.locator, words, shift, units);
        },
        (None, method, _) => {
            for units in units.chunks(SOME) {
                let boxes = Boxes::new(blocks, recipe.locator, units);
                for clipped in (0..units.len()).map(|i| boxes.get(i)) {
                    if method == Method::Runs {
                        bits::set(words, shift + clipped.row, clipped.len);
                        continue;
                    }
                    for slice in 0..clipped.slices {
                        let bit = shift + clipped.corner + slice * blocks.map[1] * blocks.map[2];
                        set_rows(words, bit, clipped, blocks.map[2]);
                    }
                }
            }
        }
    }
}

/// What lies in the map of a block.
#[derive(Clone, Copy)]
struct Clipped {
    /// The first unit in the row of the centre, and in the first slice.
    row: usize,
    corner: usize,
    slices: usize,
    rows: usize,
    len: usize,
}

/// The blocks that are clipped at a time.
const SOME: usize = 32;

/// What is [`Clipped`] of some blocks, number by number.
struct Boxes([[u32; SOME]; 5]);

impl Boxes {
    /// Of the blocks whose centres are these units. There are no branches, so that compilers make vectors
    /// of it.
    #[inline(always)]
    fn new(blocks: &Blocks, locator: Locator, units: &[u32]) -> Self {
        let Blocks { before, after, map, .. } = *blocks;
        // Maps with lanes have fewer than 2^32 units.
        let [before, after, map] = [before, after, map].map(|sizes| sizes.map(|size| size as u32));
        let [_, height, width] = map;
        let mut boxes = [[0; SOME]; 5];
        let [row, corner, slices, rows, len] = &mut boxes;
        let places = row.iter_mut().zip(corner).zip(slices).zip(rows).zip(len);
        for (((((row, corner), slices), rows), len), &unit) in places.zip(units) {
            // Positions are units.
            let at = locator.cell_by_products(unit);
            let below = |axis: usize| at[axis].min(before[axis]);
            let above = |axis: usize| (map[axis] - at[axis]).min(after[axis] + 1);
            let [d, h, w] = [below(0), below(1), below(2)];
            *row = unit - w;
            *corner = unit - w - (h + d * height) * width;
            (*slices, *rows, *len) = (d + above(0), h + above(1), w + above(2));
        }
        Self(boxes)
    }

    // Field by field: a closure that is not inlined would lose the instructions.
    #[inline(always)]
    fn get(&self, i: usize) -> Clipped {
        let ([row, corner, slices, rows, len], i) = (&self.0, i % SOME);
        Clipped {
            row: row[i] as usize,
            corner: corner[i] as usize,
            slices: slices[i] as usize,
            rows: rows[i] as usize,
            len: len[i] as usize,
        }
    }
}

/// Sets a slice row by row.
fn set_rows(words: &mut [u64], bit: usize, Clipped { rows, len, .. }: Clipped, width: usize) {
    // Rows of the map's own width are one run.
    let (rows, len) = if len == width { (1, rows * len) } else { (rows, len) };
    (0..rows).for_each(|row| bits::set(words, bit + row * width, len));
}

/// The longest rows, and the most, that have patterns.
const MOST: usize = 15;

/// All that may be left of a slice of a block, in `4 N` words each, before them a word of 0.
struct Patterns<'b, V, const N: usize, const M: usize> {
    blocks: &'b Blocks,
    /// All rows, by their length.
    by_len: [[u64; M]; MOST + 1],
    /// Whole rows of the map, by their number.
    by_rows: [[u64; M]; MOST + 1],
    level: PhantomData<V>,
}

impl<'b, V: Ints, const N: usize, const M: usize> Patterns<'b, V, N, M> {
    #[inline(always)]
    fn new(blocks: &'b Blocks) -> Self {
        const { assert!(M == 4 * N + 1) };
        let Blocks { before, after, block, map, .. } = *blocks;
        let mut patterns = Self {
            blocks,
            by_len: [[0; M]; MOST + 1],
            by_rows: [[0; M]; MOST + 1],
            level: PhantomData,
        };
        // At least the centre and its shorter side are left.
        let left = [1, 2].map(|axis| before[axis].min(after[axis])..block[axis]);
        let [rows_left, lens_left] = left;
        let width = map[2];
        for len in lens_left {
            if let Some((_, words)) =
                patterns.by_len.get_mut(len + 1).and_then(|p| p.split_first_mut())
            {
                (0..block[1]).for_each(|row| bits::set(words, row * width, len + 1));
            }
        }
        for rows in rows_left {
            if let Some((_, words)) =
                patterns.by_rows.get_mut(rows + 1).and_then(|p| p.split_first_mut())
            {
                bits::set(words, 0, ((rows + 1) * width).min(words.len() * WORD_BITS));
            }
        }
        patterns
    }

    /// # Safety
    ///
    /// The level's instructions are there.
    #[inline(always)]
    unsafe fn set_all(&self, locator: Locator, words: &mut [u64], shift: usize, units: &[u32]) {
        let slice = self.blocks.map[1] * self.blocks.map[2];
        for units in units.chunks(SOME) {
            let boxes = Boxes::new(self.blocks, locator, units);
            for i in 0..units.len() {
                let clipped = boxes.get(i);
                for d in 0..clipped.slices {
                    // SAFETY: the instructions are there.
                    unsafe { self.set(words, shift + clipped.corner + d * slice, clipped) };
                }
            }
        }
    }

    /// Sets a slice that begins at this bit.
    ///
    /// # Safety
    ///
    /// The level's instructions are there.
    #[inline(always)]
    unsafe fn set(&self, words: &mut [u64], bit: usize, clipped: Clipped) {
        let rest = words.get_mut(bit / WORD_BITS..).unwrap_or_default();
        let patterns = self.by_len.get(clipped.len).zip(self.by_rows.get(clipped.rows));
        let (Some((of_len, of_rows)), true) = (patterns, rest.len() >= 4 * N) else {
            return set_rows(rest, bit % WORD_BITS, clipped, self.blocks.map[2]);
        };
        for i in 0..N {
            // SAFETY: arrays have `4 N + 1` words, and `rest` has `4 N`; the instructions are there.
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
                let words = rest.as_mut_ptr().add(4 * i).cast();
                let block = V::shift_words(four, below, bit % WORD_BITS);
                _mm256_storeu_si256(words, _mm256_or_si256(_mm256_loadu_si256(words), block));
            }
        }
    }
}
