//! Counting with `wide`, after Harley and Seal: a tree of carry-save adders turns 16 vectors
//! into one of sixteens, so that the slow count of a vector's bits runs once for 16 of them
//! (Mula, Kurz, Lemire 2018, "Faster Population Counts Using AVX2 Instructions", section 3).

use core::ops::Range;

use wide::u64x4;

use super::scalar;
use crate::bits::Span;

const LANES: usize = 4;
const VECTORS: usize = 16;

/// The number of set bits in the range.
pub(super) fn count(bits: &[u64], range: Range<usize>) -> u64 {
    let span = Span::new(range.start, range.end);
    // The tree costs as much as some dozen words, whether it adds anything or not.
    if span.whole.len() < LANES * VECTORS {
        return scalar::count(bits, range);
    }
    let edges = scalar::edges(bits, &span);
    let whole = bits.get(span.whole).unwrap_or_default();
    let (blocks, rest) = whole.as_chunks::<{ LANES * VECTORS }>();

    let zero = u64x4::ZERO;
    let (mut ones, mut twos, mut fours, mut eights) = (zero, zero, zero, zero);
    let mut sixteens = zero;
    for block in blocks {
        let mut vectors = block.as_chunks::<LANES>().0.iter().map(|&v| u64x4::new(v));
        let mut next = || vectors.next().unwrap_or(zero);
        let mut pair = |ones: &mut u64x4| {
            let (sum, carry) = add(*ones, next(), next());
            *ones = sum;
            carry
        };
        let mut quad = |ones: &mut u64x4, twos: &mut u64x4| {
            let (sum, carry) = add(*twos, pair(ones), pair(ones));
            *twos = sum;
            carry
        };
        let mut octet = |ones: &mut u64x4, twos: &mut u64x4| {
            let (sum, carry) = add(fours, quad(ones, twos), quad(ones, twos));
            fours = sum;
            carry
        };
        let (sum, carry) = add(eights, octet(&mut ones, &mut twos), octet(&mut ones, &mut twos));
        eights = sum;
        sixteens += count_lanes(carry);
    }
    let mut total = sixteens * u64x4::splat(16);
    for (vector, weight) in [(eights, 8), (fours, 4), (twos, 2), (ones, 1)] {
        total += count_lanes(vector) * u64x4::splat(weight);
    }
    let rest: u64 = rest.iter().map(|word| u64::from(word.count_ones())).sum();
    edges + total.to_array().into_iter().sum::<u64>() + rest
}

/// A full adder of bits: `(sum, carry)`.
#[inline]
fn add(a: u64x4, b: u64x4, c: u64x4) -> (u64x4, u64x4) {
    let half = a ^ b;
    (half ^ c, (a & b) | (half & c))
}

/// The number of set bits in each lane, by halves.
#[inline]
fn count_lanes(v: u64x4) -> u64x4 {
    let pairs = u64x4::splat(0x5555_5555_5555_5555);
    let nibbles = u64x4::splat(0x3333_3333_3333_3333);
    let bytes = u64x4::splat(0x0f0f_0f0f_0f0f_0f0f);
    let v = v - ((v >> 1_u32) & pairs);
    let v = (v & nibbles) + ((v >> 2_u32) & nibbles);
    let v = (v + (v >> 4_u32)) & bytes;
    // Sum the eight bytes by shifts: no vector multiplication of 64 bits below AVX-512.
    let v = v + (v >> 8_u32);
    let v = v + (v >> 16_u32);
    (v + (v >> 32_u32)) & u64x4::splat(0xff)
}
