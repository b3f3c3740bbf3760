//! The one error type of the crate.

use core::fmt;

use crate::DropCount;

/// Says what was needed and what was given. When a call returns one, nothing has been written.
///
/// ```
/// use dropblock::{DropBlock, Error};
///
/// let error = DropBlock::new(7, 1.5).unwrap_err();
/// assert_eq!(error, Error::DropProb { given: 1.5 });
/// assert_eq!(error.to_string(), "drop probability must be in [0, 1], got 1.5");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// The drop probability is outside `[0, 1]` or not a number.
    DropProb {
        /// The probability that was given.
        given: f64,
    },
    /// [`Gamma::Raw`](crate::Gamma::Raw) holds a value outside `[0, 1]` or not a number.
    Gamma {
        /// The gamma that was given.
        given: f64,
    },
    /// The factor of [`Gamma::Paper`](crate::Gamma::Paper) is negative, infinite or not a number.
    GammaScale {
        /// The factor that was given.
        given: f64,
    },
    /// A block has size 0 along an axis.
    BlockSize {
        /// The axis, counted from the front: 0 is height in `[height, width]`.
        axis: usize,
    },
    /// A block size relative to the map is not positive, infinite or not a number.
    BlockFraction {
        /// The fraction that was given.
        given: f64,
    },
    /// A block with a size per axis is used with a map of another rank.
    Rank {
        /// The rank of the map: 1, 2 or 3.
        needed: u8,
        /// The number of axes for which the block has a size.
        given: u8,
    },
    /// An axis of the map is too long.
    Axis {
        /// The axis: 0 for depth, then height, width.
        axis: usize,
        /// The largest size that is accepted.
        limit: u64,
        /// The size that was given.
        given: usize,
    },
    /// A tensor has more elements than a buffer can hold, or a view spans more.
    TooLarge {
        /// The largest number of elements that is accepted.
        limit: u64,
    },
    /// A stride of an output is so short that two units could share an element.
    Stride {
        /// The axis: 0 for samples, then channels, depth, height, width.
        axis: usize,
        /// A stride that is long enough to step past everything that the other axes reach.
        needed: u64,
        /// The stride that was given.
        given: isize,
    },
    /// A view leaves its buffer.
    View {
        /// Which buffer.
        buffer: Buffer,
        /// How many elements the view reaches before its first unit, and after it.
        needed: [usize; 2],
        /// The index of the first unit's element, and the length of the buffer.
        given: [usize; 2],
    },
    /// A pass in place was given memory that is not initialised.
    Uninit,
    /// A buffer has the wrong length. Dense tensors must fit exactly, mask buffers may be longer.
    Length {
        /// Which buffer.
        buffer: Buffer,
        /// The length that was needed, in elements of the buffer.
        needed: usize,
        /// The length that was given.
        given: usize,
    },
    /// The count cannot be that of the mask, alone or as a shard of a batch.
    Count {
        /// The count of the mask itself, with 0 dropped if that is not known.
        own: DropCount,
        /// The count that was given.
        given: DropCount,
    },
    /// Scales per sample or per map follow from the mask alone, and the count has more units.
    Scale {
        /// The number of units of the mask.
        needed: u64,
        /// The number of units of the count that was given.
        given: u64,
    },
    /// A forward pass with noise was given a mask that has no key.
    NoKey,
    /// The maps are not runs of elements, because channels are last.
    Layout,
    /// The scale group does not exist.
    Group {
        /// The number of groups of this plan.
        groups: usize,
        /// The index that was given.
        given: usize,
    },
    /// The tensor has no such map.
    Map {
        /// The number of samples and of channels.
        needed: [usize; 2],
        /// The sample and the channel that were given.
        given: [usize; 2],
    },
    /// The position lies outside the map.
    Position {
        /// The number of positions of the map.
        positions: usize,
        /// The index that was given.
        given: usize,
    },
    /// The key's first sample is so large that positions have no number of 64 bits.
    FirstSample {
        /// The largest first sample for this plan.
        limit: u64,
        /// The first sample of the key.
        given: u64,
    },
    /// A value of a [`Schedule`](crate::Schedule) is outside `[0, 2^64]` or not a number.
    ScheduleValue {
        /// The value that was given.
        given: f64,
    },
    /// The steps of a list do not rise.
    ScheduleStep {
        /// The step before it in the list, or 0.
        above: u64,
        /// The step that was given: it must be above that.
        given: u64,
    },
    /// A schedule lists too many steps.
    ScheduleSteps {
        /// The most steps.
        limit: usize,
        /// The number of steps that was given.
        given: usize,
    },
    /// The backend cannot run in this build or on this machine.
    Backend {
        /// The backend that was asked for.
        given: crate::Backend,
    },
}

/// Names a buffer in [`Error::Length`] and [`Error::View`].
///
/// ```
/// use dropblock::{Buffer, DropBlock, Error, Key, Shape};
///
/// let plan = DropBlock::new(3, 0.2)?.plan(Shape::nchw(2, 4, 10, 10))?;
/// let error = plan.forward_in_place(Key::new(1), &mut [1.0_f32; 799]);
/// assert_eq!(error, Err(Error::Length { buffer: Buffer::Output, needed: 800, given: 799 }));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Buffer {
    /// The tensor that is read.
    Input,
    /// The tensor that is written.
    Output,
    /// A bit mask, in 64-bit words.
    Mask,
    /// A byte map that is read.
    Source,
    /// A byte map that is written.
    Destination,
    /// The counts of dropped units by scale group, on a device.
    Counts,
    /// The workspace of a layer on a device.
    Workspace,
    /// The step of the training, on a device.
    Step,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::DropProb { given } => {
                write!(f, "drop probability must be in [0, 1], got {given}")
            }
            Self::Gamma { given } => write!(f, "gamma must be in [0, 1], got {given}"),
            Self::GammaScale { given } => {
                write!(f, "factor of gamma must be finite and at least 0, got {given}")
            }
            Self::BlockSize { axis } => {
                write!(f, "block size must be at least 1, got 0 for axis {axis}")
            }
            Self::BlockFraction { given } => {
                write!(f, "relative block size must be finite and above 0, got {given}")
            }
            Self::Rank { needed, given } => {
                write!(f, "block must have a size for each of the map's {needed} axes, got {given}")
            }
            Self::Axis { axis, limit, given } => {
                let axis = ["depth", "height", "width"].get(axis).unwrap_or(&"axis");
                write!(f, "{axis} of the map must be at most {limit}, got {given}")
            }
            Self::TooLarge { limit } => write!(f, "tensor must have at most {limit} elements"),
            Self::Stride { axis, needed, given } => {
                let axes = ["samples", "channels", "depth", "height", "width"];
                let axis = axes.get(axis).unwrap_or(&"axis");
                write!(
                    f,
                    "stride of {axis} lets units share an element: with the other strides it must \
                     be at least {needed} long, got {given}"
                )
            }
            Self::View { buffer, needed: [before, after], given: [first, len] } => write!(
                f,
                "view of the {} needs {before} elements before its first one and {after} after \
                 it, the first one is {first} of {len}",
                buffer.name()
            ),
            Self::Uninit => f.write_str("a pass in place needs initialised elements"),
            Self::Length { buffer, needed, given } => {
                let (unit, bound) = match buffer {
                    Buffer::Input | Buffer::Output => ("elements", "exactly"),
                    Buffer::Mask | Buffer::Workspace => ("64-bit words", "at least"),
                    Buffer::Source | Buffer::Destination => ("bytes", "exactly"),
                    Buffer::Counts | Buffer::Step => ("64-bit words", "exactly"),
                };
                write!(f, "{} must hold {bound} {needed} {unit}, got {given}", buffer.name())
            }
            Self::Count { own, given } => write!(
                f,
                "count must be {} dropped of {} units plus a count of others, got {} of {}",
                own.dropped, own.total, given.dropped, given.total
            ),
            Self::Scale { needed, given } => write!(
                f,
                "scales per sample or map follow from the mask's own {needed} units, got a count \
                 of {given}"
            ),
            Self::NoKey => f.write_str("noise is drawn from a key, and the mask has none"),
            Self::Layout => {
                f.write_str("maps must lie one behind the other, and channels are last")
            }
            Self::Group { groups, given } => {
                write!(f, "scale group must be below {groups}, got {given}")
            }
            Self::Map { needed: [samples, channels], given: [sample, channel] } => write!(
                f,
                "sample and channel must be below {samples} and {channels}, got {sample} and \
                 {channel}"
            ),
            Self::Position { positions, given } => {
                write!(f, "position must be below {positions}, got {given}")
            }
            Self::FirstSample { limit, given } => {
                write!(f, "first sample must be at most {limit}, got {given}")
            }
            Self::ScheduleValue { given } => {
                write!(f, "schedule value must be in [0, 2^64], got {given}")
            }
            Self::ScheduleStep { above, given } => {
                write!(f, "step of a schedule must be above {above}, got {given}")
            }
            Self::ScheduleSteps { limit, given } => {
                write!(f, "schedule must list at most {limit} steps, got {given}")
            }
            Self::Backend { given } => write!(f, "backend {given} cannot run here"),
        }
    }
}

impl Buffer {
    const fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::Mask => "mask buffer",
            Self::Source => "source",
            Self::Destination => "destination",
            Self::Counts => "counts",
            Self::Workspace => "workspace",
            Self::Step => "step",
        }
    }
}

impl core::error::Error for Error {}
