//! Queued operations: nothing runs before somebody waits for it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::program::Program;

/// An operation.
#[derive(Clone, Debug)]
pub enum Work {
    /// A launch.
    Launch(Box<Queued>),
    /// Host to device: device address, host address, bytes. The host memory is read when it runs.
    Upload(u64, usize, usize),
    /// Device to host: host address, device address, bytes.
    Download(usize, u64, usize),
    /// Within the device: to, from, bytes.
    Copy(u64, u64, usize),
    /// Address, bytes of an element, element, number of elements.
    Set(u64, usize, u32, usize),
    /// Notes that an event has happened: handle, number of the record.
    Record(u64, u64),
    /// Waits for an operation of another stream: stream, number of the operation.
    Wait(u64, u64),
}

/// A launch with all it needs.
#[derive(Clone, Debug)]
pub struct Queued {
    pub(crate) program: Arc<Program>,
    pub(crate) module: u64,
    pub(crate) entry: usize,
    pub(crate) grid: [u32; 3],
    pub(crate) block: [u32; 3],
    pub(crate) dynamic: u32,
    pub(crate) params: Vec<u8>,
}

impl Work {
    /// The device memory that it touches: begin and length. Of a launch every pointer among the
    /// parameters counts, with the length unknown.
    pub(crate) fn touches(&self) -> Vec<(u64, Option<usize>)> {
        match self {
            Self::Launch(launch) => launch.program.functions[launch.entry]
                .pointers
                .iter()
                .filter_map(|&at| launch.params.get(at..)?.first_chunk())
                .map(|&word| (u64::from_le_bytes(word), None))
                .collect(),
            &Self::Upload(at, _, bytes) | &Self::Download(_, at, bytes) => vec![(at, Some(bytes))],
            &Self::Copy(to, from, bytes) => vec![(to, Some(bytes)), (from, Some(bytes))],
            &Self::Set(at, width, _, count) => vec![(at, Some(width * count))],
            Self::Record(..) | Self::Wait(..) => Vec::new(),
        }
    }

    /// The name of a call that asks for it, without what says whether it waits.
    pub(crate) const fn call(&self) -> &'static str {
        match self {
            Self::Launch(_) => "cuLaunchKernel",
            Self::Upload(..) => "cuMemcpyHtoD",
            Self::Download(..) => "cuMemcpyDtoH",
            Self::Copy(..) => "cuMemcpyDtoD",
            Self::Set(..) => "cuMemset",
            Self::Record(..) => "cuEventRecord",
            Self::Wait(..) => "cuStreamWaitEvent",
        }
    }

    /// What it is, for messages.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Launch(launch) => {
                format!("a launch of {}", launch.program.functions[launch.entry].name)
            }
            Self::Upload(..) | Self::Download(..) | Self::Copy(..) => "a copy".to_owned(),
            Self::Set(..) => "a memset".to_owned(),
            Self::Record(..) | Self::Wait(..) => "an event".to_owned(),
        }
    }
}

/// A stream. Operations are numbered over all streams of a context in the order of the calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stream {
    pub(crate) queue: VecDeque<(u64, Work)>,
    /// Whether it waits for the null stream and is waited for by it.
    pub(crate) blocking: bool,
    /// Whether it is destroyed; what is queued still runs.
    pub(crate) destroyed: bool,
    /// Of other streams: the number up to which it has waited for them.
    pub(crate) waited: BTreeMap<u64, u64>,
}

/// The last launch that did atomic operations somewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Atomic {
    pub(crate) stream: u64,
    pub(crate) number: u64,
    /// How many operations had been asked for when it ran: those that come later are ordered.
    pub(crate) asked: u64,
}

impl Stream {
    /// The number of the next operation.
    pub(crate) fn next(&self) -> Option<u64> {
        self.queue.front().map(|(number, _)| *number)
    }
}

/// An event.
#[derive(Clone, Debug, Default)]
pub(crate) struct Event {
    pub(crate) timing: bool,
    /// The last record: stream and number of the operation.
    pub(crate) record: Option<(u64, u64)>,
    /// When the last record ran; nothing while it is queued.
    pub(crate) done: Option<std::time::Instant>,
}
