//! The committed golden vectors are the files that the program `vectors` writes, and no others.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The text files of a folder by name.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{error}"));
    let file = |entry: fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let text = fs::read_to_string(entry.path()).ok()?;
        name.ends_with(".txt").then_some((name, text))
    };
    entries.flatten().filter_map(file).collect()
}

#[test]
fn the_program_writes_the_committed_files() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("vectors");
    let status = Command::new(env!("CARGO_BIN_EXE_vectors")).arg(&folder).status();
    assert!(status.is_ok_and(|status| status.success()));
    let committed = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors"));
    let written = files(&folder);
    assert!(committed.keys().eq(written.keys()), "{:?}", written.keys());
    for (name, text) in &written {
        assert!(committed[name] == *text, "{name}: run `cargo run --bin vectors`");
    }
}
