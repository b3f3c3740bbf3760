//! The layers as modules: when they act, what is recorded, cloned, displayed and configured.

use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use dropblock_burn::{
    DropBlock, DropBlock1d, DropBlock1dConfig, DropBlock2d, DropBlock2dConfig, DropBlock3d,
    DropBlock3dConfig, Fill, Gamma, Key, Region, Scale, Schedule, Sharing, at_step, drop_block,
    next_step,
};

use crate::{devices, elements};

fn layer() -> DropBlock2d {
    DropBlock2dConfig::new([3, 3], 0.3).with_seed(2024).with_layer(1).init()
}

fn ones(device: &Device) -> Tensor<4> {
    Tensor::ones([2, 3, 9, 9], device)
}

fn output(layer: &DropBlock2d) -> Vec<f32> {
    elements(layer.forward(ones(&Device::flex().autodiff())))
}

/// It acts where `Dropout` does.
#[test]
fn acts_like_dropout() {
    let dropout = burn::nn::DropoutConfig::new(0.5).init();
    for device in devices() {
        let training = device.clone().autodiff();
        for (device, frozen, valid) in [
            (&training, false, false),
            (&training, true, false),
            (&training, false, true),
            (&device, false, false),
            (&device, true, false),
        ] {
            let (mut layer, mut dropout) = (layer(), dropout.clone());
            if frozen {
                (layer, dropout) = (layer.freeze(), dropout.freeze());
            }
            if valid {
                (layer, dropout) = (layer.valid(), dropout.valid());
            }
            let changed = |y: Tensor<4>| elements::<f32, 4>(y).iter().any(|&y| y != 1.0);
            let acts = changed(dropout.forward(ones(device)));
            assert_eq!(changed(layer.forward(ones(device))), acts);
            assert_eq!(acts, device.is_autodiff() && !frozen && !valid);
        }
    }
    let again = layer().freeze().unfreeze().valid().train();
    assert_eq!(output(&again), output(&layer()));
}

#[test]
fn a_layer_is_the_operation_with_its_key() {
    let device = Device::flex().autodiff();
    let options = DropBlock::new(3, 0.3).expect("in range");
    let key = Key { seed: 9, step: 4, layer: 2, first_sample: 6 };
    let one = Tensor::<3>::ones([2, 3, 9], &device);
    let two = ones(&device);
    let three = Tensor::<5>::ones([2, 3, 4, 5, 6], &device);
    let y = DropBlock1d::new(options, key).forward(one.clone());
    assert_eq!(y.into_data(), drop_block(one, &options, key).into_data());
    let y = DropBlock2d::new(options, key).forward(two.clone());
    assert_eq!(y.into_data(), drop_block(two, &options, key).into_data());
    let y = DropBlock3d::new(options, key).forward(three.clone());
    assert_eq!(y.into_data(), drop_block(three, &options, key).into_data());
}

#[test]
fn configurations() {
    let config = DropBlock2dConfig::new([2, 5], 0.25)
        .with_gamma(Gamma::Exact)
        .with_region(Region::Full)
        .with_sharing(Sharing::OverChannels)
        .with_scale(Scale::PerSample)
        .with_fill(Fill::Noise)
        .with_schedule(Some((Schedule::linear(0.0, 0.5).expect("in range"), 100)))
        .with_seed(u64::MAX)
        .with_layer(3);
    let expected = DropBlock::new(1, 0.25)
        .and_then(|o| o.with_block_size(dropblock_burn::BlockSize::hw(2, 5)))
        .and_then(|o| o.with_gamma(Gamma::Exact))
        .expect("in range")
        .with_region(Region::Full)
        .with_sharing(Sharing::OverChannels)
        .with_scale(Scale::PerSample)
        .with_fill(Fill::Noise);
    let bytes = config.to_string();
    for config in [config, DropBlock2dConfig::load_binary(bytes.as_bytes()).expect("it is read")] {
        let layer = config.init();
        assert_eq!(layer.options, expected);
        assert_eq!(layer.key(), Key::new(u64::MAX).with_layer(3));
        assert_eq!(layer.schedule, Some((Schedule::linear(0.0, 0.5).expect("in range"), 100)));
    }
    let plain = DropBlock::new(5, 0.1).expect("in range");
    assert_eq!(DropBlock1dConfig::new(5, 0.1).init().options, plain);
    let cube = plain.with_block_size(dropblock_burn::BlockSize::dhw(3, 4, 5)).expect("in range");
    assert_eq!(DropBlock3dConfig::new([3, 4, 5], 0.1).init().options, cube);
}

#[test]
fn display() {
    let text = layer().to_string();
    for part in ["DropBlock2d", "prob: 0.3", "seed: 2024", "layer: 1", "step: 0"] {
        assert!(text.contains(part), "{text}");
    }
}

#[derive(Module, Debug)]
struct Model {
    blocks: Vec<DropBlock2d>,
    optional: Option<DropBlock2d>,
    batch_norm: burn::nn::BatchNorm,
    count: burn::module::Param<Tensor<1, burn::tensor::Int>>,
}

fn model() -> Model {
    let device = Device::flex().autodiff();
    Model {
        blocks: vec![layer(), DropBlock2dConfig::new([3, 3], 0.3).with_layer(2).init()],
        optional: Some(layer()),
        batch_norm: burn::nn::BatchNormConfig::new(3).init(&device),
        count: burn::module::Param::initialized(
            burn::module::ParamId::new(),
            Tensor::from_data([5, 6], &device),
        ),
    }
}

fn steps(model: &Model) -> Vec<u64> {
    model.blocks.iter().chain(&model.optional).map(|layer| layer.step.get()).collect()
}

#[test]
fn steps_reach_every_layer_and_nothing_else() {
    let model = next_step(next_step(model()));
    assert_eq!(steps(&model), [2, 2, 2]);
    let model = at_step(model, u64::MAX);
    assert_eq!(steps(&model), [u64::MAX; 3]);
    assert_eq!(steps(&next_step(model.clone())), [0; 3]);
    assert_eq!(model.count.val().into_data().iter::<i64>().collect::<Vec<_>>(), [5, 6]);
}

#[test]
fn steps_outlive_what_happens_to_modules() {
    let model = at_step(model(), 41);
    let device = Device::flex();
    assert_eq!(steps(&model.valid()), [41; 3]);
    assert_eq!(steps(&model.valid().train()), [41; 3]);
    assert_eq!(steps(&model.clone().fork(&device)), [41; 3]);
    assert_eq!(steps(&model.clone().to_device(&device)), [41; 3]);
    assert_eq!(steps(&model.clone().freeze().unfreeze()), [41; 3]);
    assert_eq!(steps(&model.clone().no_grad()), [41; 3]);
    // Those of the batch norm.
    assert_eq!(model.num_params(), 4 * 3);
}

#[test]
fn a_clone_counts_for_itself() {
    let first = at_step(layer(), 7);
    let second = next_step(first.clone());
    assert_eq!((first.step.get(), second.step.get()), (7, 8));
    assert_eq!(output(&first), output(&at_step(layer(), 7)));
    assert_ne!(output(&first), output(&second));
}

#[test]
fn resuming() {
    let trained = at_step(model(), 1 << 40);
    let bytes = trained.clone().into_record().into_bytes().expect("it can be written");
    let record = burn::store::ModuleRecord::from_bytes(bytes).expect("it can be read");
    let resumed = model().load_record(record);
    assert_eq!(steps(&resumed), [1 << 40; 3]);
    let (resumed, trained) = (next_step(resumed), next_step(trained));
    for (resumed, trained) in resumed.blocks.iter().zip(&trained.blocks) {
        assert_eq!(output(resumed), output(trained));
    }
    // The options are those of the configuration, as with other layers.
    let other = DropBlock2dConfig::new([5, 5], 0.1).init().load_record(layer().into_record());
    assert_eq!(other.options.drop_prob(), 0.1);
}

/// A record of a model that had no DropBlock has no step.
#[test]
fn records_without_a_step() {
    let empty = burn::nn::DropoutConfig::new(0.1).init().into_record();
    let error = at_step(layer(), 3).try_load_record(empty.clone()).expect_err("it is missing");
    assert!(error.to_string().contains("step.count"), "{error}");
    let layer = at_step(layer(), 3).load_record(empty.allow_partial(true));
    assert_eq!(layer.step.get(), 3);
}

#[test]
fn schedules() {
    let schedule = Schedule::linear(0.0, 0.4).expect("in range");
    let layer = DropBlock2dConfig::new([3, 3], 0.9).with_schedule(Some((schedule, 4))).init();
    for step in 0..6 {
        let layer = at_step(layer.clone(), step);
        let options = DropBlock::new(1, schedule.at(step, 4))
            .and_then(|o| o.with_block_size(dropblock_burn::BlockSize::hw(3, 3)));
        let device = Device::flex().autodiff();
        let expected = drop_block(ones(&device), &options.expect("in range"), layer.key());
        assert_eq!(output(&layer), elements::<f32, 4>(expected));
    }
    assert!(output(&layer).iter().all(|&y| y == 1.0));
}

/// Two replicas, each with half of the batch, drop what one with all of it does.
#[test]
fn replicas() {
    let whole = DropBlock2dConfig::new([3, 3], 0.3).with_scale(Scale::PerSample).init();
    let mut halves = [whole.clone(), whole.clone()];
    halves[1].first_sample = 2;
    let device = Device::flex().autodiff();
    let x = Tensor::<4>::ones([4, 3, 9, 9], &device);
    for step in 0..3 {
        let whole = at_step(whole.clone(), step);
        let expected = elements::<f32, 4>(whole.forward(x.clone()));
        let parts = halves.clone().map(|half| {
            let half = at_step(half, step);
            let first = half.first_sample as usize;
            elements::<f32, 4>(half.forward(x.clone().narrow(0, first, 2)))
        });
        assert_eq!(parts.concat(), expected);
        assert_ne!(parts[0], parts[1]);
    }
}

#[test]
fn layers_and_seeds_differ() {
    let config = DropBlock2dConfig::new([3, 3], 0.3);
    let first = output(&config.init());
    assert_ne!(output(&config.clone().with_layer(1).init()), first);
    assert_ne!(output(&config.clone().with_seed(1).init()), first);
    assert_eq!(output(&config.init()), first);
}
