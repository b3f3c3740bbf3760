#![doc = include_str!("../README.md")]
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
#[cfg(all(test, target_arch = "x86_64", not(miri)))]
mod hops;
mod keep;
mod key;
mod mask;
mod noise;
mod noise_table;
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
