//! The blocks of many centres with AVX2 and AVX-512: whole blocks by one shift where they lie in a few
//! words.

#![allow(unsafe_code, reason = "vector instructions, loads and stores through pointers")]
#![allow(clippy::multiple_unsafe_ops_per_block, reason = "one proof for one expression")]

use core::arch::x86_64::*;
use core::marker::PhantomData;

use super::Source;
use super::method::Method;
use super::x86_clipped::{Shifts, set_centers};
use crate::bits::{self, Pattern, WORD_BITS, low};
use crate::block::{Blocks, Region};
use crate::center::x86_ints::Ints;
use crate::cpu::X86;

/// Sets what the method sets for blocks that begin at these units, or whole blocks if they are a long
/// pattern; under `Full` for blocks with these centres, and no runs if shifts differ. A function of its own
/// for each level: in a loop of the caller's it would lack registers.
pub(super) fn set_blocks(
    x86: X86,
    source: &Source<'_>,
    words: &mut [u64],
    shifts: Shifts<'_>,
    units: &[u32],
) {
    macro_rules! level {
        ($name:ident, $vector:ident, $($feature:literal)*) => {
            $(#[target_feature(enable = $feature)])*
            #[inline(never)]
            fn $name(source: &Source<'_>, words: &mut [u64], shifts: Shifts<'_>, units: &[u32]) {
                // SAFETY: this function has the instructions.
                unsafe {
                    match shifts {
                        Shifts::One(shift) if source.sampler.blocks.region == Region::Valid => {
                            set_corners::<$vector>(source, words, shift as usize, units);
                        }
                        _ => set_centers::<$vector>(source, words, shifts, units),
                    }
                }
            }
        };
    }

    level!(avx2, __m256i, "avx2,bmi1,bmi2,lzcnt,popcnt");
    level!(
        avx512, __m512i, "avx2,bmi1,bmi2,lzcnt,popcnt"
        "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2"
    );

    match x86 {
        // SAFETY: the token proves the instructions.
        X86::Avx2(_) => unsafe { avx2(source, words, shifts, units) },
        // SAFETY: the token proves the instructions.
        X86::Avx512(_) => unsafe { avx512(source, words, shifts, units) },
    }
}

/// So many bits lie in eight bytes, whichever of the first byte they begin with.
pub(super) const FEW: usize = WORD_BITS - 7;

/// A word whose lowest `n` bits are set, fewer than all: without a branch on it.
#[inline(always)]
pub(super) const fn few(n: usize) -> u64 {
    (1 << (n % WORD_BITS)) - 1
}

/// Sets few bits, [`FEW`] at most, by one load and one store; bits past the slice are left out.
#[inline(always)]
pub(super) fn set_few(words: &mut [u64], bit: usize, few: u64) {
    if bit / 8 + size_of::<u64>() <= size_of_val(words) {
        // SAFETY: these bytes lie in the words; no address is unaligned for these functions.
        unsafe {
            let bytes = words.as_mut_ptr().cast::<u8>().add(bit / 8).cast::<u64>();
            bytes.write_unaligned(bytes.read_unaligned() | few << (bit % 8));
        }
    } else if let Some(last) = words.get_mut(bit / WORD_BITS) {
        *last |= few << (bit % WORD_BITS);
    }
}

/// Sets what the method sets for blocks that begin at these units, or whole blocks if they are a long
/// pattern.
///
/// # Safety
///
/// The level's instructions are there.
#[inline(always)]
unsafe fn set_corners<V: Ints>(
    source: &Source<'_>,
    words: &mut [u64],
    shift: usize,
    units: &[u32],
) {
    let corners = units.iter().map(|&unit| shift + unit as usize);
    let (recipe, blocks) = (&source.sampler.recipe, &source.sampler.blocks);
    let ([slices, _, len], [_, height, width]) = (blocks.block, blocks.map);
    match (&recipe.long_pattern, source.method(), &recipe.pattern) {
        // SAFETY: the instructions are there.
        (Some(pattern), ..) => unsafe {
            if four_words(pattern, 8) == [0; 5] {
                Slices::<V, 2, 12>::new(blocks, pattern).set_all(words, corners);
            } else {
                Slices::<V, 3, 12>::new(blocks, pattern).set_all(words, corners);
            }
        },
        (None, Method::Runs, _) if len <= FEW => {
            corners.for_each(|corner| set_few(words, corner, low(len)));
        }
        (None, Method::Runs, _) => corners.for_each(|corner| bits::set(words, corner, len)),
        (None, Method::Blocks, &Some(Pattern([few, 0, 0, 0]))) if few <= low(FEW) => {
            // A loop for each block would take 1.3 times as long (7 x 7, Zen 5).
            if slices == 1 {
                return corners.for_each(|corner| set_few(words, corner, few));
            }
            corners.for_each(|corner| {
                (0..slices).for_each(|slice| set_few(words, corner + slice * height * width, few));
            });
        }
        // SAFETY: the instructions are there.
        (None, Method::Blocks, Some(pattern)) => unsafe {
            Slices::<V, 1, 4>::new(blocks, pattern).set_all(words, corners);
        },
        (None, Method::Blocks, None) => corners.for_each(|corner| source.set_rows(words, corner)),
    }
}

/// Four words of a pattern from one on, and before them the one below them.
#[inline]
fn four_words<const N: usize>(pattern: &Pattern<N>, first: usize) -> [u64; 5] {
    core::array::from_fn(|i| match (first + i).checked_sub(1) {
        Some(index) => bits::word(&pattern.0, index),
        None => 0,
    })
}

/// The slices of a block, each of which is a pattern of `M` words; those after the first `4 N` are 0.
struct Slices<'p, V, const N: usize, const M: usize> {
    count: usize,
    /// How far apart they lie.
    step: usize,
    pattern: &'p Pattern<M>,
    /// Each four words, and those below them.
    words: [(__m256i, __m256i); N],
    level: PhantomData<V>,
}

impl<'p, V: Ints, const N: usize, const M: usize> Slices<'p, V, N, M> {
    /// # Safety
    ///
    /// The level's instructions are there.
    #[inline(always)]
    unsafe fn new(blocks: &Blocks, pattern: &'p Pattern<M>) -> Self {
        let words = core::array::from_fn(|i| {
            let words = four_words(pattern, 4 * i);
            // SAFETY: there are five words; the instructions are there.
            unsafe {
                let below = _mm256_loadu_si256(words.as_ptr().cast());
                (_mm256_loadu_si256(words.as_ptr().add(1).cast()), below)
            }
        });
        let ([count, ..], [_, height, width]) = (blocks.block, blocks.map);
        Self { count, step: height * width, pattern, words, level: PhantomData }
    }

    /// Sets the blocks that begin at these bits.
    ///
    /// # Safety
    ///
    /// The level's instructions are there.
    #[inline(always)]
    unsafe fn set_all(&self, words: &mut [u64], corners: impl Iterator<Item = usize>) {
        for corner in corners {
            // SAFETY: the instructions are there.
            unsafe { self.set(words, corner) };
        }
    }

    /// Sets the block that begins at this bit.
    ///
    /// # Safety
    ///
    /// The level's instructions are there.
    #[inline(always)]
    unsafe fn set(&self, words: &mut [u64], corner: usize) {
        let (mut bit, mut left) = (corner, self.count);
        loop {
            let (word, shift) = (bit / WORD_BITS, bit % WORD_BITS);
            if word + 4 * N > words.len() {
                self.pattern.set_last(words.get_mut(word..).unwrap_or_default(), shift);
            } else {
                for (i, &(pattern, below)) in self.words.iter().enumerate() {
                    // SAFETY: there are `4 N` words from this one on; the instructions are there.
                    unsafe {
                        let words = words.as_mut_ptr().add(word + 4 * i).cast();
                        let block = V::shift_words(pattern, below, shift);
                        _mm256_storeu_si256(
                            words,
                            _mm256_or_si256(_mm256_loadu_si256(words), block),
                        );
                    }
                }
            }
            if left <= 1 {
                return;
            }
            left -= 1;
            bit += self.step;
        }
    }
}
