//! DropBlock on one activation tensor, forward and backward.
//!
//! ```text
//! cargo run --release --example quick_start
//! ```

use dropblock::{DropBlock, Error, Key, Shape};

fn main() -> Result<(), Error> {
    // Once per layer: block size 7, drop probability 0.1, the paper's defaults.
    let layer = DropBlock::new(7, 0.1)?;
    let plan = layer.plan(Shape::nchw(32, 64, 14, 14))?;

    // Once per training step: the key names the mask.
    let key = Key::new(2024).step(17).layer(3);

    // All memory is the caller's: the activations and one bit for each unit.
    let mut x = vec![1.0_f32; plan.len()];
    let mut mask = vec![0; plan.mask_len()];
    let dropped = plan.forward_in_place(key, &mut x, Some(&mut mask))?;

    println!("asked for:    {} of the units", layer.drop_prob());
    println!("expected:     {:.4} by Eq. 1, borders and overlaps counted", plan.expected_dropped());
    println!("dropped:      {} of {} units, {:.4}", dropped.count, dropped.of, dropped.fraction());
    println!("scale:        {} for the units that are kept", plan.scale::<f32>(&dropped));

    // The backward pass draws the same mask from the key: only `dropped`, 16 bytes, has to be
    // kept. With the mask still at hand, `apply_in_place` saves the drawing.
    let mut gradient = vec![1.0_f32; plan.len()];
    plan.backward_in_place(key, &dropped, &mut gradient)?;

    // Activations and gradients were all ones, so that both now hold the mask times the scale.
    println!("backward:     {}", if gradient == x { "the same mask and scale" } else { "differs" });
    Ok(())
}
