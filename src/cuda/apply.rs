//! Which kernel applies a mask to a tensor, and in which parts.

use crate::Key;

use super::Error;
use super::driver::Work;
use super::geometry::{Change, Form, Tensors, key_words};
use super::launch::{MAX_PART, launch, parts};
use super::params::{Call, Div, FIRST_WIDTH, Kind, Last, Line, Periods, Scales, Shared};

/// Bytes of a vector, which a thread moves at once.
const VECTOR: u64 = 16;
const THREADS: usize = 256;
const LINE_THREADS: usize = 128;
/// The vectors that a block takes where scales are by group.
const GROUP_VECTORS: usize = 2 * THREADS;
/// The elements of a block that only drops.
const DROPPED: usize = 128 * THREADS;
/// The elements of a block of the general kernel.
const GENERAL: usize = 8 * THREADS;
/// Positions that a block takes where channels are last, and the most channels.
const TURNED: usize = 32;
const MAX_CHANNELS: usize = 2048;
/// Maps or samples that a thread serves where they share a mask.
const SHARED: usize = 4;
/// A line is cut at whole vectors, words and blocks of every kernel.
const CUT: usize = DROPPED;

/// Where the tensor and its mask begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    pub(super) x: u64,
    pub(super) y: u64,
    pub(super) words: u64,
}

impl Addresses {
    /// A part of a line from this element on, a multiple of 64.
    const fn line(&self, first: usize, bytes: u64, len: usize) -> Line {
        let offset = first as u64 * bytes;
        Line {
            x: self.x + offset,
            y: self.y + offset,
            words: self.words + first as u64 / 8,
            scales: Scales::same(0),
            periods: Periods::NONE,
            len: len as u32,
            whole: 0,
        }
    }
}

/// Scales by a mask, and writes 0 or noise to what it drops. The step of the noise is that of the key,
/// or lies at an address that is not 0.
pub(super) fn apply(
    work: &Work<'_>,
    tensors: &Tensors,
    (key, step): (Key, u64),
    kind: Kind,
    at: Addresses,
    scales: Scales,
    change: Change,
) -> Result<(), Error> {
    let vector = (VECTOR / kind.bytes()) as usize;
    let aligned = (at.x | at.y).is_multiple_of(VECTOR);
    let fast = aligned && change.value == Some(0) && !change.keep;
    let elements = tensors.plan.elements();
    // Only lines have a kernel for doubles.
    let same = scales.kind == 0;
    let rest = fast && same && kind != Kind::F64;
    if elements == 0 {
        // Where only channels are missing, kernels would still start for the positions.
        return Ok(());
    }
    match tensors.form() {
        Form::Line if fast && same => {
            let per_thread = if kind.bytes() == 2 { 2 } else { 1 };
            let block = LINE_THREADS * vector * per_thread;
            for (first, len) in parts(elements, CUT) {
                let line = at.line(first, kind.bytes(), len);
                let line = Line { scales, whole: (len / block) as u32, ..line };
                launch(work, &Call::Apply { kind, line }, len.div_ceil(block))?;
            }
            Ok(())
        }
        Form::Line
            if fast && scales.kind == 1 && kind != Kind::F64 && tensors.group() >= vector =>
        {
            let block = GROUP_VECTORS * vector;
            for (first, len) in parts(elements, CUT) {
                let line = at.line(first, kind.bytes(), len);
                let blocks = len.div_ceil(block);
                let periods = Periods::new(tensors.group() as u64, first as u64);
                // The last block has the end of the line.
                let line = Line { scales, periods, whole: blocks as u32 - 1, ..line };
                launch(work, &Call::Groups { kind, line }, blocks)?;
            }
            Ok(())
        }
        Form::Shared { outer, repeat, inner }
            if rest && inner.is_multiple_of(vector) && elements <= MAX_PART =>
        {
            let (inner, quads) = (inner / vector, repeat.div_ceil(SHARED));
            let threads = outer * quads * inner;
            let shared = Shared {
                x: at.x,
                y: at.y,
                words: at.words,
                scales,
                inner: Div::new(inner as u64),
                quads: Div::new(quads as u64),
                repeat: repeat as u32,
                threads: threads as u32,
            };
            launch(work, &Call::Shared { kind, shared }, threads.div_ceil(THREADS))
        }
        Form::Last { samples, plane, channels }
            if rest
                && channels.is_multiple_of(vector)
                && channels <= MAX_CHANNELS
                && samples * plane <= MAX_PART =>
        {
            let tiles = plane.div_ceil(TURNED);
            let last = Last {
                x: at.x,
                y: at.y,
                words: at.words,
                scales,
                tiles: Div::new(tiles as u64),
                channels: Div::new(channels as u64),
                plane: plane as u32,
                unused: 0,
            };
            launch(work, &Call::Last { kind, last }, samples * tiles)
        }
        _ => general(work, tensors, (key, step), kind as u64, at, scales, change),
    }
}

/// Writes a value to what a mask drops, elements of `1 << shift` bytes.
pub(super) fn drop_only(
    work: &Work<'_>,
    tensors: &Tensors,
    shift: u64,
    at: Addresses,
    value: u64,
) -> Result<(), Error> {
    if tensors.form() != Form::Line {
        let change = Change { value: Some(value), keep: true };
        let kind = FIRST_WIDTH + shift;
        return general(work, tensors, (Key::new(0), 0), kind, at, Scales::same(0), change);
    }
    for (first, len) in parts(tensors.plan.elements(), CUT) {
        let line = Line { whole: (len / DROPPED) as u32, ..at.line(first, 1 << shift, len) };
        launch(work, &Call::Drop { shift, value, line }, len.div_ceil(DROPPED))?;
    }
    Ok(())
}

fn general(
    work: &Work<'_>,
    tensors: &Tensors,
    (key, step): (Key, u64),
    kind: u64,
    at: Addresses,
    scales: Scales,
    change: Change,
) -> Result<(), Error> {
    let tensor = tensors.device_tensor(key, [at.x, at.y, at.words], change);
    let call = Call::General { kind, scales, tensor, key: key_words(key, step) };
    // One dimension of a grid holds no more; tiles grow.
    launch(work, &call, tensors.plan.elements().div_ceil(GENERAL).min(i32::MAX as usize))
}
