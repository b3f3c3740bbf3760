//! The step of the training: the part of the key that changes.

use alloc::string::ToString;

use burn::module::{
    Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor,
    Param, ParamId,
};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

/// The number of the training step, as a part of a module: it is recorded and loaded with the weights,
/// and a clone has a number of its own.
///
/// It stays on the host, so that a forward pass never waits for a device. A record has it as an integer
/// tensor of one element, named `step.count` below the layer.
///
/// ```
/// use burn::module::Module;
/// use dropblock_burn::{DropBlock2dConfig, next_step};
///
/// let layer = DropBlock2dConfig::new([7, 7], 0.1).init();
/// let trained = next_step(next_step(layer.clone()));
/// assert_eq!((layer.step.get(), trained.step.get()), (0, 2));
///
/// let resumed = layer.load_record(trained.into_record());
/// assert_eq!(resumed.step.get(), 2);
/// ```
#[derive(Clone, Debug)]
pub struct Step {
    id: ParamId,
    count: u64,
}

impl Step {
    pub(crate) fn new(count: u64) -> Self {
        Self { id: ParamId::new(), count }
    }

    /// Returns the number: how many steps are done.
    #[must_use]
    pub const fn get(&self) -> u64 {
        self.count
    }

    fn param(&self) -> Param<Tensor<1, Int>> {
        let data = TensorData::from([self.count as i64]);
        Param::initialized(self.id, Tensor::from_data(data, (&Device::flex(), DType::I64)))
    }
}

/// Adds 1 to the step of every DropBlock layer of a model, so that the next forward pass drops other
/// blocks. The training loop calls it after each step of the optimizer.
///
/// ```
/// use burn::module::Module;
/// use dropblock_burn::{DropBlock2d, DropBlock2dConfig, next_step};
///
/// #[derive(Module, Debug)]
/// struct Model {
///     drops: Vec<DropBlock2d>,
/// }
///
/// let layer = |number| DropBlock2dConfig::new([7, 7], 0.1).with_layer(number).init();
/// let model = Model { drops: vec![layer(0), layer(1)] };
/// let model = next_step(model);
/// assert!(model.drops.iter().all(|drop| drop.step.get() == 1));
/// ```
pub fn next_step<M: Module>(model: M) -> M {
    model.map(&mut Change { to: |step: u64| step.wrapping_add(1), here: false })
}

/// Sets the step of every DropBlock layer of a model, for a training loop that counts by itself. With
/// the same step the layers drop the same blocks again.
///
/// ```
/// use dropblock_burn::{DropBlock2dConfig, at_step};
///
/// let layer = at_step(DropBlock2dConfig::new([7, 7], 0.1).init(), 500);
/// assert_eq!(layer.step.get(), 500);
/// ```
pub fn at_step<M: Module>(model: M, step: u64) -> M {
    model.map(&mut Change { to: |_| step, here: false })
}

/// How a mapper knows a step from integer parameters of other modules.
const CONTAINER: &str = "dropblock_burn::Step";

struct Change<F> {
    to: F,
    /// Whether the parameter that comes is a step.
    here: bool,
}

impl<F: Fn(u64) -> u64> ModuleMapper for Change<F> {
    fn enter_module(&mut self, _name: &str, container: &str) {
        self.here = container == CONTAINER;
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.here = false;
    }

    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        if !self.here {
            return param;
        }
        param.map(|tensor| {
            let count = (self.to)(count_of(tensor.clone())) as i64;
            tensor.full_like(count)
        })
    }
}

fn count_of<const D: usize>(tensor: Tensor<D, Int>) -> u64 {
    tensor.into_data().iter::<i64>().next().unwrap_or_default() as u64
}

impl Module for Step {
    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        visitor.enter_module("count", CONTAINER);
        visitor.visit_int(&self.param());
        visitor.exit_module("count", CONTAINER);
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        mapper.enter_module("count", CONTAINER);
        let (id, tensor, _) = mapper.map_int(self.param()).consume();
        mapper.exit_module("count", CONTAINER);
        Self { id, count: count_of(tensor) }
    }

    fn to_device(self, _device: &Device) -> Self {
        self
    }

    fn fork(self, _device: &Device) -> Self {
        self
    }

    fn collect_devices(&self, devices: Devices) -> Devices {
        devices
    }

    fn materialize(self) -> Self {
        self
    }

    fn valid(&self) -> Self {
        self.clone()
    }

    fn train(self) -> Self {
        self
    }
}

impl ModuleDisplayDefault for Step {
    fn content(&self, content: Content) -> Option<Content> {
        content.add_formatted(&self.count.to_string()).optional()
    }
}

impl ModuleDisplay for Step {}
