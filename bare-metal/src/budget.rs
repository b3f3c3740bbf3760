//! The measurement of the budget programs: included by them, not part of the library.

use core::fmt::Write as _;

use dropblock::{DropBlock, DropCount, Error, Key, Plan, Shape};
use dropblock_bare_metal::start::{self, stack};

/// The tensor (1, 16, 14, 14).
pub const LEN: usize = 16 * 14 * 14;

/// The zero point of the bytes.
#[allow(dead_code, reason = "not every program drops bytes")]
pub const ZERO_POINT: i8 = -3;

/// Tensors and the mask, which do not count.
#[repr(C)]
pub struct Buffers {
    pub x: [f32; LEN],
    pub dy: [f32; LEN],
    pub q: [i8; LEN],
    /// One more than the tensor needs, as each of two layers ends in a word of its own.
    pub words: [u64; LEN.div_ceil(64) + 1],
}

impl Buffers {
    /// Makes all elements 1. In place, as another set of buffers would not fit.
    fn reset(&mut self) {
        self.x.fill(1.0);
        self.dy.fill(1.0);
        self.q.fill(1);
    }
}

/// A plan that lies in flash.
#[allow(dead_code, reason = "one program builds its plan")]
pub const fn plan(block_size: usize, shape: Shape) -> Plan {
    match DropBlock::new(block_size, 0.1) {
        Ok(layer) => match layer.plan(shape) {
            Ok(plan) => plan,
            Err(_) => panic!("the shape is too large"),
        },
        Err(_) => panic!("wrong options"),
    }
}

/// Runs the program twice, once for the stack and once for the time, and prints both. The program
/// returns a count for each of `N` equal parts of the tensor. Tells whether the outputs are those of
/// passes over ones: of `x`, and of what else has been changed.
pub fn measure<const N: usize>(
    program: impl Fn(Key, &mut Buffers) -> Result<[DropCount; N], Error>,
) -> bool {
    let mut buffers =
        Buffers { x: [1.0; LEN], dy: [1.0; LEN], q: [1; LEN], words: [0; LEN.div_ceil(64) + 1] };
    let key = Key::new(1);
    let Some(depth) = run(&program, key, &mut buffers) else { return false };
    print("stack ", depth);
    buffers.reset();
    let before = start::tick();
    let Ok(counts) = core::hint::black_box(&program)(key, &mut buffers) else { return false };
    let ticks = before.wrapping_sub(start::tick()) & 0x00ff_ffff;
    print("ticks ", ticks as usize);
    let Buffers { x, dy, q, .. } = &buffers;
    let parts = x.chunks(LEN / N).zip(counts);
    let are_scaled = parts.map(|(x, count)| {
        let zeros = x.iter().filter(|x| x.to_bits() == 0).count();
        print("dropped ", zeros);
        let scale = x.len() as f32 / (x.len() - zeros) as f32;
        zeros as u64 == count.dropped
            && x.iter().all(|x| x.to_bits() == 0 || x.to_bits() == scale.to_bits())
    });
    let one = 1.0_f32.to_bits();
    let is_unchanged = (dy.iter().all(|dy| dy.to_bits() == one), q.iter().all(|&q| q == 1));
    are_scaled.fold(true, |all, is_scaled| all & is_scaled)
        && (is_unchanged.0 || x.iter().zip(dy).all(|(x, dy)| x.to_bits() == dy.to_bits()))
        && (is_unchanged.1 || x.iter().zip(q).all(|(x, &q)| (x.to_bits() == 0) == (q != 1)))
}

/// The program between two looks at the painted stack.
#[inline(never)]
fn run<const N: usize>(
    program: &impl Fn(Key, &mut Buffers) -> Result<[DropCount; N], Error>,
    key: Key,
    buffers: &mut Buffers,
) -> Option<usize> {
    let pointer = stack::paint();
    core::hint::black_box(program)(key, buffers).ok()?;
    Some(stack::depth(pointer))
}

/// Prints a number without the formatting machinery, which would be most of the program.
fn print(name: &str, number: usize) {
    let _ = start::Console.write_str(name);
    let mut digits = [0; 10];
    let mut rest = number;
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    let _ = start::Console.write_str(core::str::from_utf8(&digits[at..]).unwrap_or("?"));
    let _ = start::Console.write_str("\n");
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    start::exit(false)
}
