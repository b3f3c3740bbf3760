//! One plane of a mask, as text and as a picture.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use dropblock::Mask;

use super::arguments::{Request, positions, refused};

/// The rows of the plane that is asked for, depth by depth; true = dropped.
fn rows(request: &Request, mask: &Mask<'_>) -> Vec<Vec<bool>> {
    let [_, _, width] = request.plan.shape().map().size();
    let first = request.output.plane * positions(&request.plan);
    let dropped = |unit: usize| mask.dropped_words()[unit / 64] >> (unit % 64) & 1 == 1;
    let row = |start: usize| (first + start..first + start + width).map(dropped).collect();
    (0..positions(&request.plan)).step_by(width.max(1)).map(row).collect()
}

/// A blank line, and a line for each row. Blank lines part the depths of a 3-D map.
pub(super) fn text(request: &Request, mask: &Mask<'_>) -> String {
    let [_, height, _] = request.plan.shape().map().size();
    let mut text = String::new();
    for (i, row) in rows(request, mask).iter().enumerate() {
        if i % height == 0 {
            text.push('\n');
        }
        text.extend(row.iter().map(|dropped| if *dropped { '#' } else { '.' }));
        text.push('\n');
    }
    text
}

pub(super) fn create(path: &Path) -> Result<File, String> {
    File::create(path).map_err(|error| format!("--png: {}: {error}", path.display()))
}

/// The rows one below the other, each unit a square of so many pixels that the picture has about 448.
pub(super) fn write(file: File, request: &Request, mask: &Mask<'_>) -> Result<(), String> {
    let rows = rows(request, mask);
    let units = rows.first().map_or(0, Vec::len);
    let square = (448 / units.max(rows.len()).max(1)).max(1);
    let mut pixels = Vec::new();
    for row in &rows {
        let line: Vec<u8> = row
            .iter()
            .flat_map(|dropped| std::iter::repeat_n(if *dropped { 0 } else { 255 }, square))
            .collect();
        pixels.extend(std::iter::repeat_n(line, square).flatten());
    }
    let size = |units: usize| {
        u32::try_from(units * square)
            .map_err(|_| format!("--png: a side of {units} units is too long"))
    };
    let mut encoder = png::Encoder::new(BufWriter::new(file), size(units)?, size(rows.len())?);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(refused("--png"))?;
    writer.write_image_data(&pixels).map_err(refused("--png"))?;
    writer.finish().map_err(refused("--png"))
}
