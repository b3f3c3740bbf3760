//! All integration tests in one binary.

mod case;
mod suite;
mod vectors;
