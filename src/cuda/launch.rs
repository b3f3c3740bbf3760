//! Launches: how the work is cut, and the one place from which kernels start.
#![allow(unsafe_code, reason = "a launch, whose memory the operations have checked")]

use super::driver::Work;
use super::params::Call;
use super::{Error, Stream};

/// The most units of a tile: their bits fill 8 KiB of shared memory.
pub(super) const MAX_TILE: usize = 1 << 16;
/// Tiles that are chosen here are not smaller: a tile draws what reaches it from outside as well.
const LEAST: usize = 2048;
/// So many tiles for each multiprocessor keep it busy.
const PER_MULTIPROCESSOR: usize = 4;
/// The units or elements of one launch, at most: positions in it have 32 bits.
pub(super) const MAX_PART: usize = 1 << 30;
/// The blocks of a launch that counts, at most: their number has 24 bits.
const MAX_BLOCKS: usize = 1 << 23;
/// The most threads that share a segment.
const MAX_LANES: u32 = 32;

/// How launches are cut. No result depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cut {
    /// The units of a tile, if they were chosen.
    tile: Option<usize>,
    /// The threads that share a segment, likewise.
    pub(super) lanes: Option<u32>,
}

impl Cut {
    pub(super) const fn with_tile(self, units: usize) -> Result<Self, Error> {
        if units == 0 || units > MAX_TILE || !units.is_multiple_of(64) {
            return Err(Error::Tile { limit: MAX_TILE, given: units });
        }
        Ok(Self { tile: Some(units), ..self })
    }

    pub(super) const fn with_lanes(self, lanes: u32) -> Result<Self, Error> {
        if lanes == 0 || lanes > MAX_LANES {
            return Err(Error::Lanes { limit: MAX_LANES, given: lanes });
        }
        Ok(Self { lanes: Some(lanes), ..self })
    }

    /// The units of a tile of so many: whole words of the mask. `most` is what a tile can use well.
    pub(super) fn tile(&self, stream: &Stream, units: usize, most: usize) -> usize {
        let multiprocessors = stream.inner().context().facts().multiprocessors as usize;
        self.tile.unwrap_or_else(|| {
            let even = units / (multiprocessors * PER_MULTIPROCESSOR);
            even.min(most).next_multiple_of(128).clamp(LEAST, MAX_TILE)
        })
    }
}

/// The parts of a line of so many units, each of whole tiles: first unit and length.
pub(super) fn parts(units: usize, tile: usize) -> impl Iterator<Item = (usize, usize)> {
    let len = tile * (MAX_PART / tile).min(MAX_BLOCKS);
    (0..units).step_by(len).map(move |first| (first, len.min(units - first)))
}

/// Launches so many blocks, if there are any.
///
/// The caller has checked the lengths of all memory in the call: the safety of the module rests on
/// that, as that of a slice rests on its index.
pub(super) fn launch(work: &Work<'_>, call: &Call<'_>, blocks: usize) -> Result<(), Error> {
    if blocks == 0 {
        return Ok(());
    }
    // SAFETY: regions live until the stream is done with them, and the operations of this module
    // check that they have the length and the alignment which the kernels need. Parts and tiles are
    // such that blocks have 31 bits.
    unsafe { work.launch(call, blocks as u32) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_the_line() {
        for (units, tile) in [
            (0, 64),
            (1, 64),
            (MAX_PART, 2048),
            (MAX_PART + 1, 65536),
            ((1 << 31) - 1, 64),
            ((1 << 31) + 64, 4032),
            ((1 << 33) + 77, 65536),
        ] {
            let mut next = 0;
            for (first, len) in parts(units, tile) {
                assert_eq!(first, next);
                assert!(len > 0 && len <= MAX_PART && len.div_ceil(tile) <= MAX_BLOCKS);
                // All but the last are whole tiles, and so whole words.
                assert!(len.is_multiple_of(tile) || first + len == units);
                next = first + len;
            }
            assert_eq!(next, units);
        }
    }
}
