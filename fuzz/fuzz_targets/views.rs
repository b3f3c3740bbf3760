//! Kept units: words, runs, lanes and parts of any range of any words against a list of booleans;
//! and the maps of a tensor, with a buffer and without, against the stored mask.
#![no_main]

use arbitrary::Arbitrary;
use dropblock::{Backend, Drawn, Error, Keep, Key, Layout, MapPart, Plan};
use dropblock_cases::Case;
use dropblock_fuzz::Number;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Input {
    Words {
        words: Vec<u64>,
        range: [Number; 2],
        parts: Vec<[u16; 2]>,
        units: Vec<Number>,
    },
    /// And a first sample, which may be too late.
    Maps(Box<Case>, Option<Number>),
}

fuzz_target!(|input: Input| {
    match input {
        Input::Words { words, range, parts, units } => {
            let words = &words[..words.len().min(40)];
            let mut range = range.map(Number::get);
            if range[1] > words.len() * 64 {
                let keep = Keep::new(words, range[0]..range[1]);
                assert!(matches!(keep, Err(Error::Length { .. })));
                range[1] %= words.len() * 64 + 1;
            }
            let Ok(keep) = Keep::new(words, range[0]..range[1]) else { panic!("{range:?}") };
            let kept = |unit: usize| words[unit / 64] >> (unit % 64) & 1 == 0;
            let kept: Vec<bool> = (range[0]..range[1]).map(kept).collect();
            check(&keep, &kept, &units);
            // Parts of parts.
            let (mut keep, mut kept) = (keep, &kept[..]);
            for part in parts.iter().take(4) {
                let [start, end] = part.map(usize::from);
                keep = keep.part(start..end);
                let start = start.min(kept.len());
                kept = &kept[start..end.clamp(start, kept.len())];
                check(&keep, kept, &units);
            }
        }
        Input::Maps(case, first_sample) => {
            let first_sample = first_sample.map(|number| number.get() as u64);
            let key = first_sample.map_or(case.key, |sample| case.key.with_first_sample(sample));
            for backend in Backend::available() {
                maps(&case.plan(backend), key, backend);
            }
        }
    }
});

fn check(keep: &Keep<'_>, kept: &[bool], units: &[Number]) {
    assert_eq!((keep.len(), keep.is_empty()), (kept.len(), kept.is_empty()));
    let mut by_run = vec![false; kept.len()];
    let mut end = None;
    for run in keep.runs() {
        // Not empty, and apart from the one before.
        assert!(run.start < run.end && end.is_none_or(|end| end < run.start));
        end = Some(run.end);
        by_run[run].fill(true);
    }
    assert_eq!(by_run, kept);
    let near_the_end = [0, 1, 65].map(|back| kept.len().saturating_sub(back));
    for unit in units.iter().take(8).map(|unit| unit.get()).chain(near_the_end) {
        let bit =
            |i: usize| unit.checked_add(i).and_then(|i| kept.get(i)).is_some_and(|&kept| kept);
        let word = keep.word(unit);
        assert!((0..64).all(|i| (word >> i & 1 == 1) == bit(i)), "word at {unit}");
        assert_eq!(keep.is_kept(unit), bit(0));
        let lane = |i: usize| if bit(i) { !0 } else { 0 };
        assert_eq!(keep.lanes::<0>(unit), [0; 0]);
        assert_eq!(keep.lanes::<1>(unit), std::array::from_fn(lane));
        assert_eq!(keep.lanes::<8>(unit), std::array::from_fn(lane));
        assert_eq!(keep.lanes::<19>(unit), std::array::from_fn(lane));
        assert_eq!(keep.lanes::<64>(unit), std::array::from_fn(lane));
    }
}

/// The positions of a part at most.
const PART: usize = 16384;

/// Maps without a buffer are those of the stored mask; each unit of the tensor comes once.
fn maps(plan: &Plan, key: Key, backend: Backend) {
    let mut words = vec![!0; plan.mask_words()];
    let Ok(mask) = plan.draw(key, &mut words) else {
        assert!(plan.for_each_map(key, |_| panic!("no map")).is_err());
        return;
    };
    let shape = plan.shape();
    let positions = shape.map().len().unwrap_or(0);
    let is_same = |a: &MapPart<'_>, b: &MapPart<'_>| {
        a.keep().runs().eq(b.keep().part(a.positions()).runs())
            && a.scale::<f64>().to_bits() == b.scale::<f64>().to_bits()
    };
    let shared = |of_tensor: usize, index: usize| if of_tensor == 1 { 0 } else { index };
    // Samples and channels of the mask, from what one sample and what one channel would have.
    let channels = match plan.with_samples(shape.samples().min(1)) {
        Ok(one) => one.units().checked_div(positions).unwrap_or(0),
        Err(error) => panic!("{error}"),
    };
    let samples = plan.units().checked_div(positions * channels).unwrap_or(0);
    for drawn in [Drawn::from(key), Drawn::from(key).with_count(mask.count())] {
        let mut seen = vec![0_u8; plan.elements()];
        let mut last = None;
        let shown = plan.for_each_map(drawn, |part| {
            assert!(part.positions().len() <= PART && part.positions().len() == part.keep().len());
            assert_eq!(part.positions().start % PART, 0, "{backend}");
            let (n, c) = (shared(samples, part.sample()), shared(channels, part.channel()));
            let first = (n * channels + c) * positions;
            let units = first + part.positions().start..first + part.positions().end;
            let Ok(keep) = Keep::new(&words, units.clone()) else { panic!("{backend}: {units:?}") };
            assert!(keep.runs().eq(part.keep().runs()), "{backend}");
            let map = plan.mask_from(&words).and_then(|m| m.map(part.sample(), part.channel()));
            assert!(map.is_ok_and(|map| is_same(&part, &map)), "{backend}");
            // In the order of the mask.
            assert!(last.is_none_or(|last| last <= units.start));
            last = Some(units.start);
            seen[part.elements()].iter_mut().for_each(|seen| *seen += 1);
        });
        assert!(seen.iter().all(|&seen| seen == 1), "{backend}");
        let count = plan.mask_from(&words).map(|mask| mask.count());
        assert_eq!(shown, count.map(|count| Drawn::from(key).with_count(count)), "{backend}");
    }
    let Ok(mask) = plan.mask_from(&words) else { panic!("{backend}") };
    assert!(mask.map(shape.samples(), 0).is_err() && mask.map(0, shape.channels()).is_err());
    let Ok(maps) = mask.maps() else {
        return assert_eq!(shape.layout(), Layout::ChannelsLast);
    };
    let mut at = 0;
    for map in maps {
        assert_eq!((map.positions(), map.elements()), (0..positions, at..at + positions));
        let same = mask.map(map.sample(), map.channel());
        assert!(same.is_ok_and(|same| is_same(&map, &same)));
        at += positions;
    }
    assert_eq!(at, plan.elements());
}
