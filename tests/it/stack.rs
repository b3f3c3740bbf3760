//! How much stack operations take, by painting: each runs on a stack of its own, filled with a pattern
//! before. An optimised build is what is promised for, so the test is asked for:
//! `cargo test --release --all-features --test it -- --ignored --nocapture stack`.

#![allow(unsafe_code, reason = "a call on another stack")]

use std::arch::asm;
use std::collections::BTreeMap;

use dropblock::{
    Backend, BlockSize, Dilation, Drawn, DropBlock, Element, Error, Fill, Key, Map, Plan, Region,
    Scale, Shape, Sharing, ViewMut,
};

const PATTERN: u64 = 0x5ca1_ab1e_0dd5_1de5;
/// 1 MiB.
const WORDS: usize = 1 << 17;

/// The bytes of stack that a call takes.
fn stack_of<F: FnMut()>(stack: &mut [u64], mut run: F) -> usize {
    extern "C" fn call<F: FnMut()>(run: *mut F) {
        // SAFETY: `stack_of` passes its own, which lives longer.
        unsafe { (*run)() }
    }
    stack.fill(PATTERN);
    // A multiple of 16, as functions expect before they are called.
    let end = stack.as_mut_ptr_range().end as usize & !15;
    // SAFETY: the call gets a stack that nobody else uses and is larger than any operation's; register
    // 13 survives it and gives the old one back. The call does not unwind past `extern "C"`.
    unsafe {
        asm!(
            "xchg rsp, r13",
            "call {call}",
            "mov rsp, r13",
            call = in(reg) call::<F>,
            in("rdi") &raw mut run,
            inout("r13") end => _,
            clobber_abi("C"),
        );
    }
    let untouched = stack.iter().take_while(|&&word| word == PATTERN).count();
    (stack.len() - untouched) * 8
}

/// The most that each operation took.
#[derive(Default)]
struct Most(BTreeMap<(&'static str, &'static str), (usize, String)>);

impl Most {
    fn note(&mut self, operation: &'static str, plan: &Plan, bytes: usize, what: &str) {
        let kind = match plan.backend() {
            Backend::Avx2 | Backend::Avx512 => "AVX2, AVX-512",
            _ => "portable",
        };
        let most = self.0.entry((operation, kind)).or_default();
        if bytes > most.0 {
            *most = (bytes, format!("{what} {plan:?}"));
        }
    }
}

fn passes<T: Element>(stack: &mut [u64], most: &mut Most, plan: &Plan, is_plain: bool) {
    let what = std::any::type_name::<T>();
    let x = vec![T::ZERO; plan.elements()];
    let mut y = x.clone();
    let mut words = vec![0; plan.mask_words()];
    let key = Key::new(1);
    let done = |result: Result<Drawn, Error>| assert!(result.is_ok(), "{plan:?}");

    let bytes = stack_of(stack, || assert!(plan.draw(key, &mut words).is_ok()));
    most.note("draw", plan, bytes, what);
    let mask = plan.draw(key, &mut words).expect("long enough");
    let operation = if is_plain { "with a mask, dense, one scale" } else { "with a mask, other" };
    let bytes = stack_of(stack, || assert!(mask.forward(&x, &mut y).is_ok()));
    most.note(operation, plan, bytes, what);
    let bytes = stack_of(stack, || assert!(mask.forward_in_place(&mut y).is_ok()));
    most.note(operation, plan, bytes, what);
    let bytes = stack_of(stack, || assert!(mask.drop_only(&mut y, T::ZERO).is_ok()));
    most.note(operation, plan, bytes, what);
    let count = mask.count();

    let operation = "without a mask";
    let bytes = stack_of(stack, || done(plan.forward(key, &x, &mut y)));
    most.note(operation, plan, bytes, what);
    let bytes = stack_of(stack, || done(plan.forward_in_place(key, &mut y)));
    most.note(operation, plan, bytes, what);
    let drawn = Drawn::from(key).with_count(count);
    let bytes = stack_of(stack, || assert!(plan.backward_in_place(drawn, &mut y).is_ok()));
    most.note(operation, plan, bytes, what);
    let bytes = stack_of(stack, || done(plan.drop_only(key, &mut y, T::ZERO)));
    most.note(operation, plan, bytes, what);
    let bytes = stack_of(stack, || done(plan.count(key)));
    most.note(operation, plan, bytes, what);
    let bytes = stack_of(stack, || done(plan.for_each_map(key, |_| ())));
    most.note("for_each_map", plan, bytes, what);
}

fn views(stack: &mut [u64], most: &mut Most, plan: &Plan) {
    let [_, c, h, w] = [2, 6, 14, 14];
    let row = w + 2;
    let strides = [c * h * row, h * row, 0, row, 1];
    let mut x = vec![0.0_f32; (2 * c * h * row) as usize];
    let mut words = vec![0; plan.mask_words()];
    let mask = plan.draw(Key::new(1), &mut words).expect("long enough");
    let bytes = stack_of(stack, || {
        assert!(mask.forward_in_place(ViewMut::new(&mut x, 0, strides)).is_ok());
    });
    most.note("with a mask, other", plan, bytes, "view");
    let bytes = stack_of(stack, || {
        let drawn = plan.forward_in_place(Key::new(1), ViewMut::new(&mut x, 0, strides));
        assert!(drawn.is_ok());
    });
    most.note("without a mask", plan, bytes, "view");
}

#[test]
#[ignore = "measures an optimised build"]
fn operations_take_the_stack_that_the_guide_says() -> Result<(), Error> {
    let mut stack = vec![0; WORDS];
    let mut most = Most::default();
    for backend in Backend::available() {
        let shapes = [
            Shape::nchw(2, 16, 14, 14),
            Shape::nchw(2, 300, 7, 7),
            Shape::nchw(1, 3, 150, 190),
            Shape::nhwc(2, 14, 14, 16),
            Shape::nhwc(1, 33, 32, 259),
            Shape::nhwc(1, 131, 129, 18),
            Shape::nhwc(1, 40, 40, 3),
            Shape::ncdhw(1, 5, 8, 14, 14),
        ];
        for shape in shapes {
            for region in [Region::Valid, Region::Full] {
                for &sharing in Sharing::ALL {
                    for &scale in Scale::ALL {
                        for fill in [Fill::Zero, Fill::Noise] {
                            let layer = DropBlock::new(1, 0.2)?
                                .with_block_size(BlockSize::uniform(5))?
                                .with_region(region)
                                .with_sharing(sharing)
                                .with_scale(scale)
                                .with_fill(fill)
                                .with_backend(backend)?;
                            let mut plan = None;
                            let bytes = stack_of(&mut stack, || plan = Some(layer.plan(shape)));
                            let plan = plan.expect("it was called")?;
                            most.note("making a plan", &plan, bytes, "");
                            let is_plain = shape == shapes[0]
                                && sharing == Sharing::None
                                && fill == Fill::Zero
                                && matches!(scale, Scale::PerTensor | Scale::Fixed);
                            passes::<f32>(&mut stack, &mut most, &plan, is_plain);
                            passes::<f64>(&mut stack, &mut most, &plan, is_plain);
                            #[cfg(feature = "half")]
                            {
                                use dropblock::half::{bf16, f16};
                                passes::<f16>(&mut stack, &mut most, &plan, is_plain);
                                passes::<bf16>(&mut stack, &mut most, &plan, is_plain);
                            }
                            if shape == shapes[0] {
                                let plan = layer.plan(Shape::nchw(2, 6, 14, 14))?;
                                views(&mut stack, &mut most, &plan);
                            }
                        }
                    }
                }
            }
        }
        let plan = DropBlock::new(1, 0.1)?.with_backend(backend)?.plan(Shape::nchw(1, 1, 9, 9))?;
        for [h, w] in [[14, 14], [512, 512], [3, 4000], [4000, 3]] {
            let dilation = Dilation::new(Map::hw(h, w), BlockSize::uniform(5))?;
            let dilation = dilation.with_backend(backend)?;
            let (maps, mut dilated) = (vec![0_u8; h * w], vec![0; h * w]);
            let took =
                stack_of(&mut stack, || assert!(dilation.dilate(&maps, &mut dilated).is_ok()));
            most.note("dilation", &plan, took, "bytes");
            let took = stack_of(&mut stack, || {
                assert!(dilation.dilate_in_place(&mut dilated).is_ok());
            });
            most.note("dilation", &plan, took, "bytes in place");
            let mut bits = vec![0; dilation.words(1)?];
            let took = stack_of(&mut stack, || {
                assert!(dilation.dilate_bits_in_place(1, &mut bits).is_ok());
            });
            most.note("dilation", &plan, took, "bits");
        }
    }
    let limit = |operation, kind| match (operation, kind) {
        ("making a plan", _) => 11_000,
        ("draw", "portable") => 2_000,
        ("draw", _) => 11_000,
        ("with a mask, dense, one scale", _) => 2_200,
        ("with a mask, other", _) => 14_000,
        ("without a mask", "portable") => 16_500,
        ("without a mask", _) => 49_000,
        ("for_each_map", "portable") => 4_500,
        ("for_each_map", _) => 45_000,
        _ => 2_000,
    };
    let mut over = Vec::new();
    for (&(operation, kind), (bytes, what)) in &most.0 {
        println!("{operation} | {kind} | {bytes} | {what:.160}");
        if *bytes > limit(operation, kind) {
            over.push((operation, kind, *bytes));
        }
    }
    assert!(over.is_empty(), "more than the guide says: {over:?}");
    Ok(())
}
