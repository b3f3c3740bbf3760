//! From units of the mask to elements of the tensor: layouts, sharing and scale groups.

use core::ops::Range;

use crate::apply::{Tensor, apply_channels_last};
use crate::{Dropped, Element, Layout, Plan, Scale};

/// The scale of each unit.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scales<T> {
    /// The same everywhere.
    One(T),
    /// That of the unit's group, whose units must all be at hand.
    PerGroup,
}

impl Plan {
    /// The scales when `dropped` is the count of the whole mask.
    pub(crate) fn scales<T: Element>(&self, dropped: &Dropped) -> Scales<T> {
        match self.options.scale {
            Scale::Tensor | Scale::Fixed | Scale::None => Scales::One(self.scale(dropped)),
            Scale::Sample | Scale::Channel => Scales::PerGroup,
        }
    }

    /// Applies the mask of the units in the range, whole planes or a part of one, to the
    /// elements that they stand for. Bit 0 of `bits` is the first of the units.
    pub(crate) fn apply_units<T: Element>(
        &self,
        tensor: &mut Tensor<'_, T>,
        bits: &[u64],
        units: Range<usize>,
        scales: Scales<T>,
    ) {
        match self.shape.layout {
            Layout::ChannelsLast if self.mask_channels == self.shape.channels => {
                self.apply_channels_last(tensor, bits, units, scales);
            }
            _ => self.for_each_group(bits, units.clone(), scales, |group, scale| {
                let bit = group.start - units.start;
                self.apply_group(tensor, bits, bit, group, scale);
            }),
        }
    }

    /// Visits the parts of the range that have one scale each.
    fn for_each_group<T: Element>(
        &self,
        bits: &[u64],
        units: Range<usize>,
        scales: Scales<T>,
        mut visit: impl FnMut(Range<usize>, T),
    ) {
        if let Scales::One(scale) = scales {
            return visit(units, scale);
        }
        let size = self.group_planes() * self.plane();
        for start in units.clone().step_by(size) {
            let group = start..start + size;
            let scale = self.scale(&self.dropped_in(bits, units.start, group.clone()));
            visit(group, scale);
        }
    }

    /// Applies one scale to the units in the range; the first of them has bit `bit`.
    fn apply_group<T: Element>(
        &self,
        tensor: &mut Tensor<'_, T>,
        bits: &[u64],
        bit: usize,
        units: Range<usize>,
        scale: T,
    ) {
        let backend = self.backend();
        let (samples, channels) = (self.shape.samples, self.shape.channels);
        if self.mask_samples == samples && self.mask_channels == channels {
            return tensor.part(units).apply(backend, bits, bit, scale);
        }
        let plane = self.plane();
        for mask_plane in units.start / plane..units.end.div_ceil(plane) {
            let first = mask_plane * plane;
            let start = units.start.max(first);
            let part = start - first..units.end.min(first + plane) - first;
            let bit = bit + start - units.start;
            for sample in self.users(mask_plane / self.mask_channels, self.mask_samples, samples) {
                if self.shape.layout == Layout::ChannelsLast {
                    let base = sample * plane * channels;
                    tensor
                        .part(base + part.start * channels..base + part.end * channels)
                        .apply_rows(bits, bit, channels, scale);
                    continue;
                }
                for channel in
                    self.users(mask_plane % self.mask_channels, self.mask_channels, channels)
                {
                    let base = (sample * channels + channel) * plane;
                    tensor
                        .part(base + part.start..base + part.end)
                        .apply(backend, bits, bit, scale);
                }
            }
        }
    }

    /// The samples, or channels, of the tensor that use index `index` of the mask.
    fn users(&self, index: usize, of_mask: usize, of_tensor: usize) -> Range<usize> {
        if of_mask == of_tensor { index..index + 1 } else { 0..of_tensor }
    }

    fn apply_channels_last<T: Element>(
        &self,
        tensor: &mut Tensor<'_, T>,
        bits: &[u64],
        units: Range<usize>,
        scales: Scales<T>,
    ) {
        let (plane, channels) = (self.plane(), self.shape.channels);
        let group_planes = self.group_planes();
        let mut last = (usize::MAX, T::ONE);
        let mut scale_of = |mask_plane: usize| {
            if let Scales::One(scale) = scales {
                return scale;
            }
            let group = mask_plane / group_planes;
            if last.0 != group {
                let size = group_planes * plane;
                let group_units = group * size..(group + 1) * size;
                last = (group, self.scale(&self.dropped_in(bits, units.start, group_units)));
            }
            last.1
        };
        let mut start = units.start;
        while start < units.end {
            // The units of one sample: a range of channels, or a part of one channel.
            let mask_sample = start / (plane * channels);
            let end = units.end.min((mask_sample + 1) * plane * channels);
            let first = mask_sample * channels;
            let (run, positions) = if start.is_multiple_of(plane) && end.is_multiple_of(plane) {
                (start / plane..end / plane, 0..plane)
            } else {
                let first = start / plane;
                (first..first + 1, start - first * plane..end - first * plane)
            };
            for sample in self.users(mask_sample, self.mask_samples, self.shape.samples) {
                let base = sample * plane * channels;
                apply_channels_last(
                    &mut tensor.part(base..base + plane * channels),
                    channels,
                    self.backend(),
                    run.start - first..run.end - first,
                    positions.clone(),
                    bits,
                    (start - units.start, plane),
                    |channel| scale_of(first + channel),
                );
            }
            start = end;
        }
    }
}
