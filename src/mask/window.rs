//! A window of one plane, block by block: for planes that do not fit in the chunk.

use core::ops::Range;

use super::Source;
use crate::bits;
use crate::center::Locator;
use crate::key::SEGMENT;

impl Source<'_> {
    /// Fills a window of a plane.
    pub(crate) fn fill_window(&self, plane: usize, window: Range<usize>, words: &mut [u64]) {
        words.fill(0);
        let [_, height, width] = self.sampler.blocks.map;
        // A part of a row is reached by parts of rows only, a part of a slice by parts of slices.
        let part = [width, height * width].into_iter().find(|&len| len >= window.len());
        let part = part.unwrap_or(self.plane_bits()).max(1);
        let mut start = window.start;
        while start < window.end {
            let end = window.end.min((start / part + 1) * part);
            self.fill_part(plane, start..end, words, start - window.start);
            start = end;
        }
    }

    /// Sets the blocks in a part of a plane, the first unit of which is bit `first`.
    fn fill_part(&self, plane: usize, part: Range<usize>, words: &mut [u64], first: usize) {
        let (before, after) = self.sampler.blocks.reach();
        let ([_, height, width], grid) = (self.sampler.blocks.map, self.sampler.blocks.grid);
        let within = |part: &Range<usize>, len: usize| {
            let len = len.max(1);
            part.start / len..part.end.div_ceil(len)
        };
        let all_rows = within(&part, width);
        let slices = within(&all_rows, height);
        let (mut rows, mut columns) = (0..height, 0..width);
        if slices.len() == 1 {
            let slice = slices.start * height;
            rows = all_rows.start - slice..all_rows.end - slice;
            if rows.len() == 1 {
                let row = all_rows.start * width;
                columns = part.start - row..part.end - row;
            }
        }
        let locator = Locator::new(&self.sampler.blocks, 1);
        let positions = self.position(plane);
        let set = |words: &mut [u64], position: u64| {
            let [d, h, w] = locator.cell(position).at;
            // The block as far as it lies in the part.
            let clip = |axis: usize, at: usize, range: &Range<usize>| {
                range.start.max(at.saturating_sub(before[axis]))
                    ..range.end.min(at + after[axis] + 1)
            };
            let (columns, rows) = (clip(2, w, &columns), clip(1, h, &rows));
            // Rows of the map's own width are one run.
            let (step, run) =
                if columns.len() == width { (rows.len(), rows.len()) } else { (1, 1) };
            for d in clip(0, d, &slices) {
                for h in rows.clone().step_by(step.max(1)) {
                    let row = (d * height + h) * width;
                    let start = part.start.max(row + columns.start);
                    let end = part.end.min(row + (run - 1) * width + columns.end);
                    if start < end {
                        bits::set(words, first + start - part.start, end - start);
                    }
                }
            }
        };
        // The cells of the grid whose blocks reach the part.
        let reach = |axis: usize, range: &Range<usize>| {
            range.start.saturating_sub(after[axis])..grid[axis].min(range.end + before[axis])
        };
        let (grid_rows, grid_columns) = (reach(1, &rows), reach(2, &columns));
        let lines = if grid_columns.len() == grid[2] { 1 } else { grid_rows.len() };
        for d in reach(0, &slices) {
            for line in 0..lines {
                let row = d * grid[1] + grid_rows.start + line;
                let mut start = (row * grid[2] + grid_columns.start) as u64;
                let rows = if lines == 1 { grid_rows.len() } else { 1 };
                let end = start + (rows.saturating_sub(1) * grid[2] + grid_columns.len()) as u64;
                let mut walker = self.walker(positions + start);
                while start < end && rows > 0 {
                    start = end.min(start + u64::from(SEGMENT));
                    walker.walk(positions + start, |position| set(words, position - positions));
                    // Where blocks are many and large, the first ones leave nothing to drop.
                    if bits::are_set(words, first..first + part.len()) {
                        return;
                    }
                }
            }
        }
    }
}
