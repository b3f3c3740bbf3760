//! The parts of the programs in `bin` that tests use as well.

pub mod files;
pub mod inspect;
pub mod vectors;
