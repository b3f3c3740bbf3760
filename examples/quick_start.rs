//! DropBlock in training: on one activation tensor, forward and backward.
//!
//! ```text
//! cargo run --release --example quick_start
//! ```

use dropblock::{DropBlock, Error, Key, Schedule, Shape};

fn main() -> Result<(), Error> {
    // Once: block size 7, drop probability 0.1, the paper's defaults.
    let layer = DropBlock::new(7, 0.1)?;
    let plan = layer.plan(Shape::nchw(32, 64, 14, 14))?;
    // All memory is the caller's: the tensors, and one bit for each unit of the mask.
    let mut words = vec![0; plan.mask_words()];
    let mut x = vec![1.0_f32; plan.elements()];
    let mut dy = vec![1.0_f32; plan.elements()];

    // In each training step: the key names the mask.
    let (seed, step, total) = (2024, 17, 90_000);
    let key = Key::new(seed).with_step(step).with_layer(3);
    let mask = plan.draw(key, &mut words)?;
    mask.forward_in_place(&mut x)?;
    mask.backward_in_place(&mut dy)?;

    let count = mask.count();
    println!("asked for:    {} of the units", layer.drop_prob());
    println!("expected:     {:.4} by Eq. 1, borders and overlaps counted", plan.expected_dropped());
    println!("dropped:      {} of {}, {:.4}", count.dropped, count.total, count.fraction());
    println!("scale:        {} for the units that are kept", plan.scale::<f32>(count));
    // Activations and gradients were all ones, so that both now hold the mask times the scale.
    println!("backward:     {}", same(&x, &dy));

    // Without a buffer: what is kept between the passes is `drawn`, a key and a count. The backward
    // pass draws the mask again.
    let (mut y, mut dy) = (vec![1.0_f32; plan.elements()], vec![1.0_f32; plan.elements()]);
    let drawn = plan.forward_in_place(key, &mut y)?;
    plan.backward_in_place(drawn, &mut dy)?;
    println!("no buffer:    {}, backward {}", same(&x, &y), same(&x, &dy));

    // Bytes, as quantised activations: dropped units become the zero point, nothing is scaled.
    let mut q = vec![100_u8; plan.elements()];
    mask.drop_only(&mut q, 128)?;
    let dropped = q.iter().filter(|&&q| q == 128).count();
    println!("bytes:        {dropped} of {} became the zero point", q.len());

    // A drop probability that grows during training, a smaller last batch, evaluation.
    let schedule = Schedule::linear(0.0, 0.1)?;
    let early = layer.with_drop_prob(schedule.at(step, total))?.plan(*plan.shape())?;
    println!("schedule:     step {step} of {total} drops {:.6}", early.expected_dropped());
    let last = plan.with_samples(6)?;
    println!("last batch:   {} of {} elements", last.elements(), plan.elements());
    let evaluation = layer.with_training(false).plan(*plan.shape())?;
    let before = y.clone();
    evaluation.forward_in_place(key, &mut y)?;
    println!("evaluation:   the tensor {}", if y == before { "stays as it is" } else { "changes" });

    // Half of the batch at a time: the masks are the two halves of the whole batch's.
    let half = plan.with_samples(16)?;
    let (mut first, mut second) = (words.clone(), words.clone());
    let counts = [
        half.draw(key, &mut first)?.count(),
        half.draw(key.with_first_sample(16), &mut second)?.count(),
    ];
    let sum: u64 = counts.iter().map(|count| count.dropped).sum();
    println!("in two parts: {sum} of the units are dropped");
    Ok(())
}

fn same(a: &[f32], b: &[f32]) -> &'static str {
    if a == b { "the same mask and scale" } else { "differs" }
}
