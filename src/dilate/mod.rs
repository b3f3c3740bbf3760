//! Stage 2: dilation by a block, axis by axis.
//!
//! A block is a flat rectangular structuring element, so the dilation is separable: a running
//! max along rows, then along columns (and depth). On bits a max is an OR. Along an axis the
//! window grows by doubling (1, 2, 4, .., then the rest), `ceil(log2 k)` passes in place without
//! any buffer; first towards higher indices by the reach after the centre, then towards lower
//! ones by the reach before it, each clipped at the border.
//!
//! The axes differ only in their stride, so each backend has four loops: bits and bytes, up and
//! down.

use core::ops::Range;

use crate::backend::Level;
use crate::block::reach;
use crate::error::Buffer;
use crate::{Alignment, Backend, BlockSize, Error, Map, bits};

mod scalar;
mod simd;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod x86;

/// Dilates maps of bytes or bits by a rectangular block, in place or from one buffer to another.
///
/// The value at a position becomes the maximum over all centres whose block covers it: the
/// block of centre `i` covers `i - before ..= i + after`. Nothing outside the map counts. Any
/// number of maps may lie one behind the other; none leaks into the next.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dilation {
    map: [usize; 3],
    before: [usize; 3],
    after: [usize; 3],
    backend: Option<Backend>,
}

const WIDTH: usize = 2;
const LEADING: [usize; 2] = [1, 0];

impl Dilation {
    /// A dilation of maps of this size; even blocks reach further before the centre.
    ///
    /// # Errors
    ///
    /// [`Error::BlockSize`] for a size of 0, [`Error::Rank`] if the block has sizes for another
    /// number of axes, [`Error::TooLarge`] if the map's length overflows.
    #[inline]
    pub const fn new(map: Map, block: BlockSize) -> Result<Self, Error> {
        Self::aligned(map, block, Alignment::Before)
    }

    /// The same with a choice of the alignment of even sizes.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    #[inline]
    pub const fn aligned(map: Map, block: BlockSize, alignment: Alignment) -> Result<Self, Error> {
        if let Err(error) = block.validate() {
            return Err(error);
        }
        if let Err(error) = map.len() {
            return Err(error);
        }
        let size = match block.on(&map) {
            Ok(size) => size,
            Err(error) => return Err(error),
        };
        let (mut before, mut after) = ([0; 3], [0; 3]);
        let mut axis = 0;
        while axis < 3 {
            (before[axis], after[axis]) = reach(size[axis], alignment);
            axis += 1;
        }
        Ok(Self::from_reach(map.size, before, after, None))
    }

    pub(crate) const fn from_reach(
        map: [usize; 3],
        before: [usize; 3],
        after: [usize; 3],
        backend: Option<Backend>,
    ) -> Self {
        Self { map, before, after, backend }
    }

    /// Chooses the backend, for comparison and tests.
    ///
    /// # Errors
    ///
    /// [`Error::Backend`] if it cannot run here.
    #[inline]
    pub fn with_backend(mut self, backend: Backend) -> Result<Self, Error> {
        if !backend.is_available() {
            return Err(Error::Backend { given: backend });
        }
        self.backend = Some(backend);
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
        destination.copy_from_slice(source);
        self.dilate_in_place(destination)
    }

    /// Dilates bytes in place, rows first, then columns, then depth.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless the length is a multiple of [`map_len`](Self::map_len).
    #[inline]
    pub fn dilate_in_place(&self, maps: &mut [u8]) -> Result<(), Error> {
        self.dilate_rows_in_place(maps)?;
        self.dilate_cols_in_place(maps)
    }

    /// Dilates bytes in place along rows only: a running max of `block width` values.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless the length is a multiple of [`map_len`](Self::map_len).
    #[inline]
    pub fn dilate_rows_in_place(&self, maps: &mut [u8]) -> Result<(), Error> {
        self.check_bytes(Buffer::Destination, maps.len())?;
        self.spread_bytes(maps, WIDTH);
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
        for axis in LEADING {
            self.spread_bytes(maps, axis);
        }
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
        self.dilate_bit_rows_in_place(maps, bits)?;
        self.dilate_bit_cols_in_place(maps, bits)
    }

    /// Dilates bits in place along rows only.
    ///
    /// # Errors
    ///
    /// Those of [`dilate_bits_in_place`](Self::dilate_bits_in_place).
    #[inline]
    pub fn dilate_bit_rows_in_place(&self, maps: usize, bits: &mut [u64]) -> Result<(), Error> {
        let len = self.check_bits(maps, bits)?;
        self.spread_bit_rows(bits, len);
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
        self.spread_bit_cols(bits, len);
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

    /// The distance between neighbours along an axis, and between lines of that axis.
    fn stride_and_period(&self, axis: usize) -> (usize, usize) {
        let stride = self.map.iter().skip(axis + 1).product();
        (stride, stride * self.map[axis])
    }

    fn spread_bytes(&self, maps: &mut [u8], axis: usize) {
        let (stride, period) = self.stride_and_period(axis);
        if period == 0 {
            return;
        }
        let level = Level::of(self.backend);
        let most = self.map[axis] - 1;
        for line in maps.chunks_exact_mut(period) {
            for_each_shift(self.after[axis].min(most), stride, |shift| match level {
                Level::Scalar => scalar::max_up(line, shift),
                Level::Simd => simd::max_up(line, shift),
                #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
                Level::X86(x86) => x86::max_up(x86, line, shift),
            });
            for_each_shift(self.before[axis].min(most), stride, |shift| match level {
                Level::Scalar => scalar::max_down(line, shift),
                Level::Simd => simd::max_down(line, shift),
                #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
                Level::X86(x86) => x86::max_down(x86, line, shift),
            });
        }
    }

    /// Spreads the first `len` bits, whole maps, along rows.
    pub(crate) fn spread_bit_rows(&self, bits: &mut [u64], len: usize) {
        self.spread_bits(bits, len, WIDTH);
    }

    /// Spreads the first `len` bits, whole maps, along columns and depth.
    pub(crate) fn spread_bit_cols(&self, bits: &mut [u64], len: usize) {
        for axis in LEADING {
            self.spread_bits(bits, len, axis);
        }
    }

    fn spread_bits(&self, bits: &mut [u64], len: usize, axis: usize) {
        let (stride, period) = self.stride_and_period(axis);
        if period == 0 {
            return;
        }
        let level = Level::of(self.backend);
        let most = self.map[axis] - 1;
        let (after, before) = (self.after[axis].min(most), self.before[axis].min(most));
        for start in (0..len).step_by(period) {
            spread_bits_up(level, bits, start..start + period, after, stride);
            for_each_shift(before, stride, |shift| {
                let range = start..start + period - shift;
                match level {
                    Level::Scalar => scalar::or_down(bits, range, shift),
                    Level::Simd => simd::or_down(bits, range, shift),
                    #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
                    Level::X86(x86) => x86::or_down(x86, bits, range, shift),
                }
            });
        }
    }
}

/// Spreads bits towards higher indices by up to `reach` strides, within the range.
///
/// Where no block crosses the border of a map, as under [`Region::Valid`](crate::Region::Valid),
/// the range may hold any number of maps: one pass for all of them.
pub(crate) fn spread_bits_up(
    level: Level,
    bits: &mut [u64],
    range: Range<usize>,
    reach: usize,
    stride: usize,
) {
    for_each_shift(reach, stride, |shift| {
        let range = range.start + shift..range.end;
        match level {
            Level::Scalar => scalar::or_up(bits, range, shift),
            Level::Simd => simd::or_up(bits, range, shift),
            #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
            Level::X86(x86) => x86::or_up(x86, bits, range, shift),
        }
    });
}

/// The shifts of the doubling: windows of 1, 2, 4, .. and at last `reach + 1` elements.
#[inline]
fn for_each_shift(reach: usize, stride: usize, mut visit: impl FnMut(usize)) {
    let mut window = 1;
    while window <= reach {
        let step = window.min(reach + 1 - window);
        visit(step * stride);
        window += step;
    }
}
