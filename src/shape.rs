//! Shapes of maps and tensors, layouts, checked lengths.

use crate::Error;

/// The most elements that a tensor may have: a buffer of them must be addressable, and a
/// length in 64 bits must leave room for a shift or a sum.
pub(crate) const MAX_ELEMENTS: u64 =
    if isize::MAX as u64 > 1 << 59 { 1 << 59 } else { isize::MAX as u64 };

/// The most positions along one axis of a map.
pub(crate) const MAX_AXIS: u32 = 1 << 31;

/// The size of one feature map: length, height x width, or depth x height x width.
///
/// ```
/// use dropblock::{Layout, Map, Shape};
///
/// let map = Map::dhw(8, 28, 28);
/// assert_eq!((map.rank(), map.len()), (3, Ok(8 * 28 * 28)));
/// assert_eq!(Map::l(196).size(), [1, 1, 196]);
/// let shape = Shape::new(4, 64, map, Layout::ChannelsLast);
/// assert_eq!(shape, Shape::ndhwc(4, 8, 28, 28, 64));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Map {
    pub(crate) size: [usize; 3],
    pub(crate) rank: u8,
}

impl Map {
    /// A 1-D map of `length` positions.
    #[inline]
    #[must_use]
    pub const fn l(length: usize) -> Self {
        Self { size: [1, 1, length], rank: 1 }
    }

    /// A 2-D map of `height` rows of `width` positions.
    #[inline]
    #[must_use]
    pub const fn hw(height: usize, width: usize) -> Self {
        Self { size: [1, height, width], rank: 2 }
    }

    /// A 3-D map of `depth` slices of `height` rows of `width` positions.
    #[inline]
    #[must_use]
    pub const fn dhw(depth: usize, height: usize, width: usize) -> Self {
        Self { size: [depth, height, width], rank: 3 }
    }

    /// Returns the sizes along depth, height and width; missing axes have size 1.
    #[inline]
    #[must_use]
    pub const fn size(&self) -> [usize; 3] {
        self.size
    }

    /// Returns the number of axes: 1, 2 or 3.
    #[inline]
    #[must_use]
    pub const fn rank(&self) -> u8 {
        self.rank
    }

    /// Returns the number of positions in the map.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] if the product overflows the limit.
    #[inline]
    pub const fn len(&self) -> Result<usize, Error> {
        checked_len(&self.size)
    }

    /// Tells whether an axis has size 0.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.size[0] == 0 || self.size[1] == 0 || self.size[2] == 0
    }
}

/// The order of a tensor's axes in memory. The mask does not depend on it.
///
/// ```
/// use dropblock::{Layout, Map, Shape};
///
/// let [first, last] = [Layout::ChannelsFirst, Layout::ChannelsLast];
/// assert_eq!(Shape::new(2, 8, Map::hw(14, 14), first), Shape::nchw(2, 8, 14, 14));
/// assert_eq!(Shape::new(2, 8, Map::hw(14, 14), last), Shape::nhwc(2, 14, 14, 8));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Layout {
    /// Sample, channel, then the map: NCL, NCHW, NCDHW.
    ChannelsFirst,
    /// Sample, the map, then channel: NLC, NHWC, NDHWC.
    ChannelsLast,
}

impl Layout {
    /// Every layout.
    pub const ALL: &'static [Self] = &[Self::ChannelsFirst, Self::ChannelsLast];
}

/// The shape of an activation tensor: samples, channels, map, and the order of its axes.
///
/// ```
/// use dropblock::Shape;
/// let shape = Shape::nchw(32, 256, 14, 14);
/// assert_eq!(shape.len(), Ok(32 * 256 * 14 * 14));
/// ```
///
/// A tensor that does not lie in memory as its shape says, such as a crop or one with padded rows,
/// goes through [`View`](crate::View). The mask does not depend on the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    pub(crate) samples: usize,
    pub(crate) channels: usize,
    pub(crate) map: Map,
    pub(crate) layout: Layout,
}

impl Shape {
    /// A shape of any rank: `samples` x `channels` maps in the given layout, without gaps.
    #[inline]
    #[must_use]
    pub const fn new(samples: usize, channels: usize, map: Map, layout: Layout) -> Self {
        Self { samples, channels, map, layout }
    }

    /// 1-D maps, channels first: samples, channels, length.
    #[inline]
    #[must_use]
    pub const fn ncl(n: usize, c: usize, length: usize) -> Self {
        Self::new(n, c, Map::l(length), Layout::ChannelsFirst)
    }

    /// 1-D maps, channels last: samples, length, channels.
    #[inline]
    #[must_use]
    pub const fn nlc(n: usize, length: usize, c: usize) -> Self {
        Self::new(n, c, Map::l(length), Layout::ChannelsLast)
    }

    /// 2-D maps, channels first: samples, channels, height, width.
    #[inline]
    #[must_use]
    pub const fn nchw(n: usize, c: usize, height: usize, width: usize) -> Self {
        Self::new(n, c, Map::hw(height, width), Layout::ChannelsFirst)
    }

    /// 2-D maps, channels last: samples, height, width, channels.
    #[inline]
    #[must_use]
    pub const fn nhwc(n: usize, height: usize, width: usize, c: usize) -> Self {
        Self::new(n, c, Map::hw(height, width), Layout::ChannelsLast)
    }

    /// 3-D maps, channels first: samples, channels, depth, height, width.
    #[inline]
    #[must_use]
    pub const fn ncdhw(n: usize, c: usize, depth: usize, height: usize, width: usize) -> Self {
        Self::new(n, c, Map::dhw(depth, height, width), Layout::ChannelsFirst)
    }

    /// 3-D maps, channels last: samples, depth, height, width, channels.
    #[inline]
    #[must_use]
    pub const fn ndhwc(n: usize, depth: usize, height: usize, width: usize, c: usize) -> Self {
        Self::new(n, c, Map::dhw(depth, height, width), Layout::ChannelsLast)
    }

    /// Returns the number of samples (the batch size).
    #[inline]
    #[must_use]
    pub const fn samples(&self) -> usize {
        self.samples
    }

    /// Returns the number of channels.
    #[inline]
    #[must_use]
    pub const fn channels(&self) -> usize {
        self.channels
    }

    /// Returns the size of one map.
    #[inline]
    #[must_use]
    pub const fn map(&self) -> Map {
        self.map
    }

    /// Returns the order of the axes in memory.
    #[inline]
    #[must_use]
    pub const fn layout(&self) -> Layout {
        self.layout
    }

    /// The sizes of samples, channels, depth, height and width.
    pub(crate) const fn sizes(&self) -> [usize; 5] {
        let [d, h, w] = self.map.size;
        [self.samples, self.channels, d, h, w]
    }

    /// Returns the number of elements of the tensor.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] if there are more elements than a buffer can hold.
    #[inline]
    pub const fn len(&self) -> Result<usize, Error> {
        checked_len(&self.sizes())
    }

    /// Tells whether an axis has size 0.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.samples == 0 || self.channels == 0 || self.map.is_empty()
    }
}

/// The product of the sizes. A 0 anywhere makes it 0, but the other sizes must still fit, so
/// that no partial product overflows anywhere in the crate.
const fn checked_len(sizes: &[usize]) -> Result<usize, Error> {
    let mut bound: u64 = 1;
    let mut len: usize = 1;
    let mut i = 0;
    while i < sizes.len() {
        let factor = if sizes[i] == 0 { 1 } else { sizes[i] as u64 };
        bound = match bound.checked_mul(factor) {
            Some(bound) if bound <= MAX_ELEMENTS => bound,
            _ => return Err(Error::TooLarge { limit: MAX_ELEMENTS }),
        };
        // Cannot overflow: at most `bound`.
        len = len.wrapping_mul(sizes[i]);
        i += 1;
    }
    Ok(len)
}
