//! Applying a mask with `wide`: one word of the mask and 64 elements at a time. The word is
//! spread over the lanes of a vector, each lane keeps its own bit, and a comparison turns it
//! into a mask of the lane's width.

use wide::{f32x8, f64x4, u32x8, u64x4};

use super::scalar::{apply_run, by_run, each};
use super::{BLOCK, Runs, Scales, Tensor};
use crate::Element;
use crate::bits::Words;

/// See [`apply`](super::apply).
#[inline(always)]
pub(super) fn apply<T: Element>(
    tensor: &mut Tensor<'_, T>,
    runs: Runs<'_>,
    scales: Scales<'_, T::Scale>,
) {
    match scales {
        Scales::One(scale) => one(tensor, runs, scale),
        Scales::Each(scales) => each(tensor, runs, scales),
        Scales::Runs(scales) => by_run(tensor, runs, scales, one),
    }
}

/// Runs with one scale.
fn one<T: Element>(tensor: &mut Tensor<'_, T>, runs: Runs<'_>, scale: T::Scale) {
    for (run, bit) in runs.each() {
        let mut words = Words::new(runs.bits, bit);
        let blocks = run.len() / BLOCK * BLOCK;
        let rest = T::apply_blocks(tensor.part(run), scale, || words.next_word());
        apply_run(rest, (runs.bits, bit + blocks), scale);
    }
}

/// An element type with vectors of `wide`.
pub trait Kernel: Sized {
    /// `y = word[i] ? 0 : x * scale` for whole blocks, each with the next word; returns the rest.
    #[allow(private_interfaces, reason = "nothing outside can call it")]
    fn apply_blocks<'t>(
        tensor: Tensor<'t, Self>,
        scale: Self::Scale,
        next_word: impl FnMut() -> u64,
    ) -> Tensor<'t, Self>
    where
        Self: Element;
}

macro_rules! floats {
    ($float:ident, $vector:ident, $bits:ident, $word:ident, $lanes:literal) => {
        impl Kernel for $float {
            #[allow(private_interfaces, reason = "nothing outside can call it")]
            #[inline]
            fn apply_blocks<'t>(
                tensor: Tensor<'t, Self>,
                scale: Self,
                mut next_word: impl FnMut() -> u64,
            ) -> Tensor<'t, Self> {
                const LANE: $bits = $bits::new({
                    let mut lane = [0; $lanes];
                    let mut i = 0;
                    while i < $lanes {
                        lane[i] = 1 << i;
                        i += 1;
                    }
                    lane
                });
                tensor.blocks(
                    |_| next_word(),
                    |word, i, x: [Self; $lanes]| {
                        let word = $bits::splat((word >> (i * $lanes)) as $word);
                        let kept = (word & LANE).simd_eq($bits::ZERO);
                        let scaled = $vector::new(x) * $vector::splat(scale);
                        $vector::from_bits(scaled.to_bits() & kept).to_array()
                    },
                )
            }
        }
    };
}

floats!(f32, f32x8, u32x8, u32, 8);
floats!(f64, f64x4, u64x4, u64, 4);
