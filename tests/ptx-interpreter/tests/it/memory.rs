//! Loads, stores, atomic operations, address spaces, control flow.

use crate::support::{HEAD, check, kernel, run};

const E32: &[u64] = &[0, 1, 5, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

#[test]
fn loads_extend() {
    let bytes = [0x8180_7f01, 0xffee_8000, 0x1122_3344, 0x5566_7788];
    let text = kernel(
        "ld.global.u8 %r1, [%in+2]; ld.global.s8 %r2, [%in+2]; ld.global.s8 %r3, [%in+1];
         ld.global.u16 %r4, [%in+2]; ld.global.s16 %r5, [%in+4]; ld.global.b16 %h1, [%in+6];
         ld.global.s32 %l1, [%in+4]; ld.global.u8 %h2, [%in+3]; ld.global.s8 %h3, [%in+3];
         st.global.u32 [%out], %r1; st.global.u32 [%out+4], %r2; st.global.u32 [%out+8], %r3;
         st.global.u32 [%out+12], %r4; st.global.u32 [%out+16], %r5; st.global.u16 [%out+20], %h1;
         st.global.u64 [%out+24], %l1; st.global.u16 [%out+32], %h2; st.global.u16 [%out+34], %h3;",
    );
    let out = run(&text, [1, 1], &bytes, 9).expect("no fault");
    let expected = [
        0x80,
        0xffff_ff80,
        0x7f,
        0x8180,
        0xffff_8000,
        0xffee,
        0xffee_8000,
        0xffff_ffff,
        0xff81_0081,
    ];
    assert_eq!(out, expected);
}

#[test]
fn vectors() {
    let input: Vec<u32> = (0x10..0x20).map(|word| word * 0x0101_0101).collect();
    let text = kernel(
        "ld.global.nc.v4.u32 {%r1, %r2, %r3, %r4}, [%in];
         st.global.v4.u32 [%out], {%r4, %r3, %r2, %r1};
         ld.global.v2.u64 {%l1, %l2}, [%in+16]; st.global.v2.b64 [%out+16], {%l2, %l1};
         ld.global.v2.f32 {%f1, %f2}, [%in+32]; st.global.v2.f32 [%out+32], {%f2, %f1};
         ld.global.v4.u16 {%h1, %h2, %h3, %h4}, [%in+40];
         st.global.v4.b16 [%out+40], {%h4, %h3, %h2, %h1};
         ld.global.v4.u8 {%h1, %h2, %h3, _}, [%in+48]; st.global.v2.u8 [%out+48], {%h3, 7};",
    );
    let out = run(&text, [1, 1], &input, 13).expect("no fault");
    let word = |at: u32| (0x10 + at) * 0x0101_0101;
    let expected = [
        word(3),
        word(2),
        word(1),
        word(0),
        word(6),
        word(7),
        word(4),
        word(5),
        word(9),
        word(8),
        word(11),
        word(10),
        0x071c,
    ];
    assert_eq!(out, expected);
}

#[test]
fn atomic_operations() {
    let all: [(&str, fn(u32, u32) -> u32); 12] = [
        ("add.u32", u32::wrapping_add),
        ("add.s32", u32::wrapping_add),
        ("and.b32", |a, b| a & b),
        ("or.b32", |a, b| a | b),
        ("xor.b32", |a, b| a ^ b),
        ("exch.b32", |_, b| b),
        ("min.u32", |a, b| a.min(b)),
        ("max.u32", |a, b| a.max(b)),
        ("min.s32", |a, b| (a as i32).min(b as i32) as u32),
        ("max.s32", |a, b| (a as i32).max(b as i32) as u32),
        ("inc.u32", |a, b| if a >= b { 0 } else { a + 1 }),
        ("dec.u32", |a, b| if a == 0 || a > b { b } else { a - 1 }),
    ];
    for (name, f) in all {
        // Old value below, new value above; then the same without a result.
        let text = format!(
            "st.global.u32 [%out], %a; {{ .reg .b32 %old, %new; atom.global.{name} %old, [%out], %b;
             ld.global.u32 %new, [%out]; mov.b64 %d, {{%old, %new}}; }}"
        );
        check(&text, &[64, 32, 32], &[E32, E32], |[a, b, ..]| {
            u64::from(f(a as u32, b as u32)) << 32 | a
        });
        if name != "exch.b32" {
            let text = format!(
                "st.global.u32 [%out], %a; red.global.{name} [%out], %b; ld.global.u32 %d, [%out];"
            );
            check(&text, &[32; 3], &[E32, E32], |[a, b, ..]| f(a as u32, b as u32).into());
        }
    }
    let swap = "st.global.u32 [%out], %a; atom.global.cas.b32 %d, [%out], %b, %c;
                ld.global.u32 %d, [%out];";
    check(swap, &[32; 4], &[E32, E32, E32], |[a, b, c, _]| if a == b { c } else { a });
    let wide =
        "st.global.u64 [%out], %a; atom.global.add.u64 %d, [%out], %b; ld.global.u64 %d, [%out];";
    let e64: &[u64] = &[0, 1, u64::MAX, 1 << 63];
    check(wide, &[64; 3], &[e64, e64], |[a, b, ..]| a.wrapping_add(b));
    let wide =
        "st.global.u64 [%out], %a; atom.global.max.s64 %d, [%out], %b; ld.global.u64 %d, [%out];";
    check(wide, &[64; 3], &[e64, e64], |[a, b, ..]| (a as i64).max(b as i64) as u64);
}

#[test]
fn atomics_of_many_threads() {
    let text = kernel(
        ".shared .align 4 .u32 sum; mov.u32 %r1, %tid.x; setp.eq.u32 %p1, %r1, 0;
         @%p1 st.shared.u32 [sum], 0; bar.sync 0;
         atom.shared.add.u32 %r2, [sum], %r1; atom.global.add.u32 %r3, [%out], 1; bar.sync 0;
         ld.shared.u32 %r4, [sum]; @%p1 red.global.add.u32 [%out+4], %r4;",
    );
    let out = run(&text, [7, 65], &[0], 2).expect("no fault");
    assert_eq!(out, [7 * 65, 7 * 65 * 64 / 2]);
}

#[test]
fn generic_addresses() {
    let text = kernel(
        ".shared .align 8 .b8 s[64]; .local .align 8 .b8 t[32];
         mov.u64 %l1, s; cvta.shared.u64 %l2, %l1; mov.u64 %l3, t; cvta.local.u64 %l4, %l3;
         st.u32 [%l2+8], 11; st.u32 [%l4+4], 22; st.u32 [%out], 33;
         ld.shared.u32 %r1, [s+8]; ld.local.u32 %r2, [t+4]; ld.global.u32 %r3, [%out];
         st.global.u32 [%out], %r1; st.global.u32 [%out+4], %r2; st.global.u32 [%out+8], %r3;
         isspacep.shared %p1, %l2; isspacep.local %p2, %l4; isspacep.global %p3, %out;
         isspacep.shared %p4, %l4;
         selp.u32 %r4, 1, 0, %p1; selp.u32 %r5, 1, 0, %p2; selp.u32 %r6, 1, 0, %p3;
         selp.u32 %r7, 1, 0, %p4; st.global.v4.u32 [%out+16], {%r4, %r5, %r6, %r7};
         cvta.to.shared.u64 %l5, %l2; setp.eq.u64 %p5, %l5, %l1; selp.u32 %r8, 1, 0, %p5;
         st.global.u32 [%out+12], %r8;",
    );
    assert_eq!(run(&text, [1, 1], &[0], 8).expect("no fault"), [11, 22, 33, 1, 1, 1, 1, 0]);
}

#[test]
fn variables_of_the_module() {
    let text = format!(
        "{HEAD}.const .align 4 .b8 table[8] = {{1, 2, 3, 4, 0xff}};
         .const .align 4 .u32 words[3] = {{-1, 7}};
         .global .align 4 .u32 counter = 5;
         .global .align 8 .b8 zero[16];
         .visible .entry k(.param .u64 in, .param .u64 out) {{
         .reg .b32 %r<9>; .reg .b64 %l<4>; ld.param.u64 %l1, [out]; mov.u64 %l2, table;
         ld.const.u32 %r1, [%l2]; ld.const.u32 %r2, [table+4]; ld.const.u32 %r3, [words];
         ld.const.u32 %r4, [words+8]; atom.global.add.u32 %r5, [counter], 2;
         ld.global.u32 %r6, [counter]; ld.global.u32 %r7, [zero+12];
         st.global.v4.u32 [%l1], {{%r1, %r2, %r3, %r4}}; st.global.v2.u32 [%l1+16], {{%r5, %r6}};
         st.global.u32 [%l1+24], %r7; ret; }}"
    );
    let out = run(&text, [1, 1], &[0], 7).expect("no fault");
    assert_eq!(out, [0x0403_0201, 0xff, 0xffff_ffff, 0, 5, 7, 0]);
}

#[test]
fn calls() {
    // Parameters by value and a structure; a result; local memory in caller and callee.
    let text = format!(
        "{HEAD}.func (.param .b64 result) twice(.param .b64 a, .param .align 4 .b8 s[8]) {{
         .local .align 4 .b8 t[8]; .reg .b64 %l<9>; .reg .b32 %r<9>;
         ld.param.u64 %l1, [a]; ld.param.u32 %r1, [s+4]; mov.u64 %l2, t;
         st.local.u32 [%l2+4], %r1; ld.local.u32 %r2, [t+4]; cvt.u64.u32 %l3, %r2;
         add.u64 %l1, %l1, %l1; add.u64 %l1, %l1, %l3; st.param.b64 [result], %l1; ret; }}
         .func (.param .b64 result) outer(.param .b64 a) {{
         .reg .b64 %l<9>; ld.param.u64 %l1, [a];
         {{ .param .b64 p; st.param.b64 [p], %l1; .param .align 4 .b8 q[8];
         st.param.u32 [q], 1; st.param.u32 [q+4], 5; .param .b64 r;
         call.uni (r), twice, (p, q); ld.param.b64 %l2, [r]; }}
         st.param.b64 [result], %l2; ret; }}
         .visible .entry k(.param .u64 in, .param .u64 out) {{
         .local .align 4 .b8 mine[4]; .reg .b64 %l<9>; .reg .b32 %r<9>;
         st.local.u32 [mine], 77; mov.u32 %r1, %tid.x; cvt.u64.u32 %l1, %r1;
         {{ .param .b64 p; st.param.b64 [p], %l1; .param .b64 r;
         call.uni (r), outer, (p); ld.param.b64 %l2, [r]; }}
         ld.local.u32 %r2, [mine]; cvt.u32.u64 %r3, %l2; add.u32 %r3, %r3, %r2;
         ld.param.u64 %l3, [out]; mul.wide.u32 %l4, %r1, 4; add.u64 %l3, %l3, %l4;
         st.global.u32 [%l3], %r3; ret; }}"
    );
    let out = run(&text, [1, 40], &[0], 40).expect("no fault");
    assert_eq!(out, (0..40).map(|at| 2 * at + 5 + 77).collect::<Vec<u32>>());
}

#[test]
fn branches() {
    let text = kernel(
        "mov.u32 %r1, %tid.x; and.b32 %r2, %r1, 3; mul.wide.u32 %l1, %r1, 4;
         add.s64 %l2, %out, %l1;
         $targets: .branchtargets $a, $b, $c, $d;
         brx.idx %r2, $targets;
         $a: mov.u32 %r3, 100; bra.uni $end;
         $b: mov.u32 %r3, 0; mov.u32 %r4, 0;
         $loop: add.s32 %r3, %r3, %r4; add.s32 %r4, %r4, 1; setp.le.u32 %p1, %r4, %r1;
         @%p1 bra $loop; bra.uni $end;
         $c: mov.u32 %r3, 300; setp.gt.u32 %p2, %r1, 4; @!%p2 mov.u32 %r3, 301; bra $end;
         $d: setp.gt.u32 %p2, %r1, 4; @%p2 exit; mov.u32 %r3, 400;
         $end: st.global.u32 [%l2], %r3;",
    );
    let out = run(&text, [1, 8], &[0], 8).expect("no fault");
    assert_eq!(out, [100, 1, 301, 400, 100, 15, 300, 0]);
}

#[test]
fn special_registers() {
    let text = kernel(
        "mov.u32 %r1, %tid.x; mov.u32 %r2, %ntid.x; mov.u32 %r3, %ctaid.x; mov.u32 %r4, %nctaid.x;
         mov.u32 %r5, %laneid; mov.u32 %r6, %warpid; mov.u32 %r7, %lanemask_lt; mov.u32 %r8, WARP_SZ;
         mov.u32 %r9, %tid.y; add.s32 %r8, %r8, %r9; mov.u32 %r10, %dynamic_smem_size;
         mad.lo.s32 %r11, %r3, %r2, %r1; mul.wide.u32 %l1, %r11, 40; add.s64 %l2, %out, %l1;
         st.global.u32 [%l2], %r1; st.global.u32 [%l2+4], %r2; st.global.u32 [%l2+8], %r3;
         st.global.u32 [%l2+12], %r4; st.global.u32 [%l2+16], %r5; st.global.u32 [%l2+20], %r6;
         st.global.u32 [%l2+24], %r7; st.global.u32 [%l2+28], %r8; st.global.u32 [%l2+32], %r10;",
    );
    let out = run(&text, [2, 40], &[0], 800).expect("no fault");
    for (index, row) in out.chunks(10).enumerate() {
        let (block, thread) = (index as u32 / 40, index as u32 % 40);
        let lane = thread % 32;
        let expected = [thread, 40, block, 2, lane, thread / 32, (1 << lane) - 1, 32, 64, 0];
        assert_eq!(row, expected);
    }
}

#[test]
fn dynamic_shared_memory() {
    let text = kernel(
        "mov.u64 %l1, dyn; st.shared.u32 [%l1+60], 9; ld.shared.u32 %r1, [dyn+60];
        st.global.u32 [%out], %r1;",
    )
    .replace(".visible", ".extern .shared .align 16 .b8 dyn[];\n.visible");
    assert_eq!(run(&text, [1, 1], &[0], 1).expect("no fault"), [9]);
    let beyond = text.replace("+60", "+64");
    assert_eq!(run(&beyond, [1, 1], &[0], 1).expect_err("beyond the end").problem.code, 700);
}

#[test]
fn strong_accesses_and_fences() {
    let text = kernel(
        "mov.u32 %r1, %tid.x; atom.global.add.u32 %r2, [%out], %r1; fence.acq_rel.gpu; membar.gl;
         membar.cta; fence.sc.sys; ld.relaxed.gpu.global.u32 %r3, [%out];
         st.relaxed.gpu.global.u32 [%out+4], 1; ld.volatile.global.u32 %r4, [%in];",
    );
    assert_eq!(run(&text, [2, 8], &[0], 2).expect("no race"), [56, 1]);
}
