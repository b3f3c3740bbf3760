//! A test of the structure: the way of a tensor from the caller to the loop that changes it.

extern crate alloc;
extern crate std;

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use std::backtrace::Backtrace;

use crate::{Backend, DropBlock, Error, Key, Shape};

std::thread_local! {
    static IS_WANTED: Cell<bool> = const { Cell::new(false) };
    static FOUND: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Called in the loop: notes how it was reached, once if a test of this thread has asked.
pub(crate) fn note() {
    if IS_WANTED.replace(false) {
        FOUND.set(Some(Backtrace::force_capture().to_string()));
    }
}

/// The files below `src` of the frames, from the loop to the caller.
fn files(backtrace: &str) -> Vec<&str> {
    backtrace
        .lines()
        .filter_map(|line| line.trim().strip_prefix("at "))
        .filter_map(|place| place.strip_prefix("./src/").or(place.split_once("/src/")?.1.into()))
        .filter_map(|place| Some(place.split_once(".rs:")?.0))
        .collect()
}

/// With AVX2 the training step of the quick start reaches the loop in at most eight calls, each file
/// once and in a row: mask, pass, walk, dispatch, backend.
#[test]
fn a_tensor_is_passed_on_in_one_direction() -> Result<(), Error> {
    if !Backend::Avx2.is_available() {
        std::println!("not run: no AVX2 here");
        return Ok(());
    }
    let layer = DropBlock::new(7, 0.1)?.with_backend(Backend::Avx2)?;
    let plan = layer.plan(Shape::nchw(2, 8, 14, 14))?;
    let mut words = vec![0; plan.mask_words()];
    let mut x = vec![1.0_f32; plan.elements()];
    let mask = plan.draw(Key::new(2024), &mut words)?;
    IS_WANTED.set(true);
    mask.forward_in_place(&mut x)?;
    let backtrace = FOUND.take().unwrap_or_default();
    let files = files(&backtrace);
    let own: Vec<_> = files
        .iter()
        .skip_while(|file| !file.starts_with("apply/x86"))
        .take_while(|file| **file != "hops")
        .collect();
    let mut rows = own.clone();
    rows.dedup();
    // Optimised builds may leave out a call that is the last thing its caller does.
    let mut way =
        ["apply/x86_runs", "apply/x86", "apply/mod", "apply/walk", "plan/pass", "plan/mask"].iter();
    assert!(rows.iter().all(|file| way.any(|next| next == *file)), "{rows:?}\n{backtrace}");
    assert_eq!(rows.last(), Some(&&"plan/mask"), "{backtrace}");
    assert!(own.len() <= 8, "{own:?}\n{backtrace}");
    Ok(())
}
