//! Where the scales of vectors come from, for `x86_runs.rs`. Closures would not do: what is not inlined
//! loses the instructions.

#![allow(unsafe_code, reason = "vector instructions, loads through pointers")]
#![allow(clippy::multiple_unsafe_ops_per_block, reason = "one proof for one expression")]

use super::BLOCK;
use super::x86::Vector;
use super::x86_runs::LONG;

/// The scales of runs.
pub(super) trait RunScales<V: Vector>: Copy {
    type OfRun: VectorScales<V>;

    /// # Safety
    ///
    /// Run `i` has scales; the level's instructions are there.
    unsafe fn of_run(self, i: usize) -> Self::OfRun;
}

/// The scales of the vectors of a run, and of its blocks one after the other.
pub(super) trait VectorScales<V: Vector>: Copy {
    /// What the vectors of a block need.
    type Block: Copy;

    /// Those of the vector that begins at `start`.
    ///
    /// # Safety
    ///
    /// The elements from `start` on have scales; the level's instructions are there.
    unsafe fn at(self, start: usize) -> V::Scales;

    /// The same with `start` as the first element of the next block.
    fn from(self, start: usize) -> Self;

    /// # Safety
    ///
    /// The block has scales; the level's instructions are there.
    unsafe fn next(&mut self) -> Self::Block;

    /// Those of all vectors of a block, if they are the same.
    fn common(block: Self::Block) -> Option<V::Scales>;

    /// Those of vector `i` of a block.
    ///
    /// # Safety
    ///
    /// The level's instructions are there.
    unsafe fn of(block: Self::Block, i: usize) -> V::Scales;

    /// Whether it pays to begin a run of so many elements at a cache line.
    fn pays_to_align(self, len: usize) -> bool;

    /// Whether it pays to ask for elements ahead: where loads are masked, processors do not see by
    /// themselves where they go on.
    fn pays_to_fetch(self, _len: usize) -> bool {
        V::MASKS_LOADS
    }
}

/// The same for all runs.
#[derive(Clone, Copy)]
pub(super) struct Same<S>(pub(super) S);

impl<V: Vector, S: VectorScales<V>> RunScales<V> for Same<S> {
    type OfRun = S;

    #[inline(always)]
    unsafe fn of_run(self, _: usize) -> S {
        self.0
    }
}

#[derive(Clone, Copy)]
pub(super) struct One<V: Vector>(pub(super) V::Scales);

impl<V: Vector> VectorScales<V> for One<V> {
    type Block = V::Scales;

    #[inline(always)]
    unsafe fn at(self, _: usize) -> V::Scales {
        self.0
    }

    #[inline(always)]
    fn from(self, _: usize) -> Self {
        self
    }

    #[inline(always)]
    fn pays_to_align(self, len: usize) -> bool {
        len >= LONG
    }

    #[inline(always)]
    unsafe fn next(&mut self) -> V::Scales {
        self.0
    }

    #[inline(always)]
    fn common(scales: V::Scales) -> Option<V::Scales> {
        Some(scales)
    }

    #[inline(always)]
    unsafe fn of(scales: V::Scales, _: usize) -> V::Scales {
        scales
    }
}

/// One for each element, in a cycle.
#[derive(Clone, Copy)]
pub(super) struct Each<S> {
    scales: *const S,
    /// How many there are, but the block behind them.
    cycle: usize,
    /// The next one.
    at: usize,
}

impl<S> Each<S> {
    pub(super) const fn new(scales: &[S]) -> Self {
        Self { scales: scales.as_ptr(), cycle: scales.len().saturating_sub(BLOCK), at: 0 }
    }

    const fn place(self, start: usize) -> usize {
        // A run has rarely more, so that nothing is divided.
        if start < self.cycle {
            return start;
        }
        match start.checked_rem(self.cycle) {
            Some(place) => place,
            None => 0,
        }
    }
}

impl<V: Vector> VectorScales<V> for Each<V::Scale> {
    type Block = *const V::Scale;

    #[inline(always)]
    unsafe fn at(self, start: usize) -> V::Scales {
        // SAFETY: the caller's.
        unsafe { V::scales(self.scales.add(self.place(start))) }
    }

    #[inline(always)]
    fn from(self, start: usize) -> Self {
        Self { at: self.place(start), ..self }
    }

    /// Not where scales would cross cache lines instead.
    #[inline(always)]
    fn pays_to_align(self, len: usize) -> bool {
        len > self.cycle
    }

    /// In long runs, beside the other stream of loads (12 % on Zen 5).
    #[inline(always)]
    fn pays_to_fetch(self, len: usize) -> bool {
        V::MASKS_LOADS || len > self.cycle
    }

    #[inline(always)]
    unsafe fn next(&mut self) -> Self::Block {
        // SAFETY: it is a place in the cycle, behind which there is a block.
        let block = unsafe { self.scales.add(self.at) };
        self.at += BLOCK;
        if self.at >= self.cycle {
            self.at -= self.cycle;
        }
        block
    }

    #[inline(always)]
    fn common(_: Self::Block) -> Option<V::Scales> {
        None
    }

    #[inline(always)]
    unsafe fn of(block: Self::Block, i: usize) -> V::Scales {
        // SAFETY: the caller's.
        unsafe { V::scales(block.add(i * V::LANES)) }
    }
}

/// One for each run.
#[derive(Clone, Copy)]
pub(super) struct ByRun<S>(pub(super) *const S);

impl<V: Vector> RunScales<V> for ByRun<V::Scale> {
    type OfRun = One<V>;

    #[inline(always)]
    unsafe fn of_run(self, i: usize) -> One<V> {
        // SAFETY: the caller's.
        One(unsafe { V::splat(*self.0.add(i)) })
    }
}

/// One for each part of a run. Parts follow one another and have a block's elements or more.
#[derive(Clone, Copy)]
pub(super) struct ByPart<S> {
    scales: *const S,
    /// The last part.
    last: usize,
    /// The elements of a part.
    len: usize,
    /// The part of the next block's first element, and how many of its elements are left.
    part: usize,
    left: usize,
}

impl<S: Copy> ByPart<S> {
    pub(super) const fn new(scales: &[S], len: usize) -> Self {
        Self {
            scales: scales.as_ptr(),
            last: scales.len().saturating_sub(1),
            len,
            part: 0,
            left: len,
        }
    }

    const fn at_part(self, start: usize) -> Self {
        let Some(part) = start.checked_div(self.len) else { return self };
        Self { part, left: (part + 1) * self.len - start, ..self }
    }

    /// The scales of the part and of the next, and the elements before that.
    ///
    /// # Safety
    ///
    /// The part has a scale; the level's instructions are there.
    #[inline(always)]
    unsafe fn pair<V: Vector<Scale = S>>(&self) -> Pair<V> {
        // The last is followed by itself.
        let next = (self.part + 1).min(self.last);
        // SAFETY: the caller's.
        unsafe {
            Pair {
                part: V::splat(*self.scales.add(self.part)),
                next: V::splat(*self.scales.add(next)),
                left: self.left,
            }
        }
    }
}

/// The scales of two parts that may have elements in a block, and where the second begins.
#[derive(Clone, Copy)]
pub(super) struct Pair<V: Vector> {
    part: V::Scales,
    next: V::Scales,
    left: usize,
}

impl<V: Vector> VectorScales<V> for ByPart<V::Scale> {
    type Block = Pair<V>;

    #[inline(always)]
    unsafe fn at(self, start: usize) -> V::Scales {
        // SAFETY: the caller's.
        unsafe { <Self as VectorScales<V>>::of(self.at_part(start).pair(), 0) }
    }

    #[inline(always)]
    fn from(self, start: usize) -> Self {
        self.at_part(start)
    }

    #[inline(always)]
    fn pays_to_align(self, _: usize) -> bool {
        true
    }

    #[inline(always)]
    unsafe fn next(&mut self) -> Pair<V> {
        // SAFETY: the caller's.
        let pair = unsafe { self.pair() };
        if self.left > BLOCK {
            self.left -= BLOCK;
        } else {
            (self.part, self.left) = (self.part + 1, self.left + self.len - BLOCK);
        }
        pair
    }

    #[inline(always)]
    fn common(pair: Pair<V>) -> Option<V::Scales> {
        if pair.left >= BLOCK { Some(pair.part) } else { None }
    }

    #[inline(always)]
    unsafe fn of(Pair { part, next, left }: Pair<V>, i: usize) -> V::Scales {
        // SAFETY: the caller's.
        unsafe { V::before(left, i, part, next) }
    }
}

#[cfg(test)]
mod tests {
    extern crate alloc;

    use alloc::vec::Vec;
    use core::fmt::Debug;

    use crate::apply::{Runs, Scales, Tensor, apply, cycle};
    use crate::cpu::Level;
    use crate::{Backend, Element};

    /// Runs of all lengths that follow one another have their scales on every backend: one each, or one
    /// for each element in a cycle; at every place in a line.
    fn check<T: Element + PartialEq + Debug>(convert: impl Fn(u16) -> T)
    where
        T::Scale: From<u16>,
    {
        let bits: Vec<u64> = (1..99_u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        let x: Vec<T> = (0..6000).map(|i| convert(1 + i % 31)).collect();
        for level in Backend::available().map(|backend| Level::of(Some(backend))) {
            // Miri takes minutes for all lengths.
            for len in (1..300).step_by(if cfg!(miri) { 97 } else { 1 }) {
                let (first, count, bit) = (len % 17, 1 + 4900 / len % 19, len % 71);
                let mut of_elements: Vec<_> = (1..500).map(T::Scale::from).collect();
                let of_elements = cycle(&mut of_elements, len);
                let of_runs: Vec<_> = (3..22).map(T::Scale::from).collect();
                let expected = |scale: &dyn Fn(usize) -> T::Scale| {
                    let mut y = x.clone();
                    for i in 0..count * len {
                        let dropped = bits[(bit + i) / 64] >> ((bit + i) % 64) & 1 == 1;
                        y[first + i] =
                            if dropped { T::ZERO } else { x[first + i].scaled(scale(i)) };
                    }
                    y
                };
                let check = |runs: Runs<'_>, scales, expected: Vec<T>| {
                    let mut y = x.clone();
                    apply(level, &mut Tensor::InPlace(&mut y[first..]), runs, scales);
                    assert_eq!(y, expected, "{level:?} {len}");
                };
                let runs = Runs { bits: &bits, bit, count, len, step: len, bit_step: len };
                check(runs, Scales::Runs(&of_runs), expected(&|i| of_runs[i / len]));
                let run = Runs::one(&bits, bit, count * len);
                check(run, Scales::Each(of_elements), expected(&|i| of_elements[i % len]));
            }
        }
    }

    #[test]
    fn runs_that_follow_one_another_have_their_scales() {
        check(f32::from);
        check(f64::from);
        #[cfg(feature = "half")]
        {
            check(|i| ::half::bf16::from_f32_const(f32::from(i)));
            check(|i| ::half::f16::from_f32_const(f32::from(i)));
        }
    }
}
