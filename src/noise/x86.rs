//! Deviates with AVX2, eight at a time; their draws also with AVX-512, which multiplies 64 bits at once.

#![allow(unsafe_code, reason = "vector instructions, and loads of arrays")]
#![allow(clippy::multiple_unsafe_ops_per_block, reason = "one proof for one expression")]

use core::arch::x86_64::*;

use super::{Batch, MOST, QUANTILES};
use crate::cpu::X86;
use crate::key::{MIX, WEYL};

/// The deviates of a vector.
const LANES: usize = 8;

/// The quantiles and one more, so that four can be loaded from every place that is used.
static PADDED: [i32; QUANTILES.len() + 1] = {
    let mut padded = [0; QUANTILES.len() + 1];
    let mut i = 0;
    while i < QUANTILES.len() {
        padded[i] = QUANTILES[i];
        i += 1;
    }
    padded
};

/// See [`Batch::deviates`]. In two loops, each of short chains of instructions that overlap: one of both
/// takes longer.
pub(super) fn deviates(x86: X86, batch: &Batch, deviates: &mut [i32; MOST]) {
    let mut draws = [0; 2 * MOST];
    // SAFETY: the token proves the instructions; with AVX-512 there is AVX2.
    unsafe {
        match x86 {
            X86::Avx2(_) => draws_avx2(batch, &mut draws),
            X86::Avx512(_) => draws_avx512(batch, &mut draws),
        }
        normals(batch, &draws, deviates);
    }
}

/// A function that writes the draws of all pairs, see [`super::Noise::of_pair`], and the vector of its
/// level: so many words of 64 bits.
macro_rules! draws {
    (
        $name:ident, $feature:literal, $words:literal, $load:ident, $store:ident, $splat:ident, $add:ident,
        $xor:ident, $shift:ident, $product:expr
    ) => {
        #[target_feature(enable = $feature)]
        fn $name(batch: &Batch, draws: &mut [u32; 2 * MOST]) {
            // See [`crate::key::mix`].
            let mix = |z| {
                let z = $product($xor(z, $shift::<30>(z)), MIX[0]);
                let z = $product($xor(z, $shift::<27>(z)), MIX[1]);
                $xor(z, $shift::<31>(z))
            };
            let word = |word: u64| $splat(word as i64);
            let pairs = batch.pairs.as_chunks::<$words>().0;
            let draws = draws.as_chunks_mut::<{ 2 * $words }>().0;
            let vectors = batch.pairs_len.div_ceil($words);
            for (pairs, draws) in pairs.iter().zip(draws).take(vectors) {
                // SAFETY: a vector of pairs, and as many bytes of draws.
                unsafe {
                    let hash = mix($add($load(pairs.as_ptr().cast()), word(WEYL)));
                    let mixed = mix($xor(hash, word(batch.noise.a)));
                    $store(draws.as_mut_ptr().cast(), mix($add(mixed, word(batch.noise.b))));
                }
            }
        }
    };
}

draws!(
    draws_avx2,
    "avx2",
    4,
    _mm256_loadu_si256,
    _mm256_storeu_si256,
    _mm256_set1_epi64x,
    _mm256_add_epi64,
    _mm256_xor_si256,
    _mm256_srli_epi64,
    product
);
draws!(
    draws_avx512,
    "avx512f,avx512dq",
    8,
    _mm512_loadu_si512,
    _mm512_storeu_si512,
    _mm512_set1_epi64,
    _mm512_add_epi64,
    _mm512_xor_si512,
    _mm512_srli_epi64,
    |z, factor: u64| _mm512_mullo_epi64(z, _mm512_set1_epi64(factor as i64))
);

/// The lower 64 bits of the products with a factor.
#[target_feature(enable = "avx2")]
#[inline]
fn product(z: __m256i, factor: u64) -> __m256i {
    let low = _mm256_set1_epi64x((factor & 0xffff_ffff) as i64);
    let high = _mm256_set1_epi64x((factor >> 32) as i64);
    let upper = _mm256_mul_epu32(_mm256_srli_epi64::<32>(z), low);
    let upper = _mm256_add_epi64(upper, _mm256_mul_epu32(z, high));
    _mm256_add_epi64(_mm256_mul_epu32(z, low), _mm256_slli_epi64::<32>(upper))
}

/// The deviates of all units.
#[target_feature(enable = "avx2")]
fn normals(batch: &Batch, draws: &[u32; 2 * MOST], deviates: &mut [i32; MOST]) {
    let halves = batch.halves.as_chunks::<LANES>().0;
    let deviates = deviates.as_chunks_mut::<LANES>().0;
    for (halves, deviates) in halves.iter().zip(deviates).take(batch.len.div_ceil(LANES)) {
        let draws = halves.map(|half| draws[usize::from(half) % draws.len()]);
        // SAFETY: eight draws and eight deviates.
        unsafe {
            let normal = normal(_mm256_loadu_si256(draws.as_ptr().cast()));
            _mm256_storeu_si256(deviates.as_mut_ptr().cast(), normal);
        }
    }
}

/// See [`super::normal`].
#[target_feature(enable = "avx2")]
#[inline]
fn normal(draws: __m256i) -> __m256i {
    let number = |number: i32| _mm256_set1_epi32(number);
    let odd = _mm256_and_si256(draws, number(1));
    let tail = _mm256_or_si256(draws, number(1));
    // The exponent of a float is the octave. It does not round up to the next, as the bit after the
    // first is cleared; from 2^31 on the integer is negative, and the octave 31.
    let float = _mm256_cvtepi32_ps(_mm256_andnot_si256(_mm256_srli_epi32::<1>(tail), tail));
    let octave = _mm256_srli_epi32::<23>(_mm256_castps_si256(float));
    let octave =
        _mm256_or_si256(_mm256_sub_epi32(octave, number(127)), _mm256_srai_epi32::<31>(tail));
    let octave = _mm256_and_si256(octave, number(31));
    let mantissa = _mm256_sllv_epi32(tail, _mm256_sub_epi32(number(31), octave));
    // 16 entries an octave, two an eighth of it.
    let eighth = _mm256_and_si256(_mm256_srli_epi32::<27>(mantissa), number(14));
    let first = _mm256_add_epi32(_mm256_slli_epi32::<4>(octave), eighth);
    let rest = _mm256_and_si256(mantissa, number((1 << 28) - 1));

    let [z0, z1, z2] = quantiles(first);
    // Neighbours differ by so little that 32 bits hold these.
    let (rise, other) = (_mm256_sub_epi32(z1, z0), _mm256_sub_epi32(z2, z0));
    let slope = _mm256_sub_epi32(_mm256_slli_epi32::<2>(rise), other);
    let bend = _mm256_sub_epi32(_mm256_add_epi32(other, other), _mm256_slli_epi32::<2>(rise));
    let z = scaled(_mm256_add_epi32(slope, scaled(bend, rest)), rest);
    let z = _mm256_add_epi32(z0, z);
    // Odd draws are negative.
    let sign = _mm256_sub_epi32(_mm256_setzero_si256(), odd);
    _mm256_sub_epi32(_mm256_xor_si256(z, sign), sign)
}

/// Products of which 28 bits are a fraction, rounded down.
#[target_feature(enable = "avx2")]
#[inline]
fn scaled(number: __m256i, fraction: __m256i) -> __m256i {
    let even = _mm256_mul_epi32(number, fraction);
    let [number, fraction] = [number, fraction].map(|x| _mm256_srli_epi64::<32>(x));
    let odd = _mm256_mul_epi32(number, fraction);
    _mm256_blend_epi32::<0xaa>(_mm256_srli_epi64::<28>(even), _mm256_slli_epi64::<4>(odd))
}

/// Three quantiles from each place on: one vector for the first of all, and so on.
#[target_feature(enable = "avx2")]
#[inline]
fn quantiles(first: __m256i) -> [__m256i; 3] {
    let mut places = [0_u32; LANES];
    // SAFETY: eight places.
    unsafe { _mm256_storeu_si256(places.as_mut_ptr().cast(), first) };
    // Two rows of four quantiles, for lanes that lie four apart.
    let row = |i: usize| {
        let [low, high] = [places[i], places[i + LANES / 2]].map(|place| {
            // SAFETY: four quantiles, as octaves are below 32 and an eighth adds 14 at most.
            unsafe { _mm_loadu_si128(PADDED.as_ptr().add(place as usize).cast()) }
        });
        _mm256_set_m128i(high, low)
    };
    let (a, b, c, d) = (row(0), row(1), row(2), row(3));
    let (ab, cd) = (_mm256_unpacklo_epi32(a, b), _mm256_unpacklo_epi32(c, d));
    let (ab2, cd2) = (_mm256_unpackhi_epi32(a, b), _mm256_unpackhi_epi32(c, d));
    [_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd), _mm256_unpacklo_epi64(ab2, cd2)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::Level;

    /// Draws at the ends of all octaves.
    #[test]
    fn normals_are_those_of_the_portable_code() {
        let Level::X86(_) = Level::of(None) else { return };
        for octave in 0..32 {
            for eighth in 0..8_u32 {
                let start = ((8 + eighth) << octave >> 3) | u32::from(octave == 31) << 31;
                let draws: [u32; LANES] =
                    [0, 1, 2, 3, u32::MAX, u32::MAX - 1, 1 << octave >> 4, 1 << octave >> 5]
                        .map(|more| start.wrapping_add(more));
                let mut vectors = [0; LANES];
                // SAFETY: the level proves the instructions; both arrays have eight numbers.
                unsafe {
                    let normal = normal(_mm256_loadu_si256(draws.as_ptr().cast()));
                    _mm256_storeu_si256(vectors.as_mut_ptr().cast(), normal);
                }
                assert_eq!(vectors, draws.map(super::super::normal), "{draws:?}");
            }
        }
    }
}
