//! Checks a GPU against the processor and times it: everything that only hardware can show, in
//! one program that needs nothing but itself, the C library and the driver.
//!
//! `cargo build --release -p dropblock-tools --features cuda --bin gpu_check`, then carry the program
//! over and run `gpu_check > GPU.txt`; `kernels/record/README.md` says where that goes. It prints
//!
//! 1. what the device is, and how long the driver took to compile the kernels;
//! 2. whether each kind of instruction gives what the processor gives;
//! 3. every operation on the fixed configurations, for several launches, compared bit for bit;
//! 4. the hashes of their masks, which must be those of `tests/vectors/hashes.txt`;
//! 5. times of mask, forward and backward pass beside a copy on the device of the same bytes, and
//!    whether each row meets its goal.
//!
//! Lines are `key: value`, `mask` lines those of the file of hashes, and times a table of
//! comma-separated values. Facts come first and nothing is held back, so that what a failure
//! leaves is still of use.
//!
//! It ends with `all equal` and code 0, or with the number of differences and code 1; with code 2
//! where there is no device or the arguments are wrong. `--no-times` leaves out the last point,
//! `--quick` takes every tenth configuration, `--times` does nothing but the last point, and
//! `--against FILE` compares the times with those of an earlier output. `--counts` only calls each row's
//! operation once on a small tensor, for `.ci/cuda`.

mod compare;
mod times;

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use dropblock::cuda::{self, Device};
use dropblock_cases::fixed::{self, COUNT};
use indicatif::ProgressBar;

const HASHES: &str = include_str!("../../../../tests/vectors/hashes.txt");

#[derive(Clone, Debug)]
struct Options {
    checks: bool,
    times: bool,
    quick: bool,
    counts: bool,
    against: Option<String>,
}

fn options() -> Option<Options> {
    let (checks, times, quick, counts) = (true, true, false, false);
    let mut options = Options { checks, times, quick, counts, against: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match &*argument {
            "--no-times" => options.times = false,
            "--quick" => options.quick = true,
            "--times" => options.checks = false,
            "--counts" => options.counts = true,
            "--against" => options.against = Some(std::fs::read_to_string(arguments.next()?).ok()?),
            _ => return None,
        }
    }
    Some(options)
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!("usage: gpu_check [--no-times | --times | --counts] [--quick] [--against FILE]");
        return ExitCode::from(2);
    };
    println!("crate: dropblock {}", env!("CARGO_PKG_VERSION"));
    let start = Instant::now();
    let device = match Device::new(0) {
        Ok(device) => device,
        Err(error) => {
            eprintln!("gpu_check: {error}");
            return ExitCode::from(2);
        }
    };
    // Of the driver's start and of compiling, or of finding the result of an earlier run.
    println!("start_and_compile: {:.3} s", start.elapsed().as_secs_f64());
    match check(&device, &options) {
        Ok(0) => {
            println!("all equal");
            ExitCode::SUCCESS
        }
        Ok(differences) => {
            println!("{differences} differences");
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the number of differences.
fn check(device: &Device, options: &Options) -> Result<usize, Box<dyn Error>> {
    let (major, minor) = device.compute_capability();
    let (cuda_major, cuda_minor) = device.driver_version();
    println!("device: {}", device.name());
    println!("compute_capability: {major}.{minor}");
    println!("multiprocessors: {}", device.multiprocessors());
    println!("threads_per_block: {}", device.max_threads());
    println!("memory: {} MiB", device.memory() >> 20);
    println!("driver: CUDA {cuda_major}.{cuda_minor}");

    let mut differences = 0;
    if options.counts {
        times::count(device)?;
        return Ok(0);
    }
    if !options.checks {
        times::print(device, options.against.as_deref())?;
        return Ok(0);
    }
    match device.self_test() {
        Ok(()) => println!("instructions: equal"),
        Err(error @ cuda::Error::SelfTest { .. }) => {
            println!("instructions: {error}");
            differences += 1;
        }
        Err(error) => return Err(error.into()),
    }
    differences += masks_and_passes(device, options)?;
    if options.times {
        times::print(device, options.against.as_deref())?;
    }
    Ok(differences)
}

/// The fixed configurations, each with its hash.
fn masks_and_passes(device: &Device, options: &Options) -> Result<usize, Box<dyn Error>> {
    let mut differences = 0;
    let mut wrong_hashes = 0;
    let step = if options.quick { 10 } else { 1 };
    let progress = ProgressBar::new(COUNT.div_ceil(step) as u64);
    let expected = HASHES.lines().filter(|line| !line.starts_with('#'));
    for (number, expected) in (0..COUNT).zip(expected).step_by(step) {
        let case = fixed::case(number)?;
        let (line, found) = compare::case(device, number, &case)?;
        progress.suspend(|| println!("mask: {line}"));
        progress.inc(1);
        if line != expected {
            println!("hash_differs: {expected} is needed");
            wrong_hashes += 1;
        }
        for difference in &found {
            println!("differs: {difference} in case {number}: {case:?}");
        }
        differences += found.len();
    }
    progress.finish_and_clear();
    let count = COUNT.div_ceil(step);
    println!("configurations: {count}");
    println!("operations: {differences} different");
    println!("hashes: {} equal, {wrong_hashes} different", count - wrong_hashes);
    Ok(differences + wrong_hashes)
}
