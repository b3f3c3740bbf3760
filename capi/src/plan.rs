//! Plans in the caller's memory, and what they can be asked.

use core::ffi::c_void;

use engine::{Element, Plan};

use crate::backend;
use crate::constants::*;
use crate::memory::Caller;
use crate::options::layer;
use crate::shape::shape;
use crate::status::{Refusal, interface};
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

/// Puts a plan into memory of the caller.
fn put(
    caller: &mut Caller<'_>,
    (memory, size): (*mut c_void, usize),
    result: *mut *mut dropblock_plan,
    new: impl FnOnce(&mut Caller<'_>) -> Result<Plan, Refusal>,
) -> Result<(), Refusal> {
    let needed = size_of::<dropblock_plan>();
    if size < needed {
        return Err(Refusal::new(DROPBLOCK_STATUS_MEMORY, DROPBLOCK_ARGUMENT_MEMORY)
            .numbers([needed as u64, 0], size as u64));
    }
    let new = dropblock_plan::new(new(caller)?);
    let memory = memory.cast::<dropblock_plan>();
    let place = caller.result(memory, DROPBLOCK_ARGUMENT_MEMORY)?;
    caller.result(result, DROPBLOCK_ARGUMENT_RESULT)?.write(memory);
    place.write(new);
    Ok(())
}

interface! {
    /// Makes a plan in the caller's memory.
    fn dropblock_plan_init(
        caller, memory: *mut c_void, memory_size: usize, options: *const dropblock_options,
        shape: *const dropblock_shape, result: *mut *mut dropblock_plan
    ) {
        put(caller, (memory, memory_size), result, |caller| {
            Ok(layer(caller, options)?.plan(self::shape(caller, shape)?)?)
        })?;
    }
}

interface! {
    /// Makes a plan of the same layer for another number of samples.
    fn dropblock_plan_with_samples(
        caller, plan: *const dropblock_plan, samples: usize, memory: *mut c_void,
        memory_size: usize, result: *mut *mut dropblock_plan
    ) {
        let plan = caller.plan(plan)?;
        put(caller, (memory, memory_size), result, |_| Ok(plan.with_samples(samples)?))?;
    }
}

interface! {
    /// Says why memory is no plan.
    fn dropblock_plan_check(caller, plan: *const dropblock_plan) {
        caller.plan(plan)?;
    }
}

macro_rules! questions {
    ($($function:ident -> $result:ty { $none:expr, $ask:expr })*) => {
        $(
            /// Asks a plan, or says what stands for no plan.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $function(plan: *const dropblock_plan) -> $result {
                // SAFETY: the caller vouches for `plan`.
                let mut caller = unsafe { Caller::new() };
                caller.plan(plan).map_or($none, $ask)
            }
        )*

        /// The functions and their results, to be compared with the header.
        #[cfg(test)]
        pub(crate) const QUESTIONS: &[(&str, &str)] =
            &[$((stringify!($function), stringify!($result))),*];
    };
}

questions! {
    dropblock_plan_elements -> usize { 0, Plan::elements }
    dropblock_plan_units -> usize { 0, Plan::units }
    dropblock_plan_mask_words -> usize { 0, Plan::mask_words }
    dropblock_plan_groups -> usize { 0, Plan::groups }
    dropblock_plan_gamma -> f64 { f64::NAN, Plan::gamma }
    dropblock_plan_expected_dropped -> f64 { f64::NAN, Plan::expected_dropped }
    dropblock_plan_backend -> dropblock_backend { 0, |plan| backend::number(plan.backend()) }
}

/// The scale of kept units for a count.
fn scale<T: Element<Scale = T>>(
    caller: &mut Caller<'_>,
    plan: *const dropblock_plan,
    count: *const dropblock_drop_count,
    result: *mut T,
) -> Result<(), Refusal> {
    let plan = caller.plan(plan)?;
    let count = caller.copy(count, DROPBLOCK_ARGUMENT_COUNT)?;
    caller.result(result, DROPBLOCK_ARGUMENT_RESULT)?.write(plan.scale::<T>(count.into()));
    Ok(())
}

/// The scale of a position.
fn position_scale<T: Element<Scale = T>>(
    caller: &mut Caller<'_>,
    plan: *const dropblock_plan,
    position: usize,
    result: *mut T,
) -> Result<(), Refusal> {
    let scale = caller.plan(plan)?.position_scale::<T>(position)?;
    caller.result(result, DROPBLOCK_ARGUMENT_RESULT)?.write(scale);
    Ok(())
}

interface! {
    /// The scale of kept units for a count, in single precision.
    fn dropblock_plan_scale_f32(
        caller, plan: *const dropblock_plan, count: *const dropblock_drop_count,
        result: *mut f32
    ) {
        scale(caller, plan, count, result)?;
    }
}

interface! {
    /// The scale of kept units for a count, in double precision.
    fn dropblock_plan_scale_f64(
        caller, plan: *const dropblock_plan, count: *const dropblock_drop_count,
        result: *mut f64
    ) {
        scale(caller, plan, count, result)?;
    }
}

interface! {
    /// The scale of a position, in single precision.
    fn dropblock_plan_position_scale_f32(
        caller, plan: *const dropblock_plan, position: usize, result: *mut f32
    ) {
        position_scale(caller, plan, position, result)?;
    }
}

interface! {
    /// The scale of a position, in double precision.
    fn dropblock_plan_position_scale_f64(
        caller, plan: *const dropblock_plan, position: usize, result: *mut f64
    ) {
        position_scale(caller, plan, position, result)?;
    }
}
