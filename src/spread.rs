//! From units of the mask to elements of the tensor: strides, sharing and scale groups.

use core::ops::Range;

use crate::apply::{Across, BLOCK, BLOCKS, CHANNELS, Factors, Runs, Tensor, apply_channels_last};
use crate::{Dropped, Element, Plan, Scale};

/// The scale of each unit.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scales<S> {
    /// The same everywhere.
    One(S),
    /// That of the unit's group, whose units must all be at hand.
    PerGroup,
    /// That of the unit's position in the map.
    PerPosition,
}

/// The scales of the units in a part of a row.
#[derive(Clone, Copy)]
enum RowScales<'a, S> {
    One(S),
    PerGroup,
    /// One for each position, in blocks.
    Each(&'a [[S; BLOCK]]),
}

/// The elements of a tile that is worked on at a time, where its planes are visited more than
/// once: small enough for the second cache.
const TILE: usize = 1 << 16;

/// The mask of some units: bit 0 of `bits` is unit `first`.
#[derive(Clone, Copy)]
struct Tile<'b> {
    bits: &'b [u64],
    first: usize,
}

impl Plan {
    /// The scales when `dropped` is the count of the whole mask.
    pub(crate) fn scales<T: Element>(&self, dropped: &Dropped) -> Scales<T::Scale> {
        match self.options.scale {
            Scale::Tensor | Scale::Fixed | Scale::None => Scales::One(self.scale::<T>(dropped)),
            Scale::Sample | Scale::Channel => Scales::PerGroup,
            Scale::PerPosition => Scales::PerPosition,
        }
    }

    /// Applies the mask of the units in the range, whole planes or a part of one, to the
    /// elements that they stand for. Bit 0 of `bits` is the first of the units.
    pub(crate) fn apply_units<T: Element>(
        &self,
        tensor: &mut Tensor<'_, T>,
        bits: &[u64],
        units: Range<usize>,
        scales: Scales<T::Scale>,
    ) {
        let tile = Tile { bits, first: units.start };
        let line = self.is_line();
        let size = self.group_planes() * self.plane();
        // The scale of a single group is that of all.
        let scales = match scales {
            Scales::PerGroup if units.len() == size && size > 0 => {
                Scales::One(self.group_scale::<T>(tile, units.start / size))
            }
            scales => scales,
        };
        match scales {
            Scales::One(scale) if line => {
                tensor.part(units).apply(self.level(), bits, 0, Factors::One(scale));
            }
            Scales::PerGroup if line => {
                tensor.part(units).apply_groups(self.level(), bits, 0, size);
            }
            Scales::PerGroup if !self.rows.channels_adjacent(self.shape.channels) => {
                for start in units.clone().step_by(size.max(1)) {
                    let scale = Scales::One(self.group_scale::<T>(tile, start / size.max(1)));
                    self.apply_by_row(tensor, tile, start..start + size, scale);
                }
            }
            _ => self.apply_by_row(tensor, tile, units, scales),
        }
    }

    /// Applies units row by row of the map, each row in all planes of a tile.
    fn apply_by_row<T: Element>(
        &self,
        tensor: &mut Tensor<'_, T>,
        tile: Tile<'_>,
        units: Range<usize>,
        scales: Scales<T::Scale>,
    ) {
        let plane = self.plane();
        let planes = (TILE / plane.max(1)).max(1).next_multiple_of(self.planes_together());
        for start in units.clone().step_by((planes * plane).max(1)) {
            let (planes, positions) = self.split(&(start..units.end.min(start + planes * plane)));
            let scales = match scales {
                Scales::One(scale) => RowScales::One(scale),
                Scales::PerGroup => RowScales::PerGroup,
                Scales::PerPosition => {
                    self.apply_by_position(tensor, tile, planes, positions);
                    continue;
                }
            };
            self.for_each_row(positions, plane, |row| {
                self.apply_row(tensor, tile, planes.clone(), row, scales);
            });
        }
    }

    /// How many planes are best worked on together: channels that lie side by side.
    pub(crate) fn planes_together(&self) -> usize {
        if self.rows.channels_adjacent(self.shape.channels) { self.mask_channels.max(1) } else { 1 }
    }

    /// Whether the units of the mask are the elements of the tensor, one for one.
    pub(crate) fn is_line(&self) -> bool {
        self.rows.line && self.mask_planes() == self.planes()
    }

    /// The scale of a group whose units are all at hand.
    fn group_scale<T: Element>(&self, tile: Tile<'_>, group: usize) -> T::Scale {
        let size = self.group_planes() * self.plane();
        let units = group * size..(group + 1) * size;
        self.scale::<T>(&self.dropped_in(tile.bits, tile.first, units))
    }

    /// Whole planes and all positions, or one plane and some of its positions.
    pub(crate) fn split(&self, units: &Range<usize>) -> (Range<usize>, Range<usize>) {
        let plane = self.plane().max(1);
        let first = units.start / plane;
        let start = units.start - first * plane;
        if start == 0 && units.end.is_multiple_of(plane) {
            return (first..units.end / plane, 0..plane);
        }
        (first..first + 1, start..units.end - first * plane)
    }

    /// Visits the parts of the range that lie in one row each, at most `most` positions long.
    pub(crate) fn for_each_row(
        &self,
        positions: Range<usize>,
        most: usize,
        mut visit: impl FnMut(Range<usize>),
    ) {
        let len = self.rows.len.max(1);
        let mut start = positions.start;
        while start < positions.end {
            let end = positions.end.min((start / len + 1) * len).min(start + most);
            visit(start..end);
            start = end;
        }
    }

    /// Applies units each of which has the scale of its position. Scales are formed for a few
    /// positions at a time and used for all planes.
    fn apply_by_position<T: Element>(
        &self,
        tensor: &mut Tensor<'_, T>,
        tile: Tile<'_>,
        planes: Range<usize>,
        positions: Range<usize>,
    ) {
        self.for_each_row(positions, BLOCKS * BLOCK, |row| {
            let mut scales = [[self.scale::<T>(&Dropped::default()); BLOCK]; BLOCKS];
            for (start, scales) in row.clone().step_by(BLOCK).zip(&mut scales) {
                let len = row.end - start;
                let scales = scales.get_mut(..len.min(BLOCK)).unwrap_or_default();
                self.position_scales::<T>(start, scales);
            }
            let scales = scales.get(..row.len().div_ceil(BLOCK)).unwrap_or_default();
            self.apply_row(tensor, tile, planes.clone(), row, RowScales::Each(scales));
        });
    }

    /// Applies a part of a row of the map in some planes of the mask.
    fn apply_row<T: Element>(
        &self,
        tensor: &mut Tensor<'_, T>,
        tile: Tile<'_>,
        planes: Range<usize>,
        row: Range<usize>,
        scales: RowScales<'_, T::Scale>,
    ) {
        if self.rows.channels_adjacent(self.shape.channels)
            && self.mask_channels == self.shape.channels
        {
            return self.apply_row_of_channels(tensor, tile, planes, row, scales);
        }
        let first = self.element(&row);
        let (samples, channels) = (self.shape.samples, self.shape.channels);
        let (plane_bits, len) = (self.plane(), row.len());
        let (mask_channels, group_planes) = (self.mask_channels.max(1), self.group_planes().max(1));
        let mut next = planes.start;
        while next < planes.end {
            let (mask_sample, channel) = (next / mask_channels, next % mask_channels);
            let bit = next * plane_bits + row.start - tile.first;
            let factors = match scales {
                RowScales::One(scale) => Factors::One(scale),
                RowScales::Each(scales) => Factors::Each(scales),
                // Of channels that lie side by side and share a mask.
                RowScales::PerGroup => {
                    Factors::One(self.group_scale::<T>(tile, next / group_planes))
                }
            };
            // The channels that follow have bits of their own, or the same.
            let shared = self.mask_channels != channels;
            let run = if shared {
                0..channels
            } else {
                channel..channels.min(channel + planes.end - next)
            };
            next += if shared { 1 } else { run.len() };
            for sample in self.users(mask_sample, self.mask_samples, samples) {
                let start = first + sample * self.rows.sample + run.start * self.rows.channel;
                let mut elements = tensor.from(start);
                if self.rows.channels_adjacent(channels) {
                    let rows = (len, channels, self.rows.step);
                    elements.apply_rows(self.level(), tile.bits, bit, rows, factors);
                } else if self.rows.step == 1 {
                    let bit_step = if shared { 0 } else { plane_bits };
                    let runs = Runs { count: run.len(), len, step: self.rows.channel, bit_step };
                    elements.apply_runs(self.level(), tile.bits, bit, runs, factors);
                } else {
                    for (i, _) in run.clone().enumerate() {
                        let bit = if shared { bit } else { bit + i * plane_bits };
                        let mut elements = elements.from(i * self.rows.channel);
                        elements.apply_apart(tile.bits, bit, (len, self.rows.step), factors);
                    }
                }
            }
        }
    }

    /// The same for channels that lie side by side, each with a mask of its own.
    fn apply_row_of_channels<T: Element>(
        &self,
        tensor: &mut Tensor<'_, T>,
        tile: Tile<'_>,
        planes: Range<usize>,
        row: Range<usize>,
        scales: RowScales<'_, T::Scale>,
    ) {
        let start = self.element(&row);
        let channels = self.shape.channels.max(1);
        let group_planes = self.group_planes().max(1);
        let mut next = planes.start;
        while next < planes.end {
            let (mask_sample, channel) = (next / channels, next % channels);
            let run = next..planes.end.min(next - channel + channels).min(next + CHANNELS);
            next = run.end;
            let mut by_channel = [[self.scale::<T>(&Dropped::default()); BLOCK]; BLOCKS];
            let across = match scales {
                RowScales::One(scale) => Across::One(scale),
                RowScales::Each(scales) => Across::Positions(scales),
                // Channels of one sample: one group.
                RowScales::PerGroup if group_planes >= channels => {
                    Across::One(self.group_scale::<T>(tile, run.start / group_planes))
                }
                RowScales::PerGroup => {
                    for (scale, plane) in by_channel.as_flattened_mut().iter_mut().zip(run.clone())
                    {
                        *scale = self.group_scale::<T>(tile, plane);
                    }
                    Across::Channels(&by_channel)
                }
            };
            for sample in self.users(mask_sample, self.mask_samples, self.shape.samples) {
                apply_channels_last(
                    &mut tensor.from(start + sample * self.rows.sample + channel),
                    self.level(),
                    run.len(),
                    (row.len(), self.rows.step),
                    tile.bits,
                    (run.start * self.plane() + row.start - tile.first, self.plane()),
                    across,
                );
            }
        }
    }

    /// The element of the first position of a part of a row, counted from the first of its map.
    pub(crate) fn element(&self, row: &Range<usize>) -> usize {
        let index = row.start / self.rows.len.max(1);
        self.rows.start(index) + (row.start - index * self.rows.len) * self.rows.step
    }

    /// The samples, or channels, of the tensor that use index `index` of the mask.
    pub(crate) fn users(&self, index: usize, of_mask: usize, of_tensor: usize) -> Range<usize> {
        if of_mask == of_tensor { index..index + 1 } else { 0..of_tensor }
    }

    /// Visits all elements of the tensor as runs, in the order of the planes: the first element,
    /// and how many there are how far apart.
    pub(crate) fn for_each_run(&self, mut visit: impl FnMut(usize, (usize, usize))) {
        if self.is_empty() {
            return;
        }
        if self.extent() == self.len() {
            return visit(0, (self.len(), 1));
        }
        for sample in 0..self.shape.samples {
            for channel in 0..self.shape.channels {
                let start = sample * self.rows.sample + channel * self.rows.channel;
                self.for_each_row(0..self.plane(), self.plane(), |row| {
                    visit(start + self.element(&row), (row.len(), self.rows.step));
                });
            }
        }
    }
}
