//! Elements of 16 bits. Every value times many scales is a test of `apply/half.rs` itself.

use dropblock::half::{bf16, f16};
use dropblock::{Backend, Drawn, DropBlock, DropCount, Element, Error, Gamma, Key, Scale, Shape};
use proptest::prelude::*;

use crate::case::{Case, cases, count, pack, tensor};

trait Half: Element<Scale = f32> {
    const NAN: Self;
    fn new(value: f32) -> Self;
    /// The bits, those of one NaN for all NaNs.
    fn bits(self) -> u16;
    fn to_f32(self) -> f32;
}

macro_rules! half {
    ($half:ident) => {
        impl Half for $half {
            const NAN: Self = Self::NAN;

            fn new(value: f32) -> Self {
                Self::from_f32(value)
            }

            fn bits(self) -> u16 {
                if self.is_nan() { Self::NAN.to_bits() } else { self.to_bits() }
            }

            fn to_f32(self) -> f32 {
                Self::to_f32(self)
            }
        }
    };
}

half!(bf16);
half!(f16);

fn bits<T: Half>(x: &[T]) -> Vec<u16> {
    x.iter().map(|x| x.bits()).collect()
}

/// Values with NaN and infinities, denormals of the type, and ones near its largest.
fn halves<T: Half>(len: usize) -> Vec<T> {
    let special = [1e-7, -4.1e-5, 65_504.0, -3.38e38, 5.96e-8, 1e-40];
    let values = tensor(len).into_iter().enumerate();
    values.map(|(i, x)| T::new(*special.get(i % 31).unwrap_or(&x))).collect()
}

/// The operations against the oracle, on every backend.
fn check<T: Half>(case: &Case) -> Result<(), Error> {
    let mask = case.expected_mask();
    let (words, drawn) = (pack(&mask), Drawn::from(case.key).with_count(count(&mask)));
    let [x, old] = case.lens().map(halves::<T>);
    let dirty = vec![T::NAN; old.len()];
    let expected = bits(&case.expected_out((&mask, false), &x, &dirty));
    let expected_in_place = bits(&case.expected_in_place((&mask, false), &old));
    let forward = bits(&case.expected_out((&mask, true), &x, &dirty));
    let forward_in_place = bits(&case.expected_in_place((&mask, true), &old));
    let check = |what: &str, y: &[T], expected: &[u16]| {
        let wrong = bits(y).iter().zip(expected).position(|(a, b)| a != b);
        assert_eq!(wrong, None, "{what} of {case:?}");
    };
    for backend in Backend::available() {
        let plan = case.plan(backend);
        let mut y = dirty.clone();
        assert_eq!(plan.forward(case.key, case.view(&x), case.view_mut(&mut y))?, drawn);
        check("forward", &y, &forward);
        let mut y = old.clone();
        assert_eq!(plan.forward_in_place(case.key, case.view_mut(&mut y))?, drawn);
        check("forward in place", &y, &forward_in_place);
        let mut y = dirty.clone();
        plan.mask_from(&words)?.backward(case.view(&x), case.view_mut(&mut y))?;
        check("backward of words", &y, &expected);
        let mut y = old.clone();
        plan.backward_in_place(drawn, case.view_mut(&mut y))?;
        check("backward in place", &y, &expected_in_place);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::suite::cases()))]

    #[test]
    fn f16_equals_the_reference(case in cases()) {
        prop_assert_eq!(check::<f16>(&case), Ok(()));
    }

    #[test]
    fn bf16_equals_the_reference(case in cases()) {
        prop_assert_eq!(check::<bf16>(&case), Ok(()));
    }
}

/// Runs the check on one map without channels, long enough for whole blocks at every phase.
fn one_map(gamma: f64, len: usize) -> Result<Case, Error> {
    let layer = DropBlock::new(1, 0.1)?.with_gamma(Gamma::Raw(gamma))?;
    Ok(Case::new(layer, Shape::ncl(1, 1, len), Key::new(3)))
}

#[test]
fn blocks_and_what_is_left_over() -> Result<(), Error> {
    for len in [1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 4096, 4097] {
        for gamma in [0.1, 0.7] {
            check::<f16>(&one_map(gamma, len)?)?;
            check::<bf16>(&one_map(gamma, len)?)?;
        }
    }
    Ok(())
}

/// The count that every pass returns.
fn counted(drawn: Drawn) -> DropCount {
    let Some(count) = drawn.count() else { panic!("no count in {drawn:?}") };
    count
}

fn everything_dropped<T: Half>() -> Result<(), Error> {
    for scale in [Scale::PerTensor, Scale::PerSample, Scale::PerMap, Scale::Fixed] {
        let layer = DropBlock::new(3, 1.0)?.with_gamma(Gamma::Exact)?.with_scale(scale);
        for backend in Backend::available() {
            let plan = layer.with_backend(backend)?.plan(Shape::nchw(2, 3, 9, 8))?;
            let mut x = vec![T::NAN; plan.elements()];
            let count = counted(plan.forward_in_place(Key::new(1), &mut x)?);
            assert_eq!(count.dropped, count.total);
            assert_eq!(plan.scale::<T>(count), 0.0);
            assert!(x.iter().all(|&x| x.bits() == 0));
        }
    }
    Ok(())
}

#[test]
fn everything_dropped_gives_zeros() -> Result<(), Error> {
    everything_dropped::<f16>()?;
    everything_dropped::<bf16>()
}

/// More units than 65,504, the largest `f16`, and than the 256 up to which `bf16` counts: a count
/// in the type of the elements would be infinite, or too coarse.
fn large_counts<T: Half>() -> Result<(), Error> {
    let shape = Shape::nchw(2, 64, 28, 28);
    for backend in Backend::available() {
        let plan = DropBlock::new(7, 0.1)?.with_backend(backend)?.plan(shape)?;
        let mut x = vec![T::ONE; plan.elements()];
        let count = counted(plan.forward_in_place(Key::new(5), &mut x)?);
        let kept = count.total - count.dropped;
        assert!(kept > 70_000 && count.dropped > 0);
        let scale = plan.scale::<T>(count);
        assert_eq!(scale, count.total as f32 / kept as f32);
        // All are the scale in the type itself, or zero.
        let scaled = T::new(scale);
        assert!(scaled.to_f32() > 1.0 && scaled.to_f32().is_finite());
        let ones = x.iter().filter(|x| x.bits() == scaled.bits()).count() as u64;
        let zeros = x.iter().filter(|x| x.bits() == 0).count() as u64;
        assert_eq!((ones, zeros), (kept, count.dropped));
    }
    Ok(())
}

#[test]
fn counts_beyond_the_type_give_the_right_scale() -> Result<(), Error> {
    large_counts::<f16>()?;
    large_counts::<bf16>()
}

/// Uniform draws of 8 bits would meet a gamma of .002 never, or twice as often.
fn small_gamma<T: Half>() -> Result<(), Error> {
    let layer = DropBlock::new(1, 0.1)?.with_gamma(Gamma::Raw(0.002))?;
    let plan = layer.plan(Shape::nchw(16, 64, 32, 32))?;
    let mut x = vec![T::ONE; plan.elements()];
    let DropCount { dropped, .. } = counted(plan.forward_in_place(Key::new(9), &mut x)?);
    assert_eq!(x.iter().filter(|x| x.bits() == 0).count() as u64, dropped);
    // 2^20 units: 2097 are expected, the standard deviation is 45.7.
    assert!((2097 - 5 * 46..2097 + 5 * 46).contains(&dropped), "{dropped}");
    Ok(())
}

#[test]
fn a_small_gamma_drops() -> Result<(), Error> {
    small_gamma::<f16>()?;
    small_gamma::<bf16>()
}

/// The same mask whatever the type, and each tensor comes back in its own.
#[test]
fn the_mask_does_not_depend_on_the_type() -> Result<(), Error> {
    fn run<T: Element>(x: T) -> Result<(Vec<u64>, DropCount), Error> {
        let plan = DropBlock::new(5, 0.2)?.plan(Shape::nchw(2, 3, 17, 19))?;
        let x = vec![x; plan.elements()];
        let (mut y, mut words) = (x.clone(), vec![0; plan.mask_words()]);
        let mask = plan.draw(Key::new(2), &mut words)?;
        mask.forward(&x, &mut y)?;
        for (i, &y) in y.iter().enumerate() {
            assert_eq!(y == T::ZERO, mask.dropped_words()[i / 64] >> (i % 64) & 1 == 1);
        }
        let mut without_mask = x.clone();
        let drawn = plan.forward(Key::new(2), &x, &mut without_mask)?;
        assert_eq!(Some(drawn), mask.drawn());
        assert_eq!(without_mask, y);
        let count = mask.count();
        Ok((words, count))
    }
    let expected = run(1.0_f32)?;
    assert_eq!(run(f16::ONE)?, expected);
    assert_eq!(run(bf16::ONE)?, expected);
    Ok(())
}
