//! The C interface of the crate `dropblock`: `include/dropblock.h` says what each function does.
//!
//! Functions check their pointers, then call the crate, which checks the rest; nothing is written
//! before both are done. `extern "C"` functions stop the process where a panic would leave them,
//! so that none reaches the caller; there is none by design, and no `catch_unwind`.

#![cfg_attr(not(test), no_std)]
#![allow(unsafe_code, reason = "pointers of a C caller")]
#![allow(non_camel_case_types, reason = "names of C")]
#![cfg_attr(
    not(test),
    warn(
        clippy::std_instead_of_core,
        clippy::std_instead_of_alloc,
        clippy::alloc_instead_of_core,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::float_cmp_const
    )
)]

#[cfg(feature = "std")]
extern crate std;

mod backend;
mod constants;
mod dilation;
mod mask;
mod memory;
mod options;
mod passes;
mod plan;
mod schedule;
mod shape;
mod stages;
mod status;
mod types;

#[cfg(test)]
#[path = "../tests/it/main.rs"]
mod it;

#[cfg(all(feature = "panic-handler", not(any(feature = "std", test))))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
