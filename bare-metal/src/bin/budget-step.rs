//! What a training step takes of a microcontroller: the plan in flash; a mask, `f32` forward and
//! backward in place, and bytes without a scale. Prints the depth of the stack in bytes and the
//! cycles of the step.

#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "the start-up code finds the program by its name")]

use core::hint::black_box;

use dropblock::{Plan, Shape};

#[path = "../budget.rs"]
mod budget;

static PLAN: Plan = budget::plan(7, Shape::nchw(1, 16, 14, 14));

// SAFETY: no other function has the name.
#[unsafe(no_mangle)]
fn dropblock_program() -> bool {
    budget::measure(|key, buffers| {
        // As if there were many: the compiler must not look into the plan.
        let plan = black_box(&PLAN);
        let mask = plan.draw(key, &mut buffers.words)?;
        mask.forward_in_place(&mut buffers.x)?;
        mask.backward_in_place(&mut buffers.dy)?;
        mask.drop_only(&mut buffers.q, budget::ZERO_POINT)?;
        Ok([mask.count()])
    })
}
