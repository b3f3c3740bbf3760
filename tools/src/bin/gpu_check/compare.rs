//! Every operation on a device against the processor: of layers, and of dilations alone.

use dropblock::cuda::bytemuck::Pod;
use dropblock::cuda::{self, Device, Error, Layer, Stream};
use dropblock::half::{bf16, f16};
use dropblock::{
    BlockSize, Dilation, Drawn, DropCount, Element, Error as PlanError, Fill, Plan, ViewMut,
};
use dropblock_cases::Case;
use dropblock_tools::vectors::hash_line;

/// Returns the line of the mask, and what differs.
pub(crate) fn case(
    device: &Device,
    number: usize,
    case: &Case,
) -> Result<(String, Vec<String>), Error> {
    let plan = case.layer.plan(case.shape)?;
    let stream = device.stream()?;
    let mut differences = Vec::new();
    let mut first = None;
    // What is chosen, several threads a segment with tiles that end everywhere, and the most of both.
    let small = Some(64 * (1 + number % 7));
    for (lanes, tile) in [(None, None), (Some(3), small), (Some(32), Some(65_536))] {
        let mut layer = Layer::new(&plan, &stream)?;
        if let Some(lanes) = lanes {
            layer = layer.with_lanes(lanes)?;
        }
        if let Some(tile) = tile {
            layer = layer.with_tile(tile)?;
        }
        if let Some(place) = case.output {
            layer = layer.with_strides(place.strides.map(isize::unsigned_abs))?;
        }
        let mut check = Check {
            number,
            case,
            plan,
            layer,
            stream: stream.clone(),
            device,
            launch: (lanes, tile),
            differences: &mut differences,
        };
        let (mask, count) = check.masks()?;
        first.get_or_insert(hash_line(number, count.dropped, &mask));
        check.passes::<f32>(&mask, count)?;
        check.passes::<f64>(&mask, count)?;
        check.passes::<f16>(&mask, count)?;
        check.passes::<bf16>(&mask, count)?;
        check.drops([3_u8, 250])?;
        check.drops([-4_i16, 99])?;
        check.drops([7_u32, 8])?;
        check.drops([9_u64, 10])?;
        check.dilations(&mask)?;
    }
    Ok((first.unwrap_or_default(), differences))
}

/// An element with its bits, those of one NaN for all NaNs.
trait Value: Element + Pod {
    fn new(value: f32) -> Self;
    fn bits(self) -> u64;
}

macro_rules! value {
    ($($type:ident $new:expr;)*) => {$(
        impl Value for $type {
            fn new(value: f32) -> Self {
                $new(value)
            }

            fn bits(self) -> u64 {
                if self.is_nan() { Self::NAN.to_bits().into() } else { self.to_bits().into() }
            }
        }
    )*};
}

value! {
    f32 |value| value;
    f64 f64::from;
    f16 f16::from_f32;
    bf16 bf16::from_f32;
}

struct Check<'c> {
    number: usize,
    case: &'c Case,
    plan: Plan,
    layer: Layer,
    stream: Stream,
    device: &'c Device,
    launch: (Option<u32>, Option<usize>),
    differences: &'c mut Vec<String>,
}

impl Check<'_> {
    fn same<T: PartialEq>(&mut self, what: &str, found: &[T], expected: &[T]) {
        if found != expected {
            let at = found.iter().zip(expected).position(|(a, b)| a != b);
            let (lanes, tile) = self.launch;
            // One of them is shorter where no element differs.
            let at = at.map_or("the end".into(), |at| at.to_string());
            let launch = format!("lanes {lanes:?} and tile {tile:?}");
            self.differences.push(format!("{what} at {at} with {launch}"));
        }
    }

    fn same_values<T: Value>(&mut self, what: &str, found: &[T], expected: &[T]) {
        let bits = |x: &[T]| x.iter().map(|x| x.bits()).collect::<Vec<_>>();
        let what = format!("{what} of {}", std::any::type_name::<T>());
        self.same(&what, &bits(found), &bits(expected));
    }

    fn masks(&mut self) -> Result<(Vec<u64>, DropCount), Error> {
        let (key, words) = (self.case.key, self.plan.mask_words());
        let mut mask = self.device.upload(&vec![!0_u64; words])?;
        let mut counts = self.device.upload(&vec![!0_u64; self.plan.groups()])?;
        self.layer.pass().draw(key, mask.slice_mut(), Some(counts.slice_mut()))?;
        let mut found = vec![0; words];
        self.stream.download(mask.slice(), &mut found)?;
        let mut expected = vec![0; words];
        let drawn = self.plan.draw(key, &mut expected)?;
        let count = drawn.count();
        let mut expected_counts = Vec::new();
        for group in 0..self.plan.groups() {
            expected_counts.push(drawn.count_group(group)?.dropped);
        }
        self.same("mask", &found, &expected);
        let mut found_counts = vec![0; self.plan.groups()];
        self.stream.download(counts.slice(), &mut found_counts)?;
        self.same("counts", &found_counts, &expected_counts);

        let mut centers = self.device.upload(&vec![!0_u64; words])?;
        self.layer.pass().draw_centers(key, centers.slice_mut())?;
        let mut expected_centers = vec![0; words];
        self.plan.draw_centers(key, &mut expected_centers)?;
        let mut found_centers = vec![0; words];
        self.stream.download(centers.slice(), &mut found_centers)?;
        self.same("centres", &found_centers, &expected_centers);
        self.layer.pass().dilate(centers.slice(), mask.slice_mut())?;
        self.layer.pass().count(mask.slice(), counts.slice_mut())?;
        let mut dilated = vec![0; words];
        self.stream.download(mask.slice(), &mut dilated)?;
        self.same("dilated centres", &dilated, &expected);
        self.stream.download(counts.slice(), &mut found_counts)?;
        self.same("count", &found_counts, &expected_counts);
        // The line shows what the device has drawn.
        Ok((found, count))
    }

    /// The processor's pass in place on a dense tensor or a view.
    fn in_place<T: Value>(
        &self,
        x: &mut [T],
        pass: impl Fn(ViewMut<'_, T>) -> Result<(), PlanError>,
    ) -> Result<(), Error> {
        Ok(pass(self.case.view_mut(x))?)
    }

    fn passes<T: Value>(&mut self, mask: &[u64], count: DropCount) -> Result<(), Error> {
        let key = self.case.key;
        let drawn = Drawn::from(key).with_count(count);
        let special = [f32::NAN, f32::INFINITY, -0.0, 1e-39, 65_504.0];
        let x: Vec<T> = (0..self.layer.extent())
            .map(|i| T::new(special.get(i % 37).copied().unwrap_or(i as f32 * 0.37 - 99.0)))
            .collect();
        let source = self.device.upload(&x)?;
        let words = self.device.upload(mask)?;
        let mut counts = self.device.zeros::<u64>(self.plan.groups())?;
        let mut found = x.clone();

        let mut y = self.device.upload(&vec![T::ONE; x.len()])?;
        self.layer.pass().forward(key, source.slice(), y.slice_mut(), Some(counts.slice_mut()))?;
        self.stream.download(y.slice(), &mut found)?;
        let mut expected = vec![T::ONE; x.len()];
        self.plan.forward(key, self.case.view(&x), self.case.view_mut(&mut expected))?;
        self.same_values("forward", &found, &expected);

        let mut y = self.device.upload(&x)?;
        self.layer.pass().forward_in_place(key, y.slice_mut(), None)?;
        self.stream.download(y.slice(), &mut found)?;
        let mut expected = x.clone();
        self.in_place(&mut expected, |x| self.plan.forward_in_place(key, x).map(|_| ()))?;
        self.same_values("forward in place", &found, &expected);

        let mut y = self.device.upload(&x)?;
        self.layer.pass().backward_in_place(key, Some(counts.slice()), y.slice_mut())?;
        self.stream.download(y.slice(), &mut found)?;
        let mut expected = x.clone();
        self.in_place(&mut expected, |x| self.plan.backward_in_place(drawn, x))?;
        self.same_values("backward in place", &found, &expected);

        let mut y = self.device.upload(&x)?;
        self.layer.pass().apply_in_place(words.slice(), Some(counts.slice()), y.slice_mut())?;
        self.stream.download(y.slice(), &mut found)?;
        self.same_values("apply", &found, &expected);
        if self.plan.layer().fill() == Fill::Noise {
            self.layer.pass().fill_noise(key, words.slice(), y.slice_mut())?;
            self.stream.download(y.slice(), &mut found)?;
            let mut expected = x.clone();
            let mask = self.plan.mask_from(mask)?.with_key(key)?;
            self.in_place(&mut expected, |x| mask.forward_in_place(x))?;
            self.same_values("apply and noise", &found, &expected);
        }
        Ok(())
    }

    fn drops<T: Pod + PartialEq + Send + Sync>(
        &mut self,
        [zero, value]: [T; 2],
    ) -> Result<(), Error> {
        let mut expected = vec![value; self.layer.extent()];
        let mut x = self.device.upload(&expected)?;
        self.layer.pass().drop_only(self.case.key, x.slice_mut(), zero, None)?;
        let mut found = expected.clone();
        self.stream.download(x.slice(), &mut found)?;
        self.plan.drop_only(self.case.key, self.case.view_mut(&mut expected), zero)?;
        self.same(&format!("drop only of {}", std::any::type_name::<T>()), &found, &expected);
        Ok(())
    }

    /// Dilations of bits and of bytes, of the bits of the mask as sources.
    fn dilations(&mut self, mask: &[u64]) -> Result<(), Error> {
        let shape = self.case.shape;
        // One map for each, with blocks that are clipped at its borders.
        let block = BlockSize::uniform(2 + self.number % 5);
        let dilation = Dilation::new(shape.map(), block)?;
        let maps = self.plan.units() / dilation.map_len().max(1);
        let mut there = cuda::Dilation::new(&dilation, maps, &self.stream)?;
        if let Some(tile) = self.launch.1 {
            there = there.with_tile(tile)?;
        }
        // Where most is dropped, the few kept ones are the sources.
        let invert = if self.case.layer.drop_prob() > 0.2 { !0 } else { 0 };
        let mut bits: Vec<u64> = mask.iter().map(|word| word ^ invert).collect();
        let bit = |i: usize| bits[i / 64] >> (i % 64) & 1 == 1;
        let bytes: Vec<u8> =
            (0..there.len()).map(|i| if bit(i) { 1 + (i * 7 % 255) as u8 } else { 0 }).collect();

        let source = self.device.upload(&bits)?;
        let mut destination = self.device.upload(&vec![!0_u64; bits.len()])?;
        there.dilate_bits(source.slice(), destination.slice_mut())?;
        let mut found = vec![0; bits.len()];
        self.stream.download(destination.slice(), &mut found)?;
        dilation.dilate_bits_in_place(maps, &mut bits)?;
        // Only the device clears what is past the last map.
        if let Some(last) = bits.last_mut().filter(|_| !bytes.len().is_multiple_of(64)) {
            *last &= (1 << (bytes.len() % 64)) - 1;
        }
        self.same("dilation of bits", &found, &bits);

        let source = self.device.upload(&bytes)?;
        let mut destination = self.device.upload(&vec![99_u8; bytes.len()])?;
        there.dilate(source.slice(), destination.slice_mut())?;
        let mut found = vec![0; bytes.len()];
        self.stream.download(destination.slice(), &mut found)?;
        let mut expected = vec![0; bytes.len()];
        dilation.dilate(&bytes, &mut expected)?;
        self.same("dilation of bytes", &found, &expected);
        Ok(())
    }
}
