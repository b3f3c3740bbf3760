//! The rival: DropBlock in two passes as it is written without this crate.
//!
//! It draws every position with a fast generator, marks the block of each centre in a mask of
//! bytes, counts, and multiplies. Channels first, a mask for each channel, centres in the valid
//! region, one scale; the mask is allocated once.

use dropblock::Plan;

use crate::number::Number;

pub(crate) struct Plain {
    map: [usize; 3],
    block: [usize; 3],
    /// Gamma in units of 2^-32.
    threshold: u32,
    state: u64,
    mask: Vec<u8>,
}

impl Plain {
    /// For the tensor and the gamma of a plan.
    pub(crate) fn new(plan: &Plan, block: usize) -> Self {
        let map = plan.shape().map().size();
        Self {
            map,
            block: map.map(|size| size.min(block)),
            threshold: (plan.gamma() * 2_f64.powi(32)) as u32,
            state: 0x2545_f491_4f6c_dd1d,
            mask: vec![0; plan.elements()],
        }
    }

    /// Returns how many units are dropped.
    pub(crate) fn forward_in_place<T: Number>(&mut self, x: &mut [T]) -> usize {
        self.draw();
        let dropped: usize = self.mask.iter().map(|&m| usize::from(m)).sum();
        let kept = self.mask.len() - dropped;
        let scale = if kept == 0 { 0.0 } else { self.mask.len() as f32 / kept as f32 };
        for (x, &dropped) in x.iter_mut().zip(&self.mask) {
            *x = if dropped == 0 { x.times(scale) } else { T::ZERO };
        }
        dropped
    }

    fn draw(&mut self) {
        let ([d, h, w], [bd, bh, bw]) = (self.map, self.block);
        let (threshold, mut state) = (self.threshold, self.state);
        self.mask.fill(0);
        for plane in self.mask.chunks_exact_mut(d * h * w) {
            for z in 0..=d - bd {
                for y in 0..=h - bh {
                    for x in 0..=w - bw {
                        // Marsaglia's xorshift64.
                        state ^= state << 13;
                        state ^= state >> 7;
                        state ^= state << 17;
                        if (state >> 32) as u32 >= threshold {
                            continue;
                        }
                        for z in z..z + bd {
                            for y in y..y + bh {
                                let start = (z * h + y) * w + x;
                                plane[start..start + bw].fill(1);
                            }
                        }
                    }
                }
            }
        }
        self.state = state;
    }
}
