//! Trains a small network on 3,000 digits, with DropBlock after each convolution.
//!
//! ```text
//! cargo run --release --example digits
//! ```

use candle_core::{DType, Device, ModuleT, Result, Tensor};
use candle_nn::{
    AdamW, Conv2d, Conv2dConfig, Linear, Module, Optimizer, VarBuilder, VarMap, conv2d, linear,
    loss,
};
use dropblock_candle::{DropBlock, Keys, Schedule};

const EPOCHS: usize = 3;
const BATCH: usize = 50;
const TRAINING: usize = 2500;
const STEPS: usize = EPOCHS * TRAINING / BATCH;

struct Model {
    conv1: Conv2d,
    drop1: DropBlock,
    conv2: Conv2d,
    drop2: DropBlock,
    linear: Linear,
}

impl Model {
    fn new(vb: VarBuilder<'_>, keys: &Keys) -> Result<Self> {
        let same = Conv2dConfig { padding: 1, ..Default::default() };
        // From 0 to 0.1 over the training.
        let schedule = Schedule::paper(0.1).expect("in range");
        Ok(Self {
            conv1: conv2d(1, 8, 3, same, vb.pp("conv1"))?,
            drop1: DropBlock::new(5, 0.1, keys)?.with_schedule(schedule, STEPS as u64),
            conv2: conv2d(8, 16, 3, same, vb.pp("conv2"))?,
            drop2: DropBlock::new(5, 0.1, keys)?.with_schedule(schedule, STEPS as u64),
            linear: linear(16 * 7 * 7, 10, vb.pp("linear"))?,
        })
    }
}

impl ModuleT for Model {
    fn forward_t(&self, digits: &Tensor, train: bool) -> Result<Tensor> {
        let xs = self.conv1.forward(digits)?.relu()?.apply_t(&self.drop1, train)?;
        let xs = self.conv2.forward(&xs.max_pool2d(2)?)?.relu()?.apply_t(&self.drop2, train)?;
        self.linear.forward(&xs.max_pool2d(2)?.flatten_from(1)?)
    }
}

/// A digit: its number and 28 x 28 pixels, a bit each.
type Digit = [u8; 99];

fn batch(digits: &[Digit]) -> Result<(Tensor, Tensor)> {
    let pixel = |digit: &Digit, i: usize| f32::from(digit[1 + i / 8] >> (i % 8) & 1);
    let pixels = digits.iter().flat_map(|digit| (0..28 * 28).map(|i| pixel(digit, i)));
    let labels: Vec<u32> = digits.iter().map(|digit| u32::from(digit[0])).collect();
    Ok((
        Tensor::from_vec(pixels.collect(), (digits.len(), 1, 28, 28), &Device::Cpu)?,
        Tensor::new(labels, &Device::Cpu)?,
    ))
}

fn main() -> Result<()> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/data/digits.bin");
    let bytes = std::fs::read(path)?;
    let (training, rest) = bytes.as_chunks().0.split_at(TRAINING);

    let variables = VarMap::new();
    let keys = Keys::new(2024);
    let model = Model::new(VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu), &keys)?;
    let mut optimizer = AdamW::new_lr(variables.all_vars(), 1e-3)?;
    for epoch in 0..EPOCHS {
        let mut sum = 0.0;
        for digits in training.chunks(BATCH) {
            let (digits, labels) = batch(digits)?;
            let loss = loss::cross_entropy(&model.forward_t(&digits, true)?, &labels)?;
            optimizer.backward_step(&loss)?;
            keys.next_step();
            sum += loss.to_scalar::<f32>()?;
        }
        println!("epoch {epoch}: loss {:.3}", sum / (TRAINING / BATCH) as f32);
    }

    let (digits, labels) = batch(rest)?;
    let guesses = model.forward_t(&digits, false)?.argmax(1)?;
    let right = guesses.eq(&labels)?.to_dtype(DType::U32)?.sum_all()?.to_scalar::<u32>()? as usize;
    println!("{right} of {} digits right, {} steps", rest.len(), keys.step());
    assert_eq!(keys.step(), STEPS as u64);
    assert!(right * 10 > rest.len() * 8, "it has learnt little");
    Ok(())
}
