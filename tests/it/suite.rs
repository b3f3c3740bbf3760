//! One suite for all backends: the macro at the end stamps it out for each.

use dropblock::{Backend, DropBlock, Gamma, Key, Layout, Map, Plan, Shape};

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
    let expected_new = bits_of(&case.expected(&expected, &x, &dirty));
    let expected_in_place = bits_of(&case.expected(&expected, &x, &x));
    let check_y = |name: &str, (y, result): (Vec<f32>, _)| {
        assert_eq!(result, Ok(expected_count), "{name} of {case:?}");
        let in_place = name.contains("in place");
        let expected_y = if in_place { &expected_in_place } else { &expected_new };
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
    check_shards(case, &plan, &words);
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
                    check(backend, &Case { layer, shape, key: Key::new(3), first_sample: 0 });
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
                crate::suite::check_boundaries(dropblock::Backend::$variant);
            }

            proptest! {
                #![proptest_config(ProptestConfig::with_cases(crate::suite::cases()))]

                #[test]
                fn everything_equals_the_reference(case in crate::case::cases()) {
                    crate::suite::check(dropblock::Backend::$variant, &case);
                }
            }
        }
    )*};
}

suite! {
    scalar: Scalar;
    simd: Simd;
}

/// The number of random cases of each property; `DROPBLOCK_CASES` sets another.
pub(crate) fn cases() -> u32 {
    let cases = std::env::var("DROPBLOCK_CASES").ok();
    cases.and_then(|cases| cases.parse().ok()).unwrap_or(256)
}
