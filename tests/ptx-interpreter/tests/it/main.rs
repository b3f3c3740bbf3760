//! Tests of the interpreter.

#![allow(clippy::type_complexity, reason = "tables of names and functions")]

mod checks;
mod convert;
mod driver;
mod float;
mod host;
mod integer;
mod memory;
mod mutate;
mod profile;
mod refusals;
mod support;
mod warp;
