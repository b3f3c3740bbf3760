//! Every function of a plan does what the crate does, for all types, layouts and options.

use core::convert::Infallible;
use core::ffi::c_void;
use core::ptr::{null, null_mut};

use engine::rand_core::TryRng;
use engine::{Dropped, Plan};
use proptest::prelude::*;

use super::case::*;
use crate::constants::*;
use crate::passes::*;
use crate::plan::*;
use crate::stages::*;
use crate::types::*;
use crate::view::*;

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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn everything_is_what_the_crate_does(case in cases()) {
        let (memory, plan) = (case.memory(), case.plan());
        check_queries(memory.plan, &plan);
        let (words, dropped) = check_stages(&case, memory.plan, &plan);
        check_views(&case, memory.plan, &plan, &words);
        check_type::<f32>(&case, memory.plan, &plan, &words, dropped);
        check_type::<f64>(&case, memory.plan, &plan, &words, dropped);
        #[cfg(feature = "half")]
        check_type::<engine::half::f16>(&case, memory.plan, &plan, &words, dropped);
        #[cfg(feature = "half")]
        check_type::<engine::half::bf16>(&case, memory.plan, &plan, &words, dropped);
        check_drop_only::<u8>(&case, memory.plan, &plan, &words, 0xfd);
        check_drop_only::<u16>(&case, memory.plan, &plan, &words, 0xfffd);
        check_drop_only::<u32>(&case, memory.plan, &plan, &words, 0x8000_0001);
        check_drop_only::<u64>(&case, memory.plan, &plan, &words, u64::MAX - 2);
    }
}

fn check_queries(memory: *const dropblock_plan, plan: &Plan) {
    assert_eq!(ask!(dropblock_plan_len(memory)), plan.len());
    assert_eq!(ask!(dropblock_plan_extent(memory)), plan.extent());
    assert_eq!(ask!(dropblock_plan_units(memory)), plan.units());
    assert_eq!(ask!(dropblock_plan_mask_len(memory)), plan.mask_len());
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

fn check_stages(case: &Case, memory: *const dropblock_plan, plan: &Plan) -> (Vec<u64>, Dropped) {
    let (len, key) = (plan.mask_len(), case.rust_key());
    let (mut ours, mut theirs, mut count) = (vec![7; len], vec![9; len], 0);
    let mut weyl = Weyl(case.key.seed);
    let context = (&raw mut weyl).cast();
    call!(dropblock_centers_from_draws(
        memory,
        Some(draw),
        context,
        theirs.as_mut_ptr(),
        len,
        &raw mut count
    ));
    assert_eq!(plan.centers_from_rng(&mut Weyl(case.key.seed), &mut ours), Ok(count));
    assert_eq!(ours, theirs);

    call!(dropblock_centers(memory, &case.key, theirs.as_mut_ptr(), len, &raw mut count));
    assert_eq!(plan.centers(key, &mut ours), Ok(count));
    assert_eq!(ours, theirs);
    call!(dropblock_dilate(memory, theirs.as_mut_ptr(), len));
    assert_eq!(plan.dilate(&mut ours), Ok(()));
    assert_eq!(ours, theirs);

    let mut dropped = EMPTY;
    theirs.fill(9);
    call!(dropblock_mask(memory, &case.key, theirs.as_mut_ptr(), len, &raw mut dropped));
    let expected = plan.mask(key, &mut ours).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((&ours, c_dropped(expected)), (&theirs, dropped));
    let mut again = EMPTY;
    call!(dropblock_count(memory, theirs.as_ptr(), len, &raw mut again));
    assert_eq!(again, dropped);
    for group in 0..plan.groups().min(9) {
        call!(dropblock_count_group(memory, theirs.as_ptr(), len, group, &raw mut again));
        let expected = plan.count_group(&ours, group).map(c_dropped);
        assert_eq!(Ok(again), expected);
        let (mut f32, mut f64) = (0.0_f32, 0.0_f64);
        call!(dropblock_plan_scale_f32(memory, &raw const again, &raw mut f32));
        call!(dropblock_plan_scale_f64(memory, &raw const again, &raw mut f64));
        let group = again.into();
        assert_eq!(f32.to_bits(), plan.scale::<f32>(&group).to_bits());
        assert_eq!(f64.to_bits(), plan.scale::<f64>(&group).to_bits());
    }
    (ours, expected)
}

/// The parts that a visitor has seen, in words of its own.
type Seen = Vec<(usize, usize, usize, usize, Vec<u64>)>;

unsafe extern "C" fn visit(context: *mut c_void, part: *const dropblock_plane_part) {
    // SAFETY: the test passes a `Seen`.
    let seen = unsafe { &mut *context.cast::<Seen>() };
    // SAFETY: the library passes a part.
    let part = unsafe { *part };
    // SAFETY: and in it so many words.
    let keep = unsafe { core::slice::from_raw_parts(part.keep, part.keep_len) };
    seen.push((part.sample, part.channel, part.position, part.len, keep.to_vec()));
}

fn check_views(case: &Case, memory: *const dropblock_plan, plan: &Plan, words: &[u64]) {
    let (mut theirs, mut ours, mut dropped) = (Seen::new(), Seen::new(), EMPTY);
    let context = (&raw mut theirs).cast();
    call!(dropblock_for_each_plane(memory, &case.key, Some(visit), context, &raw mut dropped));
    let count = plan.for_each_plane(case.rust_key(), |part| {
        let keep = (0..part.mask.len()).step_by(64).map(|i| part.mask.keep_word(i)).collect();
        let (start, len) = (part.positions.start, part.positions.len());
        ours.push((part.sample, part.channel, start, len, keep));
    });
    assert_eq!((ours, count.map(c_dropped)), (theirs, Ok(dropped)));

    let shape = plan.shape();
    for sample in 0..shape.samples() {
        for channel in 0..shape.channels() {
            let Ok(view) = plan.view(words, sample, channel) else { panic!("{case:?}") };
            let mut keep = [9; 5];
            for position in [0, 5, view.len() / 2, view.len(), view.len() + 70] {
                call!(dropblock_keep_words(
                    memory,
                    words.as_ptr(),
                    words.len(),
                    sample,
                    channel,
                    position,
                    keep.as_mut_ptr(),
                    keep.len()
                ));
                for (i, word) in keep.iter().enumerate() {
                    assert_eq!(*word, view.keep_word(position + 64 * i));
                }
            }
        }
    }
}

fn check_type<T: Type>(
    case: &Case,
    memory: *const dropblock_plan,
    plan: &Plan,
    words: &[u64],
    dropped: Dropped,
) {
    let (key, len, x) = (case.rust_key(), plan.extent(), tensor::<T>(plan.extent()));
    let (from, n) = (x.as_ptr().cast(), T::NUMBER);
    let old: Vec<T> = x.iter().rev().copied().collect();
    let given = c_dropped(dropped);

    // Forward, to another tensor and in place, with a mask and without.
    let mut ours = old.clone();
    assert_eq!(plan.forward(key, &x, &mut ours, None), Ok(dropped));
    for with_mask in [false, true] {
        let (mut theirs, mut here) = (old.clone(), x.clone());
        let mut mask = vec![9; words.len()];
        let (pointer, mask_len) =
            if with_mask { (mask.as_mut_ptr(), mask.len()) } else { (null_mut(), 0) };
        let (mut first, mut second) = (EMPTY, EMPTY);
        let y = theirs.as_mut_ptr().cast();
        let result = &raw mut first;
        call!(dropblock_forward(
            memory, &case.key, n, from, len, y, len, pointer, mask_len, result
        ));
        let y: *mut c_void = here.as_mut_ptr().cast();
        let result = &raw mut second;
        call!(dropblock_forward(memory, &case.key, n, y, len, y, len, pointer, mask_len, result));
        assert_eq!((first, second), (given, given));
        assert_eq!(bits(&ours), bits(&theirs));
        let mut here_ours = x.clone();
        assert!(plan.forward_in_place(key, &mut here_ours, None).is_ok());
        assert_eq!(bits(&here_ours), bits(&here));
        assert!(!with_mask || mask == words);
    }

    let mut ours = old.clone();
    let mut theirs = old.clone();
    assert!(plan.backward(key, &dropped, &x, &mut ours).is_ok());
    let y = theirs.as_mut_ptr().cast();
    call!(dropblock_backward(memory, &case.key, &given, n, from, len, y, len));
    assert_eq!(bits(&ours), bits(&theirs));
    ours.copy_from_slice(&x);
    theirs.copy_from_slice(&x);
    let y: *mut c_void = theirs.as_mut_ptr().cast();
    call!(dropblock_backward(memory, &case.key, &given, n, y, len, y, len));
    assert!(plan.backward_in_place(key, &dropped, &mut ours).is_ok());
    assert_eq!(bits(&ours), bits(&theirs));

    let (mask, mask_len) = (words.as_ptr(), words.len());
    let (mut ours, mut theirs) = (old.clone(), old);
    let y = theirs.as_mut_ptr().cast();
    call!(dropblock_apply(memory, mask, mask_len, &given, n, from, len, y, len));
    assert!(plan.apply(words, &dropped, &x, &mut ours).is_ok());
    assert_eq!(bits(&ours), bits(&theirs));
    let y: *mut c_void = theirs.as_mut_ptr().cast();
    call!(dropblock_apply(memory, mask, mask_len, &given, n, y, len, y, len));
    assert!(plan.apply_in_place(words, &dropped, &mut ours).is_ok());
    assert_eq!(bits(&ours), bits(&theirs));
    call!(dropblock_fill_noise(memory, &case.key, mask, mask_len, n, y, len));
    assert!(plan.fill_noise(key, words, &mut ours).is_ok());
    assert_eq!(bits(&ours), bits(&theirs));
}

fn check_drop_only<T: Copy + PartialEq + core::fmt::Debug + TryFrom<u64>>(
    case: &Case,
    memory: *const dropblock_plan,
    plan: &Plan,
    words: &[u64],
    filler: T,
) {
    let len = plan.extent();
    let x: Vec<T> = (0..len).filter_map(|i| T::try_from(i as u64 % 251).ok()).collect();
    let (mut ours, mut theirs, mut dropped) = (x.clone(), x.clone(), EMPTY);
    let (size, filler_at) = (size_of::<T>(), (&raw const filler).cast());
    let expected = plan.drop_only(case.rust_key(), &mut ours, filler, None).map(c_dropped);
    for with_mask in [false, true] {
        theirs.copy_from_slice(&x);
        let mut mask = vec![9; words.len()];
        let (pointer, mask_len) =
            if with_mask { (mask.as_mut_ptr(), mask.len()) } else { (null_mut(), 0) };
        let (y, result) = (theirs.as_mut_ptr().cast(), &raw mut dropped);
        call!(dropblock_drop_only(
            memory, &case.key, size, filler_at, y, len, pointer, mask_len, result
        ));
        assert_eq!((&ours, expected), (&theirs, Ok(dropped)));
        assert!(!with_mask || mask == words);
    }
    theirs.copy_from_slice(&x);
    let (y, mask_len) = (theirs.as_mut_ptr().cast(), words.len());
    let mask = if mask_len == 0 { null() } else { words.as_ptr() };
    call!(dropblock_fill_dropped(memory, mask, mask_len, size, filler_at, y, len));
    assert_eq!(ours, theirs);
}
