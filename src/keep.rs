//! A mask as the author of a kernel wants it: words, runs and lanes of kept units, map by map.

use core::ops::Range;

use wide::u32x8;

use crate::apply::{Stores, Tensor, select};
use crate::bits::{self, WORD_BITS};
use crate::cpu::Level;
use crate::error::Buffer;
use crate::mask::{CHUNK, ignore};
use crate::plan::scale::Rule;
use crate::tensor::as_uninit;
use crate::{Drawn, DropCount, Element, Error, Plan};

const LANES: usize = 8;

/// The bit of each lane.
const OWN_BIT: u32x8 = u32x8::new([1, 2, 4, 8, 16, 32, 64, 128]);

/// Which units of a run are kept, for a loop of the caller's. The run may begin at any bit of a mask.
///
/// A mask in memory has 1 for dropped units. Here 1 means kept, so that a kernel can AND with it. Bits
/// and lanes past the end of the run are 0.
///
/// ```
/// use dropblock::Keep;
///
/// let keep = Keep::new(&[0b0110_0001], 1..7)?;
/// assert_eq!(keep.word(0), 0b00_1111);
/// assert_eq!(keep.lanes(2), [!0, !0, 0, 0, 0, 0, 0, 0]);
/// assert!(keep.runs().eq([0..4]));
/// # Ok::<(), dropblock::Error>(())
/// ```
///
/// [`apply`](Self::apply) is the fastest way; [the guide](crate::guide::fusing) has the figures.
#[derive(Clone, Copy, Debug)]
pub struct Keep<'a> {
    words: &'a [u64],
    start: usize,
    len: usize,
}

impl<'a> Keep<'a> {
    /// The units in this range of a mask: bit `i % 64` of word `i / 64` is unit `i`, 1 = dropped.
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

    /// The same of a mask that is known to be long enough.
    pub(crate) const fn unchecked(words: &'a [u64], start: usize, len: usize) -> Self {
        Self { words, start, len }
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

    /// Returns a part, for example a row of a map. It ends where this run ends.
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
        self.word(unit) & 1 == 1
    }

    /// Returns the 64 units from `unit` on as bits, 1 = kept.
    #[inline]
    #[must_use]
    pub fn word(&self, unit: usize) -> u64 {
        self.keep_bits::<WORD_BITS>(unit)
    }

    /// The lowest `N` bits of the word; what the others are is left open.
    #[inline]
    fn keep_bits<const N: usize>(&self, unit: usize) -> u64 {
        let Some(rest) = self.len.checked_sub(unit) else { return 0 };
        let word = !bits::load_low::<N>(self.words, self.start + unit);
        if rest >= N { word } else { word & bits::low(rest) }
    }

    /// Returns the `N` units from `unit` on as lanes, at most 64: all bits are set if the unit is kept,
    /// none if it is dropped. A bitwise AND with the bits of an `f32` selects.
    #[inline]
    #[must_use]
    pub fn lanes<const N: usize>(&self, unit: usize) -> [u32; N] {
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

    /// Writes a function of kept elements, and +0.0 for dropped ones: `y[i] = kept ? f(x[i]) : 0`, one
    /// element for each unit.
    ///
    /// The loop is compiled for the instructions that are found at run time, and with it a function that
    /// is inlined, as small ones are. A product with the mask's scale is for the function to form.
    ///
    /// ```
    /// use dropblock::{DropBlock, Key, Shape};
    ///
    /// let plan = DropBlock::new(3, 0.2)?.plan(Shape::nchw(2, 4, 10, 10))?;
    /// let mut words = [0; 13];
    /// let mask = plan.draw(Key::new(1), &mut words)?;
    /// let x: Vec<f32> = (0..800).map(|i| i as f32 - 400.0).collect();
    ///
    /// // ReLU and DropBlock at once.
    /// let (mut y, scale) = ([0.0; 800], plan.scale::<f32>(mask.count()));
    /// mask.keep().apply(&x, &mut y, |x| x.max(0.0) * scale)?;
    ///
    /// let mut expected: Vec<f32> = x.iter().map(|x| x.max(0.0)).collect();
    /// mask.forward_in_place(&mut expected)?;
    /// assert_eq!(y[..], expected[..]);
    /// # Ok::<(), dropblock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless `x` and `y` have as many elements as there are units.
    #[inline]
    pub fn apply<T: Element>(&self, x: &[T], y: &mut [T], f: impl Fn(T) -> T) -> Result<(), Error> {
        self.check_len(Buffer::Input, x.len())?;
        self.check_len(Buffer::Output, y.len())?;
        let tensor = Tensor::To(x, as_uninit(y), Stores::Cached);
        select(Level::of(None), tensor, (self.words, self.start), f);
        Ok(())
    }

    /// The same in place. See [`apply`](Self::apply).
    ///
    /// # Errors
    ///
    /// [`Error::Length`] unless `x` has as many elements as there are units.
    #[inline]
    pub fn apply_in_place<T: Element>(&self, x: &mut [T], f: impl Fn(T) -> T) -> Result<(), Error> {
        self.check_len(Buffer::Input, x.len())?;
        select(Level::of(None), Tensor::InPlace(x), (self.words, self.start), f);
        Ok(())
    }

    fn check_len(&self, buffer: Buffer, given: usize) -> Result<(), Error> {
        if given == self.len {
            return Ok(());
        }
        Err(Error::Length { buffer, needed: self.len, given })
    }

    /// Returns the maximal runs of kept units, in ascending order.
    #[inline]
    #[must_use]
    pub const fn runs(&self) -> KeepRuns<'a> {
        KeepRuns { view: *self, next: 0 }
    }

    /// The first unit at or after `unit` that is kept, or that is not, or the end.
    fn find(&self, unit: usize, kept: bool) -> usize {
        let mut unit = unit;
        while unit < self.len {
            let word = self.word(unit);
            let found = if kept { word } else { !word };
            if found != 0 {
                return self.len.min(unit + found.trailing_zeros() as usize);
            }
            unit += WORD_BITS;
        }
        self.len
    }
}

/// The runs of kept units of a [`Keep`], from [`Keep::runs`].
///
/// ```
/// use dropblock::Keep;
///
/// let keep = Keep::new(&[0b0110_0001], 0..8)?;
/// assert!(keep.runs().eq([1..5, 7..8]));
/// # Ok::<(), dropblock::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeepRuns<'a> {
    view: Keep<'a>,
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

/// A map of a tensor, or a part of one, for a loop of the caller's: from
/// [`Mask::maps`](crate::Mask::maps), [`Mask::map`](crate::Mask::map) and [`Plan::for_each_map`].
///
/// ```
/// use dropblock::{DropBlock, Key, Shape};
///
/// let plan = DropBlock::new(3, 0.2)?.plan(Shape::nchw(2, 4, 10, 10))?;
/// let mut words = [0; 13];
/// let map = plan.draw(Key::new(1), &mut words)?.map(1, 2)?;
/// assert_eq!((map.sample(), map.channel(), map.elements()), (1, 2, 600..700));
/// assert_eq!(map.keep().len(), 100);
/// # Ok::<(), dropblock::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MapPart<'a> {
    plan: &'a Plan,
    sample: usize,
    channel: usize,
    positions: Range<usize>,
    keep: Keep<'a>,
    /// That of the scale group.
    count: DropCount,
}

impl<'a> MapPart<'a> {
    pub(crate) const fn new(
        plan: &'a Plan,
        [sample, channel]: [usize; 2],
        positions: Range<usize>,
        keep: Keep<'a>,
        count: DropCount,
    ) -> Self {
        Self { plan, sample, channel, positions, keep, count }
    }

    /// Returns the sample of the tensor.
    #[inline]
    #[must_use]
    pub const fn sample(&self) -> usize {
        self.sample
    }

    /// Returns the channel of the tensor.
    #[inline]
    #[must_use]
    pub const fn channel(&self) -> usize {
        self.channel
    }

    /// Returns the positions of the map, counted row by row.
    #[inline]
    #[must_use]
    pub const fn positions(&self) -> Range<usize> {
        self.positions.start..self.positions.end
    }

    /// Returns where the elements are in a dense tensor with channels first.
    #[inline]
    #[must_use]
    pub const fn elements(&self) -> Range<usize> {
        let geometry = &self.plan.geometry;
        let first = (self.sample * geometry.channels + self.channel) * geometry.plane;
        first + self.positions.start..first + self.positions.end
    }

    /// Returns which of the positions are kept.
    #[inline]
    #[must_use]
    pub const fn keep(&self) -> Keep<'a> {
        self.keep
    }

    /// Returns the scale of kept units. Under [`Scale::PerPosition`](crate::Scale::PerPosition) it
    /// is 1, see [`Plan::position_scale`].
    #[inline]
    #[must_use]
    pub fn scale<T: Element>(&self) -> T::Scale {
        self.plan.scale::<T>(self.count)
    }
}

impl Plan {
    /// Draws the mask without a buffer and visits all maps of the tensor, in the order of the mask.
    /// Returns key and count.
    ///
    /// A map comes in one part if it has at most 16384 positions, else in several. If the scale follows
    /// from the count and only a key is given, the mask is counted first.
    ///
    /// # Examples
    ///
    /// ```
    /// use dropblock::{DropBlock, Key, Shape};
    ///
    /// let plan = DropBlock::new(3, 0.2)?.plan(Shape::nchw(2, 4, 10, 10))?;
    /// let (mut x, mut y) = (vec![1.0_f32; 800], vec![1.0_f32; 800]);
    /// plan.for_each_map(Key::new(1), |map| {
    ///     let (keep, scale) = (map.keep(), map.scale::<f32>());
    ///     for (i, x) in x[map.elements()].iter_mut().enumerate() {
    ///         *x = if keep.is_kept(i) { x.max(0.0) * scale } else { 0.0 };
    ///     }
    /// })?;
    /// plan.forward_in_place(Key::new(1), &mut y)?;
    /// assert_eq!(x, y);
    /// # Ok::<(), dropblock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::FirstSample`], [`Error::Count`], [`Error::Scale`].
    pub fn for_each_map(
        &self,
        drawn: impl Into<Drawn>,
        mut visit: impl FnMut(MapPart<'_>),
    ) -> Result<Drawn, Error> {
        let mut drawn = self.checked(drawn.into())?;
        let geometry = &self.geometry;
        let (group, planes) = (geometry.group_planes.max(1), geometry.mask_planes());
        if matches!(self.rule, Rule::Counted) && group == planes && drawn.count().is_none() {
            drawn = self.count(drawn.key())?;
        }
        let source = self.source(drawn.key())?;
        let (size, mut total) = (geometry.plane, 0);
        for first in (0..if size == 0 { 0 } else { planes }).step_by(group) {
            let count = if group == planes {
                drawn.count().unwrap_or_default()
            } else {
                let dropped = source.count(first..first + group);
                DropCount { dropped, total: geometry.group_units() as u64 }
            };
            total += source.for_each_tile(first..first + group, (1, 1), ignore, |tile| {
                for plane in tile.planes() {
                    // Parts are the same on every machine, however much of a plane is at hand.
                    let (mut start, end) = (tile.positions().start, tile.positions().end);
                    while start < end {
                        let part = CHUNK * WORD_BITS;
                        let positions = start..end.min((start / part + 1) * part);
                        start = positions.end;
                        let bit = tile.bit(plane, positions.start);
                        let keep = Keep::unchecked(tile.bits, bit, positions.len());
                        geometry.for_each_map(plane, |sample, channel| {
                            let of = [sample, channel];
                            visit(MapPart::new(self, of, positions.clone(), keep, count));
                        });
                    }
                }
            });
        }
        let count = drawn.count().unwrap_or(self.count_of(total));
        Ok(drawn.with_count(count))
    }
}
