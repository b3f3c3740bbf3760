//! Bits of channels to bits of positions under AVX2: bytes are sorted by position, and of each eight
//! positions one bit of 32 channels at a time is taken.

#![allow(unsafe_code, reason = "vector instructions, loads and stores through pointers")]
#![allow(clippy::multiple_unsafe_ops_per_block, reason = "one proof for one expression")]

use core::arch::x86_64::*;

use super::BLOCK;
use super::channels_last::{BLOCKS, Turned, row_words};
use crate::bits::{self, WORD_BITS};

/// The channels of a vector of bytes.
const CHANNELS: usize = 32;

/// See [`channels_last::turn`](super::channels_last::turn).
#[target_feature(enable = "avx2,bmi1,bmi2")]
pub(super) fn turn(
    bits: &[u64],
    (bit, stride): (usize, usize),
    (channels, positions): (usize, usize),
    turned: &mut Turned,
) {
    let channels = channels.min(BLOCKS * BLOCK);
    let row = row_words(channels);
    for first in (0..channels).step_by(BLOCK) {
        let mut bytes = [[_mm256_setzero_si256(); 8]; 2];
        for (i, bytes) in bytes.iter_mut().enumerate() {
            let first = first + i * CHANNELS;
            let count = channels.saturating_sub(first).min(CHANNELS);
            by_position(&words_of(bits, bit + first * stride, stride, count), bytes);
        }
        // Some more than the positions, up to the next eight.
        for eight in 0..positions.div_ceil(8).min(8) {
            let [mut low, mut high] = bytes.each_ref().map(|bytes| bytes[eight]);
            let end = (8 * eight + 7) * row + first / BLOCK;
            // The highest bits are the last of the eight.
            for i in 0..8 {
                let halves = [_mm256_movemask_epi8(low), _mm256_movemask_epi8(high)];
                let [low_half, high_half] = halves.map(|half| u64::from(half as u32));
                // SAFETY: 64 rows of at most `BLOCKS` words.
                unsafe {
                    *turned.get_unchecked_mut(end - i * row) = low_half | high_half << CHANNELS;
                }
                (low, high) = (_mm256_add_epi8(low, low), _mm256_add_epi8(high, high));
            }
        }
    }
}

/// The words of some channels, 0 for others: in the order in which [`by_position`] wants them.
#[target_feature(enable = "avx2,bmi1,bmi2")]
#[inline]
fn words_of(bits: &[u64], bit: usize, stride: usize, channels: usize) -> [u64; CHANNELS] {
    let mut words = [0; CHANNELS];
    let (groups, _) = words.as_chunks_mut::<4>();
    let last = (bit + (CHANNELS - 1) * stride) / WORD_BITS;
    let is_whole = channels == CHANNELS && last + 1 < bits.len();
    let mut bit = bit;
    for i in 0..4 {
        // Quarter `i` of each vector has eight channels.
        let eight = channels.saturating_sub(8 * i);
        if !is_whole {
            for (vector, at) in groups.iter_mut().zip(0..eight) {
                vector[i] = bits::load(bits, bit + at * stride);
            }
            bit += 8 * stride;
            continue;
        }
        for vector in &mut *groups {
            let (index, shift) = (bit / WORD_BITS, bit % WORD_BITS);
            // SAFETY: at most `last` and the one after it.
            let [low, high] =
                unsafe { [*bits.get_unchecked(index), *bits.get_unchecked(index + 1)] };
            // Not two shifts, of which compilers make one of two words, which is slow (Zen 3).
            vector[i] = (high ^ ((low ^ high) & (!0 << shift))).rotate_right(shift as u32);
            bit += stride;
        }
    }
    words
}

/// Byte `i` of all words in vector `i`, in the order of the channels.
#[target_feature(enable = "avx2")]
#[inline]
fn by_position(words: &[u64; CHANNELS], bytes: &mut [__m256i; 8]) {
    // SAFETY: each load is of four words of an array.
    let [a, b, c, d, e, f, g, h] =
        core::array::from_fn(|i| unsafe { _mm256_loadu_si256(words.as_ptr().add(4 * i).cast()) });
    // Pairs of channels, fours, eights, and all of a half.
    let (ab, ab2) = (_mm256_unpacklo_epi8(a, b), _mm256_unpackhi_epi8(a, b));
    let (cd, cd2) = (_mm256_unpacklo_epi8(c, d), _mm256_unpackhi_epi8(c, d));
    let (ef, ef2) = (_mm256_unpacklo_epi8(e, f), _mm256_unpackhi_epi8(e, f));
    let (gh, gh2) = (_mm256_unpacklo_epi8(g, h), _mm256_unpackhi_epi8(g, h));
    let eights = |ab, cd, ef, gh| {
        let (ad, ad2) = (_mm256_unpacklo_epi16(ab, cd), _mm256_unpackhi_epi16(ab, cd));
        let (eh, eh2) = (_mm256_unpacklo_epi16(ef, gh), _mm256_unpackhi_epi16(ef, gh));
        [
            _mm256_unpacklo_epi32(ad, eh),
            _mm256_unpackhi_epi32(ad, eh),
            _mm256_unpacklo_epi32(ad2, eh2),
            _mm256_unpackhi_epi32(ad2, eh2),
        ]
    };
    let ([a, b, c, d], [e, f, g, h]) = (eights(ab, cd, ef, gh), eights(ab2, cd2, ef2, gh2));
    *bytes = [
        _mm256_unpacklo_epi64(a, e),
        _mm256_unpackhi_epi64(a, e),
        _mm256_unpacklo_epi64(b, f),
        _mm256_unpackhi_epi64(b, f),
        _mm256_unpacklo_epi64(c, g),
        _mm256_unpackhi_epi64(c, g),
        _mm256_unpacklo_epi64(d, h),
        _mm256_unpackhi_epi64(d, h),
    ];
}

#[cfg(test)]
mod tests {
    extern crate alloc;

    use alloc::vec::Vec;

    use crate::apply::channels_last::{self, BLOCKS, row_words};
    use crate::apply::{BLOCK, turn};
    use crate::bits;
    use crate::cpu::Level;

    /// On every backend, also where bits end with the slice.
    #[test]
    fn turns_what_the_portable_one_turns() {
        let words: Vec<u64> =
            (1..130_u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ i << 40).collect();
        let end = words.len() * 64;
        // Miri takes minutes for all numbers of channels.
        for channels in (1..=BLOCKS * BLOCK).step_by(if cfg!(miri) { 85 } else { 3 }) {
            for (positions, stride) in [(64, 0), (64, 64), (1, 31), (8, 29), (49, 30), (63, 7)] {
                let whole = (channels - 1) * stride + 64;
                for bit in [0, 5, 63, end.saturating_sub(whole), end.saturating_sub(whole / 2)] {
                    let mut expected = [0; BLOCKS * BLOCK];
                    let len = (channels, positions);
                    channels_last::turn(&words, (bit, stride), len, &mut expected);
                    let mut turned = [!0; BLOCKS * BLOCK];
                    turn(Level::of(None), &words, (bit, stride), len, &mut turned);
                    let row = row_words(channels);
                    for (i, word) in turned.iter().enumerate().take(positions * row) {
                        let used = bits::low(channels - i % row * BLOCK);
                        assert_eq!(word & used, expected[i] & used, "{len:?} {bit} {stride} {i}");
                    }
                }
            }
        }
    }
}
