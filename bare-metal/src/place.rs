//! Where the elements of a tensor lie in a buffer: dense, or as a view from its first element on.

use dropblock::{Plan, View, ViewMut};

/// A place that begins with the first unit; strides are positive.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    strides: Option<[isize; 5]>,
    /// The length of the buffer.
    pub(crate) len: usize,
}

impl Place {
    pub(crate) fn new(plan: &Plan, strides: Option<[isize; 5]>) -> Self {
        let (shape, [d, h, w]) = (plan.shape(), plan.shape().map().size());
        let sizes = [shape.samples(), shape.channels(), d, h, w];
        let reach = |(size, stride): (usize, isize)| (size - 1) * stride.unsigned_abs();
        let len = match strides {
            Some(strides) => 1 + sizes.into_iter().zip(strides).map(reach).sum::<usize>(),
            None => plan.elements(),
        };
        Self { strides, len }
    }

    pub(crate) fn view<'t, T>(&self, buffer: &'t [T]) -> View<'t, T> {
        match self.strides {
            Some(strides) => View::new(buffer, 0, strides),
            None => buffer.into(),
        }
    }

    pub(crate) fn view_mut<'t, T>(&self, buffer: &'t mut [T]) -> ViewMut<'t, T> {
        match self.strides {
            Some(strides) => ViewMut::new(buffer, 0, strides),
            None => buffer.into(),
        }
    }
}
