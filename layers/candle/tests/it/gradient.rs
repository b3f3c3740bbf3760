//! Gradients: against the formula, by finite differences, and of views.

use candle_core::{Tensor, Var, WithDType};
use dropblock_candle::dropblock::Element;
use dropblock_candle::{Fill, Key, Options, drop_block};
use half::{bf16, f16};

use crate::{SameBits, assert_same, elements, every_option, expected, numbers, tensor};

const KEY: Key = Key { seed: 7, step: 3, layer: 1, first_sample: 0 };
const DIMS: [usize; 4] = [3, 5, 7, 6];
const LEN: usize = 3 * 5 * 7 * 6;

/// Candle adds a gradient to zeros, so that -0.0 arrives as +0.0.
fn arrived<T: WithDType>(gradient: Vec<T>) -> Vec<T> {
    gradient.into_iter().map(|dx| dx + T::zero()).collect()
}

/// The gradient of `sum(f(x) * weights)`.
fn gradient(
    x: &Tensor,
    weights: &Tensor,
    f: impl Fn(&Tensor) -> candle_core::Result<Tensor>,
) -> candle_core::Result<Tensor> {
    let x = Var::from_tensor(x)?;
    let grads = (f(&x)? * weights)?.sum_all()?.backward()?;
    grads.get(&x).cloned().ok_or_else(|| candle_core::Error::Msg("no gradient".into()))
}

/// `dx = dropped ? 0 : dy * scale` for a gradient with all special values.
fn check_formula<T: Element + WithDType + SameBits>(options: &Options) {
    let dy = tensor::<T>(&numbers(LEN), &DIMS);
    let x = tensor::<T>(&[1.5; LEN], &DIMS);
    let dx = gradient(&x, &dy, |x| drop_block(x, options, KEY)).expect("a gradient");
    let expected = expected(&elements::<T>(&dy), &DIMS, options, KEY, false);
    assert_same(&elements::<T>(&dx), &arrived(expected), &format!("{options:?}"));
}

#[test]
fn formula() {
    for options in every_option() {
        check_formula::<f32>(&options);
        check_formula::<f64>(&options);
        check_formula::<f16>(&options);
        check_formula::<bf16>(&options);
    }
}

/// The gradient that arrives is a view.
#[test]
fn strided() {
    let options = Options::new(3, 0.3).expect("in range");
    let weights = tensor::<f32>(&numbers(LEN), &[3, 5, 6, 7]);
    let x = tensor::<f32>(&[1.5; LEN], &DIMS);
    let dx = gradient(&x, &weights, |x| drop_block(x, &options, KEY)?.transpose(2, 3));
    let dy = elements::<f32>(&weights.transpose(2, 3).expect("a view"));
    let expected = expected(&dy, &DIMS, &options, KEY, false);
    assert_same(
        &elements::<f32>(&dx.expect("a gradient")),
        &arrived(expected),
        "a gradient with strides",
    );
}

/// The layer is linear, so that differences are exact but for rounding.
#[test]
fn finite_differences() {
    let h = 1e-3;
    for fill in [Fill::Zero, Fill::Noise] {
        let options = Options::new(3, 0.3).expect("in range").with_fill(fill);
        let at: Vec<f64> = (0..LEN).map(|i| (i as f64).sin()).collect();
        let weights: Vec<f64> = (0..LEN).map(|i| (i as f64).cos()).collect();
        let weights = tensor::<f64>(&weights, &DIMS);
        let square = |x: &Tensor| drop_block(x, &options, KEY)?.sqr();
        let x = tensor::<f64>(&at, &DIMS);
        let dx = elements::<f64>(&gradient(&x, &weights, square).expect("a gradient"));
        for i in (0..LEN).step_by(7) {
            let shifted = |by: f64| {
                let mut at = at.clone();
                at[i] += by;
                let y = square(&tensor::<f64>(&at, &DIMS)).and_then(|y| (y * &weights)?.sum_all());
                y.and_then(|y| y.to_scalar::<f64>()).expect("a number")
            };
            let slope = (shifted(h) - shifted(-h)) / (2.0 * h);
            assert!((slope - dx[i]).abs() < 1e-8, "element {i}: {slope}, not {}", dx[i]);
        }
        assert!(dx.contains(&0.0) && dx.iter().any(|&dx| dx != 0.0));
    }
}
