//! The one error type of the crate.

use core::fmt;

/// Says what was needed and what was given. Nothing has been written when one is returned.
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
    /// A block with a size per axis meets a map of another rank.
    Rank {
        /// The rank of the map: 1, 2 or 3.
        needed: u8,
        /// The number of axes for which the block has a size.
        given: u8,
    },
    /// The shape has more elements than memory can hold, or its numbered positions do not
    /// fit in 64 bits.
    TooLarge {
        /// The largest number of elements that is accepted.
        limit: u64,
    },
    /// A stride is so small that two units could share an element.
    Stride {
        /// The axis: 0 for samples, then channels, depth, height, width.
        axis: usize,
        /// The smallest stride that steps past what the axes of smaller strides reach.
        needed: u64,
        /// The stride that was given.
        given: usize,
    },
    /// A buffer has the wrong length. Data buffers must fit exactly, mask buffers may be longer.
    Length {
        /// Which buffer.
        buffer: Buffer,
        /// The length that was needed, in elements of the buffer.
        needed: usize,
        /// The length that was given.
        given: usize,
    },
    /// The count belongs to a plan with another number of mask units.
    OtherPlan {
        /// The number of units of this plan's mask.
        needed: u64,
        /// The number of units that the count speaks of.
        given: u64,
    },
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
    /// The key's first sample pushes the numbering of positions past 64 bits.
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
        /// The step that was given: it must be above.
        given: u64,
    },
    /// The backend cannot run in this build or on this machine.
    Backend {
        /// The backend that was asked for.
        given: crate::Backend,
    },
}

/// Names a buffer in [`Error::Length`].
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
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::DropProb { given } => {
                write!(f, "drop probability must lie in [0, 1], {given} was given")
            }
            Self::Gamma { given } => write!(f, "gamma must lie in [0, 1], {given} was given"),
            Self::GammaScale { given } => {
                write!(f, "gamma scale must be finite and at least 0, {given} was given")
            }
            Self::BlockSize { axis } => {
                write!(f, "block size must be at least 1, 0 was given for axis {axis}")
            }
            Self::BlockFraction { given } => {
                write!(f, "relative block size must be finite and above 0, {given} was given")
            }
            Self::Rank { needed, given } => write!(
                f,
                "block needs one size for each of the map's {needed} axes, {given} were given"
            ),
            Self::TooLarge { limit } => {
                write!(f, "shape must have at most {limit} elements and numbered positions")
            }
            Self::Stride { axis, needed, given } => {
                let axes = ["samples", "channels", "depth", "height", "width"];
                let axis = axes.get(axis).unwrap_or(&"map");
                write!(f, "stride of {axis} must be at least {needed}, {given} was given")
            }
            Self::Map { needed: [samples, channels], given: [sample, channel] } => write!(
                f,
                "sample and channel must be below {samples} and {channels}, {sample} and \
                 {channel} were given"
            ),
            Self::Position { positions, given } => {
                write!(f, "position must be below {positions}, {given} was given")
            }
            Self::Length { buffer, needed, given } => {
                let (name, unit, bound) = match buffer {
                    Buffer::Input => ("input", "elements", "exactly"),
                    Buffer::Output => ("output", "elements", "exactly"),
                    Buffer::Mask => ("mask buffer", "64-bit words", "at least"),
                    Buffer::Source => ("source", "bytes", "exactly"),
                    Buffer::Destination => ("destination", "bytes", "exactly"),
                    Buffer::Counts => ("counts", "64-bit words", "exactly"),
                };
                write!(f, "{name} must hold {bound} {needed} {unit}, {given} were given")
            }
            Self::OtherPlan { needed, given } => {
                write!(f, "count must come from a mask of {needed} units, it speaks of {given}")
            }
            Self::Group { groups, given } => {
                write!(f, "scale group must be below {groups}, {given} was given")
            }
            Self::FirstSample { limit, given } => {
                write!(f, "first sample must be at most {limit}, {given} was given")
            }
            Self::ScheduleValue { given } => {
                write!(f, "schedule value must lie in [0, 2^64], {given} was given")
            }
            Self::ScheduleStep { above, given } => {
                write!(f, "step of a schedule must be above {above}, {given} was given")
            }
            Self::Backend { given } => write!(f, "backend {given} cannot run here"),
        }
    }
}

impl core::error::Error for Error {}
