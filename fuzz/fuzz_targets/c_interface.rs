//! Sequences of calls of the C interface, most of them wrong: pointers that are null, misaligned, or
//! point into each other's memory, lengths of all kinds, numbers that are in no list, plans that
//! are none. A call that must be refused is; a refusal writes nothing but its error; a success
//! writes to its results and nowhere else.
//!
//! The sources of `capi` are taken in, as it makes no Rust library. Only what the header leaves to the
//! caller is kept: memory is as long as is said, where it could be.
#![no_main]
#![allow(dead_code, reason = "not all of the interface is called by its Rust names")]
#![allow(non_camel_case_types, reason = "names of C")]

// The name by which `capi` knows the crate.
extern crate dropblock as engine;

#[path = "../../capi/src/backend.rs"]
mod backend;
#[path = "../../capi/src/constants.rs"]
mod constants;
#[path = "../../capi/src/dilation.rs"]
mod dilation;
#[path = "../../capi/src/mask.rs"]
mod mask;
#[path = "../../capi/src/memory.rs"]
mod memory;
#[path = "../../capi/src/options.rs"]
mod options;
#[path = "../../capi/src/passes.rs"]
mod passes;
#[path = "../../capi/src/plan.rs"]
mod plan;
#[path = "../../capi/src/schedule.rs"]
mod schedule;
#[path = "../../capi/src/shape.rs"]
mod shape;
#[path = "../../capi/src/stages.rs"]
mod stages;
#[path = "../../capi/src/status.rs"]
mod status;
#[path = "../../capi/src/types.rs"]
mod types;

#[path = "calls/mod.rs"]
mod calls;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|calls: calls::Calls| calls.run());
