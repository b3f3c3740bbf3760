//! Passes: with a mask that is at hand, and without a buffer.
//!
//! Without a buffer the mask is generated in a small chunk on the stack, a tile at a time: once
//! where the scale is known beforehand or follows from the tile itself, twice where it follows from
//! more.

use super::Plan;
use super::geometry::{Geometry, Rows};
#[cfg(feature = "rayon")]
use super::parallel::Threads;
use super::scale::Rule;
use crate::apply::{Tensor, Walk, apply_line};
use crate::count::count;
use crate::mask::{Source, Tile, ignore};
use crate::noise::{Batch, Noise};
use crate::{Drawn, DropCount, Element, Error, Fill, Key, Scale, View, ViewMut, tensor};

/// Everything that a pass has to know but the elements: what a shard of a batch changes.
#[derive(Clone, Copy)]
pub(super) struct Pass<'p> {
    pub(super) geometry: &'p Geometry,
    /// Where the units of a view lie.
    pub(super) view: Option<Rows>,
    pub(super) source: Source<'p>,
    pub(super) rule: Rule,
    /// What is drawn for dropped units, and the number of the first unit of all.
    pub(super) noise: Option<(Noise, u64)>,
    /// Whether nothing is dropped, so that elements are copied if nothing is scaled either.
    pub(super) copies: bool,
    /// How the work is cut, if it is.
    #[cfg(feature = "rayon")]
    pub(super) threads: Option<Threads>,
}

impl Plan {
    /// Forward pass from `x` to `y` without a mask buffer.
    ///
    /// * `drawn`: a [`Key`], or what [`count`](Self::count) returned for it.
    /// * `x`, `y`: tensors of the plan's shape, see [`View`]. Every unit of `y` is written.
    ///
    /// The mask is drawn in tiles on the stack: 2 KiB, or 34 KiB with AVX2 or AVX-512. With
    /// [`Scale::PerTensor`] and a bare key it is drawn twice, unless one tile holds all of it.
    ///
    /// Dropped units become 0, or noise with [`Fill::Noise`]. If nothing is dropped and nothing scaled
    /// (drop probability 0, or out of training), `x` is copied bit for bit. If the scale is 0, every
    /// unit becomes +0.0.
    ///
    /// Returns what the backward pass needs.
    ///
    /// # Examples
    ///
    /// ```
    /// use dropblock::{DropBlock, Key, Shape};
    ///
    /// let plan = DropBlock::new(3, 0.2)?.plan(Shape::nchw(2, 4, 10, 10))?;
    /// let x = [1.0_f32; 800];
    /// let mut y = [0.0; 800];
    /// let drawn = plan.forward(Key::new(1), &x, &mut y)?;
    /// let zeros = y.iter().filter(|&&y| y == 0.0).count();
    /// assert_eq!(drawn.count().map(|count| count.dropped), Some(zeros as u64));
    /// # Ok::<(), dropblock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Length`], [`Error::View`], [`Error::Stride`] and [`Error::TooLarge`] for tensors
    /// that do not fit, [`Error::FirstSample`]; [`Error::Count`] and [`Error::Scale`] for a count
    /// that the mask cannot have.
    #[inline]
    pub fn forward<'t, T: Element>(
        &self,
        drawn: impl Into<Drawn>,
        x: impl Into<View<'t, T>>,
        y: impl Into<ViewMut<'t, T>>,
    ) -> Result<Drawn, Error> {
        let (drawn, mut pass) = self.prepare(drawn.into(), true)?;
        let tensor = pass.pair(x.into(), y.into())?;
        Ok(self.run(drawn, &pass, tensor))
    }

    /// Forward pass in place without a mask buffer. See [`forward`](Self::forward).
    ///
    /// # Errors
    ///
    /// Those of [`forward`](Self::forward), and [`Error::Uninit`].
    #[inline]
    pub fn forward_in_place<'t, T: Element + 't>(
        &self,
        drawn: impl Into<Drawn>,
        x: impl Into<ViewMut<'t, T>>,
    ) -> Result<Drawn, Error> {
        let (drawn, mut pass) = self.prepare(drawn.into(), true)?;
        let tensor = pass.in_place(x.into())?;
        Ok(self.run(drawn, &pass, tensor))
    }

    /// Backward pass from the gradient of `y` to that of `x` without a mask buffer. It draws the same
    /// mask again and needs only what the forward pass returned.
    ///
    /// * `drawn`: what the forward pass returned. A bare [`Key`] works too; if the scale follows from
    ///   the count, the mask is then drawn once more.
    /// * `dy`, `dx`: tensors of the plan's shape, see [`View`].
    ///
    /// With the mask still at hand, [`Mask::backward`](crate::Mask::backward) does the same without
    /// drawing.
    ///
    /// # Errors
    ///
    /// Those of [`forward`](Self::forward).
    #[inline]
    pub fn backward<'t, T: Element>(
        &self,
        drawn: impl Into<Drawn>,
        dy: impl Into<View<'t, T>>,
        dx: impl Into<ViewMut<'t, T>>,
    ) -> Result<(), Error> {
        let (drawn, mut pass) = self.prepare(drawn.into(), false)?;
        let tensor = pass.pair(dy.into(), dx.into())?;
        self.run(drawn, &pass, tensor);
        Ok(())
    }

    /// Backward pass in place without a mask buffer. See [`backward`](Self::backward).
    ///
    /// # Errors
    ///
    /// Those of [`forward_in_place`](Self::forward_in_place).
    #[inline]
    pub fn backward_in_place<'t, T: Element + 't>(
        &self,
        drawn: impl Into<Drawn>,
        dy: impl Into<ViewMut<'t, T>>,
    ) -> Result<(), Error> {
        let (drawn, mut pass) = self.prepare(drawn.into(), false)?;
        let tensor = pass.in_place(dy.into())?;
        self.run(drawn, &pass, tensor);
        Ok(())
    }

    /// Counts the mask of a key without a buffer. A shard of a batch needs that before its first pass,
    /// because its scale follows from the sum over all shards.
    ///
    /// # Errors
    ///
    /// [`Error::FirstSample`].
    pub fn count(&self, key: Key) -> Result<Drawn, Error> {
        let source = self.source(key)?;
        let dropped = if self.drops_nothing() { 0 } else { self.count_source(&source) };
        Ok(Drawn::from(key).with_count(self.count_of(dropped)))
    }

    fn count_source(&self, source: &Source<'_>) -> u64 {
        let planes = self.geometry.mask_planes();
        #[cfg(feature = "rayon")]
        if let Some(threads) = self.threads_for(self.units()) {
            return threads.count(source, planes);
        }
        source.count(0..planes)
    }

    /// What a pass has to know. A backward pass does not know noise.
    #[inline]
    pub(super) fn pass(&self, key: Key, forward: bool) -> Result<Pass<'_>, Error> {
        Ok(self.pass_from(self.source(key)?, key, forward))
    }

    /// The same of a mask that is at hand, whose source draws nothing.
    #[inline(always)]
    pub(super) fn pass_of_mask(&self, key: Key, forward: bool) -> Pass<'_> {
        self.pass_from(Source::of_nothing(&self.sampler, self.level()), key, forward)
    }

    #[inline(always)]
    fn pass_from<'p>(&'p self, source: Source<'p>, key: Key, forward: bool) -> Pass<'p> {
        let noise = (forward && self.layer.fill == Fill::Noise).then(|| {
            // Numbers wrap past 2^64 units, as no tensor has them all.
            let per_sample = (self.geometry.channels * self.geometry.plane) as u64;
            (Noise::new(&key.streams()), key.first_sample.wrapping_mul(per_sample))
        });
        Pass {
            geometry: &self.geometry,
            view: None,
            source,
            rule: self.rule,
            noise,
            copies: false,
            #[cfg(feature = "rayon")]
            threads: self.threads_for(self.elements()),
        }
    }

    /// Refuses what has a count that no mask of the plan has, alone or together with others.
    pub(crate) fn checked(&self, drawn: Drawn) -> Result<Drawn, Error> {
        if let Some(given) = drawn.count() {
            let own = self.count_of(0);
            if given.dropped > given.total || given.total < own.total {
                return Err(Error::Count { own, given });
            }
            self.check_total(given)?;
        }
        Ok(drawn)
    }

    /// Refuses a count unless what it adds to the mask's own is a count.
    pub(crate) fn check_count(&self, own: DropCount, given: DropCount) -> Result<(), Error> {
        let others = given.dropped.checked_sub(own.dropped).zip(given.total.checked_sub(own.total));
        if others.is_none_or(|(dropped, total)| dropped > total) {
            return Err(Error::Count { own, given });
        }
        self.check_total(given)
    }

    /// Refuses a count of more than the mask for scales that follow from the mask alone.
    fn check_total(&self, given: DropCount) -> Result<(), Error> {
        let needed = self.units() as u64;
        if given.total > needed && matches!(self.layer.scale, Scale::PerSample | Scale::PerMap) {
            return Err(Error::Scale { needed, given: given.total });
        }
        Ok(())
    }

    #[inline]
    fn prepare(&self, drawn: Drawn, forward: bool) -> Result<(Drawn, Pass<'_>), Error> {
        let drawn = self.checked(drawn)?;
        Ok((drawn, self.pass(drawn.key(), forward)?))
    }

    /// A pass without a buffer.
    #[inline]
    fn run<T: Element>(&self, drawn: Drawn, pass: &Pass<'_>, mut tensor: Tensor<'_, T>) -> Drawn {
        let dropped = if self.drops_nothing() {
            let scale = pass.scale::<T>(drawn.count().unwrap_or(self.count_of(0)));
            pass.without_drops(&mut tensor, scale.unwrap_or(T::Scale::ONE));
            0
        } else {
            pass.without_mask(tensor, drawn.count())
        };
        drawn.with_count(drawn.count().unwrap_or(self.count_of(dropped)))
    }
}

impl Pass<'_> {
    #[inline]
    pub(super) fn rows(&self) -> &Rows {
        self.view.as_ref().unwrap_or(&self.geometry.rows)
    }

    /// The tensor of a pass in place, whose units the pass then knows.
    #[inline(always)]
    pub(super) fn in_place<'t, T: Copy>(
        &mut self,
        x: ViewMut<'t, T>,
    ) -> Result<Tensor<'t, T>, Error> {
        let (tensor, view) = tensor::in_place(self.geometry, x)?;
        self.view = view;
        Ok(tensor)
    }

    /// The same of a pass from one to another: the last check, as it may write.
    #[inline]
    pub(super) fn pair<'t, T: Copy>(
        &mut self,
        x: View<'t, T>,
        y: ViewMut<'t, T>,
    ) -> Result<Tensor<'t, T>, Error> {
        let (tensor, view) = tensor::pair(self.geometry, self.source.level, x, y)?;
        self.view = view;
        Ok(tensor)
    }

    /// The whole mask as one tile. Of empty maps, of which there may be as many as a number holds, it has
    /// none.
    #[inline]
    pub(super) fn tile<'b>(&self, words: &'b [u64]) -> Tile<'b> {
        let plane = self.geometry.plane;
        let planes = if plane == 0 { 0 } else { self.geometry.mask_planes() };
        Tile::whole(words, 0..planes, plane)
    }

    /// The walk over a tile. `counts` are those of the groups of its planes, where it does not hold
    /// them all.
    #[inline]
    pub(super) fn walk<'w>(&'w self, tile: &'w Tile<'w>, counts: &'w [u64]) -> Walk<'w> {
        Walk {
            geometry: self.geometry,
            rows: self.rows(),
            sampler: self.source.sampler,
            rule: self.rule,
            level: self.source.level,
            tile,
            counts,
        }
    }

    /// The scale if it is one for all; `count` is that of the whole mask.
    #[inline(always)]
    pub(super) fn scale<T: Element>(&self, count: DropCount) -> Option<T::Scale> {
        match self.rule {
            Rule::Counted if self.geometry.group_planes < self.geometry.mask_planes() => None,
            rule => rule.scale::<T>(count),
        }
    }

    /// A pass with a mask that is at hand; `count` is that of the whole batch.
    // Inlined with what its usual case calls: a program whose plans the compiler can see has nothing
    // else, on a Cortex-M4F 9 KB for two layers and not 45.
    #[inline(always)]
    pub(super) fn with_mask<T: Element>(
        &self,
        tensor: &mut Tensor<'_, T>,
        words: &[u64],
        count: DropCount,
    ) {
        let scale = self.scale::<T>(count);
        let is_usual =
            self.walk(&self.tile(words), &[]).is_line() && self.noise.is_none() && !self.copies;
        #[cfg(feature = "rayon")]
        let is_usual = is_usual && self.threads.is_none();
        match scale {
            Some(scale) if is_usual => apply_line(self.source.level, tensor, words, scale),
            _ => self.with_any_mask(tensor, words, scale),
        }
    }

    /// The same for every layout, fill and scale.
    #[inline(never)]
    fn with_any_mask<T: Element>(
        &self,
        tensor: &mut Tensor<'_, T>,
        words: &[u64],
        scale: Option<T::Scale>,
    ) {
        if self.copies && scale.is_none_or(|scale| scale == T::Scale::ONE) {
            return self.without_drops(tensor, T::Scale::ONE);
        }
        #[cfg(feature = "rayon")]
        if let Some(threads) = self.threads {
            return threads.apply(self, tensor, words, scale);
        }
        self.apply(tensor, &self.tile(words), scale, &[]);
    }

    /// A pass without a buffer. `known` is the count of the whole mask. Returns how many units are
    /// dropped.
    fn without_mask<T: Element>(&self, mut tensor: Tensor<'_, T>, known: Option<DropCount>) -> u64 {
        #[cfg(feature = "rayon")]
        if let Some(threads) = self.threads {
            return threads.run(self, tensor, known);
        }
        self.run_in_tiles(&mut tensor, known)
    }

    /// Stage 3 for a tile. Where the scale is not known it is that of the rule, see
    /// [`walk`](Self::walk).
    pub(super) fn apply<T: Element>(
        &self,
        tensor: &mut Tensor<'_, T>,
        tile: &Tile<'_>,
        scale: Option<T::Scale>,
        counts: &[u64],
    ) {
        self.walk(tile, counts).apply(tensor, scale);
        self.fill_noise(tensor, tile);
    }

    /// Writes noise to dropped units, if there is any.
    fn fill_noise<T: Element>(&self, tensor: &mut Tensor<'_, T>, tile: &Tile<'_>) {
        if let Some((noise, first)) = self.noise {
            self.fill_with(noise, first, tensor, tile);
        }
    }

    // Not inlined, or all passes would have its stack.
    #[inline(never)]
    fn fill_with<T: Element>(
        &self,
        noise: Noise,
        first: u64,
        tensor: &mut Tensor<'_, T>,
        tile: &Tile<'_>,
    ) {
        let mut write = |elements: &[usize], deviates: &[i32]| {
            for (&element, &deviate) in elements.iter().zip(deviates) {
                tensor.replace(element, |_| T::from_deviate(deviate));
            }
        };
        let mut batch = Batch::new(noise, self.source.level);
        self.walk(tile, &[]).for_each_dropped(|run| {
            let unit = first.wrapping_add(run.index as u64);
            batch.add(unit, (run.element, run.step), run.len, &mut write);
        });
        batch.write(&mut write);
    }

    /// A pass where nothing is dropped: every element is scaled, or left as it is.
    pub(super) fn without_drops<T: Element>(&self, tensor: &mut Tensor<'_, T>, scale: T::Scale) {
        // Without bits nothing is dropped.
        let tile = self.tile(&[]);
        let walk = self.walk(&tile, &[]);
        if scale != T::Scale::ONE {
            return walk.apply(tensor, Some(scale));
        }
        walk.for_each_line(|start, len| tensor.keep(start, len));
    }

    /// Draws the mask in tiles on the stack and applies it. `known` is the count of the whole mask.
    /// Returns how many units are dropped.
    pub(super) fn run_in_tiles<T: Element>(
        &self,
        tensor: &mut Tensor<'_, T>,
        known: Option<DropCount>,
    ) -> u64 {
        let geometry = self.geometry;
        let (planes, group) = (geometry.mask_planes(), geometry.group_planes.max(1));
        let together = self.planes_together();
        let (scale, group) = match (self.rule, known) {
            (Rule::Counted, Some(count)) if group == planes => (self.rule.scale::<T>(count), 1),
            // Scales follow from the tile.
            (Rule::Counted, _) if self.source.has_groups(planes, group, together) => (None, group),
            (Rule::Counted, _) if group < together => return self.run_map_by_map(tensor),
            (Rule::Counted, _) => return self.run_group_by_group(tensor),
            (rule, _) => (rule.scale::<T>(DropCount::default()), 1),
        };
        self.source.for_each_tile(0..planes, (group, together), ignore, |tile| {
            self.apply(tensor, tile, scale, &[]);
        })
    }

    /// Counts each group before it is applied.
    fn run_group_by_group<T: Element>(&self, tensor: &mut Tensor<'_, T>) -> u64 {
        let group = self.geometry.group_planes.max(1);
        let groups = (0..self.geometry.mask_planes()).step_by(group);
        groups
            .map(|first| {
                let planes = first..first + group;
                let dropped = self.source.count(planes.clone());
                let count = DropCount { dropped, total: self.geometry.group_units() as u64 };
                let scale = self.rule.scale::<T>(count);
                self.source.for_each_tile(planes, (1, self.planes_together()), ignore, |tile| {
                    self.apply(tensor, tile, scale, &[]);
                })
            })
            .sum()
    }

    /// Counts some maps, whose elements lie side by side, before they are applied together.
    // Not inlined, or all passes would have its stack.
    #[inline(never)]
    fn run_map_by_map<T: Element>(&self, tensor: &mut Tensor<'_, T>) -> u64 {
        const MAPS: usize = 256;
        let together = self.planes_together();
        let mut total = 0;
        for first in (0..self.geometry.mask_planes()).step_by(together.max(1)) {
            let end = first + together;
            for first in (first..end).step_by(MAPS) {
                let planes = first..end.min(first + MAPS);
                let mut counts = [0; MAPS];
                total += self.source.for_each_tile(planes.clone(), (1, 1), ignore, |tile| {
                    for plane in tile.planes() {
                        if let Some(sum) = counts.get_mut(plane - first) {
                            let bit = tile.bit(plane, tile.positions().start);
                            let bits = bit..bit + tile.positions().len();
                            *sum += count(self.source.level, tile.bits, bits);
                        }
                    }
                });
                self.source.for_each_tile(planes.clone(), (1, planes.len()), ignore, |tile| {
                    let counts = counts.get(tile.planes().start - first..).unwrap_or_default();
                    self.apply(tensor, tile, None, counts);
                });
            }
        }
        total
    }

    pub(super) fn planes_together(&self) -> usize {
        self.geometry.planes_together(self.rows())
    }
}
