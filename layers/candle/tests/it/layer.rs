//! The layer and its keys: steps, resuming, replicas, schedules.

use candle_core::{DType, Device, ModuleT, Tensor};
use dropblock_candle::{DropBlock, Key, Keys, Options, Scale, Schedule, drop_block};

use crate::elements;

fn ones(samples: usize) -> Tensor {
    Tensor::ones((samples, 3, 9, 9), DType::F32, &Device::Cpu).expect("a tensor")
}

fn layer(keys: &Keys) -> DropBlock {
    DropBlock::new(3, 0.3, keys).expect("in range")
}

fn output(layer: &DropBlock) -> Vec<f32> {
    elements(&layer.forward_t(&ones(2), true).expect("a pass"))
}

#[test]
fn acts_in_training_only() {
    let layer = layer(&Keys::new(1));
    let x = ones(2);
    let y = layer.forward_t(&x, false).expect("a pass");
    assert_eq!((y.id(), elements::<f32>(&y)), (x.id(), elements::<f32>(&x)));
    assert_ne!(output(&layer), elements::<f32>(&x));
}

#[test]
fn a_layer_is_the_operation_with_its_key() {
    let keys = Keys::new(9);
    let layers = [layer(&keys), layer(&keys), layer(&keys)];
    keys.set_step(4);
    keys.set_first_sample(6);
    let options = Options::new(3, 0.3).expect("in range");
    for (number, layer) in (0..).zip(&layers) {
        let key = Key { seed: 9, step: 4, layer: number, first_sample: 6 };
        assert_eq!(layer.key(), key);
        let expected = drop_block(&ones(2), &options, key).expect("a pass");
        assert_eq!(output(layer), elements::<f32>(&expected));
    }
    assert_ne!(output(&layers[0]), output(&layers[1]));
}

/// A forward pass does not count, so that a part of the model that is computed again drops the same.
#[test]
fn steps() {
    let keys = Keys::new(1);
    let layer = layer(&keys);
    let copy = layer.clone();
    let first = output(&layer);
    assert_eq!(output(&layer), first);
    keys.next_step();
    assert_eq!(keys.step(), 1);
    assert_ne!(output(&layer), first);
    assert_eq!(output(&layer), output(&copy));
    keys.set_step(0);
    assert_eq!(output(&layer), first);
    keys.set_step(u64::MAX);
    keys.next_step();
    assert_eq!((keys.step(), output(&layer)), (0, first));
}

#[test]
fn resuming() {
    let run = |keys: &Keys, layers: &[DropBlock], steps: usize| {
        let steps = (0..steps).map(|_| {
            let outputs: Vec<_> = layers.iter().map(output).collect();
            keys.next_step();
            outputs
        });
        steps.collect::<Vec<_>>()
    };
    let model = || {
        let keys = Keys::new(2024);
        let layers = [layer(&keys), layer(&keys)];
        (keys, layers)
    };
    let (keys, layers) = model();
    let whole = run(&keys, &layers, 5);
    let (keys, layers) = model();
    run(&keys, &layers, 2);
    let stored = keys.step();
    let (keys, layers) = model();
    keys.set_step(stored);
    assert_eq!(run(&keys, &layers, 3), whole[2..]);
}

/// Two replicas, each with half of the batch, drop what one with all of it does.
#[test]
fn replicas() {
    let options = Options::new(3, 0.3).expect("in range").with_scale(Scale::PerSample);
    let keys = [Keys::new(3), Keys::new(3), Keys::new(3)];
    let layers = keys.clone().map(|keys| DropBlock::with_options(options, &keys));
    keys[2].set_first_sample(2);
    for _ in 0..3 {
        let whole = layers[0].forward_t(&ones(4), true).expect("a pass");
        let halves = [output(&layers[1]), output(&layers[2])];
        assert_eq!(halves.concat(), elements::<f32>(&whole));
        assert_ne!(halves[0], halves[1]);
        keys.iter().for_each(Keys::next_step);
    }
}

#[test]
fn schedules() {
    let schedule = Schedule::linear(0.0, 0.4).expect("in range");
    let keys = Keys::new(3);
    let layer = DropBlock::new(3, 0.9, &keys).expect("in range").with_schedule(schedule, 4);
    for step in 0..6 {
        let options = Options::new(3, schedule.at(step, 4)).expect("in range");
        assert_eq!(layer.options().expect("in range"), options);
        let expected = drop_block(&ones(2), &options, layer.key()).expect("a pass");
        assert_eq!(output(&layer), elements::<f32>(&expected));
        keys.next_step();
    }
}

#[test]
fn layers_are_sent_to_threads() {
    let keys = Keys::new(3);
    let layer = layer(&keys);
    let expected = output(&layer);
    let there = std::thread::spawn(move || output(&layer)).join().expect("no panic");
    assert_eq!(there, expected);
}
