//! Stage 2: dilation by a block, axis by axis.
//!
//! A block is a flat rectangular structuring element, so the dilation is separable: a running
//! max along rows, then along columns (and depth). On bits a max is an OR. Along an axis the
//! window grows by doubling (1, 2, 4, .., then the rest), `ceil(log2 k)` passes in place without
//! any buffer; first towards higher indices by the reach after the centre, then towards lower
//! ones by the reach before it, each clipped at the border.
//!
//! The axes differ only in stride and period. All lines of an axis, of any number of maps, are
//! passed over as one line, from whose steps the border of each line is masked out: no line is too
//! short for vectors. There are four such loops, bits and bytes, up and down; a backend says how
//! wide their steps are. One line without borders, as masks of the region `Valid` are, has a loop of
//! its own: bits, up. Longer lines of bytes have theirs, without masks, in `beside` and `line`; there
//! windows grow fourfold. Columns of large maps of bytes are read from the source, in `columns`.

use core::ops::Range;

use self::beside::Beside;
use crate::block::reach;
use crate::cpu::Level;
use crate::error::Buffer;
use crate::{Alignment, Backend, BlockSize, Error, Map, bits};

mod beside;
mod bytes;
mod columns;
mod line;
mod scalar;
mod simd;
mod words;
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
const ALL: [usize; 3] = [WIDTH, 1, 0];

/// How much is carried through all axes at a time: half of a usual first cache.
const TILE_BYTES: usize = 16 << 10;

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

    fn axis(&self, axis: usize) -> Axis {
        let stride = self.map.iter().skip(axis + 1).product();
        let most = self.map[axis].saturating_sub(1);
        Axis {
            stride,
            period: stride * self.map[axis],
            before: self.before[axis].min(most),
            after: self.after[axis].min(most),
        }
    }

    /// The map, and how far values spread before and after their position along each axis of it.
    #[cfg(feature = "cuda")]
    pub(crate) fn reach(&self) -> ([usize; 3], [usize; 3], [usize; 3]) {
        let axes = [0, 1, 2].map(|axis| self.axis(axis));
        (self.map, axes.map(|axis| axis.before), axes.map(|axis| axis.after))
    }

    /// Visits all maps axis by axis, in tiles of whole lines that stay in the nearest cache.
    fn for_each_tile(
        &self,
        len: usize,
        tile: usize,
        axes: &[usize],
        mut visit: impl FnMut(Range<usize>, usize),
    ) {
        let tiles = |range: Range<usize>, period: usize| {
            // A period of 0 has no elements to visit.
            let period = period.max(1);
            let step = ((tile / period).max(1) * period).max(1);
            let end = range.end;
            range.step_by(step).map(move |start| start..end.min(start + step))
        };
        if len == 0 {
            return;
        }
        for maps in tiles(0..len, self.map_len()) {
            for &axis in axes {
                tiles(maps.clone(), self.axis(axis).period).for_each(|range| visit(range, axis));
            }
        }
    }

    /// Spreads bytes; those of the source first replace what the maps hold.
    fn spread_bytes(&self, source: Option<&[u8]>, maps: &mut [u8], axes: &[usize]) {
        let level = Level::of(self.backend);
        if let Some(source) = source
            && self.spread_columns(level, source, maps)
        {
            return self.spread_bytes(None, maps, &[0]);
        }
        self.for_each_tile(maps.len(), TILE_BYTES, axes, |range, axis| {
            let source =
                source.filter(|_| axis == WIDTH).and_then(|source| source.get(range.clone()));
            if let Some(part) = maps.get_mut(range) {
                spread_bytes(level, source, part, &self.axis(axis));
            }
        });
    }

    /// Spreads the first `len` bits, whole maps, along rows.
    pub(crate) fn spread_bit_rows(&self, bits: &mut [u64], len: usize) {
        self.spread_bits(bits, len, &[WIDTH]);
    }

    /// Spreads the first `len` bits, whole maps, along columns and depth.
    pub(crate) fn spread_bit_cols(&self, bits: &mut [u64], len: usize) {
        self.spread_bits(bits, len, &LEADING);
    }

    fn spread_bits(&self, bits: &mut [u64], len: usize, axes: &[usize]) {
        let level = Level::of(self.backend);
        self.for_each_tile(len, TILE_BYTES * 8, axes, |range, axis| {
            spread_bits(level, bits, range, &self.axis(axis));
        });
    }
}

/// Lines along one axis of a map, one behind the other from index 0 on.
#[derive(Clone, Copy, Debug)]
struct Axis {
    /// The distance of neighbours.
    stride: usize,
    /// The length of a line, that is, of `period / stride` lines side by side.
    period: usize,
    /// How far values spread downwards, fewer than there are neighbours.
    before: usize,
    /// How far they spread upwards.
    after: usize,
}

/// Calls a function of the backend.
macro_rules! backend {
    ($level:expr, $name:ident($($argument:expr),*)) => {
        match $level {
            Level::Scalar => scalar::$name($($argument),*),
            Level::Simd(_) => simd::$name($($argument),*),
            #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
            Level::X86(x86) => x86::$name(x86, $($argument),*),
        }
    };
}

fn spread_bits(level: Level, bits: &mut [u64], range: Range<usize>, axis: &Axis) {
    backend!(level, spread_bits(bits, range, axis));
}

/// Spreads bytes within each of these lines; those of the source first replace them.
fn spread_bytes(level: Level, source: Option<&[u8]>, lines: &mut [u8], axis: &Axis) {
    let spreads = axis.before + axis.after > 0;
    let room = if matches!(level, Level::Scalar) { scalar::ROOM } else { beside::ROOM };
    if spreads && let Some(beside) = Beside::new(axis, room) {
        backend!(level, spread_beside(source, lines, &beside));
        return;
    }
    if let Some(source) = source {
        lines.copy_from_slice(source);
    }
    if spreads && line::is_long(axis) {
        for line in lines.chunks_exact_mut(axis.period) {
            backend!(level, spread_line(line, axis));
        }
    } else if spreads {
        backend!(level, spread_bytes(lines, axis));
    }
}

/// Spreads the first `len` bits towards higher indices by up to `reach` strides.
///
/// Where no block crosses the border of a map, as under [`Region::Valid`](crate::Region::Valid),
/// these may be any number of maps: one pass for all of them.
pub(crate) fn spread_bits_up(
    level: Level,
    bits: &mut [u64],
    range: Range<usize>,
    reach: usize,
    stride: usize,
) {
    let after = reach.min(range.end.saturating_sub(1) / stride.max(1));
    if after == 0 {
        return;
    }
    if matches!(level, Level::Scalar) {
        let axis = Axis { stride, period: range.end, before: 0, after };
        return spread_bits(level, bits, range, &axis);
    }
    // Without borders and masks. The window doubles: 1, 2, 4, .. and at last `after + 1` steps.
    let mut window = 1;
    while window <= after {
        let step = window.min(after + 1 - window);
        let (range, shift) = (range.start + step * stride..range.end, step * stride);
        match level {
            #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
            Level::X86(x86) => x86::or_up(x86, bits, range, shift),
            Level::Scalar | Level::Simd(_) => simd::or_up(bits, range, shift),
        }
        window += step;
    }
}

/// The passes of the doubling over a range of lines: windows of 1, 2, 4, .. and at last `reach + 1`
/// elements.
///
/// A range that is longer than a tile is passed over tile by tile, so that each tile stays in the
/// nearest cache for all passes. Values spread from where the tiles are still old to where they are
/// done; each pass lags by its shift behind the one before, whose results it reads.
#[derive(Clone, Debug)]
struct Passes {
    range: Range<usize>,
    reach: usize,
    stride: usize,
    tile: usize,
    /// How far the first pass of the tile has come, counted from where it began.
    done: usize,
    window: usize,
    lag: usize,
}

impl Passes {
    #[inline(always)]
    const fn new(range: Range<usize>, reach: usize, stride: usize, tile: usize) -> Self {
        Self { range, reach, stride, tile, done: 0, window: 1, lag: 0 }
    }
}

impl Iterator for Passes {
    /// A shift, and the part of the range as counted from where the passes begin. What would come
    /// from outside the range is left out.
    type Item = (usize, Range<usize>);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let len = self.range.len();
        loop {
            if self.window > self.reach {
                self.done += self.tile;
                (self.window, self.lag) = (1, 0);
            }
            if self.reach == 0 || self.done >= len {
                return None;
            }
            let step = self.window.min(self.reach + 1 - self.window);
            let shift = step * self.stride;
            self.window += step;
            self.lag += shift;
            let start = self.done.saturating_sub(self.lag);
            let end = if self.done + self.tile >= len {
                len.saturating_sub(shift)
            } else {
                (self.done + self.tile).saturating_sub(self.lag)
            };
            if start < end {
                return Some((shift, start..end));
            }
        }
    }
}
