//! Rates, marginals and independence. Seeds are fixed, so nothing here is a matter of luck; the
//! bounds are 5 standard deviations (1 in 1.7 million for one comparison), derived beside them.

use std::collections::HashSet;

use dropblock::rand_core::Rng as _;
use dropblock::{DropBlock, Error, Gamma, Key, Plan, Region, Shape, reference};
use rand_xoshiro::Xoshiro128PlusPlus;
use rand_xoshiro::rand_core::SeedableRng as _;

/// The masks of many planes as bits, plane by plane.
fn planes(plan: &Plan, key: Key) -> Result<Vec<bool>, Error> {
    let mut words = vec![0_u64; plan.mask_words()];
    plan.draw(key, &mut words)?;
    Ok((0..plan.units()).map(|i| words[i / 64] >> (i % 64) & 1 == 1).collect())
}

/// The number of positions of each axis whose block covers index `i`, counted one by one.
fn cover(size: usize, block: usize, region: Region) -> Vec<i32> {
    let block = block.min(size);
    let (before, after) = (block / 2, (block - 1) / 2);
    let centers: Vec<usize> = match region {
        Region::Valid => (before..size - after).collect(),
        Region::Full => (0..size).collect(),
    };
    let covers = |i: usize, center: usize| center <= i + before && i <= center + after;
    (0..size).map(|i| centers.iter().filter(|&&center| covers(i, center)).count() as i32).collect()
}

#[test]
fn exact_gamma_has_the_published_values() -> Result<(), Error> {
    for (size, block, p, gamma) in [
        (14, 7, 0.1, 0.006_764_4),
        (14, 7, 0.25, 0.019_396_5),
        (14, 7, 0.5, 0.052_637_1),
        (28, 7, 0.1, 0.003_533_9),
        (56, 7, 0.1, 0.002_714_4),
        (20, 5, 0.1, 0.006_658),
        (8, 3, 0.1, 0.020_916_4),
    ] {
        let layer = DropBlock::new(block, p)?.with_gamma(Gamma::Exact)?;
        let plan = layer.plan(Shape::nchw(1, 1, size, size))?;
        assert!((plan.gamma() - gamma).abs() < 6e-8, "{size} {block} {p}: {}", plan.gamma());
        // The table rounds to 2^-32.
        assert!((plan.expected_dropped() - p).abs() < 1e-7);
    }
    for (p, dropped) in [(0.1, 0.0929), (0.5, 0.3582)] {
        let plan = DropBlock::new(7, p)?.plan(Shape::nchw(1, 1, 14, 14))?;
        assert!((plan.expected_dropped() - dropped).abs() < 5e-5);
    }
    Ok(())
}

/// The rate over all units and at each position, on small and large maps of either region.
#[test]
fn rates_and_marginals_are_exact() -> Result<(), Error> {
    for (height, width, block) in [
        (7, 7, 7),
        (7, 7, 3),
        (8, 8, 3),
        (8, 9, 4),
        (14, 14, 7),
        (13, 5, 6),
        (56, 56, 7),
        (52, 52, 7),
    ] {
        for region in [Region::Valid, Region::Full] {
            for gamma in [Gamma::Paper { scale: 1.0 }, Gamma::Exact, Gamma::Raw(0.03)] {
                let layer = DropBlock::new(block, 0.1)?.with_gamma(gamma)?.with_region(region);
                let count = 4_000_000 / (height * width).max(100);
                let plan = layer.plan(Shape::nchw(1, count, height, width))?;
                let mask = planes(&plan, Key::new(11))?;
                let what = format!("{height}x{width} k {block} {region:?} {gamma:?}");

                // Planes are independent: the standard deviation of their mean follows from
                // their own spread.
                let units = height * width;
                let rates: Vec<f64> = mask
                    .chunks(units)
                    .map(|plane| plane.iter().filter(|&&x| x).count() as f64 / units as f64)
                    .collect();
                let n = count as f64;
                let mean = rates.iter().sum::<f64>() / n;
                let variance = rates.iter().map(|rate| (rate - mean).powi(2)).sum::<f64>() / n;
                let expected = plan.expected_dropped();
                let sigmas = (mean - expected).abs() / (variance / n).sqrt();
                assert!(sigmas < 5.0, "{what}: {mean} for {expected}, {sigmas} sigma");

                // Each position is a Bernoulli variable over the planes.
                let (rows, columns) = (cover(height, block, region), cover(width, block, region));
                let mut literal = 0.0;
                for (unit, c) in (0..units).map(|i| (i, rows[i / width] * columns[i % width])) {
                    let p = 1.0 - (1.0 - plan.gamma()).powi(c);
                    literal += p / units as f64;
                    let hits = mask.iter().skip(unit).step_by(units).filter(|&&x| x).count();
                    let sigma = (n * p * (1.0 - p)).sqrt();
                    // 6 sigma, as there are 100,000 comparisons in all, and 3 for rare events.
                    let bound = 6.0 * sigma + 3.0;
                    assert!((hits as f64 - n * p).abs() < bound, "{what}: {hits} at {unit}");
                }
                assert!((literal - expected).abs() < 1e-9, "{what}");
            }
        }
    }
    Ok(())
}

/// Pairs that must be independent: neighbouring positions, channels, samples, steps, layers and
/// seeds. With k = 1 and gamma g over n pairs the number of pairs that are both dropped has mean
/// n g^2 and standard deviation sqrt(n g^2 (1 - g^2)).
#[test]
fn neighbours_are_independent() -> Result<(), Error> {
    for gamma in [0.02, 0.3] {
        let layer = DropBlock::new(1, 0.1)?.with_gamma(Gamma::Raw(gamma))?;
        let (channels, height, width) = (50, 63, 65);
        let plane = height * width;
        let plan = layer.plan(Shape::nchw(20, channels, height, width))?;
        let key = Key::new(1).with_step(1).with_layer(1);
        let mask = planes(&plan, key)?;
        let check = |what: &str, other: &[bool]| {
            let n = other.len() as f64;
            let both = mask.iter().zip(other).filter(|&(&a, &b)| a && b).count() as f64;
            let (mean, p) = (n * gamma * gamma, gamma * gamma);
            let sigmas = (both - mean).abs() / (n * p * (1.0 - p)).sqrt();
            assert!(sigmas < 5.0, "{what}: {both} for {mean}, {sigmas} sigma");
        };
        for (what, distance) in [
            ("position", 1),
            ("second position", 2),
            ("row", width),
            ("segment", 4096),
            ("channel", plane),
            ("sample", channels * plane),
        ] {
            check(what, &mask[distance..]);
        }
        check("step", &planes(&plan, key.with_step(2))?);
        check("layer", &planes(&plan, key.with_layer(2))?);
        check("seed", &planes(&plan, Key::new(2).with_step(1).with_layer(1))?);
        check("swapped", &planes(&plan, Key::new(1).with_step(0).with_layer(2))?);
    }
    Ok(())
}

/// Each position of a segment of 4096 is a centre with probability gamma, also the first and the
/// last: over 4,000 segments a count has standard deviation sqrt(4000 g (1 - g)).
#[test]
fn every_position_of_a_segment_is_alike() -> Result<(), Error> {
    let segments = 4000;
    for gamma in [0.002, 0.05] {
        let layer = DropBlock::new(1, 0.1)?.with_gamma(Gamma::Raw(gamma))?;
        let plan = layer.plan(Shape::nchw(1, segments, 64, 64))?;
        let mask = planes(&plan, Key::new(12))?;
        let n = segments as f64;
        let sigma = (n * gamma * (1.0 - gamma)).sqrt();
        for position in 0..4096 {
            let hits = mask.iter().skip(position).step_by(4096).filter(|&&x| x).count() as f64;
            // 6 sigma for 4096 comparisons, and 3 for the tail of a rare event.
            assert!((hits - n * gamma).abs() < 6.0 * sigma + 3.0, "{hits} at {position}");
        }
    }
    Ok(())
}

/// The generator of a segment.
fn generator(key: &Key, segment: u64) -> Xoshiro128PlusPlus {
    let mut seed = [0; 16];
    for (bytes, word) in seed.chunks_exact_mut(4).zip(reference::generator_state(key, segment)) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    Xoshiro128PlusPlus::from_seed(seed)
}

/// 10^6 segments of one key, and 10^6 of 1000 neighbouring keys: no two streams begin alike. Of
/// 64-bit values that are random, 2 * 10^6 collide with probability 10^-7.
#[test]
fn a_million_streams_differ() {
    let mut seen = HashSet::new();
    let mut ones = 0_u64;
    let one_key = (0..1_000_000).map(|segment| (0, 0, segment));
    let keys =
        (0..1000).flat_map(|key| (0..1000).map(move |segment| (key % 32 + 1, key / 32, segment)));
    for (step, layer, segment) in one_key.chain(keys) {
        let key = Key::new(7).with_step(step).with_layer(layer);
        let draws = generator(&key, segment).next_u64();
        assert!(seen.insert(draws), "{step} {layer} {segment}");
        ones += u64::from(draws.count_ones());
    }
    // Half of the bits, with standard deviation sqrt(128 * 10^6) / 2 = 5657.
    assert!(ones.abs_diff(64_000_000) < 5 * 5657, "{ones}");
}
