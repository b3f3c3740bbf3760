//! One suite for all backends: the macro at the end stamps it out for each.

use std::array;

use dropblock::{
    Backend, Drawn, DropBlock, DropCount, Error, Gamma, Keep, Key, Layout, Map, MapPart, Mask,
    Plan, Scale, Shape, Sharing, ViewMut,
};

use crate::case::{Case, bits_of, count, dirty, draw, guarded, guarded_words, pack, tensor};

/// Every operation of the plan and of its masks against the oracle.
pub(crate) fn check(backend: Backend, case: &Case) {
    let plan = case.plan(backend);
    let expected = case.expected_mask();
    let words = pack(&expected);
    assert_eq!(words.len(), plan.mask_words());
    check_draw(backend, case, &plan, &expected);
    check_passes(backend, case, &plan, &expected);
    check_own_mask(case, &plan, &words);
    check_drop_only(case, &plan, &expected);
    check_maps(case, &plan, &expected);
    check_shards(case, &plan, &expected);
}

/// Masks, centres and counts.
fn check_draw(backend: Backend, case: &Case, plan: &Plan, expected: &[bool]) {
    let (key, words, of_mask) = (case.key, pack(expected), count(expected));
    let drawn = Drawn::from(key).with_count(of_mask);
    let (mask, result) = guarded_words(plan.mask_words(), |mask| {
        plan.draw(key, mask).map(|mask| {
            assert_eq!(mask.dropped_words(), words, "the mask's own words, {case:?}");
            (mask.count(), mask.drawn())
        })
    });
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
    assert_eq!(result, Ok((of_mask, Some(drawn))), "{case:?}");
    assert_eq!(plan.count(key), Ok(drawn), "{case:?}");

    let (mut centers, number) =
        guarded_words(plan.mask_words(), |bits| plan.draw_centers(key, bits));
    let set: u64 = centers.iter().map(|word| u64::from(word.count_ones())).sum();
    assert_eq!(number, Ok(set));
    assert_eq!(plan.dilate(&mut centers), Ok(()));
    assert_eq!(centers, words, "dilated centres of {case:?}");

    let Ok(mask) = plan.mask_from(&centers) else { panic!("{case:?}") };
    assert_eq!((mask.count(), mask.drawn()), (of_mask, None), "{case:?}");
    let keyed = mask.with_key(key).map(|mask| mask.drawn());
    assert_eq!(keyed, Ok(Some(drawn)), "{case:?}");
    let groups = plan.groups();
    for group in 0..groups {
        let units = expected.len() / groups;
        let of_group = count(&expected[group * units..(group + 1) * units]);
        assert_eq!(mask.count_group(group), Ok(of_group), "group {group} of {case:?}");
    }
    assert_eq!(mask.count_group(groups), Err(Error::Group { groups, given: groups }));
}

/// Forward and backward passes with a mask and without, from buffer to buffer and in place.
fn check_passes(backend: Backend, case: &Case, plan: &Plan, expected: &[bool]) {
    let (key, of_mask) = (case.key, count(expected));
    let drawn = Drawn::from(key).with_count(of_mask);
    let [x_len, y_len] = case.lens();
    let (x, in_place, old) = (tensor(x_len), tensor(y_len), dirty(y_len));
    let new = [false, true].map(|f| bits_of(&case.expected_out((expected, f), &x, &old)));
    let written = [false, true].map(|f| bits_of(&case.expected_in_place((expected, f), &in_place)));
    let check_y = |name: &str, (y, result): (Vec<f32>, Result<(), Error>)| {
        assert_eq!(result, Ok(()), "{name} of {case:?}");
        let forward = usize::from(name.starts_with("forward"));
        let is_in_place = name.contains("in place");
        let expected_y = if is_in_place { &written[forward] } else { &new[forward] };
        let wrong = bits_of(&y).iter().zip(expected_y).position(|(a, b)| a != b);
        assert_eq!(wrong, None, "{backend} {name} of {case:?}");
    };
    let is_drawn = |result: Result<Drawn, Error>| result.map(|given| assert_eq!(given, drawn));
    type Pass<'p> = &'p dyn Fn(ViewMut<'_, f32>) -> Result<(), Error>;
    let to = |pass: Pass<'_>| guarded(&old, |y| pass(case.view_mut(y)));
    let within = |pass: Pass<'_>| guarded(&in_place, |x| pass(case.view_mut(x)));
    let x = case.view(&x);

    let mut bits = vec![!0; plan.mask_words() + 1];
    let Ok(mask) = plan.draw(key, &mut bits) else { panic!("{case:?}") };
    check_y("forward", to(&|y| mask.forward(x, y)));
    check_y("forward in place", within(&|x| mask.forward_in_place(x)));
    check_y("backward", to(&|y| mask.backward(x, y)));
    check_y("backward in place", within(&|x| mask.backward_in_place(x)));
    assert_eq!(bits.pop(), Some(!0), "the word after the mask");

    let Ok(mask) = plan.mask_from(&bits) else { panic!("{case:?}") };
    check_y("backward, own mask", to(&|y| mask.backward(x, y)));
    check_y("backward in place, own mask", within(&|x| mask.backward_in_place(x)));
    if case.is_noisy() {
        let (y, result) = to(&|y| mask.forward(x, y));
        assert_eq!((bits_of(&y), result), (bits_of(&old), Err(Error::NoKey)), "{case:?}");
        let (y, result) = within(&|x| mask.forward_in_place(x));
        assert_eq!((bits_of(&y), result), (bits_of(&in_place), Err(Error::NoKey)), "{case:?}");
    } else {
        check_y("forward, own mask", to(&|y| mask.forward(x, y)));
        check_y("forward in place, own mask", within(&|x| mask.forward_in_place(x)));
    }
    let Ok(mask) = mask.with_key(key) else { panic!("{case:?}") };
    check_y("forward, keyed mask", to(&|y| mask.forward(x, y)));
    check_y("forward in place, keyed mask", within(&|x| mask.forward_in_place(x)));

    check_y("forward, key", to(&|y| is_drawn(plan.forward(key, x, y))));
    check_y("forward, drawn", to(&|y| is_drawn(plan.forward(drawn, x, y))));
    check_y("forward in place, key", within(&|x| is_drawn(plan.forward_in_place(key, x))));
    check_y("forward in place, drawn", within(&|x| is_drawn(plan.forward_in_place(drawn, x))));
    check_y("backward, key", to(&|y| plan.backward(key, x, y)));
    check_y("backward, drawn", to(&|y| plan.backward(drawn, x, y)));
    check_y("backward in place, key", within(&|x| plan.backward_in_place(key, x)));
    check_y("backward in place, drawn", within(&|x| plan.backward_in_place(drawn, x)));
}

/// A mask that no key draws: what is dropped and what is kept change places.
fn check_own_mask(case: &Case, plan: &Plan, words: &[u64]) {
    // Bits past the last unit do not matter.
    let words: Vec<u64> = words.iter().map(|word| !word).collect();
    let expected: Vec<bool> =
        (0..plan.units()).map(|unit| words[unit / 64] >> (unit % 64) & 1 == 1).collect();
    let Ok(mask) = plan.mask_from(&words) else { panic!("{case:?}") };
    assert_eq!(mask.count(), count(&expected), "{case:?}");
    let x = tensor(case.lens()[1]);
    let (y, result) = guarded(&x, |y| mask.backward_in_place(case.view_mut(y)));
    let expected_y = case.expected_in_place((&expected, false), &x);
    assert_eq!(result, Ok(()), "{case:?}");
    let wrong = bits_of(&y).iter().zip(bits_of(&expected_y)).position(|(a, b)| *a != b);
    assert_eq!(wrong, None, "own mask of {case:?}");
}

/// Dropping without scaling, on quantised elements: what the oracle zeroes gets the zero point.
fn check_drop_only(case: &Case, plan: &Plan, expected: &[bool]) {
    let unscaled = Case { layer: case.layer.with_scale(Scale::Off), ..*case };
    let len = case.lens()[1];
    let ones = vec![1.0_f32; len];
    let kept = unscaled.expected_in_place((expected, false), &ones);
    let x: Vec<i8> = (0..len).map(|i| (i * 7) as i8).collect();
    let zero_point = -3;
    let select = |(&kept, &x): (&f32, &i8)| if kept == 0.0 { zero_point } else { x };
    let expected_x: Vec<i8> = kept.iter().zip(&x).map(select).collect();
    let words = pack(expected);

    let mut y = x.clone();
    let drawn = plan.drop_only(case.key, case.view_mut(&mut y), zero_point);
    let expected_drawn = Drawn::from(case.key).with_count(count(expected));
    assert_eq!((drawn, &y), (Ok(expected_drawn), &expected_x), "drop only of {case:?}");
    let Ok(mask) = plan.mask_from(&words) else { panic!("{case:?}") };
    let mut y: Vec<u8> = x.iter().map(|&x| x as u8).collect();
    assert_eq!(mask.drop_only(case.view_mut(&mut y), zero_point as u8), Ok(()));
    assert!(y.iter().zip(&expected_x).all(|(&y, &x)| y == x as u8), "own mask of {case:?}");
}

/// The maps of a mask, and those that come without one, against the oracle.
fn check_maps(case: &Case, plan: &Plan, expected: &[bool]) {
    let words = pack(expected);
    let Ok(mask) = plan.mask_from(&words) else { panic!("{case:?}") };
    let (samples, channels) = (case.shape.samples(), case.shape.channels());
    let size = case.shape.map().len().unwrap_or(0);
    let kept = Kept::new(case, expected, size);
    // Of very many small maps only some.
    let looked_at = |map: usize| map < 40 || map.is_multiple_of(997);
    for map in (0..samples * channels).filter(|&map| looked_at(map)) {
        let Ok(part) = mask.map(map / channels, map % channels) else { panic!("{case:?}") };
        assert_eq!((part.sample(), part.channel()), (map / channels, map % channels));
        assert_eq!(part.positions(), 0..size);
        kept.check(&part, true);
    }
    let needed = [samples, channels];
    for given in [[samples, 0], [0, channels]] {
        let map = mask.map(given[0], given[1]).map(|map| map.sample());
        assert_eq!(map, Err(Error::Map { needed, given }), "{case:?}");
    }
    kept.check_line(&mask);

    let mut visits = vec![0; samples * channels * size];
    let mut last = None;
    let drawn = plan.for_each_map(case.key, |part| {
        let (sample, channel, positions) = (part.sample(), part.channel(), part.positions());
        let map = sample * channels + channel;
        // In the order of the mask, in parts that are the same on every machine.
        let number = [kept.plane(map), positions.start, sample, channel];
        assert!(last.replace(number) < Some(number), "{number:?} of {case:?}");
        assert!(positions.start.is_multiple_of(16_384), "{positions:?}");
        assert_eq!(positions.end, size.min(positions.start + 16_384));
        visits[map * size..][positions.clone()].iter_mut().for_each(|visits| *visits += 1);
        kept.check(&part, looked_at(map));
        if looked_at(map) {
            let whole = mask.map(sample, channel).map(|map| map.keep().part(positions));
            assert!(whole.is_ok_and(|whole| whole.runs().eq(part.keep().runs())));
        }
    });
    let expected_drawn = Drawn::from(case.key).with_count(count(expected));
    assert_eq!(drawn, Ok(expected_drawn), "maps of {case:?}");
    assert!(visits.iter().all(|&visits| visits == 1), "each once, {case:?}");
    let mut parts = 0;
    let drawn = plan.for_each_map(expected_drawn, |part| {
        kept.check(&part, false);
        parts += part.keep().len();
    });
    assert_eq!((drawn, parts), (Ok(expected_drawn), visits.len()), "maps of {case:?}");
}

/// Which units of a tensor are kept, map by map, and by what they are multiplied.
struct Kept<'c> {
    case: &'c Case,
    size: usize,
    kept: Vec<bool>,
    scaled: Vec<f32>,
}

impl<'c> Kept<'c> {
    fn new(case: &'c Case, expected: &[bool], size: usize) -> Self {
        // The oracle on a dense tensor whose channels come first.
        let (samples, channels) = (case.shape.samples(), case.shape.channels());
        let shape = Shape::new(samples, channels, case.shape.map(), Layout::ChannelsFirst);
        let dense = Case::new(case.layer, shape, case.key);
        let ones = vec![1.0_f32; samples * channels * size];
        let unscaled = Case { layer: case.layer.with_scale(Scale::Off), ..dense };
        let kept = unscaled.expected(expected, &ones, &ones);
        let kept = kept.iter().map(|&x| x == 1.0).collect();
        let scaled = dense.expected(expected, &ones, &ones);
        Self { case, size, kept, scaled }
    }

    /// The map of the mask that a map of the tensor uses.
    fn plane(&self, map: usize) -> usize {
        let channels = self.case.shape.channels();
        match self.case.layer.sharing() {
            Sharing::None => map,
            Sharing::OverChannels => map / channels,
            Sharing::OverSamples => map % channels,
            Sharing::OverAll => 0,
        }
    }

    fn check(&self, part: &MapPart<'_>, closely: bool) {
        let map = part.sample() * self.case.shape.channels() + part.channel();
        let first = map * self.size;
        let units = first + part.positions().start..first + part.positions().end;
        assert_eq!(part.elements(), units);
        assert_eq!(part.keep().len(), units.len());
        let kept = &self.kept[units.clone()];
        assert!((0..kept.len()).all(|i| part.keep().is_kept(i) == kept[i]), "{:?}", self.case);
        let scale = part.scale::<f32>();
        if self.case.layer.scale() == Scale::PerPosition {
            assert_eq!(scale, 1.0);
        } else {
            let mut scaled = kept.iter().zip(&self.scaled[units]).filter(|(kept, _)| **kept);
            assert!(scaled.all(|(_, &scaled)| scaled == scale), "{scale} of {:?}", self.case);
        }
        if closely {
            check_keep(&part.keep(), kept);
        }
    }

    /// All maps in the order of memory, where they lie one behind the other.
    fn check_line(&self, mask: &Mask<'_>) {
        let shape = self.case.shape;
        let is_line =
            shape.layout() == Layout::ChannelsFirst || shape.channels() == 1 || self.size < 2;
        let Ok(maps) = mask.maps() else {
            return assert!(!is_line, "{:?}", self.case);
        };
        assert!(is_line, "{:?}", self.case);
        let mut end = 0;
        for map in maps {
            assert_eq!((map.elements().start, map.positions()), (end, 0..self.size));
            end = map.elements().end;
            self.check(&map, false);
        }
        assert_eq!(end, self.kept.len(), "{:?}", self.case);
    }
}

fn check_keep(keep: &Keep<'_>, kept: &[bool]) {
    assert_eq!((keep.len(), keep.is_empty()), (kept.len(), kept.is_empty()));
    let mut by_run = vec![false; kept.len()];
    let mut end = 0;
    for run in keep.runs() {
        assert!(run.start < run.end && (end < run.start || end == 0), "maximal runs");
        end = run.end;
        by_run[run].fill(true);
    }
    assert_eq!(by_run, kept);
    for start in (0..kept.len() + 3).step_by(59) {
        let bit = |i: usize| kept.get(start + i).is_some_and(|&kept| kept);
        let word = keep.word(start);
        assert!((0..64).all(|i| (word >> i & 1 == 1) == bit(i)), "word at {start}");
        let lane = |i: usize| if bit(i) { !0 } else { 0 };
        assert_eq!(keep.lanes::<8>(start), array::from_fn(lane), "lanes at {start}");
        assert_eq!(keep.lanes::<19>(start), array::from_fn(lane), "lanes at {start}");
        assert_eq!(keep.lanes::<64>(start), array::from_fn(lane), "lanes at {start}");
        let part = keep.part(start..start + 70);
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
                    check(backend, &Case::new(layer, shape, Key::new(3)));
                }
            }
        }
    }
}

/// The samples one by one, under their own keys, give the parts of the whole mask, and with the sum
/// of their counts the parts of the whole tensor.
fn check_shards(case: &Case, plan: &Plan, expected: &[bool]) {
    let (samples, key) = (case.shape.samples(), case.key);
    if samples == 0 || plan.units() == 0 {
        return;
    }
    let Ok(shard) = plan.with_samples(1) else { panic!("{case:?}") };
    assert_eq!(Ok(shard), plan.layer().plan(*shard.shape()), "{case:?}");
    let is_shared = matches!(case.layer.sharing(), Sharing::OverSamples | Sharing::OverAll);
    let key_of = |sample: usize| key.with_first_sample(key.first_sample + sample as u64);
    let mut sum = DropCount::default();
    for sample in 0..samples {
        let first = if is_shared { 0 } else { sample * shard.units() };
        let part = &expected[first..first + shard.units()];
        let (words, result) = guarded_words(shard.mask_words(), |words| {
            shard.draw(key_of(sample), words).map(|mask| mask.count())
        });
        assert_eq!((words, result), (pack(part), Ok(count(part))), "sample {sample} of {case:?}");
        sum.dropped += count(part).dropped;
        sum.total += count(part).total;
    }
    assert!(is_shared || sum == count(expected), "{case:?}");

    let len = shard.elements();
    let x = tensor(samples * len);
    let whole = bits_of(&case.expected_forward(expected, &x, &x));
    // These follow from each sample alone.
    let refuses_sums =
        samples > 1 && matches!(case.layer.scale(), Scale::PerSample | Scale::PerMap);
    for sample in 0..samples {
        let (x, expected_y) = (&x[sample * len..][..len], &whole[sample * len..][..len]);
        let key = key_of(sample);
        let mut words = vec![0; shard.mask_words()];
        let Ok(mask) = shard.draw(key, &mut words) else { panic!("{case:?}") };
        let (mut y, mut drawn) = (x.to_vec(), Drawn::from(key).with_count(sum));
        let summed = mask.with_count(sum);
        if refuses_sums {
            let error = Error::Scale { needed: mask.count().total, given: sum.total };
            assert_eq!(summed.map(|mask| mask.count()), Err(error), "{case:?}");
            assert_eq!(shard.forward_in_place(drawn, &mut y), Err(error), "{case:?}");
            assert_eq!(bits_of(&y), bits_of(x), "nothing is written, {case:?}");
            drawn = Drawn::from(key);
        }
        let mask = summed.unwrap_or(mask);
        assert_eq!(mask.forward_in_place(&mut y), Ok(()), "{case:?}");
        assert_eq!(bits_of(&y), expected_y, "shard {sample} of {case:?}");
        y.copy_from_slice(x);
        assert!(shard.forward_in_place(drawn, &mut y).is_ok(), "{case:?}");
        assert_eq!(bits_of(&y), expected_y, "shard {sample} without a buffer of {case:?}");
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

    use crate::gpu_check::{check, launches, small_cases, types};

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
