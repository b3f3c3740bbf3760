//! DropBlock regularisation as burn modules.
//!
//! During training DropBlock ([Ghiasi, Lin, Le 2018](https://arxiv.org/abs/1810.12890)) zeroes square
//! blocks of each feature map and scales the rest. [`DropBlock1d`], [`DropBlock2d`] and [`DropBlock3d`]
//! act exactly when burn's `Dropout` does.
//!
//! ```
//! use burn::module::Module;
//! use burn::tensor::{Device, Tensor};
//! use dropblock_burn::{DropBlock2d, DropBlock2dConfig, next_step};
//!
//! #[derive(Module, Debug)]
//! struct Model {
//!     drop: DropBlock2d,
//! }
//!
//! let mut model = Model { drop: DropBlock2dConfig::new([7, 7], 0.1).with_seed(2024).init() };
//! for batch in 0..3 {
//!     let x = Tensor::<4>::ones([8, 16, 14, 14], &Device::flex().autodiff());
//!     let y = model.drop.forward(x);
//!     // ... loss, backward, step of the optimizer
//!     model = next_step(model);
//! }
//! assert_eq!(model.drop.step.get(), 3);
//! ```
//!
//! # Keys
//!
//! A mask is a function of seed, layer, step and first sample. Seed and layer are in the configuration;
//! layers of a model need different numbers. The step is in the module, and [`next_step`] adds 1 to that
//! of every layer of a model. A training loop that counts by itself calls [`at_step`].
//!
//! * *Resuming*: the step is in the record of the module, as `step.count`, so a run goes on with the
//!   masks that it would have drawn. A record from before the model had the layer lacks it: load it with
//!   `record.allow_partial(true)`.
//! * *Clones* have a step of their own, as they have weights of their own.
//! * *Replicas* that share a batch set `first_sample` of each layer to the index of their first sample.
//!   The masks of the parts are then parts of the mask of the whole. A scale per tensor follows from the
//!   part alone; [`Scale::PerSample`] and [`Scale::Fixed`] are the same as those of the whole. Replicas
//!   that are made by `fork` have the same `first_sample`, and drop the same places.
//! * *Gradient accumulation*: `first_sample` as for replicas, or another step for each micro-batch.
//! * *Gradient checkpointing* draws the same mask again, because a forward pass does not count.
//! * The *Learner* steps in `TrainStep::optimize`; `programs/src/bin/digits.rs` shows it:
//!   `next_step(optim.step(rate, self, grads))`.
//!
//! Why not a step as an argument of `forward`? Every module above would have to pass it on, and the
//! Learner has none to give. For such a loop there is [`drop_block`], which takes the whole key. Why does
//! `forward` not count? A module that is called twice, cloned or computed again would drop something else
//! than its training loop expects.
//!
//! # Schedules
//!
//! A layer that knows its step needs no scheduler beside it: `with_schedule(Some((Schedule::paper(0.1)?,
//! 10_000)))` raises the drop probability from 0 to 0.1 in 10,000 steps. [`Schedule`] has no state, so
//! nothing else is recorded.
//!
//! # What is computed
//!
//! The operation of [`dropblock`], bit for bit, in `f32`, `f64`, `f16` and `bf16`. Tensors of the Flex
//! backend are worked on where they lie, in one pass, in place if nobody else has them. The backward
//! pass draws the mask again: the graph keeps options, key and count, and no mask. On other backends
//! the mask goes to the device as a tensor of booleans, and burn's operations do the rest:
//! [`drop_block_portable`].
//!
//! # Without the standard library
//!
//! With `default-features = false` the crate is `no_std`, as burn is, and trains on a microcontroller
//! that has an allocator.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod fused;
mod layer;
mod pass;
mod step;

pub use dropblock::{
    self, Alignment, BlockSize, DropBlock, Error, Fill, Gamma, Key, Region, Scale, Schedule,
    Sharing,
};
pub use layer::{
    DropBlock1d, DropBlock1dConfig, DropBlock2d, DropBlock2dConfig, DropBlock3d, DropBlock3dConfig,
};
pub use pass::{drop_block, drop_block_portable};
pub use step::{Step, at_step, next_step};

/// The code of the README runs as a doc test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
