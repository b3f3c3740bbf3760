//! Where choices come from.

/// Numbers to choose by. The smallest number is the plainest choice, so that bytes that shrink make
/// simpler cases.
pub trait Source {
    /// A number of so many bytes, eight at most.
    fn bytes(&mut self, count: u32) -> u64;

    /// A number below the limit.
    fn below(&mut self, limit: usize) -> usize {
        let count = match limit {
            0..=0x100 => 1,
            0x101..=0x1_0000 => 2,
            _ => 8,
        };
        (self.bytes(count) % limit as u64) as usize
    }

    /// Whether it is the one of so many.
    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) + 1 == many
    }

    /// One of them, mostly as likely as another.
    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// A number from 0 to 1, both of which it can be.
    fn part(&mut self) -> f64 {
        self.bytes(4) as f64 / f64::from(u32::MAX)
    }
}

/// Bytes one after the other, then zeros.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'b>(pub &'b [u8]);

impl Source for Bytes<'_> {
    fn bytes(&mut self, count: u32) -> u64 {
        let (now, later) = self.0.split_at(self.0.len().min(count as usize));
        self.0 = later;
        now.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
    }
}

/// The outputs of SplitMix64: numbers that look like chance, and are the same everywhere. The
/// configurations in `fixed` depend on every draw.
#[derive(Clone, Copy, Debug)]
pub struct Numbers(pub u64);

impl Numbers {
    /// The next 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Source for Numbers {
    fn bytes(&mut self, count: u32) -> u64 {
        self.word() >> (64 - 8 * count)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.word() % limit as u64) as usize
    }
}
