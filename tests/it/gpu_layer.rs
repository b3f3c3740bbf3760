//! What a layer on a device can do beside its passes: streams and workspaces of others, plans of a
//! schedule, steps in device memory; and what the kernels' cuts must not change.

use dropblock::cuda::{Buffer, Device, Error, Layer, Stream};
use dropblock::{
    BlockSize, DropBlock, DropCount, Element, Fill, Gamma, Key, Plan, Region, Scale, Shape, Sharing,
};

use crate::cuda::device;
use crate::gpu::{child, is_interpreter};
use crate::gpu_check::Launch;

fn input(plan: &Plan) -> Vec<f32> {
    (0..plan.elements()).map(|i| i as f32 * 0.37 - 99.0).collect()
}

fn download<T: dropblock::cuda::bytemuck::Pod>(
    stream: &Stream,
    buffer: &Buffer<T>,
) -> Result<Vec<T>, Error> {
    let mut host = vec![T::zeroed(); buffer.len()];
    stream.download(buffer.slice(), &mut host)?;
    Ok(host)
}

/// The passes of a plan on the processor.
fn forward(plan: &Plan, key: Key) -> Result<Vec<f32>, Error> {
    let mut x = input(plan);
    plan.forward_in_place(key, &mut x)?;
    Ok(x)
}

fn kinds() -> Result<[DropBlock; 6], Error> {
    let paper = DropBlock::new(3, 0.2)?;
    Ok([
        paper,
        paper.with_scale(Scale::PerSample),
        paper.with_scale(Scale::PerPosition),
        paper.with_scale(Scale::Fixed).with_fill(Fill::Noise),
        paper.with_sharing(Sharing::OverChannels),
        DropBlock::new(1, 0.4)?,
    ])
}

/// Tensors without elements are not touched: they may have samples and positions, and memory behind them.
#[test]
fn tensors_without_elements() -> Result<(), Error> {
    let Some(device) = device() else { return Ok(()) };
    let stream = device.stream()?;
    for shape in [[3, 0, 16, 17], [0, 8, 16, 17], [3, 8, 0, 17]] {
        let [n, c, h, w] = shape;
        for shape in [Shape::nchw(n, c, h, w), Shape::nhwc(n, h, w, c)] {
            // Scales that are fixed are not 1 where nothing is dropped.
            let fixed = DropBlock::new(3, 0.2)?.with_scale(Scale::Fixed);
            for layer in kinds()?.into_iter().chain([fixed]) {
                let plan = layer.plan(shape)?;
                let on_device = Layer::new(&plan, &stream)?;
                let mut x = device.upload::<f32>(&[])?;
                on_device.pass().forward_in_place(Key::new(1), x.slice_mut(), None)?;
                assert!(download(&stream, &x)?.is_empty());
            }
        }
    }
    Ok(())
}

/// The plans of a schedule, one after another, without a wait between them.
#[test]
fn plans_of_a_schedule() -> Result<(), Error> {
    let Some(device) = device() else { return Ok(()) };
    let stream = device.stream()?;
    for layer in kinds()? {
        let shape = Shape::nchw(2, 3, 37, 41);
        let plans = [0.2, 0.05, 0.5, 0.3]
            .map(|p| layer.with_drop_prob(p).and_then(|layer| layer.plan(shape)));
        let mut on_device = Layer::new(&plans[0]?, &stream)?;
        let mut found = vec![];
        for (step, plan) in plans.into_iter().enumerate() {
            let plan = plan?;
            on_device.set_plan(&plan, &stream)?;
            assert_eq!(on_device.plan(), &plan);
            let mut x = device.upload(&input(&plan))?;
            let key = Key::new(6).with_step(step as u64);
            on_device.pass().forward_in_place(key, x.slice_mut(), None)?;
            found.push((x, forward(&plan, key)?));
        }
        for (x, expected) in found {
            assert_eq!(download(&stream, &x)?, expected, "{layer:?}");
        }
        let others = [
            layer.plan(Shape::nchw(2, 3, 37, 42))?,
            layer.plan(Shape::nhwc(2, 37, 41, 3))?,
            layer.with_sharing(Sharing::OverAll).plan(shape)?,
            layer.with_scale(Scale::PerMap).plan(shape)?,
            layer.with_scale(Scale::PerTensor).with_training(false).plan(shape)?,
        ];
        for (i, plan) in others.iter().enumerate() {
            let refused = on_device.set_plan(plan, &stream);
            // Without training only the rule of the scale differs, where it was another one.
            if i < 4 || layer.scale() != Scale::PerTensor {
                assert_eq!(refused, Err(Error::OtherPlan), "{i} {layer:?}");
            }
        }
    }
    Ok(())
}

/// One layer, two threads with a stream and a workspace each.
#[test]
fn a_layer_is_shared() -> Result<(), Error> {
    let Some(device) = device() else { return Ok(()) };
    for layer in kinds()? {
        let plan = layer.plan(Shape::nchw(3, 4, 19, 23))?;
        let shared = Layer::new(&plan, &device.stream()?)?;
        std::thread::scope(|scope| {
            let threads = [1, 2].map(|seed| {
                let (device, plan, shared) = (&device, &plan, &shared);
                scope.spawn(move || passes_elsewhere(device, plan, shared, seed))
            });
            for thread in threads {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            }
            Ok::<_, Error>(())
        })?;
    }
    Ok(())
}

/// Several passes on a stream of their own. Afterwards the workspace is as it was found, but for the mask
/// and what is written before it is read.
fn passes_elsewhere(device: &Device, plan: &Plan, layer: &Layer, seed: u64) -> Result<(), Error> {
    let stream = device.stream()?;
    let mut workspace = device.zeros::<u64>(layer.workspace_words())?;
    let mut counts = device.zeros::<u64>(plan.groups())?;
    let words = plan.mask_words();
    let mut mask = device.zeros::<u64>(words)?;
    for step in 0..3 {
        let key = Key::new(seed).with_step(step);
        let (mut x, mut y) = (device.upload(&input(plan))?, device.upload(&input(plan))?);
        let pass = layer.on(&stream, workspace.slice_mut())?;
        pass.forward_in_place(key, x.slice_mut(), Some(counts.slice_mut()))?;
        pass.backward_in_place(key, Some(counts.slice()), y.slice_mut())?;
        pass.draw(key, mask.slice_mut(), Some(counts.slice_mut()))?;
        pass.forward_in_place(key, y.slice_mut(), None)?;
        assert_eq!(download(&stream, &x)?, forward(plan, key)?);
        let mut expected = vec![0; words];
        let count = plan.draw(key, &mut expected)?.count();
        assert_eq!(download(&stream, &mask)?, expected);
        assert_eq!(layer.drop_count(counts.slice())?, count);
        let found = download(&stream, &workspace)?;
        assert_eq!(found[0], 0, "the state of {plan:?}");
        if plan.groups() > 1 {
            assert_eq!(found[4..4 + plan.groups()], vec![0; plan.groups()]);
        }
    }
    let mut short = device.zeros::<u64>(layer.workspace_words() - 1)?;
    assert!(layer.on(&stream, short.slice_mut()).is_err());
    Ok(())
}

/// Steps that the device reads when the work runs, as replays of a graph do: all calls are enqueued
/// alike, and only the word changes.
#[test]
fn steps_in_device_memory() -> Result<(), Error> {
    let Some(device) = device() else { return Ok(()) };
    let stream = device.stream()?;
    for layer in kinds()? {
        let plan = layer.plan(Shape::nchw(2, 3, 37, 41))?;
        let layer = Layer::new(&plan, &stream)?;
        let steps = device.upload(&[0_u64, 1, 17, u64::MAX, 1 << 40])?;
        let mut step = device.upload(&[99_u64])?;
        let key = Key::new(5).with_layer(8).with_step(1234);
        let mut found = vec![];
        for at in 0..steps.len() {
            let mut counts = device.zeros::<u64>(plan.groups())?;
            let (mut x, mut dy) = (device.upload(&input(&plan))?, device.upload(&input(&plan))?);
            let next = steps.slice().get(at..at + 1);
            stream.copy(next.unwrap_or_else(|| unreachable!("it is inside")), step.slice_mut())?;
            let pass = layer.pass().with_step(step.slice())?;
            pass.forward_in_place(key, x.slice_mut(), Some(counts.slice_mut()))?;
            pass.backward_in_place(key, Some(counts.slice()), dy.slice_mut())?;
            found.push((x, dy));
        }
        for ((x, dy), step) in found.into_iter().zip(download(&stream, &steps)?) {
            let key = key.with_step(step);
            assert_eq!(download(&stream, &x)?, forward(&plan, key)?, "step {step}");
            let mut expected = input(&plan);
            plan.backward_in_place(key, &mut expected)?;
            assert_eq!(download(&stream, &dy)?, expected, "step {step}");
        }
        let two = device.zeros::<u64>(2)?;
        assert!(layer.pass().with_step(two.slice()).is_err());
    }
    Ok(())
}

/// Shards with the sum of their counts have the outputs of the whole batch, forward and backward, and
/// write their own counts.
#[test]
fn counts_of_a_whole_batch() -> Result<(), Error> {
    let Some(device) = device() else { return Ok(()) };
    let stream = device.stream()?;
    let [n, rest @ ..] = [5_usize, 3, 37, 41];
    let units: usize = rest.iter().product();
    for layer in kinds()? {
        let whole = layer.plan(Shape::nchw(n, rest[0], rest[1], rest[2]))?;
        let key = Key::new(5).with_layer(8);
        let Some(sum) = whole.count(key)?.count() else { unreachable!("it has been counted") };
        let expected = forward(&whole, key)?;
        let mut expected_dy = input(&whole);
        whole.backward_in_place(key, &mut expected_dy)?;
        for (first, samples) in [(0, 2), (2, 3)] {
            let plan = whole.with_samples(samples)?;
            let key = key.with_first_sample(first as u64);
            let part = first * units..(first + samples) * units;
            let x = &input(&whole)[part.clone()];
            let (mut y, mut dy) = (device.upload(x)?, device.upload(x)?);
            let mut counts = device.upload(&vec![!0_u64; plan.groups()])?;
            let layer = Layer::new(&plan, &stream)?;
            let pass = layer.pass().with_count(sum);
            if plan.layer().scale() == Scale::PerSample {
                let needed = plan.units() as u64;
                let refused = dropblock::Error::Scale { needed, given: sum.total };
                assert_eq!(pass.err(), Some(Error::Plan(refused)));
                continue;
            }
            let pass = pass?;
            pass.forward_in_place(key, y.slice_mut(), Some(counts.slice_mut()))?;
            pass.backward_in_place(key, None, dy.slice_mut())?;
            assert_eq!(download(&stream, &y)?, expected[part.clone()], "{:?}", plan.layer());
            assert_eq!(download(&stream, &dy)?, expected_dy[part], "{:?}", plan.layer());
            assert_eq!(Some(layer.drop_count(counts.slice())?), plan.count(key)?.count());
            for wrong in [
                DropCount { dropped: sum.total + 1, total: sum.total },
                DropCount { dropped: 0, total: plan.units() as u64 - 1 },
            ] {
                assert!(layer.pass().with_count(wrong).is_err(), "{wrong:?}");
            }
        }
    }
    Ok(())
}

/// Compares the mask, its counts and its last words with those of the processor. It begins at a multiple
/// of 8 bytes and no better, amid words that must stay.
fn check_mask(plan: &Plan, key: Key, launch: Launch) -> Result<(), Error> {
    let Some(device) = device() else { return Ok(()) };
    let stream = device.stream()?;
    let layer = launch.layer(plan, &stream)?;
    let words = plan.mask_words();
    let mut expected = vec![!0; words + 4];
    let inside = 3..3 + words;
    let count = plan.draw(key, &mut expected[inside.clone()])?.count();
    let mut mask = device.upload(&vec![!0_u64; words + 4])?;
    let mut counts = device.upload(&vec![!0_u64; plan.groups()])?;
    let part = mask.slice_mut().get(inside).unwrap_or_else(|| unreachable!("it is inside"));
    layer.pass().draw(key, part, Some(counts.slice_mut()))?;
    assert!(download(&stream, &mask)? == expected, "{launch:?} {key:?} {plan:?}");
    assert_eq!(layer.drop_count(counts.slice())?, count, "{launch:?} {key:?} {plan:?}");
    Ok(())
}

fn raw(block: usize, gamma: f64, shape: Shape) -> Result<Plan, dropblock::Error> {
    DropBlock::new(1, 0.5)?
        .with_block_size(BlockSize::uniform(block))?
        .with_gamma(Gamma::Raw(gamma))?
        .plan(shape)
}

/// However many threads share a segment, with too few draws for it and too many: the same masks.
#[test]
fn lanes_change_nothing() -> Result<(), Error> {
    let key = Key::new(77).with_step(3);
    for (i, gamma) in [0.0005, 0.004, 0.03, 0.11, 0.6, 1.0].into_iter().enumerate() {
        for block in [1, 3] {
            let plan = raw(block, gamma, Shape::nchw(2, 5, 29, 31 + i))?;
            for lanes in [1, 2, 3, 5, 9, 13, 32] {
                for tile in [1024, 65_536] {
                    check_mask(&plan, key, Launch::new(lanes, tile))?;
                }
            }
        }
    }
    // Gaps that take two draws, at every place among those of the first of two lanes.
    let plan = raw(1, 0.0025, Shape::nchw(2, 5, 200, 200))?;
    check_mask(&plan, key, Launch::new(2, 65_536))
}

/// Tiles of every size, up to one that is the whole mask.
#[test]
fn tiles_of_every_size() -> Result<(), Error> {
    let paper = DropBlock::new(5, 0.2)?;
    let full = paper.with_region(Region::Full);
    let plans = [paper.plan(Shape::nchw(1, 3, 19, 23))?, full.plan(Shape::ncdhw(1, 2, 5, 11, 13))?];
    for plan in plans {
        for words in 1..=plan.mask_words() + 1 {
            check_mask(&plan, Key::new(4), Launch::new(1 + words as u32 % 7, 64 * words))?;
        }
    }
    Ok(())
}

/// Masks that begin anywhere in a word of the line of all positions, and in a segment; with last words of
/// every length.
#[test]
fn first_positions_at_every_residue() -> Result<(), Error> {
    for first in 0..64 {
        // A sample has 65 positions, so that the residue of 32 is that of the sample's number.
        let key = Key::new(2).with_first_sample(first);
        let shape = Shape::nchw(66 + first as usize % 3, 1, 5, 13);
        for (block, gamma) in [(1, 0.3), (1, 0.01)] {
            let lanes = [1, 4, 32][first as usize % 3];
            check_mask(&raw(block, gamma, shape)?, key, Launch::new(lanes, 4096))?;
        }
        let shape = Shape::nchw(1, 1, 70, 64 + first as usize);
        check_mask(&raw(1, 0.4, shape)?, Key::new(2), Launch::new(2, 4096))?;
    }
    Ok(())
}

/// What each operation asks of the driver. All are enqueued: none takes memory, none waits.
#[test]
fn calls_of_the_driver() -> Result<(), Error> {
    let Some(device) = device() else { return Ok(()) };
    if std::env::var("PTX_CALLS").is_ok() {
        return operations(&device);
    }
    if !is_interpreter(&device) {
        println!("not run: only the interpreter tells its calls");
        return Ok(());
    }
    let found = child(&[("PTX_CALLS", "1")], &["gpu_layer::calls_of_the_driver"]);
    let text = String::from_utf8_lossy(&found.stderr).into_owned();
    assert!(found.status.success(), "{text}");
    let mut calls: Vec<String> = vec![];
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("operation: ") {
            calls.push(format!("{name}:"));
        } else if let (Some(name), Some(last)) =
            (line.strip_prefix("ptx-interpreter: call cu"), calls.last_mut())
        {
            *last += &format!(" {name}");
        }
    }
    // Beside these the context is made current, and what was current afterwards. A thread in which it
    // is current, as in a framework, is asked once.
    let expected = [
        "forward: LaunchKernel LaunchKernel",
        "forward with counts: LaunchKernel LaunchKernel",
        "backward: LaunchKernel LaunchKernel",
        "draw: LaunchKernel",
        "draw centers: LaunchKernel",
        "apply: LaunchKernel LaunchKernel",
        "drop only: LaunchKernel LaunchKernel",
        "fill dropped: LaunchKernel",
        "dilate: LaunchKernel",
        "count: Memset LaunchKernel",
        "by group: LaunchKernel LaunchKernel LaunchKernel",
        "set plan: LaunchKernel LaunchKernel",
        "end: StreamSynchronize",
    ];
    for (line, expected) in calls.iter().zip(expected) {
        let (name, calls) = expected.split_once(": ").unwrap_or_default();
        assert_eq!(*line, format!("{name}: CtxGetCurrent CtxSetCurrent {calls} CtxSetCurrent"));
    }
    assert_eq!(calls.len(), expected.len() + 1);
    Ok(())
}

/// Says on standard error what comes, between the lines of the interpreter.
fn operations(device: &Device) -> Result<(), Error> {
    let stream = device.stream()?;
    let paper = DropBlock::new(3, 0.2)?;
    let plan = paper.plan(Shape::nchw(2, 3, 37, 41))?;
    let by_group = paper.with_scale(Scale::PerMap).plan(*plan.shape())?;
    let mut layer = Layer::new(&plan, &stream)?;
    let groups = Layer::new(&by_group, &stream)?;
    let mut x = device.upload(&input(&plan))?;
    let mut counts = device.zeros::<u64>(1)?;
    let mut mask = device.zeros::<u64>(plan.mask_words())?;
    let mut centers = device.zeros::<u64>(plan.mask_words())?;
    let key = Key::new(1);
    let pass = layer.pass();
    eprintln!("operation: forward");
    pass.forward_in_place(key, x.slice_mut(), None)?;
    eprintln!("operation: forward with counts");
    pass.forward_in_place(key, x.slice_mut(), Some(counts.slice_mut()))?;
    eprintln!("operation: backward");
    pass.backward_in_place(key, Some(counts.slice()), x.slice_mut())?;
    eprintln!("operation: draw");
    pass.draw(key, mask.slice_mut(), Some(counts.slice_mut()))?;
    eprintln!("operation: draw centers");
    pass.draw_centers(key, centers.slice_mut())?;
    eprintln!("operation: apply");
    pass.apply_in_place(mask.slice(), Some(counts.slice()), x.slice_mut())?;
    eprintln!("operation: drop only");
    pass.drop_only(key, x.slice_mut(), f32::ZERO, Some(counts.slice_mut()))?;
    eprintln!("operation: fill dropped");
    pass.fill_dropped(mask.slice(), x.slice_mut(), f32::ZERO)?;
    eprintln!("operation: dilate");
    pass.dilate(centers.slice(), mask.slice_mut())?;
    eprintln!("operation: count");
    pass.count(mask.slice(), counts.slice_mut())?;
    eprintln!("operation: by group");
    groups.pass().forward_in_place(key, x.slice_mut(), None)?;
    eprintln!("operation: set plan");
    layer.set_plan(&paper.with_drop_prob(0.1)?.plan(*plan.shape())?, &stream)?;
    eprintln!("operation: end");
    stream.synchronize()?;
    // What is freed waits.
    eprintln!("operation: freed");
    Ok(())
}

/// Two streams with one workspace, which has one state: the interpreter finds it. A state that is not
/// reset would be found by the counts of the next pass.
#[test]
fn two_launches_on_one_state() -> Result<(), Error> {
    let Some(device) = device() else { return Ok(()) };
    if std::env::var("DROPBLOCK_ONE_STATE").is_ok() {
        let plan = DropBlock::new(3, 0.2)?.plan(Shape::nchw(2, 3, 37, 41))?;
        let (one, two) = (device.stream()?, device.stream()?);
        let layer = Layer::new(&plan, &one)?;
        let mut workspace = device.zeros::<u64>(layer.workspace_words())?;
        for stream in [&one, &two] {
            let mut x = device.upload(&input(&plan))?;
            let pass = layer.on(stream, workspace.slice_mut())?;
            pass.forward_in_place(Key::new(1), x.slice_mut(), None)?;
            // Freed without a wait.
            std::mem::forget(x);
        }
        one.synchronize()?;
        return two.synchronize();
    }
    if is_interpreter(&device) {
        let test = "gpu_layer::two_launches_on_one_state";
        let found = child(&[("DROPBLOCK_ONE_STATE", "1")], &[test]);
        assert!(!found.status.success());
        let text = String::from_utf8_lossy(&found.stderr).into_owned();
        assert!(text.contains("change the same memory, without order"), "{text}");
    }
    Ok(())
}
