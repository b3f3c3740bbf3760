//! Paths of the kernels that cases drawn at random seldom reach, each on purpose.

use dropblock::cuda::Error;
use dropblock::{
    Alignment, BlockSize, DropBlock, Fill, Gamma, Key, Layout, Map, Region, Scale, Shape, Sharing,
};

use crate::case::Case;
use crate::gpu_check::{Launch, Type, check};

const ALL: [Type; 4] = [Type::F32, Type::F64, Type::F16, Type::Bf16];

/// A tensor, or a view with these strides.
type Tensor = (Shape, Option<[isize; 5]>);

fn case(layer: DropBlock, (shape, strides): Tensor) -> Case {
    Case::new(layer, shape, Key::new(7).with_step(2)).with_strides(strides)
}

/// A first sample far on, with noise.
fn later(layer: DropBlock, (shape, strides): Tensor, first_sample: u64) -> Case {
    let key = Key::new(3).with_layer(4).with_first_sample(first_sample);
    Case::new(layer.with_fill(Fill::Noise), shape, key).with_strides(strides)
}

fn layer(block: BlockSize, gamma: Gamma) -> Result<DropBlock, dropblock::Error> {
    DropBlock::new(1, 0.3)?.with_block_size(block)?.with_gamma(gamma)
}

/// More groups in a tile than it has counters or room for scales, shorter than a vector, or longer
/// so that a border is in it; side by side or not.
#[test]
fn tiles_of_many_groups() -> Result<(), Error> {
    let single = layer(BlockSize::uniform(1), Gamma::Paper { scale: 1.0 })?;
    let channels = single.with_scale(Scale::PerMap);
    for of in ALL {
        for (map, planes) in [(3, 4400), (5, 2300), (9, 1100)] {
            let shape = Shape::new(1, planes, Map::hw(1, map), Layout::ChannelsFirst);
            check(&case(channels, (shape, None)), Launch::new(5, 16_384), of)?;
        }
        let apart = Shape::new(1, 4400, Map::hw(1, 2), Layout::ChannelsFirst);
        let apart = (apart, Some([0, 3, 0, 0, 1]));
        check(&case(channels, apart), Launch::new(13, 16_384), of)?;
        // Few enough for the room.
        let apart = Shape::new(2, 700, Map::hw(1, 2), Layout::ChannelsFirst);
        let apart = (apart, Some([2100, 3, 0, 0, 1]));
        check(&case(channels, apart), Launch::new(3, 1024), of)?;
        let samples = single.with_scale(Scale::PerSample);
        check(&case(samples, (Shape::nchw(700, 2, 1, 3), None)), Launch::new(2, 4096), of)?;
    }
    Ok(())
}

/// Groups, planes and axes that are longer than any tile.
#[test]
fn lines_longer_than_tiles() -> Result<(), Error> {
    let layer = layer(BlockSize::uniform(3), Gamma::Paper { scale: 1.0 })?;
    let line = Shape::new(1, 1, Map::l(66_001), Layout::ChannelsFirst);
    let by_position = layer.with_scale(Scale::PerPosition);
    check(&case(by_position, (line, None)), Launch::new(13, 65_536), Type::F16)?;
    let apart = Shape::new(2, 1, Map::l(66_001), Layout::ChannelsFirst);
    let apart = (apart, Some([66_008, 0, 0, 0, 1]));
    check(&case(layer.with_scale(Scale::PerMap), apart), Launch::new(5, 65_536), Type::F32)
}

/// More centres than the list has room for, so that all wait again and again.
#[test]
fn full_lists_of_centres() -> Result<(), Error> {
    let shapes = [Shape::nchw(2, 1, 57, 61), Shape::ncdhw(1, 3, 7, 13, 15)];
    for (i, shape) in shapes.into_iter().enumerate() {
        for (j, gamma) in [0.06, 0.4, 0.95].into_iter().enumerate() {
            for block in [1, 2, 5] {
                let layer = layer(BlockSize::uniform(block), Gamma::Raw(gamma))?;
                let layer = layer.with_region(if i == j { Region::Full } else { Region::Valid });
                let of = ALL[(i + j + block) % 4];
                let lanes = [1, 5, 32][(i + j + block) % 3];
                let fixed = layer.with_scale(Scale::Fixed);
                check(&case(fixed, (shape, None)), Launch::new(lanes, 8192), of)?;
            }
        }
    }
    Ok(())
}

/// Blocks with more rows than a tile meets, in one plane and across planes, cut at all borders.
#[test]
fn tiles_smaller_than_blocks() -> Result<(), Error> {
    let shapes = [
        (Shape::nchw(2, 2, 70, 33), BlockSize::hw(40, 3)),
        (Shape::nchw(2, 3, 40, 2), BlockSize::hw(39, 1)),
        (Shape::ncdhw(2, 3, 5, 5, 3), BlockSize::dhw(4, 5, 2)),
        (Shape::ncdhw(1, 2, 6, 20, 9), BlockSize::dhw(5, 17, 3)),
        (Shape::ncdhw(2, 2, 9, 3, 70), BlockSize::dhw(6, 2, 66)),
    ];
    let mut number = 0;
    for (shape, block) in shapes {
        for region in [Region::Valid, Region::Full] {
            for alignment in [Alignment::Before, Alignment::After] {
                number += 1;
                let layer = layer(block, Gamma::Paper { scale: 1.0 })?
                    .with_region(region)
                    .with_alignment(alignment)
                    .with_scale([Scale::Fixed, Scale::PerPosition, Scale::PerSample][number % 3]);
                let (lanes, tile) = [(1, 64), (2, 128), (5, 64), (13, 192)][number % 4];
                check(&case(layer, (shape, None)), Launch::new(lanes, tile), ALL[number / 2 % 4])?;
            }
        }
    }
    Ok(())
}

/// Samples far on: positions, segments and noise numbers beyond 32 bits.
#[test]
fn samples_far_on() -> Result<(), Error> {
    let layer = layer(BlockSize::uniform(3), Gamma::Exact)?;
    let shapes = [
        ((Shape::nchw(2, 3, 19, 23), None), Sharing::None),
        ((Shape::nhwc(2, 9, 11, 5), None), Sharing::OverChannels),
        ((Shape::nchw(3, 2, 11, 13), Some([900, 300, 0, 20, 1])), Sharing::None),
        ((Shape::nhwc(2, 9, 11, 16), None), Sharing::OverSamples),
    ];
    for (i, (shape, sharing)) in shapes.into_iter().enumerate() {
        for (j, first) in [1 << 24, (1 << 40) + 1, (1 << 52) + 12_345].into_iter().enumerate() {
            let layer = layer.with_sharing(sharing).with_scale(Scale::Fixed);
            let (lanes, tile) = [(1, 256), (5, 4096), (9, 64)][j];
            check(&later(layer, shape, first), Launch::new(lanes, tile), ALL[(i + j) % 4])?;
        }
    }
    Ok(())
}

/// Views whose elements lie side by side in vectors, in rows of vectors, or not: by one axis, by
/// all but one, reversed orders, channels last of every width.
#[test]
fn views_of_every_kind() -> Result<(), Error> {
    let view = |n, c, h, w, strides| (Shape::nchw(n, c, h, w), Some(strides));
    let shapes = [
        // Dense in memory, but in another order than the units.
        view(3, 4, 8, 8, [64, 192, 0, 8, 1]),
        view(2, 5, 6, 16, [480, 16, 0, 80, 1]),
        view(2, 3, 16, 8, [384, 128, 0, 1, 16]),
        // Rows of whole vectors, rows that end within one, and rows that begin within one.
        view(2, 3, 9, 16, [3 * 9 * 24 + 16, 9 * 24, 0, 24, 1]),
        view(2, 3, 9, 20, [3 * 9 * 24 + 16, 9 * 24, 0, 24, 1]),
        view(2, 3, 9, 16, [3 * 9 * 20, 9 * 20, 0, 20, 1]),
        view(2, 3, 9, 16, [3 * 9 * 16 + 1, 9 * 16, 0, 16, 1]),
        // Planes apart, elements apart.
        view(2, 3, 7, 8, [3 * 64 + 64, 64, 0, 8, 1]),
        view(3, 2, 5, 6, [2000, 600, 0, 100, 3]),
        (Shape::nhwc(2, 9, 10, 8), None),
        (Shape::nhwc(1, 9, 10, 33), None),
        (Shape::nhwc(3, 5, 7, 4), Some([5 * 7 * 6, 1, 0, 7 * 6, 6])),
    ];
    let scales =
        [Scale::Fixed, Scale::PerTensor, Scale::PerSample, Scale::PerMap, Scale::PerPosition];
    let layer = layer(BlockSize::uniform(3), Gamma::Paper { scale: 1.0 })?;
    for (i, shape) in shapes.into_iter().enumerate() {
        for (j, &sharing) in Sharing::ALL.iter().enumerate() {
            // In turn, so that all meet.
            let number = 4 * i + j;
            let layer = layer.with_sharing(sharing).with_scale(scales[(i + 3 * j) % 5]);
            let of = ALL[(i + number / 16 + 2 * j) % 4];
            let (lanes, tile) = [(2, 192), (13, 2048), (3, 65_536)][number % 3];
            let offset = usize::from(number % 7 == 6);
            let launch = Launch { offset, ..Launch::new(lanes, tile) };
            if number % 3 == 0 {
                check(&later(layer, shape, 5), launch, of)?;
            } else {
                check(&case(layer, shape), launch, of)?;
            }
        }
    }
    Ok(())
}

/// Channels last, in more groups of 32 than one, whole or not, at the end of a plane and before it.
#[test]
fn channels_last_of_every_width() -> Result<(), Error> {
    let layer = layer(BlockSize::uniform(3), Gamma::Paper { scale: 1.0 })?;
    for (i, channels) in [8, 24, 32, 40, 64, 104].into_iter().enumerate() {
        for (j, of) in [Type::F32, Type::F16, Type::Bf16].into_iter().enumerate() {
            let scale = [Scale::Fixed, Scale::PerTensor][(i + j) % 2];
            let shape = (Shape::nhwc(2, 5, 7 + i, channels), None);
            check(&case(layer.with_scale(scale), shape), Launch::new(3, 4096), of)?;
        }
    }
    Ok(())
}
