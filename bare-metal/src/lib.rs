//! What every machine must agree on, computed without an operating system and without a heap.
//!
//! [`run`] regenerates the golden vectors of the crate and then walks through its operations on
//! every backend that the machine has, comparing the ways that must lead to one result. All that
//! comes out goes into a checksum, which is the same on every machine.

#![no_std]

use core::fmt::{self, Write};

use dropblock::Backend;

pub mod checksum;
mod golden;
mod passes;
mod place;
mod sample;
pub mod start;
mod tools;

use checksum::Checksum;

/// The memory of the checks: 24 KiB.
#[derive(Debug)]
pub struct Memory {
    /// The words of a mask.
    mask: [u64; 1024],
    /// Tensors of any type.
    tensor: [u64; 2048],
}

impl Memory {
    /// Memory that holds nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { mask: [0; 1024], tensor: [0; 2048] }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

/// What went wrong.
#[derive(Clone, Copy, Debug)]
pub enum Failure {
    /// The crate refused something.
    Refused(dropblock::Error),
    /// Two results differ that must be equal, or one differs from its golden vector.
    Differs {
        /// The name of the result.
        what: &'static str,
        /// The golden case, empty elsewhere.
        case: &'static str,
    },
    /// A golden file holds something unknown.
    Unreadable(&'static str),
    /// Backends have different checksums.
    Backends,
}

impl From<dropblock::Error> for Failure {
    fn from(error: dropblock::Error) -> Self {
        Self::Refused(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => write!(f, "refused: {error}"),
            Self::Differs { what, case } => write!(f, "differs: {what}\n{case}"),
            Self::Unreadable(text) => write!(f, "cannot read: {text}"),
            Self::Backends => f.write_str("the backends have different checksums"),
        }
    }
}

/// Fails unless `equal`.
fn same(equal: bool, what: &'static str) -> Result<(), Failure> {
    if equal { Ok(()) } else { Err(Failure::Differs { what, case: "" }) }
}

/// Runs all checks on all backends that the machine has, says so, and tells whether all went well.
pub fn run(memory: &mut Memory, out: &mut dyn Write) -> bool {
    let mut last = None;
    for &backend in Backend::ALL {
        if !backend.is_available() {
            let _ = writeln!(out, "{backend}: this processor does not have it");
            continue;
        }
        let result = run_backend(memory, backend).and_then(|(cases, checksum)| {
            let _ = writeln!(out, "{backend}: {cases} golden cases, {checksum:016x}");
            if last.replace(checksum).is_none_or(|last| last == checksum) {
                Ok(())
            } else {
                Err(Failure::Backends)
            }
        });
        if let Err(failure) = result {
            let _ = writeln!(out, "{backend}: {failure}");
            return false;
        }
    }
    let _ = writeln!(out, "checksum {:016x}", last.unwrap_or(0));
    true
}

/// Returns the number of golden cases and the checksum.
fn run_backend(memory: &mut Memory, backend: Backend) -> Result<(usize, u64), Failure> {
    let mut checksum = Checksum::new();
    let cases = golden::run(memory, backend, &mut checksum)?;
    passes::run(memory, backend, &mut checksum)?;
    tools::run(memory, backend, &mut checksum)?;
    Ok((cases, checksum.value()))
}
