//! Bands with AVX2 and AVX-512: the same positions of many planes, from segments that are drawn side by
//! side, whichever they are.

#![allow(unsafe_code, reason = "vector instructions")]
#![allow(clippy::multiple_unsafe_ops_per_block, reason = "one proof for one expression")]

use core::arch::x86_64::*;
use core::ops::Range;

use super::x86::{by_runs, set_drawn};
use super::x86_clipped::{LANE, Shifts};
use super::{Sampler, Source};
use crate::bits::WORD_BITS;
use crate::block::Region;
use crate::center::LANES;
use crate::center::x86::{InPart, Lanes};
use crate::center::x86_ints::Ints;
use crate::cpu::X86;
use crate::key::SEGMENT;

/// The bits before the positions of each plane, and after the last, into which blocks may reach: of a row
/// and a block, in whole words. 0 where bands are not drawn so, or most of the `stride` bits of a plane
/// would be margin.
pub(super) fn margin(_: X86, sampler: &Sampler, stride: usize) -> usize {
    let blocks = &sampler.blocks;
    if !sampler.recipe.lanes || blocks.units() >> LANE != 0 {
        return 0;
    }
    let [before, after] = extents(sampler);
    let margin = (before + after + blocks.map[2]).next_multiple_of(WORD_BITS);
    if margin <= stride / 2 { margin } else { 0 }
}

/// How far the first unit of a block is from that of its position, and the last.
fn extents(sampler: &Sampler) -> [usize; 2] {
    let (before, after) = sampler.blocks.reach();
    let [_, height, width] = sampler.blocks.map;
    [before, after].map(|[slices, rows, columns]| (slices * height + rows) * width + columns)
}

/// Fills these positions of these planes, of which each has `stride` bits, the margin first.
pub(super) fn fill(
    x86: X86,
    source: &Source<'_>,
    planes: &Range<usize>,
    positions: &Range<usize>,
    chunk: &mut [u64],
    (stride, margin): (usize, usize),
) {
    macro_rules! level {
        ($name:ident, $vector:ident, $($feature:literal)*) => {
            $(#[target_feature(enable = $feature)])*
            fn $name(x86: X86, source: &Source<'_>, band: Band, words: &mut [u64]) {
                // SAFETY: this function has the instructions.
                unsafe { fill_band::<$vector>(x86, source, band, words) }
            }
        };
    }

    level!(avx2, __m256i, "avx2,bmi1,bmi2,lzcnt,popcnt");
    level!(
        avx512, __m512i, "avx2,bmi1,bmi2,lzcnt,popcnt"
        "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2"
    );

    let len = (planes.len() * stride + margin) / WORD_BITS;
    let words = chunk.get_mut(..len).unwrap_or_default();
    words.fill(0);
    let width = source.sampler.blocks.map[2].max(1);
    let [before, after] = extents(source.sampler);
    let rows =
        [positions.start.saturating_sub(after) / width, (positions.end + before).div_ceil(width)];
    let [start, end] = rows.map(|row| first_in_row(source.sampler, row));
    let planes = planes.clone();
    let band = Band { planes, start, end, stride, first: margin.wrapping_sub(positions.start) };
    match x86 {
        // SAFETY: the token proves the instructions.
        X86::Avx2(_) => unsafe { avx2(x86, source, band, words) },
        // SAFETY: the token proves the instructions.
        X86::Avx512(_) => unsafe { avx512(x86, source, band, words) },
    }
    if by_runs(source) && source.sampler.blocks.region == Region::Valid {
        source.spread_line(words, words.len() * WORD_BITS);
    }
}

/// The first position, in the plane, of a row of the map or of those after it.
fn first_in_row(sampler: &Sampler, row: usize) -> usize {
    let ([slices, rows, columns], height) = (sampler.blocks.grid, sampler.blocks.map[1].max(1));
    let (slice, row) = (row / height, row % height);
    (slice * rows + row.min(rows)).min(slices * rows) * columns
}

/// What is drawn of each plane.
struct Band {
    planes: Range<usize>,
    /// The first position in the plane, and the one after the last.
    start: usize,
    end: usize,
    /// The bits from a plane to the next.
    stride: usize,
    /// The bit of the first plane's first unit, which may lie before the words and wrap.
    first: usize,
}

/// # Safety
///
/// The level's instructions are there.
#[inline(always)]
unsafe fn fill_band<V: Ints>(x86: X86, source: &Source<'_>, band: Band, words: &mut [u64]) {
    let segment = u64::from(SEGMENT);
    let mut batch = Batch::EMPTY;
    for (i, plane) in band.planes.clone().enumerate() {
        let origin = source.position(plane);
        let (mut at, end) = (origin + band.start as u64, origin + band.end as u64);
        let first = (i * band.stride).wrapping_add(band.first) as u32;
        while at < end {
            let number = at / segment;
            batch.add(number, (number * segment).wrapping_sub(origin) as u32, &band, first);
            at = (number + 1) * segment;
            if batch.len == V::LANES {
                // SAFETY: the instructions are there.
                unsafe { batch.set::<V>(x86, source, &band, words) };
            }
        }
    }
    // SAFETY: the instructions are there.
    unsafe { batch.set::<V>(x86, source, &band, words) };
}

/// Segments that are drawn side by side, each as a part of a plane.
struct Batch {
    segments: [u64; LANES],
    /// The first position in the plane; it may lie before the plane and wrap.
    starts: [u32; LANES],
    /// Where the band ends, counted from there.
    ends: [u32; LANES],
    /// The bit of the plane's first unit.
    firsts: [u32; LANES],
    len: usize,
}

impl Batch {
    const EMPTY: Self = Self {
        segments: [0; LANES],
        starts: [0; LANES],
        ends: [0; LANES],
        firsts: [0; LANES],
        len: 0,
    };

    #[inline(always)]
    fn add(&mut self, number: u64, start: u32, band: &Band, first: u32) {
        // The segment starts before the band's end, and hence at most so far.
        let end = (band.end as u32).wrapping_sub(start).min(SEGMENT);
        let i = self.len;
        if i < LANES {
            (self.segments[i], self.starts[i], self.ends[i], self.firsts[i]) =
                (number, start, end, first);
            self.len += 1;
        }
    }

    /// Sets the blocks of the centres in the band, and begins anew.
    ///
    /// # Safety
    ///
    /// The level's instructions are there.
    #[inline(always)]
    unsafe fn set<V: Ints>(
        &mut self,
        x86: X86,
        source: &Source<'_>,
        band: &Band,
        words: &mut [u64],
    ) {
        let Self { segments, starts, ends, firsts, len } = self;
        let locator = source.sampler.recipe.locator;
        // Clipped blocks need the units in their planes.
        let (shifts, added) = match source.sampler.blocks.region {
            Region::Valid => (Shifts::One(0), *firsts),
            Region::Full => {
                (Shifts::ByLane(firsts), core::array::from_fn(|lane| (lane as u32) << LANE))
            }
        };
        // SAFETY: the instructions are there.
        let (places, lanes) = unsafe {
            (
                InPart::<V>::new(locator, starts, ends, band.start as u32, &added),
                Lanes::new(&source.sampler.table, source.streams, *segments, *len),
            )
        };
        // SAFETY: the instructions are there.
        unsafe { set_drawn(x86, source, words, shifts, lanes, &places, |_| ()) };
        self.len = 0;
    }
}
