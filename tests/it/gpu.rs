//! Tests of the kernels on a CUDA device: those of single operations, and every launch of every operation.

use dropblock::cuda::{self, Device, Error, Layer};
use dropblock::{DropBlock, DropCount, Key, Scale, Shape, Sharing, half};
use dropblock_cases::fixed;
use dropblock_tools::vectors::hash_line;
use proptest::prelude::*;

use crate::case::{Case, pack};
use crate::gpu_check::{Guarded, Launch, Type, Value, bits, check, device, launches};

/// The scale of counts that no mask has, and of every size: the quotient rounds once.
#[test]
fn scales_of_any_count() -> Result<(), Error> {
    let Some(device) = device() else { return Ok(()) };
    let stream = device.stream()?;
    let plan = DropBlock::new(3, 0.1)?.plan(Shape::nchw(1, 1, 61, 67))?;
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

/// Halves of all bit patterns in each kernel that applies masks, as kernels round them by integers. A fixed
/// scale of 1.25 makes many of them ties.
#[test]
fn halves_of_every_value() -> Result<(), Error> {
    fn check<T: Value>(device: &Device, from_bits: fn(u16) -> T) -> Result<(), Error> {
        let (stream, key) = (device.stream()?, Key::new(8));
        // Reversed, so that every place in a vector meets every end of a fraction.
        let x: Vec<T> = (0..=u16::MAX).map(|i| from_bits(i.reverse_bits())).collect();
        let layer = DropBlock::new(3, 0.2)?.with_scale(Scale::Fixed);
        let (first, last) = (Shape::nchw(2, 32, 32, 32), Shape::nhwc(2, 32, 32, 32));
        let shared = layer.with_sharing(Sharing::OverChannels);
        for (layer, shape) in [
            (layer, first),
            (shared, first),
            (layer.with_scale(Scale::PerMap), first),
            (layer, last),
        ] {
            let plan = layer.plan(shape)?;
            let mut expected = vec![T::ZERO; x.len()];
            plan.forward(key, &x, &mut expected)?;
            let (mut y, mut found) = (device.upload(&x)?, x.clone());
            let layer = Layer::new(&plan, &stream)?;
            layer.pass().forward_in_place(key, y.slice_mut(), None)?;
            stream.download(y.slice(), &mut found)?;
            assert!(bits(&found) == bits(&expected), "{plan:?}");
        }
        Ok(())
    }

    let Some(device) = device() else { return Ok(()) };
    check(device, half::f16::from_bits)?;
    check(device, half::bf16::from_bits)
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
    let plan = DropBlock::new(3, 0.3)?.plan(Shape::nchw(2, 5, 19, 23))?;
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
