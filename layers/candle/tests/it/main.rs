//! The tests of the crate: one binary, a file for each topic.

mod agreement;
#[path = "../../../common.rs"]
mod common;
mod gradient;
mod layer;
mod operation;
mod refusal;

use candle_core::{Device, Tensor, WithDType};
use dropblock_candle::{Options, dropblock};

use common::{SameBits, assert_same, every_option, numbers, shape};

/// A tensor of these numbers.
fn tensor<T: WithDType>(numbers: &[f64], dims: &[usize]) -> Tensor {
    let elements: Vec<T> = numbers.iter().map(|&x| T::from_f64(x)).collect();
    Tensor::from_vec(elements, dims, &Device::Cpu).expect("a tensor")
}

/// The elements of a tensor.
fn elements<T: WithDType>(x: &Tensor) -> Vec<T> {
    x.flatten_all().and_then(|x| x.to_vec1()).expect("the type of the tensor")
}

/// The core on a dense tensor, forward or backward.
fn expected<T: dropblock::Element>(
    x: &[T],
    dims: &[usize],
    options: &Options,
    key: dropblock_candle::Key,
    forward: bool,
) -> Vec<T> {
    let plan = options.plan(shape(dims)).expect("a plan");
    let mut y = vec![T::ONE; x.len()];
    if forward {
        plan.forward(key, x, &mut y).expect("a pass");
    } else {
        plan.backward(key, x, &mut y).expect("a pass");
    }
    y
}
