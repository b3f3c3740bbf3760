//! Memory of the caller: checked for null, alignment, size and overlap before anything is made of
//! it.

use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use core::slice;

use engine::{Buffer, Error, Plan};

use crate::constants::*;
use crate::status::Refusal;
use crate::types::{dropblock_argument, dropblock_plan};

/// Memory that a call uses, and whether it writes there.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    end: usize,
    argument: dropblock_argument,
    is_written: bool,
}

/// More than any function takes.
const SPANS: usize = 8;

/// The caller of one function, who vouches for what it passes. Whatever is taken here must not
/// overlap what was taken before, if either is written.
#[derive(Debug)]
pub(crate) struct Caller<'c> {
    spans: [Option<Span>; SPANS],
    lifetime: PhantomData<&'c ()>,
}

impl<'c> Caller<'c> {
    /// # Safety
    ///
    /// For every pointer that is passed to the methods:
    ///
    /// * It is null, or points to as many values of its type as the length says; memory that is
    ///   only written may hold anything.
    /// * For `'c` nobody else writes there, nor reads what the call writes.
    /// * A pointer to a plan points to 16 bytes at least. If these are the first of a plan of this
    ///   build, the whole plan is there.
    pub(crate) const unsafe fn new() -> Self {
        Self { spans: [None; SPANS], lifetime: PhantomData }
    }

    /// Refuses null (unless nothing is to be there), a misaligned address, more bytes than an
    /// object can have, and overlap.
    fn take<T>(
        &mut self,
        pointer: *const T,
        len: usize,
        argument: dropblock_argument,
        is_written: bool,
    ) -> Result<NonNull<T>, Refusal> {
        let (start, end) = check(pointer, len, argument)?;
        let span = Span { start: start.addr().get(), end, argument, is_written };
        let mut free = None;
        for place in &mut self.spans {
            let Some(other) = *place else {
                free = Some(place);
                break;
            };
            if (is_written || other.is_written)
                && span.start.max(other.start) < span.end.min(other.end)
            {
                let (a, b) = if other.is_written { (other, span) } else { (span, other) };
                return Err(Refusal::new(DROPBLOCK_STATUS_OVERLAP, a.argument)
                    .numbers([0; 2], b.argument.into()));
            }
        }
        match free {
            Some(free) => *free = Some(span),
            None => return Err(Refusal::new(DROPBLOCK_STATUS_UNKNOWN, argument)),
        }
        Ok(start)
    }

    /// Memory that is only read.
    pub(crate) fn read<T>(
        &mut self,
        pointer: *const T,
        len: usize,
        argument: dropblock_argument,
    ) -> Result<&'c [T], Refusal> {
        let start = self.take(pointer, len, argument, false)?;
        // SAFETY: aligned, not null, no more than `isize::MAX` bytes; the caller vouches for the
        // values, and nothing that overlaps them is taken for writing.
        Ok(unsafe { slice::from_raw_parts(start.as_ptr(), len) })
    }

    /// Memory that is read and written.
    pub(crate) fn write<T>(
        &mut self,
        pointer: *mut T,
        len: usize,
        argument: dropblock_argument,
    ) -> Result<&'c mut [T], Refusal> {
        let start = self.take(pointer, len, argument, true)?;
        // SAFETY: aligned, not null, no more than `isize::MAX` bytes; the caller vouches for the
        // values, and nothing else that overlaps them is taken.
        Ok(unsafe { slice::from_raw_parts_mut(start.as_ptr(), len) })
    }

    /// The place of a result.
    pub(crate) fn result<T>(
        &mut self,
        pointer: *mut T,
        argument: dropblock_argument,
    ) -> Result<&'c mut MaybeUninit<T>, Refusal> {
        let mut start = self.take(pointer.cast::<MaybeUninit<T>>(), 1, argument, true)?;
        // SAFETY: aligned and not null; the caller vouches for it, and nothing else that overlaps
        // it is taken.
        Ok(unsafe { start.as_mut() })
    }

    /// The place of a result that is not wanted if it is null.
    pub(crate) fn result_or_none<T>(
        &mut self,
        pointer: *mut T,
        argument: dropblock_argument,
    ) -> Result<Option<&'c mut MaybeUninit<T>>, Refusal> {
        if pointer.is_null() { Ok(None) } else { self.result(pointer, argument).map(Some) }
    }

    /// Copies a struct. It is gone before anything is written, so that results may take its place.
    pub(crate) fn copy<T: Copy>(
        &self,
        pointer: *const T,
        argument: dropblock_argument,
    ) -> Result<T, Refusal> {
        let (start, _) = check(pointer, 1, argument)?;
        // SAFETY: aligned and not null, and the caller vouches for the value.
        Ok(unsafe { start.read() })
    }

    /// A plan. Refuses memory that does not begin as a plan does.
    pub(crate) fn plan(&mut self, plan: *const dropblock_plan) -> Result<&'c Plan, Refusal> {
        let start = self.take(plan, 1, DROPBLOCK_ARGUMENT_PLAN, false)?;
        // SAFETY: aligned, and so is its first field; the caller vouches for 16 bytes.
        let magic = unsafe { start.cast::<[u64; 2]>().read() };
        if !dropblock_plan::is_magic(magic) {
            return Err(Refusal::new(DROPBLOCK_STATUS_NOT_A_PLAN, DROPBLOCK_ARGUMENT_PLAN));
        }
        // SAFETY: it begins as only a plan does, and then the caller vouches for the rest.
        let memory = unsafe { start.as_ref() };
        Ok(&memory.plan)
    }

    /// The words of a mask that the plan needs, of at least as many.
    pub(crate) fn words(
        &mut self,
        plan: &Plan,
        words: *const u64,
        len: usize,
    ) -> Result<&'c [u64], Refusal> {
        self.read(words, enough(plan.mask_words(), len)?, DROPBLOCK_ARGUMENT_WORDS)
    }

    /// The same for words that are written.
    pub(crate) fn words_mut(
        &mut self,
        plan: &Plan,
        words: *mut u64,
        len: usize,
    ) -> Result<&'c mut [u64], Refusal> {
        self.write(words, enough(plan.mask_words(), len)?, DROPBLOCK_ARGUMENT_WORDS)
    }
}

/// The words that are needed, of at least as many.
pub(crate) fn enough(needed: usize, given: usize) -> Result<usize, Error> {
    let buffer = Buffer::Mask;
    if given < needed { Err(Error::Length { buffer, needed, given }) } else { Ok(needed) }
}

/// So many values, and the address behind them. Refuses null (unless nothing is to be there), a
/// misaligned address, and more bytes than an object can have.
pub(crate) fn check<T>(
    pointer: *const T,
    len: usize,
    argument: dropblock_argument,
) -> Result<(NonNull<T>, usize), Refusal> {
    if len == 0 {
        let start = NonNull::dangling();
        return Ok((start, start.addr().get()));
    }
    let Some(start) = NonNull::new(pointer.cast_mut()) else {
        return Err(Refusal::new(DROPBLOCK_STATUS_NULL, argument));
    };
    if !start.is_aligned() {
        return Err(Refusal::new(DROPBLOCK_STATUS_MISALIGNED, argument)
            .numbers([align_of::<T>() as u64, 0], 0));
    }
    let bytes = len.checked_mul(size_of::<T>()).filter(|&bytes| isize::try_from(bytes).is_ok());
    match bytes.and_then(|bytes| start.addr().checked_add(bytes)) {
        Some(end) => Ok((start, end.get())),
        None => Err(Refusal::new(DROPBLOCK_STATUS_ADDRESS, argument)),
    }
}
