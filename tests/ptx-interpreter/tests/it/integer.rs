//! Integer instructions against the arithmetic of this language.

use crate::support::{check, compute};

const E16: &[u64] = &[0, 1, 2, 0x7f, 0xff, 0x7fff, 0x8000, 0xfffe, 0xffff, 0x1234];
const E32: &[u64] =
    &[0, 1, 2, 31, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff, 0x1234_5678];
const E64: &[u64] = &[
    0,
    1,
    2,
    63,
    0xffff_ffff,
    0x1_0000_0000,
    i64::MAX as u64,
    1 << 63,
    u64::MAX - 1,
    u64::MAX,
    0x1234_5678_9abc_def0,
];
const AMOUNTS: &[u64] =
    &[0, 1, 7, 15, 16, 17, 31, 32, 33, 63, 64, 65, 0xffff, 0x1_0000, 0xffff_ffff];

/// One instruction of two operands for all six types.
macro_rules! all_types {
    ($text:literal, |$a:ident, $b:ident| $e:expr) => {{
        all_types!(@ $text, "u16", u16, u16, 16, E16, $a, $b, $e);
        all_types!(@ $text, "s16", i16, u16, 16, E16, $a, $b, $e);
        all_types!(@ $text, "u32", u32, u32, 32, E32, $a, $b, $e);
        all_types!(@ $text, "s32", i32, u32, 32, E32, $a, $b, $e);
        all_types!(@ $text, "u64", u64, u64, 64, E64, $a, $b, $e);
        all_types!(@ $text, "s64", i64, u64, 64, E64, $a, $b, $e);
    }};
    (@ $text:literal, $t:literal, $i:ty, $u:ty, $w:literal, $edges:ident, $a:ident, $b:ident, $e:expr) => {
        check(
            &format!(concat!($text, ".", $t, " %d, %a, %b;")),
            &[$w; 3],
            &[$edges, $edges],
            #[allow(clippy::unnecessary_cast, reason = "one of the types is u64 itself")]
            |[a, b, ..]| {
                let ($a, $b) = (a as $i, b as $i);
                ($e) as $u as u64
            },
        );
    };
}

#[test]
fn arithmetic() {
    all_types!("add", |a, b| a.wrapping_add(b));
    all_types!("sub", |a, b| a.wrapping_sub(b));
    all_types!("mul.lo", |a, b| a.wrapping_mul(b));
    all_types!("min", |a, b| if a < b { a } else { b });
    all_types!("max", |a, b| if a > b { a } else { b });
    // All ones for a zero divisor; the least value by -1 wraps.
    all_types!("div", |a, b| a.checked_div(b).unwrap_or(if b == 0 { !0 } else { a }));
    all_types!("rem", |a, b| a.checked_rem(b).unwrap_or(if b == 0 { !0 } else { 0 }));
}

#[test]
fn upper_halves() {
    check("mul.hi.u16 %d, %a, %b;", &[16; 3], &[E16, E16], |[a, b, ..]| (a * b) >> 16);
    check("mul.hi.s16 %d, %a, %b;", &[16; 3], &[E16, E16], |[a, b, ..]| {
        u64::from(((i32::from(a as i16) * i32::from(b as i16)) >> 16) as u16)
    });
    check("mul.hi.u32 %d, %a, %b;", &[32; 3], &[E32, E32], |[a, b, ..]| (a * b) >> 32);
    check("mul.hi.s32 %d, %a, %b;", &[32; 3], &[E32, E32], |[a, b, ..]| {
        u64::from(((i64::from(a as i32) * i64::from(b as i32)) >> 32) as u32)
    });
    check("mul.hi.u64 %d, %a, %b;", &[64; 3], &[E64, E64], |[a, b, ..]| {
        ((u128::from(a) * u128::from(b)) >> 64) as u64
    });
    check("mul.hi.s64 %d, %a, %b;", &[64; 3], &[E64, E64], |[a, b, ..]| {
        ((i128::from(a as i64) * i128::from(b as i64)) >> 64) as u64
    });
}

#[test]
fn wide_products() {
    check("mul.wide.u16 %d, %a, %b;", &[32, 16, 16], &[E16, E16], |[a, b, ..]| a * b);
    check("mul.wide.s16 %d, %a, %b;", &[32, 16, 16], &[E16, E16], |[a, b, ..]| {
        u64::from((i32::from(a as i16) * i32::from(b as i16)) as u32)
    });
    check("mul.wide.u32 %d, %a, %b;", &[64, 32, 32], &[E32, E32], |[a, b, ..]| a * b);
    check("mul.wide.s32 %d, %a, %b;", &[64, 32, 32], &[E32, E32], |[a, b, ..]| {
        (i64::from(a as i32) * i64::from(b as i32)) as u64
    });
}

#[test]
fn multiply_and_add() {
    check("mad.lo.s16 %d, %a, %b, %c;", &[16; 4], &[E16, E16, E16], |[a, b, c, _]| {
        (a as u16).wrapping_mul(b as u16).wrapping_add(c as u16).into()
    });
    check("mad.lo.s32 %d, %a, %b, %c;", &[32; 4], &[E32, E32, E32], |[a, b, c, _]| {
        (a as u32).wrapping_mul(b as u32).wrapping_add(c as u32).into()
    });
    check("mad.lo.u64 %d, %a, %b, %c;", &[64; 4], &[E64, E64, E64], |[a, b, c, _]| {
        a.wrapping_mul(b).wrapping_add(c)
    });
    check("mad.hi.u32 %d, %a, %b, %c;", &[32; 4], &[E32, E32, E32], |[a, b, c, _]| {
        (((a * b) >> 32) as u32).wrapping_add(c as u32).into()
    });
    check("mad.hi.s32 %d, %a, %b, %c;", &[32; 4], &[E32, E32, E32], |[a, b, c, _]| {
        let high = ((i64::from(a as i32) * i64::from(b as i32)) >> 32) as u32;
        high.wrapping_add(c as u32).into()
    });
    check("mad.hi.u64 %d, %a, %b, %c;", &[64; 4], &[E64, E64, E64], |[a, b, c, _]| {
        (((u128::from(a) * u128::from(b)) >> 64) as u64).wrapping_add(c)
    });
    check("mad.hi.s64 %d, %a, %b, %c;", &[64; 4], &[E64, E64, E64], |[a, b, c, _]| {
        (((i128::from(a as i64) * i128::from(b as i64)) >> 64) as u64).wrapping_add(c)
    });
    check("mad.wide.u16 %d, %a, %b, %c;", &[32, 16, 16, 32], &[E16, E16, E32], |[a, b, c, _]| {
        ((a * b) as u32).wrapping_add(c as u32).into()
    });
    check("mad.wide.s16 %d, %a, %b, %c;", &[32, 16, 16, 32], &[E16, E16, E32], |[a, b, c, _]| {
        ((i32::from(a as i16) * i32::from(b as i16)) as u32).wrapping_add(c as u32).into()
    });
    check("mad.wide.u32 %d, %a, %b, %c;", &[64, 32, 32, 64], &[E32, E32, E64], |[a, b, c, _]| {
        (a * b).wrapping_add(c)
    });
    check("mad.wide.s32 %d, %a, %b, %c;", &[64, 32, 32, 64], &[E32, E32, E64], |[a, b, c, _]| {
        ((i64::from(a as i32) * i64::from(b as i32)) as u64).wrapping_add(c)
    });
}

#[test]
fn shifts_by_the_width_or_more() {
    check("shl.b16 %d, %a, %b;", &[16, 16, 32], &[E16, AMOUNTS], |[a, b, ..]| {
        if b < 16 { a << b & 0xffff } else { 0 }
    });
    check("shl.b32 %d, %a, %b;", &[32; 3], &[E32, AMOUNTS], |[a, b, ..]| {
        if b < 32 { a << b & 0xffff_ffff } else { 0 }
    });
    check(
        "shl.b64 %d, %a, %b;",
        &[64, 64, 32],
        &[E64, AMOUNTS],
        |[a, b, ..]| {
            if b < 64 { a << b } else { 0 }
        },
    );
    for (t, width, edges) in
        [("u16", 16, E16), ("b16", 16, E16), ("u32", 32, E32), ("u64", 64, E64)]
    {
        let text = format!("shr.{t} %d, %a, %b;");
        check(&text, &[width, width, 32], &[edges, AMOUNTS], |[a, b, ..]| {
            if b < u64::from(width) { a >> b } else { 0 }
        });
    }
    check("shr.s16 %d, %a, %b;", &[16, 16, 32], &[E16, AMOUNTS], |[a, b, ..]| {
        (i64::from(a as i16) >> b.min(63)) as u16 as u64
    });
    check("shr.s32 %d, %a, %b;", &[32; 3], &[E32, AMOUNTS], |[a, b, ..]| {
        (i64::from(a as i32) >> b.min(63)) as u32 as u64
    });
    check("shr.s64 %d, %a, %b;", &[64, 64, 32], &[E64, AMOUNTS], |[a, b, ..]| {
        (a as i64 >> b.min(63)) as u64
    });
}

#[test]
fn funnel_shifts() {
    let shift = |left: bool, a: u64, b: u64, amount: u64| {
        let both = u128::from(b << 32 | a);
        let moved = if left { both << amount >> 32 } else { both >> amount };
        moved as u32 as u64
    };
    for (left, name) in [(true, "l"), (false, "r")] {
        for (wrap, mode) in [(true, "wrap"), (false, "clamp")] {
            let text = format!("shf.{name}.{mode}.b32 %d, %a, %b, %c;");
            check(&text, &[32; 4], &[E32, E32, AMOUNTS], |[a, b, c, _]| {
                shift(left, a, b, if wrap { c & 31 } else { c.min(32) })
            });
        }
    }
}

#[test]
fn bitwise() {
    for (width, edges) in [(16, E16), (32, E32), (64, E64)] {
        let mask = u64::MAX >> (64 - width);
        let binary = |name: &str, f: fn(u64, u64) -> u64| {
            let text = format!("{name}.b{width} %d, %a, %b;");
            check(&text, &[width; 3], &[edges, edges], |[a, b, ..]| f(a, b));
        };
        binary("and", |a, b| a & b);
        binary("or", |a, b| a | b);
        binary("xor", |a, b| a ^ b);
        check(&format!("not.b{width} %d, %a;"), &[width; 2], &[edges], |[a, ..]| !a & mask);
        check(&format!("cnot.b{width} %d, %a;"), &[width; 2], &[edges], |[a, ..]| (a == 0).into());
    }
    let bits: &[u64] = &[0, 1];
    check("and.pred %d, %a, %b;", &[1; 3], &[bits, bits], |[a, b, ..]| a & b);
    check("or.pred %d, %a, %b;", &[1; 3], &[bits, bits], |[a, b, ..]| a | b);
    check("xor.pred %d, %a, %b;", &[1; 3], &[bits, bits], |[a, b, ..]| a ^ b);
    check("not.pred %d, %a;", &[1; 2], &[bits], |[a, ..]| a ^ 1);
    check("mov.pred %d, %a;", &[1; 2], &[bits], |[a, ..]| a);
    for table in [0x00, 0x1b, 0x80, 0x96, 0xca, 0xff_u64] {
        let text = format!("lop3.b32 %d, %a, %b, %c, {table};");
        check(&text, &[32; 4], &[E32, E32, E32], |[a, b, c, _]| {
            (0..32).fold(0, |out, at| {
                let index = (a >> at & 1) << 2 | (b >> at & 1) << 1 | c >> at & 1;
                out | (table >> index & 1) << at
            })
        });
    }
}

#[test]
fn counting_bits() {
    check("popc.b32 %d, %a;", &[32; 2], &[E32], |[a, ..]| a.count_ones().into());
    check("popc.b64 %d, %a;", &[32, 64], &[E64], |[a, ..]| a.count_ones().into());
    check("clz.b32 %d, %a;", &[32; 2], &[E32], |[a, ..]| (a as u32).leading_zeros().into());
    check("clz.b64 %d, %a;", &[32, 64], &[E64], |[a, ..]| a.leading_zeros().into());
    check("brev.b32 %d, %a;", &[32; 2], &[E32], |[a, ..]| (a as u32).reverse_bits().into());
    check("brev.b64 %d, %a;", &[64; 2], &[E64], |[a, ..]| a.reverse_bits());
    let find = |found: Option<u32>| u64::from(found.unwrap_or(u32::MAX));
    check("bfind.u32 %d, %a;", &[32; 2], &[E32], |[a, ..]| find(a.checked_ilog2()));
    check("bfind.u64 %d, %a;", &[32, 64], &[E64], |[a, ..]| find(a.checked_ilog2()));
    check("bfind.s32 %d, %a;", &[32; 2], &[E32], |[a, ..]| {
        let a = a as i32;
        find((if a < 0 { !a } else { a } as u32).checked_ilog2())
    });
    check("bfind.s64 %d, %a;", &[32, 64], &[E64], |[a, ..]| {
        let a = a as i64;
        find((if a < 0 { !a } else { a } as u64).checked_ilog2())
    });
    check("bfind.shiftamt.u32 %d, %a;", &[32; 2], &[E32], |[a, ..]| {
        find(a.checked_ilog2().map(|at| 31 - at))
    });
}

#[test]
fn signs() {
    check("neg.s16 %d, %a;", &[16; 2], &[E16], |[a, ..]| (a as u16).wrapping_neg().into());
    check("neg.s32 %d, %a;", &[32; 2], &[E32], |[a, ..]| (a as u32).wrapping_neg().into());
    check("neg.s64 %d, %a;", &[64; 2], &[E64], |[a, ..]| a.wrapping_neg());
    check("abs.s16 %d, %a;", &[16; 2], &[E16], |[a, ..]| (a as i16).unsigned_abs().into());
    check("abs.s32 %d, %a;", &[32; 2], &[E32], |[a, ..]| (a as i32).unsigned_abs().into());
    check("abs.s64 %d, %a;", &[64; 2], &[E64], |[a, ..]| (a as i64).unsigned_abs());
    check("sad.u32 %d, %a, %b, %c;", &[32; 4], &[E32, E32, E32], |[a, b, c, _]| {
        (a.abs_diff(b) as u32).wrapping_add(c as u32).into()
    });
}

/// The definition in the instruction set, bit by bit.
fn extract(a: u64, start: u64, len: u64, width: u64, signed: bool) -> u64 {
    let (start, len, top) = (start & 0xff, len & 0xff, width - 1);
    let sign = if !signed || len == 0 { 0 } else { a >> (start + len - 1).min(top) & 1 };
    (0..width).fold(0, |out, at| {
        let bit = if at < len && start + at <= top { a >> (start + at) & 1 } else { sign };
        out | bit << at
    })
}

#[test]
fn bit_fields() {
    for (t, width, edges) in
        [("u32", 32, E32), ("s32", 32, E32), ("u64", 64, E64), ("s64", 64, E64)]
    {
        let text = format!("bfe.{t} %d, %a, %b, %c;");
        check(&text, &[width, width, 32, 32], &[edges, AMOUNTS, AMOUNTS], |[a, b, c, _]| {
            extract(a, b, c, width.into(), t.starts_with('s'))
        });
    }
    for (width, edges) in [(32, E32), (64, E64)] {
        let text = format!("bfi.b{width} %d, %a, %b, %c, %e;");
        let widths = [width, width, width, 32, 32];
        check(&text, &widths, &[edges, edges, AMOUNTS, AMOUNTS], |[a, b, start, len]| {
            let (start, len) = (start & 0xff, len & 0xff);
            (0..u64::from(width)).fold(0, |out, at| {
                let bit =
                    if at >= start && at < start + len { a >> (at - start) } else { b >> at } & 1;
                out | bit << at
            })
        });
    }
}

#[test]
fn permutation() {
    let selectors: &[u64] = &[0x3210, 0x0123, 0x7654, 0x8888, 0xfedc, 0x4040, 0xffff_0123];
    check("prmt.b32 %d, %a, %b, %c;", &[32; 4], &[E32, E32, selectors], |[a, b, c, _]| {
        (0..4).fold(0, |out, at| {
            let nibble = c >> (4 * at) & 15;
            let byte = (b << 32 | a) >> (8 * (nibble & 7)) & 0xff;
            let byte = if nibble & 8 == 0 { byte } else { (byte >> 7) * 0xff };
            out | byte << (8 * at)
        })
    });
}

#[test]
fn selection() {
    let bits: &[u64] = &[0, 1];
    for (t, width, edges) in
        [("b16", 16, E16), ("u32", 32, E32), ("s64", 64, E64), ("f32", 32, E32)]
    {
        let text = format!("selp.{t} %d, %a, %b, %c;");
        check(
            &text,
            &[width, width, width, 1],
            &[edges, edges, bits],
            |[a, b, p, _]| {
                if p == 1 { a } else { b }
            },
        );
        let text = format!("slct.{t}.s32 %d, %a, %b, %c;");
        check(&text, &[width, width, width, 32], &[edges, edges, E32], |[a, b, c, _]| {
            if c as i32 >= 0 { a } else { b }
        });
    }
}

#[test]
fn comparisons() {
    for t in ["u16", "s16", "u32", "s32", "u64", "s64", "b16", "b32", "b64"] {
        let width: u32 = t[1..].parse().expect("a width");
        let edges = if width == 16 {
            E16
        } else if width == 32 {
            E32
        } else {
            E64
        };
        let key = |a: u64| {
            let spare = 64 - width;
            if t.starts_with('s') {
                i128::from((a << spare) as i64 >> spare)
            } else {
                i128::from(a)
            }
        };
        let all: [(&str, fn(i128, i128) -> bool); 10] = [
            ("eq", |a, b| a == b),
            ("ne", |a, b| a != b),
            ("lt", |a, b| a < b),
            ("le", |a, b| a <= b),
            ("gt", |a, b| a > b),
            ("ge", |a, b| a >= b),
            ("lo", |a, b| a < b),
            ("ls", |a, b| a <= b),
            ("hi", |a, b| a > b),
            ("hs", |a, b| a >= b),
        ];
        for (name, f) in all {
            let unsigned_only = matches!(name, "lo" | "ls" | "hi" | "hs");
            if unsigned_only && !t.starts_with('u') || t.starts_with('b') && !"eqne".contains(name)
            {
                continue;
            }
            let text = format!("setp.{name}.{t} %d, %a, %b;");
            check(&text, &[1, width, width], &[edges, edges], |[a, b, ..]| {
                f(key(a), key(b)).into()
            });
        }
    }
    check("set.lt.u32.s32 %d, %a, %b;", &[32; 3], &[E32, E32], |[a, b, ..]| {
        if (a as i32) < b as i32 { 0xffff_ffff } else { 0 }
    });
    check("set.eq.f32.u32 %d, %a, %b;", &[32; 3], &[E32, E32], |[a, b, ..]| {
        if a == b { 0x3f80_0000 } else { 0 }
    });
}

#[test]
fn comparisons_joined_with_predicates() {
    let bits: &[u64] = &[0, 1];
    let joins: [(&str, fn(bool, bool) -> bool); 3] =
        [("and", |a, b| a & b), ("or", |a, b| a | b), ("xor", |a, b| a ^ b)];
    for (name, f) in joins {
        let text = format!("setp.lt.{name}.u32 %d, %a, %b, %c;");
        check(&text, &[1, 32, 32, 1], &[E32, E32, bits], |[a, b, c, _]| f(a < b, c == 1).into());
        let text = format!("setp.lt.{name}.u32 %d, %a, %b, !%c;");
        check(&text, &[1, 32, 32, 1], &[E32, E32, bits], |[a, b, c, _]| f(a < b, c == 0).into());
        // The second result is of the opposite comparison; the third operand is overwritten by it.
        let text = format!("setp.lt.{name}.u32 %d|%c, %a, %b, %c; xor.pred %d, %d, %c;");
        check(&text, &[1, 32, 32, 1], &[E32, E32, bits], |[a, b, c, _]| {
            (f(a < b, c == 1) ^ f(a >= b, c == 1)).into()
        });
    }
}

#[test]
fn carries() {
    // 128 bits in two halves, and 64 in two.
    let halves = compute(
        "{ .reg .b64 %lo; add.cc.u64 %lo, %a, %b; addc.u64 %d, %c, %e; }",
        &[64; 5],
        &[[u64::MAX, 1, 5, 6], [1, 1, 5, 6], [u64::MAX, u64::MAX, u64::MAX, 0]],
    );
    assert_eq!(halves, [12, 11, 0]);
    let halves = compute(
        "{ .reg .b32 %lo; sub.cc.u32 %lo, %a, %b; subc.u32 %d, %c, %e; }",
        &[32; 5],
        &[[0, 1, 9, 2], [1, 1, 9, 2], [5, 0xffff_ffff, 0, 0]],
    );
    assert_eq!(halves, [6, 7, 0xffff_ffff]);
    let chain =
        "{ .reg .b32 %x; add.cc.u32 %x, %a, %b; addc.cc.u32 %x, %c, %e; addc.u32 %d, 0, 0; }";
    let all = 0xffff_ffff;
    assert_eq!(compute(chain, &[32; 5], &[[all, 1, all, 0], [all, 0, all, 0]]), [1, 0]);
}

#[test]
fn packing() {
    check("mov.b64 %d, {%a, %b};", &[64, 32, 32], &[E32, E32], |[a, b, ..]| b << 32 | a);
    check("mov.b32 %d, {%a, %b};", &[32, 16, 16], &[E16, E16], |[a, b, ..]| b << 16 | a);
    check("mov.b64 %d, {%a, %b, %c, %e};", &[64, 16, 16, 16, 16], &[E16, E16, E16, E16], |all| {
        all.iter().rev().fold(0, |out, part| out << 16 | part)
    });
    check("{ .reg .b32 t; mov.b64 {t, %d}, %a; }", &[32, 64], &[E64], |[a, ..]| a >> 32);
    check("mov.b64 {%d, _}, %a;", &[32, 64], &[E64], |[a, ..]| a & 0xffff_ffff);
    check("mov.b64 {_, _, %d, _}, %a;", &[16, 64], &[E64], |[a, ..]| a >> 32 & 0xffff);
}
