//! Operations for an instruction count: `.ci/instructions` runs this under callgrind.
//!
//! `instructions [WORD]...` carries out each operation whose line contains all words, a fixed
//! number of times with fixed keys, and prints a line for each:
//!
//! `operation,shape,block,backend,elements`
//!
//! The first line tells the default backend, which has then run once: not AVX-512, which valgrind
//! lacks.
//!
//! The last field of the others is the elements of all repetitions together. Everything between the call of
//! `measured` and its return belongs to the line; callgrind writes a profile at each return.

use std::hint::black_box;

use dropblock::{Backend, Drawn, DropBlock, DropCount, Error, Key, Mask, Plan, Shape};

struct Buffers<'b> {
    x: &'b mut [f32],
    words: &'b mut [u64],
    /// Drawn beforehand, from words of its own.
    mask: Mask<'b>,
    count: DropCount,
    step: u64,
}

impl Buffers<'_> {
    fn key(&mut self) -> Key {
        self.step += 1;
        Key::new(7).with_step(self.step)
    }
}

type Operation = fn(&Plan, &mut Buffers<'_>) -> Result<(), Error>;

const OPERATIONS: [(&str, Operation); 5] = [
    ("mask", |plan, b| {
        let key = b.key();
        plan.draw(key, b.words).map(|mask| {
            black_box(mask.count());
        })
    }),
    ("apply in place", |_, b| b.mask.backward_in_place(&mut *b.x)),
    ("forward in place", |plan, b| {
        let key = b.key();
        plan.draw(key, b.words)?.forward_in_place(&mut *b.x)
    }),
    ("backward in place", |plan, b| {
        let drawn = Drawn::from(b.key()).with_count(b.count);
        plan.backward_in_place(drawn, &mut *b.x)
    }),
    ("drop only", |plan, b| {
        let key = b.key();
        plan.drop_only(key, &mut *b.x, 0.0).map(|_| ())
    }),
];

fn shapes() -> [(&'static str, Shape, usize); 7] {
    [
        ("1x16x14x14", Shape::nchw(1, 16, 14, 14), 7),
        ("32x256x14x14", Shape::nchw(32, 256, 14, 14), 7),
        ("32x512x7x7", Shape::nchw(32, 512, 7, 7), 3),
        ("8x256x32x32", Shape::nchw(8, 256, 32, 32), 5),
        ("8x64x56x56", Shape::nchw(8, 64, 56, 56), 7),
        ("1x64x112x112", Shape::nchw(1, 64, 112, 112), 7),
        ("8x14x14x256 channels last", Shape::nhwc(8, 14, 14, 256), 7),
    ]
}

/// A buffer 16 bytes behind a multiple of 64, where the C library puts large ones: counts depend
/// on the place.
fn placed<T: Clone>(memory: &mut Vec<T>, len: usize, value: T) -> &mut [T] {
    const LINE: usize = 64;
    memory.resize(len + 2 * LINE, value);
    let start = memory.as_ptr().align_offset(LINE) + 16 / size_of::<T>();
    &mut memory[start..start + len]
}

/// The name of this function is known to `.ci/instructions`.
#[inline(never)]
fn measured(operation: Operation, plan: &Plan, buffers: &mut Buffers<'_>, repetitions: usize) {
    for _ in 0..repetitions {
        let result = operation(black_box(plan), black_box(buffers));
        assert!(result.is_ok(), "{result:?}");
    }
    // Work after the loop, so that no tail call takes this function's place.
    black_box(buffers);
}

fn main() -> Result<(), Error> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let plan = DropBlock::new(7, 0.1)?.plan(Shape::nchw(1, 16, 14, 14))?;
    plan.forward_in_place(Key::new(7), &mut vec![1.0_f32; plan.elements()])?;
    println!("# default backend {}", plan.backend());
    for (name, shape, block) in shapes() {
        for backend in [Backend::Avx2, Backend::Simd, Backend::Scalar] {
            if !backend.is_available() {
                continue;
            }
            let plan = DropBlock::new(block, 0.1)?.with_backend(backend)?.plan(shape)?;
            let repetitions = (50_000 / plan.elements()).max(1);
            for (operation, run) in OPERATIONS {
                let line = format!("{operation},{name},{block},{backend}");
                if !words.iter().all(|word| line.contains(word.as_str())) {
                    continue;
                }
                let (mut x, mut words, mut drawn) = (Vec::new(), Vec::new(), Vec::new());
                let words = placed(&mut words, plan.mask_words(), 0);
                // Asks the processor and links the functions of the library.
                let mask = plan.draw(Key::new(7), placed(&mut drawn, plan.mask_words(), 0))?;
                let x = placed(&mut x, plan.elements(), 1.0);
                let mut buffers = Buffers { x, words, mask, count: mask.count(), step: 0 };
                measured(run, &plan, &mut buffers, repetitions);
                println!("{line},{}", repetitions * plan.elements());
            }
        }
    }
    Ok(())
}
