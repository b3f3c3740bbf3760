//! What the tests of all layers share: numbers, shapes, options and comparison of bits.

use dropblock::half::{bf16, f16};
use dropblock::{DropBlock, Fill, Gamma, Region, Scale, Shape, Sharing};

/// `len` numbers that differ, of both signs, with NaN, infinities and zeros among them.
pub(crate) fn numbers(len: usize) -> Vec<f64> {
    let special = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0];
    let number = |i: usize| if i % 97 < 5 { special[i % 97] } else { (i * 37 % 101) as f64 - 50.5 };
    (0..len).map(number).collect()
}

/// The shape that the core calls it.
pub(crate) fn shape(dims: &[usize]) -> Shape {
    match *dims {
        [n, c, l] => Shape::ncl(n, c, l),
        [n, c, h, w] => Shape::nchw(n, c, h, w),
        [n, c, d, h, w] => Shape::ncdhw(n, c, d, h, w),
        _ => panic!("{dims:?}"),
    }
}

/// Every sharing, scale and fill, and the borders of the others.
pub(crate) fn every_option() -> Vec<DropBlock> {
    let plain = DropBlock::new(3, 0.3).expect("in range");
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
        let fixed = options.with_scale(Scale::Fixed);
        all.extend([options, fixed, options.with_scale(Scale::PerMap)]);
        all.extend([0.0, 0.1].map(|gamma| fixed.with_gamma(Gamma::Raw(gamma)).expect("in range")));
        all.push(options.with_scale(Scale::PerPosition));
    }
    all
}

/// Equal bits; all NaN are one, because the hardware chooses their payload.
pub(crate) trait SameBits {
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

same_bits!(f32 f64 f16 bf16);

pub(crate) fn assert_same<T: SameBits + Copy + core::fmt::Debug>(
    actual: &[T],
    expected: &[T],
    what: &str,
) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    for (i, (&a, &e)) in actual.iter().zip(expected).enumerate() {
        assert!(a.same(e), "{what}: element {i} is {a:?}, not {e:?}");
    }
}
