//! What the targets share: options, shapes and keys from arbitrary bytes.

pub mod arena;
pub mod place;

use arbitrary::Arbitrary;
use dropblock::{
    Alignment, BlockSize, DropBlock, Error, Fill, Gamma, Key, Layout, Map, Region, Scale, Shape,
    Sharing,
};

use place::{Place, SmallView};

/// A number of any size, of which small ones and the neighbours of powers of two are as likely
/// as all others.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Number {
    Small(u8),
    NearPower(u8, i8),
    Any(u64),
}

impl Number {
    pub fn get(self) -> usize {
        match self {
            Self::Small(number) => usize::from(number),
            Self::NearPower(power, more) => {
                (1_usize << (power % 64)).wrapping_add_signed(more.into())
            }
            Self::Any(number) => number as usize,
        }
    }
}

/// A probability, or any other bits of an `f64`.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Probability {
    Part(u16),
    Tiny(u8),
    Any(f64),
}

impl Probability {
    pub fn get(self) -> f64 {
        match self {
            Self::Part(part) => f64::from(part) / f64::from(u16::MAX),
            Self::Tiny(power) => 0.5_f64.powi(power.into()),
            Self::Any(number) => number,
        }
    }

    /// The same, made a probability.
    pub fn bounded(self) -> f64 {
        let p = self.get().abs();
        if p <= 1.0 { p } else { 0.1 }
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum AnyGamma {
    Paper,
    PaperScaled(f64),
    PaperValid(f64),
    Exact,
    Raw(Probability),
    Group(u8),
}

impl AnyGamma {
    pub fn get(self) -> Gamma {
        match self {
            Self::Paper => Gamma::Paper { scale: 1.0 },
            Self::PaperScaled(scale) => Gamma::Paper { scale },
            Self::PaperValid(scale) => Gamma::PaperValid { scale },
            Self::Exact => Gamma::Exact,
            Self::Raw(gamma) => Gamma::Raw(gamma.get()),
            Self::Group(group) => Gamma::paper_group(group.into()),
        }
    }
}

/// The options that cannot be wrong, in one byte each.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Choices {
    pub full: bool,
    pub after: bool,
    pub sharing: u8,
    pub scale: u8,
    pub noise: bool,
}

impl Choices {
    pub fn apply(self, layer: DropBlock) -> DropBlock {
        let (sharing, scale) = (usize::from(self.sharing), usize::from(self.scale));
        layer
            .with_region(if self.full { Region::Full } else { Region::Valid })
            .with_alignment(if self.after { Alignment::After } else { Alignment::Before })
            .with_sharing(Sharing::ALL[sharing % Sharing::ALL.len()])
            .with_scale(Scale::ALL[scale % Scale::ALL.len()])
            .with_fill(if self.noise { Fill::Noise } else { Fill::Zero })
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct AnyKey {
    pub seed: u64,
    pub step: u64,
    pub layer: u64,
    pub first_sample: Number,
}

impl AnyKey {
    pub fn get(self) -> Key {
        let first_sample = self.first_sample.get() as u64;
        Key::from_words([self.seed, self.step, self.layer, first_sample])
    }
}

/// A map of a few hundred positions, or a long one of one axis.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum SmallMap {
    Length(u8),
    Long(u16),
    Flat(u8, u8),
    Deep(u8, u8, u8),
}

impl SmallMap {
    pub fn get(self) -> Map {
        match self {
            Self::Length(length) => Map::l(length.into()),
            // Seldom so long that it does not fit the chunk on the stack.
            Self::Long(length) if length % 16 == 0 => Map::l(usize::from(length) % 20_000),
            Self::Long(length) => Map::l(usize::from(length) % 700),
            Self::Flat(height, width) => {
                let height = usize::from(height);
                // A high map is narrow, but not always.
                Map::hw(height, usize::from(width) % if height > 12 { 12 } else { 80 })
            }
            Self::Deep(d, h, w) => {
                Map::dhw(usize::from(d) % 6, usize::from(h) % 12, usize::from(w) % 70)
            }
        }
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum SmallBlock {
    Uniform(u8),
    PerAxis(u8, u8, u8),
    Relative(u8),
}

impl SmallBlock {
    /// A block of sizes from 1 on for a map of this rank.
    pub fn get(self, rank: u8) -> BlockSize {
        // Seldom large: the reference writes every unit of every block.
        let size = |size: u8| 1 + usize::from(size) % if size < 250 { 14 } else { 130 };
        match self {
            Self::PerAxis(_, h, w) if rank == 2 => BlockSize::hw(size(h), size(w)),
            Self::PerAxis(d, h, w) if rank == 3 => BlockSize::dhw(size(d), size(h), size(w)),
            Self::Uniform(uniform) | Self::PerAxis(uniform, _, _) => {
                BlockSize::uniform(size(uniform))
            }
            Self::Relative(part) => BlockSize::relative((f64::from(part) + 1.0) / 200.0),
        }
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum SmallLayout {
    First,
    Last,
    View(SmallView),
}

/// Options and a shape for which there is a plan, and a key.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Case {
    pub map: SmallMap,
    pub block: SmallBlock,
    pub drop_prob: Probability,
    pub gamma: AnyGamma,
    pub choices: Choices,
    pub samples: u8,
    pub channels: u8,
    pub layout: SmallLayout,
    pub key: AnyKey,
    /// Where an input lies, if not as an output does.
    pub input: Option<SmallView>,
}

impl Case {
    pub fn layer(&self) -> Result<DropBlock, Error> {
        let layer = DropBlock::new(1, self.drop_prob.bounded())?
            .with_block_size(self.block.get(self.map.get().rank()))?;
        // A gamma that is refused is the target `options`' affair.
        Ok(self.choices.apply(layer.with_gamma(self.gamma.get()).unwrap_or(layer)))
    }

    /// A shape of at most `most` elements or so.
    pub fn shape(&self, most: usize) -> Shape {
        let map = self.map.get();
        let len = map.len().unwrap_or(0).max(1);
        let samples = usize::from(self.samples) % 4;
        let channels = (usize::from(self.channels) % 140).min((most / len / samples.max(1)).max(1));
        let layout = match self.layout {
            SmallLayout::Last => Layout::ChannelsLast,
            SmallLayout::First | SmallLayout::View(_) => Layout::ChannelsFirst,
        };
        Shape::new(samples, channels, map, layout)
    }

    /// Where the elements of an output lie.
    pub fn output(&self, shape: &Shape) -> Place {
        match self.layout {
            SmallLayout::View(view) => Place::new(shape, view, false),
            SmallLayout::First | SmallLayout::Last => Place::dense(shape),
        }
    }

    /// Where the elements of an input lie.
    pub fn input(&self, shape: &Shape) -> Place {
        self.input.map_or_else(|| self.output(shape), |view| Place::new(shape, view, true))
    }
}

/// Numbers that look like chance, from one.
pub fn chance(seed: u64, index: usize) -> u64 {
    let z = seed.wrapping_add((index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 16
}

/// Packs a mask into words, as the crate lays it out.
pub fn pack(mask: &[bool]) -> Vec<u64> {
    let word = |units: &[bool]| (0..).zip(units).map(|(i, &unit)| u64::from(unit) << i).sum();
    mask.chunks(64).map(word).collect()
}
