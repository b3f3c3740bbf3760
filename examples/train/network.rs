//! The arithmetic: two convolutions with ReLU and pooling, and a linear layer, forward and backward.
//!
//! The channels of a pixel lie side by side. Every sum has one order, and the exponential function is
//! the crate `libm`'s, so the figures are the same on every machine. Gradients are summed sample by
//! sample, so they do not depend on how a batch is divided.

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro128PlusPlus;

pub(crate) const PIXELS: usize = 28 * 28;
/// Channels after the first and the second convolution.
pub(crate) const CHANNELS: [usize; 2] = [C1, C2];
/// Sides of the maps after the first and the second pooling.
pub(crate) const SIDES: [usize; 2] = [14, 7];
pub(crate) const CLASSES: usize = 10;

const C1: usize = 8;
const C2: usize = 16;
/// The places of a kernel of 3 x 3.
const TAPS: usize = 9;
/// Numbers after the first and the second pooling.
const LENS: [usize; 2] = [14 * 14 * C1, 7 * 7 * C2];
/// The weights and the biases of the three layers, one after the other.
const SIZES: [usize; 6] = [TAPS * C1, C1, TAPS * C1 * C2, C2, LENS[1] * CLASSES, CLASSES];
/// Of the network.
pub(crate) const PARAMETERS: usize =
    SIZES[0] + SIZES[1] + SIZES[2] + SIZES[3] + SIZES[4] + SIZES[5];

/// Parameters, or their gradients. Weights stand by input, then by output.
#[derive(Clone)]
pub(crate) struct Parameters(pub(crate) Vec<f32>);

impl Parameters {
    pub(crate) fn zeros() -> Self {
        Self(vec![0.0; PARAMETERS])
    }

    /// Weights uniform in `+-sqrt(6 / inputs)` (He et al. 2015, arXiv 1502.01852), biases 0.
    pub(crate) fn random(seed: u64) -> Self {
        let mut rng = Xoshiro128PlusPlus::seed_from_u64(seed);
        let mut parameters = Self::zeros();
        let [conv1, _, conv2, _, linear, _] = parameters.parts_mut();
        for (part, inputs) in [(conv1, TAPS), (conv2, TAPS * C1), (linear, LENS[1])] {
            let bound = (6.0 / inputs as f32).sqrt();
            for weight in part {
                // 24 bits, so that the quotient is exact.
                let unit = (rng.next_u32() >> 8) as f32 / (1 << 24) as f32;
                *weight = (2.0 * unit - 1.0) * bound;
            }
        }
        parameters
    }

    fn parts(&self) -> [&[f32]; 6] {
        let mut rest = &self.0[..];
        SIZES.map(|size| rest.split_off(..size).expect("the sizes add up"))
    }

    fn parts_mut(&mut self) -> [&mut [f32]; 6] {
        let mut rest = &mut self.0[..];
        SIZES.map(|size| rest.split_off_mut(..size).expect("the sizes add up"))
    }
}

/// What the forward pass of some samples keeps for the backward pass.
pub(crate) struct Activations {
    /// After the first and the second pooling, as the next layer reads them.
    pub(crate) pooled: [Vec<f32>; 2],
    /// Which of its four pixels each pooled one is; `NONE` if none is above 0.
    chosen: [Vec<u8>; 2],
    /// One row a sample.
    pub(crate) logits: Vec<f32>,
}

const NONE: u8 = 4;

/// The forward pass. `regularise` is called with the number of the layer and its pooled maps of all
/// samples.
pub(crate) fn forward<E>(
    parameters: &Parameters,
    digits: &[&[f32; PIXELS]],
    mut regularise: impl FnMut(usize, &mut [f32]) -> Result<(), E>,
) -> Result<Activations, E> {
    let [w1, b1, w2, b2, w3, b3] = parameters.parts();
    let n = digits.len();
    let mut a = Activations {
        pooled: LENS.map(|len| vec![0.0; n * len]),
        chosen: LENS.map(|len| vec![NONE; n * len]),
        logits: vec![0.0; n * CLASSES],
    };
    let [pooled1, pooled2] = &mut a.pooled;
    let [chosen1, chosen2] = &mut a.chosen;

    let mut wide = vec![0.0; PIXELS * C1];
    let outputs = pooled1.chunks_mut(LENS[0]).zip(chosen1.chunks_mut(LENS[0]));
    for (x, (y, chosen)) in digits.iter().zip(outputs) {
        convolve::<1, C1>(28, x.as_slice(), w1, b1, &mut wide);
        relu_and_pool::<C1>(28, &wide, y, chosen);
    }
    regularise(0, pooled1)?;

    let mut wide = vec![0.0; 14 * 14 * C2];
    let outputs = pooled2.chunks_mut(LENS[1]).zip(chosen2.chunks_mut(LENS[1]));
    for (x, (y, chosen)) in pooled1.chunks(LENS[0]).zip(outputs) {
        convolve::<C1, C2>(14, x, w2, b2, &mut wide);
        relu_and_pool::<C2>(14, &wide, y, chosen);
    }
    regularise(1, pooled2)?;

    for (x, y) in pooled2.chunks(LENS[1]).zip(a.logits.chunks_mut(CLASSES)) {
        y.copy_from_slice(b3);
        for (x, w) in x.iter().zip(w3.chunks(CLASSES)) {
            y.iter_mut().zip(w).for_each(|(y, w)| *y += x * w);
        }
    }
    Ok(a)
}

/// The backward pass from the gradients of the logits: adds to the gradients of the parameters.
/// `regularise` is called as in the forward pass, with gradients.
pub(crate) fn backward<E>(
    parameters: &Parameters,
    digits: &[&[f32; PIXELS]],
    a: &Activations,
    d_logits: &[f32],
    gradients: &mut Parameters,
    mut regularise: impl FnMut(usize, &mut [f32]) -> Result<(), E>,
) -> Result<(), E> {
    let [_, _, w2, _, w3, _] = parameters.parts();
    let [dw1, db1, dw2, db2, dw3, db3] = gradients.parts_mut();
    let mut d_pooled = LENS.map(|len| vec![0.0; digits.len() * len]);
    let [d_pooled1, d_pooled2] = &mut d_pooled;

    let samples = a.pooled[1].chunks(LENS[1]).zip(d_pooled2.chunks_mut(LENS[1]));
    for ((x, dx), dy) in samples.zip(d_logits.chunks(CLASSES)) {
        db3.iter_mut().zip(dy).for_each(|(db, dy)| *db += dy);
        let weights = w3.chunks(CLASSES).zip(dw3.chunks_mut(CLASSES));
        for ((x, dx), (w, dw)) in x.iter().zip(dx).zip(weights) {
            dw.iter_mut().zip(dy).for_each(|(dw, dy)| *dw += x * dy);
            *dx = w.iter().zip(dy).fold(0.0, |sum, (w, dy)| sum + w * dy);
        }
    }
    regularise(1, d_pooled2)?;

    let mut wide = vec![0.0; 14 * 14 * C2];
    let samples = a.pooled[0].chunks(LENS[0]).zip(d_pooled1.chunks_mut(LENS[0]));
    let outputs = a.chosen[1].chunks(LENS[1]).zip(d_pooled2.chunks(LENS[1]));
    for ((x, dx), (chosen, dy)) in samples.zip(outputs) {
        relu_and_pool_backward::<C2>(14, chosen, dy, &mut wide);
        convolve_backward::<C1, C2>(14, x, &wide, dw2, db2);
        convolve_backward_input::<C1, C2>(14, &wide, w2, dx);
    }
    regularise(0, d_pooled1)?;

    let mut wide = vec![0.0; PIXELS * C1];
    let outputs = a.chosen[0].chunks(LENS[0]).zip(d_pooled1.chunks(LENS[0]));
    for (x, (chosen, dy)) in digits.iter().zip(outputs) {
        relu_and_pool_backward::<C1>(28, chosen, dy, &mut wide);
        convolve_backward::<1, C1>(28, x.as_slice(), &wide, dw1, db1);
    }
    Ok(())
}

/// The gradients of the logits by the cross entropy of the softmax, divided by `batch`.
pub(crate) fn d_logits(
    logits: &[f32],
    numbers: impl Iterator<Item = usize>,
    batch: usize,
) -> Vec<f32> {
    let mut d = logits.to_vec();
    for (row, number) in d.chunks_mut(CLASSES).zip(numbers) {
        let most = row.iter().copied().fold(f32::MIN, f32::max);
        row.iter_mut().for_each(|x| *x = libm::expf(*x - most));
        let sum: f32 = row.iter().sum();
        row.iter_mut().for_each(|x| *x /= sum);
        row[number] -= 1.0;
        row.iter_mut().for_each(|x| *x /= batch as f32);
    }
    d
}

/// The pixels under a kernel of 3 x 3 round a pixel: the place in the kernel, and the pixel.
/// There are none beyond the border, which is as good as zeros.
fn under_kernel(side: usize, row: usize, column: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..TAPS).filter_map(move |tap| {
        let (row, column) = (row + tap / 3, column + tap % 3);
        let inside = (1..=side).contains(&row) && (1..=side).contains(&column);
        inside.then(|| (tap, (row - 1) * side + column - 1))
    })
}

/// Rows and columns of a square map.
fn positions(side: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..side * side).map(move |i| (i / side, i % side))
}

/// `y += a * x`. The array is built whole and then written, so that it takes vector instructions.
fn add_scaled<const N: usize>(y: &mut [f32; N], a: f32, x: &[f32; N]) {
    *y = std::array::from_fn(|i| y[i] + a * x[i]);
}

fn convolve<const I: usize, const O: usize>(
    side: usize,
    x: &[f32],
    weights: &[f32],
    bias: &[f32],
    y: &mut [f32],
) {
    let (x, y) = (x.as_chunks::<I>().0, y.as_chunks_mut::<O>().0);
    let weights = weights.as_chunks::<O>().0.as_chunks::<I>().0;
    for ((row, column), y) in positions(side).zip(y) {
        let mut sum = [0.0; O];
        sum.copy_from_slice(bias);
        for (tap, at) in under_kernel(side, row, column) {
            for (x, weights) in x[at].iter().zip(&weights[tap]) {
                add_scaled(&mut sum, *x, weights);
            }
        }
        *y = sum;
    }
}

/// Adds to the gradients of the weights and of the bias.
fn convolve_backward<const I: usize, const O: usize>(
    side: usize,
    x: &[f32],
    dy: &[f32],
    d_weights: &mut [f32],
    d_bias: &mut [f32],
) {
    let (x, dy) = (x.as_chunks::<I>().0, dy.as_chunks::<O>().0);
    let d_weights = d_weights.as_chunks_mut::<O>().0.as_chunks_mut::<I>().0;
    for ((row, column), dy) in positions(side).zip(dy) {
        d_bias.iter_mut().zip(dy).for_each(|(d, dy)| *d += dy);
        for (tap, at) in under_kernel(side, row, column) {
            for (x, d_weights) in x[at].iter().zip(&mut d_weights[tap]) {
                add_scaled(d_weights, *x, dy);
            }
        }
    }
}

/// The gradient of the input: each input pixel gathers from the outputs that it took part in.
fn convolve_backward_input<const I: usize, const O: usize>(
    side: usize,
    dy: &[f32],
    weights: &[f32],
    dx: &mut [f32],
) {
    let (dy, dx) = (dy.as_chunks::<O>().0, dx.as_chunks_mut::<I>().0);
    // By output, then by input, so that the inner loop runs over neighbours.
    let weights: Vec<[[f32; I]; O]> = (weights.as_chunks::<O>().0.as_chunks::<I>().0.iter())
        .map(|tap| std::array::from_fn(|o| std::array::from_fn(|i| tap[i][o])))
        .collect();
    for ((row, column), dx) in positions(side).zip(dx) {
        let mut sum = [0.0; I];
        for (tap, at) in under_kernel(side, row, column) {
            // Seen from the output, the input lies on the opposite side.
            for (dy, weights) in dy[at].iter().zip(&weights[TAPS - 1 - tap]) {
                add_scaled(&mut sum, *dy, weights);
            }
        }
        *dx = sum;
    }
}

/// The pixels of the large map, of `side`, that a pooled pixel is made of.
fn under_pool(side: usize, i: usize) -> [usize; 4] {
    let (row, column) = (2 * (i / (side / 2)), 2 * (i % (side / 2)));
    let first = row * side + column;
    [first, first + 1, first + side, first + side + 1]
}

/// The largest of 0 and of four pixels.
fn relu_and_pool<const C: usize>(side: usize, x: &[f32], y: &mut [f32], chosen: &mut [u8]) {
    let x = x.as_chunks::<C>().0;
    let pixels = y.as_chunks_mut::<C>().0.iter_mut().zip(chosen.as_chunks_mut::<C>().0);
    for (i, (y, chosen)) in pixels.enumerate() {
        (*y, *chosen) = ([0.0; C], [NONE; C]);
        for (number, at) in under_pool(side, i).into_iter().enumerate() {
            for c in 0..C {
                if x[at][c] > y[c] {
                    (y[c], chosen[c]) = (x[at][c], number as u8);
                }
            }
        }
    }
}

fn relu_and_pool_backward<const C: usize>(side: usize, chosen: &[u8], dy: &[f32], dx: &mut [f32]) {
    let dx = dx.as_chunks_mut::<C>().0;
    let pixels = dy.as_chunks::<C>().0.iter().zip(chosen.as_chunks::<C>().0);
    for (i, (dy, chosen)) in pixels.enumerate() {
        for (number, at) in under_pool(side, i).into_iter().enumerate() {
            for c in 0..C {
                dx[at][c] = if chosen[c] == number as u8 { dy[c] } else { 0.0 };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// The cross entropy in double precision.
    fn loss(parameters: &Parameters, digits: &[&[f32; PIXELS]]) -> f64 {
        let Ok(a) = forward(parameters, digits, |_, _| Ok::<_, Infallible>(()));
        let loss = |(i, row): (usize, &[f32])| {
            let sum: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
            sum.ln() - f64::from(row[i])
        };
        a.logits.chunks(CLASSES).enumerate().map(loss).sum::<f64>() / digits.len() as f64
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_loss() {
        // Any smooth numbers will do.
        let digits = [1, 2].map(|n| std::array::from_fn(|i| ((i * n) as f32 * 0.1).sin()));
        let digits: Vec<_> = digits.iter().collect();
        let parameters = Parameters::random(1);
        let Ok(a) = forward(&parameters, &digits, |_, _| Ok::<_, Infallible>(()));
        let d = d_logits(&a.logits, 0..2, 2);
        let mut gradients = Parameters::zeros();
        let Ok(()) =
            backward(&parameters, &digits, &a, &d, &mut gradients, |_, _| Ok::<_, Infallible>(()));

        // One in 41 parameters, of every part.
        let first = |part: usize| SIZES[..part].iter().sum::<usize>();
        for part in 0..6 {
            for i in (first(part)..first(part + 1)).step_by(41) {
                let step = 1.0 / 2048.0;
                let at = |step: f32| {
                    let mut moved = parameters.clone();
                    moved.0[i] += step;
                    loss(&moved, &digits)
                };
                let slope = (at(step) - at(-step)) / f64::from(2.0 * step);
                let gradient = f64::from(gradients.0[i]);
                // Rounding of the logits, and places where the largest pixel changes.
                let bound = 3e-3 + 0.05 * gradient.abs();
                assert!((slope - gradient).abs() < bound, "part {part}, {i}: {slope}, {gradient}");
            }
        }
    }
}
