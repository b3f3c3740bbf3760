//! Applying plane-major masks to tensors whose channels come last.
//!
//! The mask of a channel is one row of bits, but a position's channels lie side by side in the
//! tensor. A block of 64 channels and 64 positions of bits is transposed, so that one word
//! speaks of 64 neighbouring elements.

use super::{BLOCK, Factors, Runs, Tensor};
use crate::backend::Level;
use crate::{Element, bits};

/// The blocks of channels that are turned before their elements are visited, so that a position
/// is visited in one long run.
pub(crate) const BLOCKS: usize = 4;
/// The most channels of one call.
pub(crate) const CHANNELS: usize = BLOCKS * BLOCK;

/// The scales of a run of channels at a run of positions, in blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Across<'a, S> {
    One(S),
    Channels(&'a [[S; BLOCK]]),
    Positions(&'a [[S; BLOCK]]),
}

/// Applies one bit per unit to neighbouring channels at positions that are `step` apart.
///
/// * `elements`: from that of the first channel at the first position on.
/// * `channels`: how many, [`CHANNELS`] at most.
/// * `bits`: channel by channel; the bit of the first channel at the first position is `bit`,
///   that of the next channel lies `stride` bits further.
pub(crate) fn apply_channels_last<T: Element>(
    elements: &mut Tensor<'_, T>,
    level: Level,
    channels: usize,
    (positions, step): (usize, usize),
    bits: &[u64],
    (bit, stride): (usize, usize),
    scales: Across<'_, T::Scale>,
) {
    for first in (0..positions).step_by(BLOCK) {
        let block = first..positions.min(first + BLOCK);
        // One row of words for each position, so that they lie as its channels do.
        let mut turned = [[0; BLOCKS]; BLOCK];
        for (i, start) in (0..channels).step_by(BLOCK).enumerate().take(BLOCKS) {
            let mut words = [0; BLOCK];
            for (word, channel) in words.iter_mut().zip(start..channels) {
                *word = bits::load(bits, bit + channel * stride + first);
            }
            transpose(&mut words);
            for (row, word) in turned.iter_mut().zip(words).take(block.len()) {
                row[i] = word;
            }
        }
        let mut elements = elements.from(block.start * step);
        let runs = Runs { count: block.len(), len: channels, step, bit_step: CHANNELS };
        let factors = match scales {
            Across::One(scale) => Factors::One(scale),
            Across::Channels(scales) => Factors::Each(scales),
            Across::Positions(scales) => {
                // Another for each run.
                for (i, &scale) in scales.as_flattened()[block].iter().enumerate() {
                    let runs = Runs { count: 1, ..runs };
                    let (bits, factors) = (turned.as_flattened(), Factors::One(scale));
                    elements.from(i * step).apply_runs(level, bits, i * CHANNELS, runs, factors);
                }
                continue;
            }
        };
        elements.apply_runs(level, turned.as_flattened(), 0, runs, factors);
    }
}

/// Transposes a 64 x 64 matrix of bits: bit `j` of word `i` becomes bit `i` of word `j`, by
/// swapping ever smaller blocks (Warren, Hacker's Delight, section 7-3).
fn transpose(words: &mut [u64; BLOCK]) {
    let mut half = BLOCK / 2;
    let mut mask = u64::MAX >> half;
    while half > 0 {
        for pair in words.chunks_exact_mut(2 * half) {
            let (upper, lower) = pair.split_at_mut(half);
            for (upper, lower) in upper.iter_mut().zip(lower) {
                let swap = (*upper >> half ^ *lower) & mask;
                *upper ^= swap << half;
                *lower ^= swap;
            }
        }
        half /= 2;
        mask ^= mask << half;
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
