//! The pictures of the guide.
//!
//! ```text
//! cargo run -p dropblock-tools --bin pictures [-- --check]
//! ```
//!
//! Writes `docs/guide/*.svg`, and `src/guide/pictures.txt`. That text has the same pictures as
//! definitions of links: rustdoc copies no files, so the compiled guide takes them from there, and a
//! reader of the Markdown takes the files. With `--check` it writes nothing, and fails if a file differs
//! from what it would write.

mod curves;
mod draw;
mod masks;
mod positions;

use std::error::Error;
use std::fmt::Write as _;
use std::process::ExitCode;

use dropblock_tools::files::{self, settle};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use draw::Picture;

/// What ends a link, in Markdown or in HTML, or means something in it.
const NOT_IN_A_LINK: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'(')
    .add(b')')
    .add(b'<')
    .add(b'>');

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("pictures: `cargo run -p dropblock-tools --bin pictures` writes them");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("pictures: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether the files are as they should be.
fn run() -> Result<bool, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let check = match &arguments[..] {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => return Err("usage: pictures [--check]".into()),
    };
    let pictures: [(&str, Picture); 8] = [
        ("masks", masks::sizes()?),
        ("sharing", masks::sharing()?),
        ("regions", positions::regions()?),
        ("dropped", curves::dropped()?),
        ("keep", positions::keep()?),
        ("schedules", curves::schedules()?),
        ("noise", positions::noise()?),
        ("digits", curves::digits()?),
    ];
    let mut good = true;
    let mut definitions = String::new();
    for (name, Picture(svg)) in &pictures {
        good &= settle(&files::root().join(format!("docs/guide/{name}.svg")), svg, check)?;
        let svg = utf8_percent_encode(svg, NOT_IN_A_LINK);
        writeln!(definitions, "[{name}]: data:image/svg+xml,{svg}")?;
    }
    // A blank line ends the definitions.
    definitions.push('\n');
    good &= settle(&files::root().join("src/guide/pictures.txt"), &definitions, check)?;
    Ok(good)
}
