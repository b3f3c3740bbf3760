//! `cargo bench --features rayon --bench parallel`: drawing a mask and forward in place, on one
//! thread and on pools of one and two.
//!
//! In each round the candidates run one after the other; the speed-up is the time of the serial
//! path over that of the same round in parallel, and its minimum and median over the rounds are
//! printed as CSV. `BENCH_SECONDS` (default 1) is the time for one shape.

use std::time::{Duration, Instant};

use dropblock::{Drawn, DropBlock, Error, Key, Plan, Shape};
use rayon::{ThreadPool, ThreadPoolBuilder};

const THREADS: [usize; 2] = [1, 2];

fn done<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

fn main() {
    let testing = !std::env::args().any(|arg| arg == "--bench");
    let seconds = std::env::var("BENCH_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(1.0);
    let budget = Duration::from_secs_f64(if testing { 0.0 } else { seconds });
    let pools = THREADS.map(|threads| done(ThreadPoolBuilder::new().num_threads(threads).build()));
    println!("shape,block,threads,ns_per_element_serial,ns_per_element,speedup_min,speedup_median");
    for (shape, block) in [
        (Shape::nchw(32, 256, 14, 14), 7),
        (Shape::nchw(8, 64, 56, 56), 7),
        (Shape::nchw(1, 64, 112, 112), 7),
        (Shape::nchw(32, 512, 7, 7), 3),
    ] {
        bench(&done(done(DropBlock::new(block, 0.1)).plan(shape)), block, &pools, budget);
    }
}

fn bench(plan: &Plan, block: usize, pools: &[ThreadPool], budget: Duration) {
    let mut x = vec![1.0_f32; plan.elements()];
    let mut masks = vec![vec![0; plan.mask_words()]; pools.len() + 1];
    let parallel = plan.in_parallel(None);
    // For each round: serial, then each pool.
    let mut rounds: Vec<Vec<f64>> = Vec::new();
    let start = Instant::now();
    while rounds.len() < 3 || start.elapsed() < budget {
        // A fresh key each time, so that no branch predictor learns the mask.
        let key = Key::new(7).with_step(rounds.len() as u64);
        let mut results = Vec::new();
        let mut time = |operation: &mut dyn FnMut() -> Result<Option<Drawn>, Error>| {
            let start = Instant::now();
            results.push(done(operation()));
            start.elapsed().as_secs_f64()
        };
        x.fill(1.0);
        let words = &mut masks[0];
        let mut times = vec![time(&mut || draw_and_pass(plan, key, words, &mut x))];
        for (pool, words) in pools.iter().zip(&mut masks[1..]) {
            // As in a program that is parallel throughout: the caller is a thread of the pool, and
            // the pool is awake from work of its own.
            times.push(pool.install(|| {
                refill(&mut x);
                time(&mut || draw_and_pass(&parallel, key, words, &mut x))
            }));
        }
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
        assert!(masks.windows(2).all(|pair| pair[0] == pair[1]));
        rounds.push(times);
    }
    let shape = plan.shape();
    let [_, height, width] = shape.map().size();
    let shape = format!("{}x{}x{height}x{width}", shape.samples(), shape.channels());
    let fastest = |candidate: usize| {
        let times = rounds.iter().map(|times| times[candidate]);
        times.fold(f64::INFINITY, f64::min) / plan.elements() as f64 * 1e9
    };
    for (i, pool) in pools.iter().enumerate() {
        let mut speedups: Vec<f64> = rounds.iter().map(|times| times[0] / times[i + 1]).collect();
        speedups.sort_by(f64::total_cmp);
        println!(
            "{shape},{block},{},{:.4},{:.4},{:.2},{:.2}",
            pool.current_num_threads(),
            fastest(0),
            fastest(i + 1),
            speedups[0],
            speedups[speedups.len() / 2]
        );
    }
}

fn draw_and_pass(
    plan: &Plan,
    key: Key,
    words: &mut [u64],
    x: &mut [f32],
) -> Result<Option<Drawn>, Error> {
    let mask = plan.draw(key, words)?;
    mask.forward_in_place(x)?;
    Ok(mask.drawn())
}

/// Makes all elements 1 again, so that neither zeros nor scales pile up.
fn refill(x: &mut [f32]) {
    if x.len() <= 1 << 15 {
        return x.fill(1.0);
    }
    let (first, second) = x.split_at_mut(x.len() / 2);
    rayon::join(|| refill(first), || refill(second));
}
