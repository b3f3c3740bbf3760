//! Devices and streams.

use alloc::sync::Arc;
use core::ffi::c_void;

use bytemuck::Pod;

use super::buffer::{check, check_apart};
use super::driver::{self, Context};
use super::{Buffer, Error, Slice, SliceMut};

/// A CUDA device, with the kernels loaded.
///
/// It keeps the device's *primary* context, the one that the CUDA runtime and frameworks use; other
/// contexts are not supported. Cloning it is cheap and loads nothing. It may be used by any
/// thread: every call makes the context current and gives the thread back the one it had.
///
/// ```no_run
/// # use dropblock::cuda::Device;
/// let device = Device::new(0)?;
/// let copy = device.clone();
/// assert_eq!(copy.ordinal(), 0);
/// # Ok::<(), dropblock::cuda::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Device {
    context: Arc<Context>,
}

impl Device {
    /// Returns the number of devices.
    ///
    /// # Errors
    ///
    /// [`Error::NoDriver`], [`Error::Driver`].
    #[inline]
    pub fn count() -> Result<usize, Error> {
        driver::count()
    }

    /// Opens a device, numbered from 0, and loads the kernels. The driver compiles them for the
    /// device the first time and keeps the result on disk.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use dropblock::cuda::Device;
    /// let device = Device::new(0)?;
    /// println!("{} with {} multiprocessors", device.name(), device.multiprocessors());
    /// # Ok::<(), dropblock::cuda::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NoDriver`], [`Error::NoDevice`], [`Error::PtxTooNew`], [`Error::Architecture`],
    /// [`Error::Driver`].
    #[inline]
    pub fn new(ordinal: usize) -> Result<Self, Error> {
        Context::new(ordinal).map(|context| Self { context })
    }

    /// Returns the device's number.
    #[inline]
    #[must_use]
    pub fn ordinal(&self) -> usize {
        self.context.facts().ordinal
    }

    /// Returns the device's name.
    #[inline]
    #[must_use]
    pub fn name(&self) -> &str {
        &self.context.facts().name
    }

    /// Returns the compute capability, such as `(8, 0)`.
    #[inline]
    #[must_use]
    pub fn compute_capability(&self) -> (u32, u32) {
        self.context.facts().capability
    }

    /// Returns the number of multiprocessors.
    #[inline]
    #[must_use]
    pub fn multiprocessors(&self) -> u32 {
        self.context.facts().multiprocessors
    }

    /// Returns the most threads of a block.
    #[inline]
    #[must_use]
    pub fn max_threads(&self) -> u32 {
        self.context.facts().threads
    }

    /// Returns the size of the device's memory in bytes.
    #[inline]
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.context.facts().memory
    }

    /// Returns the newest CUDA version that the driver knows, such as `(12, 4)`.
    #[inline]
    #[must_use]
    pub fn driver_version(&self) -> (u32, u32) {
        self.context.facts().driver
    }

    /// Makes a new stream. It does not wait for the default stream, and the default stream does not
    /// wait for it.
    ///
    /// # Errors
    ///
    /// [`Error::Driver`].
    #[inline]
    pub fn stream(&self) -> Result<Stream, Error> {
        Ok(Stream { stream: Arc::new(driver::Stream::new(&self.context)?) })
    }

    /// Copies elements to new memory, and waits until they are there.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`], [`Error::Driver`].
    #[inline]
    pub fn upload<T: Pod>(&self, data: &[T]) -> Result<Buffer<T>, Error> {
        Buffer::copied(&self.context, data)
    }

    /// Takes new memory for `len` elements, all bytes 0, and waits until they are.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`], [`Error::Driver`].
    #[inline]
    pub fn zeros<T: Pod>(&self, len: usize) -> Result<Buffer<T>, Error> {
        Buffer::zeroed(&self.context, len)
    }

    /// Waits for all work of the device.
    ///
    /// # Errors
    ///
    /// [`Error::Driver`], also for work that failed.
    #[inline]
    pub fn synchronize(&self) -> Result<(), Error> {
        self.context.synchronize()
    }
}

/// A stream of a device: its work runs in the order in which it was enqueued, beside that of other
/// streams. A clone is the same stream. It may be used by any thread.
///
/// ```no_run
/// # use dropblock::cuda::Device;
/// let device = Device::new(0)?;
/// let (one, other) = (device.stream()?, device.stream()?);
/// // What `other` gets from here on waits for what `one` has.
/// other.wait(&one.record()?)?;
/// other.synchronize()?;
/// # Ok::<(), dropblock::cuda::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Stream {
    stream: Arc<driver::Stream>,
}

impl Stream {
    /// Takes a stream of a framework, a `CUstream` or `cudaStream_t`; null is the default stream.
    /// It is not destroyed.
    ///
    /// # Safety
    ///
    /// * `stream` is null or a stream of the device's primary context.
    /// * It lives until this value, its clones and all that were made with it are dropped.
    #[inline]
    #[must_use]
    #[allow(unsafe_code, reason = "a promise about a handle")]
    pub unsafe fn from_raw(device: &Device, stream: *mut c_void) -> Self {
        // SAFETY: asked of the caller.
        let stream = unsafe { driver::Stream::from_raw(&device.context, stream) };
        Self { stream: Arc::new(stream) }
    }

    /// Returns the driver's handle, a `CUstream`. It lives as long as this stream or a clone.
    #[inline]
    #[must_use]
    pub fn as_raw(&self) -> *mut c_void {
        self.stream.as_raw()
    }

    /// Returns the device.
    #[inline]
    #[must_use]
    pub fn device(&self) -> Device {
        Device { context: self.stream.context().clone() }
    }

    /// Waits for the work of this stream.
    ///
    /// # Errors
    ///
    /// [`Error::Driver`], also for work that failed.
    #[inline]
    pub fn synchronize(&self) -> Result<(), Error> {
        self.stream.synchronize()
    }

    /// Copies elements to the host after the work that is enqueued, and waits until they are there.
    ///
    /// * `from`, `to`: equally long.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Length`], [`Error::Null`], [`Error::Misaligned`], [`Error::OtherDevice`],
    /// [`Error::Driver`], also for work that failed.
    pub fn download<T: Pod>(&self, from: Slice<'_, T>, to: &mut [T]) -> Result<(), Error> {
        self.check_pair(from, to.len())?;
        self.stream.download(from.region(), bytemuck::cast_slice_mut(to))
    }

    /// Copies elements from the host after the work that is enqueued, and waits until they are
    /// there.
    ///
    /// * `from`, `to`: equally long.
    ///
    /// # Errors
    ///
    /// Those of [`download`](Self::download).
    pub fn upload<T: Pod>(&self, from: &[T], to: SliceMut<'_, T>) -> Result<(), Error> {
        self.check_pair(to.as_slice(), from.len())?;
        self.stream.upload(bytemuck::cast_slice(from), to.region())
    }

    /// Enqueues a copy of elements on the device.
    ///
    /// * `from`, `to`: equally long. They must not overlap.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Length`], [`Error::Null`], [`Error::Misaligned`], [`Error::OtherDevice`],
    /// [`Error::Overlap`], [`Error::Driver`].
    pub fn copy<T: Pod>(&self, from: Slice<'_, T>, to: SliceMut<'_, T>) -> Result<(), Error> {
        self.check_pair(from, from.len())?;
        self.check_pair(to.as_slice(), from.len())?;
        check_apart(from.region(), to.region())?;
        self.stream.begin()?.copy(from.region(), to.region())
    }

    /// Makes all work that is enqueued here from now on wait for the event, of this device or
    /// another one.
    ///
    /// # Errors
    ///
    /// [`Error::Driver`].
    #[inline]
    pub fn wait(&self, event: &Event) -> Result<(), Error> {
        self.stream.wait(&event.event)
    }

    /// Records an event: it happens when the work that is enqueued is done.
    ///
    /// # Errors
    ///
    /// [`Error::Driver`].
    #[inline]
    pub fn record(&self) -> Result<Event, Error> {
        Ok(Event { event: self.stream.record()? })
    }

    pub(super) fn inner(&self) -> &driver::Stream {
        &self.stream
    }

    fn check_pair<T>(&self, device: Slice<'_, T>, given: usize) -> Result<(), Error> {
        let needed = device.len();
        if given != needed {
            let buffer = crate::Buffer::Output;
            return Err(crate::Error::Length { buffer, needed, given }.into());
        }
        check(device.region(), align_of::<T>(), self.stream.context().facts().ordinal)
    }
}

/// A point in the work of a stream.
///
/// ```no_run
/// # use dropblock::cuda::Device;
/// # let stream = Device::new(0)?.stream()?;
/// let start = stream.record()?;
/// // Here come the operations.
/// let end = stream.record()?;
/// println!("{:.3} ms", start.elapsed_ms(&end)?);
/// # Ok::<(), dropblock::cuda::Error>(())
/// ```
#[derive(Debug)]
pub struct Event {
    event: driver::Event,
}

impl Event {
    /// Waits until it has happened.
    ///
    /// # Errors
    ///
    /// [`Error::Driver`], also for work that failed.
    #[inline]
    pub fn synchronize(&self) -> Result<(), Error> {
        self.event.synchronize()
    }

    /// Waits for both and returns the milliseconds from this event to `end`, as the device
    /// measured them, to about half a microsecond.
    ///
    /// # Errors
    ///
    /// [`Error::Driver`], also for work that failed.
    #[inline]
    pub fn elapsed_ms(&self, end: &Self) -> Result<f32, Error> {
        self.event.elapsed_ms(&end.event)
    }
}
