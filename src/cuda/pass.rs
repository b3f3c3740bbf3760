//! The operations of a layer: arguments are checked, then kernels are enqueued.

use bytemuck::Pod;

use crate::error::Buffer;
use crate::{Element, Fill, Key};

use super::buffer::{check, check_apart};
use super::driver::Region;
use super::geometry::{Change, Order, wide};
use super::launch::Cut;
use super::params::{Call, Kind, Mask, Scales, Width};
use super::{Error, Layer, Slice, SliceMut};

/// The tensor of one pass: it is changed in place where both are the same.
#[derive(Clone, Copy)]
struct Pair<'a> {
    x: Region<'a>,
    y: Region<'a>,
    kind: Kind,
}

impl Layer {
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
        let mask = self.mask_of(key, true)?;
        self.generate(mask, words, None)
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
        let mask = self.mask_of(key, false)?;
        self.clear(counts)?;
        if self.plan().drops_nothing() {
            return self.clear(Some(words));
        }
        self.generate(mask, words, counts)
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
        let mut mask = self.mask_of(Key::new(0), false)?;
        mask.before = wide(self.plan().sampler.blocks.before);
        let (source, destination) = (source.address(), destination.address());
        self.launch(&Call::DilateBits { source, destination, mask }, self.plan().units())
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
        self.clear(Some(counts))?;
        let call = Call::Count {
            words: words.address(),
            counts: counts.address(),
            planes: self.plan().geometry.mask_planes() as u64,
            plane: self.plan().geometry.plane as u64,
            group_planes: self.plan().geometry.group_planes as u64,
        };
        self.launch(&call, self.plan().units())
    }

    /// Forward pass from `x` to `y`. See [`Plan::forward`](crate::Plan::forward).
    ///
    /// * `x`, `y`: [`extent`](Self::extent) elements in the plan's layout. They may
    ///   begin at the same address, but must not overlap otherwise. Elements between those of a
    ///   view are neither read nor written.
    /// * `counts`: `Some` of [`Plan::groups`](crate::Plan::groups) words, for the backward pass and
    ///   [`drop_count`](Self::drop_count); or `None`.
    ///
    /// One kernel does it all where the scale is known beforehand, each unit has one element and
    /// channels are not last; otherwise one draws the mask and one applies it.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Length`], [`crate::Error::FirstSample`]; [`Error::Null`],
    /// [`Error::Misaligned`], [`Error::Overlap`], [`Error::OtherDevice`]; [`Error::Driver`].
    pub fn forward<T: Element>(
        &mut self,
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
        &mut self,
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
        &mut self,
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
        &mut self,
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
    /// * `x`: [`extent`](Self::extent) elements of 1, 2, 4 or 8 bytes.
    /// * `counts`: as for [`forward`](Self::forward).
    ///
    /// # Errors
    ///
    /// [`Error::Type`] for elements of another size, and those of [`forward`](Self::forward).
    pub fn drop_only<T: Pod>(
        &mut self,
        key: Key,
        x: SliceMut<'_, T>,
        zero: T,
        counts: Option<SliceMut<'_, u64>>,
    ) -> Result<(), Error> {
        let width = Width::of::<T>()?;
        let region = self.check_tensor::<T>(Buffer::Output, x.region(), x.len())?;
        let counts = self.check_counts_mut(counts)?;
        apart(counts, &[region])?;
        let mask = self.mask_of(key, false)?;
        self.clear(counts)?;
        if self.plan().drops_nothing() {
            return Ok(());
        }
        let change = Change { value: Some(bits_of(&zero)), keep: true };
        let at = (region.address(), region.address());
        let group_planes = self.plan().geometry.group_planes as u64;
        if self.tensors.is_fusable() {
            let tensor = self.tensors.device_tensor(key, Order::Units, at, change);
            let (scales, counts) = (Scales::factor(1.0), address(counts));
            let call = Call::FusedDrop { width, mask, scales, tensor, counts, group_planes };
            return self.launch(&call, self.plan().units());
        }
        self.generate(mask, self.own_mask(), counts)?;
        let tensor = self.tensors.device_tensor(key, Order::Memory, at, change);
        let words = self.own_mask().address();
        self.launch(&Call::Drop { width, words, tensor }, self.plan().elements())
    }

    /// Writes `value` to the units that a mask drops and leaves the others as they are. See
    /// [`Mask::drop_only`](crate::Mask::drop_only).
    ///
    /// * `mask`: [`Plan::mask_words`](crate::Plan::mask_words) words or more.
    /// * `x`: [`extent`](Self::extent) elements of 1, 2, 4 or 8 bytes.
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
        let width = Width::of::<T>()?;
        let region = self.check_tensor::<T>(Buffer::Output, x.region(), x.len())?;
        let words = self.check_mask(mask.region(), mask.len())?;
        check_apart(words, region)?;
        let change = Change { value: Some(bits_of(&value)), keep: true };
        let at = (region.address(), region.address());
        let tensor = self.tensors.device_tensor(Key::new(0), Order::Memory, at, change);
        self.launch(&Call::Drop { width, words: words.address(), tensor }, self.plan().elements())
    }

    /// Writes the noise of a key to the units that a mask drops and leaves the others as they are.
    /// It is what [`Mask::forward`](crate::Mask::forward) does after the mask is applied.
    ///
    /// * `mask`: [`Plan::mask_words`](crate::Plan::mask_words) words or more.
    /// * `x`: [`extent`](Self::extent) elements in the plan's layout.
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
        self.apply_words(key, words, Scales::factor(1.0), pair, change)
    }

    fn forward_pair(
        &self,
        key: Key,
        pair: Pair<'_>,
        counts: Option<SliceMut<'_, u64>>,
    ) -> Result<(), Error> {
        let counts = self.check_counts_mut(counts)?;
        apart(counts, &[pair.x, pair.y])?;
        let mask = self.mask_of(key, false)?;
        let counted = self.tensors.is_counted() && !self.plan().drops_nothing();
        let counts = counts.or(counted.then(|| self.own_counts()));
        self.clear(counts)?;
        let noise = self.plan().layer().fill == Fill::Noise;
        let change = Change { value: (!noise).then_some(0), keep: false };
        if !counted {
            return self.known_pass(key, mask, pair, counts, change);
        }
        let words = self.own_mask();
        self.generate(mask, words, counts)?;
        self.apply_words(key, words, self.counted_scales(counts), pair, change)
    }

    fn backward_pair(
        &self,
        key: Key,
        pair: Pair<'_>,
        counts: Option<Slice<'_, u64>>,
    ) -> Result<(), Error> {
        let counts = self.check_known_counts(counts, pair.y)?;
        let mask = self.mask_of(key, false)?;
        let change = Change { value: Some(0), keep: false };
        if !self.tensors.is_counted() || self.plan().drops_nothing() {
            return self.known_pass(key, mask, pair, None, change);
        }
        self.draw_and_apply(key, mask, self.counted_scales(counts), pair, None, change)
    }

    fn apply_pair(
        &self,
        mask: Slice<'_, u64>,
        counts: Option<Slice<'_, u64>>,
        pair: Pair<'_>,
    ) -> Result<(), Error> {
        let words = self.check_mask(mask.region(), mask.len())?;
        let counts = self.check_known_counts(counts, pair.y)?;
        check_apart(words, pair.y)?;
        let scales = if self.tensors.is_counted() {
            self.counted_scales(counts)
        } else {
            self.known_scales(pair.kind)
        };
        let change = Change { value: Some(0), keep: false };
        self.apply_words(Key::new(0), words, scales, pair, change)
    }

    /// A pass whose scale does not follow from counts.
    fn known_pass(
        &self,
        key: Key,
        mask: Mask,
        pair: Pair<'_>,
        counts: Option<Region<'_>>,
        change: Change,
    ) -> Result<(), Error> {
        let scales = self.known_scales(pair.kind);
        // Where nothing is dropped the scales of all positions are 1 as well.
        if self.plan().drops_nothing() && scales.factor == 1.0 {
            if pair.x.address() == pair.y.address() {
                return Ok(());
            }
            // Between the elements of a view nothing may be touched.
            if self.extent() == self.plan().elements() {
                return self.stream.inner().copy(pair.x, pair.y);
            }
        }
        self.draw_and_apply(key, mask, scales, pair, counts, change)
    }

    /// Draws a mask and applies it, in one kernel where that is possible. Adds to the counts.
    fn draw_and_apply(
        &self,
        key: Key,
        mask: Mask,
        scales: Scales,
        pair: Pair<'_>,
        counts: Option<Region<'_>>,
        change: Change,
    ) -> Result<(), Error> {
        if !self.tensors.is_fusable() {
            let words = self.own_mask();
            self.generate(mask, words, counts)?;
            return self.apply_words(key, words, scales, pair, change);
        }
        let at = (pair.x.address(), pair.y.address());
        let call = Call::Fused {
            kind: pair.kind,
            mask,
            scales,
            tensor: self.tensors.device_tensor(key, Order::Units, at, change),
            counts: address(counts),
            group_planes: self.plan().geometry.group_planes as u64,
        };
        self.launch(&call, self.plan().units())
    }

    fn apply_words(
        &self,
        key: Key,
        words: Region<'_>,
        scales: Scales,
        pair: Pair<'_>,
        change: Change,
    ) -> Result<(), Error> {
        let at = (pair.x.address(), pair.y.address());
        let tensor = self.tensors.device_tensor(key, Order::Memory, at, change);
        let call = Call::Apply { kind: pair.kind, words: words.address(), scales, tensor };
        self.launch(&call, self.plan().elements())
    }

    /// Writes a mask and adds to the counts, which have been cleared.
    fn generate(
        &self,
        mask: Mask,
        words: Region<'_>,
        counts: Option<Region<'_>>,
    ) -> Result<(), Error> {
        let call = Call::Generate {
            mask,
            words: words.address(),
            counts: address(counts),
            group_planes: self.plan().geometry.group_planes as u64,
        };
        self.launch(&call, self.plan().units())
    }

    fn mask_of(&self, key: Key, centers: bool) -> Result<Mask, Error> {
        let tile = self.cut.tile(&self.stream, self.plan().units());
        Ok(self.tensors.device_mask(key, centers, self.table(), tile)?)
    }

    fn counted_scales(&self, counts: Option<Region<'_>>) -> Scales {
        let group_units = self.plan().geometry.group_units();
        Scales::counted(address(counts), group_units as u64)
    }

    fn clear(&self, region: Option<Region<'_>>) -> Result<(), Error> {
        region.map_or(Ok(()), |region| self.stream.inner().clear(region))
    }

    fn launch(&self, call: &Call, units: usize) -> Result<(), Error> {
        Cut::launch(&self.cut, &self.stream, call, units)
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
        let needed = self.extent();
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
    fn check_mask<'r>(&self, region: Region<'r>, given: usize) -> Result<Region<'r>, Error> {
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

    fn check_counts_mut<'r>(
        &self,
        counts: Option<SliceMut<'r, u64>>,
    ) -> Result<Option<Region<'r>>, Error> {
        counts.map(|counts| self.check_counts(counts.region(), counts.len())).transpose()
    }

    /// Checks counts that are read, and that they are there if the scale follows from them.
    fn check_known_counts<'r>(
        &self,
        counts: Option<Slice<'r, u64>>,
        written: Region<'_>,
    ) -> Result<Option<Region<'r>>, Error> {
        let Some(counts) = counts else {
            return if self.tensors.is_counted() { Err(Error::Counts) } else { Ok(None) };
        };
        let counts = self.check_counts(counts.region(), counts.len())?;
        check_apart(counts, written)?;
        Ok(Some(counts))
    }
}

/// Refuses written counts that share bytes with any of the regions.
fn apart(counts: Option<Region<'_>>, regions: &[Region<'_>]) -> Result<(), Error> {
    let Some(counts) = counts else { return Ok(()) };
    regions.iter().try_for_each(|&region| check_apart(counts, region))
}

fn address(region: Option<Region<'_>>) -> u64 {
    region.map_or(0, |region| region.address())
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
