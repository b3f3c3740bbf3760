//! `cargo bench --bench floor [FILTER]`: every operation beside the memory floor.
//!
//! In each round the candidates of a shape run one after the other, each followed by the floor:
//! in place `x *= c`, out of place a copy. A figure is the ratio to the floor of the same round;
//! minimum and median over the rounds are printed as CSV. Absolute times do not repeat on a busy
//! machine, ratios nearly do. Before the clock runs, the results of all backends are compared.
//!
//! `FILTER` chooses rows whose operation or shape contains it. `FLOOR_SECONDS` (default 1) is
//! the time for one shape, `FLOOR_LARGE=1` adds a tensor of 1.4 GB. Without `--bench`, as under
//! `cargo test --bench floor`, each candidate runs once.

mod dilation;
mod harness;
mod number;
mod passes;
mod plain;
mod plans;

use harness::Settings;

fn main() {
    let settings = Settings::from_environment();
    harness::print_header();
    passes::run(&settings);
    dilation::run(&settings);
    plans::run(&settings);
}
