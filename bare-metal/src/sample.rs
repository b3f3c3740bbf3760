//! Elements of tensors: made of numbers, and looked at bit by bit.

use bytemuck::Pod;
use dropblock::Element;
use half::{bf16, f16};

use crate::checksum::Checksum;

/// An element type whose bits can be compared.
pub(crate) trait Sample: Element + Pod {
    /// The nearest value.
    fn from_f64(value: f64) -> Self;

    /// A subnormal number: `count` times the smallest.
    fn subnormal(count: u8) -> Self;

    /// The little-endian bits. Every NaN counts as one: machines differ in which they make.
    fn hash(self, checksum: &mut Checksum);
}

macro_rules! samples {
    ($($float:ident $bits:ident $value:ident $convert:expr;)*) => {$(
        impl Sample for $float {
            fn from_f64($value: f64) -> Self {
                $convert
            }

            fn subnormal(count: u8) -> Self {
                Self::from_bits(count as $bits)
            }

            fn hash(self, checksum: &mut Checksum) {
                let bits = if self.is_nan() { $bits::MAX } else { self.to_bits() };
                checksum.bytes(&bits.to_le_bytes());
            }
        }
    )*};
}

samples! {
    f32 u32 value value as Self;
    f64 u64 value value;
    f16 u16 value Self::from_f32(value as f32);
    bf16 u16 value Self::from_f32(value as f32);
}

/// Numbers of both signs, each different from its neighbours, and among them zeros, infinities,
/// NaN, subnormal numbers and some that round when they are multiplied.
pub(crate) fn fill<T: Sample>(x: &mut [T], first: usize) {
    for (i, x) in (first..).zip(x) {
        let number = (i % 257) as f64 - 128.0;
        *x = match i % 23 {
            3 => T::from_f64(-0.0),
            5 => T::from_f64(f64::INFINITY),
            7 => T::from_f64(f64::NAN),
            11 => T::subnormal(3 + (i % 101) as u8),
            13 => T::from_f64(f64::NEG_INFINITY),
            17 | 19 => T::from_f64(number / 3.0),
            _ => T::from_f64(number),
        };
    }
}

/// The hash of a tensor.
pub(crate) fn hash<T: Sample>(x: &[T]) -> u64 {
    let mut checksum = Checksum::new();
    x.iter().for_each(|x| x.hash(&mut checksum));
    checksum.value()
}
