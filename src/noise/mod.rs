//! Gaussian noise for dropped places: a pure function of the key and of the unit's number, in
//! integers, the same on every machine.
//!
//! A draw of 32 bits becomes a normal deviate by inversion: its lowest bit is the sign, the
//! others the tail probability. The quantile function is a table with 16 entries for each octave
//! of the tail, so that it is as exact far out as near 0; a parabola through three neighbours
//! comes within 2 * 10^-5 of the quantile, and the variance is 1 to within 10^-6. The largest
//! deviate is 6.34.

use crate::cpu::{Level, on_x86};
use crate::key::{Streams, hash, mix};

mod table;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod x86;

pub(crate) use table::QUANTILES;

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

    /// The bits of a unit of the tensor, numbered in the whole batch plane by plane, and of its
    /// neighbour, the even one's first.
    #[inline]
    const fn pair(&self, unit: u64) -> u64 {
        mix(mix(hash(unit >> 1) ^ self.a).wrapping_add(self.b))
    }

    /// The normal deviates of so many units, in units of 2^-28; those of others are left open.
    fn deviates(&self, units: &[u64; MOST], len: usize, deviates: &mut [i32; MOST]) {
        let (mut last, mut pair) = (None, 0);
        for (&unit, deviate) in units.iter().zip(deviates).take(len) {
            // Neighbours share a hash.
            if last != Some(unit >> 1) {
                (last, pair) = (Some(unit >> 1), self.pair(unit));
            }
            *deviate = normal((pair >> (32 * (unit & 1))) as u32);
        }
    }
}

/// The most units of a batch, and how many are noted at a time.
const MOST: usize = 64;
const STEP: usize = 8;

/// Units whose noise is drawn together.
#[derive(Debug)]
pub(crate) struct Batch {
    noise: Noise,
    level: Level,
    units: [u64; MOST],
    elements: [usize; MOST],
    len: usize,
}

impl Batch {
    pub(crate) const fn new(noise: Noise, level: Level) -> Self {
        Self { noise, level, units: [0; MOST], elements: [0; MOST], len: 0 }
    }

    /// Adds some units from `unit` on, whose elements lie `step` apart. When there are enough, `write`
    /// gets elements and their deviates.
    #[inline]
    pub(crate) fn add(
        &mut self,
        unit: u64,
        (element, step): (usize, isize),
        len: usize,
        mut write: impl FnMut(&[usize], &[i32]),
    ) {
        for first in (0..len).step_by(STEP) {
            if self.len > MOST - STEP {
                self.write(&mut write);
            }
            // All of a step, as how many are wanted cannot be predicted.
            let end = self.len + STEP;
            if let Some(units) = self.units.get_mut(self.len..end)
                && let Some(elements) = self.elements.get_mut(self.len..end)
            {
                for (i, (place, to)) in units.iter_mut().zip(elements).enumerate() {
                    *place = unit.wrapping_add((first + i) as u64);
                    *to = element.wrapping_add_signed((first + i) as isize * step);
                }
            }
            self.len += STEP.min(len - first);
        }
    }

    /// Hands over what is left.
    // Not inlined, as every place where units are added would have it.
    #[inline(never)]
    pub(crate) fn write(&mut self, mut write: impl FnMut(&[usize], &[i32])) {
        let mut deviates = [0; MOST];
        match self.level {
            Level::Scalar | Level::Simd(_) => {
                self.noise.deviates(&self.units, self.len, &mut deviates);
            }
            Level::X86(x86) => {
                on_x86!(x86, x86::deviates(x86, &self.noise, &self.units, self.len, &mut deviates));
            }
        }
        if let (Some(elements), Some(deviates)) =
            (self.elements.get(..self.len), deviates.get(..self.len))
        {
            write(elements, deviates);
        }
        self.len = 0;
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
