//! Abuse by what is passed in: buffers, counts and masks of other plans, dirty ones, values that are
//! not ordinary, keys and ranges at the limits. There is a typed error or the right answer, and
//! nothing is written where there is an error.

use std::thread;

use dropblock::{
    Backend, Drawn, DropBlock, DropCount, Error, Fill, Gamma, Keep, Key, Layout, Map, Region,
    Scale, Shape, Sharing,
};
use dropblock_cases::{Numbers, Source as _};

use crate::case::{Case, bits_of, count, pack, tensor};

/// Found by fuzzing: of a signalling NaN the reference makes a quiet one where a plan that can drop
/// nothing copies, as it promises, whatever the gamma of 0 comes from.
#[test]
fn signalling_nan_survive_where_nothing_can_be_dropped() -> Result<(), Error> {
    let shape = Shape::ncl(3, 22, 44);
    for gamma in [Gamma::Raw(0.0), Gamma::Paper { scale: 6.6e-96 }, Gamma::paper_group(2)] {
        for scale in [Scale::PerTensor, Scale::PerMap, Scale::Off, Scale::PerPosition] {
            for backend in Backend::available() {
                let layer = DropBlock::new(45, 0.07)?.with_gamma(gamma)?.with_scale(scale);
                let plan = layer.with_backend(backend)?.plan(shape)?;
                let x = vec![f32::from_bits(0x7f8a_946b); plan.elements()];
                let (mut y, mut words) = (vec![0.0; x.len()], vec![!0; plan.mask_words()]);
                plan.draw(Key::new(1), &mut words)?.forward(&x, &mut y)?;
                assert!(bits_of(&y) == bits_of(&x) && words.iter().all(|&word| word == 0));
            }
        }
    }
    Ok(())
}

/// A plan with buffers, counts and masks of another: an error, or its own result, never a word
/// past the buffer. A mask knows its plan, so that only words and counts can be of another.
#[test]
fn wrong_plans() -> Result<(), Error> {
    let layer = DropBlock::new(3, 0.4)?;
    let shapes = [(2, 3, 5, 7), (2, 3, 7, 5), (1, 3, 5, 7), (4, 3, 5, 7), (2, 3, 5, 70)];
    for (i, a) in shapes.into_iter().enumerate() {
        for (j, b) in shapes.into_iter().enumerate() {
            let plan = layer.plan(Shape::nchw(a.0, a.1, a.2, a.3))?;
            let other = layer.plan(Shape::nchw(b.0, b.1, b.2, b.3))?;
            let key = Key::new(1);
            let mut words = vec![0; other.mask_words()];
            let count = other.draw(key, &mut words)?.count();
            let own = plan.mask_from(&words);
            assert_eq!(own.is_ok(), plan.mask_words() <= words.len(), "plan {i}, words {j}");
            if let Ok(mask) = own {
                let bits = words.iter().flat_map(|word| (0..64).map(move |i| word >> i & 1));
                let dropped = bits.take(plan.units()).sum();
                assert_eq!(mask.count(), DropCount { dropped, total: plan.units() as u64 });
                // The count of more units is a sum if the rest of it is a count.
                let is_sum = count.total >= mask.count().total
                    && (dropped..=dropped + count.total - mask.count().total)
                        .contains(&count.dropped);
                assert_eq!(mask.with_count(count).is_ok(), is_sum, "plan {i}, count {j}");
                let mut x = vec![1.0_f32; other.elements()];
                let result = mask.backward_in_place(&mut x);
                assert_eq!(result.is_ok(), plan.units() == other.units(), "plan {i}, tensor {j}");
                assert!(result.is_ok() || x.iter().all(|&x| x == 1.0));
            }
            let mut x = vec![1.0_f32; plan.elements()];
            let result = plan.backward_in_place(Drawn::from(key).with_count(count), &mut x);
            assert_eq!(result.is_ok(), plan.units() <= other.units(), "plan {i}, count {j}");
            assert!(result.is_ok() || x.iter().all(|&x| x == 1.0));
            let mut x = vec![1.0_f32; other.elements()];
            let result = plan.forward_in_place(key, &mut x);
            assert_eq!(result.is_ok(), plan.units() == other.units(), "plan {i}, tensor {j}");
            assert!(result.is_ok() || x.iter().all(|&x| x == 1.0));
        }
    }
    Ok(())
}

/// One set of buffers for many plans, never cleared: what is left over decides nothing.
#[test]
fn reused_and_dirty_buffers() -> Result<(), Error> {
    let mut mask = vec![!0_u64; 400];
    let mut y = vec![f32::NAN; 20_000];
    for turn in 0..80_u64 {
        let mut numbers = Numbers(turn);
        let shape = Shape::nchw(
            1 + numbers.below(3),
            1 + numbers.below(5),
            1 + numbers.below(30),
            1 + numbers.below(40),
        );
        let region = [Region::Valid, Region::Full][numbers.below(2)];
        let layer = DropBlock::new(1 + numbers.below(6), 0.3)?.with_region(region);
        let case = Case::new(layer, shape, Key::new(turn));
        let expected = case.expected_mask();
        for backend in Backend::available() {
            let plan = case.plan(backend);
            let (words, len) = (plan.mask_words(), plan.elements());
            let (past, x) = (mask[words..].to_vec(), tensor(len));
            let drawn = plan.draw(case.key, &mut mask)?;
            assert_eq!(drawn.count(), count(&expected), "{case:?}");
            drawn.forward(&x, &mut y[..len])?;
            assert!(mask[..words] == pack(&expected) && mask[words..] == past, "{case:?}");
            let expected_y = case.expected(&expected, &x, &x);
            assert_eq!(bits_of(&y[..len]), bits_of(&expected_y), "{case:?}");
        }
    }
    Ok(())
}

/// Bits past the last unit and words past the mask: neither counted nor applied nor changed.
#[test]
fn dirty_bits_past_the_mask() -> Result<(), Error> {
    for backend in Backend::available() {
        let layer = DropBlock::new(3, 0.2)?.with_fill(Fill::Noise).with_backend(backend)?;
        let plan = layer.plan(Shape::nchw(1, 3, 5, 7))?;
        let key = Key::new(4);
        let mut clean = vec![0; plan.mask_words()];
        let count = plan.draw(key, &mut clean)?.count();
        let mut dirty = clean.clone();
        dirty[1] |= !0 << (105 - 64);
        dirty.extend([!0; 3]);
        let masks = [plan.mask_from(&clean)?, plan.mask_from(&dirty)?];
        let [clean_mask, dirty_mask] = masks;
        assert_eq!((clean_mask.count(), dirty_mask.count()), (count, count), "{backend}");
        assert_eq!(dirty_mask.count_group(0)?, count, "{backend}");
        type Pass<'p> = &'p dyn Fn(usize, &mut [f32]) -> Result<(), Error>;
        let same = |of: Pass<'_>| {
            let (mut x, mut y) = (tensor(105), tensor(105));
            of(0, &mut x)?;
            of(1, &mut y)?;
            assert_eq!(bits_of(&x), bits_of(&y), "{backend}");
            Ok::<_, Error>(())
        };
        same(&|i, x| masks[i].backward_in_place(&mut *x))?;
        same(&|i, x| masks[i].with_key(key)?.forward_in_place(&mut *x))?;
        same(&|i, x| masks[i].drop_only(&mut *x, 9.0))?;
        let [a, b] = [clean_mask.map(0, 2)?, dirty_mask.map(0, 2)?];
        assert!(a.keep().runs().eq(b.keep().runs()));
        assert_eq!(a.scale::<f32>(), b.scale::<f32>());
        let before = dirty.clone();
        plan.dilate(&mut dirty)?;
        assert_eq!(dirty[1] >> 41, before[1] >> 41, "{backend}");
        assert_eq!(dirty[2..], before[2..], "{backend}");
    }
    Ok(())
}

/// Denormals, NaN with payloads of both kinds, infinities and zeros of both signs: dropped ones are
/// +0.0, kept ones the product of the scale, and at inference every bit is what it was.
#[test]
fn values_that_are_not_ordinary() -> Result<(), Error> {
    let special = [
        0x0000_0001,
        0x8000_0001,
        0x007f_ffff,
        0x807f_ffff,
        0x0080_0000,
        0x7f80_0000,
        0xff80_0000,
        0x7f7f_ffff,
        0x8000_0000,
        0x0000_0000,
        0x7fc0_0000,
        0xffc1_2345,
        0x7f80_0001,
        0xff81_2345,
        0x7fff_ffff,
        0xffff_ffff,
    ];
    let x: Vec<f32> = (0..2 * 3 * 16 * 33).map(|i| f32::from_bits(special[i % 16])).collect();
    for backend in Backend::available() {
        for &layout in Layout::ALL {
            for scale in [Scale::PerTensor, Scale::PerMap, Scale::Fixed, Scale::PerPosition] {
                let layer = DropBlock::new(3, 0.2)?.with_scale(scale).with_backend(backend)?;
                let shape = Shape::new(2, 3, Map::hw(16, 33), layout);
                let case = Case::new(layer, shape, Key::new(5));
                let (mask, plan) = (case.expected_mask(), case.plan(backend));
                let expected = case.expected(&mask, &x, &x);
                for with_mask in [false, true] {
                    let (mut y, mut words) = (x.clone(), vec![0; plan.mask_words()]);
                    if with_mask {
                        plan.draw(case.key, &mut words)?.forward_in_place(&mut y)?;
                    } else {
                        plan.forward_in_place(case.key, &mut y)?;
                    }
                    let wrong =
                        bits_of(&y).iter().zip(bits_of(&expected)).position(|(y, e)| *y != e);
                    assert_eq!(wrong, None, "{backend} {case:?}");
                }
                // Nothing is dropped and nothing scaled, not even a signalling NaN made quiet.
                let inference = layer.with_training(false).plan(shape)?;
                let mut y = x.clone();
                inference.forward_in_place(case.key, &mut y)?;
                assert_eq!(bits_of(&y), bits_of(&x), "{backend} {case:?}");
                let mut y = vec![1.0; x.len()];
                inference.forward(case.key, &x, &mut y)?;
                assert_eq!(bits_of(&y), bits_of(&x), "{backend} {case:?}");
            }
        }
    }
    Ok(())
}

/// One plan and one mask buffer, read by many threads at once, each with keys of its own.
#[test]
fn one_plan_in_many_threads() -> Result<(), Error> {
    let plan = DropBlock::new(3, 0.2)?.plan(Shape::nchw(2, 5, 20, 21))?;
    let run = |step: u64| {
        let mut x = tensor(plan.elements());
        let mut words = vec![0; plan.mask_words()];
        let key = Key::new(1).with_step(step);
        let mask = plan.draw(key, &mut words)?;
        mask.forward_in_place(&mut x)?;
        let Some(drawn) = mask.drawn() else { panic!("a drawn mask has a key") };
        plan.backward_in_place(drawn, &mut x)?;
        Ok::<_, Error>((bits_of(&x), words))
    };
    let alone: Vec<_> = (0..40).map(run).collect::<Result<_, _>>()?;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| (0..40).map(run).collect::<Result<Vec<_>, _>>()))
            .collect();
        for thread in threads {
            let Ok(result) = thread.join() else { panic!("a thread panicked") };
            assert_eq!(result.as_ref(), Ok(&alone));
        }
    });
    Ok(())
}

/// Keys at the limits: every seed, step and layer is as good as any other, and the last sample that
/// still has numbers gives the same mask with a stored mask and without.
#[test]
fn keys_at_the_limits() -> Result<(), Error> {
    for &sharing in Sharing::ALL {
        for &region in Region::ALL {
            let layer = DropBlock::new(3, 0.2)?.with_sharing(sharing).with_region(region);
            let shape = Shape::nchw(3, 2, 9, 11);
            let plan = layer.plan(shape)?;
            let far = plan.count(Key::new(0).with_first_sample(u64::MAX));
            let last = match far {
                Err(Error::FirstSample { limit, given: u64::MAX }) => limit,
                Ok(_) => u64::MAX,
                Err(error) => panic!("{error}"),
            };
            for word in [0, 1, u64::MAX - 1, u64::MAX, 1 << 63, 1 << 32] {
                for first_sample in [0, 1 << 32, last / 2, last - 1, last] {
                    let key = Key::from_words([word, !word, word, first_sample]);
                    let case = Case::new(layer, shape, key);
                    let (expected, x) = (case.expected_mask(), tensor(plan.elements()));
                    let y = bits_of(&case.expected(&expected, &x, &x));
                    for backend in Backend::available() {
                        let plan = case.plan(backend);
                        let mut words = vec![!0; plan.mask_words()];
                        let mask = plan.draw(key, &mut words)?;
                        assert_eq!(mask.count(), count(&expected), "{case:?}");
                        assert_eq!(mask.dropped_words(), pack(&expected), "{case:?}");
                        let mut x = x.clone();
                        plan.forward_in_place(key, &mut x)?;
                        assert_eq!(bits_of(&x), y, "{case:?}");
                    }
                }
            }
        }
    }
    Ok(())
}

/// Found by fuzzing: the reference overflowed for maps that have no positions to be numbered.
#[test]
fn every_first_sample_does_for_empty_maps() -> Result<(), Error> {
    for first_sample in [u64::MAX / 18, u64::MAX - 1, u64::MAX] {
        for &sharing in Sharing::ALL {
            let layer = DropBlock::new(1, 0.9)?.with_sharing(sharing);
            let shape = Shape::ncl(2, 18, 0);
            let key = Key::new(1).with_first_sample(first_sample);
            let case = Case::new(layer, shape, key);
            assert!(case.expected_mask().is_empty());
            let plan = layer.plan(shape)?;
            assert_eq!(plan.draw(key, &mut [])?.count(), DropCount::default());
        }
    }
    Ok(())
}

/// Ranges that run backwards or end at the last number.
#[test]
fn ranges_at_the_limits() -> Result<(), Error> {
    let words = [!0_u64, 0, 5];
    for end in [193, usize::MAX - 63, usize::MAX - 1, usize::MAX] {
        assert!(matches!(Keep::new(&words, 0..end), Err(Error::Length { .. })));
    }
    for start in [0, 1, 64, 192, usize::MAX - 1, usize::MAX] {
        let keep = Keep::new(&words, start..start.min(192))?;
        for part in [keep, keep.part(start..0), keep.part(start..usize::MAX), keep.part(0..start)] {
            let len = part.len();
            assert!(len <= 192);
            for unit in [len, len.saturating_add(1), 64, usize::MAX - 64, usize::MAX] {
                if unit >= len {
                    assert_eq!(part.word(unit), 0);
                    assert_eq!(part.lanes::<64>(unit), [0; 64]);
                    assert!(!part.is_kept(unit));
                }
            }
            assert!(part.runs().all(|run| run.end <= len));
        }
    }
    let all = Keep::new(&words, 0..192)?;
    #[allow(clippy::reversed_empty_ranges, reason = "that is what is tried")]
    let backwards = all.part(100..3);
    assert!(backwards.is_empty());
    assert!(all.runs().eq([64..128, 129..130, 131..192]));
    Ok(())
}

/// Elements without a size and elements that are no numbers, by dropping without a scale.
#[test]
fn elements_of_any_type() -> Result<(), Error> {
    for backend in Backend::available() {
        for &layout in Layout::ALL {
            for &region in Region::ALL {
                let layer = DropBlock::new(3, 0.3)?.with_region(region).with_backend(backend)?;
                let plan = layer.plan(Shape::new(2, 3, Map::hw(9, 10), layout))?;
                let key = Key::new(1);
                let mut words = vec![0; plan.mask_words()];
                let mask = plan.draw(key, &mut words)?;
                assert_eq!(Some(plan.drop_only(key, &mut [(); 540], ())?), mask.drawn());
                mask.drop_only(&mut [(); 540], ())?;
                let mut words = vec![["kept"; 3]; 540];
                assert_eq!(Some(plan.drop_only(key, &mut words, ["gone"; 3])?), mask.drawn());
                let gone = words.iter().filter(|word| **word == ["gone"; 3]).count();
                assert_eq!(gone as u64, mask.count().dropped);
                assert!(words.iter().all(|word| *word == ["gone"; 3] || *word == ["kept"; 3]));
                let before = words.clone();
                mask.drop_only(&mut words, ["gone"; 3])?;
                assert_eq!(words, before);
            }
        }
    }
    Ok(())
}
