//! Blocks: a size per axis, the alignment of even sizes, and the grid of centres on a map.

use core::hash::{Hash, Hasher};
use core::ops::Range;

use crate::{Error, Map};

/// The size of the dropped block along each axis of the map.
///
/// When a plan is made, a size larger than the map is clamped to the map, axis by axis, before
/// anything else is computed. A block of 1 gives plain dropout; a block as large as the map
/// gives SpatialDropout.
///
/// ```
/// use dropblock::{BlockSize, DropBlock, Error, Shape};
///
/// let square = BlockSize::uniform(7);          // 7, 7 x 7 or 7 x 7 x 7, by the rank of the map
/// let flat = BlockSize::hw(3, 9);              // only for 2-D maps
/// let layer = DropBlock::new(1, 0.1)?.with_block_size(flat)?;
/// assert!(layer.plan(Shape::nchw(1, 1, 14, 14)).is_ok());
/// assert_eq!(layer.plan(Shape::ncl(1, 1, 14)), Err(Error::Rank { needed: 1, given: 2 }));
/// # let _ = square;
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Size"))]
pub struct BlockSize(Size);

#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Size {
    Uniform(usize),
    PerAxis { size: [usize; 3], rank: u8 },
    Relative(f64),
}

impl BlockSize {
    /// The same size along every axis of the map, whatever its rank.
    #[inline]
    #[must_use]
    pub const fn uniform(size: usize) -> Self {
        Self(Size::Uniform(size))
    }

    /// `height` x `width`, for 2-D maps.
    #[inline]
    #[must_use]
    pub const fn hw(height: usize, width: usize) -> Self {
        Self(Size::PerAxis { size: [1, height, width], rank: 2 })
    }

    /// `depth` x `height` x `width`, for 3-D maps.
    #[inline]
    #[must_use]
    pub const fn dhw(depth: usize, height: usize, width: usize) -> Self {
        Self(Size::PerAxis { size: [depth, height, width], rank: 3 })
    }

    /// A fraction of the map along every axis, as darknet's `dropblock_size_rel`: `fraction` x
    /// size in double precision, rounded towards 0, at least 1. `fraction` is finite and above 0.
    /// With 1 or more the block is as large as the map.
    ///
    /// ```
    /// use dropblock::{BlockSize, DropBlock, Map, Shape};
    /// let layer = DropBlock::new(1, 0.1)?.with_block_size(BlockSize::relative(0.25))?;
    /// let fixed = DropBlock::new(1, 0.1)?.with_block_size(BlockSize::hw(3, 4))?;
    /// let shape = Shape::nchw(1, 1, 15, 16);
    /// assert_eq!(layer.plan(shape)?.gamma(), fixed.plan(shape)?.gamma());
    /// # Ok::<(), dropblock::Error>(())
    /// ```
    #[inline]
    #[must_use]
    pub const fn relative(fraction: f64) -> Self {
        Self(Size::Relative(fraction))
    }

    /// Refuses a size of 0, and a fraction that is not finite and positive.
    pub(crate) const fn validate(&self) -> Result<(), Error> {
        match self.0 {
            Size::Uniform(0) => Err(Error::BlockSize { axis: 0 }),
            Size::Relative(given) if !(given > 0.0 && given.is_finite()) => {
                Err(Error::BlockFraction { given })
            }
            Size::PerAxis { size, rank } => {
                let first_axis = 3 - rank as usize;
                let mut axis = first_axis;
                while axis < 3 {
                    if size[axis] == 0 {
                        return Err(Error::BlockSize { axis: axis - first_axis });
                    }
                    axis += 1;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Hashes what equality compares; a fraction has been checked not to be NaN.
    pub(crate) fn hash_into(&self, state: &mut impl Hasher) {
        match self.0 {
            Size::Uniform(size) => (0_u8, size).hash(state),
            Size::PerAxis { size, rank } => (1_u8, size, rank).hash(state),
            Size::Relative(fraction) => (2_u8, fraction.to_bits()).hash(state),
        }
    }

    /// The sizes along depth, height and width on a map of this rank; 1 along missing axes.
    pub(crate) const fn on(&self, map: &Map) -> Result<[usize; 3], Error> {
        let mut sizes = [1; 3];
        match self.0 {
            Size::PerAxis { size, rank } if rank == map.rank => return Ok(size),
            Size::PerAxis { rank, .. } => {
                return Err(Error::Rank { needed: map.rank, given: rank });
            }
            _ => {}
        }
        let mut axis = 3 - map.rank as usize;
        while axis < 3 {
            sizes[axis] = match self.0 {
                Size::Relative(fraction) => {
                    let size = (fraction * map.size[axis] as f64) as usize;
                    if size == 0 { 1 } else { size }
                }
                Size::Uniform(size) => size,
                Size::PerAxis { size, .. } => size[axis],
            };
            axis += 1;
        }
        Ok(sizes)
    }
}

/// A block size that is read is checked as one that is set.
#[cfg(feature = "serde")]
impl TryFrom<Size> for BlockSize {
    type Error = Error;

    fn try_from(size: Size) -> Result<Self, Error> {
        match size {
            Size::PerAxis { size: [1, ..], rank: 2 } | Size::PerAxis { rank: 3, .. } => {}
            Size::PerAxis { rank, .. } => return Err(Error::Rank { needed: 2, given: rank }),
            Size::Uniform(_) | Size::Relative(_) => {}
        }
        let block_size = Self(size);
        block_size.validate()?;
        Ok(block_size)
    }
}

/// Where the centre of an even block lies.
///
/// Two alignments exist in the field. Under [`Region::Valid`] the choice moves only what is called the
/// centre, never the mask, because positions are numbered by the block's first corner.
///
/// ```
/// use dropblock::{Alignment, DropBlock, Shape};
///
/// let layer = DropBlock::new(2, 0.1)?;
/// for (alignment, block) in [(Alignment::Before, 0b00110), (Alignment::After, 0b01100)] {
///     let plan = layer.with_alignment(alignment).plan(Shape::ncl(1, 1, 5))?;
///     let mut words = [0b00100];               // a centre at position 2
///     plan.dilate(&mut words)?;
///     assert_eq!(words, [block]);
/// }
/// # Ok::<(), dropblock::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Alignment {
    /// The longer half lies before the centre: the block of centre `i` covers
    /// `i - k/2 ..= i + (k-1)/2`. TensorFlow, timm.
    #[default]
    Before,
    /// The longer half lies after the centre: `i - (k-1)/2 ..= i + k/2`.
    After,
}

impl Alignment {
    /// Every alignment.
    pub const ALL: &'static [Self] = &[Self::Before, Self::After];
}

/// Where centres may lie.
///
/// ```
/// use dropblock::{DropBlock, Gamma, Key, Region, Shape};
///
/// // With a gamma of 1 every place has a centre.
/// let layer = DropBlock::new(3, 0.1)?.with_gamma(Gamma::Raw(1.0))?;
/// let centers = |region| {
///     let plan = layer.with_region(region).plan(Shape::nchw(1, 1, 5, 6))?;
///     plan.draw_centers(Key::new(1), &mut [0])
/// };
/// assert_eq!(centers(Region::Valid)?, 3 * 4);
/// assert_eq!(centers(Region::Full)?, 5 * 6);
/// # Ok::<(), dropblock::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Region {
    /// Only where the whole block fits in the map. Algorithm 1 of the paper.
    #[default]
    Valid,
    /// Everywhere; blocks are clipped at the border. Gamma is computed for that region.
    Full,
}

impl Region {
    /// Every region.
    pub const ALL: &'static [Self] = &[Self::Valid, Self::Full];
}

/// A clamped block on a map: how far blocks reach from a centre, and the grid of centres.
///
/// The grid is numbered by the block's first corner. `Full` is `Valid` on the map enlarged by
/// the block's reach, then cropped; hence one formula for the coverage of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blocks {
    pub(crate) map: [usize; 3],
    pub(crate) block: [usize; 3],
    pub(crate) before: [usize; 3],
    pub(crate) after: [usize; 3],
    pub(crate) grid: [usize; 3],
    pub(crate) region: Region,
}

impl Blocks {
    pub(crate) const fn new(
        map: &Map,
        block: &BlockSize,
        alignment: Alignment,
        region: Region,
    ) -> Result<Self, Error> {
        let mut block = match block.on(map) {
            Ok(block) => block,
            Err(error) => return Err(error),
        };
        let (mut before, mut after, mut grid) = ([0; 3], [0; 3], map.size);
        let (mut axis, mut is_unit) = (0, true);
        while axis < 3 {
            if block[axis] > map.size[axis] {
                block[axis] = map.size[axis];
            }
            is_unit &= block[axis] == 1;
            (before[axis], after[axis]) = reach(block[axis], alignment);
            if matches!(region, Region::Valid) && block[axis] > 0 {
                grid[axis] = map.size[axis] - block[axis] + 1;
            }
            axis += 1;
        }
        // Single units fit everywhere, and the valid region takes less time.
        let region = if is_unit { Region::Valid } else { region };
        Ok(Self { map: map.size, block, before, after, grid, region })
    }

    /// The number of positions that may be a centre, per map.
    pub(crate) const fn positions(&self) -> u64 {
        product(&self.grid)
    }

    /// The number of positions whose whole block fits in the map, per map. No block is larger than
    /// its map; along an axis of size 0 the one of size 0 fits.
    pub(crate) const fn valid_positions(&self) -> u64 {
        let mut places = [0; 3];
        let mut axis = 0;
        while axis < 3 {
            places[axis] = self.map[axis] - self.block[axis] + 1;
            axis += 1;
        }
        product(&places)
    }

    /// The number of units of one map.
    pub(crate) const fn units(&self) -> u64 {
        product(&self.map)
    }

    /// By how many blocks the indices of an axis are covered.
    #[inline(always)]
    pub(crate) const fn cover(&self, axis: usize) -> Cover {
        let (before, after) = self.reach();
        Cover { before: before[axis], after: after[axis], last: self.grid[axis].saturating_sub(1) }
    }

    /// What decides the cover of each of some positions of the map: such parts with the same are alike.
    pub(crate) fn cover_pattern(&self, positions: Range<usize>) -> (usize, usize, [u64; 2]) {
        let (height, width) = (self.map[1].max(1), self.map[2].max(1));
        let (row, w) = (positions.start / width, positions.start % width);
        let (d, h) = (row / height, row % height);
        let rows = (w + positions.len()).div_ceil(width);
        if rows > self.cover(1).same(h) {
            return (positions.start, positions.len(), [0; 2]);
        }
        (w, positions.len(), [self.cover(0).of(d), self.cover(1).of(h)])
    }

    /// How far a block reaches `(before, after)` the cell that stands for its position: the
    /// first corner under `Valid` (positions are numbered by it), the centre under `Full`.
    pub(crate) const fn reach(&self) -> ([usize; 3], [usize; 3]) {
        match self.region {
            Region::Full => (self.before, self.after),
            Region::Valid => {
                let mut after = [0; 3];
                let mut axis = 0;
                while axis < 3 {
                    after[axis] = self.block[axis].saturating_sub(1);
                    axis += 1;
                }
                ([0; 3], after)
            }
        }
    }
}

/// By how many blocks the indices of an axis are covered. It follows from how far a block reaches, and from
/// the last place of one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cover {
    before: usize,
    after: usize,
    last: usize,
}

impl Cover {
    /// The number of positions whose block covers the index.
    #[inline]
    pub(crate) fn of(&self, index: usize) -> u64 {
        let last = (index + self.before).min(self.last);
        (last + 1).saturating_sub(index.saturating_sub(self.after)) as u64
    }

    /// The number of indices from this one on with the same cover. It rises by one an index, stays, and
    /// falls again.
    #[inline]
    pub(crate) fn same(&self, index: usize) -> usize {
        let ends = (self.after, self.last.saturating_sub(self.before));
        let (start, end) = (ends.0.min(ends.1), ends.0.max(ends.1));
        if index >= start && index <= end { end - index + 1 } else { 1 }
    }
}

/// How far a block of `size` reaches before and after its centre.
pub(crate) const fn reach(size: usize, alignment: Alignment) -> (usize, usize) {
    if size == 0 {
        return (0, 0);
    }
    match alignment {
        Alignment::Before => (size / 2, (size - 1) / 2),
        Alignment::After => ((size - 1) / 2, size / 2),
    }
}

const fn product(sizes: &[usize; 3]) -> u64 {
    sizes[0] as u64 * sizes[1] as u64 * sizes[2] as u64
}
