//! Centres with AVX2 and AVX-512: eight or sixteen segments side by side, one in each lane.
//!
//! A lane draws in its segment what [`Walker`] would. What is lost is the rest of each lane whose segment ends
//! before the longest does.
//!
//! All functions need the instructions of their vector's level.

#![allow(unsafe_code, reason = "vector instructions, loads and stores through pointers")]
#![allow(clippy::multiple_unsafe_ops_per_block, reason = "one proof for one expression")]

use super::x86_ints::Ints;
use super::{Divisor, LANES, Locator, Walker, next};
use crate::gap::{COLUMN_BITS, COLUMNS, LONG, Table};
use crate::key::{SEGMENT, Streams};

impl Walker<'_> {
    /// Lists some of the centres that [`walk`](Self::walk) would visit, counted from a position
    /// that it returns with their number; `None` if there are no more.
    #[inline(always)]
    pub(crate) fn list<const N: usize>(
        &mut self,
        limit: u64,
        list: &mut [u32; N],
    ) -> Option<(u64, usize)> {
        loop {
            let base = self.segment * u64::from(SEGMENT);
            let end = limit.saturating_sub(base).min(u64::from(SEGMENT)) as u32;
            let (mut generator, mut center) = (self.generator.clone(), self.center);
            let mut len = 0;
            while center < end
                && let Some(place) = list.get_mut(len)
            {
                *place = center;
                len += 1;
                center = next(self.table, &mut generator, center + 1, SEGMENT);
            }
            (self.generator, self.center) = (generator, center);
            if len > 0 {
                return Some((base, len));
            }
            if end < SEGMENT {
                return None;
            }
            self.start_segment();
        }
    }
}

/// The generators of some segments, and how far each has come.
#[derive(Debug)]
pub(crate) struct Lanes<'a, V: Ints> {
    table: &'a Table,
    /// Word by word.
    generators: [V; 4],
    /// Where the next gap begins, counted from the segment's start.
    position: V,
    /// The lanes whose segment has not ended.
    running: V::Mask,
}

impl<'a, V: Ints> Lanes<'a, V> {
    /// The first `count` of these segments.
    ///
    /// # Safety
    ///
    /// The level's instructions are there.
    #[inline(always)]
    pub(crate) unsafe fn new(
        table: &'a Table,
        streams: Streams,
        segments: [u64; LANES],
        count: usize,
    ) -> Self {
        const { assert!(V::LANES <= LANES) };
        let mut words = [[0; LANES]; 4];
        for lane in 0..V::LANES {
            let state = streams.state(segments[lane]);
            for (words, word) in words.iter_mut().zip(state) {
                words[lane] = word;
            }
        }
        // SAFETY: the arrays have as many integers; the instructions are there.
        unsafe {
            Self {
                table,
                generators: [
                    V::load(words[0].as_ptr()),
                    V::load(words[1].as_ptr()),
                    V::load(words[2].as_ptr()),
                    V::load(words[3].as_ptr()),
                ],
                position: V::splat(0),
                running: V::first(count),
            }
        }
    }

    /// Draws until the list is nearly full or all segments have ended. Returns how many centres are then
    /// listed, in no order; none when all had ended.
    ///
    /// # Safety
    ///
    /// The level's instructions are there.
    #[inline(always)]
    pub(super) unsafe fn draw<const N: usize>(
        &mut self,
        places: &impl Places<V>,
        list: &mut [u32; N],
    ) -> usize {
        // SAFETY: the instructions are there.
        let (longest, end) = unsafe { (V::splat(LONG), places.ends()) };
        // Locals, so that they stay in registers.
        let Self { table, mut generators, mut position, mut running } = *self;
        let mut len = 0;
        // How many are found cannot be predicted, so that nothing branches on it but a list's end.
        // SAFETY: the instructions are there.
        while !unsafe { V::is_empty(running) }
            && let Some(room) = list.get_mut(len..).and_then(<[u32]>::first_chunk_mut::<LANES>)
        {
            // `gap::gap`; LONG is also the mask of a column's number.
            const { assert!(LONG as usize == COLUMNS - 1) };
            // SAFETY: columns lie inside the table, and the room has a vector's worth; the
            // instructions are there.
            unsafe {
                let draw = next_u32(&mut generators);
                let column = draw.and(longest);
                let entry = V::gather(table.as_ptr(), column);
                let own =
                    draw.shr::<COLUMN_BITS>().less(entry.shr::<COLUMN_BITS>(), V::first(V::LANES));
                let gap = column.select(own, entry.and(longest));
                // `next`, and on to the position after a centre.
                let at = position.add(gap);
                running = at.less(end, running);
                let found = gap.differ(longest, running);
                position = at.increment(found);
                len += places.list(at, found, room.as_mut_ptr());
            }
        }
        *self = Self { table, generators, position, running };
        len
    }
}

/// xoshiro128++ in each lane (Blackman, Vigna 2021, "Scrambled Linear Pseudorandom Number
/// Generators").
///
/// # Safety
///
/// The level's instructions are there.
#[inline(always)]
unsafe fn next_u32<V: Ints>(generators: &mut [V; 4]) -> V {
    let [a, b, c, d] = *generators;
    // SAFETY: the instructions are there.
    unsafe {
        let draw = a.add(d).rol::<7, 25>().add(a);
        let (c, d) = (c.xor(a), d.xor(b));
        *generators = [a.xor(d), b.xor(c), c.xor(b.shl::<9>()), d.rol::<11, 21>()];
        draw
    }
}

impl Locator {
    /// [`cell`](Self::cell) in each lane, where nothing takes a division.
    ///
    /// # Safety
    ///
    /// The level's instructions are there.
    #[inline(always)]
    pub(crate) unsafe fn cells<V: Ints>(&self, positions: V) -> [V; 3] {
        // SAFETY: the instructions are there.
        unsafe {
            let (rows, w) = divide(self.grid[2], positions);
            let (slices, h) = divide(self.grid[1], rows);
            let (_, d) = divide(self.grid[0], slices);
            [d, h, w]
        }
    }

    /// [`unit`](Self::unit) in each lane, where nothing takes a division.
    ///
    /// # Safety
    ///
    /// The level's instructions are there.
    #[inline(always)]
    unsafe fn units<V: Ints>(&self, positions: V) -> V {
        let Self { grid, lacking } = *self;
        // No more is divided than axes lack units.
        if lacking == [0; 3] {
            return positions;
        }
        // SAFETY: the instructions are there.
        unsafe {
            let rows = quotient(grid[2], positions);
            let units = positions.add(rows.mul(lacking[2] as u32));
            if lacking[..2] == [0; 2] {
                return units;
            }
            let slices = quotient(grid[1], rows);
            let units = units.add(slices.mul(lacking[1] as u32));
            if lacking[0] == 0 {
                return units;
            }
            units.add(quotient(grid[0], slices).mul(lacking[0] as u32))
        }
    }
}

/// What is listed of centres. Positions are counted from the start of each lane's segment.
pub(crate) trait Places<V: Ints> {
    /// Where segments end.
    ///
    /// # Safety
    ///
    /// The level's instructions are there.
    unsafe fn ends(&self) -> V;

    /// Lists centres of the mask's lanes one behind the other, and writes anything to the rest of a
    /// vector. Returns how many they are.
    ///
    /// # Safety
    ///
    /// `list` is valid for a write of `LANES` integers; the level's instructions are there.
    unsafe fn list(&self, positions: V, found: V::Mask, list: *mut u32) -> usize;
}

/// The centres in a part of each segment, as units and a number more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InPart<V> {
    locator: Locator,
    starts: V,
    ends: V,
    before: V,
    firsts: V,
}

impl<V: Ints> InPart<V> {
    /// * `starts`: the position at which each lane's segment starts, counted as the locator does; it may lie
    ///   before that and wrap.
    /// * `ends`: where the part ends, counted from there.
    /// * `start`: the position at which the part starts.
    /// * `firsts`: what is added to units.
    ///
    /// # Safety
    ///
    /// The level's instructions are there.
    #[inline(always)]
    pub(crate) unsafe fn new(
        locator: Locator,
        starts: &[u32; LANES],
        ends: &[u32; LANES],
        start: u32,
        firsts: &[u32; LANES],
    ) -> Self {
        const { assert!(V::LANES <= LANES) };
        // SAFETY: the arrays have as many integers; the instructions are there.
        unsafe {
            Self {
                locator,
                starts: V::load(starts.as_ptr()),
                ends: V::load(ends.as_ptr()),
                before: V::splat(start.wrapping_sub(1)),
                firsts: V::load(firsts.as_ptr()),
            }
        }
    }
}

impl<V: Ints> Places<V> for InPart<V> {
    #[inline(always)]
    unsafe fn ends(&self) -> V {
        self.ends
    }

    #[inline(always)]
    unsafe fn list(&self, positions: V, found: V::Mask, list: *mut u32) -> usize {
        // SAFETY: the caller's.
        unsafe {
            let positions = positions.add(self.starts);
            let inside = self.before.less(positions, found);
            // Those before the first have wrapped, and must not make quotients of more than 32 bits.
            let units = self.locator.units(positions.min(V::splat(u32::MAX >> 1)));
            units.add(self.firsts).store_some(inside, list)
        }
    }
}

impl<V: Ints> Places<V> for Units<V> {
    #[inline(always)]
    unsafe fn ends(&self) -> V {
        // SAFETY: the caller's.
        unsafe { V::splat(SEGMENT) }
    }

    #[inline(always)]
    unsafe fn list(&self, positions: V, found: V::Mask, list: *mut u32) -> usize {
        // SAFETY: the caller's.
        unsafe { self.of(positions).store_some(found, list) }
    }
}

/// The centres of segments that follow one another, as units.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Units<V> {
    locator: Locator,
    /// The position at which each lane's segment starts, counted as the locator does.
    starts: V,
}

impl<V: Ints> Units<V> {
    /// For segments that follow one another, the first of which starts at `start`. None of their
    /// positions and units may take more than 32 bits, nor a division.
    ///
    /// # Safety
    ///
    /// The level's instructions are there.
    #[inline(always)]
    pub(crate) unsafe fn new(locator: Locator, start: u32) -> Self {
        const EACH: [u32; LANES] = {
            let mut starts = [0; LANES];
            let mut lane = 0;
            while lane < LANES {
                starts[lane] = lane as u32 * SEGMENT;
                lane += 1;
            }
            starts
        };
        const { assert!(V::LANES <= LANES) };
        // SAFETY: the array has as many integers; the instructions are there.
        let starts = unsafe { V::load(EACH.as_ptr()).add(V::splat(start)) };
        Self { locator, starts }
    }

    /// The same for one segment in all lanes; its start may lie before 0 and wrap.
    ///
    /// # Safety
    ///
    /// The level's instructions are there.
    #[inline(always)]
    pub(crate) unsafe fn of_one(locator: Locator, start: u32) -> Self {
        // SAFETY: the instructions are there.
        Self { locator, starts: unsafe { V::splat(start) } }
    }

    /// Replaces the first `len` positions of a list, and some more.
    ///
    /// # Safety
    ///
    /// The level's instructions are there.
    #[inline(always)]
    pub(crate) unsafe fn replace<const N: usize>(&self, list: &mut [u32; N], len: usize) {
        for vector in list.chunks_exact_mut(V::LANES).take(len.div_ceil(V::LANES)) {
            // SAFETY: the chunk is a vector's worth; the instructions are there.
            unsafe { self.of(V::load(vector.as_ptr())).store(vector.as_mut_ptr()) };
        }
    }

    /// The units at positions that are counted from the segments' starts.
    ///
    /// # Safety
    ///
    /// The level's instructions are there.
    #[inline(always)]
    unsafe fn of(&self, positions: V) -> V {
        // SAFETY: the caller's.
        unsafe { self.locator.units(positions.add(self.starts)) }
    }
}

/// [`Divisor::quotient`] in each lane, without a division.
///
/// # Safety
///
/// The level's instructions are there.
#[inline(always)]
unsafe fn quotient<V: Ints>(divisor: Divisor, dividends: V) -> V {
    // SAFETY: the instructions are there.
    unsafe { dividends.mul_shr(divisor.reciprocal, divisor.shift) }
}

/// [`Divisor::divide`] in each lane, without a division.
///
/// # Safety
///
/// The level's instructions are there.
#[inline(always)]
unsafe fn divide<V: Ints>(divisor: Divisor, dividends: V) -> (V, V) {
    // SAFETY: the instructions are there.
    unsafe {
        let quotients = quotient(divisor, dividends);
        (quotients, dividends.sub(quotients.mul(divisor.divisor.get() as u32)))
    }
}
