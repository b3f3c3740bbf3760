//! Applying a mask in plain code, in a form that compilers turn into vectors of their own: eight
//! elements at a time, each with a constant bit of its own, and no shift that varies by lane. What
//! is left over goes by four, two and one, as rows of maps are short.

use super::BLOCK;
use crate::{Element, bits};

const LANES: usize = 8;

/// The scales of a run of elements.
pub(super) trait Scales<T: Element>: Copy {
    /// `word[i] ? 0 : x[i] * scale[at + i]`, for at most [`LANES`] elements; `at` is a multiple of
    /// their number.
    fn select<const N: usize>(self, at: usize, word: u32, x: [T; N]) -> [T; N];
}

/// One scale for all.
#[derive(Clone, Copy)]
pub(super) struct One<S>(pub(super) S);

impl<T: Element> Scales<T> for One<T::Scale> {
    #[inline]
    fn select<const N: usize>(self, _: usize, word: u32, mut x: [T; N]) -> [T; N] {
        for (i, x) in x.iter_mut().enumerate() {
            *x = if word & (1 << i) != 0 { T::ZERO } else { x.scaled(self.0) };
        }
        x
    }
}

/// A scale for each element of one block.
#[derive(Clone, Copy)]
pub(super) struct Each<'a, S>(pub(super) &'a [S; BLOCK]);

impl<T: Element> Scales<T> for Each<'_, T::Scale> {
    #[inline]
    fn select<const N: usize>(self, at: usize, word: u32, mut x: [T; N]) -> [T; N] {
        // A remainder, so that there is no branch in the way of vectors.
        let scales = self.0.as_chunks::<N>().0[(at / N) % (BLOCK / N)];
        for (i, (x, scale)) in x.iter_mut().zip(scales).enumerate() {
            *x = if word & (1 << i) != 0 { T::ZERO } else { x.scaled(scale) };
        }
        x
    }
}

/// `y = bit ? 0 : x * scale`, element `i` with bit `bit + i`.
pub(super) fn apply<T: Element>(
    x: &[T],
    y: &mut [T],
    bits: &[u64],
    bit: usize,
    scales: impl Scales<T>,
) {
    for (block, (mut x, mut y)) in x.chunks(BLOCK).zip(y.chunks_mut(BLOCK)).enumerate() {
        let mut word = bits::load(bits, bit + block * BLOCK);
        let mut at = 0;
        (x, y) = lanes::<T, LANES>(x, y, &mut word, scales, &mut at);
        (x, y) = lanes::<T, 4>(x, y, &mut word, scales, &mut at);
        (x, y) = lanes::<T, 2>(x, y, &mut word, scales, &mut at);
        lanes::<T, 1>(x, y, &mut word, scales, &mut at);
    }
}

/// The same with `x` and `y` in one buffer.
pub(super) fn apply_in_place<T: Element>(
    y: &mut [T],
    bits: &[u64],
    bit: usize,
    scales: impl Scales<T>,
) {
    for (block, mut y) in y.chunks_mut(BLOCK).enumerate() {
        let mut word = bits::load(bits, bit + block * BLOCK);
        let mut at = 0;
        y = lanes_in_place::<T, LANES>(y, &mut word, scales, &mut at);
        y = lanes_in_place::<T, 4>(y, &mut word, scales, &mut at);
        y = lanes_in_place::<T, 2>(y, &mut word, scales, &mut at);
        lanes_in_place::<T, 1>(y, &mut word, scales, &mut at);
    }
}

/// Applies the lowest bits of the word to `N` elements at a time, and returns the rest.
#[inline]
fn lanes<'x, 'y, T: Element, const N: usize>(
    x: &'x [T],
    y: &'y mut [T],
    word: &mut u64,
    scales: impl Scales<T>,
    at: &mut usize,
) -> (&'x [T], &'y mut [T]) {
    let (x, x_rest) = x.as_chunks::<N>();
    let (y, y_rest) = y.as_chunks_mut::<N>();
    for (x, y) in x.iter().zip(y) {
        *y = scales.select(*at, *word as u32, *x);
        *word >>= N;
        *at += N;
    }
    (x_rest, y_rest)
}

/// The same with `x` and `y` in one buffer.
#[inline]
fn lanes_in_place<'y, T: Element, const N: usize>(
    y: &'y mut [T],
    word: &mut u64,
    scales: impl Scales<T>,
    at: &mut usize,
) -> &'y mut [T] {
    let (lanes, rest) = y.as_chunks_mut::<N>();
    for y in lanes {
        *y = scales.select(*at, *word as u32, *y);
        *word >>= N;
        *at += N;
    }
    rest
}
