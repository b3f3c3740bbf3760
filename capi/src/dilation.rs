//! Dilation alone, of bytes and bits.

use engine::{Alignment, BlockSize, Buffer, Dilation, Error};

use crate::backend;
use crate::constants::*;
use crate::memory::{Array, check_apart, copy};
use crate::options::{alignment, block_size, uniform};
use crate::shape::{map, sizes};
use crate::status::{Refusal, report};
use crate::types::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Axes {
    All,
    Rows,
    Cols,
}

/// The crate's dilation, and along which axes.
///
/// # Safety
///
/// * `dilation` is null or points to one.
unsafe fn dilation(dilation: *const dropblock_dilation) -> Result<(Dilation, Axes), Refusal> {
    // SAFETY: by the contract of this function.
    let dilation = unsafe { copy(dilation, DROPBLOCK_ARGUMENT_DILATION) }?;
    let map = map(dilation.rank, [dilation.depth, dilation.height, dilation.width])?;
    let alignment = alignment(dilation.alignment)?.unwrap_or(Alignment::Before);
    let mut new = Dilation::new(map, block_size(&dilation.block)?)?.with_alignment(alignment);
    if let Some(backend) = backend::choice(dilation.backend)? {
        new = new.with_backend(backend)?;
    }
    let axes = match dilation.axes {
        DROPBLOCK_AXES_ALL => Axes::All,
        DROPBLOCK_AXES_ROWS => Axes::Rows,
        DROPBLOCK_AXES_COLS => Axes::Cols,
        given => return Err(Refusal::unknown(DROPBLOCK_ARGUMENT_AXES, given)),
    };
    Ok((new, axes))
}

/// Sets a dilation along all axes.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_dilation_init(
    dilation: *mut dropblock_dilation,
    map: *const usize,
    rank: usize,
    block_size: usize,
    error: *mut dropblock_error,
) -> dropblock_status {
    let run = || {
        // SAFETY: the caller vouches for so many sizes.
        let map = unsafe { sizes(map, rank) }?;
        Dilation::new(map, BlockSize::uniform(block_size))?;
        let place = Array::one(dilation, DROPBLOCK_ARGUMENT_DILATION)?;
        let [depth, height, width] = map.size();
        let new = dropblock_dilation {
            rank: map.rank().into(),
            axes: DROPBLOCK_AXES_ALL,
            alignment: DROPBLOCK_ALIGNMENT_DEFAULT,
            backend: DROPBLOCK_BACKEND_FASTEST,
            depth,
            height,
            width,
            block: uniform(block_size),
        };
        // SAFETY: the caller vouches for `dilation`.
        unsafe { place.write(new) };
        Ok(())
    };
    // SAFETY: the caller vouches for `error`.
    unsafe { report(error, run) }
}

/// The words that hold the bits of so many maps.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_dilation_words(
    dilation: *const dropblock_dilation,
    maps: usize,
    result: *mut usize,
    error: *mut dropblock_error,
) -> dropblock_status {
    let run = || {
        // SAFETY: the caller vouches for `dilation`.
        let (dilation, _) = unsafe { self::dilation(dilation) }?;
        let result = Array::one(result, DROPBLOCK_ARGUMENT_RESULT)?;
        let words = dilation.words(maps)?;
        // SAFETY: the caller vouches for `result`.
        unsafe { result.write(words) };
        Ok(())
    };
    // SAFETY: the caller vouches for `error`.
    unsafe { report(error, run) }
}

/// Dilates bytes.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_dilate_bytes(
    dilation: *const dropblock_dilation,
    source: *const u8,
    source_len: usize,
    destination: *mut u8,
    destination_len: usize,
    error: *mut dropblock_error,
) -> dropblock_status {
    let run = || {
        // SAFETY: the caller vouches for `dilation`.
        let (dilation, axes) = unsafe { self::dilation(dilation) }?;
        check_maps(&dilation, source_len, destination_len)?;
        let from = Array::new(source, source_len, DROPBLOCK_ARGUMENT_SOURCE)?;
        let to = Array::new(destination, destination_len, DROPBLOCK_ARGUMENT_DESTINATION)?;
        let in_place = source == destination;
        if !in_place {
            check_apart(&[to.span()], &[from.span()])?;
        }
        // SAFETY: the caller vouches for so many bytes; if they are read as source, then only here.
        let to = unsafe { to.slice_mut() };
        if !in_place {
            // SAFETY: the caller vouches for so many bytes; nothing that is written overlaps them.
            let from = unsafe { from.slice() };
            if axes == Axes::All {
                return Ok(dilation.dilate(from, to)?);
            }
            to.copy_from_slice(from);
        }
        match axes {
            Axes::All => dilation.dilate_in_place(to)?,
            Axes::Rows => dilation.dilate_rows_in_place(to)?,
            Axes::Cols => dilation.dilate_cols_in_place(to)?,
        }
        Ok(())
    };
    // SAFETY: the caller vouches for `error`.
    unsafe { report(error, run) }
}

/// Refuses lengths that differ or are not those of whole maps, as the crate does.
fn check_maps(dilation: &Dilation, source: usize, destination: usize) -> Result<(), Refusal> {
    let map = dilation.map_len();
    if source.checked_rem(map).unwrap_or(source) != 0 {
        let needed = source.checked_next_multiple_of(map).unwrap_or(0);
        return Err(Error::Length { buffer: Buffer::Source, needed, given: source }.into());
    }
    if destination != source {
        let buffer = Buffer::Destination;
        return Err(Error::Length { buffer, needed: source, given: destination }.into());
    }
    Ok(())
}

/// Dilates bits in place.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dropblock_dilate_bits(
    dilation: *const dropblock_dilation,
    maps: usize,
    mask: *mut u64,
    mask_len: usize,
    error: *mut dropblock_error,
) -> dropblock_status {
    let run = || {
        // SAFETY: the caller vouches for `dilation`.
        let (dilation, axes) = unsafe { self::dilation(dilation) }?;
        let needed = dilation.words(maps)?;
        if mask_len < needed {
            return Err(Error::Length { buffer: Buffer::Mask, needed, given: mask_len }.into());
        }
        let words = Array::new(mask, needed, DROPBLOCK_ARGUMENT_MASK)?;
        // SAFETY: the caller vouches for so many words; nothing else is read or written.
        let words = unsafe { words.slice_mut() };
        match axes {
            Axes::All => dilation.dilate_bits_in_place(maps, words)?,
            Axes::Rows => dilation.dilate_bit_rows_in_place(maps, words)?,
            Axes::Cols => dilation.dilate_bit_cols_in_place(maps, words)?,
        }
        Ok(())
    };
    // SAFETY: the caller vouches for `error`.
    unsafe { report(error, run) }
}
