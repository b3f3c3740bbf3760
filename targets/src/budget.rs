//! The measurement of the budget programs: included by them, not part of the library.

use core::fmt::Write as _;

use dropblock::{Dropped, Key};
use dropblock_targets::start::{self, stack};

/// The tensor (1, 16, 14, 14).
const LEN: usize = 16 * 14 * 14;

/// The tensor and its mask, which do not count.
#[repr(C)]
struct Buffers {
    x: [f32; LEN],
    mask: [u64; LEN.div_ceil(64)],
}

/// Runs the pass twice, once for the stack and once for the time, and prints both. Tells whether
/// the output is one of a forward pass.
pub fn measure(pass: impl Fn(Key, &mut [f32], &mut [u64]) -> Option<Dropped>) -> bool {
    let mut buffers = Buffers { x: [1.0; LEN], mask: [0; LEN.div_ceil(64)] };
    let key = Key::new(1);
    let Some((depth, _)) = run(&pass, key, &mut buffers) else { return false };
    print("stack ", depth);
    buffers.x = [1.0; LEN];
    let before = start::tick();
    let Some(dropped) = core::hint::black_box(&pass)(key, &mut buffers.x, &mut buffers.mask) else {
        return false;
    };
    let ticks = before.wrapping_sub(start::tick()) & 0x00ff_ffff;
    print("ticks ", ticks as usize);
    let zeros = buffers.x.iter().filter(|x| x.to_bits() == 0).count();
    let mut kept = buffers.x.iter().filter(|x| x.to_bits() != 0);
    let scale = dropped.scale::<f32>();
    print("dropped ", zeros);
    zeros as u64 == dropped.count && kept.all(|x| x.to_bits() == scale.to_bits())
}

/// The pass between two looks at the painted stack.
#[inline(never)]
fn run(
    pass: &impl Fn(Key, &mut [f32], &mut [u64]) -> Option<Dropped>,
    key: Key,
    buffers: &mut Buffers,
) -> Option<(usize, Dropped)> {
    let pointer = stack::paint();
    let dropped = core::hint::black_box(pass)(key, &mut buffers.x, &mut buffers.mask)?;
    Some((stack::depth(pointer), dropped))
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
