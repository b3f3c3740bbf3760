//! Dilation of grey values, on which the layer itself does not depend, and the public type for it and
//! for that of bits.
//!
//! Bytes spread as bits do (see [`crate::dilate`]): axis by axis, by doubling, in place, with the
//! maximum in the place of the OR.

use crate::block::reach;
use crate::cpu::{Level, on_x86};
use crate::dilate::{ALL, Axis, LEADING, Reach, TILE_BYTES, WIDTH};
use crate::error::Buffer;
use crate::{Alignment, Backend, BlockSize, Error, Map, bits};

mod lines;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod x86;

/// Dilates maps of bytes or bits by a rectangular block, in place or from one buffer to another.
///
/// The value at a position becomes the maximum over all centres whose block covers it. The block of
/// centre `i` covers `i - before ..= i + after`. Nothing outside the map counts. A buffer may hold any
/// number of maps, one behind the other; none leaks into the next.
///
/// ```
/// use dropblock::{BlockSize, Dilation, Map};
///
/// let dilation = Dilation::new(Map::hw(4, 6), BlockSize::uniform(3))?;
/// let mut map = [
///     0, 0, 0, 0, 0, 0,
///     0, 5, 0, 0, 0, 0,
///     0, 0, 0, 0, 0, 0,
///     0, 0, 0, 0, 0, 9,
/// ];
/// dilation.dilate_in_place(&mut map)?;
/// assert_eq!(map, [
///     5, 5, 5, 0, 0, 0,
///     5, 5, 5, 0, 0, 0,
///     5, 5, 5, 0, 9, 9,
///     0, 0, 0, 0, 9, 9,
/// ]);
/// # Ok::<(), dropblock::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dilation {
    map: [usize; 3],
    block: [usize; 3],
    alignment: Alignment,
    backend: Option<Backend>,
}

impl Dilation {
    /// A dilation of maps of this size. Even blocks reach further before the centre than after it.
    ///
    /// # Errors
    ///
    /// [`Error::BlockSize`] for a size of 0, [`Error::Rank`] if the block has sizes for another
    /// number of axes, [`Error::TooLarge`] if the map's length overflows.
    #[inline]
    pub const fn new(map: Map, block: BlockSize) -> Result<Self, Error> {
        if let Err(error) = block.validate() {
            return Err(error);
        }
        if let Err(error) = map.len() {
            return Err(error);
        }
        match block.on(&map) {
            Ok(block) => {
                let alignment = Alignment::Before;
                Ok(Self { map: map.size, block, alignment, backend: None })
            }
            Err(error) => Err(error),
        }
    }

    /// Chooses the alignment of even sizes.
    #[inline]
    #[must_use]
    pub const fn with_alignment(mut self, alignment: Alignment) -> Self {
        self.alignment = alignment;
        self
    }

    /// Chooses the backend, for comparison and tests.
    ///
    /// # Errors
    ///
    /// [`Error::Backend`] if it cannot run here.
    #[inline]
    pub fn with_backend(mut self, backend: Backend) -> Result<Self, Error> {
        self.backend = Some(backend.checked()?);
        Ok(self)
    }

    /// Returns the number of positions in one map.
    #[inline]
    #[must_use]
    pub const fn map_len(&self) -> usize {
        self.map[0] * self.map[1] * self.map[2]
    }

    /// Returns the number of 64-bit words that hold the bits of `maps` maps.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] on overflow.
    #[inline]
    pub const fn words(&self, maps: usize) -> Result<usize, Error> {
        match self.map_len().checked_mul(maps) {
            Some(bits) => Ok(bits::words(bits)),
            None => Err(Error::TooLarge { limit: usize::MAX as u64 }),
        }
    }

    /// Dilates bytes: grey values 0 to 255, or 0 and 1. 0 counts as empty.
    ///
    /// * `source`: any number of maps, row by row.
    /// * `destination`: the same length; its old contents do not matter.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless both are equally long and a multiple of [`map_len`](Self::map_len).
    #[inline]
    pub fn dilate(&self, source: &[u8], destination: &mut [u8]) -> Result<(), Error> {
        self.check_bytes(Buffer::Source, source.len())?;
        if destination.len() != source.len() {
            return Err(Error::Length {
                buffer: Buffer::Destination,
                needed: source.len(),
                given: destination.len(),
            });
        }
        self.spread_bytes(Some(source), destination, &ALL);
        Ok(())
    }

    /// Dilates bytes in place, rows first, then columns, then depth.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless the length is a multiple of [`map_len`](Self::map_len).
    #[inline]
    pub fn dilate_in_place(&self, maps: &mut [u8]) -> Result<(), Error> {
        self.check_bytes(Buffer::Destination, maps.len())?;
        self.spread_bytes(None, maps, &ALL);
        Ok(())
    }

    /// Dilates bytes in place along rows only: a running max of `block width` values.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless the length is a multiple of [`map_len`](Self::map_len).
    #[inline]
    pub fn dilate_rows_in_place(&self, maps: &mut [u8]) -> Result<(), Error> {
        self.check_bytes(Buffer::Destination, maps.len())?;
        self.spread_bytes(None, maps, &[WIDTH]);
        Ok(())
    }

    /// Dilates bytes in place along columns, and depth in 3-D: a running max over whole rows.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless the length is a multiple of [`map_len`](Self::map_len).
    #[inline]
    pub fn dilate_cols_in_place(&self, maps: &mut [u8]) -> Result<(), Error> {
        self.check_bytes(Buffer::Destination, maps.len())?;
        self.spread_bytes(None, maps, &LEADING);
        Ok(())
    }

    /// Dilates bits in place, rows first, then columns, then depth.
    ///
    /// * `bits`: `maps` maps, row by row, without padding between rows or maps; at least
    ///   [`words(maps)`](Self::words) words. Bits past the last map are left as they are.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the buffer is too short, [`Error::TooLarge`] on overflow.
    #[inline]
    pub fn dilate_bits_in_place(&self, maps: usize, bits: &mut [u64]) -> Result<(), Error> {
        let len = self.check_bits(maps, bits)?;
        self.spread_bits(bits, len, &ALL);
        Ok(())
    }

    /// Dilates bits in place along rows only.
    ///
    /// # Errors
    ///
    /// Those of [`dilate_bits_in_place`](Self::dilate_bits_in_place).
    #[inline]
    pub fn dilate_bit_rows_in_place(&self, maps: usize, bits: &mut [u64]) -> Result<(), Error> {
        let len = self.check_bits(maps, bits)?;
        self.spread_bits(bits, len, &[WIDTH]);
        Ok(())
    }

    /// Dilates bits in place along columns, and depth in 3-D.
    ///
    /// # Errors
    ///
    /// Those of [`dilate_bits_in_place`](Self::dilate_bits_in_place).
    #[inline]
    pub fn dilate_bit_cols_in_place(&self, maps: usize, bits: &mut [u64]) -> Result<(), Error> {
        let len = self.check_bits(maps, bits)?;
        self.spread_bits(bits, len, &LEADING);
        Ok(())
    }

    fn check_bytes(&self, buffer: Buffer, given: usize) -> Result<(), Error> {
        let map_len = self.map_len();
        if given.checked_rem(map_len).unwrap_or(given) == 0 {
            return Ok(());
        }
        Err(Error::Length {
            buffer,
            needed: given.checked_next_multiple_of(map_len).unwrap_or(0),
            given,
        })
    }

    /// Returns the number of bits in all maps.
    fn check_bits(&self, maps: usize, bits: &[u64]) -> Result<usize, Error> {
        let needed = self.words(maps)?;
        if bits.len() < needed {
            return Err(Error::Length { buffer: Buffer::Mask, needed, given: bits.len() });
        }
        Ok(self.map_len() * maps)
    }

    /// The map, and how far values spread before and after their position along each axis of it.
    #[cfg(feature = "cuda")]
    pub(crate) fn reach(&self) -> ([usize; 3], [usize; 3], [usize; 3]) {
        let blocks = self.blocks();
        let axes = [0, 1, 2].map(|axis| blocks.axis(axis));
        (self.map, axes.map(|axis| axis.before), axes.map(|axis| axis.after))
    }

    fn blocks(&self) -> Reach {
        let [mut before, mut after] = [[0; 3]; 2];
        for (axis, &size) in self.block.iter().enumerate() {
            (before[axis], after[axis]) = reach(size, self.alignment);
        }
        Reach { map: self.map, before, after }
    }

    /// Spreads bytes; those of the source first replace what the maps hold.
    fn spread_bytes(&self, source: Option<&[u8]>, maps: &mut [u8], axes: &[usize]) {
        let (level, blocks) = (Level::of(self.backend), self.blocks());
        blocks.for_each_tile(maps.len(), TILE_BYTES, axes, |range, axis| {
            let source =
                source.filter(|_| axis == WIDTH).and_then(|source| source.get(range.clone()));
            let Some(part) = maps.get_mut(range) else { return };
            if let Some(source) = source {
                copy(source, part);
            }
            spread(level, part, &blocks.axis(axis));
        });
    }

    fn spread_bits(&self, bits: &mut [u64], len: usize, axes: &[usize]) {
        self.blocks().spread_bits(Level::of(self.backend), bits, len, axes);
    }
}

/// Copies in parts of 1 KiB: C libraries copy more with one instruction, which takes up to ten times as
/// long where both places are alike modulo 4 KiB (Zen 3).
fn copy(source: &[u8], to: &mut [u8]) {
    for (source, to) in source.chunks(1 << 10).zip(to.chunks_mut(1 << 10)) {
        if source.len() == to.len() {
            to.copy_from_slice(source);
        }
    }
}

/// Spreads bytes along an axis, within each of these lines.
fn spread(level: Level, bytes: &mut [u8], axis: &Axis) {
    match level {
        Level::Scalar => lines::spread::<32>(bytes, axis),
        Level::Simd(_) => lines::spread::<64>(bytes, axis),
        Level::X86(x86) => on_x86!(x86, x86::spread(x86, bytes, axis)),
    }
}
