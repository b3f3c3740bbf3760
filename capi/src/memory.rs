//! Memory of the caller: checked for null, alignment, size and overlap before anything is made of
//! it.

use core::ptr::NonNull;
use core::slice;

use engine::{Buffer, Element, Error, Plan};

use crate::constants::*;
use crate::status::Refusal;
use crate::types::{dropblock_argument, dropblock_plan};

/// So many values at an aligned address, or none.
#[derive(Debug)]
pub(crate) struct Array<T> {
    start: NonNull<T>,
    len: usize,
    argument: dropblock_argument,
}

impl<T> Array<T> {
    /// Refuses null (unless nothing is to be there), a misaligned address, and more bytes than an
    /// object can have.
    pub(crate) fn new(
        pointer: *const T,
        len: usize,
        argument: dropblock_argument,
    ) -> Result<Self, Refusal> {
        if len == 0 {
            return Ok(Self { start: NonNull::dangling(), len, argument });
        }
        let Some(start) = NonNull::new(pointer.cast_mut()) else {
            return Err(Refusal::new(DROPBLOCK_STATUS_NULL, argument));
        };
        if !start.is_aligned() {
            return Err(Refusal::new(DROPBLOCK_STATUS_MISALIGNED, argument)
                .needed(align_of::<T>() as u64, 0));
        }
        let bytes = len.checked_mul(size_of::<T>()).filter(|&bytes| isize::try_from(bytes).is_ok());
        match bytes.and_then(|bytes| start.addr().checked_add(bytes)) {
            Some(_) => Ok(Self { start, len, argument }),
            None => Err(Refusal::new(DROPBLOCK_STATUS_ADDRESS, argument)),
        }
    }

    /// One value.
    pub(crate) fn one(pointer: *const T, argument: dropblock_argument) -> Result<Self, Refusal> {
        Self::new(pointer, 1, argument)
    }

    /// The bytes that it covers.
    pub(crate) fn span(&self) -> Span {
        let start = self.start.addr().get();
        Span { start, end: start + self.len * size_of::<T>(), argument: self.argument }
    }

    /// # Safety
    ///
    /// * The memory holds so many values, and for `'a` nobody writes to them.
    pub(crate) unsafe fn slice<'a>(&self) -> &'a [T] {
        // SAFETY: aligned, not null, no more than `isize::MAX` bytes; the rest is the contract.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// # Safety
    ///
    /// * The memory holds so many values, and for `'a` nobody else reads or writes them.
    pub(crate) unsafe fn slice_mut<'a>(self) -> &'a mut [T] {
        // SAFETY: aligned, not null, no more than `isize::MAX` bytes; the rest is the contract.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }

    /// # Safety
    ///
    /// * Made by [`one`](Self::one), and the memory holds a value.
    pub(crate) unsafe fn read(&self) -> T
    where
        T: Copy,
    {
        // SAFETY: aligned and not null; the rest is the contract.
        unsafe { self.start.read() }
    }

    /// # Safety
    ///
    /// * Made by [`one`](Self::one), and the memory may be written.
    pub(crate) unsafe fn write(&self, value: T) {
        // SAFETY: aligned and not null; the rest is the contract.
        unsafe { self.start.write(value) };
    }
}

/// The addresses that something covers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    start: usize,
    end: usize,
    argument: dropblock_argument,
}

/// Refuses memory that is written and overlaps other memory.
pub(crate) fn check_apart(written: &[Span], read: &[Span]) -> Result<(), Refusal> {
    for (i, a) in written.iter().enumerate() {
        for b in written.iter().skip(i + 1).chain(read) {
            if a.start.max(b.start) < a.end.min(b.end) {
                return Err(
                    Refusal::new(DROPBLOCK_STATUS_OVERLAP, a.argument).needed(0, b.argument.into())
                );
            }
        }
    }
    Ok(())
}

/// Copies a struct of the caller.
///
/// # Safety
///
/// * `pointer` is null, or points to a value.
pub(crate) unsafe fn copy<T: Copy>(
    pointer: *const T,
    argument: dropblock_argument,
) -> Result<T, Refusal> {
    let place = Array::one(pointer, argument)?;
    // SAFETY: by the contract of this function.
    Ok(unsafe { place.read() })
}

/// A plan in the caller's memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handle<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) span: Span,
}

impl Handle<'_> {
    /// Refuses null, a misaligned address, and memory that does not begin as a plan does.
    ///
    /// # Safety
    ///
    /// * `plan` is null or points to 16 bytes at least.
    /// * If these are the first of a plan of this build, the whole plan is there, and nobody
    ///   writes to it while the handle is used.
    pub(crate) unsafe fn new(plan: *const dropblock_plan) -> Result<Self, Refusal> {
        let place = Array::one(plan, DROPBLOCK_ARGUMENT_PLAN)?;
        // SAFETY: `place` is aligned, and so is its first field, 16 bytes for which the caller
        // vouches.
        let magic = unsafe { plan.cast::<[u64; 2]>().read() };
        if !dropblock_plan::is_magic(magic) {
            return Err(Refusal::new(DROPBLOCK_STATUS_NOT_A_PLAN, DROPBLOCK_ARGUMENT_PLAN));
        }
        // SAFETY: it begins as only a plan does, and then the caller vouches for the rest.
        let memory = unsafe { &*plan };
        Ok(Self { plan: &memory.plan, span: place.span() })
    }
}

/// The words of a mask that the plan needs, of at least as many.
pub(crate) fn mask(plan: &Plan, mask: *const u64, len: usize) -> Result<Array<u64>, Refusal> {
    let needed = plan.mask_len();
    if len < needed {
        return Err(Error::Length { buffer: Buffer::Mask, needed, given: len }.into());
    }
    Array::new(mask, needed, DROPBLOCK_ARGUMENT_MASK)
}

/// A mask buffer, or null and 0 for none.
pub(crate) fn mask_or_none(
    plan: &Plan,
    words: *const u64,
    len: usize,
) -> Result<Option<Array<u64>>, Refusal> {
    if words.is_null() && len == 0 {
        return Ok(None);
    }
    mask(plan, words, len).map(Some)
}

/// The elements of the tensor that is written.
pub(crate) fn output<T>(plan: &Plan, y: *mut T, len: usize) -> Result<Array<T>, Refusal> {
    let needed = plan.extent();
    if len != needed {
        return Err(Error::Length { buffer: Buffer::Output, needed, given: len }.into());
    }
    Array::new(y, len, DROPBLOCK_ARGUMENT_Y)
}

/// The tensor that is read and the one that is written, which may be the same.
#[derive(Debug)]
pub(crate) enum Pair<T> {
    InPlace(Array<T>),
    To(Array<T>, Array<T>),
}

impl<T: Element> Pair<T> {
    pub(crate) fn new(
        plan: &Plan,
        (x, x_len): (*const T, usize),
        (y, y_len): (*mut T, usize),
    ) -> Result<Self, Refusal> {
        let needed = plan.extent();
        if x_len != needed {
            return Err(Error::Length { buffer: Buffer::Input, needed, given: x_len }.into());
        }
        let input = Array::new(x, x_len, DROPBLOCK_ARGUMENT_X)?;
        let output = output(plan, y, y_len)?;
        Ok(if input.start == output.start {
            Self::InPlace(output)
        } else {
            Self::To(input, output)
        })
    }

    /// Refuses overlap with other memory and of the two, if they are two.
    pub(crate) fn check_apart(&self, written: &[Span], read: &[Span]) -> Result<(), Refusal> {
        let (input, output) = match self {
            Self::InPlace(output) => (None, output.span()),
            Self::To(input, output) => (Some(input.span()), output.span()),
        };
        check_apart(&[output], written)?;
        check_apart(&[output], read)?;
        check_apart(written, read)?;
        if let Some(input) = input {
            check_apart(&[output], &[input])?;
            check_apart(written, &[input])?;
        }
        Ok(())
    }
}
