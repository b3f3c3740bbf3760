//! Abuse by what is passed in: buffers, counts and masks of other plans, dirty ones, values that are
//! not ordinary, keys and ranges at the limits. There is a typed error or the right answer, and
//! nothing is written where there is an error.

use std::thread;

use dropblock::{
    Backend, DropBlock, Dropped, Error, Gamma, Key, Layout, Map, MaskView, Region, Scale, Shape,
    Sharing,
};

use crate::abuse::Numbers;
use crate::case::{Case, bits_of, count, pack, tensor};

/// Found by fuzzing: of a signalling NaN the reference makes a quiet one where a plan that can drop
/// nothing copies, as it promises, whatever the gamma of 0 comes from.
#[test]
fn signalling_nan_survive_where_nothing_can_be_dropped() -> Result<(), Error> {
    let shape = Shape::ncl(3, 22, 44);
    for gamma in [Gamma::Raw(0.0), Gamma::Paper { scale: 6.6e-96 }, Gamma::paper_group(2)] {
        for scale in [Scale::Tensor, Scale::Channel, Scale::None, Scale::PerPosition] {
            for backend in Backend::available() {
                let layer = DropBlock::new(45, 0.07)?.with_gamma(gamma)?.with_scale(scale);
                let plan = layer.with_backend(backend)?.plan(shape)?;
                let x = vec![f32::from_bits(0x7f8a_946b); plan.len()];
                let (mut y, mut mask) = (vec![0.0; x.len()], vec![!0; plan.mask_len()]);
                plan.forward(Key::new(1), &x, &mut y, Some(&mut mask))?;
                assert!(bits_of(&y) == bits_of(&x) && mask.iter().all(|&word| word == 0));
            }
        }
    }
    Ok(())
}

/// A plan with buffers, counts and masks of another: an error, or its own result, never a word
/// past the buffer.
#[test]
fn wrong_plans() -> Result<(), Error> {
    let layer = DropBlock::new(3, 0.4)?;
    let shapes = [(2, 3, 5, 7), (2, 3, 7, 5), (1, 3, 5, 7), (4, 3, 5, 7), (2, 3, 5, 70)];
    for (i, a) in shapes.into_iter().enumerate() {
        for (j, b) in shapes.into_iter().enumerate() {
            let plan = layer.plan(Shape::nchw(a.0, a.1, a.2, a.3))?;
            let other = layer.plan(Shape::nchw(b.0, b.1, b.2, b.3))?;
            let key = Key::new(1);
            let mut mask = vec![0; other.mask_len()];
            let dropped = other.mask(key, &mut mask)?;
            let mut x = vec![1.0_f32; plan.len()];
            let same_units = plan.units() == other.units();
            let result = plan.apply_in_place(&mask, &dropped, &mut x);
            assert_eq!(result.is_ok(), same_units, "plan {i}, mask {j}");
            assert!(result.is_ok() || x.iter().all(|&x| x == 1.0));
            let result = plan.backward_in_place(key, &dropped, &mut x);
            assert_eq!(result.is_ok(), same_units, "plan {i}, count {j}");
            let mut x = vec![1.0_f32; other.len()];
            let result = plan.forward_in_place(key, &mut x, None);
            assert_eq!(result.is_ok(), same_units, "plan {i}, tensor {j}");
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
        let case = Case { layer, shape, key: Key::new(turn), first_sample: 0, noise: false };
        let expected = case.expected_mask();
        for backend in Backend::available() {
            let plan = case.plan(backend);
            let words = plan.mask_len();
            let (past, x) = (mask[words..].to_vec(), tensor(plan.len()));
            let dropped = plan.forward(case.key, &x, &mut y[..plan.len()], Some(&mut mask))?;
            assert_eq!(dropped, count(&expected), "{case:?}");
            assert!(mask[..words] == pack(&expected) && mask[words..] == past, "{case:?}");
            let expected_y = case.expected(&expected, &x, &x);
            assert_eq!(bits_of(&y[..plan.len()]), bits_of(&expected_y), "{case:?}");
        }
    }
    Ok(())
}

/// Bits past the last unit and words past the mask: neither counted nor applied nor changed.
#[test]
fn dirty_bits_past_the_mask() -> Result<(), Error> {
    for backend in Backend::available() {
        let plan = DropBlock::new(3, 0.2)?.with_backend(backend)?.plan(Shape::nchw(1, 3, 5, 7))?;
        let mut clean = vec![0; plan.mask_len()];
        let dropped = plan.mask(Key::new(4), &mut clean)?;
        let mut dirty = clean.clone();
        dirty[1] |= !0 << (105 - 64);
        dirty.extend([!0; 3]);
        assert_eq!(plan.count(&dirty)?, dropped, "{backend}");
        let (mut x, mut y) = (tensor(105), tensor(105));
        plan.apply_in_place(&clean, &dropped, &mut x)?;
        plan.apply_in_place(&dirty, &dropped, &mut y)?;
        assert_eq!(bits_of(&x), bits_of(&y), "{backend}");
        plan.fill_dropped(&clean, &mut x, 9.0)?;
        plan.fill_dropped(&dirty, &mut y, 9.0)?;
        assert_eq!(bits_of(&x), bits_of(&y), "{backend}");
        plan.fill_noise(Key::new(4), &clean, &mut x)?;
        plan.fill_noise(Key::new(4), &dirty, &mut y)?;
        assert_eq!(bits_of(&x), bits_of(&y), "{backend}");
        let view = |mask| plan.view(mask, 0, 2).map(|view: MaskView<'_>| view.dropped());
        assert_eq!(view(&clean)?, view(&dirty)?);
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
        for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
            for scale in [Scale::Tensor, Scale::Channel, Scale::Fixed, Scale::PerPosition] {
                let layer = DropBlock::new(3, 0.2)?.with_scale(scale).with_backend(backend)?;
                let shape = Shape::new(2, 3, Map::hw(16, 33), layout);
                let case = Case { layer, shape, key: Key::new(5), first_sample: 0, noise: false };
                let (mask, plan) = (case.expected_mask(), case.plan(backend));
                let expected = case.expected(&mask, &x, &x);
                for with_mask in [false, true] {
                    let mut words = vec![0; plan.mask_len()];
                    let (mut y, words) = (x.clone(), with_mask.then_some(&mut *words));
                    plan.forward_in_place(case.key, &mut y, words)?;
                    let wrong =
                        bits_of(&y).iter().zip(bits_of(&expected)).position(|(y, e)| *y != e);
                    assert_eq!(wrong, None, "{backend} {case:?}");
                }
                // Nothing is dropped and nothing scaled, not even a signalling NaN made quiet.
                let inference = layer.inference().plan(shape)?;
                let mut y = x.clone();
                inference.forward_in_place(case.key, &mut y, None)?;
                assert_eq!(bits_of(&y), bits_of(&x), "{backend} {case:?}");
                let mut y = vec![1.0; x.len()];
                inference.forward(case.key, &x, &mut y, None)?;
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
        let mut x = tensor(plan.len());
        let mut mask = vec![0; plan.mask_len()];
        let key = Key::new(1).step(step);
        let dropped = plan.forward_in_place(key, &mut x, Some(&mut mask))?;
        plan.backward_in_place(key, &dropped, &mut x)?;
        Ok::<_, Error>((bits_of(&x), mask))
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
    for sharing in [Sharing::SampleChannel, Sharing::Sample, Sharing::Channel, Sharing::All] {
        for region in [Region::Valid, Region::Full] {
            let layer = DropBlock::new(3, 0.2)?.with_sharing(sharing).with_region(region);
            let shape = Shape::nchw(3, 2, 9, 11);
            let plan = layer.plan(shape)?;
            let far = plan.mask(Key::new(0).first_sample(u64::MAX), &mut [0; 10]);
            let last = match far {
                Err(Error::FirstSample { limit, given: u64::MAX }) => limit,
                Ok(_) => u64::MAX,
                Err(error) => panic!("{error}"),
            };
            for word in [0, 1, u64::MAX - 1, u64::MAX, 1 << 63, 1 << 32] {
                for first_sample in [0, 1 << 32, last / 2, last - 1, last] {
                    let key = Key::new(word).step(!word).layer(word).first_sample(first_sample);
                    let case = Case { layer, shape, key, first_sample, noise: false };
                    let (expected, x) = (case.expected_mask(), tensor(plan.len()));
                    let y = bits_of(&case.expected(&expected, &x, &x));
                    for backend in Backend::available() {
                        let plan = case.plan(backend);
                        let mut mask = vec![!0; plan.mask_len()];
                        assert_eq!(plan.mask(key, &mut mask)?, count(&expected), "{case:?}");
                        assert_eq!(mask, pack(&expected), "{case:?}");
                        let mut x = x.clone();
                        plan.forward_in_place(key, &mut x, None)?;
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
        for sharing in [Sharing::SampleChannel, Sharing::Sample, Sharing::Channel, Sharing::All] {
            let layer = DropBlock::new(1, 0.9)?.with_sharing(sharing);
            let shape = Shape::ncl(2, 18, 0);
            let key = Key::new(1).first_sample(first_sample);
            let case = Case { layer, shape, key, first_sample, noise: false };
            assert!(case.expected_mask().is_empty());
            assert_eq!(layer.plan(shape)?.mask(key, &mut [])?, Dropped::default());
        }
    }
    Ok(())
}

/// Views of ranges that run backwards or end at the last number.
#[test]
fn views_at_the_limits() -> Result<(), Error> {
    let words = [!0_u64, 0, 5];
    for end in [193, usize::MAX - 63, usize::MAX - 1, usize::MAX] {
        assert!(matches!(MaskView::new(&words, 0..end), Err(Error::Length { .. })));
    }
    for start in [0, 1, 64, 192, usize::MAX - 1, usize::MAX] {
        let view = MaskView::new(&words, start..start.min(192))?;
        for part in [view, view.part(start..0), view.part(start..usize::MAX), view.part(0..start)] {
            let len = part.len();
            assert!(len <= 192);
            for unit in [len, len.saturating_add(1), 64, usize::MAX - 64, usize::MAX] {
                if unit >= len {
                    assert_eq!(part.keep_word(unit), 0);
                    assert_eq!(part.keep_lanes::<64>(unit), [0; 64]);
                    assert!(!part.is_kept(unit));
                }
            }
            assert!(part.keep_runs().all(|run| run.end <= len));
        }
    }
    let all = MaskView::new(&words, 0..192)?;
    #[allow(clippy::reversed_empty_ranges, reason = "that is what is tried")]
    let backwards = all.part(100..3);
    assert!(backwards.is_empty() && backwards.dropped() == Dropped::default());
    assert!(all.keep_runs().eq([64..128, 129..130, 131..192]));
    Ok(())
}

/// Elements without a size and elements that are no numbers, by dropping without a scale.
#[test]
fn elements_of_any_type() -> Result<(), Error> {
    for backend in Backend::available() {
        for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
            for region in [Region::Valid, Region::Full] {
                let layer = DropBlock::new(3, 0.3)?.with_region(region).with_backend(backend)?;
                let plan = layer.plan(Shape::new(2, 3, Map::hw(9, 10), layout))?;
                let key = Key::new(1);
                let mut mask = vec![0; plan.mask_len()];
                let dropped = plan.drop_only(key, &mut [(); 540], (), Some(&mut mask))?;
                assert_eq!(plan.count(&mask)?, dropped);
                plan.fill_dropped(&mask, &mut [(); 540], ())?;
                let mut words = vec![["kept"; 3]; 540];
                assert_eq!(plan.drop_only(key, &mut words, ["gone"; 3], None)?, dropped);
                let gone = words.iter().filter(|word| **word == ["gone"; 3]).count();
                assert_eq!(gone as u64, dropped.count);
                assert!(words.iter().all(|word| *word == ["gone"; 3] || *word == ["kept"; 3]));
            }
        }
    }
    Ok(())
}
