//! Presets against the published formulas of the implementations that they stand for.

use dropblock::{Alignment, DropBlock, Error, Region, Scale, Shape, Sharing};

type Preset = fn(usize, f64) -> Result<DropBlock, Error>;
type Formula = fn(f64, f64, f64) -> f64;

/// Name, constructor, and that implementation's gamma for a square map and block.
const PRESETS: [(&str, Preset, Formula, Region); 5] = [
    ("tensorflow", DropBlock::tensorflow, eq_1, Region::Valid),
    ("timm", DropBlock::timm, eq_1, Region::Full),
    ("timm_legacy", DropBlock::timm_legacy, eq_1, Region::Full),
    ("miguelvr", DropBlock::miguelvr, |p, k, _| p / (k * k), Region::Full),
    ("dragon", DropBlock::dragon, eq_1, Region::Valid),
];

fn eq_1(p: f64, k: f64, size: f64) -> f64 {
    p * size * size / (k * k) / ((size - k + 1.0) * (size - k + 1.0))
}

/// The mean over a square map of the probability to be dropped, position by position.
fn dropped(gamma: f64, k: i32, size: i32, region: Region) -> f64 {
    let cover = |i: i32| {
        let centers = match region {
            Region::Valid => k / 2..size - (k - 1) / 2,
            Region::Full => 0..size,
        };
        centers.filter(|c| (c - k / 2..=c + (k - 1) / 2).contains(&i)).count() as i32
    };
    let map = (0..size).flat_map(|h| (0..size).map(move |w| (h, w)));
    let sum: f64 = map.map(|(h, w)| 1.0 - (1.0 - gamma).powi(cover(h) * cover(w))).sum();
    sum / f64::from(size * size)
}

#[test]
fn presets_follow_the_published_formulas_and_the_table_says_so() -> Result<(), Error> {
    let table = include_str!("../../src/preset.rs");
    for (name, preset, gamma, region) in PRESETS {
        let row = table.lines().find(|row| row.contains(&format!("`{name}` |")));
        let row = row.unwrap_or_else(|| panic!("no row for {name}"));
        for (size, cell) in [7_u32, 14, 56].into_iter().zip(row.split('|').skip(3)) {
            let plan = preset(7, 0.1)?.plan(Shape::nchw(1, 1, size as usize, size as usize))?;
            let gamma = gamma(0.1, 7.0, f64::from(size));
            assert!((plan.gamma() - gamma).abs() < 1e-9, "{name} {size}");
            let literal = dropped(gamma, 7, size as i32, region);
            assert!((plan.expected_dropped() - literal).abs() < 1e-6, "{name} {size}");
            assert_eq!(cell.trim(), format!("{literal:.4}"), "{name} at {size}x{size}");
        }
        assert!(matches!(preset(0, 0.1), Err(Error::BlockSize { .. })));
        assert!(matches!(preset(7, 1.5), Err(Error::DropProb { .. })));
    }
    Ok(())
}

#[test]
fn presets_share_align_and_scale_as_their_models_do() -> Result<(), Error> {
    let new = DropBlock::new(7, 0.1)?;
    assert_eq!(DropBlock::tensorflow(7, 0.1)?, new);
    assert_eq!(
        DropBlock::timm(7, 0.1)?,
        DropBlock::timm_legacy(7, 0.1)?.with_sharing(Sharing::OverChannels)
    );
    assert_eq!(
        DropBlock::miguelvr(7, 0.1)?,
        new.with_region(Region::Full)
            .with_sharing(Sharing::OverChannels)
            .with_alignment(Alignment::After)
    );
    assert_eq!(
        DropBlock::dragon(7, 0.1)?,
        new.with_sharing(Sharing::OverChannels).with_scale(Scale::Fixed)
    );
    Ok(())
}
