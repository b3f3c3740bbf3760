//! Device memory as typed buffers and slices.

use alloc::sync::Arc;
use core::marker::PhantomData;
use core::mem::size_of;
use core::ops::Range;

use bytemuck::Pod;

use super::Error;
use super::driver::{Context, Memory, Region};

/// Elements in device memory, made by [`Device::upload`](super::Device::upload) and
/// [`Device::zeros`](super::Device::zeros).
///
/// Streams run beside each other. If one stream writes a buffer while another one uses it, the contents
/// are unspecified, but nothing worse happens. See [`Stream::wait`](super::Stream::wait).
///
/// Dropping a buffer waits for all work of the device, because any of it may use the buffer, and then
/// frees the memory. So keep buffers for the next step.
///
/// ```no_run
/// # use dropblock::cuda::Device;
/// let device = Device::new(0)?;
/// let x = device.upload(&[1.0_f32, 2.0, 3.0])?;
/// let counts = device.zeros::<u64>(4)?;
/// assert_eq!((x.len(), counts.len()), (3, 4));
/// # Ok::<(), dropblock::cuda::Error>(())
/// ```
#[derive(Debug)]
pub struct Buffer<T> {
    memory: Memory,
    len: usize,
    elements: PhantomData<fn() -> T>,
}

impl<T: Pod> Buffer<T> {
    pub(super) fn zeroed(context: &Arc<Context>, len: usize) -> Result<Self, Error> {
        let memory = Memory::zeroed(context, bytes_of::<T>(len)?)?;
        Ok(Self { memory, len, elements: PhantomData })
    }

    pub(super) fn copied(context: &Arc<Context>, data: &[T]) -> Result<Self, Error> {
        let memory = Memory::copied(context, bytemuck::cast_slice(data))?;
        Ok(Self { memory, len: data.len(), elements: PhantomData })
    }
}

impl<T> Buffer<T> {
    /// Returns the number of elements.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Tells whether there are no elements.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the device address of the first element, 0 if there is none.
    #[inline]
    #[must_use]
    pub fn address(&self) -> u64 {
        self.memory.region().address()
    }

    /// Returns the number of the device.
    #[inline]
    #[must_use]
    pub fn device(&self) -> usize {
        self.memory.context().facts().ordinal
    }

    /// Borrows all elements to be read.
    #[inline]
    #[must_use]
    pub fn slice(&self) -> Slice<'_, T> {
        Slice { region: self.memory.region(), len: self.len, elements: PhantomData }
    }

    /// Borrows all elements to be read and written.
    #[inline]
    #[must_use]
    pub fn slice_mut(&mut self) -> SliceMut<'_, T> {
        SliceMut { region: self.memory.region(), len: self.len, elements: PhantomData }
    }
}

fn bytes_of<T>(len: usize) -> Result<usize, Error> {
    len.checked_mul(size_of::<T>()).ok_or(Error::OutOfMemory { needed: usize::MAX })
}

/// Elements in device memory that a call may read.
///
/// The borrow ends with the call, not with the work that it enqueues. That is sound because a buffer
/// waits before it is freed, and because the device holds plain data.
///
/// ```no_run
/// # use dropblock::cuda::Device;
/// # let device = Device::new(0)?;
/// let x = device.upload(&[1.0_f32, 2.0, 3.0])?;
/// let mut last = [0.0];
/// if let Some(part) = x.slice().get(2..3) {
///     device.stream()?.download(part, &mut last)?;
/// }
/// assert_eq!(last, [3.0]);
/// # Ok::<(), dropblock::cuda::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Slice<'a, T> {
    region: Region<'a>,
    len: usize,
    elements: PhantomData<&'a T>,
}

/// Elements in device memory that a call may read and write. See [`Slice`].
///
/// ```no_run
/// # use dropblock::cuda::{Device, Layer, SliceMut};
/// # use dropblock::{DropBlock, Key, Shape};
/// # let device = Device::new(0)?;
/// # let plan = DropBlock::new(7, 0.1)?.plan(Shape::nchw(2, 8, 14, 14))?;
/// # let layer = Layer::new(&plan, &device.stream()?)?;
/// # let (address, len) = (0, plan.elements());
/// // SAFETY: a framework's tensor on this device, which nobody else uses until the work is done.
/// let x = unsafe { SliceMut::<f32>::from_raw(address, len) };
/// layer.pass().forward_in_place(Key::new(1), x, None)?;
/// # Ok::<(), dropblock::cuda::Error>(())
/// ```
#[derive(Debug)]
pub struct SliceMut<'a, T> {
    region: Region<'a>,
    len: usize,
    elements: PhantomData<&'a mut T>,
}

macro_rules! slice {
    ($slice:ident) => {
        impl<'a, T> $slice<'a, T> {
            /// Takes `len` elements from a device address on, such as a tensor of a framework.
            ///
            /// Operations check that the address is not 0 and is a multiple of the size of an
            /// element.
            ///
            /// # Safety
            ///
            /// * The memory can be read and written by the device whose streams it is used on, for
            ///   the lifetime and until all work in which it is used is done.
            /// * The address is one of the device or of managed memory; no Rust reference to the
            ///   memory is used while work in which it is used may run.
            #[inline]
            #[must_use]
            #[allow(unsafe_code, reason = "a promise about an address")]
            pub const unsafe fn from_raw(address: u64, len: usize) -> Self {
                let bytes = len.saturating_mul(size_of::<T>());
                // SAFETY: asked of the caller.
                let region = unsafe { Region::from_raw(address, bytes) };
                Self { region, len, elements: PhantomData }
            }

            /// Returns the number of elements.
            #[inline]
            #[must_use]
            pub const fn len(&self) -> usize {
                self.len
            }

            /// Tells whether there are no elements.
            #[inline]
            #[must_use]
            pub const fn is_empty(&self) -> bool {
                self.len == 0
            }

            /// Returns the device address of the first element.
            #[inline]
            #[must_use]
            pub const fn address(&self) -> u64 {
                self.region.address()
            }

            /// Returns the elements in the range, or `None` if it leaves the slice. A view that does
            /// not begin at element 0 is made this way.
            #[inline]
            #[must_use]
            pub fn get(self, range: Range<usize>) -> Option<Self> {
                let len = range.end.checked_sub(range.start)?;
                let start = range.start.checked_mul(size_of::<T>())?;
                let region = self.region.part(start, len.checked_mul(size_of::<T>())?)?;
                Some(Self { region, len, elements: PhantomData })
            }

            pub(super) const fn region(&self) -> Region<'a> {
                self.region
            }
        }
    };
}

slice!(Slice);
slice!(SliceMut);

impl<T> SliceMut<'_, T> {
    /// Borrows the elements to be read.
    #[inline]
    #[must_use]
    pub const fn as_slice(&self) -> Slice<'_, T> {
        Slice { region: self.region, len: self.len, elements: PhantomData }
    }

    /// Borrows the elements for a shorter time.
    #[inline]
    #[must_use]
    pub const fn reborrow(&mut self) -> SliceMut<'_, T> {
        SliceMut { region: self.region, len: self.len, elements: PhantomData }
    }
}

/// Refuses what no work may use: a null or misaligned address, or memory of another device.
pub(super) fn check(region: Region<'_>, size: usize, device: usize) -> Result<(), Error> {
    if region.bytes() == 0 {
        return Ok(());
    }
    let given = region.address();
    if given == 0 {
        return Err(Error::Null);
    }
    if !given.is_multiple_of(size as u64) {
        return Err(Error::Misaligned { needed: size, given });
    }
    match region.device() {
        Some(given) if given != device => Err(Error::OtherDevice { needed: device, given }),
        _ => Ok(()),
    }
}

/// Refuses regions that share bytes.
pub(super) fn check_apart(a: Region<'_>, b: Region<'_>) -> Result<(), Error> {
    let end = |region: Region<'_>| region.address().saturating_add(region.bytes() as u64);
    let apart = a.bytes() == 0 || b.bytes() == 0 || a.address() >= end(b) || b.address() >= end(a);
    if apart { Ok(()) } else { Err(Error::Overlap) }
}
