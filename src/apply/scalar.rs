//! Applying a mask in plain code, in a form that compilers turn into vectors of their own: eight
//! elements at a time, each with a constant bit of its own, and no shift that varies by lane.

use super::BLOCK;
use crate::{Element, bits};

const LANES: usize = 8;

/// `y = bit ? 0 : x * scale`, element `i` with bit `bit + i`.
pub(super) fn apply<T: Element>(x: &[T], y: &mut [T], bits: &[u64], bit: usize, scale: T::Scale) {
    for (block, (x, y)) in x.chunks(BLOCK).zip(y.chunks_mut(BLOCK)).enumerate() {
        let mut word = bits::load(bits, bit + block * BLOCK);
        let (x_lanes, x_rest) = x.as_chunks::<LANES>();
        let (y_lanes, y_rest) = y.as_chunks_mut::<LANES>();
        for (x, y) in x_lanes.iter().zip(y_lanes) {
            *y = select(word, *x, scale);
            word >>= LANES;
        }
        for (&x, y) in x_rest.iter().zip(y_rest) {
            [*y] = select(word, [x], scale);
            word >>= 1;
        }
    }
}

/// The same with `x` and `y` in one buffer.
pub(super) fn apply_in_place<T: Element>(y: &mut [T], bits: &[u64], bit: usize, scale: T::Scale) {
    for (block, y) in y.chunks_mut(BLOCK).enumerate() {
        let mut word = bits::load(bits, bit + block * BLOCK);
        let (lanes, rest) = y.as_chunks_mut::<LANES>();
        for y in lanes {
            *y = select(word, *y, scale);
            word >>= LANES;
        }
        for y in rest {
            [*y] = select(word, [*y], scale);
            word >>= 1;
        }
    }
}

/// `y = bit ? 0 : x * scale`, element `i` with bit `bit + i` and a scale of its own.
pub(super) fn apply_each<T: Element>(
    x: &[T],
    y: &mut [T],
    bits: &[u64],
    bit: usize,
    scales: &[T::Scale],
) {
    let blocks = x.chunks(BLOCK).zip(y.chunks_mut(BLOCK)).zip(scales.chunks(BLOCK));
    for (block, ((x, y), scales)) in blocks.enumerate() {
        let mut word = bits::load(bits, bit + block * BLOCK);
        for ((&x, y), &scale) in x.iter().zip(y).zip(scales) {
            [*y] = select(word, [x], scale);
            word >>= 1;
        }
    }
}

/// The same with `x` and `y` in one buffer.
pub(super) fn apply_each_in_place<T: Element>(
    y: &mut [T],
    bits: &[u64],
    bit: usize,
    scales: &[T::Scale],
) {
    for (block, (y, scales)) in y.chunks_mut(BLOCK).zip(scales.chunks(BLOCK)).enumerate() {
        let mut word = bits::load(bits, bit + block * BLOCK);
        for (y, &scale) in y.iter_mut().zip(scales) {
            [*y] = select(word, [*y], scale);
            word >>= 1;
        }
    }
}

/// `word[i] ? 0 : x[i] * scale`, for at most [`LANES`] elements.
#[inline]
fn select<T: Element, const N: usize>(word: u64, mut x: [T; N], scale: T::Scale) -> [T; N] {
    let word = word as u32;
    for (i, x) in x.iter_mut().enumerate() {
        *x = if word & (1 << i) != 0 { T::ZERO } else { x.scaled(scale) };
    }
    x
}
