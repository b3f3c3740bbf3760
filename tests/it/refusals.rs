//! Wrong arguments: a typed error that says what was needed and given, and nothing written.

use dropblock::{
    BlockSize, Buffer, Dilation, Drawn, DropBlock, DropCount, Error, Gamma, Keep, Key, Layout, Map,
    Plan, Scale, Shape, View, ViewMut,
};
use rand_xoshiro::Xoshiro128PlusPlus;
use rand_xoshiro::rand_core::SeedableRng as _;

fn plan() -> Result<Plan, Error> {
    DropBlock::new(3, 0.5)?.plan(Shape::nchw(2, 3, 5, 7))
}

#[test]
fn options_out_of_range() -> Result<(), Error> {
    for given in [-1e-9, 1.0 + 1e-9, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(DropBlock::new(7, given), Err(Error::DropProb { given }));
        let raw = DropBlock::new(7, 0.1)?.with_gamma(Gamma::Raw(given));
        assert_eq!(raw, Err(Error::Gamma { given }));
    }
    for scale in [-1.0, f64::INFINITY] {
        let paper = DropBlock::new(7, 0.1)?.with_gamma(Gamma::Paper { scale });
        assert_eq!(paper, Err(Error::GammaScale { given: scale }));
    }
    assert!(
        matches!(DropBlock::new(7, f64::NAN), Err(Error::DropProb { given }) if given.is_nan())
    );
    let layer = DropBlock::new(7, 0.1)?;
    assert!(matches!(layer.with_gamma(Gamma::Raw(f64::NAN)), Err(Error::Gamma { .. })));
    let nan = Gamma::Paper { scale: f64::NAN };
    assert!(matches!(layer.with_gamma(nan), Err(Error::GammaScale { .. })));

    assert_eq!(DropBlock::new(0, 0.1), Err(Error::BlockSize { axis: 0 }));
    for (block, axis) in [
        (BlockSize::hw(0, 3), 0),
        (BlockSize::hw(3, 0), 1),
        (BlockSize::dhw(0, 1, 1), 0),
        (BlockSize::dhw(1, 0, 1), 1),
        (BlockSize::dhw(1, 1, 0), 2),
    ] {
        assert_eq!(layer.with_block_size(block), Err(Error::BlockSize { axis }));
        assert_eq!(Dilation::new(Map::hw(4, 4), block), Err(Error::BlockSize { axis }));
    }
    Ok(())
}

#[test]
fn shapes_that_do_not_fit() -> Result<(), Error> {
    let layer = DropBlock::new(3, 0.1)?;
    let huge = usize::MAX;
    let longest = (usize::MAX / 2).min(1 << 31);
    for shape in [
        Shape::nchw(huge, 1, 1, 1),
        Shape::nchw(huge, huge, 1, 1),
        Shape::nchw(1 << 16, 1 << 16, 1 << 15, 1 << 15),
        Shape::nchw(0, huge, 1, 1),
        Shape::nchw(1, 1, 1 << 31, 1 << 31),
    ] {
        assert!(matches!(layer.plan(shape), Err(Error::TooLarge { .. })), "{shape:?}");
    }
    let limit = 1 << 31;
    for (map, axis, given) in [
        (Map::hw(huge, 1), 1, huge),
        (Map::hw(1, (1 << 31) + 1), 2, (1 << 31) + 1),
        (Map::l(huge - 1), 2, huge - 1),
        (Map::dhw(huge, 1, huge), 0, huge),
    ] {
        let shape = Shape::new(1, 1, map, Layout::ChannelsFirst);
        assert_eq!(layer.plan(shape), Err(Error::Axis { axis, limit, given }), "{shape:?}");
    }
    assert!(layer.plan(Shape::nchw(1, 1, 1, longest)).is_ok());
    let flat = layer.with_block_size(BlockSize::hw(2, 3))?;
    let rank = |map| flat.plan(Shape::new(1, 1, map, Layout::ChannelsFirst)).err();
    assert_eq!(rank(Map::l(9)), Some(Error::Rank { needed: 1, given: 2 }));
    assert_eq!(rank(Map::dhw(9, 9, 9)), Some(Error::Rank { needed: 3, given: 2 }));
    assert_eq!(rank(Map::hw(9, 9)), None);
    Ok(())
}

#[test]
fn wrong_lengths_write_nothing() -> Result<(), Error> {
    let plan = plan()?;
    let key = Key::new(1);
    let len = plan.elements();
    let words = plan.mask_words();
    let short = |buffer, needed, given| Error::Length { buffer, needed, given };
    let bits = vec![0x1234_5678_9abc_def0; words];
    let mask = plan.mask_from(&bits)?;
    let drawn = plan.count(key)?;

    for given in [0, len - 1, len + 1] {
        let (good, mut bad) = (vec![1.0_f32; len], vec![2.0_f32; given]);
        let mut y = vec![3.0_f32; len];
        let input = Err(short(Buffer::Input, len, given));
        let output = Err(short(Buffer::Output, len, given));
        for drawn in [Drawn::from(key), drawn] {
            assert_eq!(plan.forward(drawn, &bad, &mut y).map(|_| ()), input);
            assert_eq!(plan.forward(drawn, &good, &mut bad).map(|_| ()), output);
            assert_eq!(plan.forward_in_place(drawn, &mut bad).map(|_| ()), output);
            assert_eq!(plan.backward(drawn, &bad, &mut y), input);
            assert_eq!(plan.backward(drawn, &good, &mut bad), output);
            assert_eq!(plan.backward_in_place(drawn, &mut bad), output);
        }
        assert_eq!(plan.drop_only(key, &mut bad, 0.0).map(|_| ()), output);
        assert_eq!(mask.forward(&bad, &mut y), input);
        assert_eq!(mask.forward(&good, &mut bad), output);
        assert_eq!(mask.forward_in_place(&mut bad), output);
        assert_eq!(mask.backward(&bad, &mut y), input);
        assert_eq!(mask.backward(&good, &mut bad), output);
        assert_eq!(mask.backward_in_place(&mut bad), output);
        assert_eq!(mask.drop_only(&mut bad, 0.0), output);
        assert!(bad.iter().all(|&x| x == 2.0) && y.iter().all(|&x| x == 3.0));
    }
    for given in [0, words - 1] {
        let mut mask = vec![!0; given];
        let error = short(Buffer::Mask, words, given);
        assert_eq!(plan.draw(key, &mut mask).err(), Some(error));
        assert_eq!(plan.draw_centers(key, &mut mask), Err(error));
        assert_eq!(plan.dilate(&mut mask), Err(error));
        assert_eq!(plan.mask_from(&mask).err(), Some(error));
        let mut generator = Xoshiro128PlusPlus::seed_from_u64(1);
        assert_eq!(plan.draw_centers_from(&mut generator, &mut mask), Err(error));
        assert!(mask.iter().all(|&word| word == !0));
    }
    let dilation = Dilation::new(Map::hw(3, 5), BlockSize::uniform(2))?;
    let (source, mut target) = ([1; 31], [7; 31]);
    assert_eq!(dilation.dilate(&source, &mut target), Err(short(Buffer::Source, 45, 31)));
    assert_eq!(
        dilation.dilate(&source[..30], &mut target),
        Err(short(Buffer::Destination, 30, 31))
    );
    assert_eq!(dilation.dilate_in_place(&mut target), Err(short(Buffer::Destination, 45, 31)));
    assert_eq!(dilation.dilate_bits_in_place(5, &mut [!0]), Err(short(Buffer::Mask, 2, 1)));
    assert_eq!(target, [7; 31]);
    Ok(())
}

/// All passes to the view: what is refused is refused by all, and nothing is written.
fn into(plan: &Plan, len: usize, first: usize, strides: [isize; 5]) -> Result<(), Error> {
    let (key, words) = (Key::new(1), vec![0x1234_5678_9abc_def0; plan.mask_words()]);
    let mask = plan.mask_from(&words)?;
    let x = vec![3.0_f32; plan.elements()];
    let mut y = vec![2.0_f32; len];
    let result = plan.forward(key, &x, ViewMut::new(&mut y, first, strides)).map(|_| ());
    if result.is_err() {
        macro_rules! out {
            () => {
                ViewMut::new(&mut y, first, strides)
            };
        }
        assert_eq!(plan.forward_in_place(key, out!()).map(|_| ()), result);
        assert_eq!(plan.backward(key, &x, out!()), result);
        assert_eq!(plan.backward_in_place(key, out!()), result);
        assert_eq!(plan.drop_only(key, out!(), 0.0).map(|_| ()), result);
        assert_eq!(mask.forward(&x, out!()), result);
        assert_eq!(mask.forward_in_place(out!()), result);
        assert_eq!(mask.backward(&x, out!()), result);
        assert_eq!(mask.backward_in_place(out!()), result);
        assert_eq!(mask.drop_only(out!(), 0.0), result);
        assert!(y.iter().all(|&y| y == 2.0), "{strides:?}");
    }
    result
}

#[test]
fn strides_that_alias_or_overflow() -> Result<(), Error> {
    let layer = DropBlock::new(3, 0.1)?;
    let plan = layer.plan(Shape::nchw(2, 3, 5, 7))?;
    for (strides, axis, needed) in [
        ([105, 35, 0, 7, 0], 4, 204),
        ([105, 35, 0, 6, 1], 3, 182),
        ([105, 34, 0, 7, 1], 1, 140),
        ([104, 35, 0, 7, 1], 0, 105),
        ([1, 2, 0, 6, 29], 4, 30),
        ([-105, 35, 0, 7, 0], 4, 204),
        ([105, 35, 0, -6, 1], 3, 182),
        ([0, 35, 0, 7, 1], 0, 105),
    ] {
        let given = strides[axis];
        let error = Error::Stride { axis, needed, given };
        assert_eq!(into(&plan, 10_000, 5_000, strides), Err(error), "{strides:?}");
        // What is said to do does, in either direction.
        for direction in [1, -1] {
            let mut strides = strides;
            strides[axis] = direction * needed as isize;
            assert_eq!(into(&plan, 10_000, 5_000, strides), Ok(()), "{strides:?}");
        }
    }
    let limit = isize::try_from(1_i64 << 59).unwrap_or(isize::MAX);
    for far in [isize::MAX, isize::MIN, limit, -limit] {
        let result = into(&plan, 300, 150, [far, 35, 0, 7, 1]);
        assert!(matches!(result, Err(Error::TooLarge { .. })), "{result:?}");
    }
    // Strides of axes without a second index do not matter.
    let one = layer.plan(Shape::nchw(1, 1, 1, 7))?;
    assert_eq!(into(&one, 19, 0, [0, 0, 0, 0, 3]), Ok(()));
    assert_eq!(into(&one, 19, 18, [isize::MIN, isize::MAX, -1, 0, -3]), Ok(()));
    let empty = layer.plan(Shape::nchw(0, 3, 5, 7))?;
    assert_eq!(into(&empty, 0, 0, [0; 5]), Ok(()));

    // A view lies in its buffer, which may be longer, and nothing is written on an error.
    let strides = [200, 60, 0, 9, 1];
    let reach = 200 + 2 * 60 + 4 * 9 + 6;
    for (len, first) in [(plan.elements(), 0), (reach, 0), (reach + 1, 1), (500, 499)] {
        let (needed, given) = ([0, reach], [first, len]);
        let error = Error::View { buffer: Buffer::Output, needed, given };
        assert_eq!(into(&plan, len, first, strides), Err(error));
    }
    for (len, first) in [(reach + 1, 0), (reach + 2, 1), (500, 7)] {
        assert_eq!(into(&plan, len, first, strides), Ok(()));
    }
    // Before the first element as well.
    let strides = [200, -60, 0, -9, 1];
    let (before, after) = (2 * 60 + 4 * 9, 200 + 6);
    for (len, first) in [(before + after + 1, before - 1), (before + after, before), (500, 0)] {
        let (needed, given) = ([before, after], [first, len]);
        let error = Error::View { buffer: Buffer::Output, needed, given };
        assert_eq!(into(&plan, len, first, strides), Err(error));
    }
    assert_eq!(into(&plan, before + after + 1, before, strides), Ok(()));
    assert!(into(&plan, 500, usize::MAX, strides).is_err());
    Ok(())
}

#[test]
fn inputs_that_leave_their_buffers() -> Result<(), Error> {
    let plan = plan()?;
    let (key, words) = (Key::new(1), vec![0; plan.mask_words()]);
    let mask = plan.mask_from(&words)?;
    let (x, mut y) = (vec![1.0_f32; 300], vec![2.0_f32; 210]);
    for (first, strides, needed) in [
        (0, [200, 60, 0, 9, 1], [0, 362]),
        (5, [0, -3, 0, 0, 0], [6, 0]),
        (300, [0; 5], [0, 0]),
        (usize::MAX, [0, 0, 0, 0, 1], [0, 6]),
    ] {
        let given = [first, 300];
        let error = Err(Error::View { buffer: Buffer::Input, needed, given });
        let view = View::new(&x, first, strides);
        assert_eq!(plan.forward(key, view, &mut y).map(|_| ()), error);
        assert_eq!(plan.backward(key, view, &mut y), error);
        assert_eq!(mask.forward(view, &mut y), error);
        assert_eq!(mask.backward(view, &mut y), error);
    }
    let far = View::new(&x, 0, [isize::MAX, 0, 0, 0, 0]);
    assert!(matches!(plan.backward(key, far, &mut y), Err(Error::TooLarge { .. })));
    assert!(y.iter().all(|&y| y == 2.0));
    // Inputs may repeat.
    assert_eq!(mask.backward(View::new(&x, 299, [0; 5]), &mut y), Ok(()));
    Ok(())
}

#[test]
fn maps_that_are_not_there() -> Result<(), Error> {
    let plan = plan()?;
    let words = vec![0; plan.mask_words()];
    let mask = plan.mask_from(&words)?;
    for given in [[2, 0], [0, 3], [usize::MAX, usize::MAX]] {
        let map = mask.map(given[0], given[1]);
        assert!(matches!(map, Err(Error::Map { needed: [2, 3], given: g }) if g == given));
    }
    let short = Error::Length { buffer: Buffer::Mask, needed: 4, given: 3 };
    assert_eq!(plan.mask_from(&words[..3]).err(), Some(short));
    assert_eq!(
        Keep::new(&words, 0..257).err(),
        Some(Error::Length { buffer: Buffer::Mask, needed: 5, given: 4 })
    );
    assert!(Keep::new(&words, 256..256).is_ok_and(|keep| keep.is_empty()));
    let keep = Keep::new(&words, 3..10)?;
    let length = |buffer, given| Err(Error::Length { buffer, needed: 7, given });
    let (x, mut y) = ([1.0; 8], [2.0; 8]);
    assert_eq!(keep.apply(&x, &mut y[..7], |x| x), length(Buffer::Input, 8));
    assert_eq!(keep.apply(&x[..7], &mut y, |x| x), length(Buffer::Output, 8));
    assert_eq!(keep.apply_in_place(&mut y[..6], |x| x), length(Buffer::Input, 6));
    assert_eq!(y, [2.0; 8]);
    Ok(())
}

#[test]
fn relative_block_sizes() -> Result<(), Error> {
    let layer = DropBlock::new(7, 0.1)?;
    for given in [0.0, -0.1, f64::INFINITY] {
        let error = Err(Error::BlockFraction { given });
        assert_eq!(layer.with_block_size(BlockSize::relative(given)), error);
    }
    assert!(layer.with_block_size(BlockSize::relative(f64::NAN)).is_err());
    for (fraction, h, w) in
        [(1e-9, 1, 1), (0.1, 1, 2), (0.25, 3, 5), (0.5, 7, 10), (1.0, 14, 20), (1e300, 14, 20)]
    {
        let plan = |block| layer.with_block_size(block)?.plan(Shape::nchw(1, 1, 14, 20));
        let relative = plan(BlockSize::relative(fraction))?;
        assert_eq!(relative.gamma(), plan(BlockSize::hw(h, w))?.gamma(), "{fraction}");
    }
    Ok(())
}

#[test]
fn counts_groups_and_samples_of_another_plan() -> Result<(), Error> {
    let plan = plan()?;
    let key = Key::new(1);
    let mut x = vec![2.0_f32; plan.elements()];
    let words = vec![!0; plan.mask_words()];
    let mask = plan.mask_from(&words)?;
    let units = plan.units() as u64;
    assert_eq!(mask.count(), DropCount { dropped: units, total: units });
    for (dropped, total) in [
        (units + 1, units),
        (0, units - 1),
        (units - 1, units - 1),
        (0, 0),
        // What is left for others is no count.
        (units + 2, units + 1),
        (u64::MAX, units),
        (u64::MAX, u64::MAX - 1),
    ] {
        let given = DropCount { dropped, total };
        let drawn = Drawn::from(key).with_count(given);
        let is_refused =
            |result| matches!(result, Err(Error::Count { given: g, .. }) if g == given);
        assert!(is_refused(plan.forward_in_place(drawn, &mut x).map(|_| ())), "{given:?}");
        assert!(is_refused(plan.forward(drawn, &vec![1.0; 210], &mut x).map(|_| ())));
        assert!(is_refused(plan.backward_in_place(drawn, &mut x)), "{given:?}");
        assert!(is_refused(plan.backward(drawn, &vec![1.0; 210], &mut x)), "{given:?}");
        assert!(is_refused(plan.for_each_map(drawn, |_| panic!("a visit")).map(|_| ())));
        let own = mask.count();
        assert_eq!(mask.with_count(given).err(), Some(Error::Count { own, given }));
    }
    // All of the mask's own units are dropped: fewer are another mask's count.
    for dropped in [0, units - 1] {
        let given = DropCount { dropped, total: units };
        assert_eq!(mask.with_count(given).err(), Some(Error::Count { own: mask.count(), given }));
    }
    assert_eq!(mask.count_group(1), Err(Error::Group { groups: 1, given: 1 }));
    let per_map = plan.layer().with_scale(Scale::PerMap).plan(*plan.shape())?;
    let mask = per_map.mask_from(&words)?;
    assert_eq!(mask.count_group(5)?.total, 35);
    assert_eq!(mask.count_group(6), Err(Error::Group { groups: 6, given: 6 }));

    let far = key.with_first_sample(u64::MAX);
    let Err(Error::FirstSample { limit, given: u64::MAX }) = plan.forward_in_place(far, &mut x)
    else {
        panic!("the numbering of positions must overflow");
    };
    let error = Error::FirstSample { limit, given: u64::MAX };
    assert_eq!(plan.forward(far, &vec![1.0; 210], &mut x), Err(error));
    assert_eq!(plan.backward(far, &vec![1.0; 210], &mut x), Err(error));
    assert_eq!(plan.backward_in_place(far, &mut x), Err(error));
    assert_eq!(plan.drop_only(far, &mut x, 0.0), Err(error));
    assert_eq!(plan.count(far), Err(error));
    assert_eq!(plan.for_each_map(far, |_| panic!("a visit")), Err(error));
    assert_eq!(mask.with_key(far).err(), Some(error));
    let mut words = vec![7; plan.mask_words()];
    assert_eq!(plan.draw(far, &mut words).err(), Some(error));
    assert_eq!(plan.draw_centers(far, &mut words), Err(error));
    assert!(plan.draw(key.with_first_sample(limit + 1), &mut words).is_err());
    assert_eq!(words, [7; 4]);
    assert!(plan.draw(key.with_first_sample(limit), &mut words).is_ok());
    assert!(x.iter().all(|&x| x == 2.0));
    Ok(())
}

#[test]
fn messages_say_what_was_needed_and_given() -> Result<(), Error> {
    let count = |dropped, total| DropCount { dropped, total };
    for (error, needed, given) in [
        (Error::DropProb { given: 1.5 }, "[0, 1]", "1.5"),
        (Error::Length { buffer: Buffer::Mask, needed: 7, given: 3 }, "at least 7", "3"),
        (Error::Length { buffer: Buffer::Input, needed: 70, given: 71 }, "exactly 70", "71"),
        (Error::Rank { needed: 3, given: 2 }, "3", "2"),
        (Error::Count { own: count(4, 10), given: count(5, 9) }, "4 dropped of 10", "5 of 9"),
        (Error::Scale { needed: 10, given: 11 }, "10", "11"),
        (Error::FirstSample { limit: 8, given: 9 }, "8", "9"),
        (Error::ScheduleSteps { limit: 32, given: 33 }, "at most 32", "33"),
        (Error::Axis { axis: 1, limit: 8, given: 9 }, "height of the map must be at most 8", "9"),
    ] {
        let text = error.to_string();
        assert!(text.contains(needed) && text.contains(given), "{text}");
    }
    Ok(())
}
