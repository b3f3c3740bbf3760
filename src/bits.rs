//! Ranges of bits in little-endian 64-bit words: bit `i` is bit `i % 64` of word `i / 64`.

use core::ops::Range;

/// The number of bits in a word of a mask.
pub(crate) const WORD_BITS: usize = 64;

/// The number of words that hold `bits` bits.
#[inline]
pub(crate) const fn words(bits: usize) -> usize {
    bits.div_ceil(WORD_BITS)
}

/// A word whose lowest `n` bits are set; all for 64 and more.
#[inline]
pub(crate) const fn low(n: usize) -> u64 {
    if n >= WORD_BITS { !0 } else { (1 << n) - 1 }
}

/// The word at `index`, 0 outside the slice.
#[inline]
pub(crate) fn word(words: &[u64], index: usize) -> u64 {
    words.get(index).copied().unwrap_or(0)
}

/// The 64 bits from bit `shift` of `low` on.
#[inline(always)]
const fn joined(low: u64, high: u64, shift: usize) -> u64 {
    low >> shift | high << 1 << (WORD_BITS - 1 - shift)
}

/// The 64 bits that start at any bit; bits past the slice are 0.
#[inline]
pub(crate) fn load(words: &[u64], bit: usize) -> u64 {
    let (index, shift) = (bit / WORD_BITS, bit % WORD_BITS);
    match words.get(index..) {
        // Always two words: whether the bits lie in one cannot be predicted.
        Some(&[low, high, ..]) => joined(low, high, shift),
        Some([low]) => low >> shift,
        _ => 0,
    }
}

/// The same where only the lowest `N` bits matter: the others are left open, so that the second
/// word is read only if one of the `N` lies there.
#[inline]
pub(crate) fn load_low<const N: usize>(words: &[u64], bit: usize) -> u64 {
    let (index, shift) = (bit / WORD_BITS, bit % WORD_BITS);
    let low = word(words, index) >> shift;
    if shift + N <= WORD_BITS { low } else { low | word(words, index + 1) << (WORD_BITS - shift) }
}

/// The words from any bit on, one after another; bits past the slice are 0.
#[derive(Clone, Debug)]
pub(crate) struct Words<'w> {
    rest: core::slice::Iter<'w, u64>,
    low: u64,
    shift: usize,
}

impl<'w> Words<'w> {
    #[inline]
    pub(crate) fn new(words: &'w [u64], bit: usize) -> Self {
        let mut rest = words.get(bit / WORD_BITS..).unwrap_or_default().iter();
        let low = rest.next().copied().unwrap_or(0);
        Self { rest, low, shift: bit % WORD_BITS }
    }

    #[inline]
    pub(crate) fn next_word(&mut self) -> u64 {
        let high = self.rest.next().copied().unwrap_or(0);
        let word = joined(self.low, high, self.shift);
        self.low = high;
        word
    }
}

/// Sets `len` bits from `bit` on; bits past the slice are left out.
#[inline(always)]
pub(crate) fn set(words: &mut [u64], bit: usize, len: usize) {
    let (mut index, shift) = (bit / WORD_BITS, bit % WORD_BITS);
    if len <= WORD_BITS
        && let Some([first, second, ..]) = words.get_mut(index..)
    {
        // Always two words: whether a run crosses into the second cannot be predicted.
        let mask = low(len);
        *first |= mask << shift;
        *second |= mask >> 1 >> (WORD_BITS - 1 - shift);
        return;
    }
    let mut mask = low(len) << shift;
    let mut done = WORD_BITS - shift;
    loop {
        if let Some(word) = words.get_mut(index) {
            *word |= mask;
        }
        if done >= len {
            return;
        }
        mask = low(len - done);
        done += WORD_BITS;
        index += 1;
    }
}

/// Whether all bits of a range are set.
pub(crate) fn are_set(words: &[u64], range: Range<usize>) -> bool {
    let Span { head, whole, tail } = Span::new(range.start, range.end);
    let mut parts = head.into_iter().chain(tail);
    parts.all(|(index, mask)| word(words, index) & mask == mask)
        && words.get(whole).is_some_and(|words| words.iter().all(|&word| word == !0))
}

/// Bits that are set together, wherever they are to begin: at most `64 (N - 1) + 1` of them, so
/// that they always lie in `N` words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pattern<const N: usize>(pub(crate) [u64; N]);

impl<const N: usize> Pattern<N> {
    /// Whether `rows` runs of `len` bits, `stride` apart, are few enough.
    pub(crate) const fn fits(rows: usize, len: usize, stride: usize) -> bool {
        match rows.saturating_sub(1).checked_mul(stride) {
            Some(first) => first.saturating_add(len) <= WORD_BITS * (N - 1) + 1,
            None => false,
        }
    }

    /// `rows` runs of `len` bits, `stride` apart, which must fit.
    pub(crate) const fn rows(rows: usize, len: usize, stride: usize) -> Self {
        let mut words = [0; N];
        let mut row = 0;
        while row < rows {
            let mut bit = row * stride;
            while bit < row * stride + len {
                words[bit / WORD_BITS] |= 1 << (bit % WORD_BITS);
                bit += 1;
            }
            row += 1;
        }
        Self(words)
    }

    /// Sets the bits from `bit` on; bits past the slice are left out.
    #[inline(always)]
    pub(crate) fn set(&self, words: &mut [u64], bit: usize) {
        let (index, shift) = (bit / WORD_BITS, bit % WORD_BITS);
        match words.get_mut(index..).and_then(<[u64]>::first_chunk_mut::<N>) {
            Some(words) => {
                words.iter_mut().zip(self.shifted(shift)).for_each(|(word, bits)| *word |= bits);
            }
            None => self.set_last(words.get_mut(index..).unwrap_or_default(), shift),
        }
    }

    /// Sets the bits from one of the first word on; words that are not there are left out. A
    /// function of its own, so that loops which set have no branch for each word.
    #[cold]
    #[inline(never)]
    pub(crate) fn set_last(&self, words: &mut [u64], shift: usize) {
        words.iter_mut().zip(self.shifted(shift)).for_each(|(word, bits)| *word |= bits);
    }

    /// The words of the pattern when it begins at a bit of the first.
    #[inline(always)]
    pub(crate) fn shifted(&self, shift: usize) -> impl Iterator<Item = u64> {
        let mut below = 0;
        self.0.into_iter().map(move |word| {
            let shifted = word << shift | below >> 1 >> (WORD_BITS - 1 - shift);
            below = word;
            shifted
        })
    }
}

/// A range of bits as words: at most one part of a word at either end, whole words between.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) head: Option<(usize, u64)>,
    pub(crate) whole: Range<usize>,
    pub(crate) tail: Option<(usize, u64)>,
}

impl Span {
    #[inline]
    pub(crate) const fn new(start: usize, end: usize) -> Self {
        let (first, last) = (start / WORD_BITS, end / WORD_BITS);
        let (head, tail) = (!low(start % WORD_BITS), low(end % WORD_BITS));
        if start >= end {
            return Self { head: None, whole: 0..0, tail: None };
        }
        if first == last {
            return Self { head: Some((first, head & tail)), whole: last..last, tail: None };
        }
        let aligned = start.is_multiple_of(WORD_BITS);
        Self {
            head: if aligned { None } else { Some((first, head)) },
            whole: if aligned { first } else { first + 1 }..last,
            tail: if tail == 0 { None } else { Some((last, tail)) },
        }
    }
}
