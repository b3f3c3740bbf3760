//! The operation on tensors: the mask is drawn once, and applied in one of two ways.

use alloc::vec;
use alloc::vec::Vec;

use burn::backend::DispatchDevice;
use burn::tensor::{Bool, DType, Device, FloatDType, Shape as Dims, Tensor, TensorData};
use dropblock::{DropBlock, Element, Error, Fill, Key, Mask, Plan, Scale, Shape, Sharing};

use crate::fused;

/// Drops blocks of each map, whatever the device: the function below the layers.
///
/// Gradients flow back through the same mask: `dx = dropped ? 0 : dy * scale`.
///
/// - `x`: `[samples, channels, ..]` with 1 to 3 axes of a map, in `f32`, `f64`, `f16` or `bf16`. Views
///   are read where they lie.
/// - `options`: what is dropped and how the rest is scaled.
/// - `key`: names the mask. With the same key the same blocks are dropped, on every backend.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use dropblock_burn::{DropBlock, Key, drop_block};
///
/// let x = Tensor::<4>::ones([2, 8, 14, 14], &Device::flex());
/// let y = drop_block(x, &DropBlock::new(7, 0.1)?, Key::new(2024).with_step(17));
/// assert!((y.mean().into_scalar::<f32>() - 1.0).abs() < 1e-3);
/// # Ok::<(), dropblock_burn::Error>(())
/// ```
///
/// # Panics
///
/// If the block has sizes for another number of axes, the tensor is too large, the key's first sample is
/// too large, or the elements are of another type. The message says what was needed and given.
#[track_caller]
pub fn drop_block<const D: usize>(x: Tensor<D>, options: &DropBlock, key: Key) -> Tensor<D> {
    if is_fused(&x.device()) {
        with_mask(x, options, key, |x, _, mask| {
            let drawn = mask.drawn().unwrap_or(key.into());
            let words = mask.dropped_words().into();
            fused::drop_block(x, fused::Pass { options: *options, drawn }, words)
        })
    } else {
        drop_block_portable(x, options, key)
    }
}

/// The same with burn's own operations only, also where a fused operation exists: bit for bit the same
/// result. [`drop_block`] calls it on backends without a fused operation.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use dropblock_burn::{DropBlock, Key, drop_block, drop_block_portable};
///
/// let x = Tensor::<4>::ones([2, 8, 14, 14], &Device::flex());
/// let (options, key) = (DropBlock::new(7, 0.1)?, Key::new(2024));
/// let y = drop_block(x.clone(), &options, key);
/// assert_eq!(y.into_data(), drop_block_portable(x, &options, key).into_data());
/// # Ok::<(), dropblock_burn::Error>(())
/// ```
///
/// # Panics
///
/// Those of [`drop_block`].
#[track_caller]
pub fn drop_block_portable<const D: usize>(
    x: Tensor<D>,
    options: &DropBlock,
    key: Key,
) -> Tensor<D> {
    with_mask(x, options, key, |x, plan, mask| {
        let dtype = x.dtype();
        match dtype {
            DType::F64 => apply::<f64, D>(x, plan, &mask),
            DType::F32 => apply::<f32, D>(x, plan, &mask),
            _ => apply::<f32, D>(x.cast(FloatDType::F32), plan, &mask).cast(dtype),
        }
    })
}

/// Draws the mask and passes it on, unless there is nothing to do.
#[track_caller]
fn with_mask<const D: usize>(
    x: Tensor<D>,
    options: &DropBlock,
    key: Key,
    apply: impl FnOnce(Tensor<D>, &Plan, Mask<'_>) -> Tensor<D>,
) -> Tensor<D> {
    const { assert!(D >= 3 && D <= 5, "samples, channels, and 1 to 3 axes of a map") };
    let given = x.dtype();
    if !matches!(given, DType::F32 | DType::F64 | DType::F16 | DType::BF16) {
        panic!("DropBlock: elements must be f32, f64, f16 or bf16, got {given:?}");
    }
    let plan = checked(options.plan(shape(&x.dims())));
    let scales = options.scale() == Scale::Fixed && options.drop_prob() > 0.0;
    if plan.elements() == 0 || plan.gamma() == 0.0 && !scales {
        return x;
    }
    let mut words = vec![0; plan.mask_words()];
    let mask = checked(plan.draw(key, &mut words));
    apply(x, &plan, mask)
}

/// The value, or a panic with the message of the core.
#[track_caller]
pub(crate) fn checked<T>(result: Result<T, Error>) -> T {
    result.unwrap_or_else(|error| panic!("DropBlock: {error}"))
}

pub(crate) fn shape(dims: &[usize]) -> Shape {
    match *dims {
        [n, c, l] => Shape::ncl(n, c, l),
        [n, c, h, w] => Shape::nchw(n, c, h, w),
        [n, c, d, h, w] => Shape::ncdhw(n, c, d, h, w),
        _ => unreachable!("3 to 5 axes"),
    }
}

/// Whether the backend of the device has the fused operation.
fn is_fused(device: &Device) -> bool {
    matches!(device.as_dispatch().clone().inner(), DispatchDevice::Flex(_))
}

/// Scales in the type `T`, then selects: a product with zeros would keep NaN and the signs of zeros.
fn apply<T: Number, const D: usize>(x: Tensor<D>, plan: &Plan, mask: &Mask<'_>) -> Tensor<D> {
    let (device, dims, options) = (x.device(), x.dims(), plan.layer());
    let mut of_mask = dims;
    if matches!(options.sharing(), Sharing::OverSamples | Sharing::OverAll) {
        of_mask[0] = 1;
    }
    if matches!(options.sharing(), Sharing::OverChannels | Sharing::OverAll) {
        of_mask[1] = 1;
    }
    // Where the scale is 0, kept units too become +0.0.
    let mut all = false;
    let y = match scales::<T, D>(plan, mask, of_mask) {
        Scales::One(scale) if scale == T::ONE => x,
        Scales::One(scale) => {
            all = scale == T::ZERO;
            x.mul_scalar(scale)
        }
        Scales::Many(data) => x * Tensor::from_data(data, (&device, T::dtype())),
    };
    let dropped = if all {
        Tensor::full(dims, true, &device)
    } else {
        let data = TensorData::new(dropped(plan, mask), Dims::from(of_mask));
        Tensor::<D, Bool>::from_data(data, &device).expand(dims)
    };
    match options.fill() {
        Fill::Noise => {
            let mut noise = vec![T::ZERO; plan.elements()];
            checked(mask.forward(&vec![T::ZERO; plan.elements()], &mut noise));
            let data = TensorData::new(noise, Dims::from(dims));
            y.mask_where(dropped, Tensor::from_data(data, (&device, T::dtype())))
        }
        _ => y.mask_fill(dropped, 0.0),
    }
}

/// A type in which elements are scaled.
trait Number: Element<Scale = Self> + burn::tensor::Element {}

impl Number for f32 {}
impl Number for f64 {}

enum Scales<T> {
    One(T),
    /// Of a shape that broadcasts to the tensor's.
    Many(TensorData),
}

fn scales<T: Number, const D: usize>(
    plan: &Plan,
    mask: &Mask<'_>,
    of_mask: [usize; D],
) -> Scales<T> {
    let mut dims = of_mask;
    let scales: Vec<T> = match plan.layer().scale() {
        Scale::PerPosition => {
            dims[..2].fill(1);
            let positions = dims.iter().product();
            (0..positions).map(|i| checked(plan.position_scale::<T>(i))).collect()
        }
        scale @ (Scale::PerSample | Scale::PerMap) => {
            dims[if scale == Scale::PerMap { 2 } else { 1 }..].fill(1);
            let count = |group| checked(mask.count_group(group));
            (0..plan.groups()).map(|group| plan.scale::<T>(count(group))).collect()
        }
        _ => return Scales::One(plan.scale::<T>(mask.count())),
    };
    Scales::Many(TensorData::new(scales, Dims::from(dims)))
}

/// The dropped units, one behind the other.
fn dropped(plan: &Plan, mask: &Mask<'_>) -> Vec<bool> {
    let words = mask.dropped_words();
    let mut units = Vec::with_capacity(64 * words.len());
    for word in words {
        units.extend((0..64).map(|i| word >> i & 1 == 1));
    }
    units.truncate(plan.units());
    units
}
