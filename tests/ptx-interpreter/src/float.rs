//! Float instructions. Only what is rounded to nearest by its modifier is accepted: an assembler may
//! fuse or approximate the rest.

use crate::integer::Typed;
use crate::program::{Binary, Ternary, Unary};

/// The NaN that single arithmetic gives.
pub const NAN_32: u32 = 0x7fff_ffff;
/// The NaN that double arithmetic gives.
pub const NAN_64: u64 = 0x7fff_ffff_ffff_ffff;

/// The bits of a result, with the one NaN.
pub(crate) fn bits_32(value: f32) -> u64 {
    u64::from(if value.is_nan() { NAN_32 } else { value.to_bits() })
}

/// The bits of a result, with the one NaN.
pub(crate) fn bits_64(value: f64) -> u64 {
    if value.is_nan() { NAN_64 } else { value.to_bits() }
}

/// Instantiates an expression for both types.
macro_rules! floats {
    ($name:expr, $f:ident, |$($x:ident),+| $e:expr) => {
        match $name {
            "f32" => {
                let f: $f = |$($x),+| { $(let $x = f32::from_bits($x as u32);)+ bits_32($e) };
                Some(Typed::same(f, 32))
            }
            "f64" => {
                let f: $f = |$($x),+| { $(let $x = f64::from_bits($x);)+ bits_64($e) };
                Some(Typed::same(f, 64))
            }
            _ => None,
        }
    };
}

/// Instructions with one operand.
pub fn unary(opcode: &[&str]) -> Option<Typed<Unary>> {
    Some(match *opcode {
        ["sqrt", "rn", t] => floats!(t, Unary, |a| a.sqrt())?,
        ["rcp", "rn", t] => floats!(t, Unary, |a| a.recip())?,
        // The sign alone, also of a NaN.
        ["neg", "f32"] => Typed::same(|a| a ^ 1 << 31, 32),
        ["neg", "f64"] => Typed::same(|a| a ^ 1 << 63, 64),
        ["abs", "f32"] => Typed::same(|a| a & 0x7fff_ffff, 32),
        ["abs", "f64"] => Typed::same(|a| a & i64::MAX as u64, 64),
        _ => return None,
    })
}

/// Instructions with two operands.
pub fn binary(opcode: &[&str]) -> Option<Typed<Binary>> {
    Some(match *opcode {
        ["add", "rn", t] => floats!(t, Binary, |a, b| a + b)?,
        ["sub", "rn", t] => floats!(t, Binary, |a, b| a - b)?,
        ["mul", "rn", t] => floats!(t, Binary, |a, b| a * b)?,
        ["div", "rn", t] => floats!(t, Binary, |a, b| a / b)?,
        // A NaN loses against a number, and -0 is less than +0.
        ["min", t] => floats!(t, Binary, |a, b| {
            if a.is_nan() || b < a || (a == b && b.is_sign_negative()) { b } else { a }
        })?,
        ["max", t] => floats!(t, Binary, |a, b| {
            if a.is_nan() || b > a || (a == b && b.is_sign_positive()) { b } else { a }
        })?,
        ["copysign", t] => floats!(t, Binary, |a, b| b.copysign(a))?,
        ["setp", comparison, t] => Typed { d: 1, ..compare(comparison, t)? },
        _ => return None,
    })
}

/// Instructions with three operands.
pub fn ternary(opcode: &[&str]) -> Option<Typed<Ternary>> {
    match *opcode {
        ["fma", "rn", t] => floats!(t, Ternary, |a, b, c| a.mul_add(b, c)),
        _ => None,
    }
}

/// Whether a binary float operation: the `u` forms are true of a NaN.
macro_rules! comparison {
    ($t:expr, |$a:ident, $b:ident| $e:expr) => {
        match $t {
            "f32" => {
                let f: Binary = |a, b| {
                    let ($a, $b) = (f32::from_bits(a as u32), f32::from_bits(b as u32));
                    u64::from($e)
                };
                Some(Typed::same(f, 32))
            }
            "f64" => {
                let f: Binary = |a, b| {
                    let ($a, $b) = (f64::from_bits(a), f64::from_bits(b));
                    u64::from($e)
                };
                Some(Typed::same(f, 64))
            }
            _ => None,
        }
    };
}

fn compare(name: &str, t: &str) -> Option<Typed<Binary>> {
    match name {
        "eq" => comparison!(t, |a, b| a == b),
        "ne" => comparison!(t, |a, b| a != b && !a.is_nan() && !b.is_nan()),
        "lt" => comparison!(t, |a, b| a < b),
        "le" => comparison!(t, |a, b| a <= b),
        "gt" => comparison!(t, |a, b| a > b),
        "ge" => comparison!(t, |a, b| a >= b),
        "equ" => comparison!(t, |a, b| a == b || a.is_nan() || b.is_nan()),
        "neu" => comparison!(t, |a, b| a != b),
        "ltu" => comparison!(t, |a, b| a < b || a.is_nan() || b.is_nan()),
        "leu" => comparison!(t, |a, b| a <= b || a.is_nan() || b.is_nan()),
        "gtu" => comparison!(t, |a, b| a > b || a.is_nan() || b.is_nan()),
        "geu" => comparison!(t, |a, b| a >= b || a.is_nan() || b.is_nan()),
        "num" => comparison!(t, |a, b| !a.is_nan() && !b.is_nan()),
        "nan" => comparison!(t, |a, b| a.is_nan() || b.is_nan()),
        _ => None,
    }
}
