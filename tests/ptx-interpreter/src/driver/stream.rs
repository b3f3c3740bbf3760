//! Streams and events.

#![allow(unsafe_code, reason = "symbols of the driver interface")]

use super::guard;
use crate::errors::INVALID_VALUE;
use crate::host::Out;

/// A flag of streams: it neither waits for the null stream nor is waited for by it.
const NON_BLOCKING: u32 = 1;
/// Flags of events: waiting sleeps, no time is taken.
const BLOCKING_SYNC: u32 = 1;
const DISABLE_TIMING: u32 = 2;

/// Makes a stream.
#[unsafe(no_mangle)]
pub extern "C" fn cuStreamCreate(stream: Out<'_, u64>, flags: u32) -> i32 {
    guard("cuStreamCreate", |driver| {
        if flags & !NON_BLOCKING != 0 || stream.missing() {
            return Err(INVALID_VALUE);
        }
        let handle = driver.context()?.create_stream(flags & NON_BLOCKING == 0);
        stream.put(handle)
    })
}

/// Makes a stream; priorities mean nothing here.
#[unsafe(no_mangle)]
pub extern "C" fn cuStreamCreateWithPriority(
    stream: Out<'_, u64>,
    flags: u32,
    _priority: i32,
) -> i32 {
    cuStreamCreate(stream, flags)
}

/// Waits for a stream.
#[unsafe(no_mangle)]
pub extern "C" fn cuStreamSynchronize(stream: u64) -> i32 {
    guard("cuStreamSynchronize", |driver| driver.context()?.synchronise(stream))
}

/// Asks whether a stream has done all. Each question lets it do one more operation.
#[unsafe(no_mangle)]
pub extern "C" fn cuStreamQuery(stream: u64) -> i32 {
    guard("cuStreamQuery", |driver| driver.context()?.query(stream))
}

/// Lets a stream wait for an event.
#[unsafe(no_mangle)]
pub extern "C" fn cuStreamWaitEvent(stream: u64, event: u64, flags: u32) -> i32 {
    guard("cuStreamWaitEvent", |driver| {
        if flags > 1 {
            return Err(INVALID_VALUE);
        }
        driver.context()?.wait_event(stream, event)
    })
}

/// Destroys a stream; what is queued still runs.
#[unsafe(no_mangle)]
pub extern "C" fn cuStreamDestroy_v2(stream: u64) -> i32 {
    guard("cuStreamDestroy_v2", |driver| driver.context()?.destroy_stream(stream))
}

/// Makes an event.
#[unsafe(no_mangle)]
pub extern "C" fn cuEventCreate(event: Out<'_, u64>, flags: u32) -> i32 {
    guard("cuEventCreate", |driver| {
        if flags & !(BLOCKING_SYNC | DISABLE_TIMING) != 0 || event.missing() {
            return Err(INVALID_VALUE);
        }
        let handle = driver.context()?.create_event(flags & DISABLE_TIMING == 0);
        event.put(handle)
    })
}

/// Records an event on a stream.
#[unsafe(no_mangle)]
pub extern "C" fn cuEventRecord(event: u64, stream: u64) -> i32 {
    guard("cuEventRecord", |driver| driver.context()?.record(event, stream))
}

/// Asks whether an event has happened. Each question lets its stream do one more operation.
#[unsafe(no_mangle)]
pub extern "C" fn cuEventQuery(event: u64) -> i32 {
    guard("cuEventQuery", |driver| driver.context()?.query_event(event))
}

/// Waits for an event.
#[unsafe(no_mangle)]
pub extern "C" fn cuEventSynchronize(event: u64) -> i32 {
    guard("cuEventSynchronize", |driver| driver.context()?.synchronise_event(event))
}

/// Milliseconds between two events: of the interpreter, not of a device.
#[unsafe(no_mangle)]
pub extern "C" fn cuEventElapsedTime(milliseconds: Out<'_, f32>, start: u64, end: u64) -> i32 {
    guard("cuEventElapsedTime", |driver| {
        let elapsed = driver.context()?.elapsed(start, end)?;
        milliseconds.put(elapsed)
    })
}

/// Destroys an event.
#[unsafe(no_mangle)]
pub extern "C" fn cuEventDestroy_v2(event: u64) -> i32 {
    guard("cuEventDestroy_v2", |driver| driver.context()?.destroy_event(event))
}
