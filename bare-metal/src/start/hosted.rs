//! Systems with a C library, without Rust's standard library.

use core::ffi::{c_char, c_int, c_void};
use core::fmt;

#[link(name = "c")]
unsafe extern "C" {
    fn write(file: c_int, bytes: *const c_void, len: usize) -> isize;
    #[link_name = "exit"]
    safe fn c_exit(status: c_int) -> !;
}

/// The standard output.
#[derive(Debug)]
pub struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            // SAFETY: the pointer and the length are those of a slice.
            let written = unsafe { write(1, rest.as_ptr().cast(), rest.len()) };
            let written = usize::try_from(written).map_err(|_| fmt::Error)?;
            rest = rest.get(written..).ok_or(fmt::Error)?;
        }
        Ok(())
    }
}

/// Ends the program.
pub fn exit(success: bool) -> ! {
    c_exit(c_int::from(!success))
}

// SAFETY: the C library calls it, with these types; no other function has the name.
#[unsafe(no_mangle)]
extern "C" fn main(_: c_int, _: *const *const c_char) -> c_int {
    c_int::from(!super::dropblock_program())
}
