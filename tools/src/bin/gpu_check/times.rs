//! Times of the operations on a device beside a copy on the device of the same bytes.

use dropblock::cuda::bytemuck::Pod;
use dropblock::cuda::{Device, Error, Layer, Stream};
use dropblock::half::bf16;
use dropblock::{DropBlock, Element, Key, Scale, Shape};

const ROUNDS: usize = 21;
/// Calls between two events.
const CALLS: u64 = 10;
/// A copy, and the operations.
const OPERATIONS: usize = 6;

/// What one row is about.
#[derive(Clone, Copy, Debug)]
struct Row {
    size: [usize; 4],
    block: usize,
    drop_prob: f64,
    channels_last: bool,
}

/// Of common networks, and large ones; the largest takes 1.5 GB.
const ROWS: [Row; 10] = [
    row([32, 256, 14, 14], 7, 0.1),
    row([32, 512, 7, 7], 3, 0.1),
    row([8, 64, 56, 56], 7, 0.1),
    row([8, 64, 56, 56], 7, 0.3),
    row([128, 256, 56, 56], 7, 0.1),
    row([128, 64, 112, 112], 7, 0.1),
    row([16, 64, 416, 416], 7, 0.1),
    row([128, 512, 28, 28], 7, 0.1),
    row([128, 512, 28, 28], 1, 0.5),
    Row { channels_last: true, ..row([128, 256, 56, 56], 7, 0.1) },
];

const fn row(size: [usize; 4], block: usize, drop_prob: f64) -> Row {
    Row { size, block, drop_prob, channels_last: false }
}

/// Prints the median times of one call in microseconds, a line for each shape, scale and type.
pub(crate) fn print(device: &Device) -> Result<(), Error> {
    println!("times: medians of {ROUNDS} rounds of {CALLS} calls, by events of the device");
    println!(
        "n,c,h,w,layout,block,drop_prob,scale,type,copy_us,mask_us,forward_us,forward_in_place_us,\
         backward_in_place_us,drop_only_us"
    );
    for row in ROWS {
        for scale in [Scale::PerTensor, Scale::Fixed] {
            time_row::<f32>(device, row, scale, "f32")?;
            time_row::<bf16>(device, row, scale, "bf16")?;
        }
    }
    Ok(())
}

fn time_row<T>(device: &Device, row: Row, scale: Scale, name: &str) -> Result<(), Error>
where
    T: Element + Pod,
{
    let Row { size: [n, c, h, w], block, drop_prob, channels_last } = row;
    let (shape, layout) = if channels_last {
        (Shape::nhwc(n, h, w, c), "nhwc")
    } else {
        (Shape::nchw(n, c, h, w), "nchw")
    };
    let plan = DropBlock::new(block, drop_prob)?.with_scale(scale).plan(shape)?;
    let stream = device.stream()?;
    let layer = Layer::new(&plan, &stream)?;
    let (x, mut y) = (device.zeros::<T>(plan.elements())?, device.zeros::<T>(plan.elements())?);
    let mut mask = device.zeros::<u64>(plan.mask_words())?;
    let mut counts = device.zeros::<u64>(plan.groups())?;
    let mut times = [[0.0; ROUNDS]; OPERATIONS];
    let mut step = 0;
    let mut next = || {
        step += 1;
        Key::new(1).with_step(step)
    };
    // Rounds are interleaved, so that all see the same clock. The first one warms up.
    for round in 0..=ROUNDS {
        let found = [
            time(&stream, || stream.copy(x.slice(), y.slice_mut()))?,
            time(&stream, || {
                layer.pass().draw(next(), mask.slice_mut(), Some(counts.slice_mut()))
            })?,
            time(&stream, || {
                layer.pass().forward(next(), x.slice(), y.slice_mut(), Some(counts.slice_mut()))
            })?,
            time(&stream, || {
                layer.pass().forward_in_place(next(), y.slice_mut(), Some(counts.slice_mut()))
            })?,
            time(&stream, || {
                layer.pass().backward_in_place(next(), Some(counts.slice()), y.slice_mut())
            })?,
            time(&stream, || layer.pass().drop_only(next(), y.slice_mut(), T::ZERO, None))?,
        ];
        if let Some(round) = round.checked_sub(1) {
            for (times, found) in times.iter_mut().zip(found) {
                times[round] = found;
            }
        }
    }
    print!("{n},{c},{h},{w},{layout},{block},{drop_prob},{scale:?},{name}");
    for mut times in times {
        times.sort_by(f32::total_cmp);
        print!(",{:.2}", times[ROUNDS / 2] * 1000.0);
    }
    println!();
    Ok(())
}

/// Milliseconds of one call.
fn time(stream: &Stream, mut call: impl FnMut() -> Result<(), Error>) -> Result<f32, Error> {
    let start = stream.record()?;
    for _ in 0..CALLS {
        call()?;
    }
    let end = stream.record()?;
    Ok(start.elapsed_ms(&end)? / CALLS as f32)
}
