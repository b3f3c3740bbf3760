//! The operations of a layer: arguments are checked, then kernels are enqueued.

use core::mem::size_of;

use bytemuck::Pod;

use crate::error::Buffer;
use crate::{Element, Fill, Key};

use super::apply::{Addresses, apply, drop_only};
use super::buffer::{check, check_apart};
use super::drawing::{At, Blocks};
use super::driver::{Region, Work};
use super::geometry::Change;
use super::launch::{launch, parts};
use super::layer::Workspace;
use super::params::{Call, Count, Kind, Periods, Scales, shift_of};
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
#[derive(Clone, Copy, Debug)]
pub struct Pass<'a> {
    layer: &'a Layer,
    stream: &'a Stream,
    workspace: Region<'a>,
    step: Option<Region<'a>>,
}

/// The tensor of one pass: it is changed in place where both are the same.
#[derive(Clone, Copy)]
struct Pair<'a> {
    x: Region<'a>,
    y: Region<'a>,
    kind: Kind,
}

/// Counts of an operation.
#[derive(Clone, Copy)]
enum Counts<'a> {
    /// Nobody wants them.
    None,
    /// They are made, for the scale, and for the caller if he has given memory.
    Made(Option<Region<'a>>),
    /// The scale follows from these.
    Known(Region<'a>),
}

impl<'a> Pass<'a> {
    pub(super) const fn new(layer: &'a Layer, stream: &'a Stream, workspace: Region<'a>) -> Self {
        Self { layer, stream, workspace, step: None }
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
            return Err(crate::Error::Length { buffer: Buffer::Counts, needed, given }.into());
        }
        check(step.region(), size_of::<u64>(), self.device())?;
        Ok(Self { step: Some(step.region()), ..self })
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

    fn forward_pair(
        &self,
        key: Key,
        pair: Pair<'_>,
        counts: Option<SliceMut<'_, u64>>,
    ) -> Result<(), Error> {
        let counts = self.check_counts_mut(counts)?;
        apart(counts, &[pair.x, pair.y])?;
        self.plan().source(key)?;
        let work = self.begin()?;
        let noise = self.plan().layer().fill == Fill::Noise;
        let change = Change { value: (!noise).then_some(0), keep: false };
        if self.plan().drops_nothing() {
            clear(&work, counts)?;
        }
        let wanted = self.layer.tensors.is_counted() || counts.is_some();
        let counts = if wanted { Counts::Made(counts) } else { Counts::None };
        self.draw_and_apply(&work, key, pair, counts, change)
    }

    fn backward_pair(
        &self,
        key: Key,
        pair: Pair<'_>,
        counts: Option<Slice<'_, u64>>,
    ) -> Result<(), Error> {
        let counts = self.check_known_counts(counts, pair.y)?;
        self.plan().source(key)?;
        let counts = counts.filter(|_| self.layer.tensors.is_counted());
        let counts = counts.map_or(Counts::None, Counts::Known);
        let change = Change { value: Some(0), keep: false };
        self.draw_and_apply(&self.begin()?, key, pair, counts, change)
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
        let work = self.begin()?;
        let counts = counts.filter(|_| self.layer.tensors.is_counted());
        let scales = counts
            .map(|counts| self.scales(&work, (counts.address(), false), None, Some(pair.kind)));
        let scales = scales.transpose()?.flatten();
        let scales = scales.unwrap_or_else(|| self.layer.known_scales(pair.kind));
        let change = Change { value: Some(0), keep: false };
        self.apply_words(&work, Key::new(0), words, scales, pair, change)
    }

    fn draw_and_apply(
        &self,
        work: &Work<'_>,
        key: Key,
        pair: Pair<'_>,
        counts: Counts<'_>,
        change: Change,
    ) -> Result<(), Error> {
        let mask = self.own_mask();
        if !self.plan().drops_nothing() {
            let scales = self.draw_to(work, key, mask, counts, Some(pair.kind))?;
            let scales = scales.unwrap_or_else(|| self.layer.known_scales(pair.kind));
            return self.apply_words(work, key, mask, scales, pair, change);
        }
        let scales = self.layer.known_scales(pair.kind);
        let one = if pair.kind == Kind::F64 { 1_f64.to_bits() } else { 1_f32.to_bits().into() };
        // Where nothing is dropped the scales of all positions are 1 as well.
        if scales.kind == 2 || scales.same == one {
            if pair.x.address() == pair.y.address() {
                return Ok(());
            }
            // Between the elements of a view nothing may be touched.
            if self.layer.extent() == self.plan().elements() {
                return work.copy(pair.x, pair.y);
            }
        }
        work.clear(mask)?;
        self.apply_words(work, key, mask, scales, pair, change)
    }

    fn apply_words(
        &self,
        work: &Work<'_>,
        key: Key,
        words: Region<'_>,
        scales: Scales,
        pair: Pair<'_>,
        change: Change,
    ) -> Result<(), Error> {
        let at = addresses(pair.x, pair.y, words);
        apply(work, &self.layer.tensors, (key, self.step()), pair.kind, at, scales, change)
    }

    /// Writes a mask, counts it, and returns the scales for elements of a kind, if one is given and they
    /// follow from counts.
    fn draw_to(
        &self,
        work: &Work<'_>,
        key: Key,
        words: Region<'_>,
        counts: Counts<'_>,
        kind: Option<Kind>,
    ) -> Result<Option<Scales>, Error> {
        let workspace = self.workspace();
        let kind = kind.filter(|_| self.layer.tensors.is_counted());
        let blocks = Blocks::of(self.plan());
        let mut count = Count { units: self.plan().units() as u64, ..Count::default() };
        if self.plan().groups() > 1 {
            // These are added up in the workspace, and then moved.
            count.groups = if let Counts::Made(_) = counts { workspace.counts } else { 0 };
            self.generate(work, key, &blocks, words, &count)?;
            return match counts {
                Counts::None => Ok(None),
                Counts::Made(to) => self.scales(work, (workspace.counts, true), to, kind),
                Counts::Known(known) => self.scales(work, (known.address(), false), None, kind),
            };
        }
        match counts {
            Counts::None => {}
            Counts::Made(to) => {
                count.state = workspace.state;
                count.total = to.map_or(workspace.total, |to| to.address());
            }
            Counts::Known(known) => count.known = known.address(),
        }
        if kind.is_some() {
            count.scales = workspace.scale;
        }
        self.generate(work, key, &blocks, words, &count)?;
        Ok(kind.map(|kind| one_scale(&workspace, kind)))
    }

    /// Makes the scales of elements of a kind from the counts of groups, if one is given. Counts that are
    /// moved are 0 afterwards, whether somebody wants them or not.
    fn scales(
        &self,
        work: &Work<'_>,
        (counts, moved): (u64, bool),
        to: Option<Region<'_>>,
        kind: Option<Kind>,
    ) -> Result<Option<Scales>, Error> {
        let (workspace, groups) = (self.workspace(), self.plan().groups());
        let scales = kind.map(|kind| match groups {
            1 => one_scale(&workspace, kind),
            _ => Scales::by_group(workspace.scales),
        });
        let call = Call::Scales {
            counts,
            moved: address(to),
            reset: u64::from(moved),
            groups: groups as u64,
            units: self.layer.tensors.group() as u64,
            scales: scales.map_or(0, |scales| scales.from),
            kind: kind.map_or(0, |kind| if kind == Kind::F64 { 2 } else { 1 }),
        };
        launch(work, &call, groups.div_ceil(256))?;
        Ok(scales)
    }

    /// Writes a mask and counts it.
    fn generate(
        &self,
        work: &Work<'_>,
        key: Key,
        blocks: &Blocks,
        words: Region<'_>,
        count: &Count,
    ) -> Result<(), Error> {
        let table = self.layer.table();
        let at = At { key, step: self.step(), table, words: words.address() };
        self.layer.drawing.draw(work, self.plan(), blocks, &at, count)
    }

    fn begin(&self) -> Result<Work<'a>, Error> {
        self.stream.inner().begin()
    }

    const fn plan(&self) -> &'a crate::Plan {
        self.layer.plan()
    }

    fn step(&self) -> u64 {
        address(self.step)
    }

    fn workspace(&self) -> Workspace {
        Workspace::new(self.plan(), self.workspace)
    }

    fn own_mask(&self) -> Region<'a> {
        let start = (self.workspace().mask - self.workspace.address()) as usize;
        let bytes = self.plan().mask_words() * size_of::<u64>();
        // The workspace is as long as it must be.
        self.workspace.part(start, bytes).unwrap_or(self.workspace)
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
            return if self.layer.tensors.is_counted() { Err(Error::Counts) } else { Ok(None) };
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

fn clear(work: &Work<'_>, region: Option<Region<'_>>) -> Result<(), Error> {
    region.map_or(Ok(()), |region| work.clear(region))
}

/// The scale of the whole tensor, which a count has left in the workspace.
const fn one_scale(workspace: &Workspace, kind: Kind) -> Scales {
    let wide = matches!(kind, Kind::F64);
    Scales::one(workspace.scale + if wide { size_of::<f64>() as u64 } else { 0 })
}

fn addresses(x: Region<'_>, y: Region<'_>, words: Region<'_>) -> Addresses {
    Addresses { x: x.address(), y: y.address(), words: words.address() }
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
