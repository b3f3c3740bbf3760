//! Options: the struct of the header, and the crate's from it.

use core::mem::offset_of;

use engine::{Alignment, BlockSize, DropBlock, Fill, Gamma, Region, Scale, Sharing};

use crate::backend;
use crate::constants::*;
use crate::memory::{Array, copy};
use crate::status::{Refusal, report};
use crate::types::*;

const SIZE: usize = size_of::<dropblock_options>();

/// Of what has a larger size it is not believed that there are so many bytes.
const LARGEST: usize = 4096;

/// Checks the size of a struct of any version.
fn check_size(size: usize) -> Result<usize, Refusal> {
    let refusal =
        |status| Refusal::new(status, DROPBLOCK_ARGUMENT_OPTIONS).needed(SIZE as u64, size as u64);
    match size {
        SIZE..=LARGEST => Ok(size),
        0..SIZE => Err(refusal(DROPBLOCK_STATUS_STRUCT_SIZE)),
        _ => Err(refusal(DROPBLOCK_STATUS_NEWER)),
    }
}

/// Copies the options of a caller whose header may be newer: of the fields that this library does
/// not know none may be set.
///
/// # Safety
///
/// * `options` is null, or points to as many bytes as its first field says.
unsafe fn copy_options(options: *const dropblock_options) -> Result<dropblock_options, Refusal> {
    Array::one(options, DROPBLOCK_ARGUMENT_OPTIONS)?;
    // SAFETY: aligned, and the caller vouches for the first field.
    let size = unsafe { copy(options.cast::<u32>(), DROPBLOCK_ARGUMENT_OPTIONS) }?;
    let size = check_size(size as usize)?;
    let tail = options.cast::<u8>().wrapping_add(SIZE);
    let tail = Array::new(tail, size - SIZE, DROPBLOCK_ARGUMENT_OPTIONS)?;
    // SAFETY: the caller vouches for `size` bytes.
    if unsafe { tail.slice() }.iter().any(|&byte| byte != 0) {
        return Err(Refusal::new(DROPBLOCK_STATUS_NEWER, DROPBLOCK_ARGUMENT_OPTIONS));
    }
    // SAFETY: the caller vouches for `size` bytes, and the struct has no more.
    unsafe { copy(options, DROPBLOCK_ARGUMENT_OPTIONS) }
}

/// Makes a layer of options.
///
/// # Safety
///
/// * `options` is null, or points to as many bytes as its first field says.
pub(crate) unsafe fn layer(options: *const dropblock_options) -> Result<DropBlock, Refusal> {
    // SAFETY: the same contract.
    let options = unsafe { copy_options(options) }?;
    let new = match options.preset {
        DROPBLOCK_PRESET_PAPER => DropBlock::new,
        DROPBLOCK_PRESET_TENSORFLOW => DropBlock::tensorflow,
        DROPBLOCK_PRESET_TIMM => DropBlock::timm,
        DROPBLOCK_PRESET_TIMM_LEGACY => DropBlock::timm_legacy,
        DROPBLOCK_PRESET_MIGUELVR => DropBlock::miguelvr,
        DROPBLOCK_PRESET_DRAGON => DropBlock::dragon,
        given => return Err(Refusal::unknown(DROPBLOCK_ARGUMENT_PRESET, given)),
    };
    let mut layer = new(1, options.drop_prob)?.with_block_size(block_size(&options.block)?)?;
    let value = options.gamma_value;
    layer = match options.gamma {
        DROPBLOCK_GAMMA_DEFAULT => layer,
        DROPBLOCK_GAMMA_PAPER => layer.with_gamma(Gamma::Paper { scale: value })?,
        DROPBLOCK_GAMMA_PAPER_VALID => layer.with_gamma(Gamma::PaperValid { scale: value })?,
        DROPBLOCK_GAMMA_EXACT => layer.with_gamma(Gamma::Exact)?,
        DROPBLOCK_GAMMA_RAW => layer.with_gamma(Gamma::Raw(value))?,
        given => return Err(Refusal::unknown(DROPBLOCK_ARGUMENT_GAMMA, given)),
    };
    layer = match options.region {
        DROPBLOCK_REGION_DEFAULT => layer,
        DROPBLOCK_REGION_VALID => layer.with_region(Region::Valid),
        DROPBLOCK_REGION_FULL => layer.with_region(Region::Full),
        given => return Err(Refusal::unknown(DROPBLOCK_ARGUMENT_REGION, given)),
    };
    if let Some(alignment) = alignment(options.alignment)? {
        layer = layer.with_alignment(alignment);
    }
    layer = match options.sharing {
        DROPBLOCK_SHARING_DEFAULT => layer,
        DROPBLOCK_SHARING_SAMPLE_CHANNEL => layer.with_sharing(Sharing::SampleChannel),
        DROPBLOCK_SHARING_SAMPLE => layer.with_sharing(Sharing::Sample),
        DROPBLOCK_SHARING_CHANNEL => layer.with_sharing(Sharing::Channel),
        DROPBLOCK_SHARING_ALL => layer.with_sharing(Sharing::All),
        given => return Err(Refusal::unknown(DROPBLOCK_ARGUMENT_SHARING, given)),
    };
    layer = match options.scale {
        DROPBLOCK_SCALE_DEFAULT => layer,
        DROPBLOCK_SCALE_TENSOR => layer.with_scale(Scale::Tensor),
        DROPBLOCK_SCALE_SAMPLE => layer.with_scale(Scale::Sample),
        DROPBLOCK_SCALE_CHANNEL => layer.with_scale(Scale::Channel),
        DROPBLOCK_SCALE_FIXED => layer.with_scale(Scale::Fixed),
        DROPBLOCK_SCALE_NONE => layer.with_scale(Scale::None),
        DROPBLOCK_SCALE_PER_POSITION => layer.with_scale(Scale::PerPosition),
        given => return Err(Refusal::unknown(DROPBLOCK_ARGUMENT_SCALE, given)),
    };
    layer = match options.fill {
        DROPBLOCK_FILL_DEFAULT => layer,
        DROPBLOCK_FILL_ZERO => layer.with_fill(Fill::Zero),
        DROPBLOCK_FILL_NOISE => layer.with_fill(Fill::Noise),
        given => return Err(Refusal::unknown(DROPBLOCK_ARGUMENT_FILL, given)),
    };
    if let Some(backend) = backend::choice(options.backend)? {
        layer = layer.with_backend(backend)?;
    }
    match options.mode {
        DROPBLOCK_MODE_TRAINING => Ok(layer),
        DROPBLOCK_MODE_INFERENCE => Ok(layer.inference()),
        given => Err(Refusal::unknown(DROPBLOCK_ARGUMENT_MODE, given)),
    }
}

pub(crate) fn block_size(block: &dropblock_block) -> Result<BlockSize, Refusal> {
    if block.reserved != 0 {
        return Err(Refusal::unknown(DROPBLOCK_ARGUMENT_RESERVED, block.reserved));
    }
    match block.kind {
        DROPBLOCK_BLOCK_UNIFORM => Ok(BlockSize::uniform(block.uniform)),
        DROPBLOCK_BLOCK_HW => Ok(BlockSize::hw(block.height, block.width)),
        DROPBLOCK_BLOCK_DHW => Ok(BlockSize::dhw(block.depth, block.height, block.width)),
        DROPBLOCK_BLOCK_RELATIVE => Ok(BlockSize::relative(block.fraction)),
        given => Err(Refusal::unknown(DROPBLOCK_ARGUMENT_BLOCK, given)),
    }
}

pub(crate) fn alignment(number: dropblock_alignment) -> Result<Option<Alignment>, Refusal> {
    match number {
        DROPBLOCK_ALIGNMENT_DEFAULT => Ok(None),
        DROPBLOCK_ALIGNMENT_BEFORE => Ok(Some(Alignment::Before)),
        DROPBLOCK_ALIGNMENT_AFTER => Ok(Some(Alignment::After)),
        given => Err(Refusal::unknown(DROPBLOCK_ARGUMENT_ALIGNMENT, given)),
    }
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

/// Sets all options: the paper's for this block size and drop probability.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_options_init(
    options: *mut dropblock_options,
    size: usize,
    block_size: usize,
    drop_prob: f64,
    error: *mut dropblock_error,
) -> dropblock_status {
    let run = || {
        let size = check_size(size)?;
        // Probability and block size are refused here already.
        DropBlock::new(block_size, drop_prob)?;
        let place = Array::one(options, DROPBLOCK_ARGUMENT_OPTIONS)?;
        let tail = options.cast::<u8>().wrapping_add(SIZE);
        let tail = Array::new(tail, size - SIZE, DROPBLOCK_ARGUMENT_OPTIONS)?;
        let new = dropblock_options {
            size: size as u32,
            preset: DROPBLOCK_PRESET_PAPER,
            mode: DROPBLOCK_MODE_TRAINING,
            gamma: DROPBLOCK_GAMMA_DEFAULT,
            region: DROPBLOCK_REGION_DEFAULT,
            alignment: DROPBLOCK_ALIGNMENT_DEFAULT,
            sharing: DROPBLOCK_SHARING_DEFAULT,
            scale: DROPBLOCK_SCALE_DEFAULT,
            fill: DROPBLOCK_FILL_DEFAULT,
            backend: DROPBLOCK_BACKEND_FASTEST,
            drop_prob,
            gamma_value: 1.0,
            block: uniform(block_size),
        };
        // SAFETY: not null, aligned, and the caller vouches for `size` bytes.
        unsafe { place.write(new) };
        // SAFETY: the rest of the same bytes.
        unsafe { tail.slice_mut() }.fill(0);
        Ok(())
    };
    // SAFETY: the caller vouches for `error`.
    unsafe { report(error, run) }
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
