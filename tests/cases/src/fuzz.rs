//! Inputs of fuzz targets.

use arbitrary::{Arbitrary, Result, Unstructured};
use dropblock::Map;

use crate::{Case, Source, draw_map};

/// What is left of an input, then zeros.
struct Input<'i, 'u>(&'i mut Unstructured<'u>);

impl Source for Input<'_, '_> {
    fn bytes(&mut self, count: u32) -> u64 {
        let mut number = [0; 8];
        // It never fails: the rest is zeros.
        let _ = self.0.fill_buffer(&mut number[..count as usize]);
        u64::from_le_bytes(number)
    }
}

/// The most elements: mostly few, so that there are many executions, and seldom so many that they do not
/// fit what lies on the stack.
fn draw_most(source: &mut impl Source) -> usize {
    if source.one_in(32) { 20_000 } else { 1000 }
}

impl<'u> Arbitrary<'u> for Case {
    fn arbitrary(input: &mut Unstructured<'u>) -> Result<Self> {
        let mut source = Input(input);
        let most = draw_most(&mut source);
        Ok(Self::draw(&mut source, most).1)
    }
}

/// A map of few positions.
#[derive(Clone, Copy, Debug)]
pub struct SmallMap(pub Map);

impl<'u> Arbitrary<'u> for SmallMap {
    fn arbitrary(input: &mut Unstructured<'u>) -> Result<Self> {
        let mut source = Input(input);
        let most = draw_most(&mut source);
        Ok(Self(draw_map(&mut source, most)))
    }
}
