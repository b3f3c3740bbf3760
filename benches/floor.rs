//! `cargo bench --bench floor [FILTER]`: every operation beside the memory floor.
//!
//! In each round the candidates of a shape run one after the other, then the floor: in place
//! `x *= c`, out of place a copy. A figure is the ratio to the floor of the same round; minimum
//! and median over the rounds are printed as CSV. Absolute times do not repeat on a busy
//! machine, ratios nearly do. `FLOOR_SECONDS` (default 1) is the time for one shape.

use std::hint::black_box;
use std::time::{Duration, Instant};

#[cfg(feature = "half")]
use dropblock::half::{bf16, f16};
use dropblock::{
    Backend, DropBlock, Dropped, Element, Fill, Key, Layout, Map, Plan, Scale, Shape, Sharing,
};

/// An element with its part of the floor.
trait Number: Element {
    const NAME: &str;

    /// The plain loop of the type, `x *= factor`.
    fn scale(x: &mut [Self], factor: f32);
}

impl Number for f32 {
    const NAME: &str = "";

    fn scale(x: &mut [Self], factor: f32) {
        x.iter_mut().for_each(|x| *x *= factor);
    }
}

#[cfg(feature = "half")]
impl Number for bf16 {
    const NAME: &str = " bf16";

    fn scale(x: &mut [Self], factor: f32) {
        x.iter_mut().for_each(|x| *x = Self::from_f32(x.to_f32() * factor));
    }
}

#[cfg(feature = "half")]
impl Number for f16 {
    const NAME: &str = " f16";

    fn scale(x: &mut [Self], factor: f32) {
        x.iter_mut().for_each(|x| *x = Self::from_f32(x.to_f32() * factor));
    }
}

/// One line of the table: a shape and the options that matter for speed.
struct Problem {
    shape: Shape,
    block: usize,
    p: f64,
    sharing: Sharing,
    scale: Scale,
    fill: Fill,
    name: &'static str,
}

fn paper(shape: Shape, block: usize, p: f64) -> Problem {
    let (sharing, scale) = (Sharing::SampleChannel, Scale::Tensor);
    Problem { shape, block, p, sharing, scale, fill: Fill::Zero, name: "" }
}

fn problems() -> Vec<Problem> {
    let (base, nhwc) = (Shape::nchw(32, 256, 14, 14), Shape::nhwc(32, 14, 14, 256));
    let padded = [256 * 14 * 16, 14 * 16, 0, 16, 1];
    vec![
        paper(Shape::nchw(1, 16, 14, 14), 7, 0.1),
        paper(base, 7, 0.1),
        paper(Shape::nchw(32, 512, 7, 7), 3, 0.1),
        paper(Shape::nchw(16, 128, 28, 28), 7, 0.1),
        paper(Shape::nchw(8, 256, 32, 32), 5, 0.1),
        paper(Shape::nchw(8, 64, 56, 56), 7, 0.1),
        paper(Shape::nchw(8, 64, 56, 56), 7, 0.3),
        paper(Shape::nchw(1, 64, 112, 112), 7, 0.1),
        paper(Shape::nchw(1, 32, 416, 416), 7, 0.1),
        paper(nhwc, 7, 0.1),
        paper(Shape::new(32, 256, Map::l(196), Layout::ChannelsFirst), 7, 0.1),
        paper(Shape::new(4, 64, Map::dhw(8, 28, 28), Layout::ChannelsFirst), 3, 0.1),
        Problem { sharing: Sharing::Sample, name: " shared", ..paper(base, 7, 0.1) },
        Problem { scale: Scale::Sample, name: " per sample", ..paper(base, 7, 0.1) },
        Problem { scale: Scale::Channel, name: " per channel", ..paper(base, 7, 0.1) },
        Problem { scale: Scale::Fixed, name: " fixed", ..paper(base, 7, 0.1) },
        Problem { scale: Scale::PerPosition, name: " per position", ..paper(base, 7, 0.1) },
        Problem { sharing: Sharing::Sample, name: " shared", ..paper(nhwc, 7, 0.1) },
        Problem { scale: Scale::PerPosition, name: " per position", ..paper(nhwc, 7, 0.1) },
        Problem { name: " padded rows", ..paper(base.with_strides(padded), 7, 0.1) },
        Problem { fill: Fill::Noise, name: " noise", ..paper(base, 7, 0.1) },
    ]
}

/// The buffers of one shape.
struct Buffers<T> {
    x: Vec<T>,
    y: Vec<T>,
    mask: Vec<u64>,
    dropped: Dropped,
    step: u64,
}

impl<T> Buffers<T> {
    /// A fresh key each time, so that no branch predictor learns the mask.
    fn key(&mut self) -> Key {
        self.step += 1;
        Key::new(7).step(self.step)
    }
}

type Operation<T> = (&'static str, Floor, fn(&Plan, &mut Buffers<T>));

#[derive(Clone, Copy, PartialEq)]
enum Floor {
    InPlace,
    Copy,
}

fn operations<T: Number>() -> [Operation<T>; 10] {
    [
        ("mask", Floor::InPlace, |plan, b| {
            let key = b.key();
            b.dropped = done(plan.mask(key, &mut b.mask));
        }),
        ("centers", Floor::InPlace, |plan, b| {
            let key = b.key();
            done(plan.centers(key, &mut b.mask));
        }),
        ("count", Floor::InPlace, |plan, b| {
            black_box(done(plan.count(&b.mask)));
        }),
        ("forward in place", Floor::InPlace, |plan, b| {
            let key = b.key();
            b.dropped = done(plan.forward_in_place(key, &mut b.x, Some(&mut b.mask)));
        }),
        ("forward in place no mask", Floor::InPlace, |plan, b| {
            let key = b.key();
            b.dropped = done(plan.forward_in_place(key, &mut b.x, None));
        }),
        ("backward in place", Floor::InPlace, |plan, b| {
            let key = b.key();
            done(plan.backward_in_place(key, &b.dropped, &mut b.x));
        }),
        ("apply in place", Floor::InPlace, |plan, b| {
            done(plan.apply_in_place(&b.mask, &b.dropped, &mut b.x));
        }),
        ("drop only", Floor::InPlace, |plan, b| {
            let key = b.key();
            b.dropped = done(plan.drop_only(key, &mut b.x, T::ZERO, Some(&mut b.mask)));
        }),
        ("forward", Floor::Copy, |plan, b| {
            let key = b.key();
            b.dropped = done(plan.forward(key, &b.x, &mut b.y, Some(&mut b.mask)));
        }),
        ("apply", Floor::Copy, |plan, b| {
            done(plan.apply(&b.mask, &b.dropped, &b.x, &mut b.y));
        }),
    ]
}

fn done<T>(result: Result<T, dropblock::Error>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

fn time(run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_secs_f64()
}

fn floor<T: Number>(kind: Floor, buffers: &mut Buffers<T>) -> f64 {
    match kind {
        Floor::InPlace => {
            // Not known to the compiler, and exact: other factors run into infinity or denormals.
            let factor = black_box(1.0_f32);
            time(|| T::scale(black_box(&mut buffers.x), factor))
        }
        Floor::Copy => time(|| black_box(&mut buffers.y).copy_from_slice(black_box(&buffers.x))),
    }
}

fn main() {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with("--"));
    let testing = !std::env::args().any(|arg| arg == "--bench");
    let seconds = std::env::var("FLOOR_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(1.0);
    let budget = Duration::from_secs_f64(if testing { 0.0 } else { seconds });
    println!("operation,shape,block,p,backend,ns_per_element,ratio_min,ratio_median");
    for problem in problems() {
        bench::<f32>(&problem, budget, filter.as_deref());
    }
    #[cfg(feature = "half")]
    {
        let base = paper(Shape::nchw(32, 256, 14, 14), 7, 0.1);
        bench::<bf16>(&base, budget, filter.as_deref());
        bench::<f16>(&base, budget, filter.as_deref());
    }
}

fn bench<T: Number>(problem: &Problem, budget: Duration, filter: Option<&str>) {
    let layer = done(DropBlock::new(problem.block, problem.p))
        .with_sharing(problem.sharing)
        .with_scale(problem.scale)
        .with_fill(problem.fill);
    let plans: Vec<Plan> = Backend::ALL
        .iter()
        .filter(|backend| backend.is_available())
        .map(|&backend| done(done(layer.with_backend(backend)).plan(problem.shape)))
        .collect();
    let len = plans[0].len();
    let mut buffers = Buffers {
        x: vec![T::ONE; plans[0].extent()],
        y: vec![T::ONE; plans[0].extent()],
        mask: vec![0; plans[0].mask_len()],
        dropped: Dropped { count: 0, of: plans[0].units() as u64 },
        step: 0,
    };
    let [d, h, w] = problem.shape.map().size();
    let shape = format!(
        "{} {}x{}x{d}x{h}x{w}{}{}",
        if problem.shape.strides()[4] == 1 { "ChannelsFirst" } else { "ChannelsLast" },
        problem.shape.samples(),
        problem.shape.channels(),
        problem.name,
        T::NAME
    );
    let operations = operations::<T>();
    let candidates: Vec<(&Operation<T>, &Plan)> = operations
        .iter()
        .filter(|operation| filter.is_none_or(|f| operation.0.contains(f) || shape.contains(f)))
        .flat_map(|operation| plans.iter().map(move |plan| (operation, plan)))
        .collect();
    if candidates.is_empty() {
        return;
    }
    let repeats = (50_000 / len).max(1);
    let mut results = vec![Vec::new(); candidates.len()];
    let start = Instant::now();
    while results[0].len() < 3 || start.elapsed() < budget {
        for (&(operation, plan), results) in candidates.iter().zip(&mut results) {
            let mut run = || {
                let mut sum = 0.0;
                for _ in 0..repeats {
                    // A scale of 1 in the data: refill, so that zeros do not pile up.
                    buffers.x.fill(T::ONE);
                    sum += time(|| operation.2(plan, &mut buffers));
                }
                sum
            };
            let own = run();
            let mut of_floor = 0.0;
            for _ in 0..repeats {
                of_floor += floor(operation.1, &mut buffers);
            }
            results.push((own / (repeats * len) as f64 * 1e9, own / of_floor));
        }
    }
    for (&(operation, plan), results) in candidates.iter().zip(&mut results) {
        let fastest = results.iter().map(|r| r.0).fold(f64::INFINITY, f64::min);
        results.sort_by(|a, b| a.1.total_cmp(&b.1));
        println!(
            "{},{shape},{},{},{},{fastest:.4},{:.2},{:.2}",
            operation.0,
            problem.block,
            problem.p,
            plan.backend(),
            results[0].1,
            results[results.len() / 2].1
        );
    }
}
