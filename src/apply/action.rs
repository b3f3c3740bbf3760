//! What stage 3 does with each unit: scaling the kept ones, or dropping alone.

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
use super::x86;
use super::{BLOCK, Runs, Scales, Tensor, apply, apply_repeated};
use crate::bits;
use crate::cpu::{Level, on_x86};
use crate::plan::scale::count_scale;
use crate::{DropCount, Element};

/// The scales that are written out for maps that follow one another.
const PERIOD: usize = 256;

/// What becomes of the elements of units, in any order of memory.
pub(super) trait Action<T: Copy>: Copy {
    /// What kept elements are multiplied by.
    type Scale: Copy + PartialEq;

    /// What a scale of the whole is.
    const ONE: Self::Scale;

    /// What dropped elements become.
    fn dropped(self) -> T;

    /// What a kept element becomes.
    fn kept(self, x: T, scale: Self::Scale) -> T;

    /// Whether kept elements are written as dropped ones: a product with 0 may be NaN or -0.
    fn is_zero(scale: Self::Scale) -> bool;

    /// The scale of a group with this count.
    fn scale_of(count: DropCount) -> Self::Scale;

    /// Runs of elements with the bits from `bit` on, see [`apply`].
    fn runs(
        self,
        level: Level,
        tensor: &mut Tensor<'_, T>,
        bits: &[u64],
        bit: usize,
        runs: Runs,
        scales: Scales<'_, Self::Scale>,
    );

    /// The same of maps, which may follow one another with bits that do so too, or have the same bits.
    #[inline]
    fn maps(
        self,
        level: Level,
        tensor: &mut Tensor<'_, T>,
        bits: &[u64],
        bit: usize,
        runs: Runs,
        scales: Scales<'_, Self::Scale>,
    ) {
        let Runs { count, len, step, bit_step } = runs;
        if step == len && bit_step == 0 {
            return self.shared_maps(level, tensor, bits, bit, runs, scales);
        }
        if step != len || bit_step != len {
            return self.runs(level, tensor, bits, bit, runs, scales);
        }
        match scales {
            Scales::Each(each) if len <= PERIOD / 2 => {
                self.side_by_side(level, tensor, bits, bit, (count, len), each);
            }
            Scales::One(_) => {
                let runs = Runs { count: 1, len: count * len, step: 0, bit_step: 0 };
                self.runs(level, tensor, bits, bit, runs, scales);
            }
            _ => self.runs(level, tensor, bits, bit, runs, scales),
        }
    }

    /// The same of so many maps of so many elements, which follow one another as their bits do: the
    /// scales of some maps are written out, so that vectors need not begin anew with each.
    // Not inlined, or all passes would have its stack.
    #[inline(never)]
    fn side_by_side(
        self,
        level: Level,
        tensor: &mut Tensor<'_, T>,
        bits: &[u64],
        bit: usize,
        (count, len): (usize, usize),
        each: &[[Self::Scale; BLOCK]],
    ) {
        let each = each.as_flattened().get(..len).unwrap_or_default();
        let maps = (PERIOD / len.max(1)).min(count);
        let mut repeated = [[Self::ONE; BLOCK]; PERIOD / BLOCK];
        for (scale, &each) in repeated.as_flattened_mut().iter_mut().zip(each.iter().cycle()) {
            *scale = each;
        }
        for first in (0..count).step_by(maps.max(1)) {
            let (start, end) = (first * len, count.min(first + maps) * len);
            let runs = Runs { count: 1, len: end - start, step: 0, bit_step: 0 };
            let tensor = &mut tensor.part(start..end);
            self.runs(level, tensor, bits, bit + start, runs, Scales::Each(&repeated));
        }
    }

    /// The same of maps that follow one another and have the same bits.
    #[inline]
    fn shared_maps(
        self,
        level: Level,
        tensor: &mut Tensor<'_, T>,
        bits: &[u64],
        bit: usize,
        runs: Runs,
        scales: Scales<'_, Self::Scale>,
    ) {
        self.runs(level, tensor, bits, bit, runs, scales);
    }

    /// The same of elements side by side of which none is dropped.
    fn keep(self, level: Level, tensor: &mut Tensor<'_, T>, scale: Self::Scale);
}

/// `y = dropped ? 0 : x * scale`.
#[derive(Clone, Copy)]
pub(super) struct Apply;

impl<T: Element> Action<T> for Apply {
    type Scale = T::Scale;

    const ONE: T::Scale = T::Scale::ONE;

    #[inline]
    fn dropped(self) -> T {
        T::ZERO
    }

    #[inline]
    fn kept(self, x: T, scale: T::Scale) -> T {
        x.scaled(scale)
    }

    #[inline]
    fn is_zero(scale: T::Scale) -> bool {
        scale == T::Scale::ZERO
    }

    #[inline]
    fn scale_of(count: DropCount) -> T::Scale {
        count_scale(count)
    }

    #[inline]
    fn runs(
        self,
        level: Level,
        tensor: &mut Tensor<'_, T>,
        bits: &[u64],
        bit: usize,
        runs: Runs,
        scales: Scales<'_, T::Scale>,
    ) {
        apply(level, tensor, bits, bit, runs, scales);
    }

    #[inline]
    fn shared_maps(
        self,
        level: Level,
        tensor: &mut Tensor<'_, T>,
        bits: &[u64],
        bit: usize,
        runs: Runs,
        scales: Scales<'_, T::Scale>,
    ) {
        apply_repeated(level, tensor, bits, bit, runs, scales);
    }

    #[inline]
    fn keep(self, level: Level, tensor: &mut Tensor<'_, T>, scale: T::Scale) {
        // Without bits nothing is dropped.
        let runs = Runs { count: 1, len: tensor.len(), step: 0, bit_step: 0 };
        apply(level, tensor, &[], 0, runs, Scales::One(scale));
    }
}

/// `x = dropped ? value : x`, in place.
#[derive(Clone, Copy)]
pub(super) struct Drop<T>(pub(super) T);

impl<T: Copy> Action<T> for Drop<T> {
    type Scale = ();

    const ONE: () = ();

    #[inline]
    fn dropped(self) -> T {
        self.0
    }

    #[inline]
    fn kept(self, x: T, (): ()) -> T {
        x
    }

    #[inline]
    fn is_zero((): ()) -> bool {
        false
    }

    #[inline]
    fn scale_of(_: DropCount) {}

    #[inline]
    fn runs(
        self,
        level: Level,
        tensor: &mut Tensor<'_, T>,
        bits: &[u64],
        bit: usize,
        runs: Runs,
        _: Scales<'_, ()>,
    ) {
        match level {
            Level::X86(x86) => on_x86!(x86, x86::drop_runs(x86, tensor, bits, bit, runs, self.0)),
            Level::Scalar | Level::Simd(_) => drop_runs(tensor, bits, bit, runs, self.0),
        }
    }

    #[inline]
    fn keep(self, _: Level, _: &mut Tensor<'_, T>, (): ()) {}
}

/// Writes a value to the dropped elements of runs. Inlined, so that it can be compiled for more
/// instructions.
#[inline(always)]
pub(super) fn drop_runs<T: Copy>(
    tensor: &mut Tensor<'_, T>,
    bits: &[u64],
    bit: usize,
    runs: Runs,
    value: T,
) {
    for (run, bit) in runs.each(bit) {
        let Tensor::InPlace(x) = tensor.part(run) else { return };
        let (blocks, rest) = x.as_chunks_mut::<BLOCK>();
        let mut at = bit;
        for block in blocks {
            let mut word = bits::load(bits, at);
            at += BLOCK;
            let (groups, _) = block.as_chunks_mut::<LANES>();
            // Most groups have nothing to drop, or much: blocks are rows of units.
            while word != 0 {
                let group = word.trailing_zeros() as usize / LANES;
                let bits = (word >> (group * LANES)) as u32;
                word &= !(0xff << (group * LANES));
                let Some(x) = groups.get_mut(group) else { break };
                let mut selected = *x;
                for (i, x) in selected.iter_mut().enumerate() {
                    *x = if bits & (1 << i) != 0 { value } else { *x };
                }
                *x = selected;
            }
        }
        let word = bits::load(bits, at);
        for (i, x) in rest.iter_mut().enumerate() {
            *x = if word & 1 << i != 0 { value } else { *x };
        }
    }
}

/// The elements that are selected together, without a branch on each.
const LANES: usize = 8;
