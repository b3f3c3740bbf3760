//! Applying plane-major masks to tensors whose channels come last.
//!
//! The mask of a channel is one row of bits, but a position's channels lie side by side in the
//! tensor. A block of 64 channels and 64 positions of bits is transposed, so that one word
//! speaks of 64 neighbouring elements.

use super::{BLOCK, Runs, Scales, Tensor, apply, turn as turn_for};
use crate::cpu::Level;
use crate::{Element, bits};

/// The blocks of channels that are turned before their elements are visited, so that a position
/// is visited in one long run.
pub(super) const BLOCKS: usize = 4;
/// The most channels of one call.
pub(super) const CHANNELS: usize = BLOCKS * BLOCK;

/// The bits of 64 positions: a row of words for each, so that they lie as its channels do.
pub(super) type Turned = [u64; BLOCKS * BLOCK];

/// Applies one bit per unit to neighbouring channels at positions that are `step` apart.
///
/// * `elements`: from that of the first channel at the first position on.
/// * `channels`: how many, [`CHANNELS`] at most.
/// * `bits`: channel by channel; the bit of the first channel at the first position is `bit`,
///   that of the next channel lies `stride` bits further.
/// * `scales`: of the channels, the same at each position, unless there are some `of_positions`.
#[allow(clippy::too_many_arguments, reason = "three of them are two numbers each")]
pub(super) fn apply_channels_last<T: Element>(
    elements: &mut Tensor<'_, T>,
    level: Level,
    channels: usize,
    (positions, step): (usize, usize),
    bits: &[u64],
    (bit, stride): (usize, usize),
    scales: Scales<'_, T::Scale>,
    of_positions: Option<&[[T::Scale; BLOCK]]>,
) {
    for first in (0..positions).step_by(BLOCK) {
        let block = first..positions.min(first + BLOCK);
        let mut turned = [0; BLOCKS * BLOCK];
        turn_for(level, bits, (bit + first, stride), channels, &mut turned);
        let mut elements = elements.from(block.start * step);
        let bit_step = row_words(channels) * bits::WORD_BITS;
        let runs = Runs { count: block.len(), len: channels, step, bit_step };
        let Some(of_positions) = of_positions else {
            apply(level, &mut elements, &turned, 0, runs, scales);
            continue;
        };
        let of_positions = of_positions.as_flattened().get(block).unwrap_or_default();
        for (i, &scale) in of_positions.iter().enumerate() {
            if scale == T::Scale::ZERO {
                elements.fill(i * step, (channels, 1), T::ZERO);
                continue;
            }
            let runs = Runs { count: 1, ..runs };
            let mut elements = elements.from(i * step);
            apply(level, &mut elements, &turned, i * bit_step, runs, Scales::One(scale));
        }
    }
}

/// The words of a position.
const fn row_words(channels: usize) -> usize {
    let words = bits::words(channels);
    if words > 0 { words } else { 1 }
}

/// Row `i` of `turned`, as many words as the channels need, becomes the `i`th bits of the channels; that of the first is `bit`.
#[inline(always)]
pub(super) fn turn(
    bits: &[u64],
    (bit, stride): (usize, usize),
    channels: usize,
    turned: &mut Turned,
) {
    for (i, start) in (0..channels).step_by(BLOCK).enumerate().take(BLOCKS) {
        let mut words = [0; BLOCK];
        for (word, channel) in words.iter_mut().zip(start..channels) {
            *word = bits::load(bits, bit + channel * stride);
        }
        transpose(&mut words);
        for (row, word) in turned.chunks_exact_mut(row_words(channels)).zip(words) {
            if let Some(place) = row.get_mut(i) {
                *place = word;
            }
        }
    }
}

/// Transposes a 64 x 64 matrix of bits: bit `j` of word `i` becomes bit `i` of word `j`, by
/// swapping ever smaller blocks (Warren, Hacker's Delight, section 7-3).
#[inline(always)]
fn transpose(words: &mut [u64; BLOCK]) {
    swap_blocks::<32>(words, 0x0000_0000_ffff_ffff);
    swap_blocks::<16>(words, 0x0000_ffff_0000_ffff);
    swap_blocks::<8>(words, 0x00ff_00ff_00ff_00ff);
    swap_blocks::<4>(words, 0x0f0f_0f0f_0f0f_0f0f);
    swap_blocks::<2>(words, 0x3333_3333_3333_3333);
    swap_blocks::<1>(words, 0x5555_5555_5555_5555);
}

/// Swaps the high bits of the upper half of each `2 HALF` words with the low ones of the lower.
#[inline(always)]
fn swap_blocks<const HALF: usize>(words: &mut [u64; BLOCK], low: u64) {
    let (halves, _) = words.as_chunks_mut::<HALF>();
    for pair in halves.as_chunks_mut::<2>().0 {
        let [upper, lower] = pair;
        for (upper, lower) in upper.iter_mut().zip(lower) {
            let swap = (*upper >> HALF ^ *lower) & low;
            *upper ^= swap << HALF;
            *lower ^= swap;
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn transposes_every_bit() {
        for (i, j) in [(0, 0), (0, 63), (63, 0), (5, 40), (40, 5), (31, 32)] {
            let mut words = [0; 64];
            words[i] = 1 << j;
            super::transpose(&mut words);
            let mut expected = [0; 64];
            expected[j] = 1 << i;
            assert_eq!(words, expected);
        }
    }
}
