//! `cargo run --example vectors [FOLDER]`: writes the golden vectors of mask function version 1,
//! by default to `tests/vectors`. Only `dropblock::reference` is asked; the tests hold the
//! committed files against this program, and every backend against the files' cases.
//! `tests/vectors/README.md` describes the format.

use std::fmt::Write as _;

use dropblock::{
    Alignment, BlockSize, DropBlock, Error, Gamma, Key, Layout, Map, Region, Scale, Shape, Sharing,
    rand_core::Rng as _, reference,
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

/// The text of `masks.txt`.
pub fn masks() -> Result<String, Error> {
    let mut text = String::from("# Masks of version 1; the format is described in README.md.\n");
    for Case { text: arguments, layer, shape, key } in cases()? {
        let units = reference::units(&layer, &shape);
        let mut mask = vec![false; units];
        reference::mask(&layer, &shape, &key, &mut mask);
        let bytes: Vec<u8> = mask
            .chunks(8)
            .map(|units| (0..).zip(units).map(|(i, &unit)| u8::from(unit) << i).sum())
            .collect();
        let x = input(mask_len(&shape));
        let mut y = vec![0.0; x.len()];
        reference::apply(&layer, &shape, &mask, &x, &mut y);
        let dropped = mask.iter().filter(|&&unit| unit).count();
        text += "\n";
        text += &arguments;
        line(&mut text, "gamma_2_63", format!("{:016x}", reference::gamma(&layer, &shape)));
        line(&mut text, "units", units);
        line(&mut text, "dropped", dropped);
        line(&mut text, "mask_fnv", format!("{:016x}", fnv(&bytes)));
        line(&mut text, "output_fnv", format!("{:016x}", fnv(&output_bytes(&y))));
        if bytes.len() <= 128 {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            line(&mut text, "mask", hex);
        }
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

fn mask_len(shape: &Shape) -> usize {
    let [d, h, w] = shape.map().size();
    shape.samples() * shape.channels() * d * h * w
}

fn line(text: &mut String, name: &str, value: impl std::fmt::Display) {
    let _ = writeln!(text, "{name} = {value}");
}

#[allow(dead_code, reason = "the tests include this file as a module")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "tests/vectors".into());
    let folder = std::path::Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    for (name, text) in
        [("masks.txt", masks()?), ("streams.txt", streams()), ("tables.txt", tables())]
    {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}
