//! The tests of the crate: one binary, a file for each topic.

mod agreement;
mod gradient;
mod layer;
mod operation;
mod refusal;

use candle_core::{Device, Tensor, WithDType};
use dropblock_candle::dropblock::{self, Shape};
use dropblock_candle::{Fill, Gamma, Options, Region, Scale, Sharing};

/// `len` numbers that differ, of both signs, with NaN, infinities and zeros among them.
fn numbers(len: usize) -> Vec<f64> {
    let special = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0];
    let number = |i: usize| if i % 97 < 5 { special[i % 97] } else { (i * 37 % 101) as f64 - 50.5 };
    (0..len).map(number).collect()
}

/// A tensor of these numbers.
fn tensor<T: WithDType>(numbers: &[f64], dims: &[usize]) -> Tensor {
    let elements: Vec<T> = numbers.iter().map(|&x| T::from_f64(x)).collect();
    Tensor::from_vec(elements, dims, &Device::Cpu).expect("a tensor")
}

/// The elements of a tensor.
fn elements<T: WithDType>(x: &Tensor) -> Vec<T> {
    x.flatten_all().and_then(|x| x.to_vec1()).expect("the type of the tensor")
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

same_bits!(f32 f64 half::f16 half::bf16);

fn assert_same<T: SameBits + Copy + core::fmt::Debug>(actual: &[T], expected: &[T], what: &str) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    for (i, (&a, &e)) in actual.iter().zip(expected).enumerate() {
        assert!(a.same(e), "{what}: element {i} is {a:?}, not {e:?}");
    }
}

fn every_option() -> Vec<Options> {
    let plain = Options::new(3, 0.3).expect("in range");
    let mut all = Vec::new();
    for &sharing in Sharing::ALL {
        for &scale in Scale::ALL {
            for &fill in Fill::ALL {
                all.push(plain.with_sharing(sharing).with_scale(scale).with_fill(fill));
            }
        }
    }
    all.push(plain.with_region(Region::Full));
    all.push(plain.with_gamma(Gamma::Exact).expect("in range"));
    for prob in [0.0, 1.0] {
        let options = plain.with_drop_prob(prob).expect("in range");
        all.extend([options, options.with_scale(Scale::Fixed), options.with_scale(Scale::PerMap)]);
    }
    all
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
