//! The operations that join the stages: forward, backward and apply.
//!
//! With a caller's mask buffer the mask is generated, counted and applied (two phases). Without
//! one it is generated in a small chunk on the stack, a tile at a time: once where the scale is
//! known beforehand or follows from the tile itself, twice where it follows from more.

use core::ops::Range;

use crate::apply::{Factors, Tensor};
use crate::error::Buffer;
use crate::mask::{Source, ignore};
use crate::spread::Scales;
use crate::{Dropped, Element, Error, Fill, Key, Plan, Scale};

impl Plan {
    /// Forward pass from `x` to `y`.
    ///
    /// * `x`, `y`: [`extent`](Self::extent) elements in the plan's layout. Every element of `y` is
    ///   written.
    /// * `mask`: `Some` of [`mask_len`](Self::mask_len) words or more, which then hold the mask;
    ///   or `None`, to use 2 KiB of stack instead (34 KiB with AVX2 or AVX-512). With
    ///   [`Scale::Tensor`] the mask is then generated twice, unless it fits in there.
    ///
    /// Dropped units become 0, or noise with [`Fill::Noise`]. Where nothing can be dropped (drop probability 0, inference) `x` is copied bit for bit.
    ///
    /// # Examples
    ///
    /// ```
    /// use dropblock::{DropBlock, Key, Shape};
    ///
    /// let plan = DropBlock::new(3, 0.2)?.plan(Shape::nchw(2, 4, 10, 10))?;
    /// let x = [1.0_f32; 800];
    /// let mut y = [0.0; 800];
    /// let dropped = plan.forward(Key::new(1), &x, &mut y, None)?;
    /// let zeros = y.iter().filter(|&&y| y == 0.0).count();
    /// assert_eq!(zeros as u64, dropped.count);
    /// # Ok::<(), dropblock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Length`] for a buffer of the wrong length, [`Error::FirstSample`].
    #[inline]
    pub fn forward<T: Element>(
        &self,
        key: Key,
        x: &[T],
        y: &mut [T],
        mask: Option<&mut [u64]>,
    ) -> Result<Dropped, Error> {
        self.run(key, self.tensor(x, y)?, mask, None)
    }

    /// Forward pass in place. See [`forward`](Self::forward).
    ///
    /// # Errors
    ///
    /// Those of [`forward`](Self::forward).
    #[inline]
    pub fn forward_in_place<T: Element>(
        &self,
        key: Key,
        x: &mut [T],
        mask: Option<&mut [u64]>,
    ) -> Result<Dropped, Error> {
        self.run(key, self.tensor_in_place(x)?, mask, None)
    }

    /// Backward pass from the gradient of `y` to that of `x`: the same mask and scale, drawn
    /// anew from the key. Nothing has to be kept from the forward pass but what it returned.
    ///
    /// * `key`: the key of the forward pass.
    /// * `dropped`: what the forward pass returned; [`Scale::Tensor`] takes its scale from it.
    /// * `dy`, `dx`: [`extent`](Self::extent) elements in the plan's layout.
    ///
    /// With the mask still at hand, [`apply`](Self::apply) does the same without drawing.
    ///
    /// # Errors
    ///
    /// [`Error::Length`], [`Error::FirstSample`], [`Error::OtherPlan`] if `dropped` speaks of
    /// another number of units.
    #[inline]
    pub fn backward<T: Element>(
        &self,
        key: Key,
        dropped: &Dropped,
        dy: &[T],
        dx: &mut [T],
    ) -> Result<(), Error> {
        self.check_dropped(dropped)?;
        self.run(key, self.tensor(dy, dx)?, None, Some(dropped))?;
        Ok(())
    }

    /// Backward pass in place. See [`backward`](Self::backward).
    ///
    /// # Errors
    ///
    /// Those of [`backward`](Self::backward).
    #[inline]
    pub fn backward_in_place<T: Element>(
        &self,
        key: Key,
        dropped: &Dropped,
        dy: &mut [T],
    ) -> Result<(), Error> {
        self.check_dropped(dropped)?;
        self.run(key, self.tensor_in_place(dy)?, None, Some(dropped))?;
        Ok(())
    }

    /// Applies a mask: stage 3, forward as well as backward. Dropped units become 0; for a
    /// forward pass with noise call [`fill_noise`](Self::fill_noise) afterwards.
    ///
    /// * `mask`: [`mask_len`](Self::mask_len) words or more, from [`mask`](Self::mask),
    ///   [`dilate`](Self::dilate) or the caller.
    /// * `dropped`: the count of the whole mask; [`Scale::Tensor`] takes its scale from it,
    ///   [`Scale::Sample`] and [`Scale::Channel`] count their groups anew.
    /// * `x`, `y`: [`extent`](Self::extent) elements in the plan's layout.
    ///
    /// # Errors
    ///
    /// [`Error::Length`], [`Error::OtherPlan`].
    pub fn apply<T: Element>(
        &self,
        mask: &[u64],
        dropped: &Dropped,
        x: &[T],
        y: &mut [T],
    ) -> Result<(), Error> {
        self.apply_mask(mask, dropped, self.tensor(x, y)?)
    }

    /// Applies a mask in place. See [`apply`](Self::apply).
    ///
    /// # Errors
    ///
    /// Those of [`apply`](Self::apply).
    pub fn apply_in_place<T: Element>(
        &self,
        mask: &[u64],
        dropped: &Dropped,
        x: &mut [T],
    ) -> Result<(), Error> {
        self.apply_mask(mask, dropped, self.tensor_in_place(x)?)
    }

    pub(crate) fn tensor<'t, T: Element>(
        &self,
        x: &'t [T],
        y: &'t mut [T],
    ) -> Result<Tensor<'t, T>, Error> {
        self.check_tensor(Buffer::Input, x.len())?;
        self.check_tensor(Buffer::Output, y.len())?;
        Ok(Tensor::to(self.level(), x, y))
    }

    pub(crate) fn tensor_in_place<'t, T: Element>(
        &self,
        x: &'t mut [T],
    ) -> Result<Tensor<'t, T>, Error> {
        self.check_tensor(Buffer::Output, x.len())?;
        Ok(Tensor::InPlace(x))
    }

    pub(crate) fn check_dropped(&self, dropped: &Dropped) -> Result<(), Error> {
        let needed = self.units() as u64;
        if dropped.of == needed && dropped.count <= needed {
            return Ok(());
        }
        Err(Error::OtherPlan { needed, given: dropped.of })
    }

    pub(crate) fn apply_mask<T: Element>(
        &self,
        mask: &[u64],
        dropped: &Dropped,
        mut tensor: Tensor<'_, T>,
    ) -> Result<(), Error> {
        self.check_dropped(dropped)?;
        let mask = self.mask_ref(mask)?;
        if !self.is_empty() {
            let scales = self.scales::<T>(dropped);
            self.apply_units(&mut tensor, mask, 0..self.units(), scales);
        }
        Ok(())
    }

    /// Inlined as far as here, so that a program which always or never passes a mask has only one
    /// of the two ways in it.
    #[inline]
    pub(crate) fn run<T: Element>(
        &self,
        key: Key,
        mut tensor: Tensor<'_, T>,
        mask: Option<&mut [u64]>,
        known: Option<&Dropped>,
    ) -> Result<Dropped, Error> {
        match mask {
            Some(mask) => self.run_with_mask(key, &mut tensor, mask, known),
            None => self.run_without_mask(key, &mut tensor, known),
        }
    }

    fn run_with_mask<T: Element>(
        &self,
        key: Key,
        tensor: &mut Tensor<'_, T>,
        mask: &mut [u64],
        known: Option<&Dropped>,
    ) -> Result<Dropped, Error> {
        let source = self.source(key)?;
        let mask = self.mask_mut(mask)?;
        if self.drops_nothing() {
            mask.fill(0);
            return Ok(self.run_without_drops(tensor));
        }
        let count = source.fill(self.mask_planes(), mask, ignore);
        let dropped = Dropped { count, of: self.units() as u64 };
        let scales = self.scales::<T>(&dropped);
        self.finish(key, tensor, mask, 0..self.units(), scales, known.is_none());
        Ok(dropped)
    }

    fn run_without_mask<T: Element>(
        &self,
        key: Key,
        tensor: &mut Tensor<'_, T>,
        known: Option<&Dropped>,
    ) -> Result<Dropped, Error> {
        let source = self.source(key)?;
        if self.drops_nothing() {
            return Ok(self.run_without_drops(tensor));
        }
        Ok(self.run_in_tiles(key, &source, tensor, known))
    }

    /// The pass where nothing can be dropped.
    fn run_without_drops<T: Element>(&self, tensor: &mut Tensor<'_, T>) -> Dropped {
        let all = Dropped { count: 0, of: self.units() as u64 };
        let scale = self.scale::<T>(&all);
        self.for_each_run(|start, run| {
            if scale == T::Scale::ONE {
                tensor.from(start).keep(run);
            } else {
                tensor.from(start).apply_apart(&[], 0, run, Factors::One(scale));
            }
        });
        all
    }

    /// Stage 3 of a pass, for the units in the range.
    pub(crate) fn finish<T: Element>(
        &self,
        key: Key,
        tensor: &mut Tensor<'_, T>,
        bits: &[u64],
        units: Range<usize>,
        scales: Scales<T::Scale>,
        forward: bool,
    ) {
        self.apply_units(tensor, bits, units.clone(), scales);
        if forward && self.options.fill == Fill::Noise {
            self.noise_units(key, tensor, bits, units);
        }
    }

    pub(crate) fn run_in_tiles<T: Element>(
        &self,
        key: Key,
        source: &Source<'_>,
        tensor: &mut Tensor<'_, T>,
        known: Option<&Dropped>,
    ) -> Dropped {
        let planes = self.group_planes();
        let together = self.planes_together();
        let mut total = Dropped { count: 0, of: self.units() as u64 };
        // Where a tile holds whole groups, scales follow from it.
        let own = (planes * self.plane() <= source.tile_units(self.mask_planes()))
            .then_some(Scales::PerGroup);
        let scales = match self.options.scale {
            Scale::Tensor => known.map(|dropped| self.scales::<T>(dropped)).or(own),
            Scale::Fixed | Scale::None | Scale::PerPosition => Some(self.scales::<T>(&total)),
            Scale::Sample | Scale::Channel => own,
        };
        if let Some(scales) = scales {
            let group = match scales {
                Scales::PerGroup => planes.max(together),
                Scales::One(_) | Scales::PerPosition => together,
            };
            total.count = source.for_each_tile(0..self.mask_planes(), group, |units, bits| {
                self.finish(key, tensor, bits, units, scales, known.is_none());
            });
            return total;
        }
        for group in 0..self.groups() {
            let planes = group * planes..(group + 1) * planes;
            let count = source.for_each_tile(planes.clone(), 1, |_, _| ());
            let dropped = Dropped { count, of: (planes.len() * self.plane()) as u64 };
            let scales = Scales::One(self.scale::<T>(&dropped));
            source.for_each_tile(planes, together, |units, bits| {
                self.finish(key, tensor, bits, units, scales, known.is_none());
            });
            total.count += dropped.count;
        }
        total
    }
}
