//! Options, shape and key in both languages: the cases of the crate's tests, said in C.

use core::ffi::c_void;
use core::ptr::null;

use dropblock_cases::{Block, Options, cases_with_options};
use engine::{
    Alignment, Backend, Element, Fill, Gamma, Key, Layout, Plan, Region, Scale, Shape, Sharing,
};
use proptest::prelude::*;

use crate::constants::*;
use crate::plan::dropblock_plan_init;
use crate::types::*;

/// The most elements of a case.
const MOST: usize = 60_000;

/// A case, and the arguments of C that say the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) rust: dropblock_cases::Case,
    pub(crate) options: dropblock_options,
    pub(crate) shape: dropblock_shape,
    pub(crate) key: dropblock_key,
}

/// A plan in a place of its own, as a C caller has it.
pub(crate) struct Memory {
    _words: Box<[u64]>,
    pub(crate) plan: *mut dropblock_plan,
}

pub(crate) fn new_error() -> dropblock_error {
    dropblock_error { status: 0, argument: 0, needed: [0; 2], given: [0; 2], value: 0.0 }
}

impl Case {
    pub(crate) fn memory(&self) -> Memory {
        let mut words = vec![0xa5a5_u64; size_of::<dropblock_plan>() / 8].into_boxed_slice();
        let (mut plan, mut error) = (core::ptr::null_mut(), new_error());
        // SAFETY: all pointers are those of values here, and the size is the buffer's.
        let status = unsafe {
            dropblock_plan_init(
                words.as_mut_ptr().cast(),
                words.len() * 8,
                &raw const self.options,
                &raw const self.shape,
                &raw mut plan,
                &raw mut error,
            )
        };
        assert_eq!(status, DROPBLOCK_OK, "{error:?}");
        Memory { _words: words, plan }
    }

    pub(crate) fn plan(&self) -> Plan {
        self.rust.layer.plan(self.rust.shape).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The tensor that is read (0) or written (1), in the buffer at `data`. Its strides are in `self`.
    pub(crate) fn tensor(
        &self,
        which: usize,
        r#type: dropblock_type,
        data: *const c_void,
    ) -> dropblock_tensor {
        let place = [&self.rust.input, &self.rust.output][which].as_ref();
        dropblock_tensor {
            r#type,
            reserved: 0,
            data: data.cast_mut(),
            len: self.rust.lens()[which],
            first: place.map_or(0, |place| place.first),
            strides: place.map_or(null(), |place| place.strides.as_ptr()),
        }
    }
}

/// What the library takes for these options. The order of the choices is the header's, written down once
/// more.
pub(crate) fn options_in_c(options: &Options, backend: Option<Backend>) -> dropblock_options {
    let scales = [
        Scale::PerTensor,
        Scale::PerSample,
        Scale::PerMap,
        Scale::PerPosition,
        Scale::Fixed,
        Scale::Off,
    ];
    let sharings = [Sharing::None, Sharing::OverChannels, Sharing::OverSamples, Sharing::OverAll];
    dropblock_options {
        size: size_of::<dropblock_options>() as u32,
        preset: options.preset as u32,
        mode: u32::from(!options.training),
        region: number(&[Region::Valid, Region::Full], options.region),
        alignment: number(&[Alignment::Before, Alignment::After], options.alignment),
        sharing: number(&sharings, options.sharing),
        scale: number(&scales, options.scale),
        fill: number(&[Fill::Zero, Fill::Noise], options.fill),
        backend: number(&[Backend::Scalar, Backend::Simd], backend),
        reserved: 0,
        drop_prob: options.drop_prob,
        gamma: gamma_in_c(options.gamma),
        block: block_in_c(options.block),
    }
}

/// The number of a choice, where 0 is none.
fn number<T: PartialEq>(choices: &[T], choice: Option<T>) -> u32 {
    let at = |choice: T| choices.iter().position(|other| *other == choice);
    choice.map_or(0, |choice| at(choice).map_or(u32::MAX, |at| at as u32 + 1))
}

/// A factor of 1 need not be said.
fn gamma_in_c(gamma: Option<Gamma>) -> dropblock_gamma {
    let (kind, value) = match gamma {
        None => (0, None),
        Some(Gamma::Paper { scale }) => (1, Some(scale).filter(|&scale| scale != 1.0)),
        Some(Gamma::PaperValid { scale }) => (2, Some(scale).filter(|&scale| scale != 1.0)),
        Some(Gamma::Exact) => (3, None),
        Some(Gamma::Raw(gamma)) => (4, Some(gamma)),
    };
    dropblock_gamma { kind, has_value: value.is_some().into(), value: value.unwrap_or(0.0) }
}

/// Fields of other kinds have values that nobody reads.
fn block_in_c(block: Block) -> dropblock_block {
    let mut all = dropblock_block {
        kind: 0,
        reserved: 0,
        fraction: 0.7,
        uniform: 9,
        depth: 8,
        height: 7,
        width: 6,
    };
    match block {
        Block::Uniform(size) => (all.kind, all.uniform) = (0, size),
        Block::Hw(h, w) => (all.kind, all.height, all.width) = (1, h, w),
        Block::Dhw(d, h, w) => (all.kind, all.depth, all.height, all.width) = (2, d, h, w),
        Block::Relative(fraction) => (all.kind, all.fraction) = (3, fraction),
    }
    all
}

pub(crate) fn shape_in_c(shape: &Shape) -> dropblock_shape {
    let [depth, height, width] = shape.map().size();
    dropblock_shape {
        rank: shape.map().rank().into(),
        layout: u32::from(shape.layout() == Layout::ChannelsLast),
        samples: shape.samples(),
        channels: shape.channels(),
        depth,
        height,
        width,
    }
}

fn key_in_c(key: Key) -> dropblock_key {
    let Key { seed, step, layer, first_sample } = key;
    dropblock_key { seed, step, layer, first_sample }
}

/// A type of elements: its number, values made of positions, and bits to compare.
pub(crate) trait Type: Element {
    const NUMBER: dropblock_type;
    fn of(value: f32) -> Self;
    fn bits(self) -> u64;
}

macro_rules! types {
    ($($type:ty, $number:ident, $of:expr;)*) => {$(
        impl Type for $type {
            const NUMBER: dropblock_type = $number;
            fn of(value: f32) -> Self { $of(value) }
            fn bits(self) -> u64 { self.to_bits().into() }
        }
    )*};
}

types! {
    f32, DROPBLOCK_TYPE_F32, |value| value;
    f64, DROPBLOCK_TYPE_F64, f64::from;
}

#[cfg(feature = "half")]
types! {
    engine::half::f16, DROPBLOCK_TYPE_F16, Self::from_f32;
    engine::half::bf16, DROPBLOCK_TYPE_BF16, Self::from_f32;
}

pub(crate) fn tensor<T: Type>(len: usize) -> Vec<T> {
    (0..len)
        .map(|i| T::of(if i % 31 == 7 { f32::INFINITY } else { (i % 257) as f32 - 128.0 }))
        .collect()
}

pub(crate) fn bits<T: Type>(x: &[T]) -> Vec<u64> {
    x.iter().map(|x| x.bits()).collect()
}

/// Backends that every machine has, or none.
pub(crate) fn backends() -> impl Strategy<Value = Option<Backend>> {
    prop::sample::select(vec![None, Some(Backend::Scalar), Some(Backend::Simd)])
}

/// Cases with their options, which can be changed.
pub(crate) fn cases_to_change() -> impl Strategy<Value = (Options, dropblock_cases::Case)> {
    cases_with_options(MOST)
}

pub(crate) fn cases() -> impl Strategy<Value = Case> {
    (cases_to_change(), backends()).prop_map(|((options, mut rust), backend)| {
        if let Some(backend) = backend {
            let layer = rust.layer.with_backend(backend);
            rust.layer = layer.unwrap_or_else(|error| panic!("{error}"));
        }
        Case {
            rust,
            options: options_in_c(&options, backend),
            shape: shape_in_c(&rust.shape),
            key: key_in_c(rust.key),
        }
    })
}
