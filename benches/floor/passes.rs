//! The passes over a tensor and their stages, for shapes, layouts, types and options.

use std::hint::black_box;
#[cfg(feature = "rayon")]
use std::time::{Duration, Instant};

#[cfg(feature = "half")]
use dropblock::half::{bf16, f16};
use dropblock::{DropBlock, Dropped, Fill, Key, Layout, Map, Plan, Scale, Shape, Sharing};

use crate::harness::{Candidate, Group, NANOSECONDS, Settings, backends, done, time};
use crate::number::{Number, digest};
use crate::plain::Plain;

pub(crate) fn run(settings: &Settings) {
    for problem in problems() {
        bench::<f32>(settings, &problem);
    }
    #[cfg(feature = "half")]
    {
        bench::<bf16>(settings, &paper(base(), 7, 0.1));
        bench::<f16>(settings, &paper(base(), 7, 0.1));
    }
    if settings.large {
        bench::<f32>(settings, &paper(Shape::nchw(8, 256, 416, 416), 7, 0.1));
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

pub(crate) fn base() -> Shape {
    Shape::nchw(32, 256, 14, 14)
}

pub(crate) fn volume() -> Shape {
    Shape::ncdhw(4, 64, 8, 28, 28)
}

fn problems() -> Vec<Problem> {
    let (base, nhwc) = (base(), Shape::nhwc(32, 14, 14, 256));
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
        paper(volume(), 3, 0.1),
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

/// The name of a shape in the CSV.
pub(crate) fn name(shape: &Shape) -> String {
    let [d, h, w] = shape.map().size();
    let layout = if shape.strides()[4] == 1 { "ChannelsFirst" } else { "ChannelsLast" };
    format!("{layout} {}x{}x{d}x{h}x{w}", shape.samples(), shape.channels())
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

#[derive(Clone, Copy)]
enum Floor {
    InPlace,
    Copy,
}

type Operation<T> = (&'static str, Floor, fn(&Plan, &mut Buffers<T>));

fn operations<T: Number>() -> [Operation<T>; 12] {
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
        (FORWARD, Floor::InPlace, |plan, b| {
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
        ("drop only no mask", Floor::InPlace, |plan, b| {
            let key = b.key();
            b.dropped = done(plan.drop_only(key, &mut b.x, T::ZERO, None));
        }),
        ("forward", Floor::Copy, |plan, b| {
            let key = b.key();
            b.dropped = done(plan.forward(key, &b.x, &mut b.y, Some(&mut b.mask)));
        }),
        ("backward", Floor::Copy, |plan, b| {
            let key = b.key();
            done(plan.backward(key, &b.dropped, &b.x, &mut b.y));
        }),
        ("apply", Floor::Copy, |plan, b| {
            done(plan.apply(&b.mask, &b.dropped, &b.x, &mut b.y));
        }),
    ]
}

const FORWARD: &str = "forward in place";

/// The operations on the tensor of 1.4 GB, where all would take minutes.
const OF_LARGE: [&str; 5] =
    [FORWARD, "forward in place no mask", "backward in place", "drop only", "forward"];

fn floor<T: Number>(kind: Floor) -> fn(&mut Buffers<T>) -> f64 {
    match kind {
        Floor::InPlace => |buffers| {
            warm(Floor::InPlace, buffers);
            // Not known to the compiler, and exact: other factors run into infinity or denormals.
            let factor = black_box(1.0_f32);
            let x = black_box(&mut buffers.x);
            time(|| x.iter_mut().for_each(|x| *x = x.times(factor)))
        },
        Floor::Copy => |buffers| {
            warm(Floor::Copy, buffers);
            time(|| black_box(&mut buffers.y).copy_from_slice(black_box(&buffers.x)))
        },
    }
}

/// Zeros must not pile up, and what an operation and its floor touch is as warm for the one as for the
/// other.
fn warm<T: Number>(kind: Floor, buffers: &mut Buffers<T>) {
    buffers.x.fill(T::ONE);
    if let Floor::Copy = kind {
        black_box(&mut buffers.y).copy_from_slice(&buffers.x);
    }
}

/// `y = x * c` in a plain loop: what the copy costs where the processor has to calculate.
fn scaled_copy<T: Number>() -> Candidate<'static, Buffers<T>> {
    Candidate {
        operation: "scaled copy",
        backend: "floor",
        run: Box::new(|b| {
            warm(Floor::Copy, b);
            let factor = black_box(1.0_f32);
            let (x, y) = (black_box(&b.x), black_box(&mut b.y));
            time(|| y.iter_mut().zip(x).for_each(|(y, x)| *y = x.times(factor)))
        }),
        floor: Some(floor(Floor::Copy)),
    }
}

fn bench<T: Number>(settings: &Settings, problem: &Problem) {
    let shape = format!("{}{}{}", name(&problem.shape), problem.name, T::NAME);
    let is_large = done(problem.shape.len()) > 1 << 28;
    let operations: Vec<Operation<T>> = operations()
        .into_iter()
        .filter(|o| settings.wants(o.0, &shape))
        .filter(|o| !is_large || OF_LARGE.contains(&o.0))
        .collect();
    if operations.is_empty() {
        return;
    }
    let layer = done(DropBlock::new(problem.block, problem.p))
        .with_sharing(problem.sharing)
        .with_scale(problem.scale)
        .with_fill(problem.fill);
    let plans: Vec<Plan> = backends()
        .map(|backend| done(done(layer.with_backend(backend)).plan(problem.shape)))
        .collect();
    let len = plans[0].len();
    let mut buffers = Buffers {
        x: vec![T::ONE; plans[0].extent()],
        y: vec![T::ONE; plans[0].extent()],
        mask: vec![0; plans[0].mask_len()],
        dropped: Dropped { count: 0, of: plans[0].units() as u64 },
        step: 0,
    };
    let mut candidates = Vec::new();
    for &(operation, kind, body) in &operations {
        check(operation, body, &plans, &mut buffers);
        for plan in &plans {
            candidates.push(Candidate {
                operation,
                backend: plan.backend().name(),
                run: Box::new(move |b: &mut Buffers<T>| {
                    warm(kind, b);
                    time(|| body(plan, b))
                }),
                floor: Some(floor(kind)),
            });
        }
        if operation == "forward" {
            candidates.push(scaled_copy());
        }
        #[cfg(feature = "rayon")]
        if operation == FORWARD && len > 1 << 16 {
            candidates.push(on_all_threads(&plans, &mut buffers, floor(kind)));
        }
        let is_plain = problem.name.is_empty() && problem.shape.strides()[4] == 1;
        if operation == FORWARD && is_plain && T::NAME.is_empty() {
            let mut plain = Plain::new(&plans[0], problem.block);
            check_plain(&mut plain, &plans[0], &mut buffers);
            candidates.push(Candidate {
                operation,
                backend: "plain",
                run: Box::new(move |b| {
                    warm(kind, b);
                    time(|| {
                        black_box(plain.forward_in_place(black_box(&mut b.x)));
                    })
                }),
                floor: Some(floor(kind)),
            });
        }
    }
    let repeats = (50_000 / len).max(1);
    let (block, p) = (problem.block, problem.p);
    let group = Group { shape: &shape, block, p, len, repeats, unit: NANOSECONDS };
    group.measure(settings, &mut candidates, &mut buffers);
}

/// The forward pass in place on the threads of rayon's pool, with the default backend.
#[cfg(feature = "rayon")]
fn on_all_threads<'p, T: Number>(
    plans: &'p [Plan],
    buffers: &mut Buffers<T>,
    floor: fn(&mut Buffers<T>) -> f64,
) -> Candidate<'p, Buffers<T>> {
    let plan = &plans[plans.len() - 1];
    let forward = |plan: &Plan, b: &mut Buffers<T>| {
        let key = b.key();
        let dropped = plan.parallel().forward_in_place(key, &mut b.x, Some(&mut b.mask));
        b.dropped = done(dropped);
    };
    let serial = |plan: &Plan, b: &mut Buffers<T>| {
        let key = b.key();
        b.dropped = done(plan.forward_in_place(key, &mut b.x, Some(&mut b.mask)));
    };
    check("forward on one thread", serial, &plans[..1], buffers);
    let expected = digest(buffers.x.iter().map(|x| u64::from(x.to_bits())));
    check("forward on all threads", forward, &plans[plans.len() - 1..], buffers);
    assert_eq!(expected, digest(buffers.x.iter().map(|x| u64::from(x.to_bits()))));
    Candidate {
        operation: FORWARD,
        backend: "rayon",
        run: Box::new(move |b| {
            // As in a program that is parallel throughout: the caller is a thread of the pool, and
            // the others are awake from work of their own. Processors of virtual machines take some
            // milliseconds to wake; the other candidates run on one.
            rayon::scope(|_| {
                let start = Instant::now();
                while start.elapsed() < Duration::from_millis(20) {
                    refill(&mut b.x);
                }
                time(|| forward(plan, b))
            })
        }),
        floor: Some(floor),
    }
}

#[cfg(feature = "rayon")]
fn refill<T: Number>(x: &mut [T]) {
    if x.len() <= 1 << 15 {
        return x.fill(T::ONE);
    }
    let (first, second) = x.split_at_mut(x.len() / 2);
    rayon::join(|| refill(first), || refill(second));
}

/// All backends give the same mask, count and tensors.
fn check<T: Number>(
    operation: &str,
    body: fn(&Plan, &mut Buffers<T>),
    plans: &[Plan],
    buffers: &mut Buffers<T>,
) {
    let mut first = None;
    for plan in plans {
        buffers.step = 0;
        buffers.x.fill(T::ONE);
        buffers.y.fill(T::ONE);
        buffers.dropped = done(plans[0].mask(Key::new(8), &mut buffers.mask));
        body(plan, buffers);
        let result = (
            digest(buffers.mask.iter().copied()),
            buffers.dropped,
            digest(buffers.x.iter().map(|x| u64::from(x.to_bits()))),
            digest(buffers.y.iter().map(|y| u64::from(y.to_bits()))),
        );
        let backend = plan.backend();
        assert_eq!(*first.get_or_insert(result), result, "{operation} with {backend} differs");
    }
}

/// The rival drops as much as expected, where the tensor is large enough to tell.
fn check_plain<T: Number>(plain: &mut Plain, plan: &Plan, buffers: &mut Buffers<T>) {
    let dropped = plain.forward_in_place(&mut buffers.x) as f64 / plan.len() as f64;
    let expected = plan.expected_dropped();
    let differs = (dropped - expected).abs() > 0.2 * expected;
    assert!(plan.len() < 100_000 || !differs, "plain drops {dropped}, expected {expected}");
}
