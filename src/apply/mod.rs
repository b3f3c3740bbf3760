//! Stage 3: `y = dropped ? 0 : x * scale`, by selection, one read and one write of `x`.
//!
//! Dropped units are selected to positive zero, never multiplied by it, so that NaN and
//! infinity do not survive there. The backward pass is the same function of the gradient.

use core::ops::Range;

use crate::backend::Level;
use crate::count::count;
use crate::{Dropped, Element, bits};

#[cfg(feature = "half")]
mod half;
mod repeated;
mod scalar;
mod simd;
mod transpose;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod x86;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod x86_float;
#[cfg(all(feature = "half", target_arch = "x86_64", target_feature = "sse2"))]
mod x86_half;

use repeated::Repeated;
use scalar::{Each, One};
pub(crate) use simd::Block;
pub(crate) use transpose::{Across, BLOCKS, CHANNELS, apply_channels_last};

/// The number of elements that one word of a mask speaks of.
pub(crate) const BLOCK: usize = 64;

/// The tensor of one call: changed in place, or read and written.
#[cfg_attr(
    not(all(target_arch = "x86_64", target_feature = "sse2")),
    allow(unreachable_pub, reason = "only the x86-64 functions of `Block` speak of it")
)]
#[derive(Debug)]
pub enum Tensor<'a, T> {
    InPlace(&'a mut [T]),
    To(&'a [T], &'a mut [T], Stores),
}

/// Where the output of a pass that is not in place goes.
#[cfg_attr(
    not(all(target_arch = "x86_64", target_feature = "sse2")),
    allow(unreachable_pub, reason = "only the x86-64 functions of `Block` speak of it")
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stores {
    Cached,
    /// To memory past the caches, which do not hold input and output: what an ordinary store writes
    /// is read first, and pushed out before anyone uses it.
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
    Streamed,
}

/// Runs of elements with bits of their own: how many, their length, and how far apart the
/// elements and the bits lie.
#[cfg_attr(
    not(all(target_arch = "x86_64", target_feature = "sse2")),
    allow(unreachable_pub, reason = "only the x86-64 functions of `Block` speak of it")
)]
#[derive(Clone, Copy, Debug)]
pub struct Runs {
    pub(crate) count: usize,
    pub(crate) len: usize,
    pub(crate) step: usize,
    pub(crate) bit_step: usize,
}

/// The scales of a run of units: one for all, or one for each, in blocks.
#[cfg_attr(
    not(all(target_arch = "x86_64", target_feature = "sse2")),
    allow(unreachable_pub, reason = "only the x86-64 functions of `Block` speak of it")
)]
#[derive(Clone, Copy, Debug)]
pub enum Factors<'a, S> {
    One(S),
    Each(&'a [[S; BLOCK]]),
}

impl<S: Copy> Factors<'_, S> {
    #[inline]
    fn of(&self, i: usize) -> Option<S> {
        match self {
            Factors::One(scale) => Some(*scale),
            Factors::Each(scales) => scales.as_flattened().get(i).copied(),
        }
    }
}

impl<'t, T> Tensor<'t, T> {
    /// A whole tensor that is read and written.
    pub(crate) fn to(level: Level, x: &'t [T], y: &'t mut [T]) -> Self {
        #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
        if let Level::X86(x86) = level
            && size_of_val(x) + size_of_val(y) > x86.last_cache()
        {
            return Self::To(x, y, Stores::Streamed);
        }
        let _ = level;
        Self::To(x, y, Stores::Cached)
    }
}

impl<T: Element> Tensor<'_, T> {
    /// The elements in the range; none where the range leaves the tensor.
    #[inline]
    pub(crate) fn part(&mut self, range: Range<usize>) -> Tensor<'_, T> {
        match self {
            Tensor::InPlace(y) => Tensor::InPlace(y.get_mut(range).unwrap_or_default()),
            Tensor::To(x, y, stores) => match (x.get(range.clone()), y.get_mut(range)) {
                (Some(x), Some(y)) => Tensor::To(x, y, *stores),
                _ => Tensor::InPlace(&mut []),
            },
        }
    }

    /// The elements from `start` on.
    #[inline]
    pub(crate) fn from(&mut self, start: usize) -> Tensor<'_, T> {
        self.part(start..self.len())
    }

    /// Applies the bits from `bit` on, one for each element.
    #[inline]
    pub(crate) fn apply(
        &mut self,
        level: Level,
        bits: &[u64],
        bit: usize,
        factors: Factors<'_, T::Scale>,
    ) {
        let runs = Runs { count: 1, len: self.len(), step: 0, bit_step: 0 };
        self.apply_each_run(level, bits, bit, runs, factors);
    }

    /// Applies bits to runs of elements, all with the same factors.
    #[inline]
    pub(crate) fn apply_runs(
        &mut self,
        level: Level,
        bits: &[u64],
        bit: usize,
        mut runs: Runs,
        factors: Factors<'_, T::Scale>,
    ) {
        let one_scale = matches!(factors, Factors::One(_));
        if one_scale && runs.step == runs.len && runs.bit_step == runs.len {
            runs = Runs { count: 1, len: runs.count * runs.len, step: 0, bit_step: 0 };
        }
        if one_scale
            && runs.step == runs.len
            && runs.bit_step == 0
            && !matches!(level, Level::Scalar)
            && self.apply_repeated(level, bits, bit, &runs, factors)
        {
            return;
        }
        self.apply_each_run(level, bits, bit, runs, factors);
    }

    /// Applies the same bits to runs without gaps, or returns false where that does not pay. Not
    /// inlined, or all runs would have its stack.
    #[inline(never)]
    fn apply_repeated(
        &mut self,
        level: Level,
        bits: &[u64],
        bit: usize,
        runs: &Runs,
        factors: Factors<'_, T::Scale>,
    ) -> bool {
        let Some(repeated) = Repeated::new(bits, bit, runs) else { return false };
        let all = &mut self.part(0..runs.count * runs.len);
        repeated.for_each_part(all, |mut part, bits, bit| part.apply(level, bits, bit, factors));
        true
    }

    #[inline]
    fn apply_each_run(
        &mut self,
        level: Level,
        bits: &[u64],
        bit: usize,
        runs: Runs,
        factors: Factors<'_, T::Scale>,
    ) {
        #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
        if let Level::X86(x86) = level {
            return T::apply_x86(x86, self, bits, bit, runs, factors);
        }
        for i in 0..runs.count {
            let mut part = self.part(i * runs.step..i * runs.step + runs.len);
            let bit = bit + i * runs.bit_step;
            match (factors, level) {
                (Factors::Each(scales), _) => part.apply_each(bits, bit, scales),
                (Factors::One(scale), Level::Simd(_)) => part.apply_simd(bits, bit, scale),
                (Factors::One(scale), _) => part.apply_scalar(bits, bit, scale),
            }
        }
    }

    fn apply_scalar(&mut self, bits: &[u64], bit: usize, scale: T::Scale) {
        match self {
            Tensor::InPlace(y) => scalar::apply_in_place(y, bits, bit, One(scale)),
            Tensor::To(x, y, _) => scalar::apply(x, y, bits, bit, One(scale)),
        }
    }

    fn apply_simd(&mut self, bits: &[u64], bit: usize, scale: T::Scale) {
        match self {
            Tensor::InPlace(y) => simd::apply_in_place(y, bits, bit, scale),
            Tensor::To(x, y, _) => simd::apply(x, y, bits, bit, scale),
        }
    }

    /// In plain code on both portable backends.
    fn apply_each(&mut self, bits: &[u64], bit: usize, scales: &[[T::Scale; BLOCK]]) {
        for (i, scales) in scales.iter().enumerate() {
            let end = self.len().min((i + 1) * BLOCK);
            match self.part(i * BLOCK..end) {
                Tensor::InPlace(y) => {
                    scalar::apply_in_place(y, bits, bit + i * BLOCK, Each(scales));
                }
                Tensor::To(x, y, _) => scalar::apply(x, y, bits, bit + i * BLOCK, Each(scales)),
            }
        }
    }

    /// Applies the bits from `bit` on to groups of `len` elements, each with the scale of its own
    /// count.
    pub(crate) fn apply_groups(&mut self, level: Level, bits: &[u64], bit: usize, len: usize) {
        #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
        if let Level::X86(x86) = level {
            return T::apply_groups_x86(x86, self, bits, bit, len);
        }
        for start in (0..self.len()).step_by(len.max(1)) {
            let group = bit + start..bit + start + len;
            let dropped = Dropped { count: count(level, bits, group.clone()), of: len as u64 };
            let scale = Factors::One(dropped.scale::<T::Scale>());
            self.part(start..start + len).apply(level, bits, group.start, scale);
        }
    }

    /// Applies the bits from `bit` on, one for each of `rows` rows of `row` elements that begin
    /// `step` elements apart.
    pub(crate) fn apply_rows(
        &mut self,
        level: Level,
        bits: &[u64],
        bit: usize,
        (rows, row, step): (usize, usize, usize),
        factors: Factors<'_, T::Scale>,
    ) {
        let mut start = 0;
        while start < rows {
            // The rows with the same bit up to the end of this word are one if nothing lies
            // between them.
            let word = bits::load(bits, bit + start);
            let dropped = word & 1 == 1;
            let same = if dropped { word.trailing_ones() } else { word.trailing_zeros() };
            let joined = step == row && (dropped || matches!(factors, Factors::One(_)));
            let end = if joined { rows.min(start + same as usize) } else { start + 1 };
            let mut part = self.part(start * step..(end - 1) * step + row);
            if dropped {
                part.clear();
            } else if let Some(scale) = factors.of(start) {
                part.scale(level, scale);
            }
            start = end;
        }
    }

    /// Applies the bits from `bit` on to `len` elements, `step` apart.
    pub(crate) fn apply_apart(
        &mut self,
        bits: &[u64],
        bit: usize,
        (len, step): (usize, usize),
        factors: Factors<'_, T::Scale>,
    ) {
        for i in 0..len {
            let Some(scale) = factors.of(i) else { return };
            let dropped = bits::load(bits, bit + i) & 1 == 1;
            let select = |x: T| if dropped { T::ZERO } else { x.scaled(scale) };
            match self {
                Tensor::InPlace(y) => {
                    if let Some(y) = y.get_mut(i * step) {
                        *y = select(*y);
                    }
                }
                Tensor::To(x, y, _) => {
                    if let (Some(&x), Some(y)) = (x.get(i * step), y.get_mut(i * step)) {
                        *y = select(x);
                    }
                }
            }
        }
    }

    fn clear(&mut self) {
        match self {
            Tensor::InPlace(y) | Tensor::To(_, y, _) => y.fill(T::ZERO),
        }
    }

    /// Multiplies every element.
    fn scale(&mut self, level: Level, scale: T::Scale) {
        #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
        if let Level::X86(_) = level
            && self.len() >= BLOCK
        {
            // Without bits nothing is dropped.
            return self.apply(level, &[], 0, Factors::One(scale));
        }
        let _ = level;
        match self {
            Tensor::InPlace(y) => y.iter_mut().for_each(|y| *y = y.scaled(scale)),
            Tensor::To(x, y, _) => {
                for (&x, y) in x.iter().zip(y.iter_mut()) {
                    *y = x.scaled(scale);
                }
            }
        }
    }

    /// Leaves `len` elements, `step` apart, as they are: nothing in place, a copy otherwise.
    pub(crate) fn keep(&mut self, (len, step): (usize, usize)) {
        let Tensor::To(x, y, _) = self else { return };
        if step == 1 && x.len() == len && y.len() == len {
            return y.copy_from_slice(x);
        }
        for (x, y) in x.iter().zip(y.iter_mut()).step_by(step.max(1)).take(len) {
            *y = *x;
        }
    }

    fn len(&self) -> usize {
        match self {
            Tensor::InPlace(y) | Tensor::To(_, y, _) => y.len(),
        }
    }
}
