//! What is wrong is refused, with a message that says what was needed and given.

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::tensor::quantization::QuantScheme;
use burn::tensor::{Device, Tensor};
use dropblock_burn::{
    BlockSize, DropBlock, DropBlock1dConfig, DropBlock2dConfig, DropBlock3dConfig, Gamma, Key,
    Schedule, at_step, drop_block, drop_block_portable,
};

fn refused<T>(call: impl FnOnce() -> T) -> String {
    let error = catch_unwind(AssertUnwindSafe(call)).err().expect("a panic");
    error.downcast_ref::<String>().expect("a message").clone()
}

#[test]
fn configurations() {
    let config = DropBlock2dConfig::new([3, 3], 0.1);
    for (config, message) in [
        (DropBlock2dConfig::new([3, 3], 7.0), "drop probability must be in [0, 1], got 7"),
        (DropBlock2dConfig::new([3, 3], f64::NAN), "drop probability must be in [0, 1], got NaN"),
        (DropBlock2dConfig::new([3, 0], 0.1), "block size must be at least 1, got 0 for axis 1"),
        (config.clone().with_gamma(Gamma::Raw(2.0)), "gamma must be in [0, 1], got 2"),
    ] {
        assert_eq!(refused(|| config.init()), format!("DropBlock: {message}"));
    }
    refused(|| DropBlock1dConfig::new(0, 0.1).init());
    refused(|| DropBlock3dConfig::new([1, 1, 1], -0.1).init());
}

#[test]
fn tensors() {
    let options = DropBlock::new(3, 0.1).expect("in range");
    let flat = options.with_block_size(BlockSize::hw(3, 3)).expect("in range");
    let x = Tensor::<5>::ones([1, 1, 4, 4, 4], &Device::flex());
    assert_eq!(
        refused(|| drop_block(x.clone(), &flat, Key::new(1))),
        "DropBlock: block must have a size for each of the map's 3 axes, got 2"
    );
    let far = Key::new(1).with_first_sample(u64::MAX);
    assert!(
        refused(|| drop_block(x.clone(), &options, far)).contains("first sample must be at most")
    );
    let quantised = x.quantize_dynamic(&QuantScheme::default());
    for drop_block in [drop_block::<5>, drop_block_portable::<5>] {
        let message = refused(|| drop_block(quantised.clone(), &options, Key::new(1)));
        assert!(message.contains("must be f32, f64, f16 or bf16, got QFloat"), "{message}");
    }
}

#[test]
fn schedules() {
    let schedule = Schedule::linear(0.0, 2.0).expect("in range");
    let layer = DropBlock2dConfig::new([3, 3], 0.1).with_schedule(Some((schedule, 10))).init();
    let x = Tensor::<4>::ones([1, 1, 4, 4], &Device::flex().autodiff());
    layer.forward(x.clone());
    assert_eq!(
        refused(|| at_step(layer, 10).forward(x)),
        "DropBlock: drop probability must be in [0, 1], got 2"
    );
}
