//! Bits of channels to bits of positions with AVX2 and AVX-512: bytes are sorted by position, then the bits
//! of eight positions in the bytes of their channels are turned.

#![allow(unsafe_code, reason = "vector instructions, loads and stores through pointers")]
#![allow(clippy::multiple_unsafe_ops_per_block, reason = "one proof for one expression")]

use core::arch::x86_64::*;

use super::BLOCK;
use super::channels_last::{BLOCKS, Turned, row_words};
use crate::bits::{self, WORD_BITS};

/// The channels of a vector of bytes under AVX2.
const CHANNELS: usize = 32;

/// The channels whose words are loaded together: those of the next group lie whole bytes further.
const GROUP: usize = 8;

/// Where the words of channels are.
#[derive(Clone, Copy)]
struct ChannelWords<'b> {
    bits: &'b [u64],
    bit: usize,
    stride: usize,
    channels: usize,
    /// The bytes from the first channel of a group to each, and the bits that come before it in its byte.
    bytes: [usize; GROUP],
    shifts: [u64; GROUP],
    /// Whether words lie in eight bytes as far as they matter.
    near: bool,
}

impl<'b> ChannelWords<'b> {
    #[inline(always)]
    fn new(
        bits: &'b [u64],
        (bit, stride): (usize, usize),
        (channels, positions): (usize, usize),
    ) -> Self {
        let from = |channel: usize| bit % 8 + channel * stride;
        Self {
            bits,
            bit,
            stride,
            channels,
            bytes: core::array::from_fn(|i| from(i) / 8),
            shifts: core::array::from_fn(|i| from(i) as u64 % 8),
            near: positions <= BLOCK - 7,
        }
    }

    /// Whether the words of a group, and of those before it, are read without a check: also those of
    /// channels that are not there, which are others.
    #[inline(always)]
    const fn are_there(&self, group: usize) -> bool {
        let first = self.bit / 8 + group * self.stride;
        first + self.bytes[GROUP - 1] + 9 <= size_of_val(self.bits)
    }

    /// The byte in which the first word of a group begins.
    ///
    /// # Safety
    ///
    /// The group's words are there.
    #[inline(always)]
    const unsafe fn start(&self, group: usize) -> *const u8 {
        // SAFETY: the caller's.
        unsafe { self.bits.as_ptr().cast::<u8>().add(self.bit / 8 + group * self.stride) }
    }

    /// The words of a group of channels, any for channels that are not there.
    ///
    /// # Safety
    ///
    /// AVX-512 F is there.
    #[inline(always)]
    unsafe fn words(&self, group: usize) -> __m512i {
        if !self.are_there(group) {
            let words = self.last_words(group);
            // SAFETY: the array has 64 bytes; the instructions are there.
            return unsafe { _mm512_loadu_si512(words.as_ptr().cast()) };
        }
        // SAFETY: nine bytes of the last word are there, which is the furthest; the instructions are there.
        unsafe {
            let start = self.start(group);
            let shifts = _mm512_loadu_si512(self.shifts.as_ptr().cast());
            let words = _mm512_srlv_epi64(load(start, &self.bytes), shifts);
            if self.near {
                return words;
            }
            let rest = _mm512_sub_epi64(_mm512_set1_epi64(8), shifts);
            let above = _mm512_sllv_epi64(load(start.add(1), &self.bytes), rest);
            _mm512_or_si512(words, above)
        }
    }

    /// Word `i` of each of four groups in vector `i`, of which the first is there.
    ///
    /// # Safety
    ///
    /// AVX2 is there.
    #[inline(always)]
    unsafe fn words_of_four(&self, group: usize) -> [__m256i; GROUP] {
        let last = group + (self.channels.div_ceil(GROUP) - group).min(4) - 1;
        if !self.are_there(last) {
            let words: [_; 4] = core::array::from_fn(|i| self.last_words(group + i));
            let words: [[u64; 4]; GROUP] =
                core::array::from_fn(|i| core::array::from_fn(|j| words[j][i]));
            // SAFETY: arrays have 32 bytes; the instructions are there.
            return words.map(|words| unsafe { _mm256_loadu_si256(words.as_ptr().cast()) });
        }
        // SAFETY: nine bytes of the last word are there, which is the furthest; the instructions are there.
        unsafe {
            let starts: [_; 4] = core::array::from_fn(|i| self.start(last.min(group + i)));
            let mut vectors = [_mm256_setzero_si256(); GROUP];
            for (i, vector) in vectors.iter_mut().enumerate() {
                let shift = self.shifts[i] as i64;
                *vector = _mm256_srl_epi64(load_4(starts, self.bytes[i]), _mm_cvtsi64_si128(shift));
                if !self.near {
                    let above = load_4(starts, self.bytes[i] + 1);
                    let above = _mm256_sll_epi64(above, _mm_cvtsi64_si128(8 - shift));
                    *vector = _mm256_or_si256(*vector, above);
                }
            }
            vectors
        }
    }

    /// The same where channels or bits end. A function of its own, so that the loop has registers.
    #[cold]
    #[inline(never)]
    fn last_words(&self, group: usize) -> [u64; GROUP] {
        core::array::from_fn(|i| {
            let channel = group * GROUP + i;
            if channel < self.channels {
                bits::load(self.bits, self.bit + channel * self.stride)
            } else {
                0
            }
        })
    }
}

/// Eight words, so many bytes from here.
///
/// # Safety
///
/// They are valid for reads; AVX-512 F is there.
#[inline(always)]
unsafe fn load(start: *const u8, bytes: &[usize; GROUP]) -> __m512i {
    // SAFETY: the caller's.
    unsafe {
        let word = |i: usize| start.add(bytes[i]).cast::<i64>().read_unaligned();
        _mm512_set_epi64(word(7), word(6), word(5), word(4), word(3), word(2), word(1), word(0))
    }
}

/// Four words, so many bytes from these places.
///
/// # Safety
///
/// They are valid for reads; AVX2 is there.
#[inline(always)]
unsafe fn load_4(starts: [*const u8; 4], bytes: usize) -> __m256i {
    // SAFETY: the caller's.
    unsafe {
        let word = |i: usize| starts[i].add(bytes).cast::<i64>().read_unaligned();
        _mm256_setr_epi64x(word(0), word(1), word(2), word(3))
    }
}

/// Bytes of eight words in the order of their numbers in the word; of each number those of the last word
/// first, or the first.
const fn byte_by_byte(last_first: bool) -> [u8; 64] {
    let mut order = [0; 64];
    let mut i = 0;
    while i < 64 {
        let word = if last_first { 7 - i % 8 } else { i % 8 };
        order[i] = (8 * word + i / 8) as u8;
        i += 1;
    }
    order
}

/// The most channels whose bits are deposited one channel after the other: the time goes with their square.
pub(super) const FEW: usize = 5;

/// See [`channels_last::interleave`](super::channels_last::interleave). AVX-512 is asked for as processors
/// without it may take hundreds of cycles for each deposit (Zen 2).
#[target_feature(enable = "bmi1,bmi2,popcnt,avx512f")]
pub(super) fn interleave(
    bits: &[u64],
    (bit, stride): (usize, usize),
    channels: usize,
    words: &mut [u64],
) {
    /// Every so many bits of a word, from the first on.
    const EVERY: [u64; FEW + 1] = {
        let mut every = [0; FEW + 1];
        let mut channels = 1;
        while channels <= FEW {
            let mut bit = 0;
            while bit < WORD_BITS {
                every[channels] |= 1 << bit;
                bit += channels;
            }
            channels += 1;
        }
        every
    };
    let channels = channels.clamp(1, FEW);
    let mut of_channels = [(0, 0); FEW];
    for (channel, place) in of_channels.iter_mut().enumerate().take(channels) {
        *place = (bits::load(bits, bit + channel * stride), channel);
    }
    for word in words.iter_mut().take(channels) {
        let mut all = 0;
        // What is left of each channel, and where in the word its next bit goes.
        for (left, first) in of_channels.iter_mut().take(channels) {
            let places = EVERY[channels] << *first;
            all |= _pdep_u64(*left, places);
            let count = places.count_ones();
            *left = left.wrapping_shr(count);
            *first = *first + count as usize * channels - WORD_BITS;
        }
        *word = all;
    }
}

/// See [`channels_last::turn`](super::channels_last::turn).
#[target_feature(enable = "avx2,bmi1,bmi2,avx512f,avx512bw,avx512vbmi,gfni")]
pub(super) fn turn_512(
    bits: &[u64],
    place: (usize, usize),
    (channels, positions): (usize, usize),
    turned: &mut Turned,
) {
    const LAST_FIRST: [u8; 64] = byte_by_byte(true);
    const IN_ORDER: [u8; 64] = byte_by_byte(false);
    let channels = channels.min(BLOCKS * BLOCK);
    let row = row_words(channels);
    let places = ChannelWords::new(bits, place, (channels, positions));
    // SAFETY: the arrays have 64 bytes.
    let [last_first, in_order] =
        [&LAST_FIRST, &IN_ORDER].map(|order| unsafe { _mm512_loadu_si512(order.as_ptr().cast()) });
    let first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    let second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    let mut bytes = [[_mm512_setzero_si512(); GROUP]; BLOCKS];
    for (block, bytes) in bytes.iter_mut().enumerate().take(row) {
        let groups = channels.saturating_sub(block * BLOCK).div_ceil(GROUP);
        for (i, bytes) in bytes.iter_mut().enumerate().take(groups) {
            // SAFETY: the group has a channel; this function has the instructions.
            let words = unsafe { places.words(block * BLOCK / GROUP + i) };
            *bytes = _mm512_permutexvar_epi8(last_first, words);
        }
        turn_words(bytes);
    }
    // The product with the matrix of ones on the diagonal, whose rows count from the last on.
    let ones = _mm512_set1_epi64(0x8040_2010_0804_0201_u64.cast_signed());
    for eight in 0..positions.div_ceil(8).min(8) {
        let [a, b, c, d] = bytes.each_ref().map(|bytes| {
            let turned = _mm512_gf2p8affine_epi64_epi8::<0>(ones, bytes[eight]);
            _mm512_permutexvar_epi8(in_order, turned)
        });
        if row == 1 {
            // SAFETY: there are 64 words.
            unsafe { _mm512_storeu_si512(turned.as_mut_ptr().add(8 * eight).cast(), a) };
            continue;
        }
        let (ab, ab2) = (_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
        let (cd, cd2) = (_mm512_unpacklo_epi64(c, d), _mm512_unpackhi_epi64(c, d));
        // Two positions in each, of which one is left out between them.
        let positions = [
            _mm512_permutex2var_epi64(ab, first, cd),
            _mm512_permutex2var_epi64(ab2, first, cd2),
            _mm512_permutex2var_epi64(ab, second, cd),
            _mm512_permutex2var_epi64(ab2, second, cd2),
        ];
        let [a, b, c, d] =
            positions.map(|two| [_mm512_castsi512_si256(two), _mm512_extracti64x4_epi64::<1>(two)]);
        for (i, words) in [a[0], b[0], a[1], b[1], c[0], d[0], c[1], d[1]].into_iter().enumerate() {
            // What is too much of a row, the next one covers.
            // SAFETY: 64 rows of at most `BLOCKS` words, which the last one ends with if it has as many.
            unsafe {
                let place = turned.as_mut_ptr().add((8 * eight + i) * row);
                _mm256_storeu_si256(place.cast(), words);
            }
        }
    }
}

/// Word `i` of all vectors in vector `i`.
#[target_feature(enable = "avx512f")]
#[inline]
fn turn_words(vectors: &mut [__m512i; 8]) {
    let [a, b, c, d, e, f, g, h] = *vectors;
    // Pairs of words, fours, and all.
    let (ab, ab2) = (_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
    let (cd, cd2) = (_mm512_unpacklo_epi64(c, d), _mm512_unpackhi_epi64(c, d));
    let (ef, ef2) = (_mm512_unpacklo_epi64(e, f), _mm512_unpackhi_epi64(e, f));
    let (gh, gh2) = (_mm512_unpacklo_epi64(g, h), _mm512_unpackhi_epi64(g, h));
    let fours =
        |ab, cd| [_mm512_shuffle_i64x2::<0x88>(ab, cd), _mm512_shuffle_i64x2::<0xdd>(ab, cd)];
    let ([a, b], [c, d]) = (fours(ab, cd), fours(ef, gh));
    let ([a2, b2], [c2, d2]) = (fours(ab2, cd2), fours(ef2, gh2));
    let ([a, b], [c, d]) = (fours(a, c), fours(b, d));
    let ([a2, b2], [c2, d2]) = (fours(a2, c2), fours(b2, d2));
    *vectors = [a, a2, c, c2, b, b2, d, d2];
}

/// See [`channels_last::turn`](super::channels_last::turn).
#[target_feature(enable = "avx2,bmi1,bmi2")]
pub(super) fn turn_256(
    bits: &[u64],
    place: (usize, usize),
    (channels, positions): (usize, usize),
    turned: &mut Turned,
) {
    let channels = channels.min(BLOCKS * BLOCK);
    let row = row_words(channels);
    let places = ChannelWords::new(bits, place, (channels, positions));
    for first in (0..channels).step_by(BLOCK) {
        let mut bytes = [[_mm256_setzero_si256(); 8]; 2];
        for (i, bytes) in bytes.iter_mut().enumerate() {
            let first = first + i * CHANNELS;
            if first < channels {
                // SAFETY: this function has the instructions.
                by_position(unsafe { places.words_of_four(first / GROUP) }, bytes);
            }
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

/// Byte `i` of all words in vector `i`, in the order of the channels.
#[target_feature(enable = "avx2")]
#[inline]
fn by_position([a, b, c, d, e, f, g, h]: [__m256i; 8], bytes: &mut [__m256i; 8]) {
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
    use crate::cpu::Level;
    use crate::{Backend, bits};

    /// On every backend, also where bits end with the slice.
    #[test]
    fn turns_what_the_portable_one_turns() {
        let words: Vec<u64> =
            (1..130_u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ i << 40).collect();
        let end = words.len() * 64;
        // Miri takes minutes for all numbers of channels.
        for channels in (1..=BLOCKS * BLOCK).step_by(if cfg!(miri) { 85 } else { 3 }) {
            for (positions, stride) in
                [(64, 0), (64, 64), (1, 31), (8, 29), (49, 30), (57, 13), (58, 13), (63, 7)]
            {
                let whole = (channels - 1) * stride + 64;
                for bit in [0, 5, 63, end.saturating_sub(whole), end.saturating_sub(whole / 2)] {
                    let mut expected = [0; BLOCKS * BLOCK];
                    let len = (channels, positions);
                    channels_last::turn(&words, (bit, stride), len, &mut expected);
                    let row = row_words(channels);
                    for level in Backend::available().map(|backend| Level::of(Some(backend))) {
                        let mut turned = [!0; BLOCKS * BLOCK];
                        turn(level, &words, (bit, stride), len, &mut turned);
                        for (i, word) in turned.iter().enumerate().take(positions * row) {
                            let used = bits::low(channels - i % row * BLOCK);
                            let what = (len, bit, stride, i);
                            assert_eq!(word & used, expected[i] & used, "{level:?} {what:?}");
                        }
                    }
                }
            }
        }
    }
}
