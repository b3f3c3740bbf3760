//! Special cases that are theorems.

use dropblock::{
    Alignment, Backend, BlockSize, DropBlock, DropCount, Element, Error, Gamma, Key, Layout, Plan,
    Region, Scale, Shape, Sharing, reference,
};
use proptest::prelude::*;
use rand_xoshiro::Xoshiro128PlusPlus;
use rand_xoshiro::rand_core::SeedableRng as _;

use crate::case::{Case, bits_of, cases, dirty, tensor};

fn mask(plan: &Plan, key: Key) -> Result<Vec<u64>, Error> {
    let mut words = vec![0; plan.mask_words()];
    plan.draw(key, &mut words)?;
    Ok(words)
}

fn bit(mask: &[u64], unit: usize) -> bool {
    mask[unit / 64] >> (unit % 64) & 1 == 1
}

#[test]
fn block_of_the_map_drops_whole_planes() -> Result<(), Error> {
    for block in [13, 14, 500] {
        let layer = DropBlock::new(block, 0.3)?.with_gamma(Gamma::Exact)?;
        let plan = layer.plan(Shape::nchw(20, 30, 11, 13))?;
        // Every unit is covered by one position: gamma is the drop probability.
        assert!((plan.gamma() - 0.3).abs() < 1e-9);
        let mask = mask(&plan, Key::new(3))?;
        let planes = (0..600).filter(|plane| {
            let dropped = (0..143).filter(|unit| bit(&mask, plane * 143 + unit)).count();
            assert!(dropped == 0 || dropped == 143);
            dropped > 0
        });
        // 600 planes: standard deviation 11.2.
        assert!((180 - 5 * 12..180 + 5 * 12).contains(&planes.count()));
    }
    Ok(())
}

#[test]
fn block_of_one_is_dropout() -> Result<(), Error> {
    for gamma in [Gamma::Paper { scale: 1.0 }, Gamma::Exact] {
        for region in [Region::Valid, Region::Full] {
            let layer = DropBlock::new(1, 0.1)?.with_gamma(gamma)?.with_region(region);
            let plan = layer.plan(Shape::nchw(3, 5, 17, 19))?;
            assert!((plan.gamma() - 0.1).abs() < 1e-9);
            assert!((plan.expected_dropped() - 0.1).abs() < 1e-9);
            let mut centers = vec![0; plan.mask_words()];
            plan.draw_centers(Key::new(4), &mut centers)?;
            assert_eq!(mask(&plan, Key::new(4))?, centers);
        }
    }
    Ok(())
}

/// In every rank: blocks of one are dropout, centres and mask alike; blocks of the map drop whole
/// maps, which is SpatialDropout; and a mask of one rank is that of the next with a size of 1.
#[test]
fn ranks_agree_at_either_end() -> Result<(), Error> {
    let key = Key::new(14);
    let mut masks = Vec::new();
    for shape in [Shape::ncl(3, 50, 60), Shape::nchw(3, 50, 5, 12), Shape::ncdhw(3, 50, 5, 4, 3)] {
        let dropout = DropBlock::new(1, 0.3)?.plan(shape)?;
        let mut centers = vec![0; dropout.mask_words()];
        dropout.draw_centers(key, &mut centers)?;
        masks.push(mask(&dropout, key)?);
        assert_eq!(masks.last(), Some(&centers));

        let spatial = DropBlock::new(60, 0.3)?.plan(shape)?;
        let whole = mask(&spatial, key)?;
        // The same key draws one position a map: plain dropout of 150 units.
        let units = mask(&DropBlock::new(1, 0.3)?.plan(Shape::ncl(3, 50, 1))?, key)?;
        assert!((0..9000).all(|unit| bit(&whole, unit) == bit(&units, unit / 60)), "{shape:?}");
    }
    // With k = 1 the mask depends on the number of units alone.
    assert!(masks.windows(2).all(|pair| pair[0] == pair[1]));

    let block = BlockSize::hw(1, 7);
    let flat = DropBlock::new(1, 0.3)?.with_block_size(block)?.plan(Shape::nchw(2, 5, 1, 40))?;
    let line = DropBlock::new(7, 0.3)?.plan(Shape::ncl(2, 5, 40))?;
    assert_eq!(mask(&flat, key)?, mask(&line, key)?);
    Ok(())
}

/// `PerPosition` preserves the expectation of every unit, the paper's scale does not: it makes
/// the centre of a 14 x 14 map .81 and a corner 1.10 of what they were.
///
/// A kept unit becomes s with probability q: mean q s, variance q (1 - q) s^2 over n planes.
#[test]
fn expectation_is_preserved_at_every_position() -> Result<(), Error> {
    let planes = 200_000;
    let shape = Shape::nchw(1, planes, 14, 14);
    let positions = [("corner", 0), ("edge", 7), ("centre", 7 * 14 + 7)];
    for (scale, means) in
        [(Scale::PerPosition, [1.0, 1.0, 1.0]), (Scale::PerTensor, [1.0955, 1.0551, 0.8108])]
    {
        for region in [Region::Valid, Region::Full] {
            if scale == Scale::PerTensor && region == Region::Full {
                continue;
            }
            let layer = DropBlock::new(7, 0.1)?.with_scale(scale).with_region(region);
            let plan = layer.plan(shape)?;
            let mut x = vec![1.0_f64; plan.elements()];
            plan.forward_in_place(Key::new(15), &mut x)?;
            for ((name, position), expected) in positions.into_iter().zip(means) {
                let n = planes as f64;
                let s = plan.position_scale::<f64>(position)?;
                let mean = x.iter().skip(position).step_by(196).sum::<f64>() / n;
                // The paper's scale is at most 1.2, as that of any position but the centre.
                let sigma = ((1.0 - 1.0 / s) / n).sqrt() * s.max(1.2);
                let bound = 5.0 * sigma + 1e-3 * f64::from(scale == Scale::PerTensor);
                assert!((mean - expected).abs() < bound, "{scale:?} {region:?} {name}: {mean}");
            }
        }
    }
    Ok(())
}

#[test]
fn position_scales_are_those_of_the_formula() -> Result<(), Error> {
    let plan =
        DropBlock::new(3, 0.2)?.with_scale(Scale::PerPosition).plan(Shape::nchw(1, 1, 5, 4))?;
    // Covered by 1, 2, 3, 2, 1 rows of places and 1, 2, 2, 1 columns.
    for (h, rows) in [1, 2, 3, 2, 1].into_iter().enumerate() {
        for (w, columns) in [1, 2, 2, 1].into_iter().enumerate() {
            let expected = (1.0 - plan.gamma()).powi(-(rows * columns));
            let given = plan.position_scale::<f64>(h * 4 + w)?;
            assert!((given - expected).abs() < 1e-14, "{h} {w}: {given} for {expected}");
        }
    }
    assert_eq!(plan.position_scale::<f32>(20), Err(Error::Position { positions: 20, given: 20 }));
    // Never infinite, however sure a unit is to be dropped.
    let all = DropBlock::new(3, 1.0)?.with_gamma(Gamma::Exact)?.plan(Shape::nchw(1, 1, 5, 4))?;
    assert_eq!(all.position_scale::<f32>(7)?, 0.0);
    Ok(())
}

/// With the generator of a key's first segment, 4096 places, the centres are those of the key. A second
/// segment goes on with the same generator.
#[test]
fn centers_from_a_generator_are_those_of_a_key_with_its_streams() -> Result<(), Error> {
    let key = Key::new(5).with_step(3);
    let state = reference::generator_state(&key, 0);
    let mut seed = [0; 16];
    for (bytes, word) in seed.as_chunks_mut().0.iter_mut().zip(state) {
        *bytes = word.to_le_bytes();
    }
    for region in [Region::Valid, Region::Full] {
        let layer = DropBlock::new(5, 0.2)?.with_region(region);
        for samples in [5, 500] {
            let plan = layer.plan(Shape::nchw(samples, 4, 14, 14))?;
            let (mut expected, mut centers) =
                (vec![!0; plan.mask_words()], vec![!0; plan.mask_words()]);
            let of_key = plan.draw_centers(key, &mut expected)?;
            let count =
                plan.draw_centers_from(&mut Xoshiro128PlusPlus::from_seed(seed), &mut centers)?;
            let ones: u32 = centers.iter().map(|word| word.count_ones()).sum();
            assert_eq!(count, u64::from(ones));
            // Those of the first segment: 20 maps of 14 x 14 have fewer places.
            assert_eq!(centers[..20 * 14 * 14 / 64], expected[..20 * 14 * 14 / 64]);
            if samples == 5 {
                assert_eq!((count, &centers), (of_key, &expected));
            } else {
                // Other draws: two counts differ by 6 sigma of the difference at most.
                assert!((count as f64 - of_key as f64).abs() < 6.0 * (2.0 * of_key as f64).sqrt());
            }
        }
    }
    Ok(())
}

#[test]
fn alignment_moves_centers_not_valid_masks() -> Result<(), Error> {
    for block in 1..9 {
        for (region, same) in [(Region::Valid, true), (Region::Full, block % 2 == 1)] {
            let plan = |alignment| {
                let layer = DropBlock::new(block, 0.3)?.with_region(region);
                layer.with_alignment(alignment).plan(Shape::nchw(4, 8, 15, 16))
            };
            let before = mask(&plan(Alignment::Before)?, Key::new(5))?;
            let after = mask(&plan(Alignment::After)?, Key::new(5))?;
            assert_eq!(before == after, same, "{block} {region:?}");
        }
    }
    Ok(())
}

#[test]
fn nothing_to_drop_changes_nothing() -> Result<(), Error> {
    let layer = DropBlock::new(7, 0.4)?;
    let shape = Shape::nchw(2, 3, 14, 14);
    let x = tensor(shape.len()?);
    let evaluation = layer.with_training(false);
    for layer in [evaluation, evaluation.with_scale(Scale::Fixed), DropBlock::new(7, 0.0)?] {
        let plan = layer.plan(shape)?;
        let (mut y, mut z) = (vec![1.0; x.len()], x.clone());
        let mut words = vec![!0; plan.mask_words()];
        let nothing = DropCount { dropped: 0, total: plan.units() as u64 };
        let mask = plan.draw(Key::new(1), &mut words)?;
        assert_eq!(mask.count(), nothing);
        mask.forward(&x, &mut y)?;
        assert_eq!(plan.forward_in_place(Key::new(1), &mut z)?.count(), Some(nothing));
        assert_eq!((bits_of(&y), bits_of(&z)), (bits_of(&x), bits_of(&x)));
        assert!(words.iter().all(|&word| word == 0));
        assert_eq!(plan.expected_dropped(), 0.0);
    }
    Ok(())
}

fn everything_dropped<T: Element>(nan: T) -> Result<(), Error> {
    for scale in [Scale::PerTensor, Scale::PerSample, Scale::PerMap, Scale::Fixed] {
        let layer = DropBlock::new(3, 1.0)?.with_gamma(Gamma::Exact)?.with_scale(scale);
        let plan = layer.plan(Shape::nchw(2, 3, 9, 8))?;
        let mut x = vec![nan; plan.elements()];
        let count = plan.forward_in_place(Key::new(1), &mut x)?.count().unwrap_or_default();
        assert_eq!(count, DropCount { dropped: 432, total: 432 });
        assert_eq!(plan.scale::<T>(count), T::Scale::ZERO);
        assert!(x.iter().all(|&x| x == T::ZERO));
    }
    Ok(())
}

#[test]
fn everything_dropped_gives_zeros() -> Result<(), Error> {
    everything_dropped(f32::NAN)?;
    everything_dropped(f64::INFINITY)
}

/// Scaling over any group of any shared mask preserves the sum of a tensor of ones.
#[test]
fn the_mean_is_preserved() -> Result<(), Error> {
    for &sharing in Sharing::ALL {
        for scale in [Scale::PerTensor, Scale::PerSample, Scale::PerMap] {
            let layer = DropBlock::new(5, 0.2)?.with_sharing(sharing).with_scale(scale);
            let plan = layer.plan(Shape::nhwc(3, 28, 29, 4))?;
            let mut x = vec![1.0_f64; plan.elements()];
            let mut bits = vec![0; plan.mask_words()];
            plan.draw(Key::new(6), &mut bits)?.forward_in_place(&mut x)?;
            let sum: f64 = x.iter().sum();
            let len = plan.elements() as f64;
            assert!((sum - len).abs() < 1e-9 * len, "{sharing:?} {scale:?}: {sum} of {len}");
        }
    }
    Ok(())
}

/// Forward and backward are one linear map, which is its own transpose: <f(x), g> = <x, b(g)>.
#[test]
fn backward_is_the_gradient_of_forward() -> Result<(), Error> {
    for &scale in Scale::ALL {
        let layer = DropBlock::new(3, 0.3)?.with_scale(scale);
        let plan = layer.plan(Shape::nchw(3, 4, 9, 11))?;
        let key = Key::new(8).with_step(2);
        let x: Vec<f64> = (0..plan.elements()).map(|i| (i as f64 * 0.7).sin()).collect();
        let g: Vec<f64> = (0..plan.elements()).map(|i| (i as f64 * 1.3).cos()).collect();
        let (mut y, mut dx) = (x.clone(), g.clone());
        let drawn = plan.forward_in_place(key, &mut y)?;
        plan.backward_in_place(drawn, &mut dx)?;
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        assert!((dot(&y, &g) - dot(&x, &dx)).abs() < 1e-9);
        // And element by element: dx is g where y is not 0, scaled alike.
        for ((y, x), (dx, g)) in y.iter().zip(&x).zip(dx.iter().zip(&g)) {
            assert!((y * g - dx * x).abs() < 1e-12);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::suite::cases()))]

    #[test]
    fn f64_equals_the_reference(case in cases()) {
        let expected = case.expected_mask();
        let [x_len, y_len] = case.lens();
        let x: Vec<f64> = tensor(x_len).into_iter().map(f64::from).collect();
        let dirty: Vec<f64> = dirty(y_len).into_iter().map(f64::from).collect();
        let bits = |x: &[f64]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        let expected_y = bits(&case.expected_out((&expected, true), &x, &dirty));
        for backend in Backend::available() {
            let mut y = dirty.clone();
            let (from, to) = (case.view(&x), case.view_mut(&mut y));
            prop_assert!(case.plan(backend).forward(case.key, from, to).is_ok());
            prop_assert_eq!(bits(&y), &*expected_y);
        }
    }

    #[test]
    fn layouts_agree(case in cases()) {
        let one = mask(&case.plan(Backend::Simd), case.key);
        for &layout in Layout::ALL {
            let (samples, channels) = (case.shape.samples(), case.shape.channels());
            let shape = Shape::new(samples, channels, case.shape.map(), layout);
            let other = Case { shape, ..case };
            prop_assert_eq!(&one, &mask(&other.plan(Backend::Simd), case.key));
        }
    }
}

#[test]
fn plans_are_shared_by_threads_and_built_in_constants() -> Result<(), Error> {
    const PLAN: Plan = match DropBlock::new(7, 0.1) {
        Ok(layer) => match layer.plan(Shape::nchw(2, 16, 14, 14)) {
            Ok(plan) => plan,
            Err(_) => panic!("shape"),
        },
        Err(_) => panic!("options"),
    };
    let plan = DropBlock::new(7, 0.1)?.plan(Shape::nchw(2, 16, 14, 14))?;
    let expected = mask(&plan, Key::new(1))?;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| mask(&PLAN, Key::new(1)))).collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap_or(Ok(Vec::new())), Ok(expected.clone()));
        }
    });
    Ok(())
}
