//! The operation equals the core, bit for bit: every option, type, rank and view, on both ways.

use burn::tensor::{Device, Element, Tensor, bf16, f16};
use dropblock_burn::dropblock::{DropBlock, Element as CoreElement};
use dropblock_burn::{BlockSize, Key, drop_block, drop_block_portable};

use crate::{
    SameBits, assert_same, devices, devices_with, elements, every_option, numbers, shape, tensor,
};

const KEY: Key = Key { seed: 2024, step: 17, layer: 3, first_sample: 5 };

/// The core on a dense tensor.
fn expected<T: CoreElement>(x: &[T], dims: &[usize], options: &DropBlock) -> Vec<T> {
    let plan = options.plan(shape(dims)).expect("a plan");
    let mut y = vec![T::ONE; x.len()];
    plan.forward(KEY, x, &mut y).expect("a pass");
    y
}

fn check<T: CoreElement + Element + SameBits, const D: usize>(
    dims: [usize; D],
    options: &DropBlock,
) {
    let numbers = numbers(dims.iter().product());
    for device in devices_with::<T>() {
        let x = tensor::<T, D>(&numbers, dims, &device);
        let before = elements::<T, D>(x.clone());
        let expected = expected(&before, &dims, options);
        let what = format!("{options:?} {dims:?} on {device:?}");
        let shared = drop_block(x.clone(), options, KEY);
        assert_same(&elements::<T, D>(shared), &expected, &what);
        assert_same(&elements::<T, D>(x.clone()), &before, "the input is as it was");
        let portable = drop_block_portable(x.clone(), options, KEY);
        assert_same(&elements::<T, D>(portable), &expected, &what);
        // Nobody else has it, so that the fused operation works in place.
        assert_same(&elements::<T, D>(drop_block(x, options, KEY)), &expected, &what);
    }
}

#[test]
fn options_equal_those_of_the_core() {
    for options in every_option() {
        check::<f32, 4>([3, 5, 7, 11], &options);
    }
}

#[test]
fn every_type() {
    for options in every_option() {
        check::<f64, 4>([2, 3, 5, 7], &options);
        check::<f16, 4>([2, 3, 5, 7], &options);
        check::<bf16, 4>([2, 3, 5, 7], &options);
    }
}

#[test]
fn every_rank() {
    for options in every_option() {
        check::<f32, 3>([3, 5, 17], &options);
        check::<f32, 5>([2, 3, 5, 4, 7], &options);
    }
    let flat = DropBlock::new(1, 0.3).and_then(|o| o.with_block_size(BlockSize::hw(2, 5)));
    check::<f32, 4>([3, 5, 7, 11], &flat.expect("in range"));
    let box_ = DropBlock::new(1, 0.3).and_then(|o| o.with_block_size(BlockSize::dhw(1, 2, 3)));
    check::<f32, 5>([2, 3, 5, 4, 7], &box_.expect("in range"));
}

#[test]
fn empty_and_small() {
    let options = DropBlock::new(7, 0.5).expect("in range");
    for dims in [[0, 3, 5, 5], [2, 0, 5, 5], [2, 3, 0, 5], [1, 1, 1, 1], [1, 1, 2, 3]] {
        check::<f32, 4>(dims, &options);
    }
}

/// Views of a tensor of 4 axes.
fn views(x: &Tensor<4>) -> Vec<(&'static str, Tensor<4>)> {
    let [n, c, h, w] = x.dims();
    vec![
        ("transposed", x.clone().swap_dims(2, 3)),
        ("channels last", x.clone().permute([0, 2, 3, 1])),
        ("flipped", x.clone().flip([0, 2])),
        ("a part", x.clone().slice([1..n, 1..c, 2..h - 1, 1..w - 2])),
        ("the first samples", x.clone().narrow(0, 0, n - 1)),
        ("expanded", x.clone().narrow(0, 0, 1).expand([4, c, h, w])),
        ("strided", x.clone().slice_dim(3, burn::tensor::s![0..;2])),
    ]
}

#[test]
fn every_view() {
    let dims = [3, 5, 7, 11];
    let numbers = numbers(dims.iter().product());
    for options in every_option() {
        for device in devices() {
            let x = tensor::<f32, 4>(&numbers, dims, &device);
            for (name, view) in views(&x) {
                let dims = view.dims();
                let dense = elements::<f32, 4>(view.clone());
                let expected = expected(&dense, &dims, &options);
                let y = drop_block(view, &options, KEY);
                assert_same(&elements::<f32, 4>(y), &expected, &format!("{name} {options:?}"));
            }
        }
    }
}

/// A part of memory that nobody else has is worked on in place, and only that part.
#[test]
fn a_part_in_place() {
    let options = DropBlock::new(3, 0.3).expect("in range");
    let x = tensor::<f32, 4>(&numbers(3 * 5 * 7 * 11), [3, 5, 7, 11], &Device::flex());
    let part = x.narrow(0, 1, 2);
    let expected = expected(&elements::<f32, 4>(part.clone()), &[2, 5, 7, 11], &options);
    assert_same(&elements::<f32, 4>(drop_block(part, &options, KEY)), &expected, "a part");
}
