//! The error type of the module.

use core::fmt;

use super::driver;

/// Says what was needed and what was given. When a call returns one, nothing has been enqueued.
/// [`Driver`](Self::Driver) can also report work that was enqueued before.
///
/// ```no_run
/// use dropblock::cuda::{Device, Error};
/// match Device::new(0) {
///     Ok(device) => println!("{}", device.name()),
///     Err(Error::NoDriver) => println!("on the processor, then"),
///     Err(error) => return Err(error),
/// }
/// # Ok::<(), dropblock::cuda::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// The same operation on the processor would refuse the arguments.
    Plan(crate::Error),
    /// There is no driver library `libcuda.so.1` on this machine, or the system is not Linux.
    NoDriver,
    /// There is no device of this number.
    NoDevice {
        /// The number that was given.
        given: usize,
        /// The number of devices.
        count: usize,
    },
    /// The driver is too old for the kernels: they need CUDA 10.0 or newer.
    PtxTooNew,
    /// The kernels cannot run on the device: they need compute capability 7.0 or higher.
    Architecture,
    /// The device has not enough free memory.
    OutOfMemory {
        /// The number of bytes that were asked for.
        needed: usize,
    },
    /// The number of threads that share a segment is 0 or more than the limit.
    Lanes {
        /// The largest number.
        limit: u32,
        /// The number that was given.
        given: u32,
    },
    /// A tile is not a multiple of 64 units from 64 to the limit.
    Tile {
        /// The largest number of units.
        limit: usize,
        /// The number that was given.
        given: usize,
    },
    /// The address is not a multiple of the size of an element.
    Misaligned {
        /// The size of an element in bytes.
        needed: usize,
        /// The address that was given.
        given: u64,
    },
    /// Two buffers overlap, and one of them is written.
    Overlap,
    /// The address is 0, and the length is not.
    Null,
    /// The memory belongs to another device.
    OtherDevice {
        /// The number of the stream's device.
        needed: usize,
        /// The number of the memory's device.
        given: usize,
    },
    /// The scale follows from the counts of dropped units, which were not given.
    Counts,
    /// A scale group has more units than the device can divide exactly.
    TooLarge {
        /// The first number that is too large.
        limit: u64,
        /// The number of units of a group.
        given: u64,
    },
    /// A map has more units than the device numbers.
    Map {
        /// The first number that is too large.
        limit: u64,
        /// The number of units of a map.
        given: u64,
    },
    /// The plan has another shape, sharing or kind of scale than that of the layer.
    OtherPlan,
    /// Elements of this size cannot be dropped: 1, 2, 4 or 8 bytes can.
    Type {
        /// The size of an element in bytes.
        size: usize,
    },
    /// The device computes something else than a processor. Do not use it. See
    /// [`Device::self_test`](super::Device::self_test).
    SelfTest {
        /// What was computed.
        operation: &'static str,
        /// The bits of both operands, 0 if the whole test took part.
        operands: [u64; 2],
        /// The bits of the right result.
        needed: u64,
        /// The bits of the device's result.
        given: u64,
    },
    /// Any other failure that the driver reports. It can come from work that was enqueued before.
    Driver {
        /// The driver's code, a `CUresult`.
        code: u32,
    },
}

impl Error {
    pub(super) fn from_code(code: u32) -> Self {
        match code {
            209 => Self::Architecture,
            222 => Self::PtxTooNew,
            code => Self::Driver { code },
        }
    }
}

impl From<crate::Error> for Error {
    #[inline]
    fn from(error: crate::Error) -> Self {
        Self::Plan(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Plan(error) => error.fmt(f),
            Self::NoDriver => f.write_str("there is no CUDA driver: libcuda.so.1 was not found"),
            Self::NoDevice { count: 0, .. } => f.write_str("there is no CUDA device"),
            Self::NoDevice { given, count } => {
                write!(f, "CUDA device must be below {count}, got {given}")
            }
            Self::PtxTooNew => {
                f.write_str("the CUDA driver is too old: kernels need one of CUDA 10.0 or newer")
            }
            Self::Architecture => f.write_str(
                "the CUDA device is too old: kernels need compute capability 7.0 or higher",
            ),
            Self::OutOfMemory { needed } => {
                write!(f, "CUDA device has not enough free memory, {needed} bytes were asked for")
            }
            Self::Lanes { limit, given } => {
                write!(f, "threads that share a segment must be from 1 to {limit}, got {given}")
            }
            Self::Tile { limit, given } => {
                write!(f, "tile must be a multiple of 64 units from 64 to {limit}, got {given}")
            }
            Self::Misaligned { needed, given } => {
                write!(f, "device address must be a multiple of {needed}, got {given:#x}")
            }
            Self::Overlap => f.write_str("buffer that is written must not overlap another one"),
            Self::Null => f.write_str("device address must not be 0"),
            Self::OtherDevice { needed, given } => {
                write!(f, "memory must be of CUDA device {needed}, it is of device {given}")
            }
            Self::Counts => f.write_str("scale needs the counts of dropped units"),
            Self::TooLarge { limit, given } => {
                write!(f, "scale group must have fewer than {limit} units, it has {given}")
            }
            Self::Map { limit, given } => {
                write!(f, "map must have fewer than {limit} units, it has {given}")
            }
            Self::OtherPlan => {
                f.write_str("plan must have the shape, sharing and kind of scale of the layer's")
            }
            Self::Type { size } => {
                write!(f, "elements must have 1, 2, 4 or 8 bytes to be dropped, they have {size}")
            }
            Self::SelfTest { operation, operands: [a, b], needed, given } => write!(
                f,
                "CUDA device fails its self test: {operation} of {a:#x} and {b:#x} must be \
                 {needed:#x}, it is {given:#x}"
            ),
            Self::Driver { code } => {
                write!(f, "CUDA driver reports error {code}")?;
                driver::describe(code).map_or(Ok(()), |text| write!(f, ": {text}"))
            }
        }
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Plan(error) => Some(error),
            _ => None,
        }
    }
}
