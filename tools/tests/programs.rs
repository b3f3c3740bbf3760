//! What programs do beside what the crate's tests call: `vectors` writes the committed files and no
//! others, and `inspect` prints lines or ends with 2.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use dropblock_tools::inspect;

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
fn vectors_writes_the_committed_files() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("vectors");
    let status = Command::new(env!("CARGO_BIN_EXE_vectors")).arg(&folder).status();
    assert!(status.is_ok_and(|status| status.success()));
    let mut committed = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors"));
    // A table of the definition, which `port.py` compares with its formula.
    committed.remove("normal.txt");
    let written = files(&folder);
    assert!(committed.keys().eq(written.keys()), "{:?}", written.keys());
    for (name, text) in &written {
        assert!(
            committed[name] == *text,
            "{name}: run `cargo run -p dropblock-tools --bin vectors`"
        );
    }
}

const KEY: &str = "--drop-prob 0.1 --seed 1 --step 2";

fn inspect(flags: &str) -> Output {
    let program = Command::new(env!("CARGO_BIN_EXE_inspect")).args(flags.split(' ')).output();
    program.unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn inspect_prints_the_lines() {
    let flags = format!("{KEY} --shape 4,37,211 --block-size 7");
    let Output { status, stdout, .. } = inspect(&flags);
    let lines = inspect::run(flags.split(' ').map(str::to_string).collect());
    assert_eq!(status.code(), Some(0));
    assert_eq!(Ok(String::from_utf8_lossy(&stdout).into_owned()), lines);
}

#[test]
fn a_refusal_of_inspect_names_its_flag_and_ends_it_with_2() {
    let flags = format!("{KEY} --shape 4,37,211 --layout nchw --block-size 7");
    let Output { status, stdout, stderr } = inspect(&flags);
    assert_eq!(status.code(), Some(2));
    assert!(String::from_utf8_lossy(&stderr).starts_with("inspect: --layout: "));
    assert!(stdout.is_empty());
}
