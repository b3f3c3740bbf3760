//! A driver library for tests that runs PTX on the CPU.
//!
//! Built as a shared library it is found as `libcuda.so.1` and answers the functions of the driver
//! interface that host code uses; see the README beside it. What runs is the unmodified text of a
//! module: it is read, checked and decoded at load, and each access of a kernel is checked when it
//! happens.

pub mod context;
pub mod convert;
pub mod decode;
pub mod device;
pub mod driver;
pub mod errors;
pub mod execute;
pub mod float;
pub mod host;
pub mod integer;
pub mod memory;
pub mod mutate;
pub mod parse;
pub mod profile;
pub mod program;
pub mod race;
pub mod random;
mod store;
pub mod stream;
pub mod syntax;
mod thread;
pub mod token;
mod warp;
