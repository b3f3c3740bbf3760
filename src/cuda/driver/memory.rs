//! Memory of a device.
#![allow(unsafe_code, reason = "memory that the driver gives and takes back")]

use alloc::sync::Arc;
use core::marker::PhantomData;

use cust::memory::{DevicePointer, cuda_free, cuda_malloc, memcpy_htod};
use cust_raw::CUresult;

use super::{Context, check, default_stream};
use crate::cuda::Error;

/// Memory of a device, freed when it is dropped.
#[derive(Debug)]
pub(in crate::cuda) struct Memory {
    context: Arc<Context>,
    address: u64,
    bytes: usize,
}

impl Memory {
    /// Memory of so many bytes, all 0. None is taken for no bytes.
    pub(in crate::cuda) fn zeroed(context: &Arc<Context>, bytes: usize) -> Result<Self, Error> {
        let memory = Self::uninit(context, bytes)?;
        if bytes > 0 {
            let stream = default_stream(context);
            stream.begin()?.clear(memory.region())?;
            // A copy from pageable memory and a set can return before they are done, and other
            // streams do not wait for the default stream.
            stream.synchronize()?;
        }
        Ok(memory)
    }

    /// Memory that holds a copy of these bytes.
    pub(in crate::cuda) fn copied(context: &Arc<Context>, data: &[u8]) -> Result<Self, Error> {
        let memory = Self::uninit(context, data.len())?;
        if !data.is_empty() {
            let _guard = context.enter()?;
            // SAFETY: both are as long as the data.
            check(unsafe { memcpy_htod(memory.address, data.as_ptr().cast(), data.len()) })?;
            default_stream(context).synchronize()?;
        }
        Ok(memory)
    }

    fn uninit(context: &Arc<Context>, bytes: usize) -> Result<Self, Error> {
        if bytes == 0 {
            return Ok(Self { context: context.clone(), address: 0, bytes });
        }
        let _guard = context.enter()?;
        // SAFETY: a context is current.
        let pointer = match check(unsafe { cuda_malloc::<u8>(bytes) }) {
            Err(Error::Driver { code }) if code == CUresult::CUDA_ERROR_OUT_OF_MEMORY as u32 => {
                return Err(Error::OutOfMemory { needed: bytes });
            }
            other => other?,
        };
        Ok(Self { context: context.clone(), address: pointer.as_raw(), bytes })
    }

    pub(in crate::cuda) const fn context(&self) -> &Arc<Context> {
        &self.context
    }

    pub(in crate::cuda) fn region(&self) -> Region<'_> {
        Region {
            address: self.address,
            bytes: self.bytes,
            device: Some(self.context.facts.ordinal),
            lifetime: PhantomData,
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let Ok(_guard) = self.context.enter() else { return };
        // Work that uses the memory may still be enqueued on any stream. If waiting fails the
        // context is dead, and nothing runs in it.
        let _ = self.context.synchronize();
        // SAFETY: the pointer comes from `cuda_malloc` and is not used any more.
        let _ = unsafe { cuda_free(DevicePointer::<u8>::from_raw(self.address)) };
    }
}

/// A range of device memory that is there for the lifetime, and until work that was enqueued in
/// it is done. Its bytes are plain data that any call may write.
#[derive(Clone, Copy, Debug)]
pub(in crate::cuda) struct Region<'a> {
    address: u64,
    bytes: usize,
    /// `None` where only the caller knows.
    device: Option<usize>,
    lifetime: PhantomData<&'a ()>,
}

impl Region<'_> {
    /// # Safety
    ///
    /// * The bytes from `address` on are memory that kernels and copies of the device can read and
    ///   write, for the lifetime and until work that was enqueued in it is done.
    pub(in crate::cuda) const unsafe fn from_raw(address: u64, bytes: usize) -> Self {
        Self { address, bytes, device: None, lifetime: PhantomData }
    }

    pub(in crate::cuda) const fn address(&self) -> u64 {
        self.address
    }

    pub(in crate::cuda) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(in crate::cuda) const fn device(&self) -> Option<usize> {
        self.device
    }

    /// The range that begins `start` bytes later and is so long, if it lies inside.
    pub(in crate::cuda) fn part(self, start: usize, bytes: usize) -> Option<Self> {
        let end = start.checked_add(bytes)?;
        (end <= self.bytes).then_some(Self { address: self.address + start as u64, bytes, ..self })
    }
}
