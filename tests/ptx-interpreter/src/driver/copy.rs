//! Memory.

#![allow(unsafe_code, reason = "symbols of the driver interface")]

use super::guard;
use crate::errors::{INVALID_VALUE, SUCCESS};
use crate::host::Out;
use crate::stream::Work;

/// Allocates device memory.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemAlloc_v2(address: Out<'_, u64>, bytes: usize) -> i32 {
    guard("cuMemAlloc_v2", |driver| {
        if address.missing() {
            return Err(INVALID_VALUE);
        }
        let allocated = driver.context()?.allocate(bytes)?;
        address.put(allocated)
    })
}

/// Frees device memory, also after an error, which is given then.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemFree_v2(address: u64) -> i32 {
    guard("cuMemFree_v2", |driver| {
        let context = driver.any_context()?;
        let error = context.error;
        let freed = context.free(address);
        error.map_or(freed, Err)
    })
}

fn at_once(work: Work) -> i32 {
    guard(work.call(), |driver| driver.context()?.at_once(work))
}

fn later(stream: u64, work: Work) -> i32 {
    guard(work.call(), |driver| driver.context()?.enqueue(stream, work).map(|_| ()))
}

fn host(address: usize, bytes: usize) -> Result<(), i32> {
    if address == 0 && bytes != 0 { Err(INVALID_VALUE) } else { Ok(()) }
}

/// Copies from host to device.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyHtoD_v2(to: u64, from: usize, bytes: usize) -> i32 {
    host(from, bytes).map_or_else(|code| code, |()| at_once(Work::Upload(to, from, bytes)))
}

/// Copies from device to host.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyDtoH_v2(to: usize, from: u64, bytes: usize) -> i32 {
    host(to, bytes).map_or_else(|code| code, |()| at_once(Work::Download(to, from, bytes)))
}

/// Copies within the device.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyDtoD_v2(to: u64, from: u64, bytes: usize) -> i32 {
    at_once(Work::Copy(to, from, bytes))
}

/// Copies from host to device when the stream comes to it.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyHtoDAsync_v2(to: u64, from: usize, bytes: usize, stream: u64) -> i32 {
    host(from, bytes).map_or_else(|code| code, |()| later(stream, Work::Upload(to, from, bytes)))
}

/// Copies from device to host when the stream comes to it.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyDtoHAsync_v2(to: usize, from: u64, bytes: usize, stream: u64) -> i32 {
    host(to, bytes).map_or_else(|code| code, |()| later(stream, Work::Download(to, from, bytes)))
}

/// Copies within the device when the stream comes to it.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: u64) -> i32 {
    later(stream, Work::Copy(to, from, bytes))
}

fn aligned(address: u64, width: u64) -> i32 {
    if address.is_multiple_of(width) { SUCCESS } else { INVALID_VALUE }
}

/// Sets bytes.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemsetD8_v2(address: u64, value: u8, count: usize) -> i32 {
    at_once(Work::Set(address, 1, value.into(), count))
}

/// Sets words of 32 bits.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemsetD32_v2(address: u64, value: u32, count: usize) -> i32 {
    match aligned(address, 4) {
        SUCCESS => at_once(Work::Set(address, 4, value, count)),
        code => code,
    }
}

/// Sets bytes when the stream comes to it.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemsetD8Async(address: u64, value: u8, count: usize, stream: u64) -> i32 {
    later(stream, Work::Set(address, 1, value.into(), count))
}

/// Sets words of 32 bits when the stream comes to it.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemsetD32Async(address: u64, value: u32, count: usize, stream: u64) -> i32 {
    match aligned(address, 4) {
        SUCCESS => later(stream, Work::Set(address, 4, value, count)),
        code => code,
    }
}
