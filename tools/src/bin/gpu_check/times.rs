//! Times of the operations on a device beside a copy on the device of the same bytes, each with its
//! goal; or, of small tensors, one call of each, for an interpreter that counts.

use std::collections::HashMap;

use dropblock::cuda::bytemuck::Pod;
use dropblock::cuda::{Device, Error, Layer, Stream};
use dropblock::half::bf16;
use dropblock::{DropBlock, Element, Key, Layout, Map, Plan, Scale, Shape, Sharing};

const ROUNDS: usize = 15;
/// Calls between two events.
const CALLS: u64 = 10;
/// The columns of a row that are times.
const TIMES: [&str; 7] =
    ["copy_us", "scaled_us", "mask_us", "forward_us", "in_place_us", "backward_us", "drop_only_us"];
const COPY: usize = 0;
const FORWARD: usize = 3;
const DROP_ONLY: usize = 6;

/// What a time shall be at most.
#[derive(Clone, Copy, Debug)]
enum Goal {
    /// So many times the copy, of `f32` and `bf16`.
    Copies([f32; 2]),
    /// Microseconds.
    Time(f32),
}
use Goal::{Copies, Time};

/// What one row is about.
#[derive(Clone, Copy, Debug)]
struct Row {
    name: &'static str,
    /// Samples, channels, depth, height, width, and the same for interpreters.
    size: [usize; 5],
    small: [usize; 5],
    block: usize,
    drop_prob: f64,
    scale: Scale,
    sharing: Sharing,
    layout: Layout,
    /// Of which time.
    goal: (usize, Goal),
}

const LARGE: Row = Row {
    name: "large",
    size: [128, 256, 1, 56, 56],
    small: [2, 8, 1, 56, 56],
    block: 7,
    drop_prob: 0.1,
    scale: Scale::PerTensor,
    sharing: Sharing::None,
    layout: Layout::ChannelsFirst,
    goal: (FORWARD, Copies([1.12, 1.22])),
};

/// Of common networks, and large ones; the largest takes 1.5 GB.
const ROWS: [Row; 13] = [
    LARGE,
    Row {
        name: "detector",
        size: [16, 64, 1, 416, 416],
        small: [1, 1, 1, 416, 416],
        goal: (FORWARD, Copies([1.1, 1.2])),
        ..LARGE
    },
    Row {
        name: "14 x 14",
        size: [32, 256, 1, 14, 14],
        small: [4, 64, 1, 14, 14],
        goal: (FORWARD, Time(10.5)),
        ..LARGE
    },
    Row {
        name: "7 x 7",
        size: [32, 512, 1, 7, 7],
        small: [4, 128, 1, 7, 7],
        block: 3,
        goal: (FORWARD, Time(11.0)),
        ..LARGE
    },
    Row {
        name: "p = 0.3",
        size: [8, 64, 1, 56, 56],
        drop_prob: 0.3,
        goal: (FORWARD, Time(12.5)),
        ..LARGE
    },
    Row {
        name: "single units",
        size: [128, 512, 1, 28, 28],
        small: [2, 32, 1, 28, 28],
        block: 1,
        drop_prob: 0.5,
        goal: (FORWARD, Copies([1.65, 2.2])),
        ..LARGE
    },
    Row {
        name: "channels last",
        layout: Layout::ChannelsLast,
        small: [1, 64, 1, 28, 28],
        goal: (FORWARD, Copies([1.2, 1.28])),
        ..LARGE
    },
    Row { name: "drop only", goal: (DROP_ONLY, Copies([0.5, 0.7])), ..LARGE },
    Row {
        name: "3-D",
        size: [16, 32, 16, 56, 56],
        small: [1, 2, 8, 28, 28],
        block: 5,
        goal: (FORWARD, Copies([1.25, 1.45])),
        ..LARGE
    },
    Row {
        name: "one mask for all channels",
        sharing: Sharing::OverChannels,
        goal: (FORWARD, Copies([1.05, 1.1])),
        ..LARGE
    },
    Row {
        name: "scale per sample",
        scale: Scale::PerSample,
        goal: (FORWARD, Copies([1.2, 1.35])),
        ..LARGE
    },
    Row {
        name: "scale per map",
        scale: Scale::PerMap,
        goal: (FORWARD, Copies([1.2, 1.35])),
        ..LARGE
    },
    Row { name: "fixed scale", scale: Scale::Fixed, ..LARGE },
];

impl Row {
    fn plan(&self, [n, c, d, h, w]: [usize; 5]) -> Result<Plan, dropblock::Error> {
        let map = if d > 1 { Map::dhw(d, h, w) } else { Map::hw(h, w) };
        DropBlock::new(self.block, self.drop_prob)?
            .with_scale(self.scale)
            .with_sharing(self.sharing)
            .plan(Shape::new(n, c, map, self.layout))
    }
}

/// Prints the median times of one call in microseconds, a line for each row and type, and what an
/// earlier output had.
pub(crate) fn print(device: &Device, against: Option<&str>) -> Result<(), Error> {
    let before = against.map(earlier).unwrap_or_default();
    println!("times: medians of {ROUNDS} rounds of {CALLS} calls, by events of the device");
    println!("scaled_us: y = x * c, through a mask that drops nothing");
    println!("row,type,{},goal_us,goal_met{}", TIMES.join(","), against.map_or("", |_| ",before"));
    for row in &ROWS {
        time_row::<f32>(device, row, ("f32", 0), &before)?;
        time_row::<bf16>(device, row, ("bf16", 1), &before)?;
    }
    Ok(())
}

/// The times of the goals in an earlier output, by row and type.
fn earlier(text: &str) -> HashMap<String, f32> {
    let mut found = HashMap::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split(',').collect();
        let Some(row) = ROWS.iter().find(|row| fields.first() == Some(&row.name)) else { continue };
        let time = fields.get(2 + row.goal.0).and_then(|time| time.parse().ok());
        if let (Some(time), Some(kind)) = (time, fields.get(1)) {
            found.insert(format!("{},{kind}", row.name), time);
        }
    }
    found
}

fn time_row<T: Element + Pod>(
    device: &Device,
    row: &Row,
    (name, kind): (&str, usize),
    before: &HashMap<String, f32>,
) -> Result<(), Error> {
    let plan = row.plan(row.size)?;
    let stream = device.stream()?;
    let mut calls = Calls::<T>::new(device, &plan, &stream)?;
    let mut times = [[0.0; ROUNDS]; TIMES.len()];
    // Rounds are interleaved, so that all see the same clock. The first one warms up.
    for round in 0..=ROUNDS {
        for (i, times) in times.iter_mut().enumerate() {
            let start = stream.record()?;
            for _ in 0..CALLS {
                calls.call(i)?;
            }
            let end = stream.record()?;
            let time = start.elapsed_ms(&end)? / CALLS as f32 * 1000.0;
            if let Some(round) = round.checked_sub(1) {
                times[round] = time;
            }
        }
    }
    let times = times.map(|mut times| {
        times.sort_by(f32::total_cmp);
        times[ROUNDS / 2]
    });
    let (of, goal) = row.goal;
    let goal = match goal {
        Copies(factors) => factors[kind] * times[COPY],
        Time(time) => time,
    };
    print!("{},{name}", row.name);
    for time in times {
        print!(",{time:.2}");
    }
    print!(",{goal:.2},{}", if times[of] <= goal { "yes" } else { "no" });
    if let Some(before) = before.get(&format!("{},{name}", row.name)) {
        print!(",{:.3} of {before:.2}", times[of] / before);
    }
    println!();
    Ok(())
}

/// One call of each row, small, with a line before each on standard error, between those of an
/// interpreter that counts.
pub(crate) fn count(device: &Device) -> Result<(), Error> {
    for row in &ROWS {
        count_row::<f32>(device, row, "f32")?;
        count_row::<bf16>(device, row, "bf16")?;
    }
    Ok(())
}

fn count_row<T: Element + Pod>(device: &Device, row: &Row, name: &str) -> Result<(), Error> {
    let plan = row.plan(row.small)?;
    let stream = device.stream()?;
    let mut calls = Calls::<T>::new(device, &plan, &stream)?;
    let of = row.goal.0;
    eprintln!("count: {} {name} {}", row.name, TIMES[of].trim_end_matches("_us"));
    calls.call(of)?;
    stream.synchronize()
}

/// The operations that are timed, with what they need.
struct Calls<'a, T> {
    stream: &'a Stream,
    layer: Layer,
    /// For y = x * c.
    scaling: Layer,
    x: dropblock::cuda::Buffer<T>,
    y: dropblock::cuda::Buffer<T>,
    mask: dropblock::cuda::Buffer<u64>,
    nothing: dropblock::cuda::Buffer<u64>,
    counts: dropblock::cuda::Buffer<u64>,
    step: u64,
}

impl<'a, T: Element + Pod> Calls<'a, T> {
    fn new(device: &Device, plan: &Plan, stream: &'a Stream) -> Result<Self, Error> {
        let scaling = plan.layer().with_scale(Scale::Fixed).plan(*plan.shape())?;
        Ok(Self {
            stream,
            layer: Layer::new(plan, stream)?,
            scaling: Layer::new(&scaling, stream)?,
            x: device.zeros(plan.elements())?,
            y: device.zeros(plan.elements())?,
            mask: device.zeros(plan.mask_words())?,
            nothing: device.zeros(plan.mask_words())?,
            counts: device.zeros(plan.groups())?,
            step: 0,
        })
    }

    /// Enqueues the operation of this column.
    fn call(&mut self, column: usize) -> Result<(), Error> {
        self.step += 1;
        let (key, pass) = (Key::new(1).with_step(self.step), self.layer.pass());
        let (x, y, counts) = (&self.x, &mut self.y, &mut self.counts);
        match column {
            COPY => self.stream.copy(x.slice(), y.slice_mut()),
            1 => self.scaling.pass().apply(self.nothing.slice(), None, x.slice(), y.slice_mut()),
            2 => pass.draw(key, self.mask.slice_mut(), Some(counts.slice_mut())),
            FORWARD => pass.forward(key, x.slice(), y.slice_mut(), Some(counts.slice_mut())),
            4 => pass.forward_in_place(key, y.slice_mut(), Some(counts.slice_mut())),
            5 => pass.backward_in_place(key, Some(counts.slice()), y.slice_mut()),
            _ => pass.drop_only(key, y.slice_mut(), T::ZERO, None),
        }
    }
}
