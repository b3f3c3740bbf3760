//! Abuse by sizes and options: at the limits of their types, axes of size 0, strides by chance. There is
//! a typed error or the right answer.

use std::time::{Duration, Instant};

use dropblock::{
    Alignment, Backend, BlockSize, Buffer, Dilation, DropBlock, Dropped, Error, Gamma, Key, Layout,
    Map, Plan, Region, Scale, Schedule, Shape, Sharing, reference,
};

use crate::case::Case;
use crate::suite::check;

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
    (1 << 32) - 1,
    1 << 32,
    (1 << 32) + 1,
    1 << 58,
    (1 << 59) - 1,
    1 << 59,
    (1 << 59) + 1,
    (1 << 63) - 1,
    1 << 63,
    usize::MAX - 1,
    usize::MAX,
];

/// A run of numbers that looks like chance and is the same everywhere.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() >> 33) as usize % n
    }

    fn limit(&mut self) -> usize {
        // Small ones more often, or almost nothing fits.
        let number = self.below(3 * LIMITS.len());
        LIMITS.get(number).copied().unwrap_or(number % 7)
    }
}

/// Shapes, strides and blocks of any size: a plan whose numbers agree, or an error.
#[test]
fn plans_of_any_size_are_refused_or_right() -> Result<(), Error> {
    let mut numbers = Numbers(7);
    let mut plans = 0;
    for _ in 0..8_000 {
        let [a, b, c, d, e] = std::array::from_fn(|_| numbers.limit());
        let layout = [Layout::ChannelsFirst, Layout::ChannelsLast][numbers.below(2)];
        let map = [Map::l(e), Map::hw(d, e), Map::dhw(c, d, e)][numbers.below(3)];
        let mut shape = Shape::new(a, b, map, layout);
        if numbers.below(3) == 0 {
            shape = shape.with_strides(std::array::from_fn(|_| numbers.limit()));
        }
        let block = match numbers.below(4) {
            0 => BlockSize::relative(0.3),
            1 if map.rank() == 2 => BlockSize::hw(numbers.limit(), numbers.limit()),
            1 => BlockSize::dhw(numbers.limit(), numbers.limit(), numbers.limit()),
            _ => BlockSize::uniform(numbers.limit()),
        };
        let dilation = Dilation::new(map, block);
        let Ok(layer) = DropBlock::new(1, 0.1)?.with_block_size(block) else {
            assert!(matches!(dilation, Err(Error::BlockSize { .. })), "{block:?}");
            continue;
        };
        let layer = layer
            .with_region([Region::Valid, Region::Full][numbers.below(2)])
            .with_alignment([Alignment::Before, Alignment::After][numbers.below(2)])
            .with_sharing([Sharing::SampleChannel, Sharing::All][numbers.below(2)]);
        let what = format!("{shape:?} {layer:?}");
        match layer.plan(shape) {
            Ok(plan) => {
                plans += 1;
                let size = shape.map().size();
                let exact = [a, b, size[0], size[1], size[2]].map(|n| n as u128);
                assert_eq!(plan.len() as u128, exact.iter().product(), "{what}");
                assert!((0.0..=1.0).contains(&plan.gamma()), "{what}");
                assert_eq!(Ok(plan.len()), shape.len());
                assert_eq!(Ok(plan.extent()), shape.extent());
                assert!(plan.extent() >= plan.len() && plan.units() <= plan.len());
                assert_eq!(plan.mask_len(), plan.units().div_ceil(64));
                assert!(dilation.is_ok(), "{what}");
                check_empty_buffers(&plan, &what);
            }
            Err(Error::TooLarge { .. } | Error::Stride { .. } | Error::Rank { .. }) => {}
            Err(error) => panic!("{error}: {what}"),
        }
    }
    assert!(plans > 400, "only {plans} plans");
    Ok(())
}

/// What an operation makes of buffers without elements, for a plan of any size.
fn check_empty_buffers(plan: &Plan, what: &str) {
    let (key, none) = (Key::new(1), &mut [0.0_f32; 0]);
    let dropped = Dropped { count: 0, of: plan.units() as u64 };
    let length = |buffer, needed| match needed {
        0 => Ok(dropped),
        needed => Err(Error::Length { buffer, needed, given: 0 }),
    };
    let tensor = length(Buffer::Output, plan.extent());
    assert_eq!(plan.forward_in_place(key, none, None), tensor, "{what}");
    assert_eq!(plan.backward_in_place(key, &dropped, none).map(|()| dropped), tensor, "{what}");
    assert_eq!(plan.drop_only(key, none, 0.0, None), tensor, "{what}");
    let mask = length(Buffer::Mask, plan.mask_len());
    assert_eq!(plan.mask(key, &mut []), mask, "{what}");
    assert_eq!(plan.count(&[]), mask, "{what}");
    assert_eq!(plan.dilate(&mut []).map(|()| dropped), mask, "{what}");
    let view = plan.view(&[], 0, 0);
    assert!(plan.is_empty() || view.is_err(), "{what}");
    assert!(plan.position_scale::<f32>(usize::MAX).is_err(), "{what}");
}

/// The longest axis that there is, and the most samples, where the mask is small.
#[test]
fn masks_of_tensors_that_no_memory_holds() -> Result<(), Error> {
    for backend in Backend::available() {
        let layer = DropBlock::new(3, 0.3)?.with_sharing(Sharing::All).with_backend(backend)?;
        let small = layer.plan(Shape::nchw(1, 1, 9, 10))?;
        let huge = layer.plan(Shape::nchw(1 << 30, 1 << 22, 9, 10))?;
        let (mut mask, mut same) = ([0; 2], [0; 2]);
        let key = Key::new(u64::MAX).step(u64::MAX).layer(u64::MAX).first_sample(u64::MAX);
        assert_eq!(huge.mask(key, &mut mask), small.mask(key, &mut same));
        assert_eq!(mask, same);
        let mut planes = 0;
        huge.for_each_plane(key, |part| planes += part.mask.len())?;
        assert_eq!((planes, huge.units()), (90, 90));
        assert_eq!(huge.view(&mask, (1 << 30) - 1, (1 << 22) - 1)?.len(), 90);
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
            for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
                for scale in [Scale::Tensor, Scale::Sample, Scale::Channel, Scale::PerPosition] {
                    for (region, sharing) in [
                        (Region::Valid, Sharing::All),
                        (Region::Full, Sharing::SampleChannel),
                        (Region::Full, Sharing::Sample),
                        (Region::Valid, Sharing::Channel),
                    ] {
                        let layer = DropBlock::new(2, 0.5)?.with_gamma(Gamma::Raw(0.5))?;
                        let layer =
                            layer.with_region(region).with_sharing(sharing).with_scale(scale);
                        let shape = Shape::new(samples, channels, map, layout);
                        let key = Key::new(3);
                        let case = Case { layer, shape, key, first_sample: 0, noise: false };
                        for backend in Backend::available() {
                            check(backend, &case);
                        }
                        let plan = layer.plan(shape)?;
                        assert!(plan.is_empty() && plan.len() + plan.extent() == 0);
                        assert!(plan.gamma() <= 1.0);
                        assert!(plan.expected_dropped() == 0.0 || !map.is_empty());
                        assert_eq!(plan.centers(key, &mut [7])?, 0);
                        let mut generator = reference::generator(&key, 0);
                        assert_eq!(plan.centers_from_rng(&mut generator, &mut [7])?, 0);
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
            let plan = layer.plan(shape.with_strides([usize::MAX; 5]))?;
            assert_eq!((plan.len(), plan.extent(), plan.mask_len()), (0, 0, 0));
            let dropped = plan.forward_in_place(Key::new(1), &mut [0.0_f32; 0], None)?;
            assert_eq!(dropped, Dropped::default());
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
#[test]
fn plans_of_empty_maps_take_no_time() -> Result<(), Error> {
    let start = Instant::now();
    for _ in 0..100 {
        for map in [Map::hw(1 << 31, 0), Map::dhw(1, 1 << 31, 0), Map::dhw(0, 1 << 31, 2)] {
            let layer = DropBlock::new(1 << 31, 0.1)?;
            let plan = layer.plan(Shape::new(1, 1, map, Layout::ChannelsFirst))?;
            assert!(plan.is_empty());
        }
    }
    // Some milliseconds, where 200 times 2^31 rows took minutes.
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    Ok(())
}

/// Strides by chance: those that are accepted give each unit an element of its own.
#[test]
fn strides_never_overlap() -> Result<(), Error> {
    let layer = DropBlock::new(2, 0.4)?;
    let mut numbers = Numbers(9);
    let mut accepted = 0;
    for _ in 0..8_000 {
        let [n, c, d, h, w] = std::array::from_fn(|_| 1 + numbers.below(3));
        let shape = Shape::ncdhw(n, c, d, h, w).with_strides(std::array::from_fn(|_| {
            [numbers.below(4), numbers.below(20), numbers.below(90)][numbers.below(3)]
        }));
        let Ok(plan) = layer.plan(shape) else { continue };
        accepted += 1;
        let mut owners = vec![0; plan.extent()];
        let [sn, sc, sd, sh, sw] = shape.strides();
        for index in 0..plan.len() {
            let (w_, h_, d_) = (index % w, index / w % h, index / (w * h) % d);
            let (c_, n_) = (index / (w * h * d) % c, index / (w * h * d * c));
            owners[n_ * sn + c_ * sc + d_ * sd + h_ * sh + w_ * sw] += 1;
        }
        assert!(owners.iter().all(|&owners| owners <= 1), "{shape:?}");
        // What belongs to no unit stays, though all units are written.
        let everything = layer.with_gamma(Gamma::Raw(1.0))?.plan(shape)?;
        let mut x = vec![5.0_f32; plan.extent()];
        everything.forward_in_place(Key::new(1), &mut x, None)?;
        let expected: Vec<f32> =
            owners.iter().map(|&owners| if owners == 0 { 5.0 } else { 0.0 }).collect();
        assert_eq!(x, expected, "{shape:?}");
    }
    assert!(accepted > 100, "only {accepted} accepted");
    Ok(())
}

/// Dilations whose blocks and maps are as large as numbers can be.
#[test]
fn dilations_at_the_limits() -> Result<(), Error> {
    for backend in Backend::available() {
        for size in [2, 3, 63, 64, 65, 1 << 31, 1 << 32, usize::MAX - 1, usize::MAX] {
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
    let wide = Dilation::new(Map::l(1 << 59), BlockSize::uniform(usize::MAX))?;
    assert!(matches!(wide.words(usize::MAX), Err(Error::TooLarge { .. })));
    assert!(matches!(wide.dilate_bits_in_place(64, &mut [1]), Err(Error::TooLarge { .. })));
    assert!(matches!(wide.dilate_bits_in_place(1, &mut [1]), Err(Error::Length { .. })));
    assert_eq!(wide.dilate_bits_in_place(0, &mut [1]), Ok(()));
    assert!(matches!(wide.dilate_in_place(&mut [1]), Err(Error::Length { .. })));
    assert!(matches!(
        Dilation::new(Map::l((1 << 59) + 1), BlockSize::uniform(3)),
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
                    let case =
                        Case { layer, shape, key: Key::new(1), first_sample: 0, noise: false };
                    check(Backend::Simd, &case);
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
