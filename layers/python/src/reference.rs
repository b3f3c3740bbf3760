//! The executable specification of the core, for `dropblock_torch.check`.

use dropblock::half::{bf16, f16};
use dropblock::{Element, Fill, Key, Plan, reference as specification};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::tensor::{Address, Tensor, unknown_type};
use crate::{plans, read_key};

/// Forward pass from `x` to `y`, both contiguous and not the same, element by element as the specification
/// says. Slow. Arguments as for the fast one.
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "those of the fast one")]
#[allow(clippy::needless_pass_by_value, reason = "Python's arguments")]
pub(crate) fn reference(
    x: Tensor,
    y: Tensor,
    dtype: &str,
    sizes: Vec<usize>,
    options: &str,
    prob: Address,
    key: Address,
    first_sample: u64,
) -> PyResult<()> {
    let plan = plans::get(options, prob.float(), &sizes)?;
    let key = read_key(key, first_sample);
    let mut len = 1;
    let dense = sizes.iter().rev().zip(x.strides.iter().rev()).all(|(&size, &stride)| {
        let next = len;
        len *= size as isize;
        size <= 1 || stride == next
    });
    if !dense || x.strides != y.strides || x.is(&y) {
        return Err(PyValueError::new_err("two contiguous tensors needed"));
    }
    match dtype {
        "float32" => run::<f32>(&plan, key, &x, &y),
        "float64" => run::<f64>(&plan, key, &x, &y),
        "float16" => run::<f16>(&plan, key, &x, &y),
        "bfloat16" => run::<bf16>(&plan, key, &x, &y),
        _ => Err(unknown_type(dtype)),
    }
}

fn run<T: Element>(plan: &Plan, key: Key, x: &Tensor, y: &Tensor) -> PyResult<()> {
    let ((_, from), (_, to)) = (x.elements::<T>(plan)?, y.elements_mut::<T>(plan)?);
    let (layer, shape) = (plan.layer(), plan.shape());
    let mut mask = vec![false; specification::units(layer, shape)];
    specification::mask(layer, shape, &key, &mut mask);
    specification::apply(layer, shape, &mask, from, to);
    if layer.fill() == Fill::Noise {
        specification::fill_noise(layer, shape, &key, &mask, to);
    }
    Ok(())
}
