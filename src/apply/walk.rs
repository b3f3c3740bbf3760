//! From units of the mask to elements of the tensor: which runs of elements have bits that lie side
//! by side, and which scale each has.

use core::ops::Range;

use super::action::{Action, Apply, DropOnly};
use super::channels_last::BLOCKS;
use super::repeated::maps;
use super::{BLOCK, Runs, Scales, Tensor, apply, cycle, drop_only};
use crate::bits;
use crate::count::{count, count_each};
use crate::cpu::Level;
use crate::mask::{Sampler, Tile};
use crate::plan::geometry::{Geometry, Rows};
use crate::plan::scale::{Rule, count_scale};
use crate::{DropCount, Element, gamma};

/// The elements that are worked on at a time, where planes are visited more than once: small enough
/// for the second cache.
const PART: usize = 1 << 16;

/// The most units of a group of which the scales of all counts are formed first.
const FEW: usize = 8;

/// The least planes at a time, as the scales of positions are formed once for all of them.
const PLANES: usize = 8;

/// A tile of a mask and all that decides what becomes of its elements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk<'w> {
    pub(crate) geometry: &'w Geometry,
    pub(crate) rows: &'w Rows,
    pub(crate) sampler: &'w Sampler,
    pub(crate) rule: Rule,
    pub(crate) level: Level,
    pub(crate) tile: &'w Tile<'w>,
    /// The dropped units of the groups of the tile's planes, where the tile does not hold them all.
    pub(crate) counts: &'w [u64],
}

/// Some neighbouring dropped units: their elements, and where they stand in the order of the planes.
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
    /// Applies the tile to the elements that its units stand for. Where the scale is not known, it is
    /// that of the rule; the tile must then hold whole groups, or their counts must be known.
    pub(crate) fn apply<T: Element>(&self, tensor: &mut Tensor<'_, T>, known: Option<T::Scale>) {
        let planes = self.tile.planes();
        let group = self.geometry.group_planes;
        let is_one_group = planes.len() <= group && self.counts.is_empty();
        let known = match self.rule {
            Rule::Counted if known.is_none() && is_one_group => {
                Some(count_scale(self.count_group(planes.clone())))
            }
            _ => known,
        };
        let scales = match (known, self.rule) {
            // Written, as a product with 0 may be NaN or -0.
            (Some(scale), _) if scale == T::Scale::ZERO => {
                return self.for_each_line(|start, len| tensor.fill(start, len, T::ZERO));
            }
            (Some(scale), _) => Some(Scales::One(scale)),
            (None, Rule::PerPosition) => return self.apply_by_position(tensor, planes),
            (None, _) => None,
        };
        if self.is_line() {
            let units = self.tile.units(self.geometry.plane);
            let tensor = &mut tensor.part(units.clone());
            let runs = Runs::one(self.tile.bits, 0, units.len());
            return match scales {
                Some(scales) => apply(self.level, tensor, runs, scales),
                None => self.groups(tensor, planes),
            };
        }
        if scales.is_some() || self.channels_adjacent() || self.rows.len == self.geometry.plane {
            return self.rows(Apply(self.level), tensor, planes, scales);
        }
        for start in planes.step_by(group.max(1)) {
            let group = start..start + group;
            let scale = count_scale(self.count_group(group.clone()));
            self.rows(Apply(self.level), tensor, group, Some(Scales::One(scale)));
        }
    }

    /// Applies whole groups of a tensor that is one line, each with the scale of its count. Of a group
    /// that is dropped altogether nothing is scaled.
    // Not inlined, or all passes would have its stack.
    #[inline(never)]
    fn groups<T: Element>(&self, tensor: &mut Tensor<'_, T>, planes: Range<usize>) {
        let group = self.geometry.group_planes.max(1);
        let len = self.geometry.group_units();
        for first in planes.clone().step_by((group * BLOCK).max(1)) {
            let mut scales = [T::Scale::ONE; BLOCK];
            let count = ((planes.end - first) / group).min(BLOCK);
            let bit = self.tile.bit(first, 0);
            self.group_scales::<T, Apply>(first, scales.get_mut(..count).unwrap_or_default());
            let scales = Scales::Runs(scales.get(..count).unwrap_or_default());
            let runs = Runs { bits: self.tile.bits, bit, count, len, step: len, bit_step: len };
            let start = (first - planes.start) * self.geometry.plane;
            maps(Apply(self.level), self.level, &mut tensor.from(start), runs, scales);
        }
    }

    /// Applies units each of which has the scale of its position. Scales are formed for a few
    /// positions at a time, whole rows of the map where that many are, and used for all planes.
    // Not inlined, or all passes would have its stack.
    #[inline(never)]
    fn apply_by_position<T: Element>(&self, tensor: &mut Tensor<'_, T>, planes: Range<usize>) {
        const MOST: usize = BLOCKS * BLOCK;
        let most = match MOST.checked_div(self.sampler.blocks.map[2]) {
            Some(rows @ 1..) => rows * self.sampler.blocks.map[2],
            _ => MOST,
        };
        let mut scales = [[T::Scale::ONE; BLOCK]; BLOCKS + 1];
        let scales = scales.as_flattened_mut();
        let mut formed = None;
        self.for_each_part(planes, |planes| {
            self.rows.for_each_row(self.tile.positions(), most, |row| {
                // Inside the map rows have the same.
                let pattern = Some(self.sampler.blocks.cover_pattern(row.clone()));
                if formed != pattern {
                    let scales = scales.get_mut(..row.len()).unwrap_or_default();
                    self.sampler.position_scales(row.start, scales);
                    formed = pattern;
                }
                let each = Scales::Each(cycle(scales, row.len()));
                self.row(Apply(self.level), tensor, planes.clone(), row, Some(each));
            });
        });
    }

    /// Visits some planes at a time, whose rows are then visited one after the other.
    pub(super) fn for_each_part(&self, planes: Range<usize>, mut visit: impl FnMut(Range<usize>)) {
        let together = self.geometry.planes_together(self.rows);
        let most = (PART / self.geometry.plane.max(1)).max(PLANES);
        let most = most.next_multiple_of(together.max(1));
        for start in planes.clone().step_by(most.max(1)) {
            visit(start..planes.end.min(start + most));
        }
    }

    pub(super) fn channels_adjacent(&self) -> bool {
        self.rows.channels_adjacent(self.geometry.channels)
    }

    /// Whether the units of the mask are the elements of the tensor, one for one.
    #[inline(always)]
    pub(crate) fn is_line(&self) -> bool {
        self.rows.line && self.geometry.is_unshared()
    }

    /// The count of planes that are one group, all of which is at hand.
    fn count_group(&self, planes: Range<usize>) -> DropCount {
        let total = (planes.len() * self.geometry.plane) as u64;
        let bits = self.tile.bit(planes.start, 0)..self.tile.bit(planes.end, 0);
        DropCount { dropped: count(self.level, self.tile.bits, bits), total }
    }

    /// The scales of groups that follow one another, from that of a plane of the mask on.
    pub(super) fn group_scales<T: Copy, A: Action<T>>(
        &self,
        plane: usize,
        scales: &mut [A::Scale],
    ) {
        let (planes, len) = (self.geometry.group_planes.max(1), self.geometry.group_units());
        let skipped = (plane - self.tile.planes().start) / planes;
        let mut counts = [0; BLOCK];
        // Small groups have few counts, which take a division each.
        let scale_of = |dropped: u64| A::scale_of(DropCount { dropped, total: len as u64 });
        let is_few = len <= FEW && scales.len() > FEW;
        let of_few: [A::Scale; FEW + 1] = if is_few {
            core::array::from_fn(|dropped| scale_of(dropped.min(len) as u64))
        } else {
            [A::ONE; FEW + 1]
        };
        for (i, scales) in scales.chunks_mut(BLOCK).enumerate() {
            let first = i * BLOCK;
            let counts = match self.counts.get(skipped + first..) {
                Some(known @ [_, ..]) => known,
                _ => {
                    let bit = self.tile.bit(plane / planes * planes + first * planes, 0);
                    let counts = counts.get_mut(..scales.len()).unwrap_or_default();
                    count_each(self.level, self.tile.bits, bit, len, counts);
                    counts
                }
            };
            for (scale, &dropped) in scales.iter_mut().zip(counts) {
                *scale = match of_few.get(dropped as usize) {
                    Some(&scale) if is_few => scale,
                    _ => scale_of(dropped),
                };
            }
        }
    }

    /// Writes a value to the elements of dropped units, and to nothing else.
    pub(crate) fn drop_only<T: Copy>(&self, tensor: &mut Tensor<'_, T>, value: T) {
        if self.is_line() {
            let units = self.tile.units(self.geometry.plane);
            let runs = Runs::one(self.tile.bits, 0, units.len());
            return drop_only(self.level, &mut tensor.part(units), runs, value);
        }
        let action = DropOnly(self.level, value);
        self.rows(action, tensor, self.tile.planes(), Some(Scales::One(())));
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
                for d in 0..depth {
                    for h in 0..rows {
                        let row = (d * height + h) * width;
                        for &unit in units {
                            let start = row + unit as usize;
                            if let Some(row) = x.get_mut(start..start + len) {
                                $fill(row, value);
                            }
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

    /// Visits the elements of all units of the tile: the first of some, how many, and how far apart.
    pub(crate) fn for_each_line(&self, mut visit: impl FnMut(usize, (usize, isize))) {
        let &Geometry { plane, channels, mask_channels, .. } = self.geometry;
        if self.is_line() {
            let units = self.tile.units(plane);
            return visit(units.start, (units.len(), 1));
        }
        let planes = self.tile.planes();
        let mut next = planes.start;
        while next < planes.end {
            // The planes of one sample of the mask.
            let (mask_sample, first) = (next / mask_channels.max(1), next % mask_channels.max(1));
            let end = planes.end.min(next - first + mask_channels);
            let count = if mask_channels == channels { end - next } else { channels };
            next = end;
            for sample in self.geometry.samples_of(mask_sample) {
                self.rows.for_each_row(self.tile.positions(), plane, |row| {
                    let start = self.rows.element(sample, first, row.start);
                    let (along, across) = ((row.len(), self.rows.step), (count, self.rows.channel));
                    let (inner, outer) =
                        if self.channels_adjacent() { (across, along) } else { (along, across) };
                    for i in 0..outer.0 {
                        visit(start.wrapping_add_signed(i as isize * outer.1), inner);
                    }
                });
            }
        }
    }

    /// Visits the tile's dropped units as runs of elements.
    pub(crate) fn for_each_dropped(&self, mut visit: impl FnMut(Run)) {
        let &Geometry { plane, channels, .. } = self.geometry;
        if self.is_line() {
            let units = self.tile.units(plane);
            return for_each_dropped(self.tile.bits, 0, units.len(), |gap| {
                let element = units.start + gap.start;
                visit(Run { element, step: 1, len: gap.len(), index: element });
            });
        }
        let (planes, positions) = (self.tile.planes(), self.tile.positions());
        for mask_plane in planes {
            self.rows.for_each_row(positions.clone(), plane, |row| {
                let bit = self.tile.bit(mask_plane, row.start);
                let start = self.rows.element(0, 0, row.start);
                for_each_dropped(self.tile.bits, bit, row.len(), |gap| {
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
    /// The scales of neighbouring positions of the map: 1 over the probability that the unit is kept.
    pub(crate) fn position_scales<S: Element<Scale = S> + crate::element::arithmetic::Ratio>(
        &self,
        start: usize,
        scales: &mut [S],
    ) {
        let positions = start..start + scales.len();
        let mut scales = scales.iter_mut();
        gamma::for_each_keep_prob(&self.blocks, self.gamma, positions, |len, prob| {
            let scale = S::from_keep_prob(prob);
            scales.by_ref().take(len).for_each(|place| *place = scale);
        });
    }
}
