//! The recipe: what a training program does with DropBlock.
//!
//! Nothing but the number of the step decides a mask, a drop probability and the order of the digits.
//! So a run that goes on from a file is the run that never stopped.

use std::error::Error;
use std::fs;
use std::path::Path;

use dropblock::{Drawn, DropBlock, Key, MASK_VERSION, Plan, Schedule, Shape};

use crate::digits::{Digit, TRAINING, shuffled};
use crate::network::{self, Activations, CHANNELS, CLASSES, PARAMETERS, Parameters, SIDES};

const EPOCHS: u64 = 60;
/// The last batch of an epoch has 12 digits.
const BATCH: usize = 32;
const STEPS_PER_EPOCH: u64 = TRAINING.div_ceil(BATCH) as u64;
/// Of the whole training.
pub(crate) const STEPS: u64 = EPOCHS * STEPS_PER_EPOCH;
const LEARNING_RATE: f64 = 0.05;
const MOMENTUM: f32 = 0.9;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// A network in training.
pub(crate) struct Training<'d> {
    digits: &'d [Digit],
    /// The options at the end of the schedule.
    layer: DropBlock,
    seed: u64,
    /// The steps that are done.
    pub(crate) step: u64,
    parameters: Parameters,
    velocity: Parameters,
}

impl<'d> Training<'d> {
    pub(crate) fn new(digits: &'d [Digit], layer: DropBlock, seed: u64) -> Self {
        let (parameters, velocity) = (Parameters::random(seed), Parameters::zeros());
        Self { digits, layer, seed, step: 0, parameters, velocity }
    }

    /// One step, `micro_batch` digits at a time. Every figure is the same for any `micro_batch`.
    pub(crate) fn step(&mut self, micro_batch: usize) -> Result<()> {
        let (epoch, batch) = (self.step / STEPS_PER_EPOCH, self.step % STEPS_PER_EPOCH);
        let order = shuffled(self.digits.len(), self.seed, epoch + 1);
        // All batches but the last have `BATCH` digits.
        let batch = order.chunks(BATCH).nth(batch as usize).unwrap_or_default();
        let batch: Vec<&Digit> = batch.iter().map(|&i| &self.digits[i]).collect();

        // The paper's schedule, and masks for the whole batch.
        let drop_prob = Schedule::paper(self.layer.drop_prob())?.at(self.step, STEPS);
        let layer = self.layer.with_drop_prob(drop_prob)?;
        let key = Key::new(self.seed).with_step(self.step);
        let plans = plans(layer, batch.len())?;
        let drawn = [plans[0].count(key)?, plans[1].count(key.with_layer(1))?];

        let mut gradients = Parameters::zeros();
        for (part, digits) in batch.chunks(micro_batch).enumerate() {
            // Some samples of the batch: their masks, with the scale of the whole batch.
            let first = (part * micro_batch) as u64;
            let plans =
                [plans[0].with_samples(digits.len())?, plans[1].with_samples(digits.len())?];
            let drawn = drawn.map(|whole| {
                let own = Drawn::from(whole.key().with_first_sample(first));
                own.with_count(whole.count().unwrap_or_default())
            });

            let pixels: Vec<_> = digits.iter().map(|digit| &digit.pixels).collect();
            let activations = network::forward(&self.parameters, &pixels, |i, x| {
                plans[i].forward_in_place(drawn[i], x).map(|_| ())
            })?;
            let numbers = digits.iter().map(|digit| digit.number);
            let d_logits = network::d_logits(&activations.logits, numbers, batch.len());
            network::backward(
                &self.parameters,
                &pixels,
                &activations,
                &d_logits,
                &mut gradients,
                |i, dy| plans[i].backward_in_place(drawn[i], dy),
            )?;
        }

        // Nesterov's momentum, with a learning rate that falls to 0.
        let rate = Schedule::linear(LEARNING_RATE, 0.0)?.at(self.step, STEPS) as f32;
        let velocity = self.velocity.0.iter_mut().zip(&gradients.0);
        for (parameter, (velocity, gradient)) in self.parameters.0.iter_mut().zip(velocity) {
            *velocity = MOMENTUM * *velocity + gradient;
            *parameter -= rate * (gradient + MOMENTUM * *velocity);
        }
        self.step += 1;
        Ok(())
    }

    /// Evaluation: how many of these digits the network gets right.
    pub(crate) fn right(&self, digits: &[Digit]) -> Result<usize> {
        let mut right = 0;
        for digits in digits.chunks(BATCH) {
            // Out of training a layer drops nothing and scales nothing.
            let plans = plans(self.layer.with_training(false), digits.len())?;
            let pixels: Vec<_> = digits.iter().map(|digit| &digit.pixels).collect();
            let Activations { logits, .. } =
                network::forward(&self.parameters, &pixels, |i, x| {
                    plans[i].forward_in_place(Key::new(self.seed), x).map(|_| ())
                })?;
            let guesses = logits.chunks(CLASSES).map(|row| {
                let best = |best, i| if row[i] > row[best] { i } else { best };
                (1..CLASSES).fold(0, best)
            });
            right += guesses.zip(digits).filter(|(guess, digit)| *guess == digit.number).count();
        }
        Ok(right)
    }

    /// Writes all that the rest of the run depends on.
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let numbers = self.parameters.0.iter().chain(&self.velocity.0);
        let mut bytes: Vec<u8> = self.head().iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.extend(self.step.to_le_bytes());
        bytes.extend(numbers.flat_map(|number| number.to_le_bytes()));
        // By way of another name, so that a run that is killed leaves no half of a file.
        let part = path.with_extension("part");
        fs::write(&part, bytes)
            .and_then(|()| fs::rename(&part, path))
            .map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(())
    }

    /// Goes on from a file.
    pub(crate) fn load(&mut self, path: &Path) -> Result<()> {
        let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let head: Vec<u8> = self.head().iter().flat_map(|word| word.to_le_bytes()).collect();
        let (needed, given) = (head.len() + 8 + 8 * PARAMETERS, bytes.len());
        if given != needed {
            let path = path.display();
            return Err(
                format!("{path}: a file of {needed} bytes is needed, it has {given}").into()
            );
        }
        let (own, rest) = bytes.split_at(head.len());
        if own != head {
            let path = path.display();
            return Err(
                format!("{path}: it is from a run with other options or another seed").into()
            );
        }
        let (step, numbers) = rest.split_at(8);
        self.step = u64::from_le_bytes(step.as_chunks().0[0]);
        let parameters = self.parameters.0.iter_mut().chain(&mut self.velocity.0);
        for (parameter, bytes) in parameters.zip(numbers.as_chunks().0) {
            *parameter = f32::from_le_bytes(*bytes);
        }
        Ok(())
    }

    /// What tells this run from others: the mask function, the seed and the options. The training set
    /// follows from the seed.
    fn head(&self) -> [u64; 4] {
        let plan = self.layer.plan(Shape::nhwc(1, SIDES[0], SIDES[0], CHANNELS[0]));
        let gamma = plan.map_or(0.0, |plan| plan.gamma());
        let drop_prob = self.layer.drop_prob();
        [u64::from(MASK_VERSION), self.seed, drop_prob.to_bits(), gamma.to_bits()]
    }
}

/// The plans of the two layers for a batch.
fn plans(layer: DropBlock, samples: usize) -> Result<[Plan; 2]> {
    let plan = |i: usize| layer.plan(Shape::nhwc(samples, SIDES[i], SIDES[i], CHANNELS[i]));
    Ok([plan(0)?, plan(1)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digits::{Split, Test};

    fn run(split: &Split, micro_batch: usize, steps: u64) -> Training<'_> {
        let layer = DropBlock::new(3, 0.5).unwrap_or_else(|error| panic!("{error}"));
        let mut training = Training::new(&split.training, layer, 7);
        go_on(&mut training, micro_batch, steps);
        training
    }

    fn go_on(training: &mut Training<'_>, micro_batch: usize, steps: u64) {
        while training.step < steps {
            training.step(micro_batch).unwrap_or_else(|error| panic!("{error}"));
        }
    }

    fn bits(training: &Training<'_>) -> Vec<u32> {
        let numbers = training.parameters.0.iter().chain(&training.velocity.0);
        numbers.map(|number| number.to_bits()).collect()
    }

    // The last quarter of the schedule, which drops the most; more than an epoch of it, so that a
    // smaller last batch is among the steps.
    const FIRST: u64 = STEPS * 3 / 4;
    const LAST: u64 = FIRST + STEPS_PER_EPOCH + 1;

    #[test]
    fn micro_batches_give_the_figures_of_the_batch() {
        let split = Split::new(7, Test::Held);
        let parameters = |micro_batch| {
            let mut training = run(&split, BATCH, 0);
            training.step = FIRST;
            go_on(&mut training, micro_batch, LAST);
            bits(&training)
        };
        let whole = parameters(BATCH);
        assert_ne!(whole, bits(&run(&split, BATCH, 0)));
        for micro_batch in [1, 5, 16] {
            assert_eq!(parameters(micro_batch), whole, "{micro_batch} at a time");
        }
    }

    #[test]
    fn a_run_that_goes_on_from_a_file_is_the_run_that_never_stopped() {
        let split = Split::new(7, Test::Held);
        let path = std::env::temp_dir().join(format!("dropblock-train-{}.run", std::process::id()));
        let middle = run(&split, BATCH, STEPS_PER_EPOCH / 2);
        middle.save(&path).unwrap_or_else(|error| panic!("{error}"));
        let whole = run(&split, BATCH, LAST - FIRST);

        let mut resumed = run(&split, BATCH, 0);
        resumed.load(&path).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((resumed.step, bits(&resumed)), (middle.step, bits(&middle)));
        go_on(&mut resumed, BATCH, LAST - FIRST);
        assert_eq!(bits(&resumed), bits(&whole));

        // It refuses another seed's file and a part of a file, and says so.
        resumed.seed += 1;
        let refusal = |training: &mut Training<'_>| match training.load(&path) {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        };
        assert!(refusal(&mut resumed).ends_with("from a run with other options or another seed"));
        fs::write(&path, "part").unwrap_or_else(|error| panic!("{error}"));
        assert!(refusal(&mut resumed).contains("bytes is needed"));
        let _ = fs::remove_file(&path);
    }
}
