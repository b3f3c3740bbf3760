//! Gradients: against the formula, by finite differences, and where the forward pass is computed again.

use burn::tensor::{Device, Element, Tensor, bf16, f16};
use dropblock_burn::dropblock::{DropBlock, Element as CoreElement, Fill, Scale};
use dropblock_burn::{Key, drop_block, drop_block_portable};

use crate::{
    SameBits, assert_same, devices, devices_with, elements, every_option, numbers, shape, tensor,
};

const KEY: Key = Key { seed: 7, step: 3, layer: 1, first_sample: 0 };
const DIMS: [usize; 4] = [3, 5, 7, 6];
const LEN: usize = 3 * 5 * 7 * 6;

/// A device for each way, and each with gradient checkpointing.
fn training_devices<E: Element>() -> Vec<Device> {
    let plain = devices_with::<E>().into_iter().map(Device::autodiff);
    let again = plain.clone().map(Device::gradient_checkpointing);
    plain.chain(again).collect()
}

/// `dx = dropped ? 0 : dy * scale` for a gradient with all special values.
fn check_formula<T: CoreElement + Element + SameBits>(options: &DropBlock) {
    let plan = options.plan(shape(&DIMS)).expect("a plan");
    for device in training_devices::<T>() {
        let dy = tensor::<T, 4>(&numbers(LEN), DIMS, &device);
        let mut expected = vec![T::ONE; LEN];
        let dy_elements = elements::<T, 4>(dy.clone());
        plan.backward(KEY, &dy_elements, &mut expected).expect("a pass");
        for (way, portable) in [("drop_block", false), ("drop_block_portable", true)] {
            let x = tensor::<T, 4>(&vec![1.5; LEN], DIMS, &device).require_grad();
            let y = if portable {
                drop_block_portable(x.clone(), options, KEY)
            } else {
                drop_block(x.clone(), options, KEY)
            };
            let grads = (y * dy.clone()).sum().backward();
            let dx = x.grad(&grads).expect("a gradient");
            assert_same(&elements::<T, 4>(dx), &expected, &format!("{way} {options:?} {device:?}"));
        }
    }
}

#[test]
fn formula_for_every_option() {
    for options in every_option() {
        check_formula::<f32>(&options);
    }
}

#[test]
fn formula_for_every_type() {
    for &scale in Scale::ALL {
        let options = DropBlock::new(3, 0.3).expect("in range").with_scale(scale);
        check_formula::<f64>(&options);
        check_formula::<f16>(&options);
        check_formula::<bf16>(&options);
    }
}

/// The layer is linear, so that differences are exact but for rounding.
#[test]
fn finite_differences() {
    let h = 1e-3;
    for fill in [Fill::Zero, Fill::Noise] {
        let options = DropBlock::new(3, 0.3).expect("in range").with_fill(fill);
        for device in training_devices::<f64>() {
            let at: Vec<f64> = (0..LEN).map(|i| (i as f64).sin()).collect();
            let weights: Vec<f64> = (0..LEN).map(|i| (i as f64).cos()).collect();
            let weights = tensor::<f64, 4>(&weights, DIMS, &device);
            let loss = |x: Tensor<4>| {
                let y = drop_block(x, &options, KEY);
                (y.clone() * y * weights.clone()).sum()
            };
            let x = tensor::<f64, 4>(&at, DIMS, &device).require_grad();
            let dx = x.grad(&loss(x.clone()).backward()).expect("a gradient");
            let dx = elements::<f64, 4>(dx);
            for i in (0..LEN).step_by(7) {
                let shifted = |by: f64| {
                    let mut at = at.clone();
                    at[i] += by;
                    loss(tensor::<f64, 4>(&at, DIMS, &device)).into_scalar::<f64>()
                };
                let slope = (shifted(h) - shifted(-h)) / (2.0 * h);
                assert!((slope - dx[i]).abs() < 1e-8, "element {i}: {slope}, not {}", dx[i]);
            }
            assert!(dx.contains(&0.0) && dx.iter().any(|&dx| dx != 0.0));
        }
    }
}

/// With gradient checkpointing the output of the layer is not kept: the product after it needs it, so
/// that it is computed again. It must be the same, though the mask was drawn and forgotten.
#[test]
fn recomputation() {
    let zeros = DropBlock::new(3, 0.3).expect("in range");
    let gradients = |device: &Device, options: DropBlock| {
        let x = tensor::<f32, 4>(&(0..LEN).map(|i| i as f64).collect::<Vec<_>>(), DIMS, device);
        let x = x.require_grad();
        let y = drop_block(x.clone() * 2.0, &options, KEY);
        let z = drop_block(y.clone() * y.clone(), &options, KEY.with_layer(2)) * y;
        let dx = x.grad(&z.sum().backward()).expect("a gradient");
        elements::<f32, 4>(dx)
    };
    for device in devices() {
        for options in [zeros, zeros.with_fill(Fill::Noise)] {
            let kept = gradients(&device.clone().autodiff(), options);
            let again = gradients(&device.clone().autodiff().gradient_checkpointing(), options);
            assert_eq!(kept, again);
            assert!(kept.contains(&0.0) && kept.iter().any(|&dx| dx != 0.0));
        }
    }
}

/// An input without a gradient, and a gradient that is a view.
#[test]
fn untracked_and_strided() {
    let options = DropBlock::new(3, 0.3).expect("in range");
    for device in training_devices::<f32>() {
        let x = tensor::<f32, 4>(&vec![1.0; LEN], DIMS, &device);
        let y = drop_block(x.clone(), &options, KEY);
        assert!(!y.is_require_grad());

        let x = x.require_grad();
        let weights = tensor::<f32, 4>(&numbers(LEN), [3, 5, 6, 7], &device);
        let y = drop_block(x.clone(), &options, KEY);
        let grads = (y.swap_dims(2, 3) * weights.clone()).sum().backward();
        let dx = elements::<f32, 4>(x.grad(&grads).expect("a gradient"));
        let dy = elements::<f32, 4>(weights.swap_dims(2, 3));
        let mut expected = vec![1.0; LEN];
        let plan = options.plan(shape(&DIMS)).expect("a plan");
        plan.backward(KEY, &dy, &mut expected).expect("a pass");
        assert_same(&dx, &expected, "a gradient with strides");
    }
}
