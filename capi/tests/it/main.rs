//! Tests of the interface from Rust: that the header says what the library has, and that every
//! function does what the crate does. They are compiled into the library, which Rust cannot link.

mod case;
mod dilation;
mod header;
mod passes;
mod refusals;
mod schedule;
