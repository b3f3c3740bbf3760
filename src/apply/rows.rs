//! Rows of the map: which elements they are in each layout, and how they go to an [`Action`].

use core::ops::Range;

use super::action::Action;
use super::channels_last::{BLOCKS, CHANNELS, apply_channels_last};
use super::repeated::maps;
use super::{BLOCK, Runs, Scales, Tensor, Walk, cycle};
use crate::bits;
use crate::mask::Tile;
use crate::plan::geometry::Geometry;

impl Walk<'_> {
    /// Applies planes row by row of the map, each row in as many planes as stay in the second cache.
    /// Without scales each plane has that of its group.
    pub(super) fn rows<T: Copy, A: Action<T>>(
        &self,
        action: A,
        tensor: &mut Tensor<'_, T>,
        planes: Range<usize>,
        scales: Option<Scales<'_, A::Scale>>,
    ) {
        if let Some(scales @ Scales::One(_)) = scales
            && !self.channels_adjacent()
            && self.rows.are_padded()
        {
            return self.padded_rows(action, tensor, planes, scales);
        }
        self.for_each_part(planes, |planes| {
            self.rows.for_each_row(self.tile.positions(), self.geometry.plane, |row| {
                self.row(action, tensor, planes.clone(), row, scales);
            });
        });
    }

    /// Applies planes map by map, in each all rows at once; all maps at once if their rows go on at the
    /// same distance.
    fn padded_rows<T: Copy, A: Action<T>>(
        &self,
        action: A,
        tensor: &mut Tensor<'_, T>,
        planes: Range<usize>,
        scales: Scales<'_, A::Scale>,
    ) {
        let Tile { bits, stride, .. } = *self.tile;
        let Geometry { plane, channels, .. } = *self.geometry;
        if self.geometry.is_unshared()
            && self.geometry.rows_are_even(self.rows)
            && stride == plane
            && self.tile.positions().len() == plane
        {
            let (bit, len) = (self.tile.bit(planes.start, 0), self.rows.len);
            let count = planes.len() * plane / len.max(1);
            let runs =
                Runs { bits, bit, count, len, step: self.rows.row.unsigned_abs(), bit_step: len };
            let channels = channels.max(1);
            let first = self.rows.element(planes.start / channels, planes.start % channels, 0);
            return action.runs(&mut tensor.from(first), runs, scales);
        }
        for mask_plane in planes {
            self.rows.for_each_slice(self.tile.positions(), |start, count, len| {
                let bit = self.tile.bit(mask_plane, start);
                let step = self.rows.row.unsigned_abs();
                let runs = Runs { bits, bit, count, len, step, bit_step: len };
                self.geometry.for_each_map(mask_plane, |sample, channel| {
                    let tensor = &mut tensor.from(self.rows.element(sample, channel, start));
                    action.runs(tensor, runs, scales);
                });
            });
        }
    }

    /// Applies a part of a row of the map in some planes of the mask. `Each` are scales of the
    /// positions; without scales each plane has that of its group.
    pub(super) fn row<T: Copy, A: Action<T>>(
        &self,
        action: A,
        tensor: &mut Tensor<'_, T>,
        planes: Range<usize>,
        row: Range<usize>,
        scales: Option<Scales<'_, A::Scale>>,
    ) {
        let &Geometry { channels, mask_channels, .. } = self.geometry;
        let shared = mask_channels != channels;
        if self.channels_adjacent() && !shared {
            return self.row_of_channels(action, tensor, planes, row, scales);
        }
        let mut next = planes.start;
        while next < planes.end {
            // The channels that follow have bits of their own, or the same.
            let channel = next % mask_channels.max(1);
            let end = if shared { next + 1 } else { planes.end.min(next - channel + channels) };
            match scales {
                Some(scales) => self.row_of_maps(action, tensor, next..end, &row, scales),
                None => self.row_of_groups(action, tensor, next..end, &row),
            }
            next = end;
        }
    }

    /// Applies a part of a row to maps of one sample of the mask, each with the scale of its group.
    // Not inlined, or all passes would have its stack.
    #[inline(never)]
    fn row_of_groups<T: Copy, A: Action<T>>(
        &self,
        action: A,
        tensor: &mut Tensor<'_, T>,
        planes: Range<usize>,
        row: &Range<usize>,
    ) {
        if self.geometry.group_planes >= planes.len() {
            let mut scale = [A::ONE];
            self.group_scales::<T, A>(planes.start, &mut scale);
            return self.row_of_maps(action, tensor, planes, row, Scales::One(scale[0]));
        }
        for first in planes.clone().step_by(BLOCK) {
            let planes = first..planes.end.min(first + BLOCK);
            // Groups of one plane, as others have all planes of a sample.
            let mut scales = [A::ONE; BLOCK];
            let scales = scales.get_mut(..planes.len()).unwrap_or_default();
            self.group_scales::<T, A>(planes.start, scales);
            let scales = Scales::Runs(scales);
            self.row_of_maps(action, tensor, planes, row, scales);
        }
    }

    /// Applies a part of a row to maps of one sample of the mask, or to all channels that share one.
    fn row_of_maps<T: Copy, A: Action<T>>(
        &self,
        action: A,
        tensor: &mut Tensor<'_, T>,
        planes: Range<usize>,
        row: &Range<usize>,
        scales: Scales<'_, A::Scale>,
    ) {
        let &Geometry { channels, mask_channels, .. } = self.geometry;
        let (mask_sample, channel) =
            (planes.start / mask_channels.max(1), planes.start % mask_channels.max(1));
        let bit = self.tile.bit(planes.start, row.start);
        let (count, bit_step) = if mask_channels == channels {
            (planes.len(), self.tile.stride)
        } else {
            (channels, 0)
        };
        for sample in self.geometry.samples_of(mask_sample) {
            if self.channels_adjacent() {
                let start = self.rows.element(sample, 0, row.start);
                self.shared_channels(action, tensor, start, bit, row.len(), scales);
                continue;
            }
            let have_zero = matches!(scales, Scales::Each(scales) if A::have_zero(scales));
            if self.rows.step == 1 && self.rows.channel > 0 && !have_zero {
                let start = self.rows.element(sample, channel, row.start);
                let (len, step) = (row.len(), self.rows.channel.unsigned_abs());
                let runs = Runs { bits: self.tile.bits, bit, count, len, step, bit_step };
                maps(action, self.level, &mut tensor.from(start), runs, scales);
                continue;
            }
            for i in 0..count {
                let start = self.rows.element(sample, channel + i, row.start);
                let bit = bit + i * bit_step;
                let scales = match scales {
                    Scales::Runs(scales) => Scales::One(scales.get(i).copied().unwrap_or(A::ONE)),
                    scales => scales,
                };
                self.apart(action, tensor, start, bit, row.len(), scales);
            }
        }
    }

    /// Applies one bit to all channels of a position, which lie side by side.
    fn shared_channels<T: Copy, A: Action<T>>(
        &self,
        action: A,
        tensor: &mut Tensor<'_, T>,
        start: usize,
        bit: usize,
        positions: usize,
        scales: Scales<'_, A::Scale>,
    ) {
        let (channels, step) = (self.geometry.channels, self.rows.step.unsigned_abs());
        if step == channels && channels < BLOCK {
            let scales = match scales {
                Scales::Each(scales) => Scales::Runs(scales),
                scales => scales,
            };
            // All channels have the same bits.
            return apply_channels_last(
                action,
                &mut tensor.from(start),
                self.level,
                channels,
                (positions, step),
                self.tile.bits,
                (bit, 0),
                scales,
            );
        }
        let mut at = 0;
        while at < positions {
            // The positions with the same bit up to the end of this word are one run if nothing
            // lies between them.
            let word = bits::load(self.tile.bits, bit + at);
            let dropped = word & 1 == 1;
            let same = if dropped { word.trailing_ones() } else { word.trailing_zeros() };
            let joined = step == channels && (dropped || matches!(scales, Scales::One(_)));
            let end = if joined { positions.min(at + same as usize) } else { at + 1 };
            let len = (end - at - 1) * step + channels;
            let start = start + at * step;
            match scales.of(at) {
                Some(scale) if !dropped && !A::is_zero(scale) => {
                    let runs = Runs::one(&[], 0, len);
                    action.runs(&mut tensor.part(start..start + len), runs, Scales::One(scale));
                }
                _ => tensor.fill(start, (len, 1), action.dropped()),
            }
            at = end;
        }
    }

    /// Applies a part of a row to elements that lie apart, one by one.
    fn apart<T: Copy, A: Action<T>>(
        &self,
        action: A,
        tensor: &mut Tensor<'_, T>,
        start: usize,
        bit: usize,
        len: usize,
        scales: Scales<'_, A::Scale>,
    ) {
        for i in 0..len {
            let Some(scale) = scales.of(i) else { return };
            let dropped = bits::load_low::<1>(self.tile.bits, bit + i) & 1 == 1;
            let element = start.wrapping_add_signed(i as isize * self.rows.step);
            tensor.replace(element, |x| {
                if dropped || A::is_zero(scale) { action.dropped() } else { action.kept(x, scale) }
            });
        }
    }

    /// Applies a part of a row to channels that lie side by side, each with a mask of its own.
    // Not inlined, or all passes would have its stack.
    #[inline(never)]
    fn row_of_channels<T: Copy, A: Action<T>>(
        &self,
        action: A,
        tensor: &mut Tensor<'_, T>,
        planes: Range<usize>,
        row: Range<usize>,
        scales: Option<Scales<'_, A::Scale>>,
    ) {
        let group_planes = self.geometry.group_planes;
        let channels = self.geometry.channels.max(1);
        let mut next = planes.start;
        while next < planes.end {
            let (mask_sample, channel) = (next / channels, next % channels);
            let run = next..planes.end.min(next - channel + channels).min(next + CHANNELS);
            next = run.end;
            let mut by_channel = [[A::ONE; BLOCK]; BLOCKS + 1];
            let scales = match scales {
                Some(Scales::Each(scales)) => Scales::Runs(scales),
                Some(scales) => scales,
                // Channels of one sample: one group.
                None => {
                    let is_one = group_planes >= channels;
                    let scales = by_channel.as_flattened_mut();
                    let count = if is_one { 1 } else { run.len() };
                    self.group_scales::<T, A>(
                        run.start,
                        scales.get_mut(..count).unwrap_or_default(),
                    );
                    if is_one {
                        Scales::One(by_channel[0][0])
                    } else {
                        Scales::Each(cycle(by_channel.as_flattened_mut(), run.len()))
                    }
                }
            };
            for sample in self.geometry.samples_of(mask_sample) {
                apply_channels_last(
                    action,
                    &mut tensor.from(self.rows.element(sample, channel, row.start)),
                    self.level,
                    run.len(),
                    (row.len(), self.rows.step.unsigned_abs()),
                    self.tile.bits,
                    (self.tile.bit(run.start, row.start), self.tile.stride),
                    scales,
                );
            }
        }
    }
}
