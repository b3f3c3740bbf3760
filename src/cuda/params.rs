//! The parameters of the kernels: the mirror of `kernels/params.h`, and one value for each launch.
//!
//! Numbers of 32 bits stand in pairs, so neither side has padding. Addresses are plain integers.

use core::ffi::c_void;
use core::mem::size_of;
use core::ptr::from_ref;

use crate::Element;

use super::Error;

/// A divisor with its reciprocal.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Div {
    d: u32,
    m: u32,
}

impl Div {
    /// Divisors from 2^32 on are taken for 2^32 - 1, and 0 for 1.
    pub(super) fn new(divisor: u64) -> Self {
        let d = divisor.clamp(1, u32::MAX.into()) as u32;
        Self { d, m: ((1_u64 << 32) / u64::from(d)).min(u32::MAX.into()) as u32 }
    }
}

/// The words of a key; where `step` is not 0, those of the seed alone.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) words: [u64; 2],
    pub(super) step: u64,
    pub(super) layer: u64,
}

/// How a part of a mask is drawn. Three axes are depth, height and width.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Mask {
    pub(super) key: Key,
    pub(super) line: u64,
    pub(super) table: u64,
    pub(super) jumps: u64,
    pub(super) words: u64,
    pub(super) plane: Div,
    pub(super) cells: Div,
    pub(super) slice_cells: Div,
    pub(super) row_cells: Div,
    pub(super) outer: Div,
    pub(super) block_height: Div,
    pub(super) outer_cells: u32,
    pub(super) outer_grid: u32,
    pub(super) outer_block: u32,
    pub(super) outer_offset: i32,
    pub(super) map: [u32; 3],
    pub(super) block: [u32; 3],
    pub(super) offset: [i32; 3],
    pub(super) span: u32,
    pub(super) pattern: u32,
    pub(super) single: u32,
    pub(super) units: u32,
    pub(super) start: u32,
    pub(super) tile: u32,
    pub(super) lanes: u32,
}

/// How lanes share a segment in `dense`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Jumps {
    pub(super) draws: u32,
    pub(super) shift: u32,
    pub(super) longs: u32,
    pub(super) polynomials: [[u32; 4]; 32],
    pub(super) unused: u32,
}

/// Cuts a line into groups.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Periods {
    length: Div,
    left: u32,
    unused: u32,
    first: u64,
}

impl Periods {
    /// Where nothing is by group.
    pub(super) const NONE: Self =
        Self { length: Div { d: 1, m: u32::MAX }, left: 0, unused: 0, first: 0 };

    /// Groups of so many units, for the part of the line from unit `start` on.
    pub(super) fn new(length: u64, start: u64) -> Self {
        let length = length.max(1);
        let left = (length - start % length).min(u32::MAX.into()) as u32;
        Self { length: Div::new(length), left, unused: 0, first: start / length }
    }
}

/// What is counted, and the scale that follows. Addresses are 0 where nothing is wanted.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    pub(super) state: u64,
    pub(super) total: u64,
    pub(super) known: u64,
    pub(super) scales: u64,
    pub(super) units: u64,
    pub(super) more: u64,
    pub(super) groups: u64,
    pub(super) periods: Periods,
}

/// What kept elements are multiplied by.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Scales {
    pub(super) kind: u64,
    pub(super) same: u64,
    pub(super) from: u64,
}

impl Scales {
    /// The same for all: these bits.
    pub(super) const fn same(bits: u64) -> Self {
        Self { kind: 0, same: bits, from: 0 }
    }

    /// The same for all, from memory.
    pub(super) const fn one(from: u64) -> Self {
        Self { kind: 0, same: 0, from }
    }

    /// One for each group.
    pub(super) const fn by_group(from: u64) -> Self {
        Self { kind: 1, same: 0, from }
    }

    /// One for each position of the map.
    pub(super) const fn by_position(from: u64) -> Self {
        Self { kind: 2, same: 0, from }
    }
}

/// A part of a tensor that is one line.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) x: u64,
    pub(super) y: u64,
    pub(super) words: u64,
    pub(super) scales: Scales,
    pub(super) periods: Periods,
    pub(super) len: u32,
    pub(super) whole: u32,
}

/// A tensor whose maps share masks.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Shared {
    pub(super) x: u64,
    pub(super) y: u64,
    pub(super) words: u64,
    pub(super) scales: Scales,
    pub(super) inner: Div,
    pub(super) quads: Div,
    pub(super) repeat: u32,
    pub(super) threads: u32,
}

/// A tensor whose channels are last.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Last {
    pub(super) x: u64,
    pub(super) y: u64,
    pub(super) words: u64,
    pub(super) scales: Scales,
    pub(super) tiles: Div,
    pub(super) channels: Div,
    pub(super) plane: u32,
    pub(super) unused: u32,
}

/// One axis of a tensor: its size, and what a step along it adds to the element's offset, the bit
/// of the mask, the position in the map, the scale group and the noise number.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Axis {
    pub(super) size: u64,
    pub(super) element: u64,
    pub(super) unit: u64,
    pub(super) position: u64,
    pub(super) group: u64,
    pub(super) number: u64,
    pub(super) divisor: Div,
}

/// Any tensor and what becomes of its elements.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Tensor {
    pub(super) x: u64,
    pub(super) y: u64,
    pub(super) words: u64,
    pub(super) rank: u64,
    pub(super) axes: [Axis; 5],
    pub(super) len: u64,
    pub(super) fill: u64,
    pub(super) keep: u64,
    pub(super) value: u64,
    pub(super) first_number: u64,
}

// The other side of the assertions in `kernels/params.h`.
const _: () = {
    assert!(size_of::<Key>() == 32);
    assert!(size_of::<Mask>() == 192);
    assert!(size_of::<Jumps>() == 528);
    assert!(size_of::<Count>() == 80);
    assert!(size_of::<Line>() == 80);
    assert!(size_of::<Shared>() == 72);
    assert!(size_of::<Last>() == 72);
    assert!(size_of::<Tensor>() == 352);
};

/// The element types that kernels scale, as they number them.
#[repr(u64)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    F32,
    F64,
    F16,
    Bf16,
}

impl Kind {
    pub(super) fn of<T: Element>() -> Result<Self, Error> {
        use core::any::TypeId;
        let id = TypeId::of::<T>();
        if id == TypeId::of::<f32>() {
            Ok(Self::F32)
        } else if id == TypeId::of::<f64>() {
            Ok(Self::F64)
        } else if id == TypeId::of::<half::f16>() {
            Ok(Self::F16)
        } else if id == TypeId::of::<half::bf16>() {
            Ok(Self::Bf16)
        } else {
            Err(Error::Type { size: size_of::<T>() })
        }
    }

    /// Bytes of an element.
    pub(super) const fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F64 => 8,
            Self::F16 | Self::Bf16 => 2,
        }
    }
}

/// The number by which `general` knows elements of so many bytes that are only dropped.
pub(super) const FIRST_WIDTH: u64 = 4;

/// The logarithm of the size of elements that are only dropped.
pub(super) const fn shift_of<T>() -> Result<u64, Error> {
    match size_of::<T>() {
        1 => Ok(0),
        2 => Ok(1),
        4 => Ok(2),
        8 => Ok(3),
        size => Err(Error::Type { size }),
    }
}

/// The words that one launch of `store` brings.
pub(super) const STORED: usize = 512;

/// The kernels and their threads, in the order of [`Call::kernel`].
pub(super) const KERNELS: [(&str, u32); 23] = [
    ("generate", 256),
    ("dense", 64),
    ("count", 256),
    ("scales", 256),
    ("drop", 256),
    ("general", 256),
    ("dilate_bits", 256),
    ("dilate_bytes", 256),
    ("store", 256),
    ("conformance", 256),
    ("apply_f32", 128),
    ("apply_f64", 128),
    ("apply_f16", 128),
    ("apply_bf16", 128),
    // Kinds in their order, but none for doubles.
    ("groups_f32", 256),
    ("groups_f16", 256),
    ("groups_bf16", 256),
    ("shared_f32", 256),
    ("shared_f16", 256),
    ("shared_bf16", 256),
    ("last_f32", 256),
    ("last_f16", 256),
    ("last_bf16", 256),
];

/// One launch: a kernel with the parameters that it takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Call<'a> {
    /// Draws a part of a mask and counts it.
    Generate { mask: Mask, count: Count },
    /// The same where blocks are single units.
    Dense { mask: Mask, jumps: &'a Jumps, count: Count },
    /// Counts the dropped units of each group.
    Count { words: u64, counts: u64, len: u64, tile: u64, periods: Periods },
    /// Makes scales of the counts of groups, and moves those.
    Scales { counts: u64, moved: u64, reset: u64, groups: u64, units: u64, scales: u64, kind: u64 },
    /// Applies a mask to a line.
    Apply { kind: Kind, line: Line },
    /// The same where scales are by group.
    Groups { kind: Kind, line: Line },
    /// Applies shared masks.
    Shared { kind: Kind, shared: Shared },
    /// Applies a mask where channels are last.
    Last { kind: Kind, last: Last },
    /// Writes a value to the dropped elements of a line.
    Drop { shift: u64, value: u64, line: Line },
    /// Does anything with any tensor.
    General { kind: u64, scales: Scales, tensor: Tensor, key: Key },
    /// Dilates bits by the block of `mask`.
    DilateBits { source: u64, before: u64, mask: Mask },
    /// Dilates bytes along one axis.
    DilateBytes {
        source: u64,
        destination: u64,
        len: u64,
        axis_len: u64,
        axis_stride: u64,
        before: u64,
        after: u64,
    },
    /// Writes words that come with the launch.
    Store { to: u64, count: u64, values: &'a [u32; STORED] },
    /// Does every kind of operation on pairs of operands.
    Conformance { operands: u64, results: u64, count: u64 },
}

/// Pointers to the parameters of a call, as many as the kernel takes.
pub(super) type Pointers = [*const c_void; 7];

impl Call<'_> {
    /// The index of the kernel in [`KERNELS`].
    pub(super) const fn kernel(&self) -> usize {
        /// The index after that of the first of three.
        const fn of_three(first: usize, kind: Kind) -> usize {
            match kind {
                Kind::F32 | Kind::F64 => first,
                Kind::F16 => first + 1,
                Kind::Bf16 => first + 2,
            }
        }
        match self {
            Self::Generate { .. } => 0,
            Self::Dense { .. } => 1,
            Self::Count { .. } => 2,
            Self::Scales { .. } => 3,
            Self::Drop { .. } => 4,
            Self::General { .. } => 5,
            Self::DilateBits { .. } => 6,
            Self::DilateBytes { .. } => 7,
            Self::Store { .. } => 8,
            Self::Conformance { .. } => 9,
            Self::Apply { kind, .. } => 10 + *kind as usize,
            Self::Groups { kind, .. } => of_three(14, *kind),
            Self::Shared { kind, .. } => of_three(17, *kind),
            Self::Last { kind, .. } => of_three(20, *kind),
        }
    }

    /// The threads of a block.
    pub(super) const fn threads(&self) -> u32 {
        KERNELS[self.kernel()].1
    }

    /// The parameters in the order of the kernel's declaration.
    pub(super) fn pointers(&self) -> Pointers {
        let mut pointers = [core::ptr::null(); 7];
        let mut next = pointers.iter_mut();
        let mut push = |pointer: *const c_void| {
            if let Some(next) = next.next() {
                *next = pointer;
            }
        };
        macro_rules! push {
            ($($field:ident)*) => {{ $(push(from_ref($field).cast());)* }};
        }
        match self {
            Self::Generate { mask, count } => push!(mask count),
            Self::Dense { mask, jumps, count } => {
                let jumps: &Jumps = jumps;
                push!(mask jumps count);
            }
            Self::Count { words, counts, len, tile, periods } => {
                push!(words counts len tile periods);
            }
            Self::Scales { counts, moved, reset, groups, units, scales, kind } => {
                push!(counts moved reset groups units scales kind);
            }
            Self::Apply { kind: _, line } | Self::Groups { kind: _, line } => push!(line),
            Self::Shared { kind: _, shared } => push!(shared),
            Self::Last { kind: _, last } => push!(last),
            Self::Drop { shift, value, line } => push!(shift value line),
            Self::General { kind, scales, tensor, key } => push!(kind scales tensor key),
            Self::DilateBits { source, before, mask } => push!(source before mask),
            Self::DilateBytes {
                source,
                destination,
                len,
                axis_len,
                axis_stride,
                before,
                after,
            } => push!(source destination len axis_len axis_stride before after),
            Self::Store { to, count, values } => {
                let values: &[u32; STORED] = values;
                push!(to count values);
            }
            Self::Conformance { operands, results, count } => push!(operands results count),
        }
        pointers
    }
}
