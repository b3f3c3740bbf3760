//! Cortex-M without a system: output and end by semihosting, which a debugger or QEMU serves.

use core::arch::{asm, global_asm};
use core::fmt;

const WRITE_CHARACTER: usize = 0x03;
const EXIT: usize = 0x18;
const APPLICATION_EXIT: usize = 0x2_0026;
const INTERNAL_ERROR: usize = 0x2_0024;

/// SysTick: control and status, reload value, current value.
const TICK_CONTROL: *mut u32 = 0xe000_e010 as *mut u32;
const TICK_RELOAD: *mut u32 = 0xe000_e014 as *mut u32;
const TICK_VALUE: *mut u32 = 0xe000_e018 as *mut u32;

// The vectors: the stack, the program, and every fault ends it as a failure.
global_asm!(
    ".section .vectors, \"a\"",
    ".word stack_top",
    ".word start",
    ".rept 14",
    ".word fault",
    ".endr",
);

#[cfg(not(target_abi = "eabihf"))]
global_asm!(".section .start, \"ax\"", ".thumb_func", "start:", "bl reset");

// The floating-point unit is off after a reset.
#[cfg(target_abi = "eabihf")]
global_asm!(
    ".section .start, \"ax\"",
    ".thumb_func",
    "start:",
    "ldr r0, =0xe000ed88",
    "ldr r1, [r0]",
    "orr r1, r1, #0xf00000",
    "str r1, [r0]",
    "dsb",
    "isb",
    "bl reset",
    ".ltorg",
);

/// Asks the debugger.
fn semihosting(operation: usize, argument: usize) {
    // SAFETY: the debugger reads one character, or ends the program.
    unsafe { asm!("bkpt 0xab", inout("r0") operation => _, in("r1") argument, options(nostack)) };
}

/// The debugger's console.
#[derive(Debug)]
pub struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            semihosting(WRITE_CHARACTER, &raw const byte as usize);
        }
        Ok(())
    }
}

/// Ends the program.
pub fn exit(success: bool) -> ! {
    loop {
        semihosting(EXIT, if success { APPLICATION_EXIT } else { INTERNAL_ERROR });
    }
}

/// Starts the timer if need be and returns its value, which counts 24 bits of cycles down.
#[must_use]
pub fn tick() -> u32 {
    // SAFETY: every Cortex-M of these boards has the timer's registers there.
    unsafe { TICK_RELOAD.write_volatile(0x00ff_ffff) };
    // SAFETY: as above.
    unsafe { TICK_CONTROL.write_volatile(0b101) };
    // SAFETY: as above.
    unsafe { TICK_VALUE.read_volatile() }
}

/// The stack, painted to see how far down a program writes.
pub mod stack {
    use core::arch::asm;

    const PAINT: u32 = 0x5a5a_a5a5;
    /// What lies below the stack pointer when the paint is laid may be in use by the painter.
    const MARGIN: usize = 128;

    unsafe extern "C" {
        static stack_bottom: u32;
    }

    #[inline(always)]
    fn pointer() -> usize {
        let pointer;
        // SAFETY: only reads the register.
        unsafe { asm!("mov {}, sp", out(reg) pointer, options(nomem, nostack)) };
        pointer
    }

    fn bottom() -> usize {
        &raw const stack_bottom as usize
    }

    /// Paints what is free, and returns where the stack stands.
    #[inline(always)]
    #[must_use]
    pub fn paint() -> usize {
        let pointer = pointer();
        let mut at = bottom();
        while at < pointer - MARGIN {
            // SAFETY: the linker keeps everything below the stack pointer free of other things.
            unsafe { (at as *mut u32).write_volatile(PAINT) };
            at += 4;
        }
        pointer
    }

    /// Returns how many bytes below `from` have been written since.
    #[must_use]
    pub fn depth(from: usize) -> usize {
        let mut at = bottom();
        // SAFETY: as above.
        while at < from && unsafe { (at as *const u32).read_volatile() } == PAINT {
            at += 4;
        }
        from - at
    }
}

// SAFETY: only the code above calls it; no other function has the name.
#[unsafe(no_mangle)]
extern "C" fn reset() -> ! {
    exit(super::dropblock_program())
}

// SAFETY: only the vectors name it.
#[unsafe(no_mangle)]
extern "C" fn fault() -> ! {
    exit(false)
}
