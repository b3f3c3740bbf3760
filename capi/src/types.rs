//! The types of the header: plain data, any bits of which are valid.

use core::ffi::c_void;

use engine::{Drawn, DropCount, Key, Plan};

use crate::constants::{DROPBLOCK_PLAN_ALIGN, DROPBLOCK_PLAN_SIZE};

macro_rules! numbers {
    ($($name:ident)*) => { $(pub(crate) type $name = u32;)* };
}

numbers! {
    dropblock_status dropblock_argument dropblock_type dropblock_preset dropblock_mode
    dropblock_gamma_kind dropblock_region dropblock_alignment dropblock_sharing dropblock_scale
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
    dropblock_drop_count {
        dropped: u64,
        total: u64,
    }

    /// A key and the count of its mask.
    dropblock_drawn {
        key: dropblock_key,
        count: dropblock_drop_count,
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

    /// How gamma follows from the drop probability.
    dropblock_gamma {
        kind: dropblock_gamma_kind,
        has_value: u32,
        value: f64,
    }

    /// The options of a layer. It may grow at its end.
    dropblock_options {
        size: u32,
        preset: dropblock_preset,
        mode: dropblock_mode,
        region: dropblock_region,
        alignment: dropblock_alignment,
        sharing: dropblock_sharing,
        scale: dropblock_scale,
        fill: dropblock_fill,
        backend: dropblock_backend,
        reserved: u32,
        drop_prob: f64,
        gamma: dropblock_gamma,
        block: dropblock_block,
    }

    /// The shape of a tensor.
    dropblock_shape {
        rank: u32,
        layout: dropblock_layout,
        samples: usize,
        channels: usize,
        depth: usize,
        height: usize,
        width: usize,
    }

    /// A tensor.
    dropblock_tensor {
        r#type: dropblock_type,
        reserved: u32,
        data: *mut c_void,
        len: usize,
        first: usize,
        strides: *const isize,
    }

    /// A mask that is at hand.
    dropblock_mask {
        words: *const u64,
        words_len: usize,
        drawn: dropblock_drawn,
        has_key: u32,
        reserved: u32,
    }

    /// A map of the tensor, or a part of one.
    dropblock_map_part {
        sample: usize,
        channel: usize,
        position: usize,
        len: usize,
        keep: *const u64,
        keep_len: usize,
        scale_f64: f64,
        scale_f32: f32,
        reserved: u32,
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
pub(crate) type dropblock_draw_bits = unsafe extern "C" fn(context: *mut c_void) -> u32;

/// Is shown a map, or a part of one.
pub(crate) type dropblock_visit =
    unsafe extern "C" fn(context: *mut c_void, part: *const dropblock_map_part);

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
    pub(crate) const fn get(self) -> Key {
        Key::from_words([self.seed, self.step, self.layer, self.first_sample])
    }
}

impl From<Key> for dropblock_key {
    fn from(Key { seed, step, layer, first_sample }: Key) -> Self {
        Self { seed, step, layer, first_sample }
    }
}

impl From<DropCount> for dropblock_drop_count {
    fn from(DropCount { dropped, total }: DropCount) -> Self {
        Self { dropped, total }
    }
}

impl From<dropblock_drop_count> for DropCount {
    fn from(dropblock_drop_count { dropped, total }: dropblock_drop_count) -> Self {
        Self { dropped, total }
    }
}

impl dropblock_drawn {
    pub(crate) const fn get(self) -> Drawn {
        let dropblock_key { seed, step, layer, first_sample } = self.key;
        let dropblock_drop_count { dropped, total } = self.count;
        Drawn::from_words([seed, step, layer, first_sample, dropped, total])
    }
}

impl From<Drawn> for dropblock_drawn {
    fn from(drawn: Drawn) -> Self {
        let [seed, step, layer, first_sample, dropped, total] = drawn.to_words();
        let key = dropblock_key { seed, step, layer, first_sample };
        Self { key, count: dropblock_drop_count { dropped, total } }
    }
}
