//! A function of the caller's for kept elements and 0 for dropped ones, in one loop.

use core::mem::MaybeUninit;

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
use super::x86;
use super::{BLOCK, Tensor};
use crate::cpu::{Level, on_x86};
use crate::{Element, bits};

/// `y = bit ? 0 : function(x)`; the bit of the first element is `bit`.
#[inline]
pub(crate) fn select<T: Element>(
    level: Level,
    tensor: Tensor<'_, T>,
    (bits, bit): (&[u64], usize),
    function: impl Fn(T) -> T,
) {
    match level {
        Level::X86(x86) => on_x86!(x86, x86::select(x86, tensor, (bits, bit), function)),
        Level::Scalar | Level::Simd(_) => all_blocks(tensor, (bits, bit), function),
    }
}

/// The loop of all backends. Inlined, so that it can be compiled for more instructions. The bits of a
/// block become lanes first, so that compilers make vectors of the loop over its elements.
#[inline(always)]
pub(super) fn all_blocks<T: Element>(
    tensor: Tensor<'_, T>,
    (bits, mut bit): (&[u64], usize),
    function: impl Fn(T) -> T,
) {
    match tensor {
        Tensor::InPlace(y) => {
            let (blocks, rest) = y.as_chunks_mut::<BLOCK>();
            for block in blocks {
                let dropped = lanes(bits::load(bits, bit));
                for (y, dropped) in block.iter_mut().zip(dropped) {
                    let kept = function(*y);
                    *y = if dropped != 0 { T::ZERO } else { kept };
                }
                bit += BLOCK;
            }
            let word = bits::load(bits, bit);
            for (i, y) in rest.iter_mut().enumerate() {
                *y = if word >> i & 1 != 0 { T::ZERO } else { function(*y) };
            }
        }
        Tensor::To(x, y, _) => {
            let ((x, x_rest), (y, y_rest)) = (x.as_chunks::<BLOCK>(), y.as_chunks_mut::<BLOCK>());
            for (x, y) in x.iter().zip(y) {
                let dropped = lanes(bits::load(bits, bit));
                for ((y, &x), dropped) in y.iter_mut().zip(x).zip(dropped) {
                    let kept = function(x);
                    *y = MaybeUninit::new(if dropped != 0 { T::ZERO } else { kept });
                }
                bit += BLOCK;
            }
            let word = bits::load(bits, bit);
            for (i, (y, &x)) in y_rest.iter_mut().zip(x_rest).enumerate() {
                *y = MaybeUninit::new(if word >> i & 1 != 0 { T::ZERO } else { function(x) });
            }
        }
    }
}

/// The bits of a word, one for each element, not 0 where one is set.
#[inline(always)]
fn lanes(word: u64) -> [u32; BLOCK] {
    let halves = [word as u32, (word >> 32) as u32];
    core::array::from_fn(|i| halves[i / 32] & 1 << (i % 32))
}

#[cfg(test)]
mod tests {
    extern crate alloc;

    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;
    use crate::Backend;
    use crate::apply::Stores;
    use crate::tensor::as_elements;

    fn check<T: Element + PartialEq + core::fmt::Debug>(numbers: &[T], f: fn(T) -> T) {
        let words: Vec<u64> = (1..8_u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        // Miri takes minutes for all lengths.
        let step = if cfg!(miri) { 67 } else { 1 };
        for level in Backend::available().map(|backend| Level::of(Some(backend))) {
            for (len, bit) in (0..300).step_by(step).map(|i| (i, i * 7 % 131)) {
                let x = &numbers[..len];
                let dropped = |i: usize| words[i / 64] >> (i % 64) & 1 == 1;
                let expected: Vec<T> =
                    (bit..).zip(x).map(|(i, &x)| if dropped(i) { T::ZERO } else { f(x) }).collect();
                let mut in_place = x.to_vec();
                select(level, Tensor::InPlace(&mut in_place), (&words, bit), f);
                assert_eq!(in_place, expected);
                let mut y = vec![MaybeUninit::new(numbers[0]); len];
                select(level, Tensor::To(x, &mut y, Stores::Cached), (&words, bit), f);
                assert_eq!(*as_elements(&mut y), *expected);
            }
        }
    }

    #[test]
    fn dropped_elements_are_0_and_others_what_the_function_says() {
        let numbers: Vec<f32> = (1..301_u16).map(f32::from).collect();
        check(&numbers, |x| x + 1.0);
        check(&numbers.iter().map(|&x| f64::from(x)).collect::<Vec<_>>(), |x| x + 1.0);
        #[cfg(feature = "half")]
        check(&numbers.iter().map(|&x| half::f16::from_f32(x)).collect::<Vec<_>>(), |x| -x);
    }
}
