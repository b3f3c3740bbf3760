//! The golden vectors of mask function version 1. Only `dropblock::reference` is asked, but for
//! `hashes.txt`, whose masks are larger; the tests hold the committed files against this module, and
//! every backend against the files' cases.

use std::fmt::Write as _;

use dropblock::{
    Alignment, BlockSize, DropBlock, Element, Error, Fill, Gamma, Key, Layout, Map, Region, Scale,
    Shape, Sharing, ViewMut, reference,
};
use dropblock_cases::fixed;
use rand_xoshiro::Xoshiro128PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};

/// The files by name.
pub fn files() -> Result<[(&'static str, String); 6], Error> {
    Ok([
        ("masks.txt", masks()?),
        ("variants.txt", variants_text()?),
        ("hashes.txt", hashes()?),
        ("streams.txt", streams()),
        ("tables.txt", tables()),
        ("noise.txt", noise()),
    ])
}

/// One mask: the arguments as text, and as the crate's types.
#[derive(Debug)]
pub struct Case {
    /// The lines of the file that name the arguments.
    pub text: String,
    /// The options.
    pub layer: DropBlock,
    /// The shape of the tensor, channels first.
    pub shape: Shape,
    /// The strides of samples, channels, depth, height and width, if the tensor is a view.
    pub strides: Option<[isize; 5]>,
    /// The key.
    pub key: Key,
}

impl Case {
    /// The element of each unit, in the order of a dense tensor.
    fn elements(&self) -> Vec<usize> {
        let (shape, [d, h, w]) = (&self.shape, self.shape.map().size());
        let sizes = [shape.samples(), shape.channels(), d, h, w];
        let dense = [sizes[1] * d * h * w, d * h * w, h * w, w, 1];
        let strides = self.strides.unwrap_or(dense.map(|stride| stride as isize));
        let element = |unit: usize| {
            let along = |axis: usize| (unit / dense[axis] % sizes[axis]) as isize * strides[axis];
            (0..5).map(along).sum::<isize>() as usize
        };
        (0..sizes.iter().product()).map(element).collect()
    }

    /// The length of the buffer that holds the tensor and nothing behind it.
    pub fn buffer_len(&self) -> usize {
        self.elements().last().map_or(0, |last| last + 1)
    }

    /// The tensor in such a buffer.
    pub fn view_mut<'t, T>(&self, buffer: &'t mut [T]) -> ViewMut<'t, T> {
        match self.strides {
            Some(strides) => ViewMut::new(buffer, 0, strides),
            None => buffer.into(),
        }
    }
}

/// The words of the files for sharings, older than the names in the crate.
fn sharing_word(sharing: Sharing) -> &'static str {
    match sharing {
        Sharing::None => "SampleChannel",
        Sharing::OverChannels => "Sample",
        Sharing::OverSamples => "Channel",
        Sharing::OverAll => "All",
    }
}

/// The same for scales.
fn scale_word(scale: Scale) -> &'static str {
    match scale {
        Scale::PerTensor => "Tensor",
        Scale::PerSample => "Sample",
        Scale::PerMap => "Channel",
        Scale::PerPosition => "PerPosition",
        Scale::Fixed => "Fixed",
        Scale::Off => "None",
        other => unreachable!("no word for {other:?}"),
    }
}

#[allow(clippy::too_many_arguments, reason = "a row of a table")]
fn case(
    (samples, channels): (usize, usize),
    map: &[usize],
    block: &[usize],
    drop_prob: f64,
    gamma: Gamma,
    (region, alignment): (Region, Alignment),
    (sharing, scale): (Sharing, Scale),
    [seed, step, layer, first_sample]: [u64; 4],
) -> Result<Case, Error> {
    let size = match *map {
        [l] => Map::l(l),
        [h, w] => Map::hw(h, w),
        [d, h, w] => Map::dhw(d, h, w),
        _ => unreachable!("maps have one to three axes"),
    };
    let block_size = match *block {
        [h, w] => BlockSize::hw(h, w),
        [d, h, w] => BlockSize::dhw(d, h, w),
        _ => BlockSize::uniform(block[0]),
    };
    let gamma_text = match gamma {
        Gamma::Paper { scale } => format!("paper {scale}"),
        Gamma::PaperValid { scale } => format!("paper-valid {scale}"),
        Gamma::Exact => "exact".into(),
        Gamma::Raw(gamma) => format!("raw {gamma}"),
    };
    let text = format!(
        "samples = {samples}\nchannels = {channels}\nmap = {map:?}\nblock = {block:?}\n\
         drop_prob = {drop_prob:?}\ngamma = {gamma_text}\nregion = {region:?}\n\
         alignment = {alignment:?}\nsharing = {}\nscale = {}\nseed = {seed}\nstep = {step}\n\
         layer = {layer}\nfirst_sample = {first_sample}\n",
        sharing_word(sharing),
        scale_word(scale)
    );
    Ok(Case {
        text,
        layer: DropBlock::new(1, drop_prob)?
            .with_block_size(block_size)?
            .with_gamma(gamma)?
            .with_region(region)
            .with_alignment(alignment)
            .with_sharing(sharing)
            .with_scale(scale),
        shape: Shape::new(samples, channels, size, Layout::ChannelsFirst),
        strides: None,
        key: Key::from_words([seed, step, layer, first_sample]),
    })
}

/// The scales in the order of the files, but for the one by position.
const SCALES: [Scale; 5] =
    [Scale::PerTensor, Scale::PerSample, Scale::PerMap, Scale::Fixed, Scale::Off];

/// The cases of `masks.txt`.
pub fn cases() -> Result<Vec<Case>, Error> {
    let paper = Gamma::Paper { scale: 1.0 };
    let maps: [(&[usize], &[usize]); 15] = [
        (&[14, 14], &[7]),
        (&[7, 7], &[3]),
        (&[7, 7], &[7]),
        (&[8, 9], &[4]),
        (&[5, 11], &[2, 3]),
        (&[13, 6], &[50]),
        (&[13, 6], &[3, 50]),
        (&[28, 29], &[1]),
        (&[56, 56], &[7]),
        (&[131, 137], &[5, 8]),
        (&[300], &[6]),
        (&[9000], &[33]),
        (&[3, 5, 7], &[2]),
        (&[4, 9, 10], &[1, 3, 2]),
        (&[5, 61, 63], &[3]),
    ];
    let mut cases = Vec::new();
    for (i, (map, block)) in (0..).zip(maps) {
        for (gamma, p) in [(paper, 0.1), (Gamma::Exact, 0.25), (Gamma::Raw(0.05), 0.1)] {
            let full = (Region::Full, [Alignment::Before, Alignment::After][i as usize % 2]);
            let valid = (Region::Valid, Alignment::Before);
            let sharing = (Sharing::None, Scale::PerTensor);
            let place = if matches!(gamma, Gamma::Exact) { full } else { valid };
            cases.push(case((2, 3), map, block, p, gamma, place, sharing, [1, i, 2, 0])?);
        }
    }
    let place = (Region::Valid, Alignment::Before);
    for &sharing in Sharing::ALL {
        for scale in SCALES {
            let key = [u64::MAX, 3, 1 << 40, 1_000_000_007];
            cases.push(case((3, 5), &[11, 7], &[3], 0.2, paper, place, (sharing, scale), key)?);
        }
    }
    let sharing = (Sharing::None, Scale::PerTensor);
    for (gamma, p) in [
        (Gamma::Raw(0.0), 0.1),
        (Gamma::Raw(1.0), 0.1),
        (Gamma::Raw(0.5), 0.1),
        (Gamma::Raw(1e-6), 0.1),
        (Gamma::Exact, 0.0),
        (Gamma::Exact, 1.0),
        (Gamma::Exact, 0.99),
        (Gamma::Paper { scale: 0.125 }, 0.3),
        (Gamma::Paper { scale: 1e9 }, 0.3),
    ] {
        for region in [Region::Valid, Region::Full] {
            let place = (region, Alignment::Before);
            cases.push(case((4, 8), &[14, 15], &[4], p, gamma, place, sharing, [5, 0, 0, 9])?);
        }
    }
    Ok(cases)
}

/// The cases of `variants.txt`: what `masks.txt` does not have.
pub fn variants() -> Result<Vec<Case>, Error> {
    let maps: [(&[usize], &[usize]); 3] =
        [(&[29], &[4]), (&[14, 15], &[6]), (&[4, 6, 7], &[2, 3, 2])];
    let (paper, timm) = (Gamma::Paper { scale: 1.0 }, Gamma::PaperValid { scale: 1.0 });
    let mut cases = Vec::new();
    for (i, (map, block)) in (0..).zip(maps) {
        let (none, over_channels) = (Sharing::None, Sharing::OverChannels);
        let (counted, by_position) = (Scale::PerTensor, Scale::PerPosition);
        for (gamma, region, alignment, sharing, scale, fill) in [
            // Expectation by position; noise; then timm, timm before 2025, miguelvr, Dragon.
            (paper, Region::Valid, Alignment::Before, none, by_position, Fill::Zero),
            (Gamma::Exact, Region::Full, Alignment::After, over_channels, by_position, Fill::Zero),
            (paper, Region::Valid, Alignment::Before, none, Scale::Off, Fill::Noise),
            (timm, Region::Full, Alignment::Before, over_channels, counted, Fill::Noise),
            (timm, Region::Full, Alignment::Before, none, counted, Fill::Zero),
            (paper, Region::Full, Alignment::After, over_channels, counted, Fill::Zero),
            (paper, Region::Valid, Alignment::Before, over_channels, Scale::Fixed, Fill::Zero),
        ] {
            let place = (region, alignment);
            let key = [77, i, 5, 3];
            let mut case = case((2, 3), map, block, 0.2, gamma, place, (sharing, scale), key)?;
            let _ = writeln!(case.text, "fill = {fill:?}");
            case.layer = case.layer.with_fill(fill);
            // Channels last with a channel to skip, and rows of one position more than the map.
            let [d, h, w] = case.shape.map().size();
            let row = 4 * (w + 1);
            let strides = [d * h * row, 1, h * row, row, 4].map(|stride| stride as isize);
            cases.push(Case { text: case.text.clone(), ..case });
            let _ = writeln!(case.text, "strides = {strides:?}");
            case.strides = Some(strides);
            cases.push(case);
        }
    }
    for fraction in [0.01, 0.25, 0.5, 2.0] {
        let place = (Region::Valid, Alignment::Before);
        let sharing = (Sharing::None, Scale::PerTensor);
        let mut case = case((2, 3), &[14, 23], &[1], 0.2, paper, place, sharing, [78, 0, 0, 0])?;
        case.text = case.text.replace("block = [1]", &format!("block = relative {fraction:?}"));
        case.layer = case.layer.with_block_size(BlockSize::relative(fraction))?;
        cases.push(case);
    }
    Ok(cases)
}

/// The text of `masks.txt`.
fn masks() -> Result<String, Error> {
    let mut text = String::from("# Masks of version 1; the format is described in README.md.\n");
    for case in cases()? {
        let (mask, lines) = mask_lines(&case);
        text += &lines;
        let y = forward(&case, &mask, &input(case.buffer_len()));
        line(&mut text, "output_fnv", format!("{:016x}", fnv(&output_bytes(&y))));
        hex_line(&mut text, &mask);
    }
    Ok(text)
}

/// The text of `variants.txt`.
fn variants_text() -> Result<String, Error> {
    let mut text = String::from("# Variants of version 1; the format is described in README.md.\n");
    for case in variants()? {
        let (mask, lines) = mask_lines(&case);
        text += &lines;
        let x = input(case.buffer_len());
        let y = forward(&case, &mask, &x);
        line(&mut text, "output_fnv", format!("{:016x}", fnv(&output_bytes(&y))));
        let x: Vec<f64> = x.into_iter().map(f64::from).collect();
        let y = forward(&case, &mask, &x);
        let bytes: Vec<u8> = y.iter().flat_map(|y| y.to_bits().to_le_bytes()).collect();
        line(&mut text, "output_f64_fnv", format!("{:016x}", fnv(&bytes)));
        // What dropping alone leaves of integers: the oracle on ones tells where.
        let alone = case.layer.with_scale(Scale::Off).with_fill(Fill::Zero);
        let alone = Case { layer: alone, text: String::new(), ..case };
        let kept = forward(&alone, &mask, &vec![1.0_f32; x.len()]);
        let select = |(&kept, x): (&f32, i8)| if kept == 0.0 { ZERO_POINT } else { x };
        let y: Vec<u8> = kept.iter().zip(input_i8(x.len())).map(|v| select(v) as u8).collect();
        line(&mut text, "output_i8_fnv", format!("{:016x}", fnv(&y)));
        hex_line(&mut text, &mask);
    }
    Ok(text)
}

/// The mask, and the lines of its arguments and counts.
fn mask_lines(case: &Case) -> (Vec<bool>, String) {
    let Case { text: arguments, layer, shape, key, .. } = case;
    let mut mask = vec![false; reference::units(layer, shape)];
    reference::mask(layer, shape, key, &mut mask);
    let mut text = format!("\n{arguments}");
    let gamma = reference::gamma(layer, shape);
    line(&mut text, "gamma_2_63", format!("{gamma:016x}"));
    line(&mut text, "units", mask.len());
    line(&mut text, "dropped", mask.iter().filter(|&&unit| unit).count());
    line(&mut text, "mask_fnv", format!("{:016x}", fnv(&mask_bytes(&mask))));
    (mask, text)
}

fn mask_bytes(mask: &[bool]) -> Vec<u8> {
    mask.chunks(8)
        .map(|units| (0..).zip(units).map(|(i, &unit)| u8::from(unit) << i).sum())
        .collect()
}

/// The mask itself, if it is short.
fn hex_line(text: &mut String, mask: &[bool]) {
    let bytes = mask_bytes(mask);
    if bytes.len() <= 128 {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        line(text, "mask", hex);
    }
}

/// The forward pass in place.
fn forward<T: Element>(case: &Case, mask: &[bool], x: &[T]) -> Vec<T> {
    let elements = case.elements();
    let dense: Vec<T> = elements.iter().map(|&element| x[element]).collect();
    let mut dense_y = dense.clone();
    reference::apply(&case.layer, &case.shape, mask, &dense, &mut dense_y);
    if case.layer.fill() == Fill::Noise {
        reference::fill_noise(&case.layer, &case.shape, &case.key, mask, &mut dense_y);
    }
    let mut y = x.to_vec();
    elements.into_iter().zip(dense_y).for_each(|(element, value)| y[element] = value);
    y
}

/// The text of `noise.txt`.
fn noise() -> String {
    let mut text = String::from("# seed step layer unit: draw deviate\n");
    for seed in [0, 1, u64::MAX] {
        for (step, layer) in [(0, 0), (1, 0), (0, 1), (u64::MAX, 1 << 32)] {
            for unit in [0, 1, 2, 3, 1 << 40, u64::MAX] {
                let draw = reference::noise(&Key::from_words([seed, step, layer, 0]), unit);
                let deviate = reference::normal(draw);
                let _ = writeln!(text, "{seed} {step} {layer} {unit}: {draw:08x} {deviate}");
            }
        }
    }
    text += "\n# draw: deviate\n";
    for draw in (0..32).flat_map(|i| [1 << i, 3 << i, 0xdead_beef >> i]).chain([0, u32::MAX]) {
        let _ = writeln!(text, "{draw:08x}: {}", reference::normal(draw));
    }
    text
}

/// The text of `hashes.txt`.
fn hashes() -> Result<String, Error> {
    let mut text = String::from(
        "# number dropped hash: the configuration of this number in examples/gpu_check/cases.rs, its\n\
         # dropped units, and the SHA-256 of its mask as little-endian 64-bit words. Written from the\n\
         # processor; what a device gives must be the same.\n",
    );
    for number in 0..fixed::COUNT {
        let case = fixed::case(number)?;
        let plan = case.layer.plan(case.shape)?;
        let mut words = vec![!0; plan.mask_words()];
        let mask = plan.draw(case.key, &mut words)?;
        let (dropped, words) = (mask.count().dropped, mask.dropped_words());
        let _ = writeln!(text, "{}", hash_line(number, dropped, words));
    }
    Ok(text)
}

/// A line of `hashes.txt`: number, dropped units, SHA-256 of the mask's words in little-endian bytes.
pub fn hash_line(number: usize, dropped: u64, mask: &[u64]) -> String {
    let mut hash = Sha256::new();
    for word in mask {
        hash.update(word.to_le_bytes());
    }
    let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{number} {dropped} {hex}")
}

/// The text of `streams.txt`.
fn streams() -> String {
    let mut text = String::from("# seed step layer segment: the first four draws\n");
    for seed in [0, 1, u64::MAX] {
        for (step, layer) in [(0, 0), (1, 0), (0, 1), (u64::MAX, 1 << 32)] {
            for segment in [0, 1, 2, 1 << 40] {
                let key = Key::from_words([seed, step, layer, 0]);
                let state = reference::generator_state(&key, segment);
                let mut bytes = [0; 16];
                for (bytes, word) in bytes.chunks_exact_mut(4).zip(state) {
                    bytes.copy_from_slice(&word.to_le_bytes());
                }
                let mut generator = Xoshiro128PlusPlus::from_seed(bytes);
                let draws: [u32; 4] = std::array::from_fn(|_| generator.next_u32());
                let [a, b, c, d] = draws;
                let _ = writeln!(
                    text,
                    "{seed} {step} {layer} {segment}: {a:08x} {b:08x} {c:08x} {d:08x}"
                );
            }
        }
    }
    text
}

/// The text of `tables.txt`.
fn tables() -> String {
    let mut text = String::from(
        "# gamma in 2^-63: entries 0, 1, 511, 1022, 1023, and the FNV-1a of all as \
         little-endian bytes\n",
    );
    let one = 1_u64 << 63;
    let denominators = [1, 2, 3, 10, 32, 33, 147, 369, 1000, 12_345, 1 << 20, 1 << 31, 1 << 40];
    for gamma in
        denominators.map(|denominator| one / denominator).into_iter().chain([0, 1, one - 1])
    {
        let table = reference::gap_table(gamma);
        let bytes: Vec<u8> = table.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        let _ = write!(text, "{gamma:016x}:");
        for entry in [0, 1, 511, 1022, 1023] {
            let _ = write!(text, " {:08x}", table[entry]);
        }
        let _ = writeln!(text, " {:016x}", fnv(&bytes));
    }
    text
}

/// The input of the forward vectors: element `i` is `(i mod 257) - 128`, exact in every float.
pub fn input(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i % 257) as f32 - 128.0).collect()
}

/// The little-endian bytes of an output.
pub fn output_bytes(y: &[f32]) -> Vec<u8> {
    y.iter().flat_map(|y| y.to_bits().to_le_bytes()).collect()
}

/// FNV-1a of 64 bits, which the smallest machine can compute.
pub fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The zero point of the `i8` vectors.
pub const ZERO_POINT: i8 = -3;

/// The input of the `i8` vectors: element `i` is `(i mod 251) - 128`.
pub fn input_i8(len: usize) -> impl Iterator<Item = i8> {
    (0..len).map(|i| (i as i32 % 251 - 128) as i8)
}

fn line(text: &mut String, name: &str, value: impl std::fmt::Display) {
    let _ = writeln!(text, "{name} = {value}");
}
