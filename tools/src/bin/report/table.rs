//! The performance section of `benches/README.md`.

use std::fmt::Write;

use crate::record::{Figure, Records};
use crate::{PAPER, Tensor, tensor};

/// Other layouts, types and options.
pub(crate) const VARIANTS: [Tensor; 20] = [
    tensor("1-D (32, 256, 196), 7", "ChannelsFirst 32x256x1x1x196", "7"),
    tensor("3-D (4, 64, 8, 28, 28), 3", "ChannelsFirst 4x64x8x28x28", "3"),
    tensor("(32, 256, 14, 14), 7, full region", "ChannelsFirst 32x256x1x14x14 full region", "7"),
    tensor("(32, 512, 7, 7), 3, full region", "ChannelsFirst 32x512x1x7x7 full region", "3"),
    tensor("(8, 64, 56, 56), 7, full region", "ChannelsFirst 8x64x1x56x56 full region", "7"),
    tensor("(1, 64, 112, 112), 7, channels last", "ChannelsLast 1x64x1x112x112", "7"),
    tensor("(1, 32, 416, 416), 7, channels last", "ChannelsLast 1x32x1x416x416", "7"),
    tensor(
        "(32, 256, 14, 14), 7, shared over channels",
        "ChannelsFirst 32x256x1x14x14 shared",
        "7",
    ),
    tensor("the same, channels last", "ChannelsLast 32x256x1x14x14 shared", "7"),
    tensor("(32, 256, 14, 14), 7, channels last", "ChannelsLast 32x256x1x14x14", "7"),
    tensor("the same, scale per position", "ChannelsLast 32x256x1x14x14 per position", "7"),
    tensor(
        "(32, 256, 14, 14), 7, scale per position",
        "ChannelsFirst 32x256x1x14x14 per position",
        "7",
    ),
    tensor("the same, a scale per sample", "ChannelsFirst 32x256x1x14x14 per sample", "7"),
    tensor("the same, a scale per channel", "ChannelsFirst 32x256x1x14x14 per channel", "7"),
    tensor("the same, fixed scale", "ChannelsFirst 32x256x1x14x14 fixed", "7"),
    tensor("the same, padded rows", "ChannelsFirst 32x256x1x14x14 padded rows", "7"),
    tensor("the same, `bf16`", "ChannelsFirst 32x256x1x14x14 bf16", "7"),
    tensor("the same, `f16`", "ChannelsFirst 32x256x1x14x14 f16", "7"),
    tensor("(8, 64, 56, 56), 7, padded rows", "ChannelsFirst 8x64x1x56x56 padded rows", "7"),
    tensor("(32, 256, 14, 14), 7, noise", "ChannelsFirst 32x256x1x14x14 noise", "7"),
];

const FORWARD: &str = "forward in place";

/// The columns: title, operation, backend (the default one if empty).
const COLUMNS: [(&str, &str, &str); 11] = [
    ("forward in place", FORWARD, ""),
    ("`rayon`", FORWARD, "rayon"),
    ("`simd`", FORWARD, "simd"),
    ("`scalar`", FORWARD, "scalar"),
    ("plain", FORWARD, "plain"),
    ("no mask buffer", "forward in place no mask", ""),
    ("forward to `y`", "forward", ""),
    ("`y = x * c`", "scaled copy", "floor"),
    ("backward in place", "backward in place", ""),
    ("drop only", "drop only", ""),
    ("mask alone", "mask", ""),
];

/// Maps and their name in the records.
const MAPS: [(&str, &str); 6] = [
    ("256 of 14 x 14", "256x14x14"),
    ("256 of 28 x 28", "256x28x28"),
    ("256 of 56 x 56", "256x56x56"),
    ("256 of 112 x 112", "256x112x112"),
    ("512 x 512", "1x512x512"),
    ("4096 x 4096", "1x4096x4096"),
];

/// Returns what stands between the markers.
pub(crate) fn section(records: &Records) -> String {
    let mut text = String::new();
    let backend = records.default_backend();
    text += &wrap(&format!(
        "One thread, p = .1 unless said otherwise, `f32` unless said otherwise. A cell reads \
         ratio × floor: the median ratio to the memory floor of the same round (in place \
         `x *= c`, for `half` types their own loop, to `y` a copy) times that floor in \
         nanoseconds per element, the fastest, as the mean of two runs. C libraries may copy \
         small tensors by one instruction of microcode; `y = x * c`, a plain loop, says what \
         calculating costs there. Columns without a backend's name are \
         the default backend, here `{backend}`. The next four columns are the forward pass in \
         place on all threads of the machine, by the portable backends, and by a plain implementation in two passes (draw a mask \
         of bytes; multiply), `benches/floor/plain.rs`."
    ));
    text.push('\n');
    passes(&mut text, records, &PAPER);
    text += "\nOther ranks, layouts, types and options:\n\n";
    passes(&mut text, records, &VARIANTS);
    text += "\nDilation alone, block size 7, in nanoseconds per pixel (ratio × floor, a copy):\n\n";
    dilations(&mut text, records);
    text.push('\n');
    let plan = |shape, block| {
        let figure = records.figure("plan", shape, block, "0.1", backend);
        figure.map_or("-".to_string(), |figure| format!("{:.1} µs", figure.time))
    };
    text += &wrap(&format!(
        "A plan takes {} to build for (32, 256, 14, 14), {} over the full region, {} for \
         (4, 64, 8, 28, 28).",
        plan("ChannelsFirst 32x256x1x14x14", "7"),
        plan("ChannelsFirst 32x256x1x14x14 full region", "7"),
        plan("ChannelsFirst 4x64x8x28x28", "3"),
    ));
    text.push('\n');
    let (command, machine) = records.circumstances().split_once("; ").unwrap_or_default();
    text += &wrap(&format!(
        "Measured by `{command}` ({machine}). To repeat it run that twice, its output in \
         `benches/record/floor-x86_64-DATE-run1.csv` and `run2.csv`, then `cargo run -p \
         dropblock-tools --bin report`."
    ));
    text
}

fn passes(text: &mut String, records: &Records, tensors: &[Tensor]) {
    *text += "| shape, block size |";
    for (title, ..) in COLUMNS {
        let _ = write!(text, " {title} |");
    }
    *text += "\n| --- |";
    *text += &" --- |".repeat(COLUMNS.len());
    text.push('\n');
    for &Tensor { label, shape, block, p } in tensors {
        let figures = COLUMNS.map(|(_, operation, backend)| {
            let backend = if backend.is_empty() { records.default_backend() } else { backend };
            records.figure(operation, shape, block, p, backend)
        });
        // The largest tensor is measured only on demand.
        if figures.iter().all(Option::is_none) && shape == "ChannelsFirst 8x256x1x416x416" {
            continue;
        }
        let _ = write!(text, "| {label} |");
        for figure in figures {
            let _ = write!(text, " {} |", cell(figure));
        }
        text.push('\n');
    }
}

fn dilations(text: &mut String, records: &Records) {
    let columns = ["dilate bits", "dilate bytes"];
    *text += "| maps | bits | bytes | bits, `simd` | bytes, `simd` |\n\
              | --- | --- | --- | --- | --- |\n";
    for (label, shape) in MAPS {
        let _ = write!(text, "| {label} |");
        for backend in [records.default_backend(), "simd"] {
            for operation in columns {
                let figure = records.figure(operation, shape, "7", "0.1", backend);
                match figure {
                    Some(f) => {
                        let _ = write!(text, " {} ({}) |", digits(f.time), cell(figure));
                    }
                    None => *text += " - |",
                }
            }
        }
        text.push('\n');
    }
}

fn cell(figure: Option<Figure>) -> String {
    match figure {
        Some(Figure { ratio, floor, .. }) if floor > 0.0 => {
            let places = if ratio < 10.0 { 2 } else { 0 };
            format!("{ratio:.places$} × {}", digits(floor))
        }
        _ => "-".to_string(),
    }
}

/// A time with the digits that repeat.
fn digits(time: f64) -> String {
    let places = if time < 0.01 {
        4
    } else if time < 1.0 {
        3
    } else {
        2
    };
    format!("{time:.places$}")
}

/// Breaks a paragraph into lines.
fn wrap(paragraph: &str) -> String {
    let (mut text, mut width) = (String::new(), 0);
    for word in paragraph.split_whitespace() {
        let len = word.chars().count();
        if width > 0 && width + 1 + len > 99 {
            text.push('\n');
            width = 0;
        } else if width > 0 {
            text.push(' ');
            width += 1;
        }
        text += word;
        width += len;
    }
    text.push('\n');
    text
}
