//! A mask for a kernel of the caller's own.

use core::ffi::c_void;

use crate::constants::*;
use crate::memory::{Array, Handle, check_apart, copy, mask};
use crate::status::{Refusal, report};
use crate::types::*;

const WORD_BITS: usize = u64::BITS as usize;

/// The words that a visitor is shown at a time: as many as the crate generates.
const KEEP: usize = 256;

/// Writes keep words of one map.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_keep_words(
    plan: *const dropblock_plan,
    mask: *const u64,
    mask_len: usize,
    sample: usize,
    channel: usize,
    position: usize,
    keep: *mut u64,
    keep_len: usize,
    error: *mut dropblock_error,
) -> dropblock_status {
    let run = || {
        // SAFETY: the caller vouches for `plan`.
        let handle = unsafe { Handle::new(plan) }?;
        let words = self::mask(handle.plan, mask, mask_len)?;
        let keep = Array::new(keep, keep_len, DROPBLOCK_ARGUMENT_KEEP)?;
        check_apart(&[keep.span()], &[handle.span, words.span()])?;
        // SAFETY: the caller vouches for so many words; nothing that is written overlaps them.
        let view = handle.plan.view(unsafe { words.slice() }, sample, channel)?;
        // SAFETY: the caller vouches for so many words; they overlap nothing.
        let keep = unsafe { keep.slice_mut() };
        let mut unit = position;
        for word in keep {
            *word = view.keep_word(unit);
            unit = unit.saturating_add(WORD_BITS);
        }
        Ok(())
    };
    // SAFETY: the caller vouches for `error`.
    unsafe { report(error, run) }
}

/// Generates the mask without a buffer and shows it plane by plane.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_for_each_plane(
    plan: *const dropblock_plan,
    key: *const dropblock_key,
    visit: Option<dropblock_visit>,
    context: *mut c_void,
    dropped: *mut dropblock_dropped,
    error: *mut dropblock_error,
) -> dropblock_status {
    let run = || {
        // SAFETY: the caller vouches for `plan`.
        let handle = unsafe { Handle::new(plan) }?;
        // SAFETY: the caller vouches for `key`.
        let key = unsafe { copy(key, DROPBLOCK_ARGUMENT_KEY) }?.get();
        let null = Refusal::new(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_CALLBACK);
        let visit = visit.ok_or(null)?;
        let dropped = Array::one(dropped, DROPBLOCK_ARGUMENT_DROPPED)?;
        check_apart(&[dropped.span()], &[handle.span])?;
        let mut buffer = [0; KEEP];
        let count = handle.plan.for_each_plane(key, |part| {
            for start in (0..part.mask.len()).step_by(KEEP * WORD_BITS) {
                let len = (part.mask.len() - start).min(KEEP * WORD_BITS);
                let keep_len = len.div_ceil(WORD_BITS);
                for (i, word) in buffer.iter_mut().take(keep_len).enumerate() {
                    *word = part.mask.keep_word(start + i * WORD_BITS);
                }
                let part = dropblock_plane_part {
                    sample: part.sample,
                    channel: part.channel,
                    position: part.positions.start + start,
                    len,
                    keep: buffer.as_ptr(),
                    keep_len,
                };
                // SAFETY: the caller vouches for the function.
                unsafe { visit(context, &raw const part) };
            }
        })?;
        // SAFETY: the caller vouches for `dropped`.
        unsafe { dropped.write(count.into()) };
        Ok(())
    };
    // SAFETY: the caller vouches for `error`.
    unsafe { report(error, run) }
}
