//! What stage 3 does with each unit: scale the kept ones and zero the others, or only drop.

use super::{Runs, Scales, Tensor, apply, drop_only};
use crate::cpu::Level;
use crate::plan::scale::count_scale;
use crate::{DropCount, Element};

/// What becomes of the elements of units. Every layout's walk serves every action.
pub(super) trait Action<T: Copy>: Copy {
    /// What kept elements are multiplied by.
    type Scale: Copy + PartialEq;

    /// The scale that changes nothing.
    const ONE: Self::Scale;

    /// The scale of a group with this count.
    fn scale_of(count: DropCount) -> Self::Scale;

    /// Whether nothing is kept under this scale. Such elements are written, as a product with 0 may be
    /// NaN or -0.
    fn is_zero(scale: Self::Scale) -> bool;

    /// Whether one of these is 0. There is no way out in the middle, which vectors cannot take.
    fn have_zero(scales: &[Self::Scale]) -> bool {
        scales.iter().fold(false, |any, &scale| any | Self::is_zero(scale))
    }

    /// What dropped elements become.
    fn dropped(self) -> T;

    /// What a kept element becomes.
    fn kept(self, x: T, scale: Self::Scale) -> T;

    /// Runs of elements. No scale is 0.
    fn runs(self, tensor: &mut Tensor<'_, T>, runs: Runs<'_>, scales: Scales<'_, Self::Scale>);
}

/// `y = dropped ? 0 : x * scale`.
#[derive(Clone, Copy)]
pub(super) struct Apply(pub(super) Level);

impl<T: Element> Action<T> for Apply {
    type Scale = T::Scale;

    const ONE: T::Scale = T::Scale::ONE;

    #[inline]
    fn scale_of(count: DropCount) -> T::Scale {
        count_scale(count)
    }

    #[inline]
    fn is_zero(scale: T::Scale) -> bool {
        scale == T::Scale::ZERO
    }

    #[inline]
    fn dropped(self) -> T {
        T::ZERO
    }

    #[inline]
    fn kept(self, x: T, scale: T::Scale) -> T {
        x.scaled(scale)
    }

    #[inline]
    fn runs(self, tensor: &mut Tensor<'_, T>, runs: Runs<'_>, scales: Scales<'_, T::Scale>) {
        apply(self.0, tensor, runs, scales);
    }
}

/// `x = dropped ? value : x`, in place.
#[derive(Clone, Copy)]
pub(super) struct DropOnly<T>(pub(super) Level, pub(super) T);

impl<T: Copy> Action<T> for DropOnly<T> {
    type Scale = ();

    const ONE: () = ();

    #[inline]
    fn scale_of(_: DropCount) {}

    #[inline]
    fn is_zero((): ()) -> bool {
        false
    }

    #[inline]
    fn dropped(self) -> T {
        self.1
    }

    #[inline]
    fn kept(self, x: T, (): ()) -> T {
        x
    }

    #[inline]
    fn runs(self, tensor: &mut Tensor<'_, T>, runs: Runs<'_>, _: Scales<'_, ()>) {
        drop_only(self.0, tensor, runs, self.1);
    }
}
