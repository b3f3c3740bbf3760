//! Shows what dropout, SpatialDropout and DropBlock do to a picture.
//!
//! ```text
//! cargo run --release --example picture [INPUT.png [OUTPUT.png]]
//! ```
//!
//! Takes the picture as an activation tensor of one sample and three channels, drops a tenth of
//! it in four ways, and writes one PNG with the captioned results: `out/dropblock.png` unless
//! another output is named. Without an input it takes a picture of a cat. Prints for each
//! panel the drop probability that was asked for, the exact expected dropped fraction, and the
//! fraction that was dropped.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Cursor};
use std::path::Path;
use std::process::ExitCode;

use dropblock::{BlockSize, DropBlock, Gamma, Key, Scale, Shape, Sharing};
use png::{BitDepth, ColorType, Decoder, Encoder};

const CAT: &[u8] = include_bytes!("cat-224x149.png");
const USAGE: &str = "usage: picture [INPUT.png [OUTPUT.png]]";

const DROP_PROB: f64 = 0.1;
/// Any seed will do; with this one the cat's shares come close to the expected ones.
const SEED: u64 = 14;
const CHANNELS: usize = 3;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    if args.len() > 2 {
        eprintln!("picture: at most 2 arguments are needed, {} were given\n{USAGE}", args.len());
        return ExitCode::from(2);
    }
    let input = args.first().map(Path::new);
    let output = args.get(1).map_or(Path::new("out/dropblock.png"), Path::new);
    match run(input, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("picture: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(input: Option<&Path>, output: &Path) -> Result<(), Box<dyn Error>> {
    let bytes = match input {
        Some(path) => fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?,
        None => CAT.to_vec(),
    };
    let picture = Picture::decode(&bytes).map_err(|error| match input {
        Some(path) => format!("{}: {error}", path.display()),
        None => error,
    })?;
    // 21 for the cat; in the same proportion to any other picture.
    let block = (picture.height.min(picture.width) / 7).max(1);
    let panels = panels(&picture, block)?;

    println!("{:38} {:>6} {:>9} {:>8}", "", "asked", "expected", "dropped");
    for Panel { name, asked, expected, dropped, .. } in &panels {
        println!("{name:38} {asked:>6} {expected:>9.4} {dropped:>8.4}");
    }
    let notes = [
        format!("Drop probability {DROP_PROB}"),
        format!("Picture {} x {} pixels", picture.width, picture.height),
        format!("Block {block} x {block} pixels"),
        "Gamma exact, kept units not scaled".to_owned(),
        String::new(),
        "Black: dropped in all channels".to_owned(),
        "Tinted: dropped in some channels".to_owned(),
        String::new(),
        "SpatialDropout drops whole channels:".to_owned(),
        "most steps none of the three. Shown".to_owned(),
        "is the first step that drops one.".to_owned(),
    ];
    page(&panels, &notes).write(output).map_err(|e| format!("{}: {e}", output.display()))?;
    println!(
        "\nSpatialDropout is shown at the first step that drops 1 of the {CHANNELS} channels."
    );
    println!("written to {}", output.display());
    Ok(())
}

struct Panel {
    name: String,
    asked: f64,
    expected: f64,
    dropped: f64,
    picture: Picture,
}

/// The picture itself and what is left of it after each method.
fn panels(picture: &Picture, block: usize) -> Result<Vec<Panel>, dropblock::Error> {
    let (height, width) = (picture.height, picture.width);
    // Rows of interleaved pixels are a tensor with channels last.
    let shape = Shape::nhwc(1, height, width, CHANNELS);
    // Not scaled: in the training of a network the scale keeps the mean, but to the eye it
    // would make the pictures differ in brightness, and clip their highlights.
    let dropblock =
        DropBlock::new(block, DROP_PROB)?.with_gamma(Gamma::Exact)?.with_scale(Scale::Off);
    let dropout = dropblock.with_block_size(BlockSize::uniform(1))?;
    let spatial = dropblock.with_block_size(BlockSize::hw(height, width))?;
    let key = Key::new(SEED);

    // Of three channels most steps drop none: take the first that drops one.
    let spatial_plan = spatial.plan(shape)?;
    let mut words = vec![0; spatial_plan.mask_words()];
    let mut spatial_step = 0;
    let dropped_in = |step, words: &mut [u64]| -> Result<u64, dropblock::Error> {
        Ok(spatial_plan.draw(key.with_step(step), words)?.count().dropped)
    };
    while dropped_in(spatial_step, &mut words)? != (height * width) as u64 {
        spatial_step += 1;
    }

    let x: Vec<f32> = picture.rgb.iter().map(|&byte| f32::from(byte) / 255.0).collect();
    [
        ("Original".to_owned(), dropblock.with_training(false), 0),
        ("Dropout".to_owned(), dropout, 0),
        (format!("SpatialDropout, step {spatial_step}"), spatial, spatial_step),
        ("DropBlock, a mask for each channel".to_owned(), dropblock, 0),
        (
            "DropBlock, one mask for all channels".to_owned(),
            dropblock.with_sharing(Sharing::OverChannels),
            0,
        ),
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
    .collect()
}

const PAGE: [u8; 3] = [250, 250, 248];
const INK: [u8; 3] = [24, 24, 28];
const FAINT: [u8; 3] = [104, 104, 112];

/// Lays the panels out in rows of three, each above its captions, and the notes in the next cell.
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
    let texts = captions.iter().flat_map(|(name, fraction)| [*name, fraction.as_str()]);
    let longest = texts.chain(notes.iter().map(String::as_str)).map(|text| text.chars().count());
    let cell_width = width.max(longest.max().unwrap_or(0) * font * ADVANCE);
    let cell_height = (height + gap + 2 * line).max(notes.len() * line);
    let rows = (panels.len() + 1).div_ceil(COLUMNS);

    let mut page = Picture::filled(
        2 * gap + COLUMNS * (cell_width + gap) + gap,
        2 * gap + rows * (cell_height + gap) + gap,
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
    let (x, y) = corner(panels.len());
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
    fn decode(bytes: &[u8]) -> Result<Self, String> {
        let mut reader = Decoder::new(Cursor::new(bytes)).read_info().map_err(|e| e.to_string())?;
        let size = reader.output_buffer_size().ok_or("the picture is too large")?;
        let mut pixels = vec![0; size];
        let info = reader.next_frame(&mut pixels).map_err(|e| e.to_string())?;
        pixels.truncate(info.buffer_size());
        let rgb = match (info.color_type, info.bit_depth) {
            (ColorType::Rgb, BitDepth::Eight) => pixels,
            (ColorType::Grayscale, BitDepth::Eight) => {
                pixels.iter().flat_map(|&gray| [gray; 3]).collect()
            }
            (ColorType::Rgba, BitDepth::Eight) => pixels
                .chunks_exact(4)
                .flat_map(|pixel| [0, 1, 2].map(|channel| over_page(pixel[channel], pixel[3])))
                .collect(),
            (color, depth) => {
                return Err(format!(
                    "a PNG of 8-bit RGB, RGBA or gray is needed, {}-bit {color:?} was given",
                    depth as u8
                ));
            }
        };
        Ok(Self { width: info.width as usize, height: info.height as usize, rgb })
    }

    fn filled(width: usize, height: usize) -> Self {
        Self { width, height, rgb: PAGE.repeat(width * height) }
    }

    fn write(&self, path: &Path) -> Result<(), Box<dyn Error>> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let (width, height) = (u32::try_from(self.width)?, u32::try_from(self.height)?);
        let mut encoder = Encoder::new(BufWriter::new(File::create(path)?), width, height);
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
