//! Versions, and which implementations can run.

use core::ffi::{CStr, c_char};
use core::ptr;

use engine::Backend;

use crate::constants::*;
use crate::status::{Refusal, or_default};
use crate::types::dropblock_backend;

const NAMES: [(dropblock_backend, (Backend, &CStr)); 4] = [
    (DROPBLOCK_BACKEND_SCALAR, (Backend::Scalar, c"scalar")),
    (DROPBLOCK_BACKEND_SIMD, (Backend::Simd, c"simd")),
    (DROPBLOCK_BACKEND_AVX2, (Backend::Avx2, c"avx2")),
    (DROPBLOCK_BACKEND_AVX512, (Backend::Avx512, c"avx512")),
];

/// The number of a backend; 0 for one that this interface does not know.
pub(crate) fn number(backend: Backend) -> dropblock_backend {
    NAMES.iter().find(|(_, (each, _))| *each == backend).map_or(0, |&(number, _)| number)
}

/// The backend of a number, `None` for the fastest.
pub(crate) fn choice(number: dropblock_backend) -> Result<Option<Backend>, Refusal> {
    let names = NAMES.map(|(number, (backend, _))| (number, backend));
    or_default(DROPBLOCK_ARGUMENT_BACKEND, number, &names)
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
        .find(|(number, _)| *number == backend)
        .map_or(ptr::null(), |(_, (_, name))| name.as_ptr())
}
