//! Abuse by sizes and options: at the limits of their types, axes of size 0, strides by chance. There is
//! a typed error or the right answer.

use dropblock::{
    Alignment, Backend, BlockSize, Buffer, Dilation, Drawn, DropBlock, DropCount, Error, Fill,
    Gamma, Key, Layout, Map, Plan, Region, Scale, Schedule, Shape, Sharing, View, ViewMut,
    reference,
};
use dropblock_cases::{Numbers, Source as _};
use rand_xoshiro::Xoshiro128PlusPlus;
use rand_xoshiro::rand_core::SeedableRng as _;

use crate::case::{Case, Place};
use crate::suite::check;

/// The most elements of a tensor or a map.
const MOST: usize = if usize::BITS < 64 { usize::MAX / 2 } else { 1 << (usize::BITS - 5) };

/// Numbers at which something overflows if it is not checked.
const LIMITS: [usize; 22] = [
    0,
    1,
    2,
    63,
    64,
    65,
    (1 << 16) - 1,
    1 << 16,
    (1 << 31) - 1,
    1 << 31,
    (1 << 31) + 1,
    (1 << (usize::BITS / 2)) - 1,
    1 << (usize::BITS / 2),
    (1 << (usize::BITS / 2)) + 1,
    MOST / 2,
    MOST - 1,
    MOST,
    MOST + 1,
    usize::MAX / 2,
    usize::MAX / 2 + 1,
    usize::MAX - 1,
    usize::MAX,
];

/// Small numbers more often, or almost nothing fits.
fn limit(numbers: &mut Numbers) -> usize {
    let number = numbers.below(3 * LIMITS.len());
    LIMITS.get(number).copied().unwrap_or(number % 7)
}

/// Shapes and blocks of any size: a plan whose numbers agree, or an error.
#[test]
fn plans_of_any_size_are_refused_or_right() -> Result<(), Error> {
    let mut numbers = Numbers(7);
    let mut plans = 0;
    for _ in 0..8_000 {
        let [a, b, c, d, e] = std::array::from_fn(|_| limit(&mut numbers));
        let layout = Layout::ALL[numbers.below(2)];
        let map = [Map::l(e), Map::hw(d, e), Map::dhw(c, d, e)][numbers.below(3)];
        let shape = Shape::new(a, b, map, layout);
        let block = match numbers.below(4) {
            0 => BlockSize::relative(0.3),
            1 if map.rank() == 2 => BlockSize::hw(limit(&mut numbers), limit(&mut numbers)),
            1 => BlockSize::dhw(limit(&mut numbers), limit(&mut numbers), limit(&mut numbers)),
            _ => BlockSize::uniform(limit(&mut numbers)),
        };
        let dilation = Dilation::new(map, block);
        let Ok(layer) = DropBlock::new(1, 0.1)?.with_block_size(block) else {
            assert!(matches!(dilation, Err(Error::BlockSize { .. })), "{block:?}");
            continue;
        };
        let layer = layer
            .with_region(Region::ALL[numbers.below(2)])
            .with_alignment(Alignment::ALL[numbers.below(2)])
            .with_sharing([Sharing::None, Sharing::OverAll][numbers.below(2)]);
        let what = format!("{shape:?} {layer:?}");
        match layer.plan(shape) {
            Ok(plan) => {
                plans += 1;
                let size = shape.map().size();
                let exact = [a, b, size[0], size[1], size[2]].map(|n| n as u128);
                assert_eq!(plan.elements() as u128, exact.iter().product(), "{what}");
                assert!((0.0..=1.0).contains(&plan.gamma()), "{what}");
                assert_eq!(Ok(plan.elements()), shape.len());
                assert!(plan.units() <= plan.elements());
                assert_eq!(plan.mask_words(), plan.units().div_ceil(64));
                assert!(dilation.is_ok(), "{what}");
                check_empty_buffers(&plan, &what);
                for _ in 0..3 {
                    check_far_views(&plan, std::array::from_fn(|_| limit(&mut numbers)), &what);
                }
            }
            Err(Error::TooLarge { .. } | Error::Axis { .. } | Error::Rank { .. }) => {}
            Err(error) => panic!("{error}: {what}"),
        }
    }
    assert!(plans > 400, "only {plans} plans");
    Ok(())
}

/// What an operation makes of buffers without elements, for a plan of any size.
fn check_empty_buffers(plan: &Plan, what: &str) {
    let (key, none) = (Key::new(1), &mut [0.0_f32; 0]);
    let drawn = Drawn::from(key).with_count(DropCount { dropped: 0, total: plan.units() as u64 });
    let length = |buffer, needed| match needed {
        0 => Ok(drawn),
        needed => Err(Error::Length { buffer, needed, given: 0 }),
    };
    let tensor = length(Buffer::Output, plan.elements());
    assert_eq!(plan.forward_in_place(key, &mut *none), tensor, "{what}");
    assert_eq!(plan.backward_in_place(drawn, &mut *none).map(|()| drawn), tensor, "{what}");
    assert_eq!(plan.drop_only(key, &mut *none, 0.0), tensor, "{what}");
    let mask = length(Buffer::Mask, plan.mask_words());
    let drawn_of = |mask: dropblock::Mask<'_>| mask.drawn().unwrap_or(drawn);
    assert_eq!(plan.draw(key, &mut []).map(drawn_of), mask, "{what}");
    assert_eq!(plan.mask_from(&[]).map(drawn_of), mask, "{what}");
    assert_eq!(plan.dilate(&mut []).map(|()| drawn), mask, "{what}");
    if let Ok(of_nothing) = plan.mask_from(&[]).and_then(|mask| mask.with_key(key)) {
        // A mask without words stands for empty maps, of which there may be any number.
        let drawn = drawn_of(of_nothing);
        let passes = [
            of_nothing.forward_in_place(&mut *none),
            of_nothing.backward_in_place(&mut *none),
            of_nothing.drop_only(&mut *none, 0.0),
        ];
        assert_eq!(passes.map(|pass| pass.map(|()| drawn)), [tensor; 3], "{what}");
        let group = of_nothing.count_group(plan.groups().wrapping_sub(1));
        assert!(plan.groups() == 0 || group == Ok(DropCount::default()), "{what}");
    }
    let map = plan.mask_from(&[]).and_then(|mask| mask.map(0, 0).map(|map| map.keep().len()));
    assert!(plan.elements() == 0 || map.is_err(), "{what}");
    assert!(plan.position_scale::<f32>(usize::MAX).is_err(), "{what}");
}

/// Views with strides and places of any size of a small buffer: there is an error, or the view has
/// no elements outside.
fn check_far_views(plan: &Plan, numbers: [usize; 6], what: &str) {
    let (len, key) = (70, Key::new(1));
    let [first, strides @ ..] = numbers;
    let strides = strides.map(|stride| stride as isize);
    let is_small = plan.elements() <= len;
    let mut y = vec![5.0_f32; len];
    match plan.forward_in_place(key, ViewMut::new(&mut y, first, strides)) {
        Ok(_) => assert!(is_small, "{strides:?} {what}"),
        Err(Error::View { needed: [before, after], given, .. }) => {
            assert_eq!(given, [first, len], "{strides:?} {what}");
            let is_inside = before <= first && first < len && after < len - first;
            assert!(!is_inside, "{strides:?} {what}");
        }
        Err(Error::Stride { .. }) => assert!(plan.elements() > 0, "{strides:?} {what}"),
        Err(Error::TooLarge { .. }) => assert!(plan.elements() > 0, "{strides:?} {what}"),
        Err(error) => panic!("{error}: {what}"),
    }
    let x = vec![5.0_f32; len];
    let from = View::new(&x, first, strides);
    let result = plan.backward(key, from, &mut [0.0_f32; 0]);
    assert!(result.is_err() || plan.elements() == 0, "{strides:?} {what}");
}

/// The longest axis that there is, and the most samples, where the mask is small.
#[test]
fn masks_of_tensors_that_no_memory_holds() -> Result<(), Error> {
    for backend in Backend::available() {
        let layer = DropBlock::new(3, 0.3)?.with_sharing(Sharing::OverAll).with_backend(backend)?;
        let small = layer.plan(Shape::nchw(1, 1, 9, 10))?;
        let (samples, channels) = if usize::BITS < 64 { (1 << 20, 16) } else { (1 << 30, 1 << 22) };
        let huge = layer.plan(Shape::nchw(samples, channels, 9, 10))?;
        let (mut words, mut same) = ([0; 2], [0; 2]);
        let key = Key::from_words([u64::MAX; 4]);
        let mask = huge.draw(key, &mut words)?;
        assert_eq!(mask.drawn(), small.draw(key, &mut same)?.drawn());
        assert_eq!(mask.dropped_words(), same);
        assert_eq!((huge.count(key)?, huge.units()), (small.count(key)?, 90));
        let map = mask.map(samples - 1, channels - 1)?;
        assert!(map.keep().runs().eq(small.mask_from(&same)?.map(0, 0)?.keep().runs()));
        assert_eq!((map.keep().len(), map.elements().end), (90, huge.elements()));
        let (map, channel) = (channels + channels / 2, channels / 2);
        assert_eq!(mask.maps()?.nth(map).map(|map| map.channel()), Some(channel));
    }
    Ok(())
}

/// A size of 0 along each axis in turn, in each rank: nothing is done, and it succeeds.
/// What maps and shapes say of themselves.
#[test]
fn sizes_ranks_and_emptiness() {
    for (map, rank) in [(Map::l(7), 1), (Map::hw(4, 5), 2), (Map::dhw(3, 4, 5), 3)] {
        assert_eq!(map.rank(), rank);
        let full = Shape::new(2, 3, map, Layout::ChannelsFirst);
        assert!(!map.is_empty() && !full.is_empty());
        assert_eq!(full.len(), map.len().map(|len| 6 * len));
        for (samples, channels) in [(0, 3), (2, 0), (0, 0)] {
            let shape = Shape::new(samples, channels, map, Layout::ChannelsLast);
            assert!(shape.is_empty() && shape.len() == Ok(0), "{shape:?}");
        }
    }
    for map in [
        Map::l(0),
        Map::hw(0, 5),
        Map::hw(4, 0),
        Map::dhw(0, 4, 5),
        Map::dhw(3, 0, 5),
        Map::dhw(3, 4, 0),
    ] {
        assert!(map.is_empty() && map.len() == Ok(0), "{map:?}");
        assert!(Shape::new(2, 3, map, Layout::ChannelsFirst).is_empty(), "{map:?}");
    }
}

#[test]
fn an_axis_of_size_0_is_an_empty_tensor() -> Result<(), Error> {
    for map in [
        Map::l(0),
        Map::hw(0, 5),
        Map::hw(4, 0),
        Map::dhw(0, 4, 5),
        Map::dhw(3, 0, 5),
        Map::dhw(3, 4, 0),
        Map::l(7),
        Map::hw(4, 5),
        Map::dhw(3, 4, 5),
    ] {
        for (samples, channels) in [(0, 3), (2, 0), (0, 0), (2, 3)] {
            if samples * channels > 0 && !map.is_empty() {
                continue;
            }
            for &layout in Layout::ALL {
                for &scale in Scale::ALL {
                    for (region, sharing) in [
                        (Region::Valid, Sharing::OverAll),
                        (Region::Full, Sharing::None),
                        (Region::Full, Sharing::OverChannels),
                        (Region::Valid, Sharing::OverSamples),
                    ] {
                        let layer = DropBlock::new(2, 0.5)?.with_gamma(Gamma::Raw(0.5))?;
                        let layer =
                            layer.with_region(region).with_sharing(sharing).with_scale(scale);
                        let shape = Shape::new(samples, channels, map, layout);
                        let key = Key::new(3);
                        for backend in Backend::available() {
                            check(backend, &Case::new(layer, shape, key));
                        }
                        let plan = layer.plan(shape)?;
                        assert_eq!(plan.elements() + plan.units() + plan.mask_words(), 0);
                        assert!(plan.gamma() <= 1.0);
                        assert!(plan.expected_dropped() == 0.0 || !map.is_empty());
                        assert_eq!(plan.draw_centers(key, &mut [7])?, 0);
                        let mut generator = Xoshiro128PlusPlus::seed_from_u64(3);
                        assert_eq!(plan.draw_centers_from(&mut generator, &mut [7])?, 0);
                    }
                }
            }
        }
        if map.is_empty() {
            let dilation = Dilation::new(map, BlockSize::uniform(3))?;
            assert_eq!((dilation.map_len(), dilation.words(usize::MAX)?), (0, 0));
            dilation.dilate_in_place(&mut [])?;
            dilation.dilate_bits_in_place(usize::MAX, &mut [])?;
            let error = Error::Length { buffer: Buffer::Destination, needed: 0, given: 1 };
            assert_eq!(dilation.dilate_in_place(&mut [1]), Err(error));
        }
    }
    Ok(())
}

/// Found by the test above: the plan of an empty tensor multiplied strides that do not matter, and
/// overflowed.
#[test]
fn strides_of_empty_tensors_do_not_matter() -> Result<(), Error> {
    let layer = DropBlock::new(3, 0.1)?;
    for map in [Map::l(9), Map::hw(9, 9), Map::dhw(9, 9, 9), Map::dhw(0, 9, 9), Map::hw(9, 0)] {
        for (samples, channels) in [(0, 3), (3, 0)] {
            let shape = Shape::new(samples, channels, map, Layout::ChannelsFirst);
            let plan = layer.plan(shape)?;
            let (key, nothing) = (Key::new(1), Some(DropCount::default()));
            for strides in [[isize::MAX; 5], [isize::MIN; 5], [0; 5]] {
                let mut y = [0.0_f32; 0];
                let out = ViewMut::new(&mut y, 0, strides);
                assert_eq!(plan.forward_in_place(key, out)?.count(), nothing, "{strides:?}");
                let (from, out) = (View::new(&[], 9, strides), ViewMut::new(&mut y, 7, strides));
                assert_eq!(plan.forward(key, from, out)?.count(), nothing, "{strides:?}");
                plan.drop_only(key, ViewMut::new(&mut y, 0, strides), 1.0)?;
            }
        }
    }
    Ok(())
}

/// Along an axis of one unit a stride is never used, not even by noise, which is noted for some units at a
/// time (found by fuzzing).
#[test]
fn strides_along_axes_of_one_unit_do_not_matter() -> Result<(), Error> {
    for (&layout, &scale) in
        Layout::ALL.iter().flat_map(|layout| Scale::ALL.iter().map(move |scale| (layout, scale)))
    {
        for (fill, gamma) in
            [Fill::Zero, Fill::Noise].into_iter().flat_map(|fill| [(fill, 0.0), (fill, 1.0)])
        {
            let layer = DropBlock::new(1, 0.5)?.with_gamma(Gamma::Raw(gamma))?;
            let layer = layer.with_scale(scale).with_fill(fill);
            for map in [Map::l(1), Map::hw(1, 1), Map::dhw(1, 1, 1)] {
                let plan = layer.plan(Shape::new(2, 1, map, layout))?;
                let (key, x) = (Key::new(1), [1.0_f32, 5.0, 5.0, 1.0]);
                let mut expected = [1.0, 1.0];
                plan.forward_in_place(key, &mut expected)?;
                for stride in [isize::MAX, isize::MAX / 3, isize::MIN] {
                    let strides = [3, stride, stride, stride, stride];
                    let (mut y, mut mask) = (x, vec![0; plan.mask_words()]);
                    plan.forward_in_place(key, ViewMut::new(&mut y, 0, strides))?;
                    assert_eq!(y, [expected[0], 5.0, 5.0, expected[1]], "{stride} {layer:?}");
                    let mask = plan.draw(key, &mut mask)?;
                    let (from, mut y) = (View::new(&x, 0, strides), x);
                    mask.forward(from, ViewMut::new(&mut y, 0, strides))?;
                    assert_eq!(y, [expected[0], 5.0, 5.0, expected[1]], "{stride} {layer:?}");
                    mask.drop_only(ViewMut::new(&mut y, 0, strides), 7.0)?;
                    assert_eq!(y[0] == 7.0 && y[3] == 7.0, gamma > 0.0, "{stride} {layer:?}");
                }
            }
        }
    }
    Ok(())
}

/// Found by fuzzing: the reference said 1, which no mask depends on.
#[test]
fn exact_gamma_of_an_empty_map_is_the_drop_probability() -> Result<(), Error> {
    for p in [0.0, 0.25, 1.0] {
        for map in [Map::l(0), Map::hw(0, 5), Map::dhw(3, 0, 5), Map::dhw(3, 4, 0)] {
            let layer = DropBlock::new(3, p)?.with_gamma(Gamma::Exact)?;
            let shape = Shape::new(1, 2, map, Layout::ChannelsLast);
            let gamma = (p * (1_u64 << 63) as f64) as u64;
            assert_eq!(reference::gamma(&layer, &shape), gamma);
            let realised = reference::realised_gamma(gamma) as f64 / (1_u64 << 63) as f64;
            assert_eq!(layer.plan(shape)?.gamma(), realised);
        }
    }
    Ok(())
}

/// Found by the test above, which took its time: a plan for rows without a length counted them all.
/// It would do that here for hours.
#[test]
fn plans_of_empty_maps_take_no_time() -> Result<(), Error> {
    for _ in 0..10_000 {
        for map in [Map::hw(1 << 30, 0), Map::dhw(1, 1 << 30, 0), Map::dhw(0, 1 << 29, 2)] {
            let layer = DropBlock::new(1 << 31, 0.1)?;
            let plan = layer.plan(Shape::new(1, 1, map, Layout::ChannelsFirst))?;
            assert_eq!(plan.elements(), 0);
        }
    }
    Ok(())
}

/// So many empty maps that visiting each would take years.
#[test]
fn passes_over_empty_maps_take_no_time() -> Result<(), Error> {
    let many = 1 << (usize::BITS / 2 - 6);
    for map in [Map::hw(9, 0), Map::l(0), Map::dhw(0, 3, 5)] {
        for (&layout, &sharing) in
            Layout::ALL.iter().flat_map(|layout| Sharing::ALL.iter().map(move |s| (layout, s)))
        {
            for &scale in Scale::ALL {
                for (fill, is_training) in
                    [(Fill::Zero, true), (Fill::Noise, true), (Fill::Zero, false)]
                {
                    let layer = DropBlock::new(3, 0.5)?.with_gamma(Gamma::Raw(0.5))?;
                    let layer = layer.with_sharing(sharing).with_scale(scale).with_fill(fill);
                    let plan = layer
                        .with_training(is_training)
                        .plan(Shape::new(many, many, map, layout))?;
                    check_empty_buffers(&plan, &format!("{plan:?}"));
                }
            }
        }
    }
    Ok(())
}

/// Strides by chance: those that are accepted give each unit an element of its own.
#[test]
fn strides_never_overlap() -> Result<(), Error> {
    let layer = DropBlock::new(2, 0.4)?.with_gamma(Gamma::Raw(1.0))?;
    let mut numbers = Numbers(9);
    let (mut accepted, mut corrected) = (0, 0);
    let mut room = vec![0.0_f32; 1_000_000];
    for _ in 0..8_000 {
        let [n, c, d, h, w] = std::array::from_fn(|_| 1 + numbers.below(3));
        let shape = Shape::ncdhw(n, c, d, h, w);
        let mut strides: [isize; 5] = std::array::from_fn(|_| {
            let stride = [numbers.below(4), numbers.below(20), numbers.below(90)][numbers.below(3)];
            if numbers.below(2) == 0 { stride as isize } else { -(stride as isize) }
        });
        let plan = layer.plan(shape)?;
        // What is refused is accepted once the strides are as long as it is said, one by one.
        let mut is_refused = false;
        while let Err(error) =
            plan.forward_in_place(Key::new(1), ViewMut::new(&mut room, 500_000, strides))
        {
            let Error::Stride { axis, needed, given } = error else { panic!("{error}") };
            assert!(needed > given.unsigned_abs() as u64, "{error}");
            assert_eq!(given, strides[axis]);
            strides[axis] = needed as isize;
            is_refused = true;
        }
        accepted += usize::from(!is_refused);
        corrected += usize::from(is_refused);
        let place = Place::tight(&shape, strides);
        let mut x = vec![5.0_f32; place.len];
        let out = ViewMut::new(&mut x, place.first, strides);
        plan.forward_in_place(Key::new(1), out)?;
        let mut owners = vec![0; place.len];
        for element in place.elements(&shape) {
            owners[element] += 1;
        }
        assert!(owners.iter().all(|&owners| owners <= 1), "{shape:?}");
        // What belongs to no unit stays, though all units are written.
        let expected: Vec<f32> =
            owners.iter().map(|&owners| if owners == 0 { 5.0 } else { 0.0 }).collect();
        assert_eq!(x, expected, "{shape:?}");
    }
    assert!(accepted > 100 && corrected > 100, "{accepted} accepted, {corrected} corrected");
    Ok(())
}

/// Dilations whose blocks and maps are as large as numbers can be.
#[test]
fn dilations_at_the_limits() -> Result<(), Error> {
    for backend in Backend::available() {
        for size in [2, 3, 63, 64, 65, 1 << 31, (1 << 31) + 1, usize::MAX - 1, usize::MAX] {
            for map in [Map::l(70), Map::hw(7, 10), Map::dhw(2, 5, 7)] {
                for alignment in [Alignment::Before, Alignment::After] {
                    let dilation =
                        Dilation::new(map, BlockSize::uniform(size))?.with_alignment(alignment);
                    let dilation = dilation.with_backend(backend)?;
                    let mut bytes = [0; 140];
                    (bytes[0], bytes[139]) = (3, 250);
                    dilation.dilate_in_place(&mut bytes)?;
                    let mut bits = [1, 0, 1 << 11];
                    dilation.dilate_bits_in_place(2, &mut bits)?;
                    for (i, &byte) in bytes.iter().enumerate() {
                        assert_eq!(byte > 0, bits[i / 64] >> (i % 64) & 1 == 1, "{i} {dilation:?}");
                        assert!(size < 1 << 31 || byte == [3, 250][i / 70], "{i} {dilation:?}");
                    }
                }
            }
        }
    }
    let wide = Dilation::new(Map::l(MOST), BlockSize::uniform(usize::MAX))?;
    assert!(matches!(wide.words(usize::MAX), Err(Error::TooLarge { .. })));
    assert!(matches!(wide.dilate_bits_in_place(64, &mut [1]), Err(Error::TooLarge { .. })));
    assert!(matches!(wide.dilate_bits_in_place(1, &mut [1]), Err(Error::Length { .. })));
    assert_eq!(wide.dilate_bits_in_place(0, &mut [1]), Ok(()));
    assert!(matches!(wide.dilate_in_place(&mut [1]), Err(Error::Length { .. })));
    assert!(matches!(
        Dilation::new(Map::l(MOST + 1), BlockSize::uniform(3)),
        Err(Error::TooLarge { .. })
    ));
    Ok(())
}

/// Probabilities and factors at the ends of their ranges: gamma stays a probability.
#[test]
fn options_at_the_limits() -> Result<(), Error> {
    let tiny = [0.0, -0.0, f64::MIN_POSITIVE, 5e-324, 1e-300, f64::EPSILON, 2.0_f64.powi(-63)];
    let probabilities = tiny.into_iter().chain([0.5, 1.0 - f64::EPSILON / 2.0, 1.0]);
    for p in probabilities {
        for scale in [0.0, 5e-324, 1.0, 1e308, f64::MAX] {
            for gamma in
                [Gamma::Paper { scale }, Gamma::PaperValid { scale }, Gamma::Exact, Gamma::Raw(p)]
            {
                for region in [Region::Valid, Region::Full] {
                    let layer = DropBlock::new(3, p)?.with_gamma(gamma)?.with_region(region);
                    let shape = Shape::nchw(1, 2, 6, 7);
                    let plan = layer.plan(shape)?;
                    let what = format!("{layer:?}");
                    let gamma = reference::gamma(&layer, &shape);
                    let realised = reference::realised_gamma(gamma) as f64 / (1_u64 << 63) as f64;
                    assert_eq!(plan.gamma(), realised, "{what}");
                    assert!((0.0..=1.0).contains(&plan.gamma()), "{what}");
                    assert!((0.0..=1.0).contains(&plan.expected_dropped()), "{what}");
                    check(Backend::Simd, &Case::new(layer, shape, Key::new(1)));
                }
            }
        }
    }
    for bad in [-5e-324, -f64::MIN_POSITIVE, 1.0 + f64::EPSILON, f64::MAX, f64::NAN, -f64::NAN] {
        assert!(matches!(DropBlock::new(3, bad), Err(Error::DropProb { .. })), "{bad}");
    }
    let schedule = Schedule::linear(0.0, 18_446_744_073_709_551_616.0)?.after(u64::MAX).after(1);
    assert_eq!(schedule.at(u64::MAX - 1, u64::MAX), 0.0);
    assert_eq!(schedule.block_size(u64::MAX, u64::MAX), usize::MAX);
    Ok(())
}
