//! The flags: their help, and their values as given.

use std::collections::BTreeMap;

use dropblock::{Backend, MASK_VERSION};

const USAGE: &str = "\
usage: inspect --shape N,C,H,W --block-size K --drop-prob P --seed S --step T [options]

Prints what these options do, and with --show the mask.

  --shape SIZES      N,C,L or N,C,H,W or N,C,D,H,W: samples, channels and the map (length;
                     height, width; depth, height, width), in this order whatever the layout
  --block-size K     a number for every axis of the map, or HEIGHTxWIDTH as 5x3, or
                     DEPTHxHEIGHTxWIDTH as 2x5x3, or rel:F for the fraction F of every axis
  --drop-prob P      a number in [0, 1]
  --seed S           an integer below 2^64
  --step T           an integer below 2^64

options:
  --layer L          an integer below 2^64                     (0)
  --first-sample N   an integer below 2^64                     (0)
  --dims D           1 | 2 | 3: the axes of the map, as a check of the shape
  --layout           first | last: where the channels lie; or by the name that goes with the
                     shape: ncl, nchw, ncdhw | nlc, nhwc, ndhwc  (first)
  --strides LIST     a view in place of a layout: one stride, in elements, for each size of
                     the shape, in the same order; an axis with a negative one is flipped
  --preset           new | tensorflow | torchvision | timm | timm_legacy | miguelvr | dragon:
                     start from that implementation's options; the flags below replace them one
                     by one  (new, the paper)
  --gamma            paper | paper-valid | exact | a number in [0, 1]  (paper)
  --gamma-scale S    a factor for gamma paper and paper-valid  (1)
  --region           valid | full                              (valid)
  --alignment        before | after                            (before)
  --sharing          none | over-channels | over-samples | over-all  (none)
  --scale            per-tensor | per-sample | per-map | per-position | fixed | off  (per-tensor)
  --fill             zero | noise: what dropped elements become; noise needs a float  (zero)
  --dtype            f32 | f64 | f16 | bf16 | i8 | u8: also print the hash of the output of
                     these elements; f16 and bf16 need a build with --features half
  --zero-point Z     the zero of i8 and u8                     (0)
  --backend          a name of the list below                  (the fastest)

output:
  --show             also print the mask of a plane: # dropped, . kept
  --png FILE         also write the mask of a plane as a picture: black dropped, white kept
  --plane I          the plane of --show and --png: a map of the mask, sample by sample  (0)
  --csv              a line of names and a line of values
  --version          the version of the crate and of the mask function
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
    "--dims",
    "--layout",
    "--strides",
    "--preset",
    "--gamma",
    "--gamma-scale",
    "--region",
    "--alignment",
    "--sharing",
    "--scale",
    "--fill",
    "--dtype",
    "--zero-point",
    "--backend",
    "--png",
    "--plane",
];

/// Those without a value.
const SWITCHES: &[&str] = &["--show", "--csv"];

/// The line of `--version`.
pub fn version() -> String {
    // This package has no version of its own.
    let manifest = include_str!("../../../Cargo.toml");
    let version = manifest.lines().find_map(|line| line.strip_prefix("version = "));
    let version = version.unwrap_or("?").trim_matches('"');
    format!("inspect of dropblock {version}, mask function version {MASK_VERSION}\n")
}

/// The text of `--help`.
pub fn usage() -> String {
    let backends: Vec<_> = Backend::ALL.iter().map(|backend| backend.name()).collect();
    format!("{USAGE}{}\n", backends.join(", "))
}

/// The values by flag, as given.
pub(super) struct Arguments(BTreeMap<&'static str, String>);

impl Arguments {
    /// Takes `--flag value` and `--flag=value`.
    pub(super) fn new(args: Vec<String>) -> Result<Self, String> {
        let mut values = BTreeMap::new();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let (name, value) = match arg.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (arg.as_str(), None),
            };
            let is_switch = SWITCHES.contains(&name);
            let Some(&flag) = FLAGS.iter().chain(SWITCHES).find(|&&flag| flag == name) else {
                return Err(format!("unknown argument {arg:?}"));
            };
            let value = match (is_switch, value) {
                (true, None) => String::new(),
                (true, Some(value)) => {
                    return Err(format!("{flag}: no value is needed, got {value:?}"));
                }
                (false, value) => value
                    .or_else(|| args.next())
                    .ok_or_else(|| format!("{flag}: a value is needed, none was given"))?,
            };
            if values.insert(flag, value).is_some() {
                return Err(format!("{flag}: it is needed once, and was given twice"));
            }
        }
        Ok(Self(values))
    }

    /// The value as given, for messages; empty if there is none.
    pub(super) fn given(&self, flag: &str) -> String {
        self.0.get(flag).cloned().unwrap_or_default()
    }

    pub(super) fn is_given(&self, switch: &str) -> bool {
        self.0.contains_key(switch)
    }

    pub(super) fn optional<T>(
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

    pub(super) fn required<T>(
        &self,
        flag: &str,
        needed: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, String> {
        self.optional(flag, needed, parse)?
            .ok_or_else(|| format!("{flag}: {needed} is needed, nothing was given"))
    }

    pub(super) fn choice<T: Copy>(
        &self,
        flag: &str,
        choices: &[(&str, T)],
    ) -> Result<Option<T>, String> {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        self.optional(flag, &format!("one of {}", names.join(", ")), |given| {
            choices.iter().find(|(name, _)| *name == given).map(|(_, value)| *value)
        })
    }
}
