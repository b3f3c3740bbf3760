//! The operation equals the core, bit for bit: every option, type, rank and view.

use candle_core::{Tensor, WithDType};
use dropblock_candle::dropblock::Element;
use dropblock_candle::{BlockSize, Key, Options, drop_block};
use half::{bf16, f16};

use crate::{SameBits, assert_same, elements, every_option, expected, numbers, tensor};

const KEY: Key = Key { seed: 2024, step: 17, layer: 3, first_sample: 5 };

fn check<T: Element + WithDType + SameBits>(dims: &[usize], options: &Options) {
    let x = tensor::<T>(&numbers(dims.iter().product()), dims);
    check_view::<T>(&x, options, "dense");
}

fn check_view<T: Element + WithDType + SameBits>(x: &Tensor, options: &Options, name: &str) {
    let expected = expected(&elements::<T>(x), x.dims(), options, KEY, true);
    let y = drop_block(x, options, KEY).expect("a pass");
    assert_eq!((y.dims(), y.dtype()), (x.dims(), x.dtype()));
    assert!(y.is_contiguous());
    assert_same(&elements::<T>(&y), &expected, &format!("{name} {options:?} {:?}", x.dims()));
}

#[test]
fn every_type() {
    for options in every_option() {
        check::<f32>(&[3, 5, 7, 11], &options);
        check::<f64>(&[2, 3, 5, 7], &options);
        check::<f16>(&[2, 3, 5, 7], &options);
        check::<bf16>(&[2, 3, 5, 7], &options);
    }
}

#[test]
fn every_rank() {
    for options in every_option() {
        check::<f32>(&[3, 5, 17], &options);
        check::<f32>(&[2, 3, 5, 4, 7], &options);
    }
    let flat = Options::new(1, 0.3).and_then(|o| o.with_block_size(BlockSize::hw(2, 5)));
    check::<f32>(&[3, 5, 7, 11], &flat.expect("in range"));
}

#[test]
fn empty_and_small() {
    let options = Options::new(7, 0.5).expect("in range");
    for dims in [[0, 3, 5, 5], [2, 0, 5, 5], [2, 3, 0, 5], [1, 1, 1, 1], [1, 1, 2, 3]] {
        check::<f32>(&dims, &options);
    }
}

#[test]
fn every_view() {
    let (n, c, h, w) = (3, 5, 7, 11);
    let x = tensor::<f32>(&numbers(n * c * h * w), &[n, c, h, w]);
    let views = [
        ("transposed", x.transpose(2, 3)),
        ("channels last", x.permute([0, 2, 3, 1])),
        ("a row of each map", x.narrow(2, 2, 1)),
        ("a part", x.narrow(0, 1, 2).and_then(|x| x.narrow(3, 2, 6))),
        ("the last sample", x.narrow(0, 2, 1)),
        ("broadcast", x.narrow(0, 0, 1).and_then(|x| x.broadcast_as((4, c, h, w)))),
        ("broadcast maps", x.narrow(2, 3, 1).and_then(|x| x.broadcast_as((n, c, 6, w)))),
    ];
    for (name, view) in views {
        let view = view.expect("a view");
        for options in every_option() {
            check_view::<f32>(&view, &options, name);
        }
    }
}
