//! Refusals: a status, what was needed and given, and the text of both.

use core::ffi::{CStr, c_char};
use core::fmt::{self, Write};

use engine::{Backend, Buffer, Error};

use crate::backend;
use crate::constants::*;
use crate::memory::{Array, copy};
use crate::types::*;

/// Why nothing was done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal(pub(crate) dropblock_error);

impl Refusal {
    pub(crate) const fn new(status: dropblock_status, argument: dropblock_argument) -> Self {
        Self(dropblock_error { status, argument, needed: [0; 2], given: [0; 2], value: 0.0 })
    }

    pub(crate) const fn needed(mut self, needed: u64, given: u64) -> Self {
        self.0.needed[0] = needed;
        self.0.given[0] = given;
        self
    }

    /// A number that stands for nothing.
    pub(crate) const fn unknown(argument: dropblock_argument, given: u32) -> Self {
        Self::new(DROPBLOCK_STATUS_VALUE, argument).needed(0, given as u64)
    }

    const fn value(mut self, value: f64) -> Self {
        self.0.value = value;
        self
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let new = |status| Self::new(status, 0);
        match error {
            Error::DropProb { given } => new(DROPBLOCK_STATUS_DROP_PROB).value(given),
            Error::Gamma { given } => new(DROPBLOCK_STATUS_GAMMA).value(given),
            Error::GammaScale { given } => new(DROPBLOCK_STATUS_GAMMA_SCALE).value(given),
            Error::BlockSize { axis } => new(DROPBLOCK_STATUS_BLOCK_SIZE).needed(1, axis as u64),
            Error::BlockFraction { given } => new(DROPBLOCK_STATUS_BLOCK_FRACTION).value(given),
            Error::Rank { needed, given } => {
                new(DROPBLOCK_STATUS_RANK).needed(needed.into(), given.into())
            }
            Error::TooLarge { limit } => new(DROPBLOCK_STATUS_TOO_LARGE).needed(limit, 0),
            Error::Stride { axis, needed, given } => {
                let mut refusal = new(DROPBLOCK_STATUS_STRIDE).needed(needed, given as u64);
                refusal.0.given[1] = axis as u64;
                refusal
            }
            Error::Length { buffer, needed, given } => {
                Self::new(DROPBLOCK_STATUS_LENGTH, argument_of(buffer))
                    .needed(needed as u64, given as u64)
            }
            Error::OtherPlan { needed, given } => {
                new(DROPBLOCK_STATUS_OTHER_PLAN).needed(needed, given)
            }
            Error::Group { groups, given } => {
                new(DROPBLOCK_STATUS_GROUP).needed(groups as u64, given as u64)
            }
            Error::Map { needed, given } => {
                let mut refusal = new(DROPBLOCK_STATUS_MAP);
                refusal.0.needed = needed.map(|size| size as u64);
                refusal.0.given = given.map(|index| index as u64);
                refusal
            }
            Error::Position { positions, given } => {
                new(DROPBLOCK_STATUS_POSITION).needed(positions as u64, given as u64)
            }
            Error::FirstSample { limit, given } => {
                new(DROPBLOCK_STATUS_FIRST_SAMPLE).needed(limit, given)
            }
            Error::ScheduleValue { given } => new(DROPBLOCK_STATUS_SCHEDULE_VALUE).value(given),
            Error::ScheduleStep { above, given } => {
                new(DROPBLOCK_STATUS_SCHEDULE_STEP).needed(above, given)
            }
            Error::Backend { given } => {
                new(DROPBLOCK_STATUS_BACKEND).needed(0, backend::number(given).into())
            }
            _ => new(DROPBLOCK_STATUS_UNKNOWN),
        }
    }
}

const BUFFERS: [(Buffer, dropblock_argument); 5] = [
    (Buffer::Input, DROPBLOCK_ARGUMENT_X),
    (Buffer::Output, DROPBLOCK_ARGUMENT_Y),
    (Buffer::Mask, DROPBLOCK_ARGUMENT_MASK),
    (Buffer::Source, DROPBLOCK_ARGUMENT_SOURCE),
    (Buffer::Destination, DROPBLOCK_ARGUMENT_DESTINATION),
];

fn argument_of(buffer: Buffer) -> dropblock_argument {
    BUFFERS.iter().find(|(each, _)| *each == buffer).map_or(0, |&(_, argument)| argument)
}

/// The crate's error again, for its text.
fn error_of(refusal: &dropblock_error) -> Option<Error> {
    let &dropblock_error { argument, needed, given, value, .. } = refusal;
    let small = |value: u64| u8::try_from(value).unwrap_or(u8::MAX);
    let size = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    Some(match refusal.status {
        DROPBLOCK_STATUS_DROP_PROB => Error::DropProb { given: value },
        DROPBLOCK_STATUS_GAMMA => Error::Gamma { given: value },
        DROPBLOCK_STATUS_GAMMA_SCALE => Error::GammaScale { given: value },
        DROPBLOCK_STATUS_BLOCK_SIZE => Error::BlockSize { axis: size(given[0]) },
        DROPBLOCK_STATUS_BLOCK_FRACTION => Error::BlockFraction { given: value },
        DROPBLOCK_STATUS_RANK => Error::Rank { needed: small(needed[0]), given: small(given[0]) },
        DROPBLOCK_STATUS_TOO_LARGE => Error::TooLarge { limit: needed[0] },
        DROPBLOCK_STATUS_STRIDE => {
            Error::Stride { axis: size(given[1]), needed: needed[0], given: size(given[0]) }
        }
        DROPBLOCK_STATUS_LENGTH => {
            let (buffer, _) = *BUFFERS.iter().find(|&&(_, each)| each == argument)?;
            Error::Length { buffer, needed: size(needed[0]), given: size(given[0]) }
        }
        DROPBLOCK_STATUS_OTHER_PLAN => Error::OtherPlan { needed: needed[0], given: given[0] },
        DROPBLOCK_STATUS_GROUP => Error::Group { groups: size(needed[0]), given: size(given[0]) },
        DROPBLOCK_STATUS_MAP => Error::Map { needed: needed.map(size), given: given.map(size) },
        DROPBLOCK_STATUS_POSITION => {
            Error::Position { positions: size(needed[0]), given: size(given[0]) }
        }
        DROPBLOCK_STATUS_FIRST_SAMPLE => Error::FirstSample { limit: needed[0], given: given[0] },
        DROPBLOCK_STATUS_SCHEDULE_VALUE => Error::ScheduleValue { given: value },
        DROPBLOCK_STATUS_SCHEDULE_STEP => Error::ScheduleStep { above: needed[0], given: given[0] },
        DROPBLOCK_STATUS_BACKEND => Error::Backend { given: backend_of(given[0])? },
        _ => return None,
    })
}

fn backend_of(number: u64) -> Option<Backend> {
    backend::choice(u32::try_from(number).ok()?).ok()?
}

/// What each status means, whatever was given.
const MESSAGES: [(dropblock_status, &CStr); 29] = [
    (DROPBLOCK_OK, c"no error"),
    (DROPBLOCK_STATUS_NULL, c"a pointer is null"),
    (DROPBLOCK_STATUS_MISALIGNED, c"a pointer is not aligned for its type"),
    (DROPBLOCK_STATUS_OVERLAP, c"memory that is written overlaps other memory"),
    (DROPBLOCK_STATUS_ADDRESS, c"a buffer is larger than memory can be"),
    (DROPBLOCK_STATUS_VALUE, c"a number stands for nothing"),
    (DROPBLOCK_STATUS_STRUCT_SIZE, c"a struct is smaller than any version of it"),
    (DROPBLOCK_STATUS_NEWER, c"options of a newer version are set"),
    (DROPBLOCK_STATUS_MEMORY, c"the memory is too small for a plan"),
    (DROPBLOCK_STATUS_NOT_A_PLAN, c"the memory holds no plan of this library"),
    (DROPBLOCK_STATUS_NO_HALF, c"the library was built without f16 and bf16"),
    (DROPBLOCK_STATUS_DROP_PROB, c"the drop probability lies outside [0, 1]"),
    (DROPBLOCK_STATUS_GAMMA, c"gamma lies outside [0, 1]"),
    (DROPBLOCK_STATUS_GAMMA_SCALE, c"the gamma scale is not finite and at least 0"),
    (DROPBLOCK_STATUS_BLOCK_SIZE, c"a block size is 0"),
    (DROPBLOCK_STATUS_BLOCK_FRACTION, c"the relative block size is not finite and above 0"),
    (DROPBLOCK_STATUS_RANK, c"the block has sizes for another number of axes than the map"),
    (DROPBLOCK_STATUS_TOO_LARGE, c"the shape is too large"),
    (DROPBLOCK_STATUS_STRIDE, c"a stride is so small that elements could coincide"),
    (DROPBLOCK_STATUS_LENGTH, c"a buffer has the wrong length"),
    (DROPBLOCK_STATUS_OTHER_PLAN, c"the count belongs to a mask of another size"),
    (DROPBLOCK_STATUS_GROUP, c"there is no such scale group"),
    (DROPBLOCK_STATUS_MAP, c"there is no such map"),
    (DROPBLOCK_STATUS_POSITION, c"the position lies outside the map"),
    (DROPBLOCK_STATUS_FIRST_SAMPLE, c"the first sample is too large for 64-bit positions"),
    (DROPBLOCK_STATUS_SCHEDULE_VALUE, c"a value of the schedule lies outside [0, 2^64]"),
    (DROPBLOCK_STATUS_SCHEDULE_STEP, c"the steps of the schedule do not rise"),
    (DROPBLOCK_STATUS_BACKEND, c"the backend cannot run here"),
    (DROPBLOCK_STATUS_UNKNOWN, c"refused for a reason that this interface does not know"),
];

const NO_MESSAGE: &CStr = c"no status of this library";

fn message(status: dropblock_status) -> &'static CStr {
    MESSAGES.iter().find(|(each, _)| *each == status).map_or(NO_MESSAGE, |&(_, message)| message)
}

/// The names of arguments, as in the header's declarations.
const ARGUMENTS: [(dropblock_argument, &str); 37] = [
    (DROPBLOCK_ARGUMENT_PLAN, "plan"),
    (DROPBLOCK_ARGUMENT_MEMORY, "memory"),
    (DROPBLOCK_ARGUMENT_OPTIONS, "options"),
    (DROPBLOCK_ARGUMENT_SHAPE, "shape"),
    (DROPBLOCK_ARGUMENT_KEY, "key"),
    (DROPBLOCK_ARGUMENT_X, "x"),
    (DROPBLOCK_ARGUMENT_Y, "y"),
    (DROPBLOCK_ARGUMENT_MASK, "mask"),
    (DROPBLOCK_ARGUMENT_DROPPED, "dropped"),
    (DROPBLOCK_ARGUMENT_COUNT, "count"),
    (DROPBLOCK_ARGUMENT_RESULT, "result"),
    (DROPBLOCK_ARGUMENT_FILLER, "filler"),
    (DROPBLOCK_ARGUMENT_KEEP, "keep"),
    (DROPBLOCK_ARGUMENT_CALLBACK, "callback"),
    (DROPBLOCK_ARGUMENT_SOURCE, "source"),
    (DROPBLOCK_ARGUMENT_DESTINATION, "destination"),
    (DROPBLOCK_ARGUMENT_DILATION, "dilation"),
    (DROPBLOCK_ARGUMENT_SCHEDULE, "schedule"),
    (DROPBLOCK_ARGUMENT_STEPS, "steps"),
    (DROPBLOCK_ARGUMENT_ERROR, "error"),
    (DROPBLOCK_ARGUMENT_TYPE, "type"),
    (DROPBLOCK_ARGUMENT_ELEMENT_SIZE, "element_size"),
    (DROPBLOCK_ARGUMENT_PRESET, "preset"),
    (DROPBLOCK_ARGUMENT_MODE, "mode"),
    (DROPBLOCK_ARGUMENT_GAMMA, "gamma"),
    (DROPBLOCK_ARGUMENT_REGION, "region"),
    (DROPBLOCK_ARGUMENT_ALIGNMENT, "alignment"),
    (DROPBLOCK_ARGUMENT_SHARING, "sharing"),
    (DROPBLOCK_ARGUMENT_SCALE, "scale"),
    (DROPBLOCK_ARGUMENT_FILL, "fill"),
    (DROPBLOCK_ARGUMENT_BACKEND, "backend"),
    (DROPBLOCK_ARGUMENT_BLOCK, "block kind"),
    (DROPBLOCK_ARGUMENT_LAYOUT, "layout"),
    (DROPBLOCK_ARGUMENT_MAP_RANK, "rank or size of a missing axis"),
    (DROPBLOCK_ARGUMENT_AXES, "axes"),
    (DROPBLOCK_ARGUMENT_COURSE, "course"),
    (DROPBLOCK_ARGUMENT_RESERVED, "reserved"),
];

fn name(argument: dropblock_argument) -> &'static str {
    ARGUMENTS.iter().find(|(each, _)| *each == argument).map_or("argument", |&(_, name)| name)
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refusal = &self.0;
        if let Some(error) = error_of(refusal) {
            return write!(f, "{error}");
        }
        let (name, needed, given) = (name(refusal.argument), refusal.needed, refusal.given[0]);
        match refusal.status {
            DROPBLOCK_STATUS_NULL => write!(f, "{name} is a null pointer"),
            DROPBLOCK_STATUS_MISALIGNED => {
                write!(f, "{name} must be aligned to {} bytes", needed[0])
            }
            DROPBLOCK_STATUS_OVERLAP => {
                let other = dropblock_argument::try_from(given).map_or("memory", self::name);
                write!(f, "{name} is written and overlaps {other}")
            }
            DROPBLOCK_STATUS_ADDRESS => write!(f, "{name} is larger than memory can be"),
            DROPBLOCK_STATUS_VALUE => write!(f, "{name} cannot be {given}"),
            DROPBLOCK_STATUS_LENGTH => {
                write!(f, "{name} must hold {} elements, {given} were given", needed[0])
            }
            DROPBLOCK_STATUS_STRUCT_SIZE | DROPBLOCK_STATUS_MEMORY => {
                write!(f, "{name} must have at least {} bytes, {given} were given", needed[0])
            }
            status => write!(f, "{}", message(status).to_str().unwrap_or_default()),
        }
    }
}

/// Runs a function of the interface, and says why if it refuses.
///
/// # Safety
///
/// `error` is null, or points to a `dropblock_error` that may be written.
pub(crate) unsafe fn report(
    error: *mut dropblock_error,
    run: impl FnOnce() -> Result<(), Refusal>,
) -> dropblock_status {
    let place = if error.is_null() {
        None
    } else {
        match Array::one(error, DROPBLOCK_ARGUMENT_ERROR) {
            Ok(place) => Some(place),
            Err(refusal) => return refusal.0.status,
        }
    };
    let Err(refusal) = run() else { return DROPBLOCK_OK };
    if let Some(place) = place {
        // SAFETY: neither null nor misaligned, and valid by the contract of this function.
        unsafe { place.write(refusal.0) };
    }
    refusal.0.status
}

/// Says in general what a status means. Never null; lives for ever.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn dropblock_status_message(status: dropblock_status) -> *const c_char {
    message(status).as_ptr()
}

/// Writes what was needed and given as text, cut to the buffer. Returns the length of the whole.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_error_message(
    error: *const dropblock_error,
    text: *mut c_char,
    text_len: usize,
) -> usize {
    let Ok(text) = Array::new(text.cast::<u8>(), text_len, 0) else { return 0 };
    // SAFETY: the caller vouches for `error`.
    let error = unsafe { copy(error, DROPBLOCK_ARGUMENT_ERROR) };
    // SAFETY: the caller vouches for so many bytes.
    let mut writer = Text { text: unsafe { text.slice_mut() }, len: 0 };
    if let Ok(error) = error {
        // Never fails: what does not fit is only counted.
        let _ = write!(writer, "{}", Refusal(error));
    }
    let Text { text, len } = writer;
    let end = len.min(text.len().saturating_sub(1));
    if let Some(end) = text.get_mut(end) {
        *end = 0;
    }
    len
}

struct Text<'t> {
    text: &'t mut [u8],
    len: usize,
}

impl Write for Text<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = self.text.get_mut(self.len..).unwrap_or_default();
        let len = room.len().min(part.len());
        room[..len].copy_from_slice(&part.as_bytes()[..len]);
        self.len = self.len.saturating_add(part.len());
        Ok(())
    }
}
