//! Every operation of a plan, on every backend that can run here, against the reference.
#![no_main]

use std::convert::Infallible;
use std::mem::MaybeUninit;

use arbitrary::Arbitrary;
use dropblock::half::{bf16, f16};
use dropblock::rand_core::TryRng;
use dropblock::{
    Backend, Drawn, DropCount, Element, Error, Fill, Layout, Mask, Plan, Scale, Shape, ViewMut,
};
use dropblock_cases::{Case, Place, pack};
use dropblock_fuzz::{Number, chance};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    case: Case,
    /// Of the key instead, and perhaps too late.
    first_sample: Option<Number>,
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
    let mut case = input.case;
    if let Some(first_sample) = input.first_sample {
        case.key = case.key.with_first_sample(first_sample.get() as u64);
    }
    match input.element % 4 {
        0 => check::<f32>(case, input.values),
        1 => check::<f64>(case, input.values),
        2 => check::<f16>(case, input.values),
        _ => check::<bf16>(case, input.values),
    }
});

/// What the reference says.
struct Expected<T> {
    case: Case,
    words: Vec<u64>,
    count: DropCount,
    /// Buffers of an input and of outputs: what is between their units must survive.
    x: Vec<T>,
    dirty: Vec<T>,
    /// Of a forward and a backward pass from `x` to `dirty`, and in place on `dirty`.
    y: [Vec<T>; 2],
    in_place: [Vec<T>; 2],
    /// Elements of the output that are dropped, whatever is written there.
    is_dropped: Vec<bool>,
}

fn check<T: Value>(case: Case, values: u64) {
    let Case { layer, shape, key, .. } = case;
    let Ok(plan) = layer.plan(shape) else { panic!("no plan of {case:?}") };
    let mut words = vec![!0; plan.mask_words()];
    if let Err(error) = plan.draw(key, &mut words) {
        assert!(matches!(error, Error::FirstSample { .. }), "{error}");
        return refused::<T>(&plan, &case);
    }
    let mask = case.expected_mask();
    let dropped = mask.iter().filter(|&&dropped| dropped).count() as u64;
    let from_chance = |len: usize, seed: u64| -> Vec<T> {
        (0..len).map(|i| T::from_chance(chance(seed, i))).collect()
    };
    let [x_len, y_len] = case.lens();
    let (x, dirty) = (from_chance(x_len, values), from_chance(y_len, !values));
    // What is 0 after ones are multiplied by 1 is dropped.
    let unscaled = Case { layer: layer.with_scale(Scale::Off), ..case };
    let ones = unscaled.expected_in_place((&mask, false), &vec![T::ONE; y_len]);
    let both = [true, false];
    let expected = Expected {
        case,
        words: pack(&mask),
        count: DropCount { dropped, total: mask.len() as u64 },
        y: both.map(|forward| case.expected_out((&mask, forward), &x, &dirty)),
        in_place: both.map(|forward| case.expected_in_place((&mask, forward), &dirty)),
        is_dropped: ones.iter().map(|&x| x == T::ZERO).collect(),
        x,
        dirty,
    };
    for backend in Backend::available() {
        let plan = case.plan(backend);
        let all = stages(&plan, &expected)
            .and_then(|()| passes(&plan, &expected))
            .and_then(|()| without_buffer(&plan, &expected))
            .and_then(|()| drop_only(&plan, &expected))
            .and_then(|()| shards(&plan, &expected));
        if let Err(error) = all {
            panic!("{error}: {backend} {case:?}");
        }
        wrong_lengths(&plan, &expected);
    }
}

/// All that draws says the same, and writes nothing.
fn refused<T: Value>(plan: &Plan, case: &Case) {
    let key = case.key;
    let x = vec![T::ONE; plan.elements()];
    let before = vec![T::ONE; case.lens()[1]];
    let mut y = before.clone();
    let mut words = vec![7; plan.mask_words()];
    assert!(plan.draw(key, &mut words).is_err());
    assert!(plan.draw_centers(key, &mut words).is_err());
    assert!(plan.count(key).is_err());
    assert!(plan.forward(key, &x, case.view_mut(&mut y)).is_err());
    assert!(plan.forward_in_place(key, case.view_mut(&mut y)).is_err());
    assert!(plan.backward_in_place(key, case.view_mut(&mut y)).is_err());
    assert!(plan.drop_only(key, case.view_mut(&mut y), T::ZERO).is_err());
    assert!(plan.for_each_map(key, |_| panic!("no map")).is_err());
    assert!(plan.mask_from(&words).is_ok_and(|mask| mask.with_key(key).is_err()));
    assert!(y == before && words.iter().all(|&word| word == 7));
}

fn same<T: Value>(a: &[T], b: &[T], what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    let wrong = a.iter().zip(b).enumerate().find(|(_, (a, b))| !a.is_same(**b));
    if let Some((i, (a, b))) = wrong {
        panic!("{what}: {a:?} ({:x}) for {b:?} ({:x}) at {i}", a.bits(), b.bits());
    }
}

/// Centres, dilation, counts.
fn stages<T: Value>(plan: &Plan, expected: &Expected<T>) -> Result<(), Error> {
    let Expected { case: Case { key, .. }, words, count, .. } = expected;
    let key = *key;
    let mut drawn = vec![!0; plan.mask_words() + 1];
    let check = |drawn: &mut [u64], what: &str| {
        assert!(drawn[..words.len()] == **words && drawn[words.len()] == !0, "{what}");
        drawn.fill(!0);
    };
    let ones = |drawn: &[u64]| -> u64 {
        drawn[..words.len()].iter().map(|word| u64::from(word.count_ones())).sum()
    };
    let mask = plan.draw(key, &mut drawn)?;
    assert_eq!((mask.count(), mask.drawn()), (*count, Some(plan.count(key)?)));
    check(&mut drawn, "mask");
    let centers = plan.draw_centers(key, &mut drawn)?;
    assert_eq!(centers, ones(&drawn));
    plan.dilate(&mut drawn)?;
    check(&mut drawn, "dilated centres");
    let centers = plan.draw_centers_from(&mut Weyl(key.seed), &mut drawn)?;
    assert_eq!(centers, ones(&drawn));

    let drawn = plan.count(key)?;
    assert_eq!((drawn.key(), drawn.count()), (key, Some(*count)));
    assert_eq!(Drawn::from_words(drawn.to_words()), drawn);
    let mask = plan.mask_from(words)?;
    assert_eq!((mask.count(), mask.drawn()), (*count, None));
    let mut sum = DropCount::default();
    for group in 0..plan.groups() {
        let group = mask.count_group(group)?;
        (sum.dropped, sum.total) = (sum.dropped + group.dropped, sum.total + group.total);
    }
    assert_eq!(sum, *count);
    Ok(())
}

/// A generator of no quality.
struct Weyl(u64);

impl TryRng for Weyl {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|word| (word >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(self.0 as u8);
        Ok(())
    }
}

/// With a mask that was drawn, and with one that was made from words.
fn passes<T: Value>(plan: &Plan, expected: &Expected<T>) -> Result<(), Error> {
    let (case, key) = (&expected.case, expected.case.key);
    let mut words = vec![!0; plan.mask_words()];
    let drawn = plan.draw(key, &mut words)?;
    with_mask(drawn, expected)?;
    with_mask(drawn.with_count(drawn.count())?, expected)?;
    let made = plan.mask_from(&expected.words)?;
    with_mask(made.with_key(key)?, expected)?;
    let (x, mut y) = (&expected.x, expected.dirty.clone());
    let result = made.forward(case.view(x), case.view_mut(&mut y));
    if plan.layer().fill() == Fill::Noise {
        assert_eq!(result, Err(Error::NoKey));
        same(&y, &expected.dirty, "refused without a key");
    } else {
        result?;
        same(&y, &expected.y[0], "forward without a key");
    }
    Ok(())
}

fn with_mask<T: Value>(mask: Mask<'_>, expected: &Expected<T>) -> Result<(), Error> {
    let Expected { case, x, dirty, y: [forward, backward], .. } = expected;
    let mut y = dirty.clone();
    mask.forward(case.view(x), case.view_mut(&mut y))?;
    same(&y, forward, "forward");
    y.copy_from_slice(dirty);
    mask.backward(case.view(x), case.view_mut(&mut y))?;
    same(&y, backward, "backward");
    y.copy_from_slice(dirty);
    mask.forward_in_place(case.view_mut(&mut y))?;
    same(&y, &expected.in_place[0], "forward in place");
    y.copy_from_slice(dirty);
    mask.backward_in_place(case.view_mut(&mut y))?;
    same(&y, &expected.in_place[1], "backward in place");
    if case.output.is_none() {
        let mut fresh = vec![MaybeUninit::uninit(); dirty.len()];
        mask.forward(case.view(x), ViewMut::uninit(&mut fresh))?;
        // SAFETY: the pass has written every element.
        let y: Vec<T> = fresh.into_iter().map(|y| unsafe { y.assume_init() }).collect();
        same(&y, forward, "forward to memory that was not initialised");
    }
    Ok(())
}

fn without_buffer<T: Value>(plan: &Plan, expected: &Expected<T>) -> Result<(), Error> {
    let Expected { case, count, x, dirty, y: [forward, backward], .. } = expected;
    let key = case.key;
    let counted = Drawn::from(key).with_count(*count);
    for drawn in [Drawn::from(key), counted] {
        let mut y = dirty.clone();
        assert_eq!(plan.forward(drawn, case.view(x), case.view_mut(&mut y))?, counted);
        same(&y, forward, "forward without buffer");
        y.copy_from_slice(dirty);
        plan.backward(drawn, case.view(x), case.view_mut(&mut y))?;
        same(&y, backward, "backward without buffer");
        y.copy_from_slice(dirty);
        assert_eq!(plan.forward_in_place(drawn, case.view_mut(&mut y))?, counted);
        same(&y, &expected.in_place[0], "forward in place without buffer");
        y.copy_from_slice(dirty);
        plan.backward_in_place(drawn, case.view_mut(&mut y))?;
        same(&y, &expected.in_place[1], "backward in place without buffer");
    }
    Ok(())
}

/// Without a scale: bytes.
fn drop_only<T: Value>(plan: &Plan, expected: &Expected<T>) -> Result<(), Error> {
    let Expected { case, words, count, is_dropped, .. } = expected;
    let key = case.key;
    let bytes: Vec<u8> = (0..is_dropped.len()).map(|i| i as u8 | 1).collect();
    let select = |(&is_dropped, &byte): (&bool, &u8)| if is_dropped { 0 } else { byte };
    let selected: Vec<u8> = is_dropped.iter().zip(&bytes).map(select).collect();
    let mut z = bytes.clone();
    let drawn = plan.drop_only(key, case.view_mut(&mut z), 0)?;
    assert_eq!((drawn, z), (Drawn::from(key).with_count(*count), selected.clone()));
    let mut z = bytes;
    plan.mask_from(words)?.drop_only(case.view_mut(&mut z), 0)?;
    assert_eq!(z, selected);
    Ok(())
}

/// A wrong length anywhere: an error, and nothing written.
fn wrong_lengths<T: Value>(plan: &Plan, expected: &Expected<T>) {
    let Expected { case, words, x, .. } = expected;
    let key = case.key;
    let mut long = vec![T::ONE; plan.elements() + 1];
    let Ok(mask) = plan.mask_from(words) else { panic!("words of a mask") };
    assert!(plan.forward_in_place(key, &mut long).is_err());
    assert!(mask.backward(case.view(x), &mut long).is_err());
    assert!(mask.backward(&vec![T::ONE; plan.elements() + 1], &mut long[1..]).is_err());
    // The buffer ends with the last unit.
    let place = case.output.unwrap_or(Place::dense(&case.shape));
    if let Some(last) = place.elements(&case.shape).max() {
        long.resize(last.max(long.len()), T::ONE);
        assert!(mask.backward_in_place(case.view_mut(&mut long[..last])).is_err());
    }
    assert!(long.iter().all(|&x| x == T::ONE));
    if let Some(short) = plan.mask_words().checked_sub(1) {
        assert!(plan.draw(key, &mut vec![0; short]).is_err());
        assert!(plan.mask_from(&words[..short]).is_err());
    }
}

/// The mask of each sample alone is its part of the whole.
fn shards<T>(plan: &Plan, expected: &Expected<T>) -> Result<(), Error> {
    let (Case { shape, key, .. }, words) = (&expected.case, &expected.words);
    if plan.elements() == 0 {
        return Ok(());
    }
    let shard = Shape::new(1, shape.channels(), shape.map(), Layout::ChannelsFirst);
    let shard = plan.layer().plan(shard)?;
    assert!(shape.layout() != Layout::ChannelsFirst || plan.with_samples(1)? == shard);
    let mut part = vec![0; shard.mask_words()];
    for sample in 0..shape.samples() {
        let first = key.first_sample.wrapping_add(sample as u64);
        shard.draw(key.with_first_sample(first), &mut part)?;
        let offset = if plan.units() == shard.units() { 0 } else { sample * shard.units() };
        let bit = |words: &[u64], i: usize| words[i / 64] >> (i % 64) & 1;
        assert!((0..shard.units()).all(|i| bit(&part, i) == bit(words, offset + i)));
    }
    Ok(())
}
