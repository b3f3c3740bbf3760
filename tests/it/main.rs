//! All integration tests in one binary.

mod abuse;
mod abuse_data;
mod case;
mod dilation;
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
