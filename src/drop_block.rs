//! The options of a DropBlock layer, validated once.

use core::hash::{Hash, Hasher};

use crate::{Alignment, Backend, BlockSize, Error, Gamma, Plan, Region, Shape};

/// Which maps of the tensor share one mask.
///
/// ```
/// use dropblock::{DropBlock, Shape, Sharing};
///
/// // 2 samples of 3 channels of 4 x 4.
/// let units = |sharing| {
///     let plan = DropBlock::new(2, 0.1)?.with_sharing(sharing).plan(Shape::nchw(2, 3, 4, 4))?;
///     Ok::<_, dropblock::Error>(plan.units())
/// };
/// assert_eq!(units(Sharing::None)?, 2 * 3 * 16);
/// assert_eq!(units(Sharing::OverChannels)?, 2 * 16);
/// assert_eq!(units(Sharing::OverSamples)?, 3 * 16);
/// assert_eq!(units(Sharing::OverAll)?, 16);
/// # Ok::<(), dropblock::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Sharing {
    /// None: a mask for each channel of each sample, the paper's better variant.
    #[default]
    None,
    /// The channels of a sample: a mask for each sample.
    OverChannels,
    /// The samples of a batch: a mask for each channel.
    OverSamples,
    /// All: one mask.
    OverAll,
}

impl Sharing {
    /// Every sharing.
    pub const ALL: &'static [Self] =
        &[Self::None, Self::OverChannels, Self::OverSamples, Self::OverAll];
}

/// What kept units are multiplied by.
///
/// ```
/// use dropblock::{DropBlock, DropCount, Scale, Shape};
///
/// let layer = DropBlock::new(3, 0.2)?;
/// let count = DropCount { dropped: 200, total: 800 };
/// let scale = |scale| {
///     let plan = layer.with_scale(scale).plan(Shape::nchw(2, 4, 10, 10))?;
///     Ok::<_, dropblock::Error>(plan.scale::<f64>(count))
/// };
/// assert_eq!(scale(Scale::PerTensor)?, 800.0 / 600.0);
/// assert_eq!(scale(Scale::Fixed)?, 1.25);
/// assert_eq!(scale(Scale::Off)?, 1.0);
/// # Ok::<(), dropblock::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Scale {
    /// By `count(M) / count_ones(M)` over the whole mask: Algorithm 1, line 7.
    #[default]
    PerTensor,
    /// By that quotient over each sample, so that samples and shards stay independent.
    PerSample,
    /// By that quotient over each map: each channel of each sample.
    PerMap,
    /// Each position by 1 over its own exact probability to be kept, so that the expectation of
    /// every unit is preserved. The other scales preserve only the mean. At 14 x 14 with block
    /// size 7 and drop probability .1 the paper's scale makes the centre .81 times what it was, and
    /// the corners 1.10 times.
    PerPosition,
    /// By `1 / (1 - drop_prob)`, which is known before the mask is drawn. With a drop probability of 1
    /// every output is +0.0.
    Fixed,
    /// By 1.
    Off,
}

impl Scale {
    /// Every scale.
    pub const ALL: &'static [Self] = &[
        Self::PerTensor,
        Self::PerSample,
        Self::PerMap,
        Self::PerPosition,
        Self::Fixed,
        Self::Off,
    ];
}

/// What the forward pass writes to dropped units.
///
/// ```
/// use dropblock::{DropBlock, Fill, Key, Scale, Shape};
///
/// let layer = DropBlock::new(3, 0.2)?.with_scale(Scale::Off).with_fill(Fill::Noise);
/// let plan = layer.plan(Shape::nchw(2, 4, 10, 10))?;
/// let mut x = [7.0_f32; 800];
/// let drawn = plan.forward_in_place(Key::new(1), &mut x)?;
/// let noise = x.iter().filter(|&&x| x != 7.0).count();
/// assert_eq!(drawn.count().map(|count| count.dropped), Some(noise as u64));
/// # Ok::<(), dropblock::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Fill {
    /// Positive zero.
    #[default]
    Zero,
    /// Gaussian noise of mean 0 and standard deviation 1, another value for every element, drawn
    /// from the same key: timm's `with_noise`. Backward passes write zeros, because the gradient of
    /// the noise is 0.
    Noise,
}

impl Fill {
    /// Every fill.
    pub const ALL: &'static [Self] = &[Self::Zero, Self::Noise];
}

/// The options of a DropBlock layer: block size, drop probability, and how the mask is drawn and scaled.
///
/// [The guide](crate::guide::options) says which to choose.
///
/// ```
/// use dropblock::{DropBlock, Gamma, Region};
///
/// let paper = DropBlock::new(7, 0.1)?;
/// let exact = paper.with_gamma(Gamma::Exact)?.with_region(Region::Full);
/// assert_eq!((exact.drop_prob(), exact.region()), (0.1, Region::Full));
/// # Ok::<(), dropblock::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Unchecked", into = "Unchecked"))]
pub struct DropBlock {
    pub(crate) block_size: BlockSize,
    pub(crate) drop_prob: f64,
    pub(crate) gamma: Gamma,
    pub(crate) region: Region,
    pub(crate) alignment: Alignment,
    pub(crate) sharing: Sharing,
    pub(crate) scale: Scale,
    pub(crate) fill: Fill,
    pub(crate) training: bool,
    /// The fastest one unless chosen.
    pub(crate) backend: Option<Backend>,
}

impl DropBlock {
    /// The paper's DropBlock. `block_size` holds along every axis; `drop_prob` is in `[0, 1]` (the
    /// paper's `1 - keep_prob`). Gamma is by Eq. 1, centres are in the valid region, each channel of
    /// each sample has its own mask, and the tensor has one scale.
    ///
    /// # Errors
    ///
    /// [`Error::BlockSize`] for a size of 0, [`Error::DropProb`] outside `[0, 1]` or NaN.
    #[inline]
    pub const fn new(block_size: usize, drop_prob: f64) -> Result<Self, Error> {
        let layer = Self {
            block_size: BlockSize::uniform(1),
            drop_prob: 0.0,
            gamma: Gamma::Paper { scale: 1.0 },
            region: Region::Valid,
            alignment: Alignment::Before,
            sharing: Sharing::None,
            scale: Scale::PerTensor,
            fill: Fill::Zero,
            training: true,
            backend: None,
        };
        match layer.with_drop_prob(drop_prob) {
            Ok(layer) => layer.with_block_size(BlockSize::uniform(block_size)),
            Err(error) => Err(error),
        }
    }

    /// Sets the drop probability, for example to what a [`Schedule`](crate::Schedule) gives.
    ///
    /// # Errors
    ///
    /// [`Error::DropProb`] outside `[0, 1]` or NaN.
    #[inline]
    pub const fn with_drop_prob(mut self, drop_prob: f64) -> Result<Self, Error> {
        if !(drop_prob >= 0.0 && drop_prob <= 1.0) {
            return Err(Error::DropProb { given: drop_prob });
        }
        // Without the sign of a zero, so that equal layers have equal bits.
        self.drop_prob = drop_prob + 0.0;
        Ok(self)
    }

    /// Sets a block size per axis.
    ///
    /// # Errors
    ///
    /// [`Error::BlockSize`] for a size of 0, [`Error::BlockFraction`] unless a fraction is finite and
    /// above 0.
    #[inline]
    pub const fn with_block_size(mut self, block_size: BlockSize) -> Result<Self, Error> {
        match block_size.validate() {
            Ok(()) => {
                self.block_size = block_size;
                Ok(self)
            }
            Err(error) => Err(error),
        }
    }

    /// Sets how gamma follows from the drop probability.
    ///
    /// # Errors
    ///
    /// [`Error::GammaScale`] unless the factor is finite and at least 0, [`Error::Gamma`] for a
    /// raw value outside `[0, 1]` or NaN.
    #[inline]
    pub const fn with_gamma(mut self, gamma: Gamma) -> Result<Self, Error> {
        self.gamma = match gamma {
            Gamma::Paper { scale } | Gamma::PaperValid { scale }
                if !(scale >= 0.0 && scale.is_finite()) =>
            {
                return Err(Error::GammaScale { given: scale });
            }
            Gamma::Raw(gamma) if !(gamma >= 0.0 && gamma <= 1.0) => {
                return Err(Error::Gamma { given: gamma });
            }
            // Without the sign of a zero, as above.
            Gamma::Paper { scale } => Gamma::Paper { scale: scale + 0.0 },
            Gamma::PaperValid { scale } => Gamma::PaperValid { scale: scale + 0.0 },
            Gamma::Raw(gamma) => Gamma::Raw(gamma + 0.0),
            Gamma::Exact => Gamma::Exact,
        };
        Ok(self)
    }

    /// Sets where centres may lie.
    #[inline]
    #[must_use]
    pub const fn with_region(mut self, region: Region) -> Self {
        self.region = region;
        self
    }

    /// Sets where the centre of an even block lies.
    #[inline]
    #[must_use]
    pub const fn with_alignment(mut self, alignment: Alignment) -> Self {
        self.alignment = alignment;
        self
    }

    /// Sets which parts of the tensor share one mask.
    #[inline]
    #[must_use]
    pub const fn with_sharing(mut self, sharing: Sharing) -> Self {
        self.sharing = sharing;
        self
    }

    /// Sets what kept units are multiplied by.
    #[inline]
    #[must_use]
    pub const fn with_scale(mut self, scale: Scale) -> Self {
        self.scale = scale;
        self
    }

    /// Sets what the forward pass writes to dropped units.
    #[inline]
    #[must_use]
    pub const fn with_fill(mut self, fill: Fill) -> Self {
        self.fill = fill;
        self
    }

    /// Chooses the backend, for comparison and tests: all give the same bits. Without a choice it
    /// is the fastest one that the machine has.
    ///
    /// # Errors
    ///
    /// [`Error::Backend`] if it cannot run here.
    #[inline]
    pub fn with_backend(mut self, backend: Backend) -> Result<Self, Error> {
        self.backend = Some(backend.checked()?);
        Ok(self)
    }

    /// Sets whether the layer is in training. Out of training it drops nothing and scales nothing,
    /// whatever else is set.
    #[inline]
    #[must_use]
    pub const fn with_training(mut self, training: bool) -> Self {
        self.training = training;
        self
    }

    /// Returns the block size.
    #[inline]
    #[must_use]
    pub const fn block_size(&self) -> BlockSize {
        self.block_size
    }

    /// Returns the drop probability.
    #[inline]
    #[must_use]
    pub const fn drop_prob(&self) -> f64 {
        self.drop_prob
    }

    /// Returns how gamma follows from the drop probability.
    #[inline]
    #[must_use]
    pub const fn gamma(&self) -> Gamma {
        self.gamma
    }

    /// Returns where centres may lie.
    #[inline]
    #[must_use]
    pub const fn region(&self) -> Region {
        self.region
    }

    /// Returns where the centre of an even block lies.
    #[inline]
    #[must_use]
    pub const fn alignment(&self) -> Alignment {
        self.alignment
    }

    /// Returns which maps of the tensor share one mask.
    #[inline]
    #[must_use]
    pub const fn sharing(&self) -> Sharing {
        self.sharing
    }

    /// Returns what kept units are multiplied by.
    #[inline]
    #[must_use]
    pub const fn scale(&self) -> Scale {
        self.scale
    }

    /// Returns what the forward pass writes to dropped units.
    #[inline]
    #[must_use]
    pub const fn fill(&self) -> Fill {
        self.fill
    }

    /// Tells whether the layer is in training.
    #[inline]
    #[must_use]
    pub const fn is_training(&self) -> bool {
        self.training
    }

    /// Builds the plan for tensors of one shape. It can be evaluated in a `const`, so that a
    /// microcontroller keeps the plan's 4 KiB table in flash:
    ///
    /// ```
    /// use dropblock::{DropBlock, Plan, Shape};
    /// const PLAN: Plan = match DropBlock::new(3, 0.1) {
    ///     Ok(layer) => match layer.plan(Shape::nchw(1, 8, 16, 16)) {
    ///         Ok(plan) => plan,
    ///         Err(_) => panic!("shape too large"),
    ///     },
    ///     Err(_) => panic!("bad options"),
    /// };
    /// static IN_FLASH: Plan = PLAN;
    /// # assert_eq!(IN_FLASH.elements(), 2048);
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Rank`] if the block has sizes for another number of axes, [`Error::Axis`] and
    /// [`Error::TooLarge`] for a shape that is too large.
    ///
    /// # Complexity
    ///
    /// About 6 microseconds, so a program with a schedule may build one in each step.
    #[inline]
    pub const fn plan(&self, shape: Shape) -> Result<Plan, Error> {
        Plan::new(self, &shape)
    }
}

/// Numbers are checked when they are set, so that none is NaN.
impl Eq for DropBlock {}

impl Hash for DropBlock {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.block_size.hash_into(state);
        self.drop_prob.to_bits().hash(state);
        let (kind, value) = match self.gamma {
            Gamma::Paper { scale } => (0_u8, scale),
            Gamma::PaperValid { scale } => (1, scale),
            Gamma::Exact => (2, 0.0),
            Gamma::Raw(gamma) => (3, gamma),
        };
        (kind, value.to_bits()).hash(state);
        (self.region, self.alignment, self.sharing, self.scale, self.fill).hash(state);
        (self.training, self.backend).hash(state);
    }
}

/// The options as they are stored, checked when they are read. The backend is a matter of the
/// machine and is not stored.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename = "DropBlock")]
struct Unchecked {
    block_size: BlockSize,
    drop_prob: f64,
    gamma: Gamma,
    region: Region,
    alignment: Alignment,
    sharing: Sharing,
    scale: Scale,
    fill: Fill,
    training: bool,
}

#[cfg(feature = "serde")]
impl From<DropBlock> for Unchecked {
    fn from(layer: DropBlock) -> Self {
        let DropBlock { block_size, drop_prob, gamma, region, alignment, .. } = layer;
        let DropBlock { sharing, scale, fill, training, .. } = layer;
        Self { block_size, drop_prob, gamma, region, alignment, sharing, scale, fill, training }
    }
}

#[cfg(feature = "serde")]
impl TryFrom<Unchecked> for DropBlock {
    type Error = Error;

    fn try_from(options: Unchecked) -> Result<Self, Error> {
        let layer = Self::new(1, options.drop_prob)?
            .with_block_size(options.block_size)?
            .with_gamma(options.gamma)?
            .with_region(options.region)
            .with_alignment(options.alignment)
            .with_sharing(options.sharing)
            .with_scale(options.scale)
            .with_fill(options.fill);
        Ok(layer.with_training(options.training))
    }
}
