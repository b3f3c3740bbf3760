//! RISC-V 32 without a system: the board `virt` of QEMU, with its serial port and its finisher.

use core::arch::global_asm;
use core::fmt;

const SERIAL: *mut u8 = 0x1000_0000 as *mut u8;
const FINISHER: *mut u32 = 0x0010_0000 as *mut u32;
const PASS: u32 = 0x5555;
const FAIL: u32 = 0x3333 | 1 << 16;

// A trap ends the program as a failure.
global_asm!(
    ".section .start, \"ax\"",
    ".globl start",
    "start:",
    "la t0, trap",
    "csrw mtvec, t0",
    "la sp, stack_top",
    "call reset",
    ".balign 4",
    "trap:",
    "li t0, 0x100000",
    "li t1, 0x13333",
    "sw t1, 0(t0)",
    "j trap",
);

/// The serial port.
#[derive(Debug)]
pub struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // SAFETY: the board has the port's register there.
            unsafe { SERIAL.write_volatile(byte) };
        }
        Ok(())
    }
}

/// Ends the program.
pub fn exit(success: bool) -> ! {
    loop {
        // SAFETY: the board has the finisher's register there.
        unsafe { FINISHER.write_volatile(if success { PASS } else { FAIL }) };
    }
}

// SAFETY: only the code above calls it; no other function has the name.
#[unsafe(no_mangle)]
extern "C" fn reset() -> ! {
    exit(super::dropblock_program())
}
