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

    /// The bits of two units of the tensor that are neighbours, numbered in the whole batch plane by
    /// plane: those of the even one, `2 pair`, are the lower half.
    #[inline]
    const fn of_pair(&self, pair: u64) -> u64 {
        mix(mix(hash(pair) ^ self.a).wrapping_add(self.b))
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
    /// The pairs of units that they belong to.
    pairs: [u64; MOST],
    pairs_len: usize,
    /// Which of the two units of which pair each is: twice the pair's index, and 1 for the odd one.
    halves: [u8; MOST],
    elements: [usize; MOST],
    len: usize,
}

impl Batch {
    pub(crate) const fn new(noise: Noise, level: Level) -> Self {
        Self {
            noise,
            level,
            pairs: [0; MOST],
            pairs_len: 0,
            halves: [0; MOST],
            elements: [0; MOST],
            len: 0,
        }
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
        /// The pairs that a step can touch.
        const PAIRS: usize = STEP / 2 + 1;
        for first in (0..len).step_by(STEP) {
            if self.len > MOST - STEP {
                self.write(&mut write);
            }
            let unit = unit.wrapping_add(first as u64);
            let half = (2 * self.pairs_len + (unit % 2) as usize) as u8;
            // All of a step, as how many are wanted cannot be predicted.
            let end = self.len + STEP;
            if let Some(pairs) = self.pairs.get_mut(self.pairs_len..self.pairs_len + PAIRS)
                && let Some(halves) = self.halves.get_mut(self.len..end)
                && let Some(elements) = self.elements.get_mut(self.len..end)
            {
                for (i, place) in pairs.iter_mut().enumerate() {
                    // Numbers of units wrap.
                    *place = unit.wrapping_add(2 * i as u64) / 2;
                }
                for (i, (place, to)) in halves.iter_mut().zip(elements).enumerate() {
                    *place = half.wrapping_add(i as u8);
                    *to = element.wrapping_add_signed(step.wrapping_mul((first + i) as isize));
                }
            }
            let added = STEP.min(len - first);
            self.len += added;
            // Each unit brings a pair at most, so that there is room for pairs where there is for units.
            self.pairs_len += ((unit % 2) as usize + added).div_ceil(2);
        }
    }

    /// Hands over what is left.
    // Not inlined, as every place where units are added would have it.
    #[inline(never)]
    pub(crate) fn write(&mut self, mut write: impl FnMut(&[usize], &[i32])) {
        let mut deviates = [0; MOST];
        match self.level {
            Level::Scalar | Level::Simd(_) => self.deviates(&mut deviates),
            Level::X86(x86) => on_x86!(x86, x86::deviates(x86, self, &mut deviates)),
        }
        if let (Some(elements), Some(deviates)) =
            (self.elements.get(..self.len), deviates.get(..self.len))
        {
            write(elements, deviates);
        }
        (self.len, self.pairs_len) = (0, 0);
    }

    /// The normal deviates of all units, in units of 2^-28; what follows them is left open.
    fn deviates(&self, deviates: &mut [i32; MOST]) {
        let mut draws = [0; MOST];
        for (draws, &pair) in draws.iter_mut().zip(&self.pairs).take(self.pairs_len) {
            *draws = self.noise.of_pair(pair);
        }
        for (deviate, &half) in deviates.iter_mut().zip(&self.halves).take(self.len) {
            let pair = draws.get(usize::from(half / 2)).copied().unwrap_or_default();
            *deviate = normal((pair >> (32 * (half % 2))) as u32);
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
    use crate::{Backend, Key};

    /// Runs of all lengths, with numbers that begin even and odd, and that wrap.
    #[test]
    fn units_have_their_own_draws_on_every_backend() {
        let noise = Noise::new(&Key::new(5).streams());
        for level in Backend::available().map(|backend| Level::of(Some(backend))) {
            for start in [0, 7, u64::MAX - 150, 1 << 63] {
                let (mut batch, mut unit) = (Batch::new(noise, level), start);
                let (mut expected, mut found) = (Vec::new(), Vec::new());
                let mut write = |elements: &[usize], deviates: &[i32]| {
                    found.extend(elements.iter().copied().zip(deviates.iter().copied()));
                };
                for len in 0..24 {
                    let element = 100 * len;
                    batch.add(unit, (element, -2), len, &mut write);
                    for i in 0..len {
                        let unit = unit.wrapping_add(i as u64);
                        let draw = noise.of_pair(unit / 2) >> (32 * (unit % 2));
                        expected.push((element.wrapping_sub(2 * i), normal(draw as u32)));
                    }
                    unit = unit.wrapping_add(len as u64 + len as u64 % 3);
                }
                batch.write(&mut write);
                assert_eq!(found, expected, "{level:?} {start}");
            }
        }
    }

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
