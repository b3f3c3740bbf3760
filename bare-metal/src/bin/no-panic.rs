//! A program that links only if the hot functions cannot panic: its panic handler calls a function
//! that does not exist. Optimised builds alone tell, as every check that remains is one that the
//! compiler could not prove.

#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "functions that the linker sees")]

use core::hint::black_box;

use dropblock::{Drawn, DropCount, Element, Error, Key, Plan};

#[cfg_attr(unix, link(name = "c"))]
unsafe extern "C" {
    /// Nowhere defined.
    safe fn a_hot_function_can_panic() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    a_hot_function_can_panic()
}

/// The hot functions for one element type.
fn hot<T: Element>(
    plan: &Plan,
    key: Key,
    x: &[T],
    y: &mut [T],
    words: &mut [u64],
) -> Result<(), Error> {
    let drawn =
        Drawn::from(key).with_count(DropCount { dropped: black_box(1), total: black_box(2) });
    plan.forward(key, x, &mut *y)?;
    plan.forward_in_place(key, &mut *y)?;
    plan.backward(drawn, x, &mut *y)?;
    plan.backward_in_place(drawn, &mut *y)?;
    plan.count(key)?;
    let mask = plan.draw(key, words)?;
    mask.forward(x, &mut *y)?;
    mask.forward_in_place(&mut *y)?;
    let mask = plan.mask_from(words)?;
    mask.backward(x, &mut *y)?;
    mask.backward_in_place(&mut *y)
}

/// The same on a tensor of `1`s.
fn hot_on<T: Element>(plan: &Plan, key: Key) -> bool {
    let mut words = [0; 8];
    let (x, mut y) = ([T::ONE; 256], [T::ZERO; 256]);
    let len = black_box(256);
    let (Some(x), Some(y)) = (x.get(..len), y.get_mut(..len)) else { return false };
    hot(plan, key, x, y, &mut words).is_ok()
}

#[cfg_attr(unix, unsafe(export_name = "main"))]
#[cfg_attr(not(unix), unsafe(export_name = "start"))]
extern "C" fn program(plan: &Plan, seed: u64) -> bool {
    let key = Key::new(seed);
    hot_on::<f32>(plan, key)
        & hot_on::<f64>(plan, key)
        & hot_on::<half::f16>(plan, key)
        & hot_on::<half::bf16>(plan, key)
}
