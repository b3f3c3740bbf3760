//! Stage 3 where nothing is scaled: a value is written to dropped units and the rest is left as
//! it is, for elements of any type.

use core::ops::Range;

use crate::apply::Tensor;
use crate::bits::{self, WORD_BITS};
use crate::error::Buffer;
use crate::mask::ignore;
use crate::noise::Noise;
use crate::view::MaskView;
use crate::{Dropped, Element, Error, Key, Plan, Region};

/// Some neighbouring dropped units: their elements, and where they stand in the order of the planes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DroppedRun {
    /// The first element, and how far apart they lie.
    pub(crate) element: usize,
    pub(crate) step: usize,
    pub(crate) len: usize,
    /// The number of the first among all units of the tensor, plane by plane.
    pub(crate) index: usize,
}

impl Plan {
    /// Drops without scaling: writes `zero` to dropped units and leaves the others as they are.
    /// The scale is left to the caller, to be folded into the next kernel or a quantiser's step.
    ///
    /// * `x`: [`extent`](Self::extent) elements of any type in the plan's layout. Quantised
    ///   tensors (`i8`, `u8`) pass their zero point as `zero`.
    /// * `mask`: as for [`forward`](Self::forward).
    ///
    /// [`Plan::scale`] gives the scale of the count that is returned, or of that of
    /// [`count_group`](Self::count_group) if each sample or map has its own. The gradient is
    /// dropped by the same call; backward passes are linear, so its scale can wait as well.
    ///
    /// # Examples
    ///
    /// ```
    /// use dropblock::{DropBlock, Key, Shape};
    ///
    /// let plan = DropBlock::new(3, 0.2)?.plan(Shape::nchw(2, 4, 10, 10))?;
    /// let (zero_point, mut step) = (-7_i8, 0.05_f32);
    /// let mut x = [20_i8; 800];
    /// let dropped = plan.drop_only(Key::new(1), &mut x, zero_point, None)?;
    /// step *= plan.scale::<f32>(&dropped);
    /// let sum: f32 = x.iter().map(|&x| (i32::from(x) - i32::from(zero_point)) as f32 * step).sum();
    /// assert!((sum - 800.0 * 27.0 * 0.05).abs() < 0.01);
    /// # Ok::<(), dropblock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Length`] for a buffer of the wrong length, [`Error::FirstSample`].
    pub fn drop_only<T: Copy>(
        &self,
        key: Key,
        x: &mut [T],
        zero: T,
        mask: Option<&mut [u64]>,
    ) -> Result<Dropped, Error> {
        self.check_tensor(Buffer::Output, x.len())?;
        let source = self.source(key)?;
        let mut dropped = Dropped { count: 0, of: self.units() as u64 };
        let mask = mask.map(|mask| self.mask_mut(mask)).transpose()?;
        if self.drops_nothing() {
            mask.into_iter().for_each(|mask| mask.fill(0));
            return Ok(dropped);
        }
        let planes = 0..self.mask_planes();
        let by_block = source.region() == Region::Valid && self.is_line();
        let fill_blocks = |first: usize, units: &[u32]| {
            self.fill_blocks(x.get_mut(first..).unwrap_or_default(), units, zero);
        };
        if let Some(mask) = mask {
            if by_block {
                dropped.count = source.fill(planes.end, mask, fill_blocks);
            } else {
                dropped.count = source.fill(planes.end, mask, ignore);
                self.for_each_dropped_run(mask, 0..self.units(), |run| fill(x, run, zero));
            }
            return Ok(dropped);
        }
        dropped.count = if by_block && self.plane() <= source.tile_units(planes.end) {
            source.for_each_tile_by_block(planes, 1, fill_blocks, |_, _| ())
        } else {
            source.for_each_tile(planes, 1, |units, bits| {
                self.for_each_dropped_run(bits, units, |run| fill(x, run, zero));
            })
        };
        Ok(dropped)
    }

    /// Fills the blocks that begin at these units of a tensor which is one line.
    #[inline]
    fn fill_blocks<T: Copy>(&self, x: &mut [T], units: &[u32], value: T) {
        let [depth, rows, len] = self.blocks.block;
        let [_, height, width] = self.blocks.map;
        macro_rules! fill_blocks {
            ($fill_row:expr) => {
                for &unit in units {
                    for d in 0..depth {
                        let mut start = unit as usize + d * height * width;
                        for _ in 0..rows {
                            if let Some(row) = x.get_mut(start..start + len) {
                                $fill_row(row, value);
                            }
                            start += width;
                        }
                    }
                }
            };
        }
        // The length is the same for all rows: no branch on it in the loop.
        match len {
            4..=8 => fill_blocks!(fill_ends::<T, 4>),
            9..=16 => fill_blocks!(fill_ends::<T, 8>),
            2..=3 => fill_blocks!(fill_ends::<T, 2>),
            _ => fill_blocks!(<[T]>::fill),
        }
    }

    /// Writes `value` to the units that a mask drops and leaves the others as they are.
    ///
    /// * `mask`: [`mask_len`](Self::mask_len) words or more.
    /// * `x`: [`extent`](Self::extent) elements of any type in the plan's layout.
    ///
    /// # Errors
    ///
    /// [`Error::Length`].
    pub fn fill_dropped<T: Copy>(&self, mask: &[u64], x: &mut [T], value: T) -> Result<(), Error> {
        self.check_tensor(Buffer::Output, x.len())?;
        let mask = self.mask_ref(mask)?;
        self.for_each_dropped_run(mask, 0..self.units(), |run| fill(x, run, value));
        Ok(())
    }

    /// Writes the noise of a key to the units that a mask drops and leaves the others as they
    /// are: what [`forward`](Self::forward) does with [`Fill::Noise`](crate::Fill::Noise) after
    /// the mask is applied.
    ///
    /// * `mask`: [`mask_len`](Self::mask_len) words or more.
    /// * `x`: [`extent`](Self::extent) elements in the plan's layout.
    ///
    /// # Errors
    ///
    /// [`Error::Length`], [`Error::FirstSample`].
    pub fn fill_noise<T: Element>(&self, key: Key, mask: &[u64], x: &mut [T]) -> Result<(), Error> {
        self.check_tensor(Buffer::Output, x.len())?;
        self.source(key)?;
        let mask = self.mask_ref(mask)?;
        self.noise_units(key, &mut Tensor::InPlace(x), mask, 0..self.units());
        Ok(())
    }

    /// Writes noise to the dropped ones of the units in the range.
    pub(crate) fn noise_units<T: Element>(
        &self,
        key: Key,
        tensor: &mut Tensor<'_, T>,
        bits: &[u64],
        units: Range<usize>,
    ) {
        let noise = Noise::new(&key.streams());
        let (Tensor::InPlace(y) | Tensor::To(_, y, _)) = tensor;
        // Numbers wrap past 2^64 units, as no tensor has them all.
        let first = key.first_sample.wrapping_mul((self.shape.channels * self.plane()) as u64);
        self.for_each_dropped_run(bits, units, |run| {
            let index = first.wrapping_add(run.index as u64);
            let Some(y) = y.get_mut(run.element..) else { return };
            for (i, y) in (0..run.len as u64).zip(y.iter_mut().step_by(run.step.max(1))) {
                *y = T::from_deviate(noise.deviate(index.wrapping_add(i)));
            }
        });
    }

    /// Visits the dropped units in the range, whole planes or a part of one, as runs of elements.
    pub(crate) fn for_each_dropped_run(
        &self,
        bits: &[u64],
        units: Range<usize>,
        mut visit: impl FnMut(DroppedRun),
    ) {
        if units.is_empty() {
            return;
        }
        let view = MaskView::unchecked(bits, units.len());
        if self.is_line() {
            return for_each_gap(&view, |gap| {
                let element = units.start + gap.start;
                visit(DroppedRun { element, step: 1, len: gap.len(), index: element });
            });
        }
        let (plane, mask_channels) = (self.plane(), self.mask_channels.max(1));
        let (planes, positions) = self.split(&units);
        for mask_plane in planes {
            self.for_each_row(positions.clone(), plane, |row| {
                let start = self.element(&row);
                let first = mask_plane * plane + row.start - units.start;
                let (mask_sample, mask_channel) =
                    (mask_plane / mask_channels, mask_plane % mask_channels);
                for_each_gap(&view.part(first..first + row.len()), |gap| {
                    for sample in self.users(mask_sample, self.mask_samples, self.shape.samples) {
                        for channel in
                            self.users(mask_channel, self.mask_channels, self.shape.channels)
                        {
                            let map = sample * self.rows.sample + channel * self.rows.channel;
                            visit(DroppedRun {
                                element: map + start + gap.start * self.rows.step,
                                step: self.rows.step,
                                len: gap.len(),
                                index: (sample * self.shape.channels + channel) * plane
                                    + row.start
                                    + gap.start,
                            });
                        }
                    }
                });
            });
        }
    }
}

/// Visits the runs of dropped units, cut at every 64th.
#[inline]
fn for_each_gap(view: &MaskView<'_>, mut visit: impl FnMut(Range<usize>)) {
    for start in (0..view.len()).step_by(WORD_BITS) {
        let mut word = !view.keep_word(start) & bits::low(view.len() - start);
        let mut at = start;
        while word != 0 {
            let kept = word.trailing_zeros() as usize;
            let dropped = (word >> kept).trailing_ones() as usize;
            visit(at + kept..at + kept + dropped);
            // In two steps, as together they may be a whole word.
            word = word >> kept >> (dropped - 1) >> 1;
            at += kept + dropped;
        }
    }
}

/// Fills a row of `N` to `2 N` elements by two stores, which may overlap.
#[inline(always)]
fn fill_ends<T: Copy, const N: usize>(row: &mut [T], value: T) {
    if let Some(first) = row.first_chunk_mut() {
        *first = [value; N];
    }
    if let Some(last) = row.last_chunk_mut() {
        *last = [value; N];
    }
}

#[inline]
pub(crate) fn fill<T: Copy>(x: &mut [T], run: DroppedRun, value: T) {
    let Some(x) = x.get_mut(run.element..) else { return };
    if run.step == 1 {
        // Not `fill`, whose calls cost more than such short runs.
        x.iter_mut().take(run.len).for_each(|x| *x = value);
    } else {
        x.iter_mut().step_by(run.step.max(1)).take(run.len).for_each(|x| *x = value);
    }
}
