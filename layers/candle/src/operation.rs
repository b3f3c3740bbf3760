//! The operation on tensors.

use std::sync::OnceLock;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, Error, Layout, Result, Shape, Tensor, bail};
use dropblock::{Drawn, DropBlock as Options, Element, Key, View, ViewMut};

/// Drops blocks of each map: the function below [`DropBlock`](crate::DropBlock).
///
/// Gradients flow back through the same mask: `dx = dropped ? 0 : dy * scale`.
///
/// - `xs`: samples, channels, and 1 to 3 axes of a map, in `f32`, `f64`, `f16` or `bf16`, with any strides.
/// - `options`: what is dropped and how the rest is scaled.
/// - `key`: names the mask. With the same key the same blocks are dropped.
///
/// Returns a contiguous tensor of the same shape and type.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use dropblock_candle::{Key, Options, drop_block};
///
/// let xs = Tensor::ones((2, 8, 14, 14), DType::F32, &Device::Cpu)?;
/// let (options, key) = (Options::new(7, 0.1)?, Key::new(2024).with_step(17).with_layer(3));
/// let ys = drop_block(&xs, &options, key)?;
/// let again = drop_block(&xs, &options, key)?;
/// assert_eq!((ys - again)?.abs()?.max_all()?.to_scalar::<f32>()?, 0.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Error::Msg`] for a tensor of another rank, [`Error::UnsupportedDTypeForOp`] for another type; [`dropblock::Error`], wrapped, if the block has sizes for another number of axes, or the
/// tensor or the key's first sample is too large; candle's own on a device that is not a CPU.
pub fn drop_block(xs: &Tensor, options: &Options, key: Key) -> Result<Tensor> {
    xs.apply_op1(Operation { options: *options, drawn: OnceLock::new(), way: Way::Forward(key) })
}

/// An application to one tensor.
struct Operation {
    options: Options,
    way: Way,
    /// What the forward pass leaves for the backward pass.
    drawn: OnceLock<Drawn>,
}

#[derive(Clone, Copy)]
enum Way {
    Forward(Key),
    Backward(Drawn),
}

impl CustomOp1 for Operation {
    fn name(&self) -> &'static str {
        "dropblock"
    }

    fn cpu_fwd(&self, xs: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let ys = match xs {
            CpuStorage::F32(xs) => CpuStorage::F32(self.run(xs, layout)?),
            CpuStorage::F64(xs) => CpuStorage::F64(self.run(xs, layout)?),
            CpuStorage::F16(xs) => CpuStorage::F16(self.run(xs, layout)?),
            CpuStorage::BF16(xs) => CpuStorage::BF16(self.run(xs, layout)?),
            other => return Err(Error::UnsupportedDTypeForOp(other.dtype(), "dropblock").bt()),
        };
        Ok((ys, layout.shape().clone()))
    }

    fn bwd(&self, _xs: &Tensor, _ys: &Tensor, dys: &Tensor) -> Result<Option<Tensor>> {
        let drawn = match self.way {
            Way::Forward(key) => self.drawn.get().copied().unwrap_or(key.into()),
            Way::Backward(drawn) => drawn,
        };
        // Linear, so that it is its own gradient.
        let backward =
            Self { options: self.options, way: Way::Backward(drawn), drawn: OnceLock::new() };
        dys.apply_op1(backward).map(Some)
    }
}

impl Operation {
    fn run<T: Element>(&self, xs: &[T], layout: &Layout) -> Result<Vec<T>> {
        let dims = layout.dims();
        let shape = match *dims {
            [n, c, l] => dropblock::Shape::ncl(n, c, l),
            [n, c, h, w] => dropblock::Shape::nchw(n, c, h, w),
            [n, c, d, h, w] => dropblock::Shape::ncdhw(n, c, d, h, w),
            _ => bail!("dropblock needs samples, channels and 1 to 3 axes of a map, got {dims:?}"),
        };
        // Of samples, channels, depth, height and width.
        let mut strides = [0; 5];
        for (axis, &stride) in layout.stride().iter().enumerate() {
            strides[if axis < 2 { axis } else { axis + 5 - dims.len() }] = stride as isize;
        }
        let plan = self.options.plan(shape).map_err(Error::wrap)?;
        let xs = View::new(xs, layout.start_offset(), strides);
        let mut ys = Vec::with_capacity(plan.elements());
        let to = ViewMut::uninit(&mut ys.spare_capacity_mut()[..plan.elements()]);
        match self.way {
            Way::Forward(key) => {
                // Drawn once; a pass without the words would draw it to count it first.
                let mut words = vec![0; plan.mask_words()];
                let mask = plan.draw(key, &mut words).map_err(Error::wrap)?;
                mask.forward(xs, to).map_err(Error::wrap)?;
                self.drawn.get_or_init(|| mask.drawn().unwrap_or(key.into()));
            }
            Way::Backward(drawn) => plan.backward(drawn, xs, to).map_err(Error::wrap)?,
        }
        #[allow(unsafe_code, reason = "an output that is not written twice")]
        // SAFETY: the capacity is at least that, and the pass has returned `Ok`, so that it has written
        // every element.
        unsafe {
            ys.set_len(plan.elements());
        }
        Ok(ys)
    }
}
