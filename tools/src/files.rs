//! Committed files that a program of the tree writes.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// The root of the tree.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).into()
}

/// Writes the file, or only compares. Returns whether it is as it should be.
pub fn settle(path: &Path, text: &str, check: bool) -> Result<bool, Box<dyn Error>> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(true);
    }
    if check {
        eprintln!("{} differs from what this program writes", path.display());
        return Ok(false);
    }
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    eprintln!("wrote {}", path.display());
    Ok(true)
}
