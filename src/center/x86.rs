//! Centres with AVX-512: sixteen segments side by side, one in each lane.
//!
//! A lane draws in its segment what [`Walker`](super::Walker) would, and a draw in all lanes costs
//! about as much as two of the walker's. What is lost is the rest of each lane whose segment ends
//! before the longest does.

#![allow(unsafe_code, reason = "vector loads, stores and gathers through pointers")]

use core::arch::x86_64::*;

use super::{Divisor, LANES, Locator};
use crate::gap::{COLUMN_BITS, COLUMNS, LONG, Table};
use crate::rng::{SEGMENT, Streams};

/// A vector's worth of integers.
type Array = [u32; LANES];

/// The generators of some segments that follow one another, and how far each has come.
#[derive(Debug)]
pub(crate) struct Lanes<'a> {
    table: &'a Table,
    /// Word by word.
    generators: [__m512i; 4],
    /// Where the next gap begins, counted from the segment's start.
    position: __m512i,
    /// The lanes whose segment has not ended.
    running: __mmask16,
}

impl<'a> Lanes<'a> {
    /// The first `count` segments from `first` on.
    #[target_feature(enable = "avx512f,avx512dq")]
    #[inline]
    pub(crate) fn new(table: &'a Table, streams: Streams, first: u64, count: usize) -> Self {
        let mut words = [[0; LANES]; 4];
        for lane in 0..LANES {
            let state = streams.state(first.wrapping_add(lane as u64));
            for (words, word) in words.iter_mut().zip(state) {
                words[lane] = word;
            }
        }
        Self {
            table,
            generators: [load(&words[0]), load(&words[1]), load(&words[2]), load(&words[3])],
            position: _mm512_setzero_si512(),
            running: !(u32::MAX << count.min(LANES)) as __mmask16,
        }
    }

    /// Draws until the list is nearly full or all segments have ended. Returns how many units of
    /// centres the list then holds, in no order; none when all had ended.
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub(crate) fn draw<const N: usize>(&mut self, units: &Units, list: &mut [u32; N]) -> usize {
        let longest = _mm512_set1_epi32(LONG as i32);
        let end = _mm512_set1_epi32(SEGMENT as i32);
        let mut len = 0;
        // How many are found cannot be predicted, so that nothing branches on it but a list's end.
        while self.running != 0
            && let Some(room) = list.get_mut(len..).and_then(<[u32]>::first_chunk_mut::<LANES>)
        {
            let draw = self.next_u32();
            // `gap::gap`; LONG is also the mask of a column's number.
            const { assert!(LONG as usize == COLUMNS - 1) };
            let column = _mm512_and_si512(draw, longest);
            // SAFETY: columns lie inside the table.
            let entry = unsafe { _mm512_i32gather_epi32::<4>(column, self.table.as_ptr().cast()) };
            let other = _mm512_cmpge_epu32_mask(
                _mm512_srli_epi32::<COLUMN_BITS>(draw),
                _mm512_srli_epi32::<COLUMN_BITS>(entry),
            );
            let gap = _mm512_mask_and_epi32(column, other, entry, longest);
            // `next`, and on to the position after a centre.
            let position = _mm512_add_epi32(self.position, gap);
            self.running = _mm512_mask_cmplt_epu32_mask(self.running, position, end);
            let found = _mm512_mask_cmpneq_epu32_mask(self.running, gap, longest);
            let one = _mm512_set1_epi32(1);
            self.position = _mm512_mask_add_epi32(position, found, position, one);
            let found_units = _mm512_maskz_compress_epi32(found, units.of(position));
            // SAFETY: the room is a vector's worth.
            unsafe { _mm512_storeu_epi32(room.as_mut_ptr().cast(), found_units) };
            len += found.count_ones() as usize;
        }
        len
    }

    /// xoshiro128++ in each lane (Blackman, Vigna 2021, "Scrambled Linear Pseudorandom Number
    /// Generators").
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn next_u32(&mut self) -> __m512i {
        let [a, b, c, d] = self.generators;
        let draw = _mm512_add_epi32(_mm512_rol_epi32::<7>(_mm512_add_epi32(a, d)), a);
        let (c, d) = (_mm512_xor_si512(c, a), _mm512_xor_si512(d, b));
        self.generators = [
            _mm512_xor_si512(a, d),
            _mm512_xor_si512(b, c),
            _mm512_xor_si512(c, _mm512_slli_epi32::<9>(b)),
            _mm512_rol_epi32::<11>(d),
        ];
        draw
    }
}

/// [`Locator::unit`] in each lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Units {
    locator: Locator,
    /// The position at which each lane's segment starts, counted as the locator does.
    starts: __m512i,
}

impl Units {
    /// For segments that follow one another, the first of which starts at `start`. None of their
    /// positions and units may take more than 32 bits, nor a division.
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub(crate) fn new(locator: Locator, start: u32) -> Self {
        const EACH: Array = {
            let mut starts = [0; LANES];
            let mut lane = 0;
            while lane < LANES {
                starts[lane] = lane as u32 * SEGMENT;
                lane += 1;
            }
            starts
        };
        Self { locator, starts: _mm512_add_epi32(load(&EACH), _mm512_set1_epi32(start as i32)) }
    }

    /// The units at positions that are counted from the segments' starts.
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn of(&self, positions: __m512i) -> __m512i {
        let Locator { grid, lacking } = self.locator;
        let positions = _mm512_add_epi32(positions, self.starts);
        let rows = quotient(grid[2], positions);
        let slices = quotient(grid[1], rows);
        let units = _mm512_add_epi32(positions, times(rows, lacking[2]));
        let units = _mm512_add_epi32(units, times(slices, lacking[1]));
        if lacking[0] == 0 {
            return units;
        }
        _mm512_add_epi32(units, times(quotient(grid[0], slices), lacking[0]))
    }
}

/// [`Divisor::quotient`] in each lane, without a division.
#[target_feature(enable = "avx512f")]
#[inline]
fn quotient(divisor: Divisor, dividends: __m512i) -> __m512i {
    let reciprocal = _mm512_set1_epi64(i64::from(divisor.reciprocal));
    let shift = _mm_cvtsi32_si128(divisor.shift as i32);
    let even = _mm512_srl_epi64(_mm512_mul_epu32(dividends, reciprocal), shift);
    let odd = _mm512_mul_epu32(_mm512_srli_epi64::<32>(dividends), reciprocal);
    _mm512_or_si512(even, _mm512_slli_epi64::<32>(_mm512_srl_epi64(odd, shift)))
}

#[target_feature(enable = "avx512f")]
#[inline]
fn times(lines: __m512i, lacking: usize) -> __m512i {
    _mm512_mullo_epi32(lines, _mm512_set1_epi32(lacking as i32))
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load(array: &Array) -> __m512i {
    // SAFETY: the array is a vector's worth.
    unsafe { _mm512_loadu_epi32(array.as_ptr().cast()) }
}
