//! Any text through the parser and decoder of the PTX interpreter: a refusal with its line, or a
//! program whose numbers point to what is there.
//!
//! A text that begins with `#` is the body of a kernel, so that short inputs reach instructions.
#![no_main]

use cuda::decode::decode;
use cuda::parse::parse;
use cuda::program::{Function, NONE, Op, Program, Slot};
use libfuzzer_sys::fuzz_target;

const HEAD: &str = ".version 6.3\n.target sm_70\n.address_size 64\n";

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let text = match text.strip_prefix('#') {
        Some(body) => kernel(body),
        None if text.contains(".version") => text.to_owned(),
        None => format!("{HEAD}{text}"),
    };
    let mut address = 1 << 32;
    let program = parse(&text).and_then(|module| {
        // Addresses as a memory would give them; a longer variable would get none.
        decode(&module, &mut |variable| {
            let at = address;
            address += variable.bytes.min(1 << 30).next_multiple_of(256) + 256;
            at
        })
    });
    match program {
        Ok(program) => check(&program),
        Err(refusal) => {
            let lines = text.lines().count() as u32;
            assert!(refusal.line <= lines && !refusal.what.is_empty(), "{refusal}");
        }
    }
});

/// A kernel with registers of each class around a body.
fn kernel(body: &str) -> String {
    format!(
        "{HEAD}.global .align 4 .b8 g[16]; .const .b32 c = 7; .extern .shared .align 16 .b8 d[];\n\
         .func (.param .b32 fr) f(.param .b32 fa) {{ ret; }}\n\
         .entry k(.param .u64 in, .param .u64 out) {{\n\
         .reg .pred %p<9>; .reg .b16 %h<9>; .reg .b32 %r<9>; .reg .b64 %l<9>;\n\
         .reg .f32 %f<9>; .reg .f64 %g<9>; .reg .b64 %in, %out;\n\
         .shared .align 4 .b8 s[64]; .local .align 8 .b8 o[64]; .param .b32 a; .param .b32 b;\n\
         {body}\n}}\n"
    )
}

fn check(program: &Program) {
    for function in &program.functions {
        check_function(program, function);
    }
}

fn check_function(program: &Program, function: &Function) {
    let image = function.image.len();
    let places = |slots: &[Slot]| {
        let there = |&slot: &Slot| slot == NONE || usize::from(slot) < image;
        assert!(slots.iter().all(there), "{function:?}");
    };
    let target = |at: u32| assert!((at as usize) < function.code.len(), "{function:?}");
    assert_eq!(function.code.len(), function.lines.len());
    for &op in &function.code {
        match op {
            Op::Move { d, a } | Op::Unary { d, a, .. } | Op::Convert { d, a, .. } => {
                places(&[d, a]);
            }
            Op::Binary { d, a, b, .. } => places(&[d, a, b]),
            Op::Ternary { d, a, b, c, .. } => places(&[d, a, b, c]),
            Op::Quaternary { d, s, .. } => {
                places(&[d]);
                places(&s);
            }
            Op::Branch { p, target: at, .. } => {
                places(&[p]);
                target(at);
            }
            Op::Jump { target: at } => target(at),
            Op::Indexed { index, table } => {
                places(&[index]);
                function.tables[table as usize].iter().copied().for_each(target);
            }
            Op::Load { access } | Op::Store { access } => {
                let access = &function.accesses[access as usize];
                places(&[access.base]);
                places(&access.registers);
                assert!(usize::from(access.bytes) * usize::from(access.count) <= 16);
            }
            Op::Atomic { atomic } => {
                let atomic = &function.atomics[atomic as usize];
                places(&[atomic.access.base, atomic.d]);
                places(&atomic.operands);
            }
            Op::Warp { warp } => {
                let warp = &function.warps[warp as usize];
                places(&[warp.members]);
                places(&warp.d);
                places(&warp.operands);
            }
            Op::Call { call } => {
                let call = &function.calls[call as usize];
                let callee = &program.functions[call.function];
                assert!(callee.stack_slots + image <= function.stack_slots);
                for &[here, there, bytes] in &call.arguments {
                    assert!(here < function.frame_bytes.max(1), "{function:?}");
                    assert!(there + bytes <= callee.frame_bytes);
                }
                for &[there, here, bytes] in &call.results {
                    assert!(here < function.frame_bytes.max(1), "{function:?}");
                    assert!(there + bytes <= callee.frame_bytes);
                }
            }
            Op::Barrier | Op::Return | Op::Exit | Op::Trap | Op::Fence => {}
        }
    }
    function.specials.iter().for_each(|&(slot, _)| places(&[slot]));
    places(&function.locals);
}
