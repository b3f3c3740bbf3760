//! The loops of `x86.rs`, for any vector: runs of elements, blocks of 64, and what is left over.

#![allow(unsafe_code, reason = "vector instructions, loads and stores through pointers")]
#![allow(clippy::multiple_unsafe_ops_per_block, reason = "one proof for one expression")]

use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch, _mm_sfence};
use core::ops::Range;

use super::x86::Vector;
use super::x86_scales::{RunScales, VectorScales};
use super::{BLOCK, Runs, Stores, Tensor};
use crate::bits::{self, Words};

/// The least number of elements that repays aligning stores.
pub(super) const LONG: usize = 128;

/// The bytes of a tensor that may lie in the first cache.
pub(super) const FIRST_CACHE: usize = 1 << 15;

/// The least number of elements that repays streams and the fence after them.
const STREAM: usize = 8192;

/// `y = bit ? 0 : x * scale` for runs of elements; for none if one leaves the tensor. Runs are `SHORT` if
/// they have a block's elements at most. Loops for both in one function would run out of registers.
///
/// # Safety
///
/// `SHORT` says how long runs are; there are scales for all. The level's instructions are there.
#[inline(always)]
pub(super) unsafe fn all_runs<V: Vector, S: RunScales<V>, const SHORT: bool>(
    tensor: &mut Tensor<'_, V::Element>,
    runs: Runs<'_>,
    scales: S,
) {
    let bits = runs.bits;
    let is_large = tensor.len() * size_of::<V::Element>() > FIRST_CACHE;
    let (x, y, len, stores) = match tensor {
        Tensor::InPlace(y) => {
            let (x, y, len) = (y.as_ptr(), y.as_mut_ptr(), y.len());
            (x, V::in_place(y), len, Stores::Cached)
        }
        Tensor::To(x, y, stores) => {
            (x.as_ptr(), y.as_mut_ptr().cast(), y.len().min(x.len()), *stores)
        }
    };
    let Some(last) = runs.count.checked_sub(1) else { return };
    let end = last.checked_mul(runs.step).and_then(|last| last.checked_add(runs.len));
    if end.is_none_or(|end| end > len) {
        return;
    }
    if SHORT {
        // SAFETY: the last run ends inside the tensor; the rest is the caller's.
        return unsafe { short_runs::<V, S>(x, y, runs, scales) };
    }
    let is_copy = !core::ptr::eq(x, y);
    for i in 0..runs.count {
        let (len, bit) = (runs.len, runs.bit + i * runs.bit_step);
        // From here on `x` and `y` are valid for `len` elements, and equal or apart.
        // SAFETY: the last run ends inside the tensor.
        let (x, y) = unsafe { (x.add(i * runs.step), y.add(i * runs.step)) };
        // SAFETY: the caller's.
        let scales = unsafe { scales.of_run(i) };
        let fetch = is_large && scales.pays_to_fetch(len);
        let mut start = 0;
        let mut streams = false;
        // A first vector, made before the others are written, so that those cross no cache line.
        let mut first = None;
        if scales.pays_to_align(len) {
            // Halves may lie so that this cannot be; no matter.
            start = y.align_offset(V::LANES * size_of::<V::Element>()) % V::LANES;
            if start != 0 {
                // SAFETY: a run has more elements than a vector; the instructions are there.
                first =
                    Some(unsafe { V::select(x, V::word(bits::load(bits, bit)), 0, scales.at(0)) });
            }
        }
        if stores == Stores::Streamed && len >= STREAM + start {
            streams = y.wrapping_add(start).align_offset(size_of::<V>()) == 0;
        }
        // A last vector that overlaps the one before it, made before that one is written.
        let rest = (len - start) % BLOCK;
        let overlap = if !rest.is_multiple_of(V::LANES) {
            let last = len - V::LANES;
            // SAFETY: a run has more elements than a vector; the instructions are there.
            Some(unsafe {
                let word = V::word(bits::load(bits, bit + last));
                V::select(x.add(last), word, 0, scales.at(last))
            })
        } else {
            None
        };
        let mut words = Words::new(bits, bit + start);
        let whole = start..len - rest;
        // SAFETY: blocks are whole, and where they are streamed aligned; the instructions are there.
        unsafe {
            if streams {
                whole_blocks::<V, _, true>(x, y, whole, &mut words, scales, [true, false]);
                _mm_sfence();
            } else {
                whole_blocks::<V, _, false>(
                    x,
                    y,
                    whole,
                    &mut words,
                    scales,
                    [fetch, fetch && is_copy],
                );
            }
        }
        start = len - rest;
        if rest >= V::LANES {
            let mut word = words.next_word();
            while start + V::LANES <= len {
                // SAFETY: a vector is left; the instructions are there.
                unsafe {
                    V::select(x.add(start), V::word(word), 0, scales.at(start)).store(y.add(start));
                }
                (start, word) = (start + V::LANES, word >> (V::LANES % 64));
            }
        }
        if let Some(overlap) = overlap {
            // SAFETY: there are `LANES` elements.
            unsafe { overlap.store(y.add(len - V::LANES)) };
        }
        if let Some(first) = first {
            // SAFETY: there are `LANES` elements.
            unsafe { first.store(y) };
        }
    }
}

/// Runs of a block's elements at most.
///
/// # Safety
///
/// `x` and `y` are valid for the runs, and equal or apart; there are scales for all. The level's
/// instructions are there.
#[inline(always)]
unsafe fn short_runs<V: Vector, S: RunScales<V>>(
    x: *const V::Element,
    y: *mut V::Element,
    runs: Runs<'_>,
    scales: S,
) {
    // SAFETY: so many vectors hold the run, and one less does not; the rest is the caller's.
    unsafe {
        match runs.len.div_ceil(V::LANES) {
            2 => few_vectors::<V, S, 2>(x, y, runs, scales),
            3 => few_vectors::<V, S, 3>(x, y, runs, scales),
            4 => few_vectors::<V, S, 4>(x, y, runs, scales),
            5 => few_vectors::<V, S, 5>(x, y, runs, scales),
            6 => few_vectors::<V, S, 6>(x, y, runs, scales),
            7 => few_vectors::<V, S, 7>(x, y, runs, scales),
            8 => few_vectors::<V, S, 8>(x, y, runs, scales),
            _ => some_vectors::<V, S>(x, y, runs, scales),
        }
    }
}

/// Runs that take `N` vectors. The last may overlap the one before it, so it is made before that one is
/// written.
///
/// # Safety
///
/// That of [`short_runs`]; runs have at least `LANES` elements, and `N` vectors hold them.
#[inline(always)]
unsafe fn few_vectors<V: Vector, S: RunScales<V>, const N: usize>(
    x: *const V::Element,
    y: *mut V::Element,
    runs: Runs<'_>,
    scales: S,
) {
    let (last, bits) = (runs.len - V::LANES, ShortBits::new(&runs));
    for i in 0..runs.count {
        // SAFETY: each vector has `LANES` elements of the run; the instructions are there.
        unsafe {
            let (x, y) = (x.add(i * runs.step), y.add(i * runs.step));
            let (word, scales) = (bits.from(runs.bit + i * runs.bit_step), scales.of_run(i));
            let overlap = V::select(x.add(last), V::word(word >> last), 0, scales.at(last));
            for start in (0..N - 1).map(|i| i * V::LANES) {
                let word = V::word(word >> start);
                V::select(x.add(start), word, 0, scales.at(start)).store(y.add(start));
            }
            overlap.store(y.add(last));
        }
    }
}

/// Runs of any number of elements, a block's at most.
///
/// # Safety
///
/// That of [`short_runs`].
#[inline(always)]
unsafe fn some_vectors<V: Vector, S: RunScales<V>>(
    x: *const V::Element,
    y: *mut V::Element,
    runs: Runs<'_>,
    scales: S,
) {
    let (len, bits) = (runs.len, ShortBits::new(&runs));
    for i in 0..runs.count {
        // SAFETY: `start` and `last` leave `LANES` elements, but where a part is read and written; the
        // instructions are there.
        unsafe {
            let (x, y) = (x.add(i * runs.step), y.add(i * runs.step));
            let (word, scales) = (bits.from(runs.bit + i * runs.bit_step), scales.of_run(i));
            // A last vector that overlaps the one before it, made before that one is written.
            let overlap = match len.checked_sub(V::LANES) {
                Some(last) => {
                    let word = V::word(word >> last);
                    Some((V::select(x.add(last), word, 0, scales.at(last)), last))
                }
                None => None,
            };
            let mut start = 0;
            while start + V::LANES <= len {
                let word = V::word(word >> start);
                V::select(x.add(start), word, 0, scales.at(start)).store(y.add(start));
                start += V::LANES;
            }
            if let Some((vector, last)) = overlap {
                vector.store(y.add(last));
            } else if start < len {
                let (word, left) = (V::word(word >> start), len - start);
                V::select_part(x.add(start), left, word, 0, scales.at(start))
                    .store_part(y.add(start), left);
            }
        }
    }
}

/// The bits of short runs.
#[derive(Clone, Copy)]
struct ShortBits<'b> {
    bits: &'b [u64],
    /// The number of bytes from which on eight can be read that hold the bits of a run.
    near: usize,
}

impl<'b> ShortBits<'b> {
    #[inline(always)]
    const fn new(runs: &Runs<'b>) -> Self {
        /// The most bits that eight bytes hold wherever in the first the run begins.
        const NEAR: usize = 57;
        let bytes = size_of_val(runs.bits);
        Self { bits: runs.bits, near: if runs.len <= NEAR { bytes.saturating_sub(7) } else { 0 } }
    }

    /// Those of a run, from the first on, others above them.
    #[inline(always)]
    fn from(self, bit: usize) -> u64 {
        if bit / 8 < self.near {
            let bytes = self.bits.as_ptr().cast::<u8>();
            // SAFETY: eight bytes from there on are in the slice.
            unsafe { bytes.add(bit / 8).cast::<u64>().read_unaligned() >> (bit % 8) }
        } else {
            bits::load(self.bits, bit)
        }
    }
}

/// The blocks in the range, with or without streams. `fetch` asks for what will be read soon, and for
/// what will be written.
///
/// # Safety
///
/// `x` and `y` are valid for the range, which has whole blocks, and equal or apart; there are scales
/// for all. For streams `y` is aligned to a vector at the range's start, and a fence follows. The
/// level's instructions are there.
#[inline(always)]
unsafe fn whole_blocks<V: Vector, S: VectorScales<V>, const STREAM: bool>(
    x: *const V::Element,
    y: *mut V::Element,
    range: Range<usize>,
    words: &mut Words<'_>,
    scales: S,
    fetch: [bool; 2],
) {
    #[cfg(all(test, not(miri)))]
    crate::hops::note();
    let [reads, writes] = fetch;
    let mut start = range.start;
    let mut scales = scales.from(start);
    while start < range.end {
        // SAFETY: the instructions are there.
        unsafe {
            if reads {
                fetch_block(x.wrapping_add(start));
            }
            if writes {
                fetch_block(y.wrapping_add(start));
            }
        }
        // SAFETY: a block is left, whole vectors; the rest is the caller's.
        unsafe {
            let (word, block) = (V::word(words.next_word()), scales.next());
            if let Some(scales) = S::common(block) {
                for i in 0..BLOCK / V::LANES {
                    let at = start + i * V::LANES;
                    store::<V, STREAM>(V::select(x.add(at), word, i, scales), y.add(at));
                }
            } else {
                for i in 0..BLOCK / V::LANES {
                    let (at, scales) = (start + i * V::LANES, S::of(block, i));
                    store::<V, STREAM>(V::select(x.add(at), word, i, scales), y.add(at));
                }
            }
        }
        start += BLOCK;
    }
}

/// Writes a vector, as a stream or not.
///
/// # Safety
///
/// `y` is valid for it, and aligned for a stream; the level's instructions are there.
#[inline(always)]
unsafe fn store<V: Vector, const STREAM: bool>(vector: V, y: *mut V::Element) {
    // SAFETY: the caller's.
    unsafe {
        if STREAM {
            vector.stream(y);
        } else {
            vector.store(y);
        }
    }
}

/// Asks for the block that comes some time after this one.
///
/// # Safety
///
/// The level's instructions are there.
#[inline(always)]
unsafe fn fetch_block<T>(block: *const T) {
    const LINE: usize = 64;
    /// How far ahead, in bytes.
    const AHEAD: usize = 2048;
    let mut at = 0;
    while at < BLOCK * size_of::<T>() {
        // SAFETY: any address may be fetched; the instructions are there.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(block.cast::<i8>().wrapping_add(AHEAD + at)) };
        at += LINE;
    }
}

#[cfg(test)]
mod tests {
    extern crate alloc;

    use alloc::vec;

    use super::*;
    use crate::apply::{Scales, apply, cycle};
    use crate::cpu::Level;
    use crate::tensor::as_uninit;
    use crate::{Backend, Element};

    /// Streams, which tensors take that tests do not have, write what stores write: from every place
    /// in a line, with and without a rest, one scale and several.
    fn streams_store<T: Element + PartialEq + core::fmt::Debug>(convert: impl Fn(u16) -> T)
    where
        T::Scale: From<u16>,
    {
        let x: vec::Vec<T> = (0..STREAM + 200).map(|i| convert(i as u16)).collect();
        let bits: vec::Vec<u64> =
            (0..200_u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) & (i << 58)).collect();
        let mut scales: vec::Vec<T::Scale> = (1..400).map(T::Scale::from).collect();
        let scales = cycle(&mut scales, 196);
        for backend in [Backend::Avx2, Backend::Avx512].into_iter().filter(|b| b.is_available()) {
            for (offset, len, bit) in (0..34).map(|i| (i, STREAM + 5 * i - 20, 7 * i)) {
                for scales in [Scales::One(T::Scale::from(3)), Scales::Each(scales)] {
                    let [stored, streamed] = [Stores::Cached, Stores::Streamed].map(|stores| {
                        let mut y = vec![convert(9); offset + len + 1];
                        let (from, to) = (&x[offset..offset + len], &mut y[offset..offset + len]);
                        let level = Level::of(Some(backend));
                        let mut tensor = Tensor::To(from, as_uninit(to), stores);
                        let runs = Runs::one(&bits, bit, len);
                        apply(level, &mut tensor, runs, scales);
                        y
                    });
                    assert_eq!(stored, streamed, "{backend} {offset} {len}");
                }
            }
        }
    }

    #[test]
    fn streams_store_what_stores_do() {
        streams_store::<f32>(f32::from);
        streams_store::<f64>(f64::from);
        #[cfg(feature = "half")]
        {
            streams_store(|i| ::half::bf16::from_f32_const(f32::from(i)));
            streams_store(|i| ::half::f16::from_f32_const(f32::from(i)));
        }
    }
}
