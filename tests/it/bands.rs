//! Channels that lie side by side. If their masks do not fit in a tile, passes without a buffer draw bands
//! of some positions, and must give what passes with a mask give.

use dropblock::{
    Alignment, Backend, BlockSize, Drawn, DropBlock, Error, Fill, Gamma, Key, Plan, Region, Scale,
    Shape, Sharing,
};

use crate::case::Case;
use crate::suite;

/// Samples, depth, height, width and channels. Tiles of AVX2 and AVX-512 hold 16 planes of up to 16384
/// units, those of other backends of up to 1024.
const SHAPES: [[usize; 5]; 6] = [
    [1, 1, 131, 129, 18],
    [2, 1, 37, 41, 35],
    // More maps than are counted at a time.
    [1, 1, 33, 32, 259],
    [1, 9, 17, 13, 20],
    // Fewer channels than a cache line has elements, and too many for their bits to be turned at once.
    [2, 1, 150, 140, 3],
    [1, 1, 1, 2000, 65],
];

fn check(plan: &Plan) -> Result<(), Error> {
    // Segments begin inside planes.
    let key = Key::new(5).with_step(3).with_first_sample(7);
    let mut words = vec![0; plan.mask_words()];
    let x: Vec<f32> = (0..plan.elements()).map(|i| i as f32 - 1000.0).collect();
    let mask = plan.draw(key, &mut words)?;

    let (mut expected, mut y) = (x.clone(), x.clone());
    mask.forward_in_place(&mut expected)?;
    let drawn = plan.forward_in_place(key, &mut y)?;
    assert_eq!(drawn.count(), Some(mask.count()), "{plan:?}");
    assert!(y == expected, "forward: {plan:?}");

    y.fill(f32::NAN);
    plan.forward(key, &x, &mut y)?;
    assert!(y == expected, "out of place: {plan:?}");

    let (mut expected, mut y) = (x.clone(), x.clone());
    mask.backward_in_place(&mut expected)?;
    plan.backward_in_place(Drawn::from(key).with_count(mask.count()), &mut y)?;
    assert!(y == expected, "backward: {plan:?}");

    let (mut expected, mut y) = (x.clone(), x);
    mask.drop_only(&mut expected, -3.0)?;
    plan.drop_only(key, &mut y, -3.0)?;
    assert!(y == expected, "drop only: {plan:?}");
    Ok(())
}

#[test]
fn bands_equal_whole_masks() -> Result<(), Error> {
    for backend in Backend::available() {
        for [samples, depth, height, width, channels] in SHAPES {
            let shape = Shape::ndhwc(samples, depth, height, width, channels);
            for region in [Region::Valid, Region::Full] {
                for &sharing in Sharing::ALL {
                    for &scale in Scale::ALL {
                        let layer = DropBlock::new(1, 0.2)?
                            .with_block_size(BlockSize::dhw(3, 5, 4))?
                            .with_region(region)
                            .with_sharing(sharing)
                            .with_scale(scale)
                            .with_backend(backend)?;
                        check(&layer.plan(shape)?)?;
                    }
                }
            }
            let noise = DropBlock::new(3, 0.1)?.with_fill(Fill::Noise).with_backend(backend)?;
            check(&noise.plan(shape)?)?;
        }
    }
    Ok(())
}

/// Blocks that are set in each way that there is, in bands whose planes are drawn side by side.
#[test]
fn bands_with_all_blocks_equal_whole_masks() -> Result<(), Error> {
    let wide = Shape::nhwc(1, 83, 80, 64);
    let deep = Shape::ndhwc(1, 41, 12, 11, 66);
    let blocks = [
        (wide, BlockSize::hw(1, 1), 0.6),
        (wide, BlockSize::hw(2, 3), 0.1),
        (wide, BlockSize::hw(7, 7), 0.1),
        (wide, BlockSize::hw(7, 7), 0.7),
        (wide, BlockSize::hw(15, 4), 0.1),
        (wide, BlockSize::hw(20, 31), 0.2),
        (wide, BlockSize::hw(3, 80), 0.1),
        (deep, BlockSize::dhw(3, 3, 3), 0.1),
        (deep, BlockSize::dhw(3, 12, 11), 0.1),
        (deep, BlockSize::dhw(1, 5, 4), 0.5),
    ];
    for backend in Backend::available() {
        for (shape, block, drop_prob) in blocks {
            for (region, alignment) in [
                (Region::Valid, Alignment::Before),
                (Region::Full, Alignment::Before),
                (Region::Full, Alignment::After),
            ] {
                let layer = DropBlock::new(1, drop_prob)?
                    .with_block_size(block)?
                    .with_region(region)
                    .with_alignment(alignment)
                    .with_backend(backend)?;
                check(&layer.plan(shape)?)?;
            }
        }
    }
    Ok(())
}

/// Where a block almost always covers the middle of a row, its scale is 0 beside others that are not. Few
/// channels are then not applied as one run.
#[test]
fn scales_of_zero_beside_others_equal_the_reference() -> Result<(), Error> {
    for backend in Backend::available() {
        for channels in [1, 3, 8, 9, 40, 70] {
            for &sharing in Sharing::ALL {
                let layer = DropBlock::new(1, 0.1)?
                    .with_block_size(BlockSize::hw(1, 35))?
                    .with_gamma(Gamma::Raw(0.72))?
                    .with_region(Region::Full)
                    .with_scale(Scale::PerPosition)
                    .with_sharing(sharing);
                let plan = layer.plan(Shape::nhwc(2, 20, 66, channels))?;
                let scale = |position| plan.position_scale::<f32>(position);
                assert!(scale(0)? > 0.0 && scale(33)? == 0.0);
                suite::check(backend, &Case::new(layer, *plan.shape(), Key::new(3)));
            }
        }
    }
    Ok(())
}

/// The scales of positions are formed for some rows at a time, and kept where the next are alike. Of maps
/// of 28 x 28 the second nine rows and the third begin alike, as the cover rises and falls again, but go on
/// otherwise; longer rows come one by one, and the last of a slice is like the first of the next but for its
/// depth.
#[test]
fn scales_of_rows_that_begin_alike_equal_the_reference() -> Result<(), Error> {
    let shapes = [
        (Shape::nchw(1, 2, 28, 28), [25, 27, 31]),
        (Shape::nhwc(1, 28, 28, 2), [25, 27, 31]),
        (Shape::nchw(1, 2, 12, 200), [2, 5, 11]),
        (Shape::ncdhw(1, 2, 6, 6, 140), [2, 3, 5]),
    ];
    for backend in Backend::available() {
        for (shape, blocks) in shapes {
            for block in blocks {
                for &region in Region::ALL {
                    let layer = DropBlock::new(block, 0.1)?
                        .with_region(region)
                        .with_scale(Scale::PerPosition);
                    suite::check(backend, &Case::new(layer, shape, Key::new(1)));
                }
            }
        }
    }
    Ok(())
}

/// Bands of views with gaps between the rows begin and end inside rows.
#[test]
fn bands_of_padded_rows_equal_the_reference() -> Result<(), Error> {
    for backend in Backend::available() {
        for (height, width) in [(300, 150), (9, 5001)] {
            for scale in [Scale::Fixed, Scale::PerMap] {
                let layer = DropBlock::new(5, 0.1)?.with_scale(scale);
                let row = width + 3;
                let strides =
                    [2 * height * row, height * row, 0, row, 1].map(|stride| stride as isize);
                let case = Case::new(layer, Shape::nchw(1, 2, height, width), Key::new(1));
                suite::check(backend, &case.with_strides(Some(strides)));
            }
        }
    }
    Ok(())
}
