//! The operations on several threads equal those on one, bit for bit, however the work is cut.

use std::mem::MaybeUninit;
use std::sync::LazyLock;

use dropblock::{
    Backend, Drawn, DropBlock, DropCount, Error, Fill, Gamma, Key, Layout, Map, Plan, Scale, Shape,
    Sharing, View, ViewMut,
};
use proptest::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::case::{Case, Place, dirty, guarded_words, tensor};

static POOLS: LazyLock<Vec<ThreadPool>> = LazyLock::new(|| {
    let pool = |threads| ThreadPoolBuilder::new().num_threads(threads).build();
    [1, 2, 3, 4, 7].map(|threads| pool(threads).unwrap_or_else(|error| panic!("{error}"))).into()
});

/// A plan on one thread, and the same on several.
struct Check<'c> {
    case: &'c Case,
    plan: Plan,
    parallel: Plan,
    min_part: Option<usize>,
    pools: &'c [ThreadPool],
}

impl Check<'_> {
    /// One operation on every pool against the same on one thread. It is given a dirty mask buffer
    /// and a copy of `y`.
    fn same<T: Bits>(
        &self,
        what: &str,
        y: &[T],
        run: impl Fn(&Plan, &mut [u64], &mut [T]) -> Result<Option<Drawn>, Error> + Sync,
    ) {
        let outcome = |plan: &Plan| {
            let mut y = y.to_vec();
            let (words, result) =
                guarded_words(plan.mask_words(), |words| run(plan, words, &mut y));
            Outcome { words, bits: y.into_iter().map(Bits::bits).collect(), result }
        };
        let expected = outcome(&self.plan);
        for pool in self.pools {
            let found = pool.install(|| outcome(&self.parallel));
            let (threads, parts) = (pool.current_num_threads(), self.min_part);
            assert_eq!(
                expected.difference(&found),
                None,
                "{what}, {threads} threads, parts of {parts:?}: {:?}",
                self.case
            );
        }
    }
}

/// Every operation on every pool against the same on one thread.
fn check(case: &Case, min_part: Option<usize>) {
    check_on(&POOLS, case, min_part);
}

fn check_on(pools: &[ThreadPool], case: &Case, min_part: Option<usize>) {
    let plan = case.plan(Backend::detect());
    let parallel = plan.in_parallel(min_part);
    assert_eq!(parallel, plan);
    let mut words = vec![0; plan.mask_words()];
    let drawn = plan.draw(case.key, &mut words).map(|mask| mask.drawn());
    let Ok(Some(drawn)) = drawn else { panic!("{drawn:?}: {case:?}") };
    let check = Check { case, plan, parallel, min_part, pools };
    check_masks(&check, drawn, &words);
    check_passes(&check, drawn);
    check_backward(&check, drawn);
    check_passes_of_words(&check, drawn, &words);
    check_drop_only(&check, &words);
    check_refusals(&check);
}

fn check_masks(check: &Check<'_>, drawn: Drawn, stored: &[u64]) {
    let key = check.case.key;
    let none: &[f32] = &[];
    check.same("draw", none, |plan, words, _| Ok(plan.draw(key, words)?.drawn()));
    check.same("count", none, |plan, _, _| {
        assert_eq!(plan.count(key)?, drawn);
        Ok(Some(drawn))
    });
    check.same("count of words", none, |plan, _, _| {
        Ok(Some(Drawn::from(key).with_count(plan.mask_from(stored)?.count())))
    });
    check.same("centres, dilated", none, |plan, words, _| {
        let centers = plan.draw_centers(key, words)?;
        plan.dilate(words)?;
        let total = plan.units() as u64;
        Ok(Some(Drawn::from(key).with_count(DropCount { dropped: centers, total })))
    });
    let visited = vec![0_u64; check.plan.shape().samples() * check.plan.shape().channels()];
    check.same("visit to every map", &visited, |plan, _, visited| {
        let channels = plan.shape().channels();
        let drawn = plan.for_each_map(key, |map| {
            let mut hash = u64::from(map.scale::<f32>().to_bits());
            for unit in (0..map.keep().len()).step_by(64) {
                hash = hash.rotate_left(7) ^ map.keep().word(unit);
            }
            let sum = &mut visited[map.sample() * channels + map.channel()];
            *sum = sum.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ hash;
        })?;
        Ok(Some(drawn))
    });
}

/// Passes with a mask that is drawn into a buffer, and without one.
fn check_passes(check: &Check<'_>, drawn: Drawn) {
    let (case, [x, old]) = (check.case, check.case.lens().map(tensor));
    let key = case.key;
    let wide = |x: &[f32]| x.iter().map(|&x| f64::from(x) * 1.1).collect::<Vec<_>>();
    let (wide_x, wide_old) = (wide(&x), wide(&old));
    let dirty = dirty(old.len());
    let dirty_wide = vec![f64::NAN; old.len()];

    check.same("forward of a mask", &dirty, |plan, words, y| {
        let mask = plan.draw(key, words)?;
        mask.forward(case.view(&x), case.view_mut(y))?;
        Ok(mask.drawn())
    });
    check.same("forward", &dirty, |plan, _, y| {
        plan.forward(key, case.view(&x), case.view_mut(y)).map(Some)
    });
    check.same("forward with a count", &dirty, |plan, _, y| {
        plan.forward(drawn, case.view(&x), case.view_mut(y)).map(Some)
    });
    check.same("forward in place of a mask", &old, |plan, words, y| {
        let mask = plan.draw(key, words)?;
        mask.forward_in_place(case.view_mut(y))?;
        Ok(mask.drawn())
    });
    check.same("forward in place", &old, |plan, _, y| {
        plan.forward_in_place(key, case.view_mut(y)).map(Some)
    });
    check.same("forward of a mask, f64", &dirty_wide, |plan, words, y| {
        let mask = plan.draw(key, words)?;
        mask.forward(case.view(&wide_x), case.view_mut(y))?;
        Ok(mask.drawn())
    });
    check.same("forward in place, f64", &wide_old, |plan, _, y| {
        plan.forward_in_place(key, case.view_mut(y)).map(Some)
    });
    let x_of_plan = tensor(check.plan.elements());
    let fresh = vec![f32::NAN; check.plan.elements()];
    check.same("forward to fresh memory", &fresh, |plan, _, y| {
        let mut fresh: Vec<_> = y.iter().map(|&y| MaybeUninit::new(y)).collect();
        let drawn = plan.forward(key, &x_of_plan, ViewMut::uninit(&mut fresh))?;
        for (y, fresh) in y.iter_mut().zip(fresh) {
            // SAFETY: it was made of a value.
            #[allow(unsafe_code, reason = "memory that was initialised")]
            let value = unsafe { fresh.assume_init() };
            *y = value;
        }
        Ok(Some(drawn))
    });
}

fn check_backward(check: &Check<'_>, drawn: Drawn) {
    let (case, [x, old]) = (check.case, check.case.lens().map(tensor));
    let key = case.key;
    let dirty = dirty(old.len());
    check.same("backward", &dirty, |plan, _, dx| {
        plan.backward(drawn, case.view(&x), case.view_mut(dx)).map(|()| None)
    });
    check.same("backward of a key", &dirty, |plan, _, dx| {
        plan.backward(key, case.view(&x), case.view_mut(dx)).map(|()| None)
    });
    check.same("backward in place", &old, |plan, _, dx| {
        plan.backward_in_place(drawn, case.view_mut(dx)).map(|()| None)
    });
    check.same("backward in place of a key", &old, |plan, _, dx| {
        plan.backward_in_place(key, case.view_mut(dx)).map(|()| None)
    });
    // The scale of another count, where it is taken from there.
    let count = drawn.count().unwrap_or_default();
    let other = drawn.with_count(DropCount { dropped: count.dropped / 2, ..count });
    check.same("backward of another count", &old, |plan, _, dx| {
        plan.backward_in_place(other, case.view_mut(dx)).map(|()| None)
    });
    // That of a shard, where samples and maps have no scales of their own.
    let shard = drawn.with_count(sum(count));
    check.same("forward of a shard", &old, |plan, _, y| {
        plan.forward_in_place(shard, case.view_mut(y)).map(Some)
    });
}

/// The count of a mask and of another one.
fn sum(own: DropCount) -> DropCount {
    let others = own.total + 5;
    DropCount { dropped: own.dropped + others / 3, total: own.total + others }
}

/// Passes with a stored mask.
fn check_passes_of_words(check: &Check<'_>, drawn: Drawn, stored: &[u64]) {
    let (case, [x, old]) = (check.case, check.case.lens().map(tensor));
    let key = case.key;
    let dirty = dirty(old.len());
    let count = drawn.count().unwrap_or_default();
    check.same("forward of words", &dirty, |plan, _, y| {
        let mask = plan.mask_from(stored)?.with_key(key)?;
        mask.forward(case.view(&x), case.view_mut(y))?;
        Ok(mask.drawn())
    });
    // Refused if there is noise.
    check.same("forward of words without a key", &dirty, |plan, _, y| {
        plan.mask_from(stored)?.forward(case.view(&x), case.view_mut(y)).map(|()| None)
    });
    check.same("backward of words", &dirty, |plan, _, dx| {
        plan.mask_from(stored)?.backward(case.view(&x), case.view_mut(dx)).map(|()| None)
    });
    check.same("backward in place of words", &old, |plan, _, dx| {
        plan.mask_from(stored)?.backward_in_place(case.view_mut(dx)).map(|()| None)
    });
    check.same("backward of words and another count", &old, |plan, _, dx| {
        let mask = plan.mask_from(stored)?.with_count(sum(count))?;
        mask.backward_in_place(case.view_mut(dx)).map(|()| None)
    });
    // Words that the plan would not draw: every third unit, and none.
    for words in [0x9249_2492_4924_9249, 0].map(|word| vec![word; stored.len()]) {
        check.same("backward of other words", &old, |plan, _, dx| {
            plan.mask_from(&words)?.backward_in_place(case.view_mut(dx)).map(|()| None)
        });
    }
}

fn check_drop_only(check: &Check<'_>, stored: &[u64]) {
    let (case, key) = (check.case, check.case.key);
    let bytes: Vec<i8> = (0..case.lens()[1]).map(|i| (i * 7) as i8).collect();
    check.same("drop only, by a mask", &bytes, |plan, words, x| {
        let mask = plan.draw(key, words)?;
        mask.drop_only(case.view_mut(x), -3)?;
        Ok(mask.drawn())
    });
    check.same("drop only", &bytes, |plan, _, x| {
        plan.drop_only(key, case.view_mut(x), -3).map(Some)
    });
    check.same("drop only, by words", &bytes, |plan, _, x| {
        plan.mask_from(stored)?.drop_only(case.view_mut(x), -3).map(|()| None)
    });
}

/// What an operation leaves and returns.
struct Outcome {
    words: Vec<u64>,
    bits: Vec<u64>,
    result: Result<Option<Drawn>, Error>,
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
trait Bits: Copy + Send + Sync {
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

impl Bits for u64 {
    fn bits(self) -> u64 {
        self
    }
}

/// The errors are those of one thread, and nothing is written.
fn check_refusals(check: &Check<'_>) {
    let (plan, key) = (&check.plan, check.case.key);
    let x = vec![1.0_f32; plan.elements()];
    let long = vec![1.0_f32; plan.elements() + 1];
    let words = vec![0; plan.mask_words()];
    let refused = |what: &str, y: &[f32], run: &Operation<'_>| {
        let refuse = |plan: &Plan| {
            let (mut words, mut y) = (vec![!0; words.len()], y.to_vec());
            let error = run(plan, &mut words, &mut y);
            assert!(error.is_err(), "{what}");
            assert!(y.iter().all(|&y| y == 1.0), "{what} has written");
            assert!(words.iter().all(|&word| word == !0), "{what} has written a mask");
            error
        };
        assert_eq!(POOLS[1].install(|| refuse(&check.parallel)), refuse(plan), "{what}");
    };
    refused("a long output", &long, &|plan, _, y| plan.forward_in_place(key, y).map(|_| ()));
    refused("a long output of words", &long, &|plan, _, y| {
        plan.mask_from(&words)?.backward_in_place(y)
    });
    refused("a long tensor to drop", &long, &|plan, _, y| plan.drop_only(key, y, 0.0).map(|_| ()));
    refused("a long tensor to drop by words", &long, &|plan, _, y| {
        plan.mask_from(&words)?.drop_only(y, 0.0)
    });
    refused("a long input", &x, &|plan, _, y| plan.forward(key, &long, y).map(|_| ()));
    refused("a long input of words", &x, &|plan, _, y| plan.mask_from(&words)?.backward(&long, y));
    refused("fresh memory in place", &x, &|plan, _, y| {
        let mut fresh: Vec<_> = y.iter().map(|&y| MaybeUninit::new(y)).collect();
        plan.forward_in_place(key, ViewMut::uninit(&mut fresh)).map(|_| ())
    });
    check_refused_counts(plan, key, &x, &refused);
    if plan.elements() > 0 {
        let strides = [0, 0, 0, 0, 1];
        let outside = plan.elements();
        refused("a view outside", &x, &|plan, _, y| {
            plan.forward(key, View::new(&x, outside, strides), y).map(|_| ())
        });
        refused("an output outside", &x, &|plan, _, y| {
            plan.forward_in_place(key, ViewMut::new(y, outside, strides)).map(|_| ())
        });
    }
    if plan.elements() > 1 {
        refused("an output that repeats", &x, &|plan, _, y| {
            plan.drop_only(key, ViewMut::new(y, 0, [0; 5]), 0.0).map(|_| ())
        });
    }
    if let Some(short) = words.len().checked_sub(1) {
        refused("a short mask", &x, &|plan, words, y| {
            plan.draw(key, &mut words[..short])?.forward_in_place(y)
        });
        refused("short words", &x, &|plan, words, y| {
            plan.mask_from(&words[..short])?.backward_in_place(y)
        });
    }
    let last = key.with_first_sample(u64::MAX);
    if plan.count(last).is_err() {
        refused("a late sample", &x, &|plan, words, y| plan.draw(last, words)?.forward_in_place(y));
        refused("a late sample", &x, &|plan, _, y| plan.forward(last, &x, y).map(|_| ()));
        refused("a late sample", &x, &|plan, _, y| plan.drop_only(last, y, 0.0).map(|_| ()));
        refused("a late sample", &x, &|plan, _, _| plan.count(last).map(|_| ()));
        refused("a late sample", &x, &|plan, _, y| {
            plan.mask_from(&words)?.with_key(last)?.forward_in_place(y)
        });
    }
}

/// An operation on a mask and a tensor that is to be refused.
type Operation<'o> = dyn Fn(&Plan, &mut [u64], &mut [f32]) -> Result<(), Error> + Sync + 'o;

/// Counts that no mask of the plan has.
fn check_refused_counts(
    plan: &Plan,
    key: Key,
    x: &[f32],
    refused: &dyn Fn(&str, &[f32], &Operation<'_>),
) {
    let units = plan.units() as u64;
    // More dropped units than units, fewer units than the mask has, and scales that do not follow.
    let mut counts = vec![DropCount { dropped: units + 2, total: units + 1 }];
    counts.extend(units.checked_sub(1).map(|total| DropCount { dropped: 0, total }));
    if matches!(plan.layer().scale(), Scale::PerSample | Scale::PerMap) {
        counts.push(DropCount { dropped: 0, total: units + 1 });
    }
    let words = vec![0; plan.mask_words()];
    for count in counts {
        let drawn = Drawn::from(key).with_count(count);
        let what = |name: &str| format!("{name} of {count:?}");
        refused(&what("forward"), x, &|plan, _, y| plan.forward_in_place(drawn, y).map(|_| ()));
        refused(&what("backward"), x, &|plan, _, y| plan.backward(drawn, x, y));
        refused(&what("backward in place"), x, &|plan, _, y| plan.backward_in_place(drawn, y));
        refused(&what("backward of words"), x, &|plan, _, y| {
            plan.mask_from(&words)?.with_count(count)?.backward(x, y)
        });
    }
}

fn layer(block: usize, p: f64) -> DropBlock {
    DropBlock::new(block, p).unwrap_or_else(|error| panic!("{error}"))
}

/// A view with these strides, amid a few elements more.
fn strided(shape: &Shape, strides: [isize; 5]) -> Place {
    let tight = Place::tight(shape, strides);
    Place { len: tight.len + 6, first: tight.first + 3, strides }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::suite::cases()))]

    #[test]
    fn every_operation_equals_that_of_one_thread(
        case in crate::case::cases(),
        // Parts of a word, of some planes, of a few chunks.
        min_part in prop_oneof![Just(0_usize), 1..300_usize, Just(5000), Just(40_000)],
    ) {
        check(&case, Some(min_part));
    }
}

/// Shapes that are cut without being told to, under all options that decide how.
#[test]
fn large_tensors_equal_those_of_one_thread() {
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
    ];
    check_large(&shapes.map(|(shape, block)| (shape, block, [None; 2])));
}

/// The same for views.
#[test]
fn large_views_equal_those_of_one_thread() {
    type Strides = fn([isize; 4]) -> [isize; 5];
    let padded: Strides = |[_, c, h, w]| [c * h * (w + 2), h * (w + 2), 0, w + 2, 1];
    let behind: Strides = |[_, c, h, w]| [c * h * w + 5, h * w, 0, w, 1];
    // Channels of twice as many, and one sample, row and column of two.
    let crop: Strides = |[_, c, h, w]| [2 * c * h * w * 4, h * w * 4, 0, w * 4, 2];
    // Samples innermost: no cuts of the tensor. Neither where rows are flipped, or samples.
    let innermost: Strides = |[n, _, h, w]| [1, n * h * w, 0, n * w, n];
    let flipped: Strides = |[_, c, h, w]| [c * h * w, h * w, 0, w, -1];
    let backwards: Strides = |[_, c, h, w]| [-c * h * w, h * w, 0, -w, 1];
    let last: Strides = |[_, c, h, w]| [c * h * w, 1, 0, c * w, c];
    // Of inputs only: the same sample, channel and row again.
    let repeated: Strides = |[_, _, h, w]| [0, h * w, 0, w, 1];
    let constant: Strides = |_| [0; 5];
    let cases = [
        ([3, 65, 40, 41], 7, [Some(padded); 2]),
        ([17, 9, 40, 41], 7, [Some(padded); 2]),
        ([1, 65, 57, 55], 7, [Some(padded); 2]),
        ([7, 33, 40, 41], 7, [Some(behind); 2]),
        ([64, 8, 20, 21], 3, [Some(innermost); 2]),
        ([5, 17, 40, 41], 5, [Some(crop), None]),
        ([5, 17, 40, 41], 5, [None, Some(crop)]),
        ([6, 31, 41, 40], 3, [Some(flipped), Some(flipped)]),
        ([6, 31, 41, 40], 3, [Some(backwards), Some(padded)]),
        ([6, 31, 41, 40], 3, [Some(padded), Some(backwards)]),
        ([9, 31, 27, 29], 5, [Some(last), None]),
        ([9, 31, 27, 29], 5, [None, Some(last)]),
        ([8, 21, 41, 40], 7, [Some(repeated), None]),
        ([8, 21, 41, 40], 7, [Some(constant), Some(behind)]),
    ];
    check_large(&cases.map(|(sizes, block, strides)| {
        let [n, c, h, w] = sizes;
        let shape = Shape::nchw(n, c, h, w);
        let place = |strides: Strides| strided(&shape, strides(sizes.map(|size| size as isize)));
        (shape, block, strides.map(|strides| strides.map(place)))
    }));
}

fn check_large(shapes: &[(Shape, usize, [Option<Place>; 2])]) {
    let key = Key::new(41).with_first_sample(3);
    for (i, &(shape, block, [input, output])) in shapes.iter().enumerate() {
        for (j, &sharing) in Sharing::ALL.iter().enumerate() {
            for (k, &scale) in Scale::ALL.iter().enumerate() {
                // Of those that share a mask, a few for each shape.
                if j > 0 && (i + j + k) % 3 > 0 {
                    continue;
                }
                let fill = if (i + k) % 2 == 0 { Fill::Noise } else { Fill::Zero };
                let layer =
                    layer(block, 0.15).with_sharing(sharing).with_scale(scale).with_fill(fill);
                let case = Case { layer, shape, key, input, output };
                // One number of threads each, as the tensors are large.
                let pools = &POOLS[(i + j + k) % POOLS.len()..][..1];
                check_on(pools, &case, Some(1 << 15));
                // And as parts are cut by themselves, under another scale for each shape.
                if j == 0 && k == i % Scale::ALL.len() {
                    check_on(pools, &case, None);
                }
            }
        }
    }
}

/// Dense masks are generated by other methods than sparse ones.
#[test]
fn dense_masks_equal_those_of_one_thread() {
    for gamma in [0.02, 0.2, 1.0] {
        for shape in [Shape::nchw(2, 30, 57, 57), Shape::nchw(1, 2, 400, 401)] {
            let layer = layer(3, 0.5).with_gamma(Gamma::Raw(gamma));
            let layer = layer.unwrap_or_else(|error| panic!("{error}"));
            check(&Case::new(layer, shape, Key::new(8)), Some(3000));
        }
    }
}
