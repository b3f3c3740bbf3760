//! Forward and backward pass of the layers, `f32`, drop probability .1, on the Flex backend. The candidates
//! take turns; a figure is the fastest of all rounds, and the median of the ratios to `x * c` of the same
//! round. Returning large blocks to the system would take more time than all else, so glibc is told to
//! keep them:
//!
//! ```text
//! MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=4294967296 MALLOC_TOP_PAD_=268435456 \
//!     cargo run --release -p dropblock-burn-programs --bin bench
//! ```
//!
//! With `--once` every candidate runs once, as a test.

use std::time::Instant;

use bunsen::ops::drop::{DropBlockOptions, drop_block_2d};
use burn::nn::DropoutConfig;
use burn::tensor::{Device, Tensor};
use dropblock_burn::{DropBlock, DropBlock2d, Key, Sharing, drop_block_portable};

type Candidate = (&'static str, Box<dyn Fn(Tensor<4>) -> Tensor<4>>);

fn candidates(dims: [usize; 4], block_size: usize) -> Vec<Candidate> {
    let options = DropBlock::new(block_size, 0.1).expect("in range");
    let layer = DropBlock2d::new(options, Key::new(1));
    let shared = DropBlock2d::new(options.with_sharing(Sharing::OverAll), Key::new(1));
    let dropout = DropoutConfig::new(0.1).init();
    let bunsen = DropBlockOptions::default().with_block_size(block_size);
    let per_channel = bunsen.clone().with_batchwise(false).with_couple_channels(false);
    let one_mask = bunsen.with_batchwise(true).with_couple_channels(true);
    // What the portable way cannot do without: to scale and to select. Here by a mask that is there and
    // drops nothing.
    let dropped = Tensor::<4>::zeros(dims, &Device::flex()).greater_elem(0.5);
    vec![
        ("x * c", Box::new(|x| x * 1.1)),
        ("fused", Box::new(move |x| layer.forward(x))),
        ("portable", Box::new(move |x| drop_block_portable(x, &options, Key::new(1)))),
        ("scale and select", Box::new(move |x| (x * 1.1).mask_fill(dropped.clone(), 0.0))),
        ("one mask", Box::new(move |x| shared.forward(x))),
        ("burn Dropout", Box::new(move |x| dropout.forward(x))),
        ("bunsen", Box::new(move |x| drop_block_2d(x, &per_channel))),
        ("bunsen, one mask", Box::new(move |x| drop_block_2d(x, &one_mask))),
    ]
}

fn main() {
    let rounds = if std::env::args().any(|argument| argument == "--once") { 1 } else { 25 };
    for name in ["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_"] {
        println!("{name} = {}", std::env::var(name).unwrap_or("not set".into()));
    }
    let device = Device::flex().autodiff();
    for (dims, block_size) in
        [([32, 256, 14, 14], 7), ([32, 512, 7, 7], 3), ([8, 64, 56, 56], 7), ([1, 64, 112, 112], 7)]
    {
        println!("{dims:?}, block size {block_size}: ms, ratio");
        let candidates = candidates(dims, block_size);
        let x = Tensor::<4>::ones(dims, &device).require_grad();
        let run = |f: &dyn Fn(Tensor<4>) -> Tensor<4>| {
            let start = Instant::now();
            let y = f(x.clone());
            let grads = y.backward();
            let dx = x.grad(&grads).expect("a gradient");
            let time = start.elapsed().as_secs_f64() * 1e3;
            (time, dx)
        };
        let mut times = vec![Vec::new(); candidates.len()];
        for _ in 0..rounds {
            for ((name, f), times) in candidates.iter().zip(&mut times) {
                let (time, dx) = run(f);
                times.push(time);
                let mean = dx.mean().into_scalar::<f32>();
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
}
