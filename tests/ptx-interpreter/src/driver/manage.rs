//! Devices, contexts, modules, errors.

#![allow(unsafe_code, reason = "symbols of the driver interface")]

use std::ffi::{CStr, c_char, c_void};

use super::{CURRENT, FIRST_CONTEXT, guard, initialise};
use crate::context::Context;
use crate::device::{pretended, report};
use crate::errors::{INVALID_CONTEXT, INVALID_VALUE, NO_DEVICE, describe};
use crate::host::{Out, text};

/// Starts the driver.
#[unsafe(no_mangle)]
pub extern "C" fn cuInit(flags: u32) -> i32 {
    guard("cuInit", |driver| {
        if flags != 0 {
            return Err(INVALID_VALUE);
        }
        if pretended().count == 0 {
            return Err(NO_DEVICE);
        }
        initialise(driver);
        Ok(())
    })
}

/// The version of the driver.
#[unsafe(no_mangle)]
pub extern "C" fn cuDriverGetVersion(version: Out<'_, i32>) -> i32 {
    guard("cuDriverGetVersion", |_| version.put(pretended().version as i32))
}

/// The number of devices.
#[unsafe(no_mangle)]
pub extern "C" fn cuDeviceGetCount(count: Out<'_, i32>) -> i32 {
    guard("cuDeviceGetCount", |driver| {
        driver.ready()?;
        count.put(driver.contexts.len() as i32)
    })
}

/// The handle of a device: its number.
#[unsafe(no_mangle)]
pub extern "C" fn cuDeviceGet(device: Out<'_, i32>, ordinal: i32) -> i32 {
    guard("cuDeviceGet", |driver| {
        driver.device(ordinal)?;
        device.put(ordinal)
    })
}

/// The name of a device.
#[unsafe(no_mangle)]
pub extern "C" fn cuDeviceGetName(name: *mut c_char, len: i32, device: i32) -> i32 {
    guard("cuDeviceGetName", |driver| {
        driver.device(device)?;
        if name.is_null() || len < 1 {
            return Err(INVALID_VALUE);
        }
        let full = b"PTX interpreter";
        let kept = full.len().min(len as usize - 1);
        let mut bytes = full[..kept].to_vec();
        bytes.push(0);
        crate::host::write(name.expose_provenance(), &bytes);
        Ok(())
    })
}

/// A property of a device.
#[unsafe(no_mangle)]
pub extern "C" fn cuDeviceGetAttribute(value: Out<'_, i32>, attribute: i32, device: i32) -> i32 {
    guard("cuDeviceGetAttribute", |driver| {
        driver.device(device)?;
        let pretended = pretended();
        value.put(match attribute {
            // Threads of a block, along each axis.
            1..=3 => 1024,
            4 => 64,
            // Blocks of a grid along each axis.
            5 => i32::MAX,
            6 | 7 => 65_535,
            // Shared memory of a block, constants, lanes of a warp.
            8 => 48 << 10,
            9 => 64 << 10,
            10 => 32,
            // Pitch, registers of a block, clock, alignment of textures.
            11 => i32::MAX,
            12 => 65_536,
            13 => 1_000_000,
            14 => 512,
            // Copies while kernels run, multiprocessors, time limit, integrated, mapped memory.
            15 => 1,
            16 => pretended.multiprocessors as i32,
            17 | 18 => 0,
            19 => 1,
            // Compute mode, kernels at the same time, error correction, bus, driver model.
            20 => 0,
            31 => 1,
            32..=35 => 0,
            // Memory clock and width, second-level cache, threads of a multiprocessor.
            36 => 1_000_000,
            37 => 256,
            38 => 1 << 20,
            39 => 2048,
            // Copy engines, one address space.
            40 => 2,
            41 => 1,
            75 => (pretended.arch / 10) as i32,
            76 => (pretended.arch % 10) as i32,
            // Shared memory and registers of a multiprocessor, managed memory, opt-in shared memory.
            81 => 96 << 10,
            82 => 65_536,
            83 => 0,
            97 => 48 << 10,
            106 => 32,
            _ => {
                report(&format!("device attribute {attribute} is not known here"));
                return Err(INVALID_VALUE);
            }
        })
    })
}

/// Bytes of memory of a device.
#[unsafe(no_mangle)]
pub extern "C" fn cuDeviceTotalMem_v2(bytes: Out<'_, usize>, device: i32) -> i32 {
    guard("cuDeviceTotalMem_v2", |driver| {
        driver.device(device)?;
        bytes.put(pretended().memory as usize)
    })
}

/// Makes the primary context of a device, or holds it once more.
#[unsafe(no_mangle)]
pub extern "C" fn cuDevicePrimaryCtxRetain(context: Out<'_, usize>, device: i32) -> i32 {
    guard("cuDevicePrimaryCtxRetain", |driver| {
        let at = driver.device(device)?;
        driver.contexts[at].get_or_insert_with(|| Context::new(pretended(), at));
        driver.retained[at] += 1;
        context.put(FIRST_CONTEXT + at)
    })
}

/// Lets go of the primary context of a device; the last one ends it.
#[unsafe(no_mangle)]
pub extern "C" fn cuDevicePrimaryCtxRelease_v2(device: i32) -> i32 {
    guard("cuDevicePrimaryCtxRelease_v2", |driver| {
        let at = driver.device(device)?;
        if driver.retained[at] == 0 {
            return Err(INVALID_CONTEXT);
        }
        driver.retained[at] -= 1;
        if driver.retained[at] == 0
            && let Some(context) = driver.contexts[at].take()
            && context.report_leaks() > 0
            && pretended().strict
        {
            std::process::abort();
        }
        Ok(())
    })
}

/// Makes a context the current one of this thread.
#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSetCurrent(context: usize) -> i32 {
    guard("cuCtxSetCurrent", |driver| {
        driver.ready()?;
        let slot = context.checked_sub(FIRST_CONTEXT).and_then(|at| driver.contexts.get(at));
        if context != 0 && !slot.is_some_and(Option::is_some) {
            return Err(INVALID_CONTEXT);
        }
        CURRENT.set(context);
        Ok(())
    })
}

/// The current context of this thread.
#[unsafe(no_mangle)]
pub extern "C" fn cuCtxGetCurrent(context: Out<'_, usize>) -> i32 {
    guard("cuCtxGetCurrent", |driver| {
        driver.ready()?;
        context.put(CURRENT.get())
    })
}

/// Waits for all streams.
#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSynchronize() -> i32 {
    guard("cuCtxSynchronize", |driver| driver.context()?.synchronise_all())
}

/// Loads a module; the options are hints and left alone.
#[unsafe(no_mangle)]
pub extern "C" fn cuModuleLoadDataEx(
    module: Out<'_, u64>,
    image: *const c_void,
    _count: u32,
    _options: *mut i32,
    _values: *mut *mut c_void,
) -> i32 {
    cuModuleLoadData(module, image)
}

/// Loads a module.
#[unsafe(no_mangle)]
pub extern "C" fn cuModuleLoadData(module: Out<'_, u64>, image: *const c_void) -> i32 {
    guard("cuModuleLoadData", |driver| {
        let handle = driver.context()?.load(&text(image)?)?;
        module.put(handle)
    })
}

/// Unloads a module.
#[unsafe(no_mangle)]
pub extern "C" fn cuModuleUnload(module: u64) -> i32 {
    guard("cuModuleUnload", |driver| driver.context()?.unload(module))
}

/// Finds a kernel of a module.
#[unsafe(no_mangle)]
pub extern "C" fn cuModuleGetFunction(
    function: Out<'_, u64>,
    module: u64,
    name: *const c_char,
) -> i32 {
    guard("cuModuleGetFunction", |driver| {
        let handle = driver.context()?.function(module, &text(name.cast())?)?;
        function.put(handle)
    })
}

fn words(
    code: i32,
    out: Out<'_, *const c_char>,
    pick: fn((&'static CStr, &'static CStr)) -> &'static CStr,
) -> i32 {
    guard("cuModuleGetFunction", |_| match describe(code) {
        Some(both) => out.put(pick(both).as_ptr()),
        None => {
            out.put(std::ptr::null())?;
            Err(INVALID_VALUE)
        }
    })
}

/// What an error means.
#[unsafe(no_mangle)]
pub extern "C" fn cuGetErrorString(code: i32, out: Out<'_, *const c_char>) -> i32 {
    words(code, out, |(_, meaning)| meaning)
}

/// The name of an error.
#[unsafe(no_mangle)]
pub extern "C" fn cuGetErrorName(code: i32, out: Out<'_, *const c_char>) -> i32 {
    words(code, out, |(name, _)| name)
}
