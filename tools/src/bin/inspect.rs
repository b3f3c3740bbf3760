//! Prints what a plan is and which mask and output a key gives, to compare two builds, machines
//! or ports.
//!
//! ```text
//! cargo run --release -p dropblock-tools --bin inspect -- \
//!     --shape 32,256,14,14 --block-size 7 --drop-prob 0.1 --seed 1 --step 0
//! ```
//!
//! `src/inspect/mod.rs` says what each line means. `--show` adds the mask itself. Bad arguments end it
//! with exit code 2 and one line. `--help` lists all flags.

use std::io::Write;
use std::process::ExitCode;

use dropblock_tools::{inspect, waiting};

fn main() -> ExitCode {
    // Lossy, so that a mangled argument is quoted in a message like any other bad one.
    let args: Vec<_> =
        std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    let has = |flags: [&str; 2]| args.iter().any(|arg| flags.contains(&arg.as_str()));
    let text = if has(["--help", "-h"]) {
        inspect::usage()
    } else if has(["--version", "-V"]) {
        inspect::version()
    } else {
        match waiting("drawing", || inspect::run(args)) {
            Ok(text) => text,
            Err(message) => {
                eprintln!("inspect: {message}; --help lists all flags");
                return ExitCode::from(2);
            }
        }
    };
    // Not `print!`, which panics when a reader such as `head` has gone.
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
