//! The plan: options x shape, turned into integers once.

use core::hash::{Hash, Hasher};
use core::ops::Range;

use rand_core::Rng;

use crate::block::Blocks;
use crate::count::count;
use crate::cpu::Level;
use crate::dilate::{ALL, Reach};
use crate::error::Buffer;
use crate::key::SEGMENT;
use crate::mask::{Sampler, Source, ignore};
use crate::shape::MAX_AXIS;
use crate::{Backend, DropBlock, DropCount, Element, Error, Key, Shape, Sharing};
use crate::{bits, gamma};

mod drop_only;
pub(crate) mod geometry;
mod mask;
#[cfg(feature = "rayon")]
mod parallel;
mod pass;
pub(crate) mod scale;

use geometry::Geometry;
pub use mask::Mask;
use scale::Rule;

/// A DropBlock layer for tensors of one shape: everything that can be computed beforehand.
///
/// It is made by [`DropBlock::plan`], at run time or in a `const`. It holds a table of 4 KiB and no
/// pointer. No call changes it, so threads can share it. The caller passes in all memory that an
/// operation needs; on an error nothing has been written. Plans are equal if their options and shapes
/// are equal.
///
/// A pass with a mask buffer is [`draw`](Self::draw) and then an operation of the [`Mask`]; a pass
/// without one is an operation of the plan.
///
/// ```
/// use dropblock::{DropBlock, Key, Shape};
///
/// let plan = DropBlock::new(3, 0.2)?.plan(Shape::nchw(2, 4, 10, 10))?;
/// let mut words = vec![0; plan.mask_words()];
/// let (mut x, mut y) = (vec![1.0_f32; 800], vec![1.0_f32; 800]);
/// let key = Key::new(2024).with_step(17);
///
/// let mask = plan.draw(key, &mut words)?;
/// mask.forward_in_place(&mut x)?;
///
/// let drawn = plan.forward_in_place(key, &mut y)?;
/// assert_eq!((x, mask.drawn()), (y, Some(drawn)));
/// # Ok::<(), dropblock::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    layer: DropBlock,
    shape: Shape,
    pub(crate) geometry: Geometry,
    pub(crate) sampler: Sampler,
    pub(crate) rule: Rule,
    /// The elements from which on the work is cut for threads; `None` for one thread.
    #[cfg(feature = "rayon")]
    threads: Option<parallel::Threads>,
}

impl Plan {
    pub(crate) const fn new(layer: &DropBlock, shape: &Shape) -> Result<Self, Error> {
        let mut axis = 0;
        while axis < 3 {
            let (limit, given) = (MAX_AXIS as u64, shape.map.size[axis]);
            if given as u64 > limit {
                return Err(Error::Axis { axis, limit, given });
            }
            axis += 1;
        }
        if let Err(error) = shape.len() {
            return Err(error);
        }
        let &DropBlock { block_size, alignment, region, .. } = layer;
        match Blocks::new(&shape.map, &block_size, alignment, region) {
            Ok(blocks) => Ok(Self {
                layer: *layer,
                shape: *shape,
                geometry: Geometry::new(layer, shape),
                sampler: Sampler::new(layer, blocks),
                rule: Rule::new(layer),
                #[cfg(feature = "rayon")]
                threads: None,
            }),
            Err(error) => Err(error),
        }
    }

    /// Returns the plan for another number of samples, for example for the last batch of an epoch.
    /// The table is not computed again.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] if the shape is.
    #[inline]
    pub const fn with_samples(&self, samples: usize) -> Result<Self, Error> {
        let shape = Shape { samples, ..self.shape };
        match shape.len() {
            Ok(_) => Ok(Self { shape, geometry: Geometry::new(&self.layer, &shape), ..*self }),
            Err(error) => Err(error),
        }
    }

    /// Returns the options.
    #[inline]
    #[must_use]
    pub const fn layer(&self) -> &DropBlock {
        &self.layer
    }

    /// Returns the shape.
    #[inline]
    #[must_use]
    pub const fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Returns the backend that runs the operations.
    #[inline]
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.level().backend()
    }

    /// Returns the number of elements of the tensor: the length of a dense buffer.
    #[inline]
    #[must_use]
    pub const fn elements(&self) -> usize {
        self.geometry.elements()
    }

    /// Returns the number of units of the mask: fewer than elements if maps share it.
    #[inline]
    #[must_use]
    pub const fn units(&self) -> usize {
        self.geometry.units()
    }

    /// Returns the number of 64-bit words of a mask: `units / 64`, rounded up.
    #[inline]
    #[must_use]
    pub const fn mask_words(&self) -> usize {
        bits::words(self.units())
    }

    /// Returns the number of scale groups: 1, or the mask's samples or maps under
    /// [`Scale::PerSample`](crate::Scale::PerSample) and [`Scale::PerMap`](crate::Scale::PerMap).
    #[inline]
    #[must_use]
    pub const fn groups(&self) -> usize {
        match self.geometry.mask_planes().checked_div(self.geometry.group_planes) {
            Some(groups) => groups,
            None => 0,
        }
    }

    /// Returns the gamma that is really used, after clamping and rounding to the table. It is the
    /// long-run rate of centres.
    #[inline]
    #[must_use]
    pub const fn gamma(&self) -> f64 {
        gamma::to_f64(self.sampler.gamma)
    }

    /// Returns the exact expected fraction of units that are dropped, borders and overlaps
    /// counted: the mean over the map of `1 - (1 - gamma)^c`, where `c` is the number of
    /// positions whose block covers the unit. The time grows with depth x height of the block.
    #[inline]
    #[must_use]
    pub const fn expected_dropped(&self) -> f64 {
        gamma::dropped_fraction(&self.sampler.blocks, self.sampler.gamma)
    }

    /// Returns the scale of kept units for a group with this count. Fixed scales do not depend on the
    /// count. Under [`Scale::PerPosition`](crate::Scale::PerPosition) it is 1: see
    /// [`position_scale`](Self::position_scale).
    #[inline]
    #[must_use]
    pub fn scale<T: Element>(&self, count: DropCount) -> T::Scale {
        self.rule.scale::<T>(count).unwrap_or(T::Scale::ONE)
    }

    /// Returns the scale of [`Scale::PerPosition`](crate::Scale::PerPosition): 1 divided by the
    /// exact probability that the unit at this position of the map is kept, `(1 - gamma)^c`, where
    /// `c` is the number of positions whose block covers it. 0 if it is always dropped.
    ///
    /// `position` counts row by row and is below the number of positions in the map.
    ///
    /// # Errors
    ///
    /// [`Error::Position`] if it is not.
    #[inline]
    pub fn position_scale<T: Element>(&self, position: usize) -> Result<T::Scale, Error> {
        let positions = self.geometry.plane;
        if position >= positions {
            return Err(Error::Position { positions, given: position });
        }
        let mut scale = [T::Scale::ONE];
        self.sampler.position_scales(position, &mut scale);
        let [scale] = scale;
        Ok(scale)
    }

    /// Draws a mask: stages 1 and 2.
    ///
    /// * `words`: [`mask_words`](Self::mask_words) or more. Bit `i` of word `j` is unit `64 j + i`,
    ///   plane by plane and row by row for every layout of the tensor; 1 = dropped. Bits past the
    ///   last unit are cleared, words past `mask_words` are left as they are.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the buffer is too short, [`Error::FirstSample`].
    ///
    /// # Value stability
    ///
    /// Version 1 ([`MASK_VERSION`](crate::MASK_VERSION)): the bits for the same plan and key never
    /// change, on any machine.
    #[inline(always)]
    pub fn draw<'a>(&'a self, key: Key, words: &'a mut [u64]) -> Result<Mask<'a>, Error> {
        let source = self.source(key)?;
        let words = self.words_mut(words)?;
        let dropped = if self.drops_nothing() {
            words.fill(0);
            0
        } else {
            self.fill(&source, words)
        };
        Ok(Mask::new(self, words, self.count_of(dropped), Some(key)))
    }

    /// Draws the centres alone: stage 1. Returns how many there are.
    ///
    /// * `words`: as for [`draw`](Self::draw); the bit of each block's centre is set.
    ///
    /// ```
    /// use dropblock::{DropBlock, Key, Shape};
    /// let plan = DropBlock::new(3, 0.2)?.plan(Shape::nchw(2, 4, 10, 10))?;
    /// let (mut mask, mut centers) = ([0; 13], [0; 13]);
    /// let mask = plan.draw(Key::new(1), &mut mask)?;
    /// plan.draw_centers(Key::new(1), &mut centers)?;
    /// plan.dilate(&mut centers)?;
    /// assert_eq!(plan.mask_from(&centers)?.dropped_words(), mask.dropped_words());
    /// # Ok::<(), dropblock::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`draw`](Self::draw).
    pub fn draw_centers(&self, key: Key, words: &mut [u64]) -> Result<u64, Error> {
        let source = self.source(key)?;
        let words = self.words_mut(words)?;
        if self.elements() == 0 {
            return Ok(0);
        }
        Ok(source.fill_centers(self.geometry.mask_planes(), words))
    }

    /// Draws the centres from a generator of the caller's and returns how many there are. Each draw
    /// takes one 32-bit word.
    ///
    /// * `words`: as for [`draw_centers`](Self::draw_centers).
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the buffer is too short.
    ///
    /// # Value stability
    ///
    /// It promises what the generator promises. Positions are visited in the order of the mask.
    pub fn draw_centers_from<R: Rng + ?Sized>(
        &self,
        rng: &mut R,
        words: &mut [u64],
    ) -> Result<u64, Error> {
        let source = self.source(Key::new(0))?;
        let words = self.words_mut(words)?;
        Ok(source.fill_centers_from(rng, self.geometry.mask_planes(), words))
    }

    /// Expands centres to their blocks, in place: stage 2. Blocks of centres that lie outside the
    /// valid region are clipped at the border.
    ///
    /// * `words`: as for [`draw`](Self::draw); bits past the last unit are left as they are.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the buffer is too short.
    pub fn dilate(&self, words: &mut [u64]) -> Result<(), Error> {
        let words = self.words_mut(words)?;
        let &Blocks { map, before, after, .. } = &self.sampler.blocks;
        Reach { map, before, after }.spread_bits(self.level(), words, self.units(), &ALL);
        Ok(())
    }

    /// Makes a mask from words of the caller's, or of a mask that was drawn before. The units are
    /// counted. The mask has no key; only noise needs one, see [`Mask::with_key`].
    ///
    /// * `words`: [`mask_words`](Self::mask_words) or more, 1 = dropped; bits past the last unit do
    ///   not matter.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the buffer is too short.
    pub fn mask_from<'a>(&'a self, words: &'a [u64]) -> Result<Mask<'a>, Error> {
        let needed = self.mask_words();
        let (buffer, given) = (Buffer::Mask, words.len());
        let words = words.get(..needed).ok_or(Error::Length { buffer, needed, given })?;
        let dropped = count(self.level(), words, 0..self.units());
        Ok(Mask::new(self, words, self.count_of(dropped), None))
    }

    #[inline(always)]
    pub(crate) fn level(&self) -> Level {
        Level::of(self.layer.backend)
    }

    pub(crate) const fn drops_nothing(&self) -> bool {
        self.sampler.gamma == 0 || self.elements() == 0
    }

    pub(crate) const fn count_of(&self, dropped: u64) -> DropCount {
        DropCount { dropped, total: self.units() as u64 }
    }

    /// The planes of the mask that a sample has to itself.
    const fn planes_per_sample(&self) -> u64 {
        match self.layer.sharing {
            Sharing::None | Sharing::OverChannels => self.geometry.mask_channels as u64,
            Sharing::OverSamples | Sharing::OverAll => 0,
        }
    }

    #[inline(always)]
    pub(crate) fn source(&self, key: Key) -> Result<Source<'_>, Error> {
        let per_sample = self.planes_per_sample();
        // The number of the last position, and a segment more, must fit in 64 bits.
        let positions = self.sampler.blocks.positions();
        let own = self.geometry.mask_planes() as u64 * positions + u64::from(SEGMENT);
        let limit = (u64::MAX - own).checked_div(per_sample * positions);
        if let Some(limit) = limit
            && key.first_sample > limit
        {
            return Err(Error::FirstSample { limit, given: key.first_sample });
        }
        Ok(Source {
            sampler: &self.sampler,
            streams: key.streams(),
            first_plane: key.first_sample.wrapping_mul(per_sample),
            level: self.level(),
        })
    }

    /// Stages 1 and 2 for the whole mask; returns how many units are dropped.
    #[inline(always)]
    fn fill(&self, source: &Source<'_>, words: &mut [u64]) -> u64 {
        let planes = self.geometry.mask_planes();
        #[cfg(feature = "rayon")]
        if let Some(threads) = self.threads_for(self.units()) {
            return threads.fill(source, planes, words);
        }
        source.fill(planes, words, ignore)
    }

    fn words_mut<'m>(&self, words: &'m mut [u64]) -> Result<&'m mut [u64], Error> {
        let (needed, given) = (self.mask_words(), words.len());
        words.get_mut(..needed).ok_or(Error::Length { buffer: Buffer::Mask, needed, given })
    }

    /// The units of a scale group.
    fn group(&self, group: usize) -> Result<Range<usize>, Error> {
        let groups = self.groups();
        if group >= groups {
            return Err(Error::Group { groups, given: group });
        }
        let units = self.geometry.group_units();
        Ok(group * units..(group + 1) * units)
    }
}

impl PartialEq for Plan {
    fn eq(&self, other: &Self) -> bool {
        (self.layer, self.shape) == (other.layer, other.shape)
    }
}

impl Eq for Plan {}

impl Hash for Plan {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.layer, self.shape).hash(state);
    }
}
