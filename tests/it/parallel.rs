//! The operations on several threads equal those on one, bit for bit, however the work is cut.

use std::sync::LazyLock;

use dropblock::{
    Backend, DropBlock, Dropped, Error, Fill, Gamma, Key, Layout, Map, Parallel, Plan, Scale,
    Shape, Sharing,
};
use proptest::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::case::{guarded_words, tensor};

static POOLS: LazyLock<Vec<ThreadPool>> = LazyLock::new(|| {
    let pool = |threads| ThreadPoolBuilder::new().num_threads(threads).build();
    [1, 2, 3, 7].map(|threads| pool(threads).unwrap_or_else(|error| panic!("{error}"))).into()
});

/// One operation of a plan, on one thread or on several.
type Run<'a> = (&'a dyn Fn(&Plan) -> Outcome, &'a (dyn Fn(&Parallel<'_>) -> Outcome + Sync));

/// Every operation on every pool against the same on one thread.
fn check(plan: &Plan, key: Key, min_len: usize) {
    let x = tensor(plan.extent());
    let wide: Vec<f64> = x.iter().map(|&x| f64::from(x) * 1.1).collect();
    let bytes: Vec<i8> = (0..x.len()).map(|i| (i * 7) as i8).collect();
    let dirty = vec![f32::NAN; x.len()];
    let dirty_wide = vec![f64::NAN; x.len()];
    let Outcome { words: mask, result, .. } =
        outcome(plan, |mask, _: &mut [f32]| plan.mask(key, mask));
    let Ok(dropped) = result else { panic!("{plan:?}") };
    let same = |what: &str, (serial, parallel): Run<'_>| {
        let expected = serial(plan);
        for pool in POOLS.iter() {
            let found = pool.install(|| parallel(&plan.parallel().with_min_len(min_len)));
            let threads = pool.current_num_threads();
            let place = expected.difference(&found);
            let (shape, options) = (plan.shape(), plan.options());
            assert_eq!(
                place, None,
                "{what}, {threads} threads, parts of {min_len}: {shape:?} {options:?} {key:?}"
            );
        }
    };
    macro_rules! same {
        ($what:literal, |$run:ident| $body:expr) => {
            same($what, (&|$run: &Plan| $body, &|$run: &Parallel<'_>| $body))
        };
    }
    let of_unit = |result: Result<(), Error>| result.map(|()| dropped);

    same!("mask", |run| outcome(plan, |mask, _: &mut [f32]| run.mask(key, mask)));
    same!("count", |run| outcome(plan, |_, _: &mut [f32]| run.count(&mask)));
    same!("forward", |run| outcome_on(plan, &dirty, |mask, y| run.forward(key, &x, y, Some(mask))));
    same!("forward, no mask", |run| outcome_on(plan, &dirty, |_, y| run.forward(key, &x, y, None)));
    same!("forward in place", |run| {
        outcome_on(plan, &x, |mask, x| run.forward_in_place(key, x, Some(mask)))
    });
    same!("forward in place, no mask", |run| {
        outcome_on(plan, &x, |_, x| run.forward_in_place(key, x, None))
    });
    same!("forward of f64", |run| {
        outcome_on(plan, &dirty_wide, |mask, y| run.forward(key, &wide, y, Some(mask)))
    });
    same!("forward in place of f64, no mask", |run| {
        outcome_on(plan, &wide, |_, x| run.forward_in_place(key, x, None))
    });
    same!("backward", |run| {
        outcome_on(plan, &dirty, |_, y| of_unit(run.backward(key, &dropped, &x, y)))
    });
    same!("backward in place", |run| {
        outcome_on(plan, &x, |_, x| of_unit(run.backward_in_place(key, &dropped, x)))
    });
    // The scale of another count, where it is taken from there.
    let other = Dropped { count: dropped.count / 2, ..dropped };
    same!("backward of another count", |run| {
        outcome_on(plan, &x, |_, x| of_unit(run.backward_in_place(key, &other, x)))
    });
    same!("apply", |run| {
        outcome_on(plan, &dirty, |_, y| of_unit(run.apply(&mask, &dropped, &x, y)))
    });
    same!("apply in place of another count", |run| {
        outcome_on(plan, &x, |_, x| of_unit(run.apply_in_place(&mask, &other, x)))
    });
    same!("drop only", |run| {
        outcome_on(plan, &bytes, |mask, x| run.drop_only(key, x, -3, Some(mask)))
    });
    same!("drop only, no mask", |run| {
        outcome_on(plan, &bytes, |_, x| run.drop_only(key, x, -3, None))
    });
    check_refusals(plan, key, min_len);
}

/// What an operation leaves and returns.
struct Outcome {
    words: Vec<u64>,
    bits: Vec<u64>,
    result: Result<Dropped, Error>,
}

impl Outcome {
    fn difference(&self, other: &Self) -> Option<String> {
        if self.result != other.result {
            return Some(format!("{:?} and {:?}", self.result, other.result));
        }
        let differ = |a: &[u64], b: &[u64]| a.iter().zip(b).position(|(a, b)| a != b);
        let word = differ(&self.words, &other.words).map(|i| format!("word {i} of the mask"));
        word.or_else(|| differ(&self.bits, &other.bits).map(|i| format!("element {i}")))
    }
}

/// An element whose bits can be compared.
trait Bits: Copy {
    fn bits(self) -> u64;
}

impl Bits for f32 {
    fn bits(self) -> u64 {
        self.to_bits().into()
    }
}

impl Bits for f64 {
    fn bits(self) -> u64 {
        self.to_bits()
    }
}

impl Bits for i8 {
    fn bits(self) -> u64 {
        self as u64
    }
}

fn outcome<T: Bits>(
    plan: &Plan,
    run: impl FnOnce(&mut [u64], &mut [T]) -> Result<Dropped, Error>,
) -> Outcome {
    outcome_on(plan, &[], run)
}

fn outcome_on<T: Bits>(
    plan: &Plan,
    x: &[T],
    run: impl FnOnce(&mut [u64], &mut [T]) -> Result<Dropped, Error>,
) -> Outcome {
    let mut y = x.to_vec();
    let (words, result) = guarded_words(plan.mask_len(), |mask| run(mask, &mut y));
    Outcome { words, bits: y.into_iter().map(Bits::bits).collect(), result }
}

/// The errors are those of one thread, and nothing is written.
fn check_refusals(plan: &Plan, key: Key, min_len: usize) {
    let parallel = plan.parallel().with_min_len(min_len);
    let x = vec![1.0_f32; plan.extent()];
    let long = vec![1.0_f32; plan.extent() + 1];
    let refused = |name: &str, x: &[f32], given: Result<(), Error>, wanted: Result<(), Error>| {
        assert!(wanted.is_err(), "{name}");
        assert_eq!(given, wanted, "{name}");
        assert!(x.iter().all(|&x| x == 1.0), "{name} has written");
    };
    let unit = |result: Result<Dropped, Error>| result.map(|_| ());
    let other = Dropped { count: 0, of: plan.units() as u64 + 1 };
    let last = key.first_sample(u64::MAX);
    POOLS[1].install(|| {
        let mut y = long.clone();
        let wanted = unit(plan.forward_in_place(key, &mut y, None));
        let given = unit(parallel.forward_in_place(key, &mut y, None));
        refused("a long output", &y, given, wanted);
        let wanted = unit(plan.drop_only(key, &mut y, 0.0, None));
        let given = unit(parallel.drop_only(key, &mut y, 0.0, None));
        refused("a long tensor to drop", &y, given, wanted);
        let mut y = x.clone();
        let wanted = unit(plan.forward(key, &long, &mut y, None));
        let given = unit(parallel.forward(key, &long, &mut y, None));
        refused("a long input", &y, given, wanted);
        let wanted = plan.backward(key, &other, &x, &mut y);
        let given = parallel.backward(key, &other, &x, &mut y);
        refused("another plan's count", &y, given, wanted);
        let wanted = plan.backward_in_place(key, &other, &mut y);
        let given = parallel.backward_in_place(key, &other, &mut y);
        refused("another plan's count in place", &y, given, wanted);
        let mask = vec![0; plan.mask_len()];
        let wanted = plan.apply(&mask, &other, &x, &mut y);
        let given = parallel.apply(&mask, &other, &x, &mut y);
        refused("another plan's count to apply", &y, given, wanted);
        if let Some(short) = plan.mask_len().checked_sub(1) {
            let dropped = Dropped { count: 0, of: plan.units() as u64 };
            let mut mask = vec![!0; short];
            let wanted = unit(plan.forward_in_place(key, &mut y, Some(&mut mask)));
            let given = unit(parallel.forward_in_place(key, &mut y, Some(&mut mask)));
            refused("a short mask", &y, given, wanted);
            refused("a short mask", &y, unit(parallel.mask(key, &mut mask)), wanted);
            refused("a short mask", &y, unit(parallel.count(&mask)), wanted);
            let given = unit(parallel.drop_only(key, &mut y, 0.0, Some(&mut mask)));
            refused("a short mask to drop by", &y, given, wanted);
            let given = parallel.apply_in_place(&mask, &dropped, &mut y);
            refused("a short mask to apply", &y, given, wanted);
            assert!(mask.iter().all(|&word| word == !0));
        }
        let mut mask = vec![!0; plan.mask_len()];
        let wanted = unit(plan.mask(last, &mut mask.clone()));
        if wanted.is_err() {
            refused("a late sample", &y, unit(parallel.mask(last, &mut mask)), wanted);
            let given = unit(parallel.forward(last, &x, &mut y, Some(&mut mask)));
            refused("a late sample", &y, given, wanted);
            let given = unit(parallel.drop_only(last, &mut y, 0.0, None));
            refused("a late sample", &y, given, wanted);
            assert!(mask.iter().all(|&word| word == !0));
        }
    });
}

fn layer(block: usize, p: f64) -> DropBlock {
    DropBlock::new(block, p).unwrap_or_else(|error| panic!("{error}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::suite::cases()))]

    #[test]
    fn every_operation_equals_that_of_one_thread(
        case in crate::case::cases(),
        // Parts of a word, of some planes, of a few chunks.
        min_len in prop_oneof![Just(0_usize), 1..300_usize, Just(5000), Just(40_000)],
    ) {
        check(&case.plan(Backend::detect()), case.key, min_len);
    }
}

/// Shapes that are cut without being told to, under all options that decide how.
#[test]
fn large_tensors_equal_those_of_one_thread() {
    let padded = |n: usize, c: usize, h: usize, w: usize| {
        Shape::nchw(n, c, h, w).with_strides([c * h * (w + 2), h * (w + 2), 0, w + 2, 1])
    };
    let behind = |n: usize, c: usize, h: usize, w: usize| {
        Shape::nchw(n, c, h, w).with_strides([c * h * w + 5, h * w, 0, w, 1])
    };
    let shapes = [
        (Shape::nchw(1, 64, 80, 81), 7),
        (Shape::nchw(1, 130, 57, 57), 5),
        (Shape::nchw(1, 3, 301, 307), 7),
        (Shape::nchw(1, 1, 700, 643), 9),
        (Shape::nchw(2, 3, 257, 259), 7),
        (Shape::nchw(16, 512, 7, 7), 3),
        (Shape::nchw(31, 1001, 5, 3), 2),
        (Shape::nhwc(9, 28, 28, 67), 5),
        (Shape::nhwc(1, 56, 57, 96), 5),
        (Shape::nhwc(5, 200, 211, 1), 5),
        (Shape::new(5, 7, Map::l(17_001), Layout::ChannelsFirst), 11),
        (Shape::new(1, 9, Map::dhw(9, 60, 61), Layout::ChannelsFirst), 3),
        (padded(3, 65, 40, 41), 7),
        (padded(17, 9, 40, 41), 7),
        (padded(1, 65, 57, 55), 7),
        (behind(7, 33, 40, 41), 7),
        // Samples innermost: no cuts of the tensor.
        (Shape::nchw(64, 8, 20, 21).with_strides([1, 64 * 420, 0, 64 * 21, 64]), 3),
    ];
    let scales = [Scale::Tensor, Scale::Sample, Scale::Channel, Scale::PerPosition, Scale::Fixed];
    let sharings = [Sharing::SampleChannel, Sharing::Sample, Sharing::Channel, Sharing::All];
    let key = Key::new(41).first_sample(3);
    for (i, &(shape, block)) in shapes.iter().enumerate() {
        for (j, &sharing) in sharings.iter().enumerate() {
            for (k, &scale) in scales.iter().enumerate() {
                // Of the fifteen that share a mask, a few for each shape.
                if j > 0 && (i + j + k) % 3 > 0 {
                    continue;
                }
                let fill = if (i + k) % 2 == 0 { Fill::Noise } else { Fill::Zero };
                let layer =
                    layer(block, 0.15).with_sharing(sharing).with_scale(scale).with_fill(fill);
                let plan = layer.plan(shape).unwrap_or_else(|error| panic!("{error}"));
                check(&plan, key, 1 << 15);
            }
        }
    }
}

/// Dense masks are generated by other methods than sparse ones.
#[test]
fn dense_masks_equal_those_of_one_thread() {
    for gamma in [0.02, 0.2, 1.0] {
        for shape in [Shape::nchw(2, 30, 57, 57), Shape::nchw(1, 2, 400, 401)] {
            let plan = layer(3, 0.5).with_gamma(Gamma::Raw(gamma)).and_then(|l| l.plan(shape));
            check(&plan.unwrap_or_else(|error| panic!("{error}")), Key::new(8), 3000);
        }
    }
}
