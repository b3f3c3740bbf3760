//! Dilation of bytes and of bits against a naive loop over all centres and their blocks.
#![no_main]

use arbitrary::Arbitrary;
use dropblock::{Alignment, Backend, BlockSize, Dilation, Error};
use dropblock_cases::{SmallMap, pack};
use dropblock_fuzz::chance;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    map: SmallMap,
    block: [u16; 3],
    after: bool,
    maps: u8,
    /// Values other than 0: where, and what.
    values: Vec<(u16, u8)>,
    /// What lies in the bits past the maps.
    past: u64,
}

fuzz_target!(|input: Input| {
    let SmallMap(map) = input.map;
    let rank = usize::from(map.rank());
    let uniform = rank == 1 || input.block[0] % 3 == 0;
    let block: [usize; 3] = std::array::from_fn(|axis| {
        if axis + rank < 3 { 1 } else { usize::from(input.block[if uniform { 2 } else { axis }]) }
    });
    let size = match (uniform, rank) {
        (false, 2) => BlockSize::hw(block[1], block[2]),
        (false, _) => BlockSize::dhw(block[0], block[1], block[2]),
        _ => BlockSize::uniform(block[2]),
    };
    let alignment = if input.after { Alignment::After } else { Alignment::Before };
    let dilation = Dilation::new(map, size).map(|dilation| dilation.with_alignment(alignment));
    assert_eq!(dilation.is_ok(), !block.contains(&0), "{input:?}");
    let Ok(dilation) = dilation else { return };

    let map_len = dilation.map_len();
    let maps = (usize::from(input.maps) % 5).min(1500 / map_len.max(1)).max(1);
    let mut source = vec![0; map_len * maps];
    for &(place, value) in input.values.iter().take(64) {
        // More places than numbers in the input.
        let place = chance(0, place.into()) as usize;
        if !source.is_empty() {
            let place = place % source.len();
            source[place] = value;
        }
    }
    let expected = naive(map.size(), block, alignment, &source);
    for backend in Backend::available() {
        if let Err(error) = check(&dilation, backend, maps, &source, &expected, input.past) {
            panic!("{error}: {backend} {input:?}");
        }
    }
});

/// Each value is written to all positions of its centre's block that lie in its map.
fn naive(size: [usize; 3], block: [usize; 3], alignment: Alignment, source: &[u8]) -> Vec<u8> {
    let [depth, height, width] = size;
    let mut result = vec![0; source.len()];
    let range = |axis: usize, center: usize| {
        let longer = block[axis] / 2;
        let shorter = (block[axis] - 1) / 2;
        let (before, after) = match alignment {
            Alignment::Before => (longer, shorter),
            Alignment::After => (shorter, longer),
        };
        center.saturating_sub(before)..(center + after + 1).min(size[axis])
    };
    for (i, &value) in source.iter().enumerate().filter(|(_, value)| **value > 0) {
        let plane = i / (depth * height * width);
        for d in range(0, i / (height * width) % depth) {
            for h in range(1, i / width % height) {
                for w in range(2, i % width) {
                    let cell = &mut result[((plane * depth + d) * height + h) * width + w];
                    *cell = value.max(*cell);
                }
            }
        }
    }
    result
}

fn check(
    dilation: &Dilation,
    backend: Backend,
    maps: usize,
    source: &[u8],
    expected: &[u8],
    past: u64,
) -> Result<(), Error> {
    let dilation = dilation.with_backend(backend)?;
    let mut result = vec![77; source.len()];
    dilation.dilate(source, &mut result)?;
    assert_eq!(result, expected, "out of place");
    result.copy_from_slice(source);
    dilation.dilate_in_place(&mut result)?;
    assert_eq!(result, expected, "in place");
    result.copy_from_slice(source);
    dilation.dilate_cols_in_place(&mut result)?;
    dilation.dilate_rows_in_place(&mut result)?;
    assert_eq!(result, expected, "columns before rows");

    // One bit of the values at a time would do; the lowest is as good as any other, but the
    // dilation of a bit is not the bit of a dilation, so that bits are compared as set or not.
    let set = |bytes: &[u8]| pack(&bytes.iter().map(|&byte| byte > 0).collect::<Vec<_>>());
    let with_past = |mut words: Vec<u64>| {
        if source.len() % 64 > 0
            && let Some(last) = words.last_mut()
        {
            *last |= past << (source.len() % 64);
        }
        words.push(past);
        words
    };
    let (mut bits, expected) = (with_past(set(source)), with_past(set(expected)));
    let before = bits.clone();
    dilation.dilate_bits_in_place(maps, &mut bits)?;
    assert_eq!(bits, expected, "bits");
    bits.copy_from_slice(&before);
    dilation.dilate_bit_cols_in_place(maps, &mut bits)?;
    dilation.dilate_bit_rows_in_place(maps, &mut bits)?;
    assert_eq!(bits, expected, "bits, columns before rows");

    // A wrong length: an error, and nothing written.
    let mut long = vec![9; source.len() + 1];
    if dilation.map_len() != 1 {
        assert!(dilation.dilate_in_place(&mut long).is_err());
    }
    assert!(dilation.dilate(source, &mut long).is_err());
    assert!(long.iter().all(|&byte| byte == 9));
    Ok(())
}
