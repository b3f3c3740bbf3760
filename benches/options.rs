//! `cargo bench --bench options`: no options cost out of proportion.
//!
//! For each operation it measures the time u of a unit with block size 7 and drop probability .1, and
//! the time c of a centre where every unit is one. Any other options should take u and c for each
//! unit and centre, times some factor. The largest factor of each map is printed as CSV, with its
//! options. The bench fails if one is above [`FACTOR`].

use std::time::Instant;

use dropblock::{
    Alignment, Backend, DropBlock, Error, Gamma, Key, Layout, Map, Plan, Region, Shape,
};
use indicatif::ProgressBar;

/// The largest factor that passes. What was measured is below 6 with a mask buffer and below 25
/// without one; the rest is for busy machines.
const FACTOR: f64 = 60.0;

const BLOCKS: [usize; 8] = [1, 2, 3, 7, 31, 101, 255, 511];

#[derive(Clone, Copy, Debug)]
enum Operation {
    Mask,
    Forward,
    ForwardWithoutMask,
}

impl Operation {
    const ALL: [Self; 3] = [Self::Mask, Self::Forward, Self::ForwardWithoutMask];

    /// Nanoseconds per unit: the least of some tries, or the first that is enough.
    fn cost(self, plan: &Plan, enough: f64) -> Result<f64, Error> {
        let (mut x, mut words) = (vec![1.0_f32; plan.elements()], vec![0; plan.mask_words()]);
        let mut least = f64::INFINITY;
        for step in 0..3 {
            let key = Key::new(5).with_step(step);
            let start = Instant::now();
            match self {
                Self::Mask => plan.draw(key, &mut words).map(|_| ())?,
                Self::Forward => plan.draw(key, &mut words)?.forward_in_place(&mut x)?,
                Self::ForwardWithoutMask => plan.forward_in_place(key, &mut x).map(|_| ())?,
            }
            least = least.min(start.elapsed().as_secs_f64() * 1e9 / plan.units() as f64);
            if least <= enough {
                break;
            }
        }
        Ok(least)
    }
}

fn main() -> Result<(), Error> {
    // As a test everything runs once on small maps, and no time counts.
    let testing = !std::env::args().any(|arg| arg == "--bench");
    let shrink = if testing { 16 } else { 1 };
    let maps = [
        Map::hw(512 / shrink, 512 / shrink),
        Map::l(200_000 / shrink),
        Map::hw(200_000 / shrink, 1),
        Map::hw(4096 / shrink, 64),
        Map::dhw(16, 64 / shrink, 64 / shrink),
    ];
    let mut above = 0;
    let progress = ProgressBar::new_spinner();
    println!("backend,operation,map,factor,options");
    for backend in Backend::available() {
        let square = Shape::new(1, 1, maps[0], Layout::ChannelsFirst);
        let common = DropBlock::new(7, 0.1)?.with_backend(backend)?.plan(square)?;
        let dense = DropBlock::new(1, 0.1)?.with_gamma(Gamma::Raw(1.0))?.with_backend(backend)?;
        let dense = dense.plan(square)?;
        for operation in Operation::ALL {
            let unit = operation.cost(&common, 0.0)?;
            let center = operation.cost(&dense, 0.0)?;
            for map in maps {
                progress.set_message(format!("{backend}, {operation:?}, {:?}", map.size()));
                progress.tick();
                let shape = Shape::new(1, 1, map, Layout::ChannelsFirst);
                let mut worst = (0.0, String::new());
                for layer in layers(backend)? {
                    let plan = layer.plan(shape)?;
                    let expected = unit + plan.gamma() * center;
                    let factor = operation.cost(&plan, worst.0 * expected)? / expected;
                    if factor > worst.0 {
                        worst = (factor, format!("{layer:?}"));
                    }
                }
                let (factor, options) = worst;
                progress.suspend(|| {
                    println!("{backend},{operation:?},{:?},{factor:.1},{options:?}", map.size());
                });
                above += usize::from(factor > FACTOR);
            }
        }
    }
    progress.finish_and_clear();
    if !testing && above > 0 {
        eprintln!("{above} factors above {FACTOR}");
        std::process::exit(1);
    }
    Ok(())
}

/// Layers with every pair of a block size and a density, every region and alignment.
fn layers(backend: Backend) -> Result<Vec<DropBlock>, Error> {
    let probs = [0.001, 0.1, 0.5, 0.9, 0.99, 1.0].map(|p| (p, Gamma::Paper { scale: 1.0 }));
    let raw = [0.5, 1.0].map(|gamma| (0.1, Gamma::Raw(gamma)));
    let mut layers = Vec::new();
    for block in BLOCKS {
        for (p, gamma) in probs.into_iter().chain(raw) {
            for region in [Region::Valid, Region::Full] {
                for alignment in [Alignment::Before, Alignment::After] {
                    let layer = DropBlock::new(block, p)?.with_gamma(gamma)?.with_region(region);
                    layers.push(layer.with_alignment(alignment).with_backend(backend)?);
                }
            }
        }
    }
    Ok(layers)
}
