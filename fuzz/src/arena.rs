//! Memory for calls of the C interface, and what is said of it: any place and length, of which
//! those that are not so must be such that they are refused.

use arbitrary::Arbitrary;

/// Bytes from the start of one slot for a plan to the next.
pub const SLOT: usize = 5120 + 64;
/// Where other memory begins, behind two slots.
pub const DATA: usize = 2 * SLOT;
/// Where it ends.
pub const END: usize = DATA + (12 << 10);
/// Behind it, so that a struct of any version fits at any place.
const TAIL: usize = 8192;

/// Where an argument lies.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Place {
    how: u8,
    at: u16,
}

/// Where an argument lies: an offset in the arena, or nowhere.
#[derive(Clone, Copy, Debug)]
pub struct At(pub Option<usize>);

impl Place {
    /// A place behind the slots.
    pub fn behind(at: u16) -> Self {
        Self { how: 0, at }
    }

    /// Mostly aligned and behind the slots of plans.
    pub fn get(self) -> At {
        let at = usize::from(self.at);
        At(match 255 - self.how {
            0 => None,
            1..=6 => Some(at % END),
            7..=14 => Some(at * 8 % END),
            _ => Some(DATA + at * 8 % (END - DATA)),
        })
    }
}

/// How long something is said to be.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Length {
    how: u8,
    more: u16,
}

impl Length {
    fn get(self, needed: usize) -> usize {
        let more = usize::from(self.more);
        match 255 - self.how {
            0 => 0,
            1 => usize::MAX - more % 9,
            2 => (1 << 63) + more % 9,
            3 => usize::MAX - needed,
            4 => needed.wrapping_sub(1 + more % 3),
            5 => needed.wrapping_add(1 + more % 3),
            6..=8 => more % 2000,
            _ => needed,
        }
    }

    /// A length that is true, or more than memory can have.
    pub fn or_huge<T>(self, at: At, needed: usize) -> usize {
        let len = self.get(needed);
        if len >= 1 << 63 { len } else { len.min(at.room() / size_of::<T>()) }
    }

    /// The length of a tensor: only the extent is taken, so that all others may be untrue.
    pub fn exact(self, at: At, size: usize, extent: usize) -> usize {
        let len = self.get(extent);
        let untrue = len.checked_mul(size).is_none_or(|bytes| bytes > at.room());
        if len == extent && untrue && huge(len, size).is_none() { len.wrapping_sub(1) } else { len }
    }

    /// The length of a mask: of more than is needed no more is touched.
    pub fn at_least(self, at: At, needed: usize) -> usize {
        let len = self.get(needed);
        if needed > at.room() / 8 { len.min(needed - 1) } else { len }
    }
}

/// Whether so many elements are more than memory can have.
fn huge(len: usize, size: usize) -> Option<()> {
    let bytes = len.checked_mul(size).filter(|&bytes| isize::try_from(bytes).is_ok());
    if bytes.is_none() { Some(()) } else { None }
}

impl At {
    /// The bytes from here to the end.
    pub fn room(self) -> usize {
        END + TAIL - self.0.unwrap_or(0)
    }

    /// Whether so many elements cannot lie here.
    pub fn is_bad(self, len: usize, size: usize, align: usize) -> bool {
        len > 0 && (self.0.is_none_or(|at| at % align != 0) || huge(len, size).is_some())
    }

    /// Whether memory from here overlaps other memory.
    pub fn overlaps(self, bytes: usize, other: Self, others: usize) -> bool {
        let (Some(a), Some(b)) = (self.0, other.0) else { return false };
        bytes > 0 && others > 0 && a < b.saturating_add(others) && b < a.saturating_add(bytes)
    }
}

/// One piece of memory, and what it was before the last call.
#[derive(Debug)]
pub struct Arena {
    words: Box<[u64]>,
    before: Vec<u8>,
}

impl Default for Arena {
    fn default() -> Self {
        let word = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let words: Box<[u64]> = (0..(END + TAIL) as u64 / 8).map(word).collect();
        Self { words, before: Vec::new() }
    }
}

impl Arena {
    /// The pointer of a place.
    pub fn pointer<T>(&mut self, at: At) -> *mut T {
        let start = self.words.as_mut_ptr().cast::<u8>();
        at.0.map_or(std::ptr::null_mut(), |at| start.wrapping_add(at).cast())
    }

    pub fn bytes(&self) -> &[u8] {
        let start = self.words.as_ptr().cast::<u8>();
        // SAFETY: the bytes of the words, which all have values.
        unsafe { std::slice::from_raw_parts(start, END + TAIL) }
    }

    /// Writes a value at a place, if it is somewhere.
    pub fn put<T: Copy>(&mut self, at: At, value: T) -> *mut T {
        let pointer = self.pointer::<T>(at);
        if !pointer.is_null() {
            assert!(size_of::<T>() <= at.room());
            // SAFETY: there is so much room.
            unsafe { pointer.write_unaligned(value) };
        }
        pointer
    }

    /// Copies bytes to an offset.
    pub fn put_bytes(&mut self, at: usize, bytes: &[u8]) {
        let target = self.pointer::<u8>(At(Some(at)));
        assert!(bytes.len() <= At(Some(at)).room());
        // SAFETY: there is so much room, and the bytes are not of the arena, which is borrowed.
        unsafe { target.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }

    /// Remembers what is there.
    pub fn remember(&mut self) {
        let mut before = std::mem::take(&mut self.before);
        before.clear();
        before.extend_from_slice(self.bytes());
        self.before = before;
    }

    /// Nothing has changed but for these places and their lengths in bytes.
    pub fn check(&mut self, written: &[(At, usize)]) {
        let mut before = std::mem::take(&mut self.before);
        let now = self.bytes();
        for &(at, bytes) in written {
            if let Some(at) = at.0 {
                let place = at..at.saturating_add(bytes).min(now.len());
                before[place.clone()].copy_from_slice(&now[place]);
            }
        }
        if now != before {
            let place = now.iter().zip(&before).position(|(now, before)| now != before);
            panic!("byte {place:?} was written");
        }
        self.before = before;
    }
}
