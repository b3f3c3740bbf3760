//! Views of masks: words, runs, lanes and parts of any range of any words against a list of
//! booleans; and the planes that come without a buffer against the stored mask.
#![no_main]

use arbitrary::Arbitrary;
use dropblock::{Backend, Error, Key, MaskView, Plan};
use dropblock_fuzz::{Case, Number};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Input {
    Words { words: Vec<u64>, range: [Number; 2], parts: Vec<[u16; 2]>, units: Vec<Number> },
    Planes(Box<Case>),
}

fuzz_target!(|input: Input| {
    match input {
        Input::Words { words, range, parts, units } => {
            let words = &words[..words.len().min(40)];
            let mut range = range.map(Number::get);
            if range[1] > words.len() * 64 {
                let view = MaskView::new(words, range[0]..range[1]);
                assert!(matches!(view, Err(Error::Length { .. })));
                range[1] %= words.len() * 64 + 1;
            }
            let Ok(view) = MaskView::new(words, range[0]..range[1]) else { panic!("{range:?}") };
            let kept = |unit: usize| words[unit / 64] >> (unit % 64) & 1 == 0;
            let kept: Vec<bool> = (range[0]..range[1]).map(kept).collect();
            check(&view, &kept, &units);
            // Parts of parts.
            let (mut view, mut kept) = (view, &kept[..]);
            for part in parts.iter().take(4) {
                let [start, end] = part.map(usize::from);
                view = view.part(start..end);
                let start = start.min(kept.len());
                kept = &kept[start..end.clamp(start, kept.len())];
                check(&view, kept, &units);
            }
        }
        Input::Planes(case) => {
            let Ok(layer) = case.layer() else { return };
            for backend in Backend::available() {
                let plan = layer.with_backend(backend).and_then(|l| l.plan(case.shape(2000)));
                let Ok(plan) = plan else { panic!("{case:?}") };
                planes(&plan, case.key.get(), backend);
            }
        }
    }
});

fn check(view: &MaskView<'_>, kept: &[bool], units: &[Number]) {
    assert_eq!((view.len(), view.is_empty()), (kept.len(), kept.is_empty()));
    let mut by_run = vec![false; kept.len()];
    let mut end = None;
    for run in view.keep_runs() {
        // Not empty, and apart from the one before.
        assert!(run.start < run.end && end.is_none_or(|end| end < run.start));
        end = Some(run.end);
        by_run[run].fill(true);
    }
    assert_eq!(by_run, kept);
    let dropped = view.dropped();
    assert_eq!(dropped.of as usize, kept.len());
    assert_eq!(dropped.count as usize, kept.iter().filter(|&&kept| !kept).count());
    let near_the_end = [0, 1, 65].map(|back| kept.len().saturating_sub(back));
    for unit in units.iter().take(8).map(|unit| unit.get()).chain(near_the_end) {
        let bit =
            |i: usize| unit.checked_add(i).and_then(|i| kept.get(i)).is_some_and(|&kept| kept);
        let word = view.keep_word(unit);
        assert!((0..64).all(|i| (word >> i & 1 == 1) == bit(i)), "word at {unit}");
        assert_eq!(view.is_kept(unit), bit(0));
        let lane = |i: usize| if bit(i) { !0 } else { 0 };
        assert_eq!(view.keep_lanes::<0>(unit), [0; 0]);
        assert_eq!(view.keep_lanes::<1>(unit), std::array::from_fn(lane));
        assert_eq!(view.keep_lanes::<8>(unit), std::array::from_fn(lane));
        assert_eq!(view.keep_lanes::<19>(unit), std::array::from_fn(lane));
        assert_eq!(view.keep_lanes::<64>(unit), std::array::from_fn(lane));
    }
}

/// Planes without a buffer are the stored mask, in order and without gaps, and so are its views.
fn planes(plan: &Plan, key: Key, backend: Backend) {
    let mut mask = vec![!0; plan.mask_len()];
    let stored = plan.mask(key, &mut mask);
    let positions = plan.shape().map().len().unwrap_or(0);
    let (mut units, mut maps) = (0, 0);
    let shown = plan.for_each_plane(key, |part| {
        assert_eq!(part.positions.len(), part.mask.len());
        assert_eq!(part.positions.start, units % positions);
        let view = MaskView::new(&mask, units..units + part.mask.len());
        let Ok(view) = view else { panic!("{backend}: more units than in the mask") };
        assert!(view.keep_runs().eq(part.mask.keep_runs()), "{backend}");
        let of_map = plan.view(&mask, part.sample, part.channel);
        let of_map = of_map.map(|map| map.part(part.positions.clone()));
        assert!(of_map.is_ok_and(|of_map| of_map.keep_runs().eq(view.keep_runs())));
        maps += usize::from(part.positions.end == positions);
        units += part.mask.len();
    });
    assert_eq!(shown, stored, "{backend}");
    if shown.is_ok() {
        assert_eq!(units, plan.units());
        assert_eq!(maps, plan.units().checked_div(positions).unwrap_or(0));
    }
}
