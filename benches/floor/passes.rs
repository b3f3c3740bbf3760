//! The passes over a tensor and their stages, for shapes, layouts, types and options.

use std::hint::black_box;
use std::mem::take;
#[cfg(feature = "rayon")]
use std::time::{Duration, Instant};

#[cfg(feature = "half")]
use dropblock::half::{bf16, f16};
use dropblock::{
    Drawn, DropBlock, DropCount, Fill, Key, Layout, Map, Plan, Region, Scale, Shape, Sharing, View,
    ViewMut,
};

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

/// What timm and others use, where centres lie anywhere in the map.
const FULL: &str = " full region";
const PADDED: &str = " padded rows";

/// One line of the table: a shape and the options that matter for speed.
struct Problem {
    shape: Shape,
    /// For rows that are padded.
    strides: Option<[isize; 5]>,
    block: usize,
    p: f64,
    region: Region,
    sharing: Sharing,
    scale: Scale,
    fill: Fill,
    name: &'static str,
}

fn paper(shape: Shape, block: usize, p: f64) -> Problem {
    let (region, sharing, scale, fill) =
        (Region::Valid, Sharing::None, Scale::PerTensor, Fill::Zero);
    Problem { shape, strides: None, block, p, region, sharing, scale, fill, name: "" }
}

pub(crate) fn base() -> Shape {
    Shape::nchw(32, 256, 14, 14)
}

pub(crate) fn volume() -> Shape {
    Shape::ncdhw(4, 64, 8, 28, 28)
}

fn problems() -> Vec<Problem> {
    let (base, nhwc) = (base(), Shape::nhwc(32, 14, 14, 256));
    // Rows of 14 in 16, and of 56 in 64.
    let padded = [256 * 14 * 16, 14 * 16, 0, 16, 1];
    let long = [64 * 56 * 64, 56 * 64, 0, 64, 1];
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
        paper(Shape::nhwc(1, 112, 112, 64), 7, 0.1),
        paper(Shape::nhwc(1, 416, 416, 32), 7, 0.1),
        paper(Shape::new(32, 256, Map::l(196), Layout::ChannelsFirst), 7, 0.1),
        paper(volume(), 3, 0.1),
        Problem { region: Region::Full, name: FULL, ..paper(base, 7, 0.1) },
        Problem { region: Region::Full, name: FULL, ..paper(Shape::nchw(32, 512, 7, 7), 3, 0.1) },
        Problem { region: Region::Full, name: FULL, ..paper(Shape::nchw(8, 64, 56, 56), 7, 0.1) },
        Problem { sharing: Sharing::OverChannels, name: " shared", ..paper(base, 7, 0.1) },
        Problem { scale: Scale::PerSample, name: " per sample", ..paper(base, 7, 0.1) },
        Problem { scale: Scale::PerMap, name: " per channel", ..paper(base, 7, 0.1) },
        Problem { scale: Scale::Fixed, name: " fixed", ..paper(base, 7, 0.1) },
        Problem { scale: Scale::PerPosition, name: " per position", ..paper(base, 7, 0.1) },
        Problem { sharing: Sharing::OverChannels, name: " shared", ..paper(nhwc, 7, 0.1) },
        Problem { scale: Scale::PerPosition, name: " per position", ..paper(nhwc, 7, 0.1) },
        Problem { strides: Some(padded), name: PADDED, ..paper(base, 7, 0.1) },
        Problem { strides: Some(long), name: PADDED, ..paper(Shape::nchw(8, 64, 56, 56), 7, 0.1) },
        Problem { fill: Fill::Noise, name: " noise", ..paper(base, 7, 0.1) },
    ]
}

/// The name of a shape in the CSV.
pub(crate) fn name(shape: &Shape) -> String {
    let [d, h, w] = shape.map().size();
    format!("{:?} {}x{}x{d}x{h}x{w}", shape.layout(), shape.samples(), shape.channels())
}

/// The buffers of one shape.
struct Buffers<T> {
    x: Vec<T>,
    y: Vec<T>,
    words: Vec<u64>,
    /// That of the last mask.
    count: DropCount,
    strides: Option<[isize; 5]>,
    step: u64,
}

impl<T> Buffers<T> {
    /// A fresh key each time, so that no branch predictor learns the mask.
    fn key(&mut self) -> Key {
        self.step += 1;
        Key::new(7).with_step(self.step)
    }

    fn x_mut(&mut self) -> ViewMut<'_, T> {
        view_mut(&mut self.x, self.strides)
    }

    fn x_and_y(&mut self) -> (View<'_, T>, ViewMut<'_, T>) {
        let x = match self.strides {
            Some(strides) => View::new(&self.x, 0, strides),
            None => (&self.x).into(),
        };
        (x, view_mut(&mut self.y, self.strides))
    }
}

fn view_mut<T>(buffer: &mut [T], strides: Option<[isize; 5]>) -> ViewMut<'_, T> {
    match strides {
        Some(strides) => ViewMut::new(buffer, 0, strides),
        None => buffer.into(),
    }
}

#[derive(Clone, Copy)]
enum Floor {
    InPlace,
    Copy,
}

/// Carries an operation out and returns its seconds.
type Body<T> = fn(&Plan, &mut Buffers<T>) -> f64;

type Operation<T> = (&'static str, Floor, Body<T>);

fn operations<T: Number>() -> [Operation<T>; 12] {
    [
        ("mask", Floor::InPlace, |plan, b| {
            let key = b.key();
            time(|| b.count = done(plan.draw(key, &mut b.words)).count())
        }),
        ("centers", Floor::InPlace, |plan, b| {
            let key = b.key();
            time(|| {
                done(plan.draw_centers(key, &mut b.words));
            })
        }),
        ("count", Floor::InPlace, |plan, b| {
            time(|| b.count = done(plan.mask_from(&b.words)).count())
        }),
        (FORWARD, Floor::InPlace, forward_in_place),
        ("forward in place no mask", Floor::InPlace, |plan, b| {
            let key = b.key();
            time(|| {
                let drawn = done(plan.forward_in_place(key, b.x_mut()));
                b.count = count(drawn);
            })
        }),
        ("backward in place", Floor::InPlace, |plan, b| {
            let drawn = Drawn::from(b.key()).with_count(b.count);
            time(|| done(plan.backward_in_place(drawn, b.x_mut())))
        }),
        ("apply in place", Floor::InPlace, |plan, b| {
            let mask = done(plan.mask_from(&b.words));
            time(|| done(mask.backward_in_place(view_mut(&mut b.x, b.strides))))
        }),
        ("drop only with mask", Floor::InPlace, |plan, b| {
            let key = b.key();
            time(|| {
                let mask = done(plan.draw(key, &mut b.words));
                done(mask.drop_only(view_mut(&mut b.x, b.strides), T::ZERO));
                b.count = mask.count();
            })
        }),
        ("drop only", Floor::InPlace, |plan, b| {
            let key = b.key();
            time(|| {
                let drawn = done(plan.drop_only(key, b.x_mut(), T::ZERO));
                b.count = count(drawn);
            })
        }),
        ("forward", Floor::Copy, |plan, b| {
            let key = b.key();
            let mut words = take(&mut b.words);
            let seconds = time(|| {
                let mask = done(plan.draw(key, &mut words));
                let (x, y) = b.x_and_y();
                done(mask.forward(x, y));
                b.count = mask.count();
            });
            b.words = words;
            seconds
        }),
        ("backward", Floor::Copy, |plan, b| {
            let drawn = Drawn::from(b.key()).with_count(b.count);
            let (x, y) = b.x_and_y();
            time(|| done(plan.backward(drawn, x, y)))
        }),
        ("apply", Floor::Copy, |plan, b| {
            let words = take(&mut b.words);
            let mask = done(plan.mask_from(&words));
            let (x, y) = b.x_and_y();
            let seconds = time(|| done(mask.backward(x, y)));
            b.words = words;
            seconds
        }),
    ]
}

fn forward_in_place<T: Number>(plan: &Plan, b: &mut Buffers<T>) -> f64 {
    let key = b.key();
    time(|| {
        let mask = done(plan.draw(key, &mut b.words));
        done(mask.forward_in_place(view_mut(&mut b.x, b.strides)));
        b.count = mask.count();
    })
}

fn count(drawn: Drawn) -> DropCount {
    drawn.count().unwrap_or_else(|| panic!("the pass has counted"))
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
            time(|| scale(x, factor))
        },
        Floor::Copy => |buffers| {
            warm(Floor::Copy, buffers);
            time(|| black_box(&mut buffers.y).copy_from_slice(black_box(&buffers.x)))
        },
    }
}

/// `x *= c`, many elements at a time: a short loop takes a third longer in some places of the program.
fn scale<T: Number>(x: &mut [T], factor: f32) {
    let (blocks, rest) = x.as_chunks_mut::<64>();
    for block in blocks {
        block.iter_mut().for_each(|x| *x = x.times(factor));
    }
    rest.iter_mut().for_each(|x| *x = x.times(factor));
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
        .with_region(problem.region)
        .with_sharing(problem.sharing)
        .with_scale(problem.scale)
        .with_fill(problem.fill);
    let plans: Vec<Plan> = backends()
        .map(|backend| done(done(layer.with_backend(backend)).plan(problem.shape)))
        .collect();
    let len = plans[0].elements();
    let [d, h, w] = problem.shape.map().size();
    let sizes = [problem.shape.samples(), problem.shape.channels(), d, h, w];
    let extent = problem.strides.map_or(len, |strides| {
        let reach = |(size, stride): (usize, isize)| (size - 1) * stride.unsigned_abs();
        1 + sizes.into_iter().zip(strides).map(reach).sum::<usize>()
    });
    let mut buffers = Buffers {
        x: vec![T::ONE; extent],
        y: vec![T::ONE; extent],
        words: vec![0; plans[0].mask_words()],
        count: DropCount { dropped: 0, total: plans[0].units() as u64 },
        strides: problem.strides,
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
                    body(plan, b)
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
        let is_plain = problem.name.is_empty() && problem.shape.layout() == Layout::ChannelsFirst;
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
fn on_all_threads<T: Number>(
    plans: &[Plan],
    buffers: &mut Buffers<T>,
    floor: fn(&mut Buffers<T>) -> f64,
) -> Candidate<'static, Buffers<T>> {
    let plan = plans[plans.len() - 1].in_parallel(None);
    check("forward on one thread", forward_in_place, &plans[..1], buffers);
    let expected = digest(buffers.x.iter().map(|x| u64::from(x.to_bits())));
    check("forward on all threads", forward_in_place, &[plan], buffers);
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
                forward_in_place(&plan, b)
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
fn check<T: Number>(operation: &str, body: Body<T>, plans: &[Plan], buffers: &mut Buffers<T>) {
    let mut first = None;
    for plan in plans {
        buffers.step = 0;
        buffers.x.fill(T::ONE);
        buffers.y.fill(T::ONE);
        buffers.count = done(plans[0].draw(Key::new(8), &mut buffers.words)).count();
        body(plan, buffers);
        let result = (
            digest(buffers.words.iter().copied()),
            buffers.count,
            digest(buffers.x.iter().map(|x| u64::from(x.to_bits()))),
            digest(buffers.y.iter().map(|y| u64::from(y.to_bits()))),
        );
        let backend = plan.backend();
        assert_eq!(*first.get_or_insert(result), result, "{operation} with {backend} differs");
    }
}

/// The rival drops as much as expected, where the tensor is large enough to tell.
fn check_plain<T: Number>(plain: &mut Plain, plan: &Plan, buffers: &mut Buffers<T>) {
    let dropped = plain.forward_in_place(&mut buffers.x) as f64 / plan.elements() as f64;
    let expected = plan.expected_dropped();
    let differs = (dropped - expected).abs() > 0.2 * expected;
    assert!(plan.elements() < 100_000 || !differs, "plain drops {dropped}, expected {expected}");
}
