//! The golden vectors, read from the crate's own files: the program has no copy of the cases.

use dropblock::{
    Alignment, Backend, BlockSize, DropBlock, Fill, Gamma, Key, Layout, Map, MapPart, Plan, Region,
    Scale, Shape, Sharing,
};

use crate::checksum::Checksum;
use crate::place::Place;
use crate::sample::Sample;
use crate::{Failure, Memory};

const FILES: [&str; 2] = [
    include_str!("../../tests/vectors/masks.txt"),
    include_str!("../../tests/vectors/variants.txt"),
];

/// The zero point of the vectors of bytes.
const ZERO_POINT: i8 = -3;

/// Regenerates every case; returns how many there are.
pub(crate) fn run(
    memory: &mut Memory,
    backend: Backend,
    checksum: &mut Checksum,
) -> Result<usize, Failure> {
    let mut count = 0;
    for case in FILES.iter().flat_map(|file| file.split("\n\n").skip(1)).map(Case) {
        let plan = case.layer()?.with_backend(backend)?.plan(case.shape()?)?;
        case.check(&plan, memory, checksum)?;
        count += 1;
    }
    Ok(count)
}

/// A block of lines `name = value`.
#[derive(Clone, Copy)]
struct Case(&'static str);

impl Case {
    fn find(&self, name: &str) -> Option<&'static str> {
        self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "))
    }

    fn text(&self, name: &str) -> Result<&'static str, Failure> {
        self.find(name).ok_or(Failure::Unreadable(self.0))
    }

    fn number<N: core::str::FromStr>(&self, name: &str) -> Result<N, Failure> {
        self.text(name)?.parse().map_err(|_| Failure::Unreadable(self.0))
    }

    fn list<'l, N: core::str::FromStr>(
        &self,
        name: &str,
        list: &'l mut [N; 5],
    ) -> Result<&'l [N], Failure> {
        let text = self.text(name)?.trim_start_matches('[').trim_end_matches(']');
        let mut len = 0;
        for (number, slot) in text.split(", ").zip(&mut *list) {
            *slot = number.parse().map_err(|_| Failure::Unreadable(self.0))?;
            len += 1;
        }
        Ok(&list[..len])
    }

    /// The variant with this name.
    fn one_of<V: Copy>(&self, name: &str, variants: &[(&str, V)]) -> Result<V, Failure> {
        let text = self.text(name)?;
        let found = variants.iter().find(|variant| variant.0 == text);
        found.map(|variant| variant.1).ok_or(Failure::Unreadable(self.0))
    }

    fn layer(&self) -> Result<DropBlock, Failure> {
        let unreadable = Failure::Unreadable(self.0);
        let block_size = match self.text("block")?.strip_prefix("relative ") {
            Some(fraction) => BlockSize::relative(fraction.parse().map_err(|_| unreadable)?),
            None => match *self.list("block", &mut [0_usize; 5])? {
                [size] => BlockSize::uniform(size),
                [h, w] => BlockSize::hw(h, w),
                [d, h, w] => BlockSize::dhw(d, h, w),
                _ => return Err(unreadable),
            },
        };
        let (kind, value) = self.text("gamma")?.split_once(' ').unwrap_or(("exact", "0"));
        let value: f64 = value.parse().map_err(|_| unreadable)?;
        let gamma = match kind {
            "paper" => Gamma::Paper { scale: value },
            "paper-valid" => Gamma::PaperValid { scale: value },
            "exact" => Gamma::Exact,
            "raw" => Gamma::Raw(value),
            _ => return Err(unreadable),
        };
        let layer = DropBlock::new(1, self.number("drop_prob")?)?
            .with_block_size(block_size)?
            .with_gamma(gamma)?
            .with_region(
                self.one_of("region", &[("Valid", Region::Valid), ("Full", Region::Full)])?,
            )
            .with_alignment(self.one_of(
                "alignment",
                &[("Before", Alignment::Before), ("After", Alignment::After)],
            )?)
            // The words of the files are older than the names in the crate.
            .with_sharing(self.one_of(
                "sharing",
                &[
                    ("SampleChannel", Sharing::None),
                    ("Sample", Sharing::OverChannels),
                    ("Channel", Sharing::OverSamples),
                    ("All", Sharing::OverAll),
                ],
            )?)
            .with_scale(self.one_of(
                "scale",
                &[
                    ("Tensor", Scale::PerTensor),
                    ("Sample", Scale::PerSample),
                    ("Channel", Scale::PerMap),
                    ("Fixed", Scale::Fixed),
                    ("None", Scale::Off),
                    ("PerPosition", Scale::PerPosition),
                ],
            )?);
        if self.find("fill").is_none() {
            return Ok(layer);
        }
        let fill = self.one_of("fill", &[("Zero", Fill::Zero), ("Noise", Fill::Noise)])?;
        Ok(layer.with_fill(fill))
    }

    fn shape(&self) -> Result<Shape, Failure> {
        let map = match *self.list("map", &mut [0_usize; 5])? {
            [l] => Map::l(l),
            [h, w] => Map::hw(h, w),
            [d, h, w] => Map::dhw(d, h, w),
            _ => return Err(Failure::Unreadable(self.0)),
        };
        let (samples, channels) = (self.number("samples")?, self.number("channels")?);
        Ok(Shape::new(samples, channels, map, Layout::ChannelsFirst))
    }

    fn place(&self, plan: &Plan) -> Result<Place, Failure> {
        if self.find("strides").is_none() {
            return Ok(Place::new(plan, None));
        }
        let mut strides = [0; 5];
        self.list("strides", &mut strides)?;
        Ok(Place::new(plan, Some(strides)))
    }

    fn key(&self) -> Result<Key, Failure> {
        Ok(Key::new(self.number("seed")?)
            .with_step(self.number("step")?)
            .with_layer(self.number("layer")?)
            .with_first_sample(self.number("first_sample")?))
    }

    fn fails(&self, what: &'static str) -> Failure {
        Failure::Differs { what, case: self.0 }
    }

    /// Compares with a hash of the file, if it has it.
    fn expect(
        &self,
        what: &'static str,
        hash: u64,
        checksum: &mut Checksum,
    ) -> Result<(), Failure> {
        checksum.word(hash);
        match self.find(what) {
            None => Ok(()),
            Some(text) if u64::from_str_radix(text, 16) == Ok(hash) => Ok(()),
            Some(_) => Err(self.fails(what)),
        }
    }

    fn check(
        &self,
        plan: &Plan,
        memory: &mut Memory,
        checksum: &mut Checksum,
    ) -> Result<(), Failure> {
        let key = self.key()?;
        // What fits in memory is written there; the rest is looked at as it is generated.
        let mut bits = Bits::default();
        let drawn = plan.for_each_map(key, |map| {
            if is_first(plan.layer().sharing(), &map) {
                bits.take(&map);
            }
        })?;
        let dropped = drawn.count().map(|count| count.dropped);
        if plan.units() as u64 != self.number("units")? {
            return Err(self.fails("units"));
        }
        if dropped != Some(self.number("dropped")?) {
            return Err(self.fails("dropped"));
        }
        self.expect("mask_fnv", bits.finish(), checksum)?;
        if let Some(words) = memory.mask.get_mut(..plan.mask_words()) {
            words.fill(!0);
            if plan.draw(key, words)?.drawn() != Some(drawn) {
                return Err(self.fails("count"));
            }
            self.expect("mask_fnv", bytes_hash(words, plan.units()), checksum)?;
            self.check_hex(words)?;
        }
        let place = self.place(plan)?;
        if place.len <= memory.tensor.len() {
            return self.check_outputs(plan, place, key, memory, checksum);
        }
        let mut hash = Checksum::new();
        plan.for_each_map(drawn, |map| {
            let (keep, scale) = (map.keep(), map.scale::<f32>());
            for (i, at) in map.elements().enumerate() {
                let y = if keep.is_kept(i) { golden_input(at) * scale } else { 0.0 };
                y.hash(&mut hash);
            }
        })?;
        self.expect("output_fnv", hash.value(), checksum)
    }

    /// The mask itself, where the file has it.
    fn check_hex(&self, words: &[u64]) -> Result<(), Failure> {
        let Some(text) = self.find("mask") else { return Ok(()) };
        let mut bytes = words.iter().flat_map(|word| word.to_le_bytes());
        for i in (0..text.len()).step_by(2) {
            let byte = text.get(i..i + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
            if byte.is_none() || byte != bytes.next() {
                return Err(self.fails("mask"));
            }
        }
        Ok(())
    }

    /// The outputs of a tensor that fits in memory, with a mask buffer and without.
    fn check_outputs(
        &self,
        plan: &Plan,
        place: Place,
        key: Key,
        memory: &mut Memory,
        checksum: &mut Checksum,
    ) -> Result<(), Failure> {
        let Memory { mask, tensor } = memory;
        let y: &mut [f32] = &mut bytemuck::cast_slice_mut(tensor)[..place.len];
        (0..).zip(&mut *y).for_each(|(i, y)| *y = golden_input(i));
        plan.forward_in_place(key, place.view_mut(y))?;
        self.expect("output_fnv", crate::sample::hash(y), checksum)?;
        (0..).zip(&mut *y).for_each(|(i, y)| *y = golden_input(i));
        let words = &mut mask[..plan.mask_words()];
        plan.draw(key, words)?.forward_in_place(place.view_mut(y))?;
        self.expect("output_fnv", crate::sample::hash(y), checksum)?;
        let y: &mut [f64] = &mut bytemuck::cast_slice_mut(tensor)[..place.len];
        (0..).zip(&mut *y).for_each(|(i, y)| *y = f64::from(golden_input(i)));
        plan.forward_in_place(key, place.view_mut(y))?;
        self.expect("output_f64_fnv", crate::sample::hash(y), checksum)?;
        let y: &mut [i8] = &mut bytemuck::cast_slice_mut(tensor)[..place.len];
        (0..).zip(&mut *y).for_each(|(i, y): (i32, _)| *y = (i % 251 - 128) as i8);
        plan.drop_only(key, place.view_mut(y), ZERO_POINT)?;
        let mut hash = Checksum::new();
        hash.bytes(bytemuck::cast_slice(y));
        self.expect("output_i8_fnv", hash.value(), checksum)
    }
}

/// Whether the map is the first of those that share its mask.
fn is_first(sharing: Sharing, map: &MapPart<'_>) -> bool {
    let (over_samples, over_channels) = match sharing {
        Sharing::None => (false, false),
        Sharing::OverChannels => (false, true),
        Sharing::OverSamples => (true, false),
        Sharing::OverAll => (true, true),
    };
    (!over_samples || map.sample() == 0) && (!over_channels || map.channel() == 0)
}

/// Element `i` of the input of the golden vectors.
fn golden_input(i: usize) -> f32 {
    (i % 257) as f32 - 128.0
}

/// The hash of a mask's bytes.
fn bytes_hash(words: &[u64], units: usize) -> u64 {
    let mut hash = Checksum::new();
    words.iter().flat_map(|word| word.to_le_bytes()).take(units.div_ceil(8)).for_each(|byte| {
        hash.bytes(&[byte]);
    });
    hash.value()
}

/// The bytes of a mask that comes unit by unit.
#[derive(Default)]
struct Bits {
    hash: Checksum,
    byte: u8,
    units: usize,
}

impl Bits {
    fn take(&mut self, part: &MapPart<'_>) {
        let keep = part.keep();
        for i in 0..keep.len() {
            self.byte |= u8::from(!keep.is_kept(i)) << (self.units % 8);
            self.units += 1;
            if self.units.is_multiple_of(8) {
                self.hash.bytes(&[core::mem::take(&mut self.byte)]);
            }
        }
    }

    fn finish(mut self) -> u64 {
        if !self.units.is_multiple_of(8) {
            self.hash.bytes(&[self.byte]);
        }
        self.hash.value()
    }
}
