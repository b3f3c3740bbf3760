//! The plan: options x shape, turned into integers once.

use rand_core::Rng;

use crate::backend::Level;
use crate::bits;
use crate::block::Blocks;
use crate::center::{Locator, next};
use crate::count::count;
use crate::dilate::{ALL, Reach};
use crate::element::arithmetic::Ratio;
use crate::error::Buffer;
use crate::gamma::{self, Gamma};
use crate::gap::{self, Table};
use crate::mask::{Recipe, Source, ignore};
use crate::rng::SEGMENT;
use crate::shape::MAX_AXIS;
use crate::stride::Rows;
use crate::{Backend, DropBlock, Dropped, Element, Error, Key, Scale, Shape, Sharing};

/// A DropBlock layer for tensors of one shape: everything that can be computed beforehand.
///
/// Made by [`DropBlock::plan`], at run time or in a `const`. It holds a table of 4 KiB and no
/// pointer, and no call changes it, so that threads can share it. All memory that an operation
/// needs is passed in; on an error nothing has been written.
///
/// The stages one by one are [`centers`](Self::centers), [`dilate`](Self::dilate),
/// [`count`](Self::count) and [`apply`](Self::apply); [`mask`](Self::mask) joins the first two,
/// [`forward`](Self::forward) and [`backward`](Self::backward) join all.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub(crate) options: DropBlock,
    pub(crate) shape: Shape,
    pub(crate) blocks: Blocks,
    pub(crate) rows: Rows,
    extent: usize,
    /// Samples and channels of the mask: 1 where they share it.
    pub(crate) mask_samples: usize,
    pub(crate) mask_channels: usize,
    /// The gamma that the table realises, in units of 2^-63.
    gamma: u64,
    recipe: Recipe,
    pub(crate) table: Table,
}

impl Plan {
    pub(crate) const fn new(options: &DropBlock, shape: &Shape) -> Result<Self, Error> {
        let limit = MAX_AXIS as u64;
        let [d, h, w] = shape.map.size;
        if d as u64 > limit || h as u64 > limit || w as u64 > limit {
            return Err(Error::TooLarge { limit });
        }
        let extent = match shape.extent() {
            Ok(extent) => extent,
            Err(error) => return Err(error),
        };
        let blocks =
            match Blocks::new(&shape.map, &options.block_size, options.alignment, options.region) {
                Ok(blocks) => blocks,
                Err(error) => return Err(error),
            };
        let asked = match options.gamma {
            Gamma::Paper { scale } => {
                gamma::paper(&blocks, blocks.positions(), options.drop_prob, scale)
            }
            Gamma::PaperValid { scale } => {
                gamma::paper(&blocks, blocks.valid_positions(), options.drop_prob, scale)
            }
            Gamma::Exact => gamma::exact(&blocks, gamma::from_f64(options.drop_prob)),
            Gamma::Raw(gamma) => gamma::from_f64(gamma),
        };
        let (share_channels, share_samples) = match options.sharing {
            Sharing::SampleChannel => (false, false),
            Sharing::Sample => (true, false),
            Sharing::Channel => (false, true),
            Sharing::All => (true, true),
        };
        let mask_samples = if share_samples && shape.samples > 0 { 1 } else { shape.samples };
        let mask_channels = if share_channels && shape.channels > 0 { 1 } else { shape.channels };
        let rows = Rows::new(shape);
        // No branch from here on, so that compilers need no copy of the table.
        let mut gamma = asked;
        let table = gap::build(&mut gamma);
        let recipe = Recipe::new(&blocks, gamma::to_f64(gamma));
        Ok(Self {
            options: *options,
            shape: *shape,
            blocks,
            rows,
            extent,
            mask_samples,
            mask_channels,
            gamma,
            recipe,
            table,
        })
    }

    /// Returns the options.
    #[inline]
    #[must_use]
    pub const fn options(&self) -> &DropBlock {
        &self.options
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

    /// Returns the number of elements of the tensor.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.planes() * self.plane()
    }

    /// Returns the length of the tensor's buffers: the number of elements from the first to the
    /// last. Without gaps it is [`len`](Self::len).
    #[inline]
    #[must_use]
    pub const fn extent(&self) -> usize {
        self.extent
    }

    /// Tells whether the tensor has no elements.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of units of the mask: fewer than elements if they share it.
    #[inline]
    #[must_use]
    pub const fn units(&self) -> usize {
        self.mask_planes() * self.plane()
    }

    /// Returns the number of 64-bit words of a mask: `units / 64`, rounded up.
    #[inline]
    #[must_use]
    pub const fn mask_len(&self) -> usize {
        bits::words(self.units())
    }

    /// Returns the number of scale groups: 1, or the mask's samples or maps under
    /// [`Scale::Sample`] and [`Scale::Channel`].
    #[inline]
    #[must_use]
    pub const fn groups(&self) -> usize {
        match self.mask_planes().checked_div(self.group_planes()) {
            Some(groups) => groups,
            None => 0,
        }
    }

    /// Returns gamma as it is really used, after clamping and rounding to the table: the
    /// long-run rate of centres.
    #[inline]
    #[must_use]
    pub const fn gamma(&self) -> f64 {
        gamma::to_f64(self.gamma)
    }

    /// Returns the exact expected fraction of units that are dropped, borders and overlaps
    /// counted: the mean over the map of `1 - (1 - gamma)^c`, where `c` is the number of
    /// positions whose block covers the unit. The time grows with depth x height of the block.
    #[inline]
    #[must_use]
    pub const fn expected_dropped(&self) -> f64 {
        gamma::dropped_fraction(&self.blocks, self.gamma)
    }

    /// Writes the centres: stage 1. Returns how many there are.
    ///
    /// * `centers`: [`mask_len`](Self::mask_len) words or more, mask layout; the bit of each
    ///   block's centre is set, all others are cleared.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the buffer is too short, [`Error::FirstSample`].
    pub fn centers(&self, key: Key, centers: &mut [u64]) -> Result<u64, Error> {
        let source = self.source(key)?;
        let centers = self.mask_mut(centers)?;
        if self.is_empty() {
            return Ok(0);
        }
        Ok(source.fill_centers(self.mask_planes(), centers))
    }

    /// Writes centres that are drawn from a generator of the caller, one 32-bit word a draw.
    /// Returns how many there are.
    ///
    /// * `centers`: [`mask_len`](Self::mask_len) words or more, mask layout.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the buffer is too short.
    ///
    /// # Value stability
    ///
    /// Only what the generator promises; positions are visited in the order of the mask.
    pub fn centers_from_rng<R: Rng + ?Sized>(
        &self,
        rng: &mut R,
        centers: &mut [u64],
    ) -> Result<u64, Error> {
        let source = self.source(Key::new(0))?;
        let centers = self.mask_mut(centers)?;
        centers.fill(0);
        let mut count = 0;
        let locator = Locator::new(&self.blocks, self.mask_planes());
        let positions = self.mask_planes() as u64 * self.blocks.positions();
        let mut base = 0;
        while base < positions {
            let end = (positions - base).min(u64::from(SEGMENT)) as u32;
            let mut center = next(&self.table, rng, 0, end);
            while center < end {
                let cell = locator.cell(base + u64::from(center));
                bits::set(centers, source.center_unit(cell), 1);
                count += 1;
                center = next(&self.table, rng, center + 1, end);
            }
            base += u64::from(SEGMENT);
        }
        Ok(count)
    }

    /// Expands centres to the mask of their blocks, in place: stage 2. Blocks of centres that
    /// lie outside the valid region are clipped at the border.
    ///
    /// * `mask`: [`mask_len`](Self::mask_len) words or more, mask layout; bits past the last
    ///   unit are left as they are.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the buffer is too short.
    pub fn dilate(&self, mask: &mut [u64]) -> Result<(), Error> {
        let mask = self.mask_mut(mask)?;
        let (map, before, after) = (self.blocks.map, self.blocks.before, self.blocks.after);
        let reach = Reach { map, before, after };
        reach.spread_bits(Level::of(self.options.backend), mask, self.units(), &ALL);
        Ok(())
    }

    /// Writes the mask: stages 1 and 2. Returns how many units are dropped.
    ///
    /// * `mask`: [`mask_len`](Self::mask_len) words or more; bit `i` of word `j` is unit
    ///   `64 j + i`, plane by plane and row by row whatever the tensor's layout; 1 = dropped.
    ///   Bits past the last unit are cleared, words past `mask_len` left as they are.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the buffer is too short, [`Error::FirstSample`].
    ///
    /// # Value stability
    ///
    /// Version 1: the bits for the same plan and key never change, on any machine.
    pub fn mask(&self, key: Key, mask: &mut [u64]) -> Result<Dropped, Error> {
        let source = self.source(key)?;
        let mask = self.mask_mut(mask)?;
        let mut dropped = Dropped { count: 0, of: self.units() as u64 };
        if self.drops_nothing() {
            mask.fill(0);
        } else {
            dropped.count = source.fill(self.mask_planes(), mask, ignore);
        }
        Ok(dropped)
    }

    /// Counts the dropped units of a mask.
    ///
    /// * `mask`: [`mask_len`](Self::mask_len) words or more.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the buffer is too short.
    pub fn count(&self, mask: &[u64]) -> Result<Dropped, Error> {
        let mask = self.mask_ref(mask)?;
        Ok(self.dropped_in(mask, 0, 0..self.units()))
    }

    /// Counts the dropped units of one scale group: the whole mask, a sample or a map.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if the buffer is too short, [`Error::Group`] if there is no such group.
    pub fn count_group(&self, mask: &[u64], group: usize) -> Result<Dropped, Error> {
        let mask = self.mask_ref(mask)?;
        let groups = self.groups();
        if group >= groups {
            return Err(Error::Group { groups, given: group });
        }
        let units = self.group_planes() * self.plane();
        Ok(self.dropped_in(mask, 0, group * units..(group + 1) * units))
    }

    /// Returns the scale of kept units in a group of which so much is dropped; fixed scales do
    /// not depend on it. Under [`Scale::PerPosition`] it is 1, see
    /// [`position_scale`](Self::position_scale).
    #[inline]
    #[must_use]
    pub fn scale<T: Element>(&self, group: &Dropped) -> T::Scale {
        match self.options.scale {
            Scale::Tensor | Scale::Sample | Scale::Channel => group.scale::<T::Scale>(),
            Scale::Fixed => {
                let kept = gamma::ONE - gamma::from_f64(self.options.drop_prob);
                T::Scale::from_ratio(gamma::ONE, kept)
            }
            Scale::None | Scale::PerPosition => T::Scale::ONE,
        }
    }

    /// Returns the scale of [`Scale::PerPosition`]: 1 divided by the exact probability that the
    /// unit at this position of the map is kept, `(1 - gamma)^c`, where `c` is the number of
    /// positions whose block covers it. 0 if it is always dropped.
    ///
    /// `position` counts row by row and is below the number of positions in the map.
    ///
    /// # Errors
    ///
    /// [`Error::Position`] if it is not.
    #[inline]
    pub fn position_scale<T: Element>(&self, position: usize) -> Result<T::Scale, Error> {
        let positions = self.plane();
        if position >= positions {
            return Err(Error::Position { positions, given: position });
        }
        let mut scale = [T::Scale::ONE];
        self.position_scales::<T>(position, &mut scale);
        let [scale] = scale;
        Ok(scale)
    }

    /// The scales of neighbouring positions of the map, a word of them at most.
    pub(crate) fn position_scales<T: Element>(&self, start: usize, scales: &mut [T::Scale]) {
        let mut probs = [0; bits::WORD_BITS];
        let probs = &mut probs[..scales.len().min(bits::WORD_BITS)];
        gamma::keep_probs(&self.blocks, self.gamma, start, probs);
        for (scale, &mut prob) in scales.iter_mut().zip(probs) {
            *scale = T::Scale::from_keep_prob(prob);
        }
    }

    // Geometry and checks for the operations.

    pub(crate) fn level(&self) -> Level {
        Level::of(self.options.backend)
    }

    pub(crate) const fn plane(&self) -> usize {
        let [d, h, w] = self.blocks.map;
        d * h * w
    }

    pub(crate) const fn planes(&self) -> usize {
        self.shape.samples * self.shape.channels
    }

    pub(crate) const fn mask_planes(&self) -> usize {
        self.mask_samples * self.mask_channels
    }

    /// The number of planes of the mask that share a scale.
    pub(crate) const fn group_planes(&self) -> usize {
        match self.options.scale {
            Scale::Tensor | Scale::Fixed | Scale::None | Scale::PerPosition => self.mask_planes(),
            Scale::Sample => self.mask_channels,
            Scale::Channel => 1,
        }
    }

    pub(crate) const fn drops_nothing(&self) -> bool {
        self.gamma == 0 || self.is_empty()
    }

    pub(crate) fn dropped_in(
        &self,
        bits: &[u64],
        at: usize,
        units: core::ops::Range<usize>,
    ) -> Dropped {
        Dropped {
            count: count(self.level(), bits, units.start - at..units.end - at),
            of: units.len() as u64,
        }
    }

    #[inline(always)]
    pub(crate) fn source(&self, key: Key) -> Result<Source<'_>, Error> {
        let per_sample = match self.options.sharing {
            Sharing::SampleChannel | Sharing::Sample => self.mask_channels as u64,
            Sharing::Channel | Sharing::All => 0,
        };
        // The number of the last position, and a segment more, must fit in 64 bits.
        let positions = self.blocks.positions();
        let own = self.mask_planes() as u64 * positions + u64::from(SEGMENT);
        let limit = (u64::MAX - own).checked_div(per_sample * positions);
        if let Some(limit) = limit
            && key.first_sample > limit
        {
            return Err(Error::FirstSample { limit, given: key.first_sample });
        }
        let level = self.level();
        Ok(Source {
            blocks: &self.blocks,
            table: &self.table,
            streams: key.streams(),
            first_plane: key.first_sample.wrapping_mul(per_sample),
            recipe: &self.recipe,
            method: self.recipe.method(level),
            level,
        })
    }

    pub(crate) fn mask_mut<'m>(&self, mask: &'m mut [u64]) -> Result<&'m mut [u64], Error> {
        let given = mask.len();
        let needed = self.mask_len();
        mask.get_mut(..needed).ok_or(Error::Length { buffer: Buffer::Mask, needed, given })
    }

    pub(crate) fn mask_ref<'m>(&self, mask: &'m [u64]) -> Result<&'m [u64], Error> {
        let needed = self.mask_len();
        mask.get(..needed).ok_or(Error::Length { buffer: Buffer::Mask, needed, given: mask.len() })
    }

    pub(crate) fn check_tensor(&self, buffer: Buffer, given: usize) -> Result<(), Error> {
        let needed = self.extent;
        if given == needed {
            return Ok(());
        }
        Err(Error::Length { buffer, needed, given })
    }
}
