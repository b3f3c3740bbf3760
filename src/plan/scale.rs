//! How scales follow from counts.

use crate::element::arithmetic::Ratio;
use crate::{DropBlock, DropCount, Element, Scale, gamma};

/// The rule of a plan.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rule {
    /// The scale of a group is that of its count.
    Counted,
    /// One for all, whatever is dropped: 1 over this probability, in units of 2^-63.
    Known(u64),
    /// That of the position in the map.
    PerPosition,
}

impl Rule {
    pub(crate) const fn new(layer: &DropBlock) -> Self {
        match layer.scale {
            Scale::PerPosition => Self::PerPosition,
            Scale::PerTensor | Scale::PerSample | Scale::PerMap if layer.training => Self::Counted,
            Scale::Fixed if layer.training => {
                Self::Known(gamma::ONE - gamma::from_f64(layer.drop_prob))
            }
            _ => Self::Known(gamma::ONE),
        }
    }

    /// The scale of a group with this count; `None` where each position has its own.
    #[inline(always)]
    pub(crate) fn scale<T: Element>(self, count: DropCount) -> Option<T::Scale> {
        let total = gamma::ONE;
        Some(count_scale(match self {
            Self::Counted => count,
            Self::Known(kept) => DropCount { dropped: total - kept, total },
            Self::PerPosition => return None,
        }))
    }
}

/// `total / kept`, the paper's `count(M) / count_ones(M)`, rounded once; 0 if everything is dropped,
/// 1 where there is nothing.
#[inline(always)]
pub(crate) fn count_scale<S: Element<Scale = S> + Ratio>(count: DropCount) -> S {
    if count.total == 0 { S::ONE } else { S::from_ratio(count.total, count.kept()) }
}
