//! Schedules give what the crate's give.

use core::ptr::{null, null_mut};

use engine::{Error, Schedule};
use proptest::prelude::*;

use crate::constants::*;
use crate::schedule::*;
use crate::types::*;

fn value(schedule: &dropblock_schedule, step: u64, total: u64) -> Result<f64, dropblock_status> {
    let mut value = 0.0;
    // SAFETY: the pointers are those of values here, and the list is that of the test.
    let status =
        unsafe { dropblock_schedule_at(schedule, step, total, &raw mut value, null_mut()) };
    if status == DROPBLOCK_OK { Ok(value) } else { Err(status) }
}

fn check(ours: Result<Schedule, Error>, theirs: &dropblock_schedule, step: u64, total: u64) {
    let ours = ours.map_err(|error| crate::status::Refusal::from(error).0.status);
    let (held, same) = (theirs.held, value(theirs, step, total));
    let ours_value = ours.map(|ours| ours.after(held).at(step, total));
    assert_eq!(ours_value.map(f64::to_bits), same.map(f64::to_bits));
    if let Ok(ours) = ours {
        let mut size = 0;
        // SAFETY: as above.
        let status = unsafe {
            dropblock_schedule_block_size(theirs, step, total, &raw mut size, null_mut())
        };
        let expected = ours.after(held).block_size(step, total);
        assert_eq!((status, size), (DROPBLOCK_OK, expected));
    }
}

fn steps() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..30_u64, 1 => Just(u64::MAX), 1 => any::<u64>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn courses_are_the_crates(
        (start, end) in (-0.1..1.2_f64, -0.1..1.2_f64),
        (held, step, total) in (steps(), steps(), steps()),
        list in prop_oneof![
            9 => prop::collection::vec((0..20_u64, -0.05..9.0_f64), 0..4),
            1 => prop::collection::vec((0..1000_u64, 0.0..9.0_f64), 25..40),
        ],
        sorted in prop::bool::weighted(0.8),
    ) {
        let courses = [
            (DROPBLOCK_COURSE_CONSTANT, Schedule::constant(start)),
            (DROPBLOCK_COURSE_LINEAR, Schedule::linear(start, end)),
            (DROPBLOCK_COURSE_COSINE, Schedule::cosine(start, end)),
            (DROPBLOCK_COURSE_PAPER, Schedule::paper(end)),
            (DROPBLOCK_COURSE_DARKNET, Schedule::darknet(end)),
        ];
        let mut schedule = dropblock_schedule {
            course: 0, reserved: 0, start, end, held, steps: null(), steps_len: 0,
        };
        for (course, ours) in courses {
            schedule.course = course;
            check(ours, &schedule, step, total);
        }
        let mut list = list;
        if sorted {
            list.sort_by_key(|entry| entry.0);
            list.dedup_by_key(|entry| entry.0);
        }
        let theirs: Vec<_> =
            list.iter().map(|&(step, value)| dropblock_step { step, value }).collect();
        schedule.course = DROPBLOCK_COURSE_STEPS;
        schedule.steps = theirs.as_ptr();
        schedule.steps_len = theirs.len();
        check(Schedule::steps(start, &list), &schedule, step, total);
    }
}
