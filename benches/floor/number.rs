//! The elements, with what the floor and the comparison of results need.

use dropblock::Element;
#[cfg(feature = "half")]
use dropblock::half::{bf16, f16};

pub(crate) trait Number: Element {
    /// What the name of a shape ends with.
    const NAME: &str;

    /// The product in the type's own operators.
    fn times(self, factor: f32) -> Self;

    fn to_bits(self) -> u32;
}

impl Number for f32 {
    const NAME: &str = "";

    #[inline]
    fn times(self, factor: f32) -> Self {
        self * factor
    }

    fn to_bits(self) -> u32 {
        self.to_bits()
    }
}

#[cfg(feature = "half")]
impl Number for bf16 {
    const NAME: &str = " bf16";

    #[inline]
    fn times(self, factor: f32) -> Self {
        Self::from_f32(self.to_f32() * factor)
    }

    fn to_bits(self) -> u32 {
        self.to_bits().into()
    }
}

#[cfg(feature = "half")]
impl Number for f16 {
    const NAME: &str = " f16";

    #[inline]
    fn times(self, factor: f32) -> Self {
        Self::from_f32(self.to_f32() * factor)
    }

    fn to_bits(self) -> u32 {
        self.to_bits().into()
    }
}

/// A digest of values in their order, to compare tensors without a second one.
pub(crate) fn digest(values: impl Iterator<Item = u64>) -> u64 {
    values.fold(0, |hash, value| (hash ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23))
}
