//! The operations of a layer: arguments are checked, then kernels are enqueued.

use core::mem::size_of;

use bytemuck::Pod;

use crate::error::Buffer;
use crate::{DropCount, Element, Key, Scale};

use super::apply::drop_only;
use super::buffer::{check, check_apart};
use super::drawing::Blocks;
use super::driver::Region;
use super::enqueue::{Counts, Pair, addresses, apart, clear};
use super::geometry::Change;
use super::launch::parts;
use super::params::{Count, Kind, Periods, Scales, shift_of};
use super::{Error, Layer, Slice, SliceMut, Stream};

/// The operations of a [`Layer`] on one stream, made by [`Layer::pass`] and [`Layer::on`].
///
/// They check their arguments, enqueue their kernels and return: they neither take memory nor wait.
/// On an error of the arguments nothing has been enqueued. Errors of the work itself show when
/// something waits, as [`Stream::synchronize`] or [`Stream::download`] does.
///
/// Tensors and masks have the lengths of the plan's operations, in elements and 64-bit words, and
/// the same layouts. Words on the device are those of the host.
///
/// Graphs that are captured repeat the key that a call was given. With [`with_step`](Self::with_step)
/// the step is read when the graph runs.
///
/// ```no_run
/// # use dropblock::cuda::{Device, Layer};
/// # use dropblock::{DropBlock, Key, Shape};
/// # let device = Device::new(0)?;
/// # let plan = DropBlock::new(7, 0.1)?.plan(Shape::nchw(2, 8, 14, 14))?;
/// # let layer = Layer::new(&plan, &device.stream()?)?;
/// let mut mask = device.zeros::<u64>(plan.mask_words())?;
/// let mut x = device.upload(&vec![1.0_f32; plan.elements()])?;
/// let mut step = device.upload(&[17_u64])?;
/// let pass = layer.pass().with_step(step.slice())?;
/// pass.draw(Key::new(2024), mask.slice_mut(), None)?;
/// pass.forward_in_place(Key::new(2024), x.slice_mut(), None)?;
/// # Ok::<(), dropblock::cuda::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Pass<'a> {
    pub(super) layer: &'a Layer,
    pub(super) stream: &'a Stream,
    pub(super) workspace: Region<'a>,
    pub(super) step: Option<Region<'a>>,
    /// The count from which the scale of the tensor follows, if not that of the mask.
    pub(super) sum: Option<DropCount>,
}

impl<'a> Pass<'a> {
    pub(super) const fn new(layer: &'a Layer, stream: &'a Stream, workspace: Region<'a>) -> Self {
        Self { layer, stream, workspace, step: None, sum: None }
    }

    /// Takes the step from the memory of the device when the work runs, instead of that of the key.
    ///
    /// * `step`: one word.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Length`], [`Error::Null`], [`Error::Misaligned`], [`Error::OtherDevice`].
    pub fn with_step(self, step: Slice<'a, u64>) -> Result<Self, Error> {
        let (needed, given) = (1, step.len());
        if given != needed {
            return Err(crate::Error::Length { buffer: Buffer::Step, needed, given }.into());
        }
        check(step.region(), size_of::<u64>(), self.device())?;
        Ok(Self { step: Some(step.region()), ..self })
    }

    /// Sets the count from which the scale of the tensor follows, in place of that of the mask. For a
    /// shard of a batch that is the sum of the counts of all shards, known to the host. Counts that passes
    /// write stay those of the mask, and a backward pass needs none.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Count`] if no mask of the plan has a part of the sum, [`crate::Error::Scale`] as for
    /// [`Mask::with_count`](crate::Mask::with_count).
    pub fn with_count(self, sum: DropCount) -> Result<Self, Error> {
        let plan = self.plan();
        // The mask's own count is on the device: any that fits will do.
        plan.check_count(plan.count_of(sum.dropped.min(plan.units() as u64)), sum)?;
        let of_tensor = plan.layer().scale() == Scale::PerTensor;
        Ok(Self { sum: of_tensor.then_some(sum), ..self })
    }

    /// Writes the centres: stage 1. [`count`](Self::count) says how many there are.
    ///
    /// * `centers`: [`Plan::mask_words`](crate::Plan::mask_words) words or more, mask layout; the bit
    ///   of each block's centre is set, all others of these words are cleared.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Length`], [`crate::Error::FirstSample`]; [`Error::Null`],
    /// [`Error::Misaligned`], [`Error::OtherDevice`]; [`Error::Driver`].
    pub fn draw_centers(&self, key: Key, centers: SliceMut<'_, u64>) -> Result<(), Error> {
        let words = self.check_mask(centers.region(), centers.len())?;
        self.plan().source(key)?;
        let work = self.begin()?;
        self.generate(&work, key, &Blocks::centers(self.plan()), words, &Count::default())
    }

    /// Writes the mask: stages 1 and 2.
    ///
    /// * `mask`: [`Plan::mask_words`](crate::Plan::mask_words) words or more, as
    ///   [`Plan::draw`](crate::Plan::draw) writes them.
    /// * `counts`: [`Plan::groups`](crate::Plan::groups) words; the number of dropped units of
    ///   each scale group.
    ///
    /// # Errors
    ///
    /// Those of [`draw_centers`](Self::draw_centers), and [`Error::Overlap`].
    pub fn draw(
        &self,
        key: Key,
        mask: SliceMut<'_, u64>,
        counts: Option<SliceMut<'_, u64>>,
    ) -> Result<(), Error> {
        let words = self.check_mask(mask.region(), mask.len())?;
        let counts = self.check_counts_mut(counts)?;
        apart(counts, &[words])?;
        self.plan().source(key)?;
        let work = self.begin()?;
        if self.plan().drops_nothing() {
            clear(&work, counts)?;
            return work.clear(words);
        }
        let counts = counts.map_or(Counts::None, |counts| Counts::Made(Some(counts)));
        self.draw_to(&work, key, words, counts, None).map(|_| ())
    }

    /// Expands centres to the mask of their blocks: stage 2. Blocks of centres that lie outside the
    /// valid region are clipped at the border.
    ///
    /// * `centers`, `mask`: [`Plan::mask_words`](crate::Plan::mask_words) words or more, mask layout.
    ///   They must not overlap. Bits past the last unit are not read, and cleared in `mask`.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Length`]; [`Error::Null`], [`Error::Misaligned`], [`Error::Overlap`],
    /// [`Error::OtherDevice`]; [`Error::Driver`].
    pub fn dilate(&self, centers: Slice<'_, u64>, mask: SliceMut<'_, u64>) -> Result<(), Error> {
        let source = self.check_mask(centers.region(), centers.len())?;
        let destination = self.check_mask(mask.region(), mask.len())?;
        check_apart(source, destination)?;
        let (units, tile) = (self.plan().units(), self.layer.drawing.tile());
        let (source, destination) = (source.address(), destination.address());
        Blocks::around(self.plan()).dilate(&self.begin()?, units, tile, source, destination)
    }

    /// Counts the dropped units of each scale group of a mask.
    ///
    /// * `mask`: [`Plan::mask_words`](crate::Plan::mask_words) words or more.
    /// * `counts`: [`Plan::groups`](crate::Plan::groups) words.
    ///
    /// # Errors
    ///
    /// Those of [`dilate`](Self::dilate).
    pub fn count(&self, mask: Slice<'_, u64>, counts: SliceMut<'_, u64>) -> Result<(), Error> {
        let words = self.check_mask(mask.region(), mask.len())?;
        let counts = self.check_counts(counts.region(), counts.len())?;
        check_apart(words, counts)?;
        let work = self.begin()?;
        work.clear(counts)?;
        let (group, tile) = (self.layer.tensors.group() as u64, self.layer.drawing.tile());
        for (first, len) in parts(self.plan().units(), tile) {
            let words = words.address() + first as u64 / 8;
            let periods = Periods::new(group, first as u64);
            self.layer.drawing.count(&work, words, counts.address(), (first, len), periods)?;
        }
        Ok(())
    }

    /// Forward pass from `x` to `y`. See [`Plan::forward`](crate::Plan::forward).
    ///
    /// * `x`, `y`: [`Layer::extent`] elements in the plan's layout. They may
    ///   begin at the same address, but must not overlap otherwise. Elements between those of a
    ///   view are neither read nor written.
    /// * `counts`: `Some` of [`Plan::groups`](crate::Plan::groups) words, for the backward pass and
    ///   [`Layer::drop_count`]; or `None`.
    ///
    /// One kernel draws the mask, one applies it. Where scales follow from the counts of several groups,
    /// one between them makes the scales.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Length`], [`crate::Error::FirstSample`]; [`Error::Null`],
    /// [`Error::Misaligned`], [`Error::Overlap`], [`Error::OtherDevice`]; [`Error::Driver`].
    pub fn forward<T: Element>(
        &self,
        key: Key,
        x: Slice<'_, T>,
        y: SliceMut<'_, T>,
        counts: Option<SliceMut<'_, u64>>,
    ) -> Result<(), Error> {
        let pair = self.check_pair(x, &y)?;
        self.forward_pair(key, pair, counts)
    }

    /// Forward pass in place. See [`forward`](Self::forward).
    ///
    /// # Errors
    ///
    /// Those of [`forward`](Self::forward).
    pub fn forward_in_place<T: Element>(
        &self,
        key: Key,
        x: SliceMut<'_, T>,
        counts: Option<SliceMut<'_, u64>>,
    ) -> Result<(), Error> {
        let pair = self.check_in_place(&x)?;
        self.forward_pair(key, pair, counts)
    }

    /// Backward pass from the gradient of `y` to that of `x`: the same mask and scale, drawn anew
    /// from the key. See [`Plan::backward`](crate::Plan::backward).
    ///
    /// * `key`: the key of the forward pass.
    /// * `counts`: [`Plan::groups`](crate::Plan::groups) words as the forward pass wrote them. They
    ///   are needed for [`Scale::PerTensor`](crate::Scale::PerTensor), `PerSample` and `PerMap`, and not
    ///   read otherwise. Other numbers give other scales.
    /// * `dy`, `dx`: as `x` and `y` of [`forward`](Self::forward).
    ///
    /// # Errors
    ///
    /// Those of [`forward`](Self::forward), and [`Error::Counts`].
    pub fn backward<T: Element>(
        &self,
        key: Key,
        counts: Option<Slice<'_, u64>>,
        dy: Slice<'_, T>,
        dx: SliceMut<'_, T>,
    ) -> Result<(), Error> {
        let pair = self.check_pair(dy, &dx)?;
        self.backward_pair(key, pair, counts)
    }

    /// Backward pass in place. See [`backward`](Self::backward).
    ///
    /// # Errors
    ///
    /// Those of [`backward`](Self::backward).
    pub fn backward_in_place<T: Element>(
        &self,
        key: Key,
        counts: Option<Slice<'_, u64>>,
        dy: SliceMut<'_, T>,
    ) -> Result<(), Error> {
        let pair = self.check_in_place(&dy)?;
        self.backward_pair(key, pair, counts)
    }

    /// Applies a mask: stage 3, forward as well as backward. Dropped units become 0. See
    /// [`Mask::backward`](crate::Mask::backward).
    ///
    /// * `mask`: [`Plan::mask_words`](crate::Plan::mask_words) words or more.
    /// * `counts`: those of the mask, as for [`backward`](Self::backward).
    /// * `x`, `y`: as for [`forward`](Self::forward).
    ///
    /// # Errors
    ///
    /// [`crate::Error::Length`]; [`Error::Null`], [`Error::Misaligned`], [`Error::Overlap`],
    /// [`Error::OtherDevice`], [`Error::Counts`]; [`Error::Driver`].
    pub fn apply<T: Element>(
        &self,
        mask: Slice<'_, u64>,
        counts: Option<Slice<'_, u64>>,
        x: Slice<'_, T>,
        y: SliceMut<'_, T>,
    ) -> Result<(), Error> {
        let pair = self.check_pair(x, &y)?;
        self.apply_pair(mask, counts, pair)
    }

    /// Applies a mask in place. See [`apply`](Self::apply).
    ///
    /// # Errors
    ///
    /// Those of [`apply`](Self::apply).
    pub fn apply_in_place<T: Element>(
        &self,
        mask: Slice<'_, u64>,
        counts: Option<Slice<'_, u64>>,
        x: SliceMut<'_, T>,
    ) -> Result<(), Error> {
        let pair = self.check_in_place(&x)?;
        self.apply_pair(mask, counts, pair)
    }

    /// Drops without scaling: writes `zero` to dropped units and leaves the others as they are. See
    /// [`Plan::drop_only`](crate::Plan::drop_only).
    ///
    /// * `x`: [`Layer::extent`] elements of 1, 2, 4 or 8 bytes.
    /// * `counts`: as for [`forward`](Self::forward).
    ///
    /// # Errors
    ///
    /// [`Error::Type`] for elements of another size, and those of [`forward`](Self::forward).
    pub fn drop_only<T: Pod>(
        &self,
        key: Key,
        x: SliceMut<'_, T>,
        zero: T,
        counts: Option<SliceMut<'_, u64>>,
    ) -> Result<(), Error> {
        let shift = shift_of::<T>()?;
        let region = self.check_tensor::<T>(Buffer::Output, x.region(), x.len())?;
        let counts = self.check_counts_mut(counts)?;
        apart(counts, &[region])?;
        self.plan().source(key)?;
        let work = self.begin()?;
        if self.plan().drops_nothing() {
            return clear(&work, counts);
        }
        let counts = counts.map_or(Counts::None, |counts| Counts::Made(Some(counts)));
        self.draw_to(&work, key, self.own_mask(), counts, None)?;
        let at = addresses(region, region, self.own_mask());
        drop_only(&work, &self.layer.tensors, shift, at, bits_of(&zero))
    }

    /// Writes `value` to the units that a mask drops and leaves the others as they are. See
    /// [`Mask::drop_only`](crate::Mask::drop_only).
    ///
    /// * `mask`: [`Plan::mask_words`](crate::Plan::mask_words) words or more.
    /// * `x`: [`Layer::extent`] elements of 1, 2, 4 or 8 bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Type`] for elements of another size; [`crate::Error::Length`]; [`Error::Null`],
    /// [`Error::Misaligned`], [`Error::Overlap`], [`Error::OtherDevice`]; [`Error::Driver`].
    pub fn fill_dropped<T: Pod>(
        &self,
        mask: Slice<'_, u64>,
        x: SliceMut<'_, T>,
        value: T,
    ) -> Result<(), Error> {
        let shift = shift_of::<T>()?;
        let region = self.check_tensor::<T>(Buffer::Output, x.region(), x.len())?;
        let words = self.check_mask(mask.region(), mask.len())?;
        check_apart(words, region)?;
        let at = addresses(region, region, words);
        drop_only(&self.begin()?, &self.layer.tensors, shift, at, bits_of(&value))
    }

    /// Writes the noise of a key to the units that a mask drops and leaves the others as they are.
    /// It is what [`Mask::forward`](crate::Mask::forward) does after the mask is applied.
    ///
    /// * `mask`: [`Plan::mask_words`](crate::Plan::mask_words) words or more.
    /// * `x`: [`Layer::extent`] elements in the plan's layout.
    ///
    /// # Errors
    ///
    /// Those of [`forward`](Self::forward).
    pub fn fill_noise<T: Element>(
        &self,
        key: Key,
        mask: Slice<'_, u64>,
        x: SliceMut<'_, T>,
    ) -> Result<(), Error> {
        let pair = self.check_in_place(&x)?;
        let words = self.check_mask(mask.region(), mask.len())?;
        check_apart(words, pair.y)?;
        self.plan().source(key)?;
        let change = Change { value: None, keep: true };
        self.apply_words(&self.begin()?, key, words, Scales::same(0), pair, change)
    }

    // Checks.

    fn device(&self) -> usize {
        self.stream.inner().context().facts().ordinal
    }

    fn check_tensor<'r, T>(
        &self,
        buffer: Buffer,
        region: Region<'r>,
        len: usize,
    ) -> Result<Region<'r>, Error> {
        let needed = self.layer.extent();
        if len != needed {
            return Err(crate::Error::Length { buffer, needed, given: len }.into());
        }
        check(region, size_of::<T>(), self.device())?;
        Ok(region)
    }

    fn check_in_place<'r, T: Element>(&self, x: &SliceMut<'r, T>) -> Result<Pair<'r>, Error> {
        let x = self.check_tensor::<T>(Buffer::Output, x.region(), x.len())?;
        Ok(Pair { x, y: x, kind: Kind::of::<T>()? })
    }

    fn check_pair<'r, T: Element>(
        &self,
        x: Slice<'r, T>,
        y: &SliceMut<'r, T>,
    ) -> Result<Pair<'r>, Error> {
        let x = self.check_tensor::<T>(Buffer::Input, x.region(), x.len())?;
        let y = self.check_tensor::<T>(Buffer::Output, y.region(), y.len())?;
        if x.address() != y.address() {
            check_apart(x, y)?;
        }
        Ok(Pair { x, y, kind: Kind::of::<T>()? })
    }

    /// Returns the words that the plan's mask takes.
    pub(super) fn check_mask<'r>(
        &self,
        region: Region<'r>,
        given: usize,
    ) -> Result<Region<'r>, Error> {
        let needed = self.plan().mask_words();
        let part = region.part(0, needed.saturating_mul(size_of::<u64>()));
        let Some(part) = part.filter(|_| given >= needed) else {
            return Err(crate::Error::Length { buffer: Buffer::Mask, needed, given }.into());
        };
        check(part, size_of::<u64>(), self.device())?;
        Ok(part)
    }

    pub(super) fn check_counts<'r>(
        &self,
        region: Region<'r>,
        given: usize,
    ) -> Result<Region<'r>, Error> {
        let needed = self.plan().groups();
        if given != needed {
            return Err(crate::Error::Length { buffer: Buffer::Counts, needed, given }.into());
        }
        check(region, size_of::<u64>(), self.device())?;
        Ok(region)
    }

    pub(super) fn check_counts_mut<'r>(
        &self,
        counts: Option<SliceMut<'r, u64>>,
    ) -> Result<Option<Region<'r>>, Error> {
        counts.map(|counts| self.check_counts(counts.region(), counts.len())).transpose()
    }

    /// Checks counts that are read, and that they are there if the scale follows from them.
    pub(super) fn check_known_counts<'r>(
        &self,
        counts: Option<Slice<'r, u64>>,
        written: Region<'_>,
    ) -> Result<Option<Region<'r>>, Error> {
        let Some(counts) = counts else {
            return if self.is_counted() { Err(Error::Counts) } else { Ok(None) };
        };
        let counts = self.check_counts(counts.region(), counts.len())?;
        check_apart(counts, written)?;
        Ok(Some(counts))
    }
}

/// The bits of an element of 1, 2, 4 or 8 bytes, repeated to 8.
fn bits_of<T: Pod>(value: &T) -> u64 {
    let mut bytes = [0; 8];
    for (byte, &value) in bytes.iter_mut().zip(bytemuck::bytes_of(value).iter().cycle()) {
        *byte = value;
    }
    // As the device has them, which is little-endian as every host that it has.
    u64::from_le_bytes(bytes)
}
