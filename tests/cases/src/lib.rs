//! Random cases: options, a shape, a key and where the elements lie, all of which fit together.
//!
//! There is one generator, [`Case::draw`], over a [`Source`] of numbers. Property tests give it bytes
//! that shrink (feature `proptest`), fuzz targets theirs (feature `arbitrary`), and the configurations
//! whose hashes are committed come from [`Numbers`] ([`fixed`]).

mod case;
pub mod fixed;
#[cfg(feature = "arbitrary")]
mod fuzz;
mod options;
mod place;
mod source;
#[cfg(feature = "proptest")]
mod strategy;

pub use case::{Case, draw_map, pack};
#[cfg(feature = "arbitrary")]
pub use fuzz::SmallMap;
pub use options::{Block, Options, PRESETS};
pub use place::{Place, gather, scatter, sizes};
pub use source::{Bytes, Numbers, Source};
#[cfg(feature = "proptest")]
pub use strategy::{cases, cases_with_options, maps};
