//! How a mask is made, decided once for a plan: none of it changes a bit.

use super::tile::LARGE_CHUNK;
use crate::bits::{Pattern, WORD_BITS};
use crate::block::Blocks;
use crate::center::{LANES, Locator};
use crate::cpu::Level;
use crate::key::SEGMENT;

/// How whole planes are filled. The bits do not depend on it.
///
/// | method | a centre sets | then doubling along |
/// | --- | --- | --- |
/// | `Blocks` | its block: all rows at once if they lie in a few words, else row by row | nothing |
/// | `Runs` | the first row of its block | columns, depth |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Blocks,
    Runs,
}

impl Method {
    /// The cheaper one, by what was measured (`methods` in the tests below): picoseconds a unit.
    ///
    /// | | ps |
    /// | --- | --- |
    /// | a centre as a run | 4000 |
    /// | a centre as a block of `n` parts, slices or rows | 2000 + 2300 n |
    /// | the same of slices at once, in lanes | 2000 + 1500 n |
    /// | a doubling of all units: scalar | 20 |
    /// | a doubling: `wide` | 8 |
    /// | a doubling: AVX2, AVX-512 | 3 |
    const fn choose(
        blocks: &Blocks,
        is_pattern: bool,
        gamma: f64,
        (part, doubling): (f64, f64),
    ) -> Self {
        let [depth, rows, _] = blocks.block;
        let centers = gamma * blocks.positions() as f64 / blocks.units() as f64;
        let parts = depth * if is_pattern { 1 } else { rows };
        let doublings = (doublings(depth) + doublings(rows)) as f64;
        if centers * (2000.0 + part * parts as f64) < centers * 4000.0 + doublings * doubling {
            Self::Blocks
        } else {
            Self::Runs
        }
    }
}

/// What the blocks and gamma decide once for all masks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipe {
    /// For the planes of a tile, and of a batch more.
    pub(super) locator: Locator,
    /// The planes of a tile that is worked on at a time.
    pub(super) tile_planes: usize,
    /// The rows of a slice of a block, where they are set at once.
    pub(super) pattern: Option<Pattern<4>>,
    /// The same for more rows, where segments are drawn side by side and centres are not so dense
    /// that doubling is cheaper.
    #[cfg_attr(
        not(all(target_arch = "x86_64", target_feature = "sse2")),
        allow(dead_code, reason = "only x86-64 reads it")
    )]
    pub(super) long_pattern: Option<Pattern<12>>,
    /// Whether segments may be drawn side by side: [`lanes`].
    #[cfg_attr(
        not(all(target_arch = "x86_64", target_feature = "sse2")),
        allow(dead_code, reason = "only x86-64 reads it")
    )]
    pub(super) lanes: bool,
    /// From how many planes on tiles without a mask buffer are large: [`large_from`].
    pub(super) large_from: usize,
    scalar: Method,
    simd: Method,
    x86: Method,
}

impl Recipe {
    #[inline(never)]
    pub(crate) const fn new(blocks: &Blocks, gamma: f64) -> Self {
        let [_, rows, len] = blocks.block;
        let width = blocks.map[2];
        // Rows without a length would all fit, however many there are.
        let pattern = if rows > 1 && len > 0 && Pattern::<4>::fits(rows, len, width) {
            Some(Pattern::rows(rows, len, width))
        } else {
            None
        };
        let is_pattern = pattern.is_some();
        let long_pattern = if !is_pattern
            && rows > 1
            && len > 0
            && Pattern::<12>::fits(rows, len, width)
            && matches!(Method::choose(blocks, true, gamma, (2300.0, 3.0)), Method::Blocks)
        {
            Some(Pattern::rows(rows, len, width))
        } else {
            None
        };
        let tile_planes = tile_planes(blocks);
        // The positions of a batch begin and end inside planes.
        let batch_planes = whole_planes(blocks, LANES as u64).saturating_add(2);
        let planes = tile_planes.saturating_add(batch_planes);
        let locator = Locator::new(blocks, planes);
        Self {
            locator,
            tile_planes,
            pattern,
            long_pattern,
            lanes: lanes(blocks, &locator, planes),
            large_from: large_from(blocks),
            scalar: Method::choose(blocks, is_pattern, gamma, (2300.0, 20.0)),
            simd: Method::choose(blocks, is_pattern, gamma, (2300.0, 8.0)),
            x86: Method::choose(
                blocks,
                is_pattern,
                gamma,
                (if is_pattern { 1500.0 } else { 2300.0 }, 3.0),
            ),
        }
    }

    pub(crate) const fn method(&self, level: Level) -> Method {
        match level {
            Level::Scalar => self.scalar,
            Level::Simd(_) => self.simd,
            Level::X86(_) => self.x86,
        }
    }
}

/// The planes of a tile: as many as fit, in steps that end at a whole word.
const fn tile_planes(blocks: &Blocks) -> usize {
    let units = blocks.units() as usize;
    let plane_bits = if units > 0 { units } else { 1 };
    let zeros = plane_bits.trailing_zeros();
    let step = if zeros < WORD_BITS.trailing_zeros() { WORD_BITS >> zeros } else { 1 };
    let steps = TILE_BITS / step / plane_bits;
    if steps > 0 { steps * step } else { step }
}

/// The planes whose positions are in a batch of segments that are drawn side by side, wherever the first
/// begins.
pub(super) const fn batch_planes(blocks: &Blocks) -> usize {
    whole_planes(blocks, LANES as u64 - 1)
}

/// The whole planes in the positions of so many segments.
const fn whole_planes(blocks: &Blocks, segments: u64) -> usize {
    match (segments * SEGMENT as u64).checked_div(blocks.positions()) {
        Some(planes) => planes as usize,
        None => 0,
    }
}

/// The least number of whole segments that repays lanes.
pub(super) const MIN_SEGMENTS: u64 = 4;

/// Whether the units of so many planes take 32 bits and no division, and blocks lie inside their
/// maps, not too far apart.
const fn lanes(blocks: &Blocks, locator: &Locator, planes: usize) -> bool {
    /// The most units to a position: more would scatter the blocks of a batch over more than 128 KiB
    /// of the mask.
    const MAX_SPREAD: u64 = 16;
    let units = blocks.units();
    let spread = units.checked_div(blocks.positions());
    matches!(spread, Some(0..=MAX_SPREAD))
        && (planes as u64).saturating_mul(units) <= u32::MAX as u64
        && locator.multiplies()
}

/// The planes that have enough positions for lanes, if a large chunk holds them.
const fn large_from(blocks: &Blocks) -> usize {
    const LEAST: u64 = (MIN_SEGMENTS + 1) * SEGMENT as u64;
    let units = blocks.units();
    let (Some(fit), Some(rest)) = (
        (LARGE_CHUNK as u64 * WORD_BITS as u64).checked_div(units),
        (LEAST - 1).checked_div(blocks.positions()),
    ) else {
        return usize::MAX;
    };
    // A plane that does not fit goes by windows.
    let fit = if fit > 0 { fit } else { 1 };
    if rest < fit { rest as usize + 1 } else { usize::MAX }
}

/// The steps of a window that doubles from 1 to `size`.
const fn doublings(size: usize) -> u32 {
    usize::BITS - size.saturating_sub(1).leading_zeros()
}

/// The bits of a tile that is worked on at a time: small enough for the first cache.
const TILE_BITS: usize = 1 << 16;

#[cfg(test)]
mod tests {
    extern crate alloc;
    extern crate std;

    use alloc::vec;
    use std::println;
    use std::time::Instant;

    use super::*;
    use crate::mask::{Sampler, Source, ignore};
    use crate::{BlockSize, DropBlock, Gamma, Key, Shape};

    /// The measurement behind [`Method::choose`]: picoseconds a unit of each method, and of a long
    /// pattern where there is one; and by how much the chosen one is slower than the best.
    ///
    /// `cargo test --release --lib methods -- --ignored --nocapture`
    #[test]
    #[ignore = "a measurement"]
    fn methods() {
        println!("backend,map,block,gamma,blocks,runs,long,chosen,loss");
        for backend in crate::Backend::available() {
            for (map, block) in [
                ([1, 7, 7], [1, 3, 3]),
                ([1, 14, 14], [1, 7, 7]),
                ([1, 28, 28], [1, 7, 7]),
                ([1, 32, 32], [1, 5, 5]),
                ([1, 56, 56], [1, 7, 7]),
                ([1, 112, 112], [1, 7, 7]),
                ([1, 112, 112], [1, 3, 3]),
                ([1, 112, 112], [1, 31, 31]),
                ([1, 512, 512], [1, 101, 101]),
                ([1, 1, 196], [1, 1, 7]),
                ([8, 28, 28], [3, 3, 3]),
                ([8, 28, 28], [5, 5, 5]),
            ] {
                for drop_prob in [0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.9] {
                    measure(backend, map, block, drop_prob);
                }
            }
        }
    }

    fn measure(backend: crate::Backend, map: [usize; 3], block: [usize; 3], drop_prob: f64) {
        let [d, h, w] = map;
        let planes = ((1 << 20) / (d * h * w)).max(1);
        let shape = Shape::ncdhw(1, planes, d, h, w);
        let [bd, bh, bw] = block;
        let layer = DropBlock::new(1, drop_prob)
            .and_then(|layer| layer.with_block_size(BlockSize::dhw(bd, bh, bw)))
            .and_then(|layer| layer.with_gamma(Gamma::Paper { scale: 1.0 }))
            .and_then(|layer| layer.with_backend(backend));
        let Ok(Ok(plan)) = layer.map(|layer| layer.plan(shape)) else { return };
        let mut mask = vec![0; plan.mask_words()];
        let (recipe, level) = (plan.sampler.recipe, plan.level());
        let (method, is_x86) = (recipe.method(level), matches!(level, Level::X86(_)));
        let is_long = recipe.long_pattern.is_some() && is_x86;
        let only = |method| Recipe {
            long_pattern: None,
            scalar: method,
            simd: method,
            x86: method,
            ..recipe
        };
        let candidates = [only(Method::Blocks), only(Method::Runs), recipe];
        let samplers = candidates.map(|recipe| {
            let mut sampler: Sampler = plan.sampler;
            sampler.recipe = recipe;
            sampler
        });
        let mut best = [u128::MAX; 3];
        for round in 0..9 {
            for (best, sampler) in best.iter_mut().zip(&samplers) {
                let Ok(source) = plan.source(Key::new(1).with_step(round)) else { return };
                let source = Source { sampler, ..source };
                let start = Instant::now();
                source.fill(planes, &mut mask, ignore);
                *best = start.elapsed().as_nanos().min(*best);
            }
        }
        let [blocks, runs, long] = best.map(|ns| ns * 1000 / plan.units() as u128);
        let (chosen, of_chosen) = match method {
            _ if is_long => ("Long", long),
            Method::Blocks => ("Blocks", blocks),
            Method::Runs => ("Runs", runs),
        };
        let fastest = blocks.min(runs).min(if is_long { long } else { runs }).max(1);
        println!(
            "{backend},{d}x{h}x{w},{bd}x{bh}x{bw},{:.5},{blocks},{runs},{},{chosen},{:.2}",
            plan.gamma(),
            if is_long { alloc::format!("{long}") } else { alloc::string::String::new() },
            of_chosen as f64 / fastest as f64
        );
    }
}
