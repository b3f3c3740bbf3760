//! Filling planes, compiled for AVX2: shifts by a variable number of bits need one instruction. With
//! AVX-512 whole blocks are shifted by one.

#![allow(unsafe_code, reason = "instructions that are found at run time, a vector load and store")]

use core::arch::x86_64::*;
use core::num::NonZeroU64;
use core::ops::Range;

use super::Source;
use super::recipe::{Method, batch_planes};
use crate::bits::{self, Pattern, WORD_BITS};
use crate::block::Region;
use crate::center::x86::{Lanes, Units};
use crate::center::{LANES, Walker};
use crate::rng::SEGMENT;
use crate::x86::{Avx512, X86};

/// Fills whole planes of a cleared mask.
pub(super) fn fill_planes(
    x86: X86,
    source: &Source<'_>,
    walker: &mut Walker<'_>,
    planes: Range<usize>,
    words: &mut [u64],
    visit: impl FnMut(usize),
) {
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn avx2(
        source: &Source<'_>,
        walker: &mut Walker<'_>,
        planes: Range<usize>,
        words: &mut [u64],
        visit: impl FnMut(usize),
    ) {
        source.fill_cleared(walker, planes, words, visit);
    }

    let _avx2 = x86.avx2();
    // SAFETY: the token proves the instructions.
    unsafe { avx2(source, walker, planes, words, visit) }
}

/// The least number of whole segments that repays lanes.
pub(super) const MIN_SEGMENTS: u64 = 4;

/// The most units to a position: more would scatter the blocks of a batch over more than 128 KiB of
/// the mask.
const MAX_SPREAD: u64 = 16;

/// The units of centres that are noted before their blocks are set: 2 KiB.
const LIST: usize = 512;

/// Fills a mask as [`Source::fill`] does, with centres that are drawn side by side. Returns
/// false, with nothing done, where that is not possible or does not pay.
pub(super) fn fill_in_lanes(
    Avx512 { .. }: Avx512,
    source: &Source<'_>,
    planes: usize,
    mask: &mut [u64],
    visit: impl FnMut(usize, &[u32]),
) -> bool {
    let segment = u64::from(SEGMENT);
    let whole = source.position(0).div_ceil(segment)..source.position(planes) / segment;
    // Small masks first: the rest takes divisions.
    if whole.start + MIN_SEGMENTS > whole.end || source.region() != Region::Valid {
        return false;
    }
    let units = source.blocks.units();
    let batch_units = (batch_planes(source.blocks) as u64).saturating_mul(units);
    let Some(positions) = NonZeroU64::new(source.blocks.positions()) else { return false };
    if batch_units > u64::from(u32::MAX)
        || units / positions > MAX_SPREAD
        || !source.recipe.locator.multiplies()
    {
        return false;
    }
    // SAFETY: the token proves the instructions.
    unsafe { fill_batches(source, positions, planes, whole.end, mask, visit) };
    true
}

/// A batch is the positions up to the first whole segment, those of sixteen of them or fewer, and
/// those after the last.
#[target_feature(
    enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2,avx2,bmi1,bmi2,lzcnt,popcnt"
)]
fn fill_batches(
    source: &Source<'_>,
    positions: NonZeroU64,
    planes: usize,
    last_segment: u64,
    mask: &mut [u64],
    mut visit: impl FnMut(usize, &[u32]),
) {
    let (first, last) = (source.position(0), source.position(planes));
    let (plane_bits, segment) = (source.plane_bits(), u64::from(SEGMENT));
    let (mut at, mut cleared, mut complete) = (first, 0, 0);
    while at < last {
        let (number, start) = (at / segment, at % segment);
        let lanes = if start == 0 { (last_segment - number).min(LANES as u64) } else { 0 };
        let end = last.min((number + lanes.max(1)) * segment);
        // Blocks lie in the planes of their positions.
        let plane = ((at - first) / positions) as usize;
        let reached = planes.min(((end - first) / positions) as usize + 1);
        let words = bits::words(reached * plane_bits);
        mask.get_mut(cleared..words).unwrap_or_default().fill(0);
        cleared = words;

        let origin = source.position(plane);
        let words = mask.get_mut(plane * plane_bits / WORD_BITS..).unwrap_or_default();
        let shift = plane * plane_bits % WORD_BITS;
        if lanes > 0 {
            let units = Units::new(source.recipe.locator, (at - origin) as u32);
            let mut lanes = Lanes::new(source.table, source.streams, number, lanes as usize);
            let mut list = [0; LIST];
            loop {
                let found = lanes.draw(&units, &mut list);
                let Some(list @ [_, ..]) = list.get(..found) else { break };
                set_corners(source, words, shift, list);
                visit(plane * plane_bits, list);
            }
        } else {
            source.walker(at).walk(end, |position| {
                let unit = source.recipe.locator.unit(position - origin);
                set_corners(source, words, shift, &[unit as u32]);
                visit(plane * plane_bits, &[unit as u32]);
            });
        }
        at = end;
        if source.method == Method::Runs {
            // The tiles that no further block reaches.
            let ended = if at == last { planes } else { ((at - first) / positions) as usize };
            let tile = source.recipe.tile_planes;
            while complete < ended && (complete + tile <= ended || ended == planes) {
                let next = planes.min(complete + tile);
                let words = mask.get_mut(complete * plane_bits / WORD_BITS..).unwrap_or_default();
                source.spread_line(words, 0..(next - complete) * plane_bits);
                complete = next;
            }
        }
    }
}

/// Sets what the method sets for blocks that begin at these units.
#[target_feature(
    enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2,avx2,bmi1,bmi2,lzcnt,popcnt"
)]
fn set_corners(source: &Source<'_>, words: &mut [u64], shift: usize, units: &[u32]) {
    let [depth, _, len] = source.blocks.block;
    let [_, height, width] = source.blocks.map;
    let corners = units.iter().map(|&unit| shift + unit as usize);
    if source.method == Method::Runs {
        return corners.for_each(|corner| bits::set(words, corner, len));
    }
    match source.recipe.pattern {
        Some(pattern) => {
            let pattern = Shifted::new(pattern);
            for corner in corners {
                if !(0..depth).all(|d| pattern.set(words, corner + d * height * width)) {
                    source.set_rows(words, corner);
                }
            }
        }
        None => corners.for_each(|corner| source.set_rows(words, corner)),
    }
}

/// A pattern whose four words are shifted at once.
#[derive(Clone, Copy)]
struct Shifted {
    words: __m256i,
    /// For each word the one below it, from which bits move up.
    below: __m256i,
}

impl Shifted {
    #[target_feature(enable = "avx2")]
    #[inline]
    fn new(pattern: Pattern<4>) -> Self {
        let [a, b, c, d] = pattern.words().map(u64::cast_signed);
        Self { words: _mm256_setr_epi64x(a, b, c, d), below: _mm256_setr_epi64x(0, a, b, c) }
    }

    /// Does what [`Pattern::set`] does.
    #[target_feature(enable = "avx2,avx512vl,avx512vbmi2")]
    #[inline]
    fn set(self, words: &mut [u64], bit: usize) -> bool {
        let words = words.get_mut(bit / WORD_BITS..).and_then(<[u64]>::first_chunk_mut::<4>);
        let Some(words) = words else { return false };
        // The instruction takes the shift modulo 64.
        let shift = _mm256_set1_epi64x(bit as i64);
        let block = _mm256_shldv_epi64(self.words, self.below, shift);
        let words = words.as_mut_ptr().cast();
        // SAFETY: there are four words.
        let old = unsafe { _mm256_loadu_si256(words) };
        let new = _mm256_or_si256(old, block);
        // SAFETY: there are four words.
        unsafe { _mm256_storeu_si256(words, new) };
        true
    }
}
