//! How a program begins, speaks and ends on each kind of machine.
//!
//! A program defines `dropblock_program`, without mangling; it is called once, and what it returns
//! is the exit status.

#![allow(unsafe_code, reason = "bare machines, and systems without the standard library")]

#[cfg(all(target_arch = "arm", target_os = "none"))]
mod cortex_m;
#[cfg(unix)]
mod hosted;
#[cfg(all(target_arch = "riscv32", target_os = "none"))]
mod riscv;
#[cfg(target_arch = "wasm32")]
mod wasm;

#[cfg(all(target_arch = "arm", target_os = "none"))]
pub use cortex_m::{Console, exit, stack, tick};
#[cfg(unix)]
pub use hosted::{Console, exit};
#[cfg(all(target_arch = "riscv32", target_os = "none"))]
pub use riscv::{Console, exit};
#[cfg(target_arch = "wasm32")]
pub use wasm::{Console, exit};

unsafe extern "Rust" {
    /// The program: tells whether all went well.
    safe fn dropblock_program() -> bool;
}
