//! All integration tests in one binary.

mod abuse;
mod abuse_data;
mod case;
#[cfg(feature = "cuda")]
mod cuda;
mod dilation;
#[cfg(feature = "cuda")]
mod gpu;
#[cfg(feature = "cuda")]
mod gpu_paths;
#[cfg(feature = "half")]
mod half;
mod noise;
#[cfg(feature = "rayon")]
mod parallel;
mod presets;
mod refusals;
mod schedule;
mod sizes;
mod statistics;
mod suite;
mod theorems;
mod vectors;
