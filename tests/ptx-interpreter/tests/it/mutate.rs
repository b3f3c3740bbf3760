//! Mistakes made on purpose.

use crate::support::{context, device, download, kernel, launch_null, load, upload};
use cuda::context::Context;
use cuda::memory::Memory;
use cuda::mutate::{apply, describe, mutations};
use cuda::parse::parse;

#[test]
fn each_kind() {
    let text = kernel(
        "add.s32 %r1, %r2, 5; sub.s64 %l1, %l2, %l3; and.b32 %r1, %r2, %r3; or.b64 %l1, %l2, %l3;
         shl.b32 %r1, %r2, 3; setp.lt.u32 %p1, %r1, %r2; selp.b32 %r1, %r2, %r3, %p1;
         @%p1 bra $end; mul.hi.u32 %r1, %r2, %r3; atom.global.or.b32 %r1, [%out], %r2;
         st.global.u32 [%out], %r1; bar.sync 0; $end:",
    );
    let module = parse(&text).expect("a text that is accepted");
    let all: Vec<String> = mutations(&module).iter().map(describe).collect();
    let expected = [
        "line 9: add.s32 %r1, %r2, 5 -> sub.s32 %r1, %r2, 5",
        "line 9: add.s32 %r1, %r2, 5 -> add.s32 %r1, %r2, 6",
        "line 9: sub.s64 %l1, %l2, %l3 -> add.s64 %l1, %l2, %l3",
        "line 9: sub.s64 %l1, %l2, %l3 -> sub.s64 %l1, %l3, %l2",
        "line 9: and.b32 %r1, %r2, %r3 -> or.b32 %r1, %r2, %r3",
        "line 9: or.b64 %l1, %l2, %l3 -> and.b64 %l1, %l2, %l3",
        "line 10: shl.b32 %r1, %r2, 3 -> shl.b32 %r1, %r2, 4",
        "line 10: setp.lt.u32 %p1, %r1, %r2 -> setp.le.u32 %p1, %r1, %r2",
        "line 10: setp.lt.u32 %p1, %r1, %r2 -> setp.lt.u32 %p1, %r2, %r1",
        "line 10: selp.b32 %r1, %r2, %r3, %p1 -> selp.b32 %r1, %r3, %r2, %p1",
        "line 11: @%p1 bra $end -> @!%p1 bra $end",
        "line 11: mul.hi.u32 %r1, %r2, %r3 -> mul.lo.u32 %r1, %r2, %r3",
        "line 11: atom.global.or.b32 %r1, [%out], %r2 -> atom.global.and.b32 %r1, [%out], %r2",
        "line 12: st.global.u32 [%out], %r1 -> st.global.u32 [%out+1], %r1",
        "line 12: st.global.u32 [%out], %r1 -> nothing",
        "line 12: bar.sync 0 -> nothing",
    ];
    let expected: Vec<String> = expected.iter().map(|text| format!("k, {text}")).collect();
    assert_eq!(all, expected);
    // Each gives a module that is still accepted.
    for mutation in mutations(&module) {
        let mut changed = module.clone();
        apply(&mut changed, &mutation);
        let decoded = cuda::decode::decode(&changed, &mut |_| 0);
        assert!(decoded.is_ok(), "{}: {decoded:?}", describe(&mutation));
    }
    assert!(load(&text, &mut Memory::new(0, 1 << 20)).is_ok());
}

#[test]
fn a_mutation_changes_what_runs() {
    let text = kernel("ld.global.u32 %r1, [%in]; add.s32 %r1, %r1, 5; st.global.u32 [%out], %r1;");
    let result = |mut context: Context| {
        let module = context.load(&text).expect("a module");
        let function = context.function(module, "k").expect("a kernel");
        let [from, to] = [upload(&mut context, &[30]), upload(&mut context, &[0, 0])];
        launch_null(&mut context, function, [1, 1], [from, to]).expect("a launch");
        download(&mut context, to, 1)
    };
    assert_eq!(result(context()), Ok(vec![35]));
    assert_eq!(result(Context::new(device(&[("PTX_MUTATE", "0")]), 0)), Ok(vec![25]));
    assert_eq!(result(Context::new(device(&[("PTX_MUTATE", "1")]), 0)), Ok(vec![36]));
    assert_eq!(result(Context::new(device(&[("PTX_MUTATE", "2")]), 0)), Err(716));
    assert_eq!(result(Context::new(device(&[("PTX_MUTATE", "3")]), 0)), Ok(vec![0]));
    assert_eq!(result(Context::new(device(&[("PTX_MUTATE", "count")]), 0)), Ok(vec![35]));
    assert_eq!(result(Context::new(device(&[("PTX_MUTATE", "list")]), 0)), Ok(vec![35]));
}
