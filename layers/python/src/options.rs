//! The options of a layer as a line of text, such as `block=7 gamma=exact scale=per_sample`, with the words
//! of `layers/table.txt`. What is not named has the default of the core.

use std::fmt::Write as _;

use dropblock::{Alignment, BlockSize, DropBlock, Fill, Gamma, Region, Scale, Schedule, Sharing};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

const REGIONS: &[(&str, Region)] = &[("valid", Region::Valid), ("full", Region::Full)];
const ALIGNMENTS: &[(&str, Alignment)] =
    &[("before", Alignment::Before), ("after", Alignment::After)];
const SHARINGS: &[(&str, Sharing)] = &[
    ("none", Sharing::None),
    ("over_channels", Sharing::OverChannels),
    ("over_samples", Sharing::OverSamples),
    ("over_all", Sharing::OverAll),
];
const SCALES: &[(&str, Scale)] = &[
    ("per_tensor", Scale::PerTensor),
    ("per_sample", Scale::PerSample),
    ("per_map", Scale::PerMap),
    ("per_position", Scale::PerPosition),
    ("fixed", Scale::Fixed),
    ("off", Scale::Off),
];
const FILLS: &[(&str, Fill)] = &[("zero", Fill::Zero), ("noise", Fill::Noise)];

/// Reads the line. `prob` is the drop probability.
pub(crate) fn parse(text: &str, prob: f64) -> PyResult<DropBlock> {
    let mut options = DropBlock::new(1, prob).map_err(value_error)?;
    let (mut gamma, mut gamma_scale) = ("paper", 1.0);
    for token in text.split_ascii_whitespace() {
        let (name, value) = token.split_once('=').ok_or_else(|| unknown("option", token, &[]))?;
        options = match name {
            "block" => options.with_block_size(block_size(value)?).map_err(value_error)?,
            "gamma" => {
                gamma = value;
                options
            }
            "gamma_scale" => {
                gamma_scale = number(name, value)?;
                options
            }
            "region" => options.with_region(find(REGIONS, name, value)?),
            "alignment" => options.with_alignment(find(ALIGNMENTS, name, value)?),
            "sharing" => options.with_sharing(find(SHARINGS, name, value)?),
            "scale" => options.with_scale(find(SCALES, name, value)?),
            "fill" => options.with_fill(find(FILLS, name, value)?),
            _ => return Err(unknown("option", name, &[])),
        };
    }
    let gamma = match gamma {
        "paper" => Gamma::Paper { scale: gamma_scale },
        "paper_valid" => Gamma::PaperValid { scale: gamma_scale },
        "exact" => Gamma::Exact,
        raw => match raw.parse() {
            Ok(raw) => Gamma::Raw(raw),
            Err(_) => {
                let names = &["paper", "paper_valid", "exact", "a number"];
                return Err(unknown("gamma", raw, names));
            }
        },
    };
    if gamma_scale != 1.0 && matches!(gamma, Gamma::Exact | Gamma::Raw(_)) {
        let text = "gamma_scale is a factor of gamma=\"paper\" and \"paper_valid\" only";
        return Err(PyValueError::new_err(text));
    }
    options.with_gamma(gamma).map_err(value_error)
}

/// What a preset sets, as such a line.
#[pyfunction]
pub(crate) fn preset(name: &str) -> PyResult<String> {
    type Preset = fn(usize, f64) -> Result<DropBlock, dropblock::Error>;
    let presets: &[(&str, Preset)] = &[
        ("tensorflow", DropBlock::tensorflow),
        ("timm", DropBlock::timm),
        ("timm_legacy", DropBlock::timm_legacy),
        ("miguelvr", DropBlock::miguelvr),
        ("dragon", DropBlock::dragon),
    ];
    let names: Vec<&str> = presets.iter().map(|(name, _)| *name).collect();
    let preset = presets.iter().find(|(given, _)| *given == name);
    let (_, preset) = preset.ok_or_else(|| unknown("preset", name, &names))?;
    let options = preset(1, 0.0).map_err(value_error)?;
    let mut text = match options.gamma() {
        Gamma::PaperValid { .. } => "gamma=paper_valid".to_string(),
        _ => "gamma=paper".to_string(),
    };
    let mut add = |name, value| {
        let _ = write!(text, " {name}={value}");
    };
    add("region", name_of(REGIONS, options.region()));
    add("alignment", name_of(ALIGNMENTS, options.alignment()));
    add("sharing", name_of(SHARINGS, options.sharing()));
    add("scale", name_of(SCALES, options.scale()));
    Ok(text)
}

/// A schedule by the name of its course.
pub(crate) fn schedule(
    course: &str,
    start: f64,
    end: f64,
    steps: &[(u64, f64)],
) -> PyResult<Schedule> {
    match course {
        "linear" => Schedule::linear(start, end),
        "cosine" => Schedule::cosine(start, end),
        "darknet" => Schedule::darknet(end),
        "steps" => Schedule::steps(start, steps),
        _ => return Err(unknown("course", course, &["linear", "cosine", "darknet", "steps"])),
    }
    .map_err(value_error)
}

/// An error of the core as Python's.
pub(crate) fn value_error(error: dropblock::Error) -> PyErr {
    PyValueError::new_err(error.to_string())
}

fn block_size(text: &str) -> PyResult<BlockSize> {
    let sizes: Result<Vec<usize>, _> = text.split(',').map(str::parse).collect();
    match sizes.as_deref() {
        Ok(&[size]) => Ok(BlockSize::uniform(size)),
        Ok(&[height, width]) => Ok(BlockSize::hw(height, width)),
        Ok(&[depth, height, width]) => Ok(BlockSize::dhw(depth, height, width)),
        _ => {
            let text = format!("block size must be 1 to 3 integers of at least 1, got {text}");
            Err(PyValueError::new_err(text))
        }
    }
}

fn number(name: &str, text: &str) -> PyResult<f64> {
    text.parse().map_err(|_| PyValueError::new_err(format!("{name} must be a number, got {text}")))
}

fn find<T: Copy>(all: &[(&str, T)], name: &str, value: &str) -> PyResult<T> {
    let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    let found = all.iter().find(|(given, _)| *given == value);
    found.map(|(_, value)| *value).ok_or_else(|| unknown(name, value, &names))
}

fn name_of<T: PartialEq>(all: &[(&'static str, T)], value: T) -> &'static str {
    all.iter().find(|(_, given)| *given == value).map_or("", |(name, _)| name)
}

fn unknown(name: &str, value: &str, names: &[&str]) -> PyErr {
    let known = if names.is_empty() { String::new() } else { format!(" of {}", names.join(", ")) };
    PyValueError::new_err(format!("{name} must be one{known}, got {value}"))
}
