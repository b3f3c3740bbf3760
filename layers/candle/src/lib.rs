//! DropBlock regularisation for candle.
//!
//! During training DropBlock ([Ghiasi, Lin, Le 2018](https://arxiv.org/abs/1810.12890)) zeroes square
//! blocks of each feature map and scales the rest. [`DropBlock`] is a `ModuleT`, [`drop_block`] the
//! function below it.
//!
//! ```
//! use candle_core::{DType, Device, ModuleT, Result, Tensor};
//! use dropblock_candle::{DropBlock, Keys};
//!
//! struct Model {
//!     drop: DropBlock,
//! }
//!
//! impl ModuleT for Model {
//!     fn forward_t(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
//!         xs.apply_t(&self.drop, train)
//!     }
//! }
//!
//! let keys = Keys::new(2024);                                // one for the model: the seed
//! let model = Model { drop: DropBlock::new(7, 0.1, &keys)? };
//! for batch in 0..3 {
//!     let xs = Tensor::ones((8, 16, 14, 14), DType::F32, &Device::Cpu)?;
//!     let ys = model.forward_t(&xs, true)?;
//!     // ... loss, backward, step of the optimizer
//!     keys.next_step();
//! }
//! # Ok::<(), candle_core::Error>(())
//! ```
//!
//! # Keys
//!
//! A mask is a function of seed, step, layer and first sample. [`Keys`] holds them for a model: the seed
//! and the first sample are given, layers are numbered in the order in which they are made, and the
//! training loop says when a step is done.
//!
//! * *Resuming*: [`Keys::set_step`] with the number of steps that are done. With the same seed and the
//!   layers made in the same order the masks go on as if the run had not stopped.
//! * *Clones* of a layer share its keys, as they share variables.
//! * *Replicas* have keys of their own, with the same seed: [`Keys::set_first_sample`].
//! * *Computing a part of the model again* to save memory gives the same masks, because a forward pass
//!   does not count.
//!
//! Why not a step as an argument of `forward`? Every module above would have to pass it on, and `ModuleT`
//! has no place for it. For such a loop there is [`drop_block`], which takes the whole key.
//!
//! # What is computed
//!
//! The operation is [`dropblock`]'s, bit for bit, on tensors of `f32`, `f64`, `f16` and `bf16` with any
//! strides. The output is contiguous. The backward pass draws the mask again: the graph keeps options, key
//! and count, and no mask. On CUDA and Metal devices the operation returns candle's error that it is not
//! implemented there.

mod layer;
mod operation;

pub use dropblock::{
    self, Alignment, BlockSize, DropBlock as Options, Fill, Gamma, Key, Region, Scale, Schedule,
    Sharing,
};
pub use layer::{DropBlock, Keys};
pub use operation::drop_block;

/// The code of the README runs as a doc test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
