//! Where randomness comes from: a key, and from it one generator per segment of positions.
//!
//! Value-stable as version 1; [`crate::reference`] says the same in plain code.

use rand_xoshiro::Xoshiro128PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

/// The number of positions that share a generator.
pub(crate) const SEGMENT: u32 = 4096;

/// The version of the mask function. The bits for the same plan and key never change within a
/// version; a checkpoint that must resume with the same masks stores it beside the key.
pub const MASK_VERSION: u32 = 1;

/// Names one mask among all that a training run draws.
///
/// A mask is a pure function of the key and the plan: the forward pass, the backward pass,
/// another thread or another machine draws the same bits from the same key.
///
/// ```
/// use dropblock::Key;
/// let seed = 2024;
/// let key = Key::new(seed).with_step(17).with_layer(3);
/// // The second half of a batch of 64, on another machine:
/// let shard = key.with_first_sample(32);
/// assert_eq!(Key::from_words(shard.to_words()), shard);
/// # assert_ne!(key, shard);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Key {
    /// The seed of the training run. All seeds are equally good.
    pub seed: u64,
    /// The training step: each draws new masks.
    pub step: u64,
    /// The layer: layers of the same shape draw different masks.
    pub layer: u64,
    /// The index of the tensor's first sample in the whole batch.
    pub first_sample: u64,
}

impl Key {
    /// A key for step 0, layer 0, first sample 0.
    #[inline]
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed, step: 0, layer: 0, first_sample: 0 }
    }

    /// Sets the training step.
    #[inline]
    #[must_use]
    pub const fn with_step(mut self, step: u64) -> Self {
        self.step = step;
        self
    }

    /// Sets the layer.
    #[inline]
    #[must_use]
    pub const fn with_layer(mut self, layer: u64) -> Self {
        self.layer = layer;
        self
    }

    /// Sets the index of the tensor's first sample in the whole batch, for a batch that is split
    /// over calls, threads or machines. The masks of the shards together are the whole mask.
    #[inline]
    #[must_use]
    pub const fn with_first_sample(mut self, sample: u64) -> Self {
        self.first_sample = sample;
        self
    }

    /// Returns seed, step, layer and first sample, for a checkpoint.
    #[inline]
    #[must_use]
    pub const fn to_words(self) -> [u64; 4] {
        [self.seed, self.step, self.layer, self.first_sample]
    }

    /// Makes a key from the words that [`to_words`](Self::to_words) returns.
    #[inline]
    #[must_use]
    pub const fn from_words([seed, step, layer, first_sample]: [u64; 4]) -> Self {
        Self { seed, step, layer, first_sample }
    }

    /// Hashes seed, step and layer to 128 bits.
    pub(crate) const fn streams(&self) -> Streams {
        let [a, b] = absorbed(&[self.seed, self.step, self.layer]);
        Streams { a: a & !1, b: b | 1 }
    }

    /// The seed alone, for devices that read the step from memory.
    #[cfg(feature = "cuda")]
    pub(crate) const fn seed_words(&self) -> [u64; 2] {
        absorbed(&[self.seed])
    }
}

const fn absorbed(words: &[u64]) -> [u64; 2] {
    // The first digits of pi, as good as any.
    let (mut a, mut b) = (0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344);
    let mut i = 0;
    while i < words.len() {
        let hashed = hash(words[i]);
        a = mix(hashed.wrapping_add(a));
        b = mix(hashed ^ b);
        i += 1;
    }
    [a, b]
}

/// The generators of one key, one for each segment of [`SEGMENT`] positions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Streams {
    /// Even, and `b` odd, so that no segment makes both halves of the state 0: that would take
    /// `hash(segment)` to equal both `-a` and `b`.
    a: u64,
    b: u64,
}

impl Streams {
    /// For what draws nothing.
    pub(crate) const NONE: Self = Self { a: 0, b: 1 };

    /// The state of the segment's generator. The index is hashed before it is added, or
    /// neighbouring segments would share words of their states.
    #[inline]
    pub(crate) const fn state(&self, segment: u64) -> [u32; 4] {
        let hashed = hash(segment);
        let a = mix(hashed.wrapping_add(self.a));
        let b = mix(hashed ^ self.b);
        [a as u32, (a >> 32) as u32, b as u32, (b >> 32) as u32]
    }

    /// The key's own 128 bits.
    pub(crate) const fn words(&self) -> [u64; 2] {
        [self.a, self.b]
    }

    #[inline]
    pub(crate) fn generator(&self, segment: u64) -> Xoshiro128PlusPlus {
        let mut seed = [0; 16];
        for (bytes, word) in seed.as_chunks_mut().0.iter_mut().zip(self.state(segment)) {
            *bytes = word.to_le_bytes();
        }
        Xoshiro128PlusPlus::from_seed(seed)
    }
}

/// What SplitMix64 adds, and what its finaliser multiplies by.
pub(crate) const WEYL: u64 = 0x9e37_79b9_7f4a_7c15;
pub(crate) const MIX: [u64; 2] = [0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb];

/// One output of SplitMix64 (Steele, Lea, Flood 2014) seeded with `word`.
pub(crate) const fn hash(word: u64) -> u64 {
    mix(word.wrapping_add(WEYL))
}

/// The finaliser of SplitMix64, a bijection.
pub(crate) const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(MIX[0]);
    z = (z ^ (z >> 27)).wrapping_mul(MIX[1]);
    z ^ (z >> 31)
}
