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
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(stderr.starts_with("inspect: --layout: "), "{stderr}");
    assert!(
        stderr.ends_with("--help lists all flags\n") && stderr.lines().count() == 1,
        "{stderr}"
    );
    assert!(stdout.is_empty());
}

#[test]
fn inspect_writes_the_plane_that_it_shows() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plane.png");
    let flags = format!(
        "--drop-prob 0.2 --seed 2024 --step 17 --layer 3 --shape 1,2,10,10 --block-size 3 --show \
         --plane 0 --png {}",
        path.display()
    );
    let Output { status, stdout, stderr } = inspect(&flags);
    assert_eq!(status.code(), Some(0), "{}", String::from_utf8_lossy(&stderr));
    let stdout = String::from_utf8_lossy(&stdout);
    let (_, rows) = stdout.split_once("\n\n").unwrap_or_default();
    let rows: Vec<&str> = rows.lines().collect();
    // Those of the page on reproducibility.
    assert_eq!(rows[3..7], ["..###.....", "..###.####", "..###.####", "...#######"]);
    assert_eq!(rows.len(), 10);

    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{error}"));
    let reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info();
    let mut reader = reader.unwrap_or_else(|error| panic!("{error}"));
    let side = reader.info().width as usize;
    assert_eq!(reader.info().height as usize, side);
    let mut pixels = vec![0; side * side];
    reader.next_frame(&mut pixels).unwrap_or_else(|error| panic!("{error}"));
    let square = side / 10;
    for (y, row) in rows.iter().enumerate() {
        for (x, char) in row.chars().enumerate() {
            let pixel = pixels[(y * square + square / 2) * side + x * square + square / 2];
            assert_eq!(pixel == 0, char == '#', "row {y}, column {x}");
        }
    }
}

#[test]
fn inspect_tells_its_version_and_prints_csv() {
    let Output { status, stdout, .. } = inspect("--version");
    assert_eq!(status.code(), Some(0));
    let version = format!("mask function version {}\n", dropblock::MASK_VERSION);
    assert!(String::from_utf8_lossy(&stdout).ends_with(&version));

    let flags = format!("{KEY} --shape 1,37,211 --block-size 7");
    let lines = String::from_utf8_lossy(&inspect(&flags).stdout).into_owned();
    let csv = String::from_utf8_lossy(&inspect(&format!("{flags} --csv")).stdout).into_owned();
    let pairs: Vec<_> = lines.lines().filter_map(|line| line.split_once(": ")).collect();
    let (names, values): (Vec<&str>, Vec<&str>) = pairs.into_iter().unzip();
    assert_eq!(csv, format!("{}\n{}\n", names.join(","), values.join(",")));
}
