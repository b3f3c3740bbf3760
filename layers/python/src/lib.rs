//! The native part of the Python package: operations of `dropblock` on memory that the caller owns.
//!
//! Tensors come as addresses, sizes and strides, so nothing here links PyTorch, and one library serves
//! every version of it. What changes from step to step comes by address too, because reading it here
//! costs less than reading it in Python. Python keeps everything alive during a call.

#[cfg(target_os = "linux")]
mod cuda;
mod options;
mod plans;
mod reference;
mod tensor;

use std::cell::RefCell;

use dropblock::half::{bf16, f16};
use dropblock::{Drawn, DropCount, Element, Key, MASK_VERSION, Plan};
use pyo3::prelude::*;

use options::value_error;
use tensor::{Address, Tensor, unknown_type};

thread_local! {
    /// The words of a mask. Kept, as taking and clearing new memory costs more than a small pass.
    static WORDS: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// Forward pass from `x` to `y`; in place if both are the same.
///
/// * `x`, `y`: address and strides in elements. `y` is not read, unless it is `x`.
/// * `dtype`: `float32`, `float64`, `float16` or `bfloat16`.
/// * `sizes`: samples, channels, and one to three axes of a map.
/// * `options`: a line as in `options.rs`.
/// * `prob`: the address of the drop probability, a double.
/// * `key`: the address of seed, step and layer, 64-bit integers.
/// * `step`: the address of the step that takes the place of the key's, or 0.
/// * `count`: the address of the dropped units and all units of the whole batch of which this is a part, or
///   0 if it is the whole.
/// * `drawn`: the address of seven 64-bit integers, which are written: for the backward pass.
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "an object that holds them would cost time in Python")]
fn forward(
    py: Python<'_>,
    x: Tensor,
    y: Tensor,
    dtype: &str,
    sizes: Vec<usize>,
    options: &str,
    prob: Address,
    key: Address,
    step: Address,
    first_sample: u64,
    count: Address,
    drawn: Address,
    threads: usize,
) -> PyResult<()> {
    let plan = plans::get(options, prob.float(), &sizes)?;
    let mut key = read_key(key, first_sample);
    if !step.is_null() {
        let [step] = step.words();
        key = key.with_step(step);
    }
    let count = (!count.is_null()).then(|| read_count(count));
    let run = |plan: &Plan| match dtype {
        "float32" => run_forward::<f32>(plan, key, count, &x, &y),
        "float64" => run_forward::<f64>(plan, key, count, &x, &y),
        "float16" => run_forward::<f16>(plan, key, count, &x, &y),
        "bfloat16" => run_forward::<bf16>(plan, key, count, &x, &y),
        _ => Err(unknown_type(dtype)),
    };
    let result = py.detach(|| plans::on_threads(&plan, threads, run))?;
    drawn.write_drawn(result, prob.float());
    Ok(())
}

/// Backward pass from `dy` to `dx`. Arguments as for `forward`; `drawn` is what that wrote.
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "as above")]
fn backward(
    py: Python<'_>,
    dy: Tensor,
    dx: Tensor,
    dtype: &str,
    sizes: Vec<usize>,
    options: &str,
    drawn: Address,
    threads: usize,
) -> PyResult<()> {
    let (drawn, prob) = drawn.drawn();
    let plan = plans::get(options, prob, &sizes)?;
    let run = |plan: &Plan| match dtype {
        "float32" => run_backward::<f32>(plan, drawn, &dy, &dx),
        "float64" => run_backward::<f64>(plan, drawn, &dy, &dx),
        "float16" => run_backward::<f16>(plan, drawn, &dy, &dx),
        "bfloat16" => run_backward::<bf16>(plan, drawn, &dy, &dx),
        _ => Err(unknown_type(dtype)),
    };
    py.detach(|| plans::on_threads(&plan, threads, run))
}

/// Counts the mask of a key: the dropped units, and all. Arguments as for `forward`.
#[pyfunction]
fn count(
    py: Python<'_>,
    sizes: Vec<usize>,
    options: &str,
    prob: Address,
    key: Address,
    first_sample: u64,
    threads: usize,
) -> PyResult<(u64, u64)> {
    let plan = plans::get(options, prob.float(), &sizes)?;
    let key = read_key(key, first_sample);
    let count = |plan: &Plan| plan.count(key).map_err(value_error);
    let drawn = py.detach(|| plans::on_threads(&plan, threads, count))?;
    Ok(drawn.count().map_or((0, 0), |count| (count.dropped, count.total)))
}

/// The fraction of the units of a map that is dropped on average.
#[pyfunction]
fn expected_dropped(sizes: Vec<usize>, options: &str, prob: f64) -> PyResult<f64> {
    plans::get(options, prob, &sizes).map(|plan| plan.expected_dropped())
}

/// Refuses options and a drop probability that no pass takes, for a map of so many axes.
#[pyfunction]
fn check(options: &str, prob: f64, axes: usize) -> PyResult<()> {
    let sizes = vec![1; axes + 2];
    plans::get(options, prob, &sizes).map(|_| ())
}

/// The value of a schedule when `step` of `total` steps are done.
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "as above")]
#[allow(clippy::needless_pass_by_value, reason = "Python's arguments")]
fn schedule(
    course: &str,
    start: f64,
    end: f64,
    steps: Vec<(u64, f64)>,
    after: u64,
    step: u64,
    total: u64,
) -> PyResult<f64> {
    Ok(options::schedule(course, start, end, &steps)?.after(after).at(step, total))
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("MASK_VERSION", MASK_VERSION)?;
    module.add_function(wrap_pyfunction!(forward, module)?)?;
    module.add_function(wrap_pyfunction!(backward, module)?)?;
    module.add_function(wrap_pyfunction!(count, module)?)?;
    module.add_function(wrap_pyfunction!(expected_dropped, module)?)?;
    module.add_function(wrap_pyfunction!(check, module)?)?;
    module.add_function(wrap_pyfunction!(schedule, module)?)?;
    module.add_function(wrap_pyfunction!(options::preset, module)?)?;
    module.add_function(wrap_pyfunction!(reference::reference, module)?)?;
    #[cfg(target_os = "linux")]
    {
        module.add_function(wrap_pyfunction!(cuda::cuda_forward, module)?)?;
        module.add_function(wrap_pyfunction!(cuda::cuda_backward, module)?)?;
        module.add_function(wrap_pyfunction!(cuda::cuda_workspace, module)?)?;
        module.add_function(wrap_pyfunction!(cuda::cuda_count, module)?)?;
        module.add_function(wrap_pyfunction!(cuda::cuda_self_test, module)?)?;
    }
    Ok(())
}

fn read_key(key: Address, first_sample: u64) -> Key {
    let [seed, step, layer] = key.words();
    Key::new(seed).with_step(step).with_layer(layer).with_first_sample(first_sample)
}

fn read_count(count: Address) -> DropCount {
    let [dropped, total] = count.words();
    DropCount { dropped, total }
}

fn run_forward<T: Element>(
    plan: &Plan,
    key: Key,
    count: Option<DropCount>,
    x: &Tensor,
    y: &Tensor,
) -> PyResult<Drawn> {
    // Taken, not borrowed: a thread that waits for a part of a pass may begin another pass.
    let mut words = WORDS.take();
    if words.len() < plan.mask_words() {
        words.resize(plan.mask_words(), 0);
    }
    let drawn = draw_and_apply::<T>(plan, key, count, (x, y), &mut words);
    WORDS.set(words);
    drawn
}

fn draw_and_apply<T: Element>(
    plan: &Plan,
    key: Key,
    count: Option<DropCount>,
    (x, y): (&Tensor, &Tensor),
    words: &mut [u64],
) -> PyResult<Drawn> {
    let mut mask = plan.draw(key, words).map_err(value_error)?;
    if let Some(count) = count {
        mask = mask.with_count(count).map_err(value_error)?;
    }
    if x.is(y) {
        mask.forward_in_place(y.view_mut::<T>(plan)?).map_err(value_error)?;
    } else {
        mask.forward(x.view::<T>(plan)?, y.view_mut::<T>(plan)?).map_err(value_error)?;
    }
    Ok(mask.drawn().unwrap_or(key.into()))
}

fn run_backward<T: Element>(plan: &Plan, drawn: Drawn, dy: &Tensor, dx: &Tensor) -> PyResult<()> {
    plan.backward(drawn, dy.view::<T>(plan)?, dx.view_mut::<T>(plan)?).map_err(value_error)
}
