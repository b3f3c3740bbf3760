//! Property tests: bytes, each of which shrinks towards 0, the plainest choice.

use dropblock::Map;
use proptest::prelude::*;

use crate::{Bytes, Case, Options, draw_map};

/// As many bytes as any case takes.
const BYTES: usize = 128;

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), BYTES)
}

/// Cases of so many elements at most.
pub fn cases(most: usize) -> impl Strategy<Value = Case> {
    cases_with_options(most).prop_map(|(_, case)| case)
}

/// The same with the options of their layers.
pub fn cases_with_options(most: usize) -> impl Strategy<Value = (Options, Case)> {
    bytes().prop_map(move |bytes| Case::draw(&mut Bytes(&bytes), most))
}

/// Maps of so many positions at most.
pub fn maps(most: usize) -> impl Strategy<Value = Map> {
    bytes().prop_map(move |bytes| draw_map(&mut Bytes(&bytes), most))
}
