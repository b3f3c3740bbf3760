//! The driver behind safe types; with `library.rs` below it the only module that names `cust` or
//! `cust_raw`.
//!
//! What has no safe form in `cust` is called through its raw functions: streams that do not wait
//! for the default stream, which `cust` does not make; streams of others; and copies, sets and
//! launches on those.
#![allow(unsafe_code, reason = "raw calls of the driver, and handles that may change threads")]

use alloc::string::String;
use alloc::sync::Arc;
use core::ffi::c_void;
use core::fmt;
use core::mem::{ManuallyDrop, size_of};
use core::ptr::null_mut;

use cust::CudaFlags;
use cust::device::DeviceAttribute;
use cust::error::CudaResult;
use cust::memory::{DevicePointer, cuda_free, cuda_malloc, memcpy_htod};
use cust::module::Module;
use cust_raw::{
    CUevent, CUfunction, CUresult, CUstream, cuCtxGetCurrent, cuCtxSetCurrent, cuCtxSynchronize,
    cuEventCreate, cuEventDestroy_v2, cuEventElapsedTime, cuEventRecord, cuEventSynchronize,
    cuLaunchKernel, cuMemcpyDtoDAsync_v2, cuMemcpyDtoHAsync_v2, cuMemcpyHtoDAsync_v2,
    cuMemsetD8Async, cuStreamCreate, cuStreamDestroy_v2, cuStreamSynchronize, cuStreamWaitEvent,
};

mod library;
mod memory;

pub(super) use library::describe;
pub(super) use memory::{Memory, Region};

use super::Error;
use super::params::{Call, KERNELS};

/// The kernels, compiled for every device from compute capability 7.0 on.
const PTX: &str = include_str!("../../kernels/dropblock.ptx");

/// `CU_STREAM_NON_BLOCKING`.
const NON_BLOCKING: u32 = 1;

/// `CUDA_ERROR_NO_DEVICE`, which a driver without devices answers.
const NO_DEVICE: u32 = 100;

/// What is known of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) ordinal: usize,
    pub(super) name: String,
    pub(super) capability: (u32, u32),
    pub(super) multiprocessors: u32,
    /// The most threads of a block.
    pub(super) threads: u32,
    pub(super) memory: u64,
    pub(super) driver: (u32, u32),
}

/// The primary context of a device, retained, with the kernels loaded.
pub(super) struct Context {
    context: cust::context::Context,
    module: ManuallyDrop<Module>,
    kernels: [CUfunction; KERNELS.len()],
    /// The matrices of jumps, in device memory.
    jumps: u64,
    facts: Facts,
}

// SAFETY: contexts, modules and functions may be used by any thread in which the context is
// current, by several at once; every use below makes it current first.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.facts.fmt(f)
    }
}

/// Starts the driver and counts the devices.
pub(super) fn count() -> Result<usize, Error> {
    if !library::is_available() {
        return Err(Error::NoDriver);
    }
    match check(cust::init(CudaFlags::empty())) {
        Err(Error::Driver { code: NO_DEVICE }) => Ok(0),
        other => other.and_then(|()| check(cust::device::Device::num_devices())),
    }
    .map(|count| count as usize)
}

impl Context {
    pub(super) fn new(ordinal: usize) -> Result<Arc<Self>, Error> {
        let count = count()?;
        let no_device = Error::NoDevice { given: ordinal, count };
        let number = u32::try_from(ordinal).map_err(|_| no_device)?;
        if ordinal >= count {
            return Err(no_device);
        }
        let device = check(cust::device::Device::get_device(number))?;
        let attribute = |attribute| -> Result<u32, Error> {
            Ok(check(device.get_attribute(attribute))?.unsigned_abs())
        };
        let version = check(cust::CudaApiVersion::get())?;
        let facts = Facts {
            ordinal,
            name: check(device.name())?,
            capability: (
                attribute(DeviceAttribute::ComputeCapabilityMajor)?,
                attribute(DeviceAttribute::ComputeCapabilityMinor)?,
            ),
            multiprocessors: attribute(DeviceAttribute::MultiprocessorCount)?.max(1),
            threads: attribute(DeviceAttribute::MaxThreadsPerBlock)?,
            memory: check(device.total_memory())? as u64,
            driver: (version.major().unsigned_abs(), version.minor().unsigned_abs()),
        };
        let before = current()?;
        let context = check(cust::context::Context::new(device))?;
        // `cust` makes the new context current; the guard gives this thread back what it had.
        let _guard = Entered { before: Some(before) };
        make_current(context.as_raw().cast())?;
        let module = check(Module::from_ptx(PTX, &[]))?;
        let mut kernels = [null_mut(); KERNELS.len()];
        for (kernel, (name, _)) in kernels.iter_mut().zip(KERNELS) {
            *kernel = check(module.get_function(name))?.to_raw();
        }
        let matrices = super::jump::matrices();
        let bytes = matrices.len() * size_of::<u32>();
        // SAFETY: the context is current.
        let jumps = check(unsafe { cuda_malloc::<u8>(bytes) })?.as_raw();
        let module = ManuallyDrop::new(module);
        let context = Self { context, module, kernels, jumps, facts };
        // SAFETY: both have so many bytes.
        check(unsafe { memcpy_htod(jumps, matrices.as_ptr().cast(), bytes) })?;
        let context = Arc::new(context);
        default_stream(&context).synchronize()?;
        Ok(context)
    }

    /// The address of the matrices of jumps.
    pub(super) const fn jumps(&self) -> u64 {
        self.jumps
    }

    pub(super) const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Makes the context current in this thread until the guard is dropped.
    fn enter(&self) -> Result<Entered, Error> {
        let before = current()?;
        let own = self.context.as_raw().cast();
        if before == own {
            return Ok(Entered { before: None });
        }
        make_current(own)?;
        Ok(Entered { before: Some(before) })
    }

    /// Waits for all work of the device.
    pub(super) fn synchronize(&self) -> Result<(), Error> {
        let _guard = self.enter()?;
        // SAFETY: it takes nothing.
        check_code(unsafe { cuCtxSynchronize() })
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        let Ok(_guard) = self.enter() else { return };
        // Launches on streams of others may not be done.
        let _ = self.synchronize();
        // SAFETY: the pointer comes from `cuda_malloc`, and all work is done.
        let _ = unsafe { cuda_free(DevicePointer::<u8>::from_raw(self.jumps)) };
        // SAFETY: nothing uses the module after this; streams and memory hold the context, so
        // that none is left. `self.context` is dropped later.
        unsafe { ManuallyDrop::drop(&mut self.module) };
    }
}

/// Gives a thread the context back that was current before, or none: a framework may go by it, and
/// ours must not stay current when it is released.
struct Entered {
    before: Option<*mut c_void>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            // There is nobody to tell; the next call sets its own context and reports it.
            let _ = make_current(before);
        }
    }
}

fn current() -> Result<*mut c_void, Error> {
    let mut context = null_mut();
    // SAFETY: `context` may be written.
    check_code(unsafe { cuCtxGetCurrent(&mut context) })?;
    Ok(context.cast())
}

fn make_current(context: *mut c_void) -> Result<(), Error> {
    // SAFETY: a context that was current, or that is retained.
    check_code(unsafe { cuCtxSetCurrent(context.cast()) })
}

/// A stream: work in order.
#[derive(Debug)]
pub(super) struct Stream {
    context: Arc<Context>,
    stream: CUstream,
    owned: bool,
}

// SAFETY: streams may be used by any thread, by several at once.
unsafe impl Send for Stream {}
// SAFETY: as above.
unsafe impl Sync for Stream {}

/// The default stream, on which blocking copies and sets run.
fn default_stream(context: &Arc<Context>) -> Stream {
    Stream { context: context.clone(), stream: null_mut(), owned: false }
}

impl Stream {
    pub(super) fn new(context: &Arc<Context>) -> Result<Self, Error> {
        let _guard = context.enter()?;
        let mut stream = null_mut();
        // SAFETY: `stream` may be written.
        check_code(unsafe { cuStreamCreate(&mut stream, NON_BLOCKING) })?;
        Ok(Self { context: context.clone(), stream, owned: true })
    }

    /// # Safety
    ///
    /// * `stream` is a stream of the device's primary context, and lives as long as what is
    ///   returned; or one of the driver's constants for default streams.
    pub(super) unsafe fn from_raw(context: &Arc<Context>, stream: *mut c_void) -> Self {
        Self { context: context.clone(), stream: stream.cast(), owned: false }
    }

    pub(super) const fn as_raw(&self) -> *mut c_void {
        self.stream.cast()
    }

    pub(super) const fn context(&self) -> &Arc<Context> {
        &self.context
    }

    pub(super) fn synchronize(&self) -> Result<(), Error> {
        let _guard = self.context.enter()?;
        // SAFETY: the stream lives.
        check_code(unsafe { cuStreamSynchronize(self.stream) })
    }

    /// Makes the context current, to enqueue work.
    pub(super) fn begin(&self) -> Result<Work<'_>, Error> {
        Ok(Work { stream: self, _guard: self.context.enter()? })
    }

    /// Copies to the host as many bytes as both have, in the order of the stream, and waits.
    pub(super) fn download(&self, from: Region<'_>, to: &mut [u8]) -> Result<(), Error> {
        let bytes = from.bytes().min(to.len());
        if bytes == 0 {
            return self.synchronize();
        }
        let _guard = self.context.enter()?;
        // SAFETY: `to` may be written and stays borrowed until the stream has been waited for.
        let enqueued = check_code(unsafe {
            cuMemcpyDtoHAsync_v2(to.as_mut_ptr().cast(), from.address(), bytes, self.stream)
        });
        self.synchronize()?;
        enqueued
    }

    /// Copies from the host as many bytes as both have, in the order of the stream, and waits.
    pub(super) fn upload(&self, from: &[u8], to: Region<'_>) -> Result<(), Error> {
        let bytes = to.bytes().min(from.len());
        if bytes == 0 {
            return self.synchronize();
        }
        let _guard = self.context.enter()?;
        // SAFETY: `from` may be read and stays borrowed until the stream has been waited for.
        let enqueued = check_code(unsafe {
            cuMemcpyHtoDAsync_v2(to.address(), from.as_ptr().cast(), bytes, self.stream)
        });
        self.synchronize()?;
        enqueued
    }

    /// Makes later work wait for the event.
    pub(super) fn wait(&self, event: &Event) -> Result<(), Error> {
        let _guard = self.context.enter()?;
        // SAFETY: both live.
        check_code(unsafe { cuStreamWaitEvent(self.stream, event.event, 0) })
    }

    pub(super) fn record(&self) -> Result<Event, Error> {
        let _guard = self.context.enter()?;
        let mut event = null_mut();
        // SAFETY: `event` may be written.
        check_code(unsafe { cuEventCreate(&mut event, 0) })?;
        let event = Event { context: self.context.clone(), event };
        // SAFETY: both live.
        check_code(unsafe { cuEventRecord(event.event, self.stream) })?;
        Ok(event)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.owned {
            return;
        }
        let Ok(_guard) = self.context.enter() else { return };
        // SAFETY: it was made here and is not used any more; the driver ends its work first.
        let _ = unsafe { cuStreamDestroy_v2(self.stream) };
    }
}

/// A stream while its context is current.
pub(super) struct Work<'a> {
    stream: &'a Stream,
    _guard: Entered,
}

impl Work<'_> {
    pub(super) const fn context(&self) -> &Arc<Context> {
        &self.stream.context
    }

    /// Sets all bytes to 0, in the order of the stream.
    pub(super) fn clear(&self, region: Region<'_>) -> Result<(), Error> {
        if region.bytes() == 0 {
            return Ok(());
        }
        let stream = self.stream.stream;
        // SAFETY: the region stays until the stream is done with it; its type says so.
        check_code(unsafe { cuMemsetD8Async(region.address(), 0, region.bytes(), stream) })
    }

    /// Copies as many bytes as both have, in the order of the stream.
    pub(super) fn copy(&self, from: Region<'_>, to: Region<'_>) -> Result<(), Error> {
        let bytes = from.bytes().min(to.bytes());
        if bytes == 0 {
            return Ok(());
        }
        let stream = self.stream.stream;
        // SAFETY: as in `clear`, for both regions.
        check_code(unsafe { cuMemcpyDtoDAsync_v2(to.address(), from.address(), bytes, stream) })
    }

    /// Launches a kernel with so many blocks.
    ///
    /// # Safety
    ///
    /// * Every address in the call is 0, where the kernel may do without, or has the memory and the
    ///   alignment that the kernel needs, until the launch is done.
    pub(super) unsafe fn launch(&self, call: &Call<'_>, blocks: u32) -> Result<(), Error> {
        let kernels = &self.stream.context.kernels;
        let kernel = kernels.get(call.kernel()).copied().unwrap_or(null_mut());
        let (stream, threads) = (self.stream.stream, call.threads());
        let mut pointers = call.pointers();
        let pointers = pointers.as_mut_ptr().cast();
        // SAFETY: `Call` has the parameters of the kernel in order, and the driver copies them
        // before it returns; the rest is asked of the caller.
        check_code(unsafe {
            cuLaunchKernel(kernel, blocks, 1, 1, threads, 1, 1, 0, stream, pointers, null_mut())
        })
    }
}

/// A point in the work of a stream.
#[derive(Debug)]
pub(super) struct Event {
    context: Arc<Context>,
    event: CUevent,
}

// SAFETY: events may be used by any thread, by several at once.
unsafe impl Send for Event {}
// SAFETY: as above.
unsafe impl Sync for Event {}

impl Event {
    pub(super) fn synchronize(&self) -> Result<(), Error> {
        let _guard = self.context.enter()?;
        // SAFETY: the event lives.
        check_code(unsafe { cuEventSynchronize(self.event) })
    }

    /// The time from this event to a later one, in milliseconds.
    pub(super) fn elapsed_ms(&self, end: &Self) -> Result<f32, Error> {
        self.synchronize()?;
        end.synchronize()?;
        let _guard = self.context.enter()?;
        let mut milliseconds = 0.0;
        // SAFETY: both live, and `milliseconds` may be written.
        check_code(unsafe { cuEventElapsedTime(&mut milliseconds, self.event, end.event) })?;
        Ok(milliseconds)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        let Ok(_guard) = self.context.enter() else { return };
        // SAFETY: it was made here and is not used any more.
        let _ = unsafe { cuEventDestroy_v2(self.event) };
    }
}

fn check<T>(result: CudaResult<T>) -> Result<T, Error> {
    result.map_err(|error| match library::take_last_code() {
        // A refusal of `cust` itself.
        0 => Error::from_code(error as u32),
        code => Error::from_code(code),
    })
}

fn check_code(code: CUresult) -> Result<(), Error> {
    match code {
        CUresult::CUDA_SUCCESS => Ok(()),
        _ => Err(Error::from_code(library::take_last_code())),
    }
}
