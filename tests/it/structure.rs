//! The code map of ARCHITECTURE.md against the tree.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn document() -> String {
    fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap_or_else(|error| panic!("{error}"))
}

/// The Rust files of `src`, as they are named in the map; `cuda` has a table of its own.
fn tree(folder: &Path, files: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("src/cuda") {
            tree(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root().join("src")).unwrap_or(&path);
            files.insert(name.to_string_lossy().replace('\\', "/"));
        }
    }
}

/// What stands between backticks and names a file.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split('`').skip(1).step_by(2);
    words.filter(|word| word.ends_with(".rs")).map(str::to_string).collect()
}

#[test]
fn every_file_is_in_the_code_map() {
    let text = document();
    let (_, map) = text.split_once("## Code map").unwrap_or_default();
    let (map, _) = map.split_once("`cuda/` is a second path").unwrap_or_default();
    let mut files = BTreeSet::new();
    tree(&root().join("src"), &mut files);
    let folders: Vec<String> = map
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| word.ends_with('/') && !word.starts_with('.'))
        .map(str::to_string)
        .collect();
    let named = named(map);
    let wrong: Vec<_> = named.difference(&files).collect();
    assert!(wrong.is_empty(), "named, but not there: {wrong:?}");
    let missing: Vec<_> = files
        .difference(&named)
        .filter(|file| !folders.iter().any(|folder| file.starts_with(folder.as_str())))
        .filter(|file| *file != "lib.rs")
        .collect();
    assert!(missing.is_empty(), "there, but not named: {missing:?}");
}

/// Each stage has a row, and in each column files of its own folder that exist.
#[test]
fn every_stage_has_a_file_for_each_backend() {
    let text = document();
    let rows: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.starts_with("| stage |"))
        .take_while(|line| line.starts_with('|'))
        .collect();
    let backends = rows.first().map_or(0, |head| head.matches("`").count());
    assert_eq!(backends, 8, "scalar, simd, avx2 and avx512 have columns");
    for (row, folder) in rows.iter().skip(2).zip(["center", "mask", "dilate", "count", "apply"]) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 8, "{row}");
        for cell in [cells[2], cells[4], cells[5], cells[6]] {
            let files = named(cell);
            assert!(!files.is_empty(), "{row}");
            for file in files {
                assert!(file.starts_with(folder), "{file} in the row of {folder}");
                assert!(root().join("src").join(&file).is_file(), "{file}");
            }
        }
    }
}
