//! The performance section of `benches/README.md` and its chart, from two records of the bench
//! `floor`.
//!
//! ```text
//! cargo run -p dropblock-tools --bin report [-- [--check] [RUN1.csv RUN2.csv]]
//! ```
//!
//! Without paths it takes the newest `benches/record/floor-*-run1.csv` with its `run2`. It writes
//! what stands between the markers in `benches/README.md`, and `benches/record/floor.svg`. With `--check`
//! it writes nothing, and fails if either differs from what it would write.

mod chart;
mod record;
mod table;

use std::error::Error;
use std::fs;
use std::process::ExitCode;

use dropblock_tools::files::{self, settle};
use record::Records;

const BEGIN: &str = "<!-- performance: begin -->";
const END: &str = "<!-- performance: end -->";

/// What a forward pass is measured on, for the table and the chart.
struct Tensor {
    label: &'static str,
    shape: &'static str,
    block: &'static str,
    p: &'static str,
}

const fn tensor(label: &'static str, shape: &'static str, block: &'static str) -> Tensor {
    Tensor { label, shape, block, p: "0.1" }
}

/// The tensors with the paper's options.
const PAPER: [Tensor; 10] = [
    tensor("(1, 16, 14, 14), 7", "ChannelsFirst 1x16x1x14x14", "7"),
    tensor("(32, 256, 14, 14), 7", "ChannelsFirst 32x256x1x14x14", "7"),
    tensor("(32, 512, 7, 7), 3", "ChannelsFirst 32x512x1x7x7", "3"),
    tensor("(16, 128, 28, 28), 7", "ChannelsFirst 16x128x1x28x28", "7"),
    tensor("(8, 256, 32, 32), 5", "ChannelsFirst 8x256x1x32x32", "5"),
    tensor("(8, 64, 56, 56), 7", "ChannelsFirst 8x64x1x56x56", "7"),
    Tensor { p: "0.3", ..tensor("(8, 64, 56, 56), 7, p = .3", "ChannelsFirst 8x64x1x56x56", "7") },
    tensor("(1, 64, 112, 112), 7", "ChannelsFirst 1x64x1x112x112", "7"),
    tensor("(1, 32, 416, 416), 7", "ChannelsFirst 1x32x1x416x416", "7"),
    tensor("(8, 256, 416, 416), 7", "ChannelsFirst 8x256x1x416x416", "7"),
];

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("report: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether the files are as they should be.
fn run() -> Result<bool, Box<dyn Error>> {
    let root = files::root();
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let all = arguments.len();
    arguments.retain(|argument| argument != "--check");
    let check = arguments.len() < all;
    let paths = match &arguments[..] {
        [] => record::newest(&root.join("benches/record"))?,
        [first, second] if !first.starts_with('-') => [first.into(), second.into()],
        _ => return Err("usage: report [--check] [RUN1.csv RUN2.csv]".into()),
    };
    let records = Records::read(&paths)?;

    let readme = root.join("benches/README.md");
    let old = fs::read_to_string(&readme)?;
    let new = between_markers(&old, &table::section(&records))?;
    let is_table_good = settle(&readme, &new, check)?;
    let chart = root.join("benches/record/floor.svg");
    let is_chart_good = settle(&chart, &chart::svg(&records), check)?;
    Ok(is_table_good && is_chart_good)
}

fn between_markers(text: &str, section: &str) -> Result<String, Box<dyn Error>> {
    let (head, rest) = text.split_once(BEGIN).ok_or("benches/README.md lacks the first marker")?;
    let (_, tail) = rest.split_once(END).ok_or("benches/README.md lacks the second marker")?;
    Ok(format!("{head}{BEGIN}\n{section}{END}{tail}"))
}
