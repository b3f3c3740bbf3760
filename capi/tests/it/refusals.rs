//! What the crate refuses is refused with its numbers and its text.

use core::ptr::null_mut;

use dropblock_cases::Block;
use engine::{Buffer, DropCount, Error, Gamma, Map, Shape};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::case::{backends, cases, cases_to_change, new_error, options_in_c, shape_in_c};
use crate::constants::*;
use crate::options::dropblock_paper_group_factor;
use crate::plan::dropblock_plan_init;
use crate::status::{Refusal, dropblock_error_message};
use crate::types::*;

/// The error of a plan that cannot be made, and its text.
fn refusal(
    options: &dropblock_options,
    shape: &dropblock_shape,
) -> Option<(dropblock_error, String)> {
    let mut words = vec![0_u64; size_of::<dropblock_plan>() / 8];
    let (mut plan, mut error) = (null_mut(), new_error());
    let memory = words.as_mut_ptr().cast();
    // SAFETY: pointers are those of values here, and the size is the buffer's.
    let status = unsafe {
        dropblock_plan_init(memory, words.len() * 8, options, shape, &raw mut plan, &raw mut error)
    };
    if status == DROPBLOCK_OK {
        return None;
    }
    assert!(plan.is_null() && words.iter().all(|&word| word == 0), "nothing is written");
    let mut text = vec![0_u8; 200];
    // SAFETY: the same.
    let len =
        unsafe { dropblock_error_message(&raw const error, text.as_mut_ptr().cast(), text.len()) };
    text.truncate(len);
    Some((error, String::from_utf8_lossy(&text).into()))
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![Just(0), 1..9_usize, Just(1 << 31), Just(1 << 40), any::<usize>()]
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![0.0..=1.0_f64, Just(f64::NAN), Just(f64::INFINITY), Just(-0.5), Just(7.0)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_the_crate_refuses_is_refused_alike(
        (mut options, case) in cases_to_change(),
        backend in backends(),
        sizes in prop::array::uniform3(size()),
        block in prop::array::uniform4(size()),
        numbers in prop::array::uniform3(number()),
        kind in 0..4_u32,
        which in prop::array::uniform3(prop::bool::weighted(0.4)),
    ) {
        let mut shape = case.shape;
        if which[0] {
            let ([d, h, _], [samples, channels, width]) = (shape.map().size(), sizes);
            let map = match shape.map().rank() {
                1 => Map::l(width),
                2 => Map::hw(h, width),
                _ => Map::dhw(d, h, width),
            };
            shape = Shape::new(samples, channels, map, shape.layout());
        }
        if which[1] {
            let [uniform, d, h, w] = block;
            options.block = match kind {
                0 => Block::Uniform(uniform),
                1 => Block::Hw(h, w),
                2 => Block::Dhw(d, h, w),
                _ => Block::Relative(numbers[2]),
            };
        }
        if which[2] {
            options.drop_prob = numbers[0];
            options.gamma = options.gamma.map(|gamma| match gamma {
                Gamma::Paper { .. } => Gamma::Paper { scale: numbers[1] },
                Gamma::PaperValid { .. } => Gamma::PaperValid { scale: numbers[1] },
                Gamma::Raw(_) => Gamma::Raw(numbers[1]),
                Gamma::Exact => Gamma::Exact,
            });
        }
        let expected = options
            .layer()
            .and_then(|layer| backend.map_or(Ok(layer), |backend| layer.with_backend(backend)))
            .and_then(|layer| layer.plan(shape));
        match (expected, refusal(&options_in_c(&options, backend), &shape_in_c(&shape))) {
            (Ok(_), None) => {}
            (Err(error), Some((theirs, text))) => {
                // By their bytes, as NaN is not equal to itself.
                let ours = Refusal::from(error).0;
                prop_assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
                prop_assert_eq!(text, error.to_string());
                prop_assert!(ours.status != DROPBLOCK_STATUS_UNKNOWN);
            }
            (ours, theirs) => prop_assert!(false, "{:?} is not {:?}", ours.err(), theirs),
        }
    }
}

#[test]
fn every_error_keeps_its_text() {
    let (own, given) = (DropCount { dropped: 3, total: 5 }, DropCount { dropped: 6, total: 4 });
    let buffer = Buffer::Input;
    let errors = [
        Error::DropProb { given: 1.5 },
        Error::Gamma { given: -1.0 },
        Error::GammaScale { given: f64::INFINITY },
        Error::BlockSize { axis: 1 },
        Error::BlockFraction { given: 0.0 },
        Error::Rank { needed: 2, given: 3 },
        Error::Axis { axis: 1, limit: 5, given: 6 },
        Error::TooLarge { limit: 9 },
        Error::Stride { axis: 3, needed: 7, given: -6 },
        Error::View { buffer, needed: [1, 2], given: [3, 4] },
        Error::View { buffer: Buffer::Output, needed: [1, 2], given: [3, 4] },
        Error::Uninit,
        Error::Length { buffer, needed: 3, given: 2 },
        Error::Length { buffer: Buffer::Output, needed: 3, given: 2 },
        Error::Length { buffer: Buffer::Mask, needed: 3, given: 2 },
        Error::Length { buffer: Buffer::Source, needed: 3, given: 2 },
        Error::Length { buffer: Buffer::Destination, needed: 3, given: 2 },
        Error::Count { own, given },
        Error::Scale { needed: 3, given: 4 },
        Error::NoKey,
        Error::Layout,
        Error::Group { groups: 1, given: 2 },
        Error::Map { needed: [1, 2], given: [3, 4] },
        Error::Position { positions: 5, given: 6 },
        Error::FirstSample { limit: 7, given: 8 },
        Error::ScheduleValue { given: 0.5 },
        Error::ScheduleStep { above: 4, given: 3 },
        Error::ScheduleSteps { limit: 32, given: 33 },
        Error::Backend { given: engine::Backend::Avx512 },
    ];
    for error in errors {
        let refusal = Refusal::from(error);
        assert_ne!(refusal.0.status, DROPBLOCK_STATUS_UNKNOWN, "{error}");
        assert_eq!(refusal.to_string(), error.to_string());
    }
}

/// Only what says clearly whether it has a value is accepted.
#[test]
fn gamma_says_whether_it_has_a_value() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let Ok(tree) = cases().new_tree(&mut runner) else { panic!("no case") };
    let mut case = tree.current();
    case.options.drop_prob = 0.1;
    for kind in 0..6 {
        for has_value in 0..3 {
            for value in [0.0, -0.0, 0.3, f64::NAN] {
                case.options.gamma = dropblock_gamma { kind, has_value, value };
                let status = refusal(&case.options, &case.shape)
                    .map_or(DROPBLOCK_OK, |(error, _)| error.status);
                let is_nan = has_value == 1 && value.is_nan();
                let expected = match (kind, has_value) {
                    (_, 2) => DROPBLOCK_STATUS_VALUE,
                    (_, 0) if value.to_bits() != 0 => DROPBLOCK_STATUS_GAMMA_VALUE,
                    (5, _) => DROPBLOCK_STATUS_VALUE,
                    (DROPBLOCK_GAMMA_RAW, 0) => DROPBLOCK_STATUS_GAMMA_VALUE,
                    (DROPBLOCK_GAMMA_DEFAULT | DROPBLOCK_GAMMA_EXACT, 1) => {
                        DROPBLOCK_STATUS_GAMMA_VALUE
                    }
                    (DROPBLOCK_GAMMA_RAW, _) if is_nan => DROPBLOCK_STATUS_GAMMA,
                    _ if is_nan => DROPBLOCK_STATUS_GAMMA_SCALE,
                    _ => DROPBLOCK_OK,
                };
                assert_eq!(status, expected, "{:?}", case.options.gamma);
            }
        }
    }
}

#[test]
fn groups_have_the_papers_factors() {
    for group in 0..6 {
        let scale = dropblock_paper_group_factor(group);
        assert_eq!(Gamma::paper_group(group), Gamma::Paper { scale });
    }
}
