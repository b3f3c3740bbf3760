//! Gaussian noise for dropped places: a pure function of the key and of the unit's number, in
//! integers, the same on every machine.
//!
//! A draw of 32 bits becomes a normal deviate by inversion: its lowest bit is the sign, the
//! others the tail probability. The quantile function is a table with 16 entries for each octave
//! of the tail, so that it is as exact far out as near 0; a parabola through three neighbours
//! comes within 2 * 10^-5 of the quantile, and the variance is 1 to within 10^-6. The largest
//! deviate is 6.34.

use crate::key::{Streams, hash, mix};
use crate::noise_table::QUANTILES;

/// The number of units of a deviate in 1.
pub(crate) const ONE: f64 = (1 << 28) as f64;

/// The draws of one key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Noise {
    a: u64,
    b: u64,
}

impl Noise {
    pub(crate) const fn new(streams: &Streams) -> Self {
        // Mixed once more, with a word of its own ("Noise"), to share nothing with the masks.
        let [a, b] = streams.words();
        Self { a: mix(a ^ 0x4e_6f69_7365), b: mix(b ^ 0x4e_6f69_7365) }
    }

    /// The 32 bits of a unit of the tensor, numbered in the whole batch plane by plane.
    #[inline]
    pub(crate) const fn draw(&self, unit: u64) -> u32 {
        (self.pair(unit) >> (32 * (unit & 1))) as u32
    }

    /// The bits of a unit and of its neighbour, the even one's first.
    #[inline]
    const fn pair(&self, unit: u64) -> u64 {
        mix(mix(hash(unit >> 1) ^ self.a).wrapping_add(self.b))
    }

    /// The normal deviate of a unit, in units of 2^-28.
    #[inline]
    pub(crate) fn deviate(&self, unit: u64) -> i32 {
        normal(self.draw(unit))
    }

    /// Visits those of `len` units from this one on, in order. Neighbours share a hash.
    #[inline]
    pub(crate) fn for_each(&self, unit: u64, len: usize, mut visit: impl FnMut(usize, i32)) {
        let mut i = 0;
        if unit & 1 == 1 && len > 0 {
            visit(0, self.deviate(unit));
            i = 1;
        }
        while i + 2 <= len {
            let pair = self.pair(unit.wrapping_add(i as u64));
            visit(i, normal(pair as u32));
            visit(i + 1, normal((pair >> 32) as u32));
            i += 2;
        }
        if i < len {
            visit(i, self.deviate(unit.wrapping_add(i as u64)));
        }
    }
}

/// Turns 32 random bits into a normal deviate in units of 2^-28.
#[inline]
fn normal(draw: u32) -> i32 {
    // The tail probability is tail / 2^33, at most one half.
    let tail = draw | 1;
    let octave = 31 - tail.leading_zeros();
    let mantissa = (tail << (31 - octave)) & (u32::MAX >> 1);
    let eighth = mantissa >> 28;
    let rest = i64::from(mantissa & ((1 << 28) - 1));
    let first = (octave * 16 + eighth * 2) as usize;
    let [z0, z1, z2] = match QUANTILES.get(first..first + 3) {
        Some(&[z0, z1, z2]) => [i64::from(z0), i64::from(z1), i64::from(z2)],
        _ => [0; 3],
    };
    let slope = 4 * z1 - 3 * z0 - z2;
    let bend = 2 * (z0 + z2) - 4 * z1;
    let z = z0 + (((slope + ((bend * rest) >> 28)) * rest) >> 28);
    if draw & 1 == 0 { z as i32 } else { -z as i32 }
}

#[cfg(test)]
mod tests {
    extern crate alloc;

    use alloc::vec::Vec;

    use super::*;

    fn tail_of(z: f64) -> f64 {
        0.5 * libm::erfc(z / core::f64::consts::SQRT_2)
    }

    /// The quantile of an upper tail probability, by bisection.
    fn quantile(tail: f64) -> f64 {
        let (mut low, mut high) = (0.0, 7.0);
        for _ in 0..60 {
            let middle = (low + high) / 2.0;
            if tail_of(middle) > tail { low = middle } else { high = middle }
        }
        low
    }

    #[test]
    fn table_holds_the_nearest_quantiles() {
        for (i, &entry) in QUANTILES.iter().enumerate() {
            let tail = libm::ldexp(1.0 + (i % 16) as f64 / 16.0, (i / 16) as i32 - 33);
            let exact = quantile(tail) * ONE;
            // The error function itself is exact to about 2^-50 of its value.
            assert!((f64::from(entry) - exact).abs() < 0.501, "entry {i}: {entry} for {exact}");
        }
    }

    #[test]
    fn deviates_are_close_to_the_quantile_and_ordered() {
        let mut last = i32::MAX;
        // All short draws, the ends of every interval, and points between.
        let ends = (0..32 * 8).flat_map(|i| {
            let start = ((8 + i % 8) << (i / 8)) / 8_u64;
            [start.saturating_sub(3), start, start + 1, start + (1 << (i / 8)) / 17]
        });
        let mut draws: Vec<u64> = (0..4096).chain(ends).collect();
        draws.sort_unstable();
        for draw in draws.into_iter().filter(|&draw| draw < 1 << 32) {
            let (even, odd) = (draw as u32 & !1, draw as u32 | 1);
            let z = normal(even);
            assert_eq!(normal(odd), -z, "{draw}");
            assert!((0..=last).contains(&z), "{draw}");
            last = z;
            let exact = quantile(f64::from(odd) / libm::ldexp(1.0, 33));
            assert!((f64::from(z) / ONE - exact).abs() < 2e-5, "{draw}: {z} for {exact}");
        }
        assert!(f64::from(normal(0)) / ONE > 6.33 && normal(u32::MAX - 1) < 2);
    }
}
