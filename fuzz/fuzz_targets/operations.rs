//! Every operation of a plan, on every backend that can run here, against the reference.
#![no_main]

use arbitrary::Arbitrary;
use dropblock::half::{bf16, f16};
use dropblock::{
    Backend, DropBlock, Dropped, Element, Error, Fill, Key, Layout, Plan, Scale, Shape, reference,
};
use dropblock_fuzz::{Case, chance, pack};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    case: Case,
    element: u8,
    values: u64,
}

/// What is done with elements beside what the crate does.
trait Value: Element {
    fn from_chance(bits: u64) -> Self;
    fn bits(self) -> u64;
    /// Equal bits; of the halves, any NaN is as good as another.
    fn is_same(self, other: Self) -> bool {
        self.bits() == other.bits()
    }
}

impl Value for f32 {
    fn from_chance(bits: u64) -> Self {
        // One in four is any bits: NaN, denormals, infinities.
        if bits & 3 == 0 { Self::from_bits((bits >> 8) as u32) } else { (bits >> 40) as f32 - 99.5 }
    }
    fn bits(self) -> u64 {
        self.to_bits().into()
    }
}

impl Value for f64 {
    fn from_chance(bits: u64) -> Self {
        if bits & 3 == 0 { Self::from_bits(bits << 16) } else { (bits >> 40) as f64 - 99.5 }
    }
    fn bits(self) -> u64 {
        self.to_bits()
    }
}

macro_rules! halves {
    ($($half:ident)*) => {$(
        impl Value for $half {
            fn from_chance(bits: u64) -> Self {
                Self::from_bits((bits >> 8) as u16)
            }
            fn bits(self) -> u64 {
                self.to_bits().into()
            }
            fn is_same(self, other: Self) -> bool {
                self.to_bits() == other.to_bits() || self.is_nan() && other.is_nan()
            }
        }
    )*};
}

halves!(f16 bf16);

fuzz_target!(|input: Input| {
    let Ok(layer) = input.case.layer() else { return };
    match input.element % 4 {
        0 => check::<f32>(&input, layer),
        1 => check::<f64>(&input, layer),
        2 => check::<f16>(&input, layer),
        _ => check::<bf16>(&input, layer),
    }
});

/// What the reference says.
struct Expected<T> {
    words: Vec<u64>,
    dropped: Dropped,
    x: Vec<T>,
    dirty: Vec<T>,
    /// Of the passes without noise, to `dirty` and in place, then of the forward passes.
    y: [Vec<T>; 4],
    /// Elements that are dropped, whatever is written there.
    is_dropped: Vec<bool>,
}

fn check<T: Value>(input: &Input, layer: DropBlock) {
    let shape = input.case.shape(700);
    let key = input.case.key.get();
    let Ok(plan) = layer.plan(shape) else { panic!("no plan of {input:?}") };
    let mut words = vec![!0; plan.mask_len()];
    if let Err(error) = plan.mask(key, &mut words) {
        assert!(matches!(error, Error::FirstSample { .. }), "{error}");
        return refused::<T>(&plan, key);
    }
    let mut mask = vec![true; plan.units()];
    reference::mask(&layer, &shape, &key, &mut mask);
    let count = mask.iter().filter(|&&dropped| dropped).count() as u64;
    let x: Vec<T> = (0..plan.extent()).map(|i| T::from_chance(chance(input.values, i))).collect();
    let dirty: Vec<T> = x.iter().rev().copied().collect();
    let apply = |layer: &DropBlock, x: &[T], y: &[T]| {
        let mut y = y.to_vec();
        reference::apply(layer, &shape, &mask, x, &mut y);
        y
    };
    let noise = |y: &[T]| {
        let mut y = y.to_vec();
        if input.case.choices.noise {
            reference::fill_noise(&layer, &shape, &key, &mask, &mut y);
        }
        y
    };
    let (new, in_place) = (apply(&layer, &x, &dirty), apply(&layer, &x, &x));
    // What is 0 after ones are multiplied by 1 is dropped.
    let ones = vec![T::ONE; x.len()];
    let unscaled = apply(&layer.with_scale(Scale::None).with_fill(Fill::Zero), &ones, &ones);
    let expected = Expected {
        words: pack(&mask),
        dropped: Dropped { count, of: mask.len() as u64 },
        is_dropped: unscaled.iter().map(|&x| x == T::ZERO).collect(),
        y: [noise(&new), noise(&in_place), new, in_place],
        x,
        dirty,
    };
    for backend in Backend::available() {
        let plan = layer.with_backend(backend).and_then(|layer| layer.plan(shape));
        let Ok(plan) = plan else { panic!("{backend} {input:?}") };
        if let Err(error) = every_operation(&plan, key, &expected) {
            panic!("{error}: {backend} {input:?}");
        }
        if let Err(error) = shards(&plan, key, input, &expected.words) {
            panic!("{error}: {backend} {input:?}");
        }
    }
}

/// All that draws says the same, and writes nothing.
fn refused<T: Value>(plan: &Plan, key: Key) {
    let x = vec![T::ONE; plan.extent()];
    let mut y = x.clone();
    let mut mask = vec![7; plan.mask_len()];
    assert!(plan.forward(key, &x, &mut y, Some(&mut mask)).is_err());
    assert!(plan.forward_in_place(key, &mut y, None).is_err());
    assert!(plan.drop_only(key, &mut y, T::ZERO, Some(&mut mask)).is_err());
    let dropped = Dropped { count: 0, of: plan.units() as u64 };
    assert!(plan.backward_in_place(key, &dropped, &mut y).is_err());
    assert!(plan.fill_noise(key, &mask, &mut y).is_err());
    assert!(plan.centers(key, &mut mask).is_err());
    assert!(plan.for_each_plane(key, |_| panic!("no plane")).is_err());
    assert!(y == x && mask.iter().all(|&word| word == 7));
}

/// `kept`: what a pass that can drop nothing copies, where the reference multiplies by 1, which
/// makes a signalling NaN quiet.
fn same_or_kept<T: Value>(a: &[T], b: &[T], kept: &[T], what: &str) {
    let b: Vec<T> = (0..b.len())
        .map(|i| if b[i] != b[i] && a[i].bits() == kept[i].bits() { a[i] } else { b[i] })
        .collect();
    same(a, &b, what);
}

fn same<T: Value>(a: &[T], b: &[T], what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    let wrong = a.iter().zip(b).enumerate().find(|(_, (a, b))| !a.is_same(**b));
    if let Some((i, (a, b))) = wrong {
        panic!("{what}: {a:?} ({:x}) for {b:?} ({:x}) at {i}", a.bits(), b.bits());
    }
}

fn every_operation<T: Value>(plan: &Plan, key: Key, expected: &Expected<T>) -> Result<(), Error> {
    let Expected { words, dropped, x, dirty, y: expected_y, is_dropped } = expected;
    let [forward, forward_in_place, new, in_place] = expected_y;
    // The passes know what can be dropped, `apply` does not.
    let same_pass = |a: &[T], b: &[T], what: &str| match plan.gamma() {
        0.0 => same_or_kept(a, b, x, what),
        _ => same(a, b, what),
    };
    let mut mask = vec![!0; plan.mask_len() + 1];
    let check_mask = |mask: &mut [u64], what: &str| {
        assert!(mask[..words.len()] == **words && mask[words.len()] == !0, "{what}");
        mask.fill(!0);
    };
    assert_eq!(plan.mask(key, &mut mask)?, *dropped);
    check_mask(&mut mask, "mask");
    let centers = plan.centers(key, &mut mask)?;
    let set: u64 = mask[..words.len()].iter().map(|word| u64::from(word.count_ones())).sum();
    assert_eq!(centers, set);
    plan.dilate(&mut mask)?;
    check_mask(&mut mask, "dilated centres");
    let drawn = plan.centers_from_rng(&mut reference::generator(&key, 0), &mut mask)?;
    let set: u64 = mask[..words.len()].iter().map(|word| u64::from(word.count_ones())).sum();
    assert_eq!(drawn, set);
    mask.fill(!0);

    assert_eq!(plan.count(words)?, *dropped);
    let mut sum = Dropped::default();
    for group in 0..plan.groups() {
        let group = plan.count_group(words, group)?;
        (sum.count, sum.of) = (sum.count + group.count, sum.of + group.of);
    }
    assert_eq!(sum, *dropped);

    let mut y = dirty.clone();
    assert_eq!(plan.forward(key, x, &mut y, Some(&mut mask))?, *dropped);
    same_pass(&y, forward, "forward");
    check_mask(&mut mask, "mask of forward");
    y.copy_from_slice(dirty);
    assert_eq!(plan.forward(key, x, &mut y, None)?, *dropped);
    same_pass(&y, forward, "forward without mask");
    y.copy_from_slice(x);
    assert_eq!(plan.forward_in_place(key, &mut y, Some(&mut mask))?, *dropped);
    same_pass(&y, forward_in_place, "forward in place");
    check_mask(&mut mask, "mask of forward in place");
    y.copy_from_slice(x);
    assert_eq!(plan.forward_in_place(key, &mut y, None)?, *dropped);
    same_pass(&y, forward_in_place, "forward in place without mask");

    y.copy_from_slice(dirty);
    plan.backward(key, dropped, x, &mut y)?;
    same_pass(&y, new, "backward");
    y.copy_from_slice(x);
    plan.backward_in_place(key, dropped, &mut y)?;
    same_pass(&y, in_place, "backward in place");
    y.copy_from_slice(dirty);
    plan.apply(words, dropped, x, &mut y)?;
    same(&y, new, "apply");
    y.copy_from_slice(x);
    plan.apply_in_place(words, dropped, &mut y)?;
    same(&y, in_place, "apply in place");
    if plan.options().with_fill(Fill::Noise) == *plan.options() {
        plan.fill_noise(key, words, &mut y)?;
        same(&y, forward_in_place, "noise");
    }

    // Without a scale: bytes.
    let bytes: Vec<u8> = (0..x.len()).map(|i| i as u8 | 1).collect();
    let select = |(&is_dropped, &byte): (&bool, &u8)| if is_dropped { 0 } else { byte };
    let selected: Vec<u8> = is_dropped.iter().zip(&bytes).map(select).collect();
    let mut z = bytes.clone();
    assert_eq!(plan.drop_only(key, &mut z, 0, Some(&mut mask))?, *dropped);
    assert_eq!(z, selected);
    check_mask(&mut mask, "mask of drop_only");
    z.copy_from_slice(&bytes);
    assert_eq!(plan.drop_only(key, &mut z, 0, None)?, *dropped);
    assert_eq!(z, selected);
    z.copy_from_slice(&bytes);
    plan.fill_dropped(words, &mut z, 0)?;
    assert_eq!(z, selected);

    // A wrong length anywhere: an error, and nothing written.
    let mut long = vec![T::ONE; x.len() + 1];
    assert!(plan.forward_in_place(key, &mut long, Some(&mut mask)).is_err());
    assert!(plan.apply(words, dropped, x, &mut long).is_err());
    assert!(long.iter().all(|&x| x == T::ONE) && mask.iter().all(|&word| word == !0));
    Ok(())
}

/// The mask of each sample alone is its part of the whole.
fn shards(plan: &Plan, key: Key, input: &Input, words: &[u64]) -> Result<(), Error> {
    let shape = plan.shape();
    if plan.is_empty() {
        return Ok(());
    }
    let shard = Shape::new(1, shape.channels(), shape.map(), Layout::ChannelsFirst);
    let shard = plan.options().plan(shard)?;
    let mut mask = vec![0; shard.mask_len()];
    for sample in 0..shape.samples() {
        let first = (input.case.key.first_sample.get() as u64).wrapping_add(sample as u64);
        shard.mask(key.first_sample(first), &mut mask)?;
        let offset = if plan.units() == shard.units() { 0 } else { sample * shard.units() };
        let bit = |words: &[u64], i: usize| words[i / 64] >> (i % 64) & 1;
        assert!((0..shard.units()).all(|i| bit(&mask, i) == bit(words, offset + i)));
    }
    Ok(())
}
