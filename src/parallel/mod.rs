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

use batch::Batch;
use units::{CHUNK_BITS, aligned, fill_units, generate, sum};

use crate::apply::Tensor;
use crate::bits::WORD_BITS;
use crate::count::count;
use crate::error::Buffer;
use crate::fill::fill;
use crate::mask::Source;
use crate::spread::Scales;
use crate::{Dropped, Element, Error, Key, Plan, Scale};

mod batch;
mod units;

/// The fewest units that are worth a part of their own: about ten microseconds of work.
const MIN_LEN: usize = 1 << 16;

/// The parts for each thread by default.
const PARTS: usize = 2;

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
        Parallel { plan: self, min_len: None }
    }
}

/// The operations of a [`Plan`] on the threads of the current `rayon` pool, with the feature
/// `rayon`. Made by [`Plan::parallel`].
///
/// Each method takes, returns and refuses what the plan's method of the same name does, and
/// writes the same bits for any number of threads. Tensors are cut into samples, and where
/// channels lie like samples into maps, unless maps go row by row (views, scales per position) and
/// there are four samples or more for each thread; maps that follow one another without gaps are cut as
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
    /// [`MIN_LEN`] and not many parts for each thread if not set.
    min_len: Option<usize>,
}

impl Parallel<'_> {
    /// Sets the number of elements up to which a part is not divided further. If not set it is
    /// 65536, or half of a thread's share where that is more. No result depends on it.
    #[inline]
    #[must_use]
    pub const fn with_min_len(mut self, elements: usize) -> Self {
        self.min_len = Some(elements);
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
            let count =
                batch.cut(self.part(self.plan.len()), Tensor::InPlace(x), &|shard, tensor| {
                    let (Tensor::InPlace(y) | Tensor::To(_, y, _)) = tensor;
                    shard.for_each_tile(|units, bits| {
                        shard.plan.for_each_dropped_run(bits, units, |run| fill(y, run, zero));
                    })
                });
            filled.map_or(Dropped { count, of: plan.units() as u64 }, |(dropped, _)| dropped)
        }))
    }

    /// Whether the plan's own path is taken; it also makes all results of what drops nothing.
    fn is_serial(&self, len: usize) -> bool {
        len <= self.min_len() || self.plan.drops_nothing() || rayon::current_num_threads() == 1
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
        batch.cut(self.part(self.plan.len()), tensor, &|shard, mut tensor| {
            if let Scales::PerGroup = scales {
                if shard.plan.groups() == 1 && shard.plan.len() > self.min_len() {
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

    fn min_len(&self) -> usize {
        self.min_len.unwrap_or(MIN_LEN)
    }

    /// The length up to which a part is not divided. By default some parts for each thread, so that
    /// one that comes late finds work, but no more, as each costs a copy of the plan.
    fn part(&self, len: usize) -> usize {
        let share = len / (PARTS * rayon::current_num_threads());
        self.min_len.unwrap_or(MIN_LEN.max(share))
    }

    /// Stages 1 and 2 for the whole mask.
    fn fill(&self, source: &Source<'_>, mask: &mut [u64]) -> Dropped {
        let units = self.plan.units();
        let plane_bits = self.plan.plane();
        let min_len = self.part(units);
        // Whole planes where enough of them end at whole words.
        let aligned = aligned(plane_bits) * plane_bits;
        let share = units / (2 * PARTS * rayon::current_num_threads());
        let (step, min_len) = if aligned <= min_len.max(share) {
            (aligned, min_len)
        } else {
            (WORD_BITS, min_len.max(share))
        };
        let count = fill_units(source, 0..units, mask, step, min_len);
        Dropped { count, of: units as u64 }
    }

    fn count_bits(&self, bits: &[u64]) -> Dropped {
        let units = self.plan.units();
        // A unit costs a small part of what it costs elsewhere.
        let min_len = self.min_len().saturating_mul(WORD_BITS);
        let count = sum(0..units, WORD_BITS, min_len, &|units: Range<usize>| {
            count(self.plan.level(), bits, units)
        });
        Dropped { count, of: units as u64 }
    }

    /// Counts units without a buffer for their mask.
    fn count_source(&self, source: &Source<'_>, units: Range<usize>) -> u64 {
        let step = CHUNK_BITS.min(source.blocks.units() as usize);
        let part = self.part(units.len());
        sum(units, step, part, &|units: Range<usize>| generate(source, units, 1, |_, _| ()))
    }
}

/// Runs the whole of an operation on a thread of the pool, which is entered once.
fn inside<R: Send>(run: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| run())
}
