//! Every function of a plan does what the crate does, for all types, layouts and options.

use core::convert::Infallible;
use core::ffi::c_void;
use core::ptr::{null, null_mut};

use engine::rand_core::TryRng;
use engine::{Drawn, DropCount, Error, Mask, Plan};
use proptest::prelude::*;

use super::case::*;
use crate::constants::*;
use crate::mask::*;
use crate::passes::*;
use crate::plan::*;
use crate::stages::*;
use crate::status::Refusal;
use crate::types::*;

/// Calls a function of the interface with pointers of this module's buffers.
macro_rules! call {
    ($function:ident($($argument:expr),* $(,)?)) => {{
        let mut error = new_error();
        // SAFETY: pointers are those of buffers here, and lengths theirs.
        let status = unsafe { $function($($argument,)* &raw mut error) };
        assert_eq!(status, DROPBLOCK_OK, "{error:?}");
    }};
}

/// Asks a plan.
macro_rules! ask {
    ($function:ident($($argument:expr),*)) => {
        // SAFETY: the plan is one.
        unsafe { $function($($argument),*) }
    };
}

/// Calls a function that refuses what the crate refuses.
macro_rules! same {
    ($ours:expr, $function:ident($($argument:expr),* $(,)?)) => {{
        // SAFETY: pointers are those of buffers here, and lengths theirs.
        let status = unsafe { $function($($argument,)* null_mut()) };
        assert_eq!(status, status_of($ours), stringify!($function));
    }};
}

fn status_of<T>(result: Result<T, Error>) -> dropblock_status {
    result.map_or_else(|error| Refusal::from(error).0.status, |_| DROPBLOCK_OK)
}

fn must<T>(result: Result<T, Error>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

const NO_DRAWN: dropblock_drawn = dropblock_drawn {
    key: dropblock_key { seed: 7, step: 7, layer: 7, first_sample: 7 },
    count: dropblock_drop_count { dropped: 7, total: 7 },
};
const NO_MASK: dropblock_mask =
    dropblock_mask { words: null(), words_len: 7, drawn: NO_DRAWN, has_key: 7, reserved: 7 };

/// A case, its plan in both languages, and its mask.
struct Both<'a> {
    case: Case,
    memory: *const dropblock_plan,
    plan: &'a Plan,
    mask: Mask<'a>,
    theirs: dropblock_mask,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn everything_is_what_the_crate_does(case in cases()) {
        let (memory, plan) = (case.memory(), case.plan());
        check_queries(memory.plan, &plan);
        check_samples(&case, memory.plan, &plan);
        check_stages(&case, memory.plan, &plan);
        let (mut words, mut their_words) = (vec![7; plan.mask_words()], vec![9; plan.mask_words()]);
        let (mut theirs, len) = (NO_MASK, their_words.len());
        let their_words = their_words.as_mut_ptr();
        call!(dropblock_draw(memory.plan, &case.key, their_words, len, &raw mut theirs));
        let mask = must(plan.draw(case.rust.key, &mut words));
        let both = Both { case, memory: memory.plan, plan: &plan, mask, theirs };
        check_masks(&both);
        check_maps(&both);
        check_type::<f32>(&both);
        check_type::<f64>(&both);
        #[cfg(feature = "half")]
        check_type::<engine::half::f16>(&both);
        #[cfg(feature = "half")]
        check_type::<engine::half::bf16>(&both);
        check_drop_only::<u8>(&both, DROPBLOCK_TYPE_BITS8, 0xfd);
        check_drop_only::<u16>(&both, DROPBLOCK_TYPE_BF16, 0xfffd);
        check_drop_only::<u32>(&both, DROPBLOCK_TYPE_BITS32, 0x8000_0001);
        check_drop_only::<u64>(&both, DROPBLOCK_TYPE_F64, u64::MAX - 2);
    }
}

fn check_queries(memory: *const dropblock_plan, plan: &Plan) {
    assert_eq!(ask!(dropblock_plan_elements(memory)), plan.elements());
    assert_eq!(ask!(dropblock_plan_units(memory)), plan.units());
    assert_eq!(ask!(dropblock_plan_mask_words(memory)), plan.mask_words());
    assert_eq!(ask!(dropblock_plan_groups(memory)), plan.groups());
    assert_eq!(ask!(dropblock_plan_gamma(memory)).to_bits(), plan.gamma().to_bits());
    let expected = plan.expected_dropped();
    assert_eq!(ask!(dropblock_plan_expected_dropped(memory)).to_bits(), expected.to_bits());
    assert_eq!(ask!(dropblock_plan_backend(memory)), crate::backend::number(plan.backend()));
    let positions = plan.shape().map().len().unwrap_or(0);
    for position in [0, positions / 2, positions.saturating_sub(1)] {
        let (Ok(small), Ok(large)) =
            (plan.position_scale::<f32>(position), plan.position_scale::<f64>(position))
        else {
            assert_eq!(positions, 0);
            continue;
        };
        let (mut f32, mut f64) = (0.0_f32, 0.0_f64);
        call!(dropblock_plan_position_scale_f32(memory, position, &raw mut f32));
        call!(dropblock_plan_position_scale_f64(memory, position, &raw mut f64));
        assert_eq!((f32.to_bits(), f64.to_bits()), (small.to_bits(), large.to_bits()));
    }
}

/// A plan for other samples is the plan of their shape.
fn check_samples(case: &Case, memory: *const dropblock_plan, plan: &Plan) {
    let (mut words, mut other) = (vec![7_u64; size_of::<dropblock_plan>() / 8], null_mut());
    let (at, size) = (words.as_mut_ptr().cast(), words.len() * 8);
    let same = plan.with_samples(usize::MAX);
    same!(same, dropblock_plan_with_samples(memory, usize::MAX, at, size, &raw mut other));
    call!(dropblock_plan_with_samples(memory, 2, at, size, &raw mut other));
    let ours = must(plan.with_samples(2));
    check_queries(other, &ours);
    let mut drawn = NO_DRAWN;
    call!(dropblock_count(other, &case.key, &raw mut drawn));
    assert_eq!(drawn, must(ours.count(case.rust.key)).into());
}

/// Draws from a generator that both languages have.
struct Weyl(u64);

impl TryRng for Weyl {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        Ok(((self.0 ^ self.0 >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from(self.try_next_u32()?))
    }

    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Infallible> {
        unreachable!("only words are drawn")
    }
}

unsafe extern "C" fn draw(context: *mut c_void) -> u32 {
    // SAFETY: the test passes one.
    let generator = unsafe { &mut *context.cast::<Weyl>() };
    generator.try_next_u32().unwrap_or(0)
}

fn check_stages(case: &Case, memory: *const dropblock_plan, plan: &Plan) {
    let (len, key) = (plan.mask_words(), case.rust.key);
    let (mut ours, mut theirs, mut count) = (vec![7; len], vec![9; len], 0);
    let mut weyl = Weyl(case.key.seed);
    let (context, words) = ((&raw mut weyl).cast(), theirs.as_mut_ptr());
    call!(dropblock_draw_centers_from(memory, Some(draw), context, words, len, &raw mut count));
    assert_eq!(plan.draw_centers_from(&mut Weyl(case.key.seed), &mut ours), Ok(count));
    assert_eq!(ours, theirs);

    call!(dropblock_draw_centers(memory, &case.key, theirs.as_mut_ptr(), len, &raw mut count));
    assert_eq!(plan.draw_centers(key, &mut ours), Ok(count));
    assert_eq!(ours, theirs);
    call!(dropblock_dilate(memory, theirs.as_mut_ptr(), len));
    assert_eq!(plan.dilate(&mut ours), Ok(()));
    assert_eq!(ours, theirs);
}

/// What is told of a mask, and how that is changed.
fn check_masks(both: &Both<'_>) {
    let Both { case, memory, plan, mask, theirs } = *both;
    // SAFETY: the words of a buffer, as the mask was drawn there.
    let words = unsafe { core::slice::from_raw_parts(theirs.words, theirs.words_len) };
    assert_eq!(words, mask.dropped_words());
    let drawn = mask.drawn().map(dropblock_drawn::from);
    assert_eq!((Some(theirs.drawn), theirs.has_key, theirs.reserved), (drawn, 1, 0));

    let (mut from, len) = (NO_MASK, words.len());
    call!(dropblock_mask_from(memory, words.as_ptr(), len, &raw mut from));
    assert_eq!((from.words, from.words_len, from.has_key), (words.as_ptr(), len, 0));
    assert_eq!((from.drawn.key.seed, from.drawn.count), (0, mask.count().into()));
    call!(dropblock_mask_with_key(memory, &raw mut from, &case.key));
    assert_eq!(from, theirs);
    let late = dropblock_key { first_sample: u64::MAX, ..case.key };
    same!(mask.with_key(late.get()), dropblock_mask_with_key(memory, &raw mut from, &late));

    let mut group_count = dropblock_drop_count { dropped: 7, total: 7 };
    for group in 0..=plan.groups().min(9) {
        let ours = mask.count_group(group);
        let result = &raw mut group_count;
        same!(ours, dropblock_mask_count_group(memory, &raw const theirs, group, result));
        let Ok(ours) = ours else { break };
        assert_eq!(group_count, ours.into());
        let (mut f32, mut f64) = (0.0_f32, 0.0_f64);
        call!(dropblock_plan_scale_f32(memory, &raw const group_count, &raw mut f32));
        call!(dropblock_plan_scale_f64(memory, &raw const group_count, &raw mut f64));
        assert_eq!(f32.to_bits(), plan.scale::<f32>(ours).to_bits());
        assert_eq!(f64.to_bits(), plan.scale::<f64>(ours).to_bits());
    }

    for (dropped, total) in [(0, 0), (5, 9), (9, 9), (9, 8), (0, u64::MAX)] {
        let own = mask.count();
        let dropped = own.dropped.wrapping_add(dropped);
        let sum = DropCount { dropped, total: own.total.wrapping_add(total) };
        let (mut changed, given) = (theirs, sum.into());
        let ours = mask.with_count(sum);
        same!(ours, dropblock_mask_with_count(memory, &raw mut changed, &raw const given));
        let expected = ours.map_or(own, |mask| mask.count());
        assert_eq!(changed.drawn.count, expected.into());
    }
}

/// The maps that a visitor has seen.
type Seen = Vec<([usize; 4], Vec<u64>, u32, u64)>;

unsafe extern "C" fn visit(context: *mut c_void, part: *const dropblock_map_part) {
    // SAFETY: the test passes a `Seen`.
    let seen = unsafe { &mut *context.cast::<Seen>() };
    // SAFETY: the library passes a part.
    let part = unsafe { *part };
    // SAFETY: and in it so many words.
    let keep = unsafe { core::slice::from_raw_parts(part.keep, part.keep_len) };
    let place = [part.sample, part.channel, part.position, part.len];
    seen.push((place, keep.to_vec(), part.scale_f32.to_bits(), part.scale_f64.to_bits()));
}

fn check_maps(both: &Both<'_>) {
    let Both { case, memory, plan, mask, theirs: their_mask } = *both;
    let bare = dropblock_drawn::from(Drawn::from(case.rust.key));
    for given in [bare, their_mask.drawn] {
        let (mut theirs, mut ours, mut drawn) = (Seen::new(), Seen::new(), given);
        let (context, result) = ((&raw mut theirs).cast(), &raw mut drawn);
        // The result may take the place of what is given.
        call!(dropblock_for_each_map(memory, result, Some(visit), context, result));
        let expected = plan.for_each_map(given.get(), |map| {
            let keep = (0..map.keep().len()).step_by(64).map(|i| map.keep().word(i)).collect();
            let positions = map.positions();
            let place = [map.sample(), map.channel(), positions.start, positions.len()];
            let scales = (map.scale::<f32>().to_bits(), map.scale::<f64>().to_bits());
            ours.push((place, keep, scales.0, scales.1));
        });
        assert_eq!((ours, expected.map(dropblock_drawn::from)), (theirs, Ok(drawn)));
    }

    let shape = plan.shape();
    for sample in 0..shape.samples() {
        for channel in 0..shape.channels() {
            let view = must(mask.map(sample, channel)).keep();
            let (mut keep, at) = ([9; 5], &raw const their_mask);
            let to = keep.as_mut_ptr();
            for position in [0, 5, view.len() / 2, view.len(), view.len() + 70] {
                call!(dropblock_mask_keep_words(memory, at, sample, channel, position, to, 5));
                for (i, word) in keep.iter().enumerate() {
                    assert_eq!(*word, view.word(position + 64 * i));
                }
            }
        }
    }
}

fn check_type<T: Type>(both: &Both<'_>) {
    let Both { case, memory, plan, mask, theirs } = *both;
    let [x_len, y_len] = case.rust.lens();
    let (x, old) = (tensor::<T>(x_len), tensor::<T>(y_len + 3));
    let old = &old[3..];
    let x_tensor = case.tensor(0, T::NUMBER, x.as_ptr().cast());
    let bare = Drawn::from(case.rust.key);
    let shard = DropCount { dropped: mask.count().dropped + 3, total: mask.count().total + 9 };
    let counts = [bare, bare.with_count(mask.count()), bare.with_count(shard)];
    let keyless = must(plan.mask_from(mask.dropped_words()));
    let their_keyless = dropblock_mask { has_key: 0, ..theirs };
    // By either function, from one tensor to the other and in place, with the same results.
    macro_rules! pass {
        (|$y:ident| $pass:expr, |$in_place:ident| $pass_in_place:expr,
            $function:ident($($given:expr),*) $(-> $result:expr)?) => {{
            let (mut ours, mut theirs) = (old.to_vec(), old.to_vec());
            let y_tensor = case.tensor(1, T::NUMBER, theirs.as_mut_ptr().cast());
            let (x_at, y_at) = (&raw const x_tensor, &raw const y_tensor);
            let $y = case.rust.view_mut(&mut ours);
            same!($pass, $function(memory, $($given,)* x_at, y_at $(, $result)?));
            assert_eq!(bits(&ours), bits(&theirs));
            ours.copy_from_slice(old);
            theirs.copy_from_slice(old);
            let $in_place = case.rust.view_mut(&mut ours);
            same!($pass_in_place, $function(memory, $($given,)* y_at, y_at $(, $result)?));
            assert_eq!(bits(&ours), bits(&theirs));
        }};
    }
    for given in counts {
        let (drawn, mut result) = (given.into(), NO_DRAWN);
        let at: *const dropblock_drawn = &raw const drawn;
        pass!(
            |y| plan.forward(given, case.rust.view(&x), y),
            |y| plan.forward_in_place(given, y),
            dropblock_forward(at) -> &raw mut result
        );
        let expected = plan.forward_in_place(given, case.rust.view_mut(&mut old.to_vec()));
        assert_eq!(result, expected.map_or(NO_DRAWN, dropblock_drawn::from));
        pass!(
            |y| plan.backward(given, case.rust.view(&x), y),
            |y| plan.backward_in_place(given, y),
            dropblock_backward(at)
        );
    }
    for (mask, theirs) in [(mask, theirs), (keyless, their_keyless)] {
        pass!(
            |y| mask.forward(case.rust.view(&x), y),
            |y| mask.forward_in_place(y),
            dropblock_mask_forward(&raw const theirs)
        );
        pass!(
            |y| mask.backward(case.rust.view(&x), y),
            |y| mask.backward_in_place(y),
            dropblock_mask_backward(&raw const theirs)
        );
    }
}

fn check_drop_only<T>(both: &Both<'_>, number: dropblock_type, value: T)
where
    T: Copy + Send + Sync + PartialEq + core::fmt::Debug + TryFrom<u64>,
{
    let Both { case, memory, plan, mask, theirs: their_mask } = *both;
    let x: Vec<T> =
        (0..case.rust.lens()[1]).filter_map(|i| T::try_from(i as u64 % 251).ok()).collect();
    let (mut ours, mut theirs, mut drawn) = (x.clone(), x.clone(), NO_DRAWN);
    let value_at = (&raw const value).cast();
    let tensor = case.tensor(1, number, theirs.as_mut_ptr().cast());
    let expected = must(plan.drop_only(case.rust.key, case.rust.view_mut(&mut ours), value));
    call!(dropblock_drop_only(memory, &case.key, &raw const tensor, value_at, &raw mut drawn));
    assert_eq!((&ours, dropblock_drawn::from(expected)), (&theirs, drawn));
    theirs.copy_from_slice(&x);
    call!(dropblock_mask_drop_only(memory, &raw const their_mask, &raw const tensor, value_at));
    assert_eq!(ours, theirs);
    ours.copy_from_slice(&x);
    must(mask.drop_only(case.rust.view_mut(&mut ours), value));
    assert_eq!(ours, theirs);
}
