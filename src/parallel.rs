//! The operations on several threads, bit for bit as on one.
//!
//! The work is halved by `rayon::join` until a part is small enough, and each part runs the code
//! of the serial path on a *shard*: a copy of the plan with fewer samples, a source that begins
//! at a later plane, a key with a later first sample, and the shard's own parts of the buffers.
//! Bits, scales and noise are functions of the numbers of units and counts are sums of integers,
//! so nothing depends on where the cuts lie.
//!
//! Only samples are ever cut. Where channels lie like samples, N samples of C channels with masks
//! of their own are N C samples of one channel; and where the tensor is one line and has one
//! scale, each unit is a sample. So whole planes and parts of planes are cut by the same code.

use core::ops::Range;

use crate::apply::Tensor;
use crate::bits::{WORD_BITS, words};
use crate::count::count;
use crate::driver::CHUNK;
use crate::error::Buffer;
use crate::fill::fill;
use crate::mask::Source;
use crate::spread::Scales;
use crate::stride::Rows;
use crate::{Dropped, Element, Error, Key, Map, Plan, Scale, Shape};

/// The fewest units that are worth a part of their own: about ten microseconds of work.
const MIN_LEN: usize = 1 << 16;

/// The units of the chunk on the stack.
const CHUNK_BITS: usize = CHUNK * WORD_BITS;

impl Plan {
    /// Returns the same operations on the threads of the current `rayon` pool.
    ///
    /// # Examples
    ///
    /// ```
    /// use dropblock::{DropBlock, Key, Shape};
    ///
    /// let plan = DropBlock::new(7, 0.1)?.plan(Shape::nchw(4, 64, 28, 28))?;
    /// let (mut x, mut y) = (vec![1.0_f32; plan.len()], vec![1.0_f32; plan.len()]);
    /// let mut mask = vec![0; plan.mask_len()];
    /// let dropped = plan.parallel().forward_in_place(Key::new(1), &mut x, Some(&mut mask))?;
    /// assert_eq!(plan.forward_in_place(Key::new(1), &mut y, None), Ok(dropped));
    /// assert_eq!(x, y);
    /// # Ok::<(), dropblock::Error>(())
    /// ```
    #[inline]
    #[must_use]
    pub const fn parallel(&self) -> Parallel<'_> {
        Parallel { plan: self, min_len: MIN_LEN }
    }
}

/// The operations of a [`Plan`] on the threads of the current `rayon` pool, with the feature
/// `rayon`. Made by [`Plan::parallel`].
///
/// Each method takes, returns and refuses what the plan's method of the same name does, and
/// writes the same bits for any number of threads. Tensors are cut into samples, and where
/// channels lie like samples into maps; maps that follow one another without gaps are cut as
/// well, if they have one scale and more than 16384 units or a mask buffer. A stored mask is cut
/// at whole words, so that samples or maps of an odd size otherwise stay together by 64.
///
/// On one thread run tensors of no more elements than [`with_min_len`](Self::with_min_len) says,
/// plans that drop nothing, and stage 3 where samples do not follow one another in memory or
/// where a single sample has its channels last.
///
/// A buffer for the mask saves more than on one thread: without one, samples that share a mask
/// draw it anew in each part.
#[derive(Clone, Copy, Debug)]
pub struct Parallel<'p> {
    plan: &'p Plan,
    min_len: usize,
}

impl Parallel<'_> {
    /// Sets the number of elements up to which a part is not divided further, 65536 if not set.
    /// No result depends on it.
    #[inline]
    #[must_use]
    pub const fn with_min_len(mut self, elements: usize) -> Self {
        self.min_len = elements;
        self
    }

    /// Writes the mask. See [`Plan::mask`].
    ///
    /// # Errors
    ///
    /// Those of [`Plan::mask`].
    pub fn mask(&self, key: Key, mask: &mut [u64]) -> Result<Dropped, Error> {
        if self.is_serial(self.plan.units()) {
            return self.plan.mask(key, mask);
        }
        let source = self.plan.source(key)?;
        let mask = self.plan.mask_mut(mask)?;
        Ok(inside(|| self.fill(&source, mask)))
    }

    /// Counts the dropped units of a mask. See [`Plan::count`].
    ///
    /// # Errors
    ///
    /// Those of [`Plan::count`].
    pub fn count(&self, mask: &[u64]) -> Result<Dropped, Error> {
        let mask = self.plan.mask_ref(mask)?;
        if self.is_serial(self.plan.units() / WORD_BITS) {
            return self.plan.count(mask);
        }
        Ok(inside(|| self.count_bits(mask)))
    }

    /// Forward pass from `x` to `y`. See [`Plan::forward`].
    ///
    /// # Errors
    ///
    /// Those of [`Plan::forward`].
    pub fn forward<T: Element>(
        &self,
        key: Key,
        x: &[T],
        y: &mut [T],
        mask: Option<&mut [u64]>,
    ) -> Result<Dropped, Error> {
        self.run(key, self.plan.tensor(x, y)?, mask, None)
    }

    /// Forward pass in place. See [`Plan::forward_in_place`].
    ///
    /// # Errors
    ///
    /// Those of [`Plan::forward_in_place`].
    pub fn forward_in_place<T: Element>(
        &self,
        key: Key,
        x: &mut [T],
        mask: Option<&mut [u64]>,
    ) -> Result<Dropped, Error> {
        self.run(key, self.plan.tensor_in_place(x)?, mask, None)
    }

    /// Backward pass. See [`Plan::backward`].
    ///
    /// # Errors
    ///
    /// Those of [`Plan::backward`].
    pub fn backward<T: Element>(
        &self,
        key: Key,
        dropped: &Dropped,
        dy: &[T],
        dx: &mut [T],
    ) -> Result<(), Error> {
        self.plan.check_dropped(dropped)?;
        self.run(key, self.plan.tensor(dy, dx)?, None, Some(dropped))?;
        Ok(())
    }

    /// Backward pass in place. See [`Plan::backward_in_place`].
    ///
    /// # Errors
    ///
    /// Those of [`Plan::backward_in_place`].
    pub fn backward_in_place<T: Element>(
        &self,
        key: Key,
        dropped: &Dropped,
        dy: &mut [T],
    ) -> Result<(), Error> {
        self.plan.check_dropped(dropped)?;
        self.run(key, self.plan.tensor_in_place(dy)?, None, Some(dropped))?;
        Ok(())
    }

    /// Applies a mask. See [`Plan::apply`].
    ///
    /// # Errors
    ///
    /// Those of [`Plan::apply`].
    pub fn apply<T: Element>(
        &self,
        mask: &[u64],
        dropped: &Dropped,
        x: &[T],
        y: &mut [T],
    ) -> Result<(), Error> {
        self.apply_mask(mask, dropped, self.plan.tensor(x, y)?)
    }

    /// Applies a mask in place. See [`Plan::apply_in_place`].
    ///
    /// # Errors
    ///
    /// Those of [`Plan::apply_in_place`].
    pub fn apply_in_place<T: Element>(
        &self,
        mask: &[u64],
        dropped: &Dropped,
        x: &mut [T],
    ) -> Result<(), Error> {
        self.apply_mask(mask, dropped, self.plan.tensor_in_place(x)?)
    }

    /// Drops without scaling. See [`Plan::drop_only`].
    ///
    /// # Errors
    ///
    /// Those of [`Plan::drop_only`].
    pub fn drop_only<T: Copy + Send + Sync>(
        &self,
        key: Key,
        x: &mut [T],
        zero: T,
        mask: Option<&mut [u64]>,
    ) -> Result<Dropped, Error> {
        let plan = self.plan;
        if self.is_serial(plan.len()) {
            return plan.drop_only(key, x, zero, mask);
        }
        plan.check_tensor(Buffer::Output, x.len())?;
        let source = plan.source(key)?;
        let mask = mask.map(|mask| plan.mask_mut(mask)).transpose()?;
        Ok(inside(|| {
            let filled = mask.map(|mask| {
                let dropped = self.fill(&source, mask);
                (dropped, &*mask)
            });
            let mut batch = Batch::new(plan, key, source, filled.map(|(_, mask)| mask));
            // Values are dropped the same under any scale.
            batch.plan.options.scale = Scale::None;
            let batch = batch.finest();
            let count = batch.cut(self.min_len, Tensor::InPlace(x), &|shard, tensor| {
                let (Tensor::InPlace(y) | Tensor::To(_, y)) = tensor;
                shard.for_each_tile(|units, bits| {
                    shard.plan.for_each_dropped_run(bits, units, |run| fill(y, run, zero));
                })
            });
            filled.map_or(Dropped { count, of: plan.units() as u64 }, |(dropped, _)| dropped)
        }))
    }

    /// Whether the plan's own path is taken; it also makes all results of what drops nothing.
    fn is_serial(&self, len: usize) -> bool {
        len <= self.min_len || self.plan.drops_nothing() || rayon::current_num_threads() == 1
    }

    fn run<T: Element>(
        &self,
        key: Key,
        tensor: Tensor<'_, T>,
        mask: Option<&mut [u64]>,
        known: Option<&Dropped>,
    ) -> Result<Dropped, Error> {
        let plan = self.plan;
        if self.is_serial(plan.len()) {
            return plan.run(key, tensor, mask, known);
        }
        let source = plan.source(key)?;
        let mask = mask.map(|mask| plan.mask_mut(mask)).transpose()?;
        let forward = known.is_none();
        Ok(inside(|| {
            if let Some(mask) = mask {
                let dropped = self.fill(&source, mask);
                let batch = Batch::new(plan, key, source, Some(mask));
                self.finish(batch, tensor, Some(dropped), forward);
                return dropped;
            }
            let known = known.filter(|_| plan.options.scale == Scale::Tensor).copied();
            let batch = Batch::new(plan, key, source, None);
            let count = self.finish(batch, tensor, known, forward);
            Dropped { count, of: plan.units() as u64 }
        }))
    }

    fn apply_mask<T: Element>(
        &self,
        mask: &[u64],
        dropped: &Dropped,
        tensor: Tensor<'_, T>,
    ) -> Result<(), Error> {
        let plan = self.plan;
        plan.check_dropped(dropped)?;
        let mask = plan.mask_ref(mask)?;
        if self.is_serial(plan.len()) {
            return plan.apply_mask(mask, dropped, tensor);
        }
        // Any key: nothing is drawn.
        let key = Key::new(0);
        let batch = Batch::new(plan, key, plan.source(key)?, Some(mask));
        let known = (plan.options.scale == Scale::Tensor).then_some(*dropped);
        inside(|| self.finish(batch, tensor, known, false));
        Ok(())
    }

    /// Stage 3 of a pass, and the other two where there is no mask yet; then returns how many
    /// units are dropped. `known` is the count of the whole mask.
    fn finish<T: Element>(
        &self,
        batch: Batch<'_>,
        tensor: Tensor<'_, T>,
        known: Option<Dropped>,
        forward: bool,
    ) -> u64 {
        let mut batch = batch;
        if batch.plan.groups() == 1
            && matches!(batch.plan.options.scale, Scale::Sample | Scale::Channel)
        {
            batch.plan.options.scale = Scale::Tensor;
        }
        let dropped = match (known, batch.bits) {
            (Some(dropped), _) => dropped,
            (None, Some(bits)) if batch.plan.options.scale == Scale::Tensor => {
                let whole = Parallel { plan: &batch.plan, min_len: self.min_len };
                whole.count_bits(bits)
            }
            (None, None) if batch.plan.options.scale == Scale::Tensor => {
                let units = batch.plan.units();
                Dropped { count: self.count_source(&batch.source, 0..units), of: units as u64 }
            }
            (None, _) => Dropped::default(),
        };
        let scales = batch.plan.scales::<T>(&dropped);
        let batch = batch.finest();
        batch.cut(self.min_len, tensor, &|shard, mut tensor| {
            if let Scales::PerGroup = scales {
                if shard.plan.groups() == 1 && shard.plan.len() > self.min_len {
                    return self.finish(*shard, tensor, None, forward);
                }
                if shard.bits.is_none() {
                    let any = Dropped::default();
                    let known = (!forward).then_some(&any);
                    let source = &shard.source;
                    let all = shard.plan.run_in_tiles(shard.key, source, &mut tensor, known);
                    return if shard.counted { 0 } else { all.count };
                }
            }
            shard.for_each_tile(|units, bits| {
                shard.plan.finish(shard.key, &mut tensor, bits, units, scales, forward);
            })
        })
    }

    /// Stages 1 and 2 for the whole mask.
    fn fill(&self, source: &Source<'_>, mask: &mut [u64]) -> Dropped {
        let units = self.plan.units();
        let plane_bits = self.plan.plane();
        let share = units / (4 * rayon::current_num_threads());
        // Whole planes where enough of them end at whole words.
        let aligned = aligned(plane_bits) * plane_bits;
        let (step, min_len) = if aligned <= share.max(self.min_len) {
            (aligned, self.min_len)
        } else {
            (WORD_BITS, share.max(self.min_len))
        };
        let count = fill_units(source, 0..units, mask, step, min_len);
        Dropped { count, of: units as u64 }
    }

    fn count_bits(&self, bits: &[u64]) -> Dropped {
        let units = self.plan.units();
        // A unit costs a small part of what it costs elsewhere.
        let min_len = self.min_len.saturating_mul(WORD_BITS);
        let count = sum(0..units, WORD_BITS, min_len, &|units: Range<usize>| {
            count(self.plan.level(), bits, units)
        });
        Dropped { count, of: units as u64 }
    }

    /// Counts units without a buffer for their mask.
    fn count_source(&self, source: &Source<'_>, units: Range<usize>) -> u64 {
        let plane_bits = source.blocks.units() as usize;
        sum(units, plane_bits.min(CHUNK_BITS), self.min_len, &|units: Range<usize>| {
            let mut sum = 0;
            generate(source, units, |units, bits| sum += count(source.level, bits, 0..units.len()));
            sum
        })
    }
}

/// Some samples: everything that stage 3 has to know of them but their elements.
#[derive(Clone, Copy)]
struct Batch<'a> {
    /// With the number of samples of these; the extent is not kept up.
    plan: Plan,
    /// For noise: the number of the first sample.
    key: Key,
    /// The mask of the samples begins at its plane 0.
    source: Source<'a>,
    /// The mask, if it is at hand: bit 0 is the first unit.
    bits: Option<&'a [u64]>,
    /// Whether another shard counts the units of this one, as both have the same mask.
    counted: bool,
    /// The first unit, where each unit is a sample, of those of the source.
    unit: Option<usize>,
}

impl<'a> Batch<'a> {
    fn new(plan: &Plan, key: Key, source: Source<'a>, bits: Option<&'a [u64]>) -> Self {
        Self { plan: *plan, key, source, bits, counted: false, unit: None }
    }

    /// The same elements as the smallest samples that are possible.
    fn finest(mut self) -> Self {
        let plan = &mut self.plan;
        let Shape { samples, channels, strides: [sample, channel, ..], .. } = plan.shape;
        let (planes, mask_planes) = (plan.planes(), plan.mask_planes());
        let own = planes == mask_planes;
        let grouped = plan.options.scale == Scale::Sample && mask_planes > 1;
        let map = Shape { samples: 1, channels: 1, ..plan.shape };
        if channels > 1
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
    fn cut<T: Send + Sync>(
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
    fn for_each_tile(&self, mut visit: impl FnMut(Range<usize>, &[u64])) -> u64 {
        let units = 0..self.plan.units();
        if let Some(bits) = self.bits {
            visit(units.clone(), bits.get(..words(units.end)).unwrap_or_default());
            return 0;
        }
        let mut sum = 0;
        let first = self.unit.unwrap_or(0);
        generate(&self.source, first..first + units.len(), |units, bits| {
            sum += count(self.plan.level(), bits, 0..units.len());
            visit(units.start - first..units.end - first, bits);
        });
        if self.counted { 0 } else { sum }
    }
}

/// The fewest runs of `bits` bits that end at a whole word.
const fn aligned(bits: usize) -> usize {
    let zeros = bits.trailing_zeros();
    let most = WORD_BITS.trailing_zeros();
    WORD_BITS >> if zeros < most { zeros } else { most }
}

/// Half of `len` in multiples of `step`, for a length above the step.
fn half(len: usize, step: usize) -> usize {
    (len / 2).next_multiple_of(step)
}

/// Runs the whole of an operation on a thread of the pool, which is entered once.
fn inside<R: Send>(run: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| run())
}

/// Sums `part` over parts of the range, each a multiple of `step` but the last.
fn sum(
    range: Range<usize>,
    step: usize,
    min_len: usize,
    part: &(impl Fn(Range<usize>) -> u64 + Sync),
) -> u64 {
    if range.len() <= step.max(min_len) {
        return part(range);
    }
    let middle = range.start + half(range.len(), step);
    let (a, b) = rayon::join(
        || sum(range.start..middle, step, min_len, part),
        || sum(middle..range.end, step, min_len, part),
    );
    a + b
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
        Tensor::To(x, y) => {
            let (x_first, x_second) = x.split_at(middle.min(x.len()));
            let (y_first, y_second) = y.split_at_mut(middle.min(y.len()));
            (Tensor::To(x_first, y_first), Tensor::To(x_second, y_second))
        }
    }
}

/// Fills the mask of some units, of which the first begins a word, and counts the dropped ones.
/// `step` is a number of whole words, and perhaps of whole planes.
fn fill_units(
    source: &Source<'_>,
    units: Range<usize>,
    mask: &mut [u64],
    step: usize,
    min_len: usize,
) -> u64 {
    let plane_bits = source.blocks.units() as usize;
    if units.len() > step.max(min_len) {
        let len = half(units.len(), step);
        let (first, second) = mask.split_at_mut((len / WORD_BITS).min(mask.len()));
        let middle = units.start + len;
        let (a, b) = rayon::join(
            || fill_units(source, units.start..middle, first, step, min_len),
            || fill_units(source, middle..units.end, second, step, min_len),
        );
        return a + b;
    }
    if let Some(planes) = whole_planes(plane_bits, &units) {
        let first_plane = source.first_plane + planes.start as u64;
        Source { first_plane, ..*source }.fill(planes.len(), mask);
    } else {
        let mut start = units.start;
        while start < units.end {
            let (word, shift) = ((start - units.start) / WORD_BITS, start % WORD_BITS);
            let (plane, window) = window(plane_bits, start..units.end);
            let rest = mask.get_mut(word..).unwrap_or_default();
            if shift == 0 {
                start += window.len();
                let len = words(window.len()).min(rest.len());
                source.fill_window(plane, window, &mut rest[..len]);
            } else {
                // The rest of a word that the plane before it has begun.
                let end = window.end.min(window.start + WORD_BITS - shift);
                start += end - window.start;
                let mut head = [0];
                source.fill_window(plane, window.start..end, &mut head);
                if let ([word, ..], [head]) = (rest, head) {
                    *word |= head << shift;
                }
            }
        }
    }
    count(source.level, mask, 0..units.len())
}

/// Calls `visit` as [`Source::for_each_tile`] does, for units that may begin anywhere.
fn generate(source: &Source<'_>, units: Range<usize>, mut visit: impl FnMut(Range<usize>, &[u64])) {
    let mut chunk = [0; CHUNK];
    let plane_bits = source.blocks.units() as usize;
    if let Some(planes) = whole_planes(plane_bits, &units) {
        return source.for_each_tile(planes, 1, &mut chunk, visit);
    }
    let mut start = units.start;
    while start < units.end {
        let (plane, window) = window(plane_bits, start..units.end.min(start + CHUNK_BITS));
        let end = start + window.len();
        let bits = &mut chunk[..words(window.len())];
        source.fill_window(plane, window, bits);
        visit(start..end, bits);
        start = end;
    }
}

/// The planes that units are, if they are whole.
fn whole_planes(plane_bits: usize, units: &Range<usize>) -> Option<Range<usize>> {
    let planes = units.start / plane_bits..units.end / plane_bits;
    (planes.start * plane_bits == units.start && planes.end * plane_bits == units.end)
        .then_some(planes)
}

/// The plane of the first unit, and those of the units that lie in it.
fn window(plane_bits: usize, units: Range<usize>) -> (usize, Range<usize>) {
    let plane = units.start / plane_bits;
    let first = plane * plane_bits;
    (plane, units.start - first..plane_bits.min(units.end - first))
}
