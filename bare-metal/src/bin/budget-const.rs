//! What the smallest forward pass takes of a microcontroller: the plan in flash and known to the
//! compiler, which leaves out what this plan does not need; a mask, `f32` in place. Prints the depth
//! of the stack in bytes and the cycles of a pass.

#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "the start-up code finds the program by its name")]

use dropblock::{Plan, Shape};

#[path = "../budget.rs"]
mod budget;

static PLAN: Plan = budget::plan(7, Shape::nchw(1, 16, 14, 14));

// SAFETY: no other function has the name.
#[unsafe(no_mangle)]
fn dropblock_program() -> bool {
    budget::measure(|key, buffers| {
        let mask = PLAN.draw(key, &mut buffers.words)?;
        mask.forward_in_place(&mut buffers.x)?;
        Ok([mask.count()])
    })
}
