//! `cargo run -p dropblock-tools --bin vectors [FOLDER]`: writes the golden vectors of mask function
//! version 1, by default to `tests/vectors`, whose `README.md` describes the format.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use dropblock_tools::waiting;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or("tests/vectors".into()));
    fs::create_dir_all(&folder)?;
    let files = waiting("asking the specification", dropblock_tools::vectors::files)?;
    for (name, text) in files {
        fs::write(folder.join(name), text)?;
    }
    Ok(())
}
