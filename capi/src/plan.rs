//! Plans in the caller's memory, and what they can be asked.

use core::ffi::c_void;

use engine::{Dropped, Error, Plan};

use crate::backend;
use crate::constants::*;
use crate::memory::{Array, Handle, check_apart, copy};
use crate::options::layer;
use crate::shape::shape;
use crate::status::{Refusal, report};
use crate::types::*;

/// The bytes that a plan takes, at most `DROPBLOCK_PLAN_SIZE`.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn dropblock_plan_size() -> usize {
    size_of::<dropblock_plan>()
}

/// The alignment that a plan needs, at most `DROPBLOCK_PLAN_ALIGN`.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn dropblock_plan_align() -> usize {
    align_of::<dropblock_plan>()
}

/// Makes a plan in the caller's memory.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_plan_init(
    memory: *mut c_void,
    memory_size: usize,
    options: *const dropblock_options,
    shape: *const dropblock_shape,
    plan: *mut *mut dropblock_plan,
    error: *mut dropblock_error,
) -> dropblock_status {
    let run = || {
        let needed = size_of::<dropblock_plan>();
        if memory_size < needed {
            return Err(Refusal::new(DROPBLOCK_STATUS_MEMORY, DROPBLOCK_ARGUMENT_MEMORY)
                .needed(needed as u64, memory_size as u64));
        }
        let place = Array::one(memory.cast::<dropblock_plan>(), DROPBLOCK_ARGUMENT_MEMORY)?;
        let result = Array::one(plan, DROPBLOCK_ARGUMENT_PLAN)?;
        check_apart(&[place.span(), result.span()], &[])?;
        // SAFETY: the caller vouches for `options`.
        let layer = unsafe { layer(options) }?;
        // SAFETY: the caller vouches for `shape`.
        let shape = unsafe { self::shape(shape) }?;
        let new = dropblock_plan::new(layer.plan(shape)?);
        // SAFETY: aligned, large enough, and the caller vouches for the memory.
        unsafe { place.write(new) };
        // SAFETY: not null, aligned, and the caller vouches for the pointer there.
        unsafe { result.write(memory.cast()) };
        Ok(())
    };
    // SAFETY: the caller vouches for `error`.
    unsafe { report(error, run) }
}

/// Says why memory is no plan.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_plan_check(
    plan: *const dropblock_plan,
    error: *mut dropblock_error,
) -> dropblock_status {
    // SAFETY: the caller vouches for `plan`.
    let run = || unsafe { Handle::new(plan) }.map(|_| ());
    // SAFETY: the caller vouches for `error`.
    unsafe { report(error, run) }
}

/// The elements of the tensor.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_plan_len(plan: *const dropblock_plan) -> usize {
    // SAFETY: the caller vouches for `plan`.
    unsafe { Handle::new(plan) }.map_or(0, |handle| handle.plan.len())
}

/// The length of the tensor's buffers.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_plan_extent(plan: *const dropblock_plan) -> usize {
    // SAFETY: the caller vouches for `plan`.
    unsafe { Handle::new(plan) }.map_or(0, |handle| handle.plan.extent())
}

/// The units of the mask.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_plan_units(plan: *const dropblock_plan) -> usize {
    // SAFETY: the caller vouches for `plan`.
    unsafe { Handle::new(plan) }.map_or(0, |handle| handle.plan.units())
}

/// The words of the mask.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_plan_mask_len(plan: *const dropblock_plan) -> usize {
    // SAFETY: the caller vouches for `plan`.
    unsafe { Handle::new(plan) }.map_or(0, |handle| handle.plan.mask_len())
}

/// The scale groups.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_plan_groups(plan: *const dropblock_plan) -> usize {
    // SAFETY: the caller vouches for `plan`.
    unsafe { Handle::new(plan) }.map_or(0, |handle| handle.plan.groups())
}

/// Gamma as it is really used.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_plan_gamma(plan: *const dropblock_plan) -> f64 {
    // SAFETY: the caller vouches for `plan`.
    unsafe { Handle::new(plan) }.map_or(f64::NAN, |handle| handle.plan.gamma())
}

/// The exact expected dropped fraction.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_plan_expected_dropped(
    plan: *const dropblock_plan,
) -> f64 {
    // SAFETY: the caller vouches for `plan`.
    unsafe { Handle::new(plan) }.map_or(f64::NAN, |handle| handle.plan.expected_dropped())
}

/// The backend that runs the operations.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_plan_backend(
    plan: *const dropblock_plan,
) -> dropblock_backend {
    // SAFETY: the caller vouches for `plan`.
    unsafe { Handle::new(plan) }.map_or(0, |handle| backend::number(handle.plan.backend()))
}

/// The scale of kept units for a count, in single precision.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_plan_scale_f32(
    plan: *const dropblock_plan,
    dropped: *const dropblock_dropped,
    result: *mut f32,
    error: *mut dropblock_error,
) -> dropblock_status {
    // SAFETY: the caller vouches for the pointers.
    let run =
        || unsafe { scale(plan, dropped, result, |plan, dropped| plan.scale::<f32>(dropped)) };
    // SAFETY: the caller vouches for `error`.
    unsafe { report(error, run) }
}

/// The scale of kept units for a count, in double precision.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_plan_scale_f64(
    plan: *const dropblock_plan,
    dropped: *const dropblock_dropped,
    result: *mut f64,
    error: *mut dropblock_error,
) -> dropblock_status {
    // SAFETY: the caller vouches for the pointers.
    let run =
        || unsafe { scale(plan, dropped, result, |plan, dropped| plan.scale::<f64>(dropped)) };
    // SAFETY: the caller vouches for `error`.
    unsafe { report(error, run) }
}

/// The scale of a position, in single precision.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_plan_position_scale_f32(
    plan: *const dropblock_plan,
    position: usize,
    result: *mut f32,
    error: *mut dropblock_error,
) -> dropblock_status {
    let ask = |plan: &Plan| plan.position_scale::<f32>(position);
    // SAFETY: the caller vouches for the pointers.
    let run = || unsafe { position_scale(plan, result, ask) };
    // SAFETY: the caller vouches for `error`.
    unsafe { report(error, run) }
}

/// The scale of a position, in double precision.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_plan_position_scale_f64(
    plan: *const dropblock_plan,
    position: usize,
    result: *mut f64,
    error: *mut dropblock_error,
) -> dropblock_status {
    let ask = |plan: &Plan| plan.position_scale::<f64>(position);
    // SAFETY: the caller vouches for the pointers.
    let run = || unsafe { position_scale(plan, result, ask) };
    // SAFETY: the caller vouches for `error`.
    unsafe { report(error, run) }
}

/// # Safety
///
/// * Each pointer is null, or what it points to may be read, or written for `result`.
unsafe fn scale<T>(
    plan: *const dropblock_plan,
    dropped: *const dropblock_dropped,
    result: *mut T,
    ask: impl FnOnce(&Plan, &Dropped) -> T,
) -> Result<(), Refusal> {
    // SAFETY: by the contract of this function.
    let handle = unsafe { Handle::new(plan) }?;
    // SAFETY: by the contract of this function.
    let dropped = unsafe { copy(dropped, DROPBLOCK_ARGUMENT_DROPPED) }?;
    let result = Array::one(result, DROPBLOCK_ARGUMENT_RESULT)?;
    check_apart(&[result.span()], &[handle.span])?;
    let scale = ask(handle.plan, &dropped.into());
    // SAFETY: by the contract of this function.
    unsafe { result.write(scale) };
    Ok(())
}

/// # Safety
///
/// * Each pointer is null, or what it points to may be read, or written for `result`.
unsafe fn position_scale<T>(
    plan: *const dropblock_plan,
    result: *mut T,
    ask: impl FnOnce(&Plan) -> Result<T, Error>,
) -> Result<(), Refusal> {
    // SAFETY: by the contract of this function.
    let handle = unsafe { Handle::new(plan) }?;
    let result = Array::one(result, DROPBLOCK_ARGUMENT_RESULT)?;
    check_apart(&[result.span()], &[handle.span])?;
    let scale = ask(handle.plan)?;
    // SAFETY: by the contract of this function.
    unsafe { result.write(scale) };
    Ok(())
}
