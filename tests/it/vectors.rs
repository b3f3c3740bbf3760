//! The golden vectors: the files are what the generator program prints, and every backend
//! gives what the files say.

use std::fs;
use std::path::Path;

use dropblock::{Backend, Error};
use dropblock_cases::fixed;
use dropblock_tools::vectors::{
    Case, ZERO_POINT, cases, files, fnv, hash_line, input, input_i8, output_bytes, variants,
};

use crate::case::pack;

const MASKS: &str = include_str!("../vectors/masks.txt");
const VARIANTS: &str = include_str!("../vectors/variants.txt");
const HASHES: &str = include_str!("../vectors/hashes.txt");

#[test]
fn files_are_what_the_program_writes() -> Result<(), Error> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors"));
    for (name, text) in files()? {
        let committed = fs::read_to_string(folder.join(name));
        assert!(
            committed.is_ok_and(|file| file == text),
            "{name}: run `cargo run -p dropblock-tools --bin vectors`"
        );
    }
    Ok(())
}

/// The lines of the file of hashes.
pub(crate) fn hashes() -> Vec<&'static str> {
    HASHES.lines().filter(|line| !line.starts_with('#')).collect()
}

#[test]
fn hashes_are_those_of_the_oracle() -> Result<(), Error> {
    let lines = hashes();
    assert_eq!(lines.len(), fixed::COUNT);
    for (number, line) in lines.into_iter().enumerate().step_by(7) {
        let case = fixed::case(number)?;
        let mask = case.expected_mask();
        let dropped = mask.iter().filter(|&&unit| unit).count() as u64;
        assert_eq!(hash_line(number, dropped, &pack(&mask)), line, "{case:?}");
    }
    Ok(())
}

/// The value of a line `name = value` in a block of the file.
fn value<'a>(block: &'a str, name: &str) -> Option<&'a str> {
    block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "))
}

#[test]
fn every_backend_gives_what_the_file_says() -> Result<(), Error> {
    check_backends(MASKS, &cases()?)?;
    check_backends(VARIANTS, &variants()?)
}

fn check_backends(file: &str, cases: &[Case]) -> Result<(), Error> {
    let blocks: Vec<&str> = file.split("\n\n").skip(1).collect();
    assert_eq!(blocks.len(), cases.len());
    for (case, block) in cases.iter().zip(blocks) {
        for backend in Backend::available() {
            let plan = case.layer.with_backend(backend)?.plan(case.shape)?;
            let mut words = vec![!0; plan.mask_words()];
            let mut y = input(case.buffer_len());
            let mask = plan.draw(case.key, &mut words)?;
            mask.forward_in_place(case.view_mut(&mut y))?;
            let dropped = mask.count().dropped;
            let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            bytes.truncate(plan.units().div_ceil(8));
            let check = |name: &str, given: String| {
                assert_eq!(value(block, name), Some(&*given), "{name}, {backend}, {block}");
            };
            check("units", plan.units().to_string());
            check("dropped", dropped.to_string());
            check("mask_fnv", format!("{:016x}", fnv(&bytes)));
            check("output_fnv", format!("{:016x}", fnv(&output_bytes(&y))));
            if value(block, "output_i8_fnv").is_some() {
                let mut y: Vec<i8> = input_i8(case.buffer_len()).collect();
                plan.drop_only(case.key, case.view_mut(&mut y), ZERO_POINT)?;
                let y: Vec<u8> = y.iter().map(|&y| y as u8).collect();
                check("output_i8_fnv", format!("{:016x}", fnv(&y)));
                let mut y: Vec<f64> = input(case.buffer_len()).into_iter().map(f64::from).collect();
                plan.forward_in_place(case.key, case.view_mut(&mut y))?;
                let y: Vec<u8> = y.iter().flat_map(|y| y.to_bits().to_le_bytes()).collect();
                check("output_f64_fnv", format!("{:016x}", fnv(&y)));
            }
            if value(block, "mask").is_some() {
                check("mask", bytes.iter().map(|byte| format!("{byte:02x}")).collect());
            }
        }
    }
    Ok(())
}
