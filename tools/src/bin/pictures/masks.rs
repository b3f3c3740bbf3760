//! Masks by block size and probability, and masks that maps share.

use std::error::Error;

use dropblock::{DropBlock, Gamma, Key, Shape, Sharing};
use plotters::style::text_anchor::HPos;

use crate::draw::{CENTER, DROPPED, FAINT, INK, KEPT, Picture, grid, text};

const SIDE: usize = 14;
const UNITS: usize = SIDE * SIDE;

/// Words of a mask, and those of its centres.
pub(crate) struct Drawn {
    mask: Vec<u64>,
    centers: Vec<u64>,
}

impl Drawn {
    pub(crate) fn new(layer: &DropBlock, shape: Shape, key: Key) -> Result<Self, Box<dyn Error>> {
        let plan = layer.plan(shape)?;
        let mut drawn =
            Self { mask: vec![0; plan.mask_words()], centers: vec![0; plan.mask_words()] };
        plan.draw(key, &mut drawn.mask)?;
        plan.draw_centers(key, &mut drawn.centers)?;
        Ok(drawn)
    }

    /// The colour of a unit.
    pub(crate) fn color(&self, unit: usize) -> plotters::style::RGBColor {
        let is_set = |words: &[u64]| words[unit / 64] >> (unit % 64) & 1 == 1;
        match (is_set(&self.centers), is_set(&self.mask)) {
            (true, _) => CENTER,
            (_, true) => DROPPED,
            _ => KEPT,
        }
    }
}

/// Rows of block sizes, columns of probabilities.
pub(crate) fn sizes() -> Result<Picture, Box<dyn Error>> {
    const CELL: i32 = 8;
    const STEP: (i32, i32) = (142, 150);
    Picture::new((720, 660), |area| {
        let about = "14 x 14 units: dark = a centre, drawn with probability gamma; blue = its block, dropped";
        text(area, about, (20, 14), HPos::Left, INK)?;
        for (row, block_size) in [1, 3, 5, 7].into_iter().enumerate() {
            let y = 62 + row as i32 * STEP.1;
            text(area, "block size", (20, y + 38), HPos::Left, FAINT)?;
            text(area, &format!("{block_size}"), (20, y + 56), HPos::Left, INK)?;
            for (column, drop_prob) in [0.05, 0.1, 0.2, 0.4].into_iter().enumerate() {
                let x = 130 + column as i32 * STEP.0;
                if row == 0 {
                    let name = format!("drop probability {drop_prob}");
                    text(area, &name, (x, 40), HPos::Left, FAINT)?;
                }
                let layer = DropBlock::new(block_size, drop_prob)?.with_gamma(Gamma::Exact)?;
                let shape = Shape::nchw(1, 1, SIDE, SIDE);
                let gamma = layer.plan(shape)?.gamma();
                let key = typical(&layer, shape)?;
                let drawn = Drawn::new(&layer, shape, key)?;
                grid(area, SIDE, CELL, (x, y), |unit| drawn.color(unit))?;
                let name = format!("gamma {gamma:.4}");
                text(area, &name, (x, y + SIDE as i32 * CELL + 4), HPos::Left, FAINT)?;
            }
        }
        Ok(())
    })
}

/// Of 64 keys the one whose share is closest to the expected one, of those that drop anything.
fn typical(layer: &DropBlock, shape: Shape) -> Result<Key, Box<dyn Error>> {
    let plan = layer.plan(shape)?;
    let expected = plan.expected_dropped();
    let mut best = (f64::INFINITY, Key::new(1));
    for step in 0..64 {
        let key = Key::new(1).with_step(step);
        let share = plan.count(key)?.count().unwrap_or_default().fraction();
        let distance = (share - expected).abs();
        if share > 0.0 && distance < best.0 {
            best = (distance, key);
        }
    }
    Ok(best.1)
}

/// For each way to share the masks of two samples of three channels.
pub(crate) fn sharing() -> Result<Picture, Box<dyn Error>> {
    const CELL: i32 = 6;
    const STEP: i32 = SIDE as i32 * CELL + 8;
    const SAMPLES: usize = 2;
    const CHANNELS: usize = 3;
    let name = |sharing| match sharing {
        Sharing::None => "Sharing::None: a mask for each map",
        Sharing::OverChannels => "OverChannels: one for each sample",
        Sharing::OverSamples => "OverSamples: one for each channel",
        Sharing::OverAll => "OverAll: one mask",
    };
    Picture::new((640, 520), |area| {
        let about = "Two samples (rows) of three channels (columns), block size 5";
        text(area, about, (20, 14), HPos::Left, INK)?;
        for (i, &sharing) in Sharing::ALL.iter().enumerate() {
            let (x, y) = (20 + (i % 2) as i32 * 310, 48 + (i / 2) as i32 * 236);
            text(area, name(sharing), (x, y), HPos::Left, INK)?;
            let layer = DropBlock::new(5, 0.2)?.with_gamma(Gamma::Exact)?.with_sharing(sharing);
            let drawn =
                Drawn::new(&layer, Shape::nchw(SAMPLES, CHANNELS, SIDE, SIDE), Key::new(4))?;
            for n in 0..SAMPLES {
                for c in 0..CHANNELS {
                    let map = match sharing {
                        Sharing::None => n * CHANNELS + c,
                        Sharing::OverChannels => n,
                        Sharing::OverSamples => c,
                        Sharing::OverAll => 0,
                    };
                    let corner = (x + c as i32 * STEP, y + 24 + n as i32 * STEP);
                    grid(area, SIDE, CELL, corner, |unit| drawn.color(map * UNITS + unit))?;
                }
            }
        }
        Ok(())
    })
}
