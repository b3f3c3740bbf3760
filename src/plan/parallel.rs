//! Passes on several threads, bit for bit as on one.
//!
//! The work is halved by `rayon::join` until a part is small enough, and each part runs the code
//! of one thread on a *shard*: the same pass with fewer samples, a source that begins at a later
//! plane and its own parts of the buffers. Bits, scales and noise are functions of the numbers of
//! units and counts are sums of integers, so nothing depends on where the cuts lie.
//!
//! Only samples are ever cut. Where channels lie like samples, N samples of C channels with masks
//! of their own are N C samples of one channel.

use core::ops::Range;

use super::Plan;
use super::geometry::Geometry;
use super::pass::Pass;
use super::scale::Rule;
use crate::apply::Tensor;
use crate::bits::WORD_BITS;
use crate::mask::{Source, ignore};
use crate::{DropCount, Element};

/// The fewest elements that are worth a part of their own: about ten microseconds of work.
const MIN_PART: usize = 1 << 16;

/// The parts for each thread, so that one that comes late finds work.
const PARTS: usize = 2;

/// How work is cut for threads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Threads {
    min_part: Option<usize>,
}

impl Plan {
    /// Runs the operations on the threads of the current `rayon` pool, with the same bits for any
    /// number of threads. It is a setting of the machine: a plan with it equals the plan without it.
    ///
    /// * `min_part`: parts of this many elements or fewer are not divided further. `None` means 65536,
    ///   or half of a thread's share if that is more. No result depends on it.
    ///
    /// Tensors are cut into samples, or into maps where channels follow one another as samples do. A
    /// stored mask is cut at whole words, so 64 maps of an odd size stay together. Small tensors, plans
    /// that drop nothing, and views that are flipped or whose samples interleave are not cut.
    ///
    /// With threads a mask buffer saves more than without: if samples share a mask and there is no
    /// buffer, each part draws the mask again.
    ///
    /// ```
    /// use dropblock::{DropBlock, Key, Shape};
    ///
    /// let plan = DropBlock::new(7, 0.1)?.plan(Shape::nchw(4, 64, 28, 28))?;
    /// let (mut x, mut y) = (vec![1.0_f32; plan.elements()], vec![1.0_f32; plan.elements()]);
    /// let drawn = plan.in_parallel(None).forward_in_place(Key::new(1), &mut x)?;
    /// assert_eq!(plan.forward_in_place(Key::new(1), &mut y), Ok(drawn));
    /// assert_eq!(x, y);
    /// # Ok::<(), dropblock::Error>(())
    /// ```
    #[inline]
    #[must_use]
    pub const fn in_parallel(mut self, min_part: Option<usize>) -> Self {
        self.threads = Some(Threads { min_part });
        self
    }

    /// How so many elements or units are cut, if that is worth it.
    pub(super) fn threads_for(&self, len: usize) -> Option<Threads> {
        self.threads.filter(|threads| {
            len > threads.min_part.unwrap_or(MIN_PART)
                && !self.drops_nothing()
                && rayon::current_num_threads() > 1
        })
    }
}

impl Threads {
    /// The length up to which a part is not divided, of a whole of `len`.
    fn part(self, len: usize) -> usize {
        self.min_part.unwrap_or(MIN_PART.max(len / (PARTS * rayon::current_num_threads())))
    }

    /// Stages 1 and 2 for a mask of so many planes.
    pub(super) fn fill(self, source: &Source<'_>, planes: usize, words: &mut [u64]) -> u64 {
        let plane = source.sampler.plane_bits();
        let (step, min) = (aligned(plane), self.part(planes * plane) / plane.max(1));
        inside(|| fill(source, 0..planes, words, step, min))
    }

    /// Counts the mask without a buffer.
    pub(super) fn count(self, source: &Source<'_>, planes: usize) -> u64 {
        let plane = source.sampler.plane_bits();
        let min = self.part(planes * plane) / plane.max(1);
        inside(|| count(source, 0..planes, min))
    }

    /// A pass without a buffer. Returns how many units are dropped.
    pub(super) fn run<T: Element>(
        self,
        pass: &Pass<'_>,
        tensor: Tensor<'_, T>,
        known: Option<DropCount>,
    ) -> u64 {
        let geometry = pass.geometry;
        let planes = geometry.mask_planes();
        let is_one_group = geometry.group_planes == planes;
        let known = match pass.rule {
            Rule::Counted if is_one_group => known.or_else(|| {
                let dropped = self.count(&pass.source, planes);
                Some(DropCount { dropped, total: geometry.units() as u64 })
            }),
            _ => None,
        };
        let shard = Shard::new(pass, None);
        inside(|| {
            shard.cut(self, tensor, &|shard, mut tensor| {
                let mut shard = *shard;
                if known.is_some() {
                    shard.geometry.group_planes = shard.geometry.mask_planes();
                }
                let dropped = shard.pass().run_in_tiles(&mut tensor, known);
                if shard.is_counted { 0 } else { dropped }
            })
        })
    }

    /// Stage 3 with a mask that is at hand.
    pub(super) fn apply<T: Element>(
        self,
        pass: &Pass<'_>,
        tensor: &mut Tensor<'_, T>,
        words: &[u64],
        scale: Option<T::Scale>,
    ) {
        let shard = Shard::new(pass, Some(words));
        let tensor = tensor.from(0);
        inside(|| {
            shard.cut(self, tensor, &|shard, mut tensor| {
                let pass = shard.pass();
                pass.apply(&mut tensor, &pass.tile(shard.words.unwrap_or_default()), scale, &[]);
                0
            })
        });
    }

    /// Drops without scaling. Returns how many units are dropped if the mask is not at hand.
    pub(super) fn drop_only<T: Copy + Send + Sync>(
        self,
        pass: &Pass<'_>,
        tensor: &mut Tensor<'_, T>,
        words: Option<&[u64]>,
        value: T,
    ) -> u64 {
        let mut shard = Shard::new(pass, words);
        // Values are dropped the same under any scale.
        shard.geometry.group_planes = shard.geometry.mask_planes();
        let tensor = tensor.from(0);
        inside(|| {
            shard.cut(self, tensor, &|shard, mut tensor| match shard.words {
                Some(words) => {
                    let pass = shard.pass();
                    pass.drop_only(&mut tensor, &pass.tile(words), value);
                    0
                }
                None => {
                    let dropped = shard.pass().drop_in_tiles(&mut tensor, value);
                    if shard.is_counted { 0 } else { dropped }
                }
            })
        })
    }
}

/// Some samples of a pass.
#[derive(Clone, Copy)]
struct Shard<'p> {
    /// Of the whole; geometry and rows are those of the samples.
    pass: Pass<'p>,
    geometry: Geometry,
    /// The mask, if it is at hand: bit 0 is the first unit.
    words: Option<&'p [u64]>,
    /// Whether another shard counts the units of this one, as both have the same mask.
    is_counted: bool,
}

impl<'p> Shard<'p> {
    fn new(pass: &Pass<'p>, words: Option<&'p [u64]>) -> Self {
        let geometry = *pass.geometry;
        Self { pass: *pass, geometry, words, is_counted: false }.finest()
    }

    fn pass(&self) -> Pass<'_> {
        Pass { geometry: &self.geometry, ..self.pass }
    }

    /// The same elements as the smallest samples that are possible.
    fn finest(mut self) -> Self {
        let (mut rows, rule) = (*self.pass.rows(), self.pass.rule);
        let geometry = &mut self.geometry;
        let (samples, channels) = (geometry.samples, geometry.channels);
        let mask_planes = geometry.mask_planes();
        let is_own = geometry.is_unshared();
        // Groups of several maps, but not of all.
        let is_grouped =
            !matches!(geometry.group_planes, 1) && geometry.group_planes != mask_planes;
        // What goes row by row does a row of all channels at once, so that they stay together where
        // there are samples enough.
        let by_row = !rows.line || matches!(rule, Rule::PerPosition);
        let is_enough = samples >= 2 * PARTS * rayon::current_num_threads();
        if channels > 1
            && !(by_row && is_enough)
            && (samples == 1 || rows.sample == channels as isize * rows.channel)
            && rows.extent(1, geometry.plane).is_some_and(|len| len as isize <= rows.channel)
            && (is_own && !is_grouped || mask_planes == 1)
        {
            rows.sample = rows.channel;
            self.pass.view = Some(rows);
            let is_one_group = geometry.group_planes == mask_planes;
            geometry.samples = samples * channels;
            geometry.channels = 1;
            geometry.mask_samples = if is_own { samples * channels } else { 1 };
            geometry.mask_channels = 1;
            geometry.group_planes = if is_one_group { geometry.mask_samples } else { 1 };
        }
        self
    }

    fn is_shared(&self) -> bool {
        self.geometry.mask_samples < self.geometry.samples
    }

    /// Some of the samples.
    fn part(&self, samples: &Range<usize>) -> Self {
        let mut shard = *self;
        let (Pass { source, noise, .. }, geometry) = (&mut shard.pass, &mut shard.geometry);
        let start = samples.start;
        if let Some((_, first)) = noise {
            let units = (start * geometry.channels * geometry.plane) as u64;
            *first = first.wrapping_add(units);
        }
        geometry.samples = samples.len();
        if self.is_shared() {
            shard.is_counted = start > 0;
            return shard;
        }
        if geometry.group_planes == geometry.mask_planes() {
            geometry.group_planes = samples.len() * geometry.mask_channels;
        }
        geometry.mask_samples = samples.len();
        *source = source.skip(start * geometry.mask_channels);
        let first = start * geometry.mask_channels * geometry.plane / WORD_BITS;
        shard.words = self.words.map(|words| words.get(first..).unwrap_or_default());
        shard
    }

    /// Calls `run` for shards that together are this one, each with its elements, and returns the
    /// sum of what it returns.
    fn cut<T: Copy + Send + Sync>(
        &self,
        threads: Threads,
        tensor: Tensor<'_, T>,
        run: &(impl Fn(&Self, Tensor<'_, T>) -> u64 + Sync),
    ) -> u64 {
        let (geometry, rows) = (&self.geometry, self.pass.rows());
        let samples = geometry.samples;
        let elements = geometry.channels * geometry.plane;
        let extent = rows.extent(geometry.channels, geometry.plane);
        let Some(extent) = extent.filter(|&extent| samples <= 1 || extent as isize <= rows.sample)
        else {
            return run(self, tensor);
        };
        let mut min = threads.part(samples * elements);
        if self.is_shared() && self.words.is_none() {
            min = min.max(samples * elements / (2 * rayon::current_num_threads()));
        }
        let step = match self.words {
            Some(_) if !self.is_shared() => aligned(geometry.mask_channels * geometry.plane),
            _ => 1,
        };
        let cut =
            Cut { step, min: min / elements.max(1), stride: rows.sample.unsigned_abs(), extent };
        halve(0..samples, &cut, tensor, &|samples, tensor| run(&self.part(&samples), tensor))
    }
}

/// How samples are cut: in multiples of `step`, not below `min`; `stride` elements apart, each
/// `extent` long.
struct Cut {
    step: usize,
    min: usize,
    stride: usize,
    extent: usize,
}

/// Halves samples together with their elements.
fn halve<T: Copy + Send + Sync>(
    samples: Range<usize>,
    cut: &Cut,
    tensor: Tensor<'_, T>,
    run: &(impl Fn(Range<usize>, Tensor<'_, T>) -> u64 + Sync),
) -> u64 {
    if samples.len() <= cut.step.max(cut.min).max(1) {
        let len = samples.len().saturating_sub(1) * cut.stride + cut.extent;
        return run(samples, tensor.split(len).0);
    }
    let len = half(samples.len(), cut.step);
    let middle = samples.start + len;
    let (first, second) = tensor.split(len * cut.stride);
    let (a, b) = rayon::join(
        || halve(samples.start..middle, cut, first, run),
        || halve(middle..samples.end, cut, second, run),
    );
    a + b
}

/// Fills the mask of some planes, of which the first begins a word, and counts the dropped units.
fn fill(
    source: &Source<'_>,
    planes: Range<usize>,
    words: &mut [u64],
    step: usize,
    min: usize,
) -> u64 {
    if planes.len() <= step.max(min) {
        return source.skip(planes.start).fill(planes.len(), words, ignore);
    }
    let len = half(planes.len(), step);
    let middle = planes.start + len;
    let words_before = len * source.sampler.plane_bits() / WORD_BITS;
    let (first, second) = words.split_at_mut(words_before.min(words.len()));
    let (a, b) = rayon::join(
        || fill(source, planes.start..middle, first, step, min),
        || fill(source, middle..planes.end, second, step, min),
    );
    a + b
}

/// Counts the mask of some planes without a buffer.
fn count(source: &Source<'_>, planes: Range<usize>, min: usize) -> u64 {
    if planes.len() <= min.max(1) {
        return source.count(planes);
    }
    let middle = planes.start + half(planes.len(), 1);
    let (a, b) = rayon::join(
        || count(source, planes.start..middle, min),
        || count(source, middle..planes.end, min),
    );
    a + b
}

/// The fewest runs of `bits` bits that end at a whole word.
const fn aligned(bits: usize) -> usize {
    let zeros = bits.trailing_zeros();
    let most = WORD_BITS.trailing_zeros();
    WORD_BITS >> if zeros < most { zeros } else { most }
}

/// Half of `len` in multiples of `step`, for a length above the step.
const fn half(len: usize, step: usize) -> usize {
    (len / 2).next_multiple_of(step)
}

/// Runs the whole of an operation on a thread of the pool, which is entered once.
fn inside<R: Send>(run: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| run())
}
