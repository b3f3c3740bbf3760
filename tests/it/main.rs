//! All integration tests in one binary.

mod case;
mod refusals;
mod suite;
mod vectors;
