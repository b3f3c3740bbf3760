//! What takes a plan: passes, stages, views and scales.

use std::ffi::c_void;

use arbitrary::Arbitrary;
use dropblock_fuzz::arena::{At, Length, Place};
use dropblock_fuzz::{AnyKey, Number};

use super::{Caller, Outcome, PlanChoice, behind_plans};
use crate::passes::*;
use crate::plan::*;
use crate::stages::*;
use crate::types::*;
use crate::view::*;

/// So many units that a pass takes no time.
const FEW: usize = 1 << 17;

/// A count that may be wrong.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Count {
    Part(u8),
    Any(Number, Number),
}

#[derive(Arbitrary, Debug)]
pub(super) struct Pass {
    which: u8,
    plan: PlanChoice,
    key_at: Place,
    key: AnyKey,
    count_at: Place,
    count: Count,
    kind: u8,
    x: Place,
    x_len: Length,
    y: Place,
    y_len: Length,
    in_place: bool,
    mask: Place,
    mask_len: Length,
    no_mask: bool,
    filler: Place,
}

#[derive(Arbitrary, Debug)]
pub(super) struct Ask {
    which: u8,
    plan: PlanChoice,
    key_at: Place,
    key: AnyKey,
    count: Count,
    result: Place,
    mask: Place,
    mask_len: Length,
    keep: Place,
    keep_len: Length,
    numbers: [Number; 3],
    no_function: u8,
}

const KEY: usize = size_of::<dropblock_key>();
const DROPPED: usize = size_of::<dropblock_dropped>();

impl Caller {
    fn count(&self, count: Count) -> dropblock_dropped {
        let of = self.units as u64;
        match count {
            Count::Part(part) => {
                dropblock_dropped { count: (u128::from(of) * u128::from(part) / 255) as u64, of }
            }
            Count::Any(count, of) => {
                dropblock_dropped { count: count.get() as u64, of: of.get() as u64 }
            }
        }
    }

    pub(super) fn pass(
        &mut self,
        pass: &Pass,
        error: *mut dropblock_error,
    ) -> Option<dropblock_status> {
        if self.units > FEW {
            return None;
        }
        // Structs first, so that plans are what they are chosen to be.
        let key_at = behind_plans(pass.key_at.get());
        let key = self.arena.put(key_at, raw_key(pass.key));
        let count_at = behind_plans(pass.count_at.get());
        let count = self.count(pass.count);
        let dropped = self.arena.put(count_at, count);
        let (plan_at, bad_plan) = self.chosen(pass.plan);

        let which = pass.which % 6;
        let drops = which >= 4;
        let kind = super::listed(pass.kind.wrapping_add(1), if drops { 9 } else { 5 });
        let size = match (drops, kind) {
            (false, 1) | (true, 4) => 4,
            (false, 2) | (true, 8) => 8,
            (false, 3 | 4) | (true, 2) => 2,
            (true, 1) => 1,
            _ => 0,
        };
        let known = size > 0;
        let element = size.max(1);
        let (extent, words) = (self.extent, self.mask_len);
        let y = pass.y.get();
        let y_len = pass.y_len.exact(y, element, extent);
        let in_place = pass.in_place;
        let x = if in_place { y } else { pass.x.get() };
        let x_len = pass.x_len.exact(x, element, extent);
        let reads_mask = matches!(which, 2 | 3 | 5);
        let no_mask = pass.no_mask && !reads_mask;
        let mask = if no_mask { At(None) } else { pass.mask.get() };
        let mask_len = if no_mask { 0 } else { pass.mask_len.at_least(mask, words) };
        let filler = pass.filler.get();

        let plan_bytes = size_of::<dropblock_plan>();
        let bytes = |len: usize| len.saturating_mul(element);
        let mut bad = bad_plan || !known;
        let y_bytes = bytes(extent);
        bad |= y_len != extent || y.is_bad(y_len, element, element);
        bad |= y.overlaps(y_bytes, plan_at, plan_bytes);
        if which < 3 {
            bad |= x_len != extent || x.is_bad(x_len, element, element);
            bad |= x.0 != y.0 && x.overlaps(y_bytes, y, y_bytes);
        }
        if which != 1 {
            let missing = mask.0.is_none() && mask_len == 0 && !reads_mask;
            bad |= !missing && (mask_len < words || mask.is_bad(words, 8, 8));
            if !missing {
                bad |= y.overlaps(y_bytes, mask, words * 8);
            }
            if !missing && !reads_mask {
                bad |= mask.overlaps(words * 8, plan_at, plan_bytes);
                bad |= which == 0 && mask.overlaps(words * 8, x, y_bytes);
            }
        }
        if matches!(which, 0 | 1 | 3 | 4) {
            bad |= key_at.is_bad(1, KEY, 8);
        }
        if matches!(which, 0 | 1 | 2 | 4) {
            bad |= count_at.is_bad(1, DROPPED, 8);
        }
        if matches!(which, 0 | 4) {
            bad |= count_at.overlaps(DROPPED, y, y_bytes);
            bad |= !no_mask && count_at.overlaps(DROPPED, mask, words * 8);
        }
        if drops {
            bad |= filler.is_bad(1, element, element);
        }
        self.arena.remember();
        let plan = self.arena.pointer(plan_at);
        let (x, y_pointer) = (self.arena.pointer::<c_void>(x), self.arena.pointer::<c_void>(y));
        let words_pointer = self.arena.pointer::<u64>(mask);
        let fill = self.arena.pointer::<c_void>(filler);
        let (w, e) = (words_pointer, error);
        let size = kind as usize;
        // SAFETY: pointers are null or into the arena; lengths are true, or refused.
        let status = unsafe {
            match which {
                0 => dropblock_forward(
                    plan, key, kind, x, x_len, y_pointer, y_len, w, mask_len, dropped, e,
                ),
                1 => dropblock_backward(plan, key, dropped, kind, x, x_len, y_pointer, y_len, e),
                2 => {
                    dropblock_apply(plan, w, mask_len, dropped, kind, x, x_len, y_pointer, y_len, e)
                }
                3 => dropblock_fill_noise(plan, key, w, mask_len, kind, y_pointer, y_len, e),
                4 => dropblock_drop_only(
                    plan, key, size, fill, y_pointer, y_len, w, mask_len, dropped, e,
                ),
                _ => dropblock_fill_dropped(plan, w, mask_len, size, fill, y_pointer, y_len, e),
            }
        };
        let results = [(y, y_bytes), (mask, words * 8), (count_at, DROPPED)];
        let written: &[(At, usize)] = match which {
            0 | 4 => &results,
            _ => &results[..1],
        };
        self.finish(&Outcome { status, bad, written })
    }

    pub(super) fn ask(
        &mut self,
        ask: &Ask,
        error: *mut dropblock_error,
    ) -> Option<dropblock_status> {
        if self.units > FEW {
            return None;
        }
        let key_at = behind_plans(ask.key_at.get());
        let which = ask.which % 13;
        let key: *mut dropblock_key = self.arena.pointer(key_at);
        let count = self.count(ask.count);
        let dropped: *mut dropblock_dropped = self.arena.pointer(key_at);
        match which {
            0 | 1 => _ = self.arena.put(key_at, count),
            _ => _ = self.arena.put(key_at, raw_key(ask.key)),
        }
        let (plan_at, bad_plan) = self.chosen(ask.plan);
        let (words, plan_bytes) = (self.mask_len, size_of::<dropblock_plan>());
        let mask = ask.mask.get();
        let mask_len = ask.mask_len.at_least(mask, words);
        let keep = ask.keep.get();
        let keep_len = ask.keep_len.or_huge::<u64>(keep, 3);
        let [first, second, third] = ask.numbers.map(Number::get);
        let function = ask.no_function > 0;
        let result = ask.result.get();
        let result_bytes = match which {
            0 | 2 => 4,
            1 | 3 | 4 | 5 => 8,
            7..=10 => DROPPED,
            _ => 0,
        };

        let bad_key = key_at.is_bad(1, if which < 2 { DROPPED } else { KEY }, 8);
        let align = result_bytes.clamp(1, 8);
        let mut bad = bad_plan || result_bytes > 0 && result.is_bad(1, result_bytes, align);
        bad |= result.overlaps(result_bytes, plan_at, plan_bytes);
        let mask_bytes = words * 8;
        if matches!(which, 4..=9 | 11) {
            bad |= mask_len < words || mask.is_bad(words, 8, 8);
            bad |= result.overlaps(result_bytes, mask, mask_bytes);
        }
        if matches!(which, 4..=7) {
            bad |= mask.overlaps(mask_bytes, plan_at, plan_bytes);
        }
        bad |= matches!(which, 0 | 1 | 4 | 7 | 10) && bad_key;
        bad |= matches!(which, 5 | 10) && !function;
        bad |= which == 9 && first >= self.groups;
        if which == 11 {
            let keep_bytes = keep_len.saturating_mul(8);
            bad |= keep.is_bad(keep_len, 8, 8) || keep.overlaps(keep_bytes, mask, mask_bytes);
            bad |= keep.overlaps(keep_bytes, plan_at, plan_bytes);
        }
        self.arena.remember();
        let (p, m) = (self.arena.pointer(plan_at), self.arena.pointer(mask));
        let k = self.arena.pointer(keep);
        let to = self.arena.pointer::<c_void>(result);
        let mut state = first as u64;
        let context = (&raw mut state).cast();
        let draw: Option<dropblock_draw> = if function { Some(drawn) } else { None };
        let visit: Option<dropblock_visit> = if function { Some(visited) } else { None };
        let (len, e) = (mask_len, error);
        // SAFETY: pointers are null or into the arena; lengths are true, or refused.
        let status = unsafe {
            match which {
                0 => dropblock_plan_scale_f32(p, dropped, to.cast(), e),
                1 => dropblock_plan_scale_f64(p, dropped, to.cast(), e),
                2 => dropblock_plan_position_scale_f32(p, first, to.cast(), e),
                3 => dropblock_plan_position_scale_f64(p, first, to.cast(), e),
                4 => dropblock_centers(p, key, m, len, to.cast(), e),
                5 => dropblock_centers_from_draws(p, draw, context, m, len, to.cast(), e),
                6 => dropblock_dilate(p, m, len, e),
                7 => dropblock_mask(p, key, m, len, to.cast(), e),
                8 => dropblock_count(p, m, len, to.cast(), e),
                9 => dropblock_count_group(p, m, len, first, to.cast(), e),
                10 => dropblock_for_each_plane(p, key, visit, context, to.cast(), e),
                11 => dropblock_keep_words(p, m, len, first, second, third, k, keep_len, e),
                _ => dropblock_plan_check(p, e),
            }
        };
        let written = [
            (result, result_bytes),
            (mask, if matches!(which, 4..=7) { mask_bytes } else { 0 }),
            (keep, if which == 11 { keep_len.saturating_mul(8) } else { 0 }),
        ];
        self.finish(&Outcome { status, bad, written: &written })
    }
}

fn raw_key(key: AnyKey) -> dropblock_key {
    let first_sample = key.first_sample.get() as u64;
    dropblock_key { seed: key.seed, step: key.step, layer: key.layer, first_sample }
}

extern "C" fn drawn(context: *mut c_void) -> u32 {
    let state = context.cast::<u64>();
    // SAFETY: the caller's own number.
    let state = unsafe { &mut *state };
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    (*state >> 32) as u32
}

/// Reads all that it is shown.
extern "C" fn visited(_: *mut c_void, part: *const dropblock_plane_part) {
    // SAFETY: a part, which lives until this returns.
    let part = unsafe { &*part };
    assert_eq!(part.keep_len, part.len.div_ceil(64));
    // SAFETY: so many words, as it says.
    let keep = unsafe { std::slice::from_raw_parts(part.keep, part.keep_len) };
    if let (Some(last), 1..) = (keep.last(), part.len % 64) {
        assert_eq!(last >> (part.len % 64), 0, "behind the part");
    }
}
