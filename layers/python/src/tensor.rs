//! Memory of the host that is the caller's: where all unsafe code of the CPU's path is.

use std::slice;

use dropblock::{Drawn, Element, Plan, View, ViewMut};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// The address of a few numbers that Python keeps alive during the call.
#[derive(Clone, Copy, FromPyObject)]
#[pyo3(transparent)]
pub(crate) struct Address(usize);

impl Address {
    pub(crate) const fn is_null(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn float(self) -> f64 {
        // SAFETY: Python passes the address of a tensor of one double on the CPU.
        unsafe { (self.0 as *const f64).read_unaligned() }
    }

    pub(crate) fn words<const N: usize>(self) -> [u64; N] {
        // SAFETY: Python passes the address of a tensor of as many 64-bit integers on the CPU.
        unsafe { (self.0 as *const [u64; N]).read_unaligned() }
    }

    /// What a forward pass leaves: key and count, and the drop probability.
    pub(crate) fn drawn(self) -> (Drawn, f64) {
        let [drawn @ .., prob]: [u64; 7] = self.words();
        (Drawn::from_words(drawn), f64::from_bits(prob))
    }

    pub(crate) fn write_drawn(self, drawn: Drawn, prob: f64) {
        let [seed, step, layer, first_sample, dropped, total] = drawn.to_words();
        let words = [seed, step, layer, first_sample, dropped, total, prob.to_bits()];
        // SAFETY: Python passes the address of a new tensor of seven 64-bit integers on the CPU, which
        // nothing else reads.
        unsafe { (self.0 as *mut [u64; 7]).write_unaligned(words) }
    }
}

/// Where the elements of a tensor are: the address of the first, and strides in elements.
#[derive(FromPyObject)]
pub(crate) struct Tensor {
    #[pyo3(item(0))]
    pub(crate) address: usize,
    #[pyo3(item(1))]
    pub(crate) strides: Vec<isize>,
}

impl Tensor {
    /// Whether a pass from one to the other is in place.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.address == other.address
    }

    pub(crate) fn view<T: Element>(&self, plan: &Plan) -> PyResult<View<'_, T>> {
        let (strides, data) = self.elements(plan)?;
        Ok(View::new(data, 0, strides))
    }

    pub(crate) fn view_mut<T: Element>(&self, plan: &Plan) -> PyResult<ViewMut<'_, T>> {
        let (strides, data) = self.elements_mut(plan)?;
        Ok(ViewMut::new(data, 0, strides))
    }

    /// The strides, and all elements from the first to the last.
    pub(crate) fn elements<T: Element>(&self, plan: &Plan) -> PyResult<([isize; 5], &[T])> {
        let (strides, len) = self.extent(plan, size_of::<T>())?;
        let data = if len == 0 {
            &[]
        } else {
            // SAFETY: Python passes a tensor of this type, sizes and strides, which has these elements,
            // and keeps it alive. The strides outlive the elements, so `'_` is shorter than the call. Any
            // bits are a float.
            unsafe { slice::from_raw_parts(self.address as *const T, len) }
        };
        Ok((strides, data))
    }

    #[allow(clippy::mut_from_ref, reason = "the elements are not in the value")]
    pub(crate) fn elements_mut<T: Element>(&self, plan: &Plan) -> PyResult<([isize; 5], &mut [T])> {
        let (strides, len) = self.extent(plan, size_of::<T>())?;
        let data = if len == 0 {
            &mut []
        } else {
            // SAFETY: as above; it is a new tensor, or the one that the caller wants changed.
            unsafe { slice::from_raw_parts_mut(self.address as *mut T, len) }
        };
        Ok((strides, data))
    }

    /// The strides of samples, channels, depth, height and width, and the elements from the first to the
    /// last, which take no more bytes than a slice may have.
    pub(crate) fn extent(&self, plan: &Plan, bytes: usize) -> PyResult<([isize; 5], usize)> {
        let shape = plan.shape();
        let rank = usize::from(shape.map().rank()) + 2;
        if self.strides.len() != rank || self.strides.iter().any(|&stride| stride < 0) {
            let text = format!("{rank} strides of at least 0 needed, got {:?}", self.strides);
            return Err(PyValueError::new_err(text));
        }
        let [depth, height, width] = shape.map().size();
        let sizes = [shape.samples(), shape.channels(), depth, height, width];
        let mut strides = [0; 5];
        for (axis, &stride) in self.strides.iter().enumerate() {
            strides[if axis < 2 { axis } else { axis + 5 - rank }] = stride;
        }
        if sizes.contains(&0) {
            return Ok((strides, 0));
        }
        let reach = sizes.iter().zip(strides).try_fold(1_usize, |sum, (&size, stride)| {
            sum.checked_add((size - 1).checked_mul(stride.unsigned_abs())?)
        });
        let fits = reach.filter(|&reach| reach <= isize::MAX as usize / bytes);
        let reach = fits.ok_or_else(|| PyValueError::new_err("the strides overflow"))?;
        Ok((strides, reach))
    }
}

pub(crate) fn unknown_type(dtype: &str) -> PyErr {
    let text = format!("dtype must be float32, float64, float16 or bfloat16, got {dtype}");
    PyTypeError::new_err(text)
}
