//! All checks, on any machine.

#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "the start-up code finds the program by its name")]

use core::fmt::Write as _;

use dropblock_bare_metal::{Memory, run, start};

// SAFETY: no other function has the name.
#[unsafe(no_mangle)]
fn dropblock_program() -> bool {
    let mut memory = Memory::new();
    run(&mut memory, &mut start::Console)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let _ = writeln!(start::Console, "{info}");
    start::exit(false)
}
