//! Where the elements of a tensor lie: strides, their checks, and rows of even steps.
//!
//! Every layout is a list of strides; channels first and channels last differ from a view only
//! in their numbers. Neighbouring axes of the map that are one even sequence are joined, so that
//! the maps of a contiguous tensor are one row each.

use crate::{Error, Shape};

/// The element numbers of a tensor's units, row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) sample: usize,
    pub(crate) channel: usize,
    /// The number of positions in a row, and the distance between them.
    pub(crate) len: usize,
    pub(crate) step: usize,
    /// The distance between rows, the number of rows in a slice, the distance between slices.
    row: usize,
    rows: usize,
    slice: usize,
    /// Whether all units of an unshared mask are one row, the elements without gaps.
    pub(crate) line: bool,
}

impl Rows {
    pub(crate) const fn new(shape: &Shape) -> Self {
        let [depth, height, width] = shape.map.size;
        let [sample, channel, slice, row, step] = shape.strides;
        let (mut len, mut step) = (width, step);
        let (mut rows, mut row, mut slice) = (height, row, slice);
        if joins(len, step, rows, row) {
            (len, step) = join(len, step, rows, row);
            // Slices take the place of rows.
            (rows, row) = (depth, slice);
            slice = 0;
            if joins(len, step, rows, row) {
                (len, step) = join(len, step, rows, row);
                (rows, row) = (1, 0);
            }
        }
        let plane = depth * height * width;
        let line = plane == 0
            || len == plane
                && (step == 1 || plane == 1)
                && (shape.channels <= 1 || channel == plane)
                && (shape.samples <= 1 || sample == plane * shape.channels);
        Self { sample, channel, len, step, row, rows, slice, line }
    }

    /// The element, counted from the first of its map, at which a row begins.
    #[inline]
    pub(crate) fn start(&self, row: usize) -> usize {
        match row.checked_div(self.rows) {
            Some(slice) => slice * self.slice + (row - slice * self.rows) * self.row,
            None => 0,
        }
    }

    /// Whether the channels of a position lie side by side, its neighbours in the map do not.
    #[inline]
    pub(crate) const fn channels_adjacent(&self, channels: usize) -> bool {
        channels > 1 && self.channel == 1 && (self.step != 1 || self.len <= 1)
    }
}

/// Whether `outer` sequences of `len` elements, `step` apart, are one longer sequence.
const fn joins(len: usize, step: usize, outer: usize, stride: usize) -> bool {
    // Strides of an empty tensor may be anything.
    len <= 1 || outer <= 1 || matches!(len.checked_mul(step), Some(end) if end == stride)
}

const fn join(len: usize, step: usize, outer: usize, stride: usize) -> (usize, usize) {
    (len * outer, if len <= 1 && outer > 1 { stride } else { step })
}

/// The strides of a tensor without gaps whose axes lie in the given order, the last one dense.
/// Wraps where the shape is too large, which the plan refuses.
pub(crate) const fn contiguous(sizes: &[usize; 5], order: &[usize; 5]) -> [usize; 5] {
    let mut strides = [0; 5];
    let mut stride = 1_usize;
    let mut i = order.len();
    while i > 0 {
        i -= 1;
        strides[order[i]] = stride;
        stride = stride.wrapping_mul(sizes[order[i]]);
    }
    strides
}

/// Refuses strides that could give one element to two units, or that leave memory: sorted by
/// stride, each axis must step past everything that the axes before it reach. Returns the
/// number of elements from the first to the last.
pub(crate) const fn check(
    sizes: &[usize; 5],
    strides: &[usize; 5],
    limit: u64,
) -> Result<usize, Error> {
    let mut done = [false; 5];
    let mut extent: u64 = 1;
    loop {
        let mut next = sizes.len();
        let mut axis = 0;
        while axis < sizes.len() {
            if sizes[axis] == 0 {
                return Ok(0);
            }
            let candidate = !done[axis] && sizes[axis] > 1;
            if candidate && (next == sizes.len() || strides[axis] < strides[next]) {
                next = axis;
            }
            axis += 1;
        }
        if next == sizes.len() {
            return Ok(extent as usize);
        }
        if (strides[next] as u64) < extent {
            return Err(Error::Stride { axis: next, needed: extent, given: strides[next] });
        }
        extent = match (strides[next] as u64).checked_mul(sizes[next] as u64 - 1) {
            Some(reach) if reach <= limit && extent + reach <= limit => extent + reach,
            _ => return Err(Error::TooLarge { limit }),
        };
        done[next] = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Layout, Map};

    /// What is joined decides how a tensor is walked, and so its time, not its bits.
    #[test]
    fn even_axes_are_joined() {
        let first = |map| Shape::new(2, 3, map, Layout::ChannelsFirst);
        let last = |map| Shape::new(2, 3, map, Layout::ChannelsLast);
        let padded = Shape::nchw(2, 3, 4, 5).with_strides([96, 32, 0, 8, 1]);
        let cropped = Shape::ncdhw(2, 3, 6, 4, 5).with_strides([600, 200, 30, 5, 1]);
        // One row of 2 positions 7 apart, and 3 of 1 position each 7 apart.
        let (row, column) = (Shape::nchw(1, 2, 1, 2), Shape::nchw(1, 2, 3, 1));
        let (row, column) =
            (row.with_strides([0, 1, 0, 99, 7]), column.with_strides([0, 1, 0, 7, 99]));
        let apart = Shape::nchw(2, 3, 4, 5).with_strides([200, 60, 0, 15, 3]);
        let single = Shape::nchw(2, 3, 1, 1).with_strides([3, 1, 0, 0, 0]);
        for (shape, len, step, line, adjacent) in [
            (first(Map::hw(4, 5)), 20, 1, true, false),
            (first(Map::dhw(6, 4, 5)), 120, 1, true, false),
            (first(Map::l(7)), 7, 1, true, false),
            (last(Map::hw(4, 5)), 20, 3, false, true),
            (last(Map::dhw(6, 4, 5)), 120, 3, false, true),
            (padded, 5, 1, false, false),
            (cropped, 20, 1, false, false),
            (row, 2, 7, false, true),
            (column, 3, 7, false, true),
            (apart, 20, 3, false, false),
            (single, 1, 0, true, true),
            (single.with_strides([3, 1, 0, 0, 1]), 1, 1, true, true),
        ] {
            let rows = Rows::new(&shape);
            assert_eq!((rows.len, rows.step, rows.line), (len, step, line), "{shape:?}");
            let channels = shape.channels();
            assert_eq!(rows.channels_adjacent(channels), adjacent, "{shape:?}");
            assert!(!rows.channels_adjacent(1), "{shape:?}");
        }
    }

    #[test]
    fn the_last_extent_that_is_not_too_large() {
        let stride = MAX - 1;
        let shape = Shape::nchw(2, 1, 1, 1).with_strides([stride as usize, 1, 1, 1, 1]);
        assert_eq!(shape.extent(), Ok(MAX as usize));
        let shape = shape.with_strides([stride as usize + 1, 1, 1, 1, 1]);
        assert_eq!(shape.extent(), Err(Error::TooLarge { limit: MAX }));
    }

    /// Of axes with the same stride the later one is refused.
    #[test]
    fn equal_strides() {
        let shape = Shape::nchw(2, 1, 3, 2).with_strides([1, 1, 1, 7, 1]);
        assert_eq!(shape.extent(), Err(Error::Stride { axis: 4, needed: 2, given: 1 }));
    }

    const MAX: u64 = crate::shape::MAX_ELEMENTS;
}
