//! Filling planes, compiled for AVX2: shifts by a variable number of bits need one instruction. Large
//! masks are filled from segments that are drawn side by side, whole blocks by one shift.

#![allow(unsafe_code, reason = "vector instructions, a load and a store through a pointer")]
#![allow(clippy::multiple_unsafe_ops_per_block, reason = "one proof for one expression")]

use core::arch::x86_64::*;
use core::num::NonZeroU64;
use core::ops::Range;

use super::Source;
use super::recipe::{MIN_SEGMENTS, Method};
use crate::bits::{self, WORD_BITS};
use crate::center::Walker;
use crate::center::x86::{Lanes, Units};
use crate::center::x86_ints::Ints;
use crate::count::count;
use crate::rng::SEGMENT;
use crate::x86::X86;

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

/// The units of centres that are noted before their blocks are set: 2 KiB.
const LIST: usize = 512;

/// Fills a mask as [`Source::fill`] does, with centres that are drawn side by side. Returns `None`, with
/// nothing done, where that is not possible or does not pay.
pub(super) fn fill_in_lanes(
    x86: X86,
    source: &Source<'_>,
    planes: usize,
    mask: &mut [u64],
    visit: impl FnMut(usize, &[u32]),
) -> Option<u64> {
    let segment = u64::from(SEGMENT);
    let whole = source.position(0).div_ceil(segment)..source.position(planes) / segment;
    if whole.start + MIN_SEGMENTS > whole.end || !source.recipe.lanes {
        return None;
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn avx2(
        source: &Source<'_>,
        planes: usize,
        mask: &mut [u64],
        visit: impl FnMut(usize, &[u32]),
    ) -> u64 {
        // SAFETY: this function has the instructions.
        unsafe { fill_batches::<__m256i>(source, planes, mask, visit) }
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2")]
    fn avx512(
        source: &Source<'_>,
        planes: usize,
        mask: &mut [u64],
        visit: impl FnMut(usize, &[u32]),
    ) -> u64 {
        // SAFETY: this function has the instructions.
        unsafe { fill_batches::<__m512i>(source, planes, mask, visit) }
    }

    Some(match x86 {
        // SAFETY: the token proves the instructions.
        X86::Avx2(_) => unsafe { avx2(source, planes, mask, visit) },
        // SAFETY: the token proves the instructions.
        X86::Avx512(_) => unsafe { avx512(source, planes, mask, visit) },
    })
}

/// A batch is the positions up to the first whole segment, those of as many of them as there are
/// lanes or fewer, and those after the last.
///
/// # Safety
///
/// The level's instructions are there.
#[inline(always)]
unsafe fn fill_batches<V: Ints>(
    source: &Source<'_>,
    planes: usize,
    mask: &mut [u64],
    mut visit: impl FnMut(usize, &[u32]),
) -> u64 {
    let Some(positions) = NonZeroU64::new(source.blocks.positions()) else { return 0 };
    let (first, last) = (source.position(0), source.position(planes));
    let (plane_bits, segment) = (source.plane_bits(), u64::from(SEGMENT));
    let last_segment = last / segment;
    let by_runs = source.method == Method::Runs && source.recipe.long_pattern.is_none();
    let (mut at, mut cleared, mut complete) = (first, 0, 0);
    let (mut counted, mut dropped) = (0, 0);
    while at < last {
        let (number, start) = (at / segment, at % segment);
        let lanes = if start == 0 { (last_segment - number).min(V::LANES as u64) } else { 0 };
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
            // SAFETY: the instructions are there.
            let (units, mut lanes) = unsafe {
                (
                    Units::<V>::new(source.recipe.locator, (at - origin) as u32),
                    Lanes::new(source.table, source.streams, number, lanes as usize),
                )
            };
            let mut list = [0; LIST];
            loop {
                // SAFETY: the instructions are there.
                let found = unsafe { V::draw(&mut lanes, &units, &mut list) };
                let Some(list @ [_, ..]) = list.get(..found) else { break };
                // SAFETY: the instructions are there.
                unsafe { set_corners::<V>(source, words, shift, list) };
                visit(plane * plane_bits, list);
            }
        } else {
            source.walker(at).walk(end, |position| {
                let unit = source.recipe.locator.unit(position - origin);
                // SAFETY: the instructions are there.
                unsafe { set_corners::<V>(source, words, shift, &[unit as u32]) };
                visit(plane * plane_bits, &[unit as u32]);
            });
        }
        at = end;
        // The planes that no further block reaches.
        let ended = if at == last { planes } else { ((at - first) / positions) as usize };
        if by_runs {
            let tile = source.recipe.tile_planes;
            while complete < ended && (complete + tile <= ended || ended == planes) {
                let next = planes.min(complete + tile);
                let words = mask.get_mut(complete * plane_bits / WORD_BITS..).unwrap_or_default();
                source.spread_line(words, 0..(next - complete) * plane_bits);
                complete = next;
            }
        } else {
            complete = ended;
        }
        let reached = complete * plane_bits;
        let reached = if complete == planes { reached } else { reached - reached % WORD_BITS };
        dropped += count(source.level, mask, counted..reached);
        counted = reached;
    }
    dropped
}

/// Sets what the method sets for blocks that begin at these units, or whole blocks if they are a long
/// pattern.
///
/// # Safety
///
/// The level's instructions are there.
#[inline(always)]
unsafe fn set_corners<V: Ints>(
    source: &Source<'_>,
    words: &mut [u64],
    shift: usize,
    units: &[u32],
) {
    let corners = units.iter().map(|&unit| shift + unit as usize);
    let recipe = source.recipe;
    match (recipe.long_pattern, source.method, recipe.pattern) {
        // SAFETY: the instructions are there.
        (Some(pattern), ..) => unsafe {
            let parts = [0, 4, 8].map(|first| pattern.four_words(first));
            let [first, second, rest] = parts;
            if rest == [0; 5] {
                set_blocks::<V, 2>(source, words, corners, [first, second]);
            } else {
                set_blocks::<V, 3>(source, words, corners, parts);
            }
        },
        (None, Method::Runs, _) => {
            let len = source.blocks.block[2];
            corners.for_each(|corner| bits::set(words, corner, len));
        }
        // SAFETY: the instructions are there.
        (None, Method::Blocks, Some(pattern)) => unsafe {
            set_blocks::<V, 1>(source, words, corners, [pattern.four_words(0)]);
        },
        (None, Method::Blocks, None) => corners.for_each(|corner| source.set_rows(words, corner)),
    }
}

/// Sets blocks whose slices are patterns of `4 N` words, given as each four words and those below.
///
/// # Safety
///
/// The level's instructions are there.
#[inline(always)]
unsafe fn set_blocks<V: Ints, const N: usize>(
    source: &Source<'_>,
    words: &mut [u64],
    corners: impl Iterator<Item = usize>,
    pattern: [[u64; 5]; N],
) {
    let slice = source.blocks.map[1] * source.blocks.map[2];
    // SAFETY: there are five words; the instructions are there.
    let pattern = pattern.map(|words| unsafe {
        let below = _mm256_loadu_si256(words.as_ptr().cast());
        (below, _mm256_loadu_si256(words.as_ptr().add(1).cast()))
    });
    for corner in corners {
        for d in 0..source.blocks.block[0] {
            let bit = corner + d * slice;
            let rest = words.get_mut(bit / WORD_BITS..).unwrap_or_default();
            if rest.len() < 4 * N {
                // Near the end of the mask.
                source.set_rows(words, corner);
                break;
            }
            for (i, &(below, pattern)) in pattern.iter().enumerate() {
                // SAFETY: there are `4 N` words; the instructions are there.
                unsafe {
                    let words = rest.as_mut_ptr().add(4 * i).cast();
                    let block = V::shift_words(pattern, below, bit % WORD_BITS);
                    _mm256_storeu_si256(words, _mm256_or_si256(_mm256_loadu_si256(words), block));
                }
            }
        }
    }
}
