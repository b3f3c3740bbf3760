//! Maps that follow one another. They are one run if their bits follow one another too. If they have the
//! same bits or scales, as channels that share a mask do, those are written out some times over, so that
//! vectors need not begin anew with each map.

use super::action::Action;
use super::{BLOCK, Runs, Scales, Tensor};
use crate::bits::{self, WORD_BITS};
use crate::cpu::Level;

/// The most words of repeated bits.
const MOST: usize = 256;

/// The least elements, and the most of one run, that repay it; the least for runs that few vectors fill.
const LEAST: usize = 4096;
const LEAST_SMALL: usize = 256;
const LONGEST: usize = 2048;

/// The scales that are written out for maps that follow one another.
const PERIOD: usize = 256;

/// The longest runs whose scales, each its own, are written out: no vector fits them.
const SMALL: usize = 8;

/// Applies maps, which are one run where they follow one another as their bits do.
#[inline]
pub(super) fn maps<T: Copy, A: Action<T>>(
    action: A,
    level: Level,
    tensor: &mut Tensor<'_, T>,
    runs: Runs<'_>,
    scales: Scales<'_, A::Scale>,
) {
    let Runs { bits, bit, count, len, .. } = runs;
    match scales {
        Scales::One(_) | Scales::Each(_) if runs.are_one() => {
            action.runs(tensor, Runs::one(bits, bit, count * len), scales);
        }
        Scales::One(_) | Scales::Each(_) if runs.have_same_bits() => {
            same_bits(action, level, tensor, runs, scales);
        }
        Scales::Runs(of_runs) if runs.are_one() && len <= SMALL => {
            small_runs(action, tensor, runs, of_runs);
        }
        _ => action.runs(tensor, runs, scales),
    }
}

/// Writes out `len` bits over and over.
fn repeat(bits: &[u64], bit: usize, len: usize, words: &mut [u64]) {
    let mut at = 0;
    for word in words {
        let mut done = 0;
        while done < WORD_BITS {
            let left = len - at;
            *word |= (bits::load(bits, bit + at) & bits::low(left)) << done;
            let step = left.min(WORD_BITS - done);
            done += step;
            at = if step == left { 0 } else { at + step };
        }
    }
}

/// Applies small runs that follow one another as their bits do, each with a scale of its own. Scales are
/// written out, as for [`small_maps`].
#[inline(never)]
fn small_runs<T: Copy, A: Action<T>>(
    action: A,
    tensor: &mut Tensor<'_, T>,
    Runs { bits, bit, count, len, .. }: Runs<'_>,
    scales: &[A::Scale],
) {
    let scales = scales.get(..count).unwrap_or(scales);
    // A block more than runs take, as each is written with `SMALL` scales.
    let mut each = [[A::ONE; BLOCK]; PERIOD / BLOCK + 1];
    let at_once = PERIOD / len.max(1);
    for first in (0..scales.len()).step_by(at_once.max(1)) {
        let end = scales.len().min(first + at_once);
        let (start, end) = (first * len, end * len);
        let scales = scales.get(first..).unwrap_or_default();
        let scales = scales.get(..at_once).unwrap_or(scales);
        let scales = match scales {
            // As positions inside the map have. All are compared, as a way out in the middle would cost
            // more: there are no vectors then.
            &[first, ..] if scales.iter().fold(true, |same, &scale| same & (scale == first)) => {
                Scales::One(first)
            }
            _ => {
                // Always `SMALL` of them, so that there is no loop; the next run covers what is too much.
                let places = each.as_flattened_mut();
                let mut at = 0;
                for &scale in scales {
                    if let Some(place) = places.get_mut(at..at + SMALL) {
                        place.fill(scale);
                    }
                    at += len;
                }
                Scales::Each(each.as_flattened())
            }
        };
        let runs = Runs::one(bits, bit + start, end - start);
        action.runs(&mut tensor.part(start..end), runs, scales);
    }
}

/// Applies the same bits to runs that follow one another, as channels that share a mask do. On maps
/// of 7 x 7 vectors that begin anew with each run take four times as long.
// Not inlined, or all runs would have its stack.
#[inline(never)]
fn same_bits<T: Copy, A: Action<T>>(
    action: A,
    level: Level,
    tensor: &mut Tensor<'_, T>,
    runs: Runs<'_>,
    scales: Scales<'_, A::Scale>,
) {
    let (Some(repeated), false) = (Repeated::new(&runs), matches!(level, Level::Scalar)) else {
        return action.runs(tensor, runs, scales);
    };
    let all = &mut tensor.part(0..runs.count * runs.len);
    repeated.for_each_part(all, |mut part, bits| {
        let runs = Runs::one(bits, 0, part.len());
        action.runs(&mut part, runs, scales);
    });
}

/// The bits of some runs that follow one another, in whole words.
struct Repeated {
    words: [u64; MOST],
    len: usize,
}

impl Repeated {
    /// `None` where it does not pay: few elements, or long runs.
    fn new(runs: &Runs<'_>) -> Option<Self> {
        // So many runs end at a whole word.
        let period = runs.len >> runs.len.trailing_zeros().min(WORD_BITS.trailing_zeros());
        let len = runs.count.saturating_mul(runs.len);
        let most = MOST.min(len / WORD_BITS);
        let whole = most.checked_div(period)? * period;
        let least = if runs.len < BLOCK / 2 { LEAST_SMALL } else { LEAST };
        if len < least || runs.len > LONGEST || whole == 0 {
            return None;
        }
        let mut words = [0; MOST];
        repeat(runs.bits, runs.bit, runs.len, words.get_mut(..period).unwrap_or_default());
        for i in period..whole {
            let word = bits::word(&words, i - period);
            if let Some(place) = words.get_mut(i) {
                *place = word;
            }
        }
        Some(Self { words, len: whole * WORD_BITS })
    }

    /// Visits the tensor in parts, each with its bits.
    fn for_each_part<T: Copy>(
        &self,
        tensor: &mut Tensor<'_, T>,
        mut visit: impl FnMut(Tensor<'_, T>, &[u64]),
    ) {
        for start in (0..tensor.len()).step_by(self.len.max(1)) {
            let end = tensor.len().min(start + self.len);
            visit(tensor.part(start..end), &self.words);
        }
    }
}
