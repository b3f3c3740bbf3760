//! Refusals: a status, what was needed and given, and the text of both.

use core::ffi::{CStr, c_char};
use core::fmt::{self, Write};

use engine::{Backend, Buffer, DropCount, Error};

use crate::backend;
use crate::constants::*;
use crate::memory::{Caller, check};
use crate::types::*;

/// Why nothing was done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal(pub(crate) dropblock_error);

impl Refusal {
    pub(crate) const fn new(status: dropblock_status, argument: dropblock_argument) -> Self {
        Self(dropblock_error { status, argument, needed: [0; 2], given: [0; 2], value: 0.0 })
    }

    pub(crate) const fn numbers(mut self, needed: [u64; 2], given: u64) -> Self {
        self.0.needed = needed;
        self.0.given[0] = given;
        self
    }

    /// A number that lies outside these bounds.
    pub(crate) const fn outside(
        argument: dropblock_argument,
        bounds: [u64; 2],
        given: u64,
    ) -> Self {
        Self::new(DROPBLOCK_STATUS_VALUE, argument).numbers(bounds, given)
    }
}

/// Refuses a number that is not this one.
pub(crate) fn must_be(
    needed: u32,
    argument: dropblock_argument,
    given: u32,
) -> Result<(), Refusal> {
    if given == needed {
        return Ok(());
    }
    Err(Refusal::outside(argument, [needed.into(); 2], given.into()))
}

/// What a number stands for in a list of ascending numbers.
pub(crate) fn listed<T: Copy>(
    argument: dropblock_argument,
    given: u32,
    list: &[(u32, T)],
) -> Result<T, Refusal> {
    let bound = |end: Option<&(u32, T)>| end.map_or(0, |end| end.0.into());
    let bounds = [bound(list.first()), bound(list.last())];
    let found = list.iter().find(|(number, _)| *number == given);
    found.map(|&(_, value)| value).ok_or(Refusal::outside(argument, bounds, given.into()))
}

/// The same for a list in which 0 leaves the choice to the library.
pub(crate) fn or_default<T: Copy>(
    argument: dropblock_argument,
    given: u32,
    list: &[(u32, T)],
) -> Result<Option<T>, Refusal> {
    if given == 0 {
        return Ok(None);
    }
    listed(argument, given, list).map(Some).map_err(|mut refusal| {
        refusal.0.needed[0] = 0;
        refusal
    })
}

/// A field of the crate's errors in a place of the header's: there and back.
trait Field<P>: Sized {
    fn put(self, place: &mut P);
    /// `None` for what no error of the crate has.
    fn get(place: P) -> Option<Self>;
}

macro_rules! number_fields {
    ($($number:ty)*) => {$(
        impl Field<u64> for $number {
            fn put(self, place: &mut u64) {
                *place = self as u64;
            }

            fn get(place: u64) -> Option<Self> {
                Some(place as Self)
            }
        }
    )*};
}

number_fields!(u8 u64 usize isize);

impl Field<f64> for f64 {
    fn put(self, place: &mut f64) {
        *place = self;
    }

    fn get(place: f64) -> Option<Self> {
        Some(place)
    }
}

impl Field<[u64; 2]> for [usize; 2] {
    fn put(self, place: &mut [u64; 2]) {
        *place = self.map(|number| number as u64);
    }

    fn get(place: [u64; 2]) -> Option<Self> {
        Some(place.map(|number| number as usize))
    }
}

impl Field<[u64; 2]> for DropCount {
    fn put(self, place: &mut [u64; 2]) {
        *place = [self.dropped, self.total];
    }

    fn get([dropped, total]: [u64; 2]) -> Option<Self> {
        Some(Self { dropped, total })
    }
}

impl Field<u64> for Backend {
    fn put(self, place: &mut u64) {
        *place = backend::number(self).into();
    }

    fn get(place: u64) -> Option<Self> {
        backend::choice(u32::try_from(place).ok()?).ok()?
    }
}

const BUFFERS: [(Buffer, dropblock_argument); 5] = [
    (Buffer::Input, DROPBLOCK_ARGUMENT_X),
    (Buffer::Output, DROPBLOCK_ARGUMENT_Y),
    (Buffer::Mask, DROPBLOCK_ARGUMENT_WORDS),
    (Buffer::Source, DROPBLOCK_ARGUMENT_SOURCE),
    (Buffer::Destination, DROPBLOCK_ARGUMENT_DESTINATION),
];

pub(crate) fn argument_of(buffer: Buffer) -> dropblock_argument {
    BUFFERS.iter().find(|(each, _)| *each == buffer).map_or(0, |&(_, argument)| argument)
}

impl Field<dropblock_argument> for Buffer {
    fn put(self, place: &mut dropblock_argument) {
        *place = argument_of(self);
    }

    fn get(place: dropblock_argument) -> Option<Self> {
        BUFFERS.iter().find(|&&(_, each)| each == place).map(|&(buffer, _)| buffer)
    }
}

/// The crate's errors: their status, and where their fields go.
macro_rules! errors {
    ($($status:ident $error:ident { $($field:ident: $place:ident $([$i:literal])?),* })*) => {
        impl From<Error> for Refusal {
            fn from(error: Error) -> Self {
                let mut refusal = Self::new(DROPBLOCK_STATUS_UNKNOWN, 0);
                match error {
                    $(Error::$error { $($field),* } => {
                        refusal.0.status = $status;
                        $($field.put(&mut refusal.0.$place $([$i])?);)*
                    })*
                    _ => {}
                }
                refusal
            }
        }

        /// The crate's error again, for its text.
        fn error_of(refusal: &dropblock_error) -> Option<Error> {
            Some(match refusal.status {
                $($status => Error::$error { $($field: Field::get(refusal.$place $([$i])?)?),* },)*
                _ => return None,
            })
        }
    };
}

errors! {
    DROPBLOCK_STATUS_DROP_PROB DropProb { given: value }
    DROPBLOCK_STATUS_GAMMA Gamma { given: value }
    DROPBLOCK_STATUS_GAMMA_SCALE GammaScale { given: value }
    DROPBLOCK_STATUS_BLOCK_SIZE BlockSize { axis: given[1] }
    DROPBLOCK_STATUS_BLOCK_FRACTION BlockFraction { given: value }
    DROPBLOCK_STATUS_RANK Rank { needed: needed[0], given: given[0] }
    DROPBLOCK_STATUS_TOO_LARGE TooLarge { limit: needed[0] }
    DROPBLOCK_STATUS_STRIDE Stride { axis: given[1], needed: needed[0], given: given[0] }
    DROPBLOCK_STATUS_LENGTH Length { buffer: argument, needed: needed[0], given: given[0] }
    DROPBLOCK_STATUS_COUNT Count { own: needed, given: given }
    DROPBLOCK_STATUS_GROUP Group { groups: needed[0], given: given[0] }
    DROPBLOCK_STATUS_MAP Map { needed: needed, given: given }
    DROPBLOCK_STATUS_POSITION Position { positions: needed[0], given: given[0] }
    DROPBLOCK_STATUS_FIRST_SAMPLE FirstSample { limit: needed[0], given: given[0] }
    DROPBLOCK_STATUS_SCHEDULE_VALUE ScheduleValue { given: value }
    DROPBLOCK_STATUS_SCHEDULE_STEP ScheduleStep { above: needed[0], given: given[0] }
    DROPBLOCK_STATUS_BACKEND Backend { given: given[0] }
    DROPBLOCK_STATUS_SCALE Scale { needed: needed[0], given: given[0] }
    DROPBLOCK_STATUS_VIEW View { buffer: argument, needed: needed, given: given }
    DROPBLOCK_STATUS_UNINIT Uninit {}
    DROPBLOCK_STATUS_NO_KEY NoKey {}
    DROPBLOCK_STATUS_LAYOUT Layout {}
    DROPBLOCK_STATUS_AXIS Axis { axis: given[1], limit: needed[0], given: given[0] }
    DROPBLOCK_STATUS_SCHEDULE_STEPS ScheduleSteps { limit: needed[0], given: given[0] }
}

/// What each status means, whatever was given.
const MESSAGES: [(dropblock_status, &CStr); 37] = [
    (DROPBLOCK_OK, c"no error"),
    (DROPBLOCK_STATUS_NULL, c"a pointer is null"),
    (DROPBLOCK_STATUS_MISALIGNED, c"a pointer is not aligned for its type"),
    (DROPBLOCK_STATUS_OVERLAP, c"memory that is written overlaps other memory"),
    (DROPBLOCK_STATUS_ADDRESS, c"a buffer is larger than memory can be"),
    (DROPBLOCK_STATUS_VALUE, c"a number is not one of those that are listed"),
    (DROPBLOCK_STATUS_STRUCT_SIZE, c"a struct is smaller than any version of it"),
    (DROPBLOCK_STATUS_NEWER, c"options of a newer version are set"),
    (DROPBLOCK_STATUS_MEMORY, c"the memory is too small for a plan"),
    (DROPBLOCK_STATUS_NOT_A_PLAN, c"the memory holds no plan of this library"),
    (DROPBLOCK_STATUS_NO_HALF, c"the library was built without f16 and bf16"),
    (DROPBLOCK_STATUS_GAMMA_VALUE, c"gamma needs a value, or has one that it does not take"),
    (DROPBLOCK_STATUS_DROP_PROB, c"the drop probability lies outside [0, 1]"),
    (DROPBLOCK_STATUS_GAMMA, c"gamma lies outside [0, 1]"),
    (DROPBLOCK_STATUS_GAMMA_SCALE, c"the factor of gamma is negative or not finite"),
    (DROPBLOCK_STATUS_BLOCK_SIZE, c"a block size is 0"),
    (DROPBLOCK_STATUS_BLOCK_FRACTION, c"the relative block size is not above 0 or not finite"),
    (DROPBLOCK_STATUS_RANK, c"the block has sizes for another number of axes than the map"),
    (DROPBLOCK_STATUS_TOO_LARGE, c"the tensor is too large"),
    (DROPBLOCK_STATUS_STRIDE, c"with these strides two units of the output could share an element"),
    (DROPBLOCK_STATUS_LENGTH, c"a buffer has the wrong length"),
    (DROPBLOCK_STATUS_COUNT, c"no mask of this plan has such a count"),
    (DROPBLOCK_STATUS_GROUP, c"there is no such scale group"),
    (DROPBLOCK_STATUS_MAP, c"there is no such map"),
    (DROPBLOCK_STATUS_POSITION, c"the position lies outside the map"),
    (DROPBLOCK_STATUS_FIRST_SAMPLE, c"the first sample is too large for positions of 64 bits"),
    (DROPBLOCK_STATUS_SCHEDULE_VALUE, c"a value of the schedule lies outside [0, 2^64]"),
    (DROPBLOCK_STATUS_SCHEDULE_STEP, c"the steps of the schedule do not rise"),
    (DROPBLOCK_STATUS_BACKEND, c"the backend cannot run here"),
    (
        DROPBLOCK_STATUS_SCALE,
        c"scales per sample or map do not follow from the count of a larger batch",
    ),
    (DROPBLOCK_STATUS_VIEW, c"a view leaves its buffer"),
    (DROPBLOCK_STATUS_UNINIT, c"a pass in place needs initialised elements"),
    (DROPBLOCK_STATUS_NO_KEY, c"noise is drawn from a key, and the mask has none"),
    (DROPBLOCK_STATUS_LAYOUT, c"the maps do not lie one behind the other"),
    (DROPBLOCK_STATUS_AXIS, c"an axis of the map is too long"),
    (DROPBLOCK_STATUS_SCHEDULE_STEPS, c"the schedule lists too many steps"),
    (DROPBLOCK_STATUS_UNKNOWN, c"refused for a reason that this interface does not know"),
];

const NO_MESSAGE: &CStr = c"no status of this library";

fn message(status: dropblock_status) -> &'static CStr {
    MESSAGES.iter().find(|(each, _)| *each == status).map_or(NO_MESSAGE, |&(_, message)| message)
}

/// The names of arguments, as in the header's declarations.
const ARGUMENTS: [(dropblock_argument, &str); 41] = [
    (DROPBLOCK_ARGUMENT_PLAN, "plan"),
    (DROPBLOCK_ARGUMENT_MEMORY, "memory"),
    (DROPBLOCK_ARGUMENT_OPTIONS, "options"),
    (DROPBLOCK_ARGUMENT_SHAPE, "shape"),
    (DROPBLOCK_ARGUMENT_KEY, "key"),
    (DROPBLOCK_ARGUMENT_X, "x"),
    (DROPBLOCK_ARGUMENT_Y, "y"),
    (DROPBLOCK_ARGUMENT_MASK, "mask"),
    (DROPBLOCK_ARGUMENT_WORDS, "words"),
    (DROPBLOCK_ARGUMENT_COUNT, "count"),
    (DROPBLOCK_ARGUMENT_DRAWN, "drawn"),
    (DROPBLOCK_ARGUMENT_RESULT, "result"),
    (DROPBLOCK_ARGUMENT_VALUE, "value"),
    (DROPBLOCK_ARGUMENT_KEEP, "keep"),
    (DROPBLOCK_ARGUMENT_CALLBACK, "callback"),
    (DROPBLOCK_ARGUMENT_SOURCE, "source"),
    (DROPBLOCK_ARGUMENT_DESTINATION, "destination"),
    (DROPBLOCK_ARGUMENT_DILATION, "dilation"),
    (DROPBLOCK_ARGUMENT_SCHEDULE, "schedule"),
    (DROPBLOCK_ARGUMENT_STEPS, "steps"),
    (DROPBLOCK_ARGUMENT_STRIDES, "strides"),
    (DROPBLOCK_ARGUMENT_ERROR, "error"),
    (DROPBLOCK_ARGUMENT_TYPE, "type"),
    (DROPBLOCK_ARGUMENT_PRESET, "preset"),
    (DROPBLOCK_ARGUMENT_MODE, "mode"),
    (DROPBLOCK_ARGUMENT_GAMMA, "kind of gamma"),
    (DROPBLOCK_ARGUMENT_HAS_VALUE, "has_value"),
    (DROPBLOCK_ARGUMENT_REGION, "region"),
    (DROPBLOCK_ARGUMENT_ALIGNMENT, "alignment"),
    (DROPBLOCK_ARGUMENT_SHARING, "sharing"),
    (DROPBLOCK_ARGUMENT_SCALE, "scale"),
    (DROPBLOCK_ARGUMENT_FILL, "fill"),
    (DROPBLOCK_ARGUMENT_BACKEND, "backend"),
    (DROPBLOCK_ARGUMENT_BLOCK, "kind of block"),
    (DROPBLOCK_ARGUMENT_LAYOUT, "layout"),
    (DROPBLOCK_ARGUMENT_MAP_RANK, "rank, or size of a missing axis,"),
    (DROPBLOCK_ARGUMENT_AXES, "axes"),
    (DROPBLOCK_ARGUMENT_COURSE, "course"),
    (DROPBLOCK_ARGUMENT_FIRST, "first"),
    (DROPBLOCK_ARGUMENT_HAS_KEY, "has_key"),
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
            DROPBLOCK_STATUS_VALUE => match needed {
                [low, high] if low == high => write!(f, "{name} must be {low}, got {given}"),
                [low, high] => write!(f, "{name} must be in [{low}, {high}], got {given}"),
            },
            DROPBLOCK_STATUS_STRUCT_SIZE | DROPBLOCK_STATUS_MEMORY => {
                write!(f, "{name} must have at least {} bytes, got {given}", needed[0])
            }
            status => write!(f, "{}", message(status).to_str().unwrap_or_default()),
        }
    }
}

/// Runs a function of the interface, and says why if it refuses.
///
/// # Safety
///
/// `error` is null, or points to a `dropblock_error` that may be written. What `run` passes to the
/// caller is as [`Caller::new`] wants it.
pub(crate) unsafe fn report(
    error: *mut dropblock_error,
    run: impl for<'c> FnOnce(&mut Caller<'c>) -> Result<(), Refusal>,
) -> dropblock_status {
    let place = if error.is_null() {
        None
    } else {
        match check(error, 1, DROPBLOCK_ARGUMENT_ERROR) {
            Ok((place, _)) => Some(place),
            Err(refusal) => return refusal.0.status,
        }
    };
    // SAFETY: by the contract of this function.
    let mut caller = unsafe { Caller::new() };
    let Err(refusal) = run(&mut caller) else { return DROPBLOCK_OK };
    if let Some(place) = place {
        // SAFETY: neither null nor misaligned, and valid by the contract of this function.
        unsafe { place.write(refusal.0) };
    }
    refusal.0.status
}

/// A function of the interface that can refuse: its last argument is the place of an error, and it
/// runs for a `Caller` of its own.
macro_rules! interface {
    (
        $(#[$doc:meta])*
        fn $function:ident($caller:ident $(, $argument:ident: $type:ty)*) { $($body:tt)* }
    ) => {
        $(#[$doc])*
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $function(
            $($argument: $type,)*
            error: *mut $crate::types::dropblock_error,
        ) -> $crate::types::dropblock_status {
            let run = |$caller: &mut $crate::memory::Caller<'_>| {
                $($body)*
                Ok(())
            };
            // SAFETY: the caller vouches for what it passes.
            unsafe { $crate::status::report(error, run) }
        }
    };
}

pub(crate) use interface;

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
    // SAFETY: the caller vouches for the error, and for so many bytes.
    let mut caller = unsafe { Caller::new() };
    let error = caller.copy(error, DROPBLOCK_ARGUMENT_ERROR);
    let Ok(text) = caller.write(text.cast::<u8>(), text_len, 0) else { return 0 };
    let mut writer = Text { text, len: 0 };
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
