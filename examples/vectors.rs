//! `cargo run --example vectors [FOLDER]`: writes the golden vectors of mask function version 1,
//! by default to `tests/vectors`. Only `dropblock::reference` is asked, but for `hashes.txt`, whose
//! masks are larger; the tests hold the committed files against this program, and every backend
//! against the files' cases. `tests/vectors/README.md` describes the format.

use std::fmt::Write as _;

#[path = "gpu_check/cases.rs"]
#[allow(dead_code, reason = "shared with a program that needs all of it")]
pub(crate) mod fixed;

use dropblock::{
    Alignment, BlockSize, DropBlock, Element, Error, Fill, Gamma, Key, Layout, Map, Region, Scale,
    Shape, Sharing, rand_core::Rng as _, reference,
};

/// One mask: the arguments as text, and as the crate's types.
#[derive(Debug)]
pub struct Case {
    /// The lines of the file that name the arguments.
    pub text: String,
    /// The options.
    pub layer: DropBlock,
    /// The shape of the tensor, channels first.
    pub shape: Shape,
    /// The key.
    pub key: Key,
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
         alignment = {alignment:?}\nsharing = {sharing:?}\nscale = {scale:?}\nseed = {seed}\n\
         step = {step}\nlayer = {layer}\nfirst_sample = {first_sample}\n"
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
        key: Key::new(seed).step(step).layer(layer).first_sample(first_sample),
    })
}

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
            let sharing = (Sharing::SampleChannel, Scale::Tensor);
            let place = if matches!(gamma, Gamma::Exact) { full } else { valid };
            cases.push(case((2, 3), map, block, p, gamma, place, sharing, [1, i, 2, 0])?);
        }
    }
    let place = (Region::Valid, Alignment::Before);
    for sharing in [Sharing::SampleChannel, Sharing::Sample, Sharing::Channel, Sharing::All] {
        for scale in [Scale::Tensor, Scale::Sample, Scale::Channel, Scale::Fixed, Scale::None] {
            let key = [u64::MAX, 3, 1 << 40, 1_000_000_007];
            cases.push(case((3, 5), &[11, 7], &[3], 0.2, paper, place, (sharing, scale), key)?);
        }
    }
    let sharing = (Sharing::SampleChannel, Scale::Tensor);
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
        for (gamma, region, alignment, sharing, scale, fill) in [
            // Expectation by position; noise; then timm, timm before 2025, miguelvr, Dragon.
            (paper, Region::Valid, Alignment::Before, Sharing::SampleChannel, 5, Fill::Zero),
            (Gamma::Exact, Region::Full, Alignment::After, Sharing::Sample, 5, Fill::Zero),
            (paper, Region::Valid, Alignment::Before, Sharing::SampleChannel, 4, Fill::Noise),
            (timm, Region::Full, Alignment::Before, Sharing::Sample, 0, Fill::Noise),
            (timm, Region::Full, Alignment::Before, Sharing::SampleChannel, 0, Fill::Zero),
            (paper, Region::Full, Alignment::After, Sharing::Sample, 0, Fill::Zero),
            (paper, Region::Valid, Alignment::Before, Sharing::Sample, 3, Fill::Zero),
        ] {
            let scale = [
                Scale::Tensor,
                Scale::Sample,
                Scale::Channel,
                Scale::Fixed,
                Scale::None,
                Scale::PerPosition,
            ][scale];
            let place = (region, alignment);
            let key = [77, i, 5, 3];
            let mut case = case((2, 3), map, block, 0.2, gamma, place, (sharing, scale), key)?;
            let _ = writeln!(case.text, "fill = {fill:?}");
            case.layer = case.layer.with_fill(fill);
            // Channels last with a channel to skip, and rows of one position more than the map.
            let [d, h, w] = case.shape.map().size();
            let row = 4 * (w + 1);
            let strides = [d * h * row, 1, h * row, row, 4];
            cases.push(Case { text: case.text.clone(), ..case });
            let _ = writeln!(case.text, "strides = {strides:?}");
            case.shape = case.shape.with_strides(strides);
            cases.push(case);
        }
    }
    for fraction in [0.01, 0.25, 0.5, 2.0] {
        let place = (Region::Valid, Alignment::Before);
        let sharing = (Sharing::SampleChannel, Scale::Tensor);
        let mut case = case((2, 3), &[14, 23], &[1], 0.2, paper, place, sharing, [78, 0, 0, 0])?;
        case.text = case.text.replace("block = [1]", &format!("block = relative {fraction:?}"));
        case.layer = case.layer.with_block_size(BlockSize::relative(fraction))?;
        cases.push(case);
    }
    Ok(cases)
}

/// The text of `masks.txt`.
pub fn masks() -> Result<String, Error> {
    let mut text = String::from("# Masks of version 1; the format is described in README.md.\n");
    for case in cases()? {
        let (mask, lines) = mask_lines(&case);
        text += &lines;
        let y = forward(&case, &mask, &input(case.shape.extent()?));
        line(&mut text, "output_fnv", format!("{:016x}", fnv(&output_bytes(&y))));
        hex_line(&mut text, &mask);
    }
    Ok(text)
}

/// The text of `variants.txt`.
pub fn variants_text() -> Result<String, Error> {
    let mut text = String::from("# Variants of version 1; the format is described in README.md.\n");
    for case in variants()? {
        let (mask, lines) = mask_lines(&case);
        text += &lines;
        let x = input(case.shape.extent()?);
        let y = forward(&case, &mask, &x);
        line(&mut text, "output_fnv", format!("{:016x}", fnv(&output_bytes(&y))));
        let x: Vec<f64> = x.into_iter().map(f64::from).collect();
        let y = forward(&case, &mask, &x);
        let bytes: Vec<u8> = y.iter().flat_map(|y| y.to_bits().to_le_bytes()).collect();
        line(&mut text, "output_f64_fnv", format!("{:016x}", fnv(&bytes)));
        // What dropping alone leaves of integers: the oracle on ones tells where.
        let alone = case.layer.with_scale(Scale::None);
        let ones = vec![1.0_f32; x.len()];
        let mut kept = ones.clone();
        reference::apply(&alone, &case.shape, &mask, &ones, &mut kept);
        let select = |(&kept, x): (&f32, i8)| if kept == 0.0 { ZERO_POINT } else { x };
        let y: Vec<u8> = kept.iter().zip(input_i8(x.len())).map(|v| select(v) as u8).collect();
        line(&mut text, "output_i8_fnv", format!("{:016x}", fnv(&y)));
        hex_line(&mut text, &mask);
    }
    Ok(text)
}

/// The mask, and the lines of its arguments and counts.
fn mask_lines(case: &Case) -> (Vec<bool>, String) {
    let Case { text: arguments, layer, shape, key } = case;
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
    let mut y = x.to_vec();
    reference::apply(&case.layer, &case.shape, mask, x, &mut y);
    if case.text.contains("fill = Noise") {
        reference::fill_noise(&case.layer, &case.shape, &case.key, mask, &mut y);
    }
    y
}

/// The text of `noise.txt`.
pub fn noise() -> String {
    let mut text = String::from("# seed step layer unit: draw deviate\n");
    for seed in [0, 1, u64::MAX] {
        for (step, layer) in [(0, 0), (1, 0), (0, 1), (u64::MAX, 1 << 32)] {
            for unit in [0, 1, 2, 3, 1 << 40, u64::MAX] {
                let draw = reference::noise(&Key::new(seed).step(step).layer(layer), unit);
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
pub fn hashes() -> Result<String, Error> {
    let mut text = String::from(
        "# number dropped hash: the configuration of this number in examples/gpu_check/cases.rs, its\n\
         # dropped units, and the SHA-256 of its mask as little-endian 64-bit words. Written from the\n\
         # processor; what a device gives must be the same.\n",
    );
    for number in 0..fixed::COUNT {
        let case = fixed::Case::new(number)?;
        let plan = case.plan()?;
        let mut mask = vec![!0; plan.mask_len()];
        let dropped = plan.mask(case.key, &mut mask)?;
        let _ = writeln!(text, "{}", fixed::line(number, dropped.count, &mask));
    }
    Ok(text)
}

/// The text of `streams.txt`.
pub fn streams() -> String {
    let mut text = String::from("# seed step layer segment: the first four draws\n");
    for seed in [0, 1, u64::MAX] {
        for (step, layer) in [(0, 0), (1, 0), (0, 1), (u64::MAX, 1 << 32)] {
            for segment in [0, 1, 2, 1 << 40] {
                let key = Key::new(seed).step(step).layer(layer);
                let mut generator = reference::generator(&key, segment);
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
pub fn tables() -> String {
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

#[allow(dead_code, reason = "the tests include this file as a module")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "tests/vectors".into());
    let folder = std::path::Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    for (name, text) in [
        ("masks.txt", masks()?),
        ("variants.txt", variants_text()?),
        ("hashes.txt", hashes()?),
        ("streams.txt", streams()),
        ("tables.txt", tables()),
        ("noise.txt", noise()),
    ] {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}
