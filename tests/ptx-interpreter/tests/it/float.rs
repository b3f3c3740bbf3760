//! Float instructions against the arithmetic of this language.

use crate::support::check;

const NAN_32: u64 = 0x7fff_ffff;
const NAN_64: u64 = 0x7fff_ffff_ffff_ffff;
/// Zeros, subnormals, ones, a tie, the largest, infinities, NaNs.
const E32: &[u64] = &[
    0,
    0x8000_0000,
    1,
    0x8000_0001,
    0x007f_ffff,
    0x0080_0000,
    0x3f80_0000,
    0xbf80_0000,
    0x3f80_0001,
    0x4b80_0001,
    0x7f7f_ffff,
    0xff7f_ffff,
    0x7f80_0000,
    0xff80_0000,
    0x7fc0_1234,
    0xff80_0001,
];
const E64: &[u64] = &[
    0,
    1 << 63,
    1,
    1 << 63 | 1,
    0x000f_ffff_ffff_ffff,
    0x0010_0000_0000_0000,
    0x3ff0_0000_0000_0000,
    0xbff0_0000_0000_0001,
    0x4340_0000_0000_0001,
    0x7fef_ffff_ffff_ffff,
    0xffef_ffff_ffff_ffff,
    0x7ff0_0000_0000_0000,
    0xfff0_0000_0000_0000,
    0x7ff8_0000_0000_1234,
    0xfff0_0000_0000_0001,
];

fn f32_of(bits: u64) -> f32 {
    f32::from_bits(bits as u32)
}

fn f64_of(bits: u64) -> f64 {
    f64::from_bits(bits)
}

fn bits_32(value: f32) -> u64 {
    if value.is_nan() { NAN_32 } else { value.to_bits().into() }
}

fn bits_64(value: f64) -> u64 {
    if value.is_nan() { NAN_64 } else { value.to_bits() }
}

#[test]
fn rounded_arithmetic() {
    let single: [(&str, fn(f32, f32) -> f32); 4] = [
        ("add", |a, b| a + b),
        ("sub", |a, b| a - b),
        ("mul", |a, b| a * b),
        ("div", |a, b| a / b),
    ];
    for (name, f) in single {
        check(&format!("{name}.rn.f32 %d, %a, %b;"), &[32; 3], &[E32, E32], |[a, b, ..]| {
            bits_32(f(f32_of(a), f32_of(b)))
        });
    }
    let double: [(&str, fn(f64, f64) -> f64); 4] = [
        ("add", |a, b| a + b),
        ("sub", |a, b| a - b),
        ("mul", |a, b| a * b),
        ("div", |a, b| a / b),
    ];
    for (name, f) in double {
        check(&format!("{name}.rn.f64 %d, %a, %b;"), &[64; 3], &[E64, E64], |[a, b, ..]| {
            bits_64(f(f64_of(a), f64_of(b)))
        });
    }
    check("fma.rn.f32 %d, %a, %b, %c;", &[32; 4], &[E32, E32, E32], |[a, b, c, _]| {
        bits_32(f32_of(a).mul_add(f32_of(b), f32_of(c)))
    });
    check("fma.rn.f64 %d, %a, %b, %c;", &[64; 4], &[E64, E64, E64], |[a, b, c, _]| {
        bits_64(f64_of(a).mul_add(f64_of(b), f64_of(c)))
    });
    check("sqrt.rn.f32 %d, %a;", &[32; 2], &[E32], |[a, ..]| bits_32(f32_of(a).sqrt()));
    check("sqrt.rn.f64 %d, %a;", &[64; 2], &[E64], |[a, ..]| bits_64(f64_of(a).sqrt()));
    check("rcp.rn.f32 %d, %a;", &[32; 2], &[E32], |[a, ..]| bits_32(1.0 / f32_of(a)));
    check("rcp.rn.f64 %d, %a;", &[64; 2], &[E64], |[a, ..]| bits_64(1.0 / f64_of(a)));
}

#[test]
fn signs() {
    check("neg.f32 %d, %a;", &[32; 2], &[E32], |[a, ..]| a ^ 0x8000_0000);
    check("abs.f32 %d, %a;", &[32; 2], &[E32], |[a, ..]| a & 0x7fff_ffff);
    check("neg.f64 %d, %a;", &[64; 2], &[E64], |[a, ..]| a ^ 1 << 63);
    check("abs.f64 %d, %a;", &[64; 2], &[E64], |[a, ..]| a & !(1 << 63));
    // The sign of the first on the magnitude of the second.
    check("copysign.f32 %d, %a, %b;", &[32; 3], &[&E32[..14], &E32[..14]], |[a, b, ..]| {
        a & 0x8000_0000 | b & 0x7fff_ffff
    });
}

#[test]
fn extremes() {
    // A NaN loses against a number; of the zeros the negative one is less.
    let order = |a: f64| if a == 0.0 && a.is_sign_negative() { (0.0, -1) } else { (a, 0) };
    let least = |a: f64, b: f64| {
        if a.is_nan() || (!b.is_nan() && order(b) < order(a)) { b } else { a }
    };
    let most = |a: f64, b: f64| {
        if a.is_nan() || (!b.is_nan() && order(b) > order(a)) { b } else { a }
    };
    check("min.f32 %d, %a, %b;", &[32; 3], &[E32, E32], |[a, b, ..]| {
        bits_32(least(f32_of(a).into(), f32_of(b).into()) as f32)
    });
    check("max.f32 %d, %a, %b;", &[32; 3], &[E32, E32], |[a, b, ..]| {
        bits_32(most(f32_of(a).into(), f32_of(b).into()) as f32)
    });
    check("min.f64 %d, %a, %b;", &[64; 3], &[E64, E64], |[a, b, ..]| {
        bits_64(least(f64_of(a), f64_of(b)))
    });
    check("max.f64 %d, %a, %b;", &[64; 3], &[E64, E64], |[a, b, ..]| {
        bits_64(most(f64_of(a), f64_of(b)))
    });
}

#[test]
fn comparisons() {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let wanted = |name: &str, order: Option<std::cmp::Ordering>| match (name, order) {
        ("num", order) => order.is_some(),
        ("nan", order) => order.is_none(),
        (name, None) => name.len() == 3,
        (name, Some(order)) => match &name[..2] {
            "eq" => order == Equal,
            "ne" => order != Equal,
            "lt" => order == Less,
            "le" => order != Greater,
            "gt" => order == Greater,
            _ => order != Less,
        },
    };
    for name in
        ["eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"]
    {
        check(&format!("setp.{name}.f32 %d, %a, %b;"), &[1, 32, 32], &[E32, E32], |[a, b, ..]| {
            wanted(name, f32_of(a).partial_cmp(&f32_of(b))).into()
        });
        check(&format!("setp.{name}.f64 %d, %a, %b;"), &[1, 64, 64], &[E64, E64], |[a, b, ..]| {
            wanted(name, f64_of(a).partial_cmp(&f64_of(b))).into()
        });
    }
}

#[test]
fn literals() {
    check("mov.f32 %d, 0f3F800000;", &[32], &[], |_| 0x3f80_0000);
    check("mov.f64 %d, 0dBFF0000000000000;", &[64], &[], |_| 0xbff0_0000_0000_0000);
    check("mov.u32 %d, 0xFFFFFFFF;", &[32], &[], |_| 0xffff_ffff);
    check("mov.u32 %d, -1;", &[32], &[], |_| 0xffff_ffff);
    check("mov.u64 %d, -9223372036854775808;", &[64], &[], |_| 1 << 63);
    check("mov.u32 %d, 017;", &[32], &[], |_| 15);
}
