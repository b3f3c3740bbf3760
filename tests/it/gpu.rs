//! Every operation of a layer on a CUDA device against the oracle, for every launch.
//!
//! Elements are compared by their bits, NaN as NaN; buffers have canaries at both ends.

use std::ops::Range;
use std::sync::OnceLock;

use dropblock::cuda::bytemuck::{self, Pod};
use dropblock::cuda::{self, Buffer, Device, Error, Layer, Slice, SliceMut, Stream};
use dropblock::half::{bf16, f16};
use dropblock::{DropCount, Element, Key, Plan, Scale};
use dropblock_cases::fixed;
use dropblock_tools::vectors::hash_line;
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
trait Value: Element + Pod {
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

fn bits<T: Value>(x: &[T]) -> Vec<u64> {
    x.iter().map(|x| x.bits()).collect()
}

/// The device of all tests of this file, or `None` if there is none and none is required.
fn device() -> Option<&'static Device> {
    static DEVICE: OnceLock<Option<Device>> = OnceLock::new();
    DEVICE.get_or_init(crate::cuda::device).as_ref()
}

/// A buffer of the device amid canaries.
struct Guarded<T> {
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
    fn new(device: &Device, data: &[T]) -> Result<Self, Error> {
        Self::at(0, device, data)
    }

    /// The first element lies so many elements past a multiple of 16 bytes.
    fn at(offset: usize, device: &Device, data: &[T]) -> Result<Self, Error> {
        let (start, len) = (PADDING + offset, data.len());
        let mut all = vec![canary(); start + len + PADDING];
        all[start..start + len].copy_from_slice(data);
        Ok(Self { buffer: device.upload(&all)?, start, len })
    }

    fn inside(&self) -> Range<usize> {
        self.start..self.start + self.len
    }

    fn slice(&self) -> Slice<'_, T> {
        self.buffer.slice().get(self.inside()).unwrap_or_else(|| unreachable!("it is inside"))
    }

    fn slice_mut(&mut self) -> SliceMut<'_, T> {
        let inside = self.inside();
        self.buffer.slice_mut().get(inside).unwrap_or_else(|| unreachable!("it is inside"))
    }

    fn read(&self, stream: &Stream) -> Result<Vec<T>, Error> {
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

/// The scale of counts that no mask has, and of every size: the quotient rounds once.
#[test]
fn scales_of_any_count() -> Result<(), Error> {
    let Some(device) = device() else { return Ok(()) };
    let stream = device.stream()?;
    let shape = dropblock::Shape::nchw(1, 1, 61, 67);
    let plan = dropblock::DropBlock::new(3, 0.1)?.plan(shape)?;
    let layer = Layer::new(&plan, &stream)?;
    let (x, mask) = (vec![1.0_f32; plan.elements()], vec![0; plan.mask_words()]);
    let x64 = vec![1.0_f64; plan.elements()];
    let (mask, mut y) = (device.upload(&mask)?, device.upload(&x)?);
    let mut y64 = device.upload(&x64)?;
    for dropped in (0..plan.units() as u64).step_by(83).chain([4086, 4087, 4088, u64::MAX]) {
        let counts = device.upload(&[dropped])?;
        stream.upload(&x, y.slice_mut())?;
        stream.upload(&x64, y64.slice_mut())?;
        layer.pass().apply_in_place(mask.slice(), Some(counts.slice()), y.slice_mut())?;
        layer.pass().apply_in_place(mask.slice(), Some(counts.slice()), y64.slice_mut())?;
        let (mut found, mut found64) = (x.clone(), x64.clone());
        stream.download(y.slice(), &mut found)?;
        stream.download(y64.slice(), &mut found64)?;
        let count = DropCount { dropped, total: plan.units() as u64 };
        assert_eq!(found[0].to_bits(), plan.scale::<f32>(count).to_bits(), "{count:?}");
        assert_eq!(found64[0].to_bits(), plan.scale::<f64>(count).to_bits(), "{count:?}");
    }
    Ok(())
}

/// Every kind of instruction alone, before all that is made of them.
#[test]
fn self_test() -> Result<(), Error> {
    device().map_or(Ok(()), Device::self_test)
}

/// The masks whose hashes are fixed: devices give them in all versions.
#[test]
fn masks_of_fixed_hashes() -> Result<(), Error> {
    let Some(device) = device() else { return Ok(()) };
    let stream = device.stream()?;
    for (number, line) in crate::vectors::hashes().into_iter().enumerate().step_by(10) {
        let case = fixed::case(number)?;
        let plan = case.layer.plan(case.shape)?;
        let layer = Layer::new(&plan, &stream)?;
        let mut mask = device.upload(&vec![!0_u64; plan.mask_words()])?;
        let mut counts = device.zeros::<u64>(plan.groups())?;
        layer.pass().draw(case.key, mask.slice_mut(), Some(counts.slice_mut()))?;
        let mut words = vec![0; plan.mask_words()];
        stream.download(mask.slice(), &mut words)?;
        let dropped = layer.drop_count(counts.slice())?.dropped;
        assert_eq!(hash_line(number, dropped, &words), line, "{case:?}");
    }
    Ok(())
}

/// Two layers on two streams, used in turn: neither sees the other's mask or counts.
#[test]
fn streams_are_independent() -> Result<(), Error> {
    let Some(device) = device() else { return Ok(()) };
    let plan = dropblock::DropBlock::new(3, 0.3)?.plan(dropblock::Shape::nchw(2, 5, 19, 23))?;
    let streams = [device.stream()?, device.stream()?];
    let layers = [Layer::new(&plan, &streams[0])?, Layer::new(&plan, &streams[1])?];
    let x: Vec<f32> = (0..plan.elements()).map(|i| i as f32).collect();
    let mut buffers = [device.upload(&x)?, device.upload(&x)?];
    for step in 0..4 {
        for (i, layer) in layers.iter().enumerate() {
            let key = Key::new(i as u64).with_step(step);
            layer.pass().forward_in_place(key, buffers[i].slice_mut(), None)?;
        }
    }
    for (i, stream) in streams.iter().enumerate() {
        let (mut expected, mut found) = (x.clone(), x.clone());
        for step in 0..4 {
            plan.forward_in_place(Key::new(i as u64).with_step(step), &mut expected)?;
        }
        stream.download(buffers[i].slice(), &mut found)?;
        assert_eq!(found, expected);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::suite::cases().div_ceil(4)))]

    /// Dilation alone, of bytes and bits.
    #[test]
    fn dilation_equals_that_of_the_processor(
        map in crate::case::maps(),
        block in 1..12_usize,
        maps in 1..4_usize,
        seed in any::<u64>(),
        launch in launches(),
    ) {
        dilation(map, block, maps, seed, launch).unwrap_or_else(|error| panic!("{error}"));
    }
}

fn dilation(
    map: dropblock::Map,
    block: usize,
    maps: usize,
    seed: u64,
    launch: Launch,
) -> Result<(), Error> {
    let Some(device) = device() else { return Ok(()) };
    let stream = device.stream()?;
    let dilation = dropblock::Dilation::new(map, dropblock::BlockSize::uniform(block))?;
    let mut on_device = cuda::Dilation::new(&dilation, maps, &stream)?;
    if let Some(tile) = launch.tile {
        on_device = on_device.with_tile(tile)?;
    }
    let len = dilation.map_len() * maps;
    // Mostly 0, as centres are, or with long runs of others.
    let every = [16, 16, 3, 1][(seed % 4) as usize];
    let mut state = seed | 1;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        state >> 33
    };
    let source: Vec<u8> =
        (0..len).map(|_| if next() % every == 0 { next() as u8 } else { 0 }).collect();
    let mut expected = vec![0; len];
    dilation.dilate(&source, &mut expected)?;
    let (from, mut to) = (Guarded::new(device, &source)?, Guarded::new(device, &vec![9; len])?);
    on_device.dilate(from.slice(), to.slice_mut())?;
    assert_eq!(to.read(&stream)?, expected, "{dilation:?}");

    let bits: Vec<bool> = source.iter().map(|&x| x > if every == 1 { 0 } else { 127 }).collect();
    let mut expected = pack(&bits);
    let (from, mut to) =
        (Guarded::new(device, &expected)?, Guarded::new(device, &vec![!0; expected.len()])?);
    dilation.dilate_bits_in_place(maps, &mut expected)?;
    on_device.dilate_bits(from.slice(), to.slice_mut())?;
    assert_eq!(to.read(&stream)?, expected, "{dilation:?}");
    Ok(())
}

/// Every path of the kernels on purpose: each type and scale on lines, on planes that are many
/// groups of a tile, on padded rows that are whole vectors or not, with channels last, with shared
/// masks; aligned and not; blocks narrower than a tile's vectors, the usual ones and the widest.
#[test]
fn every_path() -> Result<(), Error> {
    paths(1)
}

/// A third of these paths, all by one launch, for kernels with a mistake in them.
#[test]
fn some_paths() -> Result<(), Error> {
    paths(3)
}

/// One of `step` paths.
fn paths(step: usize) -> Result<(), Error> {
    use dropblock::{DropBlock, Fill, Shape, Sharing};
    let padded = Some([3 * 23 * 32, 23 * 32, 23 * 32, 32, 1]);
    let own = Sharing::None;
    let shapes = [
        (Shape::nchw(2, 4, 37, 41), own),
        (Shape::nchw(3, 40, 7, 7), own),
        (Shape::nchw(2, 3, 23, 29), own),
        (Shape::nchw(2, 3, 23, 24), own),
        (Shape::nhwc(2, 19, 21, 12), own),
        (Shape::nhwc(2, 12, 21, 16), Sharing::OverChannels),
        (Shape::nchw(2, 6, 20, 24), Sharing::OverSamples),
        (Shape::ncdhw(2, 3, 5, 11, 13), Sharing::OverAll),
    ];
    let scales =
        [Scale::Fixed, Scale::PerTensor, Scale::PerSample, Scale::PerMap, Scale::PerPosition];
    let launches = [(Some(3), Some(2048), 0), (None, None, 1), (Some(9), Some(65_536), 0)];
    let key = Key::new(5).with_step(3);
    let mut number = 0;
    for of in [Type::F32, Type::F64, Type::F16, Type::Bf16] {
        for scale in scales {
            for (shape, sharing) in shapes {
                // In turn, so that all meet.
                number += 1;
                if number % step > 0 {
                    continue;
                }
                let (lanes, tile, offset) = launches[number % 3];
                let noise = number % 5 == 0;
                let strides = if shape.map().size()[1] == 23 { padded } else { None };
                let layer = DropBlock::new(5, 0.3)?
                    .with_scale(scale)
                    .with_sharing(sharing)
                    .with_fill(if noise { Fill::Noise } else { Fill::Zero });
                let case = Case::new(layer, shape, key).with_strides(strides);
                check(&case, Launch { lanes, tile, offset }, of)?;
            }
        }
    }
    Ok(())
}

/// Kernels with one wrong instruction are caught: a barrier left out, a bound off by one, an
/// address off by one, an OR that is an AND, a sum for a difference. The interpreter makes the
/// mistakes as it loads the module, in another process.
#[test]
fn broken_kernels_are_caught() {
    let Some(device) = device() else { return };
    if !is_interpreter(device) {
        println!("not run: only the interpreter can break a kernel");
        return;
    }
    let list = child(&[("PTX_MUTATE", "list")], &["scales_of_any_count"]);
    let list = String::from_utf8_lossy(&list.stderr).into_owned();
    for (kernel, old, new) in [
        ("generate", "bar.sync", "nothing"),
        ("generate", "atom.shared.or", "atom.shared.and"),
        ("dense", "bar.sync", "nothing"),
        ("groups_bf16", "st.global.v4", "+1"),
        ("apply_f32", "st.global.v4", "+1"),
        ("drop", "bar.sync", "nothing"),
        ("dilate_bits", "add.s64", "sub.s64"),
    ] {
        let mistakes = list.lines().filter_map(|line| Some(line.split_once("mutation ")?.1));
        let of_kind = |line: &&str| {
            line.contains(&format!(": {kernel}, "))
                && line
                    .split_once(" -> ")
                    .is_some_and(|(was, is)| was.contains(old) && is.contains(new))
        };
        // Some change nothing, as where a bound is generous.
        let caught = mistakes.filter(of_kind).take(6).any(|mistake| {
            let number = mistake.split(':').next().unwrap_or_default();
            let tests = ["gpu::some_paths", "gpu_layer::lanes_change_nothing"];
            !child(&[("PTX_MUTATE", number)], &tests).status.success()
        });
        assert!(caught, "{old} -> {new} in {kernel}");
    }
}

pub(crate) fn is_interpreter(device: &Device) -> bool {
    device.name() == "PTX interpreter"
}

/// Runs tests of this binary on the device alone, in an interpreter with these variables.
pub(crate) fn child(variables: &[(&str, &str)], tests: &[&str]) -> std::process::Output {
    let program = std::env::current_exe().unwrap_or_else(|error| panic!("{error}"));
    std::process::Command::new(program)
        .args(["--nocapture", "--skip", "scalar", "--skip", "simd", "--skip", "avx"])
        .args(tests)
        .envs(variables.iter().copied())
        .env("DROPBLOCK_CASES", "24")
        .env("PTX_BUDGET", "100000000")
        .env("DROPBLOCK_REQUIRE_CUDA", "1")
        .env("PROPTEST_MAX_SHRINK_ITERS", "0")
        .env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1")
        .output()
        .unwrap_or_else(|error| panic!("{error}"))
}
