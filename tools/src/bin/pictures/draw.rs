//! What all pictures are made of: a white page, text, and grids of cells.

use std::error::Error;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

pub(crate) const INK: RGBColor = RGBColor(31, 35, 40);
pub(crate) const FAINT: RGBColor = RGBColor(89, 99, 110);
pub(crate) const KEPT: RGBColor = RGBColor(226, 230, 236);
pub(crate) const DROPPED: RGBColor = RGBColor(75, 123, 236);
pub(crate) const CENTER: RGBColor = RGBColor(16, 42, 117);
const FONT: &str = "sans-serif";

/// The text of an SVG.
pub(crate) struct Picture(pub(crate) String);

impl Picture {
    /// A page of its own white, so that it reads the same on dark ones.
    pub(crate) fn new(
        size: (u32, u32),
        draw: impl FnOnce(&Area<'_>) -> Result<(), Box<dyn Error>>,
    ) -> Result<Self, Box<dyn Error>> {
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
            area.fill(&WHITE)?;
            draw(&area)?;
            area.present()?;
        }
        Ok(Self(svg))
    }
}

/// A line of text that begins at `at`, or whose middle is there.
pub(crate) fn text(
    area: &Area<'_>,
    text: &str,
    at: (i32, i32),
    position: HPos,
    color: RGBColor,
) -> Result<(), Box<dyn Error>> {
    let style = font(13).color(&color).pos(Pos::new(position, VPos::Top));
    area.draw(&Text::new(text.to_owned(), at, style))?;
    Ok(())
}

pub(crate) fn font(size: u32) -> FontDesc<'static> {
    (FONT, size).into_font()
}

/// A square grid whose cell `i` has the colour `color(i)`. Equal neighbours in a row are one rectangle,
/// and the lines of one direction are one path, so that files stay small.
pub(crate) fn grid(
    area: &Area<'_>,
    side: usize,
    cell: i32,
    (x, y): (i32, i32),
    color: impl Fn(usize) -> RGBColor,
) -> Result<(), Box<dyn Error>> {
    let length = side as i32 * cell;
    let (right, bottom) = (x + length, y + length);
    area.draw(&Rectangle::new([(x, y), (right, bottom)], KEPT.filled()))?;
    for row in 0..side {
        let colors: Vec<RGBColor> = (0..side).map(|column| color(row * side + column)).collect();
        let mut left = x;
        let top = y + row as i32 * cell;
        for run in colors.chunk_by(|a, b| a == b) {
            let end = left + run.len() as i32 * cell;
            if run[0] != KEPT {
                area.draw(&Rectangle::new([(left, top), (end, top + cell)], run[0].filled()))?;
            }
            left = end;
        }
    }
    // To and fro, so that a path has all white lines of one direction.
    let ends = |i: i32| if i % 2 == 0 { [0, length] } else { [length, 0] };
    let lines = || (0..=side as i32).flat_map(|i| ends(i).map(|end| (i * cell, end)));
    let rows = lines().map(|(across, along)| (x + along, y + across));
    let columns = lines().map(|(across, along)| (x + across, y + along));
    area.draw(&PathElement::new(rows.collect::<Vec<_>>(), WHITE))?;
    area.draw(&PathElement::new(columns.collect::<Vec<_>>(), WHITE))?;
    Ok(())
}
