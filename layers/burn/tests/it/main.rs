//! The tests of the crate: one binary, a file for each topic.

mod agreement;
#[path = "../../../common.rs"]
mod common;
mod gradient;
mod module;
mod operation;
mod refusal;
mod training;

use burn::tensor::{Device, Element, Tensor, TensorData};

use common::{SameBits, assert_same, every_option, numbers, shape};

/// A device for each way: fused, and a backend that has no fused operation. And burn's default, which is
/// another one if a feature of burn adds it, as `--features burn/wgpu` does.
fn devices() -> Vec<Device> {
    #[allow(deprecated, reason = "the other backend that runs everywhere")]
    let mut devices = vec![Device::flex(), Device::ndarray()];
    let default = Device::default();
    if !devices.contains(&default) {
        devices.push(default);
    }
    devices
}

/// Those that have this type: burn's ndarray has no halves.
fn devices_with<E: Element>() -> Vec<Device> {
    devices().into_iter().filter(|device| device.supports_dtype(E::dtype())).collect()
}

/// A tensor of these numbers.
fn tensor<E: Element, const D: usize>(
    numbers: &[f64],
    dims: [usize; D],
    device: &Device,
) -> Tensor<D> {
    let elements: Vec<E> = numbers.iter().map(|&x| E::from_elem(x)).collect();
    Tensor::from_data(TensorData::new(elements, dims), (device, E::dtype()))
}

/// The elements of a tensor.
fn elements<E: Element, const D: usize>(x: Tensor<D>) -> Vec<E> {
    x.into_data().try_into_vec::<E>().expect("the type of the tensor")
}
