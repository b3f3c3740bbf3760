//! Filling planes with AVX2 and AVX-512. Large masks are filled from segments that are drawn side by side,
//! small ones from one segment after another.

#![allow(unsafe_code, reason = "vector instructions")]
#![allow(clippy::multiple_unsafe_ops_per_block, reason = "one proof for one expression")]

use core::arch::x86_64::*;
use core::num::NonZeroU64;
use core::ops::Range;

use super::Source;
use super::method::{MIN_SEGMENTS, Method};
use super::tile::Visitor;
use super::x86_blocks::set_blocks;
use super::x86_clipped::Shifts;
use crate::bits::{self, WORD_BITS};
use crate::center::x86::{InPart, Lanes, Places, Units};
use crate::center::x86_ints::Ints;
use crate::center::{LANES, Walker};
use crate::count::count;
use crate::cpu::X86;
use crate::key::SEGMENT;

/// Fills whole planes of a cleared mask, and visits blocks as [`Source::fill`] does.
pub(super) fn fill_planes(
    x86: X86,
    source: &Source<'_>,
    walker: &mut Walker<'_>,
    planes: Range<usize>,
    words: &mut [u64],
    visitor: Visitor<'_, impl FnMut(usize, &[u32])>,
) {
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn avx2(
        x86: X86,
        source: &Source<'_>,
        walker: &mut Walker<'_>,
        planes: Range<usize>,
        words: &mut [u64],
        mut visitor: Visitor<'_, impl FnMut(usize, &[u32])>,
    ) {
        if !source.sampler.recipe.lanes {
            return source.fill_cleared(walker, planes, words, visitor);
        }
        let (origin, end) = (source.position(planes.start), source.position(planes.end));
        let mut list = [0; SHORT_LIST];
        while let Some((start, found)) = walker.list(end, &mut list) {
            let (locator, start) = (source.sampler.recipe.locator, start.wrapping_sub(origin));
            // SAFETY: this function has the instructions.
            unsafe { Units::<__m256i>::of_one(locator, start as u32).replace(&mut list, found) };
            let units = list.get(..found).unwrap_or_default();
            set_blocks(x86, source, words, Shifts::One(0), units);
            visitor.visit(0, units);
        }
        if by_runs(source) {
            source.spread_rows(words, planes.len());
        }
    }

    let _avx2 = x86.avx2();
    // SAFETY: the token proves the instructions.
    unsafe { avx2(x86, source, walker, planes, words, visitor) }
}

/// Whether first rows of blocks are set, to be spread.
pub(super) fn by_runs(source: &Source<'_>) -> bool {
    source.method() == Method::Runs && source.sampler.recipe.long_pattern.is_none()
}

/// The units of centres that are noted before their blocks are set: 2 KiB.
const LIST: usize = 512;

/// The same where segments are drawn one after another.
const SHORT_LIST: usize = 32;

/// Fills a mask as [`Source::fill`] does, with centres that are drawn side by side. Returns `None`, with
/// nothing done, where that is not possible or does not pay.
pub(super) fn fill_in_lanes(
    x86: X86,
    source: &Source<'_>,
    planes: usize,
    mask: &mut [u64],
    visitor: Visitor<'_, impl FnMut(usize, &[u32])>,
) -> Option<u64> {
    let segment = u64::from(SEGMENT);
    let whole = source.position(0).div_ceil(segment)..source.position(planes) / segment;
    if whole.start + MIN_SEGMENTS > whole.end || !source.sampler.recipe.lanes {
        return None;
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn avx2(
        x86: X86,
        source: &Source<'_>,
        planes: usize,
        mask: &mut [u64],
        visitor: Visitor<'_, impl FnMut(usize, &[u32])>,
    ) -> u64 {
        // SAFETY: this function has the instructions.
        unsafe { fill_batches::<__m256i>(x86, source, planes, mask, visitor) }
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2")]
    fn avx512(
        x86: X86,
        source: &Source<'_>,
        planes: usize,
        mask: &mut [u64],
        visitor: Visitor<'_, impl FnMut(usize, &[u32])>,
    ) -> u64 {
        // SAFETY: this function has the instructions.
        unsafe { fill_batches::<__m512i>(x86, source, planes, mask, visitor) }
    }

    Some(match x86 {
        // SAFETY: the token proves the instructions.
        X86::Avx2(_) => unsafe { avx2(x86, source, planes, mask, visitor) },
        // SAFETY: the token proves the instructions.
        X86::Avx512(_) => unsafe { avx512(x86, source, planes, mask, visitor) },
    })
}

/// A batch is the positions of as many segments as there are lanes, or fewer. The first segment and the
/// last may have others before and behind them.
///
/// # Safety
///
/// The level's instructions are there.
#[inline(always)]
unsafe fn fill_batches<V: Ints>(
    x86: X86,
    source: &Source<'_>,
    planes: usize,
    mask: &mut [u64],
    mut visitor: Visitor<'_, impl FnMut(usize, &[u32])>,
) -> u64 {
    let Some(positions) = NonZeroU64::new(source.sampler.blocks.positions()) else { return 0 };
    let (first, last) = (source.position(0), source.position(planes));
    let (plane_bits, segment) = (source.plane_bits(), u64::from(SEGMENT));
    let by_runs = by_runs(source);
    let (mut at, mut cleared, mut complete) = (first, 0, 0);
    let (mut counted, mut dropped) = (0, 0);
    while at < last {
        let number = at / segment;
        // Behind the last segment numbers may not fit in 64 bits.
        let end = last.min((number + V::LANES as u64).saturating_mul(segment));
        // Blocks lie in the planes of their positions.
        let plane = ((at - first) / positions) as usize;
        let reached = planes.min(((end - first) / positions) as usize + 1);
        let words = bits::words(reached * plane_bits);
        mask.get_mut(cleared..words).unwrap_or_default().fill(0);
        cleared = words;

        let origin = source.position(plane);
        let words = mask.get_mut(plane * plane_bits / WORD_BITS..).unwrap_or_default();
        let shift = plane * plane_bits % WORD_BITS;
        let mut visitor = visitor.at(plane * plane_bits);
        // SAFETY: the instructions are there.
        let lanes = unsafe {
            let segments = core::array::from_fn(|lane| number.wrapping_add(lane as u64));
            let count = (end - number * segment).div_ceil(segment) as usize;
            Lanes::new(&source.sampler.table, source.streams, segments, count)
        };
        let start = (at - origin) as u32;
        let locator = source.sampler.recipe.locator;
        let (shifts, visit) = (Shifts::One(shift as u32), |list: &[u32]| visitor.visit(0, list));
        if at.is_multiple_of(segment) && end.is_multiple_of(segment) {
            // SAFETY: the instructions are there.
            unsafe {
                let places = Units::<V>::new(locator, start);
                set_drawn(x86, source, words, shifts, lanes, &places, visit);
            }
        } else {
            // The segment may start before the plane.
            let starts = core::array::from_fn(|lane| {
                (number + lane as u64).wrapping_mul(segment).wrapping_sub(origin) as u32
            });
            let ends = starts.map(|start| ((end - origin) as u32).wrapping_sub(start).min(SEGMENT));
            // SAFETY: the instructions are there.
            unsafe {
                let places = InPart::<V>::new(locator, &starts, &ends, start, &[0; LANES]);
                set_drawn(x86, source, words, shifts, lanes, &places, visit);
            }
        }
        at = end;
        // The planes that no further block reaches.
        let ended = if at == last { planes } else { ((at - first) / positions) as usize };
        if by_runs {
            let tile = source.sampler.recipe.tile_planes;
            while complete < ended && (complete + tile <= ended || ended == planes) {
                let next = planes.min(complete + tile);
                let words = mask.get_mut(complete * plane_bits / WORD_BITS..).unwrap_or_default();
                source.spread_rows(words, next - complete);
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

/// Draws segments to their ends, sets the blocks of the centres, and shows what is listed of them.
///
/// # Safety
///
/// The level's instructions are there.
#[inline(always)]
pub(super) unsafe fn set_drawn<V: Ints>(
    x86: X86,
    source: &Source<'_>,
    words: &mut [u64],
    shifts: Shifts<'_>,
    mut lanes: Lanes<'_, V>,
    places: &impl Places<V>,
    mut visit: impl FnMut(&[u32]),
) {
    let mut list = [0; LIST];
    loop {
        // SAFETY: the instructions are there.
        let found = unsafe { V::draw(&mut lanes, places, &mut list) };
        let Some(list @ [_, ..]) = list.get(..found) else { return };
        set_blocks(x86, source, words, shifts, list);
        visit(list);
    }
}
