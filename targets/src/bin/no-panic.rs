//! A program that links only if the hot functions cannot panic: its panic handler calls a function
//! that does not exist. Optimised builds alone tell, as every check that remains is one that the
//! compiler could not prove.

#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "functions that the linker sees")]

use core::hint::black_box;

use dropblock::{Dropped, Element, Key, Plan};

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
fn hot<T: Element>(plan: &Plan, key: Key, x: &[T], y: &mut [T], mask: &mut [u64]) -> bool {
    let dropped = Dropped { count: black_box(1), of: black_box(2) };
    plan.forward_in_place(key, y, Some(mask)).is_ok()
        & plan.forward_in_place(key, y, None).is_ok()
        & plan.forward(key, x, y, Some(mask)).is_ok()
        & plan.backward(key, &dropped, x, y).is_ok()
        & plan.backward_in_place(key, &dropped, y).is_ok()
        & plan.mask(key, mask).is_ok()
        & plan.apply(mask, &dropped, x, y).is_ok()
        & plan.apply_in_place(mask, &dropped, y).is_ok()
}

/// The same on a tensor of `1`s.
fn hot_on<T: Element>(plan: &Plan, key: Key) -> bool {
    let mut mask = [0; 8];
    let (x, mut y) = ([T::ONE; 256], [T::ZERO; 256]);
    let len = black_box(256);
    let (Some(x), Some(y)) = (x.get(..len), y.get_mut(..len)) else { return false };
    hot(plan, key, x, y, &mut mask)
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
