//! Stages 1 and 2 alone: centres, and their dilation.

use core::convert::Infallible;
use core::ffi::c_void;

use engine::rand_core::TryRng;
use engine::{Error, Plan};

use crate::constants::*;
use crate::memory::Caller;
use crate::status::{Refusal, interface};
use crate::types::*;

/// Writes centres and how many there are.
fn centers(
    caller: &mut Caller<'_>,
    plan: *const dropblock_plan,
    (words, words_len): (*mut u64, usize),
    result: *mut u64,
    draw: impl FnOnce(&Plan, &mut [u64]) -> Result<u64, Error>,
) -> Result<(), Refusal> {
    let plan = caller.plan(plan)?;
    let words = caller.words_mut(plan, words, words_len)?;
    let result = caller.result(result, DROPBLOCK_ARGUMENT_RESULT)?;
    result.write(draw(plan, words)?);
    Ok(())
}

interface! {
    /// Stage 1: draws the centres.
    fn dropblock_draw_centers(
        caller, plan: *const dropblock_plan, key: *const dropblock_key, words: *mut u64,
        words_len: usize, result: *mut u64
    ) {
        let key = caller.copy(key, DROPBLOCK_ARGUMENT_KEY)?.get();
        centers(caller, plan, (words, words_len), result, |plan, words| {
            plan.draw_centers(key, words)
        })?;
    }
}

/// A generator of the caller's.
#[derive(Debug)]
struct Draws {
    draw: dropblock_draw_bits,
    context: *mut c_void,
}

impl TryRng for Draws {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        // SAFETY: the caller of `dropblock_draw_centers_from` vouches for both.
        Ok(unsafe { (self.draw)(self.context) })
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let low = u64::from(self.try_next_u32()?);
        Ok(u64::from(self.try_next_u32()?) << 32 | low)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(4) {
            let draw = self.try_next_u32()?.to_le_bytes();
            chunk.copy_from_slice(&draw[..chunk.len()]);
        }
        Ok(())
    }
}

interface! {
    /// Stage 1 with a generator of the caller's.
    fn dropblock_draw_centers_from(
        caller, plan: *const dropblock_plan, draw: Option<dropblock_draw_bits>,
        context: *mut c_void, words: *mut u64, words_len: usize, result: *mut u64
    ) {
        let null = Refusal::new(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_CALLBACK);
        let mut draws = Draws { draw: draw.ok_or(null)?, context };
        centers(caller, plan, (words, words_len), result, |plan, words| {
            plan.draw_centers_from(&mut draws, words)
        })?;
    }
}

interface! {
    /// Stage 2: expands centres to blocks, in place.
    fn dropblock_dilate(caller, plan: *const dropblock_plan, words: *mut u64, words_len: usize) {
        let plan = caller.plan(plan)?;
        plan.dilate(caller.words_mut(plan, words, words_len)?)?;
    }
}
