//! The parts of the programs in `bin` that tests use as well.

use std::time::Duration;

use indicatif::ProgressBar;

pub mod files;
pub mod inspect;
pub mod vectors;

/// Does the work, and shows on standard error that it goes on, where that is a terminal.
pub fn waiting<T>(message: &'static str, work: impl FnOnce() -> T) -> T {
    let progress = ProgressBar::new_spinner().with_message(message);
    progress.enable_steady_tick(Duration::from_millis(100));
    let result = work();
    progress.finish_and_clear();
    result
}
