//! Shows what dropout, SpatialDropout and DropBlock do to a picture.
//!
//! ```text
//! cargo run --release --example picture [-- [OPTIONS] [INPUT.png]]
//! ```
//!
//! Takes the picture as an activation tensor of one sample and three channels, drops a tenth of
//! it in five ways, and writes one PNG with the captioned results: `out/dropblock.png` unless
//! another output is named. Without an input it takes a picture of a cat. Prints for each
//! panel the drop probability that was asked for, the exact expected dropped fraction, and the
//! fraction that was dropped.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Cursor};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use dropblock::{BlockSize, DropBlock, Fill, Gamma, Key, Scale, Shape, Sharing};
use png::{BitDepth, ColorType, Decoder, Encoder, Transformations};

const CAT: &[u8] = include_bytes!("cat-224x149.png");
const USAGE: &str = "\
usage: picture [options] [INPUT.png]

  --drop-prob P   a number in [0, 1]                  (0.1)
  --block-size K  in pixels                           (a seventh of the shorter side)
  --seed S        an integer below 2^64               (14)
  --out FILE.png                                      (out/dropblock.png)
  --help          this text
";

const CHANNELS: usize = 3;

/// What the arguments ask for.
struct Request {
    input: Option<PathBuf>,
    output: PathBuf,
    drop_prob: f64,
    block_size: Option<usize>,
    seed: u64,
}

impl Request {
    /// `None` for `--help`.
    fn new(mut args: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut request = Self {
            input: None,
            output: "out/dropblock.png".into(),
            drop_prob: 0.1,
            block_size: None,
            // Any seed will do; with this one the cat's shares come close to the expected ones.
            seed: 14,
        };
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg}: a value is needed"));
            match arg.as_str() {
                "--drop-prob" => request.drop_prob = number(&arg, &value()?)?,
                "--block-size" => request.block_size = Some(number(&arg, &value()?)?),
                "--seed" => request.seed = number(&arg, &value()?)?,
                "--out" => request.output = value()?.into(),
                "--help" | "-h" => return Ok(None),
                _ if !arg.starts_with('-') && request.input.is_none() => {
                    request.input = Some(arg.into());
                }
                _ => return Err(format!("unknown argument {arg:?}")),
            }
        }
        Ok(Some(request))
    }
}

fn number<T: FromStr>(flag: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{flag}: a number is needed, got {text:?}"))
}

fn main() -> ExitCode {
    let request = match Request::new(std::env::args().skip(1)) {
        Ok(Some(request)) => request,
        Ok(None) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("picture: {error}; --help lists what there is");
            return ExitCode::from(2);
        }
    };
    match run(&request) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("picture: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(request: &Request) -> Result<(), Box<dyn Error>> {
    let in_path = |path: &Path, error: &dyn Error| format!("{}: {error}", path.display());
    let picture = match &request.input {
        Some(path) => fs::read(path)
            .map_err(Box::from)
            .and_then(|bytes| Picture::decode(&bytes))
            .map_err(|error| in_path(path, &*error))?,
        None => Picture::decode(CAT)?,
    };
    // 21 for the cat; in the same proportion to any other picture.
    let seventh = (picture.height.min(picture.width) / 7).max(1);
    let block = request.block_size.unwrap_or(seventh);
    let layer = DropBlock::new(block, request.drop_prob)?;
    // Before the work: a path that does not work.
    let output = &request.output;
    let folder = output.parent().map_or(Ok(()), fs::create_dir_all);
    let file = folder.and_then(|()| File::create(output)).map_err(|e| in_path(output, &e))?;
    let (panels, drops_one) = panels(&picture, layer, request.seed)?;

    println!("{:38} {:>6} {:>9} {:>8}", "", "asked", "expected", "dropped");
    for Panel { name, asked, expected, dropped, .. } in &panels {
        println!("{name:38} {asked:>6} {expected:>9.4} {dropped:>8.4}");
    }
    let drop_prob = request.drop_prob;
    let (width, height) = (picture.width, picture.height);
    let mut notes = vec![
        format!(
            "Drop probability {drop_prob}, block {block} x {block} of {width} x {height} pixels."
        ),
        "Exact gamma, kept units not scaled. Black: dropped in all channels. Tinted: in some."
            .into(),
    ];
    if drops_one {
        notes.push(
            "SpatialDropout drops whole channels. Shown is the first step that drops one.".into(),
        );
    }
    page(&panels, &notes).write(file).map_err(|e| in_path(output, &*e))?;
    println!("\nwritten to {}", output.display());
    Ok(())
}

struct Panel {
    name: String,
    asked: f64,
    expected: f64,
    dropped: f64,
    picture: Picture,
}

/// The picture itself and what is left of it after each method; and whether SpatialDropout is shown at
/// a step that drops one channel.
fn panels(
    picture: &Picture,
    layer: DropBlock,
    seed: u64,
) -> Result<(Vec<Panel>, bool), dropblock::Error> {
    let (height, width) = (picture.height, picture.width);
    // Rows of interleaved pixels are a tensor with channels last.
    let shape = Shape::nhwc(1, height, width, CHANNELS);
    // Not scaled: in the training of a network the scale keeps the mean, but to the eye it
    // would make the pictures differ in brightness, and clip their highlights.
    let dropblock = layer.with_gamma(Gamma::Exact)?.with_scale(Scale::Off);
    let dropout = dropblock.with_block_size(BlockSize::uniform(1))?;
    let spatial = dropblock.with_block_size(BlockSize::hw(height, width))?;
    let shared = dropblock.with_sharing(Sharing::OverChannels);
    let key = Key::new(seed);

    // Of three channels most steps drop none: take the first that drops one. With a probability of 0
    // or 1 there is none.
    let spatial_plan = spatial.plan(shape)?;
    let mut one = None;
    for step in 0..10_000 {
        let count = spatial_plan.count(key.with_step(step))?.count().unwrap_or_default();
        if count.dropped == (height * width) as u64 {
            one = Some(step);
            break;
        }
    }
    let spatial_step = one.unwrap_or(0);

    let x: Vec<f32> = picture.rgb.iter().map(|&byte| f32::from(byte) / 255.0).collect();
    let panels: Result<Vec<Panel>, dropblock::Error> = [
        ("Original".to_owned(), dropblock.with_training(false), 0),
        ("Dropout".to_owned(), dropout, 0),
        (format!("SpatialDropout, step {spatial_step}"), spatial, spatial_step),
        ("DropBlock, a mask for each channel".to_owned(), dropblock, 0),
        ("DropBlock, one mask for all channels".to_owned(), shared, 0),
        ("DropBlock, noise where it drops".to_owned(), shared.with_fill(Fill::Noise), 0),
    ]
    .into_iter()
    .map(|(name, layer, step)| {
        let plan = layer.plan(shape)?;
        let mut y = vec![0.0; plan.elements()];
        let drawn = plan.forward(key.with_step(step), &x, &mut y)?;
        let rgb = y.iter().map(|&value| (value * 255.0).round() as u8).collect();
        Ok(Panel {
            name,
            asked: layer.drop_prob(),
            expected: plan.expected_dropped(),
            dropped: drawn.count().unwrap_or_default().fraction(),
            picture: Picture { width, height, rgb },
        })
    })
    .collect();
    Ok((panels?, one.is_some()))
}

const PAGE: [u8; 3] = [250, 250, 248];
const INK: [u8; 3] = [24, 24, 28];
const FAINT: [u8; 3] = [104, 104, 112];

/// Lays the panels out in rows of three, each above its captions, and the notes below them.
fn page(panels: &[Panel], notes: &[String]) -> Picture {
    const COLUMNS: usize = 3;
    // Small pictures are enlarged to about the width of the cat's panel, and text grows with
    // large ones.
    let (width, height) = (panels[0].picture.width, panels[0].picture.height);
    let zoom = 448_usize.div_ceil(width).min(448_usize.div_ceil(height)).max(1);
    let (width, height) = (width * zoom, height * zoom);
    let font = (width / 224).max(2);
    let line = font * 12;
    let gap = font * 8;

    let captions: Vec<_> = panels
        .iter()
        .map(|panel| {
            let fraction = format!("{:.2} % of the units dropped", panel.dropped * 100.0);
            (panel.name.as_str(), fraction)
        })
        .collect();
    let longest = |texts: &mut dyn Iterator<Item = &str>| {
        texts.map(|text| text.chars().count()).max().unwrap_or(0) * font * ADVANCE
    };
    let mut texts = captions.iter().flat_map(|(name, fraction)| [*name, fraction.as_str()]);
    let cell_width = width.max(longest(&mut texts));
    let cell_height = height + gap + 2 * line;
    let rows = panels.len().div_ceil(COLUMNS);

    let notes_width = longest(&mut notes.iter().map(String::as_str));
    let mut page = Picture::filled(
        3 * gap + (COLUMNS * (cell_width + gap)).max(notes_width),
        3 * gap + rows * (cell_height + gap) + notes.len() * line,
    );
    let corner = |cell: usize| {
        let (row, column) = (cell / COLUMNS, cell % COLUMNS);
        (2 * gap + column * (cell_width + gap), 2 * gap + row * (cell_height + gap))
    };
    for (cell, (panel, (name, fraction))) in panels.iter().zip(&captions).enumerate() {
        let (x, y) = corner(cell);
        page.draw(&panel.picture, x, y, zoom);
        let y = y + height + gap / 2;
        page.text(name, x, y, font, INK);
        page.text(fraction, x, y + line, font, FAINT);
    }
    let (x, y) = corner(rows * COLUMNS);
    for (i, note) in notes.iter().enumerate() {
        page.text(note, x, y + i * line, font, FAINT);
    }
    page
}

struct Picture {
    width: usize,
    height: usize,
    /// Rows of red, green and blue bytes.
    rgb: Vec<u8>,
}

impl Picture {
    fn decode(bytes: &[u8]) -> Result<Self, Box<dyn Error>> {
        let mut decoder = Decoder::new(Cursor::new(bytes));
        // Palettes and 1, 2, 4 and 16 bits become 8 bits of gray or of colours.
        decoder.set_transformations(Transformations::normalize_to_color8());
        let mut reader = decoder.read_info()?;
        let size = reader.output_buffer_size().ok_or("the picture is too large")?;
        let mut pixels = vec![0; size];
        let info = reader.next_frame(&mut pixels)?;
        pixels.truncate(info.buffer_size());
        let rgb = match info.color_type {
            ColorType::Rgb => pixels,
            ColorType::Grayscale => pixels.iter().flat_map(|&gray| [gray; 3]).collect(),
            ColorType::GrayscaleAlpha => {
                let gray = |&[gray, alpha]: &[u8; 2]| [over_page(gray, alpha); 3];
                pixels.as_chunks().0.iter().flat_map(gray).collect()
            }
            ColorType::Rgba => {
                let rgb = |&[r, g, b, alpha]: &[u8; 4]| [r, g, b].map(|x| over_page(x, alpha));
                pixels.as_chunks().0.iter().flat_map(rgb).collect()
            }
            ColorType::Indexed => return Err("its palette cannot be resolved".into()),
        };
        Ok(Self { width: info.width as usize, height: info.height as usize, rgb })
    }

    fn filled(width: usize, height: usize) -> Self {
        Self { width, height, rgb: PAGE.repeat(width * height) }
    }

    fn write(&self, file: File) -> Result<(), Box<dyn Error>> {
        let (width, height) = (u32::try_from(self.width)?, u32::try_from(self.height)?);
        let mut encoder = Encoder::new(BufWriter::new(file), width, height);
        encoder.set_color(ColorType::Rgb);
        encoder.set_depth(BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.rgb)?;
        writer.finish()?;
        Ok(())
    }

    /// Fills a square of `size` pixels.
    fn square(&mut self, x: usize, y: usize, size: usize, color: [u8; 3]) {
        for y in y..y + size {
            let start = (y * self.width + x) * CHANNELS;
            for pixel in self.rgb[start..start + size * CHANNELS].chunks_exact_mut(CHANNELS) {
                pixel.copy_from_slice(&color);
            }
        }
    }

    fn draw(&mut self, picture: &Self, x: usize, y: usize, zoom: usize) {
        for (i, pixel) in picture.rgb.chunks_exact(CHANNELS).enumerate() {
            let (row, column) = (i / picture.width, i % picture.width);
            let color = [pixel[0], pixel[1], pixel[2]];
            self.square(x + column * zoom, y + row * zoom, zoom, color);
        }
    }

    /// Writes a line of text; characters that the font lacks stay blank.
    fn text(&mut self, text: &str, x: usize, y: usize, size: usize, color: [u8; 3]) {
        for (i, char) in text.chars().enumerate() {
            let Some(glyph) = FONT.lines().find(|line| line.starts_with(char)) else { continue };
            let drop = if DESCENDERS.contains(char) { 2 } else { 0 };
            for (row, dots) in glyph.split(' ').skip(1).enumerate() {
                for (column, _) in dots.match_indices('#') {
                    let x = x + (i * ADVANCE + column) * size;
                    self.square(x, y + (row + drop) * size, size, color);
                }
            }
        }
    }
}

fn over_page(value: u8, alpha: u8) -> u8 {
    let (value, alpha) = (u32::from(value), u32::from(alpha));
    ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}

/// From one character to the next, in dots.
const ADVANCE: usize = 6;

/// Characters that hang two dots below the line.
const DESCENDERS: &str = "gpqy,";

/// A line for each character: the character and its 7 rows of 5 dots.
const FONT: &str = "\
A .###. #...# #...# ##### #...# #...# #...#
B ####. #...# #...# ####. #...# #...# ####.
C .###. #...# #.... #.... #.... #...# .###.
D ####. #...# #...# #...# #...# #...# ####.
E ##### #.... #.... ####. #.... #.... #####
F ##### #.... #.... ####. #.... #.... #....
G .###. #...# #.... #.### #...# #...# .####
H #...# #...# #...# ##### #...# #...# #...#
I .###. ..#.. ..#.. ..#.. ..#.. ..#.. .###.
J ..### ...#. ...#. ...#. ...#. #..#. .##..
K #...# #..#. #.#.. ##... #.#.. #..#. #...#
L #.... #.... #.... #.... #.... #.... #####
M #...# ##.## #.#.# #.#.# #...# #...# #...#
N #...# ##..# ##..# #.#.# #..## #..## #...#
O .###. #...# #...# #...# #...# #...# .###.
P ####. #...# #...# ####. #.... #.... #....
Q .###. #...# #...# #...# #.#.# #..#. .##.#
R ####. #...# #...# ####. #.#.. #..#. #...#
S .#### #.... #.... .###. ....# ....# ####.
T ##### ..#.. ..#.. ..#.. ..#.. ..#.. ..#..
U #...# #...# #...# #...# #...# #...# .###.
V #...# #...# #...# #...# .#.#. .#.#. ..#..
W #...# #...# #...# #.#.# #.#.# ##.## #...#
X #...# #...# .#.#. ..#.. .#.#. #...# #...#
Y #...# #...# .#.#. ..#.. ..#.. ..#.. ..#..
Z ##### ....# ...#. ..#.. .#... #.... #####
a ..... ..... .###. ....# .#### #...# .####
b #.... #.... ####. #...# #...# #...# ####.
c ..... ..... .###. #.... #.... #.... .###.
d ....# ....# .#### #...# #...# #...# .####
e ..... ..... .###. #...# ##### #.... .###.
f ..##. .#..# .#... ###.. .#... .#... .#...
g .#### #...# #...# #...# .#### ....# .###.
h #.... #.... ####. #...# #...# #...# #...#
i ..#.. ..... .##.. ..#.. ..#.. ..#.. .###.
j ...#. ..... ..##. ...#. ...#. #..#. .##..
k #.... #.... #..#. #.#.. ##... #.#.. #..#.
l .##.. ..#.. ..#.. ..#.. ..#.. ..#.. .###.
m ..... ..... ##.#. #.#.# #.#.# #.#.# #.#.#
n ..... ..... ####. #...# #...# #...# #...#
o ..... ..... .###. #...# #...# #...# .###.
p ####. #...# #...# #...# ####. #.... #....
q .#### #...# #...# #...# .#### ....# ....#
r ..... ..... #.##. ##..# #.... #.... #....
s ..... ..... .#### #.... .###. ....# ####.
t .#... .#... ####. .#... .#... .#..# ..##.
u ..... ..... #...# #...# #...# #...# .####
v ..... ..... #...# #...# #...# .#.#. ..#..
w ..... ..... #...# #...# #.#.# #.#.# .#.#.
x ..... ..... #...# .#.#. ..#.. .#.#. #...#
y #...# #...# #...# #...# .#### ....# .###.
z ..... ..... ##### ...#. ..#.. .#... #####
0 .###. #...# #..## #.#.# ##..# #...# .###.
1 ..#.. .##.. ..#.. ..#.. ..#.. ..#.. .###.
2 .###. #...# ....# ..##. .#... #.... #####
3 .###. #...# ....# ..##. ....# #...# .###.
4 ...#. ..##. .#.#. #..#. ##### ...#. ...#.
5 ##### #.... ####. ....# ....# #...# .###.
6 ..##. .#... #.... ####. #...# #...# .###.
7 ##### ....# ...#. ..#.. ..#.. .#... .#...
8 .###. #...# #...# .###. #...# #...# .###.
9 .###. #...# #...# .#### ....# ...#. .##..
. ..... ..... ..... ..... ..... .##.. .##..
, ..... ..... ..... .##.. .##.. ..#.. .#...
: ..... .##.. .##.. ..... .##.. .##.. .....
% ##..# ##..# ...#. ..#.. .#... #..## #..##
";
