//! The modules, one for each rank, and their configurations.

use alloc::format;

use burn::config::Config;
use burn::module::{Content, DisplaySettings, Flag, Module, ModuleDisplay, Param};
use burn::tensor::Tensor;
use dropblock::{BlockSize, DropBlock, Error, Fill, Gamma, Key, Region, Scale, Schedule, Sharing};

use crate::pass::{checked, drop_block};
use crate::step::Step;

macro_rules! layer {
    (
        $layer:ident, $config:ident, $rank:literal, $block:ty, $axes:literal, $example:literal,
        $block_size:expr
    ) => {
        #[doc = concat!("Configuration of a [`", stringify!($layer), "`] layer.")]
        ///
        /// ```
        #[doc = concat!("use dropblock_burn::{", stringify!($config), ", Gamma, Scale};")]
        ///
        #[doc = concat!("let layer = ", stringify!($config), "::new(", $example, ", 0.1)")]
        ///     .with_gamma(Gamma::Exact)
        ///     .with_scale(Scale::PerSample)
        ///     .with_seed(2024)
        ///     .with_layer(3)
        ///     .init();
        /// assert_eq!(layer.options.drop_prob(), 0.1);
        /// ```
        #[derive(Config, Debug)]
        pub struct $config {
            #[doc = concat!("The size of the dropped block along ", $axes, ", in units of the map: 1 or")]
            /// more. A size larger than the map is clamped to the map.
            pub block_size: $block,
            /// The drop probability, in `[0, 1]`.
            pub prob: f64,
            /// The drop probability over the training, in place of `prob`: a schedule, and the number of
            /// steps of the training. The layer knows its step.
            pub schedule: Option<(Schedule, u64)>,
            /// How the rate of block centres follows from the drop probability. Default: Eq. 1 of the
            /// paper.
            #[config(default = "Gamma::Paper { scale: 1.0 }")]
            pub gamma: Gamma,
            /// Where centres may lie. Default: where the whole block fits in the map.
            #[config(default = "Region::Valid")]
            pub region: Region,
            /// Which maps share a mask. Default: none.
            #[config(default = "Sharing::None")]
            pub sharing: Sharing,
            /// What kept units are multiplied by. Default: `units / kept units` of the tensor.
            #[config(default = "Scale::PerTensor")]
            pub scale: Scale,
            /// What dropped units become: zeros, or noise. Default: zeros.
            #[config(default = "Fill::Zero")]
            pub fill: Fill,
            /// The seed of the training run. Default: 0.
            #[config(default = 0)]
            pub seed: u64,
            /// The number of the layer. Layers of a model need different numbers, or those of the same
            /// shape drop the same blocks. Default: 0.
            #[config(default = 0)]
            pub layer: u64,
        }

        impl $config {
            /// Initializes the layer, at step 0.
            ///
            /// # Panics
            ///
            /// If the block size is 0, the drop probability is outside `[0, 1]` or not a number, or gamma
            /// has a factor or value out of its range. The message says what was needed and given.
            #[track_caller]
            pub fn init(&self) -> $layer {
                let key = Key::new(self.seed).with_layer(self.layer);
                let mut layer = $layer::new(checked(self.options()), key);
                layer.schedule = self.schedule;
                layer
            }

            fn options(&self) -> Result<DropBlock, Error> {
                let options = DropBlock::new(1, self.prob)?
                    .with_block_size($block_size(self.block_size))?
                    .with_gamma(self.gamma)?
                    .with_region(self.region)
                    .with_sharing(self.sharing)
                    .with_scale(self.scale)
                    .with_fill(self.fill);
                Ok(options)
            }
        }

        /// Sets blocks of each map to zero during training, and scales the rest.
        ///
        /// Like burn's `Dropout` it acts if the input is on a device with autodiff and the layer is not
        /// frozen; else it returns its input. Source: Ghiasi, Lin, Le 2018,
        /// [arXiv 1810.12890](https://arxiv.org/abs/1810.12890), Algorithm 1.
        ///
        /// The mask follows from `seed`, `layer`, [`step`](Self::step) and `first_sample` alone; see
        /// [the crate](crate#keys). Made by
        #[doc = concat!("[`", stringify!($config), "`].")]
        #[derive(Module, Debug)]
        #[module(custom_display)]
        pub struct $layer {
            /// The options.
            #[module(skip)]
            pub options: DropBlock,
            /// The drop probability over the training, in place of that of the options: a schedule, and
            /// the number of steps of the training.
            #[module(skip)]
            pub schedule: Option<(Schedule, u64)>,
            /// The seed of the training run.
            pub seed: u64,
            /// The number of the layer.
            pub layer: u64,
            /// The index in the whole batch of the first sample of the input: 0 unless the batch is split
            /// over replicas or micro-batches.
            pub first_sample: u64,
            /// The step of the training. The only part of the layer that a record has.
            pub step: Step,
            /// Whether to behave as during training. Cleared by `freeze`.
            pub training: Param<Flag>,
        }

        impl $layer {
            /// Makes a layer with any options of the core, for example a preset.
            ///
            /// ```
            /// use dropblock_burn::{DropBlock, Key};
            #[doc = concat!("use dropblock_burn::", stringify!($layer), ";")]
            ///
            /// let options = DropBlock::new(5, 0.1)?;
            #[doc = concat!("let layer = ", stringify!($layer), "::new(options, Key::new(2024).with_layer(3));")]
            /// assert_eq!(layer.options, options);
            /// # Ok::<(), dropblock_burn::Error>(())
            /// ```
            #[must_use]
            pub fn new(options: DropBlock, key: Key) -> Self {
                Self {
                    options,
                    schedule: None,
                    seed: key.seed,
                    layer: key.layer,
                    first_sample: key.first_sample,
                    step: Step::new(key.step),
                    training: Param::from_bool(true),
                }
            }

            /// Applies DropBlock, or returns the input if the layer is not in training.
            ///
            /// # Shapes
            ///
            #[doc = concat!("- input: `[samples, channels, ", $axes, "]`")]
            #[doc = concat!("- output: `[samples, channels, ", $axes, "]`")]
            ///
            /// # Panics
            ///
            /// Those of [`drop_block`], and if the schedule gives a probability above 1.
            #[track_caller]
            pub fn forward(&self, input: Tensor<$rank>) -> Tensor<$rank> {
                if !self.training.is_enabled() || !input.device().is_autodiff() {
                    return input;
                }
                let mut options = self.options;
                if let Some((schedule, steps)) = self.schedule {
                    let prob = schedule.at(self.step.get(), steps);
                    options = checked(options.with_drop_prob(prob));
                }
                drop_block(input, &options, self.key())
            }

            /// Returns the key of the mask of the next forward pass.
            #[must_use]
            pub fn key(&self) -> Key {
                Key::new(self.seed)
                    .with_step(self.step.get())
                    .with_layer(self.layer)
                    .with_first_sample(self.first_sample)
            }
        }

        impl ModuleDisplay for $layer {
            fn custom_settings(&self) -> Option<DisplaySettings> {
                DisplaySettings::new().with_new_line_after_attribute(false).optional()
            }

            fn custom_content(&self, content: Content) -> Option<Content> {
                let block_size = format!("{:?}", self.options.block_size());
                content
                    .add("block_size", &block_size)
                    .add("prob", &self.options.drop_prob())
                    .add("seed", &self.seed)
                    .add("layer", &self.layer)
                    .add("step", &self.step.get())
                    .optional()
            }
        }
    };
}

layer!(DropBlock1d, DropBlock1dConfig, 3, usize, "length", "7", BlockSize::uniform);
layer!(
    DropBlock2d,
    DropBlock2dConfig,
    4,
    [usize; 2],
    "height, width",
    "[7, 7]",
    |[height, width]: [usize; 2]| BlockSize::hw(height, width)
);
layer!(
    DropBlock3d,
    DropBlock3dConfig,
    5,
    [usize; 3],
    "depth, height, width",
    "[3, 7, 7]",
    |[depth, height, width]: [usize; 3]| BlockSize::dhw(depth, height, width)
);
