//! Tensors of passes: dense ones and views, of which most fit.
//!
//! Structs that hold pointers lie beside the arena, where no other struct is written over them.

use arbitrary::Arbitrary;
use dropblock_fuzz::Number;
use dropblock_fuzz::arena::{Arena, At, Length, Place};

use crate::types::*;

/// A value, and where it is said to be.
#[derive(Debug)]
pub(super) struct Held<T> {
    value: [T; 2],
    how: u8,
}

impl<T: Copy> Held<T> {
    pub(super) fn new(value: T, how: u8) -> Self {
        Self { value: [value; 2], how: 255 - how }
    }

    pub(super) fn pointer(&self) -> *const T {
        match self.how {
            0 => std::ptr::null(),
            1 => self.value.as_ptr().wrapping_byte_add(1),
            _ => self.value.as_ptr(),
        }
    }

    pub(super) fn is_bad(&self) -> bool {
        self.how < 2
    }
}

#[derive(Arbitrary, Debug)]
pub(super) struct Tensor {
    how: u8,
    data: Place,
    len: Length,
    reserved: u8,
    first: u8,
    view: Option<View>,
}

#[derive(Arbitrary, Debug)]
struct View {
    how: u8,
    order: u8,
    gaps: [u8; 5],
    flipped: u8,
    any: Option<(u8, Number, bool)>,
}

/// A tensor as it is passed.
#[derive(Debug)]
pub(super) struct Made {
    tensor: Held<dropblock_tensor>,
    /// To which the tensor points.
    _strides: Box<Held<[isize; 5]>>,
    pub(super) at: At,
    pub(super) bytes: usize,
    /// Whether it must be refused.
    pub(super) is_bad: bool,
    fields: (dropblock_tensor, Option<[isize; 5]>),
}

impl Made {
    pub(super) fn pointer(&self) -> *const dropblock_tensor {
        self.tensor.pointer()
    }

    /// Whether a pass from one to the other is in place.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let strides = std::ptr::null();
        let plain = |made: &Self| dropblock_tensor { strides, ..made.fields.0 };
        plain(self) == plain(other) && self.fields.1 == other.fields.1
    }
}

impl Tensor {
    /// A tensor for a plan's shape, with elements of `size` bytes.
    pub(super) fn make(
        &self,
        arena: &mut Arena,
        (sizes, elements): ([usize; 5], usize),
        (kind, size): (u32, usize),
    ) -> Made {
        let at = self.data.get();
        let (strides, needed, first) = match &self.view {
            None => (None, elements, usize::from(self.first == 255)),
            Some(view) => {
                let (strides, needed, first) = view.make(sizes, usize::from(self.first) % 4);
                (Some(strides), needed, first)
            }
        };
        let len = match strides {
            None => self.len.exact(at, size, needed),
            Some(_) => match self.len.or_huge::<u8>(at, needed.saturating_mul(size)) {
                bytes if bytes >= 1 << 63 => bytes,
                bytes => bytes / size,
            },
        };
        let how = self.view.as_ref().map_or(255, |view| view.how);
        let held = Box::new(Held::new(strides.unwrap_or_default(), how));
        let value = dropblock_tensor {
            r#type: kind,
            reserved: u32::from(self.reserved == 7),
            data: arena.pointer(at),
            len,
            first,
            strides: if strides.is_some() { held.pointer().cast() } else { std::ptr::null() },
        };
        // Null strides mean a dense tensor.
        let strides = strides.filter(|_| !value.strides.is_null());
        let tensor = Held::new(value, self.how);
        let mut is_bad = tensor.is_bad() || value.reserved != 0 || at.is_bad(len, size, size);
        is_bad |= match strides {
            None => len != elements || first != 0,
            Some(strides) => held.is_bad() || leaves(sizes, strides, first, len),
        };
        // A length that is not that of a dense tensor may be untrue.
        let bytes = len.saturating_mul(size);
        Made { tensor, _strides: held, at, bytes, is_bad, fields: (value, strides) }
    }
}

impl View {
    /// Strides, the length of a buffer for them, and the first element.
    fn make(&self, sizes: [usize; 5], before: usize) -> ([isize; 5], usize, usize) {
        let orders = [[4, 3, 2, 1, 0], [1, 4, 3, 2, 0], [4, 3, 2, 0, 1], [0, 1, 2, 3, 4]];
        let (mut strides, mut stride, mut first) = ([0; 5], 1_usize, before);
        for axis in orders[usize::from(self.order) % 4] {
            strides[axis] = stride as isize;
            if self.flipped >> axis & 1 == 1 {
                strides[axis] = (stride as isize).wrapping_neg();
                let reach = sizes[axis].saturating_sub(1).wrapping_mul(stride);
                first = first.wrapping_add(reach);
            }
            let gap = usize::from(self.gaps[axis]) / 64;
            stride = stride.wrapping_mul(sizes[axis].max(1).wrapping_add(gap));
        }
        if let Some((axis, number, flipped)) = self.any {
            let stride = number.get() as isize;
            strides[usize::from(axis) % 5] = if flipped { stride.wrapping_neg() } else { stride };
        }
        (strides, stride.wrapping_add(before), first)
    }
}

/// Whether a view has an element outside of its buffer.
fn leaves(sizes: [usize; 5], strides: [isize; 5], first: usize, len: usize) -> bool {
    if sizes.contains(&0) {
        return false;
    }
    let (mut low, mut high) = (first as i128, first as i128);
    for (size, stride) in sizes.into_iter().zip(strides) {
        let Some(reach) = (size as i128 - 1).checked_mul(stride as i128) else { return true };
        low = low.saturating_add(reach.min(0));
        high = high.saturating_add(reach.max(0));
    }
    low < 0 || high >= len as i128
}
