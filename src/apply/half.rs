//! Applying a mask to `f16` and `bf16` in vectors, by bits and `f32` arithmetic: no instruction
//! for halves is needed. The scalar backend goes element by element through the crate `half`, so
//! that the two are independent.
//!
//! Two neighbours share a lane of 32 bits. Each is worked on in the upper half of its own lane,
//! the lower one after a shift, so that the order of bytes does not matter.

use ::half::{bf16, f16};
use bytemuck::cast;
use wide::{f32x8, i16x16, u16x16, u32x8};

use super::simd::Kernel;
use super::{BLOCK, Tensor};
use crate::element::arithmetic::Arithmetic;

pub(super) const LANES: usize = 16;
/// Each lane's bit.
pub(super) const LANE_BITS: [u16; LANES] = {
    let mut bits = [0; LANES];
    let mut i = 0;
    while i < LANES {
        bits[i] = 1 << i;
        i += 1;
    }
    bits
};
const SIGN: u16x16 = u16x16::splat(0x8000);
const UPPER: u32x8 = u32x8::splat(0xffff_0000);

impl Kernel for bf16 {
    #[allow(private_interfaces, reason = "nothing outside can call it")]
    #[inline]
    fn apply_blocks<'t>(
        tensor: Tensor<'t, Self>,
        scale: f32,
        mut next_word: impl FnMut() -> u64,
    ) -> Tensor<'t, Self> {
        tensor.blocks(
            |_| next_word(),
            |word, i, x: [Self; LANES]| {
                let y = scale_bf16(u16x16::new(x.map(Self::to_bits)), scale);
                (y & kept(word, i)).to_array().map(Self::from_bits)
            },
        )
    }
}

impl Kernel for f16 {
    #[allow(private_interfaces, reason = "nothing outside can call it")]
    #[inline]
    fn apply_blocks<'t>(
        tensor: Tensor<'t, Self>,
        scale: f32,
        mut next_word: impl FnMut() -> u64,
    ) -> Tensor<'t, Self> {
        // Both ways below rely on a scale that shrinks nothing, as those of masks do. The last one
        // multiplies it by 2^80.
        if !(1.0..=(1_u64 << 40) as f32).contains(&scale) {
            return tensor.blocks(
                |_| next_word(),
                |word, i, x: [Self; LANES]| {
                    let mut word = word >> (i * LANES);
                    x.map(|x| {
                        let dropped = word & 1 == 1;
                        word >>= 1;
                        if dropped { Self::ZERO } else { x.scaled(scale) }
                    })
                },
            );
        }
        tensor.blocks(
            |x| (next_word(), stays_normal(x, scale)),
            |(word, is_normal), i, x: [Self; LANES]| {
                let x = u16x16::new(x.map(Self::to_bits));
                let y = if is_normal { scale_normal(x, scale) } else { scale_any(x, scale) };
                (y & kept(word, i)).to_array().map(Self::from_bits)
            },
        )
    }
}

/// The lanes of a chunk whose bit is not set.
#[inline]
fn kept(word: u64, i: usize) -> u16x16 {
    const BITS: u16x16 = u16x16::new(LANE_BITS);
    (u16x16::splat((word >> (i * LANES)) as u16) & BITS).simd_eq(u16x16::ZERO)
}

/// The upper half of the `f32` product, rounded to nearest even.
///
/// NaN needs no care. A product that is NaN holds the payload of `x`, or that of the machine's
/// own NaN, in its upper half, so that no carry can leave the lower half.
#[inline]
fn scale_bf16(x: u16x16, scale: f32) -> u16x16 {
    let round = |x| {
        let product = (f32x8::from_bits(x) * f32x8::splat(scale)).to_bits();
        let odd = (product >> 16_u32) & u32x8::splat(1);
        product + u32x8::splat(0x7fff) + odd
    };
    let pairs: u32x8 = cast(x);
    cast((round(pairs << 16_u32) >> 16_u32) | (round(pairs & UPPER) & UPPER))
}

/// Whether all elements are zeros or normal numbers, and their products with a scale of at least
/// 1 certainly are.
#[inline]
fn stays_normal(x: &[f16; BLOCK], scale: f32) -> bool {
    // Zero becomes the largest number, denormals the smallest.
    const ORDER: u16 = i16::MAX as u16;
    const LEAST_NORMAL: u16 = 0x400_u16.wrapping_add(ORDER);
    let (mut least, mut most) = (i16x16::MAX, i16x16::ZERO);
    for &x in x.as_chunks::<LANES>().0 {
        let magnitude = u16x16::new(x.map(f16::to_bits)) & !SIGN;
        least = least.min((magnitude + u16x16::splat(ORDER)).cast_signed());
        most = most.max(magnitude.cast_signed());
    }
    // The scale is less than two to the power of `exponent`.
    let exponent = (scale.to_bits() >> 23).saturating_sub(126).min(31) as u16;
    let limit = i16x16::splat((0x7c00 - (exponent << 10)) as i16);
    !(least.simd_lt(i16x16::splat(LEAST_NORMAL as i16)) | most.simd_ge(limit)).any()
}

/// `x * scale` where both are normal or zero: as an `f32` with the exponent of the `f16`, rounded
/// to nearest even at the last bit that the `f16` has.
#[inline]
fn scale_normal(x: u16x16, scale: f32) -> u16x16 {
    let round = |x: u32x8| {
        let product = (f32x8::from_bits(x >> 3_u32) * f32x8::splat(scale)).to_bits();
        let odd = (product >> 13_u32) & u32x8::splat(1);
        product + u32x8::splat(0xfff) + odd
    };
    let pairs: u32x8 = cast(x & !SIGN);
    let lower = round(pairs << 16_u32) >> 13_u32;
    let upper = (round(pairs & UPPER) << 3_u32) & UPPER;
    cast::<_, u16x16>(lower | upper) | (x & SIGN)
}

/// `x * scale` for a scale of at least 1. Magnitudes first, the sign at the end:
///
/// 1. The bits of `x`, moved into those of an `f32` with an exponent of 32 more, are `x * 2^-80`
///    unless `x` is denormal. Those have one exponent less than they ought to and a leading one
///    too many; `2 a - 2^-94` mends both, and is not below `a` for all others. No operand is a
///    denormal `f32`, which would be slow, or zero to a thread that flushes them.
/// 2. `a * (scale * 2^80)` is `x * scale`, rounded once. From 65520 on it becomes infinity; the
///    numbers that infinity and NaN were taken for lie above.
/// 3. Adding 2^13 times its power of two, or that of the least normal `f16`, pushes out the bits
///    that an `f16` has no room for: the hardware rounds to nearest even. The exponent of the sum
///    and its last bits add up to the `f16`, but for a constant.
/// 4. No value has shrunk, so that `max` with `x` brings NaN back and nothing else.
#[inline]
fn scale_any(x: u16x16, scale: f32) -> u16x16 {
    const EXCESS: u32 = 126 << 10;
    let float = |bits: u32| f32x8::from_bits(u32x8::splat(bits));
    let factor = f32x8::splat(scale * (1_u128 << 80) as f32);

    let convert = |x: u32x8| {
        let a = x >> 3_u32;
        let twice = f32x8::from_bits(a + u32x8::splat(1 << 23));
        let a = f32x8::from_bits(a).fast_min(twice - float(33 << 23));
        let product = (a * factor).fast_min(f32x8::splat(65536.0));
        let power = f32x8::from_bits(product.to_bits() & u32x8::splat(0x7f80_0000));
        let power = power.fast_max(float(113 << 23));
        let power = f32x8::from_bits(power.to_bits() + u32x8::splat(13 << 23));
        // The upper half of a lane times 8, and the lower half.
        let sum: i16x16 = cast(product + power);
        sum.dot(cast(u32x8::splat(8 << 16 | 1))).cast_unsigned()
    };
    let pairs: u32x8 = cast(x | SIGN);
    let (lower, upper) = (convert(pairs << 16_u32), convert(pairs & UPPER));
    let pairs = lower + (upper << 16_u32) - u32x8::splat((EXCESS << 16).wrapping_add(EXCESS));
    let magnitude = cast::<_, i16x16>(pairs).max((x & !SIGN).cast_signed());
    magnitude.cast_unsigned() | (x & SIGN)
}

#[cfg(test)]
mod tests {
    use ::half::{bf16, f16};

    use crate::apply::{Runs, Scales, Stores, Tensor, apply};
    use crate::cpu::Level;
    use crate::tensor::as_uninit;
    use crate::{Backend, Element};

    const SCALES: [f32; 17] = [
        1.0,
        1.0967,
        1.25,
        1.998,
        2.0,
        3.0,
        1e3,
        32_768.0,
        65_504.0,
        1_099_511_627_776.0,
        1_099_511_758_848.0,
        0.5,
        1e-3,
        f32::MIN_POSITIVE / 8.0,
        0.0,
        f32::MAX,
        f32::INFINITY,
    ];

    /// Every value times every scale, in order and in a mixture, in which each block has values
    /// of every kind; kept and dropped.
    fn every_value<T: Element<Scale = f32>>(
        from_bits: fn(u16) -> T,
        to_bits: fn(T) -> u16,
        multiplied: fn(T, f32) -> T,
        is_nan: fn(T) -> bool,
    ) {
        let mut x = [T::ZERO; 1 << 16];
        let mut y = [T::ZERO; 1 << 16];
        for (scale, stride) in SCALES.iter().flat_map(|&scale| [(scale, 1), (scale, 0x9e37)]) {
            for word in [0, 0x0ff0_5a3c_7e81_9665, u64::MAX] {
                for backend in Backend::available() {
                    let value = |i: usize| from_bits((i as u16).wrapping_mul(stride));
                    x.iter_mut().enumerate().for_each(|(i, x)| *x = value(i));
                    let bits = [word; 1 << 10];
                    let runs = Runs::one(&bits, 0, x.len());
                    let (level, scales) = (Level::of(Some(backend)), Scales::One(scale));
                    let mut to = Tensor::To(&x, as_uninit(&mut y), Stores::Cached);
                    apply(level, &mut to, runs, scales);
                    apply(level, &mut Tensor::InPlace(&mut x), runs, scales);
                    for (i, (&x, &y)) in x.iter().zip(&y).enumerate() {
                        let dropped = word >> (i % 64) & 1 == 1;
                        let expected = if dropped { T::ZERO } else { multiplied(value(i), scale) };
                        for y in [x, y] {
                            let same = to_bits(y) == to_bits(expected);
                            let nan = is_nan(y) && is_nan(expected);
                            assert!(
                                same || nan,
                                "{backend} {:?} * {scale} = {expected:?}, not {y:?}",
                                value(i)
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn every_bf16() {
        let multiplied = |x: bf16, scale| bf16::from_f32_const(x.to_f32_const() * scale);
        every_value(bf16::from_bits, bf16::to_bits, multiplied, bf16::is_nan);
    }

    #[test]
    fn every_f16() {
        let multiplied = |x: f16, scale| f16::from_f32_const(x.to_f32_const() * scale);
        every_value(f16::from_bits, f16::to_bits, multiplied, f16::is_nan);
    }

    /// The crate `half` in software rounds to nearest even: between every two neighbours, the
    /// middle goes to the even one, and the numbers beside it to the nearer one.
    #[test]
    fn the_other_implementation_rounds_to_nearest_even() {
        for low in 0..0x7bff_u16 {
            let [a, b] = [low, low + 1].map(|bits| f16::from_bits(bits).to_f32_const());
            let middle = (a + b) / 2.0;
            let even = low + (low & 1);
            let converted = |x: f32| f16::from_f32_const(x).to_bits();
            assert_eq!(converted(middle), even);
            assert_eq!(converted(middle.next_down()), low);
            assert_eq!(converted(middle.next_up()), low + 1);
        }
        for low in 0..0x7f7f_u32 {
            let middle = f32::from_bits(low << 16 | 0x8000);
            let converted = |x: f32| u32::from(bf16::from_f32_const(x).to_bits());
            assert_eq!(converted(middle), low + (low & 1));
            assert_eq!(converted(middle.next_down()), low);
            assert_eq!(converted(middle.next_up()), low + 1);
        }
    }
}
