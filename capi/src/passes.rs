//! Whole passes, and stage 3 alone, for every type of element.

use core::ffi::c_void;

use engine::Element;
#[cfg(feature = "half")]
use engine::half;

use crate::constants::*;
use crate::memory::{Array, Handle, Pair, check_apart, copy, mask, mask_or_none, output};
use crate::status::{Refusal, report};
use crate::types::*;

/// Two tensors or one, as they come from C.
#[derive(Clone, Copy, Debug)]
struct Tensors {
    x: *const c_void,
    x_len: usize,
    y: *mut c_void,
    y_len: usize,
}

impl Tensors {
    fn pair<T: Element>(&self, handle: &Handle<'_>) -> Result<Pair<T>, Refusal> {
        Pair::new(handle.plan, (self.x.cast(), self.x_len), (self.y.cast(), self.y_len))
    }
}

/// Calls a function for the type of a number.
macro_rules! for_type {
    ($number:expr, $function:ident::<_>($($argument:expr),* $(,)?)) => {
        match $number {
            // SAFETY: the contract of the function that is called is that of the one that calls.
            DROPBLOCK_TYPE_F32 => unsafe { $function::<f32>($($argument),*) },
            // SAFETY: the same.
            DROPBLOCK_TYPE_F64 => unsafe { $function::<f64>($($argument),*) },
            #[cfg(feature = "half")]
            // SAFETY: the same.
            DROPBLOCK_TYPE_F16 => unsafe { $function::<half::f16>($($argument),*) },
            #[cfg(feature = "half")]
            // SAFETY: the same.
            DROPBLOCK_TYPE_BF16 => unsafe { $function::<half::bf16>($($argument),*) },
            #[cfg(not(feature = "half"))]
            DROPBLOCK_TYPE_F16 | DROPBLOCK_TYPE_BF16 => {
                Err(Refusal::new(DROPBLOCK_STATUS_NO_HALF, DROPBLOCK_ARGUMENT_TYPE))
            }
            given => Err(Refusal::unknown(DROPBLOCK_ARGUMENT_TYPE, given)),
        }
    };
}

/// Forward pass.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_forward(
    plan: *const dropblock_plan,
    key: *const dropblock_key,
    r#type: dropblock_type,
    x: *const c_void,
    x_len: usize,
    y: *mut c_void,
    y_len: usize,
    mask: *mut u64,
    mask_len: usize,
    dropped: *mut dropblock_dropped,
    error: *mut dropblock_error,
) -> dropblock_status {
    let tensors = Tensors { x, x_len, y, y_len };
    let run = || for_type!(r#type, forward::<_>(plan, key, tensors, (mask, mask_len), dropped));
    // SAFETY: the caller vouches for `error`.
    unsafe { report(error, run) }
}

/// # Safety
///
/// * Each pointer is null, or so much can be read, or written for `y`, the mask and `dropped`.
unsafe fn forward<T: Element>(
    plan: *const dropblock_plan,
    key: *const dropblock_key,
    tensors: Tensors,
    (words, words_len): (*mut u64, usize),
    dropped: *mut dropblock_dropped,
) -> Result<(), Refusal> {
    // SAFETY: by the contract of this function.
    let handle = unsafe { Handle::new(plan) }?;
    // SAFETY: by the contract of this function.
    let key = unsafe { copy(key, DROPBLOCK_ARGUMENT_KEY) }?.get();
    let pair = tensors.pair::<T>(&handle)?;
    let words = mask_or_none(handle.plan, words, words_len)?;
    let dropped = Array::one(dropped, DROPBLOCK_ARGUMENT_DROPPED)?;
    let result = dropped.span();
    match &words {
        Some(words) => pair.check_apart(&[words.span(), result], &[handle.span])?,
        None => pair.check_apart(&[result], &[handle.span])?,
    }
    // SAFETY: by the contract of this function; it overlaps nothing.
    let words = words.map(|words| unsafe { words.slice_mut() });
    let count = match pair {
        Pair::InPlace(y) => {
            // SAFETY: by the contract of this function; it overlaps nothing.
            let y = unsafe { y.slice_mut() };
            handle.plan.forward_in_place(key, y, words)?
        }
        Pair::To(x, y) => {
            // SAFETY: by the contract of this function; nothing that is written overlaps it.
            let x = unsafe { x.slice() };
            // SAFETY: by the contract of this function; it overlaps nothing.
            let y = unsafe { y.slice_mut() };
            handle.plan.forward(key, x, y, words)?
        }
    };
    // SAFETY: by the contract of this function.
    unsafe { dropped.write(count.into()) };
    Ok(())
}

/// Backward pass.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_backward(
    plan: *const dropblock_plan,
    key: *const dropblock_key,
    dropped: *const dropblock_dropped,
    r#type: dropblock_type,
    x: *const c_void,
    x_len: usize,
    y: *mut c_void,
    y_len: usize,
    error: *mut dropblock_error,
) -> dropblock_status {
    let tensors = Tensors { x, x_len, y, y_len };
    let run = || for_type!(r#type, backward::<_>(plan, key, dropped, tensors));
    // SAFETY: the caller vouches for `error`.
    unsafe { report(error, run) }
}

/// # Safety
///
/// * Each pointer is null, or so much can be read, or written for `y`.
unsafe fn backward<T: Element>(
    plan: *const dropblock_plan,
    key: *const dropblock_key,
    dropped: *const dropblock_dropped,
    tensors: Tensors,
) -> Result<(), Refusal> {
    // SAFETY: by the contract of this function.
    let handle = unsafe { Handle::new(plan) }?;
    // SAFETY: by the contract of this function.
    let key = unsafe { copy(key, DROPBLOCK_ARGUMENT_KEY) }?.get();
    // SAFETY: by the contract of this function.
    let dropped = unsafe { copy(dropped, DROPBLOCK_ARGUMENT_DROPPED) }?.into();
    let pair = tensors.pair::<T>(&handle)?;
    pair.check_apart(&[], &[handle.span])?;
    match pair {
        Pair::InPlace(y) => {
            // SAFETY: by the contract of this function; it overlaps nothing.
            let y = unsafe { y.slice_mut() };
            handle.plan.backward_in_place(key, &dropped, y)?;
        }
        Pair::To(x, y) => {
            // SAFETY: by the contract of this function; nothing that is written overlaps it.
            let x = unsafe { x.slice() };
            // SAFETY: by the contract of this function; it overlaps nothing.
            let y = unsafe { y.slice_mut() };
            handle.plan.backward(key, &dropped, x, y)?;
        }
    }
    Ok(())
}

/// Stage 3: applies a mask.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_apply(
    plan: *const dropblock_plan,
    mask: *const u64,
    mask_len: usize,
    dropped: *const dropblock_dropped,
    r#type: dropblock_type,
    x: *const c_void,
    x_len: usize,
    y: *mut c_void,
    y_len: usize,
    error: *mut dropblock_error,
) -> dropblock_status {
    let tensors = Tensors { x, x_len, y, y_len };
    let run = || for_type!(r#type, apply::<_>(plan, (mask, mask_len), dropped, tensors));
    // SAFETY: the caller vouches for `error`.
    unsafe { report(error, run) }
}

/// # Safety
///
/// * Each pointer is null, or so much can be read, or written for `y`.
unsafe fn apply<T: Element>(
    plan: *const dropblock_plan,
    (words, words_len): (*const u64, usize),
    dropped: *const dropblock_dropped,
    tensors: Tensors,
) -> Result<(), Refusal> {
    // SAFETY: by the contract of this function.
    let handle = unsafe { Handle::new(plan) }?;
    // SAFETY: by the contract of this function.
    let dropped = unsafe { copy(dropped, DROPBLOCK_ARGUMENT_DROPPED) }?.into();
    let words = mask(handle.plan, words, words_len)?;
    let pair = tensors.pair::<T>(&handle)?;
    pair.check_apart(&[], &[handle.span, words.span()])?;
    // SAFETY: by the contract of this function; nothing that is written overlaps it.
    let words = unsafe { words.slice() };
    match pair {
        Pair::InPlace(y) => {
            // SAFETY: by the contract of this function; it overlaps nothing.
            let y = unsafe { y.slice_mut() };
            handle.plan.apply_in_place(words, &dropped, y)?;
        }
        Pair::To(x, y) => {
            // SAFETY: by the contract of this function; nothing that is written overlaps it.
            let x = unsafe { x.slice() };
            // SAFETY: by the contract of this function; it overlaps nothing.
            let y = unsafe { y.slice_mut() };
            handle.plan.apply(words, &dropped, x, y)?;
        }
    }
    Ok(())
}

/// Writes the noise of a key to the units that a mask drops.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_fill_noise(
    plan: *const dropblock_plan,
    key: *const dropblock_key,
    mask: *const u64,
    mask_len: usize,
    r#type: dropblock_type,
    y: *mut c_void,
    y_len: usize,
    error: *mut dropblock_error,
) -> dropblock_status {
    let run = || for_type!(r#type, fill_noise::<_>(plan, key, (mask, mask_len), (y, y_len)));
    // SAFETY: the caller vouches for `error`.
    unsafe { report(error, run) }
}

/// # Safety
///
/// * Each pointer is null, or so much can be read, or written for `y`.
unsafe fn fill_noise<T: Element>(
    plan: *const dropblock_plan,
    key: *const dropblock_key,
    (words, words_len): (*const u64, usize),
    (y, y_len): (*mut c_void, usize),
) -> Result<(), Refusal> {
    // SAFETY: by the contract of this function.
    let handle = unsafe { Handle::new(plan) }?;
    // SAFETY: by the contract of this function.
    let key = unsafe { copy(key, DROPBLOCK_ARGUMENT_KEY) }?.get();
    let words = mask(handle.plan, words, words_len)?;
    let y = output(handle.plan, y.cast::<T>(), y_len)?;
    check_apart(&[y.span()], &[handle.span, words.span()])?;
    // SAFETY: by the contract of this function; nothing that is written overlaps it.
    let words = unsafe { words.slice() };
    // SAFETY: by the contract of this function; it overlaps nothing.
    handle.plan.fill_noise(key, words, unsafe { y.slice_mut() })?;
    Ok(())
}

/// Calls a function for elements of so many bytes, any bits of which are values.
macro_rules! for_size {
    ($size:expr, $function:ident::<_>($($argument:expr),* $(,)?)) => {
        match $size {
            // SAFETY: the contract of the function that is called is that of the one that calls.
            1 => unsafe { $function::<u8>($($argument),*) },
            // SAFETY: the same.
            2 => unsafe { $function::<u16>($($argument),*) },
            // SAFETY: the same.
            4 => unsafe { $function::<u32>($($argument),*) },
            // SAFETY: the same.
            8 => unsafe { $function::<u64>($($argument),*) },
            given => {
                let given = u32::try_from(given).unwrap_or(u32::MAX);
                Err(Refusal::unknown(DROPBLOCK_ARGUMENT_ELEMENT_SIZE, given))
            }
        }
    };
}

/// Drops without scaling.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_drop_only(
    plan: *const dropblock_plan,
    key: *const dropblock_key,
    element_size: usize,
    filler: *const c_void,
    y: *mut c_void,
    y_len: usize,
    mask: *mut u64,
    mask_len: usize,
    dropped: *mut dropblock_dropped,
    error: *mut dropblock_error,
) -> dropblock_status {
    let (y, mask) = ((y, y_len), (mask, mask_len));
    let run = || for_size!(element_size, drop_only::<_>(plan, key, filler, y, mask, dropped));
    // SAFETY: the caller vouches for `error`.
    unsafe { report(error, run) }
}

/// # Safety
///
/// * Each pointer is null, or so much can be read, or written for `y`, the mask and `dropped`.
unsafe fn drop_only<T: Copy>(
    plan: *const dropblock_plan,
    key: *const dropblock_key,
    filler: *const c_void,
    (y, y_len): (*mut c_void, usize),
    (words, words_len): (*mut u64, usize),
    dropped: *mut dropblock_dropped,
) -> Result<(), Refusal> {
    // SAFETY: by the contract of this function.
    let handle = unsafe { Handle::new(plan) }?;
    // SAFETY: by the contract of this function.
    let key = unsafe { copy(key, DROPBLOCK_ARGUMENT_KEY) }?.get();
    // SAFETY: by the contract of this function.
    let filler = unsafe { copy(filler.cast::<T>(), DROPBLOCK_ARGUMENT_FILLER) }?;
    let y = output(handle.plan, y.cast::<T>(), y_len)?;
    let words = mask_or_none(handle.plan, words, words_len)?;
    let dropped = Array::one(dropped, DROPBLOCK_ARGUMENT_DROPPED)?;
    let (read, result) = (&[handle.span], dropped.span());
    match &words {
        Some(words) => check_apart(&[y.span(), words.span(), result], read)?,
        None => check_apart(&[y.span(), result], read)?,
    }
    // SAFETY: by the contract of this function; it overlaps nothing.
    let words = words.map(|words| unsafe { words.slice_mut() });
    // SAFETY: by the contract of this function; it overlaps nothing.
    let count = handle.plan.drop_only(key, unsafe { y.slice_mut() }, filler, words)?;
    // SAFETY: by the contract of this function.
    unsafe { dropped.write(count.into()) };
    Ok(())
}

/// Writes a value to the units that a mask drops.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_fill_dropped(
    plan: *const dropblock_plan,
    mask: *const u64,
    mask_len: usize,
    element_size: usize,
    filler: *const c_void,
    y: *mut c_void,
    y_len: usize,
    error: *mut dropblock_error,
) -> dropblock_status {
    let (mask, y) = ((mask, mask_len), (y, y_len));
    let run = || for_size!(element_size, fill_dropped::<_>(plan, mask, filler, y));
    // SAFETY: the caller vouches for `error`.
    unsafe { report(error, run) }
}

/// # Safety
///
/// * Each pointer is null, or so much can be read, or written for `y`.
unsafe fn fill_dropped<T: Copy>(
    plan: *const dropblock_plan,
    (words, words_len): (*const u64, usize),
    filler: *const c_void,
    (y, y_len): (*mut c_void, usize),
) -> Result<(), Refusal> {
    // SAFETY: by the contract of this function.
    let handle = unsafe { Handle::new(plan) }?;
    // SAFETY: by the contract of this function.
    let filler = unsafe { copy(filler.cast::<T>(), DROPBLOCK_ARGUMENT_FILLER) }?;
    let words = mask(handle.plan, words, words_len)?;
    let y = output(handle.plan, y.cast::<T>(), y_len)?;
    check_apart(&[y.span()], &[handle.span, words.span()])?;
    // SAFETY: by the contract of this function; nothing that is written overlaps it.
    let words = unsafe { words.slice() };
    // SAFETY: by the contract of this function; it overlaps nothing.
    handle.plan.fill_dropped(words, unsafe { y.slice_mut() }, filler)?;
    Ok(())
}
