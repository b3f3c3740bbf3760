//! The tests of the crate: one binary, a file for each topic.

mod agreement;
mod gradient;
mod module;
mod operation;
mod refusal;
mod training;

use burn::tensor::{Device, Element, Tensor, TensorData};
use dropblock_burn::dropblock::{self, Shape};

/// A device for each way: fused, and a backend that has no fused operation.
fn devices() -> [Device; 2] {
    #[allow(deprecated, reason = "the other backend that runs everywhere")]
    [Device::flex(), Device::ndarray()]
}

/// Those that have this type: burn's ndarray has no halves.
fn devices_with<E: Element>() -> Vec<Device> {
    devices().into_iter().filter(|device| device.supports_dtype(E::dtype())).collect()
}

/// `len` numbers that differ, of both signs, with NaN, infinities and zeros among them.
fn numbers(len: usize) -> Vec<f64> {
    let special = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0];
    let number = |i: usize| if i % 97 < 5 { special[i % 97] } else { (i * 37 % 101) as f64 - 50.5 };
    (0..len).map(number).collect()
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

/// The shape that the core calls it.
fn shape(dims: &[usize]) -> Shape {
    match *dims {
        [n, c, l] => Shape::ncl(n, c, l),
        [n, c, h, w] => Shape::nchw(n, c, h, w),
        [n, c, d, h, w] => Shape::ncdhw(n, c, d, h, w),
        _ => panic!("{dims:?}"),
    }
}

/// Equal bits; all NaN are one, because the hardware chooses their payload.
trait SameBits {
    fn same(self, other: Self) -> bool;
}

macro_rules! same_bits {
    ($($float:ty)*) => {$(
        impl SameBits for $float {
            fn same(self, other: Self) -> bool {
                self.to_bits() == other.to_bits() || self.is_nan() && other.is_nan()
            }
        }
    )*};
}

same_bits!(f32 f64 burn::tensor::f16 burn::tensor::bf16);

fn assert_same<T: SameBits + Copy + core::fmt::Debug>(actual: &[T], expected: &[T], what: &str) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    for (i, (&a, &e)) in actual.iter().zip(expected).enumerate() {
        assert!(a.same(e), "{what}: element {i} is {a:?}, not {e:?}");
    }
}

fn core_options() -> Vec<dropblock::DropBlock> {
    use dropblock::{DropBlock, Fill, Gamma, Region, Scale, Sharing};
    let mut all = Vec::new();
    for &sharing in Sharing::ALL {
        for &scale in Scale::ALL {
            for &fill in Fill::ALL {
                let options = DropBlock::new(3, 0.3).expect("in range");
                all.push(options.with_sharing(sharing).with_scale(scale).with_fill(fill));
            }
        }
    }
    let plain = DropBlock::new(3, 0.3).expect("in range");
    all.push(plain.with_region(Region::Full));
    all.push(plain.with_gamma(Gamma::Exact).expect("in range"));
    for prob in [0.0, 1.0] {
        let options = plain.with_drop_prob(prob).expect("in range");
        all.extend([options, options.with_scale(Scale::Fixed), options.with_scale(Scale::PerMap)]);
        all.push(options.with_scale(Scale::Fixed).with_gamma(Gamma::Raw(0.0)).expect("in range"));
        all.push(options.with_scale(Scale::Fixed).with_gamma(Gamma::Raw(0.1)).expect("in range"));
        all.push(options.with_scale(Scale::PerPosition));
    }
    all
}
