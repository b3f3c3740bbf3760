//! Jumps of the generator. Its step is linear over GF(2), so that its state after any number of steps is
//! a matrix times the state, and a polynomial in the step applied to it.

use alloc::vec;
use alloc::vec::Vec;

/// The matrices that the kernels use: of 0, 8, 16 steps and so on.
pub(super) const MATRICES: usize = 32;
/// Steps between two matrices.
pub(super) const STEPS: usize = 8;
const BITS: usize = 128;

/// x^128 modulo the characteristic polynomial of the step; the bit of 2^i is the coefficient of x^i.
const MODULUS: u128 = 0x00fc_65a2_0062_54b1_1b48_9db6_de18_fc01;

fn step(state: &mut [u32; 4]) {
    let shifted = state[1] << 9;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = state[3].rotate_left(11);
}

/// The matrices, one after another, row by row: a row of four words says which bits of the state
/// make one bit of the new one.
pub(super) fn matrices() -> Vec<u32> {
    let mut words = vec![0; MATRICES * BITS * 4];
    for column in 0..BITS {
        let mut state = [0; 4];
        state[column / 32] = 1 << (column % 32);
        for matrix in words.chunks_exact_mut(BITS * 4) {
            for (bit, row) in matrix.chunks_exact_mut(4).enumerate() {
                row[column / 32] |= (state[bit / 32] >> (bit % 32) & 1) << (column % 32);
            }
            (0..STEPS).for_each(|_| step(&mut state));
        }
    }
    words
}

/// The product of polynomials, reduced.
const fn product(a: u128, mut b: u128) -> u128 {
    let (mut sum, mut i) = (0, 0);
    while i < BITS {
        if a >> i & 1 == 1 {
            sum ^= b;
        }
        let carry = b >> (BITS - 1);
        b = (b << 1) ^ (carry * MODULUS);
        i += 1;
    }
    sum
}

/// The polynomial of so many steps.
const fn power(mut steps: u32) -> u128 {
    let (mut result, mut square) = (1, 2);
    while steps > 0 {
        if steps & 1 == 1 {
            result = product(result, square);
        }
        square = product(square, square);
        steps >>= 1;
    }
    result
}

/// The polynomials of no steps, of so many, twice as many and so on, in words of 32 bits.
pub(super) fn polynomials(steps: u32) -> [[u32; 4]; 32] {
    let (step, mut polynomial) = (power(steps), 1);
    [(); 32].map(|()| {
        let words = [0, 32, 64, 96].map(|shift| (polynomial >> shift) as u32);
        polynomial = product(polynomial, step);
        words
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [[u32; 4]; 4] =
        [[1, 0, 0, 0], [0, 0, 0, 1 << 31], [1, 2, 3, 4], [0x9e37_79b9, !0, 0x0bad_cafe, 77]];

    fn stepped(mut state: [u32; 4], steps: usize) -> [u32; 4] {
        (0..steps).for_each(|_| step(&mut state));
        state
    }

    fn multiplied(matrix: &[u32], state: [u32; 4]) -> [u32; 4] {
        let mut result = [0; 4];
        for (bit, row) in matrix.chunks_exact(4).enumerate() {
            let ones: u32 =
                row.iter().zip(state).map(|(row, word)| (row & word).count_ones()).sum();
            result[bit / 32] |= (ones & 1) << (bit % 32);
        }
        result
    }

    fn applied(polynomial: [u32; 4], mut state: [u32; 4]) -> [u32; 4] {
        let mut sum = [0; 4];
        for i in 0..BITS {
            if polynomial[i / 32] >> (i % 32) & 1 == 1 {
                sum.iter_mut().zip(state).for_each(|(sum, word)| *sum ^= word);
            }
            step(&mut state);
        }
        sum
    }

    #[test]
    fn the_step_is_that_of_the_generator() {
        use rand_xoshiro::Xoshiro128PlusPlus;
        use rand_xoshiro::rand_core::{Rng, SeedableRng};
        for state in STATES {
            let bytes: Vec<u8> = state.iter().flat_map(|word| word.to_le_bytes()).collect();
            let mut seed = [0; 16];
            seed.copy_from_slice(&bytes);
            let mut generator = Xoshiro128PlusPlus::from_seed(seed);
            let mut own = state;
            for _ in 0..100 {
                let sum = own[0].wrapping_add(own[3]).rotate_left(7).wrapping_add(own[0]);
                assert_eq!(generator.next_u32(), sum);
                step(&mut own);
            }
        }
    }

    #[test]
    fn matrices_equal_stepping_and_compose() {
        let all = matrices();
        let matrix = |i: usize| &all[i * BITS * 4..(i + 1) * BITS * 4];
        for state in STATES {
            assert_eq!(multiplied(matrix(0), state), state);
            for i in 0..MATRICES {
                assert_eq!(multiplied(matrix(i), state), stepped(state, i * STEPS), "{i}");
                let twice = multiplied(matrix(i), multiplied(matrix(MATRICES - 1 - i), state));
                assert_eq!(twice, multiplied(matrix(MATRICES - 1), state), "{i}");
            }
        }
    }

    #[test]
    fn polynomials_equal_stepping() {
        for steps in [1, 4, 68, 132, 1040, 4140] {
            let all = polynomials(steps);
            assert_eq!(all[0], [1, 0, 0, 0]);
            for (i, polynomial) in all.into_iter().enumerate().step_by(7) {
                let state = STATES[3];
                assert_eq!(applied(polynomial, state), stepped(state, i * steps as usize));
            }
        }
    }

    /// A state that goes through all others would not end after fewer than 128 steps: the powers up
    /// to x^127 are independent, and x^128 is the sum that the constant says.
    #[test]
    fn the_modulus_is_the_characteristic_polynomial() {
        let words = [0, 32, 64, 96].map(|shift| (MODULUS >> shift) as u32);
        for state in STATES {
            assert_eq!(applied(words, state), stepped(state, BITS));
        }
    }
}
