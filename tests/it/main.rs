//! All integration tests in one binary.

mod abuse;
mod abuse_data;
mod bands;
mod case;
#[cfg(feature = "cuda")]
mod cuda;
mod dilation;
#[cfg(feature = "cuda")]
mod gpu;
#[cfg(feature = "cuda")]
mod gpu_check;
#[cfg(feature = "cuda")]
mod gpu_layer;
#[cfg(feature = "cuda")]
mod gpu_paths;
#[cfg(feature = "half")]
mod half;
mod inspect;
mod interface;
mod interface_data;
#[cfg(feature = "serde")]
mod interface_serde;
mod noise;
#[cfg(feature = "rayon")]
mod parallel;
mod presets;
mod refusals;
mod schedule;
mod sizes;
#[cfg(all(target_arch = "x86_64", not(miri)))]
mod stack;
mod statistics;
mod structure;
mod suite;
mod theorems;
mod vectors;
