//! Dilation as a primitive of its own, against a literal maximum over all centres.

use dropblock::{Alignment, Backend, BlockSize, Dilation, Map};
use proptest::prelude::*;

use crate::case::{guarded_words, maps, pack};
use crate::suite::cases;

/// The literal dilation: each value is written to all positions of its centre's block.
fn expected(map: Map, block: [usize; 3], alignment: Alignment, source: &[u8]) -> Vec<u8> {
    let size = map.size();
    let before = block.map(|k| match alignment {
        Alignment::Before => k / 2,
        Alignment::After => (k - 1) / 2,
    });
    let mut result = vec![0; source.len()];
    for (i, &value) in source.iter().enumerate().filter(|(_, value)| **value > 0) {
        let (w, h, d) = (i % size[2], i / size[2] % size[1], i / (size[2] * size[1]) % size[0]);
        let plane = i / (size[0] * size[1] * size[2]);
        let covered = |axis: usize, center: usize| {
            let start = center as isize - before[axis] as isize;
            (start..start + block[axis] as isize)
                .filter(move |&i| 0 <= i && i < size[axis] as isize)
                .map(|i| i as usize)
        };
        for d in covered(0, d) {
            for h in covered(1, h) {
                for w in covered(2, w) {
                    let cell = &mut result[((plane * size[0] + d) * size[1] + h) * size[2] + w];
                    *cell = value.max(*cell);
                }
            }
        }
    }
    result
}

fn check(map: Map, block: [usize; 3], alignment: Alignment, source: &[u8]) {
    let size = match map.rank() {
        1 => BlockSize::uniform(block[2]),
        2 => BlockSize::hw(block[1], block[2]),
        _ => BlockSize::dhw(block[0], block[1], block[2]),
    };
    let block: [usize; 3] =
        std::array::from_fn(
            |axis| if axis + usize::from(map.rank()) < 3 { 1 } else { block[axis] },
        );
    let expected = expected(map, block, alignment, source);
    for backend in Backend::available() {
        let dilation = Dilation::new(map, size)
            .and_then(|dilation| dilation.with_alignment(alignment).with_backend(backend))
            .unwrap_or_else(|error| panic!("{error}"));
        let what = format!("{backend} {map:?} {block:?} {alignment:?}");

        let mut result = vec![77; source.len()];
        assert_eq!(dilation.dilate(source, &mut result), Ok(()), "{what}");
        assert_eq!(result, expected, "{what}");
        let mut by_axis = source.to_vec();
        assert_eq!(dilation.dilate_cols_in_place(&mut by_axis), Ok(()));
        assert_eq!(dilation.dilate_rows_in_place(&mut by_axis), Ok(()));
        assert_eq!(by_axis, expected, "columns before rows, {what}");

        // Bits: 200 and more counts as set. Bits past the last map must survive.
        let set = |bytes: &[u8]| bytes.iter().map(|&byte| byte >= 200).collect::<Vec<_>>();
        let past = |mut words: Vec<u64>| {
            if let (Some(last), rest @ 1..) = (words.last_mut(), source.len() % 64) {
                *last |= !0 << rest;
            }
            words
        };
        let source_bits = past(pack(&set(source)));
        let (bits, result) = guarded_words(source_bits.len(), |bits| {
            bits.copy_from_slice(&source_bits);
            let planes = source.len().checked_div(dilation.map_len()).unwrap_or(0);
            dilation.dilate_bits_in_place(planes, bits)
        });
        assert_eq!(result, Ok(()));
        assert_eq!(bits, past(pack(&set(&expected))), "bits, {what}");
    }
}

/// Values of which one in `per` is not 0; half of those count as a set bit.
fn sparse(len: usize, per: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize
    };
    let value = |random: usize| (if random & 1 == 0 { 255 } else { random / 2 % 256 }) as u8;
    (0..len).map(|_| if next().is_multiple_of(per) { value(next() / 64) } else { 0 }).collect()
}

/// A source in which about every other position is covered by some block.
fn check_sparse(size: [usize; 3], block: [usize; 3], planes: usize, seed: usize) {
    let map = Map::dhw(size[0], size[1], size[2]);
    let alignment = [Alignment::Before, Alignment::After][seed / 3 % 2];
    let volume: usize = block.iter().zip(size).map(|(&k, size)| k.min(size)).product();
    let len = size.iter().product::<usize>() * planes;
    check(map, block, alignment, &sparse(len, volume + 1, seed as u64));
}

fn alignments() -> impl Strategy<Value = Alignment> {
    prop_oneof![Just(Alignment::Before), Just(Alignment::After)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn dilates_every_rank(
        map in maps(),
        block in prop::array::uniform3(prop_oneof![4 => 1..6_usize, 1 => 6..70_usize]),
        alignment in alignments(),
        planes in 0..4_usize,
        seed in any::<u64>(),
    ) {
        // So many maps that the literal dilation takes no more than a moment. In 64 bits, as the
        // product is more than a `usize` of 32 bits holds.
        let len = map.len().unwrap_or(0);
        let writes = block.iter().fold(len as u64, |writes, &k| writes * k as u64);
        let planes = planes.min(4_000_000_u64.checked_div(writes).unwrap_or(3) as usize);
        check(map, block, alignment, &sparse(len * planes, 8, seed));
    }
}

/// Every width around words and vectors, with reaches around them; asymmetric where even.
#[test]
fn all_widths() {
    let blocks: Vec<usize> = (0..=9_usize)
        .chain([31, 63, 64, 65, 127, 511])
        .flat_map(|reach| [(2 * reach).max(1), 2 * reach + 1])
        .collect();
    let heights = [1, 2, 3, 4, 5, 64];
    let widths =
        (1..=130).chain([191, 192, 193, 255, 256, 257, 447, 448, 511, 512, 513, 1023, 1024]);
    let mut case = 0;
    for width in widths {
        for _ in 0..8 {
            // Steps that share no divisor with the numbers of choices.
            let block = [5, 7, 11].map(|step| blocks[case * step % blocks.len()]);
            let size = [case / 7 % 3 + 1, heights[case / 5 % heights.len()], width];
            let planes = (20_000 / size.iter().product::<usize>()).clamp(1, 2 + case % 4);
            check_sparse(size, block, planes, case);
            case += 1;
        }
    }
}

/// Maps, rows and slices that are longer than what stays in a cache.
#[test]
fn large_maps() {
    for (case, size) in [
        [1, 192, 448],
        [1, 130, 513],
        [1, 1, 40_001],
        [1, 3, 20_000],
        [1, 20_000, 3],
        [1, 9000, 1],
        [70, 40, 64],
        [20_000, 1, 1],
        [3, 30, 1024],
        [1, 1100, 1024],
        [1, 2, 600_000],
    ]
    .into_iter()
    .enumerate()
    {
        for (other, block) in
            [[3, 7, 7], [2, 64, 5], [130, 511, 1], [6, 40, 129]].iter().enumerate()
        {
            let len: usize = size.iter().product();
            check_sparse(size, *block, if len < 100_000 { 2 } else { 1 }, case + other);
        }
    }
}

/// Blocks of every height up to 9, with more rows and fewer than the map has.
#[test]
fn columns_of_large_maps() {
    for (case, size) in [[1, 1100, 1024], [2, 513, 2051], [1, 5, 300_000]].into_iter().enumerate() {
        for height in 2..=9 {
            check_sparse(size, [2, height, 3], 1, case + height);
        }
    }
}

/// Lines around the lengths of vectors, of the masks of their borders and of tiles, side by side and
/// one behind the other. Dense values, so that each border shows.
#[test]
fn lines_of_all_lengths() {
    let blocks = [2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 17, 18, 31, 32, 33, 34, 40, 66];
    let lengths = [
        16, 19, 31, 33, 64, 100, 127, 128, 129, 255, 257, 340, 511, 1024, 2700, 8192, 16_383,
        16_385,
    ];
    let mut case = 0;
    for stride in [1, 3, 15, 16, 17, 48, 65, 130] {
        for length in lengths {
            // As many positions, or as many bytes.
            for height in [length / stride, length / stride, 40, 40] {
                let block = blocks[case * 5 % blocks.len()];
                let alignment = [Alignment::Before, Alignment::After][case / 7 % 2];
                let (map, block) = if stride == 1 {
                    (Map::hw(1, length), [1, 1, block])
                } else {
                    (Map::hw(height.max(1), stride), [1, block, 1 + case % 3])
                };
                let len = map.len().unwrap_or(0);
                let maps = if len < 2000 { 20 } else { 2 };
                check(map, block, alignment, &sparse(len * maps, 1, case as u64));
                case += 1;
            }
        }
    }
}

#[test]
fn all_small_maps() {
    // All maps of 3 x 4 bits, two behind one another; `DROPBLOCK_EXHAUSTIVE` adds 4 x 5.
    let sizes = if std::env::var_os("DROPBLOCK_EXHAUSTIVE").is_some() {
        &[(3, 4), (4, 5)][..]
    } else {
        &[(3, 4)]
    };
    for &(height, width) in sizes {
        let units = height * width;
        for bits in 0..1_u32 << units {
            let source: Vec<u8> = (0..2 * units)
                .map(|i| if bits >> (i % units) & 1 == 1 { 255 } else { 0 })
                .collect();
            // Each map meets one block and alignment; all maps together meet all of them.
            let choice = (bits.wrapping_mul(0x9e37_79b9) >> 16) as usize;
            let block = [1, choice % 5 + 1, choice / 5 % 6 + 1];
            let alignment = [Alignment::Before, Alignment::After][choice / 30 % 2];
            check(Map::hw(height, width), block, alignment, &source);
        }
    }
}
