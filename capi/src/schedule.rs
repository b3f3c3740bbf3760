//! Schedules.

use engine::{Error, Schedule};

use crate::constants::*;
use crate::memory::Caller;
use crate::status::{Refusal, interface, must_be};
use crate::types::*;

const MAX_STEPS: usize = DROPBLOCK_SCHEDULE_MAX_STEPS as usize;

/// The crate's schedule.
fn schedule(caller: &mut Caller<'_>, schedule: &dropblock_schedule) -> Result<Schedule, Refusal> {
    must_be(0, DROPBLOCK_ARGUMENT_RESERVED, schedule.reserved)?;
    let &dropblock_schedule { start, end, steps, steps_len, .. } = schedule;
    let course = match schedule.course {
        DROPBLOCK_COURSE_CONSTANT => Schedule::constant(start)?,
        DROPBLOCK_COURSE_LINEAR => Schedule::linear(start, end)?,
        DROPBLOCK_COURSE_COSINE => Schedule::cosine(start, end)?,
        DROPBLOCK_COURSE_PAPER => Schedule::paper(end)?,
        DROPBLOCK_COURSE_DARKNET => Schedule::darknet(end)?,
        DROPBLOCK_COURSE_STEPS => {
            let mut list = [(0, 0.0); MAX_STEPS];
            let list = list.get_mut(..steps_len);
            let list = list.ok_or(Error::ScheduleSteps { limit: MAX_STEPS, given: steps_len })?;
            let steps = caller.read(steps, steps_len, DROPBLOCK_ARGUMENT_STEPS)?;
            for (to, from) in list.iter_mut().zip(steps) {
                *to = (from.step, from.value);
            }
            Schedule::steps(start, list)?
        }
        given => {
            let bounds = [0, DROPBLOCK_COURSE_DARKNET.into()];
            return Err(Refusal::outside(DROPBLOCK_ARGUMENT_COURSE, bounds, given.into()));
        }
    };
    Ok(course.after(schedule.held))
}

interface! {
    /// Sets a schedule from one value to another.
    fn dropblock_schedule_init(
        caller, schedule: *mut dropblock_schedule, course: dropblock_course, start: f64,
        end: f64
    ) {
        let steps = core::ptr::null();
        let new =
            dropblock_schedule { course, reserved: 0, start, end, held: 0, steps, steps_len: 0 };
        self::schedule(caller, &new)?;
        caller.result(schedule, DROPBLOCK_ARGUMENT_SCHEDULE)?.write(new);
    }
}

/// Writes what a schedule says.
fn ask<R: 'static>(
    caller: &mut Caller<'_>,
    schedule: *const dropblock_schedule,
    result: *mut R,
    ask: impl FnOnce(&Schedule) -> R,
) -> Result<(), Refusal> {
    let given = caller.copy(schedule, DROPBLOCK_ARGUMENT_SCHEDULE)?;
    let answer = ask(&self::schedule(caller, &given)?);
    caller.result(result, DROPBLOCK_ARGUMENT_RESULT)?.write(answer);
    Ok(())
}

interface! {
    /// The value of a schedule.
    fn dropblock_schedule_at(
        caller, schedule: *const dropblock_schedule, step: u64, total: u64, result: *mut f64
    ) {
        let at = |schedule: &Schedule| schedule.at(step, total);
        ask(caller, schedule, result, at)?;
    }
}

interface! {
    /// The value of a schedule as a block size.
    fn dropblock_schedule_block_size(
        caller, schedule: *const dropblock_schedule, step: u64, total: u64, result: *mut usize
    ) {
        let block_size = |schedule: &Schedule| schedule.block_size(step, total);
        ask(caller, schedule, result, block_size)?;
    }
}
