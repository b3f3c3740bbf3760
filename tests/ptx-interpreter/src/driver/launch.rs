//! Launches and the facts that precede them.

#![allow(unsafe_code, reason = "symbols of the driver interface")]

use std::ffi::c_void;

use super::guard;
use crate::device::pretended;
use crate::errors::{INVALID_VALUE, NOT_SUPPORTED};
use crate::host::{self, Out};

/// Threads that a multiprocessor holds.
const RESIDENT: i32 = 2048;

/// Queues a launch.
#[unsafe(no_mangle)]
pub extern "C" fn cuLaunchKernel(
    function: u64,
    grid_x: u32,
    grid_y: u32,
    grid_z: u32,
    block_x: u32,
    block_y: u32,
    block_z: u32,
    shared: u32,
    stream: u64,
    params: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> i32 {
    guard("cuLaunchKernel", |driver| {
        if !extra.is_null() {
            return Err(NOT_SUPPORTED);
        }
        let sizes = [[grid_x, grid_y, grid_z], [block_x, block_y, block_z]];
        driver
            .context()?
            .launch(function, sizes, shared, stream, |kernel| host::params(params, &kernel.params))
    })
}

/// A block size, and how many blocks then fill the device.
#[unsafe(no_mangle)]
pub extern "C" fn cuOccupancyMaxPotentialBlockSize(
    blocks: Out<'_, i32>,
    threads: Out<'_, i32>,
    function: u64,
    shared_of_threads: *const c_void,
    _shared: usize,
    limit: i32,
) -> i32 {
    guard("cuOccupancyMaxPotentialBlockSize", |driver| {
        let facts = driver.context()?.facts(function)?;
        if !shared_of_threads.is_null() {
            return Err(NOT_SUPPORTED);
        }
        let most = facts.max_threads.unwrap_or(1024).min(1024) as i32;
        let size = if limit > 0 { most.min(limit) } else { most };
        threads.put(size)?;
        blocks.put(RESIDENT / size * pretended().multiprocessors as i32)
    })
}

/// How many blocks of a size a multiprocessor holds.
#[unsafe(no_mangle)]
pub extern "C" fn cuOccupancyMaxActiveBlocksPerMultiprocessor(
    blocks: Out<'_, i32>,
    function: u64,
    threads: i32,
    shared: usize,
) -> i32 {
    guard("cuOccupancyMaxActiveBlocksPerMultiprocessor", |driver| {
        let facts = driver.context()?.facts(function)?;
        if !(1..=1024).contains(&threads) {
            return Err(INVALID_VALUE);
        }
        let by_threads = (RESIDENT / ((threads + 31) / 32 * 32)).min(32);
        let bytes = facts.shared_bytes + shared;
        let by_shared = (96_usize << 10).checked_div(bytes).map_or(32, |fits| fits.min(32) as i32);
        blocks.put(by_threads.min(by_shared))
    })
}

/// A property of a kernel.
#[unsafe(no_mangle)]
pub extern "C" fn cuFuncGetAttribute(value: Out<'_, i32>, attribute: i32, function: u64) -> i32 {
    guard("cuFuncGetAttribute", |driver| {
        let facts = driver.context()?.facts(function)?;
        value.put(match attribute {
            // Most threads of a block, shared memory, constants, local memory.
            0 => facts.max_threads.unwrap_or(1024).min(1024) as i32,
            1 => facts.shared_bytes as i32,
            2 => 0,
            3 => facts.stack_local as i32,
            // Registers, as far as the text tells: an assembler needs fewer.
            4 => facts.registers.min(255) as i32,
            5 | 6 => pretended().arch as i32,
            // Most dynamic shared memory.
            8 => (48 << 10) - facts.shared_bytes as i32,
            _ => return Err(INVALID_VALUE),
        })
    })
}
