//! One suite for all backends: the macro at the end stamps it out for each.

use std::array;

use dropblock::{Backend, DropBlock, Gamma, Key, Layout, Map, MaskView, Plan, Scale, Shape};

use crate::case::{Case, bits_of, count, draw, guarded, guarded_words, pack, tensor};

/// Every operation of the plan against the oracle.
pub(crate) fn check(backend: Backend, case: &Case) {
    let plan = case.plan(backend);
    let expected = case.expected_mask();
    let expected_count = count(&expected);
    let words = pack(&expected);
    assert_eq!(words.len(), plan.mask_len());

    let (mask, dropped) = guarded_words(plan.mask_len(), |mask| plan.mask(case.key, mask));
    let picture = |words: &[u64]| {
        let bit = |i| words[i / 64] >> (i % 64) & 1 == 1;
        draw(&(0..plan.units()).map(bit).collect::<Vec<_>>(), case.shape.map())
    };
    assert!(
        mask == words,
        "{backend} mask of {case:?}\n{}\nexpected\n{}",
        picture(&mask),
        picture(&words)
    );
    assert_eq!(dropped, Ok(expected_count), "{case:?}");

    let (mut centers, number) = guarded_words(plan.mask_len(), |bits| plan.centers(case.key, bits));
    let set: u64 = centers.iter().map(|word| u64::from(word.count_ones())).sum();
    assert_eq!(number, Ok(set));
    assert_eq!(plan.dilate(&mut centers), Ok(()));
    assert_eq!(centers, words, "dilated centres of {case:?}");

    let x = tensor(plan.extent());
    let dirty = vec![f32::NAN; x.len()];
    let new = bits_of(&case.expected(&expected, &x, &dirty));
    let in_place = bits_of(&case.expected(&expected, &x, &x));
    let forward_new = bits_of(&case.expected_forward(&expected, &x, &dirty));
    let forward_in_place = bits_of(&case.expected_forward(&expected, &x, &x));
    let check_y = |name: &str, (y, result): (Vec<f32>, _)| {
        assert_eq!(result, Ok(expected_count), "{name} of {case:?}");
        let expected_y = match (name.starts_with("forward"), name.contains("in place")) {
            (false, false) => &new,
            (false, true) => &in_place,
            (true, false) => &forward_new,
            (true, true) => &forward_in_place,
        };
        let wrong = bits_of(&y).iter().zip(expected_y).position(|(a, b)| a != b);
        assert_eq!(wrong, None, "{backend} {name} of {case:?}");
    };
    let key = case.key;
    let mut bits = vec![!0; plan.mask_len() + 1];
    let of_unit = |result: Result<(), _>| result.map(|()| expected_count);

    check_y("forward", guarded(&dirty, |y| plan.forward(key, &x, y, Some(&mut bits))));
    assert_eq!(bits.pop(), Some(!0), "the word after the mask");
    assert_eq!(bits, words, "the mask that forward leaves");
    check_y("forward in place", guarded(&x, |x| plan.forward_in_place(key, x, Some(&mut bits))));
    check_y("forward, no mask", guarded(&dirty, |y| plan.forward(key, &x, y, None)));
    check_y("forward in place, no mask", guarded(&x, |x| plan.forward_in_place(key, x, None)));
    check_y("backward", guarded(&dirty, |y| of_unit(plan.backward(key, &expected_count, &x, y))));
    check_y(
        "backward in place",
        guarded(&x, |x| of_unit(plan.backward_in_place(key, &expected_count, x))),
    );
    check_y("apply", guarded(&dirty, |y| of_unit(plan.apply(&words, &expected_count, &x, y))));
    check_y(
        "apply in place",
        guarded(&x, |x| of_unit(plan.apply_in_place(&words, &expected_count, x))),
    );
    check_y(
        "forward in place, by stages",
        guarded(&x, |x| {
            of_unit(plan.apply_in_place(&words, &expected_count, x))?;
            of_unit(if case.noise { plan.fill_noise(key, &words, x) } else { Ok(()) })
        }),
    );
    check_drop_only(case, &plan, &expected);
    check_views(case, &plan, &expected);
    check_shards(case, &plan, &words);
}

/// Dropping without scaling, on quantised elements: what the oracle zeroes gets the zero point.
fn check_drop_only(case: &Case, plan: &Plan, expected: &[bool]) {
    let unscaled = Case { layer: case.layer.with_scale(Scale::None), ..*case };
    let ones = vec![1.0_f32; plan.extent()];
    let kept = unscaled.expected(expected, &ones, &ones);
    let x: Vec<i8> = (0..plan.extent()).map(|i| (i * 7) as i8).collect();
    let zero_point = -3;
    let select = |(&kept, &x): (&f32, &i8)| if kept == 0.0 { zero_point } else { x };
    let expected_x: Vec<i8> = kept.iter().zip(&x).map(select).collect();
    let words = pack(expected);
    let mut mask = vec![!0; words.len()];

    let mut y = x.clone();
    let dropped = plan.drop_only(case.key, &mut y, zero_point, None);
    assert_eq!((dropped, &y), (Ok(count(expected)), &expected_x), "drop only of {case:?}");
    let mut y = x.clone();
    let dropped = plan.drop_only(case.key, &mut y, zero_point, Some(&mut mask));
    assert_eq!((dropped, &y), (Ok(count(expected)), &expected_x), "drop only of {case:?}");
    assert_eq!(mask, words, "the mask that drop_only leaves");
    let mut y: Vec<u8> = x.iter().map(|&x| x as u8).collect();
    assert_eq!(plan.fill_dropped(&words, &mut y, zero_point as u8), Ok(()));
    assert!(y.iter().zip(&expected_x).all(|(&y, &x)| y == x as u8), "fill of {case:?}");
}

/// The views of a stored mask, and the planes that come without one, against the oracle.
fn check_views(case: &Case, plan: &Plan, expected: &[bool]) {
    let words = pack(expected);
    let (samples, channels) = (case.shape.samples(), case.shape.channels());
    // The oracle on the same tensor without gaps: the units of each map in order.
    let shape = Shape::new(samples, channels, case.shape.map(), Layout::ChannelsFirst);
    let dense = Case { layer: case.layer.with_scale(Scale::None), shape, ..*case };
    let ones = vec![1.0_f32; plan.len()];
    let kept: Vec<bool> =
        dense.expected(expected, &ones, &ones).iter().map(|&x| x == 1.0).collect();
    let positions = case.shape.map().len().unwrap_or(0);
    // Of very many small maps only some.
    let looked_at = |map: usize| map < 40 || map.is_multiple_of(997);
    let maps = if positions == 0 { 0 } else { samples * channels };
    for map in (0..maps).filter(|&map| looked_at(map)) {
        let Ok(view) = plan.view(&words, map / channels, map % channels) else {
            panic!("{case:?}")
        };
        check_view(&view, &kept[map * positions..(map + 1) * positions]);
    }
    let mut units = Vec::new();
    let dropped = plan.for_each_plane(case.key, |part| {
        assert_eq!(part.positions.len(), part.mask.len());
        assert_eq!(part.positions.start, units.len() % positions);
        let first = units.len();
        units.extend((0..part.mask.len()).map(|i| !part.mask.is_kept(i)));
        if !looked_at(first / positions) {
            return;
        }
        let kept: Vec<bool> = units[first..].iter().map(|&dropped| !dropped).collect();
        check_view(&part.mask, &kept);
        // The view of that map in the stored mask is the same.
        let view = plan.view(&words, part.sample, part.channel).map(|v| v.part(part.positions));
        assert!(view.is_ok_and(|view| view.keep_runs().eq(part.mask.keep_runs())));
    });
    assert_eq!((dropped, &*units), (Ok(count(expected)), expected), "planes of {case:?}");
}

fn check_view(view: &MaskView<'_>, kept: &[bool]) {
    assert_eq!(view.len(), kept.len());
    let mut by_run = vec![false; kept.len()];
    let mut end = 0;
    for run in view.keep_runs() {
        assert!(run.start < run.end && (end < run.start || end == 0), "maximal runs");
        end = run.end;
        by_run[run].fill(true);
    }
    assert_eq!(by_run, kept);
    assert_eq!(view.dropped().count as usize, kept.iter().filter(|&&kept| !kept).count());
    for start in (0..kept.len() + 3).step_by(59) {
        let bit = |i: usize| kept.get(start + i).is_some_and(|&kept| kept);
        let word = view.keep_word(start);
        assert!((0..64).all(|i| (word >> i & 1 == 1) == bit(i)), "word at {start}");
        let lane = |i: usize| if bit(i) { !0 } else { 0 };
        assert_eq!(view.keep_lanes::<8>(start), array::from_fn(lane), "lanes at {start}");
        assert_eq!(view.keep_lanes::<19>(start), array::from_fn(lane), "lanes at {start}");
        assert_eq!(view.keep_lanes::<64>(start), array::from_fn(lane), "lanes at {start}");
        let part = view.part(start..start + 70);
        let rest = &kept[start.min(kept.len())..kept.len().min(start + 70)];
        assert!(part.len() == rest.len() && (0..rest.len()).all(|i| part.is_kept(i) == rest[i]));
        assert!(!part.is_kept(rest.len()), "past the end nothing is kept");
    }
}

/// Lengths one below, at and one above each size at which the code changes its way: the lanes of
/// a vector, a word, 16 vectors, a segment, the chunk on the stack, a tile. As one long map, as
/// rows of 7, and as planes of one unit.
pub(crate) fn check_boundaries(backend: Backend) {
    for size in [4, 8, 16, 32, 64, 256, 4096, 16_384, 65_536] {
        for len in size - 1..=size + 1 {
            let shapes = [(1, Map::l(len)), (1, Map::hw(len.div_ceil(7), 7)), (len, Map::l(1))];
            for (channels, map) in shapes {
                for (block, gamma) in [(3, 0.01), (2, 0.2)] {
                    let layer = DropBlock::new(block, 0.1)
                        .and_then(|layer| layer.with_gamma(Gamma::Raw(gamma)))
                        .unwrap_or_else(|error| panic!("{error}"));
                    let shape = Shape::new(1, channels, map, Layout::ChannelsFirst);
                    check(
                        backend,
                        &Case { layer, shape, key: Key::new(3), first_sample: 0, noise: false },
                    );
                }
            }
        }
    }
}

/// The samples one by one, under their own keys, give the parts of the whole mask.
fn check_shards(case: &Case, plan: &Plan, words: &[u64]) {
    let (samples, channels) = (case.shape.samples(), case.shape.channels());
    if samples == 0 || plan.units() == 0 {
        return;
    }
    let shard = Shape::new(1, channels, case.shape.map(), Layout::ChannelsFirst);
    let Ok(shard) = plan.options().plan(shard) else { panic!("{case:?}") };
    for sample in 0..samples {
        let key = case.key.first_sample(case.first_sample + sample as u64);
        let mut mask = vec![0; shard.mask_len()];
        assert!(shard.mask(key, &mut mask).is_ok());
        let first = if plan.units() == shard.units() { 0 } else { sample * shard.units() };
        for unit in 0..shard.units() {
            let whole = first + unit;
            let bit = |words: &[u64], i: usize| words[i / 64] >> (i % 64) & 1;
            assert_eq!(bit(&mask, unit), bit(words, whole), "unit {whole} of {case:?}");
        }
    }
}

macro_rules! suite {
    ($($backend:ident: $variant:ident;)*) => {$(
        mod $backend {
            use proptest::prelude::*;

            #[test]
            fn every_boundary_of_lane_word_segment_and_tile() {
                if !crate::suite::can_run(dropblock::Backend::$variant) {
                    return;
                }
                crate::suite::check_boundaries(dropblock::Backend::$variant);
            }

            proptest! {
                #![proptest_config(ProptestConfig::with_cases(crate::suite::cases()))]

                #[test]
                fn everything_equals_the_reference(case in crate::case::cases()) {
                    if crate::suite::can_run(dropblock::Backend::$variant) {
                        crate::suite::check(dropblock::Backend::$variant, &case);
                    }
                }
            }
        }
    )*};
}

suite! {
    scalar: Scalar;
    simd: Simd;
    avx2: Avx2;
    avx512: Avx512;
}

#[cfg(feature = "cuda")]
mod cuda {
    use proptest::prelude::*;

    use crate::gpu::{check, launches, small_cases, types};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(crate::suite::cases()))]

        #[test]
        fn everything_equals_the_reference(
            case in small_cases(),
            launch in launches(),
            of in types(),
        ) {
            check(&case, launch, of).unwrap_or_else(|error| panic!("{error}: {case:?}"));
        }
    }
}

/// Whether the machine has the backend; those of every machine must be there.
pub(crate) fn can_run(backend: Backend) -> bool {
    let everywhere = matches!(backend, Backend::Scalar | Backend::Simd);
    assert!(backend.is_available() || !everywhere);
    if !backend.is_available() {
        eprintln!("{backend} cannot run on this machine: not tested");
    }
    backend.is_available()
}

/// The number of random cases of each property; `DROPBLOCK_CASES` sets another.
pub(crate) fn cases() -> u32 {
    let cases = std::env::var("DROPBLOCK_CASES").ok();
    cases.and_then(|cases| cases.parse().ok()).unwrap_or(256)
}
