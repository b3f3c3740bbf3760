//! Options, shapes and schedules of any size: a plan or a typed error, and numbers that are those
//! of the reference where it can be computed in time.
#![no_main]

use arbitrary::Arbitrary;
use dropblock::{
    Backend, BlockSize, DropBlock, Error, Gamma, Key, Layout, Map, Plan, Schedule, Shape, View,
    ViewMut, reference,
};
use dropblock_fuzz::{AnyGamma, AnyKey, Choices, Number, Probability};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    constructor: u8,
    block: Block,
    drop_prob: Probability,
    gamma: AnyGamma,
    choices: Choices,
    inference: bool,
    rank: u8,
    layout: u8,
    sizes: [Number; 5],
    view: Option<(Number, [Number; 5])>,
    schedule: AnySchedule,
    key: AnyKey,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Block {
    Uniform(Number),
    Flat(Number, Number),
    Deep(Number, Number, Number),
    Relative(f64),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
struct AnySchedule {
    kind: u8,
    start: Probability,
    end: Probability,
    held: Number,
    step: Number,
    total: Number,
}

const ONE: f64 = (1_u64 << 63) as f64;

const LISTS: [&[(u64, f64)]; 7] = [
    &[],
    &[(1, 0.5)],
    &[(3, 5.0), (9, 2.0), (u64::MAX, 1e9)],
    &[(0, 1.0)],
    &[(4, 1.0), (4, 2.0)],
    &[(4, -1.0)],
    &MANY,
];

/// One step more than a schedule holds.
const MANY: [(u64, f64); 33] = {
    let mut list = [(0, 1.0); 33];
    let mut i = 0;
    while i < list.len() {
        list[i].0 = i as u64 + 1;
        i += 1;
    }
    list
};

fuzz_target!(|input: Input| {
    schedule(&input.schedule);
    let Some(layer) = layer(&input) else { return };
    let (map, shape) = shape(&input);
    // Exact gammas take time in proportion to the block's depth and height.
    let affordable = |size: [usize; 3], most: usize| size.iter().all(|&size| size <= most);
    let layer = if affordable(map.size(), 64) {
        layer
    } else {
        let gamma = Gamma::Paper { scale: 0.5 };
        match input.gamma {
            AnyGamma::Exact => layer.with_gamma(gamma).expect("a factor in range"),
            _ => layer,
        }
    };
    match layer.plan(shape) {
        Ok(plan) => check(&plan, &input, affordable(map.size(), 64), affordable(map.size(), 8)),
        Err(error) => assert!(
            matches!(error, Error::TooLarge { .. } | Error::Axis { .. } | Error::Rank { .. })
                && !error.to_string().is_empty(),
            "{error}"
        ),
    }
});

/// The layer, if nothing is wrong with it.
fn layer(input: &Input) -> Option<DropBlock> {
    let p = input.drop_prob.get();
    let (size, block) = match input.block {
        Block::Uniform(size) => (size.get(), None),
        Block::Flat(h, w) => (3, Some(BlockSize::hw(h.get(), w.get()))),
        Block::Deep(d, h, w) => (3, Some(BlockSize::dhw(d.get(), h.get(), w.get()))),
        Block::Relative(fraction) => (3, Some(BlockSize::relative(fraction))),
    };
    let new = match input.constructor % 6 {
        0 => DropBlock::timm(size, p),
        1 => DropBlock::timm_legacy(size, p),
        2 => DropBlock::miguelvr(size, p),
        3 => DropBlock::dragon(size, p),
        4 => DropBlock::tensorflow(size, p),
        _ => DropBlock::new(size, p),
    };
    assert_eq!(new.is_ok(), size > 0 && (0.0..=1.0).contains(&p));
    let mut layer = new.ok()?;
    if let Some(block) = block {
        let good = match input.block {
            Block::Flat(h, w) => h.get() > 0 && w.get() > 0,
            Block::Deep(d, h, w) => d.get() > 0 && h.get() > 0 && w.get() > 0,
            Block::Relative(fraction) => fraction > 0.0 && fraction.is_finite(),
            Block::Uniform(_) => true,
        };
        let result = layer.with_block_size(block);
        assert_eq!(result.is_ok(), good);
        layer = result.ok()?;
    }
    let gamma = input.gamma.get();
    let result = layer.with_gamma(gamma);
    let good = match gamma {
        Gamma::Paper { scale } | Gamma::PaperValid { scale } => scale >= 0.0 && scale.is_finite(),
        Gamma::Raw(gamma) => (0.0..=1.0).contains(&gamma),
        _ => true,
    };
    assert_eq!(result.is_ok(), good);
    if input.constructor % 2 == 0 {
        layer = result.ok()?;
        layer = input.choices.apply(layer);
    }
    for backend in Backend::ALL {
        assert_eq!(layer.with_backend(*backend).is_ok(), backend.is_available());
    }
    Some(if input.inference { layer.with_training(false) } else { layer })
}

fn shape(input: &Input) -> (Map, Shape) {
    let [samples, channels, d, h, w] = input.sizes.map(Number::get);
    let map = match input.rank % 3 {
        0 => Map::l(w),
        1 => Map::hw(h, w),
        _ => Map::dhw(d, h, w),
    };
    let layout = [Layout::ChannelsFirst, Layout::ChannelsLast][usize::from(input.layout) % 2];
    (map, Shape::new(samples, channels, map, layout))
}

fn check(plan: &Plan, input: &Input, few: bool, very_few: bool) {
    let (layer, shape) = (plan.layer(), plan.shape());
    let size = shape.map().size();
    let exact = [shape.samples(), shape.channels(), size[0], size[1], size[2]];
    assert_eq!(plan.elements() as u128, exact.iter().map(|&size| size as u128).product());
    assert_eq!(plan.elements() == 0, shape.is_empty());
    assert_eq!(Ok(plan.elements()), shape.len());
    assert_eq!(plan.with_samples(shape.samples()), Ok(*plan));
    assert_eq!(plan.units(), reference::units(layer, shape));
    assert_eq!(plan.mask_words(), plan.units().div_ceil(64));
    assert!(plan.groups() <= shape.samples() * shape.channels());

    assert!((0.0..=1.0).contains(&plan.gamma()), "{}", plan.gamma());
    // Bisection by the reference takes 64 sums over the map.
    if very_few || !matches!(input.gamma, AnyGamma::Exact) {
        let gamma = reference::realised_gamma(reference::gamma(layer, shape));
        assert_eq!(plan.gamma(), gamma as f64 / ONE);
        if very_few {
            let units = size.iter().product::<usize>() as u128 * (1 << 63);
            let kept = reference::expected_kept(layer, shape, gamma);
            let expected = if units == 0 { 0.0 } else { (units - kept) as f64 / units as f64 };
            assert_eq!(plan.expected_dropped(), expected);
        }
    }
    if few {
        let expected = plan.expected_dropped();
        assert!((0.0..=1.0).contains(&expected), "{expected}");
        if matches!(input.gamma, AnyGamma::Exact) && input.constructor % 2 == 0 {
            // Rounding the table may exceed what was asked for by no more than some 2^-32 a position.
            let positions = size.iter().product::<usize>().max(1) as f64;
            assert!(expected <= layer.drop_prob() + positions * 4e-9, "{expected} {layer:?}");
        }
    }
    for position in [0, 1, size.iter().product::<usize>().wrapping_sub(1), usize::MAX] {
        match plan.position_scale::<f64>(position) {
            Ok(scale) => assert!(scale == 0.0 || scale >= 1.0, "{scale}"),
            Err(error) => assert!(matches!(error, Error::Position { .. })),
        }
    }
    // No buffer can be that large, so that all that an operation can do is refuse it.
    let key = input.key.get();
    if plan.mask_words() > 1 << 30 {
        assert!(plan.draw(key, &mut [0; 3]).is_err());
        assert!(plan.dilate(&mut [0; 3]).is_err() && plan.mask_from(&[0; 3]).is_err());
        assert!(plan.forward_in_place(key, &mut [0.0_f32; 5]).is_err());
    }
    if let Some((first, strides)) = input.view {
        view(plan, first.get() % 80, strides.map(|stride| stride.get() as isize), exact);
    }
}

/// A view of a small buffer is taken if it lies there, and refused with a typed error if not.
fn view(plan: &Plan, first: usize, strides: [isize; 5], sizes: [usize; 5]) {
    const LEN: usize = 64;
    let corners = (0..32).map(|corner| {
        let along = |axis: usize| match corner >> axis & 1 {
            0 => 0,
            _ => (sizes[axis] as i128 - 1) * strides[axis] as i128,
        };
        first as i128 + (0..5).map(along).sum::<i128>()
    });
    let is_inside =
        plan.elements() == 0 || corners.into_iter().all(|at| (0..LEN as i128).contains(&at));
    let input = View::new(&[1.0_f32; LEN], first, strides);
    let (few, key) = (plan.elements() <= 4 * LEN, Key::new(0));
    if few {
        let mut y = vec![0.0; plan.elements()];
        let result = plan.forward(key, input, &mut y);
        assert_eq!(result.is_ok(), is_inside, "{result:?}");
    }
    let mut y = [1.0_f32; LEN];
    match plan.forward_in_place(key, ViewMut::new(&mut y, first, strides)) {
        Ok(_) => {
            assert!(is_inside && plan.elements() <= LEN);
            // Units have elements of their own.
            let mut units = [0_u8; LEN];
            for unit in 0..plan.elements() {
                let (mut rest, mut at) = (unit, first as isize);
                for axis in (0..5).rev() {
                    at += (rest % sizes[axis]) as isize * strides[axis];
                    rest /= sizes[axis];
                }
                units[at as usize] += 1;
            }
            assert!(units.iter().all(|&units| units <= 1));
            assert!(units.iter().zip(y).all(|(&units, y)| units == 1 || y == 1.0));
        }
        Err(error) => {
            assert!(y == [1.0; LEN] && !error.to_string().is_empty());
            let is_typed =
                matches!(error, Error::View { .. } | Error::Stride { .. } | Error::TooLarge { .. });
            assert!(is_typed, "{error}");
            assert!(!is_inside || matches!(error, Error::Stride { .. }), "{error}");
        }
    }
}

fn schedule(input: &AnySchedule) {
    let (start, end) = (input.start.get(), input.end.get());
    let limit = 2.0_f64.powi(64);
    let good = |value: f64| (0.0..=limit).contains(&value);
    let list = LISTS[usize::from(input.kind / 6) % LISTS.len()];
    let (schedule, start, end, is_good) = match input.kind % 6 {
        0 => (Schedule::constant(start), start, start, good(start)),
        1 => (Schedule::linear(start, end), start, end, good(start) && good(end)),
        2 => (Schedule::cosine(start, end), start, end, good(start) && good(end)),
        3 => (Schedule::paper(end), 0.0, end, (0.0..=1.0).contains(&end)),
        4 => (Schedule::darknet(end), 0.0, end, good(end)),
        _ => {
            let rises = list.windows(2).all(|pair| pair[0].0 < pair[1].0);
            let rises = rises && list.first().is_none_or(|first| first.0 > 0);
            let rises = rises && list.len() <= 32;
            let is_good = good(start) && rises && list.iter().all(|entry| good(entry.1));
            let end = list.last().map_or(start, |last| last.1);
            (Schedule::steps(start, list), start, end, is_good)
        }
    };
    assert_eq!(schedule.is_ok(), is_good, "{input:?}");
    let Ok(schedule) = schedule else { return };
    let (held, step, total) =
        (input.held.get() as u64, input.step.get() as u64, input.total.get() as u64);
    let schedule = schedule.after(held);
    let value = schedule.at(step, total);
    if step >= total {
        assert_eq!(value, end);
    } else if step <= held {
        assert_eq!(value, start);
    } else if input.kind % 6 == 5 {
        assert!(value == start || list.iter().any(|entry| entry.1 == value));
    } else {
        assert!((start.min(end)..=start.max(end)).contains(&value), "{value} {input:?}");
    }
    let block = schedule.block_size(step, total);
    assert!(block >= 1 && (value < 1.0 || block as f64 <= value));
}
