//! What passes promise of the elements that they write, in every layout and by every backend.

use std::mem::MaybeUninit;

use dropblock::{
    Backend, Drawn, DropBlock, DropCount, Error, Fill, Gamma, Key, Layout, Map, Plan, Scale, Shape,
    Sharing, View, ViewMut,
};

use crate::case::{Case, bits_of, dirty, tensor};

const SIGNALLING: [u32; 4] = [0x7f80_0001, 0xff81_2345, 0x7fbf_ffff, 0xffa0_0000];

/// Shapes of both layouts, with channels that fill vectors and such that do not.
fn shapes() -> impl Iterator<Item = Shape> {
    let sizes = [(2, 3, Map::hw(9, 11)), (3, 70, Map::hw(3, 5)), (2, 2, Map::l(1100))];
    sizes.into_iter().flat_map(|(samples, channels, map)| {
        Layout::ALL.iter().map(move |&layout| Shape::new(samples, channels, map, layout))
    })
}

/// Every pass from `x` to new memory, and in place: dense, and as a view of every second element.
/// Calls `check` with the name of the pass and what it made of `x`.
fn every_pass(plan: &Plan, x: &[f32], check: impl Fn(&str, &[f32])) -> Result<(), Error> {
    let key = Key::new(6).with_step(2);
    let mut words = vec![0; plan.mask_words()];
    let drawn = plan.count(key)?;
    let mask = plan.draw(key, &mut words)?;
    let strides = strides_of_every_second(plan.shape());
    let spread: Vec<f32> = x.iter().flat_map(|&x| [x, 7.0]).collect();
    let seconds = |y: &[f32]| {
        assert!(y.iter().skip(1).step_by(2).all(|&gap| gap == 7.0));
        y.iter().copied().step_by(2).collect::<Vec<_>>()
    };
    let mut y = vec![7.0_f32; x.len()];
    macro_rules! pass {
        ($forward:ident, $in_place:ident, $of:ident($($drawn:ident)?)) => {{
            let name = concat!(stringify!($forward), " ", stringify!($of $($drawn)?));
            $of.$forward($($drawn,)? x, &mut y)?;
            check(name, &y);
            y.copy_from_slice(x);
            $of.$in_place($($drawn,)? &mut y)?;
            check(&format!("{name} in place"), &y);
            let mut wide = vec![7.0; 2 * x.len()];
            $of.$forward($($drawn,)? x, ViewMut::new(&mut wide, 0, strides))?;
            check(&format!("{name} to a view"), &seconds(&wide));
            wide.copy_from_slice(&spread);
            $of.$in_place($($drawn,)? ViewMut::new(&mut wide, 0, strides))?;
            check(&format!("{name} in place in a view"), &seconds(&wide));
            $of.$forward($($drawn,)? View::new(&spread, 0, strides), &mut y)?;
            check(&format!("{name} from a view"), &y);
            wide.fill(7.0);
            let (from, to) = (View::new(&spread, 0, strides), ViewMut::new(&mut wide, 0, strides));
            $of.$forward($($drawn,)? from, to)?;
            check(&format!("{name} between views"), &seconds(&wide));
        }};
    }
    pass!(forward, forward_in_place, mask());
    pass!(backward, backward_in_place, mask());
    pass!(forward, forward_in_place, plan(key));
    pass!(forward, forward_in_place, plan(drawn));
    pass!(backward, backward_in_place, plan(key));
    pass!(backward, backward_in_place, plan(drawn));
    Ok(())
}

/// Twice those of a dense tensor.
fn strides_of_every_second(shape: &Shape) -> [isize; 5] {
    crate::case::Place::dense(shape).strides.map(|stride| 2 * stride)
}

/// Where nothing is dropped and nothing scaled elements are copied, never multiplied.
#[test]
fn signalling_nan_survive_every_pass_without_drops() -> Result<(), Error> {
    for shape in shapes() {
        let x: Vec<f32> =
            (0..shape.len()?).map(|i| f32::from_bits(SIGNALLING[i % SIGNALLING.len()])).collect();
        for &scale in Scale::ALL {
            let layer = DropBlock::new(3, 0.0)?.with_scale(scale);
            let untrained = DropBlock::new(3, 0.4)?.with_scale(scale).with_training(false);
            for layer in [layer, layer.with_gamma(Gamma::Exact)?, untrained] {
                for backend in Backend::available() {
                    let plan = layer.with_backend(backend)?.plan(shape)?;
                    every_pass(&plan, &x, |name, y| {
                        assert_eq!(
                            bits_of(y),
                            bits_of(&x),
                            "{name}, {backend} {scale:?} {shape:?}"
                        );
                    })?;
                    let mut y = x.clone();
                    plan.drop_only(Key::new(1), &mut y, 0.0)?;
                    assert_eq!(bits_of(&y), bits_of(&x), "drop_only, {backend} {shape:?}");
                }
            }
        }
    }
    Ok(())
}

/// A raw gamma drops whatever the drop probability is, which only serves the fixed scale.
#[test]
fn raw_gamma_drops_at_probability_0() -> Result<(), Error> {
    let shape = Shape::nchw(2, 3, 20, 20);
    for &scale in Scale::ALL {
        let of =
            |p| DropBlock::new(3, p)?.with_gamma(Gamma::Raw(0.02)).map(|l| l.with_scale(scale));
        let (layer, other) = (of(0.0)?, of(0.3)?);
        let (plan, key) = (layer.plan(shape)?, Key::new(1));
        let drawn = plan.count(key)?;
        assert_eq!(drawn, other.plan(shape)?.count(key)?);
        assert!(drawn.count().is_some_and(|count| count.dropped > 0));
        if scale == Scale::Fixed {
            assert_eq!(plan.scale::<f32>(DropCount::default()), 1.0);
        }
        let case = Case::new(layer, shape, key);
        let x = tensor(plan.elements());
        let expected = bits_of(&case.expected(&case.expected_mask(), &x, &x));
        every_pass_equals(&plan, key, &x, &expected)?;
    }
    Ok(())
}

fn every_pass_equals(plan: &Plan, key: Key, x: &[f32], expected: &[u32]) -> Result<(), Error> {
    let mut y = x.to_vec();
    plan.forward_in_place(key, &mut y)?;
    assert_eq!(bits_of(&y), expected);
    plan.backward(key, x, &mut y)?;
    assert_eq!(bits_of(&y), expected);
    let mut words = vec![0; plan.mask_words()];
    plan.draw(key, &mut words)?.forward(x, &mut y)?;
    assert_eq!(bits_of(&y), expected);
    Ok(())
}

/// Out of training nothing is dropped, whatever is set afterwards, and training brings all back.
#[test]
fn evaluation_is_reversible() -> Result<(), Error> {
    let shape = Shape::nchw(2, 3, 14, 14);
    let x = tensor(shape.len()?);
    let layer = DropBlock::new(3, 0.4)?.with_scale(Scale::Fixed).with_fill(Fill::Noise);
    for gamma in [Gamma::Raw(0.5), Gamma::Exact, Gamma::Paper { scale: 3.0 }] {
        let eval = layer.with_training(false).with_gamma(gamma)?;
        let eval = eval.with_region(dropblock::Region::Full).with_drop_prob(0.9)?;
        let plan = eval.plan(shape)?;
        assert_eq!((plan.gamma(), plan.expected_dropped()), (0.0, 0.0));
        every_pass(&plan, &x, |name, y| assert_eq!(bits_of(y), bits_of(&x), "{name} {gamma:?}"))?;
        let again = eval.with_training(true);
        let whole = layer.with_gamma(gamma)?.with_region(dropblock::Region::Full);
        assert_eq!(again, whole.with_drop_prob(0.9)?);
        assert!(again.plan(shape)?.gamma() > 0.0);
    }
    Ok(())
}

/// With a fixed scale and a drop probability of 1 every output is +0.0, be the unit dropped or kept.
#[test]
fn a_fixed_scale_at_probability_1_gives_zeros() -> Result<(), Error> {
    let values =
        [f32::NAN, f32::INFINITY, -1.0, f32::NEG_INFINITY, -0.0, 3.5, f32::from_bits(0x7f80_0001)];
    for shape in shapes() {
        let x: Vec<f32> = (0..shape.len()?).map(|i| values[i % values.len()]).collect();
        let layer = DropBlock::new(3, 1.0)?.with_scale(Scale::Fixed);
        // Everything, something and nothing is dropped.
        for gamma in [Gamma::Exact, Gamma::Raw(0.02), Gamma::Raw(0.0)] {
            for &sharing in Sharing::ALL {
                for backend in Backend::available() {
                    let layer = layer.with_gamma(gamma)?.with_sharing(sharing);
                    let plan = layer.with_backend(backend)?.plan(shape)?;
                    assert_eq!(plan.scale::<f32>(DropCount::default()), 0.0);
                    every_pass(&plan, &x, |name, y| {
                        let zeros = y.iter().all(|y| y.to_bits() == 0);
                        assert!(zeros, "{name}, {backend} {gamma:?} {sharing:?} {shape:?}");
                    })?;
                }
            }
        }
    }
    Ok(())
}

/// Outputs need not be initialised: afterwards every element is.
#[test]
fn outputs_may_be_fresh_memory() -> Result<(), Error> {
    let key = Key::new(4);
    for shape in shapes() {
        for (i, &scale) in Scale::ALL.iter().enumerate() {
            let layer = DropBlock::new(3, [0.2, 0.0][i % 2])?.with_scale(scale);
            let layer = layer.with_fill(Fill::ALL[i / 2 % 2]);
            let case = Case::new(layer, shape, key);
            let (mask, x) = (case.expected_mask(), tensor(shape.len()?));
            let forward = bits_of(&case.expected_forward(&mask, &x, &x));
            let backward = bits_of(&case.expected(&mask, &x, &x));
            // The same units from the last element to the first: every axis backwards.
            let strides = crate::case::Place::dense(&shape).strides.map(|stride| -stride);
            let flipped: Vec<f32> = x.iter().rev().copied().collect();
            for backend in Backend::available() {
                let plan = case.plan(backend);
                let mut words = vec![0; plan.mask_words()];
                let drawn = plan.count(key)?;
                let mask = plan.draw(key, &mut words)?;
                for from in [View::from(&x), View::new(&flipped, x.len() - 1, strides)] {
                    let check = |name: &str, expected: &[u32], pass: Pass<'_>| {
                        let mut y = dirty(x.len()).into_iter().map(MaybeUninit::new);
                        let mut y: Vec<MaybeUninit<f32>> = y.by_ref().collect();
                        pass(ViewMut::uninit(&mut y))?;
                        assert_eq!(bits_of(&init(&y)), expected, "{name}, {backend} {case:?}");
                        Ok::<_, Error>(())
                    };
                    check("forward", &forward, &|y| mask.forward(from, y))?;
                    check("backward", &backward, &|y| mask.backward(from, y))?;
                    check("key", &forward, &|y| plan.forward(key, from, y).map(|_| ()))?;
                    check("drawn", &forward, &|y| plan.forward(drawn, from, y).map(|_| ()))?;
                    check("key, backward", &backward, &|y| plan.backward(key, from, y))?;
                    check("drawn, backward", &backward, &|y| plan.backward(drawn, from, y))?;
                }
            }
        }
    }
    Ok(())
}

type Pass<'p> = &'p dyn Fn(ViewMut<'_, f32>) -> Result<(), Error>;

/// The elements, all of which have been initialised.
fn init(y: &[MaybeUninit<f32>]) -> Vec<f32> {
    #[allow(unsafe_code, reason = "memory that may not be initialised holds nothing else to read")]
    // SAFETY: the caller made them of elements.
    y.iter().map(|y| unsafe { y.assume_init() }).collect()
}

/// Passes in place refuse memory without elements, and a wrong length is refused as ever.
#[test]
fn fresh_memory_is_refused_in_place() -> Result<(), Error> {
    let plan = DropBlock::new(3, 0.2)?.plan(Shape::nchw(1, 2, 5, 6))?;
    let (key, words) = (Key::new(1), [0; 1]);
    let mask = plan.mask_from(&words)?;
    let mut y = [MaybeUninit::new(5.0_f32); 60];
    let refused = Err(Error::Uninit);
    assert_eq!(plan.forward_in_place(key, ViewMut::uninit(&mut y)).map(|_| ()), refused);
    assert_eq!(plan.backward_in_place(key, ViewMut::uninit(&mut y)), refused);
    assert_eq!(plan.drop_only(key, ViewMut::uninit(&mut y), 1.0).map(|_| ()), refused);
    assert_eq!(mask.forward_in_place(ViewMut::uninit(&mut y)), refused);
    assert_eq!(mask.backward_in_place(ViewMut::uninit(&mut y)), refused);
    assert_eq!(mask.drop_only(ViewMut::uninit(&mut y), 1.0), refused);
    let short = mask.forward(&[1.0; 60], ViewMut::uninit(&mut y[..59]));
    assert!(matches!(short, Err(Error::Length { needed: 60, given: 59, .. })));
    assert!(init(&y).iter().all(|&y| y == 5.0));
    Ok(())
}

/// A count that the mask cannot have is refused before anything is written, by every pass.
#[test]
fn wrong_counts_write_nothing() -> Result<(), Error> {
    for shape in shapes() {
        let plan = DropBlock::new(3, 0.2)?.plan(shape)?;
        let (key, total) = (Key::new(1), plan.units() as u64);
        let x = tensor(plan.elements());
        for (dropped, total) in [(total + 1, total), (0, total - 1), (total + 2, total + 1)] {
            let given = DropCount { dropped, total };
            let drawn = Drawn::from(key).with_count(given);
            let is_refused = |result: Result<(), Error>| matches!(result, Err(Error::Count { given: g, .. }) if g == given);
            let mut y = dirty(x.len());
            assert!(is_refused(plan.forward(drawn, &x, &mut y).map(|_| ())));
            assert!(is_refused(plan.forward_in_place(drawn, &mut y).map(|_| ())));
            assert!(is_refused(plan.backward(drawn, &x, &mut y)));
            assert!(is_refused(plan.backward_in_place(drawn, &mut y)));
            // Not even where what is read has another place, and would be copied first.
            let repeated = View::new(&x, 0, [0; 5]);
            assert!(is_refused(plan.forward(drawn, repeated, &mut y).map(|_| ())));
            assert_eq!(bits_of(&y), bits_of(&dirty(x.len())));
        }
    }
    Ok(())
}
