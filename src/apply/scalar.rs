//! Applying a mask in plain code, in a form that compilers turn into vectors of their own: eight
//! elements at a time, each with a constant bit of its own, and no shift that varies by lane. What
//! is left over goes by four, two and one, as rows of maps are short.

use super::{BLOCK, Runs, Scales, Tensor};
use crate::count::count;
use crate::cpu::Level;
use crate::plan::scale::count_scale;
use crate::{DropCount, Element, bits};

const LANES: usize = 8;

/// See [`apply`](super::apply).
#[inline]
pub(super) fn apply<T: Element>(
    tensor: &mut Tensor<'_, T>,
    runs: Runs<'_>,
    scales: Scales<'_, T::Scale>,
) {
    for_each_run(Level::Scalar, tensor, runs, scales, |mut tensor, bit, scale| {
        for start in (0..tensor.len()).step_by(BLOCK) {
            let end = tensor.len().min(start + BLOCK);
            let word = bits::load(runs.bits, bit + start);
            apply_block(tensor.part(start..end), word, scale);
        }
    });
}

/// Visits runs with one scale each; those with a scale for each element are applied here, for both
/// portable backends.
#[inline]
pub(super) fn for_each_run<T: Element>(
    level: Level,
    tensor: &mut Tensor<'_, T>,
    runs: Runs<'_>,
    scales: Scales<'_, T::Scale>,
    mut visit: impl FnMut(Tensor<'_, T>, usize, T::Scale),
) {
    for (run, bit) in runs.each() {
        let mut run = tensor.part(run);
        match scales {
            Scales::One(scale) => visit(run, bit, scale),
            Scales::Each(scales) => {
                for (i, scales) in scales.iter().enumerate() {
                    let end = run.len().min((i + 1) * BLOCK);
                    let word = bits::load(runs.bits, bit + i * BLOCK);
                    apply_block_each(run.part(i * BLOCK..end), word, scales);
                }
            }
            Scales::Counted(len) => {
                for start in (0..runs.len).step_by(len.max(1)) {
                    let group = bit + start..bit + start + len;
                    let dropped = count(level, runs.bits, group.clone());
                    let scale = count_scale(DropCount { dropped, total: len as u64 });
                    visit(run.part(start..start + len), group.start, scale);
                }
            }
        }
    }
}

/// Applies a word to at most as many elements as it has bits.
#[inline]
pub(super) fn apply_block<T: Element>(tensor: Tensor<'_, T>, mut word: u64, scale: T::Scale) {
    let tensor = lanes::<T, LANES>(tensor, &mut word, scale);
    let tensor = lanes::<T, 4>(tensor, &mut word, scale);
    let tensor = lanes::<T, 2>(tensor, &mut word, scale);
    lanes::<T, 1>(tensor, &mut word, scale);
}

/// The same with a scale for each element.
#[inline]
fn apply_block_each<T: Element>(tensor: Tensor<'_, T>, mut word: u64, scales: &[T::Scale; BLOCK]) {
    let mut groups = scales.as_chunks::<LANES>().0.iter();
    let mut group = || groups.next().copied().unwrap_or([T::Scale::ONE; LANES]);
    let tensor = tensor.chunks(|mut x: [T; LANES]| {
        let (bits, scales) = (word as u32, group());
        for (i, (x, scale)) in x.iter_mut().zip(scales).enumerate() {
            *x = if bits & (1 << i) != 0 { T::ZERO } else { x.scaled(scale) };
        }
        word >>= LANES;
        x
    });
    let (mut scales, mut bits) = (group().into_iter(), word as u32);
    tensor.chunks(|[x]: [T; 1]| {
        let scale = scales.next().unwrap_or(T::Scale::ONE);
        let y = if bits & 1 != 0 { T::ZERO } else { x.scaled(scale) };
        bits >>= 1;
        [y]
    });
}

/// Applies the lowest bits of the word to `N` elements at a time, and returns the rest.
#[inline]
fn lanes<'t, T: Element, const N: usize>(
    tensor: Tensor<'t, T>,
    word: &mut u64,
    scale: T::Scale,
) -> Tensor<'t, T> {
    tensor.chunks(|mut x: [T; N]| {
        let bits = *word as u32;
        *word >>= N;
        for (i, x) in x.iter_mut().enumerate() {
            *x = if bits & (1 << i) != 0 { T::ZERO } else { x.scaled(scale) };
        }
        x
    })
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
