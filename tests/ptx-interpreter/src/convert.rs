//! Conversions: `cvt` between integers and floats of all widths. Those to and from half precision
//! are integer arithmetic.

use crate::float::{bits_32, bits_64};
use crate::integer::bits;
use crate::program::{Integer, Unary};

/// What a `cvt` does.
#[derive(Clone, Copy, Debug)]
pub enum Conversion {
    /// Between integers.
    Integer(Integer, Integer),
    /// With a float on one side or on both.
    Float(Unary),
}

/// Reads the opcode of a `cvt`; gives the conversion and the types of result and operand.
pub fn conversion<'a>(opcode: &[&'a str]) -> Option<(Conversion, &'a str, &'a str)> {
    let ["cvt", modifiers @ .., to, from] = opcode else { return None };
    let (to, from) = (*to, *from);
    let float = |name: &str| name.starts_with('f');
    let conversion = match (modifiers, float(to), float(from)) {
        ([], false, false) => Conversion::Integer(integer(from, false)?, integer(to, false)?),
        (["sat"], false, false) => Conversion::Integer(integer(from, false)?, integer(to, true)?),
        (["rn"], true, false) => Conversion::Float(from_integer(to, from)?),
        ([mode], false, true) => Conversion::Float(to_integer(mode, to, from)?),
        (_, true, true) => Conversion::Float(between(modifiers, to, from)?),
        _ => return None,
    };
    Some((conversion, to, from))
}

/// An integer type by its name.
pub(crate) fn integer(name: &str, saturate: bool) -> Option<Integer> {
    let signed = name.starts_with('s');
    (signed || name.starts_with('u')).then_some(())?;
    Some(Integer { bits: bits(name)?, signed, saturate })
}

/// Extends the low bits of a value to 64.
#[inline]
pub(crate) fn extend(value: u64, bits: u8, signed: bool) -> u64 {
    let spare = 64 - u32::from(bits);
    if signed { ((value << spare) as i64 >> spare) as u64 } else { value << spare >> spare }
}

/// Converts between integers; the result has the width of a register of `register` bits.
#[inline]
pub(crate) fn convert(value: u64, from: Integer, to: Integer, register: u8) -> u64 {
    let mut value = extend(value, from.bits, from.signed);
    if to.saturate {
        let wide = if from.signed { i128::from(value as i64) } else { i128::from(value) };
        let (low, high) = if to.signed {
            (-1_i128 << (to.bits - 1), (1_i128 << (to.bits - 1)) - 1)
        } else {
            (0, (1_i128 << to.bits) - 1)
        };
        value = wide.clamp(low, high) as u64;
    }
    extend(extend(value, to.bits, to.signed), register, false)
}

macro_rules! from_integer {
    ($name:expr, $($text:literal $t:ty),+; $float:expr) => {
        match $name {
            $($text => {
                #[allow(clippy::unnecessary_cast, reason = "one of the types is u64 itself")]
                let f: Unary = |a| $float(a as $t as _);
                Some(f)
            })+
            _ => None,
        }
    };
}

fn from_integer(to: &str, from: &str) -> Option<Unary> {
    match to {
        // A cast of an integer rounds to nearest, ties to even.
        "f32" => from_integer!(from, "u8" u8, "s8" i8, "u16" u16, "s16" i16, "u32" u32, "s32" i32,
            "u64" u64, "s64" i64; f32::to_bits_64),
        "f64" => from_integer!(from, "u8" u8, "s8" i8, "u16" u16, "s16" i16, "u32" u32, "s32" i32,
            "u64" u64, "s64" i64; f64::to_bits_64),
        // Through a double, which holds all of these exactly.
        "f16" => from_integer!(from, "u8" u8, "s8" i8, "u16" u16, "s16" i16, "u32" u32, "s32" i32;
            half_of_double),
        _ => None,
    }
}

trait ToBits {
    fn to_bits_64(self) -> u64;
}

impl ToBits for f32 {
    fn to_bits_64(self) -> u64 {
        bits_32(self)
    }
}

impl ToBits for f64 {
    fn to_bits_64(self) -> u64 {
        bits_64(self)
    }
}

fn half_of_double(value: f64) -> u64 {
    double_to_half(value.to_bits()).into()
}

macro_rules! to_integer {
    ($round:ident, $to:expr, $from:expr) => {
        match $from {
            "f16" => to_integer!(@ $round, $to, |a: u64| f64::from_bits(half_to_double(a as u16)), false),
            "f32" => to_integer!(@ $round, $to, |a: u64| f64::from(f32::from_bits(a as u32)), false),
            "f64" => to_integer!(@ $round, $to, |a: u64| f64::from_bits(a), true),
            _ => None,
        }
    };
    (@ $round:ident, $to:expr, $value:expr, $double:literal) => {
        match $to {
            "u8" => to_integer!(! $round, $value, u8, u8, $double),
            "s8" => to_integer!(! $round, $value, i8, u8, $double),
            "u16" => to_integer!(! $round, $value, u16, u16, $double),
            "s16" => to_integer!(! $round, $value, i16, u16, $double),
            "u32" => to_integer!(! $round, $value, u32, u32, $double),
            "s32" => to_integer!(! $round, $value, i32, u32, $double),
            "u64" => to_integer!(! $round, $value, u64, u64, $double),
            "s64" => to_integer!(! $round, $value, i64, u64, $double),
            _ => None,
        }
    };
    (! $round:ident, $value:expr, $t:ty, $u:ty, $double:literal) => {{
        #[allow(clippy::unnecessary_cast, reason = "one of the types is the type itself")]
        let f: Unary = |a| {
            let value: f64 = $value(a);
            if value.is_nan() {
                // Zero between 32 bits, else the highest bit of the result.
                let wide = $double || <$t>::BITS == 64;
                return if wide { 1 << (<$t>::BITS - 1) } else { 0 };
            }
            value.$round() as $t as $u as u64
        };
        Some(f)
    }};
}

fn to_integer(mode: &str, to: &str, from: &str) -> Option<Unary> {
    match mode {
        "rni" => to_integer!(round_ties_even, to, from),
        "rzi" => to_integer!(trunc, to, from),
        "rmi" => to_integer!(floor, to, from),
        "rpi" => to_integer!(ceil, to, from),
        _ => None,
    }
}

fn between(modifiers: &[&str], to: &str, from: &str) -> Option<Unary> {
    Some(match (modifiers, to, from) {
        ([], "f64", "f32") => |a| bits_64(f32::from_bits(a as u32).into()),
        (["rn"], "f32", "f64") => |a| bits_32(f64::from_bits(a) as f32),
        ([], "f32", "f16") => |a| bits_32(f64::from_bits(half_to_double(a as u16)) as f32),
        ([], "f64", "f16") => |a| bits_64(f64::from_bits(half_to_double(a as u16))),
        (["rn"], "f16", "f32") => {
            |a| double_to_half(f64::from(f32::from_bits(a as u32)).to_bits()).into()
        }
        (["rn"], "f16", "f64") => |a| double_to_half(a).into(),
        (["rni"], "f32", "f32") => |a| bits_32(f32::from_bits(a as u32).round_ties_even()),
        (["rzi"], "f32", "f32") => |a| bits_32(f32::from_bits(a as u32).trunc()),
        (["rmi"], "f32", "f32") => |a| bits_32(f32::from_bits(a as u32).floor()),
        (["rpi"], "f32", "f32") => |a| bits_32(f32::from_bits(a as u32).ceil()),
        (["rni"], "f64", "f64") => |a| bits_64(f64::from_bits(a).round_ties_even()),
        (["rzi"], "f64", "f64") => |a| bits_64(f64::from_bits(a).trunc()),
        (["rmi"], "f64", "f64") => |a| bits_64(f64::from_bits(a).floor()),
        (["rpi"], "f64", "f64") => |a| bits_64(f64::from_bits(a).ceil()),
        _ => return None,
    })
}

/// The bits of a half as those of a double; exact.
pub fn half_to_double(half: u16) -> u64 {
    let sign = u64::from(half >> 15) << 63;
    let exponent = u64::from(half >> 10 & 31);
    let fraction = u64::from(half & 0x3ff);
    sign | match (exponent, fraction) {
        (0, 0) => 0,
        (0, _) => {
            // A subnormal: the highest bit becomes the hidden one.
            let top = 63 - u64::from(fraction.leading_zeros());
            (1023 - 24 + top) << 52 | fraction << (52 - top) & ((1 << 52) - 1)
        }
        (31, 0) => 0x7ff << 52,
        (31, _) => 0x7ff << 52 | 1 << 51 | fraction << 42,
        _ => (exponent + 1023 - 15) << 52 | fraction << 42,
    }
}

/// The bits of a double as those of the nearest half, ties to even.
pub fn double_to_half(double: u64) -> u16 {
    let sign = (double >> 63) as u16;
    let exponent = (double >> 52 & 0x7ff) as i32 - 1023;
    let fraction = double & ((1 << 52) - 1);
    if exponent == 1024 && fraction != 0 {
        return 0x7fff;
    }
    let magnitude = if exponent > 15 {
        0x7c00
    } else if exponent < -25 {
        // Below half of the smallest; a subnormal double too.
        0
    } else {
        // The value in units of the last place of the result, which is 2^-24 for subnormals.
        let significand = 1 << 52 | fraction;
        let drop = if exponent >= -14 { 42 } else { 42 + (-14 - exponent) as u32 };
        let kept = significand >> drop;
        let rest = significand & ((1 << drop) - 1);
        let half = 1 << (drop - 1);
        let round = rest > half || (rest == half && kept & 1 == 1);
        let base = if exponent >= -14 { ((exponent + 14) as u64) << 10 } else { 0 };
        // A carry out of the fraction is the next exponent, up to infinity.
        (base + kept + u64::from(round)) as u16
    };
    sign << 15 | magnitude
}
