//! The digits: which of them train, which of them test, and what order they come in.

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro128PlusPlus;

use crate::network::PIXELS;

/// 3,000 digits of 99 bytes: the number, and 28 x 28 pixels of one bit. See `examples/data`.
const BYTES: &[u8] = include_bytes!("../data/digits.bin");

/// Digits to draw training sets from. The others are the test set.
const POOL: usize = 1000;
/// Digits of a training set.
pub(crate) const TRAINING: usize = 300;
/// The side of the hole, in pixels.
pub(crate) const HOLE: usize = 10;

#[derive(Clone)]
pub(crate) struct Digit {
    pub(crate) number: usize,
    /// Rows of 28 pixels, 1 = ink.
    pub(crate) pixels: [f32; PIXELS],
}

impl Digit {
    fn new(bytes: &[u8; 99]) -> Self {
        let pixel = |i: usize| f32::from(bytes[1 + i / 8] >> (i % 8) & 1);
        Self { number: usize::from(bytes[0]), pixels: std::array::from_fn(pixel) }
    }

    /// The same digit without the ink in a square at a random place.
    fn with_hole(&self, rng: &mut Xoshiro128PlusPlus) -> Self {
        let mut digit = self.clone();
        let (row, column) = (below(rng, 28 - HOLE + 1), below(rng, 28 - HOLE + 1));
        for row in digit.pixels.chunks_mut(28).skip(row).take(HOLE) {
            row[column..column + HOLE].fill(0.0);
        }
        digit
    }
}

/// A training set, and digits to test on.
pub(crate) struct Split {
    pub(crate) training: Vec<Digit>,
    pub(crate) clean: Vec<Digit>,
    /// The clean ones in the same order, each with a hole.
    pub(crate) with_hole: Vec<Digit>,
}

/// What a split tests on.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Test {
    /// The 2,000 digits that no training set has.
    Held,
    /// Those of the pool that are not in this training set: to choose options by.
    Pool,
}

impl Split {
    /// The training set of this seed.
    pub(crate) fn new(seed: u64, test: Test) -> Self {
        let digits: Vec<Digit> = BYTES.as_chunks().0.iter().map(Digit::new).collect();
        let order = shuffled(POOL, seed, 0);
        let take = |order: &[usize]| order.iter().map(|&i| digits[i].clone()).collect();
        let clean: Vec<Digit> = match test {
            Test::Held => digits[POOL..].to_vec(),
            Test::Pool => take(&order[TRAINING..]),
        };
        // The same holes for every seed.
        let mut rng = Xoshiro128PlusPlus::seed_from_u64(0);
        let with_hole = clean.iter().map(|digit| digit.with_hole(&mut rng)).collect();
        Self { training: take(&order[..TRAINING]), clean, with_hole }
    }
}

/// The numbers below `len` in an order that follows from a seed and a number.
pub(crate) fn shuffled(len: usize, seed: u64, number: u64) -> Vec<usize> {
    let mut rng = Xoshiro128PlusPlus::seed_from_u64((seed << 32) | number);
    let mut order: Vec<usize> = (0..len).collect();
    for i in (1..len).rev() {
        order.swap(i, below(&mut rng, i + 1));
    }
    order
}

/// A number below `len`. Its bias is below len / 2^32.
fn below(rng: &mut Xoshiro128PlusPlus, len: usize) -> usize {
    ((u64::from(rng.next_u32()) * len as u64) >> 32) as usize
}
