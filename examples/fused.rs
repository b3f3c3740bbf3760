//! Batch norm, ReLU and DropBlock in one pass over the activations.
//!
//! ```text
//! cargo run --release --example fused
//! ```
//!
//! Three functions one after the other read and write the tensor three times. A kernel of your
//! own can apply the mask on the way. This program checks that such kernels yield the same bits
//! as the three functions, forward and backward, and fails if not. Then it times them: a figure
//! is the ratio to one pass `y = x * c` of the same round, the least that a kernel has to do.

use std::array;
use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use dropblock::{DropBlock, Dropped, Key, MaskView, Plan, Shape};

const SAMPLES: usize = 32;
const CHANNELS: usize = 64;
const SIDE: usize = 28;
const MAP: usize = SIDE * SIDE;

/// The elements that the inner loop takes at a time: a few vectors, to share the work of finding
/// their bits in the mask.
const LANES: usize = 16;

/// A layer in training: batch norm as `x * a[c] + b[c]`, with the statistics of the batch
/// already in `a` and `b`; ReLU; DropBlock.
struct Layer {
    plan: Plan,
    a: [f32; CHANNELS],
    b: [f32; CHANNELS],
}

struct Buffers {
    x: Vec<f32>,
    y: Vec<f32>,
    mask: Vec<u64>,
}

/// Every map of two tensors with its sample and channel.
fn maps<'t>(
    x: &'t [f32],
    y: &'t mut [f32],
) -> impl Iterator<Item = (usize, usize, &'t [f32], &'t mut [f32])> {
    let maps = x.chunks_exact(MAP).zip(y.chunks_exact_mut(MAP)).enumerate();
    maps.map(|(map, (x, y))| (map / CHANNELS, map % CHANNELS, x, y))
}

// A comparison, as `f32::max` leaves the sign of a zero open.
fn relu(x: f32) -> f32 {
    if x > 0.0 { x } else { 0.0 }
}

/// The inner loop, for a map or a part of one. The lanes of the mask are all ones or 0, so that
/// AND selects. `x` is read into an array and `y` written from one: between element by element
/// reads and writes the compiler would not form vectors.
fn fused_map(x: &[f32], y: &mut [f32], mask: MaskView<'_>, a: f32, b: f32, scale: f32) {
    let unit = |x: f32, lane: u32| f32::from_bits((relu(x * a + b) * scale).to_bits() & lane);
    let (x, x_rest) = x.as_chunks::<LANES>();
    let (y, y_rest) = y.as_chunks_mut::<LANES>();
    let rest = x.len() * LANES;
    for (i, (&x, y)) in x.iter().zip(y).enumerate() {
        let lanes = mask.keep_lanes::<LANES>(i * LANES);
        *y = array::from_fn(|i| unit(x[i], lanes[i]));
    }
    for ((x, y), lane) in x_rest.iter().zip(y_rest).zip(mask.keep_lanes::<LANES>(rest)) {
        *y = unit(*x, lane);
    }
}

impl Layer {
    /// The three functions one after the other.
    fn three_steps(&self, key: Key, t: &mut Buffers) -> Result<Dropped, dropblock::Error> {
        for (_, c, x, y) in maps(&t.x, &mut t.y) {
            x.iter().zip(y).for_each(|(x, y)| *y = x * self.a[c] + self.b[c]);
        }
        t.y.iter_mut().for_each(|y| *y = relu(*y));
        self.plan.forward_in_place(key, &mut t.y, Some(&mut t.mask))
    }

    /// The same in one pass. The scale needs the count, so the mask comes first: it is 1/32 of
    /// the tensor.
    fn fused(&self, key: Key, t: &mut Buffers) -> Result<Dropped, dropblock::Error> {
        let dropped = self.plan.mask(key, &mut t.mask)?;
        let scale = self.plan.scale::<f32>(&dropped);
        for (n, c, x, y) in maps(&t.x, &mut t.y) {
            fused_map(x, y, self.plan.view(&t.mask, n, c)?, self.a[c], self.b[c], scale);
        }
        Ok(dropped)
    }

    /// The same without a buffer for the mask: it is drawn twice, first for the count.
    fn fused_no_mask(&self, key: Key, t: &mut Buffers) -> Result<Dropped, dropblock::Error> {
        let dropped = self.plan.for_each_plane(key, |_| ())?;
        let scale = self.plan.scale::<f32>(&dropped);
        self.plan.for_each_plane(key, |part| {
            let (c, map) = (part.channel, (part.sample * CHANNELS + part.channel) * MAP);
            let x = &t.x[map..][part.positions.clone()];
            let y = &mut t.y[map..][part.positions];
            fused_map(x, y, part.mask, self.a[c], self.b[c], scale);
        })
    }

    /// From the gradient of `y` to that of `x`, with `a` and `b` as constants: the steps back.
    fn backward_steps(&self, dropped: &Dropped, t: &Buffers, dy: &[f32]) -> Vec<f32> {
        let mut dx = vec![0.0; dy.len()];
        self.plan.apply(&t.mask, dropped, dy, &mut dx).expect("the buffers fit the plan");
        dx.iter_mut().zip(&t.y).for_each(|(dx, &y)| *dx = if y > 0.0 { *dx } else { 0.0 });
        dx.chunks_exact_mut(MAP).enumerate().for_each(|(map, dx)| {
            dx.iter_mut().for_each(|dx| *dx *= self.a[map % CHANNELS]);
        });
        dx
    }

    /// The same in one pass, which needs no mask: `y` is above 0 only where the unit was kept
    /// and ReLU let it pass.
    fn fused_backward(&self, dropped: &Dropped, t: &Buffers, dy: &[f32]) -> Vec<f32> {
        let scale = self.plan.scale::<f32>(dropped);
        let mut dx = dy.to_vec();
        for (_, c, y, dx) in maps(&t.y, &mut dx) {
            let unit = |y: f32, dy: f32| if y > 0.0 { dy * scale } else { 0.0 } * self.a[c];
            dx.iter_mut().zip(y).for_each(|(dx, &y)| *dx = unit(y, *dx));
        }
        dx
    }
}

type Run = fn(&Layer, Key, &mut Buffers) -> Result<Dropped, dropblock::Error>;

const RUNS: [(&str, Run); 4] = [
    ("three steps", Layer::three_steps),
    ("one pass", Layer::fused),
    ("one pass, no mask buffer", Layer::fused_no_mask),
    ("only drawing the mask", |layer, key, t| layer.plan.mask(key, &mut t.mask)),
];

fn floor(t: &mut Buffers) -> f64 {
    let (x, y, c) = (black_box(&t.x), black_box(&mut t.y), black_box(1.5_f32));
    let start = Instant::now();
    x.iter().zip(y).for_each(|(x, y)| *y = x * c);
    start.elapsed().as_secs_f64()
}

fn bits(tensor: &[f32]) -> Vec<u32> {
    tensor.iter().map(|x| x.to_bits()).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let plan = DropBlock::new(7, 0.1)?.plan(Shape::nchw(SAMPLES, CHANNELS, SIDE, SIDE))?;
    let mut t = Buffers {
        x: (0..plan.len()).map(|i| (i * 7919 % 2003) as f32 / 500.0 - 2.0).collect(),
        y: vec![f32::NAN; plan.len()],
        mask: vec![0; plan.mask_len()],
    };
    let a = array::from_fn(|c| 0.5 - c as f32 / 40.0);
    let layer = Layer { plan, a, b: array::from_fn(|c| (c % 5) as f32 / 4.0 - 0.5) };

    let key = Key::new(2024);
    let dropped = layer.three_steps(key, &mut t)?;
    let expected = bits(&t.y);
    for (name, run) in [RUNS[1], RUNS[2]] {
        t.y.fill(f32::NAN);
        if run(&layer, key, &mut t)? != dropped || bits(&t.y) != expected {
            return Err(format!("{name}: forward differs").into());
        }
    }
    let backward = bits(&layer.backward_steps(&dropped, &t, &t.x));
    if bits(&layer.fused_backward(&dropped, &t, &t.x)) != backward {
        return Err("one pass: backward differs".into());
    }
    println!("forward and backward: the same bits in one pass as in three steps\n");

    let mut ratios = [const { Vec::new() }; RUNS.len()];
    let start = Instant::now();
    let mut step = 0;
    while start.elapsed() < Duration::from_millis(1500) {
        // A fresh key for each round, so that no branch predictor learns the mask.
        step += 1;
        let key = key.step(step);
        let before = floor(&mut t);
        let mut times = [0.0; RUNS.len()];
        for ((_, run), time) in RUNS.iter().zip(&mut times) {
            let start = Instant::now();
            black_box(run(&layer, key, black_box(&mut t))?);
            *time = start.elapsed().as_secs_f64();
        }
        // The smaller of two, so that an interruption of the floor makes no ratio small.
        let floor = floor(&mut t).min(before);
        times.iter().zip(&mut ratios).for_each(|(time, ratios)| ratios.push(time / floor));
    }
    println!("{:24} minimum  median, in passes y = x * c, {step} rounds", "");
    for ((name, _), mut ratios) in RUNS.into_iter().zip(ratios) {
        ratios.sort_by(f64::total_cmp);
        println!("{name:24} {:7.2} {:7.2}", ratios[0], ratios[ratios.len() / 2]);
    }
    Ok(())
}
