//! Fixed configurations: the same list for the check on a device, for the tests and for the file
//! of their hashes, `tests/vectors/hashes.txt`. Never change one; add at the end.

use dropblock::{
    Alignment, BlockSize, DropBlock, Error, Fill, Gamma, Key, Layout, Map, Region, Scale, Shape,
    Sharing,
};

use crate::{Case, Numbers, Source};

/// The number of configurations.
pub const COUNT: usize = 200;

/// One configuration, drawn from its number: all options of the crate, maps of every rank with up to
/// some 100 000 units.
pub fn case(number: usize) -> Result<Case, Error> {
    let mut draw = Numbers(number as u64);
    let map = match draw.below(8) {
        0 => Map::l(1 + draw.below(5000)),
        1 => Map::dhw(1 + draw.below(8), 1 + draw.below(30), 1 + draw.below(40)),
        2 => Map::hw(100 + draw.below(200), 90 + draw.below(150)),
        3 => Map::hw(7, 7),
        4 => Map::hw(14, 14),
        5 => Map::hw(1 + draw.below(70), 1 + draw.below(70)),
        _ => Map::hw(20 + draw.below(40), 20 + draw.below(40)),
    };
    let plane = map.len().unwrap_or(0).max(1);
    let samples = 1 + draw.below(4);
    let channels = 1 + draw.below((60_000 / plane / samples).clamp(1, 40));
    let block = match draw.below(5) {
        0 => BlockSize::uniform(1),
        1 => BlockSize::uniform(2 + 2 * draw.below(6)),
        2 => BlockSize::uniform(1 + draw.below(80)),
        _ => BlockSize::uniform(3 + 2 * draw.below(4)),
    };
    let drop_prob = [0.01, 0.1, 0.1, 0.25, 0.5, 0.9, 1.0][draw.below(7)];
    let gamma = match draw.below(4) {
        0 => Gamma::Exact,
        1 => Gamma::Raw([0.0, 1e-4, 0.01, 0.3, 1.0][draw.below(5)]),
        _ => Gamma::Paper { scale: 1.0 },
    };
    let scales = [
        Scale::PerTensor,
        Scale::PerTensor,
        Scale::PerSample,
        Scale::PerMap,
        Scale::Fixed,
        Scale::Off,
        Scale::PerPosition,
    ];
    let sharing = [
        Sharing::None,
        Sharing::None,
        Sharing::OverChannels,
        Sharing::OverSamples,
        Sharing::OverAll,
    ];
    let layer = DropBlock::new(1, drop_prob)?
        .with_block_size(block)?
        .with_gamma(gamma)?
        .with_region([Region::Valid, Region::Full][draw.below(2)])
        .with_alignment([Alignment::Before, Alignment::After][draw.below(2)])
        .with_sharing(sharing[draw.below(sharing.len())])
        .with_scale(scales[draw.below(scales.len())])
        .with_fill([Fill::Zero, Fill::Zero, Fill::Noise][draw.below(3)]);
    let first = Shape::new(samples, channels, map, Layout::ChannelsFirst);
    let (shape, strides) = match draw.below(4) {
        0 => (Shape::new(samples, channels, map, Layout::ChannelsLast), None),
        1 => (first, Some(padded(channels, map))),
        _ => (first, None),
    };
    let first_sample = [0, 0, 5, 1_000_000_007][draw.below(4)];
    let key = Key::new(draw.word()).with_step(draw.word() % 1000).with_layer(draw.word() % 50);
    let case = Case::new(layer, shape, key.with_first_sample(first_sample));
    Ok(case.with_strides(strides))
}

/// The strides of a view: rows with three elements between them.
fn padded(channels: usize, map: Map) -> [isize; 5] {
    let [depth, height, width] = map.size();
    let row = width + 3;
    let plane = depth * height * row;
    [channels * plane, plane, height * row, row, 1].map(|stride| stride as isize)
}
