//! Options, shapes and plans.

use arbitrary::Arbitrary;
use dropblock_fuzz::arena::{At, DATA, Length, Place};
use dropblock_fuzz::{Number, Probability};

use super::{Caller, Outcome, behind_plans, listed};
use crate::constants::*;
use crate::options::*;
use crate::plan::*;
use crate::shape::*;
use crate::types::*;

/// A block size.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) struct Block {
    kind: u8,
    reserved: u8,
    fraction: Probability,
    sizes: [Number; 2],
}

impl Block {
    pub(super) fn get(self) -> dropblock_block {
        let [first, second] = self.sizes.map(Number::get);
        dropblock_block {
            kind: listed(self.kind, 4),
            reserved: u32::from(self.reserved == 7),
            fraction: self.fraction.get(),
            uniform: first,
            depth: second,
            height: first,
            width: second,
        }
    }
}

/// Sizes of a map, mostly small.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) enum Map {
    Small(u8, [u8; 3]),
    Any(u8, [Number; 3]),
}

impl Map {
    /// Rank and sizes, 1 where an axis is missing.
    pub(super) fn get(self) -> (u32, [usize; 3]) {
        match self {
            Self::Small(rank, sizes) => {
                let rank = u32::from(rank) % 3 + 1;
                let size = |axis: usize| usize::from(sizes[axis]) % 20;
                (rank, std::array::from_fn(|i| if i as u32 + rank < 3 { 1 } else { size(i) }))
            }
            Self::Any(rank, sizes) => (listed(rank, 5), sizes.map(Number::get)),
        }
    }
}

#[derive(Arbitrary, Debug)]
pub(super) struct Plan {
    memory: u8,
    size: u8,
    options_at: Place,
    options_size: u8,
    newer: u8,
    choices: [u8; 9],
    drop_prob: Probability,
    has_gamma: u8,
    gamma: Probability,
    block: Block,
    shape_at: Place,
    reserved: u8,
    map: Map,
    channels: Number,
    samples: u8,
    layout: u8,
    result: Place,
}

/// A plan for a small shape, in few bytes.
#[derive(Arbitrary, Debug)]
pub(super) struct Start {
    map: [u8; 4],
    block: u8,
    drop_prob: u16,
    choices: [u8; 6],
    channels: u8,
    samples: u8,
    layout: u8,
}

impl Start {
    pub(super) fn plan(&self) -> Plan {
        let [rank, depth, height, width] = self.map;
        let [gamma, region, alignment, sharing, scale, fill] = self.choices;
        let size = Number::Small(self.block % 9 + 1);
        Plan {
            memory: 0,
            size: 0,
            options_at: Place::behind(0),
            options_size: 0,
            newer: 0,
            choices: [
                0,
                0,
                gamma % 4,
                region % 3,
                alignment % 3,
                sharing % 5,
                scale % 7,
                fill % 3,
                0,
            ],
            drop_prob: Probability::Part(self.drop_prob),
            has_gamma: gamma % 2,
            gamma: Probability::Part(u16::MAX),
            block: Block { kind: 0, reserved: 0, fraction: Probability::Part(9), sizes: [size; 2] },
            shape_at: Place::behind(100),
            reserved: 0,
            map: Map::Small(rank, [depth % 5, height % 9, width % 17]),
            channels: Number::Small(self.channels % 9),
            samples: self.samples,
            layout: self.layout % 2,
            result: Place::behind(200),
        }
    }
}

impl Plan {
    /// Whether the exact fraction is known soon: it takes time in proportion to the block's depth
    /// and height, here only bounded by the map's.
    fn is_quick(&self) -> bool {
        let (_, [depth, height, _]) = self.map.get();
        depth.saturating_mul(height) < 1 << 16
    }
}

impl Caller {
    pub(super) fn plan(
        &mut self,
        plan: &Plan,
        error: *mut dropblock_error,
    ) -> Option<dropblock_status> {
        let needed = dropblock_plan_size();
        // A plan is only made in the first slot.
        let memory = match 255 - plan.memory {
            0 => At(None),
            1..=7 => At(Some(usize::from(255 - plan.memory))),
            _ => At(Some(0)),
        };
        let size = match 255 - plan.size {
            0..=9 => usize::from(255 - plan.size),
            10..=12 => needed - 1 - usize::from(plan.size % 8),
            13 => usize::MAX,
            _ => needed + usize::from(plan.size % 8),
        };
        let options_at = behind_plans(plan.options_at.get());
        let options = self.arena.put(options_at, made_options(plan));
        let real = size_of::<dropblock_options>();
        if let (Some(at), 1..=9) = (options_at.0, plan.newer) {
            // What lies behind a struct of a newer version.
            let tail = if plan.newer % 2 == 0 { 0 } else { plan.newer };
            self.arena.put_bytes(at + real, &[tail; 64]);
        }
        let shape_at = behind_plans(plan.shape_at.get());
        let shape = self.arena.put(shape_at, made_shape(plan));
        let result_at = plan.result.get();
        let result = self.arena.pointer::<*mut dropblock_plan>(result_at);
        let bad = memory.is_bad(1, needed, 8)
            || size < needed
            || options_at.is_bad(1, real, align_of::<dropblock_options>())
            || shape_at.is_bad(1, size_of::<dropblock_shape>(), align_of::<dropblock_shape>())
            || result_at.is_bad(1, 8, 8)
            || memory.overlaps(needed, result_at, 8);
        self.arena.remember();
        let memory_pointer = self.arena.pointer(memory);
        // SAFETY: the pointers are null or into the arena, and what they point to is there.
        let status =
            unsafe { dropblock_plan_init(memory_pointer, size, options, shape, result, error) };
        let written = [(memory, needed), (result_at, 8)];
        let status = self.finish(&Outcome { status, bad, written: &written });
        if status == Some(DROPBLOCK_OK) {
            // SAFETY: neither null nor misaligned, as it was not refused.
            assert_eq!(unsafe { result.read() }.cast(), memory_pointer);
            let shape = made_shape(plan);
            self.adopt(&shape, plan.is_quick());
        }
        status
    }

    pub(super) fn shape(
        &mut self,
        shape: &Shape,
        error: *mut dropblock_error,
    ) -> Option<dropblock_status> {
        let at = shape.at.get();
        let (_, sizes) = shape.map.get();
        let map_at = behind_plans(shape.map_at.get());
        self.arena.put(map_at, sizes);
        let (pointer, map) = (self.arena.pointer(at), self.arena.pointer(map_at));
        let rank = shape.rank.or_huge::<usize>(map_at, 1 + usize::from(shape.which) % 3);
        let [samples, channels] = shape.numbers.map(Number::get);
        let [d, h, w] = sizes;
        self.arena.remember();
        let bad = at.is_bad(1, size_of::<dropblock_shape>(), align_of::<dropblock_shape>());
        // SAFETY: the pointers are null or into the arena, and what they point to is there.
        let (status, bad) = unsafe {
            match shape.which % 8 {
                0 => (dropblock_shape_ncl(pointer, samples, channels, w), bad),
                1 => (dropblock_shape_nlc(pointer, samples, w, channels), bad),
                2 => (dropblock_shape_nchw(pointer, samples, channels, h, w), bad),
                3 => (dropblock_shape_nhwc(pointer, samples, h, w, channels), bad),
                4 => (dropblock_shape_ncdhw(pointer, samples, channels, d, h, w), bad),
                5 => (dropblock_shape_ndhwc(pointer, samples, d, h, w, channels), bad),
                _ => {
                    let layout = listed(shape.layout, 2);
                    let bad = bad
                        || !(1..=3).contains(&rank)
                        || map_at.is_bad(rank, 8, 8)
                        || layout > 1
                        || self.bad_error;
                    let status =
                        dropblock_shape_init(pointer, samples, channels, map, rank, layout, error);
                    (status, bad)
                }
            }
        };
        let written = [(at, size_of::<dropblock_shape>())];
        if shape.which % 8 < 6 {
            // These give no error.
            self.errors.error.status = if status == DROPBLOCK_OK { 77 } else { status };
            assert_eq!(status == DROPBLOCK_OK, !bad);
            self.arena.check(if bad { &[] } else { &written });
            return None;
        }
        self.finish(&Outcome { status, bad, written: &written })
    }

    pub(super) fn options(
        &mut self,
        init: &Init,
        error: *mut dropblock_error,
    ) -> Option<dropblock_status> {
        let at = init.at.get();
        let real = size_of::<dropblock_options>();
        let size = init.size.or_huge::<u8>(at, real);
        let pointer = self.arena.pointer(at);
        self.arena.remember();
        let (block, p) = (init.block.get(), init.drop_prob.get());
        // SAFETY: null, or as many bytes as are said.
        let status = unsafe { dropblock_options_init(pointer, size, block, p, error) };
        let bad = at.is_bad(1, real, align_of::<dropblock_options>())
            || !(0.0..=1.0).contains(&p)
            || block == 0
            || size < real;
        self.finish(&Outcome { status, bad, written: &[(at, size)] })
    }
}

#[derive(Arbitrary, Debug)]
pub(super) struct Shape {
    which: u8,
    at: Place,
    map_at: Place,
    map: Map,
    rank: Length,
    numbers: [Number; 2],
    layout: u8,
}

#[derive(Arbitrary, Debug)]
pub(super) struct Init {
    at: Place,
    size: Length,
    block: Number,
    drop_prob: Probability,
}

fn made_options(plan: &Plan) -> dropblock_options {
    let real = size_of::<dropblock_options>() as u32;
    let [preset, mode, gamma, region, alignment, sharing, scale, fill, backend] = plan.choices;
    dropblock_options {
        size: match 255 - plan.options_size {
            0..=5 => u32::from(255 - plan.options_size) * 27,
            6 => u32::MAX,
            7..=9 => real + 1 + u32::from(plan.newer),
            _ => real,
        },
        preset: listed(preset, 6),
        mode: listed(mode, 2),
        region: listed(region, 3),
        alignment: listed(alignment, 3),
        sharing: listed(sharing, 5),
        scale: listed(scale, 7),
        fill: listed(fill, 3),
        backend: listed(backend, 5),
        reserved: u32::from(plan.reserved == 8),
        drop_prob: plan.drop_prob.get(),
        gamma: made_gamma(plan, listed(gamma, 5)),
        block: plan.block.get(),
    }
}

/// A value where one is needed, as a rule.
fn made_gamma(plan: &Plan, kind: dropblock_gamma_kind) -> dropblock_gamma {
    let kind = match kind {
        DROPBLOCK_GAMMA_EXACT if !plan.is_quick() => DROPBLOCK_GAMMA_RAW,
        kind => kind,
    };
    let has_value = match (255 - plan.has_gamma, kind) {
        (0..=9, _) => u32::from(255 - plan.has_gamma) % 3,
        (_, DROPBLOCK_GAMMA_DEFAULT | DROPBLOCK_GAMMA_EXACT) => 0,
        (_, DROPBLOCK_GAMMA_RAW) => 1,
        _ => u32::from(plan.has_gamma % 2),
    };
    let value = if has_value > 0 || plan.has_gamma == 240 { plan.gamma.get() } else { 0.0 };
    dropblock_gamma { kind, has_value, value }
}

fn made_shape(plan: &Plan) -> dropblock_shape {
    let (rank, [depth, height, width]) = plan.map.get();
    let (samples, channels) = (usize::from(plan.samples) % 9, plan.channels.get());
    let layout = listed(plan.layout, 2);
    dropblock_shape { rank, layout, samples, channels, depth, height, width }
}

const _: () = assert!(DATA % 8 == 0);
