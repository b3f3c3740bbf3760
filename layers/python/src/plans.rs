//! Plans that are kept, and the threads that run them.

use std::collections::HashMap;
use std::process;
use std::sync::{Arc, Mutex, PoisonError};

use dropblock::{Plan, Shape};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::options::{parse, value_error};

/// As many plans, of 4.5 KB each, are kept: more than the layers of a network. With a schedule there are
/// new ones each step, and the old ones go.
const KEPT: usize = 256;

/// Tensors of fewer elements are not worth waking threads for.
const MIN_ELEMENTS: usize = 1 << 16;

#[derive(PartialEq, Eq, Hash)]
struct Request {
    options: Box<str>,
    prob: u64,
    sizes: Box<[usize]>,
}

static PLANS: Mutex<Option<HashMap<Request, Arc<Plan>>>> = Mutex::new(None);

/// The plan for tensors of these sizes: samples, channels, and one to three axes of a map.
pub(crate) fn get(options: &str, prob: f64, sizes: &[usize]) -> PyResult<Arc<Plan>> {
    let request = Request { options: options.into(), prob: prob.to_bits(), sizes: sizes.into() };
    let mut plans = PLANS.lock().unwrap_or_else(PoisonError::into_inner);
    let plans = plans.get_or_insert_default();
    if let Some(plan) = plans.get(&request) {
        return Ok(plan.clone());
    }
    let shape = match *sizes {
        [n, c, l] => Shape::ncl(n, c, l),
        [n, c, h, w] => Shape::nchw(n, c, h, w),
        [n, c, d, h, w] => Shape::ncdhw(n, c, d, h, w),
        _ => {
            let text = format!("samples, channels and 1 to 3 axes of a map needed, got {sizes:?}");
            return Err(PyValueError::new_err(text));
        }
    };
    let plan = Arc::new(parse(options, prob)?.plan(shape).map_err(value_error)?);
    if plans.len() >= KEPT {
        plans.clear();
    }
    plans.insert(request, plan.clone());
    Ok(plan)
}

/// A pool of threads, and the process that has it: after a fork the child has no threads.
struct Pool {
    process: u32,
    threads: usize,
    pool: Arc<ThreadPool>,
}

static POOL: Mutex<Option<Pool>> = Mutex::new(None);

/// Runs `f` on so many threads, or on this one.
pub(crate) fn on_threads<R: Send>(
    plan: &Plan,
    threads: usize,
    f: impl FnOnce(&Plan) -> PyResult<R> + Send,
) -> PyResult<R> {
    if threads < 2 || plan.elements() < MIN_ELEMENTS {
        return f(plan);
    }
    let plan = plan.in_parallel(None);
    pool(threads)?.install(|| f(&plan))
}

fn pool(threads: usize) -> PyResult<Arc<ThreadPool>> {
    let process = process::id();
    let mut kept = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(kept) = &*kept
        && kept.process == process
        && kept.threads == threads
    {
        return Ok(kept.pool.clone());
    }
    let pool = ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|i| format!("dropblock-{i}"))
        .build()
        .map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
    let pool = Arc::new(pool);
    let old = kept.replace(Pool { process, threads, pool: pool.clone() });
    // Dropping a pool wakes its threads, which a forked child does not have.
    std::mem::forget(old.filter(|old| old.process != process));
    Ok(pool)
}
