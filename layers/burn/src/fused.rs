//! The operation on the memory of the Flex backend, with a backward pass of its own that draws the mask
//! again from its key.

use alloc::vec::Vec;
use core::marker::PhantomData;

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::retro_forward::RetroForward;
use burn::backend::autodiff::checkpoint::state::BackwardStates;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Bytes, DType, Tensor, bf16, f16};
use dropblock::{Drawn, DropBlock, Element, View, ViewMut};

use crate::pass::{checked, shape};

/// What the backward pass needs of the forward pass: no mask.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pass {
    pub(crate) options: DropBlock,
    pub(crate) drawn: Drawn,
}

pub(crate) enum Way {
    /// With the words of the mask, or with none: then it is drawn again.
    Forward(Vec<u64>),
    Backward,
}

pub(crate) fn drop_block<const D: usize>(x: Tensor<D>, pass: Pass, words: Vec<u64>) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::drop_block(x.into_dispatch(), pass, Way::Forward(words)))
}

#[backend_extension(Flex, Autodiff)]
pub(crate) trait Operation: Backend {
    fn drop_block(x: FloatTensor<Self>, pass: Pass, way: Way) -> FloatTensor<Self>;
}

impl Operation for Flex {
    fn drop_block(x: FlexTensor, pass: Pass, way: Way) -> FlexTensor {
        match x.dtype() {
            DType::F32 => run::<f32>(x, &pass, &way),
            DType::F64 => run::<f64>(x, &pass, &way),
            DType::F16 => run::<f16>(x, &pass, &way),
            DType::BF16 => run::<bf16>(x, &pass, &way),
            other => unreachable!("{other:?} is refused before"),
        }
    }
}

fn run<T>(mut x: FlexTensor, pass: &Pass, way: &Way) -> FlexTensor
where
    T: Element + burn::tensor::Element + bytemuck::Pod,
{
    let dims = x.shape();
    let plan = checked(pass.options.plan(shape(&dims)));
    let (len, dtype) = (plan.elements(), x.dtype());
    let (dense, first) = (x.is_contiguous(), x.layout().start_offset());
    // In place if nobody else has the memory.
    if dense && let Some(memory) = x.try_storage_mut::<T>() {
        let elements = &mut memory[first..first + len];
        checked(match way {
            Way::Forward(words) if words.is_empty() => {
                plan.forward_in_place(pass.drawn, elements).map(drop)
            }
            Way::Forward(words) => plan
                .mask_from(words)
                .and_then(|mask| mask.with_key(pass.drawn.key()))
                .and_then(|mask| mask.forward_in_place(elements)),
            Way::Backward => plan.backward_in_place(pass.drawn, elements),
        });
        return x;
    }
    let from = View::new(x.storage::<T>(), first, strides(x.layout().strides()));
    let mut y = Vec::<T>::with_capacity(len);
    let to = ViewMut::uninit(&mut y.spare_capacity_mut()[..len]);
    checked(match way {
        Way::Forward(words) if words.is_empty() => plan.forward(pass.drawn, from, to).map(drop),
        Way::Forward(words) => plan
            .mask_from(words)
            .and_then(|mask| mask.with_key(pass.drawn.key()))
            .and_then(|mask| mask.forward(from, to)),
        Way::Backward => plan.backward(pass.drawn, from, to),
    });
    #[allow(unsafe_code, reason = "an output that is not written twice")]
    // SAFETY: the capacity is at least `len`, and the pass has returned `Ok`, so that it has written
    // every element.
    unsafe {
        y.set_len(len);
    }
    FlexTensor::new(Bytes::from_elems(y), Layout::contiguous(dims), dtype)
}

/// The strides of samples, channels, depth, height and width.
fn strides(strides: &[isize]) -> [isize; 5] {
    match *strides {
        [n, c, w] => [n, c, 0, 0, w],
        [n, c, h, w] => [n, c, 0, h, w],
        [n, c, d, h, w] => [n, c, d, h, w],
        _ => unreachable!("3 to 5 axes"),
    }
}

impl<B: Operation, C: CheckpointStrategy> Operation for Autodiff<B, C> {
    fn drop_block(x: FloatTensor<Self>, pass: Pass, way: Way) -> FloatTensor<Self> {
        let prep = Gradient
            .prepare::<C>([x.node()])
            .memory_bound()
            .retro_forward(Again::<B> { x: x.id(), pass, backend: PhantomData })
            .parents([&x]);
        let y = B::drop_block(x.into_primitive(), pass, way);
        match prep.stateful() {
            OpsKind::Tracked(prep) => prep.finish(pass, y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }
}

#[derive(Debug)]
struct Gradient;

impl<B: Operation> Backward<B, 1> for Gradient {
    type State = Pass;

    fn backward(self, ops: Ops<Pass, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        unary::<B, _>(ops.parents, ops.node, grads, |dy| {
            B::drop_block(dy, ops.state, Way::Backward)
        });
    }
}

/// The forward pass again, where gradient checkpointing has not kept its output.
#[derive(Debug)]
struct Again<B> {
    x: NodeId,
    pass: Pass,
    backend: PhantomData<B>,
}

impl<B: Operation> RetroForward for Again<B> {
    fn forward(&self, states: &mut BackwardStates, out: NodeId) {
        let x = states.get_state::<B::FloatTensorPrimitive>(&self.x);
        states.save(out, B::drop_block(x, self.pass, Way::Forward(Vec::new())));
    }
}
