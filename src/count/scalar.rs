//! Counting in plain code.

use core::ops::Range;

use crate::bits::{Span, word};

/// The number of set bits in the range.
#[inline]
pub(super) fn count(bits: &[u64], range: Range<usize>) -> u64 {
    let span = Span::new(range.start, range.end);
    let edges = edges(bits, &span);
    let whole = bits.get(span.whole).unwrap_or_default();
    edges + whole.iter().map(|word| u64::from(word.count_ones())).sum::<u64>()
}

/// The number of set bits in the words that are only partly inside.
#[inline]
pub(super) fn edges(bits: &[u64], span: &Span) -> u64 {
    [&span.head, &span.tail]
        .into_iter()
        .flatten()
        .map(|&(index, mask)| u64::from((word(bits, index) & mask).count_ones()))
        .sum()
}
