//! The element types of tensors.

use core::fmt::Debug;

/// A floating-point element: `f32` or `f64`, with the feature `half` also `half::f16` and
/// `half::bf16`. Sealed: the set of types is closed.
///
/// Each type names the type of its scale. `f32` and `f64` are scaled in their own type, and a kept
/// value is rounded once. `f16` and `bf16` are scaled in `f32`, because their range is too small for
/// counts: the value is converted, which is exact, multiplied, and rounded to nearest even, as
/// frameworks do. Overflow gives infinity, denormals are exact, and NaN stays NaN with any payload.
///
/// ```
/// use dropblock::Element;
/// fn zeros<T: Element>(len: usize) -> Vec<T> {
///     vec![T::ZERO; len]
/// }
/// # assert_eq!(zeros::<f32>(2), [0.0, 0.0]);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be scaled: elements are `f32`, `f64`, and with the feature `half` \
               `f16` and `bf16`",
    note = "use `drop_only` for elements of any other type: it writes a value to dropped units and \
            scales nothing"
)]
pub trait Element:
    arithmetic::Arithmetic + Copy + PartialEq + Debug + Send + Sync + 'static
{
    /// The type in which an element is scaled.
    type Scale: Element<Scale = Self::Scale> + arithmetic::Ratio;
    /// Positive zero, the value of a dropped unit.
    const ZERO: Self;
    /// The scale that changes nothing.
    const ONE: Self;
}

impl Element for f32 {
    type Scale = Self;
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
}

impl Element for f64 {
    type Scale = Self;
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
}

#[cfg(feature = "half")]
impl Element for half::f16 {
    type Scale = f32;
    const ZERO: Self = Self::ZERO;
    const ONE: Self = Self::ONE;
}

#[cfg(feature = "half")]
impl Element for half::bf16 {
    type Scale = f32;
    const ZERO: Self = Self::ZERO;
    const ONE: Self = Self::ONE;
}

pub(crate) mod arithmetic {
    use core::num::NonZero;

    use super::Element;
    use crate::apply::Kernels;
    use crate::gamma::ONE;
    use crate::noise;

    /// What the crate computes with elements; it cannot be named from outside.
    pub trait Arithmetic: Sized + Kernels {
        /// `value * scale`, rounded once in the type of the scale, and once to this type.
        fn scaled(self, scale: <Self as Element>::Scale) -> Self
        where
            Self: Element;

        /// A normal deviate in units of 2^-28, rounded once in the type of the scale, and once
        /// to this type.
        fn from_deviate(units: i32) -> Self;
    }

    /// How a scale is computed.
    pub trait Ratio: Sized {
        /// `1 / probability` for a probability in units of 2^-63, 0 if that is 0: a conversion,
        /// a division and a conversion of the IEEE standard.
        fn from_keep_prob(probability: u64) -> Self;

        /// `numerator / denominator` rounded once, for `numerator >= denominator`; 0 if the
        /// denominator is 0.
        fn from_ratio(numerator: u64, denominator: u64) -> Self;
    }

    macro_rules! arithmetic {
        ($float:ident) => {
            impl Arithmetic for $float {
                #[inline]
                fn scaled(self, scale: Self) -> Self {
                    self * scale
                }

                #[inline]
                fn from_deviate(units: i32) -> Self {
                    (f64::from(units) / noise::ONE) as Self
                }
            }

            impl Ratio for $float {
                #[inline]
                fn from_keep_prob(probability: u64) -> Self {
                    if probability == 0 { 0.0 } else { (ONE as f64 / probability as f64) as Self }
                }

                #[inline(always)]
                fn from_ratio(numerator: u64, denominator: u64) -> Self {
                    // A function of its own, which a program leaves out whose plans are small.
                    #[cold]
                    #[inline(never)]
                    fn of_large(numerator: u64, denominator: NonZero<u64>) -> $float {
                        // The quotient with 64 more bits, the lowest made sticky: converting
                        // it rounds as the true quotient would be rounded.
                        let dividend = u128::from(numerator) << 64;
                        let quotient = dividend / NonZero::<u128>::from(denominator);
                        let sticky = quotient * u128::from(denominator.get()) != dividend;
                        let two_to_64 = (1_u128 << 64) as $float;
                        (quotient | u128::from(sticky)) as $float / two_to_64
                    }

                    let exact = 1 << Self::MANTISSA_DIGITS;
                    match NonZero::new(denominator) {
                        None => 0.0,
                        // Both convert exactly, so that only the division rounds.
                        Some(_) if numerator <= exact && denominator <= exact => {
                            numerator as Self / denominator as Self
                        }
                        Some(denominator) => of_large(numerator, denominator),
                    }
                }
            }
        };
    }

    arithmetic!(f32);
    arithmetic!(f64);

    #[cfg(feature = "half")]
    macro_rules! halves {
        ($($half:ident)*) => {$(
            impl Arithmetic for half::$half {
                #[inline]
                fn scaled(self, scale: f32) -> Self {
                    Self::from_f32(self.to_f32() * scale)
                }

                #[inline]
                fn from_deviate(units: i32) -> Self {
                    Self::from_f32(f32::from_deviate(units))
                }
            }
        )*};
    }

    #[cfg(feature = "half")]
    halves!(f16 bf16);
}
