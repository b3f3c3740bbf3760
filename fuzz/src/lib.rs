//! What the targets share beside the cases of `dropblock-cases`: numbers, options and keys of any size,
//! which need not fit together.

pub mod arena;

use arbitrary::Arbitrary;
use dropblock::{Alignment, DropBlock, Fill, Gamma, Key, Region, Scale, Sharing};

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

/// Numbers that look like chance, from one.
pub fn chance(seed: u64, index: usize) -> u64 {
    let z = seed.wrapping_add((index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 16
}
