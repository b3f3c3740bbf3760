//! Passes over tensors of any type and strides, with a mask and without.

use core::ffi::c_void;
use core::mem::MaybeUninit;

#[cfg(feature = "half")]
use engine::half;
use engine::{Buffer, Drawn, Error, Mask, Plan, View, ViewMut};

use crate::constants::*;
use crate::mask::mask;
use crate::memory::Caller;
use crate::status::{Refusal, argument_of, interface, must_be};
use crate::types::*;

/// A tensor of the caller's, as it comes from C.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Tensor {
    r#type: dropblock_type,
    data: *mut c_void,
    len: usize,
    first: usize,
    /// `None` for those of the plan's shape.
    strides: Option<[isize; 5]>,
}

impl Tensor {
    fn new(
        caller: &Caller<'_>,
        plan: &Plan,
        tensor: *const dropblock_tensor,
        buffer: Buffer,
    ) -> Result<Self, Refusal> {
        let tensor = caller.copy(tensor, argument_of(buffer))?;
        must_be(0, DROPBLOCK_ARGUMENT_RESERVED, tensor.reserved)?;
        let dropblock_tensor { r#type, data, len, first, strides, .. } = tensor;
        let strides = if strides.is_null() {
            let needed = plan.elements();
            if len != needed {
                return Err(Error::Length { buffer, needed, given: len }.into());
            }
            if first != 0 {
                return Err(Refusal::outside(DROPBLOCK_ARGUMENT_FIRST, [0; 2], first as u64));
            }
            None
        } else {
            Some(caller.copy(strides.cast::<[isize; 5]>(), DROPBLOCK_ARGUMENT_STRIDES)?)
        };
        Ok(Self { r#type, data, len, first, strides })
    }

    /// The tensor that is read.
    fn input<'c, T>(&self, caller: &mut Caller<'c>) -> Result<View<'c, T>, Refusal> {
        let data = caller.read(self.data.cast::<T>(), self.len, DROPBLOCK_ARGUMENT_X)?;
        Ok(match self.strides {
            None => View::from(data),
            Some(strides) => View::new(data, self.first, strides),
        })
    }

    /// A tensor that is read and written.
    fn in_place<'c, T>(&self, caller: &mut Caller<'c>) -> Result<ViewMut<'c, T>, Refusal> {
        let data = caller.write(self.data.cast::<T>(), self.len, DROPBLOCK_ARGUMENT_Y)?;
        Ok(match self.strides {
            None => ViewMut::from(data),
            Some(strides) => ViewMut::new(data, self.first, strides),
        })
    }

    /// A tensor that is only written. Where it is dense it need not be initialised.
    fn output<'c, T>(&self, caller: &mut Caller<'c>) -> Result<ViewMut<'c, T>, Refusal> {
        if self.strides.is_some() {
            return self.in_place(caller);
        }
        let data = self.data.cast::<MaybeUninit<T>>();
        Ok(ViewMut::uninit(caller.write(data, self.len, DROPBLOCK_ARGUMENT_Y)?))
    }
}

/// The tensor that is read and the one that is written, of the same type.
fn tensors(
    caller: &Caller<'_>,
    plan: &Plan,
    x: *const dropblock_tensor,
    y: *const dropblock_tensor,
) -> Result<(Tensor, Tensor), Refusal> {
    let x = Tensor::new(caller, plan, x, Buffer::Input)?;
    let y = Tensor::new(caller, plan, y, Buffer::Output)?;
    must_be(x.r#type, DROPBLOCK_ARGUMENT_TYPE, y.r#type)?;
    Ok((x, y))
}

/// What a pass with a mask is given.
fn masked<'c>(
    caller: &mut Caller<'c>,
    plan: *const dropblock_plan,
    mask: *const dropblock_mask,
    x: *const dropblock_tensor,
    y: *const dropblock_tensor,
) -> Result<(Mask<'c>, Tensor, Tensor), Refusal> {
    let plan = caller.plan(plan)?;
    let (x, y) = tensors(caller, plan, x, y)?;
    Ok((self::mask(caller, plan, mask)?, x, y))
}

/// What a pass without a mask is given.
fn drawn<'c>(
    caller: &mut Caller<'c>,
    plan: *const dropblock_plan,
    drawn: *const dropblock_drawn,
    x: *const dropblock_tensor,
    y: *const dropblock_tensor,
) -> Result<(&'c Plan, Drawn, Tensor, Tensor), Refusal> {
    let plan = caller.plan(plan)?;
    let drawn = caller.copy(drawn, DROPBLOCK_ARGUMENT_DRAWN)?.get();
    let (x, y) = tensors(caller, plan, x, y)?;
    Ok((plan, drawn, x, y))
}

fn no_type(given: dropblock_type, last: dropblock_type) -> Refusal {
    match given {
        DROPBLOCK_TYPE_F16 | DROPBLOCK_TYPE_BF16 => {
            Refusal::new(DROPBLOCK_STATUS_NO_HALF, DROPBLOCK_ARGUMENT_TYPE)
        }
        given => Refusal::outside(DROPBLOCK_ARGUMENT_TYPE, [1, last.into()], given.into()),
    }
}

/// Evaluates an expression for the type of a number.
macro_rules! for_type {
    (
        $number:expr, up to $last:ident, $type:ident => $do:expr;
        $($(#[$if:meta])* $of:pat => $each:ty,)*
    ) => {
        match $number {
            $($(#[$if])* $of => {
                type $type = $each;
                $do
            })*
            given => return Err(no_type(given, $last)),
        }
    };
}

/// For elements that can be scaled.
macro_rules! for_float {
    ($number:expr, $type:ident => $do:expr) => {
        for_type! {
            $number, up to DROPBLOCK_TYPE_BF16, $type => $do;
            DROPBLOCK_TYPE_F32 => f32,
            DROPBLOCK_TYPE_F64 => f64,
            #[cfg(feature = "half")]
            DROPBLOCK_TYPE_F16 => half::f16,
            #[cfg(feature = "half")]
            DROPBLOCK_TYPE_BF16 => half::bf16,
        }
    };
}

/// For elements of which only the bits matter.
macro_rules! for_bits {
    ($number:expr, $type:ident => $do:expr) => {
        for_type! {
            $number, up to DROPBLOCK_TYPE_BITS64, $type => $do;
            DROPBLOCK_TYPE_BITS8 => u8,
            DROPBLOCK_TYPE_BITS16 | DROPBLOCK_TYPE_F16 | DROPBLOCK_TYPE_BF16 => u16,
            DROPBLOCK_TYPE_BITS32 | DROPBLOCK_TYPE_F32 => u32,
            DROPBLOCK_TYPE_BITS64 | DROPBLOCK_TYPE_F64 => u64,
        }
    };
}

/// Runs a pass in place if both tensors are the same, else from one to the other.
macro_rules! pass {
    ($caller:ident, $x:ident, $y:ident, $of:ident.($in_place:ident, $pass:ident)($($drawn:expr,)?)) => {
        for_float!($x.r#type, T => if $x == $y {
            $of.$in_place($($drawn,)? $y.in_place::<T>($caller)?)
        } else {
            let (x, y) = ($x.input::<T>($caller)?, $y.output::<T>($caller)?);
            $of.$pass($($drawn,)? x, y)
        })
    };
}

/// Writes what a pass returns, if it is wanted.
pub(crate) fn put(place: Option<&mut MaybeUninit<dropblock_drawn>>, drawn: Drawn) {
    if let Some(place) = place {
        place.write(drawn.into());
    }
}

interface! {
    /// Forward pass.
    fn dropblock_forward(
        caller, plan: *const dropblock_plan, drawn: *const dropblock_drawn,
        x: *const dropblock_tensor, y: *const dropblock_tensor, result: *mut dropblock_drawn
    ) {
        let (plan, drawn, x, y) = self::drawn(caller, plan, drawn, x, y)?;
        let result = caller.result_or_none(result, DROPBLOCK_ARGUMENT_RESULT)?;
        put(result, pass!(caller, x, y, plan.(forward_in_place, forward)(drawn,))?);
    }
}

interface! {
    /// Backward pass.
    fn dropblock_backward(
        caller, plan: *const dropblock_plan, drawn: *const dropblock_drawn,
        x: *const dropblock_tensor, y: *const dropblock_tensor
    ) {
        let (plan, drawn, x, y) = self::drawn(caller, plan, drawn, x, y)?;
        pass!(caller, x, y, plan.(backward_in_place, backward)(drawn,))?;
    }
}

interface! {
    /// Forward pass with a mask.
    fn dropblock_mask_forward(
        caller, plan: *const dropblock_plan, mask: *const dropblock_mask,
        x: *const dropblock_tensor, y: *const dropblock_tensor
    ) {
        let (mask, x, y) = masked(caller, plan, mask, x, y)?;
        pass!(caller, x, y, mask.(forward_in_place, forward)())?;
    }
}

interface! {
    /// Backward pass with a mask.
    fn dropblock_mask_backward(
        caller, plan: *const dropblock_plan, mask: *const dropblock_mask,
        x: *const dropblock_tensor, y: *const dropblock_tensor
    ) {
        let (mask, x, y) = masked(caller, plan, mask, x, y)?;
        pass!(caller, x, y, mask.(backward_in_place, backward)())?;
    }
}

interface! {
    /// Drops without scaling.
    fn dropblock_drop_only(
        caller, plan: *const dropblock_plan, key: *const dropblock_key,
        y: *const dropblock_tensor, value: *const c_void, result: *mut dropblock_drawn
    ) {
        let plan = caller.plan(plan)?;
        let key = caller.copy(key, DROPBLOCK_ARGUMENT_KEY)?.get();
        let y = Tensor::new(caller, plan, y, Buffer::Output)?;
        for_bits!(y.r#type, T => {
            let value = caller.copy(value.cast::<T>(), DROPBLOCK_ARGUMENT_VALUE)?;
            let result = caller.result_or_none(result, DROPBLOCK_ARGUMENT_RESULT)?;
            let drawn = plan.drop_only(key, y.in_place::<T>(caller)?, value)?;
            put(result, drawn);
        });
    }
}

interface! {
    /// Drops without scaling what a mask drops.
    fn dropblock_mask_drop_only(
        caller, plan: *const dropblock_plan, mask: *const dropblock_mask,
        y: *const dropblock_tensor, value: *const c_void
    ) {
        let plan = caller.plan(plan)?;
        let y = Tensor::new(caller, plan, y, Buffer::Output)?;
        let mask = self::mask(caller, plan, mask)?;
        for_bits!(y.r#type, T => {
            let value = caller.copy(value.cast::<T>(), DROPBLOCK_ARGUMENT_VALUE)?;
            mask.drop_only(y.in_place::<T>(caller)?, value)?;
        });
    }
}

interface! {
    /// Counts the mask of a key without a buffer.
    fn dropblock_count(
        caller, plan: *const dropblock_plan, key: *const dropblock_key,
        result: *mut dropblock_drawn
    ) {
        let plan = caller.plan(plan)?;
        let key = caller.copy(key, DROPBLOCK_ARGUMENT_KEY)?.get();
        caller.result(result, DROPBLOCK_ARGUMENT_RESULT)?.write(plan.count(key)?.into());
    }
}
