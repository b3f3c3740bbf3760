//! Options, keys, counts and schedules as text: what is read is what was written, and what no
//! function would make is refused.

use std::fmt::Debug;

use dropblock::{
    Alignment, Backend, BlockSize, Drawn, DropBlock, DropCount, Error, Fill, Gamma, Key, Region,
    Scale, Schedule, Sharing,
};
use serde_json::{from_str, to_string};

fn layers() -> Result<Vec<DropBlock>, Error> {
    let layer = DropBlock::new(7, 0.1)?;
    let mut layers = vec![layer, layer.with_training(false)];
    for block in [BlockSize::hw(2, 3), BlockSize::dhw(1, 2, 3), BlockSize::relative(0.25)] {
        layers.push(layer.with_block_size(block)?);
    }
    for gamma in [Gamma::Exact, Gamma::Raw(0.3), Gamma::PaperValid { scale: 2.5 }] {
        layers.push(layer.with_gamma(gamma)?);
    }
    layers.extend(Region::ALL.iter().map(|&region| layer.with_region(region)));
    layers.extend(Alignment::ALL.iter().map(|&alignment| layer.with_alignment(alignment)));
    layers.extend(Sharing::ALL.iter().map(|&sharing| layer.with_sharing(sharing)));
    layers.extend(Scale::ALL.iter().map(|&scale| layer.with_scale(scale)));
    layers.extend(Fill::ALL.iter().map(|&fill| layer.with_fill(fill)));
    Ok(layers)
}

#[test]
fn options_are_read_as_they_were_written() -> Result<(), Error> {
    for layer in layers()? {
        let Ok(text) = to_string(&layer) else { panic!("{layer:?}") };
        assert_eq!(from_str::<DropBlock>(&text).ok(), Some(layer), "{text}");
        // The backend is a matter of the machine.
        let Ok(same) = to_string(&layer.with_backend(Backend::Scalar)?) else { panic!() };
        assert_eq!(same, text);
    }
    Ok(())
}

#[test]
fn keys_counts_and_schedules_are_read_as_they_were_written() -> Result<(), Error> {
    fn check<T>(value: &T)
    where
        T: serde::Serialize + for<'de> serde::Deserialize<'de> + PartialEq + Debug,
    {
        let Ok(text) = to_string(value) else { panic!("{value:?}") };
        assert_eq!(from_str::<T>(&text).ok().as_ref(), Some(value), "{text}");
    }
    let key = Key::from_words([1, u64::MAX, 3, 1 << 53 | 1]);
    let count = DropCount { dropped: 5, total: u64::MAX };
    check(&key);
    check(&count);
    check(&Drawn::from(key));
    check(&Drawn::from(key).with_count(count));
    let list: Vec<_> = (1..=32).map(|step| (step, step as f64 / 3.0)).collect();
    for schedule in [
        Schedule::constant(0.1)?,
        Schedule::linear(0.0, 0.1)?.after(7),
        Schedule::cosine(0.3, 0.1)?,
        Schedule::darknet(7.0)?,
        Schedule::steps(3.0, &[])?,
        Schedule::steps(3.0, &list)?.after(u64::MAX),
    ] {
        check(&schedule);
    }
    Ok(())
}

/// Replaces one part of what was written, which must be there.
fn changed(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "{from} in {text}");
    text.replace(from, to)
}

#[test]
fn options_out_of_range_are_refused() -> Result<(), Error> {
    let layer = DropBlock::new(7, 0.1)?;
    let written = |layer: DropBlock| to_string(&layer).unwrap_or_default();
    let flat = written(layer.with_block_size(BlockSize::hw(2, 3))?);
    let relative = written(layer.with_block_size(BlockSize::relative(0.25))?);
    let raw = written(layer.with_gamma(Gamma::Raw(0.25))?);
    let text = written(layer);
    for bad in [
        changed(&text, "\"drop_prob\":0.1", "\"drop_prob\":7.0"),
        changed(&text, "\"drop_prob\":0.1", "\"drop_prob\":-0.1"),
        changed(&text, "\"drop_prob\":0.1,", ""),
        changed(&text, "\"Uniform\":7", "\"Uniform\":0"),
        changed(&text, "\"scale\":1.0", "\"scale\":-1.0"),
        changed(&raw, "\"Raw\":0.25", "\"Raw\":1.5"),
        changed(&relative, "\"Relative\":0.25", "\"Relative\":0.0"),
        changed(&flat, "[1,2,3]", "[1,0,3]"),
        // Axes that the rank does not have, and ranks that there are not.
        changed(&flat, "[1,2,3]", "[0,2,3]"),
        changed(&flat, "[1,2,3]", "[5,2,3]"),
        changed(&flat, "\"rank\":2", "\"rank\":0"),
        changed(&flat, "\"rank\":2", "\"rank\":4"),
        changed(&flat, "\"rank\":2", "\"rank\":200"),
    ] {
        let read = std::panic::catch_unwind(|| from_str::<DropBlock>(&bad).is_err());
        assert_eq!(read.ok(), Some(true), "{bad}");
    }
    let bad = changed(&text, "\"drop_prob\":0.1", "\"drop_prob\":7.0");
    let message = from_str::<DropBlock>(&bad).map_or_else(|error| error.to_string(), |_| "".into());
    assert!(message.contains("must be in [0, 1], got 7"), "{message}");
    Ok(())
}

#[test]
fn schedules_out_of_range_are_refused() -> Result<(), Error> {
    let written = |schedule: Schedule| to_string(&schedule).unwrap_or_default();
    let linear = written(Schedule::linear(0.25, 0.5)?);
    let steps = written(Schedule::steps(0.25, &[(3, 0.5), (9, 0.75)])?);
    for bad in [
        changed(&linear, "\"start\":0.25", "\"start\":-0.25"),
        changed(&linear, "\"end\":0.5", "\"end\":1e300"),
        // Steps that do not rise, and more of them than there is room for.
        changed(&steps, "[9,0.75]", "[3,0.75]"),
        changed(&steps, "\"len\":2", "\"len\":33"),
    ] {
        assert!(from_str::<Schedule>(&bad).is_err(), "{bad}");
    }
    Ok(())
}
