//! Stage 3: `y = dropped ? 0 : x * scale`, by selection, one read and one write of `x`.
//!
//! Dropped units are selected to positive zero, never multiplied by it, so that NaN and
//! infinity do not survive there. The backward pass is the same function of the gradient.
//!
//! `walk.rs` finds the runs of elements whose bits lie side by side, [`apply`] hands them to the
//! backend.

use core::mem::MaybeUninit;
use core::ops::Range;

use crate::Element;
use crate::cpu::{Level, on_x86};

mod action;
mod channels_last;
#[cfg(feature = "half")]
mod half;
mod repeated;
mod rows;
mod scalar;
mod select;
mod simd;
mod walk;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod x86;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod x86_drop;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod x86_float;
#[cfg(all(feature = "half", target_arch = "x86_64", target_feature = "sse2"))]
mod x86_half;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod x86_runs;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod x86_scales;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod x86_turn;

pub(crate) use select::select;
pub(crate) use walk::Walk;

/// The number of elements that one word of a mask speaks of.
pub(crate) const BLOCK: usize = 64;

/// What each backend needs of an element type.
pub trait Kernels: simd::Kernel + ForX86 {}

impl<T: simd::Kernel + ForX86> Kernels for T {}

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
use x86::Kernel as ForX86;

/// Other processors need nothing more.
#[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
pub trait ForX86 {}

#[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
impl<T> ForX86 for T {}

/// Runs of elements with bits of their own: the first begins with the tensor and with bit `bit`; how
/// many, their length, and how far apart the elements and the bits lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Runs<'b> {
    bits: &'b [u64],
    bit: usize,
    count: usize,
    len: usize,
    step: usize,
    bit_step: usize,
}

impl<'b> Runs<'b> {
    /// A single one. Without bits nothing is dropped.
    #[inline]
    const fn one(bits: &'b [u64], bit: usize, len: usize) -> Self {
        Self { bits, bit, count: 1, len, step: 0, bit_step: 0 }
    }

    /// Whether runs follow one another as their bits do.
    #[inline]
    const fn are_one(&self) -> bool {
        self.step == self.len && self.bit_step == self.len
    }

    /// Whether several runs follow one another and have the same bits.
    #[inline]
    const fn have_same_bits(&self) -> bool {
        self.count > 1 && self.step == self.len && self.bit_step == 0
    }

    /// The elements of each run, and its first bit.
    #[inline(always)]
    fn each(self) -> impl Iterator<Item = (Range<usize>, usize)> {
        let Self { bit, count, len, step, bit_step, .. } = self;
        (0..count).map(move |i| (i * step..i * step + len, bit + i * bit_step))
    }
}

/// The scales of a run of elements.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scales<'a, S> {
    One(S),
    /// One for each element, and after them from the first on again: the last block is there for that,
    /// see [`cycle`]. Cycles are not shorter than a block.
    Each(&'a [S]),
    /// One for each run.
    Runs(&'a [S]),
}

impl<S: Copy> Scales<'_, S> {
    /// That of an element of a single run.
    #[inline]
    fn of(&self, i: usize) -> Option<S> {
        match self {
            Scales::One(scale) => Some(*scale),
            Scales::Each(scales) => scales.get(i).copied(),
            Scales::Runs(scales) => scales.first().copied(),
        }
    }
}

/// The first `len` scales as often as they fill a block, and the block that [`Scales::Each`] has behind
/// them.
fn cycle<S: Copy>(scales: &mut [S], len: usize) -> &[S] {
    let end = len * BLOCK.div_ceil(len.max(1)) + BLOCK;
    for i in len..end {
        let Some(&scale) = scales.get(i - len) else { break };
        let Some(place) = scales.get_mut(i) else { break };
        *place = scale;
    }
    scales.get(..end).unwrap_or_default()
}

/// Applies runs: `y = dropped ? 0 : x * scale`.
#[inline(always)]
pub(crate) fn apply<T: Element>(
    level: Level,
    tensor: &mut Tensor<'_, T>,
    runs: Runs<'_>,
    scales: Scales<'_, T::Scale>,
) {
    match level {
        Level::Scalar => scalar::apply(tensor, runs, scales),
        Level::Simd(_) => simd::apply(tensor, runs, scales),
        Level::X86(x86) => on_x86!(x86, x86::apply(x86, tensor, runs, scales)),
    }
}

/// Applies bits to the elements of a tensor, one for one, with one scale.
#[inline(always)]
pub(crate) fn apply_line<T: Element>(
    level: Level,
    tensor: &mut Tensor<'_, T>,
    bits: &[u64],
    scale: T::Scale,
) {
    let len = tensor.len();
    if scale == T::Scale::ZERO {
        // Written, as a product with 0 may be NaN or -0.
        return tensor.fill(0, (len, 1), T::ZERO);
    }
    apply(level, tensor, Runs::one(bits, 0, len), Scales::One(scale));
}

/// Drops without scaling: `x = dropped ? value : x`, in place.
#[inline]
fn drop_only<T: Copy>(level: Level, tensor: &mut Tensor<'_, T>, runs: Runs<'_>, value: T) {
    match level {
        Level::Scalar | Level::Simd(_) => scalar::drop_only(tensor, runs, value),
        Level::X86(x86) => on_x86!(x86, x86::drop_only(x86, tensor, runs, value)),
    }
}

/// Turns bits of channels into bits of positions, so many of both, see `channels_last.rs`. Rows beyond
/// these positions are left open.
#[inline]
fn turn(
    level: Level,
    bits: &[u64],
    first: (usize, usize),
    len: (usize, usize),
    turned: &mut channels_last::Turned,
) {
    match level {
        Level::Scalar | Level::Simd(_) => channels_last::turn(bits, first, len, turned),
        Level::X86(x86) => on_x86!(x86, x86::turn(x86, bits, first, len, turned)),
    }
}

/// Bits of 64 positions of a few channels in the order of elements, see `channels_last.rs`.
#[inline]
fn interleave(
    level: Level,
    bits: &[u64],
    first: (usize, usize),
    channels: usize,
    words: &mut [u64],
) {
    match level {
        Level::Scalar | Level::Simd(_) => channels_last::interleave(bits, first, channels, words),
        Level::X86(x86) => on_x86!(x86, x86::interleave(x86, bits, first, channels, words)),
    }
}

/// The tensor of one pass: changed in place, or read and written.
#[derive(Debug)]
pub(crate) enum Tensor<'a, T> {
    InPlace(&'a mut [T]),
    /// Only values are written to the output.
    To(&'a [T], &'a mut [MaybeUninit<T>], Stores),
}

/// Where the output of a pass that is not in place goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stores {
    Cached,
    /// To memory past the caches, which do not hold input and output: what an ordinary store writes
    /// is read first, and pushed out before anyone uses it.
    Streamed,
}

impl Stores {
    /// For an input, and an output, of so many bytes.
    #[inline]
    pub(crate) fn of(level: Level, bytes: usize) -> Self {
        match level {
            Level::X86(x86) if bytes.saturating_mul(2) > x86.last_cache() => Self::Streamed,
            _ => Self::Cached,
        }
    }
}

impl<T: Copy> Tensor<'_, T> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Tensor::InPlace(y) => y.len(),
            Tensor::To(_, y, _) => y.len(),
        }
    }

    /// The elements in the range; none where the range leaves the tensor.
    #[inline]
    pub(crate) fn part(&mut self, range: Range<usize>) -> Tensor<'_, T> {
        match self {
            Tensor::InPlace(y) => Tensor::InPlace(y.get_mut(range).unwrap_or_default()),
            Tensor::To(x, y, stores) => match (x.get(range.clone()), y.get_mut(range)) {
                (Some(x), Some(y)) => Tensor::To(x, y, *stores),
                _ => Tensor::To(&[], &mut [], *stores),
            },
        }
    }

    /// The elements from `start` on.
    #[inline]
    pub(crate) fn from(&mut self, start: usize) -> Tensor<'_, T> {
        self.part(start..self.len())
    }

    /// The elements before `middle`, and the others.
    #[cfg(feature = "rayon")]
    pub(crate) fn split(self, middle: usize) -> (Self, Self) {
        let middle = middle.min(self.len());
        match self {
            Tensor::InPlace(y) => {
                let (first, second) = y.split_at_mut(middle);
                (Tensor::InPlace(first), Tensor::InPlace(second))
            }
            Tensor::To(x, y, stores) => {
                let (x_first, x_second) = x.split_at(middle.min(x.len()));
                let (y_first, y_second) = y.split_at_mut(middle);
                (Tensor::To(x_first, y_first, stores), Tensor::To(x_second, y_second, stores))
            }
        }
    }

    /// Replaces an element by what a function makes of it.
    #[inline]
    pub(crate) fn replace(&mut self, i: usize, make: impl FnOnce(T) -> T) {
        match self {
            Tensor::InPlace(y) => {
                if let Some(y) = y.get_mut(i) {
                    *y = make(*y);
                }
            }
            Tensor::To(x, y, _) => {
                if let (Some(&x), Some(y)) = (x.get(i), y.get_mut(i)) {
                    y.write(make(x));
                }
            }
        }
    }

    /// Writes `value` to `len` elements from `start` on, `step` apart.
    pub(crate) fn fill(&mut self, start: usize, (len, step): (usize, isize), value: T) {
        if step == 1 {
            match self.part(start..start + len) {
                Tensor::InPlace(y) => y.fill(value),
                Tensor::To(_, y, _) => y.fill(MaybeUninit::new(value)),
            }
            return;
        }
        for i in 0..len {
            self.replace(start.wrapping_add_signed(i as isize * step), |_| value);
        }
    }

    /// Leaves `len` elements from `start` on, `step` apart, as they are: nothing in place, a copy
    /// otherwise.
    pub(crate) fn keep(&mut self, start: usize, (len, step): (usize, isize)) {
        let Tensor::To(x, y, _) = self else { return };
        if step == 1
            && let (Some(x), Some(y)) = (x.get(start..start + len), y.get_mut(start..start + len))
        {
            // As `copy_from_slice`, which memory that need not be initialised lacks here.
            return x.iter().zip(y).for_each(|(&x, y)| *y = MaybeUninit::new(x));
        }
        for i in 0..len {
            self.replace(start.wrapping_add_signed(i as isize * step), |x| x);
        }
    }

    /// Replaces `N` elements at a time, as long as there are so many, each by what `make` makes of their
    /// state, its number among them and itself; returns the rest.
    #[inline(always)]
    fn chunks<const N: usize, S: Copy>(
        self,
        mut state: impl FnMut() -> S,
        make: impl Fn(S, usize, T) -> T,
    ) -> Self {
        match self {
            Tensor::InPlace(y) => {
                let (chunks, rest) = y.as_chunks_mut::<N>();
                for chunk in chunks {
                    let state = state();
                    for (i, y) in chunk.iter_mut().enumerate() {
                        *y = make(state, i, *y);
                    }
                }
                Tensor::InPlace(rest)
            }
            Tensor::To(x, y, stores) => {
                let (x, x_rest) = x.as_chunks::<N>();
                let (y, y_rest) = y.as_chunks_mut::<N>();
                for (x, y) in x.iter().zip(y) {
                    let state = state();
                    for (i, (&x, y)) in x.iter().zip(y).enumerate() {
                        y.write(make(state, i, x));
                    }
                }
                Tensor::To(x_rest, y_rest, stores)
            }
        }
    }

    /// Replaces whole blocks, `N` elements at a time by what `make` makes of the block's state, the
    /// number of the chunk in its block and its elements; returns the rest.
    #[inline(always)]
    fn blocks<S: Copy, const N: usize>(
        self,
        mut state: impl FnMut(&[T; BLOCK]) -> S,
        make: impl Fn(S, usize, [T; N]) -> [T; N],
    ) -> Self {
        match self {
            Tensor::InPlace(y) => {
                let (blocks, rest) = y.as_chunks_mut::<BLOCK>();
                for block in blocks {
                    let state = state(block);
                    for (i, y) in block.as_chunks_mut::<N>().0.iter_mut().enumerate() {
                        *y = make(state, i, *y);
                    }
                }
                Tensor::InPlace(rest)
            }
            Tensor::To(x, y, stores) => {
                let (x, x_rest) = x.as_chunks::<BLOCK>();
                let (y, y_rest) = y.as_chunks_mut::<BLOCK>();
                for (x, y) in x.iter().zip(y) {
                    let state = state(x);
                    let chunks = x.as_chunks::<N>().0.iter().zip(y.as_chunks_mut::<N>().0);
                    for (i, (x, y)) in chunks.enumerate() {
                        write(y, make(state, i, *x));
                    }
                }
                Tensor::To(x_rest, y_rest, stores)
            }
        }
    }
}

/// One element after the other, which compilers turn into vectors.
#[inline(always)]
fn write<T: Copy, const N: usize>(y: &mut [MaybeUninit<T>; N], values: [T; N]) {
    for (y, value) in y.iter_mut().zip(values) {
        y.write(value);
    }
}
