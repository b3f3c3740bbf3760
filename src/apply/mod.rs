//! Stage 3: `y = dropped ? 0 : x * scale`, by selection, one read and one write of `x`.
//!
//! Dropped units are selected to positive zero, never multiplied by it, so that NaN and
//! infinity do not survive there. The backward pass is the same function of the gradient.

use core::ops::Range;

use crate::{Backend, Element, bits};

mod scalar;
mod simd;
mod transpose;

pub(crate) use simd::Block;
pub(crate) use transpose::apply_channels_last;

/// The number of elements that one word of a mask speaks of.
pub(crate) const BLOCK: usize = 64;

/// The tensor of one call: changed in place, or read and written.
#[derive(Debug)]
pub(crate) enum Tensor<'a, T> {
    InPlace(&'a mut [T]),
    To(&'a [T], &'a mut [T]),
}

impl<T: Element> Tensor<'_, T> {
    /// The elements in the range; none where the range leaves the tensor.
    #[inline]
    pub(crate) fn part(&mut self, range: Range<usize>) -> Tensor<'_, T> {
        match self {
            Tensor::InPlace(y) => Tensor::InPlace(y.get_mut(range).unwrap_or_default()),
            Tensor::To(x, y) => match (x.get(range.clone()), y.get_mut(range)) {
                (Some(x), Some(y)) => Tensor::To(x, y),
                _ => Tensor::InPlace(&mut []),
            },
        }
    }

    /// Applies the bits from `bit` on, one for each element.
    #[inline]
    pub(crate) fn apply(&mut self, backend: Backend, bits: &[u64], bit: usize, scale: T) {
        match (self, backend) {
            (Tensor::InPlace(y), Backend::Scalar) => scalar::apply_in_place(y, bits, bit, scale),
            (Tensor::InPlace(y), Backend::Simd) => simd::apply_in_place(y, bits, bit, scale),
            (Tensor::To(x, y), Backend::Scalar) => scalar::apply(x, y, bits, bit, scale),
            (Tensor::To(x, y), Backend::Simd) => simd::apply(x, y, bits, bit, scale),
        }
    }

    /// Applies the bits from `bit` on, one for each row of `row` elements.
    pub(crate) fn apply_rows(&mut self, bits: &[u64], bit: usize, row: usize, scale: T) {
        let rows = self.len().checked_div(row).unwrap_or(0);
        let mut start = 0;
        while start < rows {
            // The run of rows with the same bit, up to the end of this word.
            let word = bits::load(bits, bit + start);
            let dropped = word & 1 == 1;
            let same = if dropped { word.trailing_ones() } else { word.trailing_zeros() };
            let end = rows.min(start + same as usize);
            let mut part = self.part(start * row..end * row);
            if dropped {
                part.clear()
            } else {
                part.scale(scale)
            }
            start = end;
        }
    }

    /// Applies one bit of `word` to each element, with a scale for each.
    #[inline]
    fn apply_word(&mut self, word: u64, scales: &[T]) {
        let select = |j: usize, x: T, scale: T| {
            if word >> (j % BLOCK) & 1 == 1 { T::ZERO } else { x.scaled(scale) }
        };
        match self {
            Tensor::InPlace(y) => {
                for (j, (y, &scale)) in y.iter_mut().zip(scales).enumerate() {
                    *y = select(j, *y, scale);
                }
            }
            Tensor::To(x, y) => {
                for (j, ((&x, y), &scale)) in x.iter().zip(y.iter_mut()).zip(scales).enumerate() {
                    *y = select(j, x, scale);
                }
            }
        }
    }

    fn clear(&mut self) {
        match self {
            Tensor::InPlace(y) | Tensor::To(_, y) => y.fill(T::ZERO),
        }
    }

    /// Multiplies every element.
    pub(crate) fn scale(&mut self, scale: T) {
        match self {
            Tensor::InPlace(y) => y.iter_mut().for_each(|y| *y = y.scaled(scale)),
            Tensor::To(x, y) => {
                for (&x, y) in x.iter().zip(y.iter_mut()) {
                    *y = x.scaled(scale);
                }
            }
        }
    }

    /// Leaves every element as it is: nothing in place, a copy otherwise.
    pub(crate) fn keep(&mut self) {
        if let Tensor::To(x, y) = self
            && x.len() == y.len()
        {
            y.copy_from_slice(x);
        }
    }

    fn len(&self) -> usize {
        match self {
            Tensor::InPlace(y) | Tensor::To(_, y) => y.len(),
        }
    }
}
