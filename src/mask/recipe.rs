//! How a mask is made, decided once for a plan: none of it changes a bit.

use crate::backend::Level;
use crate::bits::{Pattern, WORD_BITS};
use crate::block::Blocks;
use crate::center::{LANES, Locator};
use crate::rng::SEGMENT;

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
    /// | a doubling of all units: scalar | 20 |
    /// | a doubling: `wide` | 8 |
    /// | a doubling: AVX2, AVX-512 | 3 |
    const fn choose(blocks: &Blocks, is_pattern: bool, gamma: f64, doubling: f64) -> Self {
        let [depth, rows, _] = blocks.block;
        let centers = gamma * blocks.positions() as f64 / blocks.units() as f64;
        let parts = depth * if is_pattern { 1 } else { rows };
        let doublings = (doublings(depth) + doublings(rows)) as f64;
        if centers * (2000.0 + 2300.0 * parts as f64) < centers * 4000.0 + doublings * doubling {
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
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
    pub(super) long_pattern: Option<Pattern<12>>,
    scalar: Method,
    simd: Method,
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
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
        #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
        let long_pattern = if !is_pattern
            && rows > 1
            && len > 0
            && Pattern::<12>::fits(rows, len, width)
            && matches!(Method::choose(blocks, true, gamma, 3.0), Method::Blocks)
        {
            Some(Pattern::rows(rows, len, width))
        } else {
            None
        };
        let tile_planes = tile_planes(blocks);
        Self {
            locator: Locator::new(blocks, tile_planes.saturating_add(batch_planes(blocks))),
            tile_planes,
            pattern,
            #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
            long_pattern,
            scalar: Method::choose(blocks, is_pattern, gamma, 20.0),
            simd: Method::choose(blocks, is_pattern, gamma, 8.0),
            #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
            x86: Method::choose(blocks, is_pattern, gamma, 3.0),
        }
    }

    pub(crate) const fn method(&self, level: Level) -> Method {
        match level {
            Level::Scalar => self.scalar,
            Level::Simd(_) => self.simd,
            #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
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

/// The most planes that the positions of a batch lie in: of the segments that are drawn side by side.
pub(super) const fn batch_planes(blocks: &Blocks) -> usize {
    const BATCH: u64 = LANES as u64 * SEGMENT as u64;
    match BATCH.checked_div(blocks.positions()) {
        Some(planes) => planes as usize + 2,
        None => 0,
    }
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
    use crate::mask::{Source, ignore};
    use crate::{BlockSize, DropBlock, Gamma, Key, Shape};

    /// The measurement behind [`Method::choose`]: picoseconds a unit of each method, and by how
    /// much the chosen one is slower than the best.
    ///
    /// `cargo test --release --lib methods -- --ignored --nocapture`
    #[test]
    #[ignore = "a measurement"]
    fn methods() {
        println!("backend,map,block,gamma,blocks,runs,chosen,loss");
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
        let mut mask = vec![0; plan.mask_len()];
        let methods = [Method::Blocks, Method::Runs];
        let mut best = [u128::MAX; 2];
        for round in 0..9 {
            for (best, method) in best.iter_mut().zip(methods) {
                let Ok(mut source) = plan.source(Key::new(1).step(round)) else { return };
                source.method = method;
                let start = Instant::now();
                source.fill(planes, &mut mask, ignore);
                *best = start.elapsed().as_nanos().min(*best);
            }
        }
        let cost = best.map(|ns| ns * 1000 / plan.units() as u128);
        let Ok(Source { method: chosen, .. }) = plan.source(Key::new(1)) else { return };
        let of_chosen = cost[methods.iter().position(|&method| method == chosen).unwrap_or(0)];
        let fastest = cost.into_iter().min().unwrap_or(0).max(1);
        println!(
            "{backend},{d}x{h}x{w},{bd}x{bh}x{bw},{:.5},{},{},{chosen:?},{:.2}",
            plan.gamma(),
            cost[0],
            cost[1],
            of_chosen as f64 / fastest as f64
        );
    }
}
