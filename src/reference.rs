//! The executable specification: Algorithm 1 of the paper and the mask function, version 1,
//! element by element, slow and literal. A port can follow this page from top to bottom; every
//! optimised path is compared with it bit for bit, and no other module uses it.
//!
//! Ghiasi, Lin, Le 2018, "DropBlock: A regularization method for convolutional networks",
//! arXiv 1810.12890.
//!
//! # The mask function in words
//!
//! 1. **Numbers.** Probabilities are integers in units of 2^-63; a product is
//!    `(a * b) >> 63` of the full 128-bit product. 64-bit additions and multiplications wrap.
//! 2. **Block.** Each block size is clamped to the map. `Valid` has `size - block + 1` places
//!    for a block along an axis, `Full` has `size`.
//! 3. **Gamma.** [`gamma`]: Eq. 1 in double precision, or the largest gamma that drops no more
//!    than asked.
//! 4. **Gaps.** [`gap_table`]: from gamma, 1024 entries of 32 bits.
//! 5. **Line.** All positions of all planes stand in one line, plane by plane (sample by sample,
//!    channel by channel, less the shared ones), each plane row by row. The line is cut into
//!    segments of 4096. Position 0 belongs to sample 0 of the whole batch: a shard begins at
//!    that of its first sample.
//! 6. **Generator.** [`generator_state`]: each segment has its own xoshiro128++.
//! 7. **Centres.** [`centers`]: in a segment, from gap to gap.
//! 8. **Mask.** [`mask`]: the union of the blocks.
//! 9. **Layout.** As bits: bit `i` of the mask is unit `i` in the order of the planes, without
//!    padding between rows or planes, in little-endian words; 1 = dropped; tail bits 0.

use rand_xoshiro::Xoshiro128PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use crate::element::arithmetic::Ratio as _;
use crate::noise::QUANTILES;
use crate::{Alignment, DropBlock, Element, Gamma, Key, Layout, Region, Scale, Shape, Sharing};

const ONE: u64 = 1 << 63;

/// Returns the finaliser of SplitMix64.
fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58476d1ce4e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d049bb133111eb);
    z ^ (z >> 31)
}

/// One output of SplitMix64 seeded with `word`.
fn hash(word: u64) -> u64 {
    mix(word.wrapping_add(0x9e3779b97f4a7c15))
}

/// The 128 bits of a key.
fn words(key: &Key) -> [u64; 2] {
    let (mut a, mut b) = (0x243f6a8885a308d3, 0x13198a2e03707344);
    for word in [key.seed, key.step, key.layer] {
        a = mix(hash(word).wrapping_add(a));
        b = mix(hash(word) ^ b);
    }
    [a & !1, b | 1]
}

/// Returns the state in which xoshiro128++ begins a segment of 4096 positions.
#[must_use]
pub fn generator_state(key: &Key, segment: u64) -> [u32; 4] {
    let [a, b] = words(key);
    let a = mix(hash(segment).wrapping_add(a));
    let b = mix(hash(segment) ^ b);
    [a as u32, (a >> 32) as u32, b as u32, (b >> 32) as u32]
}

/// The generator of a segment.
fn generator(key: &Key, segment: u64) -> Xoshiro128PlusPlus {
    let mut seed = [0; 16];
    for (bytes, word) in seed.chunks_exact_mut(4).zip(generator_state(key, segment)) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    Xoshiro128PlusPlus::from_seed(seed)
}

/// Returns the table from which the gap to the next centre is drawn, for a gamma in units of
/// 2^-63: Walker's alias method with 1024 columns of weight 2^22.
///
/// A draw of 32 bits picks the column by its low 10 bits. If its high 22 bits are below the
/// high 22 bits of the entry, the gap is the column's number, else the low 10 bits of the entry.
/// A gap of 1023 means that 1023 positions are no centres, and that one draws again.
#[must_use]
pub fn gap_table(gamma: u64) -> [u32; 1024] {
    let survival = survival(gamma);
    let mut weight = [0; 1024];
    for j in 0..1024 {
        weight[j] = survival[j] - survival[j + 1];
    }
    // Each column that starts below 2^22 is filled from the next that starts at or above it, both
    // in ascending order; a column that falls below by that is itself filled next.
    let capacity = 1 << 22;
    let start = weight;
    let mut table: [u32; 1024] = core::array::from_fn(|j| j as u32);
    let mut large = (0..1024).filter(|&j| start[j] >= capacity);
    let mut from = large.next();
    for small in (0..1024).filter(|&j| start[j] < capacity) {
        let mut fill = small;
        while let Some(large_column) = from {
            table[fill] = (weight[fill] << 10) as u32 | large_column as u32;
            weight[large_column] -= capacity - weight[fill];
            if weight[large_column] >= capacity {
                break;
            }
            fill = large_column;
            from = large.next();
        }
    }
    table
}

/// `S[j] = (1 - gamma)^j`, the probability of a gap of `j` or more, rounded to 2^-32; the last is 0.
fn survival(gamma: u64) -> [u64; 1025] {
    let mut survival = [0; 1025];
    let mut power = ONE;
    for value in &mut survival[..1024] {
        *value = (power + (1 << 30)) >> 31;
        power = multiply(power, ONE - gamma);
    }
    survival
}

/// Returns the gamma that the table of this gamma realises, in units of 2^-63: the long-run
/// rate of centres.
#[must_use]
pub fn realised_gamma(gamma: u64) -> u64 {
    let survival = survival(gamma);
    let centers = u128::from((1 << 32) - survival[1023]) << 63;
    (centers / u128::from(survival[..1023].iter().sum::<u64>())) as u64
}

/// Returns gamma in units of 2^-63, before it is rounded to the table.
#[must_use]
pub fn gamma(layer: &DropBlock, shape: &Shape) -> u64 {
    if !layer.training {
        return 0;
    }
    let (map, block, places) = geometry(layer, shape);
    let product = |sizes: [usize; 3]| sizes.iter().map(|&size| size as u64).product::<u64>();
    let gamma = match layer.gamma {
        Gamma::Raw(gamma) => gamma,
        Gamma::Paper { scale } => {
            layer.drop_prob * scale * product(map) as f64
                / (product(block) as f64 * product(places) as f64)
        }
        Gamma::PaperValid { scale } => {
            let valid = core::array::from_fn(|axis| match block[axis] {
                0 => 0,
                block => map[axis] - block + 1,
            });
            layer.drop_prob * scale * product(map) as f64
                / (product(block) as f64 * product(valid) as f64)
        }
        Gamma::Exact => return exact_gamma(layer, shape),
    };
    if gamma >= 1.0 { ONE } else { (gamma * ONE as f64) as u64 }
}

/// The largest gamma for which [`expected_kept`] is at least `units * (1 - p)`, by bisection. On an
/// empty map, for which all are equal, it is `p`.
fn exact_gamma(layer: &DropBlock, shape: &Shape) -> u64 {
    let drop_prob = (layer.drop_prob * ONE as f64) as u64;
    let [d, h, w] = shape.map().size();
    if d * h * w == 0 {
        return drop_prob;
    }
    let target = (d * h * w) as u128 * u128::from(ONE - drop_prob);
    let (mut low, mut high) = (0, ONE + 1);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if expected_kept(layer, shape, middle) >= target {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// Returns the expected number of kept units of one map in units of 2^-63, for a gamma in the
/// same units.
///
/// A unit is kept if no position whose block covers it is a centre. Along an axis the number
/// of such positions rises by one a step to a plateau and falls again; the probability to be
/// kept is `(1 - gamma)^(c_d * c_h * c_w)`. Powers along depth and height are formed by one
/// product after the other; along the width, `power` and `sum_of_powers` give the sum of
/// the rising slope, of the falling slope and of the plateau. All products round down, so the
/// order of operations belongs to the definition.
#[must_use]
pub fn expected_kept(layer: &DropBlock, shape: &Shape, gamma: u64) -> u128 {
    let (map, block, places) = geometry(layer, shape);
    if map.contains(&0) {
        return 0;
    }
    let reach = |axis: usize| reach(layer, block[axis]);
    let most = |axis: usize| block[axis].min(places[axis]) as u64;
    // The number of indices of an axis that are covered by `c` positions, one by one.
    let indices = |axis: usize, c: u64| {
        let covered_by = |i: usize| {
            let (before, after) = reach(axis);
            let (first, last) = match layer.region {
                Region::Valid => ((i + 1).saturating_sub(block[axis]), i.min(places[axis] - 1)),
                Region::Full => (i.saturating_sub(after), (i + before).min(places[axis] - 1)),
            };
            (last - first + 1) as u64
        };
        (0..map[axis]).filter(|&i| covered_by(i) == c).count() as u128
    };
    // The lowest cover on the slopes of the last axis.
    let (rising, falling) = match layer.region {
        Region::Valid => (1, 1),
        Region::Full => (reach(2).0 as u64 + 1, reach(2).1 as u64 + 1),
    };
    let plateau = indices(2, most(2));

    let mut sum = 0;
    let mut power_d = ONE;
    for c_d in 1..=most(0) {
        power_d = multiply(power_d, ONE - gamma);
        let mut power_h = ONE;
        for c_h in 1..=most(1) {
            power_h = multiply(power_h, power_d);
            let along_width = sum_of_powers(power_h, rising, most(2))
                + sum_of_powers(power_h, falling, most(2))
                + plateau * u128::from(power(power_h, most(2)));
            sum += indices(0, c_d) * indices(1, c_h) * along_width;
        }
    }
    sum
}

/// `r^from + .. + r^(end - 1)`: the sum `1 + r + ..` of `end - from` powers by doubling, from the
/// top bit of their number, times `r^from`.
fn sum_of_powers(r: u64, from: u64, end: u64) -> u128 {
    let n = end.saturating_sub(from);
    if n == 0 {
        return 0;
    }
    let (mut sum, mut power_n) = (0, ONE);
    for bit in (0..64 - n.leading_zeros()).rev() {
        sum += multiply_sum(sum, power_n);
        power_n = multiply(power_n, power_n);
        if n >> bit & 1 == 1 {
            sum = u128::from(ONE) + multiply_sum(sum, r);
            power_n = multiply(power_n, r);
        }
    }
    multiply_sum(sum, power(r, from))
}

/// `r^n` by squaring, from the top bit of `n`.
fn power(r: u64, n: u64) -> u64 {
    let mut power = ONE;
    for bit in (0..64 - n.leading_zeros()).rev() {
        power = multiply(power, power);
        if n >> bit & 1 == 1 {
            power = multiply(power, r);
        }
    }
    power
}

fn multiply(a: u64, b: u64) -> u64 {
    ((u128::from(a) * u128::from(b)) >> 63) as u64
}

/// The product of a sum and a probability, rounded down; the full product may take 192 bits.
fn multiply_sum(a: u128, b: u64) -> u128 {
    ((a >> 64) * u128::from(b) * 2) + (((a & u128::from(u64::MAX)) * u128::from(b)) >> 63)
}

/// Visits the positions of the line in `start..end` that are centres, in ascending order.
pub fn centers(key: &Key, table: &[u32; 1024], start: u64, end: u64, mut visit: impl FnMut(u64)) {
    for segment in start / 4096..end.div_ceil(4096) {
        let mut generator = generator(key, segment);
        let mut position = segment * 4096;
        let end_of_segment = position + 4096;
        while position < end_of_segment {
            let draw = generator.next_u32();
            let column = draw & 1023;
            let entry = table[column as usize];
            let gap = if draw >> 10 < entry >> 10 { column } else { entry & 1023 };
            position += u64::from(gap);
            if gap == 1023 {
                continue;
            }
            if position < end_of_segment && (start..end).contains(&position) {
                visit(position);
            }
            position += 1;
        }
    }
}

/// Returns the number of units of the mask: samples x channels (1 where shared) x map.
#[must_use]
pub fn units(layer: &DropBlock, shape: &Shape) -> usize {
    let [samples, channels] = mask_planes(layer, shape);
    shape.map().size().iter().product::<usize>() * samples * channels
}

/// Writes the mask: Algorithm 1, lines 4 to 6. `mask[i]` tells whether unit `i` is dropped.
///
/// * `mask`: [`units`] long.
///
/// # Panics
///
/// If the block has sizes for another number of axes, or the mask is too short.
pub fn mask(layer: &DropBlock, shape: &Shape, key: &Key, mask: &mut [bool]) {
    let (map, block, places) = geometry(layer, shape);
    let [samples, channels] = mask_planes(layer, shape);
    let positions: u64 = places.iter().map(|&places| places as u64).product();
    let first_plane = match layer.sharing {
        // Wraps on empty maps only, which have no positions.
        Sharing::None | Sharing::OverChannels => key.first_sample.wrapping_mul(channels as u64),
        Sharing::OverSamples | Sharing::OverAll => 0,
    };
    let start = first_plane * positions;
    let end = start + (samples * channels) as u64 * positions;
    let table = gap_table(gamma(layer, shape));

    mask.fill(false);
    centers(key, &table, start, end, |position| {
        let [_, places_h, places_w] = places.map(|places| places as u64);
        let plane = ((position - start) / positions) as usize;
        let corner = [
            (position % positions / (places_h * places_w)) as usize,
            (position / places_w % places_h) as usize,
            (position % places_w) as usize,
        ];
        for d in 0..block[0] {
            for h in 0..block[1] {
                for w in 0..block[2] {
                    let offset = [d, h, w];
                    // Under `Full` the position is the centre's, and the corner lies before it.
                    let cell: [Option<usize>; 3] = core::array::from_fn(|axis| {
                        let before = match layer.region {
                            Region::Valid => 0,
                            Region::Full => reach(layer, block[axis]).0,
                        };
                        (corner[axis] + offset[axis]).checked_sub(before).filter(|&i| i < map[axis])
                    });
                    if let [Some(d), Some(h), Some(w)] = cell {
                        mask[((plane * map[0] + d) * map[1] + h) * map[2] + w] = true;
                    }
                }
            }
        }
    });
}

/// Applies a mask: Algorithm 1, line 7. Dropped units become positive zero; kept ones are
/// multiplied by the scale of their group, once, and rounded once. By a scale of 0 they become
/// positive zero as well. Where gamma is 0, nothing is dropped and the scale is 1, elements are
/// copied, which leaves even a signalling NaN as it is.
///
/// * `mask`: as [`mask`] writes it.
/// * `x`, `y`: the tensor, dense in the shape's layout.
///
/// # Panics
///
/// If a buffer is too short.
pub fn apply<T: Element>(layer: &DropBlock, shape: &Shape, mask: &[bool], x: &[T], y: &mut [T]) {
    let [mask_samples, mask_channels] = mask_planes(layer, shape);
    let (samples, channels) = (shape.samples(), shape.channels());
    let [d, h, w] = shape.map().size();
    let plane = d * h * w;
    let realised = realised_gamma(gamma(layer, shape));
    let keep = |position| keep_prob(layer, shape, realised, position);
    let copies = realised == 0 && !mask.contains(&true);
    // Neighbouring planes often have one group, which is not counted anew for each.
    let mut counted = (0..usize::MAX, 0);
    for sample in 0..samples {
        for channel in 0..channels {
            let mask_sample = if mask_samples == samples { sample } else { 0 };
            let mask_channel = if mask_channels == channels { channel } else { 0 };
            let mask_plane = mask_sample * mask_channels + mask_channel;
            let group = match layer.scale {
                Scale::PerTensor => 0..mask.len(),
                Scale::PerSample => {
                    let size = mask_channels * plane;
                    mask_sample * size..(mask_sample + 1) * size
                }
                Scale::PerMap => mask_plane * plane..(mask_plane + 1) * plane,
                Scale::Fixed | Scale::Off | Scale::PerPosition => 0..0,
            };
            let (count, kept) = match layer.scale {
                _ if !layer.training => (1, 1),
                Scale::Fixed => (ONE, ONE - (layer.drop_prob * ONE as f64) as u64),
                Scale::Off | Scale::PerPosition => (1, 1),
                _ => {
                    if counted.0 != group {
                        let kept = mask[group.clone()].iter().filter(|&&dropped| !dropped);
                        counted = (group.clone(), kept.count() as u64);
                    }
                    (group.len() as u64, counted.1)
                }
            };
            let scale = T::Scale::from_ratio(count, kept);
            for position in 0..plane {
                let element = element(shape, [sample, channel, position]);
                let scale = match layer.scale {
                    Scale::PerPosition => T::Scale::from_keep_prob(keep(position)),
                    _ => scale,
                };
                y[element] = if mask[mask_plane * plane + position] || scale == T::Scale::ZERO {
                    T::ZERO
                } else if copies && scale == T::Scale::ONE {
                    x[element]
                } else {
                    x[element].scaled(scale)
                };
            }
        }
    }
}

/// Writes noise to dropped units, after [`apply`]: each element of the tensor has its own deviate
/// in units of 2^-28, by its number in the whole batch, sample by sample and channel by channel.
///
/// # Panics
///
/// If a buffer is too short.
pub fn fill_noise<T: Element>(
    layer: &DropBlock,
    shape: &Shape,
    key: &Key,
    mask: &[bool],
    y: &mut [T],
) {
    let [mask_samples, mask_channels] = mask_planes(layer, shape);
    let (samples, channels) = (shape.samples(), shape.channels());
    let plane: usize = shape.map().size().iter().product();
    for sample in 0..samples {
        for channel in 0..channels {
            for position in 0..plane {
                let mask_sample = if mask_samples == samples { sample } else { 0 };
                let mask_channel = if mask_channels == channels { channel } else { 0 };
                let unit = (mask_sample * mask_channels + mask_channel) * plane + position;
                if mask[unit] {
                    let number = key
                        .first_sample
                        .wrapping_add(sample as u64)
                        .wrapping_mul(channels as u64)
                        .wrapping_add(channel as u64)
                        .wrapping_mul(plane as u64)
                        .wrapping_add(position as u64);
                    y[element(shape, [sample, channel, position])] =
                        T::from_deviate(normal(noise(key, number)));
                }
            }
        }
    }
}

/// Returns the 32 random bits of a unit's noise: half of a hash that two neighbours share.
#[must_use]
pub fn noise(key: &Key, unit: u64) -> u32 {
    let [a, b] = words(key).map(|word| mix(word ^ 0x4e6f697365));
    let pair = mix(mix(hash(unit / 2) ^ a).wrapping_add(b));
    if unit.is_multiple_of(2) { pair as u32 } else { (pair >> 32) as u32 }
}

/// Returns the normal deviate of 32 random bits, in units of 2^-28: the lowest bit is the sign,
/// all of them with that bit set are the upper tail probability in units of 2^-33. Between
/// entries `2 j`, `2 j + 1` and `2 j + 2` of the table, which hold the deviates of tails of
/// `2^octave * (1 + s / 16)`, lies a parabola; shifts round down.
#[must_use]
pub fn normal(draw: u32) -> i32 {
    let tail = i64::from(draw | 1);
    let octave = tail.ilog2();
    // The place between two entries 2 j and 2 j + 2, in units of 2^-28.
    let place = ((tail << 31) >> octave) - (1 << 31);
    let first = 16 * octave as usize + 2 * (place >> 28) as usize;
    let t = place % (1 << 28);
    let [z0, z1, z2] = [0, 1, 2].map(|i| i64::from(QUANTILES[first + i]));
    let slope = 4 * z1 - 3 * z0 - z2;
    let bend = 2 * z0 - 4 * z1 + 2 * z2;
    let z = z0 + (((slope + ((bend * t) >> 28)) * t) >> 28);
    (if draw.is_multiple_of(2) { z } else { -z }) as i32
}

/// The element that holds a unit: sample, channel, position in the map.
fn element(shape: &Shape, [sample, channel, position]: [usize; 3]) -> usize {
    let (channels, plane) = (shape.channels(), shape.map().size().iter().product::<usize>());
    match shape.layout() {
        Layout::ChannelsFirst => (sample * channels + channel) * plane + position,
        Layout::ChannelsLast => (sample * plane + position) * channels + channel,
    }
}

/// The probability in units of 2^-63 that a unit is kept: 1 - gamma to the power of the number of
/// positions whose block covers it, axis by axis.
fn keep_prob(layer: &DropBlock, shape: &Shape, gamma: u64, position: usize) -> u64 {
    let (map, block, places) = geometry(layer, shape);
    let index = [position / (map[1] * map[2]), position / map[2] % map[1], position % map[2]];
    let mut keep = ONE - gamma;
    for axis in 0..3 {
        let (before, after) = match layer.region {
            Region::Valid => (0, block[axis] - 1),
            Region::Full => reach(layer, block[axis]),
        };
        let covers = |place: usize| place <= index[axis] + before && index[axis] <= place + after;
        let cover = (0..places[axis]).filter(|&place| covers(place)).count();
        keep = power(keep, cover as u64);
    }
    keep
}

/// The sizes of the map, of the clamped block, and the number of places for it.
fn geometry(layer: &DropBlock, shape: &Shape) -> ([usize; 3], [usize; 3], [usize; 3]) {
    let map = shape.map().size();
    let Ok(block) = layer.block_size.on(&shape.map()) else {
        unreachable!("the block has a size for each axis")
    };
    let block = core::array::from_fn(|axis| block[axis].min(map[axis]));
    let places = core::array::from_fn(|axis| match layer.region {
        Region::Valid if block[axis] > 0 => map[axis] - block[axis] + 1,
        _ => map[axis],
    });
    (map, block, places)
}

/// How far a block reaches before and after its centre.
fn reach(layer: &DropBlock, block: usize) -> (usize, usize) {
    match layer.alignment {
        Alignment::Before => (block / 2, (block - 1) / 2),
        Alignment::After => ((block - 1) / 2, block / 2),
    }
}

/// The samples and channels of the mask.
fn mask_planes(layer: &DropBlock, shape: &Shape) -> [usize; 2] {
    let (samples, channels) = (shape.samples(), shape.channels());
    match layer.sharing {
        Sharing::None => [samples, channels],
        Sharing::OverChannels => [samples, channels.min(1)],
        Sharing::OverSamples => [samples.min(1), channels],
        Sharing::OverAll => [samples.min(1), channels.min(1)],
    }
}
