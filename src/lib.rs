#![doc = include_str!("../README.md")]
#![no_std]
#![deny(
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
mod backend;
mod bits;
mod block;
mod center;
mod count;
#[cfg(feature = "cuda")]
pub mod cuda;
mod dilate;
mod driver;
mod drop_block;
mod element;
mod error;
mod fill;
mod gamma;
mod gap;
mod grey;
mod mask;
mod noise;
mod noise_table;
#[cfg(feature = "rayon")]
mod parallel;
mod plan;
mod preset;
pub mod reference;
mod rng;
mod schedule;
mod shape;
mod spread;
mod stride;
mod view;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod x86;

pub use backend::Backend;
pub use block::{Alignment, BlockSize, Region};
pub use count::Dropped;
pub use drop_block::{DropBlock, Fill, Scale, Sharing};
pub use element::Element;
pub use error::{Buffer, Error};
pub use gamma::Gamma;
pub use grey::Dilation;
#[cfg(feature = "half")]
pub use half;
#[cfg(feature = "rayon")]
pub use parallel::Parallel;
pub use plan::Plan;
pub use rand_core;
pub use rng::Key;
pub use schedule::Schedule;
pub use shape::{Layout, Map, Shape};
pub use view::{KeepRuns, MaskView, PlanePart};
