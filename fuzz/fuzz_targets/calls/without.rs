//! What takes no plan: dilation and schedules.

use arbitrary::Arbitrary;
use dropblock_fuzz::arena::{At, Length, Place};
use dropblock_fuzz::{Number, Probability};

use super::make::{Block, Map};
use super::{Caller, Outcome, behind_plans, listed};
use crate::constants::*;
use crate::dilation::*;
use crate::schedule::*;
use crate::types::*;

#[derive(Arbitrary, Debug)]
pub(super) struct Dilation {
    which: u8,
    at: Place,
    map: Map,
    map_at: Place,
    rank: Length,
    choices: [u8; 3],
    block: Block,
    maps: Number,
    from: Place,
    from_len: Length,
    to: Place,
    to_len: Length,
    in_place: bool,
}

const DILATION: usize = size_of::<dropblock_dilation>();

impl Caller {
    pub(super) fn dilation(
        &mut self,
        dilation: &Dilation,
        error: *mut dropblock_error,
    ) -> Option<dropblock_status> {
        let at = behind_plans(dilation.at.get());
        let (rank, sizes) = dilation.map.get();
        let [depth, height, width] = sizes;
        let [axes, alignment, backend] = dilation.choices;
        let block = dilation.block.get();
        if dilation.which % 4 == 3 {
            return self.dilation_init(dilation, sizes, error);
        }
        let value = dropblock_dilation {
            rank,
            axes: listed(axes, 3),
            alignment: listed(alignment, 3),
            backend: listed(backend, 5),
            depth,
            height,
            width,
            block,
        };
        let pointer = self.arena.put(at, value);
        let to = dilation.to.get();
        let mut bad = at.is_bad(1, DILATION, 8) || rank > 3 || value.axes > 2;
        bad |= block.reserved != 0 || block.kind > 3 || value.alignment > 2;
        let maps = dilation.maps.get();
        let map: usize = sizes.iter().try_fold(1_usize, |a, &b| a.checked_mul(b)).unwrap_or(0);
        match dilation.which % 4 {
            0 => {
                bad |= to.is_bad(1, 8, 8);
                self.arena.remember();
                let result = self.arena.pointer(to);
                // SAFETY: pointers are null or into the arena.
                let status = unsafe { dropblock_dilation_words(pointer, maps, result, error) };
                self.finish(&Outcome { status, bad, written: &[(to, 8)] })
            }
            1 => {
                let len = map.saturating_mul(maps % 5);
                let from = if dilation.in_place { to } else { dilation.from.get() };
                let from_len = dilation.from_len.or_huge::<u8>(from, len);
                let to_len = dilation.to_len.or_huge::<u8>(to, len);
                bad |= from_len != to_len;
                bad |= from.is_bad(from_len, 1, 1) || to.is_bad(to_len, 1, 1);
                bad |= from.0 != to.0 && from.overlaps(from_len, to, to_len);
                self.arena.remember();
                let (source, target) = (self.arena.pointer(from), self.arena.pointer(to));
                // SAFETY: pointers are null or into the arena; lengths are true, or refused.
                let status = unsafe {
                    dropblock_dilate_bytes(pointer, source, from_len, target, to_len, error)
                };
                self.finish(&Outcome { status, bad, written: &[(to, to_len)] })
            }
            _ => {
                let maps = if dilation.in_place { maps } else { maps % 9 };
                let needed = map.checked_mul(maps).map_or(0, |bits| bits.div_ceil(64));
                // Of more words than are needed no more are touched, but the crate says how many.
                let len = dilation.to_len.or_huge::<u64>(to, needed);
                let len = if needed > to.room() / 8 { len.min(needed - 1) } else { len };
                bad |= len < needed || to.is_bad(needed, 8, 8);
                self.arena.remember();
                let words = self.arena.pointer(to);
                // SAFETY: null or into the arena; so many words as are needed are there.
                let status = unsafe { dropblock_dilate_bits(pointer, maps, words, len, error) };
                self.finish(&Outcome { status, bad, written: &[(to, needed * 8)] })
            }
        }
    }

    fn dilation_init(
        &mut self,
        dilation: &Dilation,
        sizes: [usize; 3],
        error: *mut dropblock_error,
    ) -> Option<dropblock_status> {
        let (at, map_at) = (dilation.at.get(), behind_plans(dilation.map_at.get()));
        let map = self.arena.put(map_at, sizes).cast();
        let rank = dilation.rank.or_huge::<usize>(map_at, 2);
        let block = dilation.block.get().uniform;
        let bad = at.is_bad(1, DILATION, 8)
            || !(1..=3).contains(&rank)
            || map_at.is_bad(rank, 8, 8)
            || block == 0;
        self.arena.remember();
        let result = self.arena.pointer(at);
        // SAFETY: pointers are null or into the arena; the rank is true, or refused.
        let status = unsafe { dropblock_dilation_init(result, map, rank, block, error) };
        self.finish(&Outcome { status, bad, written: &[(at, DILATION)] })
    }

    pub(super) fn schedule(
        &mut self,
        schedule: &Schedule,
        error: *mut dropblock_error,
    ) -> Option<dropblock_status> {
        let [start, end] = schedule.values.map(Probability::get);
        let course = listed(schedule.course, 6);
        let result = schedule.result.get();
        if schedule.which % 3 == 0 {
            self.arena.remember();
            let place = self.arena.pointer(result);
            // SAFETY: null or into the arena.
            let status = unsafe { dropblock_schedule_init(place, course, start, end, error) };
            let size = size_of::<dropblock_schedule>();
            let bad = result.is_bad(1, size, 8) || course > 5;
            return self.finish(&Outcome { status, bad, written: &[(result, size)] });
        }
        let steps_at = behind_plans(schedule.steps_at.get());
        let mut step = 0_u64;
        for (i, &(more, value)) in schedule.steps.iter().take(6).enumerate() {
            step = step.wrapping_add(more.get() as u64);
            let size = size_of::<dropblock_step>();
            let at = At(steps_at.0.map(|at| at + i * size));
            self.arena.put(at, dropblock_step { step, value: value.get() });
        }
        let steps_len =
            schedule.steps_len.or_huge::<dropblock_step>(steps_at, schedule.steps.len());
        let at = behind_plans(schedule.at.get());
        let steps = self.arena.pointer::<dropblock_step>(steps_at).cast_const();
        let value = dropblock_schedule {
            course,
            reserved: u32::from(schedule.reserved == 7),
            start,
            end,
            held: schedule.numbers[2].get() as u64,
            steps,
            steps_len,
        };
        let pointer = self.arena.put(at, value);
        let [step, total] = [0, 1].map(|i| schedule.numbers[i].get() as u64);
        let mut bad = at.is_bad(1, size_of::<dropblock_schedule>(), 8) || result.is_bad(1, 8, 8);
        bad |= course > 5 || value.reserved != 0;
        let step_bytes = size_of::<dropblock_step>();
        bad |= course == DROPBLOCK_COURSE_STEPS
            && (steps_at.is_bad(steps_len, step_bytes, 8)
                || steps_len > DROPBLOCK_SCHEDULE_MAX_STEPS as usize
                || result.overlaps(8, steps_at, steps_len.saturating_mul(step_bytes)));
        self.arena.remember();
        let place = self.arena.pointer::<f64>(result);
        // SAFETY: pointers are null or into the arena; the length is true, or refused.
        let status = unsafe {
            if schedule.which % 3 == 1 {
                dropblock_schedule_at(pointer, step, total, place, error)
            } else {
                dropblock_schedule_block_size(pointer, step, total, place.cast(), error)
            }
        };
        self.finish(&Outcome { status, bad, written: &[(result, 8)] })
    }
}

#[derive(Arbitrary, Debug)]
pub(super) struct Schedule {
    which: u8,
    course: u8,
    reserved: u8,
    at: Place,
    values: [Probability; 2],
    steps_at: Place,
    steps: Vec<(Number, Probability)>,
    steps_len: Length,
    numbers: [Number; 3],
    result: Place,
}
