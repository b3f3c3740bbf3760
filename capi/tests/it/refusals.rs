//! What the crate refuses is refused with its numbers and its text.

use core::ptr::null_mut;

use engine::{Error, Gamma};
use proptest::prelude::*;

use super::case::{Case, cases, new_error};
use crate::constants::*;
use crate::options::dropblock_paper_group_factor;
use crate::plan::dropblock_plan_init;
use crate::status::{Refusal, dropblock_error_message};
use crate::types::*;

/// The error of a plan that cannot be made, and its text.
fn refusal(case: &Case) -> Option<(dropblock_error, String)> {
    let mut words = vec![0_u64; size_of::<dropblock_plan>() / 8];
    let (mut plan, mut error) = (null_mut(), new_error());
    let memory = words.as_mut_ptr().cast();
    // SAFETY: pointers are those of values here, and the size is the buffer's.
    let status = unsafe {
        dropblock_plan_init(
            memory,
            words.len() * 8,
            &raw const case.options,
            &raw const case.shape,
            &raw mut plan,
            &raw mut error,
        )
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
        case in cases(),
        sizes in prop::array::uniform5(size()),
        strides in prop::array::uniform5(size()),
        block in prop::array::uniform4(size()),
        numbers in prop::array::uniform3(number()),
        kind in 0..4_u32,
        which in prop::array::uniform4(prop::bool::weighted(0.4)),
    ) {
        let mut case = case;
        let (options, shape) = (&mut case.options, &mut case.shape);
        if which[0] {
            [shape.samples, shape.channels, _, _, shape.width] = sizes;
        }
        if which[1] {
            shape.strides = strides;
        }
        if which[2] {
            let b = &mut options.block;
            b.kind = kind;
            [b.uniform, b.depth, b.height, b.width] = block;
            b.fraction = numbers[2];
        }
        if which[3] {
            [options.drop_prob, options.gamma_value, _] = numbers;
        }
        let expected = case.layer().and_then(|layer| layer.plan(case.rust_shape()));
        match (expected, refusal(&case)) {
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
fn every_error_of_a_plan_keeps_its_text() {
    let errors = [
        Error::Rank { needed: 2, given: 3 },
        Error::OtherPlan { needed: 5, given: 6 },
        Error::Group { groups: 1, given: 2 },
        Error::Map { needed: [1, 2], given: [3, 4] },
        Error::Position { positions: 5, given: 6 },
        Error::FirstSample { limit: 7, given: 8 },
        Error::ScheduleValue { given: 0.5 },
        Error::ScheduleStep { above: 4, given: 3 },
        Error::Backend { given: engine::Backend::Avx512 },
        Error::Length { buffer: engine::Buffer::Mask, needed: 3, given: 2 },
        Error::Length { buffer: engine::Buffer::Source, needed: 3, given: 2 },
        Error::Length { buffer: engine::Buffer::Destination, needed: 3, given: 2 },
    ];
    for error in errors {
        assert_eq!(Refusal::from(error).to_string(), error.to_string());
    }
}

#[test]
fn groups_have_the_papers_factors() {
    for group in 0..6 {
        let scale = dropblock_paper_group_factor(group);
        assert_eq!(Gamma::paper_group(group), Gamma::Paper { scale });
    }
}
