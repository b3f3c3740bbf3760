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
    for (i, &value) in source.iter().enumerate() {
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
        let dilation = Dilation::aligned(map, size, alignment)
            .and_then(|dilation| dilation.with_backend(backend))
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
        let len = map.len().unwrap_or(0);
        prop_assume!(len * planes * block.iter().product::<usize>() < 4_000_000);
        let mut state = seed;
        let source: Vec<u8> = (0..len * planes)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                // One value in eight is not 0.
                if state >> 61 == 0 { (state >> 40) as u8 } else { 0 }
            })
            .collect();
        check(map, block, alignment, &source);
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
