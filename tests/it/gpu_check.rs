//! Compares every operation of a layer on a CUDA device with the oracle, for any launch.
//!
//! Elements are compared by their bits, NaN as NaN; buffers have canaries at both ends.

use std::ops::Range;
use std::sync::OnceLock;

use dropblock::cuda::bytemuck::{self, Pod};
use dropblock::cuda::{Buffer, Device, Error, Layer, Slice, SliceMut, Stream};
use dropblock::half::{bf16, f16};
use dropblock::{Element, Plan, Scale};
use proptest::prelude::*;

use crate::case::{Case, count, draw, pack, tensor};

/// Elements before and after every buffer.
const PADDING: usize = 64;

/// How the kernels are launched; no result depends on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Launch {
    pub(crate) lanes: Option<u32>,
    pub(crate) tile: Option<usize>,
    /// Elements by which buffers begin past a multiple of 16 bytes.
    pub(crate) offset: usize,
}

impl Launch {
    /// With so many lanes and units.
    pub(crate) const fn new(lanes: u32, tile: usize) -> Self {
        Self { lanes: Some(lanes), tile: Some(tile), offset: 0 }
    }

    pub(crate) fn layer(self, plan: &Plan, stream: &Stream) -> Result<Layer, Error> {
        let mut layer = Layer::new(plan, stream)?;
        if let Some(tile) = self.tile {
            layer = layer.with_tile(tile)?;
        }
        match self.lanes {
            Some(lanes) => layer.with_lanes(lanes),
            None => Ok(layer),
        }
    }
}

pub(crate) fn launches() -> impl Strategy<Value = Launch> {
    let lanes = prop_oneof![
        2 => Just(None),
        2 => prop::sample::select(vec![1_u32, 2, 3, 5, 9, 13, 32]).prop_map(Some),
        1 => (1..33_u32).prop_map(Some),
    ];
    let tile = prop_oneof![
        2 => Just(None),
        2 => (1..20_usize).prop_map(|words| Some(words * 64)),
        1 => prop_oneof![Just(Some(4096)), Just(Some(32_768)), Just(Some(65_536))],
    ];
    let offset = prop_oneof![3 => Just(0), 1 => 1..4_usize];
    (lanes, tile, offset).prop_map(|(lanes, tile, offset)| Launch { lanes, tile, offset })
}

/// The types of elements.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Type {
    F32,
    F64,
    F16,
    Bf16,
}

pub(crate) fn types() -> impl Strategy<Value = Type> {
    prop_oneof![3 => Just(Type::F32), 1 => Just(Type::F64), 1 => Just(Type::F16),
        1 => Just(Type::Bf16)]
}

/// Cases that an interpreter of the kernels can do in reasonable time.
pub(crate) fn small_cases() -> impl Strategy<Value = Case> {
    dropblock_cases::cases(30_000)
}

/// The case as a device can have it: inputs and outputs lie alike, and no axis goes backwards.
fn on_device(case: &Case) -> Case {
    let place = case.output.filter(|place| place.strides.iter().all(|&stride| stride >= 0));
    let strides = place.map(|place| place.strides);
    Case { input: None, output: None, ..*case }.with_strides(strides)
}

/// One element type of the tests.
pub(crate) trait Value: Element + Pod {
    fn new(value: f32) -> Self;
    /// The bits, those of one NaN for all NaNs.
    fn bits(self) -> u64;
}

macro_rules! value {
    ($type:ident, $new:expr) => {
        impl Value for $type {
            fn new(value: f32) -> Self {
                $new(value)
            }

            fn bits(self) -> u64 {
                if self.is_nan() { Self::NAN.to_bits().into() } else { self.to_bits().into() }
            }
        }
    };
}

value!(f32, |value| value);
value!(f64, f64::from);
value!(f16, f16::from_f32);
value!(bf16, bf16::from_f32);

pub(crate) fn bits<T: Value>(x: &[T]) -> Vec<u64> {
    x.iter().map(|x| x.bits()).collect()
}

/// The device of all tests of this file, or `None` if there is none and none is required.
pub(crate) fn device() -> Option<&'static Device> {
    static DEVICE: OnceLock<Option<Device>> = OnceLock::new();
    DEVICE.get_or_init(crate::cuda::device).as_ref()
}

/// A buffer of the device amid canaries.
pub(crate) struct Guarded<T> {
    buffer: Buffer<T>,
    start: usize,
    len: usize,
}

/// Any bits that a result is unlikely to have.
fn canary<T: Pod>() -> T {
    let mut value = T::zeroed();
    bytemuck::bytes_of_mut(&mut value).fill(0xc5);
    value
}

impl<T: Pod + PartialEq> Guarded<T> {
    pub(crate) fn new(device: &Device, data: &[T]) -> Result<Self, Error> {
        Self::at(0, device, data)
    }

    /// The first element lies so many elements past a multiple of 16 bytes.
    pub(crate) fn at(offset: usize, device: &Device, data: &[T]) -> Result<Self, Error> {
        let (start, len) = (PADDING + offset, data.len());
        let mut all = vec![canary(); start + len + PADDING];
        all[start..start + len].copy_from_slice(data);
        Ok(Self { buffer: device.upload(&all)?, start, len })
    }

    pub(crate) fn inside(&self) -> Range<usize> {
        self.start..self.start + self.len
    }

    pub(crate) fn slice(&self) -> Slice<'_, T> {
        self.buffer.slice().get(self.inside()).unwrap_or_else(|| unreachable!("it is inside"))
    }

    pub(crate) fn slice_mut(&mut self) -> SliceMut<'_, T> {
        let inside = self.inside();
        self.buffer.slice_mut().get(inside).unwrap_or_else(|| unreachable!("it is inside"))
    }

    pub(crate) fn read(&self, stream: &Stream) -> Result<Vec<T>, Error> {
        let mut all = vec![T::zeroed(); self.buffer.len()];
        stream.download(self.buffer.slice(), &mut all)?;
        let inside = self.inside();
        let outside = all[..inside.start].iter().chain(&all[inside.end..]);
        let canary: T = canary();
        let alive = outside
            .into_iter()
            .all(|value| bytemuck::bytes_of(value) == bytemuck::bytes_of(&canary));
        assert!(alive, "a canary is dead");
        Ok(all[inside].to_vec())
    }
}

/// What a test needs of a case.
struct Run<'c> {
    case: &'c Case,
    offset: usize,
    device: &'c Device,
    stream: Stream,
    plan: Plan,
    layer: Layer,
    /// The oracle's mask, in bits and words, and its counts by group.
    mask: Vec<bool>,
    words: Vec<u64>,
    counts: Vec<u64>,
}

/// Every operation against the oracle.
pub(crate) fn check(case: &Case, launch: Launch, of: Type) -> Result<(), Error> {
    let Some(device) = device() else { return Ok(()) };
    let case = &on_device(case);
    let stream = device.stream()?;
    let plan = case.plan(dropblock::Backend::Scalar);
    let mut layer = launch.layer(&plan, &stream)?;
    if let Some(place) = case.output {
        layer = layer.with_strides(place.strides.map(isize::unsigned_abs))?;
    }
    let mask = case.expected_mask();
    let words = pack(&mask);
    let groups = plan.mask_from(&words)?;
    let groups = (0..plan.groups()).map(|group| groups.count_group(group).map(|d| d.dropped));
    let counts = groups.collect::<Result<_, _>>()?;
    let mut run =
        Run { case, offset: launch.offset, device, stream, plan, layer, mask, words, counts };
    run.check_masks()?;
    match of {
        Type::F32 => {
            run.check_passes::<f32>()?;
            run.check_drops([7_u32, !0])
        }
        Type::F64 => {
            run.check_passes::<f64>()?;
            run.check_drops([-0.0_f64, 2.5])
        }
        Type::F16 => {
            run.check_passes::<f16>()?;
            run.check_drops([-4_i16, 99])
        }
        Type::Bf16 => {
            run.check_passes::<bf16>()?;
            run.check_drops([3_u8, 250])
        }
    }
}

impl Run<'_> {
    fn dirty_counts(&self) -> Result<Guarded<u64>, Error> {
        Guarded::new(self.device, &vec![!0; self.counts.len()])
    }

    fn check_counts(&self, name: &str, counts: &Guarded<u64>) -> Result<(), Error> {
        assert_eq!(counts.read(&self.stream)?, self.counts, "{name} counts of {:?}", self.case);
        let total = self.layer.drop_count(counts.slice())?;
        assert_eq!(total, count(&self.mask), "{:?}", self.case);
        Ok(())
    }

    fn check_words(&self, name: &str, words: &[u64]) {
        let bit = |i: usize| words[i / 64] >> (i % 64) & 1 == 1;
        let picture = || {
            let units: Vec<bool> = (0..self.plan.units()).map(bit).collect();
            draw(&units, self.case.shape.map())
        };
        assert!(
            words == self.words,
            "{name} of {:?}\n{}\nexpected\n{}",
            self.case,
            picture(),
            draw(&self.mask, self.case.shape.map())
        );
    }

    fn check_masks(&self) -> Result<(), Error> {
        let key = self.case.key;
        let dirty = vec![!0; self.plan.mask_words()];
        let mut mask = Guarded::at(self.offset, self.device, &dirty)?;
        let mut counts = self.dirty_counts()?;
        self.layer.pass().draw(key, mask.slice_mut(), Some(counts.slice_mut()))?;
        self.check_words("mask", &mask.read(&self.stream)?);
        self.check_counts("mask", &counts)?;

        let mut counts = self.dirty_counts()?;
        self.layer.pass().count(mask.slice(), counts.slice_mut())?;
        self.check_counts("count", &counts)?;

        let mut mask = Guarded::at(self.offset, self.device, &dirty)?;
        self.layer.pass().draw(key, mask.slice_mut(), None)?;
        self.check_words("mask without counts", &mask.read(&self.stream)?);

        let mut centers = Guarded::at(self.offset, self.device, &dirty)?;
        self.layer.pass().draw_centers(key, centers.slice_mut())?;
        let mut expected = dirty.clone();
        self.plan.draw_centers(key, &mut expected)?;
        assert_eq!(centers.read(&self.stream)?, expected, "centres of {:?}", self.case);

        let mut mask = Guarded::at(self.offset, self.device, &dirty)?;
        self.layer.pass().dilate(centers.slice(), mask.slice_mut())?;
        self.check_words("dilated centres", &mask.read(&self.stream)?);
        Ok(())
    }

    /// Passes and stages on one type.
    fn check_passes<T: Value>(&mut self) -> Result<(), Error> {
        let (case, key) = (self.case, self.case.key);
        let x: Vec<T> = tensor(self.layer.extent()).into_iter().map(T::new).collect();
        let dirty = vec![canary::<T>(); x.len()];
        let new = bits(&case.expected_out((&self.mask, false), &x, &dirty));
        let in_place = bits(&case.expected_in_place((&self.mask, false), &x));
        let forward_new = bits(&case.expected_out((&self.mask, true), &x, &dirty));
        let forward_in_place = bits(&case.expected_in_place((&self.mask, true), &x));
        let stream = self.stream.clone();
        let same = |name: &str, y: &Guarded<T>, expected: &[u64]| -> Result<(), Error> {
            let y = bits(&y.read(&stream)?);
            let wrong = y.iter().zip(expected).position(|(a, b)| a != b);
            assert_eq!(wrong, None, "{name} of {} in {case:?}", std::any::type_name::<T>());
            Ok(())
        };
        let source = Guarded::at(self.offset, self.device, &x)?;
        let words = Guarded::at(self.offset, self.device, &self.words)?;

        let mut counts = self.dirty_counts()?;
        let mut y = Guarded::at(self.offset, self.device, &dirty)?;
        self.layer.pass().forward(key, source.slice(), y.slice_mut(), Some(counts.slice_mut()))?;
        same("forward", &y, &forward_new)?;
        self.check_counts("forward", &counts)?;
        let mut y = Guarded::at(self.offset, self.device, &dirty)?;
        self.layer.pass().forward(key, source.slice(), y.slice_mut(), None)?;
        same("forward without counts", &y, &forward_new)?;
        let mut y = Guarded::at(self.offset, self.device, &x)?;
        self.layer.pass().forward_in_place(key, y.slice_mut(), None)?;
        same("forward in place", &y, &forward_in_place)?;

        let counts = Some(counts.slice());
        let mut y = Guarded::at(self.offset, self.device, &dirty)?;
        self.layer.pass().backward(key, counts, source.slice(), y.slice_mut())?;
        same("backward", &y, &new)?;
        let mut y = Guarded::at(self.offset, self.device, &x)?;
        self.layer.pass().backward_in_place(key, counts, y.slice_mut())?;
        same("backward in place", &y, &in_place)?;
        let mut y = Guarded::at(self.offset, self.device, &dirty)?;
        self.layer.pass().apply(words.slice(), counts, source.slice(), y.slice_mut())?;
        same("apply", &y, &new)?;
        let mut y = Guarded::at(self.offset, self.device, &x)?;
        self.layer.pass().apply_in_place(words.slice(), counts, y.slice_mut())?;
        same("apply in place", &y, &in_place)?;
        if case.is_noisy() {
            self.layer.pass().fill_noise(key, words.slice(), y.slice_mut())?;
            same("apply and noise", &y, &forward_in_place)?;
        }
        Ok(())
    }

    /// Dropping without scaling: one value stands for dropped elements, the other for all.
    fn check_drops<T: Pod + PartialEq + std::fmt::Debug>(
        &mut self,
        [zero, value]: [T; 2],
    ) -> Result<(), Error> {
        let unscaled = Case { layer: self.case.layer.with_scale(Scale::Off), ..*self.case };
        let ones = vec![1.0_f32; self.layer.extent()];
        let kept = unscaled.expected_in_place((&self.mask, false), &ones);
        let expected: Vec<T> = kept.iter().map(|&x| if x == 0.0 { zero } else { value }).collect();
        let x = vec![value; expected.len()];

        let mut counts = self.dirty_counts()?;
        let mut y = Guarded::at(self.offset, self.device, &x)?;
        self.layer.pass().drop_only(
            self.case.key,
            y.slice_mut(),
            zero,
            Some(counts.slice_mut()),
        )?;
        assert_eq!(y.read(&self.stream)?, expected, "drop only of {:?}", self.case);
        self.check_counts("drop only", &counts)?;
        let mut y = Guarded::at(self.offset, self.device, &x)?;
        self.layer.pass().drop_only(self.case.key, y.slice_mut(), zero, None)?;
        assert_eq!(y.read(&self.stream)?, expected, "drop only of {:?}", self.case);
        let words = Guarded::at(self.offset, self.device, &self.words)?;
        let mut y = Guarded::at(self.offset, self.device, &x)?;
        self.layer.pass().fill_dropped(words.slice(), y.slice_mut(), zero)?;
        assert_eq!(y.read(&self.stream)?, expected, "fill of {:?}", self.case);
        Ok(())
    }
}
