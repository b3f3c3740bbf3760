//! All memory that a thread can reach: device memory, the block's shared memory, its own.

use crate::decode::{FRAME, LOCAL_WINDOW, SHARED_WINDOW};
use crate::memory::{Bytes, Memory, Problem};
use crate::profile::Profile;
use crate::program::{Function, Space};
use crate::race::{Kind, Moment, Shadow};
use crate::thread::{LOCAL_START, Thread};

/// The memory of a launch.
#[derive(Debug)]
pub(crate) struct Store<'a> {
    memory: &'a mut Memory,
    pub(crate) now: Moment,
    shared: Bytes,
    /// Which bytes of shared memory belong to a variable: known where they do.
    mapped: Bytes,
    shadow: Shadow,
    params: Bytes,
    frames: Bytes,
    frame_stride: usize,
    local: Bytes,
    local_stride: usize,
    /// What is counted, if anything is.
    pub(crate) profile: Option<Box<Profile>>,
}

impl<'a> Store<'a> {
    pub(crate) fn new(
        memory: &'a mut Memory,
        kernel: &Function,
        params: &[u8],
        threads: usize,
        dynamic: usize,
    ) -> Self {
        let mut ranges = kernel.shared.clone();
        ranges.push([kernel.dynamic_shared, dynamic]);
        let end = ranges.iter().map(|[at, bytes]| at + bytes).max().unwrap_or(0);
        let end = end.next_multiple_of(16);
        let mut mapped = Bytes::new(end);
        for [at, bytes] in ranges {
            mapped.set_known(at, bytes);
        }
        let given = |data: Vec<u8>| {
            let len = data.len();
            let mut bytes = Bytes::new(len);
            bytes.data = data;
            bytes.set_known(0, len);
            bytes
        };
        Self {
            memory,
            now: Moment::default(),
            shared: Bytes::new(end),
            mapped,
            shadow: Shadow::new(end),
            params: given(params.to_vec()),
            frames: Bytes::new(threads * kernel.stack_frames),
            frame_stride: kernel.stack_frames,
            local: Bytes::new(threads * kernel.stack_local),
            local_stride: kernel.stack_local,
            profile: None,
        }
    }

    /// A fresh block: nothing in shared and local memory holds a value.
    pub(crate) fn begin_block(&mut self) {
        self.shared.forget();
        self.local.forget();
    }

    /// Begin of a thread's local memory.
    pub(crate) fn local_start(&self, thread: usize) -> usize {
        thread * self.local_stride
    }

    /// Passes a parameter.
    pub(crate) fn copy_frame(&mut self, from: usize, to: usize, bytes: usize) {
        for at in 0..bytes {
            if self.frames.is_known(from + at, 1) {
                self.frames.data[to + at] = self.frames.data[from + at];
                self.frames.set_known(to + at, 1);
            }
        }
    }

    #[inline]
    pub(crate) fn load(
        &mut self,
        thread: &Thread,
        space: Space,
        address: u64,
        bytes: usize,
        kind: Kind,
    ) -> Result<(&Bytes, usize), Problem> {
        match space {
            Space::Global => {
                let now = Moment { thread: thread.number as u64, ..self.now };
                return self.memory.load(address, bytes, now, kind);
            }
            Space::Const if self.memory.is_constant(address) => {
                return self.load(thread, Space::Global, address, bytes, kind);
            }
            Space::Const => {
                return Err(Problem::illegal(format!("address {address:#x} is no constant")));
            }
            Space::Generic => {
                let (space, address) = window(address);
                return self.load(thread, space, address, bytes, kind);
            }
            Space::Shared | Space::Local | Space::Param => {}
        }
        let (place, offset) = self.near(thread, space, address, bytes, kind)?;
        if !place.is_known(offset, bytes) {
            return Err(unknown(space, address));
        }
        Ok((place, offset))
    }

    #[inline]
    pub(crate) fn store(
        &mut self,
        thread: &Thread,
        space: Space,
        address: u64,
        bytes: usize,
        kind: Kind,
        reads: bool,
    ) -> Result<(&mut Bytes, usize), Problem> {
        match space {
            Space::Global => {
                let now = Moment { thread: thread.number as u64, ..self.now };
                return self.memory.store(address, bytes, now, kind, reads);
            }
            Space::Generic => {
                let (space, address) = window(address);
                return self.store(thread, space, address, bytes, kind, reads);
            }
            Space::Const => return Err(Problem::illegal("a write to a constant")),
            Space::Param if address < FRAME => {
                return Err(Problem::illegal("a write to a parameter of the kernel"));
            }
            Space::Shared | Space::Local | Space::Param => {}
        }
        let (place, offset) = self.near(thread, space, address, bytes, kind)?;
        if reads && !place.is_known(offset, bytes) {
            return Err(unknown(space, address));
        }
        place.set_known(offset, bytes);
        Ok((place, offset))
    }

    /// Memory of the block or the thread.
    #[inline]
    fn near(
        &mut self,
        thread: &Thread,
        space: Space,
        address: u64,
        bytes: usize,
        kind: Kind,
    ) -> Result<(&mut Bytes, usize), Problem> {
        if address & (bytes as u64 - 1) != 0 {
            return Err(Problem::misaligned(address, bytes));
        }
        let offset = address as usize;
        match space {
            Space::Shared => {
                let len = self.shared.data.len();
                let inside = address < len as u64 && bytes <= len - offset;
                if !inside || !self.mapped.is_known(offset, bytes) {
                    return Err(outside(space, address, bytes));
                }
                let now = Moment { thread: thread.number as u64, ..self.now };
                // Other blocks have shared memory of their own.
                let now = Moment { launch: now.block, ..now };
                if let Err(race) = self.shadow.access(offset, bytes, now, kind) {
                    let place = format!("shared memory, address {address:#x}");
                    return Err(Problem::race(&place, kind, race));
                }
                Ok((&mut self.shared, offset))
            }
            Space::Local => {
                let start = self.local_start(thread.number);
                let offset = address.wrapping_sub(LOCAL_START);
                let len = self.local_stride as u64;
                if offset >= len || bytes as u64 > len - offset {
                    return Err(outside(space, address, bytes));
                }
                Ok((&mut self.local, start + offset as usize))
            }
            _ => {
                if address >= FRAME {
                    let offset = address - FRAME;
                    let end = (thread.number + 1) * self.frame_stride;
                    let at = thread.frame as u64 + offset;
                    if offset > end as u64 || at + bytes as u64 > end as u64 {
                        return Err(outside(space, address, bytes));
                    }
                    return Ok((&mut self.frames, at as usize));
                }
                if address + bytes as u64 > self.params.data.len() as u64 {
                    return Err(outside(space, address, bytes));
                }
                Ok((&mut self.params, offset))
            }
        }
    }
}

/// The space of a generic address, and the address there.
#[inline]
fn window(address: u64) -> (Space, u64) {
    match address & !0xffff_ffff {
        SHARED_WINDOW => (Space::Shared, address - SHARED_WINDOW),
        LOCAL_WINDOW => (Space::Local, address - LOCAL_WINDOW),
        _ => (Space::Global, address),
    }
}

fn place(space: Space) -> &'static str {
    match space {
        Space::Shared => "shared memory",
        Space::Local => "local memory",
        _ => "the parameters",
    }
}

#[cold]
fn outside(space: Space, address: u64, bytes: usize) -> Problem {
    let place = place(space);
    Problem::illegal(format!("{bytes} bytes at address {address:#x} of {place}: out of bounds"))
}

#[cold]
fn unknown(space: Space, address: u64) -> Problem {
    let place = place(space);
    Problem::failure(format!("uninitialised memory is read: address {address:#x} of {place}"))
}
