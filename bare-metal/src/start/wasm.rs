//! WebAssembly: the host gives a function that prints and calls `run`.

use core::fmt;

#[link(wasm_import_module = "host")]
unsafe extern "C" {
    #[link_name = "print"]
    fn host_print(text: *const u8, len: usize);
}

/// The host's output.
#[derive(Debug)]
pub struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // SAFETY: the host only reads the bytes of the string.
        unsafe { host_print(text.as_ptr(), text.len()) };
        Ok(())
    }
}

/// Ends the program: the host sees a trap.
pub fn exit(_: bool) -> ! {
    core::arch::wasm32::unreachable()
}

// SAFETY: no other function has the name.
#[unsafe(no_mangle)]
extern "C" fn run() -> bool {
    super::dropblock_program()
}
