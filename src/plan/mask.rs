//! A drawn mask: the plan, its words and their count in one small value.

use super::Plan;
use super::pass::Pass;
use crate::count::count;
use crate::keep::{Keep, MapPart};
use crate::{Drawn, DropCount, Element, Error, Fill, Key, View, ViewMut};

/// A mask that is at hand: bits, count, key and plan.
///
/// It is made by [`Plan::draw`], or from words by [`Plan::mask_from`]. It borrows the plan and the
/// words, and is small and `Copy`. A context that outlives the borrow keeps the words and the
/// [`Drawn`], and makes the mask again:
///
/// ```
/// use dropblock::{Drawn, DropBlock, Error, Key, Plan, Shape};
///
/// struct Context {
///     words: Vec<u64>,
///     drawn: Drawn,
/// }
///
/// fn backward(plan: &Plan, context: &Context, dy: &mut [f32]) -> Result<(), Error> {
///     plan.mask_from(&context.words)?.backward_in_place(dy)
/// }
/// # let plan = DropBlock::new(3, 0.2)?.plan(Shape::nchw(2, 4, 10, 10))?;
/// # let mut words = vec![0; plan.mask_words()];
/// # let mask = plan.draw(Key::new(1), &mut words)?;
/// # let Some(drawn) = mask.drawn() else { panic!() };
/// # let (mut x, mut dy) = ([1.0; 800], [1.0; 800]);
/// # mask.backward_in_place(&mut x)?;
/// # backward(&plan, &Context { words, drawn }, &mut dy)?;
/// # assert_eq!(x, dy);
/// # Ok::<(), dropblock::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Mask<'a> {
    plan: &'a Plan,
    words: &'a [u64],
    /// That of the words.
    own: DropCount,
    /// That of the whole batch, from which the scale of the tensor follows.
    count: DropCount,
    key: Option<Key>,
}

impl<'a> Mask<'a> {
    #[inline]
    pub(super) const fn new(
        plan: &'a Plan,
        words: &'a [u64],
        count: DropCount,
        key: Option<Key>,
    ) -> Self {
        Self { plan, words, own: count, count, key }
    }

    /// Returns the words: bit `i` of word `j` is unit `64 j + i`, 1 = dropped.
    #[inline]
    #[must_use]
    pub const fn dropped_words(&self) -> &'a [u64] {
        self.words
    }

    /// Returns the mask for a kernel of the caller's. Unit `i` is element `i` of a dense tensor with
    /// channels first whose maps share nothing.
    #[inline]
    #[must_use]
    pub const fn keep(&self) -> Keep<'a> {
        Keep::unchecked(self.words, 0, self.plan.units())
    }

    /// Returns the count from which the scale of the tensor follows.
    #[inline]
    #[must_use]
    pub const fn count(&self) -> DropCount {
        self.count
    }

    /// Returns key and count, for a backward pass without the words; `None` if the mask has no key.
    #[inline]
    #[must_use]
    pub const fn drawn(&self) -> Option<Drawn> {
        match self.key {
            Some(key) => Some(Drawn::new(key, self.count)),
            None => None,
        }
    }

    /// Sets the count from which the scale of the tensor follows. For a shard of a batch that is the
    /// sum of the counts of all shards.
    ///
    /// ```
    /// use dropblock::{DropBlock, DropCount, Key, Shape};
    ///
    /// // Two samples here, four elsewhere.
    /// let plan = DropBlock::new(3, 0.2)?.plan(Shape::nchw(2, 4, 10, 10))?;
    /// let mut words = vec![0; plan.mask_words()];
    /// let mask = plan.draw(Key::new(1).with_first_sample(4), &mut words)?;
    /// let elsewhere = DropCount { dropped: 300, total: 1600 };
    /// let (dropped, total) = (mask.count().dropped, mask.count().total);
    /// let sum = DropCount { dropped: dropped + elsewhere.dropped, total: total + elsewhere.total };
    /// mask.with_count(sum)?.forward_in_place(&mut [1.0_f32; 800])?;
    /// # Ok::<(), dropblock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Count`] if the sum without the mask's own count is not a count, [`Error::Scale`] for
    /// scales per sample or map, which follow from the mask alone.
    pub fn with_count(mut self, sum: DropCount) -> Result<Self, Error> {
        self.plan.check_count(self.own, sum)?;
        self.count = sum;
        Ok(self)
    }

    /// Sets the key from which noise is drawn, for a mask that was made from words.
    ///
    /// # Errors
    ///
    /// [`Error::FirstSample`].
    pub fn with_key(mut self, key: Key) -> Result<Self, Error> {
        self.plan.source(key)?;
        self.key = Some(key);
        Ok(self)
    }

    /// Forward pass from `x` to `y`: stage 3. See [`Plan::forward`].
    ///
    /// # Errors
    ///
    /// [`Error::Length`], [`Error::View`], [`Error::Stride`] and [`Error::TooLarge`] for tensors
    /// that do not fit, [`Error::NoKey`] for noise without a key.
    #[inline(always)]
    pub fn forward<'t, T: Element>(
        &self,
        x: impl Into<View<'t, T>>,
        y: impl Into<ViewMut<'t, T>>,
    ) -> Result<(), Error> {
        let mut pass = self.pass(true)?;
        let mut tensor = pass.pair(x.into(), y.into())?;
        pass.with_mask(&mut tensor, self.words, self.count);
        Ok(())
    }

    /// Forward pass in place. See [`forward`](Self::forward).
    ///
    /// # Errors
    ///
    /// Those of [`forward`](Self::forward), and [`Error::Uninit`].
    #[inline(always)]
    pub fn forward_in_place<'t, T: Element + 't>(
        &self,
        x: impl Into<ViewMut<'t, T>>,
    ) -> Result<(), Error> {
        let mut pass = self.pass(true)?;
        let mut tensor = pass.in_place(x.into())?;
        pass.with_mask(&mut tensor, self.words, self.count);
        Ok(())
    }

    /// Backward pass from the gradient of `y` to that of `x`. See [`Plan::backward`].
    ///
    /// # Errors
    ///
    /// Those of [`forward`](Self::forward) except [`Error::NoKey`], as it writes no noise.
    #[inline(always)]
    pub fn backward<'t, T: Element>(
        &self,
        dy: impl Into<View<'t, T>>,
        dx: impl Into<ViewMut<'t, T>>,
    ) -> Result<(), Error> {
        let mut pass = self.pass(false)?;
        let mut tensor = pass.pair(dy.into(), dx.into())?;
        pass.with_mask(&mut tensor, self.words, self.count);
        Ok(())
    }

    /// Backward pass in place. See [`backward`](Self::backward).
    ///
    /// # Errors
    ///
    /// Those of [`backward`](Self::backward), and [`Error::Uninit`].
    #[inline(always)]
    pub fn backward_in_place<'t, T: Element + 't>(
        &self,
        dy: impl Into<ViewMut<'t, T>>,
    ) -> Result<(), Error> {
        let mut pass = self.pass(false)?;
        let mut tensor = pass.in_place(dy.into())?;
        pass.with_mask(&mut tensor, self.words, self.count);
        Ok(())
    }

    /// Writes `value` to dropped units and leaves the others as they are. See [`Plan::drop_only`].
    ///
    /// # Errors
    ///
    /// Those of [`backward_in_place`](Self::backward_in_place).
    pub fn drop_only<'t, T: Copy + Send + Sync + 't>(
        &self,
        x: impl Into<ViewMut<'t, T>>,
        value: T,
    ) -> Result<(), Error> {
        let mut pass = self.pass(false)?;
        let mut tensor = pass.in_place(x.into())?;
        #[cfg(feature = "rayon")]
        if let Some(threads) = pass.threads {
            threads.drop_only(&pass, &mut tensor, Some(self.words), value);
            return Ok(());
        }
        pass.drop_only(&mut tensor, &pass.tile(self.words), value);
        Ok(())
    }

    /// Counts the dropped units of one scale group: the whole mask, a sample or a map.
    ///
    /// # Errors
    ///
    /// [`Error::Group`] if there is no such group.
    pub fn count_group(&self, group: usize) -> Result<DropCount, Error> {
        let units = self.plan.group(group)?;
        let total = units.len() as u64;
        Ok(DropCount { dropped: count(self.plan.level(), self.words, units), total })
    }

    /// Returns one map of the tensor, for a kernel of the caller's. It works for every layout, and
    /// where maps share a mask.
    ///
    /// # Errors
    ///
    /// [`Error::Map`] if there is no such map.
    pub fn map(&self, sample: usize, channel: usize) -> Result<MapPart<'a>, Error> {
        let geometry = &self.plan.geometry;
        let needed = [geometry.samples, geometry.channels];
        if sample >= geometry.samples || channel >= geometry.channels {
            return Err(Error::Map { needed, given: [sample, channel] });
        }
        let count = self.count_of_group(self.group_of(sample, channel));
        Ok(self.map_at(sample, channel, count))
    }

    /// Returns all maps in the order of memory, for a loop of the caller's over a dense tensor. [The
    /// guide](crate::guide::fusing) has more.
    ///
    /// ```
    /// use dropblock::{DropBlock, Key, Shape};
    ///
    /// let plan = DropBlock::new(3, 0.2)?.plan(Shape::nchw(2, 4, 10, 10))?;
    /// let mut words = vec![0; plan.mask_words()];
    /// let mask = plan.draw(Key::new(1), &mut words)?;
    /// let mut x: Vec<f32> = (0..800).map(|i| i as f32 - 400.0).collect();
    /// let mut y: Vec<f32> = x.iter().map(|x| x.max(0.0)).collect();
    /// mask.forward_in_place(&mut y)?;
    ///
    /// // ReLU and DropBlock in one pass.
    /// for map in mask.maps()? {
    ///     let scale = map.scale::<f32>();
    ///     map.keep().apply_in_place(&mut x[map.elements()], |x| x.max(0.0) * scale)?;
    /// }
    /// assert_eq!(x, y);
    /// # Ok::<(), dropblock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Layout`] if channels are last. [`map`](Self::map) works for these.
    pub fn maps(&self) -> Result<impl Iterator<Item = MapPart<'a>> + use<'a>, Error> {
        if !self.plan.geometry.rows.line {
            return Err(Error::Layout);
        }
        let (mask, channels) = (*self, self.plan.geometry.channels);
        // Neighbouring maps often have one group, which is not counted anew for each.
        let mut counted = (usize::MAX, DropCount::default());
        let maps =
            (0..self.plan.geometry.samples).flat_map(move |n| (0..channels).map(move |c| (n, c)));
        Ok(maps.map(move |(sample, channel)| {
            let group = mask.group_of(sample, channel);
            if counted.0 != group {
                counted = (group, mask.count_of_group(group));
            }
            mask.map_at(sample, channel, counted.1)
        }))
    }

    /// The scale group of a map of the tensor.
    fn group_of(&self, sample: usize, channel: usize) -> usize {
        let geometry = &self.plan.geometry;
        geometry.mask_plane(sample, channel) / geometry.group_planes.max(1)
    }

    fn count_of_group(&self, group: usize) -> DropCount {
        // That of the only group may be that of the whole batch.
        if self.plan.groups() == 1 {
            self.count
        } else {
            self.count_group(group).unwrap_or_default()
        }
    }

    fn map_at(&self, sample: usize, channel: usize, count: DropCount) -> MapPart<'a> {
        let geometry = &self.plan.geometry;
        let first = geometry.mask_plane(sample, channel) * geometry.plane;
        let keep = Keep::unchecked(self.words, first, geometry.plane);
        MapPart::new(self.plan, [sample, channel], 0..geometry.plane, keep, count)
    }

    /// What a pass has to know.
    #[inline(always)]
    fn pass(&self, forward: bool) -> Result<Pass<'a>, Error> {
        let key = match self.key {
            None if forward && self.plan.layer.fill == Fill::Noise => return Err(Error::NoKey),
            key => key.unwrap_or(Key::new(0)),
        };
        let mut pass = self.plan.pass_of_mask(key, forward);
        pass.copies = self.own.dropped == 0 && self.plan.drops_nothing();
        Ok(pass)
    }
}
