//! Trains a small network on 3,000 digits with burn's Learner, with DropBlock after each convolution.
//!
//! ```text
//! cargo run --release -p dropblock-burn-programs --bin digits
//! ```
//!
//! It trains on burn's default device: with `--features burn/wgpu` a graphics device.

use std::path::Path;
use std::sync::Arc;

use burn::config::Config;
use burn::data::dataloader::{DataLoader, DataLoaderBuilder, batcher::Batcher};
use burn::data::dataset::InMemDataset;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};
use burn::train::metric::{AccuracyMetric, LossMetric};
use burn::train::{
    ClassificationOutput, InferenceStep, Learner, SupervisedTraining, TrainOutput, TrainStep,
};
use dropblock_burn::{DropBlock2d, DropBlock2dConfig, Schedule, next_step};

const EPOCHS: usize = 3;
const BATCH: usize = 50;
const TRAINING: usize = 2500;

#[derive(Module, Debug)]
struct Model {
    conv1: Conv2d,
    drop1: DropBlock2d,
    conv2: Conv2d,
    drop2: DropBlock2d,
    pool: MaxPool2d,
    linear: Linear,
}

#[derive(Config, Debug)]
struct ModelConfig {
    #[config(default = 2024)]
    seed: u64,
}

impl ModelConfig {
    fn init(&self, device: &Device) -> Model {
        let conv = |channels| {
            Conv2dConfig::new(channels, [3, 3]).with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
        };
        // From 0 to 0.1 over the training.
        let steps = (EPOCHS * TRAINING / BATCH) as u64;
        let schedule = Schedule::paper(0.1).expect("in range");
        let drop = |layer| {
            DropBlock2dConfig::new([5, 5], 0.1)
                .with_schedule(Some((schedule, steps)))
                .with_seed(self.seed)
                .with_layer(layer)
        };
        Model {
            conv1: conv([1, 8]).init(device),
            drop1: drop(0).init(),
            conv2: conv([8, 16]).init(device),
            drop2: drop(1).init(),
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            linear: LinearConfig::new(16 * 7 * 7, 10).init(device),
        }
    }
}

impl Model {
    fn forward(&self, digits: Tensor<4>) -> Tensor<2> {
        let x = self.drop1.forward(relu(self.conv1.forward(digits)));
        let x = self.drop2.forward(relu(self.conv2.forward(self.pool.forward(x))));
        self.linear.forward(self.pool.forward(x).flatten(1, 3))
    }

    fn classify(&self, batch: Batch) -> ClassificationOutput {
        let output = self.forward(batch.digits);
        let loss = CrossEntropyLossConfig::new().init(&output.device());
        let loss = loss.forward(output.clone(), batch.labels.clone());
        ClassificationOutput::new(loss, output, batch.labels)
    }
}

impl TrainStep for Model {
    type Input = Batch;
    type Output = ClassificationOutput;

    fn step(&self, batch: Batch) -> TrainOutput<ClassificationOutput> {
        let item = self.classify(batch);
        TrainOutput::new(self, item.loss.backward(), item)
    }

    /// The one place in which the Learner has to know DropBlock.
    fn optimize(
        self,
        optim: &mut ModuleOptimizer,
        rate: ModuleLearningRate,
        grads: GradientsParams,
    ) -> Self {
        next_step(optim.step(rate, self, grads))
    }
}

impl InferenceStep for Model {
    type Input = Batch;
    type Output = ClassificationOutput;

    fn step(&self, batch: Batch) -> ClassificationOutput {
        self.classify(batch)
    }
}

/// A digit: its number and 28 x 28 pixels, a bit each.
type Digit = [u8; 99];

#[derive(Clone, Debug)]
struct Batch {
    digits: Tensor<4>,
    labels: Tensor<1, Int>,
}

struct Digits;

impl Batcher<Digit, Batch> for Digits {
    fn batch(&self, digits: Vec<Digit>, device: &Device) -> Batch {
        let pixel = |digit: &Digit, i: usize| f32::from(digit[1 + i / 8] >> (i % 8) & 1);
        let pixels = digits.iter().flat_map(|digit| (0..28 * 28).map(|i| pixel(digit, i)));
        let pixels = TensorData::new(pixels.collect::<Vec<_>>(), [digits.len(), 1, 28, 28]);
        let labels: Vec<i64> = digits.iter().map(|digit| i64::from(digit[0])).collect();
        let labels = TensorData::new(labels, [digits.len()]);
        Batch {
            digits: Tensor::from_data(pixels, device),
            labels: Tensor::from_data(labels, device),
        }
    }
}

fn loader(digits: &[Digit]) -> Arc<dyn DataLoader<Batch>> {
    let digits = InMemDataset::new(digits.to_vec());
    DataLoaderBuilder::new(Digits).batch_size(BATCH).shuffle(1).build(digits)
}

fn main() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../examples/data/digits.bin");
    let bytes = std::fs::read(path).expect("the digits");
    let (training, rest) = bytes.as_chunks().0.split_at(TRAINING);

    let device = Device::default().autodiff();
    device.seed(1);
    let model = ModelConfig::new().init(&device);
    let directory = std::env::temp_dir().join("dropblock-burn-digits");
    let result = SupervisedTraining::new(&directory, loader(training), loader(rest))
        .metrics((AccuracyMetric::new(), LossMetric::new()))
        .num_epochs(EPOCHS)
        .with_application_logger(None)
        .launch(Learner::new(model, AdamConfig::new().init(), 1e-3));

    let model = result.model;
    let all = Digits.batch(rest.to_vec(), &Device::default());
    let right = model.forward(all.digits).argmax(1).flatten::<1>(0, 1).equal(all.labels);
    let right = right.int().sum().into_scalar::<i64>() as usize;
    println!("{right} of {} digits right, {} steps", rest.len(), model.drop1.step.get());
    assert_eq!(model.drop1.step.get(), (EPOCHS * TRAINING / BATCH) as u64);
    assert!(right * 10 > rest.len() * 8, "it has learnt little");
    std::fs::remove_dir_all(directory).expect("the folder of the Learner");
}
