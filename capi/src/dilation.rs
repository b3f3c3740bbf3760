//! Dilation alone, of bytes and bits.

use engine::{Alignment, BlockSize, Buffer, Dilation, Error};

use crate::backend;
use crate::constants::*;
use crate::memory::{Caller, enough};
use crate::options::{alignment, block_size, uniform};
use crate::shape::{map, sizes};
use crate::status::{Refusal, interface, listed};
use crate::types::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Axes {
    All,
    Rows,
    Cols,
}

const AXES: [(u32, Axes); 3] = [
    (DROPBLOCK_AXES_ALL, Axes::All),
    (DROPBLOCK_AXES_ROWS, Axes::Rows),
    (DROPBLOCK_AXES_COLS, Axes::Cols),
];

/// The crate's dilation, and along which axes.
fn dilation(
    caller: &Caller<'_>,
    dilation: *const dropblock_dilation,
) -> Result<(Dilation, Axes), Refusal> {
    let dilation = caller.copy(dilation, DROPBLOCK_ARGUMENT_DILATION)?;
    let map = map(dilation.rank, [dilation.depth, dilation.height, dilation.width])?;
    let alignment = alignment(dilation.alignment)?.unwrap_or(Alignment::Before);
    let mut new = Dilation::new(map, block_size(&dilation.block)?)?.with_alignment(alignment);
    if let Some(backend) = backend::choice(dilation.backend)? {
        new = new.with_backend(backend)?;
    }
    Ok((new, listed(DROPBLOCK_ARGUMENT_AXES, dilation.axes, &AXES)?))
}

interface! {
    /// Sets a dilation along all axes.
    fn dropblock_dilation_init(
        caller, dilation: *mut dropblock_dilation, map: *const usize, rank: usize,
        block_size: usize
    ) {
        let map = sizes(caller, map, rank)?;
        Dilation::new(map, BlockSize::uniform(block_size))?;
        let [depth, height, width] = map.size();
        caller.result(dilation, DROPBLOCK_ARGUMENT_DILATION)?.write(dropblock_dilation {
            rank: map.rank().into(),
            axes: DROPBLOCK_AXES_ALL,
            alignment: DROPBLOCK_ALIGNMENT_DEFAULT,
            backend: DROPBLOCK_BACKEND_FASTEST,
            depth,
            height,
            width,
            block: uniform(block_size),
        });
    }
}

interface! {
    /// The words that hold the bits of so many maps.
    fn dropblock_dilation_words(
        caller, dilation: *const dropblock_dilation, maps: usize, result: *mut usize
    ) {
        let words = self::dilation(caller, dilation)?.0.words(maps)?;
        caller.result(result, DROPBLOCK_ARGUMENT_RESULT)?.write(words);
    }
}

interface! {
    /// Dilates bytes.
    fn dropblock_dilate_bytes(
        caller, dilation: *const dropblock_dilation, source: *const u8, source_len: usize,
        destination: *mut u8, destination_len: usize
    ) {
        let (dilation, axes) = self::dilation(caller, dilation)?;
        check_maps(&dilation, source_len, destination_len)?;
        let to = caller.write(destination, destination_len, DROPBLOCK_ARGUMENT_DESTINATION)?;
        if !core::ptr::eq(source, destination) {
            let from = caller.read(source, source_len, DROPBLOCK_ARGUMENT_SOURCE)?;
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
    }
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

interface! {
    /// Dilates bits in place.
    fn dropblock_dilate_bits(
        caller, dilation: *const dropblock_dilation, maps: usize, words: *mut u64,
        words_len: usize
    ) {
        let (dilation, axes) = self::dilation(caller, dilation)?;
        let needed = enough(dilation.words(maps)?, words_len)?;
        let words = caller.write(words, needed, DROPBLOCK_ARGUMENT_WORDS)?;
        match axes {
            Axes::All => dilation.dilate_bits_in_place(maps, words)?,
            Axes::Rows => dilation.dilate_bit_rows_in_place(maps, words)?,
            Axes::Cols => dilation.dilate_bit_cols_in_place(maps, words)?,
        }
    }
}
