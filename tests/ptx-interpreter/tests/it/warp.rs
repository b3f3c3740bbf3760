//! Operations of a warp, and barriers.

use crate::support::{kernel, run, run_seeded};

/// Each thread stores `%r9`.
fn each(body: &str) -> String {
    kernel(&format!(
        "mov.u32 %r1, %tid.x; mov.u32 %r2, %laneid; mul.wide.u32 %l1, %r1, 4; add.s64 %l2, %out, %l1;
         {body} st.global.u32 [%l2], %r9;"
    ))
}

#[test]
fn shuffles() {
    let cases: [(&str, fn(u32) -> u32); 6] = [
        ("shfl.sync.bfly.b32 %r9, %r1, 5, 31, -1;", |lane| lane ^ 5),
        ("shfl.sync.up.b32 %r9, %r1, 3, 0, -1;", |lane| if lane < 3 { lane } else { lane - 3 }),
        ("shfl.sync.down.b32 %r9, %r1, 3, 31, -1;", |lane| if lane > 28 { lane } else { lane + 3 }),
        ("shfl.sync.idx.b32 %r9, %r1, 7, 31, -1;", |_| 7),
        // Parts of eight lanes: the upper bits of the clamp.
        ("shfl.sync.idx.b32 %r9, %r1, 2, 6175, -1;", |lane| lane & 24 | 2),
        ("shfl.sync.down.b32 %r9|%p1, %r1, 7, 6175, -1; @!%p1 mov.u32 %r9, 99;", |lane| {
            if lane % 8 == 0 { lane + 7 } else { 99 }
        }),
    ];
    for (text, f) in cases {
        let out = run(&each(text), [1, 64], &[0], 64).expect("no fault");
        for (thread, value) in (0..).zip(out) {
            let expected = f(thread % 32);
            let expected = if expected == 99 { 99 } else { expected + thread / 32 * 32 };
            assert_eq!(value, expected, "{text} of {thread}");
        }
    }
}

#[test]
fn votes() {
    let low = "setp.lt.u32 %p1, %r2, 5;";
    let cases = [
        ("vote.sync.ballot.b32 %r9, %p1, -1;", 31),
        ("vote.sync.ballot.b32 %r9, !%p1, -1;", !31),
        ("vote.sync.all.pred %p2, %p1, -1; selp.u32 %r9, 1, 0, %p2;", 0),
        ("vote.sync.any.pred %p2, %p1, -1; selp.u32 %r9, 1, 0, %p2;", 1),
        ("vote.sync.uni.pred %p2, %p1, -1; selp.u32 %r9, 1, 0, %p2;", 0),
    ];
    for (text, expected) in cases {
        let out = run(&each(&format!("{low} {text}")), [1, 64], &[0], 64).expect("no fault");
        assert_eq!(out, [expected; 64], "{text}");
    }
    // Half of the warp on its own, and a warp that is not full.
    let half = each(
        "setp.lt.u32 %p1, %r2, 16; mov.u32 %r9, 0; @!%p1 bra $end;
        vote.sync.ballot.b32 %r9, %p1, 65535; bar.warp.sync 65535; $end:",
    );
    let out = run(&half, [1, 32], &[0], 32).expect("no fault");
    assert_eq!(out[..16], [65_535; 16]);
    let out = run(
        &each("vote.sync.ballot.b32 %r9, 1, -1;").replace(", 1, -1", ", %p1, -1"),
        [1, 40],
        &[0],
        40,
    );
    assert_eq!(out.expect("no fault"), [0; 40]);
    let own = each("activemask.b32 %r9; shl.b32 %r3, 1, %r2; and.b32 %r9, %r9, %r3;");
    let out = run(&own, [1, 32], &[0], 32).expect("no fault");
    assert!(out.iter().zip(0..).all(|(&mask, lane)| mask == 1 << lane));
}

#[test]
fn wrong_use_of_a_warp() {
    let foreign = each("shfl.sync.idx.b32 %r9, %r1, 7, 31, 15; bar.warp.sync -1;");
    assert_eq!(run(&foreign, [1, 4], &[0], 4).expect_err("lane 7 is missing").problem.code, 719);
    let member = each("mov.u32 %r9, 0; bar.warp.sync 1;");
    let fault = run(&member, [1, 2], &[0], 2).expect_err("thread 1 is no member");
    assert!(fault.problem.text.contains("no member"), "{fault}");
    let apart = each(
        "mov.u32 %r9, 0; setp.eq.u32 %p1, %r2, 0; @%p1 bra $other; bar.warp.sync -1;
        bra $end; $other: bar.sync 0; $end:",
    );
    let fault = run(&apart, [1, 2], &[0], 2).expect_err("they never meet");
    assert!(fault.problem.text.contains("deadlock"), "{fault}");
}

#[test]
fn threads_and_blocks_come_in_random_order() {
    // A ticket for each thread: who is first depends on the seed alone.
    let text = each("atom.global.add.u32 %r9, [%in], 1;");
    let order = |seed| run_seeded(&text, [1, 64], &[0], 64, seed).expect("no fault");
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
    let blocks = kernel(
        "atom.global.add.u32 %r1, [%in], 1; mov.u32 %r2, %ctaid.x; mul.wide.u32 %l1, %r2, 4;
         add.s64 %l2, %out, %l1; st.global.u32 [%l2], %r1;",
    );
    for count in [1, 2, 3, 12, 97, 1000] {
        let mut out = run_seeded(&blocks, [count, 1], &[0], count as usize, 7).expect("no fault");
        if count > 12 {
            assert!(!out.is_sorted());
        }
        out.sort_unstable();
        assert_eq!(out, (0..count).collect::<Vec<u32>>());
    }
}
