//! Conversions.

use crate::support::{check, compute};
use cuda::convert::{double_to_half, half_to_double};

const ALL: &[u64] = &[
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0001,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
    0x0123_4567_89ab_cdef,
];
const FLOATS: &[f64] = &[
    0.0,
    -0.0,
    0.5,
    -0.5,
    1.5,
    2.5,
    -1.5,
    0.999,
    126.5,
    127.5,
    128.5,
    255.5,
    256.0,
    -128.5,
    -129.0,
    32_767.5,
    65_535.5,
    1e9,
    2_147_483_647.0,
    2_147_483_648.0,
    -2_147_483_649.0,
    4_294_967_295.0,
    4_294_967_296.0,
    9.3e18,
    1.9e19,
    -1e19,
    1e30,
    -1e30,
    f64::INFINITY,
    f64::NEG_INFINITY,
];

/// A value of a type of so many bits, as a number.
fn number(value: u64, name: &str) -> i128 {
    let width: u32 = name[1..].parse().expect("a width");
    let spare = 64 - width;
    if name.starts_with('s') {
        i128::from((value << spare) as i64 >> spare)
    } else {
        i128::from(value << spare >> spare)
    }
}

fn range(name: &str) -> (i128, i128) {
    let width: u32 = name[1..].parse().expect("a width");
    if name.starts_with('s') {
        (-(1 << (width - 1)), (1 << (width - 1)) - 1)
    } else {
        (0, (1 << width) - 1)
    }
}

/// The width of a register that holds a type.
fn register(name: &str) -> u32 {
    name[1..].parse::<u32>().expect("a width").max(16)
}

const TYPES: [&str; 8] = ["u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64"];

#[test]
fn between_integers() {
    for from in TYPES {
        for to in TYPES {
            let (source, result) = (register(from), register(to));
            let mask = u64::MAX >> (64 - result);
            check(&format!("cvt.{to}.{from} %d, %a;"), &[result, source], &[ALL], |[a, ..]| {
                // Cut to the type, then extended to the register by its sign.
                number(number(a, from) as u64, to) as u64 & mask
            });
            let text = format!("cvt.sat.{to}.{from} %d, %a;");
            check(&text, &[result, source], &[ALL], |[a, ..]| {
                let (low, high) = range(to);
                number(a, from).clamp(low, high) as u64 & mask
            });
        }
    }
    // Into and out of a wider register.
    check("cvt.s8.s32 %d, %a;", &[64, 32], &[ALL], |[a, ..]| a as i8 as u64);
    check("cvt.u8.u32 %d, %a;", &[64, 32], &[ALL], |[a, ..]| a & 0xff);
    check("cvt.s32.s8 %d, %a;", &[32, 64], &[ALL], |[a, ..]| a as i8 as u32 as u64);
}

#[test]
fn integers_to_floats() {
    for from in TYPES {
        let source = register(from);
        check(&format!("cvt.rn.f32.{from} %d, %a;"), &[32, source], &[ALL], |[a, ..]| {
            (number(a, from) as f32).to_bits().into()
        });
        check(&format!("cvt.rn.f64.{from} %d, %a;"), &[64, source], &[ALL], |[a, ..]| {
            (number(a, from) as f64).to_bits()
        });
    }
    // Ties to even, at the place where singles end.
    let ties: &[u64] = &[(1 << 24) + 1, (1 << 24) + 2, (1 << 24) + 3, (1 << 40) + (1 << 16)];
    check("cvt.rn.f32.u64 %d, %a;", &[32, 64], &[ties], |[a, ..]| (a as f32).to_bits().into());
    assert_eq!(
        compute("cvt.rn.f32.u32 %d, %a;", &[32; 2], &[[(1 << 24) + 1, 0, 0, 0]]),
        [0x4b80_0000]
    );
}

#[test]
fn floats_to_integers() {
    let modes: [(&str, fn(f64) -> f64); 4] = [
        ("rni", f64::round_ties_even),
        ("rzi", f64::trunc),
        ("rmi", f64::floor),
        ("rpi", f64::ceil),
    ];
    let doubles: Vec<u64> = FLOATS.iter().map(|value| value.to_bits()).collect();
    let singles: Vec<u64> = FLOATS.iter().map(|&value| (value as f32).to_bits().into()).collect();
    for to in TYPES {
        let result = register(to);
        let mask = u64::MAX >> (64 - result);
        for (mode, round) in modes {
            let clamp = |value: f64| {
                let (low, high) = range(to);
                (round(value) as i128).clamp(low, high) as u64 & mask
            };
            let text = format!("cvt.{mode}.{to}.f64 %d, %a;");
            check(&text, &[result, 64], &[&doubles], |[a, ..]| clamp(f64::from_bits(a)));
            let text = format!("cvt.{mode}.{to}.f32 %d, %a;");
            check(&text, &[result, 32], &[&singles], |[a, ..]| {
                clamp(f32::from_bits(a as u32).into())
            });
        }
        // A NaN: nothing, or the highest bit as soon as 64 bits are involved.
        let width: u32 = to[1..].parse().expect("a width");
        let high =
            if to.starts_with('s') { u64::MAX << (width - 1) & mask } else { 1 << (width - 1) };
        let single =
            compute(&format!("cvt.rzi.{to}.f32 %d, %a;"), &[result, 32], &[[0x7fc0_0000; 4]]);
        assert_eq!(single, [if width == 64 { high } else { 0 }], "{to}");
        let double = compute(&format!("cvt.rzi.{to}.f64 %d, %a;"), &[result, 64], &[[u64::MAX; 4]]);
        assert_eq!(double, [high], "{to}");
    }
}

#[test]
fn between_floats() {
    let doubles: Vec<u64> = FLOATS.iter().map(|value| value.to_bits()).collect();
    let singles: Vec<u64> = FLOATS.iter().map(|&value| (value as f32).to_bits().into()).collect();
    check("cvt.rn.f32.f64 %d, %a;", &[32, 64], &[&doubles], |[a, ..]| {
        (f64::from_bits(a) as f32).to_bits().into()
    });
    check("cvt.f64.f32 %d, %a;", &[64, 32], &[&singles], |[a, ..]| {
        f64::from(f32::from_bits(a as u32)).to_bits()
    });
    check("cvt.rmi.f32.f32 %d, %a;", &[32, 32], &[&singles], |[a, ..]| {
        f32::from_bits(a as u32).floor().to_bits().into()
    });
    check("cvt.rni.f64.f64 %d, %a;", &[64, 64], &[&doubles], |[a, ..]| {
        f64::from_bits(a).round_ties_even().to_bits()
    });
    let nan = [[0x7f80_0001, 0, 0, 0]];
    assert_eq!(compute("cvt.f64.f32 %d, %a;", &[64, 32], &nan), [i64::MAX as u64]);
    assert_eq!(compute("cvt.rn.f32.f64 %d, %a;", &[32, 64], &[[u64::MAX; 4]]), [0x7fff_ffff]);
}

/// The value of a half by its definition.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2_f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + fraction) * 2_f64.powi(exponent - 25),
    }
}

#[test]
fn every_half() {
    for bits in 0..=u16::MAX {
        let value = half(bits);
        let double = f64::from_bits(half_to_double(bits));
        if value.is_nan() {
            assert!(double.is_nan());
            assert_eq!(double_to_half(double.to_bits()), 0x7fff);
            continue;
        }
        assert_eq!(double.to_bits(), value.to_bits(), "{bits:#x}");
        assert_eq!(double_to_half(double.to_bits()), bits, "{bits:#x}");
    }
    let all: Vec<u64> = (0..=u16::MAX).step_by(97).map(u64::from).collect();
    check("cvt.f32.f16 %d, %a;", &[32, 16], &[&all], |[a, ..]| {
        let value = half(a as u16) as f32;
        if value.is_nan() { 0x7fff_ffff } else { value.to_bits().into() }
    });
    check("cvt.f64.f16 %d, %a;", &[64, 16], &[&all], |[a, ..]| {
        let value = half(a as u16);
        if value.is_nan() { i64::MAX as u64 } else { value.to_bits() }
    });
}

#[test]
fn halves_round_to_nearest_even() {
    // Between each half and the next: below, at and above the middle.
    for bits in (0..0x7bff_u16).step_by(13).chain([0, 1, 0x3ff, 0x400, 0x7bfe]) {
        let (low, high) = (half(bits), half(bits + 1));
        let middle = (low + high) / 2.0;
        let even = if bits & 1 == 0 { bits } else { bits + 1 };
        let cases = [
            (f64::from_bits(middle.to_bits() - 1), bits),
            (middle, even),
            (f64::from_bits(middle.to_bits() + 1), bits + 1),
        ];
        for (value, expected) in cases {
            assert_eq!(double_to_half(value.to_bits()), expected, "{value:e}");
            assert_eq!(double_to_half((-value).to_bits()), expected | 0x8000, "{value:e}");
        }
    }
    assert_eq!(double_to_half(65_519.999_f64.to_bits()), 0x7bff);
    assert_eq!(double_to_half(65_520_f64.to_bits()), 0x7c00);
    assert_eq!(double_to_half(1e300_f64.to_bits()), 0x7c00);
    assert_eq!(double_to_half(f64::NEG_INFINITY.to_bits()), 0xfc00);
    assert_eq!(double_to_half(f64::MIN_POSITIVE.to_bits()), 0);
    assert_eq!(double_to_half(1), 0);
    let single = |value: f32| [u64::from(value.to_bits()), 0, 0, 0];
    let got = compute(
        "cvt.rn.f16.f32 %d, %a;",
        &[16, 32],
        &[single(1.0), single(-65_504.0), single(1e-8), single(f32::NAN), single(1.000_488_3)],
    );
    assert_eq!(got, [0x3c00, 0xfbff, 0, 0x7fff, 0x3c00]);
    assert_eq!(
        compute("cvt.rn.f16.s32 %d, %a;", &[16, 32], &[[-3_i32 as u32 as u64; 4]]),
        [0xc200]
    );
    assert_eq!(compute("cvt.rzi.s32.f16 %d, %a;", &[32, 16], &[[0xc200; 4]]), [0xffff_fffd]);
    assert_eq!(compute("cvt.rn.f16.f64 %d, %a;", &[16, 64], &[[0.1_f64.to_bits(); 4]]), [0x2e66]);
}
