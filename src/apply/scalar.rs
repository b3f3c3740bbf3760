//! Applying a mask in plain code.

use super::BLOCK;
use crate::{Element, bits};

/// `y = bit ? 0 : x * scale`, element `i` with bit `bit + i`.
pub(super) fn apply<T: Element>(x: &[T], y: &mut [T], bits: &[u64], bit: usize, scale: T) {
    for (block, (x, y)) in x.chunks(BLOCK).zip(y.chunks_mut(BLOCK)).enumerate() {
        let word = bits::load(bits, bit + block * BLOCK);
        for (i, (&x, y)) in x.iter().zip(y).enumerate() {
            *y = select(word >> i, x, scale);
        }
    }
}

/// The same with `x` and `y` in one buffer.
pub(super) fn apply_in_place<T: Element>(y: &mut [T], bits: &[u64], bit: usize, scale: T) {
    for (block, y) in y.chunks_mut(BLOCK).enumerate() {
        let word = bits::load(bits, bit + block * BLOCK);
        for (i, y) in y.iter_mut().enumerate() {
            *y = select(word >> i, *y, scale);
        }
    }
}

#[inline]
fn select<T: Element>(dropped: u64, x: T, scale: T) -> T {
    if dropped & 1 == 1 { T::ZERO } else { x.scaled(scale) }
}
