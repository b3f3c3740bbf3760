//! Forward and backward on a CUDA device, compared with the processor bit for bit.
//!
//! ```text
//! cargo run --release --features cuda --example cuda
//! ```
//!
//! Ends with 0 if all is equal. Without a driver or a device, or where something differs, it says
//! so and ends with 1.

use std::process::ExitCode;

use dropblock::cuda::{Device, Error, Layer};
use dropblock::{DropBlock, Fill, Key, Layout, Map, Plan, Scale, Shape};

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("device and processor differ");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("cannot run: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool, Error> {
    let device = Device::new(0)?;
    let (major, minor) = device.compute_capability();
    let (cuda, point) = device.driver_version();
    println!(
        "{}: compute capability {major}.{minor}, {} multiprocessors, driver of CUDA {cuda}.{point}",
        device.name(),
        device.multiprocessors()
    );
    let paper = DropBlock::new(7, 0.1)?;
    let known = paper.with_scale(Scale::Fixed);
    let noise = known.with_fill(Fill::Noise);
    let (first, last) = (Shape::nchw(4, 16, 28, 28), Shape::new(4, 16, Map::hw(28, 28), LAST));
    let mut equal = true;
    for (name, layer, shape) in [
        ("the paper's scale", paper, first),
        ("fixed scale", known, first),
        ("fixed scale and noise", noise, first),
        ("channels last", paper, last),
    ] {
        let same = compare(&device, &layer.plan(shape)?)?;
        println!("{name}: {}", if same { "equal" } else { "differs" });
        equal &= same;
    }
    Ok(equal)
}

const LAST: Layout = Layout::ChannelsLast;

/// Whether forward and backward give the same bits here and there.
fn compare(device: &Device, plan: &Plan) -> Result<bool, Error> {
    let key = Key::new(2024).with_step(17).with_layer(3);
    let input: Vec<f32> = (0..plan.elements()).map(|i| i as f32 * 0.01 - 70.0).collect();

    let (mut x, mut dy) = (input.clone(), input.clone());
    let drawn = plan.forward_in_place(key, &mut x)?;
    plan.backward_in_place(drawn, &mut dy)?;

    // Once per layer: memory on the device.
    let stream = device.stream()?;
    let layer = Layer::new(plan, &stream)?;
    let mut device_x = device.upload(&input)?;
    let mut device_dy = device.upload(&input)?;
    let mut counts = device.zeros::<u64>(plan.groups())?;

    // Once per training step. Nothing of this waits.
    let start = stream.record()?;
    layer.pass().forward_in_place(key, device_x.slice_mut(), Some(counts.slice_mut()))?;
    layer.pass().backward_in_place(key, Some(counts.slice()), device_dy.slice_mut())?;
    let end = stream.record()?;

    let (mut there, mut gradient) = (vec![0.0; input.len()], vec![0.0; input.len()]);
    stream.download(device_x.slice(), &mut there)?;
    stream.download(device_dy.slice(), &mut gradient)?;
    println!(
        "{:.4} dropped, {:.3} ms for forward and backward, {} bytes of the layer's on the device",
        drawn.count().unwrap_or_default().fraction(),
        start.elapsed_ms(&end)?,
        layer.device_bytes()
    );
    let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    Ok(Some(layer.drop_count(counts.slice())?) == drawn.count()
        && bits(&x) == bits(&there)
        && bits(&dy) == bits(&gradient))
}
