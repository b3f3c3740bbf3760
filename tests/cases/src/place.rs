//! Where the elements of a tensor lie in a buffer.

use dropblock::{Layout, Shape};

use crate::Source;

/// The axes in memory, the last one innermost.
const ORDERS: [[usize; 5]; 7] = [
    [0, 1, 2, 3, 4],
    [0, 2, 3, 4, 1],
    [1, 0, 2, 3, 4],
    [0, 2, 1, 3, 4],
    [0, 3, 1, 2, 4],
    [4, 1, 0, 3, 2],
    [2, 0, 1, 4, 3],
];

/// Where the elements of a view lie in a buffer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// The length of the buffer.
    pub len: usize,
    /// The element of the first unit.
    pub first: usize,
    /// Of samples, channels, depth, height and width.
    pub strides: [isize; 5],
}

/// Samples, channels, depth, height and width.
pub fn sizes(shape: &Shape) -> [usize; 5] {
    let [d, h, w] = shape.map().size();
    [shape.samples(), shape.channels(), d, h, w]
}

impl Place {
    /// Where those of a dense tensor lie.
    pub fn dense(shape: &Shape) -> Self {
        let order = match shape.layout() {
            Layout::ChannelsLast => [0, 2, 3, 4, 1],
            _ => [0, 1, 2, 3, 4],
        };
        Self::of(shape, (order, [0; 5]))
    }

    /// The axes in this order in memory, the last one innermost, with a gap behind each.
    fn of(shape: &Shape, (order, gaps): ([usize; 5], [usize; 5])) -> Self {
        let sizes = sizes(shape);
        let mut strides = [0; 5];
        let mut stride = 1 + gaps[order[4]];
        for (i, &axis) in order.iter().enumerate().rev() {
            strides[axis] = stride as isize;
            let gap = if sizes[axis] > 1 && i > 0 { gaps[order[i - 1]] } else { 0 };
            stride *= sizes[axis] + gap;
        }
        let last: isize =
            strides.iter().zip(sizes).map(|(s, n)| s * n.saturating_sub(1) as isize).sum();
        let len = if sizes.contains(&0) { 0 } else { last as usize + 1 };
        Self { len, first: 0, strides }
    }

    /// Strides in a buffer that is no longer than it must be.
    pub fn tight(shape: &Shape, strides: [isize; 5]) -> Self {
        let (mut first, mut len) = (0, 1);
        for (size, stride) in sizes(shape).into_iter().zip(strides) {
            let reach = size.saturating_sub(1) * stride.unsigned_abs();
            first += if stride < 0 { reach } else { 0 };
            len += reach;
        }
        Self { len, first, strides }
    }

    /// A view with the axes in some order, gaps between them, some walked backwards, some that repeat if
    /// they may, and elements before and behind it that are not its own.
    pub(crate) fn draw(source: &mut impl Source, shape: &Shape, may_repeat: bool) -> Self {
        let order = source.pick(&ORDERS);
        // Channels to skip, padded rows, a crop, steps of 2.
        let gaps = [(); 5].map(|()| source.pick(&[0, 0, 0, 0, 0, 0, 1, 2, 3]));
        let backwards = match source.below(5) {
            0 | 1 => [false; 5],
            2 => [true; 5],
            _ => [(); 5].map(|()| source.one_in(2)),
        };
        let repeats = match source.below(3) {
            2 if may_repeat => [(); 5].map(|()| source.one_in(3)),
            _ => [false; 5],
        };
        let around = [source.below(20), source.below(20)];
        let unused = [0, isize::MAX, isize::MIN, source.below(18) as isize - 9];
        let unused = source.pick(&unused);

        let sizes = sizes(shape);
        let mut strides = Self::of(shape, (order, gaps)).strides;
        let (mut before, mut after) = (0, 0);
        for axis in 0..5 {
            if sizes[axis] < 2 {
                // Never used, and hence allowed to be anything.
                strides[axis] = unused;
                continue;
            }
            if repeats[axis] {
                strides[axis] = 0;
            }
            let reach = (sizes[axis] - 1) * strides[axis] as usize;
            if backwards[axis] {
                strides[axis] = -strides[axis];
                before += reach;
            } else {
                after += reach;
            }
        }
        let first = around[0] + before;
        let len = if sizes.contains(&0) { 0 } else { first + after + 1 };
        Self { len: len + around[1], first, strides }
    }

    /// The element of each unit: sample by sample, channel by channel, row by row.
    pub fn elements(self, shape: &Shape) -> impl Iterator<Item = usize> {
        let sizes = sizes(shape);
        (0..sizes.iter().product()).map(move |mut unit| {
            let mut element = self.first as isize;
            for axis in (0..5).rev() {
                element += (unit % sizes[axis]) as isize * self.strides[axis];
                unit /= sizes[axis];
            }
            element as usize
        })
    }
}

/// The elements of a view as a dense tensor of the shape.
pub fn gather<T: Copy>(place: Option<Place>, shape: &Shape, x: &[T], zero: T) -> Vec<T> {
    let Some(place) = place else { return x.to_vec() };
    let dense = Place::dense(shape);
    let mut tensor = vec![zero; dense.len];
    for (to, from) in dense.elements(shape).zip(place.elements(shape)) {
        tensor[to] = x[from];
    }
    tensor
}

/// A dense tensor of the shape, written to where the elements of a view lie.
pub fn scatter<T: Copy>(place: Option<Place>, shape: &Shape, dense: &[T], y: &mut [T]) {
    let place = place.unwrap_or(Place::dense(shape));
    for (from, to) in Place::dense(shape).elements(shape).zip(place.elements(shape)) {
        y[to] = dense[from];
    }
}
