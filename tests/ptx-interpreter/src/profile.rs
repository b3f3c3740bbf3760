//! What a launch did, in numbers that a device would have in common with the interpreter.

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::memory::FIRST;
use crate::program::Space;

/// Bytes that the memory moves at least.
const SECTOR: u64 = 32;

/// Counts of a launch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Blocks.
    pub blocks: u64,
    /// Instructions of all threads, those included that a guard holds back.
    pub instructions: u64,
    /// Sectors of 32 bytes of global memory that accesses of whole warps touch.
    pub sectors: u64,
    /// Barriers of blocks.
    pub barriers: u64,
    /// How often each thread of the block at hand has done an access.
    done: HashMap<(usize, u32), u32>,
    /// Warp, access, how often before, sector: the threads of a warp that do the same access for the
    /// same time are taken to do it at once.
    touched: HashSet<(usize, u32, u32, u64)>,
}

impl Profile {
    /// A step of a thread: the first of an instruction, or one more.
    #[inline]
    pub(crate) fn step(&mut self, lines: &[u32], at: usize) {
        self.instructions += u64::from(at == 0 || lines[at] != lines[at - 1]);
    }

    /// An access of a thread to so many bytes.
    pub(crate) fn touch(
        &mut self,
        thread: usize,
        access: u32,
        space: Space,
        address: u64,
        bytes: usize,
    ) {
        if !matches!(space, Space::Global | Space::Generic) || address < FIRST {
            return;
        }
        let done = self.done.entry((thread, access)).or_insert(0);
        let end = address + bytes as u64 - 1;
        for sector in address / SECTOR..=end / SECTOR {
            self.touched.insert((thread / 32, access, *done, sector));
        }
        *done += 1;
    }

    /// The block at hand is done.
    pub(crate) fn end_block(&mut self) {
        self.blocks += 1;
        self.sectors += self.touched.len() as u64;
        self.touched.clear();
        self.done.clear();
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { blocks, instructions, sectors, barriers, .. } = self;
        write!(
            f,
            "{blocks} blocks, {instructions} instructions, {sectors} sectors, {barriers} barriers"
        )
    }
}
