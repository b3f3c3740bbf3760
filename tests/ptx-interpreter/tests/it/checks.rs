//! What is found while a kernel runs.

use crate::support::{kernel, load, run, run_seeded};
use cuda::execute::{Launch, execute};
use cuda::memory::Memory;

/// Address of the thread's own word in `%l2`, its number in `%r1`, of the block in `%r2`.
const OWN: &str = "mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.x; mul.wide.u32 %l1, %r1, 4;
    add.s64 %l2, %out, %l1; .shared .align 8 .b8 s[256]; mov.u64 %l3, s; add.s64 %l4, %l3, %l1;\n";

fn wrong(body: &str, sizes: [u32; 2], code: i32, words: &str) {
    let text = kernel(&format!("{OWN}{body}"));
    for seed in 0..4 {
        let fault = run_seeded(&text, sizes, &[1, 2, 3, 4], 64, seed).expect_err(body);
        assert_eq!(fault.problem.code, code, "{fault}");
        assert!(fault.problem.text.contains(words), "{fault}");
        assert!(fault.line > 0, "{fault}");
    }
}

fn right(body: &str, sizes: [u32; 2]) {
    let text = kernel(&format!("{OWN}{body}"));
    for seed in 0..4 {
        run_seeded(&text, sizes, &[1, 2, 3, 4], 64, seed)
            .unwrap_or_else(|fault| panic!("{body}: {fault}"));
    }
}

#[test]
fn races_in_shared_memory() {
    wrong("st.shared.u32 [s], %r1;", [1, 2], 719, "data race in shared");
    wrong(
        "st.shared.u32 [%l4], %r1; bar.sync 0; ld.shared.u32 %r3, [%l3+4]; st.shared.u32 [%l4], 1;",
        [1, 2],
        719,
        "data race",
    );
    wrong("st.volatile.shared.u32 [s], %r1;", [1, 2], 719, "data race in shared");
    // Different words, different bytes of one word, the same thread: nothing wrong.
    right("st.shared.u32 [%l4], %r1; ld.shared.u32 %r3, [%l4]; st.shared.u32 [%l4], %r3;", [2, 33]);
    right("cvt.u64.u32 %l5, %r1; add.s64 %l5, %l5, %l3; st.shared.u8 [%l5], %r1;", [2, 33]);
    // A wide access against a narrow one.
    wrong(
        "setp.eq.u32 %p1, %r1, 0; mov.u64 %l6, 0; @%p1 st.shared.v2.u64 [s], {%l6, %l6};
        @!%p1 st.shared.u8 [s+9], 1;",
        [1, 2],
        719,
        "data race",
    );
    // A barrier between.
    right("st.shared.u32 [%l4], %r1; bar.sync 0; ld.shared.u32 %r3, [s];", [2, 2]);
    wrong(
        "st.shared.u32 [%l4], %r1; bar.sync 0; ld.shared.u32 %r3, [s]; st.shared.u32 [%l4], 5;",
        [1, 2],
        719,
        "data race",
    );
    // Two readers, then a write by one of them.
    wrong(
        "setp.eq.u32 %p1, %r1, 0; @%p1 st.shared.u32 [s], 1; bar.sync 0; ld.shared.u32 %r3, [s];
        @%p1 st.shared.u32 [s], 2;",
        [1, 3],
        719,
        "data race",
    );
}

#[test]
fn atomics_do_not_race_with_each_other() {
    let zero = "setp.eq.u32 %p1, %r1, 0; @%p1 st.shared.u32 [s], 0; bar.sync 0;";
    let add = "atom.shared.add.u32 %r3, [s], 1;";
    right(&format!("{zero} {add} bar.sync 0; ld.shared.u32 %r4, [s];"), [2, 40]);
    wrong(&format!("{zero} {add} ld.shared.u32 %r4, [s];"), [1, 40], 719, "data race");
    wrong(&format!("{zero} {add} @%p1 st.shared.u32 [s], 4;"), [1, 40], 719, "data race");
    right("atom.global.add.u32 %r3, [%out], 1; red.global.or.b32 [%out+4], 1;", [5, 40]);
    wrong(
        "atom.global.add.u32 %r3, [%out], 1; ld.global.u32 %r4, [%out];",
        [5, 1],
        719,
        "another block",
    );
    // A plain write of one block and atomics of the others.
    wrong(
        "setp.eq.u32 %p1, %r2, 0; @%p1 st.global.u32 [%out], 1; @!%p1 red.global.add.u32 [%out], 1;",
        [3, 1],
        719,
        "another block",
    );
    // Plain, then a barrier, then atomic: fine in a block, not between blocks.
    right(
        "setp.eq.u32 %p1, %r1, 0; @%p1 st.global.u32 [%out], 1; bar.sync 0;
        red.global.add.u32 [%out], 1;",
        [1, 9],
    );
    wrong(
        "setp.eq.u32 %p1, %r1, 0; @%p1 st.global.u32 [%out], 1; bar.sync 0;
        red.global.add.u32 [%out], 1;",
        [2, 9],
        719,
        "another block",
    );
}

#[test]
fn races_in_global_memory() {
    wrong("st.global.u32 [%out], %r1;", [1, 2], 719, "the same block");
    wrong("st.global.u32 [%l2], %r1;", [2, 2], 719, "another block");
    // A barrier orders threads of a block, never blocks.
    right("st.global.u32 [%l2], %r1; bar.sync 0; ld.global.u32 %r3, [%out];", [1, 9]);
    wrong(
        "setp.eq.u32 %p1, %r2, 0; @%p1 st.global.u32 [%l2], %r1; bar.sync 0;
        ld.global.u32 %r3, [%out];",
        [2, 9],
        719,
        "another block",
    );
    // Readers of two blocks, then a write of one of them.
    wrong(
        "ld.global.u32 %r3, [%out]; setp.eq.u32 %p1, %r2, 1; @%p1 st.global.u32 [%out], 7;",
        [3, 1],
        719,
        "another block",
    );
    right("ld.global.u32 %r3, [%out]; ld.global.u32 %r4, [%in];", [3, 9]);
}

#[test]
fn launches_are_ordered() {
    let text = kernel("ld.global.u32 %r1, [%out]; add.s32 %r1, %r1, 1; st.global.u32 [%out], %r1;");
    let mut memory = Memory::new(0, 1 << 20);
    let program = load(&text, &mut memory).expect("a text that is accepted");
    let at = memory.allocate(4, cuda::memory::Role::Allocation).expect("memory");
    memory.write(at, 4).expect("a fresh region").fill(0);
    let params: Vec<u8> = [at, at].iter().flat_map(|word| word.to_le_bytes()).collect();
    let mut segment = 1;
    for seed in 0..5 {
        let launch = Launch {
            program: &program,
            entry: 0,
            grid: [1; 3],
            block: [1; 3],
            dynamic: 0,
            params: &params,
            seed,
            budget: 1000,
            profile: false,
        };
        execute(&launch, &mut memory, &mut segment).expect("no race");
    }
    assert_eq!(memory.read(at, 4).expect("values"), [5, 0, 0, 0]);
}

#[test]
fn barriers() {
    wrong(
        "setp.eq.u32 %p1, %r1, 0; @%p1 bra $end; bar.sync 0; $end:",
        [1, 3],
        719,
        "divergent barrier",
    );
    wrong(
        "setp.eq.u32 %p1, %r1, 0; @%p1 bra $other; bar.sync 0; bra $end; $other: bar.sync 0; $end:",
        [1, 3],
        719,
        "divergent barrier",
    );
    right("setp.eq.u32 %p1, %r2, 0; @%p1 bra $end; bar.sync 0; $end:", [3, 3]);
}

#[test]
fn bounds() {
    // 64 words of output, 4 of input.
    right(
        "ld.global.u32 %r3, [%in+12]; ld.global.v4.u32 {%r4, %r5, %r6, %r7}, [%out+240];",
        [1, 1],
    );
    wrong("ld.global.u32 %r3, [%in+16];", [1, 1], 700, "16 bytes");
    wrong("ld.global.u32 %r3, [%in+-4];", [1, 1], 700, "offset -4");
    wrong("ld.global.v4.u32 {%r4, %r5, %r6, %r7}, [%out+256];", [1, 1], 700, "offset 256");
    wrong("st.global.u8 [%out+256], 1;", [1, 1], 700, "offset 256");
    wrong("atom.global.add.u32 %r3, [%in+16], 1;", [1, 1], 700, "offset 16");
    wrong("mov.u64 %l5, 0; ld.global.u32 %r3, [%l5];", [1, 1], 700, "no device memory");
    wrong("mov.u64 %l5, -8; ld.global.u32 %r3, [%l5];", [1, 1], 700, "no device memory");
    wrong("st.shared.u32 [s+256], 1;", [1, 1], 700, "shared memory");
    wrong("ld.shared.u32 %r3, [%l3+-4];", [1, 1], 700, "shared memory");
    wrong(".local .align 4 .b8 t[16]; st.local.u32 [t+16], 1;", [1, 2], 700, "local memory");
    wrong(
        ".local .align 4 .b8 t[16]; mov.u64 %l5, t; st.local.u32 [%l5+-4], 1;",
        [1, 2],
        700,
        "local",
    );
    wrong("ld.const.u32 %r3, [%l2];", [1, 1], 700, "no constant");
    wrong("mov.u64 %l5, in; ld.param.u32 %r3, [%l5+16];", [1, 1], 700, "parameters");
    wrong("mov.u64 %l5, in; st.param.u32 [%l5], %r1;", [1, 1], 700, "parameter");
}

#[test]
fn alignment() {
    wrong("ld.global.u32 %r3, [%in+2];", [1, 1], 716, "misaligned");
    wrong("ld.global.v2.u32 {%r3, %r4}, [%in+4];", [1, 1], 716, "misaligned");
    wrong("st.global.u64 [%out+4], %l1;", [1, 1], 716, "misaligned");
    wrong("st.shared.u16 [s+1], 1;", [1, 1], 716, "misaligned");
    wrong("red.global.add.u64 [%out+4], 1;", [1, 1], 716, "misaligned");
}

#[test]
fn uninitialised_memory() {
    wrong("ld.shared.u32 %r3, [s];", [1, 1], 719, "uninitialised");
    wrong("st.shared.u8 [s], 1; ld.shared.u16 %h1, [s];", [1, 1], 719, "uninitialised");
    wrong("atom.shared.or.b32 %r3, [s], 1;", [1, 1], 719, "uninitialised");
    wrong(".local .align 4 .b8 t[16]; ld.local.u32 %r3, [t];", [1, 1], 719, "uninitialised");
    right("st.shared.u8 [s], 1; st.shared.u8 [s+1], 1; ld.shared.u16 %h1, [s];", [1, 1]);
    // What one block wrote is gone in the next.
    wrong(
        "setp.eq.u32 %p1, %r2, 0; @%p1 st.shared.u32 [s], 1; @!%p1 ld.shared.u32 %r3, [s];",
        [2, 1],
        719,
        "uninitialised",
    );
}

#[test]
fn constants_cannot_be_written() {
    let text = kernel("mov.u64 %l1, c; st.global.u32 [%l1], 1;")
        .replace(".visible", ".const .align 4 .u32 c = 3;\n.visible");
    let fault = run(&text, [1, 1], &[0], 1).expect_err("a write to a constant");
    assert!(fault.problem.text.contains("write to the constant c"), "{fault}");
}

#[test]
fn endless_loops_and_traps() {
    wrong("$loop: bra $loop;", [1, 2], 702, "endless");
    wrong("trap;", [1, 2], 719, "trap");
    wrong("$t: .branchtargets $a; brx.idx 1, $t; $a:", [1, 1], 719, "brx.idx");
}

#[test]
fn places_are_named() {
    let text = kernel("mov.u32 %r1, %tid.x; setp.eq.u32 %p1, %r1, 35; @%p1 trap;");
    let fault = run(&text, [1, 40], &[0], 1).expect_err("a trap");
    assert_eq!(fault.place, "kernel k, block [0, 0, 0], thread [35, 0, 0], PTX line 9");
}
