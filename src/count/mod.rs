//! Counting the dropped units of a mask, and the scale that follows from the count.

use core::ops::Range;

use crate::Element;
use crate::backend::Level;
use crate::element::arithmetic::Ratio;

mod scalar;
mod simd;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod x86;

/// The number of set bits in the range.
#[inline]
pub(crate) fn count(level: Level, bits: &[u64], range: Range<usize>) -> u64 {
    match level {
        Level::Scalar => scalar::count(bits, range),
        Level::Simd(_) => simd::count(bits, range),
        #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
        Level::X86(x86) => x86::count(x86, bits, range),
    }
}

/// How many units of a mask, or of one of its scale groups, are dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Dropped {
    /// The number of dropped units.
    pub count: u64,
    /// The number of units in all. A mask that is shared over channels or samples has fewer
    /// units than the tensor has elements.
    pub of: u64,
}

impl Dropped {
    /// Returns the fraction that is dropped, 0 for an empty mask.
    #[inline]
    #[must_use]
    pub fn fraction(&self) -> f64 {
        if self.of == 0 { 0.0 } else { self.count as f64 / self.of as f64 }
    }

    /// Returns `of / (of - count)`, the paper's `count(M) / count_ones(M)`, rounded once;
    /// 0 if everything is dropped, 1 for an empty mask.
    #[inline]
    #[must_use]
    pub fn scale<T: Element>(&self) -> T::Scale {
        if self.of == 0 {
            return T::Scale::ONE;
        }
        T::Scale::from_ratio(self.of, self.of.saturating_sub(self.count))
    }
}
