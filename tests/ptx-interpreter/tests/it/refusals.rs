//! Texts that are refused at load.

use crate::support::{HEAD, kernel, load};
use cuda::memory::Memory;

fn refused(text: &str, words: &str) {
    let refusal = load(text, &mut Memory::new(0, 1 << 20)).expect_err(text);
    assert!(refusal.to_string().contains(words), "{text}: {refusal}");
}

#[test]
fn instructions() {
    for instruction in [
        // Float arithmetic that an assembler may fuse, approximate or flush.
        "add.f32 %f1, %f2, %f3",
        "sub.f64 %g1, %g2, %g3",
        "mul.f32 %f1, %f2, %f3",
        "mul.ftz.f32 %f1, %f2, %f3",
        "mul.rn.ftz.f32 %f1, %f2, %f3",
        "add.rz.f32 %f1, %f2, %f3",
        "add.rn.sat.f32 %f1, %f2, %f3",
        "div.approx.f32 %f1, %f2, %f3",
        "div.full.f32 %f1, %f2, %f3",
        "fma.rz.f32 %f1, %f2, %f3, %f4",
        "mad.f32 %f1, %f2, %f3, %f4",
        "rcp.approx.f32 %f1, %f2",
        "sqrt.approx.f32 %f1, %f2",
        "rsqrt.approx.f32 %f1, %f2",
        "sin.approx.f32 %f1, %f2",
        "ex2.approx.f32 %f1, %f2",
        "lg2.approx.f32 %f1, %f2",
        "setp.lt.ftz.f32 %p1, %f1, %f2",
        "min.ftz.f32 %f1, %f2, %f3",
        "cvt.f32.f64 %f1, %g1",
        "cvt.rz.f32.f64 %f1, %g1",
        "cvt.f32.u32 %f1, %r1",
        "cvt.sat.f32.f32 %f1, %f2",
        "cvt.u32.f32 %r1, %f1",
        "cvt.rn.ftz.f32.f64 %f1, %g1",
        "neg.ftz.f32 %f1, %f2",
        "add.f16 %h1, %h2, %h3",
        "fma.rn.f16 %h1, %h2, %h3, %h4",
        "atom.global.add.f32 %f1, [%in], %f2",
        "red.global.add.f64 [%in], %g1",
        // Not of the subset.
        "add.sat.s32 %r1, %r2, %r3",
        "mul.s32 %r1, %r2, %r3",
        "mul24.lo.s32 %r1, %r2, %r3",
        "dp4a.u32.u32 %r1, %r2, %r3, %r4",
        "tex.2d.v4.f32.s32 {%f1}, [%in]",
        "shfl.bfly.b32 %r1, %r2, 1, 31",
        "vote.all.pred %p1, %p2",
        "match.any.sync.b32 %r1, %r2, -1",
        "bar.arrive 0, 64",
        "bar.red.popc.u32 %r1, 0, %p1",
        "ld.global.v8.f32 %f1, [%in]",
        "ld.surf.u32 %r1, [%in]",
        "prmt.b32.f4e %r1, %r2, %r3, %r4",
        "setp.lo.s32 %p1, %r1, %r2",
        "setp.lt.b32 %p1, %r1, %r2",
        "min.b32 %r1, %r2, %r3",
        "shr.b8 %r1, %r2, %r3",
        "cvt.u33.u32 %r1, %r2",
        "nanosleep.u32 100",
    ] {
        let words = format!("PTX line 11: `{instruction}`: not supported");
        refused(&kernel(&format!("\n\n{instruction};")), &words);
    }
}

#[test]
fn operands() {
    for (instruction, words) in [
        ("add.s32 %r1, %r2, %l1;", "has 64 bits where 32"),
        ("add.s32 %l1, %r2, %r3;", "has 64 bits where 32"),
        ("add.s32 %r1, %r2;", "2 source operands"),
        ("add.s32 %r1, %r2, %r3, %r4;", "2 source operands"),
        ("add.s32 %r1, %r2, %x;", "`%x` is no register"),
        ("add.s64 %l1, %l2, name;", "`name` is not known"),
        ("mov.u32 %r1, 4294967296;", "does not fit"),
        ("mov.u16 %h1, -32769;", "does not fit"),
        ("mov.f32 %f1, 0d3FF0000000000000;", "operand of 32 bits"),
        ("mov.u32 %r1, %clock;", "`%clock` is no register"),
        ("ld.global.u64 %r1, [%in];", "only 32 bits"),
        ("ld.global.v2.u32 {%r1, %r2, %r3}, [%in];", "does not fit the access"),
        ("ld.global.v4.u64 {%l1, %l2, %l3, %l4}, [%in];", "does not fit the access"),
        ("ld.global.u32 %r1, [in];", "lies in the param space"),
        ("ld.u32 %r1, [in];", "needs its space"),
        ("st.const.u32 [%in], %r1;", "cannot be written"),
        ("ld.global.u32 %r1, [%r2];", "has 32 bits where 64"),
        ("bra $nowhere;", "no label `$nowhere`"),
        ("@%r1 bra $nowhere;", "has 32 bits where 1"),
        ("brx.idx %r1, $list;", "no targets"),
        ("bar.sync 1;", "only barrier 0"),
        ("bar.sync 0, 64;", "only barrier 0"),
        ("call.uni f;", "function `f` is not defined"),
        ("$a: $a:", "label `$a` is there twice"),
        (".reg .b32 %r1;", "declared twice"),
        (".reg .b8 %b;", "registers of type"),
        (".reg .v2 .b32 %b;", "`;` expected"),
        (".shared .b8 s[50000];", "at most 49152"),
        (".loc 1 2 3;", "directive `.loc`"),
        ("mov.b64 {%r1, %r2, %r3}, %l1;", "parts of this width"),
        ("mov.b32 %r1, %l1", "`,` expected"),
    ] {
        refused(&kernel(instruction), words);
    }
}

#[test]
fn modules() {
    refused(".target sm_70\n.address_size 64\n", "no .version");
    refused(".version 6.3\n.address_size 64\n", "no .target");
    refused(".version 6.3\n.target compute\n", "target compute");
    refused(".version 6.3\n.target sm_70\n.address_size 32\n", "64-bit addresses");
    refused(&format!("{HEAD}.tex .u32 t;"), "directive `.tex`");
    refused(&format!("{HEAD}.global .texref t;"), "type `.texref`");
    refused(&format!("{HEAD}.global .u8 t[2] = {{1, 2, 3}};"), "more values");
    refused(&format!("{HEAD}.global .u64 t = name;"), "a value expected");
    refused(&format!("{HEAD}.global .u8 t; .global .u8 t;"), "declared twice");
    refused(&format!("{HEAD}.shared .u32 t = 1;"), "no initial values");
    refused(&format!("{HEAD}.entry k() .strange {{ ret; }}"), "directive `.strange`");
    refused(&format!("{HEAD}.entry k() {{ ret; }} .entry k() {{ ret; }}"), "defined twice");
    refused(&format!("{HEAD}.entry k(.param .b8 p[5000]) {{ ret; }}"), "at most 4096");
    refused(&format!("{HEAD}.func f() {{ call.uni f; ret; }}"), "recursion");
    refused(&format!("{HEAD}.entry k() {{ ret; "), "ends too early");
    refused(&format!("{HEAD}/* "), "does not end");
    refused(&format!("{HEAD}#include"), "cannot read");
    let two =
        "{HEAD}.func (.param .b32 r) f(.param .b32 a) { ret; } .entry k() { call.uni f; ret; }";
    refused(&two.replace("{HEAD}", HEAD), "another number of parameters");
}

#[test]
fn texts_that_would_take_stack_memory_or_overflow() {
    // Each depth of a list would take a call of the reader.
    let nested = format!("mov.b64 {}%l1;", "{".repeat(100_000));
    refused(&kernel(&nested), "a list in a list");
    refused(&kernel("call.uni (((r))), f, ();"), "a list in a list");
    refused(&format!("{HEAD}.global .u8 {};", "n".repeat(1025)), "a name of more than");
    refused(&format!("{HEAD}.global .align 4294967296 .u8 t;"), "an alignment of more than");
    let huge = "[4294967296][4294967296]";
    refused(&format!("{HEAD}.shared .b64 t{huge};"), "a variable of more than");
    let most = u64::MAX;
    refused(&format!("{HEAD}.shared .v4 .b64 t[{most}];"), "a variable of more than");
    refused(&kernel(".local .b8 t[1000000];"), "of local memory or parameters");
    refused(&kernel("setp.eq. %p1, %r1, %r2;"), "not supported");
    let threads = format!("{HEAD}.entry k() .maxntid {most}, {most}, {most} {{ ret; }}");
    let program = load(&threads, &mut Memory::new(0, 1 << 20)).expect("a large number");
    assert_eq!(program.functions[0].max_threads, Some(most));
}

#[test]
fn deep_and_many_calls() {
    // 2^40 ways through the calls, each to the same shared variable.
    let mut text = format!("{HEAD}.func f0() {{ .shared .b32 s; ret; }}\n");
    for i in 1..=40 {
        text += &format!(".func f{i}() {{ call.uni f{0}; call.uni f{0}; ret; }}\n", i - 1);
    }
    let kernel = "\n.entry k() { call.uni f40; ret; }";
    let program = load(&(text.clone() + kernel), &mut Memory::new(0, 1 << 20)).expect("a program");
    let number = program.kernel("k").expect("a kernel");
    assert_eq!(program.functions[number].shared.len(), 1);
    for i in 41..=20_000 {
        text += &format!(".func f{i}() {{ call.uni f{}; ret; }}\n", i - 1);
    }
    text = text.replace(HEAD, "");
    // The last function first, so that it is asked before those that it calls.
    let reversed: Vec<&str> = text.lines().rev().collect();
    refused(&format!("{HEAD}{}", reversed.join("\n")), "nested too deep");
}
