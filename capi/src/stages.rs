//! The stages one by one: centres, dilation, mask, count.

use core::convert::Infallible;
use core::ffi::c_void;

use engine::rand_core::TryRng;

use crate::constants::*;
use crate::memory::{Array, Handle, check_apart, copy, mask};
use crate::status::{Refusal, report};
use crate::types::*;

/// Stage 1: writes the centres.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_centers(
    plan: *const dropblock_plan,
    key: *const dropblock_key,
    mask: *mut u64,
    mask_len: usize,
    count: *mut u64,
    error: *mut dropblock_error,
) -> dropblock_status {
    let run = || {
        // SAFETY: the caller vouches for `plan`.
        let handle = unsafe { Handle::new(plan) }?;
        // SAFETY: the caller vouches for `key`.
        let key = unsafe { copy(key, DROPBLOCK_ARGUMENT_KEY) }?.get();
        let words = self::mask(handle.plan, mask, mask_len)?;
        let count = Array::one(count, DROPBLOCK_ARGUMENT_COUNT)?;
        check_apart(&[words.span(), count.span()], &[handle.span])?;
        // SAFETY: the caller vouches for so many words; they overlap nothing.
        let centers = handle.plan.centers(key, unsafe { words.slice_mut() })?;
        // SAFETY: the caller vouches for `count`.
        unsafe { count.write(centers) };
        Ok(())
    };
    // SAFETY: the caller vouches for `error`.
    unsafe { report(error, run) }
}

/// A generator of the caller's.
#[derive(Debug)]
struct Draws {
    draw: dropblock_draw,
    context: *mut c_void,
}

impl TryRng for Draws {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        // SAFETY: the caller of `dropblock_centers_from_draws` vouches for both.
        Ok(unsafe { (self.draw)(self.context) })
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let low = u64::from(self.try_next_u32()?);
        Ok(u64::from(self.try_next_u32()?) << 32 | low)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(4) {
            let draw = self.try_next_u32()?.to_le_bytes();
            chunk.copy_from_slice(&draw[..chunk.len()]);
        }
        Ok(())
    }
}

/// Stage 1 with a generator of the caller's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_centers_from_draws(
    plan: *const dropblock_plan,
    draw: Option<dropblock_draw>,
    context: *mut c_void,
    mask: *mut u64,
    mask_len: usize,
    count: *mut u64,
    error: *mut dropblock_error,
) -> dropblock_status {
    let run = || {
        // SAFETY: the caller vouches for `plan`.
        let handle = unsafe { Handle::new(plan) }?;
        let null = Refusal::new(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_CALLBACK);
        let mut draws = Draws { draw: draw.ok_or(null)?, context };
        let words = self::mask(handle.plan, mask, mask_len)?;
        let count = Array::one(count, DROPBLOCK_ARGUMENT_COUNT)?;
        check_apart(&[words.span(), count.span()], &[handle.span])?;
        // SAFETY: the caller vouches for so many words; they overlap nothing.
        let centers = handle.plan.centers_from_rng(&mut draws, unsafe { words.slice_mut() })?;
        // SAFETY: the caller vouches for `count`.
        unsafe { count.write(centers) };
        Ok(())
    };
    // SAFETY: the caller vouches for `error`.
    unsafe { report(error, run) }
}

/// Stage 2: expands centres to blocks, in place.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_dilate(
    plan: *const dropblock_plan,
    mask: *mut u64,
    mask_len: usize,
    error: *mut dropblock_error,
) -> dropblock_status {
    let run = || {
        // SAFETY: the caller vouches for `plan`.
        let handle = unsafe { Handle::new(plan) }?;
        let words = self::mask(handle.plan, mask, mask_len)?;
        check_apart(&[words.span()], &[handle.span])?;
        // SAFETY: the caller vouches for so many words; they overlap nothing.
        handle.plan.dilate(unsafe { words.slice_mut() })?;
        Ok(())
    };
    // SAFETY: the caller vouches for `error`.
    unsafe { report(error, run) }
}

/// Stages 1 and 2: writes the mask and counts it.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_mask(
    plan: *const dropblock_plan,
    key: *const dropblock_key,
    mask: *mut u64,
    mask_len: usize,
    dropped: *mut dropblock_dropped,
    error: *mut dropblock_error,
) -> dropblock_status {
    let run = || {
        // SAFETY: the caller vouches for `plan`.
        let handle = unsafe { Handle::new(plan) }?;
        // SAFETY: the caller vouches for `key`.
        let key = unsafe { copy(key, DROPBLOCK_ARGUMENT_KEY) }?.get();
        let words = self::mask(handle.plan, mask, mask_len)?;
        let dropped = Array::one(dropped, DROPBLOCK_ARGUMENT_DROPPED)?;
        check_apart(&[words.span(), dropped.span()], &[handle.span])?;
        // SAFETY: the caller vouches for so many words; they overlap nothing.
        let count = handle.plan.mask(key, unsafe { words.slice_mut() })?;
        // SAFETY: the caller vouches for `dropped`.
        unsafe { dropped.write(count.into()) };
        Ok(())
    };
    // SAFETY: the caller vouches for `error`.
    unsafe { report(error, run) }
}

/// Counts the dropped units of a mask.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_count(
    plan: *const dropblock_plan,
    mask: *const u64,
    mask_len: usize,
    dropped: *mut dropblock_dropped,
    error: *mut dropblock_error,
) -> dropblock_status {
    // SAFETY: the caller vouches for the pointers.
    let run = || unsafe { count(plan, (mask, mask_len), None, dropped) };
    // SAFETY: the caller vouches for `error`.
    unsafe { report(error, run) }
}

/// Counts the dropped units of one scale group.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_count_group(
    plan: *const dropblock_plan,
    mask: *const u64,
    mask_len: usize,
    group: usize,
    dropped: *mut dropblock_dropped,
    error: *mut dropblock_error,
) -> dropblock_status {
    // SAFETY: the caller vouches for the pointers.
    let run = || unsafe { count(plan, (mask, mask_len), Some(group), dropped) };
    // SAFETY: the caller vouches for `error`.
    unsafe { report(error, run) }
}

/// # Safety
///
/// * Each pointer is null, or what it points to may be read, or written for `dropped`.
unsafe fn count(
    plan: *const dropblock_plan,
    (words, len): (*const u64, usize),
    group: Option<usize>,
    dropped: *mut dropblock_dropped,
) -> Result<(), Refusal> {
    // SAFETY: by the contract of this function.
    let handle = unsafe { Handle::new(plan) }?;
    let words = mask(handle.plan, words, len)?;
    let dropped = Array::one(dropped, DROPBLOCK_ARGUMENT_DROPPED)?;
    check_apart(&[dropped.span()], &[handle.span, words.span()])?;
    // SAFETY: by the contract of this function.
    let words = unsafe { words.slice() };
    let count = match group {
        None => handle.plan.count(words)?,
        Some(group) => handle.plan.count_group(words, group)?,
    };
    // SAFETY: by the contract of this function.
    unsafe { dropped.write(count.into()) };
    Ok(())
}
