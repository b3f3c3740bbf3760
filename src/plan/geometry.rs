//! Where things lie: how many maps a tensor and its mask have, and the elements of each row.
//!
//! Every layout is a list of strides; channels first and channels last differ from a view only
//! in their numbers. Neighbouring axes of the map that are one even sequence are joined, so that
//! the maps of a dense tensor are one row each.

use core::ops::Range;

use crate::{DropBlock, Error, Layout, Scale, Shape, Sharing};

/// The maps of a tensor and of its mask: what a shard of a batch cuts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry {
    pub(crate) samples: usize,
    pub(crate) channels: usize,
    map: [usize; 3],
    /// The positions of one map.
    pub(crate) plane: usize,
    /// Samples and channels of the mask: 1 where they share it.
    pub(crate) mask_samples: usize,
    pub(crate) mask_channels: usize,
    /// The maps of the mask that share a scale.
    pub(crate) group_planes: usize,
    /// Where the elements of a dense tensor lie.
    pub(crate) strides: [isize; 5],
    pub(crate) rows: Rows,
}

impl Geometry {
    /// For a shape that is not too large.
    pub(crate) const fn new(layer: &DropBlock, shape: &Shape) -> Self {
        let &Shape { samples, channels, .. } = shape;
        let (share_channels, share_samples) = match layer.sharing {
            Sharing::None => (false, false),
            Sharing::OverChannels => (true, false),
            Sharing::OverSamples => (false, true),
            Sharing::OverAll => (true, true),
        };
        let mask_samples = if share_samples && samples > 0 { 1 } else { samples };
        let mask_channels = if share_channels && channels > 0 { 1 } else { channels };
        let [depth, height, width] = shape.map.size;
        let strides = dense_strides(shape);
        Self {
            samples,
            channels,
            map: shape.map.size,
            plane: depth * height * width,
            mask_samples,
            mask_channels,
            group_planes: match layer.scale {
                Scale::PerSample => mask_channels,
                Scale::PerMap => 1,
                _ => mask_samples * mask_channels,
            },
            strides,
            rows: Rows::new(&shape.sizes(), &strides, 0),
        }
    }

    /// The sizes of samples, channels, depth, height and width.
    pub(crate) const fn sizes(&self) -> [usize; 5] {
        let [depth, height, width] = self.map;
        [self.samples, self.channels, depth, height, width]
    }

    pub(crate) const fn elements(&self) -> usize {
        self.samples * self.channels * self.plane
    }

    pub(crate) const fn mask_planes(&self) -> usize {
        self.mask_samples * self.mask_channels
    }

    pub(crate) const fn units(&self) -> usize {
        self.mask_planes() * self.plane
    }

    /// The units that share a scale.
    pub(crate) const fn group_units(&self) -> usize {
        self.group_planes * self.plane
    }

    /// Whether each map of the tensor has a map of the mask to itself.
    pub(crate) const fn is_unshared(&self) -> bool {
        self.mask_samples == self.samples && self.mask_channels == self.channels
    }

    /// Whether the rows of all maps lie at one distance, as where rows are padded and nothing else.
    pub(crate) const fn rows_are_even(&self, rows: &Rows) -> bool {
        let Some(height) = self.plane.checked_div(rows.len) else { return false };
        let Some(slices) = height.checked_div(rows.rows) else { return false };
        joins(rows.rows, rows.row, slices, rows.slice)
            && joins(height, rows.row, self.channels, rows.channel)
            && joins(height * self.channels, rows.row, self.samples, rows.sample)
    }

    /// The samples of the tensor that use a sample of the mask.
    pub(crate) const fn samples_of(&self, mask_sample: usize) -> Range<usize> {
        if self.mask_samples == self.samples {
            mask_sample..mask_sample + 1
        } else {
            0..self.samples
        }
    }

    /// The channels of the tensor that use a channel of the mask.
    pub(crate) const fn channels_of(&self, mask_channel: usize) -> Range<usize> {
        if self.mask_channels == self.channels {
            mask_channel..mask_channel + 1
        } else {
            0..self.channels
        }
    }

    /// How many planes of the mask are best worked on together: those of channels that lie side by side.
    pub(crate) const fn planes_together(&self, rows: &Rows) -> usize {
        if !rows.line && rows.channels_adjacent(self.channels) && self.mask_channels > 0 {
            self.mask_channels
        } else {
            1
        }
    }

    /// Visits the maps of the tensor, sample and channel, that use a map of the mask.
    #[inline]
    pub(crate) fn for_each_map(&self, mask_plane: usize, mut visit: impl FnMut(usize, usize)) {
        let mask_channels = self.mask_channels.max(1);
        for sample in self.samples_of(mask_plane / mask_channels) {
            for channel in self.channels_of(mask_plane % mask_channels) {
                visit(sample, channel);
            }
        }
    }

    /// The map of the mask that a map of the tensor uses.
    pub(crate) const fn mask_plane(&self, sample: usize, channel: usize) -> usize {
        let sample = if self.mask_samples == self.samples { sample } else { 0 };
        let channel = if self.mask_channels == self.channels { channel } else { 0 };
        sample * self.mask_channels + channel
    }
}

/// The element numbers of a tensor's units, row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    /// The first element of the first map.
    origin: usize,
    pub(crate) sample: isize,
    pub(crate) channel: isize,
    /// The number of positions in a row, and the distance between them.
    pub(crate) len: usize,
    pub(crate) step: isize,
    /// The distance between rows, the number of rows in a slice, the distance between slices.
    pub(crate) row: isize,
    rows: usize,
    slice: isize,
    /// Whether all units of an unshared mask are one row, the elements without gaps.
    pub(crate) line: bool,
}

impl Rows {
    /// For sizes and strides of samples, channels, depth, height and width.
    pub(crate) const fn new(sizes: &[usize; 5], strides: &[isize; 5], origin: usize) -> Self {
        let &[samples, channels, depth, height, width] = sizes;
        let &[sample, channel, slice, row, step] = strides;
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
                && (channels <= 1 || channel == plane as isize)
                && (samples <= 1 || sample == (plane * channels) as isize);
        Self { origin, sample, channel, len, step, row, rows, slice, line }
    }

    /// How far the elements of a map lie behind those of the first.
    #[inline]
    pub(crate) const fn map(&self, sample: usize, channel: usize) -> isize {
        sample as isize * self.sample + channel as isize * self.channel
    }

    /// The element of a position of a map.
    #[inline]
    pub(crate) fn element(&self, sample: usize, channel: usize, position: usize) -> usize {
        let row = position / self.len.max(1);
        let start = match row.checked_div(self.rows) {
            Some(slice) => {
                slice as isize * self.slice + (row - slice * self.rows) as isize * self.row
            }
            None => 0,
        };
        let offset =
            self.map(sample, channel) + start + (position - row * self.len) as isize * self.step;
        self.origin.wrapping_add_signed(offset)
    }

    /// The elements from the first to the last of so many channels of a sample; `None` if any lie
    /// before the first.
    #[cfg(feature = "rayon")]
    pub(crate) fn extent(&self, channels: usize, plane: usize) -> Option<usize> {
        let Self { origin, channel, step, row, slice, .. } = *self;
        if origin > 0 || channel < 0 || step < 0 || row < 0 || slice < 0 {
            return None;
        }
        let last = (channels.checked_sub(1).zip(plane.checked_sub(1)))
            .map(|(channel, position)| self.element(0, channel, position));
        Some(last.map_or(0, |last| last + 1))
    }

    /// Whether the channels of a position lie side by side, its neighbours in the map do not.
    #[inline]
    pub(crate) const fn channels_adjacent(&self, channels: usize) -> bool {
        channels > 1 && self.channel == 1 && (self.step > 1 || self.len <= 1)
    }

    /// Whether rows are elements side by side, with gaps between the rows.
    pub(crate) const fn are_padded(&self) -> bool {
        self.step == 1 && self.rows > 1 && self.row > 0
    }

    /// Visits the whole rows of each slice in the range of positions, and parts of rows at its ends:
    /// the first position, the number of rows, their length.
    pub(crate) fn for_each_slice(
        &self,
        positions: Range<usize>,
        mut visit: impl FnMut(usize, usize, usize),
    ) {
        let (len, rows) = (self.len.max(1), self.rows.max(1));
        let mut start = positions.start;
        while start < positions.end {
            let (row, left) = (start / len, positions.end - start);
            let rest = (row + 1) * len - start;
            let (count, len) = if rest < len || left < len {
                (1, rest.min(left))
            } else {
                (((row / rows + 1) * rows - row).min(left / len), len)
            };
            visit(start, count, len);
            start += count * len;
        }
    }

    /// Visits the parts of the range of positions that lie in one row each, at most `most`
    /// positions long.
    pub(crate) fn for_each_row(
        &self,
        positions: Range<usize>,
        most: usize,
        mut visit: impl FnMut(Range<usize>),
    ) {
        let len = self.len.max(1);
        let mut start = positions.start;
        while start < positions.end {
            let end = positions.end.min((start / len + 1) * len).min(start + most);
            visit(start..end);
            start = end;
        }
    }
}

/// Whether `outer` sequences of `len` elements, `step` apart, are one longer sequence.
const fn joins(len: usize, step: isize, outer: usize, stride: isize) -> bool {
    // Strides of an empty tensor may be anything.
    len <= 1 || outer <= 1 || matches!(step.checked_mul(len as isize), Some(end) if end == stride)
}

const fn join(len: usize, step: isize, outer: usize, stride: isize) -> (usize, isize) {
    (len * outer, if len <= 1 && outer > 1 { stride } else { step })
}

/// The strides of a tensor that lies as its shape says. They wrap where the shape is too large,
/// which the plan refuses.
pub(crate) const fn dense_strides(shape: &Shape) -> [isize; 5] {
    match shape.layout {
        Layout::ChannelsFirst => contiguous(&shape.sizes(), &[0, 1, 2, 3, 4]),
        Layout::ChannelsLast => contiguous(&shape.sizes(), &[0, 2, 3, 4, 1]),
    }
}

/// The strides of a tensor without gaps whose axes lie in the given order, the last one dense.
pub(crate) const fn contiguous(sizes: &[usize; 5], order: &[usize; 5]) -> [isize; 5] {
    let mut strides = [0; 5];
    let mut stride = 1_isize;
    let mut i = order.len();
    while i > 0 {
        i -= 1;
        strides[order[i]] = stride;
        stride = stride.wrapping_mul(sizes[order[i]] as isize);
    }
    strides
}

/// How far elements lie before and after the first one, at most `limit` in all; `None` where there
/// are no elements.
pub(crate) fn reach(
    sizes: &[usize; 5],
    strides: &[isize; 5],
    limit: u64,
) -> Result<Option<(usize, usize)>, Error> {
    if sizes.contains(&0) {
        return Ok(None);
    }
    let (mut before, mut after) = (0_u64, 0_u64);
    for (&size, &stride) in sizes.iter().zip(strides) {
        let reach = (stride.unsigned_abs() as u64)
            .checked_mul(size as u64 - 1)
            .filter(|reach| before + after < limit && reach < &(limit - before - after))
            .ok_or(Error::TooLarge { limit })?;
        if stride < 0 { before += reach } else { after += reach }
    }
    Ok(Some((before as usize, after as usize)))
}

/// Refuses strides that could give one element to two units: sorted by length, each must step past
/// everything that the axes before it reach. The reach of all is known not to overflow.
pub(crate) fn check_apart(sizes: &[usize; 5], strides: &[isize; 5]) -> Result<(), Error> {
    // Without units none is shared, whatever the strides.
    if sizes.contains(&0) {
        return Ok(());
    }
    // Of each axis with several units, the finest first: how far apart they lie, its number, and how
    // far the last is from the first.
    let axes = || {
        let axes = sizes.iter().zip(strides).enumerate().filter(|&(_, (&size, _))| size > 1);
        axes.map(|(axis, (&size, &stride))| {
            let step = stride.unsigned_abs();
            (step, axis, (size - 1) * step, stride)
        })
    };
    // An axis has to step past all that finer ones reach.
    let is_too_fine = |axis: &(usize, usize, usize, isize)| {
        let finer = axes().filter(|other| other < axis);
        axis.0 <= finer.map(|(_, _, reach, _)| reach).sum()
    };
    let Some((_, axis, _, given)) = axes().filter(is_too_fine).min() else { return Ok(()) };
    // What steps past all other axes will do, wherever they lie.
    let others = axes().filter(|other| other.1 != axis);
    let needed = 1 + others.map(|(_, _, reach, _)| reach).sum::<usize>() as u64;
    Err(Error::Stride { axis, needed, given })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [usize; 5] = [2, 3, 1, 4, 5];

    /// What is joined decides how a tensor is walked, and so its time, not its bits.
    #[test]
    fn even_axes_are_joined() {
        let dense = |shape: Shape| (shape.sizes(), dense_strides(&shape));
        // One row of 2 positions 7 apart, and 3 of 1 position each 7 apart.
        let row = ([1, 2, 1, 1, 2], [0, 1, 0, 99, 7]);
        let column = ([1, 2, 1, 3, 1], [0, 1, 0, 7, 99]);
        for ((sizes, strides), len, step, line, adjacent) in [
            (dense(Shape::nchw(2, 3, 4, 5)), 20, 1, true, false),
            (dense(Shape::ncdhw(2, 3, 6, 4, 5)), 120, 1, true, false),
            (dense(Shape::ncl(2, 3, 7)), 7, 1, true, false),
            (dense(Shape::nhwc(2, 4, 5, 3)), 20, 3, false, true),
            (dense(Shape::ndhwc(2, 6, 4, 5, 3)), 120, 3, false, true),
            ((SIZES, [96, 32, 0, 8, 1]), 5, 1, false, false),
            (([2, 3, 6, 4, 5], [600, 200, 30, 5, 1]), 20, 1, false, false),
            (row, 2, 7, false, true),
            (column, 3, 7, false, true),
            ((SIZES, [200, 60, 0, 15, 3]), 20, 3, false, false),
            // From the last element to the first.
            ((SIZES, [-60, -20, 0, -5, -1]), 20, -1, false, false),
            (([2, 3, 1, 1, 1], [3, 1, 0, 0, 0]), 1, 0, true, true),
            (([2, 3, 1, 1, 1], [3, 1, 0, 0, 1]), 1, 1, true, true),
        ] {
            let rows = Rows::new(&sizes, &strides, 0);
            assert_eq!((rows.len, rows.step, rows.line), (len, step, line), "{strides:?}");
            assert_eq!(rows.channels_adjacent(sizes[1]), adjacent, "{strides:?}");
            assert!(!rows.channels_adjacent(1), "{strides:?}");
        }
    }

    #[test]
    fn rows_of_all_maps_are_even_if_only_rows_are_padded() -> Result<(), Error> {
        let layer = DropBlock::new(2, 0.1)?;
        for (shape, strides, even) in [
            (Shape::nchw(2, 3, 4, 5), [96, 32, 32, 8, 1], true),
            (Shape::nchw(2, 3, 4, 5), [96, 40, 40, 8, 1], false),
            (Shape::nchw(2, 3, 4, 5), [104, 32, 32, 8, 1], false),
            (Shape::nchw(1, 3, 4, 5), [1, 32, 32, 8, 1], true),
            (Shape::nchw(2, 1, 4, 5), [32, 1, 32, 8, 1], true),
            (Shape::ncdhw(2, 3, 6, 4, 5), [576, 192, 32, 8, 1], true),
            (Shape::ncdhw(2, 3, 6, 4, 5), [720, 240, 40, 8, 1], false),
        ] {
            let (geometry, sizes) = (Geometry::new(&layer, &shape), shape.sizes());
            let rows = Rows::new(&sizes, &strides, 0);
            assert_eq!(geometry.rows_are_even(&rows), even, "{strides:?}");
            for row in (0..geometry.units() / rows.len).filter(|_| even) {
                let (map, at) = (row * rows.len / geometry.plane, row * rows.len % geometry.plane);
                let element = rows.element(map / sizes[1], map % sizes[1], at);
                assert_eq!(element as isize, row as isize * rows.row, "{strides:?}");
            }
        }
        Ok(())
    }

    #[test]
    fn elements_are_where_strides_say() {
        for strides in [[60, 20, 0, 5, 1], [96, 32, 0, 8, 1], [-60, 20, 0, -5, 1], [1, 2, 0, 6, 24]]
        {
            let origin = 100;
            let rows = Rows::new(&SIZES, &strides, origin);
            for (n, c, position) in (0..2 * 3 * 20).map(|i| (i / 60, i / 20 % 3, i % 20)) {
                let index = [n, c, 0, position / 5, position % 5];
                let offset: isize = index.iter().zip(strides).map(|(&i, s)| i as isize * s).sum();
                assert_eq!(rows.element(n, c, position) as isize, origin as isize + offset);
            }
        }
    }

    #[test]
    fn the_last_reach_that_is_not_too_large() {
        let reach = |stride| reach(&[2, 1, 1, 1, 1], &[stride, 1, 1, 1, 1], 1000);
        assert_eq!(reach(999), Ok(Some((0, 999))));
        assert_eq!(reach(-999), Ok(Some((999, 0))));
        assert_eq!(reach(1000), Err(Error::TooLarge { limit: 1000 }));
        assert_eq!(reach(isize::MIN), Err(Error::TooLarge { limit: 1000 }));
        // Without elements none is far away.
        assert_eq!(super::reach(&[3, 0, 1, 1, 1], &[isize::MAX; 5], 1000), Ok(None));
    }

    /// What is said to be needed is what works.
    #[test]
    fn strides_that_would_share_elements() {
        assert_eq!(check_apart(&SIZES, &[60, 20, 0, 5, 1]), Ok(()));
        assert_eq!(check_apart(&SIZES, &[-60, 20, 0, -5, 1]), Ok(()));
        let refused = |strides, axis, needed| {
            let Err(Error::Stride { axis: a, needed: n, .. }) = check_apart(&SIZES, &strides)
            else {
                return false;
            };
            (a, n) == (axis, needed)
        };
        assert!(refused([0, 20, 0, 5, 1], 0, 60));
        assert!(refused([60, 20, 0, 4, 1], 3, 105));
        assert_eq!(check_apart(&SIZES, &[60, 20, 0, 105, 1]), Ok(()));
        // Of axes with the same stride the later one is refused.
        assert!(refused([60, 1, 0, 5, 1], 4, 78));
        let empty = [0, 3, 1, 3, 3];
        assert_eq!(check_apart(&empty, &[0, isize::MAX, 0, isize::MAX, 0]), Ok(()));
    }
}
