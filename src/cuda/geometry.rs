//! Where the elements of a plan's tensors lie: their form, and their axes.

use crate::plan::geometry::{Geometry, Rows, check_apart, contiguous, reach};
use crate::plan::scale::Rule;
use crate::shape::MAX_ELEMENTS;
use crate::{Error, Key, Plan, Scale, Sharing};

use super::params::{self, Axis, Div, Tensor};

/// What is done to a tensor's elements.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    /// The bits that dropped elements become, repeated to 8 bytes, or `None` for the noise of the key.
    pub(super) value: Option<u64>,
    /// Whether kept elements are left alone rather than scaled.
    pub(super) keep: bool,
}

/// How a tensor and its mask lie to each other, if in one of these ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Element `i` is unit `i`.
    Line,
    /// The tensor is `[outer][repeat][inner]`, its mask `[outer][inner]`.
    Shared {
        outer: usize,
        repeat: usize,
        inner: usize,
    },
    /// The tensor is `[samples][plane][channels]`, its mask one of each channel.
    Last {
        samples: usize,
        plane: usize,
        channels: usize,
    },
    Other,
}

/// A plan, and where the elements of its tensors lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tensors {
    pub(super) plan: Plan,
    strides: [usize; 5],
    rows: Rows,
    /// The elements from the first to the last.
    pub(super) extent: usize,
}

impl Tensors {
    /// Dense ones.
    pub(super) fn new(plan: &Plan) -> Self {
        let geometry = &plan.geometry;
        let strides = geometry.strides.map(isize::unsigned_abs);
        Self { plan: *plan, strides, rows: geometry.rows, extent: plan.elements() }
    }

    /// Views with strides of their own, of samples, channels, depth, height and width.
    pub(super) fn with_strides(self, strides: [usize; 5]) -> Result<Self, Error> {
        let sizes = self.plan.geometry.sizes();
        let mut signed = [0; 5];
        for (signed, stride) in signed.iter_mut().zip(strides) {
            let too_large = Error::TooLarge { limit: MAX_ELEMENTS };
            *signed = isize::try_from(stride).map_err(|_| too_large)?;
        }
        let Some((_, last)) = reach(&sizes, &signed, MAX_ELEMENTS)? else {
            return Ok(Self { extent: 0, ..self });
        };
        check_apart(&sizes, &signed)?;
        Ok(Self { strides, rows: Rows::new(&sizes, &signed, 0), extent: last + 1, ..self })
    }

    /// The units of a group.
    pub(super) const fn group(&self) -> usize {
        self.plan.geometry.group_units()
    }

    fn geometry(&self) -> &Geometry {
        &self.plan.geometry
    }

    /// The tensor at these addresses, with this mask.
    pub(super) fn device_tensor(
        &self,
        key: Key,
        [x, y, words]: [u64; 3],
        change: Change,
    ) -> Tensor {
        let (rank, axes) = self.axes();
        let per_sample = (self.geometry().channels * self.geometry().plane) as u64;
        Tensor {
            x,
            y,
            words,
            rank,
            axes,
            len: self.plan.elements() as u64,
            fill: u64::from(change.value.is_none()),
            keep: u64::from(change.keep),
            value: change.value.unwrap_or(0),
            first_number: key.first_sample.wrapping_mul(per_sample),
        }
    }

    pub(super) fn form(&self) -> Form {
        let geometry = self.geometry();
        let sizes @ [samples, channels, ..] = geometry.sizes();
        let plane = geometry.plane;
        let lies = |order: &[usize; 5]| {
            let strides = contiguous(&sizes, order).map(isize::unsigned_abs);
            (0..5).all(|axis| sizes[axis] <= 1 || strides[axis] == self.strides[axis])
        };
        let dense = lies(&[0, 1, 2, 3, 4]);
        match self.plan.layer().sharing {
            Sharing::None if self.rows.line || dense => Form::Line,
            Sharing::None if lies(&[0, 2, 3, 4, 1]) => Form::Last { samples, plane, channels },
            Sharing::OverChannels if dense => {
                Form::Shared { outer: samples, repeat: channels, inner: plane }
            }
            Sharing::OverSamples if dense => {
                Form::Shared { outer: 1, repeat: samples, inner: channels * plane }
            }
            Sharing::OverAll if dense => {
                Form::Shared { outer: 1, repeat: samples * channels, inner: plane }
            }
            _ => Form::Other,
        }
    }

    /// Whether the scale follows from how much is dropped.
    pub(super) const fn is_counted(&self) -> bool {
        matches!(self.plan.rule, Rule::Counted)
    }

    /// The axes that have more than one index, in the order of memory, outermost first: so neighbouring
    /// threads have neighbouring elements. Neighbours are joined where they are one even sequence in
    /// every respect.
    fn axes(&self) -> (u64, [Axis; 5]) {
        let geometry = self.geometry();
        let sizes = geometry.sizes();
        let numbers = contiguous(&sizes, &[0, 1, 2, 3, 4]);
        let layer = self.plan.layer();
        let (mask_samples, mask_channels) = match layer.sharing {
            Sharing::None => (1, 1),
            Sharing::OverChannels => (1, 0),
            Sharing::OverSamples => (0, 1),
            Sharing::OverAll => (0, 0),
        };
        let group = match layer.scale {
            Scale::PerSample => [mask_samples, 0],
            Scale::PerMap => [mask_samples * geometry.mask_channels, mask_channels],
            _ => [0, 0],
        };
        let plane = geometry.plane;
        let units = [mask_samples * geometry.mask_channels * plane, mask_channels * plane];
        let mut axes = [Axis::default(); 5];
        for (i, axis) in axes.iter_mut().enumerate() {
            let map = i >= 2;
            *axis = Axis {
                size: sizes[i] as u64,
                element: self.strides[i] as u64,
                unit: if map { numbers[i] as u64 } else { units[i] as u64 },
                position: if map { numbers[i] as u64 } else { 0 },
                group: if map { 0 } else { group[i] } as u64,
                number: numbers[i] as u64,
                divisor: Div::default(),
            };
            if axis.size <= 1 {
                *axis = Axis { size: 1, ..Axis::default() };
            }
        }
        // Axes of one index go last; they are left out.
        axes.sort_unstable_by_key(|axis| core::cmp::Reverse((axis.size > 1, axis.element)));
        let (rank, mut axes) = join(axes);
        for axis in &mut axes {
            axis.divisor = Div::new(axis.size);
        }
        (rank, axes)
    }
}

fn join(axes: [Axis; 5]) -> (u64, [Axis; 5]) {
    let mut joined = [Axis::default(); 5];
    let mut rank = 0_usize;
    for axis in axes.into_iter().filter(|axis| axis.size > 1) {
        if let Some(outer) = rank.checked_sub(1).and_then(|last| joined.get_mut(last))
            && continues(outer, &axis)
        {
            *outer = Axis { size: outer.size * axis.size, ..axis };
        } else if let Some(next) = joined.get_mut(rank) {
            *next = axis;
            rank += 1;
        }
    }
    (rank as u64, joined)
}

/// Whether a step of the outer axis is as far as one past the end of the inner axis.
fn continues(outer: &Axis, inner: &Axis) -> bool {
    [
        (outer.element, inner.element),
        (outer.unit, inner.unit),
        (outer.position, inner.position),
        (outer.group, inner.group),
        (outer.number, inner.number),
    ]
    .into_iter()
    .all(|(outer, step)| step.checked_mul(inner.size) == Some(outer))
}

/// The words of a key, for a step that lies at an address of the device, or 0 for that of the key.
pub(super) const fn key_words(key: Key, step: u64) -> params::Key {
    let words = if step == 0 { key.streams().words() } else { key.seed_words() };
    params::Key { words, step, layer: key.layer }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DropBlock, Shape};

    /// Walks the axes and returns the numbers of each element, in the order of the walk.
    fn walk(tensors: &Tensors) -> alloc::vec::Vec<[u64; 5]> {
        let (rank, axes) = tensors.axes();
        (0..tensors.plan.elements() as u64)
            .map(|mut rest| {
                let mut at = [0; 5];
                for axis in axes[..rank as usize].iter().rev() {
                    let index = rest % axis.size;
                    rest /= axis.size;
                    let steps = [axis.element, axis.unit, axis.position, axis.group, axis.number];
                    at.iter_mut().zip(steps).for_each(|(at, step)| *at += index * step);
                }
                at
            })
            .collect()
    }

    /// The same by the definitions, in the order of the units of an unshared mask.
    fn literal(tensors: &Tensors) -> alloc::vec::Vec<[u64; 5]> {
        let geometry = tensors.geometry();
        let [sample, channel, slice, row, step] = tensors.strides;
        let [samples, channels, depth, height, width] = geometry.sizes();
        let mut all = alloc::vec![];
        for (n, c) in (0..samples).flat_map(|n| (0..channels).map(move |c| (n, c))) {
            let mask_plane = geometry.mask_plane(n, c);
            for position in 0..geometry.plane {
                let (w, h, d) =
                    (position % width, position / width % height, position / width / height);
                assert!(d < depth);
                all.push(
                    [
                        n * sample + c * channel + d * slice + h * row + w * step,
                        mask_plane * geometry.plane + position,
                        position,
                        mask_plane / geometry.group_planes,
                        (n * channels + c) * geometry.plane + position,
                    ]
                    .map(|number| number as u64),
                );
            }
        }
        all
    }

    #[test]
    fn axes_number_elements_as_the_plan_does() -> Result<(), Error> {
        let shapes = [
            Shape::nchw(2, 3, 5, 7),
            Shape::nhwc(2, 5, 7, 3),
            Shape::nchw(1, 1, 1, 1),
            Shape::nchw(4, 1, 5, 7),
            Shape::nhwc(1, 5, 7, 4),
            Shape::ncdhw(2, 3, 2, 5, 7),
            Shape::ndhwc(2, 2, 5, 7, 3),
        ];
        let nchw = Shape::nchw(2, 3, 5, 7);
        let shapes = shapes
            .map(|shape| (shape, None))
            .into_iter()
            .chain([(nchw, Some([240, 80, 0, 16, 2])), (nchw, Some([7, 14, 0, 42, 1]))]);
        for &sharing in Sharing::ALL {
            for &scale in Scale::ALL {
                for (shape, strides) in shapes.clone() {
                    let layer = DropBlock::new(2, 0.1)?.with_sharing(sharing).with_scale(scale);
                    let mut tensors = Tensors::new(&layer.plan(shape)?);
                    if let Some(strides) = strides {
                        tensors = tensors.with_strides(strides)?;
                    }
                    let mut expected = literal(&tensors);
                    // In memory order the elements rise.
                    expected.sort_unstable();
                    assert_eq!(walk(&tensors), expected, "{layer:?} {shape:?}");
                }
            }
        }
        Ok(())
    }

    #[test]
    fn a_contiguous_tensor_has_one_axis_for_maps() -> Result<(), Error> {
        let layer = DropBlock::new(2, 0.1)?;
        let tensors = Tensors::new(&layer.plan(Shape::nchw(2, 3, 5, 7))?);
        // Positions begin anew in each map, so that scales of positions have an axis for maps.
        assert_eq!(tensors.axes().0, 2);
        Ok(())
    }
}
