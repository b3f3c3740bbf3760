//! What is wrong is refused, with an error that says what was needed and given.

use candle_core::{DType, Device, Error, ModuleT, Tensor};
use dropblock_candle::{BlockSize, DropBlock, Key, Keys, Options, Schedule, drop_block};

fn ones(dims: &[usize], dtype: DType) -> Tensor {
    Tensor::ones(dims, dtype, &Device::Cpu).expect("a tensor")
}

#[test]
fn layers() {
    for (block_size, drop_prob, message) in [
        (3, 7.0, "drop probability must be in [0, 1], got 7"),
        (3, f64::NAN, "drop probability must be in [0, 1], got NaN"),
        (0, 0.1, "block size must be at least 1, got 0 for axis 0"),
    ] {
        let error = DropBlock::new(block_size, drop_prob, &Keys::new(1)).expect_err("refused");
        assert!(error.to_string().starts_with(message), "{error}");
    }
    let keys = Keys::new(1);
    let schedule = Schedule::linear(0.0, 2.0).expect("in range");
    let layer = DropBlock::new(3, 0.1, &keys).expect("in range").with_schedule(schedule, 10);
    let x = ones(&[1, 1, 4, 4], DType::F32);
    layer.forward_t(&x, true).expect("a probability of 0");
    keys.set_step(10);
    let error = layer.forward_t(&x, true).expect_err("refused");
    assert!(error.to_string().starts_with("drop probability must be in [0, 1], got 2"), "{error}");
    layer.forward_t(&x, false).expect("not used");
}

#[test]
fn tensors() {
    let options = Options::new(3, 0.1).expect("in range");
    let refused =
        |x: &Tensor, options: &Options, key| drop_block(x, options, key).expect_err("refused");
    for dims in [&[2, 3][..], &[1, 1, 1, 1, 1, 1]] {
        let error = refused(&ones(dims, DType::F32), &options, Key::new(1)).to_string();
        let message = "dropblock needs samples, channels and 1 to 3 axes of a map, got";
        assert!(error.starts_with(message) && error.contains(&format!("{dims:?}")), "{error}");
    }
    let error = refused(&ones(&[1, 1, 4, 4], DType::U32), &options, Key::new(1));
    assert!(error.to_string().contains("U32"), "{error}");
    assert!(
        matches!(error, Error::UnsupportedDTypeForOp(DType::U32, "dropblock"))
            || matches!(error, Error::WithBacktrace { .. })
    );
    let flat = options.with_block_size(BlockSize::hw(3, 3)).expect("in range");
    let error = refused(&ones(&[1, 1, 4, 4, 4], DType::F32), &flat, Key::new(1));
    assert!(error.to_string().contains("each of the map's 3 axes, got 2"), "{error}");
    let far = Key::new(1).with_first_sample(u64::MAX);
    let error = refused(&ones(&[1, 1, 4, 4], DType::F32), &options, far);
    assert!(error.to_string().contains("first sample must be at most"), "{error}");
}
