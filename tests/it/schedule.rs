//! Schedules: exact ends, exact rational arithmetic, no memory, no drift.

use dropblock::{DropBlock, Error, Gamma, Schedule, Shape};
use proptest::prelude::*;

const LIST: &[(u64, f64)] = &[(10, 3.0), (20, 7.0), (70, 5.0)];

const CONSTANT: Schedule = match Schedule::constant(0.1) {
    Ok(schedule) => schedule.after(3),
    Err(_) => panic!("a constant can be built"),
};

/// Every course with its end values, once up and once down.
fn all() -> Result<Vec<(Schedule, f64, f64)>, Error> {
    Ok(vec![
        (CONSTANT, 0.1, 0.1),
        (Schedule::linear(0.0, 0.1)?, 0.0, 0.1),
        (Schedule::linear(0.3, 0.1)?, 0.3, 0.1),
        (Schedule::cosine(0.0, 0.1)?, 0.0, 0.1),
        (Schedule::cosine(9.7, 0.3)?, 9.7, 0.3),
        (Schedule::paper(0.1)?, 0.0, 0.1),
        (Schedule::darknet(7.0)?, 0.0, 7.0),
        (Schedule::steps(1.5, LIST)?, 1.5, 5.0),
        (Schedule::steps(2.0, &[])?, 2.0, 2.0),
    ])
}

const TOTALS: [u64; 9] = [1, 2, 3, 90, 1000, 1 << 40, (1 << 53) + 1, u64::MAX - 1, u64::MAX];

#[test]
fn ends_are_exact() -> Result<(), Error> {
    for (schedule, start, end) in all()? {
        for total in TOTALS {
            assert_eq!(schedule.at(0, total), start, "{schedule:?} {total}");
            for step in [total, total.saturating_add(1), u64::MAX] {
                assert_eq!(schedule.at(step, total), end, "{schedule:?} {total}");
            }
            for step in [1, total / 3, total / 2, total - 1] {
                let value = schedule.at(step, total);
                assert!((0.0..=10.0).contains(&value), "{schedule:?} {step} {total}");
            }
        }
        // Nothing left to do.
        assert_eq!(schedule.at(0, 0), end);
        assert_eq!(schedule.at(1, 0), end);
    }
    Ok(())
}

#[test]
fn held_steps_keep_the_start() -> Result<(), Error> {
    for (schedule, start, end) in all()? {
        let later = schedule.after(40).after(60);
        for step in 0..=100 {
            assert_eq!(later.at(step, 1000), start, "{schedule:?} {step}");
        }
        for step in 100..=1000 {
            assert_eq!(later.at(step, 1000), schedule.at(step - 100, 900), "{schedule:?} {step}");
        }
        for total in [1, 99, 100] {
            assert_eq!(later.at(total - 1, total), start);
            assert_eq!(later.at(total, total), end);
        }
        let never = later.after(u64::MAX);
        assert_eq!(never.at(u64::MAX - 1, u64::MAX), start);
        assert_eq!(never.at(u64::MAX, u64::MAX), end);
    }
    Ok(())
}

#[test]
fn a_shorter_total_is_a_warm_up_to_a_constant() -> Result<(), Error> {
    let schedule = Schedule::linear(0.0, 0.1)?;
    let values: Vec<f64> = [0, 250, 500, 501, 1000].map(|step| schedule.at(step, 500)).into();
    assert_eq!(values, [0.0, 0.05, 0.1, 0.1, 0.1]);
    Ok(())
}

#[test]
fn a_resumed_run_goes_on_as_if_it_had_not_stopped() -> Result<(), Error> {
    for (schedule, ..) in all()? {
        let total = 1000;
        let continuous: Vec<u64> =
            (0..=total).map(|step| schedule.at(step, total).to_bits()).collect();
        for stop in [0, 1, 333, 850, 999, 1000] {
            // Backwards: what was asked before has no influence.
            let resumed = schedule;
            for step in (stop..=total).rev() {
                assert_eq!(resumed.at(step, total).to_bits(), continuous[step as usize]);
            }
        }
    }
    Ok(())
}

#[test]
fn many_steps_do_not_drift() -> Result<(), Error> {
    // A power of two cancels without rounding, so long trainings give the bits of short ones.
    for schedule in [
        Schedule::linear(0.3, 0.1)?,
        Schedule::cosine(0.0, 0.1)?,
        Schedule::paper(0.1)?,
        Schedule::darknet(7.0)?,
    ] {
        for (step, total) in [(1, 3), (17, 90), (1 << 19, 1 << 20), ((1 << 20) - 1, 1 << 20)] {
            let long = schedule.at(step << 40, total << 40);
            assert_eq!(long.to_bits(), schedule.at(step, total).to_bits(), "{schedule:?} {step}");
        }
    }
    let schedule = Schedule::linear(0.0, 0.5)?;
    assert_eq!(schedule.at(1 << 40, 1 << 41), 0.25);
    assert_eq!(schedule.at((1 << 40) + 1, 1 << 41), 0.25 + 0.5_f64.powi(42));
    assert_eq!(schedule.at(1 << 63, u64::MAX), 0.25);
    assert_eq!(schedule.at(1, u64::MAX), 0.5_f64.powi(65));
    Ok(())
}

#[test]
fn lists_change_at_their_steps() -> Result<(), Error> {
    let schedule = Schedule::steps(1.5, LIST)?;
    for (step, value) in
        [(0, 1.5), (9, 1.5), (10, 3.0), (19, 3.0), (20, 7.0), (69, 7.0), (70, 5.0), (99, 5.0)]
    {
        assert_eq!(schedule.at(step, 100), value, "{step}");
    }
    // A total before the end of the list.
    assert_eq!([schedule.at(29, 30), schedule.at(30, 30)], [7.0, 5.0]);
    Ok(())
}

/// A list is copied, so that it may come from a file; it has at most 32 steps.
#[test]
fn lists_are_copied_and_have_at_most_32_steps() -> Result<(), Error> {
    let list = |len: u64| (1..=len).map(|i| (3 * i, i as f64)).collect::<Vec<_>>();
    let schedule = Schedule::steps(0.0, &list(32))?;
    for step in 0..100 {
        assert_eq!(schedule.at(step, 100), (step / 3).min(32) as f64, "{step}");
    }
    let refused = Error::ScheduleSteps { limit: 32, given: 33 };
    assert_eq!(Schedule::steps(0.0, &list(33)), Err(refused));
    assert_eq!(refused.to_string(), "schedule must list at most 32 steps, got 33");
    Ok(())
}

#[test]
fn cosine_has_the_known_values() -> Result<(), Error> {
    let schedule = Schedule::cosine(0.0, 1.0)?;
    for (step, value) in [(0, 0.0), (2, 0.25), (3, 0.5), (4, 0.75), (6, 1.0)] {
        assert!((schedule.at(step, 6) - value).abs() < 1e-15, "{step}");
    }
    assert_eq!([schedule.at(1, 2), schedule.at(1 << 40, 1 << 41)], [0.5, 0.5]);
    assert_eq!(Schedule::cosine(1.0, 7.0)?.block_size(500, 1000), 4);
    for step in 0..=1000 {
        let exact = (1.0 - (f64::from(step) * std::f64::consts::PI / 1000.0).cos()) / 2.0;
        assert!((schedule.at(step as u64, 1000) - exact).abs() < 1e-15, "{step}");
        let down = Schedule::cosine(1.0, 0.0)?.at(1000 - step as u64, 1000);
        assert!((down - exact).abs() < 1e-15, "{step}");
    }
    // Another version of `libm` must give these bits too.
    let bits = [1, 250, 333, 500, 777, 999].map(|step| schedule.at(step, 1000).to_bits());
    let expected = [
        0x3ec4_b2b2_fc02_0000,
        0x3fc2_bec3_3301_8868,
        0x3fcf_f125_566e_773a,
        0x3fe0_0000_0000_0000,
        0x3fec_3b46_8022_f6a4,
        0x3fef_fffa_d353_4100,
    ];
    assert_eq!(bits, expected, "{bits:#x?}");
    Ok(())
}

#[test]
fn paper() -> Result<(), Error> {
    let schedule = Schedule::paper(0.1)?;
    for (step, drop_prob) in [(0, 0.0), (9, 0.01), (45, 0.05), (72, 0.08), (90, 0.1)] {
        assert_eq!(schedule.at(step, 90), drop_prob, "{step}");
    }
    assert_eq!(schedule.block_size(45, 90), 1);
    assert_eq!(Schedule::paper(1.5), Err(Error::DropProb { given: 1.5 }));
    assert_eq!(Schedule::paper(-0.1), Err(Error::DropProb { given: -0.1 }));
    assert!(matches!(Schedule::paper(f64::NAN), Err(Error::DropProb { .. })));

    let gamma = |group, size| -> Result<f64, Error> {
        let layer = DropBlock::new(7, 0.1)?.with_gamma(Gamma::paper_group(group))?;
        Ok(layer.plan(Shape::nchw(1, 1, size, size))?.gamma())
    };
    let eq_1 = |size: f64| 0.1 / 49.0 * size * size / (size - 6.0).powi(2);
    assert!((gamma(3, 28)? - eq_1(28.0) / 4.0).abs() < 1e-8);
    assert!((gamma(4, 14)? - eq_1(14.0)).abs() < 1e-8);
    for group in [0, 1, 2, 5] {
        assert_eq!(gamma(group, 14)?, 0.0);
    }
    Ok(())
}

#[test]
fn darknet() -> Result<(), Error> {
    let (drop_prob, block_size) = (Schedule::darknet(0.1)?, Schedule::darknet(7.0)?);
    // A training of 10 000 steps: 8500 of them with a rising multiplier.
    for (step, p, block) in [
        (0, 0.0, 1),
        (850, 0.01, 1),
        (4250, 0.05, 3),
        (8499, 0.1, 6),
        (8500, 0.1, 7),
        (9999, 0.1, 7),
    ] {
        assert!((drop_prob.at(step, 10_000) - p).abs() < 2e-5, "{step}");
        assert_eq!(block_size.block_size(step, 10_000), block, "{step}");
    }
    for total in [20, 1000, 10_000, 500_200, 1 << 40] {
        let last = (total as f64 * 0.85).ceil() as u64;
        assert!(drop_prob.at(last - 1, total) < 0.1);
        assert_eq!(drop_prob.at(last, total), 0.1);
    }
    Ok(())
}

#[test]
fn block_sizes_round_down_from_1() -> Result<(), Error> {
    for (value, size) in
        [(0.0, 1), (0.99, 1), (1.0, 1), (6.999, 6), (7.0, 7), (2_f64.powi(64), usize::MAX)]
    {
        assert_eq!(Schedule::constant(value)?.block_size(0, 1), size, "{value}");
    }
    // What is whole in exact arithmetic is whole here.
    for size in 1..40_u32 {
        let schedule = Schedule::linear(0.0, f64::from(size))?;
        for block in 1..=u64::from(size) {
            for factor in [1, 3, 7, 1001] {
                let total = u64::from(size) * factor;
                assert_eq!(schedule.block_size(block * factor, total) as u64, block);
                assert_eq!(
                    schedule.block_size(block * factor - 1, total),
                    match block {
                        1 => 1,
                        _ => block as usize - 1,
                    }
                );
            }
        }
    }
    Ok(())
}

#[test]
fn refusals() {
    for given in [-1e-300, -1.0, f64::INFINITY, f64::NEG_INFINITY, 2e19] {
        let refused = Err(Error::ScheduleValue { given });
        assert_eq!(Schedule::constant(given), refused);
        assert_eq!(Schedule::linear(given, 0.0), refused);
        assert_eq!(Schedule::linear(0.0, given), refused);
        assert_eq!(Schedule::cosine(given, 0.0), refused);
        assert_eq!(Schedule::cosine(0.0, given), refused);
        assert_eq!(Schedule::darknet(given), refused);
        assert_eq!(Schedule::steps(given, LIST), refused);
    }
    assert!(matches!(Schedule::constant(f64::NAN), Err(Error::ScheduleValue { .. })));
    assert!(matches!(Schedule::darknet(f64::NAN), Err(Error::ScheduleValue { .. })));
    let given = f64::INFINITY;
    assert_eq!(
        Schedule::steps(0.0, &[(1, f64::INFINITY), (2, 0.0)]),
        Err(Error::ScheduleValue { given })
    );
    let lists: [(&[_], _, _); 3] = [
        (&[(0, 0.1)], 0, 0),
        (&[(5, 0.1), (5, 0.2)], 5, 5),
        (&[(5, 0.1), (9, 0.2), (8, 0.3)], 9, 8),
    ];
    for (list, above, given) in lists {
        assert_eq!(Schedule::steps(0.0, list), Err(Error::ScheduleStep { above, given }));
    }
    assert_eq!(
        Error::ScheduleStep { above: 9, given: 8 }.to_string(),
        "step of a schedule must be above 9, got 8"
    );
    assert_eq!(
        Error::ScheduleValue { given: -1.0 }.to_string(),
        "schedule value must be in [0, 2^64], got -1"
    );
}

/// Numbers of all lengths, so that small and huge totals are as frequent.
fn steps() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0..64_u32).prop_map(|(bits, shift)| bits >> shift)
}

proptest! {
    /// Against the exact quotient in integers, for values that are multiples of 2^-20.
    #[test]
    fn linear_is_the_exact_fraction(
        start in 0..=1_u64 << 32,
        end in 0..=1_u64 << 32,
        total in steps(),
        part in any::<u64>(),
        held in prop_oneof![Just(0), steps()],
    ) {
        let total = total.max(1);
        let step = ((u128::from(total) * u128::from(part)) >> 64) as u64;
        let unit = 0.5_f64.powi(20);
        let schedule = Schedule::linear(start as f64 * unit, end as f64 * unit)?.after(held);
        let value = schedule.at(step, total);

        // In units of 2^-80: 60 binary digits after the multiples of 2^-20.
        let all = u128::from(total.saturating_sub(held)).max(1);
        let done = u128::from(step.saturating_sub(held));
        let sum = u128::from(start) * (all - done) + u128::from(end) * done;
        let exact = ((sum / all) << 60) + ((sum % all) << 60) / all;
        let given = (value * 2_f64.powi(80)) as u128;
        // 2^-50 of the larger value, and 1 for each of the two roundings down.
        let bound = (u128::from(start.max(end)) << 10) + 2;
        prop_assert!(given.abs_diff(exact) <= bound, "{value} {given} {exact}");
    }

    #[test]
    fn nothing_turns_back(
        start in 0.0..1.0_f64,
        end in 0.0..1.0_f64,
        total in steps(),
        first in steps(),
        distance in prop_oneof![Just(1), steps()],
    ) {
        let second = first.saturating_add(distance);
        let sorted = |a: f64, b: f64, slack: f64| {
            if start < end { a <= b + slack } else { a + slack >= b }
        };
        let linear = Schedule::linear(start, end)?;
        prop_assert!(sorted(linear.at(first, total), linear.at(second, total), 0.0));
        let darknet = Schedule::darknet(end)?;
        prop_assert!(darknet.at(first, total) <= darknet.at(second, total));
        let cosine = Schedule::cosine(start, end)?;
        let slack = 0.5_f64.powi(49);
        prop_assert!(sorted(cosine.at(first, total), cosine.at(second, total), slack));
        for value in [linear.at(first, total), cosine.at(first, total)] {
            prop_assert!(start.min(end) <= value && value <= start.max(end));
        }
    }
}
