//! Shapes: the struct of the header, and the crate's from it.

use core::ptr;

use engine::{Layout, Map, Shape};

use crate::constants::*;
use crate::memory::{Array, copy};
use crate::status::{Refusal, report};
use crate::types::*;

/// A map of the sizes; axes that the rank leaves out have size 1.
pub(crate) fn map(rank: u32, [depth, height, width]: [usize; 3]) -> Result<Map, Refusal> {
    match (rank, depth, height) {
        (1, 1, 1) => Ok(Map::l(width)),
        (2, 1, _) => Ok(Map::hw(height, width)),
        (3, ..) => Ok(Map::dhw(depth, height, width)),
        _ => {
            let wrong = match rank {
                1 if height != 1 => height as u64,
                1 | 2 => depth as u64,
                rank => rank.into(),
            };
            Err(Refusal::new(DROPBLOCK_STATUS_VALUE, DROPBLOCK_ARGUMENT_MAP_RANK).needed(1, wrong))
        }
    }
}

/// The crate's shape.
///
/// # Safety
///
/// * `shape` is null or points to one.
pub(crate) unsafe fn shape(shape: *const dropblock_shape) -> Result<Shape, Refusal> {
    // SAFETY: the same contract.
    let shape = unsafe { copy(shape, DROPBLOCK_ARGUMENT_SHAPE) }?;
    if shape.reserved != 0 {
        return Err(Refusal::unknown(DROPBLOCK_ARGUMENT_RESERVED, shape.reserved));
    }
    let map = map(shape.rank, [shape.depth, shape.height, shape.width])?;
    let new = Shape::new(shape.samples, shape.channels, map, Layout::ChannelsFirst);
    Ok(new.with_strides(shape.strides))
}

/// Sets a shape without gaps.
///
/// # Safety
///
/// * `shape` is null, or may be written; `error` is null, or may be written.
unsafe fn init(
    shape: *mut dropblock_shape,
    new: impl FnOnce() -> Result<Shape, Refusal>,
    error: *mut dropblock_error,
) -> dropblock_status {
    let run = || {
        let new = new()?;
        let place = Array::one(shape, DROPBLOCK_ARGUMENT_SHAPE)?;
        let [depth, height, width] = new.map().size();
        let value = dropblock_shape {
            rank: new.map().rank().into(),
            reserved: 0,
            samples: new.samples(),
            channels: new.channels(),
            depth,
            height,
            width,
            strides: new.strides(),
        };
        // SAFETY: not null, aligned, and the caller vouches for the rest.
        unsafe { place.write(value) };
        Ok(())
    };
    // SAFETY: the caller vouches for `error`.
    unsafe { report(error, run) }
}

/// Sets a shape without gaps, of any rank.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_shape_init(
    shape: *mut dropblock_shape,
    samples: usize,
    channels: usize,
    map: *const usize,
    rank: usize,
    layout: dropblock_layout,
    error: *mut dropblock_error,
) -> dropblock_status {
    let new = || {
        // SAFETY: the caller vouches for so many sizes.
        let map = unsafe { sizes(map, rank) }?;
        let layout = match layout {
            DROPBLOCK_LAYOUT_CHANNELS_FIRST => Layout::ChannelsFirst,
            DROPBLOCK_LAYOUT_CHANNELS_LAST => Layout::ChannelsLast,
            given => return Err(Refusal::unknown(DROPBLOCK_ARGUMENT_LAYOUT, given)),
        };
        Ok(Shape::new(samples, channels, map, layout))
    };
    // SAFETY: the caller vouches for both pointers.
    unsafe { init(shape, new, error) }
}

/// A map of 1 to 3 sizes.
///
/// # Safety
///
/// * `sizes` is null or points to `rank` of them.
pub(crate) unsafe fn sizes(sizes: *const usize, rank: usize) -> Result<Map, Refusal> {
    if !(1..=3).contains(&rank) {
        return Err(Refusal::new(DROPBLOCK_STATUS_VALUE, DROPBLOCK_ARGUMENT_MAP_RANK)
            .needed(1, rank as u64));
    }
    let sizes = Array::new(sizes, rank, DROPBLOCK_ARGUMENT_SHAPE)?;
    // SAFETY: the contract of this function.
    match *unsafe { sizes.slice() } {
        [height, width] => Ok(Map::hw(height, width)),
        [depth, height, width] => Ok(Map::dhw(depth, height, width)),
        [length, ..] => Ok(Map::l(length)),
        [] => Ok(Map::l(0)),
    }
}

/// 1-D maps, channels first.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_shape_ncl(
    shape: *mut dropblock_shape,
    samples: usize,
    channels: usize,
    length: usize,
) -> dropblock_status {
    let new = || Ok(Shape::ncl(samples, channels, length));
    // SAFETY: the caller vouches for `shape`.
    unsafe { init(shape, new, ptr::null_mut()) }
}

/// 1-D maps, channels last.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_shape_nlc(
    shape: *mut dropblock_shape,
    samples: usize,
    length: usize,
    channels: usize,
) -> dropblock_status {
    let new = || Ok(Shape::nlc(samples, length, channels));
    // SAFETY: the caller vouches for `shape`.
    unsafe { init(shape, new, ptr::null_mut()) }
}

/// 2-D maps, channels first.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_shape_nchw(
    shape: *mut dropblock_shape,
    samples: usize,
    channels: usize,
    height: usize,
    width: usize,
) -> dropblock_status {
    let new = || Ok(Shape::nchw(samples, channels, height, width));
    // SAFETY: the caller vouches for `shape`.
    unsafe { init(shape, new, ptr::null_mut()) }
}

/// 2-D maps, channels last.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_shape_nhwc(
    shape: *mut dropblock_shape,
    samples: usize,
    height: usize,
    width: usize,
    channels: usize,
) -> dropblock_status {
    let new = || Ok(Shape::nhwc(samples, height, width, channels));
    // SAFETY: the caller vouches for `shape`.
    unsafe { init(shape, new, ptr::null_mut()) }
}

/// 3-D maps, channels first.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_shape_ncdhw(
    shape: *mut dropblock_shape,
    samples: usize,
    channels: usize,
    depth: usize,
    height: usize,
    width: usize,
) -> dropblock_status {
    let new = || Ok(Shape::ncdhw(samples, channels, depth, height, width));
    // SAFETY: the caller vouches for `shape`.
    unsafe { init(shape, new, ptr::null_mut()) }
}

/// 3-D maps, channels last.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_shape_ndhwc(
    shape: *mut dropblock_shape,
    samples: usize,
    depth: usize,
    height: usize,
    width: usize,
    channels: usize,
) -> dropblock_status {
    let new = || Ok(Shape::ndhwc(samples, depth, height, width, channels));
    // SAFETY: the caller vouches for `shape`.
    unsafe { init(shape, new, ptr::null_mut()) }
}
