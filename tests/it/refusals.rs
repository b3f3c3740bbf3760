//! Wrong arguments: a typed error that says what was needed and given, and nothing written.

use dropblock::{
    BlockSize, Buffer, Dilation, DropBlock, Dropped, Error, Gamma, Key, Map, MaskView, Plan, Scale,
    Shape,
};

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
        Shape::nchw(0, huge, huge, 1),
        Shape::nchw(1, 1, huge, 1),
        Shape::nchw(1, 1, 1, longest + 1),
    ] {
        assert!(matches!(layer.plan(shape), Err(Error::TooLarge { .. })), "{shape:?}");
    }
    assert!(layer.plan(Shape::nchw(1, 1, 1, longest)).is_ok());
    let flat = layer.with_block_size(BlockSize::hw(2, 3))?;
    let rank = |map| flat.plan(Shape::new(1, 1, map, dropblock::Layout::ChannelsFirst)).err();
    assert_eq!(rank(Map::l(9)), Some(Error::Rank { needed: 1, given: 2 }));
    assert_eq!(rank(Map::dhw(9, 9, 9)), Some(Error::Rank { needed: 3, given: 2 }));
    assert_eq!(rank(Map::hw(9, 9)), None);
    Ok(())
}

#[test]
fn wrong_lengths_write_nothing() -> Result<(), Error> {
    let plan = plan()?;
    let key = Key::new(1);
    let len = plan.len();
    let dropped = Dropped { count: 5, of: len as u64 };
    let words = plan.mask_len();
    let short = |buffer, needed, given| Error::Length { buffer, needed, given };

    for given in [0, len - 1, len + 1] {
        let (good, mut bad) = (vec![1.0_f32; len], vec![2.0_f32; given]);
        let (mut y, mut mask) = (vec![3.0_f32; len], vec![!0; words]);
        let input = Err(short(Buffer::Input, len, given));
        let output = Err(short(Buffer::Output, len, given));
        assert_eq!(plan.forward(key, &bad, &mut y, Some(&mut mask)).map(|_| ()), input);
        assert_eq!(plan.forward(key, &good, &mut bad, Some(&mut mask)).map(|_| ()), output);
        assert_eq!(plan.forward_in_place(key, &mut bad, Some(&mut mask)).map(|_| ()), output);
        assert_eq!(plan.forward_in_place(key, &mut bad, None).map(|_| ()), output);
        assert_eq!(plan.backward(key, &dropped, &bad, &mut y), input);
        assert_eq!(plan.backward(key, &dropped, &good, &mut bad), output);
        assert_eq!(plan.backward_in_place(key, &dropped, &mut bad), output);
        assert_eq!(plan.apply(&mask, &dropped, &bad, &mut y), input);
        assert_eq!(plan.apply(&mask, &dropped, &good, &mut bad), output);
        assert_eq!(plan.apply_in_place(&mask, &dropped, &mut bad), output);
        assert!(bad.iter().all(|&x| x == 2.0) && y.iter().all(|&x| x == 3.0));
        assert!(mask.iter().all(|&word| word == !0));
    }
    for given in [0, words - 1] {
        let (mut x, mut mask) = (vec![2.0_f32; len], vec![!0; given]);
        let error = short(Buffer::Mask, words, given);
        assert_eq!(plan.mask(key, &mut mask), Err(error));
        assert_eq!(plan.centers(key, &mut mask), Err(error));
        assert_eq!(plan.dilate(&mut mask), Err(error));
        assert_eq!(plan.count(&mask), Err(error));
        assert_eq!(plan.count_group(&mask, 0), Err(error));
        assert_eq!(plan.forward_in_place(key, &mut x, Some(&mut mask)), Err(error));
        assert_eq!(plan.apply_in_place(&mask, &dropped, &mut x), Err(error));
        let mut generator = dropblock::reference::generator(&key, 0);
        assert_eq!(plan.centers_from_rng(&mut generator, &mut mask), Err(error));
        assert!(x.iter().all(|&x| x == 2.0) && mask.iter().all(|&word| word == !0));
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

#[test]
fn strides_that_alias_or_overflow() -> Result<(), Error> {
    let layer = DropBlock::new(3, 0.1)?;
    let shape = Shape::nchw(2, 3, 5, 7);
    for (strides, axis, needed, given) in [
        ([105, 35, 0, 7, 0], 4, 1, 0),
        ([105, 35, 0, 6, 1], 3, 7, 6),
        ([105, 34, 0, 7, 1], 1, 35, 34),
        ([104, 35, 0, 7, 1], 0, 105, 104),
        ([1, 2, 0, 6, 29], 4, 30, 29),
    ] {
        let error = Err(Error::Stride { axis, needed, given });
        assert_eq!(shape.with_strides(strides).extent(), error.map(|(): ()| 0), "{strides:?}");
        assert!(layer.plan(shape.with_strides(strides)).is_err(), "{strides:?}");
    }
    let too_far = shape.with_strides([usize::MAX, 35, 0, 7, 1]);
    assert!(matches!(layer.plan(too_far), Err(Error::TooLarge { .. })));
    // Strides of axes without a second index do not matter.
    let one = Shape::nchw(1, 1, 1, 7).with_strides([0, 0, 0, 0, 3]);
    assert_eq!(one.extent(), Ok(19));
    assert_eq!(Shape::nchw(0, 3, 5, 7).with_strides([0; 5]).extent(), Ok(0));

    // A view's buffer has its extent, no more and no less, and nothing is written on an error.
    let plan = layer.plan(shape.with_strides([200, 60, 0, 9, 1]))?;
    let needed = 200 + 2 * 60 + 4 * 9 + 6 + 1;
    assert_eq!((plan.extent(), plan.len()), (needed, 210));
    for given in [plan.len(), needed - 1, needed + 1] {
        let mut x = vec![2.0_f32; given];
        let error = Error::Length { buffer: Buffer::Output, needed, given };
        assert_eq!(plan.forward_in_place(Key::new(1), &mut x, None), Err(error));
        assert_eq!(plan.drop_only(Key::new(1), &mut x, 0.0, None), Err(error));
        assert!(x.iter().all(|&x| x == 2.0));
    }
    Ok(())
}

#[test]
fn views_of_maps_that_are_not_there() -> Result<(), Error> {
    let plan = plan()?;
    let mask = vec![0; plan.mask_len()];
    for given in [[2, 0], [0, 3], [usize::MAX, usize::MAX]] {
        let view = plan.view(&mask, given[0], given[1]);
        assert!(matches!(view, Err(Error::Map { needed: [2, 3], given: g }) if g == given));
    }
    let short = Error::Length { buffer: Buffer::Mask, needed: 4, given: 3 };
    assert_eq!(plan.view(&mask[..3], 0, 0).err(), Some(short));
    assert_eq!(
        MaskView::new(&mask, 0..257).err(),
        Some(Error::Length { buffer: Buffer::Mask, needed: 5, given: 4 })
    );
    assert!(MaskView::new(&mask, 256..256).is_ok_and(|view| view.is_empty()));
    let mut x = [7_u8; 210];
    assert_eq!(plan.fill_dropped(&mask[..3], &mut x, 0), Err(short));
    assert_eq!(plan.drop_only(Key::new(1), &mut x, 0, Some(&mut [0; 3])), Err(short));
    assert_eq!(x, [7; 210]);
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
    let mut x = vec![2.0_f32; plan.len()];
    let mask = vec![!0; plan.mask_len()];
    let units = plan.units() as u64;
    for dropped in [Dropped { count: 0, of: units + 1 }, Dropped { count: units + 1, of: units }] {
        let error = Error::OtherPlan { needed: units, given: dropped.of };
        assert_eq!(plan.backward_in_place(key, &dropped, &mut x), Err(error));
        assert_eq!(plan.apply_in_place(&mask, &dropped, &mut x), Err(error));
    }
    assert_eq!(plan.count_group(&mask, 1), Err(Error::Group { groups: 1, given: 1 }));
    let per_map = plan.options().with_scale(Scale::Channel).plan(*plan.shape())?;
    assert_eq!(per_map.count_group(&mask, 5)?.of, 35);
    assert_eq!(per_map.count_group(&mask, 6), Err(Error::Group { groups: 6, given: 6 }));

    let far = key.first_sample(u64::MAX);
    let Err(Error::FirstSample { limit, given: u64::MAX }) =
        plan.forward_in_place(far, &mut x, None)
    else {
        panic!("the numbering of positions must overflow");
    };
    let mut mask = vec![0; plan.mask_len()];
    assert!(plan.mask(key.first_sample(limit), &mut mask).is_ok());
    assert!(plan.mask(key.first_sample(limit + 1), &mut mask).is_err());
    assert!(x.iter().all(|&x| x == 2.0));
    Ok(())
}

#[test]
fn messages_say_what_was_needed_and_given() {
    for (error, needed, given) in [
        (Error::DropProb { given: 1.5 }, "[0, 1]", "1.5"),
        (Error::Length { buffer: Buffer::Mask, needed: 7, given: 3 }, "at least 7", "3"),
        (Error::Length { buffer: Buffer::Input, needed: 70, given: 71 }, "exactly 70", "71"),
        (Error::Rank { needed: 3, given: 2 }, "3", "2"),
        (Error::OtherPlan { needed: 10, given: 11 }, "10", "11"),
        (Error::FirstSample { limit: 8, given: 9 }, "8", "9"),
    ] {
        let text = error.to_string();
        assert!(text.contains(needed) && text.contains(given), "{text}");
    }
}
