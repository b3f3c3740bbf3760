//! The options of a DropBlock layer, validated once.

use crate::{Alignment, Backend, BlockSize, Error, Gamma, Plan, Region, Shape};

/// Which parts of the tensor share one mask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Sharing {
    /// A mask for each channel of each sample: the paper's better variant.
    #[default]
    SampleChannel,
    /// A mask for each sample, shared by its channels.
    Sample,
    /// A mask for each channel, shared by the samples.
    Channel,
    /// One mask for all.
    All,
}

/// By what the kept units are multiplied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scale {
    /// By `count(M) / count_ones(M)` over the whole mask: Algorithm 1, line 7.
    #[default]
    Tensor,
    /// By that quotient over each sample, so that samples and shards stay independent.
    Sample,
    /// By that quotient over each map: each channel of each sample.
    Channel,
    /// By `1 / (1 - drop_prob)`, known beforehand. For a drop probability of 1 the scale is 0.
    Fixed,
    /// By 1.
    None,
    /// Each position by 1 over its own exact probability to be kept, so that the expectation of
    /// every unit is preserved. The other scales preserve only the mean: at 14 x 14 with block
    /// size 7 and drop probability .1 the paper's makes the centre .81 of what it was, and
    /// the corners 1.10.
    PerPosition,
}

/// What the forward pass writes to dropped units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fill {
    /// Positive zero.
    #[default]
    Zero,
    /// Gaussian noise of mean 0 and standard deviation 1, another value for every element, drawn
    /// from the same key: timm's `with_noise`. Backward passes write zeros, as the gradient of
    /// the noise is 0.
    Noise,
}

/// A DropBlock layer: block size, drop probability and how the mask is drawn and scaled.
///
/// ```
/// use dropblock::{DropBlock, Gamma, Region};
///
/// let paper = DropBlock::new(7, 0.1)?;
/// let exact = paper.with_gamma(Gamma::Exact)?.with_region(Region::Full);
/// # let _ = exact;
/// # Ok::<(), dropblock::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DropBlock {
    pub(crate) block_size: BlockSize,
    pub(crate) drop_prob: f64,
    pub(crate) gamma: Gamma,
    pub(crate) region: Region,
    pub(crate) alignment: Alignment,
    pub(crate) sharing: Sharing,
    pub(crate) scale: Scale,
    pub(crate) fill: Fill,
    /// The fastest one unless chosen.
    pub(crate) backend: Option<Backend>,
}

impl DropBlock {
    /// The paper's DropBlock: blocks of `block_size` along every axis, `drop_prob` in `[0, 1]`
    /// (the paper's `1 - keep_prob`), gamma by Eq. 1, centres in the valid region, a mask for
    /// each sample and channel, one scale for the tensor.
    ///
    /// # Errors
    ///
    /// [`Error::BlockSize`] for a size of 0, [`Error::DropProb`] outside `[0, 1]` or NaN.
    #[inline]
    pub const fn new(block_size: usize, drop_prob: f64) -> Result<Self, Error> {
        if !(drop_prob >= 0.0 && drop_prob <= 1.0) {
            return Err(Error::DropProb { given: drop_prob });
        }
        Self {
            block_size: BlockSize::uniform(1),
            drop_prob,
            gamma: Gamma::Paper { scale: 1.0 },
            region: Region::Valid,
            alignment: Alignment::Before,
            sharing: Sharing::SampleChannel,
            scale: Scale::Tensor,
            fill: Fill::Zero,
            backend: None,
        }
        .with_block_size(BlockSize::uniform(block_size))
    }

    /// Sets a block size per axis.
    ///
    /// # Errors
    ///
    /// [`Error::BlockSize`] for a size of 0.
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
        match gamma {
            Gamma::Paper { scale } | Gamma::PaperValid { scale }
                if !(scale >= 0.0 && scale.is_finite()) =>
            {
                return Err(Error::GammaScale { given: scale });
            }
            Gamma::Raw(gamma) if !(gamma >= 0.0 && gamma <= 1.0) => {
                return Err(Error::Gamma { given: gamma });
            }
            _ => self.gamma = gamma,
        }
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

    /// Sets by what the kept units are multiplied.
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

    /// Chooses the backend, for comparison and tests; all give the same bits. Without a choice
    /// it is the fastest one that the machine has.
    ///
    /// # Errors
    ///
    /// [`Error::Backend`] if it cannot run here.
    #[inline]
    pub fn with_backend(mut self, backend: Backend) -> Result<Self, Error> {
        if !backend.is_available() {
            return Err(Error::Backend { given: backend });
        }
        self.backend = Some(backend);
        Ok(self)
    }

    /// Returns the layer as it is at inference: it drops nothing and scales nothing.
    #[inline]
    #[must_use]
    pub const fn inference(mut self) -> Self {
        self.drop_prob = 0.0;
        self.gamma = Gamma::Raw(0.0);
        self
    }

    /// Returns the drop probability that was asked for.
    #[inline]
    #[must_use]
    pub const fn drop_prob(&self) -> f64 {
        self.drop_prob
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
    /// # assert_eq!(IN_FLASH.len(), 2048);
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Rank`] if the block has sizes for another number of axes, [`Error::TooLarge`] if
    /// the shape overflows.
    #[inline]
    pub const fn plan(&self, shape: Shape) -> Result<Plan, Error> {
        Plan::new(self, &shape)
    }
}
