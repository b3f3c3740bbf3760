//! The functions of the driver interface.

#![allow(non_snake_case, reason = "the names are those of the interface")]

pub mod copy;
pub mod launch;
pub mod manage;
pub mod stream;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use crate::context::Context;
use crate::device::{pretended, report};
use crate::errors::{INVALID_CONTEXT, INVALID_DEVICE, LAUNCH_FAILED, NOT_INITIALIZED, SUCCESS};
use crate::host;

/// What all functions share.
#[derive(Debug, Default)]
struct Driver {
    initialised: bool,
    /// The primary context of each device, while somebody holds it.
    contexts: Vec<Option<Context>>,
    /// How many hold it.
    retained: Vec<u32>,
}

static DRIVER: Mutex<Driver> =
    Mutex::new(Driver { initialised: false, contexts: Vec::new(), retained: Vec::new() });

/// The handle of the primary context of device 0.
const FIRST_CONTEXT: usize = 0x1000;

thread_local! {
    /// The handle of the current context, or 0.
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}

/// Runs the body of a function and makes a code of its result.
fn guard(name: &str, body: impl FnOnce(&mut Driver) -> Result<(), i32>) -> i32 {
    if pretended().calls {
        report(&format!("call {name}"));
    }
    let result = catch_unwind(AssertUnwindSafe(|| {
        body(&mut DRIVER.lock().unwrap_or_else(PoisonError::into_inner))
    }));
    match result {
        Ok(Ok(())) => SUCCESS,
        Ok(Err(code)) => code,
        Err(_) => {
            report("the interpreter itself went wrong");
            LAUNCH_FAILED
        }
    }
}

impl Driver {
    fn ready(&self) -> Result<(), i32> {
        if self.initialised { Ok(()) } else { Err(NOT_INITIALIZED) }
    }

    fn device(&self, ordinal: i32) -> Result<usize, i32> {
        self.ready()?;
        usize::try_from(ordinal).ok().filter(|&at| at < self.contexts.len()).ok_or(INVALID_DEVICE)
    }

    /// The current context, whatever happened in it.
    fn any_context(&mut self) -> Result<&mut Context, i32> {
        self.ready()?;
        let handle = CURRENT.get();
        let slot = handle.checked_sub(FIRST_CONTEXT).and_then(|at| self.contexts.get_mut(at));
        slot.and_then(Option::as_mut).ok_or(INVALID_CONTEXT)
    }

    /// The current context, or the error that sticks to it.
    fn context(&mut self) -> Result<&mut Context, i32> {
        let context = self.any_context()?;
        match context.error {
            Some(code) => Err(code),
            None => Ok(context),
        }
    }
}

/// At the end of the process.
extern "C" fn end() {
    let driver = DRIVER.lock().unwrap_or_else(PoisonError::into_inner);
    let leaks: usize = driver.contexts.iter().flatten().map(Context::report_leaks).sum();
    if leaks > 0 && pretended().strict {
        std::process::abort();
    }
}

fn initialise(driver: &mut Driver) {
    if !driver.initialised {
        let count = pretended().count;
        driver.initialised = true;
        driver.contexts.resize_with(count, || None);
        driver.retained.resize(count, 0);
        host::at_exit(end);
    }
}
