//! Sizes: the smallest maps one by one, and the largest.

#[cfg(feature = "half")]
use dropblock::half;
use dropblock::{
    Alignment, Backend, BlockSize, Drawn, DropBlock, Element, Error, Gamma, Key, Layout, Map, Plan,
    Region, Scale, Shape, Sharing, reference,
};

use crate::case::{Case, bits_of, count, draw, pack, tensor};

/// Maps of 1 x 1 to 7 x 7 units with blocks of 1 to 7, for each sharing and scale, one or two
/// samples and channels within a word and past it. Region, alignment, layout, gamma and key take
/// turns.
fn check_tiny(backend: Backend) -> Result<(), Error> {
    let gammas = [Gamma::Paper { scale: 1.0 }, Gamma::Exact, Gamma::Raw(0.3)];
    let layouts = [Layout::ChannelsFirst, Layout::ChannelsLast];
    let mut turn = 0;
    for (height, width) in (1..=7).flat_map(|height| (1..=7).map(move |width| (height, width))) {
        for block in 1..=7 {
            for (samples, channels) in
                [1, 2].into_iter().flat_map(|n| [1, 2, 3, 65].map(|c| (n, c)))
            {
                for &sharing in Sharing::ALL {
                    turn += 1_u32;
                    // By chance, or the turns of one would go with those of another.
                    let pick = |n| (turn.wrapping_mul(0x9e37_79b9) >> 16) as usize / n;
                    let layer = DropBlock::new(block, 0.25)?
                        .with_gamma(gammas[pick(1) % 3])?
                        .with_region([Region::Valid, Region::Full][pick(3) % 2])
                        .with_alignment([Alignment::Before, Alignment::After][pick(6) % 2])
                        .with_sharing(sharing);
                    let map = Map::hw(height, width);
                    let shape = Shape::new(samples, channels, map, layouts[pick(12) % 2]);
                    let key = Key::new(u64::from(turn % 5)).with_step(u64::from(turn % 3));
                    let case = Case::new(layer, shape, key);
                    check_scales(backend, &case);
                }
            }
        }
    }
    Ok(())
}

fn check_scales(backend: Backend, case: &Case) {
    let expected = case.expected_mask();
    let (words, dropped) = (pack(&expected), count(&expected));
    let mut drawn_words = vec![!0; words.len()];
    let plan = case.plan(backend);
    let count = plan.draw(case.key, &mut drawn_words).map(|mask| mask.count());
    assert_eq!(count, Ok(dropped), "{case:?}");
    assert!(drawn_words == words, "mask of {case:?}\n{}", draw(&expected, case.shape.map()));
    let key = case.key;
    let drawn = Drawn::from(key).with_count(dropped);
    for &scale in Scale::ALL {
        let case = Case { layer: case.layer.with_scale(scale), ..*case };
        let plan = case.plan(backend);
        let x = tensor(plan.elements());
        let y = bits_of(&case.expected(&expected, &x, &x));
        let check = |name: &str, run: &mut dyn FnMut(&mut [f32]) -> Result<(), Error>| {
            let mut x = x.clone();
            assert_eq!(run(&mut x), Ok(()), "{name} of {case:?}");
            assert!(bits_of(&x) == y, "{backend} {name} of {case:?}");
        };
        drawn_words.fill(!0);
        check("forward of a mask", &mut |x| {
            let mask = plan.draw(key, &mut drawn_words)?;
            assert_eq!(mask.drawn(), Some(drawn), "{case:?}");
            mask.forward_in_place(x)
        });
        assert!(drawn_words == words, "the mask that draw leaves of {case:?}");
        check("forward", &mut |x| {
            assert_eq!(plan.forward_in_place(key, x)?, drawn);
            Ok(())
        });
        check("backward", &mut |x| plan.backward_in_place(drawn, x));
        check("backward of a mask from words", &mut |x| {
            let mask = plan.mask_from(&words)?;
            assert_eq!(mask.count(), dropped);
            mask.backward_in_place(x)
        });
    }
}

macro_rules! tiny_maps {
    ($($backend:ident: $variant:ident;)*) => {$(
        mod $backend {
            #[test]
            fn tiny_maps_equal_the_reference() -> Result<(), dropblock::Error> {
                if crate::suite::can_run(dropblock::Backend::$variant) {
                    super::check_tiny(dropblock::Backend::$variant)?;
                }
                Ok(())
            }
        }
    )*};
}

tiny_maps! {
    scalar: Scalar;
    simd: Simd;
    avx2: Avx2;
    avx512: Avx512;
}

/// Masks of several segments of positions, some of them drawn side by side: whole ones, parts at
/// either end, maps much smaller and larger than a segment, every way of setting blocks.
#[test]
fn masks_of_many_segments_are_the_same_on_every_backend() -> Result<(), Error> {
    let maps = [
        (Map::hw(3, 3), BlockSize::hw(3, 3), 20_000),
        (Map::hw(14, 14), BlockSize::hw(14, 14), 20_000),
        (Map::hw(7, 7), BlockSize::hw(3, 3), 1403),
        (Map::hw(14, 14), BlockSize::hw(7, 7), 1205),
        (Map::hw(31, 33), BlockSize::hw(1, 1), 30),
        (Map::hw(56, 56), BlockSize::hw(7, 7), 19),
        (Map::hw(100, 90), BlockSize::hw(5, 5), 5),
        (Map::hw(100, 64), BlockSize::hw(8, 1), 5),
        (Map::hw(112, 112), BlockSize::hw(7, 7), 4),
        (Map::hw(20, 100), BlockSize::hw(8, 5), 15),
        (Map::dhw(7, 50, 60), BlockSize::dhw(3, 6, 8), 3),
        (Map::hw(90, 300), BlockSize::hw(4, 300), 90),
        (Map::hw(260, 270), BlockSize::hw(7, 7), 2),
        (Map::l(50_000), BlockSize::uniform(9), 3),
        (Map::dhw(8, 28, 28), BlockSize::dhw(3, 3, 3), 5),
        (Map::dhw(9, 20, 20), BlockSize::dhw(5, 6, 7), 40),
    ];
    for (map, block, planes) in maps {
        for gamma in [1e-6, 0.002, 0.02, 0.3, 1.0] {
            let layer =
                DropBlock::new(1, 0.1)?.with_block_size(block)?.with_gamma(Gamma::Raw(gamma))?;
            let shape = Shape::new(planes, 1, map, Layout::ChannelsFirst);
            let far =
                layer.plan(shape)?.draw_centers(Key::new(9).with_first_sample(u64::MAX), &mut []);
            let last = match far {
                Err(Error::FirstSample { limit, .. }) => limit,
                _ => u64::MAX,
            };
            for first_sample in [0, 1, 1_000_003, last] {
                same_on_every_backend(&layer, shape, Key::new(9).with_first_sample(first_sample))?;
            }
        }
    }
    // Whole numbers of segments: 4096 positions each.
    let layer = DropBlock::new(1, 0.1)?;
    for segments in [1, 3, 4, 5, 15, 16, 17, 20, 33] {
        let shape = Shape::new(segments, 1, Map::hw(64, 64), Layout::ChannelsFirst);
        same_on_every_backend(&layer, shape, Key::new(10))?;
    }
    Ok(())
}

fn same_on_every_backend(layer: &DropBlock, shape: Shape, key: Key) -> Result<(), Error> {
    let plan = layer.with_backend(Backend::Scalar)?.plan(shape)?;
    let mut expected = vec![0; plan.mask_words()];
    plan.draw(key, &mut expected)?;
    // The reference sets every unit of every block.
    if plan.gamma() < 0.1 {
        let mut mask = vec![false; reference::units(layer, &shape)];
        reference::mask(layer, &shape, &key, &mut mask);
        assert!(expected == pack(&mask), "{shape:?}, gamma {}", plan.gamma());
    }
    for backend in Backend::available() {
        let plan = layer.with_backend(backend)?.plan(shape)?;
        let mut words = vec![!0; plan.mask_words() + 1];
        let count = plan.draw(key, &mut words)?.count();
        assert_eq!(words.pop(), Some(!0), "{backend}, {shape:?}");
        assert!(words == expected, "{backend}, {shape:?}, gamma {}", plan.gamma());
        let set: u32 = words.iter().map(|word| word.count_ones()).sum();
        assert_eq!(count.dropped, u64::from(set), "{backend}, {shape:?}");
        for with_mask in [false, true] {
            let mut x = vec![1_u8; plan.elements()];
            let drawn = if with_mask {
                words.fill(!0);
                let mask = plan.draw(key, &mut words)?;
                mask.drop_only(&mut x, 0)?;
                mask.drawn()
            } else {
                Some(plan.drop_only(key, &mut x, 0)?)
            };
            let expected_drawn = Drawn::from(key).with_count(count);
            assert_eq!(drawn, Some(expected_drawn), "{backend}, {shape:?}");
            assert!(words == expected, "{backend}, {shape:?}");
            let is_dropped = |i: usize| expected[i / 64] >> (i % 64) & 1 == 1;
            let same = x.iter().enumerate().all(|(i, &x)| x == u8::from(!is_dropped(i)));
            assert!(same, "{backend}, {shape:?}, mask {with_mask}");
        }
    }
    Ok(())
}

/// Tensors of many tiles, and maps that no tile holds: what a pass does without a mask buffer it
/// does with one, and on every backend.
#[test]
fn passes_without_a_mask_buffer_are_the_same() -> Result<(), Error> {
    let scales =
        [Scale::PerTensor, Scale::PerSample, Scale::PerMap, Scale::Fixed, Scale::PerPosition];
    let sharings = [Sharing::None, Sharing::OverChannels, Sharing::OverSamples];
    for (samples, channels, map, block) in [
        (20, 67, Map::hw(14, 14), 7),
        (9, 300, Map::hw(7, 7), 3),
        (3, 7, Map::hw(120, 90), 5),
        (2, 2, Map::hw(300, 310), 9),
        (1, 2, Map::hw(600, 610), 7),
        (5, 60, Map::dhw(4, 9, 31), 3),
    ] {
        let shape = Shape::new(samples, channels, map, Layout::ChannelsFirst);
        for (scale, sharing) in scales.iter().flat_map(|&a| sharings.map(|b| (a, b))) {
            for region in [Region::Valid, Region::Full] {
                let layer = DropBlock::new(block, 0.1)?.with_scale(scale).with_sharing(sharing);
                same_without_mask(&layer.with_region(region), shape)?;
            }
        }
    }
    Ok(())
}

fn same_without_mask(layer: &DropBlock, shape: Shape) -> Result<(), Error> {
    let key = Key::new(11).with_first_sample(3);
    let mut expected = None;
    for backend in Backend::available() {
        let plan = layer.with_backend(backend)?.plan(shape)?;
        let mut words = vec![0; plan.mask_words()];
        for with_mask in [true, false] {
            let mut x = vec![1.0_f32; plan.elements()];
            let drawn = if with_mask {
                let mask = plan.draw(key, &mut words)?;
                mask.forward_in_place(&mut x)?;
                mask.drawn()
            } else {
                Some(plan.forward_in_place(key, &mut x)?)
            };
            let of_first = expected.get_or_insert_with(|| (drawn, x.clone()));
            assert!(*of_first == (drawn, x), "{backend}, {layer:?}, {shape:?}");
        }
        let (drawn, y) = expected.as_ref().unwrap();
        // With the count that is known, and with a bare key.
        for drawn in [drawn.unwrap(), Drawn::from(key)] {
            let mut x = vec![1.0_f32; plan.elements()];
            plan.backward_in_place(drawn, &mut x)?;
            assert!(x == *y, "{backend}, backward of {drawn:?}, {layer:?}, {shape:?}");
        }
    }
    Ok(())
}

/// Channels that share a mask, few and many, wherever the tensor begins in memory.
#[test]
fn shared_masks_of_many_channels_are_the_same_on_every_backend() -> Result<(), Error> {
    for side in [1, 2, 3, 7, 8, 10, 13, 14, 15, 32, 47] {
        for channels in [1, 17, 100, 300, 1023, 1500] {
            if side * side * channels > 400_000 {
                continue;
            }
            let layer = DropBlock::new(1, 0.3)?.with_sharing(Sharing::OverChannels);
            let shape = Shape::nchw(2, channels, side, side);
            for at in [0, 1, 5, 16] {
                same_at::<f32>(&layer, shape, at)?;
                same_at::<f64>(&layer, shape, at)?;
                #[cfg(feature = "half")]
                same_at::<half::f16>(&layer, shape, at)?;
            }
        }
    }
    Ok(())
}

/// From one buffer to another and in place, `at` elements past the start of a buffer.
fn same_at<T: Element>(layer: &DropBlock, shape: Shape, at: usize) -> Result<(), Error> {
    let mut expected = None;
    for backend in Backend::available() {
        let plan = layer.with_backend(backend)?.plan(shape)?;
        let mut x = vec![T::ONE; at + plan.elements() + 1];
        let mut y = vec![T::ONE; at + plan.elements() + 1];
        let part = at..at + plan.elements();
        plan.forward(Key::new(13), &x[part.clone()], &mut y[part.clone()])?;
        plan.forward_in_place(Key::new(13), &mut x[part.clone()])?;
        assert!(x == y, "{backend}, {shape:?}, from {at}");
        assert!(x[..at].iter().chain(&x[part.end..]).all(|&x| x == T::ONE));
        let expected = expected.get_or_insert_with(|| x.clone());
        assert!(*expected == x, "{backend}, {shape:?}, from {at}");
    }
    Ok(())
}

/// A kernel of the caller's own sees the same parts of the same maps on every machine.
#[test]
fn parts_of_maps_are_the_same_on_every_backend() -> Result<(), Error> {
    for map in [Map::hw(60, 60), Map::hw(128, 128), Map::hw(300, 301), Map::hw(600, 700)] {
        let mut expected: Option<Vec<_>> = None;
        for backend in Backend::available() {
            let layer = DropBlock::new(7, 0.1)?.with_backend(backend)?;
            let plan = layer.plan(Shape::new(3, 5, map, Layout::ChannelsFirst))?;
            let mut parts = Vec::new();
            plan.for_each_map(Key::new(12), |part| {
                let keep = part.keep();
                assert_eq!(keep.len(), part.positions().len());
                let kept = (0..keep.len()).filter(|&i| keep.is_kept(i)).count();
                parts.push((part.sample(), part.channel(), part.positions(), kept));
            })?;
            assert!(parts.iter().all(|part| part.2.len() <= 16_384));
            let expected = expected.get_or_insert_with(|| parts.clone());
            assert!(*expected == parts, "{backend}, {map:?}");
        }
    }
    Ok(())
}

/// Whether the tests on large tensors are asked for.
fn is_large() -> bool {
    let is_large = std::env::var("DROPBLOCK_LARGE").is_ok_and(|value| value == "1");
    if !is_large {
        eprintln!("not tested: set DROPBLOCK_LARGE=1, which takes 3 GB");
    }
    is_large
}

/// One map of 4096 x 4096 with each backend against the oracle, with and without a mask buffer.
#[test]
fn large_map() -> Result<(), Error> {
    if !is_large() {
        return Ok(());
    }
    let shape = Shape::nchw(1, 1, 4096, 4096);
    for block in [7, 511] {
        let layer = DropBlock::new(block, 0.1)?;
        let mut expected = vec![false; 4096 * 4096];
        let key = Key::new(11).with_step(2);
        reference::mask(&layer, &shape, &key, &mut expected);
        let (words, dropped) = (pack(&expected), count(&expected));
        let popcount: u64 = words.iter().map(|word| u64::from(word.count_ones())).sum();
        assert_eq!(popcount, dropped.dropped);
        for backend in Backend::available() {
            let plan = layer.with_backend(backend)?.plan(shape)?;
            let mut drawn = vec![!0; plan.mask_words()];
            let given = plan.draw(key, &mut drawn)?.count();
            assert_eq!(given, dropped, "{backend}, block size {block}");
            assert!(drawn == words, "{backend}, block size {block}");
            check_with_and_without_mask(&plan, key)?;
        }
    }
    Ok(())
}

/// A tensor of 1 GiB.
#[test]
fn large_tensor() -> Result<(), Error> {
    if is_large() {
        let plan = DropBlock::new(7, 0.1)?.plan(Shape::nchw(8, 128, 512, 512))?;
        check_with_and_without_mask(&plan, Key::new(12))?;
    }
    Ok(())
}

/// The same tensor and count, the count of the mask, and zeros exactly where it says so.
fn check_with_and_without_mask(plan: &Plan, key: Key) -> Result<(), Error> {
    let value = |i: usize| (i % 1021 + 1) as f32;
    let mut x: Vec<f32> = (0..plan.elements()).map(value).collect();
    let mut y = x.clone();
    let mut words = vec![!0; plan.mask_words()];
    let mask = plan.draw(key, &mut words)?;
    mask.forward_in_place(&mut x)?;
    assert_eq!(Some(plan.forward_in_place(key, &mut y)?), mask.drawn());
    assert!(x == y, "with and without a mask buffer");
    drop(y);
    let count = mask.count();
    let popcount: u64 = mask.dropped_words().iter().map(|word| u64::from(word.count_ones())).sum();
    assert_eq!(popcount, count.dropped);
    let scale = plan.scale::<f32>(count);
    for (i, &x) in x.iter().enumerate() {
        let is_dropped = words[i / 64] >> (i % 64) & 1 == 1;
        assert_eq!(x, if is_dropped { 0.0 } else { value(i) * scale }, "unit {i}");
    }
    Ok(())
}

/// Blocks of all sizes about that of a word, in maps of a few rows: some planes, and enough of them for
/// segments side by side.
#[test]
fn blocks_of_about_a_word() -> Result<(), Error> {
    for block in 2..=4 {
        for (height, width) in (1..=5).flat_map(|h| (1..=68).map(move |w| (h, w))) {
            let channels = if width % 11 == 7 { 25_000 / (height * width) } else { 3 };
            for region in [Region::Valid, Region::Full] {
                let layer = DropBlock::new(block, 0.2)?.with_region(region);
                let shape = Shape::nchw(1, channels, height, width);
                let case = Case::new(layer, shape, Key::new(width as u64));
                let expected = pack(&case.expected_mask());
                for backend in Backend::available() {
                    let plan = case.plan(backend);
                    let mut words = vec![!0; plan.mask_words()];
                    plan.draw(case.key, &mut words)?;
                    assert!(words == expected, "{backend}, {case:?}");
                }
            }
        }
    }
    Ok(())
}
