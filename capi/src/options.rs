//! Options: the struct of the header, and the crate's from it.

use core::mem::offset_of;

use engine::{Alignment, BlockSize, DropBlock, Error, Fill, Gamma, Region, Scale, Sharing};

use crate::backend;
use crate::constants::*;
use crate::memory::{Caller, check};
use crate::status::{Refusal, interface, listed, must_be, or_default};
use crate::types::*;

const SIZE: usize = size_of::<dropblock_options>();

/// Of what has a larger size it is not believed that there are so many bytes.
const LARGEST: usize = 4096;

/// Checks the size of a struct of any version.
fn check_size(size: usize) -> Result<usize, Refusal> {
    let refusal = |status| {
        Refusal::new(status, DROPBLOCK_ARGUMENT_OPTIONS).numbers([SIZE as u64, 0], size as u64)
    };
    match size {
        SIZE..=LARGEST => Ok(size),
        0..SIZE => Err(refusal(DROPBLOCK_STATUS_STRUCT_SIZE)),
        _ => Err(refusal(DROPBLOCK_STATUS_NEWER)),
    }
}

/// Copies options, which begin with their size. The caller's header may be newer: of the fields that
/// this library does not know none may be set.
fn copy_options(
    caller: &mut Caller<'_>,
    options: *const dropblock_options,
) -> Result<dropblock_options, Refusal> {
    check(options, 1, DROPBLOCK_ARGUMENT_OPTIONS)?;
    let size = caller.copy(options.cast::<u32>(), DROPBLOCK_ARGUMENT_OPTIONS)?;
    let size = check_size(size as usize)?;
    let tail = options.cast::<u8>().wrapping_add(SIZE);
    let tail = caller.read(tail, size - SIZE, DROPBLOCK_ARGUMENT_OPTIONS)?;
    if tail.iter().any(|&byte| byte != 0) {
        return Err(Refusal::new(DROPBLOCK_STATUS_NEWER, DROPBLOCK_ARGUMENT_OPTIONS));
    }
    caller.copy(options, DROPBLOCK_ARGUMENT_OPTIONS)
}

type New = fn(usize, f64) -> Result<DropBlock, Error>;

const PRESETS: [(u32, New); 6] = [
    (DROPBLOCK_PRESET_PAPER, DropBlock::new),
    (DROPBLOCK_PRESET_TENSORFLOW, DropBlock::tensorflow),
    (DROPBLOCK_PRESET_TIMM, DropBlock::timm),
    (DROPBLOCK_PRESET_TIMM_LEGACY, DropBlock::timm_legacy),
    (DROPBLOCK_PRESET_MIGUELVR, DropBlock::miguelvr),
    (DROPBLOCK_PRESET_DRAGON, DropBlock::dragon),
];

const MODES: [(u32, bool); 2] =
    [(DROPBLOCK_MODE_TRAINING, true), (DROPBLOCK_MODE_INFERENCE, false)];

const REGIONS: [(u32, Region); 2] =
    [(DROPBLOCK_REGION_VALID, Region::Valid), (DROPBLOCK_REGION_FULL, Region::Full)];

const ALIGNMENTS: [(u32, Alignment); 2] = [
    (DROPBLOCK_ALIGNMENT_BEFORE, Alignment::Before),
    (DROPBLOCK_ALIGNMENT_AFTER, Alignment::After),
];

const SHARINGS: [(u32, Sharing); 4] = [
    (DROPBLOCK_SHARING_NONE, Sharing::None),
    (DROPBLOCK_SHARING_OVER_CHANNELS, Sharing::OverChannels),
    (DROPBLOCK_SHARING_OVER_SAMPLES, Sharing::OverSamples),
    (DROPBLOCK_SHARING_OVER_ALL, Sharing::OverAll),
];

const SCALES: [(u32, Scale); 6] = [
    (DROPBLOCK_SCALE_PER_TENSOR, Scale::PerTensor),
    (DROPBLOCK_SCALE_PER_SAMPLE, Scale::PerSample),
    (DROPBLOCK_SCALE_PER_MAP, Scale::PerMap),
    (DROPBLOCK_SCALE_PER_POSITION, Scale::PerPosition),
    (DROPBLOCK_SCALE_FIXED, Scale::Fixed),
    (DROPBLOCK_SCALE_OFF, Scale::Off),
];

const FILLS: [(u32, Fill); 2] =
    [(DROPBLOCK_FILL_ZERO, Fill::Zero), (DROPBLOCK_FILL_NOISE, Fill::Noise)];

/// Makes a layer of options.
pub(crate) fn layer(
    caller: &mut Caller<'_>,
    options: *const dropblock_options,
) -> Result<DropBlock, Refusal> {
    let o = copy_options(caller, options)?;
    must_be(0, DROPBLOCK_ARGUMENT_RESERVED, o.reserved)?;
    let new = listed(DROPBLOCK_ARGUMENT_PRESET, o.preset, &PRESETS)?;
    let mut layer = new(1, o.drop_prob)?.with_block_size(block_size(&o.block)?)?;
    if let Some(gamma) = gamma(&o.gamma)? {
        layer = layer.with_gamma(gamma)?;
    }
    if let Some(region) = or_default(DROPBLOCK_ARGUMENT_REGION, o.region, &REGIONS)? {
        layer = layer.with_region(region);
    }
    if let Some(alignment) = alignment(o.alignment)? {
        layer = layer.with_alignment(alignment);
    }
    if let Some(sharing) = or_default(DROPBLOCK_ARGUMENT_SHARING, o.sharing, &SHARINGS)? {
        layer = layer.with_sharing(sharing);
    }
    if let Some(scale) = or_default(DROPBLOCK_ARGUMENT_SCALE, o.scale, &SCALES)? {
        layer = layer.with_scale(scale);
    }
    if let Some(fill) = or_default(DROPBLOCK_ARGUMENT_FILL, o.fill, &FILLS)? {
        layer = layer.with_fill(fill);
    }
    if let Some(backend) = backend::choice(o.backend)? {
        layer = layer.with_backend(backend)?;
    }
    Ok(layer.with_training(listed(DROPBLOCK_ARGUMENT_MODE, o.mode, &MODES)?))
}

/// The gamma of a kind, if one is chosen. A value that is missed, or would be ignored, is refused.
fn gamma(gamma: &dropblock_gamma) -> Result<Option<Gamma>, Refusal> {
    let has_value =
        listed(DROPBLOCK_ARGUMENT_HAS_VALUE, gamma.has_value, &[(0, false), (1, true)])?;
    let &dropblock_gamma { kind, value, .. } = gamma;
    let refused = Err(Refusal::new(DROPBLOCK_STATUS_GAMMA_VALUE, DROPBLOCK_ARGUMENT_GAMMA));
    if !has_value && value.to_bits() != 0 {
        return refused;
    }
    let scale = if has_value { value } else { 1.0 };
    Ok(match (kind, has_value) {
        (DROPBLOCK_GAMMA_DEFAULT, false) => None,
        (DROPBLOCK_GAMMA_EXACT, false) => Some(Gamma::Exact),
        (DROPBLOCK_GAMMA_PAPER, _) => Some(Gamma::Paper { scale }),
        (DROPBLOCK_GAMMA_PAPER_VALID, _) => Some(Gamma::PaperValid { scale }),
        (DROPBLOCK_GAMMA_RAW, true) => Some(Gamma::Raw(value)),
        (0..=DROPBLOCK_GAMMA_RAW, _) => return refused,
        (kind, _) => {
            let bounds = [0, DROPBLOCK_GAMMA_RAW.into()];
            return Err(Refusal::outside(DROPBLOCK_ARGUMENT_GAMMA, bounds, kind.into()));
        }
    })
}

pub(crate) fn block_size(b: &dropblock_block) -> Result<BlockSize, Refusal> {
    must_be(0, DROPBLOCK_ARGUMENT_RESERVED, b.reserved)?;
    let kinds = [
        (DROPBLOCK_BLOCK_UNIFORM, BlockSize::uniform(b.uniform)),
        (DROPBLOCK_BLOCK_HW, BlockSize::hw(b.height, b.width)),
        (DROPBLOCK_BLOCK_DHW, BlockSize::dhw(b.depth, b.height, b.width)),
        (DROPBLOCK_BLOCK_RELATIVE, BlockSize::relative(b.fraction)),
    ];
    listed(DROPBLOCK_ARGUMENT_BLOCK, b.kind, &kinds)
}

pub(crate) fn alignment(number: dropblock_alignment) -> Result<Option<Alignment>, Refusal> {
    or_default(DROPBLOCK_ARGUMENT_ALIGNMENT, number, &ALIGNMENTS)
}

/// A block of this size along every axis.
pub(crate) const fn uniform(size: usize) -> dropblock_block {
    dropblock_block {
        kind: DROPBLOCK_BLOCK_UNIFORM,
        reserved: 0,
        fraction: 0.0,
        uniform: size,
        depth: 0,
        height: 0,
        width: 0,
    }
}

interface! {
    /// Sets all options: the paper's for this block size and drop probability.
    fn dropblock_options_init(
        caller, options: *mut dropblock_options, size: usize, block_size: usize, drop_prob: f64
    ) {
        let size = check_size(size)?;
        // Probability and block size are refused here already.
        DropBlock::new(block_size, drop_prob)?;
        let place = caller.result(options, DROPBLOCK_ARGUMENT_OPTIONS)?;
        let tail = options.cast::<u8>().wrapping_add(SIZE);
        let tail = caller.write(tail, size - SIZE, DROPBLOCK_ARGUMENT_OPTIONS)?;
        place.write(dropblock_options {
            size: size as u32,
            preset: DROPBLOCK_PRESET_PAPER,
            mode: DROPBLOCK_MODE_TRAINING,
            region: DROPBLOCK_REGION_DEFAULT,
            alignment: DROPBLOCK_ALIGNMENT_DEFAULT,
            sharing: DROPBLOCK_SHARING_DEFAULT,
            scale: DROPBLOCK_SCALE_DEFAULT,
            fill: DROPBLOCK_FILL_DEFAULT,
            backend: DROPBLOCK_BACKEND_FASTEST,
            reserved: 0,
            drop_prob,
            gamma: dropblock_gamma { kind: DROPBLOCK_GAMMA_DEFAULT, has_value: 0, value: 0.0 },
            block: uniform(block_size),
        });
        tail.fill(0);
    }
}

/// The factor of Eq. 1 in a group of residual blocks.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn dropblock_paper_group_factor(group: usize) -> f64 {
    match Gamma::paper_group(group) {
        Gamma::Paper { scale } => scale,
        _ => 0.0,
    }
}

// `copy_options` reads the size before the rest.
const _: () = assert!(offset_of!(dropblock_options, size) == 0);
