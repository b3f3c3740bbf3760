//! Stage 3 in parts: samples, with everything that the serial code has to know of them.

use core::ops::Range;

use super::PARTS;
use super::units::{CHUNK_BITS, aligned, generate, half};
use crate::apply::Tensor;
use crate::bits::{WORD_BITS, words};
use crate::mask::Source;
use crate::stride::Rows;
use crate::{Key, Map, Plan, Scale, Shape};

/// Some samples: everything that stage 3 has to know of them but their elements.
#[derive(Clone, Copy)]
pub(super) struct Batch<'a> {
    /// With the number of samples of these; the extent is not kept up.
    pub(super) plan: Plan,
    /// For noise: the number of the first sample.
    pub(super) key: Key,
    /// The mask of the samples begins at its plane 0.
    pub(super) source: Source<'a>,
    /// The mask, if it is at hand: bit 0 is the first unit.
    pub(super) bits: Option<&'a [u64]>,
    /// Whether another shard counts the units of this one, as both have the same mask.
    pub(super) counted: bool,
    /// The first unit, where each unit is a sample, of those of the source.
    unit: Option<usize>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(plan: &Plan, key: Key, source: Source<'a>, bits: Option<&'a [u64]>) -> Self {
        Self { plan: *plan, key, source, bits, counted: false, unit: None }
    }

    /// The same elements as the smallest samples that are possible.
    pub(super) fn finest(mut self) -> Self {
        let plan = &mut self.plan;
        let Shape { samples, channels, strides: [sample, channel, ..], .. } = plan.shape;
        let (planes, mask_planes) = (plan.planes(), plan.mask_planes());
        let own = planes == mask_planes;
        let grouped = plan.options.scale == Scale::Sample && mask_planes > 1;
        let map = Shape { samples: 1, channels: 1, ..plan.shape };
        // What goes row by row does a row of all channels at once, so that they stay together where
        // there are samples enough.
        let by_row = !plan.rows.line || plan.options.scale == Scale::PerPosition;
        let enough = samples >= 2 * PARTS * rayon::current_num_threads();
        if channels > 1
            && !(by_row && enough)
            && (samples == 1 || sample == channels * channel)
            && map.extent().is_ok_and(|extent| extent <= channel)
            && (own && !grouped || mask_planes == 1)
        {
            plan.shape.strides[0] = channel;
            self.key.first_sample = self.key.first_sample.wrapping_mul(channels as u64);
            self.reshape(planes, if own { planes } else { 1 });
        }
        let plan = &mut self.plan;
        let one_scale =
            !matches!(plan.options.scale, Scale::Sample | Scale::Channel | Scale::PerPosition);
        let plane = plan.plane();
        if plan.rows.line && own && one_scale && (self.bits.is_some() || plane > CHUNK_BITS) {
            let per_sample = plan.shape.channels * plane;
            let first = self.key.first_sample.wrapping_mul(per_sample as u64);
            self.key.first_sample = first;
            self.unit = Some(0);
            plan.shape.map = Map::l(1);
            plan.shape.strides = [1; 5];
            plan.blocks.map = [1; 3];
            self.reshape(planes * plane, planes * plane);
        }
        self
    }

    /// Makes it samples of one channel.
    fn reshape(&mut self, samples: usize, mask_samples: usize) {
        self.plan.shape.samples = samples;
        self.plan.shape.channels = 1;
        self.plan.mask_samples = mask_samples;
        self.plan.mask_channels = 1;
        self.plan.rows = Rows::new(&self.plan.shape);
    }

    fn shared(&self) -> bool {
        self.plan.mask_samples < self.plan.shape.samples
    }

    /// The units of the mask that belong to one sample.
    fn sample_bits(&self) -> usize {
        self.plan.mask_channels * self.plan.plane()
    }

    /// Some of the samples.
    fn shard(&self, samples: &Range<usize>) -> Self {
        let mut shard = *self;
        let start = samples.start;
        shard.plan.shape.samples = samples.len();
        shard.plan.rows = Rows::new(&shard.plan.shape);
        shard.key.first_sample = self.key.first_sample.wrapping_add(start as u64);
        if self.shared() {
            shard.counted = start > 0;
            return shard;
        }
        shard.plan.mask_samples = samples.len();
        match &mut shard.unit {
            Some(unit) => *unit += start,
            None => shard.source.first_plane += (start * self.plan.mask_channels) as u64,
        }
        let first = start * self.sample_bits() / WORD_BITS;
        shard.bits = self.bits.map(|bits| bits.get(first..).unwrap_or_default());
        shard
    }

    /// Calls `run` for shards that together are this batch, each with its elements, and returns
    /// the sum of what it returns.
    pub(super) fn cut<T: Send + Sync>(
        &self,
        min_len: usize,
        tensor: Tensor<'_, T>,
        run: &(impl Fn(&Self, Tensor<'_, T>) -> u64 + Sync),
    ) -> u64 {
        let samples = self.plan.shape.samples;
        let sample = Shape { samples: 1, ..self.plan.shape };
        let extent = sample.extent().unwrap_or(0);
        let elements = self.plan.shape.channels * self.plan.plane();
        let min_len = if self.shared() && self.bits.is_none() {
            min_len.max(samples * elements / (2 * rayon::current_num_threads()))
        } else {
            min_len
        };
        let step = match (self.bits, self.unit) {
            (Some(_), _) if !self.shared() => aligned(self.sample_bits()),
            (None, Some(_)) => CHUNK_BITS,
            _ => 1,
        };
        let stride = self.plan.rows.sample;
        let step = if samples > 1 && stride < extent { samples } else { step };
        let min = min_len / elements.max(1);
        halve(0..samples, (step, min), (stride, extent), tensor, &|samples, tensor| {
            run(&self.shard(&samples), tensor)
        })
    }

    /// Calls `visit` as [`Source::for_each_tile`] does for all units of the mask, at once if it
    /// is at hand. Returns how many are dropped if it is not and no other shard counts them.
    pub(super) fn for_each_tile(&self, mut visit: impl FnMut(Range<usize>, &[u64])) -> u64 {
        let units = 0..self.plan.units();
        if let Some(bits) = self.bits {
            visit(units.clone(), bits.get(..words(units.end)).unwrap_or_default());
            return 0;
        }
        let first = self.unit.unwrap_or(0);
        let together = self.plan.planes_together();
        let units = first..first + units.len();
        let dropped = generate(&self.source, units, together, |units, bits| {
            visit(units.start - first..units.end - first, bits);
        });
        if self.counted { 0 } else { dropped }
    }
}

/// Halves samples, `stride` elements apart and each `extent` long, together with their elements.
fn halve<T: Send + Sync>(
    samples: Range<usize>,
    (step, min): (usize, usize),
    (stride, extent): (usize, usize),
    tensor: Tensor<'_, T>,
    run: &(impl Fn(Range<usize>, Tensor<'_, T>) -> u64 + Sync),
) -> u64 {
    if samples.len() <= step.max(min).max(1) {
        let len = samples.len().saturating_sub(1) * stride + extent;
        return run(samples, split(tensor, len).0);
    }
    let len = half(samples.len(), step);
    let middle = samples.start + len;
    let (first, second) = split(tensor, len * stride);
    let (a, b) = rayon::join(
        || halve(samples.start..middle, (step, min), (stride, extent), first, run),
        || halve(middle..samples.end, (step, min), (stride, extent), second, run),
    );
    a + b
}

/// The elements before `middle` and the others.
fn split<T>(tensor: Tensor<'_, T>, middle: usize) -> (Tensor<'_, T>, Tensor<'_, T>) {
    match tensor {
        Tensor::InPlace(y) => {
            let (first, second) = y.split_at_mut(middle.min(y.len()));
            (Tensor::InPlace(first), Tensor::InPlace(second))
        }
        Tensor::To(x, y, stores) => {
            let (x_first, x_second) = x.split_at(middle.min(x.len()));
            let (y_first, y_second) = y.split_at_mut(middle.min(y.len()));
            (Tensor::To(x_first, y_first, stores), Tensor::To(x_second, y_second, stores))
        }
    }
}
