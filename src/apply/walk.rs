//! From units of the mask to elements of the tensor: which runs of elements have bits that lie side
//! by side, and which scale each has.

use core::ops::Range;

use super::channels_last::{BLOCKS, CHANNELS, apply_channels_last};
use super::{BLOCK, Runs, Scales, Tensor, apply, apply_repeated};
use crate::bits;
use crate::count::count;
use crate::cpu::Level;
use crate::mask::Sampler;
use crate::plan::geometry::{Geometry, Rows};
use crate::plan::scale::{Rule, count_scale};
use crate::{DropCount, Element, gamma};

/// The elements of a tile that is worked on at a time, where its planes are visited more than
/// once: small enough for the second cache.
const TILE: usize = 1 << 16;

/// The mask of some units: bit 0 of `bits` is unit `first`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk<'w> {
    pub(crate) geometry: &'w Geometry,
    pub(crate) rows: &'w Rows,
    pub(crate) sampler: &'w Sampler,
    pub(crate) rule: Rule,
    pub(crate) level: Level,
    pub(crate) bits: &'w [u64],
    pub(crate) first: usize,
}

/// Which units are visited.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Units {
    All,
    Dropped,
}

/// Some neighbouring units: their elements, and where they stand in the order of the planes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// The first element, and how far apart they lie.
    pub(crate) element: usize,
    pub(crate) step: isize,
    pub(crate) len: usize,
    /// The number of the first among all units of the tensor, plane by plane.
    pub(crate) index: usize,
}

impl Walk<'_> {
    /// Applies the mask of the units in the range, whole planes or a part of one, to the
    /// elements that they stand for. Where the scale is not known, it is that of the rule; groups
    /// must then be whole.
    pub(crate) fn apply<T: Element>(
        &self,
        tensor: &mut Tensor<'_, T>,
        units: Range<usize>,
        known: Option<T::Scale>,
    ) {
        let group = self.geometry.group_units();
        let known = match self.rule {
            Rule::Counted if known.is_none() && units.len() <= group => {
                Some(self.group_scale::<T>(units.clone()))
            }
            _ => known,
        };
        let scales = match (known, self.rule) {
            // Written, as a product with 0 may be NaN or -0.
            (Some(scale), _) if scale == T::Scale::ZERO => {
                return self.for_each_run(Units::All, units, |run| {
                    tensor.fill(run.element, (run.len, run.step), T::ZERO);
                });
            }
            (Some(scale), _) => Scales::One(scale),
            (None, Rule::PerPosition) => return self.apply_by_position(tensor, units),
            (None, _) => Scales::Counted(group),
        };
        if self.is_line() {
            let bit = units.start - self.first;
            let runs = Runs { count: 1, len: units.len(), step: 0, bit_step: 0 };
            return apply(self.level, &mut tensor.part(units), self.bits, bit, runs, scales);
        }
        match scales {
            Scales::Counted(group) if !self.channels_adjacent() => {
                for start in units.step_by(group.max(1)) {
                    let scale = self.group_scale::<T>(start..start + group);
                    self.apply_rows(tensor, start..start + group, Scales::One(scale));
                }
            }
            scales => self.apply_rows(tensor, units, scales),
        }
    }

    /// Applies units row by row of the map, each row in all planes of a tile.
    fn apply_rows<T: Element>(
        &self,
        tensor: &mut Tensor<'_, T>,
        units: Range<usize>,
        scales: Scales<'_, T::Scale>,
    ) {
        if matches!(scales, Scales::One(_)) && !self.channels_adjacent() && self.rows.are_padded() {
            return self.apply_padded_rows(tensor, units, scales);
        }
        self.for_each_tile(units, |planes, positions| {
            self.rows.for_each_row(positions, self.geometry.plane, |row| {
                self.apply_row(tensor, planes.clone(), row, scales);
            });
        });
    }

    /// Applies units map by map, in each all rows at once.
    fn apply_padded_rows<T: Element>(
        &self,
        tensor: &mut Tensor<'_, T>,
        units: Range<usize>,
        scales: Scales<'_, T::Scale>,
    ) {
        let plane = self.geometry.plane;
        let (planes, positions) = self.geometry.split(&units);
        for mask_plane in planes {
            self.rows.for_each_slice(positions.clone(), |start, count, len| {
                let runs = Runs { count, len, step: self.rows.row.unsigned_abs(), bit_step: len };
                let bit = mask_plane * plane + start - self.first;
                self.geometry.for_each_map(mask_plane, |sample, channel| {
                    let tensor = &mut tensor.from(self.rows.element(sample, channel, start));
                    apply(self.level, tensor, self.bits, bit, runs, scales);
                });
            });
        }
    }

    /// Applies units each of which has the scale of its position. Scales are formed for a few
    /// positions at a time and used for all planes.
    // Not inlined, or all passes would have its stack.
    #[inline(never)]
    fn apply_by_position<T: Element>(&self, tensor: &mut Tensor<'_, T>, units: Range<usize>) {
        self.for_each_tile(units, |planes, positions| {
            self.rows.for_each_row(positions, BLOCKS * BLOCK, |row| {
                let mut scales = [[T::Scale::ONE; BLOCK]; BLOCKS];
                for (start, scales) in row.clone().step_by(BLOCK).zip(&mut scales) {
                    let len = (row.end - start).min(BLOCK);
                    self.sampler.position_scales(start, scales.get_mut(..len).unwrap_or_default());
                }
                let scales = scales.get(..row.len().div_ceil(BLOCK)).unwrap_or_default();
                self.apply_row(tensor, planes.clone(), row, Scales::Each(scales));
            });
        });
    }

    /// Visits tiles of planes whose rows are then visited one after the other.
    fn for_each_tile(
        &self,
        units: Range<usize>,
        mut visit: impl FnMut(Range<usize>, Range<usize>),
    ) {
        let plane = self.geometry.plane;
        let together =
            if self.channels_adjacent() { self.geometry.mask_channels.max(1) } else { 1 };
        let planes = (TILE / plane.max(1)).max(1).next_multiple_of(together);
        for start in units.clone().step_by((planes * plane).max(1)) {
            let (planes, positions) =
                self.geometry.split(&(start..units.end.min(start + planes * plane)));
            visit(planes, positions);
        }
    }

    fn channels_adjacent(&self) -> bool {
        self.rows.channels_adjacent(self.geometry.channels)
    }

    /// Whether the units of the mask are the elements of the tensor, one for one.
    pub(crate) fn is_line(&self) -> bool {
        self.rows.line && self.geometry.is_unshared()
    }

    /// The scale of units that are one group.
    fn group_scale<T: Element>(&self, units: Range<usize>) -> T::Scale {
        let total = units.len() as u64;
        let dropped =
            count(self.level, self.bits, units.start - self.first..units.end - self.first);
        count_scale(DropCount { dropped, total })
    }

    /// The scale of the group of a plane of the mask, all of which is at hand.
    fn scale_of_plane<T: Element>(&self, plane: usize) -> T::Scale {
        let (planes, group) = (self.geometry.group_planes.max(1), self.geometry.group_units());
        let first = plane / planes * group;
        self.group_scale::<T>(first..first + group)
    }

    /// Applies a part of a row of the map in some planes of the mask. `Each` are scales of the
    /// positions.
    fn apply_row<T: Element>(
        &self,
        tensor: &mut Tensor<'_, T>,
        planes: Range<usize>,
        row: Range<usize>,
        scales: Scales<'_, T::Scale>,
    ) {
        let &Geometry { channels, mask_channels, plane, .. } = self.geometry;
        let shared = mask_channels != channels;
        if self.channels_adjacent() && !shared {
            return self.apply_row_of_channels(tensor, planes, row, scales);
        }
        let mut next = planes.start;
        while next < planes.end {
            let (mask_sample, channel) = (next / mask_channels.max(1), next % mask_channels.max(1));
            let bit = next * plane + row.start - self.first;
            let scales = match scales {
                // Of channels that lie side by side and share a mask.
                Scales::Counted(_) => Scales::One(self.scale_of_plane::<T>(next)),
                scales => scales,
            };
            // The channels that follow have bits of their own, or the same.
            let run = if shared {
                0..channels
            } else {
                channel..channels.min(channel + planes.end - next)
            };
            next += if shared { 1 } else { run.len() };
            let bit_step = if shared { 0 } else { plane };
            for sample in self.geometry.samples_of(mask_sample) {
                if self.channels_adjacent() {
                    let start = self.rows.element(sample, 0, row.start);
                    self.apply_shared_channels(tensor, start, bit, row.len(), scales);
                    continue;
                }
                if self.rows.step == 1 && self.rows.channel > 0 && !has_zero(scales) {
                    let start = self.rows.element(sample, run.start, row.start);
                    let (len, step) = (row.len(), self.rows.channel.unsigned_abs());
                    let runs = Runs { count: run.len(), len, step, bit_step };
                    let tensor = &mut tensor.from(start);
                    if shared && step == len {
                        apply_repeated(self.level, tensor, self.bits, bit, runs, scales);
                    } else {
                        apply(self.level, tensor, self.bits, bit, runs, scales);
                    }
                    continue;
                }
                for (i, channel) in run.clone().enumerate() {
                    let start = self.rows.element(sample, channel, row.start);
                    let bit = bit + i * bit_step;
                    self.apply_apart(tensor, start, bit, row.len(), scales);
                }
            }
        }
    }

    /// Applies one bit to all channels of a position, which lie side by side.
    fn apply_shared_channels<T: Element>(
        &self,
        tensor: &mut Tensor<'_, T>,
        start: usize,
        bit: usize,
        positions: usize,
        scales: Scales<'_, T::Scale>,
    ) {
        let (channels, step) = (self.geometry.channels, self.rows.step.unsigned_abs());
        let mut at = 0;
        while at < positions {
            // The positions with the same bit up to the end of this word are one run if nothing
            // lies between them.
            let word = bits::load(self.bits, bit + at);
            let dropped = word & 1 == 1;
            let same = if dropped { word.trailing_ones() } else { word.trailing_zeros() };
            let joined = step == channels && (dropped || matches!(scales, Scales::One(_)));
            let end = if joined { positions.min(at + same as usize) } else { at + 1 };
            let len = (end - at - 1) * step + channels;
            let start = start + at * step;
            match scales.of(at) {
                Some(scale) if !dropped && scale != T::Scale::ZERO => {
                    // Without bits nothing is dropped.
                    let runs = Runs { count: 1, len, step: 0, bit_step: 0 };
                    let tensor = &mut tensor.part(start..start + len);
                    apply(self.level, tensor, &[], 0, runs, Scales::One(scale));
                }
                _ => tensor.fill(start, (len, 1), T::ZERO),
            }
            at = end;
        }
    }

    /// Applies a part of a row to elements that lie apart, one by one.
    fn apply_apart<T: Element>(
        &self,
        tensor: &mut Tensor<'_, T>,
        start: usize,
        bit: usize,
        len: usize,
        scales: Scales<'_, T::Scale>,
    ) {
        for i in 0..len {
            let Some(scale) = scales.of(i) else { return };
            let dropped = bits::load_low::<1>(self.bits, bit + i) & 1 == 1;
            let element = start.wrapping_add_signed(i as isize * self.rows.step);
            tensor.replace(element, |x| {
                if dropped || scale == T::Scale::ZERO { T::ZERO } else { x.scaled(scale) }
            });
        }
    }

    /// The same for channels that lie side by side, each with a mask of its own.
    // Not inlined, or all passes would have its stack.
    #[inline(never)]
    fn apply_row_of_channels<T: Element>(
        &self,
        tensor: &mut Tensor<'_, T>,
        planes: Range<usize>,
        row: Range<usize>,
        scales: Scales<'_, T::Scale>,
    ) {
        let &Geometry { plane, group_planes, .. } = self.geometry;
        let channels = self.geometry.channels.max(1);
        let mut next = planes.start;
        while next < planes.end {
            let (mask_sample, channel) = (next / channels, next % channels);
            let run = next..planes.end.min(next - channel + channels).min(next + CHANNELS);
            next = run.end;
            let mut by_channel = [[T::Scale::ONE; BLOCK]; BLOCKS];
            let (scales, positions) = match scales {
                Scales::Each(scales) => (Scales::One(T::Scale::ONE), Some(scales)),
                // Channels of one sample: one group.
                Scales::Counted(_) if group_planes >= channels => {
                    (Scales::One(self.scale_of_plane::<T>(run.start)), None)
                }
                Scales::Counted(_) => {
                    for (scale, plane) in by_channel.as_flattened_mut().iter_mut().zip(run.clone())
                    {
                        *scale = self.scale_of_plane::<T>(plane);
                    }
                    (Scales::Each(&by_channel), None)
                }
                scales => (scales, None),
            };
            for sample in self.geometry.samples_of(mask_sample) {
                apply_channels_last(
                    &mut tensor.from(self.rows.element(sample, channel, row.start)),
                    self.level,
                    run.len(),
                    (row.len(), self.rows.step.unsigned_abs()),
                    self.bits,
                    (run.start * plane + row.start - self.first, plane),
                    scales,
                    positions,
                );
            }
        }
    }

    /// Writes a value to the elements of dropped units in the range, and to nothing else.
    pub(crate) fn drop_only<T: Copy>(
        &self,
        tensor: &mut Tensor<'_, T>,
        units: Range<usize>,
        value: T,
    ) {
        let Tensor::InPlace(x) = tensor else { return };
        self.for_each_run(Units::Dropped, units, |run| {
            if run.step != 1 {
                return Tensor::InPlace(x).fill(run.element, (run.len, run.step), value);
            }
            // Not `fill`, whose calls cost more than such short runs.
            let run = x.get_mut(run.element..).unwrap_or_default().iter_mut().take(run.len);
            run.for_each(|x| *x = value);
        });
    }

    /// Writes a value to blocks of a tensor that is one line: those that begin so far from unit `first`.
    #[inline]
    pub(crate) fn drop_blocks<T: Copy>(
        &self,
        tensor: &mut Tensor<'_, T>,
        first: usize,
        units: &[u32],
        value: T,
    ) {
        let Tensor::InPlace(x) = tensor else { return };
        let x = x.get_mut(first..).unwrap_or_default();
        let ([depth, rows, len], [_, height, width]) =
            (self.sampler.blocks.block, self.sampler.blocks.map);
        macro_rules! fill_rows {
            ($fill:expr) => {
                for &unit in units {
                    for d in 0..depth {
                        let mut start = unit as usize + d * height * width;
                        for _ in 0..rows {
                            if let Some(row) = x.get_mut(start..start + len) {
                                $fill(row, value);
                            }
                            start += width;
                        }
                    }
                }
            };
        }
        // The length is that of all rows: no branch on it in the loop.
        match len {
            2..4 => fill_rows!(fill_ends::<T, 2>),
            4..9 => fill_rows!(fill_ends::<T, 4>),
            9..17 => fill_rows!(fill_ends::<T, 8>),
            _ => fill_rows!(<[T]>::fill),
        }
    }

    /// Visits units in the range, whole planes or a part of one, as runs of elements.
    pub(crate) fn for_each_run(
        &self,
        which: Units,
        units: Range<usize>,
        mut visit: impl FnMut(Run),
    ) {
        if units.is_empty() {
            return;
        }
        if self.is_line() {
            return self.for_each_gap(which, units.start - self.first, units.len(), |gap| {
                let element = units.start + gap.start;
                visit(Run { element, step: 1, len: gap.len(), index: element });
            });
        }
        let &Geometry { plane, channels, .. } = self.geometry;
        let (planes, positions) = self.geometry.split(&units);
        for mask_plane in planes {
            self.rows.for_each_row(positions.clone(), plane, |row| {
                let bit = mask_plane * plane + row.start - self.first;
                let start = self.rows.element(0, 0, row.start);
                self.for_each_gap(which, bit, row.len(), |gap| {
                    let position = row.start + gap.start;
                    let start = start.wrapping_add_signed(gap.start as isize * self.rows.step);
                    self.geometry.for_each_map(mask_plane, |sample, channel| {
                        visit(Run {
                            element: start.wrapping_add_signed(self.rows.map(sample, channel)),
                            step: self.rows.step,
                            len: gap.len(),
                            index: (sample * channels + channel) * plane + position,
                        });
                    });
                });
            });
        }
    }

    #[inline]
    fn for_each_gap(
        &self,
        which: Units,
        bit: usize,
        len: usize,
        mut visit: impl FnMut(Range<usize>),
    ) {
        match which {
            Units::All => visit(0..len),
            Units::Dropped => for_each_dropped(self.bits, bit, len, visit),
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

/// Whether a scale of a position is 0, which is written rather than multiplied by.
fn has_zero<S: Element>(scales: Scales<'_, S>) -> bool {
    matches!(scales, Scales::Each(scales) if scales.as_flattened().contains(&S::ZERO))
}

/// Visits the runs of dropped units among `len` from a bit on, cut at every 64th.
#[inline]
fn for_each_dropped(bits: &[u64], bit: usize, len: usize, mut visit: impl FnMut(Range<usize>)) {
    for start in (0..len).step_by(bits::WORD_BITS) {
        let mut word = bits::load(bits, bit + start) & bits::low(len - start);
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

impl Sampler {
    /// The scales of neighbouring positions of the map, a word of them at most: 1 over the
    /// probability that the unit is kept.
    pub(crate) fn position_scales<S: Element<Scale = S> + crate::element::arithmetic::Ratio>(
        &self,
        start: usize,
        scales: &mut [S],
    ) {
        let mut probs = [0; bits::WORD_BITS];
        let probs = &mut probs[..scales.len().min(bits::WORD_BITS)];
        gamma::keep_probs(&self.blocks, self.gamma, start, probs);
        for (scale, &mut prob) in scales.iter_mut().zip(probs) {
            *scale = S::from_keep_prob(prob);
        }
    }
}
