//! Options, shape and key in both languages, made side by side.

use core::ffi::c_void;
use core::ptr::null;

use engine::{
    Alignment, Backend, BlockSize, DropBlock, Element, Error, Fill, Gamma, Key, Layout, Map, Plan,
    Region, Scale, Shape, Sharing, View, ViewMut,
};
use proptest::prelude::*;

use crate::constants::*;
use crate::plan::dropblock_plan_init;
use crate::types::*;

/// The arguments of C, from which Rust's follow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) options: dropblock_options,
    pub(crate) shape: dropblock_shape,
    pub(crate) key: dropblock_key,
    /// How the tensors that are read and written lie: dense, or as views.
    pub(crate) views: [Option<Lie>; 2],
}

/// What a view is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lie {
    /// The axes from the slowest to the fastest, and the elements that are left out behind each.
    order: [usize; 5],
    gaps: [usize; 5],
    flipped: [bool; 5],
    /// An axis along which an input repeats.
    repeated: Option<usize>,
    before: usize,
}

/// Where the units of a tensor lie in its buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement {
    pub(crate) len: usize,
    first: usize,
    strides: Option<[isize; 5]>,
}

impl Placement {
    pub(crate) fn view<'t, T>(&self, data: &'t [T]) -> View<'t, T> {
        self.strides.map_or(View::from(data), |strides| View::new(data, self.first, strides))
    }

    pub(crate) fn view_mut<'t, T>(&self, data: &'t mut [T]) -> ViewMut<'t, T> {
        match self.strides {
            None => ViewMut::from(data),
            Some(strides) => ViewMut::new(data, self.first, strides),
        }
    }

    /// The same for C. It points to the strides here.
    pub(crate) fn tensor(&self, r#type: dropblock_type, data: *const c_void) -> dropblock_tensor {
        dropblock_tensor {
            r#type,
            reserved: 0,
            data: data.cast_mut(),
            len: self.len,
            first: self.first,
            strides: self.strides.as_ref().map_or(null(), |strides| strides.as_ptr()),
        }
    }
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

    /// The crate's plan for the same arguments.
    pub(crate) fn plan(&self) -> Plan {
        self.layer()
            .and_then(|layer| layer.plan(self.rust_shape()))
            .unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The crate's layer. It says once more, and otherwise than the library, what numbers mean.
    pub(crate) fn layer(&self) -> Result<DropBlock, Error> {
        let o = &self.options;
        let presets = [
            DropBlock::new,
            DropBlock::tensorflow,
            DropBlock::timm,
            DropBlock::timm_legacy,
            DropBlock::miguelvr,
            DropBlock::dragon,
        ];
        let b = &o.block;
        let block = [
            BlockSize::uniform(b.uniform),
            BlockSize::hw(b.height, b.width),
            BlockSize::dhw(b.depth, b.height, b.width),
            BlockSize::relative(b.fraction),
        ];
        let mut layer =
            presets[o.preset as usize](1, o.drop_prob)?.with_block_size(block[b.kind as usize])?;
        let scale = if o.gamma.has_value == 1 { o.gamma.value } else { 1.0 };
        let gamma = [
            Gamma::Paper { scale },
            Gamma::PaperValid { scale },
            Gamma::Exact,
            Gamma::Raw(o.gamma.value),
        ];
        if let Some(gamma) = chosen(&gamma, o.gamma.kind) {
            layer = layer.with_gamma(gamma)?;
        }
        if let Some(region) = chosen(&[Region::Valid, Region::Full], o.region) {
            layer = layer.with_region(region);
        }
        if let Some(alignment) = chosen(&[Alignment::Before, Alignment::After], o.alignment) {
            layer = layer.with_alignment(alignment);
        }
        let sharing =
            [Sharing::None, Sharing::OverChannels, Sharing::OverSamples, Sharing::OverAll];
        if let Some(sharing) = chosen(&sharing, o.sharing) {
            layer = layer.with_sharing(sharing);
        }
        let scales = [
            Scale::PerTensor,
            Scale::PerSample,
            Scale::PerMap,
            Scale::PerPosition,
            Scale::Fixed,
            Scale::Off,
        ];
        if let Some(scale) = chosen(&scales, o.scale) {
            layer = layer.with_scale(scale);
        }
        if let Some(fill) = chosen(&[Fill::Zero, Fill::Noise], o.fill) {
            layer = layer.with_fill(fill);
        }
        let backends = [Backend::Scalar, Backend::Simd, Backend::Avx2, Backend::Avx512];
        if let Some(backend) = chosen(&backends, o.backend) {
            layer = layer.with_backend(backend)?;
        }
        Ok(layer.with_training(o.mode == 0))
    }

    pub(crate) fn rust_shape(&self) -> Shape {
        let s = &self.shape;
        let map = match s.rank {
            1 => Map::l(s.width),
            2 => Map::hw(s.height, s.width),
            _ => Map::dhw(s.depth, s.height, s.width),
        };
        let layout = [Layout::ChannelsFirst, Layout::ChannelsLast][s.layout as usize];
        Shape::new(s.samples, s.channels, map, layout)
    }

    /// How the tensor that is read (0) or written (1) lies.
    pub(crate) fn placement(&self, which: usize) -> Placement {
        let s = &self.shape;
        let sizes = [s.samples, s.channels, s.depth, s.height, s.width];
        let Some(lie) = self.views[which] else {
            return Placement { len: sizes.iter().product(), first: 0, strides: None };
        };
        let (mut strides, mut stride, mut first) = ([0; 5], 1, lie.before);
        for (&axis, gap) in lie.order.iter().zip(lie.gaps).rev() {
            strides[axis] = stride as isize;
            if lie.flipped[axis] {
                strides[axis] = -(stride as isize);
                first += sizes[axis].saturating_sub(1) * stride;
            }
            stride *= sizes[axis].max(1) + gap;
        }
        if let (0, Some(axis)) = (which, lie.repeated) {
            strides[axis] = 0;
        }
        Placement { len: lie.before + stride, first, strides: Some(strides) }
    }

    pub(crate) fn rust_key(&self) -> Key {
        let k = &self.key;
        Key::new(k.seed).with_step(k.step).with_layer(k.layer).with_first_sample(k.first_sample)
    }
}

/// The choice of a number where 0 is none.
fn chosen<T: Copy>(choices: &[T], number: u32) -> Option<T> {
    (number > 0).then(|| choices[number as usize - 1])
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

fn blocks(rank: u32) -> impl Strategy<Value = dropblock_block> {
    let kinds = match rank {
        1 => vec![0, 3],
        2 => vec![0, 0, 1, 3],
        _ => vec![0, 0, 2, 3],
    };
    (prop::sample::select(kinds), 0.01..1.2, [1..9_usize, 1..5, 1..8, 1..30]).prop_map(
        |(kind, fraction, [uniform, depth, height, width])| dropblock_block {
            kind,
            reserved: 0,
            fraction,
            uniform,
            depth,
            height,
            width,
        },
    )
}

/// Maps of every rank in both layouts.
fn shapes() -> impl Strategy<Value = dropblock_shape> {
    let map = prop_oneof![
        2 => (1..300_usize).prop_map(|w| (1, [1, 1, w])),
        6 => (1..24_usize, 1..70_usize).prop_map(|(h, w)| (2, [1, h, w])),
        3 => (1..5_usize, 1..8_usize, 1..20_usize).prop_map(|(d, h, w)| (3, [d, h, w])),
        1 => Just((2, [1, 3, 0])),
        1 => Just((2, [1, 130, 140])),
    ];
    let planes = prop_oneof![9 => (1..4_usize, 1..6_usize), 1 => Just((0, 2)), 1 => Just((2, 66))];
    (map, planes, 0..2_u32).prop_map(
        |((rank, [depth, height, width]), (samples, channels), layout)| dropblock_shape {
            rank,
            layout,
            samples,
            channels,
            depth,
            height,
            width,
        },
    )
}

/// Dense tensors, and views with every order of axes, gaps, flipped and repeated axes.
fn lies() -> impl Strategy<Value = Option<Lie>> {
    let order = prop::sample::select(vec![
        [0, 1, 2, 3, 4],
        [0, 2, 3, 4, 1],
        [1, 0, 2, 3, 4],
        [4, 1, 0, 3, 2],
    ]);
    let gaps = prop::array::uniform5(prop::sample::select(vec![0, 0, 0, 1, 3_usize]));
    let flipped = prop::array::uniform5(prop::bool::weighted(0.2));
    let repeated = prop_oneof![4 => Just(None), 1 => (0..5_usize).prop_map(Some)];
    let view = (order, gaps, flipped, repeated, 0..3_usize).prop_map(
        |(order, gaps, flipped, repeated, before)| {
            Some(Lie { order, gaps, flipped, repeated, before })
        },
    );
    prop_oneof![Just(None), view]
}

/// A gamma that has a value where it needs one, and none where it takes none.
pub(crate) fn gamma_of(kind: u32, has_value: u32, value: f64) -> dropblock_gamma {
    let has_value = match kind {
        DROPBLOCK_GAMMA_DEFAULT | DROPBLOCK_GAMMA_EXACT => 0,
        DROPBLOCK_GAMMA_RAW => 1,
        _ => has_value,
    };
    dropblock_gamma { kind, has_value, value: if has_value == 1 { value } else { 0.0 } }
}

prop_compose! {
    pub(crate) fn cases()(shape in shapes())(
        shape in Just(shape),
        block in blocks(shape.rank),
        (preset, gamma, value) in (0..6_u32, 0..5_u32, 0.0..=1.0_f64),
        mode in prop_oneof![9 => Just(0_u32), 1 => Just(1)],
        numbers in (0..3_u32, 0..3_u32, 0..5_u32, 0..7_u32, 0..3_u32, 0..3_u32),
        drop_prob in prop_oneof![0.0..=1.0_f64, Just(0.1), Just(0.0), Just(1.0)],
        (seed, step, layer) in (any::<u64>(), any::<u64>(), 0..5_u64),
        first_sample in prop_oneof![Just(0), 1..50_u64],
        views in [lies(), lies()],
        has_value in 0..2_u32,
    ) -> Case {
        let (region, alignment, sharing, scale, fill, backend) = numbers;
        let options = dropblock_options {
            size: size_of::<dropblock_options>() as u32,
            preset,
            mode,
            region,
            alignment,
            sharing,
            scale,
            fill,
            backend,
            reserved: 0,
            drop_prob,
            gamma: gamma_of(gamma, has_value, value),
            block,
        };
        Case { options, shape, key: dropblock_key { seed, step, layer, first_sample }, views }
    }
}
