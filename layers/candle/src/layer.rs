//! The layer, and the keys of a model.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::{Error, ModuleT, Result, Tensor};
use dropblock::{DropBlock as Options, Key, Schedule};

use crate::drop_block;

/// The keys of a model: the seed, the step of the training, the number of the next layer, and the first
/// sample. Clones are handles of the same step.
///
/// ```
/// use dropblock_candle::{DropBlock, Keys};
///
/// let keys = Keys::new(2024);
/// let (first, second) = (DropBlock::new(7, 0.1, &keys)?, DropBlock::new(7, 0.1, &keys)?);
/// assert_eq!((first.key().layer, second.key().layer), (0, 1));
/// keys.next_step();
/// assert_eq!((first.key().step, second.key().step), (1, 1));
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Keys(Arc<Counters>);

#[derive(Debug)]
struct Counters {
    seed: u64,
    first_sample: AtomicU64,
    step: AtomicU64,
    layers: AtomicU64,
}

impl Keys {
    /// The keys of a model with this seed, at step 0.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let [first_sample, step, layers] = [0; 3].map(AtomicU64::new);
        Self(Arc::new(Counters { seed, first_sample, step, layers }))
    }

    /// Sets the index in the whole batch of the first sample of the inputs, for a replica or a micro-batch
    /// that has a part of the batch. The masks of the parts together are those of the whole.
    ///
    /// A scale per tensor follows from the part alone; [`Scale::PerSample`](crate::Scale::PerSample) and
    /// [`Scale::Fixed`](crate::Scale::Fixed) are the same as those of the whole.
    pub fn set_first_sample(&self, sample: u64) {
        self.0.first_sample.store(sample, Ordering::Relaxed);
    }

    /// Returns the number of the step: how many steps are done. A checkpoint stores it.
    #[must_use]
    pub fn step(&self) -> u64 {
        self.0.step.load(Ordering::Relaxed)
    }

    /// Sets the number of the step, to resume a run. With the same step the same blocks are dropped again.
    pub fn set_step(&self, step: u64) {
        self.0.step.store(step, Ordering::Relaxed);
    }

    /// Adds 1 to the step, so that the next forward pass drops other blocks. The training loop calls it
    /// after each step of the optimizer.
    pub fn next_step(&self) {
        self.0.step.fetch_add(1, Ordering::Relaxed);
    }

    fn key(&self, layer: u64) -> Key {
        let first_sample = self.0.first_sample.load(Ordering::Relaxed);
        let key = Key::new(self.0.seed).with_step(self.step()).with_layer(layer);
        key.with_first_sample(first_sample)
    }
}

/// A DropBlock layer: sets blocks of each map to zero during training, and scales the rest.
///
/// Source: Ghiasi, Lin, Le 2018, [arXiv 1810.12890](https://arxiv.org/abs/1810.12890), Algorithm 1.
///
/// ```
/// use candle_core::{DType, Device, ModuleT, Tensor};
/// use dropblock_candle::{DropBlock, Keys};
///
/// let drop = DropBlock::new(7, 0.1, &Keys::new(2024))?;
/// let xs = Tensor::ones((8, 16, 14, 14), DType::F32, &Device::Cpu)?;
/// let ys = drop.forward_t(&xs, true)?;
/// assert!((ys.mean_all()?.to_scalar::<f32>()? - 1.0).abs() < 1e-3);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DropBlock {
    options: Options,
    schedule: Option<(Schedule, u64)>,
    layer: u64,
    keys: Keys,
}

impl DropBlock {
    /// The paper's DropBlock. `block_size` holds along every axis of the map, in units, at least 1;
    /// `drop_prob` is in `[0, 1]`. The layer takes the next number from `keys`.
    ///
    /// # Errors
    ///
    /// If the block size is 0, or the drop probability is outside `[0, 1]` or not a number.
    pub fn new(block_size: usize, drop_prob: f64, keys: &Keys) -> Result<Self> {
        let options = Options::new(block_size, drop_prob).map_err(Error::wrap)?;
        Ok(Self::with_options(options, keys))
    }

    /// A layer with any options: how gamma follows, sharing, scale, noise, or a preset.
    ///
    /// ```
    /// use dropblock_candle::{DropBlock, Gamma, Keys, Options, Scale};
    ///
    /// let options = Options::new(7, 0.1)?.with_gamma(Gamma::Exact)?.with_scale(Scale::PerSample);
    /// let drop = DropBlock::with_options(options, &Keys::new(2024));
    /// # Ok::<(), dropblock_candle::dropblock::Error>(())
    /// ```
    #[must_use]
    pub fn with_options(options: Options, keys: &Keys) -> Self {
        let layer = keys.0.layers.fetch_add(1, Ordering::Relaxed);
        Self { options, schedule: None, layer, keys: keys.clone() }
    }

    /// Sets the drop probability over the training, in place of that of the options: a schedule, and the
    /// number of steps of the training.
    ///
    /// ```
    /// use dropblock_candle::{DropBlock, Keys, Schedule};
    ///
    /// let schedule = Schedule::linear(0.0, 0.1)?;
    /// let drop = DropBlock::new(7, 0.1, &Keys::new(2024))?.with_schedule(schedule, 10_000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_schedule(mut self, schedule: Schedule, steps: u64) -> Self {
        self.schedule = Some((schedule, steps));
        self
    }

    /// Returns the options of the next forward pass, with the drop probability of the schedule.
    ///
    /// # Errors
    ///
    /// If the schedule gives a probability above 1.
    pub fn options(&self) -> Result<Options> {
        let Some((schedule, steps)) = self.schedule else { return Ok(self.options) };
        let prob = schedule.at(self.keys.step(), steps);
        self.options.with_drop_prob(prob).map_err(Error::wrap)
    }

    /// Returns the key of the mask of the next forward pass.
    #[must_use]
    pub fn key(&self) -> Key {
        self.keys.key(self.layer)
    }
}

/// Out of training the tensor is returned as it is.
///
/// # Errors
///
/// Those of [`drop_block`] and [`DropBlock::options`].
impl ModuleT for DropBlock {
    fn forward_t(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        if train { drop_block(xs, &self.options()?, self.key()) } else { Ok(xs.clone()) }
    }
}
