//! What the smallest forward pass takes with the plan built at run time, on the stack.

#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "the start-up code finds the program by its name")]

use dropblock::{DropBlock, Shape};

#[path = "../budget.rs"]
mod budget;

// SAFETY: no other function has the name.
#[unsafe(no_mangle)]
fn dropblock_program() -> bool {
    budget::measure(|key, buffers| {
        // As if they came from a file: the compiler must not build the plan.
        let [block_size, channels] = core::hint::black_box([7, 16]);
        let drop_prob = core::hint::black_box(0.1);
        let layer = DropBlock::new(block_size, drop_prob)?;
        // By reference, as a plan is large and moves are copies.
        let plan = layer.plan(Shape::nchw(1, channels, 14, 14));
        let plan = plan.as_ref().map_err(|error| *error)?;
        let mask = plan.draw(key, &mut buffers.words)?;
        mask.forward_in_place(&mut buffers.x)?;
        Ok([mask.count()])
    })
}
