//! Versions, and which implementations can run.

use core::ffi::{CStr, c_char};
use core::ptr;

use engine::Backend;

use crate::constants::*;
use crate::status::Refusal;
use crate::types::dropblock_backend;

const NAMES: [(Backend, dropblock_backend, &CStr); 4] = [
    (Backend::Scalar, DROPBLOCK_BACKEND_SCALAR, c"scalar"),
    (Backend::Simd, DROPBLOCK_BACKEND_SIMD, c"simd"),
    (Backend::Avx2, DROPBLOCK_BACKEND_AVX2, c"avx2"),
    (Backend::Avx512, DROPBLOCK_BACKEND_AVX512, c"avx512"),
];

/// The number of a backend; 0 for one that this interface does not know.
pub(crate) fn number(backend: Backend) -> dropblock_backend {
    NAMES.iter().find(|(each, ..)| *each == backend).map_or(0, |&(_, number, _)| number)
}

/// The backend of a number, `None` for the fastest.
pub(crate) fn choice(number: dropblock_backend) -> Result<Option<Backend>, Refusal> {
    if number == DROPBLOCK_BACKEND_FASTEST {
        return Ok(None);
    }
    match NAMES.iter().find(|(_, each, _)| *each == number) {
        Some(&(backend, ..)) => Ok(Some(backend)),
        None => Err(Refusal::unknown(DROPBLOCK_ARGUMENT_BACKEND, number)),
    }
}

/// The version of the library, as `DROPBLOCK_VERSION`.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn dropblock_version() -> u32 {
    DROPBLOCK_VERSION_MAJOR * 1_000_000 + DROPBLOCK_VERSION_MINOR * 1000 + DROPBLOCK_VERSION_PATCH
}

/// The version of the interface.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn dropblock_abi_version() -> u32 {
    DROPBLOCK_ABI_VERSION
}

/// The version of the mask function: which bits a key and a plan give.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn dropblock_mask_version() -> u32 {
    DROPBLOCK_MASK_VERSION
}

/// The fastest backend that can run here.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn dropblock_backend_detect() -> dropblock_backend {
    number(Backend::detect())
}

/// Whether a backend can run here: 1 or 0.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn dropblock_backend_is_available(backend: dropblock_backend) -> u32 {
    match choice(backend) {
        Ok(choice) => choice.is_none_or(Backend::is_available).into(),
        Err(_) => 0,
    }
}

/// The name of a backend, or null.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn dropblock_backend_name(backend: dropblock_backend) -> *const c_char {
    NAMES
        .iter()
        .find(|(_, number, _)| *number == backend)
        .map_or(ptr::null(), |(.., name)| name.as_ptr())
}
