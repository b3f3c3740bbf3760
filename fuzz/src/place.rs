//! Where the elements of a tensor lie in a buffer: dense, or as a view.

use arbitrary::Arbitrary;
use dropblock::{Layout, Shape, View, ViewMut};

/// A view without overlaps, or as an input one with repeated axes.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct SmallView {
    /// The order of the axes in memory.
    order: u8,
    /// What is skipped behind each.
    gaps: [u8; 5],
    /// The axes that are flipped, a bit each, and those that an input repeats.
    flips: u8,
    repeats: u8,
    /// What lies before the view and behind it.
    margins: [u8; 2],
}

/// The place of a tensor.
#[derive(Debug)]
pub struct Place {
    /// Of the first unit.
    pub first: usize,
    /// The length of the buffer.
    pub len: usize,
    /// `None` for a dense tensor.
    pub strides: Option<[isize; 5]>,
    /// The element of each unit in the order of a dense tensor.
    pub elements: Vec<usize>,
}

fn sizes(shape: &Shape) -> [usize; 5] {
    let [d, h, w] = shape.map().size();
    [shape.samples(), shape.channels(), d, h, w]
}

impl Place {
    pub fn dense(shape: &Shape) -> Self {
        let len = sizes(shape).iter().product();
        Self { first: 0, len, strides: None, elements: (0..len).collect() }
    }

    pub fn new(shape: &Shape, view: SmallView, is_input: bool) -> Self {
        let orders = [
            [0, 1, 2, 3, 4],
            [0, 2, 3, 4, 1],
            [1, 0, 2, 3, 4],
            [0, 2, 1, 3, 4],
            [0, 3, 1, 2, 4],
            [4, 1, 0, 3, 2],
            [2, 0, 1, 4, 3],
        ];
        let sizes = sizes(shape);
        let (mut strides, mut stride) = ([0; 5], 1);
        for &axis in orders[usize::from(view.order) % orders.len()].iter().rev() {
            // Mostly no gap, so that axes join.
            let gap = usize::from(view.gaps[axis]).saturating_sub(200) % 4;
            let own = stride + if stride == 1 { gap } else { 0 };
            stride = own * (sizes[axis].max(1) + gap);
            strides[axis] = match own as isize {
                _ if is_input && view.repeats >> axis & 1 == 1 => 0,
                own if view.flips >> axis & 1 == 1 => -own,
                own => own,
            };
        }
        let reach = |flipped: bool| -> usize {
            let axes = sizes.iter().zip(strides).filter(|axis| (axis.1 < 0) == flipped);
            axes.map(|(&size, stride)| size.saturating_sub(1) * stride.unsigned_abs()).sum()
        };
        let [before, behind] = view.margins.map(|margin| usize::from(margin) % 3);
        let first = before + reach(true);
        let len = first + reach(false) + 1 + behind;
        let elements = elements(shape, first, strides);
        Self { first, len, strides: Some(strides), elements }
    }

    pub fn view<'t, T>(&self, buffer: &'t [T]) -> View<'t, T> {
        match self.strides {
            Some(strides) => View::new(buffer, self.first, strides),
            None => buffer.into(),
        }
    }

    pub fn view_mut<'t, T>(&self, buffer: &'t mut [T]) -> ViewMut<'t, T> {
        match self.strides {
            Some(strides) => ViewMut::new(buffer, self.first, strides),
            None => buffer.into(),
        }
    }

    /// The units of a buffer as a dense tensor.
    pub fn gather<T: Copy>(&self, buffer: &[T]) -> Vec<T> {
        self.elements.iter().map(|&element| buffer[element]).collect()
    }

    /// The buffer with the units of a dense tensor.
    pub fn scatter<T: Copy>(&self, dense: &[T], buffer: &[T]) -> Vec<T> {
        let mut buffer = buffer.to_vec();
        self.elements.iter().zip(dense).for_each(|(&element, &value)| buffer[element] = value);
        buffer
    }
}

/// The element of each unit in the order of a dense tensor of this shape.
fn elements(shape: &Shape, first: usize, strides: [isize; 5]) -> Vec<usize> {
    let order = match shape.layout() {
        Layout::ChannelsLast => [0, 2, 3, 4, 1],
        _ => [0, 1, 2, 3, 4],
    };
    let sizes = sizes(shape);
    let element = |unit: usize| {
        let (mut rest, mut offset) = (unit, 0);
        for &axis in order.iter().rev() {
            offset += (rest % sizes[axis]) as isize * strides[axis];
            rest /= sizes[axis];
        }
        first.wrapping_add_signed(offset)
    };
    (0..sizes.iter().product()).map(element).collect()
}
