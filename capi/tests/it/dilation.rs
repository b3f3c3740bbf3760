//! Dilation alone does what the crate does.

use core::ptr::null_mut;

use engine::{Alignment, BlockSize, Dilation, Map};
use proptest::prelude::*;

use crate::constants::*;
use crate::dilation::*;
use crate::options::uniform;
use crate::types::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn bytes_and_bits_are_what_the_crate_gives(
        (rank, [depth, height, width]) in prop_oneof![
            (1..200_usize).prop_map(|w| (1, [1, 1, w])),
            (1..20_usize, 1..70_usize).prop_map(|(h, w)| (2, [1, h, w])),
            (1..5_usize, 1..9_usize, 1..20_usize).prop_map(|(d, h, w)| (3, [d, h, w])),
        ],
        block in 1..9_usize,
        (alignment, axes, maps) in (0..3_u32, 0..3_u32, 0..4_usize),
        bytes in prop::collection::vec(prop_oneof![9 => Just(0_u8), 1 => any::<u8>()], 5000),
    ) {
        let dilation = dropblock_dilation {
            rank, axes, alignment, backend: 0, depth, height, width, block: uniform(block),
        };
        let map = match rank {
            1 => Map::l(width),
            2 => Map::hw(height, width),
            _ => Map::dhw(depth, height, width),
        };
        let side = [Alignment::Before, Alignment::Before, Alignment::After][alignment as usize];
        let ours = Dilation::new(map, BlockSize::uniform(block)).map(|d| d.with_alignment(side));
        let Ok(ours) = ours else { panic!("{dilation:?}") };

        let len = ours.map_len() * maps;
        let source: Vec<u8> = bytes.iter().copied().cycle().take(len).collect();
        let mut expected = source.clone();
        let done = match axes {
            DROPBLOCK_AXES_ALL => ours.dilate_in_place(&mut expected),
            DROPBLOCK_AXES_ROWS => ours.dilate_rows_in_place(&mut expected),
            _ => ours.dilate_cols_in_place(&mut expected),
        };
        prop_assert!(done.is_ok());
        let (mut to, mut here) = (vec![9; len], source.clone());
        let (at, to_at, here_at) = (source.as_ptr(), to.as_mut_ptr(), here.as_mut_ptr());
        // SAFETY: pointers and lengths are those of buffers here.
        let status = unsafe {
            dropblock_dilate_bytes(&raw const dilation, at, len, to_at, len, null_mut())
        };
        prop_assert_eq!(status, DROPBLOCK_OK);
        // SAFETY: the same.
        let status = unsafe {
            dropblock_dilate_bytes(&raw const dilation, here_at, len, here_at, len, null_mut())
        };
        prop_assert_eq!(status, DROPBLOCK_OK);
        prop_assert_eq!(&expected, &to);
        prop_assert_eq!(&expected, &here);

        let mut words = 0;
        // SAFETY: the same.
        let status = unsafe {
            dropblock_dilation_words(&raw const dilation, maps, &raw mut words, null_mut())
        };
        prop_assert_eq!((status, Ok(words)), (DROPBLOCK_OK, ours.words(maps)));
        let mut expected = vec![0_u64; words];
        for (i, _) in source.iter().enumerate().filter(|&(_, &byte)| byte != 0) {
            expected[i / 64] |= 1 << (i % 64);
        }
        let mut bits = expected.clone();
        let done = match axes {
            DROPBLOCK_AXES_ALL => ours.dilate_bits_in_place(maps, &mut expected),
            DROPBLOCK_AXES_ROWS => ours.dilate_bit_rows_in_place(maps, &mut expected),
            _ => ours.dilate_bit_cols_in_place(maps, &mut expected),
        };
        prop_assert!(done.is_ok());
        let bits_at = bits.as_mut_ptr();
        // SAFETY: the same.
        let status = unsafe {
            dropblock_dilate_bits(&raw const dilation, maps, bits_at, words, null_mut())
        };
        prop_assert_eq!((status, bits), (DROPBLOCK_OK, expected));
    }
}
