//! Schedules.

use engine::{Error, Schedule};

use crate::constants::*;
use crate::memory::{Array, copy};
use crate::status::{Refusal, report};
use crate::types::*;

/// The value when `step` of `total` steps are done.
///
/// # Safety
///
/// * `schedule` is null, or points to one whose `steps` is null or points to `steps_len` steps.
unsafe fn at(schedule: *const dropblock_schedule, step: u64, total: u64) -> Result<f64, Refusal> {
    // SAFETY: by the contract of this function.
    let schedule = unsafe { copy(schedule, DROPBLOCK_ARGUMENT_SCHEDULE) }?;
    if schedule.reserved != 0 {
        return Err(Refusal::unknown(DROPBLOCK_ARGUMENT_RESERVED, schedule.reserved));
    }
    let (start, end) = (schedule.start, schedule.end);
    let course = match schedule.course {
        DROPBLOCK_COURSE_CONSTANT => Schedule::constant(start)?,
        DROPBLOCK_COURSE_LINEAR => Schedule::linear(start, end)?,
        DROPBLOCK_COURSE_COSINE => Schedule::cosine(start, end)?,
        DROPBLOCK_COURSE_PAPER => Schedule::paper(end)?,
        DROPBLOCK_COURSE_DARKNET => Schedule::darknet(end)?,
        DROPBLOCK_COURSE_STEPS => {
            let list = Array::new(schedule.steps, schedule.steps_len, DROPBLOCK_ARGUMENT_STEPS)?;
            // SAFETY: by the contract of this function.
            let list = unsafe { list.slice() };
            return Ok(listed(start, list, schedule.held, step, total)?);
        }
        given => return Err(Refusal::unknown(DROPBLOCK_ARGUMENT_COURSE, given)),
    };
    Ok(course.after(schedule.held).at(step, total))
}

/// What [`Schedule::steps`] does, which needs a list of its own type that lives for ever.
fn listed(
    start: f64,
    list: &[dropblock_step],
    held: u64,
    step: u64,
    total: u64,
) -> Result<f64, Error> {
    let (mut above, mut end, mut value) = (0, start, start);
    for entry in list {
        if entry.step <= above {
            return Err(Error::ScheduleStep { above, given: entry.step });
        }
        Schedule::constant(entry.value)?;
        (above, end) = (entry.step, entry.value);
        if entry.step <= step.saturating_sub(held) {
            value = entry.value;
        }
    }
    Schedule::constant(start)?;
    Ok(if step >= total { end } else { value })
}

/// Sets a schedule from one value to another.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_schedule_init(
    schedule: *mut dropblock_schedule,
    course: dropblock_course,
    start: f64,
    end: f64,
    error: *mut dropblock_error,
) -> dropblock_status {
    let run = || {
        let new = dropblock_schedule {
            course,
            reserved: 0,
            start,
            end,
            held: 0,
            steps: core::ptr::null(),
            steps_len: 0,
        };
        // SAFETY: a schedule without a list.
        unsafe { at(&raw const new, 0, 0) }?;
        let place = Array::one(schedule, DROPBLOCK_ARGUMENT_SCHEDULE)?;
        // SAFETY: the caller vouches for `schedule`.
        unsafe { place.write(new) };
        Ok(())
    };
    // SAFETY: the caller vouches for `error`.
    unsafe { report(error, run) }
}

/// The value of a schedule.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_schedule_at(
    schedule: *const dropblock_schedule,
    step: u64,
    total: u64,
    result: *mut f64,
    error: *mut dropblock_error,
) -> dropblock_status {
    let run = || {
        // SAFETY: the caller vouches for `schedule`.
        let value = unsafe { at(schedule, step, total) }?;
        let result = Array::one(result, DROPBLOCK_ARGUMENT_RESULT)?;
        // SAFETY: the caller vouches for `result`.
        unsafe { result.write(value) };
        Ok(())
    };
    // SAFETY: the caller vouches for `error`.
    unsafe { report(error, run) }
}

/// The value of a schedule as a block size.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_schedule_block_size(
    schedule: *const dropblock_schedule,
    step: u64,
    total: u64,
    result: *mut usize,
    error: *mut dropblock_error,
) -> dropblock_status {
    let run = || {
        // SAFETY: the caller vouches for `schedule`.
        let value = unsafe { at(schedule, step, total) }?;
        let result = Array::one(result, DROPBLOCK_ARGUMENT_RESULT)?;
        let size = Schedule::constant(value)?.block_size(0, 0);
        // SAFETY: the caller vouches for `result`.
        unsafe { result.write(size) };
        Ok(())
    };
    // SAFETY: the caller vouches for `error`.
    unsafe { report(error, run) }
}
