//! Applying plane-major masks to tensors whose channels come last.
//!
//! The mask of a channel is one row of bits, but a position's channels lie side by side in the
//! tensor. A block of 64 channels and 64 positions of bits is transposed, so that one word
//! speaks of 64 neighbouring elements.

use core::ops::Range;

use super::{BLOCK, Tensor};
use crate::{Backend, Element, bits};

/// Applies one bit per unit to the channels `channels` of one sample.
///
/// * `sample`: `positions.end` or more rows of `row` elements, one for each channel.
/// * `positions`: the positions that the bits speak of.
/// * `bits`: channel by channel; the bit of the first of `channels` at the first of `positions`
///   is `bit`, that of the next channel lies `stride` bits further.
/// * `scale`: the scale of a channel.
#[allow(clippy::too_many_arguments, reason = "one call, in the driver, names each")]
pub(crate) fn apply_channels_last<T: Element>(
    sample: &mut Tensor<'_, T>,
    row: usize,
    backend: Backend,
    channels: Range<usize>,
    positions: Range<usize>,
    bits: &[u64],
    (bit, stride): (usize, usize),
    mut scale: impl FnMut(usize) -> T,
) {
    let (first_channel, first_position) = (channels.start, positions.start);
    for start in channels.clone().step_by(BLOCK) {
        let end = channels.end.min(start + BLOCK);
        let mut scales = [T::ONE; BLOCK];
        for (scale_of, channel) in scales.iter_mut().zip(start..end) {
            *scale_of = scale(channel);
        }
        let uniform = end - start == BLOCK && scales.iter().all(|scale| *scale == scales[0]);
        for position in positions.clone().step_by(BLOCK) {
            let mut words = [0; BLOCK];
            for (word, channel) in words.iter_mut().zip(start..end) {
                let at = bit + (channel - first_channel) * stride + (position - first_position);
                *word = bits::load(bits, at);
            }
            transpose(&mut words);
            let block = position..positions.end.min(position + BLOCK);
            for (word, position) in words.iter().zip(block) {
                let at = position * row;
                let mut part = sample.part(at + start..at + end);
                if uniform {
                    part.apply(backend, core::slice::from_ref(word), 0, scales[0]);
                } else {
                    part.apply_word(*word, &scales);
                }
            }
        }
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
