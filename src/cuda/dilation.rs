//! The dilation alone, of bits and bytes on a stream.

use crate::error::Buffer;

use super::buffer::{check, check_apart};
use super::drawing::{Blocks, check_plane};
use super::driver::Region;
use super::launch::{Cut, MAX_TILE, launch};
use super::params::Call;
use super::{Error, Slice, SliceMut, Stream};

/// Bytes that a block of threads makes, four by each.
const BYTES: usize = 1024;

/// A [`dropblock::Dilation`](crate::Dilation) of a number of maps on a [`Stream`], bit for bit.
///
/// It is made for a number of maps. If bytes spread along two axes or more, it takes a scratch buffer
/// of one byte for each position. Operations enqueue their kernels and return, as those of
/// [`Layer`](super::Layer) do.
///
/// # Examples
///
/// ```no_run
/// use dropblock::cuda::{self, Device};
/// use dropblock::{BlockSize, Dilation, Map};
///
/// let device = Device::new(0)?;
/// let stream = device.stream()?;
/// let dilation = Dilation::new(Map::hw(4, 6), BlockSize::uniform(3))?;
/// let mut dilation = cuda::Dilation::new(&dilation, 100, &stream)?;
/// let source = device.upload(&vec![0_u8; 2400])?;
/// let mut destination = device.zeros::<u8>(2400)?;
/// dilation.dilate(source.slice(), destination.slice_mut())?;
/// # Ok::<(), cuda::Error>(())
/// ```
#[derive(Debug)]
pub struct Dilation {
    dilation: crate::Dilation,
    maps: usize,
    stream: Stream,
    cut: Cut,
    /// Empty where no pass needs it.
    scratch: super::Buffer<u8>,
}

/// A running maximum along one axis.
#[derive(Clone, Copy, Debug)]
struct Pass {
    len: u64,
    stride: u64,
    before: u64,
    after: u64,
}

impl Dilation {
    /// A dilation of this many maps, with the map and the block of `dilation`, whose backend is ignored.
    ///
    /// # Errors
    ///
    /// [`crate::Error::TooLarge`] if the number of positions overflows, [`Error::Map`] if a map has 2^30
    /// or more, [`Error::OutOfMemory`], [`Error::Driver`].
    pub fn new(dilation: &crate::Dilation, maps: usize, stream: &Stream) -> Result<Self, Error> {
        dilation.words(maps)?;
        check_plane(dilation.map_len())?;
        let passes = passes(dilation).count();
        let scratch = if passes > 1 { dilation.map_len() * maps } else { 0 };
        Ok(Self {
            dilation: *dilation,
            maps,
            stream: stream.clone(),
            cut: Cut::default(),
            scratch: stream.device().zeros(scratch)?,
        })
    }

    /// Sets the number of units of a tile. See [`Layer::with_tile`](super::Layer::with_tile).
    ///
    /// # Errors
    ///
    /// [`Error::Tile`].
    #[inline]
    pub fn with_tile(mut self, units: usize) -> Result<Self, Error> {
        self.cut = self.cut.with_tile(units)?;
        Ok(self)
    }

    /// Returns the number of positions of all maps together.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.dilation.map_len() * self.maps
    }

    /// Tells whether there are no positions.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of bytes that the dilation has on the device.
    #[inline]
    #[must_use]
    pub const fn device_bytes(&self) -> usize {
        self.scratch.len()
    }

    /// Dilates bytes. See [`crate::Dilation::dilate`].
    ///
    /// * `source`, `destination`: [`len`](Self::len) bytes, map by map and row by row. They must
    ///   not overlap.
    ///
    /// # Errors
    ///
    /// [`crate::Error::Length`]; [`Error::Null`], [`Error::Overlap`], [`Error::OtherDevice`];
    /// [`Error::Driver`].
    pub fn dilate(
        &mut self,
        source: Slice<'_, u8>,
        destination: SliceMut<'_, u8>,
    ) -> Result<(), Error> {
        let needed = self.len();
        let buffers = [
            (Buffer::Source, source.region(), source.len()),
            (Buffer::Destination, destination.region(), destination.len()),
        ];
        for (buffer, region, given) in buffers {
            if given != needed {
                return Err(crate::Error::Length { buffer, needed, given }.into());
            }
            check(region, 1, self.stream.inner().context().facts().ordinal)?;
        }
        let (mut from, destination) = (source.region(), destination.region());
        check_apart(from, destination)?;
        let mut left = passes(&self.dilation).count();
        if left == 0 {
            return self.stream.inner().begin()?.copy(from, destination);
        }
        for pass in passes(&self.dilation) {
            // The last one ends in the destination.
            left -= 1;
            let to =
                if left.is_multiple_of(2) { destination } else { self.scratch.slice().region() };
            self.spread(pass, from, to)?;
            from = to;
        }
        Ok(())
    }

    /// Dilates bits. See [`crate::Dilation::dilate_bits_in_place`].
    ///
    /// * `source`, `destination`: [`words`](crate::Dilation::words) words of the maps or more, row
    ///   by row without padding. They must not overlap. Bits past the last map are not read, and
    ///   cleared in `destination`.
    ///
    /// # Errors
    ///
    /// Those of [`dilate`](Self::dilate), and [`Error::Misaligned`].
    pub fn dilate_bits(
        &self,
        source: Slice<'_, u64>,
        destination: SliceMut<'_, u64>,
    ) -> Result<(), Error> {
        let needed = self.dilation.words(self.maps)?;
        let word = size_of::<u64>();
        let mut regions = [source.region(), destination.region()];
        for (region, given) in regions.iter_mut().zip([source.len(), destination.len()]) {
            let Some(part) = region.part(0, needed * word).filter(|_| given >= needed) else {
                return Err(crate::Error::Length { buffer: Buffer::Mask, needed, given }.into());
            };
            check(part, word, self.stream.inner().context().facts().ordinal)?;
            *region = part;
        }
        let [source, destination] = regions;
        check_apart(source, destination)?;
        let (map, before, after) = self.dilation.reach();
        let blocks = Blocks {
            map,
            grid: map,
            block: [0, 1, 2].map(|axis| before[axis] + after[axis] + 1),
            offset: before.map(|before| -(before as i64)),
        };
        blocks.dilate(
            &self.stream.inner().begin()?,
            self.len(),
            self.cut.tile(&self.stream, self.len(), MAX_TILE),
            source.address(),
            destination.address(),
        )
    }

    fn spread(&self, pass: Pass, from: Region<'_>, to: Region<'_>) -> Result<(), Error> {
        let call = Call::DilateBytes {
            source: from.address(),
            destination: to.address(),
            len: self.len() as u64,
            axis_len: pass.len,
            axis_stride: pass.stride,
            before: pass.before,
            after: pass.after,
        };
        let blocks = self.len().div_ceil(BYTES).min(i32::MAX as usize);
        launch(&self.stream.inner().begin()?, &call, blocks)
    }
}

/// Rows, then columns, then depth; axes along which nothing spreads are left out.
fn passes(dilation: &crate::Dilation) -> impl Iterator<Item = Pass> + use<> {
    let (map, before, after) = dilation.reach();
    [2, 1, 0].into_iter().filter(move |&axis| before[axis] + after[axis] > 0).map(move |axis| {
        Pass {
            len: map[axis] as u64,
            stride: map.iter().skip(axis + 1).product::<usize>() as u64,
            before: before[axis] as u64,
            after: after[axis] as u64,
        }
    })
}
