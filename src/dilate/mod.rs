//! Stage 2: dilation of bits by a block, axis by axis.
//!
//! A block is a flat rectangular structuring element, so the dilation is separable: a running OR
//! along rows, then along columns (and depth). Along an axis the window grows by doubling (1, 2, 4,
//! .., then the rest), `ceil(log2 k)` passes in place without any buffer; first towards higher
//! indices by the reach after the centre, then towards lower ones by the reach before it, each
//! clipped at the border.
//!
//! The axes differ only in stride and period. All lines of an axis, of any number of maps, are
//! passed over as one line, from whose steps the border of each line is masked out: no line is too
//! short for vectors. There are two such loops, up and down; a backend says how wide their steps are.

use core::ops::Range;

use crate::cpu::{Level, on_x86};

mod words;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod x86;

pub(crate) const WIDTH: usize = 2;
/// Columns, and depth in 3-D.
pub(crate) const LEADING: [usize; 2] = [1, 0];
pub(crate) const ALL: [usize; 3] = [WIDTH, 1, 0];

/// How much is carried through all axes at a time: half of a usual first cache.
pub(crate) const TILE_BYTES: usize = 16 << 10;

/// A map, and how far blocks reach before and after their centres along each axis of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    pub(crate) map: [usize; 3],
    pub(crate) before: [usize; 3],
    pub(crate) after: [usize; 3],
}

impl Reach {
    #[inline]
    pub(crate) const fn map_len(&self) -> usize {
        self.map[0] * self.map[1] * self.map[2]
    }

    /// The lines along an axis; reaches end where the map does.
    pub(crate) fn axis(&self, axis: usize) -> Axis {
        let stride = self.map.iter().skip(axis + 1).product();
        // There are three axes, which compilers do not know everywhere.
        let [size, before, after] = [self.map, self.before, self.after]
            .map(|sizes| sizes.get(axis).copied().unwrap_or_default());
        let most = size.saturating_sub(1);
        Axis { stride, period: stride * size, before: before.min(most), after: after.min(most) }
    }

    /// Visits all maps axis by axis, in tiles of whole lines that stay in the nearest cache.
    pub(crate) fn for_each_tile(
        &self,
        len: usize,
        tile: usize,
        axes: &[usize],
        mut visit: impl FnMut(Range<usize>, usize),
    ) {
        let tiles = |range: Range<usize>, period: usize| {
            // A period of 0 has no elements to visit.
            let period = period.max(1);
            let step = ((tile / period).max(1) * period).max(1);
            let end = range.end;
            range.step_by(step).map(move |start| start..end.min(start + step))
        };
        if len == 0 {
            return;
        }
        for maps in tiles(0..len, self.map_len()) {
            for &axis in axes {
                tiles(maps.clone(), self.axis(axis).period).for_each(|range| visit(range, axis));
            }
        }
    }

    /// Spreads the first `len` bits, whole maps, along these axes.
    pub(crate) fn spread_bits(&self, level: Level, bits: &mut [u64], len: usize, axes: &[usize]) {
        self.for_each_tile(len, TILE_BYTES * 8, axes, |range, axis| {
            spread(level, bits, range, &self.axis(axis));
        });
    }
}

/// Lines along one axis of a map, one behind the other from index 0 on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    /// The distance of neighbours.
    pub(crate) stride: usize,
    /// The length of a line, that is, of `period / stride` lines side by side.
    pub(crate) period: usize,
    /// How far values spread downwards, fewer than there are neighbours.
    pub(crate) before: usize,
    /// How far they spread upwards.
    pub(crate) after: usize,
}

/// Spreads bits along an axis, within each line of the range.
fn spread(level: Level, bits: &mut [u64], range: Range<usize>, axis: &Axis) {
    match level {
        Level::Scalar => words::spread::<1>(bits, range, axis),
        Level::Simd(_) => words::spread::<4>(bits, range, axis),
        Level::X86(x86) => on_x86!(x86, x86::spread(x86, bits, range, axis)),
    }
}

/// Spreads the bits of a range towards higher indices by up to `reach` strides.
///
/// Where no block crosses the border of a map, as under [`Region::Valid`](crate::Region::Valid),
/// these may be any number of maps: one line for all of them.
pub(crate) fn spread_bits_up(
    level: Level,
    bits: &mut [u64],
    range: Range<usize>,
    reach: usize,
    stride: usize,
) {
    let after = reach.min(range.end.saturating_sub(1) / stride.max(1));
    let axis = Axis { stride, period: range.end, before: 0, after };
    spread(level, bits, range, &axis);
}

/// The passes of the doubling over a range of lines: windows of 1, 2, 4, .. and at last `reach + 1`
/// elements.
///
/// A range that is longer than a tile is passed over tile by tile, so that each tile stays in the
/// nearest cache for all passes. Values spread from where the tiles are still old to where they are
/// done; each pass lags by its shift behind the one before, whose results it reads.
#[derive(Clone, Debug)]
pub(crate) struct Passes {
    range: Range<usize>,
    reach: usize,
    stride: usize,
    tile: usize,
    /// How far the first pass of the tile has come, counted from where it began.
    done: usize,
    window: usize,
    lag: usize,
}

impl Passes {
    #[inline(always)]
    pub(crate) const fn new(range: Range<usize>, reach: usize, stride: usize, tile: usize) -> Self {
        Self { range, reach, stride, tile, done: 0, window: 1, lag: 0 }
    }
}

impl Iterator for Passes {
    /// A shift, and the part of the range as counted from where the passes begin. What would come
    /// from outside the range is left out.
    type Item = (usize, Range<usize>);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let len = self.range.len();
        loop {
            if self.window > self.reach {
                self.done += self.tile;
                (self.window, self.lag) = (1, 0);
            }
            if self.reach == 0 || self.done >= len {
                return None;
            }
            let step = self.window.min(self.reach + 1 - self.window);
            let shift = step * self.stride;
            self.window += step;
            self.lag += shift;
            let start = self.done.saturating_sub(self.lag);
            let end = if self.done + self.tile >= len {
                len.saturating_sub(shift)
            } else {
                (self.done + self.tile).saturating_sub(self.lag)
            };
            if start < end {
                return Some((shift, start..end));
            }
        }
    }
}
