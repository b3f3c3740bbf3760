//! Integer instructions: what each computes, as functions of 64-bit slots.

use crate::program::{Binary, Quaternary, Ternary, Unary};

/// A function and the widths of its result and its operands.
#[derive(Clone, Copy, Debug)]
pub struct Typed<F> {
    /// The function.
    pub f: F,
    /// Width of the result.
    pub d: u8,
    /// Widths of the operands; 1 is a predicate.
    pub widths: [u8; 4],
}

impl<F> Typed<F> {
    /// All operands and the result of one width.
    pub(crate) fn same(f: F, bits: u8) -> Self {
        Self { f, d: bits, widths: [bits; 4] }
    }
}

/// Width of a type by its name.
pub(crate) fn bits(name: &str) -> Option<u8> {
    match name {
        "pred" => Some(1),
        _ => crate::syntax::type_bytes(name).map(|bytes| bytes as u8 * 8),
    }
}

/// One function of values of a type; results are extended with zeros.
macro_rules! one {
    ($f:ident, ($($x:ident),+), $e:expr, $t:ident, $u:ident) => {{
        #[allow(clippy::unnecessary_cast, reason = "one of the types is the type itself")]
        let f: $f = |$($x),+| { $(let $x = $x as $t;)+ ($e) as $u as u64 };
        Some(Typed::same(f, $t::BITS as u8))
    }};
}

/// Instantiates an expression for each integer type.
macro_rules! typed {
    ($name:expr, $f:ident, |$($x:ident),+| $e:expr) => {
        match $name {
            "u16" => one!($f, ($($x),+), $e, u16, u16),
            "s16" => one!($f, ($($x),+), $e, i16, u16),
            "u32" => one!($f, ($($x),+), $e, u32, u32),
            "s32" => one!($f, ($($x),+), $e, i32, u32),
            "u64" => one!($f, ($($x),+), $e, u64, u64),
            "s64" => one!($f, ($($x),+), $e, i64, u64),
            _ => None,
        }
    };
}

/// Instantiates an expression for each width.
macro_rules! bitwise {
    ($name:expr, $f:ident, |$($x:ident),+| $e:expr) => {
        match $name {
            "b16" => one!($f, ($($x),+), $e, u16, u64),
            "b32" => one!($f, ($($x),+), $e, u32, u64),
            "b64" => one!($f, ($($x),+), $e, u64, u64),
            _ => None,
        }
    };
}

/// Instructions with one operand.
pub fn unary(opcode: &[&str]) -> Option<Typed<Unary>> {
    Some(match *opcode {
        ["neg", t @ ("s16" | "s32" | "s64")] => typed!(t, Unary, |a| a.wrapping_neg())?,
        ["abs", "s16"] => Typed::same(|a| (a as i16).wrapping_abs() as u16 as u64, 16),
        ["abs", "s32"] => Typed::same(|a| (a as i32).wrapping_abs() as u32 as u64, 32),
        ["abs", "s64"] => Typed::same(|a| (a as i64).wrapping_abs() as u64, 64),
        ["not", "pred"] => Typed::same(|a| a ^ 1, 1),
        ["not", t] => bitwise!(t, Unary, |a| !a)?,
        ["cnot", t] => bitwise!(t, Unary, |a| u64::from(a == 0))?,
        ["popc", t @ ("b32" | "b64")] => Typed { d: 32, ..bitwise!(t, Unary, |a| a.count_ones())? },
        ["clz", t @ ("b32" | "b64")] => {
            Typed { d: 32, ..bitwise!(t, Unary, |a| a.leading_zeros())? }
        }
        ["brev", t @ ("b32" | "b64")] => bitwise!(t, Unary, |a| a.reverse_bits())?,
        ["bfind", t @ ("u32" | "s32" | "u64" | "s64")] => Typed { d: 32, ..find(t, false)? },
        ["bfind", "shiftamt", t @ ("u32" | "s32" | "u64" | "s64")] => {
            Typed { d: 32, ..find(t, true)? }
        }
        _ => return None,
    })
}

/// The highest bit that differs from the sign, or how far it is from the top.
fn find(name: &str, shift: bool) -> Option<Typed<Unary>> {
    let f: Unary = match (name, shift) {
        ("u32", false) => |a| highest(a, 32, false),
        ("u32", true) => |a| highest(a, 32, true),
        ("s32", false) => |a| highest(u64::from((a as i32 ^ (a as i32 >> 31)) as u32), 32, false),
        ("s32", true) => |a| highest(u64::from((a as i32 ^ (a as i32 >> 31)) as u32), 32, true),
        ("u64", false) => |a| highest(a, 64, false),
        ("u64", true) => |a| highest(a, 64, true),
        ("s64", false) => |a| highest(a ^ (a as i64 >> 63) as u64, 64, false),
        ("s64", true) => |a| highest(a ^ (a as i64 >> 63) as u64, 64, true),
        _ => return None,
    };
    Some(Typed::same(f, bits(name)?))
}

fn highest(a: u64, width: u32, shift: bool) -> u64 {
    if a == 0 {
        return 0xffff_ffff;
    }
    let at = 63 - a.leading_zeros();
    u64::from(if shift { width - 1 - at } else { at })
}

/// Instructions with two operands; comparisons give a predicate.
pub fn binary(opcode: &[&str]) -> Option<Typed<Binary>> {
    Some(match *opcode {
        ["add", t] => typed!(t, Binary, |a, b| a.wrapping_add(b))?,
        ["sub", t] => typed!(t, Binary, |a, b| a.wrapping_sub(b))?,
        ["mul", "lo", t] => typed!(t, Binary, |a, b| a.wrapping_mul(b))?,
        ["mul", "hi", t] => {
            let f: Binary = match t {
                "u16" => |a, b| (a * b) >> 16,
                "s16" => |a, b| ((a as i16 as i32 * b as i16 as i32) >> 16) as u16 as u64,
                "u32" => |a, b| (a * b) >> 32,
                "s32" => |a, b| ((a as i32 as i64 * b as i32 as i64) >> 32) as u32 as u64,
                "u64" => |a, b| ((u128::from(a) * u128::from(b)) >> 64) as u64,
                "s64" => |a, b| ((i128::from(a as i64) * i128::from(b as i64)) >> 64) as u64,
                _ => return None,
            };
            Typed::same(f, bits(t)?)
        }
        ["mul", "wide", t] => {
            let f: Binary = match t {
                "u16" | "u32" => |a, b| a * b,
                "s16" => |a, b| (a as i16 as i32 * b as i16 as i32) as u32 as u64,
                "s32" => |a, b| (a as i32 as i64 * b as i32 as i64) as u64,
                _ => return None,
            };
            Typed { d: bits(t)? * 2, ..Typed::same(f, bits(t)?) }
        }
        // What the hardware gives for a zero divisor: all ones.
        ["div", t] => typed!(t, Binary, |a, b| if b == 0 { !b } else { a.wrapping_div(b) })?,
        ["rem", t] => typed!(t, Binary, |a, b| if b == 0 { !b } else { a.wrapping_rem(b) })?,
        ["min", t] => typed!(t, Binary, |a, b| a.min(b))?,
        ["max", t] => typed!(t, Binary, |a, b| a.max(b))?,
        ["and", "pred"] => Typed::same(|a, b| a & b, 1),
        ["or", "pred"] => Typed::same(|a, b| a | b, 1),
        ["xor", "pred"] => Typed::same(|a, b| a ^ b, 1),
        ["and", t] => bitwise!(t, Binary, |a, b| a & b)?,
        ["or", t] => bitwise!(t, Binary, |a, b| a | b)?,
        ["xor", t] => bitwise!(t, Binary, |a, b| a ^ b)?,
        ["shl", t] => shift_left(t)?,
        ["shr", t] => shift_right(t)?,
        ["setp", comparison, t] => Typed { d: 1, ..compare(comparison, t)? },
        _ => return None,
    })
}

fn shift_left(name: &str) -> Option<Typed<Binary>> {
    let f: Binary = match name {
        "b16" => |a, b| if b < 16 { a << b & 0xffff } else { 0 },
        "b32" => |a, b| if b < 32 { a << b & 0xffff_ffff } else { 0 },
        "b64" => |a, b| if b < 64 { a << b } else { 0 },
        _ => return None,
    };
    let width = bits(name)?;
    Some(Typed { f, d: width, widths: [width, 32, 32, 32] })
}

fn shift_right(name: &str) -> Option<Typed<Binary>> {
    let f: Binary = match name {
        "u16" | "b16" | "u32" | "b32" | "u64" | "b64" => {
            |a, b| a.checked_shr(b as u32).unwrap_or(0)
        }
        "s16" => |a, b| (a as i16 >> b.min(15)) as u16 as u64,
        "s32" => |a, b| (a as i32 >> b.min(31)) as u32 as u64,
        "s64" => |a, b| (a as i64 >> b.min(63)) as u64,
        _ => return None,
    };
    let width = bits(name)?;
    Some(Typed { f, d: width, widths: [width, 32, 32, 32] })
}

fn compare(comparison: &str, t: &str) -> Option<Typed<Binary>> {
    let signed = t.starts_with('s');
    match (comparison, t.as_bytes().first()?) {
        ("eq" | "ne", _) | ("lt" | "le" | "gt" | "ge", b'u' | b's') => {}
        ("lo" | "ls" | "hi" | "hs", b'u') => {}
        _ => return None,
    }
    let t = t.strip_prefix('b').map_or_else(|| t.to_owned(), |width| format!("u{width}"));
    if !signed && !t.starts_with('u') {
        return None;
    }
    let t = t.as_str();
    match comparison {
        "eq" => typed!(t, Binary, |a, b| u8::from(a == b)),
        "ne" => typed!(t, Binary, |a, b| u8::from(a != b)),
        "lt" | "lo" => typed!(t, Binary, |a, b| u8::from(a < b)),
        "le" | "ls" => typed!(t, Binary, |a, b| u8::from(a <= b)),
        "gt" | "hi" => typed!(t, Binary, |a, b| u8::from(a > b)),
        "ge" | "hs" => typed!(t, Binary, |a, b| u8::from(a >= b)),
        _ => None,
    }
}

/// Instructions with three operands.
pub fn ternary(opcode: &[&str]) -> Option<Typed<Ternary>> {
    Some(match *opcode {
        ["mad", kind @ ("lo" | "hi" | "wide"), t] => return multiply_add(kind, t),
        ["selp", t] => {
            let width = bits(t).filter(|&width| width > 8 && t != "f16")?;
            let f: Ternary = |a, b, p| if p != 0 { a } else { b };
            Typed { f, d: width, widths: [width, width, 1, 1] }
        }
        ["slct", t, "s32"] => {
            let width = bits(t).filter(|&width| width > 8 && t != "f16")?;
            let f: Ternary = |a, b, c| if c as i32 >= 0 { a } else { b };
            Typed { f, d: width, widths: [width, width, 32, 32] }
        }
        ["bfe", t] => {
            let f: Ternary = match t {
                "u32" => |a, b, c| extract(a, b, c, 32, false),
                "s32" => |a, b, c| extract(a as i32 as u64, b, c, 32, true) & 0xffff_ffff,
                "u64" => |a, b, c| extract(a, b, c, 64, false),
                "s64" => |a, b, c| extract(a, b, c, 64, true),
                _ => return None,
            };
            let width = bits(t)?;
            Typed { f, d: width, widths: [width, 32, 32, 32] }
        }
        ["shf", direction, mode, "b32"] => {
            let f: Ternary = match (direction, mode) {
                ("l", "wrap") => |a, b, c| funnel(a, b) << (c & 31) >> 32,
                ("l", "clamp") => {
                    |a, b, c| ((u128::from(funnel(a, b)) << c.min(32)) >> 32) as u32 as u64
                }
                ("r", "wrap") => |a, b, c| u64::from((funnel(a, b) >> (c & 31)) as u32),
                ("r", "clamp") => |a, b, c| u64::from((funnel(a, b) >> c.min(32)) as u32),
                _ => return None,
            };
            Typed::same(f, 32)
        }
        ["prmt", "b32"] => Typed::same(permute, 32),
        ["sad", t] => typed!(t, Ternary, |a, b, c| {
            c.wrapping_add(if a < b { b.wrapping_sub(a) } else { a.wrapping_sub(b) })
        })?,
        _ => return None,
    })
}

fn multiply_add(kind: &str, t: &str) -> Option<Typed<Ternary>> {
    let f: Ternary = match (kind, t) {
        ("lo", "u16" | "s16") => |a, b, c| u64::from((a * b + c) as u16),
        ("lo", "u32" | "s32") => |a, b, c| u64::from((a * b).wrapping_add(c) as u32),
        ("lo", "u64" | "s64") => |a, b, c| a.wrapping_mul(b).wrapping_add(c),
        ("hi", "u32") => |a, b, c| u64::from(((a * b) >> 32).wrapping_add(c) as u32),
        ("hi", "s32") => |a, b, c| {
            let high = ((a as i32 as i64 * b as i32 as i64) >> 32) as u64;
            u64::from(high.wrapping_add(c) as u32)
        },
        ("hi", "u64") => |a, b, c| (((u128::from(a) * u128::from(b)) >> 64) as u64).wrapping_add(c),
        ("hi", "s64") => |a, b, c| {
            let high = ((i128::from(a as i64) * i128::from(b as i64)) >> 64) as u64;
            high.wrapping_add(c)
        },
        ("wide", "u16") => |a, b, c| u64::from((a * b + c) as u32),
        ("wide", "s16") => {
            |a, b, c| u64::from(((a as i16 as i32 * b as i16 as i32) as u32).wrapping_add(c as u32))
        }
        ("wide", "u32") => |a, b, c| (a * b).wrapping_add(c),
        ("wide", "s32") => |a, b, c| ((a as i32 as i64 * b as i32 as i64) as u64).wrapping_add(c),
        _ => return None,
    };
    let width = bits(t)?;
    let wide = if kind == "wide" { width * 2 } else { width };
    Some(Typed { f, d: wide, widths: [width, width, wide, wide] })
}

fn funnel(a: u64, b: u64) -> u64 {
    b << 32 | a
}

/// `bfe`: `length` bits from `start`; beyond the top the sign, or zeros.
fn extract(a: u64, start: u64, length: u64, width: u64, signed: bool) -> u64 {
    let (start, length) = (start & 0xff, length & 0xff);
    if length == 0 {
        return 0;
    }
    let sign_at = (start + length - 1).min(width - 1);
    let sign = signed && a >> sign_at & 1 == 1;
    let field = a.checked_shr(start as u32).unwrap_or(0) & low_bits(length);
    let field = if start >= width { 0 } else { field & low_bits(width - start) };
    let known = length.min(width.saturating_sub(start));
    if sign { field | !low_bits(known) } else { field }
}

fn low_bits(count: u64) -> u64 {
    if count >= 64 { u64::MAX } else { (1 << count) - 1 }
}

/// `prmt` without mode: four times a byte of the eight, or its sign.
fn permute(a: u64, b: u64, selector: u64) -> u64 {
    let bytes = (b << 32 | a).to_le_bytes();
    let mut out = [0; 4];
    for (at, byte) in out.iter_mut().enumerate() {
        let select = selector >> (4 * at) & 15;
        let value = bytes[select as usize & 7];
        *byte = if select & 8 == 0 { value } else { ((value as i8) >> 7) as u8 };
    }
    u32::from_le_bytes(out).into()
}

/// Instructions with four operands.
pub fn quaternary(opcode: &[&str]) -> Option<Typed<Quaternary>> {
    let (f, width): (Quaternary, u8) = match *opcode {
        ["bfi", "b32"] => (|s| insert(s, 32), 32),
        ["bfi", "b64"] => (|s| insert(s, 64), 64),
        ["lop3", "b32"] => (logic, 32),
        _ => return None,
    };
    Some(Typed {
        f,
        d: width,
        widths: if opcode[0] == "bfi" { [width, width, 32, 32] } else { [32; 4] },
    })
}

fn insert([a, b, start, length]: [u64; 4], width: u64) -> u64 {
    let (start, length) = (start & 0xff, length & 0xff);
    if start >= width {
        return b;
    }
    let mask = low_bits(length) << start & low_bits(width);
    b & !mask | a << start & mask
}

fn logic([a, b, c, table]: [u64; 4]) -> u64 {
    let mut out = 0;
    for index in 0..8 {
        if table >> index & 1 == 1 {
            let pick = |value: u64, bit: u32| if index >> bit & 1 == 1 { value } else { !value };
            out |= pick(a, 2) & pick(b, 1) & pick(c, 0);
        }
    }
    out & 0xffff_ffff
}

/// Sum and carry of `add.cc`, `addc`, `sub.cc`, `subc`: first operand, second, carry in.
pub(crate) fn carry(opcode: &str, width: u8) -> Option<[Ternary; 2]> {
    Some(match (opcode, width) {
        ("add", 32) => [|a, b, c| u64::from((a + b + c) as u32), |a, b, c| (a + b + c) >> 32],
        ("add", 64) => [
            |a, b, c| a.wrapping_add(b).wrapping_add(c),
            |a, b, c| ((u128::from(a) + u128::from(b) + u128::from(c)) >> 64) as u64,
        ],
        ("sub", 32) => [
            |a, b, c| u64::from((a as u32).wrapping_sub(b as u32).wrapping_sub(c as u32)),
            |a, b, c| u64::from(a < b + c),
        ],
        ("sub", 64) => [
            |a, b, c| a.wrapping_sub(b).wrapping_sub(c),
            |a, b, c| u64::from(u128::from(a) < u128::from(b) + u128::from(c)),
        ],
        _ => return None,
    })
}
