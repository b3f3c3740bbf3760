//! What a training step with two layers takes of a microcontroller: plans in flash and known to the
//! compiler, which leaves out what they do not need; masks, `f32` forward and backward in place.
//! Prints the depth of the stack in bytes and the cycles of the step.

#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "the start-up code finds the program by its name")]

use dropblock::{Plan, Shape};

#[path = "../budget.rs"]
mod budget;
use budget::{LEN, plan};

static FIRST: Plan = plan(7, Shape::nchw(1, 8, 14, 14));
static SECOND: Plan = plan(3, Shape::nchw(1, 32, 7, 7));

// SAFETY: no other function has the name.
#[unsafe(no_mangle)]
fn dropblock_program() -> bool {
    budget::measure(|key, buffers| {
        let halves = (buffers.x.split_at_mut(LEN / 2), buffers.dy.split_at_mut(LEN / 2));
        let ((x_first, x_second), (dy_first, dy_second)) = halves;
        let (first_words, second_words) = buffers.words.split_at_mut(FIRST.mask_words());
        let first = FIRST.draw(key.with_layer(0), first_words)?;
        first.forward_in_place(x_first)?;
        let second = SECOND.draw(key.with_layer(1), second_words)?;
        second.forward_in_place(x_second)?;
        second.backward_in_place(dy_second)?;
        first.backward_in_place(dy_first)?;
        Ok([first.count(), second.count()])
    })
}
