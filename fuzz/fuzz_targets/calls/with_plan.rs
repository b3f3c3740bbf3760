//! What takes a plan: passes, masks, stages and scales.

use std::ffi::c_void;

use arbitrary::Arbitrary;
use dropblock_fuzz::arena::{At, Length, Place};
use dropblock_fuzz::{AnyKey, Number};

use super::tensor::{Held, Tensor};
use super::{Caller, Outcome, PlanChoice, behind_plans};
use crate::mask::*;
use crate::passes::*;
use crate::plan::*;
use crate::stages::*;
use crate::types::*;

/// So many units that a pass takes no time.
const FEW: usize = 1 << 17;

/// A count that may be wrong.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Count {
    Part(u8),
    Any(Number, Number),
}

/// A mask, whose words may lie anywhere.
#[derive(Arbitrary, Debug)]
struct Mask {
    how: u8,
    words: Place,
    words_len: Length,
    /// The number of dropped units is left open, or given.
    count: Option<Count>,
    flags: u8,
}

#[derive(Arbitrary, Debug)]
pub(super) struct Pass {
    which: u8,
    plan: PlanChoice,
    key: AnyKey,
    key_at: u8,
    count: Option<Count>,
    kinds: [u8; 2],
    x: Tensor,
    y: Tensor,
    in_place: bool,
    mask: Mask,
    result: Place,
    value: Place,
}

#[derive(Arbitrary, Debug)]
pub(super) struct Ask {
    which: u8,
    plan: PlanChoice,
    key: AnyKey,
    key_at: u8,
    count: Count,
    has_count: bool,
    result: Place,
    mask: Mask,
    keep: Place,
    keep_len: Length,
    numbers: [Number; 3],
    no_function: u8,
}

const DRAWN: usize = size_of::<dropblock_drawn>();
const MASK: usize = size_of::<dropblock_mask>();
const PLAN: usize = size_of::<dropblock_plan>();

impl Mask {
    /// The struct, and whether it must be refused whatever it is used for.
    fn make(&self, caller: &mut Caller, key: AnyKey) -> (dropblock_mask, At, bool) {
        let (at, needed) = (self.words.get(), caller.mask_words);
        let words_len = self.words_len.at_least(at, needed);
        let flag = u32::from(self.flags);
        let mask = dropblock_mask {
            words: caller.arena.pointer(at),
            words_len,
            drawn: drawn(key, self.count.map(|count| caller.count(count))),
            has_key: if flag > 250 { flag } else { flag % 2 },
            reserved: u32::from(flag == 7),
        };
        (mask, at, words_len < needed || at.is_bad(needed, 8, 8) || mask.reserved != 0)
    }
}

/// A key, and a count if there is one.
fn drawn(key: AnyKey, count: Option<dropblock_drop_count>) -> dropblock_drawn {
    let count = count.unwrap_or(dropblock_drop_count { dropped: 1, total: 0 });
    dropblock_drawn { key: raw_key(key), count }
}

impl Caller {
    fn count(&self, count: Count) -> dropblock_drop_count {
        let total = self.units as u64;
        match count {
            Count::Part(part) => {
                let dropped = (u128::from(total) * u128::from(part) / 255) as u64;
                dropblock_drop_count { dropped, total }
            }
            Count::Any(dropped, total) => {
                dropblock_drop_count { dropped: dropped.get() as u64, total: total.get() as u64 }
            }
        }
    }

    pub(super) fn pass(
        &mut self,
        pass: &Pass,
        error: *mut dropblock_error,
    ) -> Option<dropblock_status> {
        if self.units > FEW || self.elements > FEW {
            return None;
        }
        let given = drawn(pass.key, pass.count.map(|count| self.count(count)));
        let given = Held::new(given, pass.key_at);
        let (plan_at, bad_plan) = self.chosen(pass.plan);

        let which = pass.which % 6;
        let (drops, has_mask) = (which >= 4, matches!(which, 2 | 3 | 5));
        let kinds = pass.kinds.map(|kind| super::listed(kind.wrapping_add(1), 9));
        let y_kind = if pass.kinds[1] < 250 { kinds[0] } else { kinds[1] };
        let size = |kind: u32| match kind {
            1 | 7 => 4,
            2 | 8 => 8,
            3 | 4 | 6 => 2,
            _ => 1,
        };
        let shape = (self.sizes, self.elements);
        let x = if pass.in_place { &pass.y } else { &pass.x };
        let x = x.make(&mut self.arena, shape, (kinds[0], size(kinds[0])));
        let y = pass.y.make(&mut self.arena, shape, (y_kind, size(y_kind)));
        let (mask, words, bad_mask) = pass.mask.make(self, pass.key);
        let mask = Held::new(mask, pass.mask.how);
        let (result, value, words_bytes) =
            (pass.result.get(), pass.value.get(), self.mask_words * 8);

        let most = if drops { 8 } else { 4 };
        let mut bad = bad_plan || !(1..=most).contains(&y_kind) || y.is_bad;
        bad |= y.at.overlaps(y.bytes, plan_at, PLAN);
        if !drops {
            bad |= x.is_bad || kinds[0] != y_kind;
            bad |= !x.is_same(&y) && x.at.overlaps(x.bytes, y.at, y.bytes);
        }
        if has_mask {
            bad |= bad_mask || mask.is_bad() || y.at.overlaps(y.bytes, words, words_bytes);
        } else {
            bad |= given.is_bad();
        }
        let has_result = matches!(which, 0 | 4);
        if has_result && result.0.is_some() {
            bad |= result.is_bad(1, DRAWN, 8) || result.overlaps(DRAWN, plan_at, PLAN);
            bad |= result.overlaps(DRAWN, y.at, y.bytes);
            bad |= !drops && result.overlaps(DRAWN, x.at, x.bytes);
        }
        if drops {
            bad |= value.is_bad(1, size(y_kind), size(y_kind));
        }
        self.arena.remember();
        let plan = self.arena.pointer(plan_at);
        let (to, of) = (self.arena.pointer(result), self.arena.pointer::<c_void>(value));
        let (from, key) = (given.pointer(), given.pointer().cast());
        let (m, x_at, y_at, e) = (mask.pointer(), x.pointer(), y.pointer(), error);
        // SAFETY: pointers are null, or to values here or in the arena; lengths are true, or
        // refused.
        let status = unsafe {
            match which {
                0 => dropblock_forward(plan, from, x_at, y_at, to, e),
                1 => dropblock_backward(plan, from, x_at, y_at, e),
                2 => dropblock_mask_forward(plan, m, x_at, y_at, e),
                3 => dropblock_mask_backward(plan, m, x_at, y_at, e),
                4 => dropblock_drop_only(plan, key, y_at, of, to, e),
                _ => dropblock_mask_drop_only(plan, m, y_at, of, e),
            }
        };
        let written = [(y.at, y.bytes), (result, if has_result { DRAWN } else { 0 })];
        self.finish(&Outcome { status, bad, written: &written })
    }

    pub(super) fn ask(
        &mut self,
        ask: &Ask,
        error: *mut dropblock_error,
    ) -> Option<dropblock_status> {
        if self.units > FEW || self.elements > FEW {
            return None;
        }
        let which = ask.which % 17;
        let count = self.count(ask.count);
        let given = Held::new(drawn(ask.key, ask.has_count.then_some(count)), ask.key_at);
        let given_count = Held::new(count, ask.key_at);
        let (mask, words_at, bad_words) = ask.mask.make(self, ask.key);
        // A mask that is changed lies in the arena.
        let is_changed = matches!(which, 9 | 10);
        let result = ask.result.get();
        let result = if is_changed { behind_plans(result) } else { result };
        if is_changed {
            self.arena.put(result, mask);
        }
        let (plan_at, bad_plan) = self.chosen(ask.plan);
        let held = Held::new(mask, ask.mask.how);
        let words_bytes = self.mask_words * 8;
        let keep = ask.keep.get();
        let keep_len = ask.keep_len.or_huge::<u64>(keep, 3);
        let [first, second, third] = ask.numbers.map(Number::get);
        let function = ask.no_function > 0;
        let result_bytes = match which {
            0 | 2 => 4,
            1 | 3 | 4 | 5 | 15 => 8,
            7..=10 => MASK,
            11 => size_of::<dropblock_drop_count>(),
            13 | 14 => DRAWN,
            _ => 0,
        };

        let mut bad = bad_plan;
        if result_bytes > 0 && !(which == 13 && result.0.is_none()) {
            bad |= result.is_bad(1, result_bytes, result_bytes.min(8));
            bad |= result.overlaps(result_bytes, plan_at, PLAN);
        }
        let has_words = (4..=12).contains(&which);
        let writes_words = matches!(which, 4..=7);
        if has_words {
            bad |= mask.words_len < self.mask_words || words_at.is_bad(self.mask_words, 8, 8);
            bad |= result.overlaps(result_bytes, words_at, words_bytes);
            bad |= writes_words && words_at.overlaps(words_bytes, plan_at, PLAN);
        }
        bad |= matches!(which, 9 | 10) && bad_words;
        bad |= matches!(which, 11 | 12) && (bad_words || held.is_bad());
        bad |= matches!(which, 0 | 1 | 9) && given_count.is_bad();
        bad |= matches!(which, 4 | 7 | 10 | 13 | 14) && given.is_bad();
        bad |= matches!(which, 5 | 13) && !function;
        bad |= which == 11 && first >= self.groups;
        if which == 12 {
            let keep_bytes = keep_len.saturating_mul(8);
            bad |= keep.is_bad(keep_len, 8, 8);
            bad |= keep.overlaps(keep_bytes, words_at, words_bytes);
            bad |= keep.overlaps(keep_bytes, plan_at, PLAN);
        }
        let size = if third % 9 == 0 { PLAN - 1 - third % 99 } else { PLAN + third % 9 };
        if which == 15 {
            bad |= size < PLAN || keep.is_bad(1, PLAN, 8) || keep.overlaps(PLAN, plan_at, PLAN);
            bad |= keep.overlaps(PLAN, result, 8);
        }
        self.arena.remember();
        let (p, w) = (self.arena.pointer(plan_at), self.arena.pointer(words_at));
        let k = self.arena.pointer::<u64>(keep);
        let to = self.arena.pointer::<c_void>(result);
        let mut state = first as u64;
        let context = (&raw mut state).cast();
        let draw: Option<dropblock_draw_bits> = if function { Some(draw_bits) } else { None };
        let visit: Option<dropblock_visit> = if function { Some(visited) } else { None };
        let (len, m, e) = (mask.words_len, held.pointer(), error);
        let (from, key) = (given.pointer(), given.pointer().cast());
        let c = given_count.pointer();
        // SAFETY: pointers are null, or to values here or in the arena; lengths are true, or
        // refused.
        let status = unsafe {
            match which {
                0 => dropblock_plan_scale_f32(p, c, to.cast(), e),
                1 => dropblock_plan_scale_f64(p, c, to.cast(), e),
                2 => dropblock_plan_position_scale_f32(p, first, to.cast(), e),
                3 => dropblock_plan_position_scale_f64(p, first, to.cast(), e),
                4 => dropblock_draw_centers(p, key, w, len, to.cast(), e),
                5 => dropblock_draw_centers_from(p, draw, context, w, len, to.cast(), e),
                6 => dropblock_dilate(p, w, len, e),
                7 => dropblock_draw(p, key, w, len, to.cast(), e),
                8 => dropblock_mask_from(p, w, len, to.cast(), e),
                9 => dropblock_mask_with_count(p, to.cast(), c, e),
                10 => dropblock_mask_with_key(p, to.cast(), key, e),
                11 => dropblock_mask_count_group(p, m, first, to.cast(), e),
                12 => dropblock_mask_keep_words(p, m, first, second, third, k, keep_len, e),
                13 => dropblock_for_each_map(p, from, visit, context, to.cast(), e),
                14 => dropblock_count(p, key, to.cast(), e),
                15 => dropblock_plan_with_samples(p, first, k.cast(), size, to.cast(), e),
                _ => dropblock_plan_check(p, e),
            }
        };
        let written = [
            (result, result_bytes),
            (words_at, if writes_words { words_bytes } else { 0 }),
            match which {
                12 => (keep, keep_len.saturating_mul(8)),
                15 => (keep, PLAN),
                _ => (keep, 0),
            },
        ];
        self.finish(&Outcome { status, bad, written: &written })
    }
}

fn raw_key(key: AnyKey) -> dropblock_key {
    let first_sample = key.first_sample.get() as u64;
    dropblock_key { seed: key.seed, step: key.step, layer: key.layer, first_sample }
}

extern "C" fn draw_bits(context: *mut c_void) -> u32 {
    let state = context.cast::<u64>();
    // SAFETY: the caller's own number.
    let state = unsafe { &mut *state };
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    (*state >> 32) as u32
}

/// Reads all that it is shown.
extern "C" fn visited(_: *mut c_void, part: *const dropblock_map_part) {
    // SAFETY: a part, which lives until this returns.
    let part = unsafe { &*part };
    assert_eq!(part.keep_len, part.len.div_ceil(64));
    // SAFETY: so many words, as it says.
    let keep = unsafe { std::slice::from_raw_parts(part.keep, part.keep_len) };
    if let (Some(last), 1..) = (keep.last(), part.len % 64) {
        assert_eq!(last >> (part.len % 64), 0, "behind the part");
    }
}
