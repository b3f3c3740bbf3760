//! The self test: every kind of operation that the kernels rely on, here and on the device.
//!
//! [`OPERATIONS`] mirrors `kernels/conformance.h` in the same order.

use alloc::vec;
use alloc::vec::Vec;
use core::hint::black_box;

use half::f16;

use crate::noise::QUANTILES;

use super::launch::launch;
use super::params::Call;
use super::{Device, Error};

/// How results are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bits,
    // Of which any NaN is as good as another.
    F16,
    F32,
    F64,
}
use Kind::{Bits, F16, F32, F64};

impl Kind {
    /// One NaN for all.
    fn canonical(self, bits: u64) -> u64 {
        match self {
            F16 if f16::from_bits(bits as u16).is_nan() => f16::NAN.to_bits().into(),
            F32 if f32::from_bits(bits as u32).is_nan() => f32::NAN.to_bits().into(),
            F64 if f64::from_bits(bits).is_nan() => f64::NAN.to_bits(),
            _ => bits,
        }
    }
}

/// One operation: its name, what its result is, and the result of two operands.
type Operation = (&'static str, Kind, fn(u64, u64) -> u64);

/// As many as the kernel has: `OPERATIONS` there.
const OPERATION_COUNT: usize = 122;

const ROTATED: &str = "load and store of 16 bytes";

/// Operands of 32 bits are the low halves of those of 64.
const OPERATIONS: [Operation; OPERATION_COUNT] = [
    // Integers of 32 bits.
    ("u32 add", Bits, |a, b| u64::from(low(a).wrapping_add(low(b)))),
    ("u32 sub", Bits, |a, b| u64::from(low(a).wrapping_sub(low(b)))),
    ("u32 neg", Bits, |a, _| u64::from(low(a).wrapping_neg())),
    ("u32 mul", Bits, |a, b| u64::from(low(a).wrapping_mul(low(b)))),
    ("u32 mul and add", Bits, |a, b| u64::from(high(a).wrapping_mul(low(a)).wrapping_add(low(b)))),
    ("u32 high mul", Bits, |a, _| (u64::from(low(a)) * u64::from(high(a))) >> 32),
    ("i32 high mul", Bits, |a, _| unsigned((int(a) * i64::from(high(a) as i32)) >> 32)),
    ("u32 wide mul", Bits, |a, b| u64::from(low(a)) * u64::from(low(b))),
    ("i32 wide mul", Bits, |a, b| (int(a) * int(b)) as u64),
    ("u32 div", Bits, |a, b| u64::from(low(a) / low_divisor(b))),
    ("u32 rem", Bits, |a, b| u64::from(low(a) % low_divisor(b))),
    ("i32 div", Bits, |a, b| unsigned(int(a) / int_divisor(b))),
    ("i32 rem", Bits, |a, b| unsigned(int(a) % int_divisor(b))),
    ("u32 and", Bits, |a, b| u64::from(low(a) & low(b))),
    ("u32 or", Bits, |a, b| u64::from(low(a) | low(b))),
    ("u32 xor", Bits, |a, b| u64::from(low(a) ^ low(b))),
    ("u32 not", Bits, |a, _| u64::from(!low(a))),
    ("u32 shift left", Bits, |a, b| u64::from(low(a) << (b % 32))),
    ("u32 shift right", Bits, |a, b| u64::from(low(a) >> (b % 32))),
    ("i32 shift right", Bits, |a, b| unsigned(int(a) >> (b % 32))),
    ("u32 rotate by 7", Bits, |a, _| u64::from(low(a).rotate_left(7))),
    ("u32 rotate by 11", Bits, |a, _| u64::from(low(a).rotate_left(11))),
    ("u32 rotate", Bits, |a, b| u64::from(low(a).rotate_left(low(b) % 32))),
    ("u32 funnel shift left", Bits, |a, b| (funnel(a, b) << (high(a) % 32)) >> 32),
    ("u32 funnel shift right", Bits, |a, b| u64::from(low(funnel(a, b) >> (high(a) % 32)))),
    ("u32 fixed bit field", Bits, |a, _| u64::from((low(a) >> 7) & 0x1fff)),
    ("u32 bit field", Bits, |a, b| u64::from((low(a) >> (b % 32)) & 0xff)),
    ("u32 leading zeros", Bits, |a, _| low(a).leading_zeros().into()),
    ("u32 trailing zeros", Bits, |a, _| low(a).trailing_zeros().into()),
    ("u32 reversed bits", Bits, |a, _| low(a).reverse_bits().into()),
    ("u32 count of ones", Bits, |a, _| low(a).count_ones().into()),
    ("u32 min", Bits, |a, b| low(a).min(low(b)).into()),
    ("u32 max", Bits, |a, b| low(a).max(low(b)).into()),
    ("i32 min", Bits, |a, b| unsigned(int(a).min(int(b)))),
    ("i32 max", Bits, |a, b| unsigned(int(a).max(int(b)))),
    ("u32 compare", Bits, |a, b| compared(low(a), low(b))),
    ("i32 compare", Bits, |a, b| compared(int(a), int(b))),
    ("u32 select", Bits, |a, b| low(if high(a) < 32 { a } else { b }).into()),
    // Integers of 64 bits.
    ("u64 add", Bits, u64::wrapping_add),
    ("u64 sub", Bits, u64::wrapping_sub),
    ("u64 neg", Bits, |a, _| a.wrapping_neg()),
    ("u64 mul", Bits, u64::wrapping_mul),
    ("u64 mul and add", Bits, |a, b| a.wrapping_mul(b.wrapping_add(1))),
    ("u64 high mul", Bits, |a, b| ((u128::from(a) * u128::from(b)) >> 64) as u64),
    ("i64 high mul", Bits, |a, b| ((i128::from(a as i64) * i128::from(b as i64)) >> 64) as u64),
    ("u64 div", Bits, |a, b| a / if b == 0 { 3 } else { b }),
    ("u64 rem", Bits, |a, b| a % if b == 0 { 3 } else { b }),
    ("i64 div", Bits, |a, b| (a as i64 / long_divisor(b)) as u64),
    ("i64 rem", Bits, |a, b| (a as i64 % long_divisor(b)) as u64),
    ("u64 and", Bits, |a, b| a & b),
    ("u64 or", Bits, |a, b| a | b),
    ("u64 xor", Bits, |a, b| a ^ b),
    ("u64 not", Bits, |a, _| !a),
    ("u64 shift left", Bits, |a, b| a << (b % 64)),
    ("u64 shift right", Bits, |a, b| a >> (b % 64)),
    ("i64 shift right", Bits, |a, b| (a as i64 >> (b % 64)) as u64),
    ("u64 rotate", Bits, |a, _| a.rotate_left(17)),
    ("u64 bit field", Bits, |a, _| (a >> 9) & 0x1ff_ffff),
    ("u64 leading zeros", Bits, |a, _| a.leading_zeros().into()),
    ("u64 trailing zeros", Bits, |a, _| a.trailing_zeros().into()),
    ("u64 reversed bits", Bits, |a, _| a.reverse_bits()),
    ("u64 count of ones", Bits, |a, _| a.count_ones().into()),
    ("u64 min", Bits, Ord::min),
    ("u64 max", Bits, Ord::max),
    ("i64 min", Bits, |a, b| (a as i64).min(b as i64) as u64),
    ("i64 max", Bits, |a, b| (a as i64).max(b as i64) as u64),
    ("u64 compare", Bits, |a, b| compared(a, b)),
    ("i64 compare", Bits, |a, b| compared(a as i64, b as i64)),
    ("u64 select", Bits, |a, b| if low(a) < low(b) { a } else { b }),
    // Narrow integers, widths, and logic of conditions.
    ("u16 add", Bits, |a, b| (a as u16).wrapping_add(b as u16).into()),
    ("u16 mul", Bits, |a, b| (a as u16).wrapping_mul(b as u16).into()),
    ("u16 and", Bits, |a, b| (a as u16 & b as u16).into()),
    ("u16 or not", Bits, |a, b| (a as u16 | !(b as u16)).into()),
    ("u16 shift right", Bits, |a, b| (a as u16 >> (b % 16)).into()),
    ("u16 max", Bits, |a, b| (a as u16).max(b as u16).into()),
    ("u8 min", Bits, |a, b| (a as u8).min(b as u8).into()),
    ("u8 max", Bits, |a, b| (a as u8).max(b as u8).into()),
    ("u16 compare", Bits, |a, b| compared(a as u16, b as u16)),
    ("i16 compare", Bits, |a, b| compared(a as i16, b as i16)),
    ("u16 select", Bits, |a, b| (if low(a) < low(b) { a } else { b } as u16).into()),
    ("u64 to u32", Bits, |a, _| low(a).into()),
    ("u64 to u16", Bits, |a, _| (a as u16).into()),
    ("u64 to u8", Bits, |a, _| (a as u8).into()),
    ("i32 to i64", Bits, |a, _| int(a) as u64),
    ("i16 to i64", Bits, |a, _| i64::from(a as i16) as u64),
    ("i8 to i64", Bits, |a, _| i64::from(a as i8) as u64),
    ("branch if both", Bits, |a, b| branched(a < b && low(a) < low(b))),
    ("branch if any", Bits, |a, b| branched(a < b || int(a) < int(b))),
    ("branch if one", Bits, |a, b| branched((low(a) < low(b)) != (int(a) < int(b)))),
    // Floats, rounded to nearest with ties to even, denormals kept.
    ("f32 mul", F32, |a, b| (float(a) * float(b)).to_bits().into()),
    ("f32 div", F32, |a, b| (float(a) / float(b)).to_bits().into()),
    ("f32 compare", Bits, |a, b| compared(float(a), float(b))),
    ("f32 select", F32, |a, b| low(if float(a) < float(b) { a } else { b }).into()),
    ("f32 scale unless 1", F32, |a, b| {
        if float(b) == 1.0 { low(a).into() } else { (float(a) * float(b)).to_bits().into() }
    }),
    ("f64 mul", F64, |a, b| (double(a) * double(b)).to_bits()),
    ("f64 div", F64, |a, b| (double(a) / double(b)).to_bits()),
    ("f64 compare", Bits, |a, b| compared(double(a), double(b))),
    ("f64 select", F64, |a, b| if double(a) < double(b) { a } else { b }),
    ("f64 scale unless 1", F64, |a, b| {
        if double(b) == 1.0 { a } else { (double(a) * double(b)).to_bits() }
    }),
    ("f32 to f64", F64, |a, _| f64::from(float(a)).to_bits()),
    ("f64 to f32", F32, |a, _| (double(a) as f32).to_bits().into()),
    ("f16 to f32", F32, |a, _| f16::from_bits(a as u16).to_f32().to_bits().into()),
    ("f32 to f16", F16, |a, _| f16::from_f32(float(a)).to_bits().into()),
    ("f16 scale", F16, |a, b| {
        f16::from_f32(f16::from_bits(a as u16).to_f32() * float(b)).to_bits().into()
    }),
    ("u32 to f32", F32, |a, _| (low(a) as f32).to_bits().into()),
    ("i32 to f32", F32, |a, _| (low(a) as i32 as f32).to_bits().into()),
    ("u64 to f32", F32, |a, _| (a as f32).to_bits().into()),
    ("i64 to f32", F32, |a, _| (a as i64 as f32).to_bits().into()),
    ("u32 to f64", F64, |a, _| f64::from(low(a)).to_bits()),
    ("i32 to f64", F64, |a, _| f64::from(low(a) as i32).to_bits()),
    ("u64 to f64", F64, |a, _| (a as f64).to_bits()),
    ("i64 to f64", F64, |a, _| (a as i64 as f64).to_bits()),
    // Memory.
    ("store of 1 byte", Bits, |a, b| replaced(a, b, 8 * (a % 8), 0xff)),
    ("store of 2 bytes", Bits, |a, b| replaced(a, b, 16 * (a % 4), 0xffff)),
    ("store of 4 bytes", Bits, |a, b| replaced(a, b, 32 * (a % 2), 0xffff_ffff)),
    ("loads of 1, 2 and 4 bytes", Bits, |a, b| {
        let pair = u128::from(a) | u128::from(b) << 64;
        let byte = (pair >> (8 * (a % 16))) as u8;
        let half = (pair >> (16 * (a % 8))) as u16;
        let word = (pair >> (32 * (a % 4))) as u32;
        u64::from(byte) | u64::from(half) << 16 | u64::from(word) << 32
    }),
    ("global atomic add of 4 bytes", Bits, |a, b| with_low(a, low(a).wrapping_add(low(b)))),
    ("global atomic add of 8 bytes", Bits, u64::wrapping_add),
    ("shared atomic add of 4 bytes", Bits, |a, b| {
        u64::from(low(a)) | u64::from(low(a).wrapping_add(low(b))) << 32
    }),
    ("shared atomic or of 4 bytes", Bits, |a, b| {
        with_low(a, low(a).wrapping_add(low(b))) | u64::from(low(b)) << 32
    }),
    ("generic load and store", Bits, |a, b| (a ^ b).wrapping_add(1)),
    ("load from a table", Bits, |a, _| {
        QUANTILES.get((a % 513) as usize).map_or(0, |&entry| i64::from(entry) as u64)
    }),
];

const fn low(a: u64) -> u32 {
    a as u32
}

const fn high(a: u64) -> u32 {
    (a >> 32) as u32
}

/// The low half as a signed integer.
const fn int(a: u64) -> i64 {
    a as i32 as i64
}

/// The low half of a signed result.
const fn unsigned(a: i64) -> u64 {
    low(a as u64) as u64
}

const fn float(a: u64) -> f32 {
    f32::from_bits(a as u32)
}

const fn double(a: u64) -> f64 {
    f64::from_bits(a)
}

// Divisors for which C says what the quotient is.
const fn low_divisor(b: u64) -> u32 {
    if low(b) == 0 { 3 } else { low(b) }
}

const fn int_divisor(b: u64) -> i64 {
    if matches!(int(b), 0 | -1) { 3 } else { int(b) }
}

const fn long_divisor(b: u64) -> i64 {
    if matches!(b as i64, 0 | -1) { 3 } else { b as i64 }
}

const fn funnel(a: u64, b: u64) -> u64 {
    low(a) as u64 | (low(b) as u64) << 32
}

const fn branched(condition: bool) -> u64 {
    if condition { 2 } else { 1 }
}

const fn with_low(a: u64, low: u32) -> u64 {
    a >> 32 << 32 | low as u64
}

/// `a` with some of its bits replaced by the lowest of `b`.
const fn replaced(a: u64, b: u64, shift: u64, ones: u64) -> u64 {
    a & !(ones << shift) | (b & ones) << shift
}

fn compared<T: PartialOrd>(a: T, b: T) -> u64 {
    [a < b, a <= b, a > b, a >= b, a == b, a != b]
        .iter()
        .rev()
        .fold(0, |bits, &holds| bits << 1 | u64::from(holds))
}

/// Numbers at whose borders operations change; each is also an `f32` and an `f16` by its low bits.
const EDGES: [u64; 96] = [
    // Integers.
    0,
    1,
    2,
    3,
    7,
    31,
    32,
    63,
    64,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0x8000,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0x8000_0000,
    0x8000_0001,
    0xffff_ffff,
    0x1_0000_0000,
    0x1_0000_0001,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0x8000_0000_0000_0001,
    0xffff_ffff_0000_0000,
    0xffff_ffff_7fff_ffff,
    0xffff_ffff_8000_0000,
    0xffff_ffff_ffff_fffe,
    0xffff_ffff_ffff_ffff,
    0x0123_4567_89ab_cdef,
    // Ties on the way to an `f32`, and their neighbours.
    0x100_0001,
    0x100_0003,
    0x7fff_ffbf,
    0x7fff_ffc0,
    0xffff_ff7f,
    0xffff_ff80,
    0x8000_0080_0000_0000,
    0x8000_0080_0000_0001,
    0x8000_0180_0000_0000,
    0xffff_ff7f_ffff_ffff,
    0xffff_ff80_0000_0000,
    // To an `f64`.
    0x20_0000_0000_0001,
    0x20_0000_0000_0003,
    0x7fff_ffff_ffff_fe00,
    0xffff_ffff_ffff_fbff,
    0xffff_ffff_ffff_fc00,
    // Of `f32`: 1, its neighbours, 1/2, 3, -3, infinities, NaN, least and largest ones.
    0x3f80_0000,
    0x3f7f_ffff,
    0x3f80_0001,
    0x3f00_0000,
    0x4040_0000,
    0xc040_0000,
    0x7f80_0000,
    0xff80_0000,
    0x7fc0_0000,
    0x7f80_0001,
    0xffc1_2345,
    0x7f_ffff,
    0x80_0000,
    0x80_0001,
    0x7f7f_ffff,
    0x8000_0003,
    // Ties on the way to an `f16`: at 1, at the largest one, below the least one, at normal ones.
    0x3f80_1000,
    0x3f80_3000,
    0x477f_efff,
    0x477f_f000,
    0x3300_0000,
    0x3300_0001,
    0x33c0_0000,
    0x387f_e000,
    0x387f_dfff,
    // An `f16` that is a NaN, infinite, the largest and a small one.
    0x7e01,
    0xfc00,
    0x7bff,
    0x03ff,
    // Of `f64`: 1, its neighbour, 3, infinities, NaN, least and largest ones.
    0x3ff0_0000_0000_0000,
    0x3ff0_0000_0000_0001,
    0x4008_0000_0000_0000,
    0x7ff0_0000_0000_0000,
    0xfff0_0000_0000_0000,
    0x7ff8_0000_0000_0000,
    0x7ff0_0000_0000_0001,
    0x000f_ffff_ffff_ffff,
    0x0010_0000_0000_0000,
    0x7fef_ffff_ffff_ffff,
    // Ties on the way to an `f32`: at 1, at the largest one, below the least one.
    0x3ff0_0000_1000_0000,
    0x3ff0_0000_3000_0000,
    0x3ff0_0000_1000_0001,
    0x47ef_ffff_efff_ffff,
    0x47ef_ffff_f000_0000,
    0x3690_0000_0000_0000,
    0x3690_0000_0000_0001,
    0x36a8_0000_0000_0000,
    0xb80f_ffff_f000_0000,
];

/// Pairs of any bits.
const RANDOM: usize = 1024;

/// All pairs of edges, then others.
fn operands() -> Vec<[u64; 2]> {
    let edges = EDGES.iter().flat_map(|&a| EDGES.iter().map(move |&b| [a, b]));
    // A Weyl sequence through a multiplication: its upper bits fill all.
    let draw = |i: usize| {
        let z = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    };
    edges.chain((0..RANDOM).map(|i| [draw(2 * i), draw(2 * i + 1)])).collect()
}

impl Device {
    /// Runs each kind of instruction that the kernels rely on, on numbers at its borders, and
    /// compares the results with the processor's. It takes 10 MiB of the device for some
    /// milliseconds. A program may check device, driver and the driver's compiler this way once at
    /// its start. The test cannot show that memory is sound or that the device stays well.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// let device = dropblock::cuda::Device::new(0)?;
    /// device.self_test()?;
    /// # Ok::<(), dropblock::cuda::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::SelfTest`] for the first result that is wrong; [`Error::OutOfMemory`],
    /// [`Error::Driver`].
    pub fn self_test(&self) -> Result<(), Error> {
        let pairs = operands();
        let count = pairs.len();
        let stream = self.stream()?;
        let on_device = self.upload(&pairs)?;
        let mut results = self.zeros::<u64>(count * (2 + OPERATION_COUNT) + 3)?;
        let call = Call::Conformance {
            operands: on_device.address(),
            results: results.slice_mut().address(),
            count: count as u64,
        };
        // A thread for each pair.
        launch(&stream.inner().begin()?, &call, count.div_ceil(256))?;
        let mut given = vec![0; results.len()];
        stream.download(results.slice(), &mut given)?;
        let (given, totals) = given.split_at(count * (2 + OPERATION_COUNT));
        let (rotated, given) = given.split_at(2 * count);
        compare_rotated(&pairs, rotated)?;
        for ((name, kind, operation), given) in OPERATIONS.into_iter().zip(given.chunks(count)) {
            for (&[a, b], &given) in pairs.iter().zip(given) {
                // Computed by the processor when this runs, not by the compiler.
                let needed = operation(black_box(a), black_box(b));
                check(name, kind, [a, b], needed, given)?;
            }
        }
        compare_totals(&pairs, totals)
    }
}

fn check(
    operation: &'static str,
    kind: Kind,
    operands: [u64; 2],
    needed: u64,
    given: u64,
) -> Result<(), Error> {
    let (needed, given) = (kind.canonical(needed), kind.canonical(given));
    if needed == given {
        Ok(())
    } else {
        Err(Error::SelfTest { operation, operands, needed, given })
    }
}

fn compare_rotated(pairs: &[[u64; 2]], given: &[u64]) -> Result<(), Error> {
    for (&[a, b], given) in pairs.iter().zip(given.chunks(2)) {
        let needed = (u128::from(a) | u128::from(b) << 64).rotate_right(32);
        for (needed, &given) in [needed as u64, (needed >> 64) as u64].into_iter().zip(given) {
            check(ROTATED, Bits, [a, b], needed, given)?;
        }
    }
    Ok(())
}

/// What all threads have added to.
fn compare_totals(pairs: &[[u64; 2]], given: &[u64]) -> Result<(), Error> {
    let firsts = || pairs.iter().map(|&[a, _]| a);
    let sum = firsts().fold(0, u64::wrapping_add);
    let needed = [
        ("global atomic add of all", sum),
        ("shared atomic add of all", low(sum).into()),
        ("shared atomic or of all", low(firsts().fold(0, |or, a| or | a)).into()),
    ];
    for ((name, needed), &given) in needed.into_iter().zip(given) {
        check(name, Bits, [0; 2], needed, given)?;
    }
    Ok(())
}
