//! Host memory that is named by a pointer. The caller of the driver interface answers for it.

#![allow(unsafe_code, reason = "pointers of the driver interface")]

use std::ffi::{CStr, c_char, c_void};
use std::mem::MaybeUninit;

use crate::errors::INVALID_VALUE;

/// A pointer through which a function gives a result; null is refused.
#[derive(Debug)]
#[repr(transparent)]
pub struct Out<'a, T>(Option<&'a mut MaybeUninit<T>>);

impl<'a, T> Out<'a, T> {
    /// Gives results to a variable.
    pub fn to(place: &'a mut MaybeUninit<T>) -> Self {
        Self(Some(place))
    }

    /// Gives a result.
    pub(crate) fn put(self, value: T) -> Result<(), i32> {
        self.0.ok_or(INVALID_VALUE)?.write(value);
        Ok(())
    }

    /// Whether it is null.
    pub(crate) fn missing(&self) -> bool {
        self.0.is_none()
    }
}

/// Copies bytes from the host.
pub(crate) fn read(address: usize, bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    let from = std::ptr::with_exposed_provenance::<u8>(address);
    // SAFETY: the interface wants memory that is valid until the operation is done.
    unsafe { from.copy_to_nonoverlapping(out.as_mut_ptr(), bytes) };
    out
}

/// Copies bytes to the host.
pub(crate) fn write(address: usize, data: &[u8]) {
    let to = std::ptr::with_exposed_provenance_mut::<u8>(address);
    // SAFETY: the interface wants memory that is valid until the operation is done.
    unsafe { to.copy_from_nonoverlapping(data.as_ptr(), data.len()) };
}

/// A text that ends with a zero.
pub(crate) fn text(pointer: *const c_void) -> Result<String, i32> {
    if pointer.is_null() {
        return Err(INVALID_VALUE);
    }
    // SAFETY: the interface wants a text that ends with a zero.
    let text = unsafe { CStr::from_ptr(pointer.cast::<c_char>()) };
    Ok(text.to_string_lossy().into_owned())
}

/// The parameters of a kernel: from each pointer so many bytes, to an offset.
pub(crate) fn params(pointers: *mut *mut c_void, layout: &[[usize; 2]]) -> Result<Vec<u8>, i32> {
    let mut out = vec![0; layout.iter().map(|[at, bytes]| at + bytes).max().unwrap_or(0)];
    if !layout.is_empty() && pointers.is_null() {
        return Err(INVALID_VALUE);
    }
    for (index, &[at, bytes]) in layout.iter().enumerate() {
        let place = pointers.wrapping_add(index);
        // SAFETY: the interface wants one pointer for each parameter.
        let pointer = unsafe { place.read() };
        if pointer.is_null() {
            return Err(INVALID_VALUE);
        }
        out[at..at + bytes].copy_from_slice(&read(pointer.expose_provenance(), bytes));
    }
    Ok(out)
}

unsafe extern "C" {
    fn atexit(function: extern "C" fn()) -> i32;
}

/// Has a function called when the process ends.
pub(crate) fn at_exit(function: extern "C" fn()) {
    // SAFETY: the function is never unloaded before it is called: it lies in this library.
    unsafe { atexit(function) };
}
