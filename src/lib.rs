//! DropBlock regularisation for convolutional networks: exact, `no_std`, without allocation, and with
//! the same mask bits on every machine.
//!
//! During training DropBlock ([Ghiasi, Lin, Le 2018](https://arxiv.org/abs/1810.12890)) zeroes square
//! blocks of each feature map instead of single units, so that neighbours cannot give the dropped
//! value away, and rescales the rest. At inference it does nothing.
//!
//! A mask is a pure function of a [`Key`] (seed, step, layer, first sample) and a [`Plan`] (options
//! and shape). So nobody stores it and nobody sends it: the backward pass, another thread, another
//! machine or a GPU draws the same bits from the same few words.
//!
//! # Quick start
//!
//! ```
//! use dropblock::{DropBlock, Key, Shape};
//!
//! let layer = DropBlock::new(7, 0.1)?;                    // block size, drop probability
//! let plan = layer.plan(Shape::nchw(2, 8, 14, 14))?;      // once per layer; works in a const
//! let mut x = vec![1.0_f32; plan.elements()];             // your activations
//! let mut dy = vec![1.0_f32; plan.elements()];            // your gradient
//! let mut words = vec![0; plan.mask_words()];             // 1 bit a unit: 1/32 of the tensor
//!
//! let key = Key::new(2024).with_step(17).with_layer(3);   // names this mask
//! let mask = plan.draw(key, &mut words)?;                 // bits, count, key and plan
//! mask.forward_in_place(&mut x)?;
//! mask.backward_in_place(&mut dy)?;
//! assert_eq!(x, dy);
//! # Ok::<(), dropblock::Error>(())
//! ```
//!
//! | type | is | made by |
//! | --- | --- | --- |
//! | [`DropBlock`] | the options of a layer | [`DropBlock::new`] and the presets |
//! | [`Plan`] | the options for one shape, with its table | [`DropBlock::plan`], at run time or in a `const` |
//! | [`Key`] | the name of one mask | [`Key::new`] |
//! | [`Mask`] | bits with their count, key and plan | [`Plan::draw`], or [`Plan::mask_from`] words of your own |
//! | [`Drawn`] | a key and the count of its mask | passes without a mask buffer |
//! | [`View`], [`ViewMut`] | a tensor with strides | `new`; `&x` and `&mut y` are dense tensors |
//! | [`Keep`] | a mask for a kernel of your own | [`Mask::maps`], [`Keep::new`] |
//!
//! The verbs are the same everywhere: `draw`, `forward`, `backward`, `drop_only`, each in place or
//! from one tensor to another.
//!
//! # The guide
//!
//! * [Quick start](guide::quick_start): passes, schedules, layouts, element types.
//! * [Keys](guide::keys): steps, restarts, micro-batches, data-parallel and tensor-parallel training.
//! * [Options](guide::options): which to choose, and what other implementations really drop.
//! * [Fusing](guide::fusing): the mask in a kernel of your own.
//! * [Microcontrollers](guide::microcontrollers): the plan in flash, code size and stack.
//! * [GPU](guide::gpu): CUDA devices.
//! * [Reproducibility](guide::reproducibility): what never changes, and the definition of a mask.
//!
//! # Features
//!
//! None is on by default, and none changes a result.
//!
//! | feature | effect |
//! | --- | --- |
//! | `std` | links the standard library, and the `std` build of `wide` |
//! | `half` | elements `half::f16` and `half::bf16`; compiles `half` and `bytemuck` |
//! | `rayon` | `Plan::in_parallel`: the same bits on the threads of a pool; compiles `rayon`, which allocates where it needs to |
//! | `serde` | options, keys, counts and schedules can be serialised; compiles `serde` |
//! | `cuda` | the operations on a CUDA device; compiles `cust` and turns on `half`; see [the guide](guide::gpu) |
//!
//! On x86-64 the crate asks the processor once for AVX2 and AVX-512 and uses them; no flag is needed.
//! Elsewhere `wide` uses the vectors of the build: NEON on AArch64, `simd128` on WebAssembly.
//!
//! # What it does not do
//!
//! It is not a deep learning framework: it neither owns tensors nor differentiates. It drops blocks of
//! features, not of images ("cutout") nor of attention.

#![no_std]
#![warn(
    clippy::std_instead_of_core,
    clippy::std_instead_of_alloc,
    clippy::alloc_instead_of_core,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::float_cmp_const
)]

#[cfg(feature = "cuda")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod apply;
mod bits;
mod block;
mod center;
mod count;
mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
mod dilate;
mod drawn;
mod drop_block;
mod element;
mod error;
mod gamma;
mod gap;
mod grey;
pub mod guide;
#[cfg(all(test, target_arch = "x86_64", not(miri)))]
mod hops;
mod keep;
mod key;
mod mask;
mod noise;
mod plan;
mod preset;
pub mod reference;
mod schedule;
mod shape;
mod tensor;

pub use block::{Alignment, BlockSize, Region};
pub use cpu::Backend;
pub use drawn::{Drawn, DropCount};
pub use drop_block::{DropBlock, Fill, Scale, Sharing};
pub use element::Element;
pub use error::{Buffer, Error};
pub use gamma::Gamma;
pub use grey::Dilation;
#[cfg(feature = "half")]
pub use half;
pub use keep::{Keep, KeepRuns, MapPart};
pub use key::{Key, MASK_VERSION};
pub use plan::{Mask, Plan};
pub use rand_core;
pub use schedule::Schedule;
pub use shape::{Layout, Map, Shape};
pub use tensor::{View, ViewMut};

/// The code of the README runs as a doc test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
