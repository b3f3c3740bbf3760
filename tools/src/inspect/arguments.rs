//! What the flags ask for.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

use dropblock::{
    Alignment, Backend, BlockSize, DropBlock, Error, Fill, Gamma, Key, Layout, Map, Plan, Region,
    Scale, Shape, Sharing, ViewMut,
};

use super::flags::Arguments;

/// Names the flag to which the library's refusal belongs.
pub(crate) fn refused<E: Display>(flag: &'static str) -> impl Fn(E) -> String {
    move |error| format!("{flag}: {error}")
}

/// What the arguments ask for.
pub(crate) struct Request {
    pub(crate) plan: Plan,
    pub(crate) key: Key,
    pub(crate) dtype: Dtype,
    /// The shape as given, for messages.
    pub(crate) shape: String,
    /// The flag on which the length of buffers depends, and its value, for messages.
    pub(crate) extent: (&'static str, String),
    pub(crate) output: Output,
    view: Option<Strides>,
}

/// What is written beside the lines, and how.
pub(crate) struct Output {
    pub(crate) show: bool,
    pub(crate) csv: bool,
    pub(crate) png: Option<PathBuf>,
    /// The plane that is shown.
    pub(crate) plane: usize,
}

impl Output {
    fn new(args: &Arguments, plan: &Plan) -> Result<Self, String> {
        let (show, csv) = (args.is_given("--show"), args.is_given("--csv"));
        if show && csv {
            return Err("--csv: --show cannot stand beside it".into());
        }
        let png = args.optional("--png", "a path", |text| Some(PathBuf::from(text)))?;
        let plane = args.optional("--plane", INTEGER, parse)?;
        if show || png.is_some() {
            let planes = plan.units() / positions(plan).max(1);
            if planes == 0 {
                let given = args.given("--shape");
                return Err(format!("--shape: a mask with units is needed to show, got {given}"));
            }
            let plane = plane.unwrap_or(0);
            if plane >= planes {
                return Err(format!("--plane: a number below {planes} is needed, got {plane}"));
            }
        } else if let Some(plane) = plane {
            return Err(format!("--plane: --show or --png is needed beside it, got {plane}"));
        }
        Ok(Self { show, csv, png, plane: plane.unwrap_or(0) })
    }
}

/// Of a map.
pub(crate) fn positions(plan: &Plan) -> usize {
    plan.shape().map().size().iter().product()
}

/// A view, and the buffer that it fills from the first element to the last.
#[derive(Clone, Copy)]
struct Strides {
    strides: [isize; 5],
    /// The element of the first unit.
    first: usize,
    len: usize,
}

impl Strides {
    fn new(shape: &Shape, strides: [isize; 5]) -> Self {
        let [d, h, w] = shape.map().size();
        let sizes = [shape.samples(), shape.channels(), d, h, w];
        // What is too long for a buffer is refused with the view.
        let reach = |flipped: bool| {
            let axes = sizes.iter().zip(strides).filter(|axis| (axis.1 < 0) == flipped);
            let reach = |(&size, stride): (&usize, isize)| {
                (stride.unsigned_abs() as u128).saturating_mul((size as u128).saturating_sub(1))
            };
            let sum = axes.map(reach).fold(0, u128::saturating_add);
            usize::try_from(sum).unwrap_or(usize::MAX)
        };
        let first = reach(true);
        let len = first.saturating_add(reach(false)).saturating_add(1);
        let (first, len) = if shape.is_empty() { (0, 0) } else { (first, len) };
        Self { strides, first, len }
    }

    /// Whether a pass takes it. Nothing is written.
    fn check(&self, plan: &Plan, key: Key) -> Result<(), Error> {
        let plan = plan.layer().with_training(false).plan(*plan.shape())?;
        let units = &mut [(); usize::MAX][..self.len];
        plan.drop_only(key, ViewMut::new(units, self.first, self.strides), ()).map(|_| ())
    }
}

/// The elements of the output.
#[derive(Clone, Copy)]
pub(crate) enum Dtype {
    F32,
    F64,
    #[cfg(feature = "half")]
    F16,
    #[cfg(feature = "half")]
    Bf16,
    I8 {
        zero_point: i8,
    },
    U8 {
        zero_point: u8,
    },
    /// No output.
    None,
}

impl Request {
    pub(crate) fn new(args: Vec<String>) -> Result<Self, String> {
        let args = Arguments::new(args)?;
        let shape = shape(&args)?;
        let strides = strides(&args, &shape)?;
        let layer = layer(&args, &shape)?;
        let key = Key::new(args.required("--seed", INTEGER, parse)?)
            .with_step(args.required("--step", INTEGER, parse)?)
            .with_layer(args.optional("--layer", INTEGER, parse)?.unwrap_or(0))
            .with_first_sample(args.optional("--first-sample", INTEGER, parse)?.unwrap_or(0));
        let dtype = dtype(&args)?;
        let given = args.given("--shape");
        let plan = layer.plan(shape).map_err(|error| match error {
            Error::Rank { .. } => format!("--block-size: {error}"),
            _ => format!("--shape: {error}, {given} was given"),
        })?;
        let view = strides.map(|strides| Strides::new(&shape, strides));
        let mut extent = ("--shape", given.clone());
        if let Some(view) = view {
            extent = ("--strides", args.given("--strides"));
            match view.check(&plan, key) {
                Ok(()) => {}
                Err(error @ Error::FirstSample { .. }) => {
                    return Err(refused("--first-sample")(error));
                }
                Err(error) => return Err(format!("--strides: {error} in {}", extent.1)),
            }
        }
        let output = Output::new(&args, &plan)?;
        Ok(Self { plan, key, dtype, shape: given, extent, output, view })
    }

    /// The length of a buffer for the tensor.
    pub(crate) fn len(&self) -> usize {
        self.view.map_or(self.plan.elements(), |view| view.len)
    }

    /// The tensor in a buffer of this length.
    pub(crate) fn tensor<'t, T>(&self, buffer: &'t mut [T]) -> ViewMut<'t, T> {
        match self.view {
            Some(view) => ViewMut::new(buffer, view.first, view.strides),
            None => buffer.into(),
        }
    }
}

fn shape(args: &Arguments) -> Result<Shape, String> {
    let needed = format!("a list N,C,L or N,C,H,W or N,C,D,H,W of integers up to {}", usize::MAX);
    let (samples, channels, map) = args.required("--shape", &needed, parse_shape)?;
    let given = args.given("--shape");
    let rank = usize::from(map.rank());

    if let Some(dims) = args.choice("--dims", &[("1", 1), ("2", 2), ("3", 3)])?
        && dims != rank
    {
        return Err(format!("--dims: {rank} is needed for --shape {given}, {dims} was given"));
    }

    let (first, last) = [("ncl", "nlc"), ("nchw", "nhwc"), ("ncdhw", "ndhwc")][rank - 1];
    let layouts = [
        ("first", Layout::ChannelsFirst),
        ("last", Layout::ChannelsLast),
        (first, Layout::ChannelsFirst),
        (last, Layout::ChannelsLast),
    ];
    let layout = args
        .choice("--layout", &layouts)
        .map_err(|message| format!("{message} with the {rank}-D --shape {given}"))?;
    let shape = Shape::new(samples, channels, map, layout.unwrap_or(Layout::ChannelsFirst));
    shape.len().map_err(|error| format!("--shape: {error}, {given} was given"))?;
    Ok(shape)
}

fn strides(args: &Arguments, shape: &Shape) -> Result<Option<[isize; 5]>, String> {
    let (rank, given) = (usize::from(shape.map().rank()), args.given("--shape"));
    let needed = format!("one integer for each of the {} sizes of --shape {given}", rank + 2);
    let strides: Option<Vec<isize>> = args.optional("--strides", &needed, |text| {
        parse_list(text).filter(|strides| strides.len() == rank + 2)
    })?;
    let Some(strides) = strides else { return Ok(None) };
    if !args.given("--layout").is_empty() {
        let layout = args.given("--layout");
        return Err(format!("--strides: no --layout is needed, {layout} was given"));
    }
    // Missing axes of the map may have any stride.
    let mut all = [0; 5];
    all[..2].copy_from_slice(&strides[..2]);
    all[5 - rank..].copy_from_slice(&strides[2..]);
    Ok(Some(all))
}

fn layer(args: &Arguments, shape: &Shape) -> Result<DropBlock, String> {
    let needed = "an integer, HEIGHTxWIDTH, DEPTHxHEIGHTxWIDTH or rel: and a fraction";
    let block_size = args.required("--block-size", needed, parse_block_size)?;
    let drop_prob = args.required("--drop-prob", "a number in [0, 1]", parse)?;
    let preset = args.choice("--preset", PRESETS)?.unwrap_or(DropBlock::new);
    if args.given("--preset") == "torchvision" {
        check_torchvision(&args.given("--block-size"), shape)?;
    }
    let preset = preset(1, drop_prob).map_err(refused("--drop-prob"))?;
    // Of the preset's kind of gamma, so that `--gamma-scale` alone keeps it.
    let (gamma, gamma_flag) = gamma(args, preset.gamma())?;
    let backends: Vec<_> = Backend::ALL.iter().map(|backend| (backend.name(), *backend)).collect();
    let backend = args.choice("--backend", &backends)?.unwrap_or(Backend::detect());

    let mut layer = preset
        .with_block_size(block_size)
        .map_err(refused("--block-size"))?
        .with_gamma(gamma)
        .map_err(refused(gamma_flag))?
        .with_backend(backend)
        .map_err(refused("--backend"))?;
    if let Some(region) = args.choice("--region", REGIONS)? {
        layer = layer.with_region(region);
    }
    if let Some(alignment) = args.choice("--alignment", ALIGNMENTS)? {
        layer = layer.with_alignment(alignment);
    }
    if let Some(sharing) = args.choice("--sharing", SHARINGS)? {
        layer = layer.with_sharing(sharing);
    }
    if let Some(scale) = args.choice("--scale", SCALES)? {
        layer = layer.with_scale(scale);
    }
    if let Some(fill) = args.choice("--fill", FILLS)? {
        layer = layer.with_fill(fill);
    }
    Ok(layer)
}

/// torchvision is the paper for odd blocks that fit in the map, and something else for others.
fn check_torchvision(block_size: &str, shape: &Shape) -> Result<(), String> {
    let [depth, height, width] = shape.map().size();
    let sides = &[depth, height, width][3 - usize::from(shape.map().rank())..];
    match parse::<usize>(block_size) {
        Some(size) if size % 2 == 1 && sides.iter().all(|&side| size <= side) => Ok(()),
        _ => Err(format!(
            "--block-size: one odd number that fits in the map is needed for --preset torchvision, \
             got {block_size}"
        )),
    }
}

/// Options to start from, for a block size and a drop probability.
type Preset = fn(usize, f64) -> Result<DropBlock, Error>;

const PRESETS: &[(&str, Preset)] = &[
    ("new", DropBlock::new),
    ("tensorflow", DropBlock::tensorflow),
    ("torchvision", DropBlock::tensorflow),
    ("timm", DropBlock::timm),
    ("timm_legacy", DropBlock::timm_legacy),
    ("timm-legacy", DropBlock::timm_legacy),
    ("miguelvr", DropBlock::miguelvr),
    ("dragon", DropBlock::dragon),
];
const PAPER: Gamma = Gamma::Paper { scale: 1.0 };
const PAPER_VALID: Gamma = Gamma::PaperValid { scale: 1.0 };

const REGIONS: &[(&str, Region)] = &[("valid", Region::Valid), ("full", Region::Full)];
const ALIGNMENTS: &[(&str, Alignment)] =
    &[("before", Alignment::Before), ("after", Alignment::After)];
const SHARINGS: &[(&str, Sharing)] = &[
    ("none", Sharing::None),
    ("over-channels", Sharing::OverChannels),
    ("over-samples", Sharing::OverSamples),
    ("over-all", Sharing::OverAll),
];
const SCALES: &[(&str, Scale)] = &[
    ("per-tensor", Scale::PerTensor),
    ("per-sample", Scale::PerSample),
    ("per-map", Scale::PerMap),
    ("per-position", Scale::PerPosition),
    ("fixed", Scale::Fixed),
    ("off", Scale::Off),
];
const FILLS: &[(&str, Fill)] = &[("zero", Fill::Zero), ("noise", Fill::Noise)];

/// The gamma, and the flag to name if it is refused.
fn gamma(args: &Arguments, preset: Gamma) -> Result<(Gamma, &'static str), String> {
    let needed = "paper, paper-valid, exact or a number in [0, 1]";
    let gamma = args
        .optional("--gamma", needed, |text| match text {
            "paper" => Some(PAPER),
            "paper-valid" => Some(PAPER_VALID),
            "exact" => Some(Gamma::Exact),
            _ => parse(text).map(Gamma::Raw),
        })?
        .unwrap_or(preset);
    let scale = args.optional("--gamma-scale", "a finite number of at least 0", parse)?;
    match (gamma, scale) {
        (gamma, None) => Ok((gamma, "--gamma")),
        (Gamma::Paper { .. }, Some(scale)) => Ok((Gamma::Paper { scale }, "--gamma-scale")),
        (Gamma::PaperValid { .. }, Some(scale)) => {
            Ok((Gamma::PaperValid { scale }, "--gamma-scale"))
        }
        (_, Some(scale)) => Err(format!(
            "--gamma-scale: --gamma paper or paper-valid is needed, {scale} was given with {}",
            args.given("--gamma")
        )),
    }
}

fn dtype(args: &Arguments) -> Result<Dtype, String> {
    let dtype = args.choice(
        "--dtype",
        &[
            ("f32", Some(Dtype::F32)),
            ("f64", Some(Dtype::F64)),
            #[cfg(feature = "half")]
            ("f16", Some(Dtype::F16)),
            #[cfg(feature = "half")]
            ("bf16", Some(Dtype::Bf16)),
            #[cfg(not(feature = "half"))]
            ("f16", None),
            #[cfg(not(feature = "half"))]
            ("bf16", None),
            ("i8", Some(Dtype::I8 { zero_point: 0 })),
            ("u8", Some(Dtype::U8 { zero_point: 0 })),
        ],
    )?;
    let given = args.given("--dtype");
    let Some(dtype) = dtype.unwrap_or(Some(Dtype::None)) else {
        return Err(format!("--dtype: a build with --features half is needed, {given} was given"));
    };
    let integers = matches!(dtype, Dtype::I8 { .. } | Dtype::U8 { .. });
    if integers && args.choice("--fill", FILLS)? == Some(Fill::Noise) {
        return Err(format!("--fill: zero is needed for --dtype {given}, noise was given"));
    }
    let zero_point = "--zero-point";
    Ok(match dtype {
        Dtype::I8 { .. } => {
            let needed = "an integer from -128 to 127 for i8";
            Dtype::I8 { zero_point: args.optional(zero_point, needed, parse)?.unwrap_or(0) }
        }
        Dtype::U8 { .. } => {
            let needed = "an integer from 0 to 255 for u8";
            Dtype::U8 { zero_point: args.optional(zero_point, needed, parse)?.unwrap_or(0) }
        }
        other => {
            let needed = "--dtype i8 or u8 beside it";
            args.optional(zero_point, needed, |_| None::<()>)?;
            other
        }
    })
}

/// What the integer flags need.
const INTEGER: &str = "an integer from 0 to 2^64 - 1";

fn parse<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn parse_list<T: FromStr>(text: &str) -> Option<Vec<T>> {
    text.split(',').map(parse).collect()
}

fn parse_shape(text: &str) -> Option<(usize, usize, Map)> {
    match parse_list(text)?[..] {
        [n, c, length] => Some((n, c, Map::l(length))),
        [n, c, height, width] => Some((n, c, Map::hw(height, width))),
        [n, c, depth, height, width] => Some((n, c, Map::dhw(depth, height, width))),
        _ => None,
    }
}

fn parse_block_size(text: &str) -> Option<BlockSize> {
    if let Some(fraction) = text.strip_prefix("rel:") {
        return parse(fraction).map(BlockSize::relative);
    }
    let sizes: Option<Vec<_>> = text.split('x').map(parse).collect();
    match sizes?[..] {
        [size] => Some(BlockSize::uniform(size)),
        [height, width] => Some(BlockSize::hw(height, width)),
        [depth, height, width] => Some(BlockSize::dhw(depth, height, width)),
        _ => None,
    }
}
