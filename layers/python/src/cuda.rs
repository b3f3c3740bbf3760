//! Passes on a CUDA device, enqueued on PyTorch's stream and in its memory. They wait for nothing but a
//! layer that is new.
//!
//! A backward pass is a forward pass that writes zeros: it draws and counts the mask again, so nothing on
//! the device is kept for it.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::{Mutex, PoisonError};

use dropblock::cuda::{Device, Error, Layer, Slice, SliceMut, Stream};
use dropblock::half::{bf16, f16};
use dropblock::{Drawn, Element, Plan};
use pyo3::exceptions::{PyMemoryError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use crate::options::value_error;
use crate::tensor::{Address, Tensor, unknown_type};
use crate::{plans, read_count, read_key};

/// Layers for so many drop probabilities are kept, on each stream. More are those of a schedule: the layer
/// that was used least recently takes the new plan, which does not wait.
const PROBS: usize = 2;

/// So many layers are kept, with 10 KB each of the host and the device beside their masks.
const KEPT: usize = 1024;

/// Layers take this fraction of a device's memory at most. A mask is 1/32 of an `f32` tensor, so those of a
/// network fit.
const MEMORY: u64 = 16;

/// Where a pass is enqueued.
#[derive(Clone, Copy, FromPyObject)]
pub(crate) struct Queue {
    #[pyo3(item(0))]
    device: usize,
    /// A `cudaStream_t`.
    #[pyo3(item(1))]
    stream: usize,
    /// While a graph is captured: the address of as many words, all 0, as [`cuda_workspace`]
    /// says. Else 0.
    #[pyo3(item(2))]
    workspace: u64,
}

/// What a layer is made for, but for stream and drop probability.
#[derive(PartialEq, Eq, Hash)]
struct Request {
    device: usize,
    options: Box<str>,
    sizes: Box<[usize]>,
    strides: [isize; 5],
}

struct Kept {
    layer: Layer,
    stream: usize,
    prob: u64,
    /// Whether a graph reads its table, so that it stays as it is.
    in_graph: bool,
    last_use: u64,
}

#[derive(Default)]
struct Layers {
    devices: HashMap<usize, Device>,
    kept: HashMap<Request, Vec<Kept>>,
    uses: u64,
}

static LAYERS: Mutex<Option<Layers>> = Mutex::new(None);

/// Forward pass from `x` to `y` on a device. Arguments as for the CPU's, but:
///
/// * `x`, `y`: addresses of the device, with equal strides.
/// * `step`: the address of the step on the device, which takes the place of the key's, or 0.
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "an object that holds them would cost time in Python")]
pub(crate) fn cuda_forward(
    py: Python<'_>,
    x: Tensor,
    y: Tensor,
    dtype: &str,
    sizes: Vec<usize>,
    options: &str,
    prob: Address,
    key: Address,
    step: u64,
    first_sample: u64,
    count: Address,
    drawn: Address,
    queue: Queue,
) -> PyResult<()> {
    let mut result = Drawn::from(read_key(key, first_sample));
    if !count.is_null() {
        result = result.with_count(read_count(count));
    }
    py.detach(|| run(result, prob.float(), options, &sizes, (&x, &y), dtype, step, queue))?;
    drawn.write_drawn(result, prob.float());
    Ok(())
}

/// Backward pass from `dy` to `dx`. Arguments as for [`cuda_forward`]; `drawn` is what that wrote.
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "as above")]
pub(crate) fn cuda_backward(
    py: Python<'_>,
    dy: Tensor,
    dx: Tensor,
    dtype: &str,
    sizes: Vec<usize>,
    options: &str,
    drawn: Address,
    step: u64,
    queue: Queue,
) -> PyResult<()> {
    let (drawn, prob) = drawn.drawn();
    let options = without_noise(options);
    py.detach(|| run(drawn, prob, &options, &sizes, (&dy, &dx), dtype, step, queue))
}

/// The 64-bit words that a pass needs while a graph is captured.
#[pyfunction]
pub(crate) fn cuda_workspace(
    x: Tensor,
    sizes: Vec<usize>,
    options: &str,
    prob: Address,
    device: usize,
) -> PyResult<usize> {
    let prob = prob.float();
    let plan = plans::get(options, prob, &sizes)?;
    let (strides, _) = x.extent(&plan, size_of::<f64>())?;
    let request = Request { device, options: options.into(), sizes: sizes.into(), strides };
    let mut layers = LAYERS.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = layers.get_or_insert_default().kept.get_mut(&request);
    Ok(for_graph(kept, prob.to_bits())?.layer.workspace_words())
}

/// The number of devices that the driver has.
#[pyfunction]
pub(crate) fn cuda_count() -> PyResult<usize> {
    Device::count().map_err(error)
}

/// Compares every kind of instruction on a device with the CPU, and waits.
#[pyfunction]
pub(crate) fn cuda_self_test(device: usize) -> PyResult<()> {
    Device::new(device).and_then(|device| device.self_test()).map_err(error)
}

fn without_noise(options: &str) -> String {
    let tokens = options.split_ascii_whitespace().filter(|&token| token != "fill=noise");
    tokens.collect::<Vec<_>>().join(" ")
}

#[allow(clippy::too_many_arguments, reason = "as above")]
fn run(
    drawn: Drawn,
    prob: f64,
    options: &str,
    sizes: &[usize],
    (x, y): (&Tensor, &Tensor),
    dtype: &str,
    step: u64,
    queue: Queue,
) -> PyResult<()> {
    let enqueue = match dtype {
        "float32" => enqueue::<f32>,
        "float64" => enqueue::<f64>,
        "float16" => enqueue::<f16>,
        "bfloat16" => enqueue::<bf16>,
        _ => return Err(unknown_type(dtype)),
    };
    let plan = plans::get(options, prob, sizes)?;
    let (strides, len) = x.extent(&plan, size_of::<f64>())?;
    if y.extent(&plan, size_of::<f64>())?.0 != strides {
        let (x, y) = (&x.strides, &y.strides);
        let text = format!("strides of input and output must be equal, got {x:?} and {y:?}");
        return Err(PyValueError::new_err(text));
    }
    if len == 0 {
        return Ok(());
    }
    let request =
        Request { device: queue.device, options: options.into(), sizes: sizes.into(), strides };
    let addresses = [x.address as u64, y.address as u64, step];
    let mut layers = LAYERS.lock().unwrap_or_else(PoisonError::into_inner);
    let layers = layers.get_or_insert_default();
    if queue.workspace == 0 {
        let layer = layers.get(request, &plan, prob.to_bits(), queue)?;
        return enqueue(layer, None, drawn, addresses);
    }
    let layer = &for_graph(layers.kept.get_mut(&request), prob.to_bits())?.layer;
    let stream = stream(&layer.stream().device(), queue.stream);
    enqueue(layer, Some((&stream, queue.workspace)), drawn, addresses)
}

/// Enqueues a pass, on the layer's own stream and workspace or on others.
fn enqueue<T: Element>(
    layer: &Layer,
    on: Option<(&Stream, u64)>,
    drawn: Drawn,
    [x, y, step]: [u64; 3],
) -> PyResult<()> {
    let mut pass = match on {
        None => layer.pass(),
        Some((stream, workspace)) => {
            // SAFETY: Python passes memory of the device, which PyTorch keeps for the graph.
            let workspace = unsafe { SliceMut::from_raw(workspace, layer.workspace_words()) };
            layer.on(stream, workspace).map_err(error)?
        }
    };
    if step != 0 {
        // SAFETY: Python passes a tensor of the device, which PyTorch does not use for anything else
        // before the stream is done with it.
        let step = unsafe { Slice::from_raw(step, 1) };
        pass = pass.with_step(step).map_err(error)?;
    }
    if let Some(count) = drawn.count() {
        pass = pass.with_count(count).map_err(error)?;
    }
    let (key, len) = (drawn.key(), layer.extent());
    // SAFETY: as above, a tensor of this type, sizes and strides; new, or the one that is changed.
    let to = unsafe { SliceMut::<T>::from_raw(y, len) };
    if x == y {
        return pass.forward_in_place(key, to, None).map_err(error);
    }
    // SAFETY: as above.
    let from = unsafe { Slice::<T>::from_raw(x, len) };
    pass.forward(key, from, to, None).map_err(error)
}

impl Layers {
    /// The layer of a plan on a stream: one that is kept, one that takes the plan, or a new one.
    fn get(&mut self, request: Request, plan: &Plan, prob: u64, queue: Queue) -> PyResult<&Layer> {
        self.uses += 1;
        let own = |kept: &Kept| kept.stream == queue.stream;
        let kept = self.kept.get(&request).map_or(&[][..], Vec::as_slice);
        let mut at = kept.iter().position(|kept| own(kept) && kept.prob == prob);
        if at.is_none() {
            let free = || (0..kept.len()).filter(|&i| own(&kept[i]) && !kept[i].in_graph);
            if free().count() >= PROBS {
                at = free().min_by_key(|&i| kept[i].last_use);
            }
        }
        let Some(at) = at else { return self.add(request, plan, prob, queue) };
        let kept = &mut self.kept.entry(request).or_default()[at];
        if kept.prob != prob {
            let stream = kept.layer.stream().clone();
            kept.layer.set_plan(plan, &stream).map_err(error)?;
            kept.prob = prob;
        }
        kept.last_use = self.uses;
        Ok(&kept.layer)
    }

    fn add(&mut self, request: Request, plan: &Plan, prob: u64, queue: Queue) -> PyResult<&Layer> {
        let device = match self.devices.get(&queue.device) {
            Some(device) => device.clone(),
            None => Device::new(queue.device).map_err(error)?,
        };
        self.devices.insert(queue.device, device.clone());
        let all = || self.kept.values().flatten();
        let bytes: u64 = all().map(|kept| kept.layer.device_bytes() as u64).sum();
        if all().count() >= KEPT || bytes > device.memory() / MEMORY {
            self.kept.values_mut().for_each(|kept| kept.retain(|kept| kept.in_graph));
            self.kept.retain(|_, kept| !kept.is_empty());
        }
        let layer = Layer::new(plan, &stream(&device, queue.stream))
            .and_then(|layer| layer.with_strides(request.strides.map(isize::unsigned_abs)))
            .map_err(error)?;
        let (stream, last_use) = (queue.stream, self.uses);
        let kept = self.kept.entry(request).or_default();
        kept.push(Kept { layer, stream, prob, in_graph: false, last_use });
        Ok(&kept[kept.len() - 1].layer)
    }
}

/// The layer that a graph uses, of any stream, which stays as it is from now on.
fn for_graph(kept: Option<&mut Vec<Kept>>, prob: u64) -> PyResult<&Kept> {
    let found = kept.and_then(|kept| kept.iter_mut().find(|kept| kept.prob == prob));
    let found = found.ok_or_else(|| {
        let text = "a CUDA graph takes no memory for a new layer: run forward and backward once \
            before the capture, with the same shape, options and drop probability";
        PyRuntimeError::new_err(text)
    })?;
    found.in_graph = true;
    Ok(found)
}

fn stream(device: &Device, stream: usize) -> Stream {
    // SAFETY: Python passes a stream of PyTorch, of the primary context. PyTorch does not destroy its
    // streams, and one of the user's is not used after its last pass, only waited for by its context.
    unsafe { Stream::from_raw(device, stream as *mut c_void) }
}

fn error(error: Error) -> PyErr {
    match error {
        Error::Plan(error) => value_error(error),
        Error::OutOfMemory { .. } => PyMemoryError::new_err(error.to_string()),
        error => PyRuntimeError::new_err(error.to_string()),
    }
}
