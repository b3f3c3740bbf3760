//! Dropping without scaling: a value is written to dropped units and the rest is left as it is, for
//! elements of any type.

use super::Plan;
use super::pass::Pass;
use crate::apply::Tensor;
use crate::mask::{Tile, ignore};
use crate::{Drawn, Error, Key, Region, ViewMut};

impl Plan {
    /// Drops without scaling and without a mask buffer: writes `value` to dropped units and leaves
    /// the others as they are. The caller applies the scale, for example in the next kernel or in
    /// the step of a quantiser.
    ///
    /// * `x`: a tensor of the plan's shape with elements of any type, see
    ///   [`View`](crate::View). Quantised tensors (`i8`, `u8`) pass their zero point as `value`.
    ///
    /// [`Plan::scale`] gives the scale for the count that is returned. If each sample or map has its
    /// own scale, draw a mask and use [`Mask::count_group`](crate::Mask::count_group). The same call
    /// drops the gradient, whose scale can be applied later as well.
    ///
    /// # Examples
    ///
    /// ```
    /// use dropblock::{DropBlock, Key, Shape};
    ///
    /// let plan = DropBlock::new(3, 0.2)?.plan(Shape::nchw(2, 4, 10, 10))?;
    /// let (zero_point, mut step) = (-7_i8, 0.05_f32);
    /// let mut x = [20_i8; 800];
    /// let drawn = plan.drop_only(Key::new(1), &mut x, zero_point)?;
    /// step *= plan.scale::<f32>(drawn.count().unwrap_or_default());
    /// let sum: f32 = x.iter().map(|&x| (i32::from(x) - i32::from(zero_point)) as f32 * step).sum();
    /// assert!((sum - 800.0 * 27.0 * 0.05).abs() < 0.01);
    /// # Ok::<(), dropblock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`forward_in_place`](Self::forward_in_place).
    pub fn drop_only<'t, T: Copy + Send + Sync + 't>(
        &self,
        key: Key,
        x: impl Into<ViewMut<'t, T>>,
        value: T,
    ) -> Result<Drawn, Error> {
        let mut pass = self.pass(key, false)?;
        let mut tensor = pass.in_place(x.into())?;
        let dropped =
            if self.drops_nothing() { 0 } else { self.drop_in_tiles(&pass, &mut tensor, value) };
        Ok(Drawn::from(key).with_count(self.count_of(dropped)))
    }

    fn drop_in_tiles<T: Copy + Send + Sync>(
        &self,
        pass: &Pass<'_>,
        tensor: &mut Tensor<'_, T>,
        value: T,
    ) -> u64 {
        #[cfg(feature = "rayon")]
        if let Some(threads) = self.threads_for(self.elements()) {
            return threads.drop_only(pass, tensor, None, value);
        }
        pass.drop_in_tiles(tensor, value)
    }
}

impl Pass<'_> {
    /// Drops what a mask that is at hand drops.
    pub(super) fn drop_only<T: Copy>(&self, tensor: &mut Tensor<'_, T>, tile: &Tile<'_>, value: T) {
        self.walk(tile, &[]).drop_only(tensor, value);
    }

    pub(super) fn drop_in_tiles<T: Copy>(&self, tensor: &mut Tensor<'_, T>, value: T) -> u64 {
        let planes = 0..self.geometry.mask_planes();
        let blocks = self.source.sampler.blocks;
        let tile = self.tile(&[]);
        let walk = self.walk(&tile, &[]);
        // Block by block where a tile holds a plane: no branch on what the mask holds.
        if walk.is_line()
            && blocks.region == Region::Valid
            && self.source.has_groups(planes.end, 1, 1)
        {
            return self.source.for_each_tile(
                planes,
                (1, 1),
                |first, units| walk.drop_blocks(tensor, first, units, value),
                |_| (),
            );
        }
        self.source.for_each_tile(planes, (1, self.planes_together()), ignore, |tile| {
            self.drop_only(tensor, tile, value);
        })
    }
}
