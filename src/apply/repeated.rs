//! Runs of elements that share their bits, as channels that share a mask do: the bits are written
//! out some times over, so that vectors need not begin anew with each run.

use super::{Runs, Tensor};
use crate::Element;
use crate::bits::{self, WORD_BITS};

/// The most words of repeated bits.
const MOST: usize = 256;

/// The least elements, and the most of one run, that repay it.
const LEAST: usize = 4096;
const LONGEST: usize = 2048;

/// The bits of some runs that follow one another, in whole words, and then the first word again.
pub(super) struct Repeated {
    words: [u64; MOST + 1],
    len: usize,
}

impl Repeated {
    /// `None` where it does not pay: few elements, or long runs.
    pub(super) fn new(bits: &[u64], bit: usize, runs: &Runs) -> Option<Self> {
        // So many runs end at a whole word.
        let period = runs.len >> runs.len.trailing_zeros().min(WORD_BITS.trailing_zeros());
        let len = runs.count.saturating_mul(runs.len);
        let most = MOST.min(len / WORD_BITS);
        let whole = most.checked_div(period)? * period;
        if len < LEAST || runs.len > LONGEST || whole == 0 {
            return None;
        }
        let mut words = [0; MOST + 1];
        let mut at = 0;
        for word in words.iter_mut().take(period) {
            let mut done = 0;
            while done < WORD_BITS {
                let left = runs.len - at;
                *word |= (bits::load(bits, bit + at) & bits::low(left)) << done;
                let step = left.min(WORD_BITS - done);
                done += step;
                at = if step == left { 0 } else { at + step };
            }
        }
        for i in period..=whole {
            let word = bits::word(&words, i - period);
            if let Some(place) = words.get_mut(i) {
                *place = word;
            }
        }
        Some(Self { words, len: whole * WORD_BITS })
    }

    /// Visits the tensor in parts, each with its bits, all but the first beginning at a cache line.
    pub(super) fn for_each_part<T: Element>(
        &self,
        tensor: &mut Tensor<'_, T>,
        mut visit: impl FnMut(Tensor<'_, T>, &[u64], usize),
    ) {
        const LINE: usize = 64;
        let head = match &*tensor {
            Tensor::InPlace(y) => y.as_ptr().align_offset(LINE),
            Tensor::To(_, y, _) => y.as_ptr().align_offset(LINE),
        };
        let head = if head < WORD_BITS { head.min(tensor.len()) } else { 0 };
        if head > 0 {
            visit(tensor.part(0..head), &self.words, 0);
        }
        for start in (head..tensor.len()).step_by(self.len.max(1)) {
            let end = tensor.len().min(start + self.len);
            visit(tensor.part(start..end), &self.words, head);
        }
    }
}
