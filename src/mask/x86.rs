//! Filling planes, compiled for AVX2: shifts by a variable number of bits need one instruction. Large
//! masks are filled from segments that are drawn side by side, whole blocks by one shift; small ones
//! from one segment after another, word by word.

#![allow(unsafe_code, reason = "vector instructions, a load and a store through a pointer")]
#![allow(clippy::multiple_unsafe_ops_per_block, reason = "one proof for one expression")]

use core::arch::x86_64::*;
use core::marker::PhantomData;
use core::num::NonZeroU64;
use core::ops::Range;

use super::Source;
use super::method::{MIN_SEGMENTS, Method};
use super::tile::Visitor;
use super::x86_clipped::set_centers;
use crate::bits::{self, Pattern, WORD_BITS};
use crate::block::{Blocks, Region};
use crate::center::Walker;
use crate::center::x86::{Lanes, Units};
use crate::center::x86_ints::Ints;
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
        source: &Source<'_>,
        walker: &mut Walker<'_>,
        planes: Range<usize>,
        words: &mut [u64],
        visitor: Visitor<'_, impl FnMut(usize, &[u32])>,
    ) {
        if !source.sampler.recipe.lanes {
            return source.fill_cleared(walker, planes, words, visitor);
        }
        let (origin, end) = (source.position(planes.start), source.position(planes.end));
        // SAFETY: this function has the instructions.
        unsafe { fill_walked::<__m256i>(source, walker, origin, end, words, 0, visitor) };
        if by_runs(source) {
            source.spread_rows(words, planes.len());
        }
    }

    let _avx2 = x86.avx2();
    // SAFETY: the token proves the instructions.
    unsafe { avx2(source, walker, planes, words, visitor) }
}

/// Sets what the method sets for the blocks of a walker's centres before `end`, in words whose bit
/// `shift` is the unit of position `origin`.
///
/// # Safety
///
/// The level's instructions are there.
#[inline(always)]
unsafe fn fill_walked<V: Ints>(
    source: &Source<'_>,
    walker: &mut Walker<'_>,
    origin: u64,
    end: u64,
    words: &mut [u64],
    shift: usize,
    mut visitor: Visitor<'_, impl FnMut(usize, &[u32])>,
) {
    let mut list = [0; SHORT_LIST];
    while let Some((start, found)) = walker.list(end, &mut list) {
        // SAFETY: the instructions are there.
        unsafe {
            let units = Units::<V>::of_one(
                source.sampler.recipe.locator,
                start.wrapping_sub(origin) as u32,
            );
            units.replace(&mut list, found);
        }
        let units = list.get(..found).unwrap_or_default();
        // SAFETY: the instructions are there.
        unsafe { set_corners::<V>(source, words, shift, units) };
        visitor.visit(0, units);
    }
}

/// Whether first rows of blocks are set, to be spread.
pub(super) fn by_runs(source: &Source<'_>) -> bool {
    source.method() == Method::Runs && source.sampler.recipe.long_pattern.is_none()
}

/// The units of centres that are noted before their blocks are set: 2 KiB.
pub(super) const LIST: usize = 512;

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
        source: &Source<'_>,
        planes: usize,
        mask: &mut [u64],
        visitor: Visitor<'_, impl FnMut(usize, &[u32])>,
    ) -> u64 {
        // SAFETY: this function has the instructions.
        unsafe { fill_batches::<__m256i>(source, planes, mask, visitor) }
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2")]
    fn avx512(
        source: &Source<'_>,
        planes: usize,
        mask: &mut [u64],
        visitor: Visitor<'_, impl FnMut(usize, &[u32])>,
    ) -> u64 {
        // SAFETY: this function has the instructions.
        unsafe { fill_batches::<__m512i>(source, planes, mask, visitor) }
    }

    Some(match x86 {
        // SAFETY: the token proves the instructions.
        X86::Avx2(_) => unsafe { avx2(source, planes, mask, visitor) },
        // SAFETY: the token proves the instructions.
        X86::Avx512(_) => unsafe { avx512(source, planes, mask, visitor) },
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
    mut visitor: Visitor<'_, impl FnMut(usize, &[u32])>,
) -> u64 {
    let Some(positions) = NonZeroU64::new(source.sampler.blocks.positions()) else { return 0 };
    let (first, last) = (source.position(0), source.position(planes));
    let (plane_bits, segment) = (source.plane_bits(), u64::from(SEGMENT));
    let last_segment = last / segment;
    let by_runs = by_runs(source);
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
        let mut visitor = visitor.at(plane * plane_bits);
        if lanes > 0 {
            // SAFETY: the instructions are there.
            let (units, mut lanes) = unsafe {
                let segments = core::array::from_fn(|lane| number.wrapping_add(lane as u64));
                (
                    Units::<V>::new(source.sampler.recipe.locator, (at - origin) as u32),
                    Lanes::new(&source.sampler.table, source.streams, segments, lanes as usize),
                )
            };
            let mut list = [0; LIST];
            loop {
                // SAFETY: the instructions are there.
                let found = unsafe { V::draw(&mut lanes, &units, &mut list) };
                let Some(list @ [_, ..]) = list.get(..found) else { break };
                // SAFETY: the instructions are there.
                unsafe { set_corners::<V>(source, words, shift, list) };
                visitor.visit(0, list);
            }
        } else {
            let walker = &mut source.walker(at);
            // SAFETY: the instructions are there.
            unsafe { fill_walked::<V>(source, walker, origin, end, words, shift, visitor) };
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

/// Sets what the method sets for blocks that begin at these units, or whole blocks if they are a long
/// pattern.
///
/// # Safety
///
/// The level's instructions are there.
#[inline(always)]
pub(super) unsafe fn set_corners<V: Ints>(
    source: &Source<'_>,
    words: &mut [u64],
    shift: usize,
    units: &[u32],
) {
    if source.sampler.blocks.region == Region::Full {
        // SAFETY: the instructions are there.
        return unsafe { set_centers::<V>(source, words, shift, units) };
    }
    let corners = units.iter().map(|&unit| shift + unit as usize);
    let recipe = source.sampler.recipe;
    match (recipe.long_pattern, source.method(), recipe.pattern) {
        // SAFETY: the instructions are there.
        (Some(pattern), ..) => unsafe {
            if four_words(&pattern, 8) == [0; 5] {
                Slices::<V, 2, 12>::new(&source.sampler.blocks, &pattern).set_all(words, corners);
            } else {
                Slices::<V, 3, 12>::new(&source.sampler.blocks, &pattern).set_all(words, corners);
            }
        },
        (None, Method::Runs, _) => {
            let len = source.sampler.blocks.block[2];
            corners.for_each(|corner| bits::set(words, corner, len));
        }
        // SAFETY: the instructions are there.
        (None, Method::Blocks, Some(pattern)) => unsafe {
            Slices::<V, 1, 4>::new(&source.sampler.blocks, &pattern).set_all(words, corners);
        },
        (None, Method::Blocks, None) => corners.for_each(|corner| source.set_rows(words, corner)),
    }
}

/// Four words of a pattern from one on, and before them the one below them.
#[inline]
fn four_words<const N: usize>(pattern: &Pattern<N>, first: usize) -> [u64; 5] {
    core::array::from_fn(|i| match (first + i).checked_sub(1) {
        Some(index) => bits::word(&pattern.0, index),
        None => 0,
    })
}

/// The slices of a block, each of which is a pattern of `M` words; those after the first `4 N` are 0.
struct Slices<'p, V, const N: usize, const M: usize> {
    count: usize,
    /// How far apart they lie.
    step: usize,
    pattern: &'p Pattern<M>,
    /// Each four words, and those below them.
    words: [(__m256i, __m256i); N],
    level: PhantomData<V>,
}

impl<'p, V: Ints, const N: usize, const M: usize> Slices<'p, V, N, M> {
    /// # Safety
    ///
    /// The level's instructions are there.
    #[inline(always)]
    unsafe fn new(blocks: &Blocks, pattern: &'p Pattern<M>) -> Self {
        let words = core::array::from_fn(|i| {
            let words = four_words(pattern, 4 * i);
            // SAFETY: there are five words; the instructions are there.
            unsafe {
                let below = _mm256_loadu_si256(words.as_ptr().cast());
                (_mm256_loadu_si256(words.as_ptr().add(1).cast()), below)
            }
        });
        let ([count, ..], [_, height, width]) = (blocks.block, blocks.map);
        Self { count, step: height * width, pattern, words, level: PhantomData }
    }

    /// Sets the blocks that begin at these bits.
    ///
    /// # Safety
    ///
    /// The level's instructions are there.
    #[inline(always)]
    unsafe fn set_all(&self, words: &mut [u64], corners: impl Iterator<Item = usize>) {
        for corner in corners {
            // SAFETY: the instructions are there.
            unsafe { self.set(words, corner) };
        }
    }

    /// Sets the block that begins at this bit.
    ///
    /// # Safety
    ///
    /// The level's instructions are there.
    #[inline(always)]
    unsafe fn set(&self, words: &mut [u64], corner: usize) {
        let (mut bit, mut left) = (corner, self.count);
        loop {
            let rest = words.get_mut(bit / WORD_BITS..).unwrap_or_default();
            if rest.len() < 4 * N {
                self.pattern.set_last(rest, bit % WORD_BITS);
            } else {
                for (i, &(pattern, below)) in self.words.iter().enumerate() {
                    // SAFETY: there are `4 N` words; the instructions are there.
                    unsafe {
                        let words = rest.as_mut_ptr().add(4 * i).cast();
                        let block = V::shift_words(pattern, below, bit % WORD_BITS);
                        _mm256_storeu_si256(
                            words,
                            _mm256_or_si256(_mm256_loadu_si256(words), block),
                        );
                    }
                }
            }
            if left <= 1 {
                return;
            }
            left -= 1;
            bit += self.step;
        }
    }
}
