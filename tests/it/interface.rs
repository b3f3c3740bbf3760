//! The interface as callers meet it: whole programs, and what each type promises.

use std::collections::HashSet;

use dropblock::{
    Alignment, Backend, BlockSize, Buffer, Drawn, DropBlock, DropCount, Element, Error, Fill,
    Gamma, Key, Layout, MASK_VERSION, Map, Plan, Region, Scale, Schedule, Shape, Sharing, View,
    ViewMut,
};

use crate::case::{bits_of, tensor};

const SHAPE: Shape = Shape::nchw(4, 6, 14, 14);

fn plan() -> Result<Plan, Error> {
    DropBlock::new(7, 0.1)?.plan(SHAPE)
}

/// (a) A training step: three stages, and the mask says what it is.
#[test]
fn a_training_step() -> Result<(), Error> {
    let (seed, step, zero_point) = (2024, 17, -3_i8);
    let (mut x, mut dy) = (tensor(4704), tensor(4704));
    let mut q = vec![20_i8; 4704];
    let before = (x.clone(), dy.clone());

    let layer = DropBlock::new(7, 0.1)?;
    let plan = layer.plan(SHAPE)?;
    let mut words = vec![0; plan.mask_words()];
    let key = Key::new(seed).with_step(step).with_layer(3);
    let mask = plan.draw(key, &mut words)?;
    mask.forward_in_place(&mut x)?;
    mask.backward_in_place(&mut dy)?;
    mask.drop_only(&mut q, zero_point)?;

    assert_eq!(bits_of(&x), bits_of(&dy));
    let scale = plan.scale::<f32>(mask.count());
    for (unit, q) in q.into_iter().enumerate() {
        let dropped = mask.dropped_words()[unit / 64] >> (unit % 64) & 1 == 1;
        let expected = if dropped { 0.0 } else { before.0[unit] * scale };
        assert_eq!(x[unit].to_bits(), expected.to_bits());
        assert_eq!(q, if dropped { zero_point } else { 20 });
    }
    assert!(mask.count().dropped > 0 && mask.count().fraction() < 0.2);
    Ok(())
}

/// (b) Nothing kept between the passes but a few words that belong together.
#[test]
fn passes_without_a_buffer() -> Result<(), Error> {
    let (plan, key) = (plan()?, Key::new(1).with_step(9));
    let (mut x, mut dy, mut same) = (tensor(4704), tensor(4704), tensor(4704));
    let drawn = plan.forward_in_place(key, &mut x)?;
    plan.backward_in_place(drawn, &mut dy)?;
    plan.backward_in_place(key, &mut same)?;
    assert_eq!((bits_of(&x), bits_of(&x)), (bits_of(&dy), bits_of(&same)));
    assert_eq!(plan.count(key)?, drawn);
    assert_eq!((drawn.key(), drawn.count().map(|count| count.total)), (key, Some(4704)));
    Ok(())
}

/// (c) A schedule, a smaller last batch, evaluation, micro-batches.
#[test]
fn schedules_last_batches_evaluation_and_micro_batches() -> Result<(), Error> {
    let (schedule, total) = (Schedule::linear(0.0, 0.1)?, 1000);
    let layer = DropBlock::new(7, 0.5)?;
    for step in [0, 500, 1000] {
        let plan = layer.with_drop_prob(schedule.at(step, total))?.plan(SHAPE)?;
        assert_eq!(plan, DropBlock::new(7, step as f64 / 1e4)?.plan(SHAPE)?);
        let last = plan.with_samples(3)?;
        assert_eq!(last, plan.layer().plan(Shape::nchw(3, 6, 14, 14))?);
        assert_eq!((last.elements(), last.mask_words()), (3528, 56));
    }
    let (plan, key) = (layer.plan(SHAPE)?, Key::new(1));
    let eval = layer.with_training(false);
    assert_eq!(eval.plan(SHAPE)?.count(key)?.count().map(|count| count.dropped), Some(0));
    assert_eq!(eval.with_training(true), layer);

    let mut whole = vec![0; plan.mask_words()];
    let whole = plan.draw(key, &mut whole)?;
    let (half, mut words) = (plan.with_samples(2)?, vec![0; plan.mask_words()]);
    let second_micro_batch = key.with_first_sample(2);
    // Absolute, not added.
    assert_eq!(second_micro_batch.with_first_sample(2), second_micro_batch);
    let second = half.draw(second_micro_batch, &mut words)?;
    for (map, of_whole) in second.maps()?.zip(whole.maps()?.skip(2 * 6)) {
        assert!(map.keep().runs().eq(of_whole.keep().runs()));
    }
    Ok(())
}

/// (d) Shards of a batch: masks agree by the first sample, scales by the sum of counts.
#[test]
fn shards_of_a_batch() -> Result<(), Error> {
    let (plan, key) = (plan()?, Key::new(5));
    let shard = plan.with_samples(2)?;
    let mut x = tensor(4704);
    let (mut y, mut z) = (x.clone(), x.clone());
    plan.forward_in_place(key, &mut x)?;
    let count = |first| Ok(shard.count(key.with_first_sample(first))?.count().unwrap_or_default());
    let sum = |own: DropCount, first| {
        let others: DropCount = count(first)?;
        let (dropped, total) = (own.dropped + others.dropped, own.total + others.total);
        Ok::<_, Error>(DropCount { dropped, total })
    };
    let mut words = vec![0; shard.mask_words()];
    for (first, elsewhere) in [(0, 2), (2, 0)] {
        let mask = shard.draw(key.with_first_sample(first), &mut words)?;
        let mask = mask.with_count(sum(mask.count(), elsewhere)?)?;
        let part = first as usize * 1176..(first as usize + 2) * 1176;
        mask.forward_in_place(&mut y[part.clone()])?;
        let drawn = shard.count(key.with_first_sample(first))?;
        let drawn = drawn.with_count(sum(count(first)?, elsewhere)?);
        assert_eq!(mask.drawn(), Some(drawn));
        // The words and the sum are all that a context keeps.
        assert_eq!(Drawn::from_words(drawn.to_words()), drawn);
        shard.forward_in_place(drawn, &mut z[part])?;
    }
    assert_eq!((bits_of(&y), bits_of(&z)), (bits_of(&x), bits_of(&x)));
    Ok(())
}

/// (e) Centres, or a mask of the caller's own.
#[test]
fn centres_and_masks_of_the_callers_own() -> Result<(), Error> {
    let plan = DropBlock::new(7, 0.1)?.with_fill(Fill::Noise).plan(SHAPE)?;
    let (key, mut words) = (Key::new(1), vec![0; plan.mask_words()]);
    plan.draw_centers(key, &mut words)?;
    plan.dilate(&mut words)?;
    let mask = plan.mask_from(&words)?;
    assert_eq!(Some(mask.count()), plan.count(key)?.count());

    // It has no key, so that noise is refused until it has, and nothing is written before.
    let (mut x, mut y) = (tensor(4704), tensor(4704));
    let before = bits_of(&x);
    assert_eq!(mask.forward_in_place(&mut x), Err(Error::NoKey));
    assert_eq!(mask.forward(&vec![1.0; 4704], &mut x), Err(Error::NoKey));
    assert_eq!((mask.drawn(), bits_of(&x)), (None, before));
    mask.with_key(key)?.forward_in_place(&mut x)?;
    plan.forward_in_place(key, &mut y)?;
    assert_eq!(bits_of(&x), bits_of(&y));
    // The backward pass does not know noise.
    let (mut x, mut y) = (tensor(4704), tensor(4704));
    mask.backward_in_place(&mut x)?;
    plan.backward_in_place(key, &mut y)?;
    assert_eq!(bits_of(&x), bits_of(&y));
    Ok(())
}

/// (f) Fused into the caller's loop.
#[test]
fn fused_into_a_loop_of_the_callers() -> Result<(), Error> {
    let (plan, mut words) = (plan()?, vec![0; 74]);
    let mask = plan.draw(Key::new(1), &mut words)?;
    let (mut x, mut y): (Vec<f32>, Vec<f32>) = (tensor(4704), tensor(4704));
    y.iter_mut().for_each(|y| *y = y.max(0.0));
    mask.forward_in_place(&mut y)?;
    for map in mask.maps()? {
        let (keep, scale) = (map.keep(), map.scale::<f32>());
        for (i, x) in x[map.elements()].iter_mut().enumerate() {
            *x = if keep.is_kept(i) { x.max(0.0) * scale } else { 0.0 };
        }
    }
    assert_eq!(bits_of(&x), bits_of(&y));

    // Maps that are not contiguous are refused; one by one they are served.
    let last = plan.layer().plan(Shape::nhwc(4, 14, 14, 6))?;
    let of_last = last.mask_from(mask.dropped_words())?;
    assert_eq!(of_last.maps().err(), Some(Error::Layout));
    for (n, c) in [(0, 0), (3, 5)] {
        let (map, same) = (of_last.map(n, c)?, mask.map(n, c)?);
        assert!(map.keep().runs().eq(same.keep().runs()));
        assert_eq!(map.scale::<f64>(), same.scale::<f64>());
    }
    Ok(())
}

/// (g) The strides of a call are the call's: signed, different for input and output.
#[test]
fn strides_belong_to_the_call() -> Result<(), Error> {
    let plan = DropBlock::new(3, 0.2)?.plan(Shape::nchw(2, 3, 5, 7))?;
    let mut words = vec![0; plan.mask_words()];
    let mask = plan.draw(Key::new(1), &mut words)?;
    // One row, upside down for all maps; rows of the output are padded to 9.
    let (data, mut out) = (tensor(7), vec![-1.0_f32; 270]);
    let input = View::new(&data, 6, [0, 0, 0, 0, -1]);
    mask.forward(input, ViewMut::new(&mut out, 0, [135, 45, 0, 9, 1]))?;
    let x: Vec<f32> = (0..210).map(|unit| data[6 - unit % 7]).collect();
    let mut y = vec![0.0; 210];
    mask.forward(&x, &mut y)?;
    let (rows, gaps): (Vec<f32>, Vec<f32>) =
        out.chunks(9).fold(Default::default(), |(mut rows, mut gaps), row| {
            rows.extend(&row[..7]);
            gaps.extend(&row[7..]);
            (rows, gaps)
        });
    assert_eq!(bits_of(&rows), bits_of(&y));
    assert!(gaps.iter().all(|&gap| gap == -1.0));
    // The number of elements is that of the tensor, whatever a view reaches.
    assert_eq!((plan.elements(), plan.units()), (210, 210));
    Ok(())
}

#[test]
fn options_are_got_as_they_were_set() -> Result<(), Error> {
    let layer = DropBlock::new(7, 0.1)?;
    assert_eq!((layer.block_size(), layer.drop_prob()), (BlockSize::uniform(7), 0.1));
    assert_eq!((layer.gamma(), layer.fill()), (Gamma::Paper { scale: 1.0 }, Fill::Zero));
    assert_eq!((layer.region(), layer.alignment()), (Region::Valid, Alignment::Before));
    assert_eq!((layer.sharing(), layer.scale()), (Sharing::None, Scale::PerTensor));
    assert!(layer.is_training() && !layer.with_training(false).is_training());
    assert_eq!(layer.with_drop_prob(0.25)?.drop_prob(), 0.25);
    assert_eq!(layer.with_block_size(BlockSize::hw(2, 3))?.block_size(), BlockSize::hw(2, 3));
    assert_eq!(layer.with_gamma(Gamma::Exact)?.gamma(), Gamma::Exact);
    for &region in Region::ALL {
        assert_eq!(layer.with_region(region).region(), region);
    }
    for &alignment in Alignment::ALL {
        assert_eq!(layer.with_alignment(alignment).alignment(), alignment);
    }
    for &sharing in Sharing::ALL {
        assert_eq!(layer.with_sharing(sharing).sharing(), sharing);
    }
    for &scale in Scale::ALL {
        assert_eq!(layer.with_scale(scale).scale(), scale);
    }
    for &fill in Fill::ALL {
        assert_eq!(layer.with_fill(fill).fill(), fill);
    }
    for given in [7.0, -0.1, f64::INFINITY] {
        assert_eq!(layer.with_drop_prob(given), Err(Error::DropProb { given }));
    }
    assert!(layer.with_drop_prob(f64::NAN).is_err());
    assert_eq!(*layer.plan(SHAPE)?.layer(), layer);
    Ok(())
}

#[test]
fn lists_name_every_value_once() {
    fn check<T: Copy + Eq + std::hash::Hash>(all: &[T], len: usize) {
        assert_eq!((all.len(), all.iter().collect::<HashSet<_>>().len()), (len, len));
    }
    check(Region::ALL, 2);
    check(Alignment::ALL, 2);
    check(Sharing::ALL, 4);
    check(Scale::ALL, 6);
    check(Fill::ALL, 2);
    check(Layout::ALL, 2);
    check(Backend::ALL, 4);
    assert!(Backend::available().all(|backend| Backend::ALL.contains(&backend)));
    assert_eq!(Shape::nhwc(1, 2, 3, 4).layout(), Layout::ChannelsLast);
    assert_eq!(MASK_VERSION, 1);
}

#[test]
fn equal_options_and_plans_have_equal_hashes() -> Result<(), Error> {
    let layer = DropBlock::new(7, 0.0)?;
    let zero = DropBlock::new(7, -0.0)?;
    assert_eq!(zero, layer);
    assert_eq!(zero.drop_prob().to_bits(), 0);
    let mut layers = HashSet::from([layer]);
    assert!(layers.contains(&zero) && layers.contains(&layer.with_drop_prob(-0.0)?));
    for gamma in [
        Gamma::Raw(0.0),
        Gamma::Paper { scale: 0.0 },
        Gamma::PaperValid { scale: 0.0 },
        Gamma::Exact,
    ] {
        let minus = match gamma {
            Gamma::Raw(_) => Gamma::Raw(-0.0),
            Gamma::Paper { .. } => Gamma::Paper { scale: -0.0 },
            Gamma::PaperValid { .. } => Gamma::PaperValid { scale: -0.0 },
            other => other,
        };
        assert!(layers.insert(layer.with_gamma(gamma)?), "{gamma:?}");
        assert!(!layers.insert(layer.with_gamma(minus)?), "{gamma:?}");
    }
    for other in [
        layer.with_drop_prob(0.1)?,
        layer.with_block_size(BlockSize::uniform(3))?,
        layer.with_block_size(BlockSize::hw(7, 7))?,
        layer.with_block_size(BlockSize::relative(0.5))?,
        layer.with_region(Region::Full),
        layer.with_alignment(Alignment::After),
        layer.with_sharing(Sharing::OverAll),
        layer.with_scale(Scale::Off),
        layer.with_fill(Fill::Noise),
        layer.with_training(false),
        layer.with_backend(Backend::Scalar)?,
    ] {
        assert!(layers.insert(other) && !layers.insert(other), "{other:?}");
    }
    let mut plans = HashSet::new();
    for layer in &layers {
        for shape in [SHAPE, Shape::nhwc(4, 14, 14, 6), Shape::nchw(4, 6, 14, 15)] {
            assert!(plans.insert(layer.plan(shape)?) && !plans.insert(layer.plan(shape)?));
        }
    }
    #[cfg(feature = "rayon")]
    {
        // Threads are a matter of the machine.
        let plan = plan()?;
        assert_eq!(plan.in_parallel(Some(1)), plan);
        plans.insert(plan);
        assert!(plans.contains(&plan.in_parallel(None)));
    }
    Ok(())
}

#[test]
fn keys_and_counts_become_words_and_back() {
    let words = [1, u64::MAX, 3, 4];
    let key = Key::from_words(words);
    assert_eq!(key, Key::new(1).with_step(u64::MAX).with_layer(3).with_first_sample(4));
    assert_eq!([key.seed, key.step, key.layer, key.first_sample], words);
    assert_eq!(key.to_words(), words);
    let bare = Drawn::from(key);
    assert_eq!((bare.key(), bare.count()), (key, None));
    let mut all = HashSet::from([bare]);
    for (dropped, total) in [(0, 0), (0, 9), (9, 9), (u64::MAX, u64::MAX)] {
        let count = DropCount { dropped, total };
        let drawn = bare.with_count(count);
        assert_eq!(drawn.to_words(), [1, u64::MAX, 3, 4, dropped, total]);
        assert_eq!(Drawn::from_words(drawn.to_words()), drawn);
        assert_eq!(drawn.count(), Some(count));
        assert!(all.insert(drawn));
    }
    assert_eq!(Drawn::from_words(bare.to_words()), bare);
    assert_eq!(DropCount::default().fraction(), 0.0);
    assert_eq!(DropCount { dropped: 3, total: 12 }.fraction(), 0.25);
}

/// What travels together cannot be confused: the count of another step goes with its own key.
#[test]
fn counts_of_another_step() -> Result<(), Error> {
    let plan = plan()?;
    let keys = [1, 2].map(|step| Key::new(1).with_step(step));
    let (first, second) = (plan.count(keys[0])?, plan.count(keys[1])?);
    assert_ne!(first.count(), second.count());
    let (mut x, mut y) = (tensor(4704), tensor(4704));
    plan.backward_in_place(first, &mut x)?;
    plan.backward_in_place(keys[0], &mut y)?;
    assert_eq!(bits_of(&x), bits_of(&y));
    // Where the mask is at hand the other count is refused.
    let mut words = vec![0; plan.mask_words()];
    let mask = plan.draw(keys[1], &mut words)?;
    let given = first.count().unwrap_or_default();
    assert_eq!(mask.with_count(given).err(), Some(Error::Count { own: mask.count(), given }));
    Ok(())
}

/// Scales per sample and per map follow from the mask alone; a sum over shards is refused.
#[test]
fn sums_are_refused_where_scales_are_of_parts() -> Result<(), Error> {
    for &scale in Scale::ALL {
        let plan = DropBlock::new(3, 0.2)?.with_scale(scale).plan(SHAPE)?;
        let mut words = vec![0; plan.mask_words()];
        let mask = plan.draw(Key::new(1), &mut words)?;
        let own = mask.count();
        let sum = DropCount { dropped: own.dropped + 5, total: own.total + 9 };
        let drawn = Drawn::from(Key::new(1)).with_count(sum);
        let error = Error::Scale { needed: own.total, given: sum.total };
        let mut x = vec![5.0_f32; 4704];
        if matches!(scale, Scale::PerSample | Scale::PerMap) {
            assert_eq!(mask.with_count(sum).err(), Some(error));
            assert_eq!(plan.forward_in_place(drawn, &mut x), Err(error));
            assert_eq!(plan.backward_in_place(drawn, &mut x), Err(error));
            assert_eq!(plan.forward(drawn, &vec![1.0; 4704], &mut x), Err(error));
            assert_eq!(plan.backward(drawn, &vec![1.0; 4704], &mut x), Err(error));
            assert_eq!(plan.for_each_map(drawn, |_| panic!("a visit")), Err(error));
            assert!(x.iter().all(|&x| x == 5.0));
        } else {
            assert_eq!(mask.with_count(sum)?.count(), sum);
            plan.forward_in_place(drawn, &mut x)?;
        }
        assert_eq!(mask.with_count(own)?.count(), own);
        // What a sum adds must be a count: not less than nothing, nor more than there is.
        for (dropped, total) in [
            (own.dropped + 10, own.total + 9),
            (own.dropped - 1, own.total + 9),
            (own.dropped, own.total - 1),
            (u64::MAX, u64::MAX),
        ] {
            let given = DropCount { dropped, total };
            assert_eq!(mask.with_count(given).err(), Some(Error::Count { own, given }));
        }
    }
    Ok(())
}

/// One sample a call, channels over machines: a plan of one channel whose first sample is n C + c.
#[test]
fn a_plan_per_channel_is_the_whole_plan() -> Result<(), Error> {
    let (samples, channels, size) = (3, 5, 12 * 13);
    for &region in Region::ALL {
        let layer = DropBlock::new(3, 0.2)?.with_region(region);
        let whole = layer.plan(Shape::nchw(samples, channels, 12, 13))?;
        let single = layer.plan(Shape::nchw(1, 1, 12, 13))?;
        let key = Key::new(3).with_step(4);
        let count = whole.count(key)?.count().unwrap_or_default();
        let (mut x, mut y) = (tensor(whole.elements()), tensor(whole.elements()));
        whole.forward_in_place(key, &mut x)?;
        for (i, map) in y.chunks_mut(size).enumerate() {
            let (n, c) = (i / channels, i % channels);
            let key = key.with_first_sample((n * channels + c) as u64);
            single.forward_in_place(Drawn::from(key).with_count(count), map)?;
        }
        assert_eq!(bits_of(&x), bits_of(&y), "{region:?}");
    }
    Ok(())
}

#[test]
fn steps_of_a_schedule_come_from_a_list_at_run_time() -> Result<(), Error> {
    let mut list: Vec<(u64, f64)> = "10:1 20:2 30:3"
        .split(' ')
        .filter_map(|entry| entry.split_once(':'))
        .filter_map(|(step, value)| Some((step.parse().ok()?, value.parse().ok()?)))
        .collect();
    let schedule = Schedule::steps(0.5, &list)?;
    list.clear();
    let at = [0, 9, 10, 20, 29, 99, 100].map(|step| schedule.at(step, 100));
    assert_eq!(at, [0.5, 0.5, 1.0, 2.0, 2.0, 3.0, 3.0]);
    list.extend((1..=33).map(|step| (step, step as f64)));
    assert_eq!(Schedule::steps(0.0, &list[..32])?.at(32, 100), 32.0);
    let error = Error::ScheduleSteps { limit: 32, given: 33 };
    assert_eq!(Schedule::steps(0.0, &list), Err(error));
    assert_eq!(error.to_string(), "schedule must list at most 32 steps, got 33");
    Ok(())
}

/// The type of a scale can be named where elements are generic.
#[test]
fn scales_in_generic_code() -> Result<(), Error> {
    struct Saved<T: Element> {
        scale: T::Scale,
    }
    fn save<T: Element>(plan: &Plan, count: DropCount) -> Saved<T> {
        Saved { scale: plan.scale::<T>(count) }
    }
    let count = DropCount { dropped: 1, total: 4 };
    assert_eq!(save::<f32>(&plan()?, count).scale, 4.0 / 3.0);
    assert_eq!(save::<f64>(&plan()?, count).scale, 4.0 / 3.0);
    #[cfg(feature = "half")]
    assert_eq!(save::<dropblock::half::bf16>(&plan()?, count).scale, 4.0_f32 / 3.0);
    Ok(())
}

#[test]
fn messages_speak_of_what_is_wrong() -> Result<(), Error> {
    let layer = DropBlock::new(3, 0.1)?;
    let text = |error: Option<Error>| error.map_or(String::new(), |error| error.to_string());
    assert_eq!(text(layer.with_drop_prob(7.0).err()), "drop probability must be in [0, 1], got 7");
    assert_eq!(text(layer.with_gamma(Gamma::Raw(7.0)).err()), "gamma must be in [0, 1], got 7");
    // An axis is too long, not the tensor.
    let shape = Shape::new(1, 1, Map::hw(1, (1 << 31) + 1), Layout::ChannelsFirst);
    let message = "width of the map must be at most 2147483648, got 2147483649";
    assert_eq!(text(layer.plan(shape).err()), message);
    let longest = (usize::MAX / 2).min(1 << 31);
    assert!(layer.plan(Shape::nchw(1, 1, 1, longest)).is_ok());

    // The length that is named does.
    let plan = layer.plan(Shape::nchw(2, 3, 14, 14))?;
    let mut x = vec![0.0_f32; 5000];
    let view = ViewMut::new(&mut x, 0, [0, 196, 0, 14, 1]);
    let error = plan.forward_in_place(Key::new(1), view).err();
    assert_eq!(error, Some(Error::Stride { axis: 0, needed: 588, given: 0 }));
    let message = text(error);
    assert!(message.contains("samples") && message.contains("at least 588 long, got 0"));
    plan.forward_in_place(Key::new(1), ViewMut::new(&mut x, 0, [588, 196, 0, 14, 1]))?;

    // A count that is larger than its total, for a mask and for a key.
    let mut words = vec![0; plan.mask_words()];
    let mask = plan.draw(Key::new(1), &mut words)?;
    let given = DropCount { dropped: 1177, total: 1176 };
    let DropCount { dropped, total } = mask.count();
    let message = text(mask.with_count(given).err());
    assert!(message.contains(&format!("{dropped} dropped of {total}")), "{message}");
    assert!(message.contains("got 1177 of 1176"), "{message}");
    let drawn = Drawn::from(Key::new(1)).with_count(given);
    let error = plan.backward_in_place(drawn, &mut x[..1176]);
    // Of a key nothing is known, and so none is said to be dropped.
    assert_eq!(error, Err(Error::Count { own: DropCount { dropped: 0, total }, given }));

    let short = plan.mask_from(&words[..3]).err();
    let needed = plan.mask_words();
    assert_eq!(short, Some(Error::Length { buffer: Buffer::Mask, needed, given: 3 }));
    Ok(())
}
