//! What happens to each position of a map: how often it is kept, what the scale makes of it, and what
//! is written where it is dropped.

use std::error::Error;

use dropblock::{DropBlock, Fill, Gamma, Key, Region, Scale, Shape};
use plotters::style::RGBColor;
use plotters::style::text_anchor::HPos;

use crate::draw::{Area, FAINT, INK, Picture, grid, text};
use crate::masks::Drawn;

const SIDE: usize = 14;
const CELL: i32 = 14;
const MAP: i32 = SIDE as i32 * CELL;
const STEP: i32 = MAP + 30;
/// One of the four middle positions, and a corner.
const MIDDLE: usize = 7 * SIDE + 7;
const CORNER: usize = 0;

fn shape() -> Shape {
    Shape::nchw(1, 1, SIDE, SIDE)
}

/// The exact probability of each position to be kept.
fn kept(layer: &DropBlock) -> Result<Vec<f64>, Box<dyn Error>> {
    let plan = layer.with_scale(Scale::PerPosition).plan(shape())?;
    let each = |position| Ok(1.0 / plan.position_scale::<f64>(position)?);
    (0..SIDE * SIDE).map(each).collect()
}

/// White at `middle`, to orange above it and to blue below it, full at a distance of `reach`.
fn color(value: f64, middle: f64, reach: f64) -> RGBColor {
    let share = ((value - middle) / reach).clamp(-1.0, 1.0);
    let end = if share < 0.0 { [37, 99, 235] } else { [234, 88, 12] };
    let mix = |end: i32| (242.0 + (f64::from(end) - 242.0) * share.abs()).round() as u8;
    RGBColor(mix(end[0]), mix(end[1]), mix(end[2]))
}

/// A map of values with its name above it, and the values of the middle and the corner below it.
fn heat_map(
    area: &Area<'_>,
    name: &str,
    (x, y): (i32, i32),
    values: &[f64],
    color: impl Fn(f64) -> RGBColor,
) -> Result<(), Box<dyn Error>> {
    text(area, name, (x, y), HPos::Left, INK)?;
    grid(area, SIDE, CELL, (x, y + 24), |i| color(values[i]))?;
    let note = format!("centre {:.2}, corner {:.2}", values[MIDDLE], values[CORNER]);
    text(area, &note, (x, y + 30 + MAP), HPos::Left, FAINT)
}

/// Where centres may lie, and how often each position is dropped.
pub(crate) fn regions() -> Result<Picture, Box<dyn Error>> {
    Picture::new((20 + 2 * STEP as u32, 600), |area| {
        let about = "14 x 14, block size 5, .2 dropped (exact gamma)";
        text(area, about, (20, 14), HPos::Left, INK)?;
        // Each shown by the first mask that drops so many units: a whole block, or a cut one.
        let regions = [
            (Region::Valid, "Region::Valid: the block fits", 25..26, 44),
            (Region::Full, "Region::Full: it may be cut", 10..16, 320),
        ];
        for (region, name, units, y) in regions {
            let layer = DropBlock::new(5, 0.2)?.with_gamma(Gamma::Exact)?.with_region(region);
            let plan = layer.plan(shape())?;
            let mut key = Key::new(4);
            while !units.contains(&plan.count(key)?.count().unwrap_or_default().dropped) {
                key = key.with_step(key.to_words()[1] + 1);
            }
            let drawn = Drawn::new(&layer, shape(), key)?;
            text(area, name, (20, y), HPos::Left, INK)?;
            grid(area, SIDE, CELL, (20, y + 24), |unit| drawn.color(unit))?;
            let dropped: Vec<f64> = kept(&layer)?.iter().map(|kept| 1.0 - kept).collect();
            let at = (20 + STEP, y);
            heat_map(area, "probability to be dropped", at, &dropped, |value| {
                color(value, 0.0, 0.4)
            })?;
        }
        Ok(())
    })
}

/// The probability to be kept, and what each scale makes of it.
pub(crate) fn keep() -> Result<Picture, Box<dyn Error>> {
    Picture::new((20 + 3 * STEP as u32, 300), |area| {
        let layer = DropBlock::new(7, 0.1)?;
        let about = "14 x 14, block size 7, drop probability .1: blue below 1, orange above 1";
        text(area, about, (20, 14), HPos::Left, INK)?;
        let kept = kept(&layer)?;
        // Of a large tensor: there the share that is dropped is the expected one.
        let scale = 1.0 / (1.0 - layer.plan(shape())?.expected_dropped());
        let scaled: Vec<f64> = kept.iter().map(|kept| kept * scale).collect();
        let plan = layer.with_scale(Scale::PerPosition).plan(shape())?;
        let by_position: Result<Vec<f64>, dropblock::Error> = (kept.iter().enumerate())
            .map(|(i, kept)| Ok(kept * plan.position_scale::<f64>(i)?))
            .collect();
        let maps = [
            ("probability to be kept", kept),
            ("mean after the paper's scale", scaled),
            ("after Scale::PerPosition", by_position?),
        ];
        for (i, (name, values)) in maps.iter().enumerate() {
            heat_map(area, name, (20 + i as i32 * STEP, 44), values, |value| {
                color(value, 1.0, 0.3)
            })?;
        }
        Ok(())
    })
}

/// A map before and after, with zeros and with noise.
pub(crate) fn noise() -> Result<Picture, Box<dyn Error>> {
    Picture::new((20 + 3 * STEP as u32, 280), |area| {
        let about = "A map of 14 x 14, block size 5: blue is negative, orange positive, white 0";
        text(area, about, (20, 14), HPos::Left, INK)?;
        // A slope across the map, so that what is dropped stands out.
        let x: Vec<f32> =
            (0..SIDE * SIDE).map(|i| 1.5 - (i % SIDE + i / SIDE) as f32 / 20.0).collect();
        let layer = DropBlock::new(5, 0.2)?.with_gamma(Gamma::Exact)?.with_scale(Scale::Off);
        let filled = |fill| {
            let mut y = x.clone();
            let plan = layer.with_fill(fill).plan(shape())?;
            plan.forward_in_place(Key::new(4).with_step(1), &mut y)?;
            Ok::<_, dropblock::Error>(y)
        };
        let maps = [
            ("before", x.clone()),
            ("Fill::Zero", filled(Fill::Zero)?),
            ("Fill::Noise: standard normal", filled(Fill::Noise)?),
        ];
        for (i, (name, values)) in maps.iter().enumerate() {
            let x = 20 + i as i32 * STEP;
            text(area, name, (x, 44), HPos::Left, INK)?;
            grid(area, SIDE, CELL, (x, 68), |i| color(f64::from(values[i]), 0.0, 2.0))?;
        }
        Ok(())
    })
}
