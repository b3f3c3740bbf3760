//! Gamma: the probability that a position is a centre, in 63-bit fixed point.
//!
//! A probability is a `u64` in units of 2^-63, so that 0 and 1 are ordinary values. Every
//! operation rounds down and is monotone in its arguments, hence so is [`kept`], and the exact
//! gamma has one value whatever search finds it: the same on every machine.

use core::ops::Range;

use crate::block::{Blocks, Region};

/// The probability 1 in units of 2^-63.
pub(crate) const ONE: u64 = 1 << 63;

/// How gamma, the probability that a position is a centre, follows from the drop probability.
///
/// ```
/// use dropblock::{DropBlock, Gamma, Shape};
///
/// // What is really dropped of a 14 x 14 map, for block size 7 and a probability of .1.
/// let dropped = |gamma| {
///     let plan = DropBlock::new(7, 0.1)?.with_gamma(gamma)?.plan(Shape::nchw(1, 1, 14, 14))?;
///     Ok::<_, dropblock::Error>(format!("{:.4}", plan.expected_dropped()))
/// };
/// assert_eq!(dropped(Gamma::Paper { scale: 1.0 })?, "0.0929");
/// assert_eq!(dropped(Gamma::Exact)?, "0.1000");
/// # Ok::<(), dropblock::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Gamma {
    /// Eq. 1 of the paper, times a factor (1 for the paper itself), clamped to 1:
    /// `p * prod(size) / (prod(block) * positions)`, where `positions` is the number of places
    /// where a centre may lie: `prod(size - block + 1)` for the valid region.
    ///
    /// Eq. 1 assumes that blocks do not overlap, so it drops less than asked: at 14 x 14 with block
    /// size 7, .0929 for .1 and .358 for .5.
    Paper {
        /// The factor: finite and at least 0.
        scale: f64,
    },
    /// Eq. 1 with the number of places in the valid region, wherever centres may lie, times a
    /// factor. This is what timm does. With [`Region::Full`] it drops too much on small maps.
    PaperValid {
        /// The factor: finite and at least 0.
        scale: f64,
    },
    /// The gamma whose expected dropped fraction is the drop probability, with borders and
    /// overlaps counted, to within the rounding of the table of gaps (2^-32). It is computed in
    /// integers, so it is equal on every machine. The time grows with depth x height of the block;
    /// for the blocks of networks it is microseconds.
    Exact,
    /// This value, in `[0, 1]`. The drop probability then only serves
    /// [`Scale::Fixed`](crate::Scale::Fixed): even with a drop probability of 0, units are dropped.
    Raw(f64),
}

/// `p` in `[0, 1]` in units of 2^-63. Exact for p >= 2^-10, rounded down below: the factor is a
/// power of two.
pub(crate) const fn from_f64(p: f64) -> u64 {
    if p >= 1.0 { ONE } else { (p * ONE as f64) as u64 }
}

/// The nearest `f64`.
pub(crate) const fn to_f64(p: u64) -> f64 {
    p as f64 / ONE as f64
}

/// Eq. 1 for a number of places, in double precision from left to right: multiplications and divisions of the IEEE
/// standard only, hence the same everywhere.
pub(crate) const fn paper(blocks: &Blocks, places: u64, drop_prob: f64, scale: f64) -> u64 {
    let [d, h, w] = blocks.block;
    let block = d as u64 * h as u64 * w as u64;
    let gamma = drop_prob * scale * blocks.units() as f64 / (block as f64 * places as f64);
    // An empty map divides 0 by 0.
    if gamma >= 0.0 { from_f64(gamma) } else { 0 }
}

/// The largest gamma whose expected dropped fraction is at most `drop_prob` (2^-63 units).
pub(crate) const fn exact(blocks: &Blocks, drop_prob: u64) -> u64 {
    search(blocks, drop_prob).0
}

/// The steps of a search before it halves what is left.
const SECANTS: u32 = 24;

/// [`exact`], and the number of steps that it took. The result does not depend on them.
const fn search(blocks: &Blocks, drop_prob: u64) -> (u64, u32) {
    // In terms of q = 1 - gamma: the smallest q that keeps at least `target`.
    let target = blocks.units() as u128 * (ONE - drop_prob) as u128;
    if drop_prob == 0 || target == 0 {
        return (drop_prob, 0);
    }
    // Invariant: kept(low) < target <= kept(high). The steps are those of the Illinois variant of
    // regula falsi. As kept is convex they soon come close to the answer, but from below: so a step
    // on the same side as the last goes beyond what the line says, each time further.
    let (mut low, mut high) = (0, ONE);
    let (mut low_gap, mut high_gap) = (target, kept(blocks, ONE) - target);
    let (mut was_low, mut beyond) = (false, 0_u64);
    let mut steps = 0;
    while high - low > 1 {
        let width = high - low;
        let offset = match interpolate(width, low_gap, high_gap) {
            _ if steps >= SECANTS => width / 2,
            offset if was_low => offset.saturating_add(beyond),
            offset => offset.saturating_sub(beyond),
        };
        let middle = if offset == 0 {
            low + 1
        } else if offset >= width {
            high - 1
        } else {
            low + offset
        };
        let kept = kept(blocks, middle);
        let is_low = kept < target;
        let again = is_low == was_low;
        beyond = if again { beyond.saturating_mul(8).saturating_add(1) } else { 0 };
        if is_low {
            (low, low_gap) = (middle, target - kept);
            high_gap >>= again as u32;
        } else {
            (high, high_gap) = (middle, kept - target);
        }
        was_low = is_low;
        steps += 1;
    }
    (ONE - high, steps)
}

/// How far from the low end of a range of this width a line with these gaps to 0 meets it.
const fn interpolate(width: u64, low_gap: u128, high_gap: u128) -> u64 {
    let sum = low_gap + high_gap;
    // The product must fit in 128 bits.
    let shift = (128 - sum.leading_zeros()).saturating_sub(64);
    match (width as u128 * (low_gap >> shift)).checked_div(sum >> shift) {
        Some(offset) => offset as u64,
        None => 0,
    }
}

/// The expected dropped fraction of the map for this gamma.
pub(crate) const fn dropped_fraction(blocks: &Blocks, gamma: u64) -> f64 {
    let units = blocks.units() as u128 * ONE as u128;
    if units == 0 {
        return 0.0;
    }
    (units - kept(blocks, ONE - gamma)) as f64 / units as f64
}

/// Visits neighbouring positions of the map as runs of so many whose units are kept with the same
/// probability, in units of 2^-63: `((q^c_d)^c_h)^c_w`, each power by [`power`].
pub(crate) fn for_each_keep_prob(
    blocks: &Blocks,
    gamma: u64,
    positions: Range<usize>,
    mut visit: impl FnMut(usize, u64),
) {
    let (height, width) = (blocks.map[1].max(1), blocks.map[2].max(1));
    let (by_depth, by_height, by_width) = (blocks.cover(0), blocks.cover(1), blocks.cover(2));
    let (mut start, mut of_row) = (positions.start, Powers::new());
    while start < positions.end {
        let (row, mut w) = (start / width, start % width);
        let end = width.min(w + positions.end - start);
        start += end - w;
        let slice = power(ONE - gamma, by_depth.of(row / height));
        of_row.begin(power(slice, by_height.of(row % height)));
        while w < end {
            let len = by_width.same(w).min(end - w);
            visit(len, of_row.power(by_width.of(w)));
            w += len;
        }
    }
}

/// Powers of one number, the lowest of which are kept: along a row they come one after the other, and
/// each is one product of lower ones.
struct Powers {
    of: u64,
    kept: [u64; 64],
    len: usize,
}

impl Powers {
    const fn new() -> Self {
        Self { of: ONE, kept: [ONE; 64], len: 0 }
    }

    /// Begins anew, with another number.
    #[inline]
    fn begin(&mut self, of: u64) {
        (self.of, self.len) = (of, 2);
        (self.kept[0], self.kept[1]) = (ONE, of);
    }

    /// What [`power`] gives.
    #[inline]
    fn power(&mut self, n: u64) -> u64 {
        let n = n as usize;
        if n >= self.kept.len() {
            return power(self.of, n as u64);
        }
        while self.len <= n {
            let half = self.kept.get(self.len / 2).copied().unwrap_or(ONE);
            let even = mul(half, half);
            if let Some([first, second]) =
                self.kept.get_mut(self.len..).and_then(|kept| kept.first_chunk_mut())
            {
                (*first, *second) = (even, mul(even, self.of));
            }
            self.len += 2;
        }
        self.kept.get(n).copied().unwrap_or(ONE)
    }
}

/// The sum over the map of the probability that a unit is kept, `q^(c_d * c_h * c_w)` with
/// `q = 1 - gamma` and `c` the number of centres along an axis whose block covers the unit.
const fn kept(blocks: &Blocks, q: u64) -> u128 {
    if blocks.units() == 0 {
        return 0;
    }
    let [d, h, w] = [Coverage::new(blocks, 0), Coverage::new(blocks, 1), Coverage::new(blocks, 2)];
    let mut sum: u128 = 0;
    let (mut power_d, mut c_d) = (ONE, 1);
    while c_d <= d.most {
        power_d = mul(power_d, q);
        let (mut power_h, mut c_h) = (ONE, 1);
        while c_h <= h.most {
            power_h = mul(power_h, power_d);
            let times = d.multiplicity(c_d) as u128 * h.multiplicity(c_h) as u128;
            if times > 0 {
                sum += times * w.sum_of_powers(power_h);
            }
            c_h += 1;
        }
        c_d += 1;
    }
    sum
}

/// How many indices of an axis are covered by how many centres. Along the axis the cover rises
/// by one a step to `most`, stays, and falls again; `Full` crops the ends of both slopes.
struct Coverage {
    most: u64,
    /// The lowest cover on the rising and on the falling slope.
    rising_from: u64,
    falling_from: u64,
    plateau: u64,
}

impl Coverage {
    const fn new(blocks: &Blocks, axis: usize) -> Self {
        let (block, grid) = (blocks.block[axis] as u64, blocks.grid[axis] as u64);
        let (crop_front, crop_back) = match blocks.region {
            Region::Valid => (0, 0),
            Region::Full => (blocks.before[axis] as u64, blocks.after[axis] as u64),
        };
        let most = if block < grid { block } else { grid };
        // Indices of the map enlarged by the block's reach; the plateau is most - 1 ..= size - most.
        let size = grid + block - 1;
        let first = if most - 1 > crop_front { most - 1 } else { crop_front };
        let end_of_plateau = size - most + 1;
        let end_of_map = size - crop_back;
        let end = if end_of_plateau < end_of_map { end_of_plateau } else { end_of_map };
        Self {
            most,
            rising_from: crop_front + 1,
            falling_from: crop_back + 1,
            plateau: end.saturating_sub(first),
        }
    }

    /// The number of indices with this cover.
    const fn multiplicity(&self, cover: u64) -> u64 {
        if cover == self.most {
            self.plateau
        } else {
            (cover >= self.rising_from) as u64 + (cover >= self.falling_from) as u64
        }
    }

    /// The sum over the indices of `r^cover`.
    const fn sum_of_powers(&self, r: u64) -> u128 {
        let rising = slope(r, self.rising_from, self.most);
        let falling = if self.falling_from == self.rising_from {
            rising
        } else {
            slope(r, self.falling_from, self.most)
        };
        rising + falling + self.plateau as u128 * power(r, self.most) as u128
    }
}

/// `r^from + .. + r^(end - 1)`.
const fn slope(r: u64, from: u64, end: u64) -> u128 {
    if from >= end {
        return 0;
    }
    mul_wide(geometric(r, end - from), power(r, from))
}

/// `1 + r + .. + r^(n - 1)`, by doubling from the top bit of `n`.
const fn geometric(r: u64, n: u64) -> u128 {
    let (mut sum, mut power): (u128, u64) = (0, ONE);
    let mut bit = 64 - n.leading_zeros();
    while bit > 0 {
        bit -= 1;
        sum += mul_wide(sum, power);
        power = mul(power, power);
        if n >> bit & 1 == 1 {
            sum = ONE as u128 + mul_wide(sum, r);
            power = mul(power, r);
        }
    }
    sum
}

/// `r^n`, by squaring from the top bit of `n`.
const fn power(r: u64, n: u64) -> u64 {
    let mut power = ONE;
    let mut bit = 64 - n.leading_zeros();
    while bit > 0 {
        bit -= 1;
        power = mul(power, power);
        if n >> bit & 1 == 1 {
            power = mul(power, r);
        }
    }
    power
}

/// The product of two probabilities, rounded down.
pub(crate) const fn mul(a: u64, b: u64) -> u64 {
    ((a as u128 * b as u128) >> 63) as u64
}

/// The product of a sum of probabilities and a probability, rounded down.
const fn mul_wide(a: u128, b: u64) -> u128 {
    let (high, low) = (a >> 64, a & u64::MAX as u128);
    ((high * b as u128) << 1) + ((low * b as u128) >> 63)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Alignment, BlockSize, Error, Map, Region};

    /// The steps decide what a plan costs, and nothing else.
    #[test]
    fn the_search_takes_few_steps() -> Result<(), Error> {
        let mut all = [0; 7];
        for (map, size) in [
            (Map::hw(7, 7), 3),
            (Map::hw(14, 14), 7),
            (Map::hw(56, 56), 7),
            (Map::hw(100, 3), 3),
            (Map::l(1000), 31),
            (Map::dhw(8, 28, 28), 3),
        ] {
            for region in [Region::Valid, Region::Full] {
                let block = BlockSize::uniform(size);
                let blocks = Blocks::new(&map, &block, Alignment::Before, region)?;
                for (p, all) in
                    [1e-9, 0.01, 0.1, 0.3, 0.5, 0.9, 0.999_999].into_iter().zip(&mut all)
                {
                    let (_, steps) = search(&blocks, from_f64(p));
                    assert!(steps <= SECANTS + 63);
                    *all += steps;
                }
            }
        }
        // Of 12 searches each, where halving alone takes 63 for one.
        assert_eq!(all, [60, 98, 129, 147, 152, 196, 529]);
        Ok(())
    }
}
