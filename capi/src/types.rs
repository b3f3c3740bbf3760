//! The types of the header: plain data, any bits of which are valid.

use core::ffi::c_void;

use engine::{Dropped, Key, Plan};

use crate::constants::{DROPBLOCK_PLAN_ALIGN, DROPBLOCK_PLAN_SIZE};

macro_rules! numbers {
    ($($name:ident)*) => { $(pub(crate) type $name = u32;)* };
}

numbers! {
    dropblock_status dropblock_argument dropblock_type dropblock_preset dropblock_mode
    dropblock_gamma dropblock_region dropblock_alignment dropblock_sharing dropblock_scale
    dropblock_fill dropblock_backend dropblock_block_kind dropblock_layout dropblock_axes
    dropblock_course
}

macro_rules! structs {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq)]
            #[repr(C)]
            pub(crate) struct $name {
                $(pub(crate) $field: $type,)*
            }
        )*

        /// Name, size, and of each field name, type and offset, to be compared with the header.
        #[cfg(test)]
        pub(crate) const STRUCTS: &[(&str, usize, &[(&str, &str, usize)])] = &[
            $((
                stringify!($name),
                size_of::<$name>(),
                &[$((
                    stringify!($field),
                    stringify!($type),
                    core::mem::offset_of!($name, $field),
                )),*],
            )),*
        ];
    };
}

structs! {
    /// What was needed and what was given.
    dropblock_error {
        status: dropblock_status,
        argument: dropblock_argument,
        needed: [u64; 2],
        given: [u64; 2],
        value: f64,
    }

    /// Names a mask.
    dropblock_key {
        seed: u64,
        step: u64,
        layer: u64,
        first_sample: u64,
    }

    /// How many units are dropped.
    dropblock_dropped {
        count: u64,
        of: u64,
    }

    /// A block size.
    dropblock_block {
        kind: dropblock_block_kind,
        reserved: u32,
        fraction: f64,
        uniform: usize,
        depth: usize,
        height: usize,
        width: usize,
    }

    /// The options of a layer. It may grow at its end.
    dropblock_options {
        size: u32,
        preset: dropblock_preset,
        mode: dropblock_mode,
        gamma: dropblock_gamma,
        region: dropblock_region,
        alignment: dropblock_alignment,
        sharing: dropblock_sharing,
        scale: dropblock_scale,
        fill: dropblock_fill,
        backend: dropblock_backend,
        drop_prob: f64,
        gamma_value: f64,
        block: dropblock_block,
    }

    /// The shape of a tensor.
    dropblock_shape {
        rank: u32,
        reserved: u32,
        samples: usize,
        channels: usize,
        depth: usize,
        height: usize,
        width: usize,
        strides: [usize; 5],
    }

    /// A plane of the mask, or a part of one.
    dropblock_plane_part {
        sample: usize,
        channel: usize,
        position: usize,
        len: usize,
        keep: *const u64,
        keep_len: usize,
    }

    /// Dilation of maps by a block.
    dropblock_dilation {
        rank: u32,
        axes: dropblock_axes,
        alignment: dropblock_alignment,
        backend: dropblock_backend,
        depth: usize,
        height: usize,
        width: usize,
        block: dropblock_block,
    }

    /// From this step on this value.
    dropblock_step {
        step: u64,
        value: f64,
    }

    /// A value that changes during training.
    dropblock_schedule {
        course: dropblock_course,
        reserved: u32,
        start: f64,
        end: f64,
        held: u64,
        steps: *const dropblock_step,
        steps_len: usize,
    }
}

/// Draws 32 bits.
pub(crate) type dropblock_draw = unsafe extern "C" fn(context: *mut c_void) -> u32;

/// Is shown a part of a plane.
pub(crate) type dropblock_visit =
    unsafe extern "C" fn(context: *mut c_void, part: *const dropblock_plane_part);

/// A plan in the caller's memory. Opaque in C.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct dropblock_plan {
    magic: [u64; 2],
    pub(crate) plan: Plan,
}

/// What memory must begin with to pass for a plan: of this interface, and of this build's size.
const MAGIC: [u64; 2] = [
    u64::from_be_bytes(*b"dropblok"),
    (crate::constants::DROPBLOCK_ABI_VERSION as u64) << 32 | size_of::<dropblock_plan>() as u64,
];

const _: () = assert!(
    size_of::<dropblock_plan>() <= DROPBLOCK_PLAN_SIZE as usize
        && align_of::<dropblock_plan>() <= DROPBLOCK_PLAN_ALIGN as usize
);

impl dropblock_plan {
    pub(crate) const fn new(plan: Plan) -> Self {
        Self { magic: MAGIC, plan }
    }

    pub(crate) const fn is_magic(magic: [u64; 2]) -> bool {
        magic[0] == MAGIC[0] && magic[1] == MAGIC[1]
    }
}

impl dropblock_key {
    pub(crate) const fn get(&self) -> Key {
        Key::new(self.seed).step(self.step).layer(self.layer).first_sample(self.first_sample)
    }
}

impl From<Dropped> for dropblock_dropped {
    fn from(dropped: Dropped) -> Self {
        Self { count: dropped.count, of: dropped.of }
    }
}

impl From<dropblock_dropped> for Dropped {
    fn from(dropped: dropblock_dropped) -> Self {
        Self { count: dropped.count, of: dropped.of }
    }
}
