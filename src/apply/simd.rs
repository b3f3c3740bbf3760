//! Applying a mask with `wide`: one word of the mask and 64 elements at a time. The word is
//! spread over the lanes of a vector, each lane keeps its own bit, and a comparison turns it
//! into a mask of the lane's width.

use wide::{f32x8, f64x4, u32x8, u64x4};

use super::BLOCK;
use super::scalar::{self, One};
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
use super::{Factors, Runs, Tensor};
use crate::element::arithmetic::Ratio;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
use crate::x86::X86;
use crate::{Element, bits};

/// `y = bit ? 0 : x * scale`, element `i` with bit `bit + i`.
pub(super) fn apply<T: Element>(x: &[T], y: &mut [T], bits: &[u64], bit: usize, scale: T::Scale) {
    let (x_blocks, x_rest) = x.as_chunks();
    let (y_blocks, y_rest) = y.as_chunks_mut();
    let mut at = bit;
    for (x, y) in x_blocks.iter().zip(y_blocks) {
        T::apply(x, y, bits::load(bits, at), scale);
        at += BLOCK;
    }
    scalar::apply(x_rest, y_rest, bits, at, One(scale));
}

/// The same with `x` and `y` in one buffer.
pub(super) fn apply_in_place<T: Element>(y: &mut [T], bits: &[u64], bit: usize, scale: T::Scale) {
    let (blocks, rest) = y.as_chunks_mut();
    let mut at = bit;
    for y in blocks {
        T::apply_in_place(y, bits::load(bits, at), scale);
        at += BLOCK;
    }
    scalar::apply_in_place(rest, bits, at, One(scale));
}

/// A block of elements with their bits in one word.
pub trait Block: Sized {
    /// The type of a scale.
    type Scale: Element<Scale = Self::Scale> + Ratio;

    /// `y[i] = word[i] ? 0 : x[i] * scale`.
    fn apply(x: &[Self; BLOCK], y: &mut [Self; BLOCK], word: u64, scale: Self::Scale);

    /// The same with `x` and `y` in one buffer.
    fn apply_in_place(y: &mut [Self; BLOCK], word: u64, scale: Self::Scale);

    /// See [`Tensor::apply_runs`].
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
    fn apply_x86(
        x86: X86,
        tensor: &mut Tensor<'_, Self>,
        bits: &[u64],
        bit: usize,
        runs: Runs,
        factors: Factors<'_, Self::Scale>,
    );

    /// See [`Tensor::apply_groups`].
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
    fn apply_groups_x86(
        x86: X86,
        tensor: &mut Tensor<'_, Self>,
        bits: &[u64],
        bit: usize,
        len: usize,
    );
}

macro_rules! block {
    ($float:ident, $x86:ident, $vector:ident, $bits:ident, $word:ident, $lanes:literal) => {
        impl Block for $float {
            type Scale = Self;

            #[inline]
            fn apply(x: &[Self; BLOCK], y: &mut [Self; BLOCK], word: u64, scale: Self) {
                let x = x.as_chunks::<$lanes>().0;
                let y = y.as_chunks_mut::<$lanes>().0;
                for (i, (x, y)) in x.iter().zip(y).enumerate() {
                    *y = x.select(word >> (i * $lanes), scale);
                }
            }

            #[inline]
            fn apply_in_place(y: &mut [Self; BLOCK], word: u64, scale: Self) {
                let y = y.as_chunks_mut::<$lanes>().0;
                for (i, y) in y.iter_mut().enumerate() {
                    *y = y.select(word >> (i * $lanes), scale);
                }
            }

            #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
            #[inline]
            fn apply_x86(
                x86: X86,
                tensor: &mut Tensor<'_, Self>,
                bits: &[u64],
                bit: usize,
                runs: Runs,
                factors: Factors<'_, Self>,
            ) {
                super::x86_float::$x86::apply(x86, tensor, bits, bit, runs, factors);
            }

            #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
            #[inline]
            fn apply_groups_x86(
                x86: X86,
                tensor: &mut Tensor<'_, Self>,
                bits: &[u64],
                bit: usize,
                len: usize,
            ) {
                super::x86_float::$x86::apply_groups(x86, tensor, bits, bit, len);
            }
        }

        impl Select for [$float; $lanes] {
            type Scale = $float;

            #[inline]
            fn select(self, word: u64, scale: $float) -> Self {
                const LANE: $bits = $bits::new({
                    let mut lane = [0; $lanes];
                    let mut i = 0;
                    while i < $lanes {
                        lane[i] = 1 << i;
                        i += 1;
                    }
                    lane
                });
                let kept = ($bits::splat(word as $word) & LANE).simd_eq($bits::ZERO);
                let scaled = $vector::new(self) * $vector::splat(scale);
                $vector::from_bits(scaled.to_bits() & kept).to_array()
            }
        }
    };
}

/// The lanes of one vector: `word[i] ? 0 : self[i] * scale`.
trait Select: Sized {
    type Scale;
    fn select(self, word: u64, scale: Self::Scale) -> Self;
}

block!(f32, f32_runs, f32x8, u32x8, u32, 8);
block!(f64, f64_runs, f64x4, u64x4, u64, 4);
