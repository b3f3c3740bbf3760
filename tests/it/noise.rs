//! Noise in dropped places: a standard normal variable, independent from place to place. Seeds
//! are fixed; the bounds are 5 standard deviations of the estimator, derived beside them.

use dropblock::{DropBlock, Error, Fill, Gamma, Key, Scale, Shape, reference};

/// The noise of a whole tensor.
fn noise(key: Key, len: usize) -> Result<Vec<f64>, Error> {
    let layer = DropBlock::new(1, 0.5)?.with_gamma(Gamma::Raw(1.0))?.with_fill(Fill::Noise);
    let mut x = vec![f64::NAN; len];
    layer.plan(Shape::ncl(1, 1, len))?.forward_in_place(key, &mut x)?;
    Ok(x)
}

/// Over n draws the mean of z^k has variance (E z^2k - (E z^k)^2) / n: of z 1, of z^2 2, of z^3
/// 15, of z^4 105 - 9 = 96.
#[test]
fn moments_are_those_of_the_normal_distribution() -> Result<(), Error> {
    let x = noise(Key::new(21), 4_000_000)?;
    let n = x.len() as f64;
    for (k, expected, variance) in
        [(1, 0.0, 1.0_f64), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)]
    {
        let mean = x.iter().map(|x| x.powi(k)).sum::<f64>() / n;
        assert!((mean - expected).abs() < 5.0 * (variance / n).sqrt(), "moment {k}: {mean}");
    }
    // Tails beyond z: counts with mean n p, deviation sqrt(n p), and 3 more for rare ones.
    for z in [1.0, 2.0, 3.0, 4.0, 5.0] {
        let p = libm::erfc(z / 2.0_f64.sqrt());
        let beyond = x.iter().filter(|x| x.abs() > z).count() as f64;
        assert!((beyond - n * p).abs() < 5.0 * (n * p).sqrt() + 3.0, "{beyond} beyond {z}");
    }
    Ok(())
}

/// Kolmogorov-Smirnov: the largest distance of the two distribution functions, times sqrt(n), is
/// above 2.6 with probability 2 exp(-2 * 2.6^2) = 3 * 10^-6.
#[test]
fn distribution_is_normal() -> Result<(), Error> {
    let mut x = noise(Key::new(22), 1_000_000)?;
    x.sort_unstable_by(f64::total_cmp);
    let n = x.len() as f64;
    let distance = x.iter().enumerate().map(|(i, x)| {
        let below = 0.5 * libm::erfc(-x / 2.0_f64.sqrt());
        (below - i as f64 / n).abs().max((below - (i + 1) as f64 / n).abs())
    });
    let worst = distance.fold(0.0, f64::max);
    assert!(worst * n.sqrt() < 2.6, "{}", worst * n.sqrt());
    Ok(())
}

/// Products of independent variables have mean 0 and variance 1; so have products of
/// `(z^2 - 1) / sqrt(2)`, which show a common size.
#[test]
fn neighbours_are_independent() -> Result<(), Error> {
    let key = Key::new(23).with_step(1).with_layer(1);
    let x = noise(key, 1_000_000)?;
    let check = |what: &str, other: &[f64]| {
        let n = other.len() as f64;
        let bound = 5.0 / n.sqrt();
        let product = x.iter().zip(other).map(|(a, b)| a * b).sum::<f64>() / n;
        let size = |z: f64| (z * z - 1.0) / 2.0_f64.sqrt();
        let sizes = x.iter().zip(other).map(|(&a, &b)| size(a) * size(b)).sum::<f64>() / n;
        assert!(product.abs() < bound && sizes.abs() < bound, "{what}: {product}, {sizes}");
    };
    for distance in [1, 2, 3, 64, 4096] {
        check(&format!("{distance} apart"), &x[distance..]);
    }
    check("step", &noise(key.with_step(2), x.len())?);
    check("layer", &noise(key.with_layer(2), x.len())?);
    check("seed", &noise(Key::new(24).with_step(1).with_layer(1), x.len())?);
    check("swapped", &noise(Key::new(23).with_step(0).with_layer(2), x.len())?);
    // And of the draws themselves: sign and size come from one hash that two units share.
    let ones: u32 = (0..1_000_000).map(|i| reference::noise(&key, i).count_ones()).sum();
    // 32 * 10^6 bits: deviation sqrt(8 * 10^6) = 2828.
    assert!(ones.abs_diff(16_000_000) < 5 * 2829, "{ones}");
    Ok(())
}

/// Shared masks drop the same places, but every element has noise of its own; kept elements
/// and the gradient know nothing of it; a shard has the noise of the whole batch.
#[test]
fn noise_is_in_dropped_places_only() -> Result<(), Error> {
    let layer = DropBlock::timm(3, 0.3)?.with_fill(Fill::Noise).with_scale(Scale::Off);
    let plan = layer.plan(Shape::nhwc(4, 9, 11, 5))?;
    let key = Key::new(25);
    let mut y = vec![7.0_f32; plan.elements()];
    let mut words = vec![0; plan.mask_words()];
    let mask = plan.draw(key, &mut words)?;
    mask.forward_in_place(&mut y)?;
    let mut distinct: Vec<u32> = y.iter().filter(|&&y| y != 7.0).map(|y| y.to_bits()).collect();
    assert_eq!(distinct.len() as u64, 5 * mask.count().dropped);
    let all = distinct.len();
    distinct.sort_unstable();
    distinct.dedup();
    // Deviates of 24 bits: among 600 two are equal in one case of 50.
    assert!(distinct.len() + 1 >= all, "{} of {all} differ", distinct.len());

    let mut without_mask = vec![7.0_f32; plan.elements()];
    let drawn = plan.forward_in_place(key, &mut without_mask)?;
    assert_eq!(Some(drawn), mask.drawn());
    assert_eq!(without_mask, y);
    // A mask from words has no noise until it has a key.
    let mut again = vec![7.0_f32; plan.elements()];
    let from_words = plan.mask_from(mask.dropped_words())?;
    assert_eq!(from_words.forward_in_place(&mut again), Err(Error::NoKey));
    assert!(again.iter().all(|&y| y == 7.0));
    from_words.with_key(key)?.forward_in_place(&mut again)?;
    assert_eq!(again, y);

    let [mut dy, mut with_words] = [(); 2].map(|()| vec![1.0_f32; plan.elements()]);
    plan.backward_in_place(drawn, &mut dy)?;
    assert!(y.iter().zip(&dy).all(|(&y, &dy)| dy == if y == 7.0 { 1.0 } else { 0.0 }));
    from_words.backward_in_place(&mut with_words)?;
    assert_eq!(with_words, dy);

    let shard = layer.plan(Shape::nhwc(1, 9, 11, 5))?;
    for (sample, expected) in (0..).zip(y.chunks(shard.elements())) {
        let mut y = vec![7.0_f32; shard.elements()];
        shard.forward_in_place(key.with_first_sample(sample), &mut y)?;
        assert_eq!(y, expected, "sample {sample}");
    }
    Ok(())
}
