//! The parameters of the kernels: the mirror of `kernels/params.h`, and one value for each launch.
//!
//! Every field is eight bytes, so neither side has padding. Addresses are plain integers.

use core::ffi::c_void;
use core::mem::size_of;
use core::ptr::from_ref;

use crate::Element;

use super::Error;

/// How the mask of a plan is drawn. Three axes are depth, height and width.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Mask {
    pub(super) key: [u64; 2],
    pub(super) first_position: u64,
    pub(super) planes: u64,
    pub(super) positions: u64,
    pub(super) plane: u64,
    pub(super) map: [u64; 3],
    pub(super) grid: [u64; 3],
    pub(super) block: [u64; 3],
    pub(super) before: [u64; 3],
    pub(super) shift: [u64; 3],
    pub(super) table: u64,
    pub(super) tile: u64,
}

/// What kept elements are multiplied by.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Scales {
    pub(super) kind: u64,
    pub(super) factor: f64,
    pub(super) counts: u64,
    pub(super) group_units: u64,
    pub(super) positions: u64,
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
}

/// A tensor and what becomes of its elements.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Tensor {
    pub(super) x: u64,
    pub(super) y: u64,
    pub(super) rank: u64,
    pub(super) axes: [Axis; 5],
    pub(super) len: u64,
    pub(super) line: u64,
    pub(super) vector: u64,
    pub(super) fill: u64,
    pub(super) keep: u64,
    pub(super) value: u64,
    pub(super) noise: [u64; 2],
    pub(super) first_number: u64,
}

// The other side of the assertions in `kernels/params.h`.
const _: () = {
    assert!(size_of::<Mask>() == 184);
    assert!(size_of::<Scales>() == 40);
    assert!(size_of::<Axis>() == 48);
    assert!(size_of::<Tensor>() == 336);
};

impl Scales {
    /// One factor for all, exact in the type of the scale.
    pub(super) const fn factor(factor: f64) -> Self {
        Self { kind: 0, factor, counts: 0, group_units: 0, positions: 0 }
    }

    /// From the counts of the groups.
    pub(super) const fn counted(counts: u64, group_units: u64) -> Self {
        Self { kind: 1, factor: 1.0, counts, group_units, positions: 0 }
    }

    /// One for each position of the map.
    pub(super) const fn by_position(positions: u64) -> Self {
        Self { kind: 2, factor: 1.0, counts: 0, group_units: 0, positions }
    }
}

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
}

/// The sizes of elements that kernels only drop, numbered on.
#[repr(u64)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    W8 = 4,
    W16,
    W32,
    W64,
}

impl Width {
    pub(super) const fn of<T>() -> Result<Self, Error> {
        match size_of::<T>() {
            1 => Ok(Self::W8),
            2 => Ok(Self::W16),
            4 => Ok(Self::W32),
            8 => Ok(Self::W64),
            size => Err(Error::Type { size }),
        }
    }
}

/// The names of the kernels, in the order of [`Call::kernel`].
pub(super) const KERNELS: [&str; 11] = [
    "generate",
    "count",
    "dilate_bits",
    "dilate_bytes",
    "fused",
    "apply_f32",
    "apply_f64",
    "apply_f16",
    "apply_bf16",
    "drop",
    "conformance",
];

/// One launch: a kernel with the parameters that it takes. `words`, `counts`, `source` and
/// `destination` are addresses, 0 where the kernel may do without.
#[derive(Clone, Copy, Debug)]
pub(super) enum Call {
    /// Draws a mask and counts it.
    Generate { mask: Mask, words: u64, counts: u64, group_planes: u64 },
    /// Draws a mask, applies it at once and counts it.
    Fused { kind: Kind, mask: Mask, scales: Scales, tensor: Tensor, counts: u64, group_planes: u64 },
    /// The same without scaling: the scales are not read.
    FusedDrop {
        width: Width,
        mask: Mask,
        scales: Scales,
        tensor: Tensor,
        counts: u64,
        group_planes: u64,
    },
    /// Applies a mask.
    Apply { kind: Kind, words: u64, scales: Scales, tensor: Tensor },
    /// The same without scaling.
    Drop { width: Width, words: u64, tensor: Tensor },
    /// Counts the dropped units of each group.
    Count { words: u64, counts: u64, planes: u64, plane: u64, group_planes: u64 },
    /// Dilates bits by the block of `mask`.
    DilateBits { source: u64, destination: u64, mask: Mask },
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
    /// Does every kind of operation on pairs of operands.
    Conformance { operands: u64, results: u64, count: u64 },
}

/// Pointers to the parameters of a call, as many as the kernel takes.
pub(super) type Pointers = [*const c_void; 7];

impl Call {
    /// The index of the kernel in [`KERNELS`].
    pub(super) const fn kernel(&self) -> usize {
        match self {
            Self::Generate { .. } => 0,
            Self::Count { .. } => 1,
            Self::DilateBits { .. } => 2,
            Self::DilateBytes { .. } => 3,
            Self::Fused { .. } | Self::FusedDrop { .. } => 4,
            Self::Apply { kind, .. } => 5 + *kind as usize,
            Self::Drop { .. } => 9,
            Self::Conformance { .. } => 10,
        }
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
            Self::Generate { mask, words, counts, group_planes } => {
                push!(mask words counts group_planes);
            }
            Self::Fused { kind, mask, scales, tensor, counts, group_planes } => {
                push!(kind mask scales tensor counts group_planes);
            }
            Self::FusedDrop { width, mask, scales, tensor, counts, group_planes } => {
                push!(width mask scales tensor counts group_planes);
            }
            Self::Apply { kind: _, words, scales, tensor } => push!(words scales tensor),
            Self::Drop { width, words, tensor } => push!(width words tensor),
            Self::Count { words, counts, planes, plane, group_planes } => {
                push!(words counts planes plane group_planes);
            }
            Self::DilateBits { source, destination, mask } => push!(source destination mask),
            Self::DilateBytes {
                source,
                destination,
                len,
                axis_len,
                axis_stride,
                before,
                after,
            } => push!(source destination len axis_len axis_stride before after),
            Self::Conformance { operands, results, count } => push!(operands results count),
        }
        pointers
    }
}
