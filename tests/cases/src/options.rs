//! What a layer is asked for, as plain data that other languages can be told as well.

use dropblock::{Alignment, BlockSize, DropBlock, Error, Fill, Gamma, Region, Scale, Sharing};

use crate::Source;

type Preset = fn(usize, f64) -> Result<DropBlock, Error>;

/// What [`Options::preset`] numbers, in the order of the C header.
pub const PRESETS: [Preset; 6] = [
    DropBlock::new,
    DropBlock::tensorflow,
    DropBlock::timm,
    DropBlock::timm_legacy,
    DropBlock::miguelvr,
    DropBlock::dragon,
];

/// A preset, and what replaces its options.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// A number in [`PRESETS`].
    pub preset: usize,
    /// The block size.
    pub block: Block,
    /// The drop probability.
    pub drop_prob: f64,
    /// `None`, here and below: the preset's.
    pub gamma: Option<Gamma>,
    /// The region of centres.
    pub region: Option<Region>,
    /// The alignment of even blocks.
    pub alignment: Option<Alignment>,
    /// The sharing of masks.
    pub sharing: Option<Sharing>,
    /// The scale.
    pub scale: Option<Scale>,
    /// The fill.
    pub fill: Option<Fill>,
    /// Whether anything is dropped at all.
    pub training: bool,
}

/// A block size that can be read.
#[derive(Clone, Copy, Debug)]
pub enum Block {
    /// The same for every axis.
    Uniform(usize),
    /// Height and width.
    Hw(usize, usize),
    /// Depth, height and width.
    Dhw(usize, usize, usize),
    /// A fraction of every axis.
    Relative(f64),
}

impl Block {
    /// The block size of the crate.
    pub fn size(self) -> BlockSize {
        match self {
            Self::Uniform(size) => BlockSize::uniform(size),
            Self::Hw(h, w) => BlockSize::hw(h, w),
            Self::Dhw(d, h, w) => BlockSize::dhw(d, h, w),
            Self::Relative(fraction) => BlockSize::relative(fraction),
        }
    }

    /// One that a map with so many axes can have.
    fn draw(source: &mut impl Source, rank: u8) -> Self {
        let kind = source.below(14);
        let mut size = |most| 1 + source.below(most);
        match (kind, rank) {
            (8..=12, 2) => Self::Hw(size(8), size(69)),
            (8..=12, 3) => Self::Dhw(size(6), size(6), size(6)),
            (13, _) => Self::Relative(0.001 + 1.199 * source.part()),
            (6 | 7, _) => Self::Uniform(8 + size(71)),
            _ => Self::Uniform(size(8)),
        }
    }
}

impl Options {
    /// Options for which there is a layer, and with a map of so many axes a plan.
    pub fn draw(source: &mut impl Source, rank: u8) -> Self {
        let preset = if source.one_in(3) { 1 + source.below(PRESETS.len() - 1) } else { 0 };
        let block = Block::draw(source, rank);
        let drop_prob = match source.below(9) {
            0 | 1 => 0.1,
            2 => 0.0,
            3 => 1.0,
            4 => 0.5_f64.powi(source.below(256) as i32),
            _ => source.part(),
        };
        let gamma = match source.below(12) {
            0 => None,
            1 => Some(Gamma::Paper { scale: 1.0 }),
            2 => Some(Gamma::Paper { scale: 40.0 * source.part() }),
            3 => Some(Gamma::PaperValid { scale: 4.0 * source.part() }),
            4..=6 => Some(Gamma::Exact),
            7 => Some(Gamma::Raw(source.part())),
            8 => Some(Gamma::Raw(0.01 * source.part())),
            9 => Some(Gamma::Raw(source.pick(&[0.0, 1.0, 1e-12, 1.0 / 32.0]))),
            10 => Some(Gamma::paper_group(3 + source.below(2))),
            _ => Some(Gamma::Paper { scale: source.pick(&[0.0, 1e9, 1e300, 6.6e-96, 5e-324]) }),
        };
        Self {
            preset,
            block,
            drop_prob,
            gamma,
            region: source.pick(&[
                None,
                Some(Region::Full),
                Some(Region::Valid),
                Some(Region::Full),
            ]),
            alignment: source.pick(&[None, Some(Alignment::After), Some(Alignment::Before)]),
            sharing: match source.below(7) {
                0 => None,
                1..=3 => Some(Sharing::None),
                other => Some(Sharing::ALL[other - 3]),
            },
            scale: match source.below(Scale::ALL.len() + 1) {
                0 => None,
                other => Some(Scale::ALL[other - 1]),
            },
            fill: source.pick(&[None, Some(Fill::Zero), Some(Fill::Zero), Some(Fill::Noise)]),
            training: !source.one_in(20),
        }
    }

    /// The layer, if nothing is wrong with them.
    pub fn layer(&self) -> Result<DropBlock, Error> {
        let mut layer =
            PRESETS[self.preset](1, self.drop_prob)?.with_block_size(self.block.size())?;
        if let Some(gamma) = self.gamma {
            layer = layer.with_gamma(gamma)?;
        }
        if let Some(region) = self.region {
            layer = layer.with_region(region);
        }
        if let Some(alignment) = self.alignment {
            layer = layer.with_alignment(alignment);
        }
        if let Some(sharing) = self.sharing {
            layer = layer.with_sharing(sharing);
        }
        if let Some(scale) = self.scale {
            layer = layer.with_scale(scale);
        }
        if let Some(fill) = self.fill {
            layer = layer.with_fill(fill);
        }
        Ok(layer.with_training(self.training))
    }
}
