//! A training loop: stopped and resumed it goes on as if it had not stopped.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::optim::{GradientsParams, SgdConfig};
use burn::store::ModuleRecord;
use burn::tensor::{Device, Tensor};
use dropblock_burn::{DropBlock2d, DropBlock2dConfig, Schedule, next_step};

use crate::{devices, elements, tensor};

#[derive(Module, Debug)]
struct Model {
    conv: Conv2d,
    drop: DropBlock2d,
    head: Conv2d,
    drop_head: DropBlock2d,
}

impl Model {
    /// With weights that do not depend on a generator.
    fn new(device: &Device) -> Self {
        let schedule = Schedule::linear(0.0, 0.5).expect("in range");
        let drop = DropBlock2dConfig::new([3, 3], 0.3).with_seed(2024);
        let model = Self {
            conv: Conv2dConfig::new([1, 4], [3, 3]).init(device),
            drop: drop.clone().with_layer(0).init(),
            head: Conv2dConfig::new([4, 2], [3, 3]).init(device),
            drop_head: drop.with_layer(1).with_schedule(Some((schedule, 6))).init(),
        };
        let weights = |conv: Conv2d| {
            let fill = |len| (0..len).map(|i| (i as f64).sin()).collect::<Vec<_>>();
            let dims = conv.weight.dims();
            let len = dims.iter().product();
            let weight = tensor::<f32, 4>(&fill(len), dims, device);
            Conv2d {
                weight: conv.weight.map(|_| weight.require_grad()),
                bias: conv.bias.map(|bias| bias.map(|bias| bias.zeros_like().require_grad())),
                ..conv
            }
        };
        Self { conv: weights(model.conv), head: weights(model.head), ..model }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.drop.forward(self.conv.forward(x));
        self.drop_head.forward(self.head.forward(x))
    }
}

/// Trains for these steps and returns the losses.
fn train(mut model: Model, steps: std::ops::Range<usize>, device: &Device) -> (Model, Vec<f32>) {
    let mut optim = SgdConfig::new().init();
    let losses = steps.map(|step| {
        let numbers: Vec<f64> = (0..3 * 100).map(|i| ((i + step) as f64).cos()).collect();
        let x = tensor::<f32, 4>(&numbers, [3, 1, 10, 10], device);
        let loss = model.forward(x).powi_scalar(2).mean();
        let grads = GradientsParams::from_grads(loss.backward(), &model);
        model = next_step(optim.step(0.01, model.clone(), grads));
        loss.into_scalar::<f32>()
    });
    let losses = losses.collect();
    (model, losses)
}

#[test]
fn stopped_and_resumed() {
    for device in devices() {
        for device in [device.clone().autodiff(), device.autodiff().gradient_checkpointing()] {
            let (whole, losses) = train(Model::new(&device), 0..6, &device);
            let (half, first) = train(Model::new(&device), 0..3, &device);
            let bytes = half.into_record().into_bytes().expect("it can be written");
            let record = ModuleRecord::from_bytes(bytes).expect("it can be read");
            let resumed = Model::new(&device).load_record(record);
            let (resumed, second) = train(resumed, 3..6, &device);
            assert_eq!([first, second].concat(), losses);
            assert_eq!(
                elements::<f32, 4>(resumed.conv.weight.val()),
                elements::<f32, 4>(whole.conv.weight.val())
            );
            assert_eq!((resumed.drop.step.get(), resumed.drop_head.step.get()), (6, 6));

            // Without the record the masks are others.
            let (half, _) = train(Model::new(&device), 0..3, &device);
            let (_, other) = train(dropblock_burn::at_step(half, 0), 3..6, &device);
            assert_ne!(other, losses[3..]);
        }
    }
}

/// Both ways, and gradient checkpointing, train the same model.
#[test]
fn all_devices_train_the_same_masks() {
    let dropped = |device: &Device| {
        let (model, _) = train(Model::new(device), 0..4, device);
        let x = Tensor::<4>::ones([2, 3, 9, 9], device);
        elements::<f32, 4>(model.drop.forward(x))
    };
    let expected = dropped(&Device::flex().autodiff());
    for device in devices() {
        assert_eq!(dropped(&device.clone().autodiff()), expected);
        assert_eq!(dropped(&device.autodiff().gradient_checkpointing()), expected);
    }
}
