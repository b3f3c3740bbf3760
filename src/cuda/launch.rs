//! Launches: how the work is cut, and the one place from which kernels start.
#![allow(unsafe_code, reason = "a launch, whose memory the operations have checked")]

use super::params::Call;
use super::{Error, Stream};

/// The most units of a tile: their bits fill 8 KiB of shared memory.
pub(super) const MAX_TILE: usize = 1 << 16;
/// Tiles that are chosen here are not smaller: a tile draws what reaches it from outside as well.
const LEAST: usize = 4096;
/// And not larger, so that blocks end at about the same time.
const MOST: usize = 1 << 15;
/// The most blocks of a launch: what one dimension of a grid can hold.
const MAX_BLOCKS: usize = i32::MAX as usize;
/// So many tiles for each multiprocessor keep it busy.
const PER_MULTIPROCESSOR: usize = 8;

const DEFAULT_THREADS: u32 = 256;

/// How launches are cut. No result depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    threads: u32,
    /// The units of a tile, if they were chosen.
    tile: Option<usize>,
}

impl Cut {
    pub(super) fn new(stream: &Stream) -> Self {
        let threads = DEFAULT_THREADS.min(stream.inner().context().facts().threads);
        Self { threads, tile: None }
    }

    pub(super) fn with_threads(self, stream: &Stream, threads: u32) -> Result<Self, Error> {
        let limit = stream.inner().context().facts().threads;
        if threads == 0 || threads > limit {
            return Err(Error::Threads { limit, given: threads });
        }
        Ok(Self { threads, ..self })
    }

    pub(super) const fn with_tile(self, units: usize) -> Result<Self, Error> {
        if units == 0 || units > MAX_TILE || !units.is_multiple_of(64) {
            return Err(Error::Tile { limit: MAX_TILE, given: units });
        }
        Ok(Self { tile: Some(units), ..self })
    }

    /// The units of a tile of so many: whole words of the mask. Every block makes one tile, so there
    /// are no more tiles than a grid has blocks.
    pub(super) fn tile(&self, stream: &Stream, units: usize) -> usize {
        let multiprocessors = stream.inner().context().facts().multiprocessors as usize;
        let tile = self.tile.unwrap_or_else(|| {
            let even = units / (multiprocessors * PER_MULTIPROCESSOR);
            even.next_multiple_of(64).clamp(LEAST, MOST)
        });
        tile.max(units.div_ceil(MAX_BLOCKS).next_multiple_of(64))
    }

    /// Launches a kernel over so many units or elements.
    ///
    /// The caller has checked the lengths of all memory in the call: the safety of the module
    /// rests on that, as that of a slice rests on its index.
    pub(super) fn launch(&self, stream: &Stream, call: &Call, units: usize) -> Result<(), Error> {
        if units == 0 {
            return Ok(());
        }
        let blocks = units.div_ceil(self.tile(stream, units));
        // SAFETY: regions live until the stream is done with them, and the operations of this
        // module check that they have the length and the alignment which the kernels need.
        unsafe { stream.inner().launch(call, blocks as u32, self.threads) }
    }
}
