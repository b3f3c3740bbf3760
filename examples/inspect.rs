//! Prints what a plan is and which mask a key draws, to compare two builds, machines or ports.
//!
//! ```text
//! cargo run --release --example inspect -- \
//!     --shape 32,256,14,14 --block-size 7 --drop-prob 0.1 --seed 1 --step 0
//! ```
//!
//! One `name: value` a line, always in this order; floats are the shortest decimals that read
//! back as the same value:
//!
//! * `gamma`: the gamma really used;
//! * `expected_dropped`: the exact expected fraction of dropped units;
//! * `dropped`, `units`: the number of dropped units, and of all units of the mask;
//! * `realised_dropped`: their quotient;
//! * `scale`: the scale of the first scale group as `f32`; 1 for an empty mask;
//! * `mask_sha256`: SHA-256 of the mask's first `ceil(units / 8)` bytes, all words being written
//!   as little-endian bytes one after the other: unit `i` is bit `i % 8` of byte `i / 8`, and
//!   the bits past the last unit are 0;
//! * `backend`: the backend that drew the mask. Every other line is the same for all of them.
//!
//! Bad arguments end it with exit code 2. `--help` lists all flags.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;
use std::str::FromStr;

use dropblock::{
    Alignment, Backend, BlockSize, DropBlock, Gamma, Key, Layout, Map, Region, Scale, Shape,
    Sharing,
};
use sha2::{Digest, Sha256};

const USAGE: &str = "\
usage: inspect --shape N,C,H,W --block-size K --drop-prob P --seed S --step T [options]

  --shape N,C,H,W    samples, channels, height, width, in this order whatever the layout
  --block-size K     a number, or HEIGHTxWIDTH as 5x3
  --drop-prob P      a number in [0, 1]
  --seed S           an integer below 2^64
  --step T           an integer below 2^64

options:
  --layer L          an integer below 2^64                     (0)
  --first-sample N   an integer below 2^64                     (0)
  --layout           nchw | nhwc                               (nchw)
  --gamma            paper | exact | a number in [0, 1]        (paper)
  --gamma-scale S    a factor for the paper's gamma            (1)
  --region           valid | full                              (valid)
  --alignment        before | after                            (before)
  --sharing          sample-channel | sample | channel | all   (sample-channel)
  --scale            tensor | sample | channel | fixed | none  (tensor)
  --backend          a name of the list below                  (the fastest)
  --help             this text

backends of this build: ";

const FLAGS: &[&str] = &[
    "--shape",
    "--block-size",
    "--drop-prob",
    "--seed",
    "--step",
    "--layer",
    "--first-sample",
    "--layout",
    "--gamma",
    "--gamma-scale",
    "--region",
    "--alignment",
    "--sharing",
    "--scale",
    "--backend",
];

fn main() -> ExitCode {
    // Lossy, so that a mangled argument is quoted in a message like any other bad one.
    let args: Vec<_> =
        std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    let text = if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        usage()
    } else {
        match Arguments::new(args).and_then(|args| report(&args)) {
            Ok(text) => text,
            Err(message) => {
                eprint!("inspect: {message}\n\n{}", usage());
                return ExitCode::from(2);
            }
        }
    };
    // Not `print!`, which panics when a reader such as `head` has gone.
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn usage() -> String {
    let backends: Vec<_> = Backend::ALL.iter().map(|backend| backend.name()).collect();
    format!("{USAGE}{}\n", backends.join(", "))
}

fn report(args: &Arguments) -> Result<String, String> {
    let [samples, channels, height, width] =
        args.required("--shape", "a list of four integers N,C,H,W", parse_shape)?;
    let size = format!("{samples},{channels},{height},{width}");
    let block_size =
        args.required("--block-size", "an integer or HEIGHTxWIDTH", parse_block_size)?;
    let drop_prob = args.required("--drop-prob", "a number in [0, 1]", parse)?;
    let seed = args.required("--seed", INTEGER, parse)?;
    let step = args.required("--step", INTEGER, parse)?;
    let layer = args.optional("--layer", INTEGER, parse)?.unwrap_or(0);
    let first_sample = args.optional("--first-sample", INTEGER, parse)?.unwrap_or(0);
    let key = Key::new(seed).step(step).layer(layer).first_sample(first_sample);

    let layout = args
        .choice("--layout", &[("nchw", Layout::ChannelsFirst), ("nhwc", Layout::ChannelsLast)])?;
    let shape = Shape::new(
        samples,
        channels,
        Map::hw(height, width),
        layout.unwrap_or(Layout::ChannelsFirst),
    );
    let region = args.choice("--region", &[("valid", Region::Valid), ("full", Region::Full)])?;
    let alignment =
        args.choice("--alignment", &[("before", Alignment::Before), ("after", Alignment::After)])?;
    let sharing = args.choice(
        "--sharing",
        &[
            ("sample-channel", Sharing::SampleChannel),
            ("sample", Sharing::Sample),
            ("channel", Sharing::Channel),
            ("all", Sharing::All),
        ],
    )?;
    let scale = args.choice(
        "--scale",
        &[
            ("tensor", Scale::Tensor),
            ("sample", Scale::Sample),
            ("channel", Scale::Channel),
            ("fixed", Scale::Fixed),
            ("none", Scale::None),
        ],
    )?;
    let backends: Vec<_> = Backend::ALL.iter().map(|backend| (backend.name(), *backend)).collect();
    let backend = args.choice("--backend", &backends)?.unwrap_or(Backend::detect());
    let (gamma, gamma_flag) = gamma(args)?;

    let plan = DropBlock::new(1, drop_prob)
        .map_err(refused("--drop-prob"))?
        .with_block_size(block_size)
        .map_err(refused("--block-size"))?
        .with_gamma(gamma)
        .map_err(refused(gamma_flag))?
        .with_backend(backend)
        .map_err(refused("--backend"))?
        .with_region(region.unwrap_or_default())
        .with_alignment(alignment.unwrap_or_default())
        .with_sharing(sharing.unwrap_or_default())
        .with_scale(scale.unwrap_or_default())
        .plan(shape)
        .map_err(|error| format!("--shape: {error}, {size} was given"))?;

    let mut mask = Vec::new();
    mask.try_reserve_exact(plan.mask_len()).map_err(|_| {
        format!("--shape: memory for a mask of {} bits is needed for {size}", plan.units())
    })?;
    mask.resize(plan.mask_len(), 0);
    let dropped = plan.mask(key, &mut mask).map_err(refused("--first-sample"))?;
    let scale = if plan.units() == 0 {
        1.0
    } else {
        plan.scale::<f32>(&plan.count_group(&mask, 0).map_err(refused("--scale"))?)
    };

    let lines = [
        ("gamma", plan.gamma().to_string()),
        ("expected_dropped", plan.expected_dropped().to_string()),
        ("dropped", dropped.count.to_string()),
        ("units", dropped.of.to_string()),
        ("realised_dropped", dropped.fraction().to_string()),
        ("scale", scale.to_string()),
        ("mask_sha256", mask_sha256(&mask, plan.units())),
        ("backend", plan.backend().to_string()),
    ];
    Ok(lines.iter().map(|(name, value)| format!("{name}: {value}\n")).collect())
}

/// The gamma, and the flag to name if it is refused.
fn gamma(args: &Arguments) -> Result<(Gamma, &'static str), String> {
    let gamma = args
        .optional("--gamma", "paper, exact or a number in [0, 1]", |text| match text {
            "paper" => Some(Gamma::Paper { scale: 1.0 }),
            "exact" => Some(Gamma::Exact),
            _ => parse(text).map(Gamma::Raw),
        })?
        .unwrap_or(Gamma::Paper { scale: 1.0 });
    match (gamma, args.optional("--gamma-scale", "a finite number of at least 0", parse)?) {
        (Gamma::Paper { .. }, Some(scale)) => Ok((Gamma::Paper { scale }, "--gamma-scale")),
        (_, Some(scale)) => {
            Err(format!("--gamma-scale: --gamma paper is needed, {scale} was given with another"))
        }
        (gamma, None) => Ok((gamma, "--gamma")),
    }
}

fn mask_sha256(mask: &[u64], units: usize) -> String {
    let bytes: Vec<_> =
        mask.iter().flat_map(|word| word.to_le_bytes()).take(units.div_ceil(8)).collect();
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the integer flags need.
const INTEGER: &str = "an integer from 0 to 2^64 - 1";

fn parse<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn parse_shape(text: &str) -> Option<[usize; 4]> {
    let sizes: Option<Vec<_>> = text.split(',').map(parse).collect();
    sizes?.try_into().ok()
}

fn parse_block_size(text: &str) -> Option<BlockSize> {
    match text.split_once('x') {
        Some((height, width)) => Some(BlockSize::hw(parse(height)?, parse(width)?)),
        None => parse(text).map(BlockSize::uniform),
    }
}

/// Names the flag to which the library's refusal belongs.
fn refused<E: Display>(flag: &'static str) -> impl Fn(E) -> String {
    move |error| format!("{flag}: {error}")
}

/// The values by flag, as given.
struct Arguments(BTreeMap<&'static str, String>);

impl Arguments {
    /// Takes `--flag value` and `--flag=value`.
    fn new(args: Vec<String>) -> Result<Self, String> {
        let mut values = BTreeMap::new();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let (name, value) = match arg.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (arg.as_str(), None),
            };
            let Some(&flag) = FLAGS.iter().find(|&&flag| flag == name) else {
                return Err(format!("one of the flags below is needed, {arg:?} was given"));
            };
            let Some(value) = value.or_else(|| args.next()) else {
                return Err(format!("{flag}: a value is needed, none was given"));
            };
            if values.insert(flag, value).is_some() {
                return Err(format!("{flag}: one value is needed, two were given"));
            }
        }
        Ok(Self(values))
    }

    fn optional<T>(
        &self,
        flag: &str,
        needed: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, String> {
        let Some(given) = self.0.get(flag) else { return Ok(None) };
        match parse(given) {
            Some(value) => Ok(Some(value)),
            None => Err(format!("{flag}: {needed} is needed, {given:?} was given")),
        }
    }

    fn required<T>(
        &self,
        flag: &str,
        needed: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, String> {
        self.optional(flag, needed, parse)?
            .ok_or_else(|| format!("{flag}: {needed} is needed, nothing was given"))
    }

    fn choice<T: Copy>(&self, flag: &str, choices: &[(&str, T)]) -> Result<Option<T>, String> {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        self.optional(flag, &format!("one of {}", names.join(", ")), |given| {
            choices.iter().find(|(name, _)| *name == given).map(|(_, value)| *value)
        })
    }
}
