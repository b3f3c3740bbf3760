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

use dropblock::{Drawn, DropBlock, DropCount, Keep, Key, Plan, Shape};

const SAMPLES: usize = 32;
const CHANNELS: usize = 64;
const SIDE: usize = 28;
const MAP: usize = SIDE * SIDE;

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
    words: Vec<u64>,
}

// A comparison, as `f32::max` leaves the sign of a zero open.
fn relu(x: f32) -> f32 {
    if x > 0.0 { x } else { 0.0 }
}

/// The inner loop, for a map or a part of one.
fn fused_map(
    x: &[f32],
    y: &mut [f32],
    keep: Keep<'_>,
    [a, b, scale]: [f32; 3],
) -> Result<(), dropblock::Error> {
    keep.apply(x, y, |x| relu(x * a + b) * scale)
}

impl Layer {
    /// The three functions one after the other.
    fn three_steps(&self, key: Key, t: &mut Buffers) -> Result<Option<Drawn>, dropblock::Error> {
        for (map, (x, y)) in t.x.chunks_exact(MAP).zip(t.y.chunks_exact_mut(MAP)).enumerate() {
            let (a, b) = (self.a[map % CHANNELS], self.b[map % CHANNELS]);
            x.iter().zip(y).for_each(|(x, y)| *y = x * a + b);
        }
        t.y.iter_mut().for_each(|y| *y = relu(*y));
        let mask = self.plan.draw(key, &mut t.words)?;
        mask.forward_in_place(&mut t.y)?;
        Ok(mask.drawn())
    }

    /// The same in one pass. The scale needs the count, so the mask comes first: it is 1/32 of
    /// the tensor.
    fn fused(&self, key: Key, t: &mut Buffers) -> Result<Option<Drawn>, dropblock::Error> {
        let mask = self.plan.draw(key, &mut t.words)?;
        for map in mask.maps()? {
            let (c, elements, scale) = (map.channel(), map.elements(), map.scale::<f32>());
            let (x, y) = (&t.x[elements.clone()], &mut t.y[elements]);
            fused_map(x, y, map.keep(), [self.a[c], self.b[c], scale])?;
        }
        Ok(mask.drawn())
    }

    /// The same without a buffer for the mask: it is drawn twice, first for the count.
    fn fused_no_mask(&self, key: Key, t: &mut Buffers) -> Result<Option<Drawn>, dropblock::Error> {
        let mut result = Ok(());
        let drawn = self.plan.for_each_map(key, |map| {
            let (c, elements, scale) = (map.channel(), map.elements(), map.scale::<f32>());
            let (x, y) = (&t.x[elements.clone()], &mut t.y[elements]);
            let of_map = fused_map(x, y, map.keep(), [self.a[c], self.b[c], scale]);
            result = result.and(of_map);
        })?;
        result.map(|()| Some(drawn))
    }

    /// From the gradient of `y` to that of `x`, with `a` and `b` as constants: the steps back.
    fn backward_steps(&self, t: &Buffers, dy: &[f32]) -> Result<Vec<f32>, dropblock::Error> {
        let mut dx = vec![0.0; dy.len()];
        self.plan.mask_from(&t.words)?.backward(dy, &mut dx)?;
        dx.iter_mut().zip(&t.y).for_each(|(dx, &y)| *dx = if y > 0.0 { *dx } else { 0.0 });
        dx.chunks_exact_mut(MAP).enumerate().for_each(|(map, dx)| {
            dx.iter_mut().for_each(|dx| *dx *= self.a[map % CHANNELS]);
        });
        Ok(dx)
    }

    /// The same in one pass, which needs no mask: `y` is above 0 only where the unit was kept
    /// and ReLU let it pass.
    fn fused_backward(&self, count: DropCount, t: &Buffers, dy: &[f32]) -> Vec<f32> {
        let scale = self.plan.scale::<f32>(count);
        let mut dx = dy.to_vec();
        for (map, (y, dx)) in t.y.chunks_exact(MAP).zip(dx.chunks_exact_mut(MAP)).enumerate() {
            let a = self.a[map % CHANNELS];
            let unit = |y: f32, dy: f32| if y > 0.0 { dy * scale } else { 0.0 } * a;
            dx.iter_mut().zip(y).for_each(|(dx, &y)| *dx = unit(y, *dx));
        }
        dx
    }
}

type Run = fn(&Layer, Key, &mut Buffers) -> Result<Option<Drawn>, dropblock::Error>;

const RUNS: [(&str, Run); 4] = [
    ("three steps", Layer::three_steps),
    ("one pass", Layer::fused),
    ("one pass, no mask buffer", Layer::fused_no_mask),
    ("only drawing the mask", |layer, key, t| Ok(layer.plan.draw(key, &mut t.words)?.drawn())),
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
        x: (0..plan.elements()).map(|i| (i * 7919 % 2003) as f32 / 500.0 - 2.0).collect(),
        y: vec![f32::NAN; plan.elements()],
        words: vec![0; plan.mask_words()],
    };
    let a = array::from_fn(|c| 0.5 - c as f32 / 40.0);
    let layer = Layer { plan, a, b: array::from_fn(|c| (c % 5) as f32 / 4.0 - 0.5) };

    let key = Key::new(2024);
    let drawn = layer.three_steps(key, &mut t)?;
    let expected = bits(&t.y);
    for (name, run) in [RUNS[1], RUNS[2]] {
        t.y.fill(f32::NAN);
        if run(&layer, key, &mut t)? != drawn || bits(&t.y) != expected {
            return Err(format!("{name}: forward differs").into());
        }
    }
    let count = drawn.and_then(|drawn| drawn.count()).ok_or("the mask has been drawn")?;
    let backward = bits(&layer.backward_steps(&t, &t.x)?);
    if bits(&layer.fused_backward(count, &t, &t.x)) != backward {
        return Err("one pass: backward differs".into());
    }
    println!("forward and backward: the same bits in one pass as in three steps\n");

    let mut ratios = [const { Vec::new() }; RUNS.len()];
    let start = Instant::now();
    let mut step = 0;
    while start.elapsed() < Duration::from_millis(1500) {
        // A fresh key for each round, so that no branch predictor learns the mask.
        step += 1;
        let key = key.with_step(step);
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
