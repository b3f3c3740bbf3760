//! Shapes: the struct of the header, and the crate's from it.

use core::ptr;

use engine::{Layout, Map, Shape};

use crate::constants::*;
use crate::memory::Caller;
use crate::status::{Refusal, interface, listed, report};
use crate::types::*;

const LAYOUTS: [(u32, Layout); 2] = [
    (DROPBLOCK_LAYOUT_CHANNELS_FIRST, Layout::ChannelsFirst),
    (DROPBLOCK_LAYOUT_CHANNELS_LAST, Layout::ChannelsLast),
];

fn layout(number: dropblock_layout) -> Result<Layout, Refusal> {
    listed(DROPBLOCK_ARGUMENT_LAYOUT, number, &LAYOUTS)
}

/// A map of the sizes; axes that the rank leaves out have size 1.
pub(crate) fn map(rank: u32, [depth, height, width]: [usize; 3]) -> Result<Map, Refusal> {
    let refusal = |bounds, given| Refusal::outside(DROPBLOCK_ARGUMENT_MAP_RANK, bounds, given);
    match (rank, depth, height) {
        (1, 1, 1) => Ok(Map::l(width)),
        (2, 1, _) => Ok(Map::hw(height, width)),
        (3, ..) => Ok(Map::dhw(depth, height, width)),
        (1, 1, wrong) | (1 | 2, wrong, _) => Err(refusal([1, 1], wrong as u64)),
        _ => Err(refusal([1, 3], rank.into())),
    }
}

/// A map of 1 to 3 sizes in an array.
pub(crate) fn sizes(caller: &Caller<'_>, sizes: *const usize, rank: usize) -> Result<Map, Refusal> {
    let argument = DROPBLOCK_ARGUMENT_SHAPE;
    match rank {
        1 => Ok(Map::l(caller.copy(sizes, argument)?)),
        2 => {
            let [height, width] = caller.copy(sizes.cast::<[usize; 2]>(), argument)?;
            Ok(Map::hw(height, width))
        }
        3 => {
            let [depth, height, width] = caller.copy(sizes.cast::<[usize; 3]>(), argument)?;
            Ok(Map::dhw(depth, height, width))
        }
        _ => Err(Refusal::outside(DROPBLOCK_ARGUMENT_MAP_RANK, [1, 3], rank as u64)),
    }
}

/// The crate's shape.
pub(crate) fn shape(caller: &Caller<'_>, shape: *const dropblock_shape) -> Result<Shape, Refusal> {
    let shape = caller.copy(shape, DROPBLOCK_ARGUMENT_SHAPE)?;
    let map = map(shape.rank, [shape.depth, shape.height, shape.width])?;
    Ok(Shape::new(shape.samples, shape.channels, map, layout(shape.layout)?))
}

/// Writes a shape.
fn put(
    caller: &mut Caller<'_>,
    place: *mut dropblock_shape,
    shape: Shape,
    layout: dropblock_layout,
) -> Result<(), Refusal> {
    let [depth, height, width] = shape.map().size();
    caller.result(place, DROPBLOCK_ARGUMENT_SHAPE)?.write(dropblock_shape {
        rank: shape.map().rank().into(),
        layout,
        samples: shape.samples(),
        channels: shape.channels(),
        depth,
        height,
        width,
    });
    Ok(())
}

interface! {
    /// Sets a shape of any rank.
    fn dropblock_shape_init(
        caller, shape: *mut dropblock_shape, samples: usize, channels: usize, map: *const usize,
        rank: usize, layout: dropblock_layout
    ) {
        let map = sizes(caller, map, rank)?;
        let new = Shape::new(samples, channels, map, self::layout(layout)?);
        put(caller, shape, new, layout)?;
    }
}

macro_rules! shapes {
    ($($function:ident = $new:ident($($size:ident),*), $layout:ident;)*) => {
        $(
            /// Sets a shape of one rank and layout.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $function(
                shape: *mut dropblock_shape,
                $($size: usize,)*
            ) -> dropblock_status {
                let new = Shape::$new($($size),*);
                // SAFETY: the caller vouches for `shape`.
                unsafe { report(ptr::null_mut(), |caller| put(caller, shape, new, $layout)) }
            }
        )*

        /// The functions and their sizes, to be compared with the header.
        #[cfg(test)]
        pub(crate) const SHAPES: &[(&str, &[&str])] =
            &[$((stringify!($function), &[$(stringify!($size)),*])),*];
    };
}

shapes! {
    dropblock_shape_ncl = ncl(samples, channels, length), DROPBLOCK_LAYOUT_CHANNELS_FIRST;
    dropblock_shape_nlc = nlc(samples, length, channels), DROPBLOCK_LAYOUT_CHANNELS_LAST;
    dropblock_shape_nchw = nchw(samples, channels, height, width), DROPBLOCK_LAYOUT_CHANNELS_FIRST;
    dropblock_shape_nhwc = nhwc(samples, height, width, channels), DROPBLOCK_LAYOUT_CHANNELS_LAST;
    dropblock_shape_ncdhw = ncdhw(samples, channels, depth, height, width),
        DROPBLOCK_LAYOUT_CHANNELS_FIRST;
    dropblock_shape_ndhwc = ndhwc(samples, depth, height, width, channels),
        DROPBLOCK_LAYOUT_CHANNELS_LAST;
}
