//! Curves: what is dropped of what was asked for, schedules, and the differences that training gave.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;

use dropblock::{DropBlock, Gamma, Schedule, Shape};
use dropblock_tools::files;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use crate::draw::{FAINT, INK, Picture, font, text};

const BLUE: RGBColor = RGBColor(29, 78, 216);
const ORANGE: RGBColor = RGBColor(194, 65, 12);
const GREEN: RGBColor = RGBColor(4, 120, 87);
const GREY: RGBColor = RGBColor(107, 114, 128);
const PURPLE: RGBColor = RGBColor(147, 51, 234);

/// Options for a drop probability.
type Options = fn(f64) -> Result<DropBlock, dropblock::Error>;

const PRESETS: [(&str, RGBColor, Options); 4] = [
    ("exact gamma", GREEN, |p| DropBlock::new(7, p)?.with_gamma(Gamma::Exact)),
    ("new, tensorflow, dragon (the paper)", BLUE, |p| DropBlock::new(7, p)),
    ("timm, timm_legacy", ORANGE, |p| DropBlock::timm(7, p)),
    ("miguelvr", GREY, |p| DropBlock::miguelvr(7, p)),
];

/// Draws axes, labels and horizontal lines.
fn mesh<X: Ranged + ValueFormatter<X::ValueType>>(
    chart: &mut ChartContext<'_, SVGBackend<'_>, Cartesian2d<X, RangedCoordf64>>,
) -> Result<(), Box<dyn Error>> {
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(6)
        .y_labels(6)
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(229, 231, 235))
        .axis_style(FAINT)
        .label_style(font(12).color(&FAINT))
        .draw()?;
    Ok(())
}

/// What presets drop of maps of four sizes.
pub(crate) fn dropped() -> Result<Picture, Box<dyn Error>> {
    Picture::new((760, 660), |area| {
        let about =
            "Expected dropped fraction (vertical) by drop probability (horizontal), block size 7";
        text(area, about, (20, 14), HPos::Left, INK)?;
        for (i, (name, color, _)) in PRESETS.iter().enumerate() {
            let (x, y) = (20 + (i % 2) as i32 * 330, 40 + (i / 2) as i32 * 20);
            area.draw(&PathElement::new(vec![(x, y + 7), (x + 24, y + 7)], color.stroke_width(3)))?;
            text(area, name, (x + 32, y), HPos::Left, INK)?;
        }
        let (_, panels) = area.split_vertically(84);
        for (side, panel) in [7, 14, 28, 56].into_iter().zip(panels.split_evenly((2, 2))) {
            let mut chart = ChartBuilder::on(&panel)
                .margin(12)
                .caption(format!("{side} x {side}"), font(15).color(&INK))
                .x_label_area_size(24)
                .y_label_area_size(36)
                .build_cartesian_2d(0.0..0.5, 0.0..1.0)?;
            mesh(&mut chart)?;
            for (_, color, options) in PRESETS {
                let points: Result<Vec<_>, dropblock::Error> = (0..=50)
                    .map(|i| {
                        let p = f64::from(i) / 100.0;
                        let plan = options(p)?.plan(Shape::nchw(1, 1, side, side))?;
                        Ok((p, plan.expected_dropped()))
                    })
                    .collect();
                chart.draw_series(LineSeries::new(points?, color.stroke_width(3)))?;
            }
        }
        Ok(())
    })
}

/// The schedules over 1000 steps, to .1.
pub(crate) fn schedules() -> Result<Picture, Box<dyn Error>> {
    let schedules = [
        ("paper, linear", BLUE, Schedule::paper(0.1)?),
        ("cosine", GREEN, Schedule::cosine(0.0, 0.1)?),
        ("darknet", PURPLE, Schedule::darknet(0.1)?),
        ("steps", ORANGE, Schedule::steps(0.0, &[(200, 0.03), (600, 0.06), (900, 0.1)])?),
        ("linear, after(300)", GREY, Schedule::linear(0.0, 0.1)?.after(300)),
    ];
    Picture::new((720, 330), |area| {
        text(area, "Drop probability by step, of 1000 steps", (20, 14), HPos::Left, INK)?;
        for (i, (name, color, _)) in schedules.iter().enumerate() {
            let (x, y) = (560, 60 + i as i32 * 24);
            area.draw(&PathElement::new(vec![(x, y + 7), (x + 24, y + 7)], color.stroke_width(3)))?;
            text(area, name, (x + 32, y), HPos::Left, INK)?;
        }
        let (left, _) = area.split_horizontally(540);
        let mut chart = ChartBuilder::on(&left)
            .margin(12)
            .margin_top(40)
            .x_label_area_size(24)
            .y_label_area_size(44)
            .build_cartesian_2d(0..1000, 0.0..0.105)?;
        mesh(&mut chart)?;
        for (_, color, schedule) in schedules {
            let points = (0..=1000_u16)
                .step_by(4)
                .map(|step| (i32::from(step), schedule.at(u64::from(step), 1000)));
            chart.draw_series(LineSeries::new(points, color.stroke_width(3)))?;
        }
        Ok(())
    })
}

/// A method's differences from the runs without it, in percent: on clean digits and with a hole.
type Differences = (String, [Vec<f64>; 2]);

/// The record, written by `cargo run --release --example train -- --out docs/record/train.csv`.
fn record() -> Result<Vec<Differences>, Box<dyn Error>> {
    let path = files::root().join("docs/record/train.csv");
    let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut none: BTreeMap<&str, [f64; 2]> = BTreeMap::new();
    let mut methods: Vec<Differences> = Vec::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let [seed, method, drop_prob, clean, with_hole, of] = fields[..] else {
            return Err(format!("{}: six fields are needed in {line:?}", path.display()).into());
        };
        let of: f64 = of.parse()?;
        let percent = [100.0 * clean.parse::<f64>()? / of, 100.0 * with_hole.parse::<f64>()? / of];
        // The first method of each seed.
        let Some(none) = none.get(seed) else {
            none.insert(seed, percent);
            continue;
        };
        let name = format!("{method}, {drop_prob}");
        let at = methods.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            methods.push((name, [Vec::new(), Vec::new()]));
            methods.len() - 1
        });
        for k in 0..2 {
            methods[at].1[k].push(percent[k] - none[k]);
        }
    }
    Ok(methods)
}

/// What each method changed on the digits.
pub(crate) fn digits() -> Result<Picture, Box<dyn Error>> {
    let methods = record()?;
    let runs = methods.first().map_or(0, |(_, [clean, _])| clean.len());
    Picture::new((720, 240), |area| {
        let about = format!(
            "Percent right less that without dropping: the {runs} pairs of runs, their mean, two standard errors"
        );
        text(area, &about, (20, 14), HPos::Left, INK)?;
        let all = methods.iter().flat_map(|(_, differences)| differences.iter().flatten());
        let (low, high) =
            all.fold((0.0, 1.0), |(low, high): (f64, f64), &x| (low.min(x), high.max(x)));
        let (low, high) = (low.floor(), high.ceil());
        for (k, name) in ["clean", "with a hole of 10 x 10 pixels"].into_iter().enumerate() {
            let left = 200 + k as i32 * 260;
            let at = |value: f64| left + ((value - low) / (high - low) * 230.0).round() as i32;
            text(area, name, (left, 44), HPos::Left, INK)?;
            let bottom = 84 + 40 * methods.len() as i32;
            for tick in (low as i32..=high as i32).filter(|tick| tick % 2 == 0) {
                let x = at(f64::from(tick));
                let color = if tick == 0 { INK } else { RGBColor(229, 231, 235) };
                area.draw(&PathElement::new(vec![(x, 68), (x, bottom)], color))?;
                let label = if tick == 0 { "0".to_owned() } else { format!("{tick:+}") };
                text(area, &label, (x, bottom + 6), HPos::Center, FAINT)?;
            }
            for (i, (name, differences)) in methods.iter().enumerate() {
                let y = 88 + 40 * i as i32;
                if k == 0 {
                    text(area, name, (20, y - 7), HPos::Left, INK)?;
                }
                let values = &differences[k];
                let n = values.len() as f64;
                let mean = values.iter().sum::<f64>() / n;
                let squares: f64 = values.iter().map(|x| (x - mean) * (x - mean)).sum();
                let error = (squares / (n - 1.0) / n).sqrt();
                for &value in values {
                    area.draw(&Circle::new(
                        (at(value), y + 12),
                        2,
                        RGBColor(148, 163, 184).filled(),
                    ))?;
                }
                let bar = vec![(at(mean - 2.0 * error), y), (at(mean + 2.0 * error), y)];
                area.draw(&PathElement::new(bar, BLUE.stroke_width(3)))?;
                area.draw(&Circle::new((at(mean), y), 5, BLUE.filled()))?;
            }
        }
        Ok(())
    })
}
