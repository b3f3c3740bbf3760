//! Applying a mask in plain code, in a form that compilers turn into vectors of their own: 32 elements
//! at a time, each with a constant bit of its own, and no shift that varies by lane. What is left
//! over goes by eight, four, two and one, as rows of maps are short.

use core::mem::MaybeUninit;

use super::{BLOCK, Runs, Scales, Stores, Tensor};
use crate::{Element, bits};

const LANES: usize = 8;

/// Half the bits of a word.
const HALF: usize = 32;

/// See [`apply`](super::apply). Each kind of scale has its own function, so that a program which has
/// one kind only leaves out the others.
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

/// Runs with one scale, in place or not by functions of their own.
#[inline(always)]
fn one<T: Element>(tensor: &mut Tensor<'_, T>, runs: Runs<'_>, scale: T::Scale) {
    #[inline(never)]
    fn in_place<T: Element>(y: &mut [T], runs: Runs<'_>, scale: T::Scale) {
        all_runs(Tensor::InPlace(y), runs, scale);
    }
    #[inline(never)]
    fn to<T: Element>(x: &[T], y: &mut [MaybeUninit<T>], runs: Runs<'_>, scale: T::Scale) {
        all_runs(Tensor::To(x, y, Stores::Cached), runs, scale);
    }

    match tensor {
        Tensor::InPlace(y) => in_place(y, runs, scale),
        Tensor::To(x, y, _) => to(x, y, runs, scale),
    }
}

/// The same for a tensor whose kind the compiler sees.
#[inline(always)]
fn all_runs<T: Element>(mut tensor: Tensor<'_, T>, runs: Runs<'_>, scale: T::Scale) {
    for (run, bit) in runs.each() {
        apply_run(tensor.part(run), (runs.bits, bit), scale);
    }
}

/// Runs with a scale for each element, for both portable backends.
pub(super) fn each<T: Element>(tensor: &mut Tensor<'_, T>, runs: Runs<'_>, scales: &[T::Scale]) {
    let cycle = scales.len().saturating_sub(BLOCK);
    for (run, bit) in runs.each() {
        let mut run = tensor.part(run);
        let (mut start, mut at) = (0, 0);
        while start < run.len()
            && let Some(scales) = scales.get(at..).and_then(<[_]>::first_chunk)
        {
            let end = run.len().min(start + BLOCK);
            let word = bits::load(runs.bits, bit + start);
            apply_block_each(run.part(start..end), word, scales);
            (start, at) = (end, at + BLOCK);
            if at >= cycle {
                at -= cycle;
            }
        }
    }
}

/// Runs with a scale for each, for both portable backends.
pub(super) fn by_run<T: Element>(
    tensor: &mut Tensor<'_, T>,
    runs: Runs<'_>,
    scales: &[T::Scale],
    apply: impl Fn(&mut Tensor<'_, T>, Runs<'_>, T::Scale),
) {
    for ((run, bit), &scale) in runs.each().zip(scales) {
        let len = run.len();
        apply(&mut tensor.part(run), Runs::one(runs.bits, bit, len), scale);
    }
}

/// Applies the bits from `bit` on to a run of elements.
#[inline(always)]
pub(super) fn apply_run<T: Element>(
    run: Tensor<'_, T>,
    (bits, mut bit): (&[u64], usize),
    scale: T::Scale,
) {
    let run = lanes::<T, HALF>(run, scale, || {
        bit += HALF;
        bits::load_low::<HALF>(bits, bit - HALF) as u32
    });
    let mut half = bits::load_low::<HALF>(bits, bit) as u32;
    let mut next = |n| {
        let bits = half;
        half >>= n;
        bits
    };
    let run = lanes::<T, LANES>(run, scale, || next(LANES));
    let run = lanes::<T, 4>(run, scale, || next(4));
    let run = lanes::<T, 2>(run, scale, || next(2));
    lanes::<T, 1>(run, scale, || next(1));
}

/// Applies the lowest of the next bits to `N` elements at a time, and returns the rest.
#[inline(always)]
fn lanes<'t, T: Element, const N: usize>(
    tensor: Tensor<'t, T>,
    scale: T::Scale,
    next: impl FnMut() -> u32,
) -> Tensor<'t, T> {
    tensor.chunks::<N, _>(
        next,
        |bits, i, x| {
            if bits & (1 << i) != 0 { T::ZERO } else { x.scaled(scale) }
        },
    )
}

/// Applies a word to at most as many elements as it has bits, each with its scale.
#[inline]
fn apply_block_each<T: Element>(tensor: Tensor<'_, T>, mut word: u64, scales: &[T::Scale; BLOCK]) {
    let (none, mut groups) = ([T::Scale::ONE; LANES], scales.as_chunks::<LANES>().0.iter());
    let mut next = || {
        let bits = word as u32;
        word >>= LANES;
        (bits, groups.next().unwrap_or(&none))
    };
    let make = |(bits, scales): (u32, &[T::Scale; LANES]), i: usize, x: T| {
        if bits & (1 << i) != 0 { T::ZERO } else { x.scaled(scales[i % LANES]) }
    };
    let rest = tensor.chunks::<LANES, _>(&mut next, make);
    let (last, mut numbers) = (next(), 0..LANES);
    rest.chunks::<1, _>(|| numbers.next().unwrap_or(0), |i, _, x| make(last, i, x));
}

/// See [`drop_only`](super::drop_only). Inlined, so that it can be compiled for more instructions.
#[inline(always)]
pub(super) fn drop_only<T: Copy>(tensor: &mut Tensor<'_, T>, runs: Runs<'_>, value: T) {
    for (run, mut bit) in runs.each() {
        let Tensor::InPlace(x) = tensor.part(run) else { return };
        let (blocks, rest) = x.as_chunks_mut::<BLOCK>();
        for block in blocks {
            let mut word = bits::load(runs.bits, bit);
            bit += BLOCK;
            let (groups, _) = block.as_chunks_mut::<LANES>();
            // Blocks drop neighbours, so most groups of eight lose nothing and are skipped.
            while word != 0 {
                let group = word.trailing_zeros() as usize / LANES;
                let Some(x) = groups.get_mut(group) else { break };
                *x = select(*x, (word >> (group * LANES)) as u32, value);
                word &= !(0xff << (group * LANES));
            }
        }
        let word = bits::load(runs.bits, bit);
        for (i, x) in rest.iter_mut().enumerate() {
            [*x] = select([*x], (word >> i) as u32, value);
        }
    }
}

/// The value where the bits are set, without a branch on each: compilers make vectors of it.
#[inline(always)]
fn select<T: Copy, const N: usize>(mut x: [T; N], bits: u32, value: T) -> [T; N] {
    for (i, x) in x.iter_mut().enumerate() {
        *x = if bits & (1 << i) != 0 { value } else { *x };
    }
    x
}
