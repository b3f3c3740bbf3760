//! Forward and backward pass of the layer, `f32`, drop probability .1. The candidates take turns; a figure
//! is the fastest of all rounds, and the median of the ratios to `x * c` of the same round. Returning
//! large blocks to the system would take more time than all else, so glibc is told to keep them:
//!
//! ```text
//! MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=4294967296 MALLOC_TOP_PAD_=268435456 \
//!     cargo bench --bench layer
//! ```
//!
//! With `-- --once` every candidate runs once, as a test.

use std::time::Instant;

use candle_core::{DType, Device, ModuleT, Result, Tensor, Var};
use candle_nn::Dropout;
use dropblock_candle::{DropBlock, Keys};

type Candidate = (&'static str, Box<dyn Fn(&Tensor) -> Result<Tensor>>);

fn main() -> Result<()> {
    let once = std::env::args().any(|argument| argument == "--once" || argument == "--test");
    for name in ["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_"] {
        println!("{name} = {}", std::env::var(name).unwrap_or("not set".into()));
    }
    for (dims, block_size) in
        [([32, 256, 14, 14], 7), ([32, 512, 7, 7], 3), ([8, 64, 56, 56], 7), ([1, 64, 112, 112], 7)]
    {
        println!("{dims:?}, block size {block_size}: ms, ratio");
        let layer = DropBlock::new(block_size, 0.1, &Keys::new(1))?;
        let dropout = Dropout::new(0.1);
        let candidates: [Candidate; 3] = [
            ("x * c", Box::new(|x| x * 1.1)),
            ("dropblock", Box::new(move |x| layer.forward_t(x, true))),
            ("candle_nn Dropout", Box::new(move |x| dropout.forward(x, true))),
        ];
        let x = Var::ones(&dims, DType::F32, &Device::Cpu)?;
        let mut times = vec![Vec::new(); candidates.len()];
        for _ in 0..if once { 1 } else { 25 } {
            for ((name, f), times) in candidates.iter().zip(&mut times) {
                let start = Instant::now();
                let y = f(&x)?;
                let grads = y.backward()?;
                times.push(start.elapsed().as_secs_f64() * 1e3);
                let dx = grads.get(&x).expect("a gradient");
                let mean = dx.mean_all()?.to_scalar::<f32>()?;
                assert!((mean - 1.1).abs() < 0.2, "{name}: the mean of the gradient is {mean}");
            }
        }
        let floor = times[0].clone();
        for ((name, _), times) in candidates.iter().zip(&times) {
            let mut ratios: Vec<f64> = times.iter().zip(&floor).map(|(t, f)| t / f).collect();
            ratios.sort_by(f64::total_cmp);
            let fastest = times.iter().copied().fold(f64::INFINITY, f64::min);
            println!("{name:>18} {fastest:8.3} {:8.2}", ratios[ratios.len() / 2]);
        }
    }
    Ok(())
}
