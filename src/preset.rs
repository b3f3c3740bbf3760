//! Options that reproduce the semantics of other implementations.

use crate::{Alignment, DropBlock, Error, Gamma, Region, Scale, Sharing};

/// Presets: what other implementations do, for models that were trained with them.
///
/// Other implementations often do not drop the fraction that they are asked for, most of all on
/// small maps. The expected dropped fraction for a drop probability of .1 and block size 7, by
/// [`Plan::expected_dropped`](crate::Plan::expected_dropped):
///
/// | preset | departs from the paper | 7x7 | 14x14 | 56x56 |
/// | --- | --- | --- | --- | --- |
/// | `new`, `tensorflow` | nothing | 0.1000 | 0.0929 | 0.0946 |
/// | `timm` | centres everywhere with the gamma of the valid region; channels share a mask | 0.9300 | 0.2092 | 0.1112 |
/// | `timm_legacy` | centres everywhere with the gamma of the valid region | 0.9300 | 0.2092 | 0.1112 |
/// | `miguelvr` | centres everywhere, gamma p/k^2; channels share a mask; late alignment | 0.0554 | 0.0740 | 0.0897 |
/// | `dragon` | channels share a mask; scale 1/(1-p) | 0.1000 | 0.0929 | 0.0946 |
///
/// To drop what was asked for, use [`Gamma::Exact`]. Masks are drawn by this crate's mask function, so
/// their bits are not those of the other generator. Some implementations add a small number to a
/// quotient, against a division by 0; presets do not.
///
/// ```
/// use dropblock::{DropBlock, Gamma, Shape};
///
/// let timm = DropBlock::timm(7, 0.1)?;
/// let dropped = timm.plan(Shape::nchw(1, 64, 14, 14))?.expected_dropped();
/// assert_eq!(format!("{dropped:.4}"), "0.2092");
/// // timm's `gamma_scale` of a quarter, as it uses it for the third group of a network.
/// let group_3 = timm.with_gamma(Gamma::PaperValid { scale: 0.25 })?;
/// # let _ = group_3;
/// # Ok::<(), dropblock::Error>(())
/// ```
impl DropBlock {
    /// TensorFlow's reference code for the paper: Algorithm 1 as it stands, the same as
    /// [`new`](Self::new). torchvision's `drop_block2d` and `drop_block3d` are the same for odd block
    /// sizes that fit in the map. They refuse even sizes, and shrink a block that is longer than one
    /// axis along all of them.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    #[inline]
    pub const fn tensorflow(block_size: usize, drop_prob: f64) -> Result<Self, Error> {
        Self::new(block_size, drop_prob)
    }

    /// timm's `drop_block_2d` since its change of 2025: centres everywhere, with the gamma of
    /// Eq. 1 for the valid region; one mask for all channels of a sample. Its `gamma_scale` is
    /// [`Gamma::PaperValid`]'s, its `with_noise` goes with [`Scale::Off`].
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    #[inline]
    pub const fn timm(block_size: usize, drop_prob: f64) -> Result<Self, Error> {
        match Self::timm_legacy(block_size, drop_prob) {
            Ok(layer) => Ok(layer.with_sharing(Sharing::OverChannels)),
            Err(error) => Err(error),
        }
    }

    /// timm's `drop_block_fast_2d`, the default of its models before that change: as
    /// [`timm`](Self::timm), with a mask for each channel. Where a map is shorter than the block along
    /// one axis, timm shrinks the block along both; the preset shrinks it along that axis.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    #[inline]
    pub const fn timm_legacy(block_size: usize, drop_prob: f64) -> Result<Self, Error> {
        match Self::new(block_size, drop_prob) {
            Ok(layer) => {
                layer.with_region(Region::Full).with_gamma(Gamma::PaperValid { scale: 1.0 })
            }
            Err(error) => Err(error),
        }
    }

    /// The PyPI package `dropblock` by miguelvr: centres everywhere, gamma `p / k^2` (Eq. 1
    /// without its border term), one mask for all channels of a sample, and the longer half of an even
    /// block after the centre.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    #[inline]
    pub const fn miguelvr(block_size: usize, drop_prob: f64) -> Result<Self, Error> {
        match Self::new(block_size, drop_prob) {
            Ok(layer) => Ok(layer
                .with_region(Region::Full)
                .with_alignment(Alignment::After)
                .with_sharing(Sharing::OverChannels)),
            Err(error) => Err(error),
        }
    }

    /// Dragon's `drop_block2d`: Algorithm 1 with one mask for all channels of a sample, and the
    /// fixed scale `1 / (1 - p)` in place of the counted one.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    #[inline]
    pub const fn dragon(block_size: usize, drop_prob: f64) -> Result<Self, Error> {
        match Self::new(block_size, drop_prob) {
            Ok(layer) => Ok(layer.with_sharing(Sharing::OverChannels).with_scale(Scale::Fixed)),
            Err(error) => Err(error),
        }
    }
}
