//! Finds data races: two accesses to the same byte, one of them a write, not both atomic, with
//! nothing that orders them.
//!
//! Blocks run one after another, and each stretch between two barriers of a block has a number of
//! its own, the segment; segments only grow. So the number of the last access alone says how it
//! stands to the present one: before the launch (ordered), in another block of the launch (not
//! ordered), in this block before the last barrier (ordered), or since then (ordered only if it is
//! the same thread). What one number cannot tell, flags keep.
//!
//! A granule is as many bytes as the narrowest access so far, up to 16, so that wide accesses are
//! cheap and narrow ones exact.

/// Where in the course of a launch an access happens.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moment {
    /// The first segment of the launch.
    pub launch: u64,
    /// The first segment of the block.
    pub block: u64,
    /// The segment.
    pub segment: u64,
    /// Number of the thread in its block.
    pub thread: u64,
}

/// What an access does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Reads.
    Read,
    /// Writes.
    Write,
    /// Reads, ordered with atomic operations.
    StrongRead,
    /// Writes, or reads and writes, ordered with atomic operations.
    StrongWrite,
}

const THREAD: u64 = 0x3ff;
/// All accesses of this kind in the segment were atomic.
const ATOMIC_SEGMENT: u64 = 1 << 10;
/// All accesses of this kind in the launch were atomic.
const ATOMIC_LAUNCH: u64 = 1 << 11;
/// More than one thread in the segment.
const MANY_THREADS: u64 = 1 << 12;
/// More than one block in the launch.
const MANY_BLOCKS: u64 = 1 << 13;
const SEGMENT_SHIFT: u32 = 14;

/// The last accesses to a granule: reads, writes.
type Cell = [u64; 2];

/// The accesses to a piece of memory.
#[derive(Clone, Debug)]
pub struct Shadow {
    cells: Vec<Cell>,
    /// Bytes of a granule as a power of two.
    shift: u32,
}

impl Shadow {
    /// For so many bytes.
    pub fn new(bytes: usize) -> Self {
        Self { cells: vec![[0; 2]; bytes.div_ceil(16)], shift: 4 }
    }

    /// Notes an access of a power of two of bytes, aligned to it; gives the thread that it races with.
    #[inline]
    pub fn access(
        &mut self,
        offset: usize,
        bytes: usize,
        now: Moment,
        kind: Kind,
    ) -> Result<(), Race> {
        if bytes < 1 << self.shift {
            self.refine(bytes.trailing_zeros());
        }
        let first = offset >> self.shift;
        let count = bytes >> self.shift;
        for cell in &mut self.cells[first..first + count] {
            touch(cell, now, kind)?;
        }
        Ok(())
    }

    #[cold]
    fn refine(&mut self, shift: u32) {
        let copies = 1 << (self.shift - shift);
        let mut cells = Vec::with_capacity(self.cells.len() * copies);
        for cell in &self.cells {
            cells.extend(std::iter::repeat_n(*cell, copies));
        }
        self.cells = cells;
        self.shift = shift;
    }
}

/// The other access of a race.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Race {
    /// Whether it was a write.
    pub write: bool,
    /// Its thread.
    pub thread: u64,
    /// Whether it was in another block.
    pub other_block: bool,
}

#[inline]
fn touch(cell: &mut Cell, now: Moment, kind: Kind) -> Result<(), Race> {
    let write = matches!(kind, Kind::Write | Kind::StrongWrite);
    let atomic = matches!(kind, Kind::StrongRead | Kind::StrongWrite);
    let [reads, writes] = *cell;
    if conflict(writes, now, atomic) {
        return Err(describe(writes, now, true));
    }
    if write && conflict(reads, now, atomic) {
        return Err(describe(reads, now, false));
    }
    let side = &mut cell[usize::from(write)];
    *side = note(*side, now, atomic);
    Ok(())
}

#[inline]
fn conflict(last: u64, now: Moment, atomic: bool) -> bool {
    let segment = last >> SEGMENT_SHIFT;
    if segment < now.launch {
        return false;
    }
    let launch = !(atomic && last & ATOMIC_LAUNCH != 0);
    if segment < now.block {
        return launch;
    }
    let other_thread = last & THREAD != now.thread || last & MANY_THREADS != 0;
    (last & MANY_BLOCKS != 0 && launch)
        || (segment == now.segment && other_thread && !(atomic && last & ATOMIC_SEGMENT != 0))
}

#[inline]
fn note(last: u64, now: Moment, atomic: bool) -> u64 {
    let segment = last >> SEGMENT_SHIFT;
    let mut flags = if atomic { ATOMIC_SEGMENT | ATOMIC_LAUNCH } else { 0 };
    if segment >= now.launch {
        if last & ATOMIC_LAUNCH == 0 {
            flags &= !ATOMIC_LAUNCH;
        }
        flags |= last & MANY_BLOCKS;
        if segment < now.block {
            flags |= MANY_BLOCKS;
        }
        if segment == now.segment {
            if last & ATOMIC_SEGMENT == 0 {
                flags &= !ATOMIC_SEGMENT;
            }
            flags |= last & MANY_THREADS;
            if last & THREAD != now.thread {
                flags |= MANY_THREADS;
            }
        }
    }
    now.segment << SEGMENT_SHIFT | flags | now.thread
}

#[cold]
fn describe(last: u64, now: Moment, write: bool) -> Race {
    let other_block = last >> SEGMENT_SHIFT < now.block || last & MANY_BLOCKS != 0;
    Race { write, thread: last & THREAD, other_block }
}
