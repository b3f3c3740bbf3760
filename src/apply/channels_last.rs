//! Applying plane-major masks to tensors whose channels come last.
//!
//! The mask of a channel is one row of bits, but a position's channels lie side by side in the
//! tensor. A block of 64 channels and 64 positions of bits is transposed, so that one word
//! speaks of 64 neighbouring elements.

use super::action::Action;
use super::repeated::maps;
use super::{BLOCK, Runs, Scales, Tensor, interleave as interleave_for, turn as turn_for};
use crate::bits;
use crate::cpu::Level;

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
/// * `scales`: runs are positions, and `Each` are scales of the channels.
#[allow(clippy::too_many_arguments, reason = "two of them are two numbers each")]
// Not inlined, or all passes would have its stack.
#[inline(never)]
pub(super) fn apply_channels_last<T: Copy, A: Action<T>>(
    action: A,
    elements: &mut Tensor<'_, T>,
    level: Level,
    channels: usize,
    (positions, step): (usize, usize),
    bits: &[u64],
    (bit, stride): (usize, usize),
    scales: Scales<'_, A::Scale>,
) {
    let mut turned = [0; BLOCKS * BLOCK];
    // Where few channels lie side by side without gaps, bits do so as well: a run for each position would
    // take many times as long.
    let packed = step == channels && channels < BLOCK;
    let at_once = if packed && channels <= FEW {
        BLOCKS * BLOCK / FEW * BLOCK
    } else {
        // As many each time.
        positions.div_ceil(positions.div_ceil(BLOCK).max(1)).max(1)
    };
    for first in (0..positions).step_by(at_once) {
        let len = (positions - first).min(at_once);
        let elements = &mut elements.from(first * step);
        let scales = match scales {
            Scales::Runs(scales) => {
                Scales::Runs(scales.get(first..first + len).unwrap_or_default())
            }
            scales => scales,
        };
        let bit = bit + first;
        if packed && channels <= FEW {
            for (i, start) in (0..len).step_by(BLOCK).enumerate() {
                let words = turned.get_mut(i * channels..).unwrap_or_default();
                interleave_for(level, bits, (bit + start, stride), channels, words);
            }
        } else {
            turn_for(level, bits, (bit, stride), (channels, len), &mut turned);
            if packed {
                pack(&mut turned, channels);
            }
        }
        let bit_step = if packed { channels } else { row_words(channels) * bits::WORD_BITS };
        let runs = Runs { bits: &turned, bit: 0, count: len, len: channels, step, bit_step };
        match scales {
            Scales::Runs(scales) if A::have_zero(scales) => {
                for ((run, bit), &scale) in runs.each().zip(scales) {
                    if A::is_zero(scale) {
                        elements.fill(run.start, (channels, 1), action.dropped());
                    } else {
                        let one = Runs::one(runs.bits, bit, channels);
                        action.runs(&mut elements.part(run), one, Scales::One(scale));
                    }
                }
            }
            scales => maps(action, level, elements, runs, scales),
        }
    }
}

/// The most channels whose bits are interleaved without being turned.
const FEW: usize = 8;

/// The bits of 64 positions in the order of the elements: bit `i` of channel `c` becomes bit
/// `i * channels + c`. Eight positions are turned at a time, a byte for each channel and then one for each
/// position, whose bits are then moved together.
pub(super) fn interleave(
    bits: &[u64],
    (bit, stride): (usize, usize),
    channels: usize,
    words: &mut [u64],
) {
    let channels = channels.clamp(1, FEW);
    let mut eights = [0; BLOCK / 8];
    for channel in 0..channels {
        let bytes = bits::load(bits, bit + channel * stride).to_le_bytes();
        for (eight, byte) in eights.iter_mut().zip(bytes) {
            *eight |= u64::from(byte) << (8 * channel);
        }
    }
    // The bits of every other byte, of every other two, and of the lower four.
    let every_other = |bytes: usize, count: usize| {
        (0..count).fold(0, |mask, i| mask | bits::low(bytes * channels) << (16 * bytes * i))
    };
    let (ones, twos, fours) = (every_other(1, 4), every_other(2, 2), every_other(4, 1));
    let gap = FEW - channels;
    for eight in &mut eights {
        let x = transposed(*eight);
        let x = x & ones | x >> gap & ones << channels;
        let x = x & twos | x >> (2 * gap) & twos << (2 * channels);
        *eight = x & fours | x >> (4 * gap) & fours << (4 * channels);
    }
    words.iter_mut().take(channels).for_each(|word| *word = 0);
    for (i, eight) in eights.into_iter().enumerate() {
        let at = i * 8 * channels;
        let (index, shift) = (at / bits::WORD_BITS, at % bits::WORD_BITS);
        if let Some(place) = words.get_mut(index) {
            *place |= eight << shift;
        }
        if shift + 8 * channels > bits::WORD_BITS
            && let Some(place) = words.get_mut(index + 1)
        {
            *place |= eight >> (bits::WORD_BITS - shift);
        }
    }
}

/// Transposes a matrix of 8 x 8 bits, whose rows are bytes.
#[inline(always)]
const fn transposed(x: u64) -> u64 {
    let swap = (x ^ x >> 7) & 0x00aa_00aa_00aa_00aa;
    let x = x ^ swap ^ swap << 7;
    let swap = (x ^ x >> 14) & 0x0000_cccc_0000_cccc;
    let x = x ^ swap ^ swap << 14;
    let swap = (x ^ x >> 28) & 0x0000_0000_f0f0_f0f0;
    x ^ swap ^ swap << 28
}

/// Moves the lowest bits of the first words together, so many of each.
fn pack(words: &mut Turned, len: usize) {
    let (mut packed, mut filled, mut end) = (0_u64, 0, 0);
    for i in 0..BLOCK {
        let word = bits::word(words, i) & bits::low(len);
        packed |= word << filled;
        filled += len;
        if filled >= bits::WORD_BITS {
            if let Some(place) = words.get_mut(end) {
                *place = packed;
            }
            end += 1;
            filled -= bits::WORD_BITS;
            packed = word.checked_shr((len - filled) as u32).unwrap_or(0);
        }
    }
}

/// The words of a position.
pub(super) const fn row_words(channels: usize) -> usize {
    let words = bits::words(channels);
    if words > 0 { words } else { 1 }
}

/// Row `i` of `turned`, as many words as the channels need, becomes the `i`th bits of the channels; that
/// of the first is `bit`.
#[inline(always)]
pub(super) fn turn(
    bits: &[u64],
    (bit, stride): (usize, usize),
    (channels, positions): (usize, usize),
    turned: &mut Turned,
) {
    for (i, start) in (0..channels).step_by(BLOCK).enumerate().take(BLOCKS) {
        let mut words = [0; BLOCK];
        for (word, channel) in words.iter_mut().zip(start..channels) {
            *word = bits::load(bits, bit + channel * stride);
        }
        transpose(&mut words);
        let places = turned.iter_mut().skip(i).step_by(row_words(channels));
        places.zip(&words).take(positions).for_each(|(place, &word)| *place = word);
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
    use super::{BLOCK, BLOCKS, FEW, bits, interleave_for, pack, turn};
    use crate::Backend;
    use crate::cpu::Level;

    #[test]
    fn packs_the_bits_of_few_channels_in_order() {
        // Five words of noise.
        let words: [u64; 5] = core::array::from_fn(|i| {
            crate::key::mix(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(i as u64 + 1))
        });
        // Miri takes minutes for all numbers of channels.
        for channels in (1..BLOCK).step_by(if cfg!(miri) { 5 } else { 1 }) {
            for (bit, stride) in [(0, 3), (5, 4), (64, 0)] {
                let mut packed = [0; BLOCKS * BLOCK];
                turn(&words, (bit, stride), (channels, BLOCK), &mut packed);
                pack(&mut packed, channels);
                for i in 0..BLOCK * channels {
                    let (position, channel) = (i / channels, i % channels);
                    let expected = bits::load(&words, bit + channel * stride + position) & 1;
                    assert_eq!(packed[i / 64] >> (i % 64) & 1, expected, "{channels} {i}");
                }
                if channels > FEW {
                    continue;
                }
                for level in Backend::available().map(|backend| Level::of(Some(backend))) {
                    let mut interleaved = [0; BLOCKS * BLOCK];
                    interleave_for(level, &words, (bit, stride), channels, &mut interleaved);
                    assert_eq!(interleaved[..channels], packed[..channels], "{level:?} {channels}");
                }
            }
        }
    }

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
