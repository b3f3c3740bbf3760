//! A mask as the author of a kernel wants it: words, runs and lanes of kept units, and a
//! generator that yields them plane by plane.

use core::ops::Range;

use wide::u32x8;

use crate::bits::{self, WORD_BITS};
use crate::error::Buffer;
use crate::mask::CHUNK;
use crate::{Dropped, Error, Key, Plan};

const LANES: usize = 8;

/// The bit of each lane.
const OWN_BIT: u32x8 = u32x8::new([1, 2, 4, 8, 16, 32, 64, 128]);

/// The mask of a run of units, for a loop of the caller's: it may begin at any bit.
///
/// Everything is said of kept units, so that a kernel can AND with it. Units past the end count
/// as neither kept nor dropped: their bits and lanes are 0.
///
/// ```
/// use dropblock::MaskView;
///
/// let view = MaskView::new(&[0b0110_0001], 1..7)?;
/// assert_eq!(view.keep_word(0), 0b00_1111);
/// assert_eq!(view.keep_lanes(2), [!0, !0, 0, 0, 0, 0, 0, 0]);
/// assert!(view.keep_runs().eq([0..4]));
/// # Ok::<(), dropblock::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MaskView<'a> {
    words: &'a [u64],
    start: usize,
    len: usize,
}

impl<'a> MaskView<'a> {
    /// A view of the units in the range of a mask in the crate's layout: bit `i % 64` of word
    /// `i / 64` is unit `i`, 1 = dropped.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the mask is too short for the range.
    #[inline]
    pub const fn new(mask: &'a [u64], units: Range<usize>) -> Result<Self, Error> {
        let needed = bits::words(units.end);
        if mask.len() < needed {
            return Err(Error::Length { buffer: Buffer::Mask, needed, given: mask.len() });
        }
        let len = units.end.saturating_sub(units.start);
        Ok(Self { words: mask, start: units.start, len })
    }

    /// A view of the first units of a mask that is known to be long enough.
    pub(crate) const fn unchecked(words: &'a [u64], len: usize) -> Self {
        Self { words, start: 0, len }
    }

    /// Returns the number of units.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Tells whether there are no units.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the view of a part, as a row of a map; cut at the end of this view.
    #[inline]
    #[must_use]
    pub fn part(&self, units: Range<usize>) -> Self {
        let start = units.start.min(self.len);
        let end = units.end.clamp(start, self.len);
        Self { words: self.words, start: self.start + start, len: end - start }
    }

    /// Tells whether a unit is kept.
    #[inline]
    #[must_use]
    pub fn is_kept(&self, unit: usize) -> bool {
        self.keep_word(unit) & 1 == 1
    }

    /// Returns 64 units from `unit` on as bits, 1 = kept.
    #[inline]
    #[must_use]
    pub fn keep_word(&self, unit: usize) -> u64 {
        self.keep_bits::<WORD_BITS>(unit)
    }

    /// The lowest `N` bits of the word; what the others are is left open.
    #[inline]
    fn keep_bits<const N: usize>(&self, unit: usize) -> u64 {
        let Some(rest) = self.len.checked_sub(unit) else { return 0 };
        let word = !bits::load_low::<N>(self.words, self.start + unit);
        if rest >= N { word } else { word & bits::low(rest) }
    }

    /// Returns `N` units, at most 64, from `unit` on as lanes: all bits set where the unit is
    /// kept, 0 where it is dropped. A bitwise AND with the bits of an `f32` selects.
    #[inline]
    #[must_use]
    pub fn keep_lanes<const N: usize>(&self, unit: usize) -> [u32; N] {
        const { assert!(N <= WORD_BITS) };
        let mut word = self.keep_bits::<N>(unit);
        let mut lanes = [0; N];
        let (vectors, rest) = lanes.as_chunks_mut::<LANES>();
        for vector in vectors {
            *vector = (u32x8::splat(word as u32) & OWN_BIT).simd_eq(OWN_BIT).to_array();
            word >>= LANES;
        }
        for (i, lane) in rest.iter_mut().enumerate() {
            *lane = if word & 1 << i == 0 { 0 } else { !0 };
        }
        lanes
    }

    /// Returns the maximal runs of kept units, in ascending order.
    #[inline]
    #[must_use]
    pub const fn keep_runs(&self) -> KeepRuns<'a> {
        KeepRuns { view: *self, next: 0 }
    }

    /// Returns how many units are dropped.
    #[inline]
    #[must_use]
    pub fn dropped(&self) -> Dropped {
        let kept: usize = self.keep_runs().map(|run| run.len()).sum();
        Dropped { count: (self.len - kept) as u64, of: self.len as u64 }
    }

    /// The first unit at or after `unit` that is kept, or that is not, or the end.
    fn find(&self, unit: usize, kept: bool) -> usize {
        let mut unit = unit;
        while unit < self.len {
            let word = self.keep_word(unit);
            let found = if kept { word } else { !word };
            if found != 0 {
                return self.len.min(unit + found.trailing_zeros() as usize);
            }
            unit += WORD_BITS;
        }
        self.len
    }
}

/// The runs of kept units of a [`MaskView`].
#[derive(Clone, Debug)]
pub struct KeepRuns<'a> {
    view: MaskView<'a>,
    next: usize,
}

impl Iterator for KeepRuns<'_> {
    type Item = Range<usize>;

    #[inline]
    fn next(&mut self) -> Option<Range<usize>> {
        let start = self.view.find(self.next, true);
        if start == self.view.len {
            return None;
        }
        self.next = self.view.find(start, false);
        Some(start..self.next)
    }
}

/// A plane of the mask, or a part of one, from [`Plan::for_each_plane`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PlanePart<'a> {
    /// The sample of the mask: 0 if samples share it.
    pub sample: usize,
    /// The channel of the mask: 0 if channels share it.
    pub channel: usize,
    /// The positions of the map, row by row.
    pub positions: Range<usize>,
    /// The mask of these positions.
    pub mask: MaskView<'a>,
}

impl Plan {
    /// Returns the view of one map in a mask, whichever maps share it: for a kernel that applies
    /// a stored mask itself.
    ///
    /// * `mask`: [`mask_len`](Self::mask_len) words or more.
    /// * `sample`, `channel`: of the tensor.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the mask is too short, [`Error::Map`] if there is no such map.
    pub fn view<'m>(
        &self,
        mask: &'m [u64],
        sample: usize,
        channel: usize,
    ) -> Result<MaskView<'m>, Error> {
        let mask = self.mask_ref(mask)?;
        let (samples, channels) = (self.shape.samples, self.shape.channels);
        if sample >= samples || channel >= channels {
            return Err(Error::Map { needed: [samples, channels], given: [sample, channel] });
        }
        let sample = if self.mask_samples == samples { sample } else { 0 };
        let channel = if self.mask_channels == channels { channel } else { 0 };
        let first = (sample * self.mask_channels + channel) * self.plane();
        MaskView::new(mask, first..first + self.plane())
    }

    /// Generates the mask without a buffer and shows it plane by plane, in order. Returns the
    /// count of the whole mask.
    ///
    /// A plane comes in one part if it has at most 16384 positions, else in several. With
    /// [`Scale::Tensor`](crate::Scale::Tensor) a kernel calls it twice: once for the count,
    /// `for_each_plane(key, |_| ())`, then to apply.
    ///
    /// # Examples
    ///
    /// ```
    /// use dropblock::{DropBlock, Key, Scale, Shape};
    ///
    /// let plan = DropBlock::new(3, 0.2)?.with_scale(Scale::Fixed).plan(Shape::nchw(2, 4, 10, 10))?;
    /// let (key, scale) = (Key::new(1), 1.25);
    /// let mut x = vec![1.0_f32; plan.len()];
    /// plan.for_each_plane(key, |part| {
    ///     let plane = (part.sample * 4 + part.channel) * 100;
    ///     let x = &mut x[plane..][part.positions];
    ///     for (i, x) in x.iter_mut().enumerate() {
    ///         *x = if part.mask.is_kept(i) { x.max(0.0) * scale } else { 0.0 };
    ///     }
    /// })?;
    /// let mut y = vec![1.0_f32; plan.len()];
    /// plan.forward_in_place(key, &mut y, None)?;
    /// assert_eq!(x, y);
    /// # Ok::<(), dropblock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::FirstSample`].
    pub fn for_each_plane(
        &self,
        key: Key,
        mut visit: impl FnMut(PlanePart<'_>),
    ) -> Result<Dropped, Error> {
        let source = self.source(key)?;
        let mut dropped = Dropped { count: 0, of: self.units() as u64 };
        if self.is_empty() {
            return Ok(dropped);
        }
        let size = self.plane();
        dropped.count = source.for_each_tile(0..self.mask_planes(), 1, |units, bits| {
            let mut start = units.start;
            while start < units.end {
                let plane = start / size;
                // Parts are the same on every machine, however much of a plane is at hand.
                let at = start - plane * size;
                let part = CHUNK * WORD_BITS;
                let end = units.end.min(plane * size + size.min((at / part + 1) * part));
                visit(PlanePart {
                    sample: plane / self.mask_channels,
                    channel: plane % self.mask_channels,
                    positions: at..end - plane * size,
                    mask: MaskView { words: bits, start: start - units.start, len: end - start },
                });
                start = end;
            }
        });
        Ok(dropped)
    }
}
