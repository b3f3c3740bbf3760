//! Random cases, and buffers on the heap for them.

pub(crate) use dropblock_cases::{Case, Place, pack};

use dropblock::{DropCount, Map};
use proptest::prelude::*;

/// Written before and after every buffer that an operation may write.
const CANARY: u64 = 0xc0ff_ee00_dead_beef;
const PADDING: usize = 9;

/// The most elements of a case: the oracle is slow.
const MOST: usize = 300_000;

pub(crate) fn cases() -> impl Strategy<Value = Case> {
    dropblock_cases::cases(MOST)
}

pub(crate) fn maps() -> impl Strategy<Value = Map> {
    dropblock_cases::maps(MOST)
}

/// A tensor with a NaN, infinities, zeros and denormals among ordinary values.
pub(crate) fn tensor(len: usize) -> Vec<f32> {
    let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, f32::MIN_POSITIVE / 8.0];
    (0..len)
        .map(|i| match i % 29 {
            rest if rest < special.len() => special[rest],
            rest => (rest as f32 - 11.0) * 0.37 + i as f32 * 1e-4,
        })
        .collect()
}

pub(crate) fn bits_of(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

pub(crate) fn count(mask: &[bool]) -> DropCount {
    let dropped = mask.iter().filter(|&&dropped| dropped).count() as u64;
    DropCount { dropped, total: mask.len() as u64 }
}

/// A buffer of quiet NaN, each with a payload of its own.
pub(crate) fn dirty(len: usize) -> Vec<f32> {
    (0..len as u32).map(|i| f32::from_bits(0x7fc0_0000 | i & 0x003f_ffff)).collect()
}

/// Runs `write` on a dirty buffer of `len` words amid canaries, and returns the buffer.
pub(crate) fn guarded_words<R>(len: usize, write: impl FnOnce(&mut [u64]) -> R) -> (Vec<u64>, R) {
    let mut buffer = vec![CANARY; len + 2 * PADDING];
    let result = write(&mut buffer[PADDING..PADDING + len]);
    assert!(buffer[..PADDING].iter().chain(&buffer[PADDING + len..]).all(|&word| word == CANARY));
    (buffer[PADDING..PADDING + len].to_vec(), result)
}

/// Runs `write` on `x` amid canaries, and returns the result.
pub(crate) fn guarded<R>(x: &[f32], write: impl FnOnce(&mut [f32]) -> R) -> (Vec<f32>, R) {
    let canary = f32::from_bits(CANARY as u32);
    let mut buffer = vec![canary; x.len() + 2 * PADDING];
    let inside = PADDING..PADDING + x.len();
    buffer[inside.clone()].copy_from_slice(x);
    let result = write(&mut buffer[inside.clone()]);
    for (i, value) in buffer.iter().enumerate() {
        assert!(inside.contains(&i) || value.to_bits() == CANARY as u32, "canary {i} is dead");
    }
    (buffer[inside].to_vec(), result)
}

/// Small masks as text, `.` kept and `#` dropped, planes apart by an empty line.
pub(crate) fn draw(mask: &[bool], map: Map) -> String {
    let [d, h, w] = map.size();
    let mut text = String::new();
    for (row, units) in mask.chunks(w.max(1)).enumerate() {
        if row > 0 && row % (d * h) == 0 {
            text.push('\n');
        }
        text.extend(units.iter().map(|&dropped| if dropped { '#' } else { '.' }));
        text.push('\n');
    }
    text
}
