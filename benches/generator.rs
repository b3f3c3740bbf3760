//! `cargo bench --bench generator`: which generator draws the centres.
//!
//! xoshiro128++, one stream for each segment of 4096 positions, against Philox4x32-10 (Salmon et
//! al. 2011), whose counter is (segment, block of four draws). Both from the same table of gaps,
//! in plain code and with `wide`, one segment per lane. `draw` is stage 1 alone; `pipeline` adds
//! what follows: blocks, count, apply in place. In each round the memory floor `x *= c` runs beside
//! the candidates; the ratio to it is printed.

use std::hint::black_box;
use std::time::Instant;

use dropblock::{DropBlock, Error, Key, Plan, Shape, reference};
use rand_xoshiro::Xoshiro128PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use wide::u32x8;

const SEGMENT: u32 = 4096;
const LANES: usize = 8;
/// Centres are handed on in groups of at most this many.
const BUFFER: usize = 256;

/// The hashed key of a step, as `reference::generator_state` forms it.
#[derive(Clone, Copy)]
struct Streams {
    a: u64,
    b: u64,
}

fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn hash(word: u64) -> u64 {
    mix(word.wrapping_add(0x9e37_79b9_7f4a_7c15))
}

impl Streams {
    fn new(step: u64) -> Self {
        let (mut a, mut b) = (0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344);
        for word in [1, step, 0] {
            a = mix(hash(word).wrapping_add(a));
            b = mix(hash(word) ^ b);
        }
        Self { a: a & !1, b: b | 1 }
    }

    fn state(self, segment: u64) -> [u32; 4] {
        let a = mix(hash(segment).wrapping_add(self.a));
        let b = mix(hash(segment) ^ self.b);
        [a as u32, (a >> 32) as u32, b as u32, (b >> 32) as u32]
    }

    fn key(self) -> [u32; 2] {
        [self.a as u32, (self.a >> 32) as u32]
    }
}

/// Draws of a segment, one at a time.
trait Scalar {
    fn new(streams: Streams, segment: u64) -> Self;
    fn draw(&mut self) -> u32;
}

struct Xoshiro(Xoshiro128PlusPlus);

impl Scalar for Xoshiro {
    fn new(streams: Streams, segment: u64) -> Self {
        let mut seed = [0; 16];
        for (bytes, word) in seed.chunks_exact_mut(4).zip(streams.state(segment)) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Self(Xoshiro128PlusPlus::from_seed(seed))
    }

    #[inline]
    fn draw(&mut self) -> u32 {
        self.0.next_u32()
    }
}

/// Four draws are computed at a time; a draw takes the next of them.
struct Philox {
    key: [u32; 2],
    counter: [u32; 4],
    block: [u32; 4],
    used: usize,
}

const MULTIPLIERS: [u32; 2] = [0xd251_1f53, 0xcd9e_8d57];
const WEYL: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];

impl Philox {
    fn block([mut k0, mut k1]: [u32; 2], [mut a, mut b, mut c, mut d]: [u32; 4]) -> [u32; 4] {
        for _ in 0..10 {
            let first = u64::from(MULTIPLIERS[0]) * u64::from(a);
            let second = u64::from(MULTIPLIERS[1]) * u64::from(c);
            [a, b, c, d] = [
                (second >> 32) as u32 ^ b ^ k0,
                second as u32,
                (first >> 32) as u32 ^ d ^ k1,
                first as u32,
            ];
            (k0, k1) = (k0.wrapping_add(WEYL[0]), k1.wrapping_add(WEYL[1]));
        }
        [a, b, c, d]
    }
}

impl Scalar for Philox {
    fn new(streams: Streams, segment: u64) -> Self {
        let counter = [0, segment as u32, (segment >> 32) as u32, 0];
        Self { key: streams.key(), counter, block: [0; 4], used: 4 }
    }

    fn draw(&mut self) -> u32 {
        if self.used == 4 {
            self.block = Self::block(self.key, self.counter);
            self.counter[0] += 1;
            self.used = 0;
        }
        self.used += 1;
        self.block[self.used - 1]
    }
}

/// Visits the centres below `end`.
type Walk = fn(&[u32; 1024], Streams, u64, &mut dyn FnMut(&[u64]));

/// One segment after the other, as `Plan::centers` walks.
fn walk<S: Scalar>(table: &[u32; 1024], streams: Streams, end: u64, visit: &mut dyn FnMut(&[u64])) {
    for segment in 0..end.div_ceil(u64::from(SEGMENT)) {
        let mut generator = S::new(streams, segment);
        let base = segment * u64::from(SEGMENT);
        let limit = (end - base).min(u64::from(SEGMENT)) as u32;
        let (mut centers, mut count) = ([0; BUFFER], 0);
        let mut position = 0;
        while position < limit {
            let gap = gap(table, generator.draw());
            position += gap;
            if gap != LONG {
                if position < limit {
                    centers[count] = base + u64::from(position);
                    count += 1;
                    if count == BUFFER {
                        visit(&centers);
                        count = 0;
                    }
                }
                position += 1;
            }
        }
        visit(&centers[..count]);
    }
}

const LONG: u32 = 1023;

#[inline]
fn gap(table: &[u32; 1024], draw: u32) -> u32 {
    let entry = table[(draw & 1023) as usize];
    if draw >> 10 < entry >> 10 { draw & 1023 } else { entry & 1023 }
}

/// Draws of eight segments at a time.
trait Simd {
    fn new(streams: Streams, segment: u64) -> Self;
    fn draw(&mut self) -> u32x8;
}

struct Xoshiro8([u32x8; 4]);

impl Simd for Xoshiro8 {
    fn new(streams: Streams, segment: u64) -> Self {
        let mut state = [[0; LANES]; 4];
        for lane in 0..LANES {
            let words = streams.state(segment + lane as u64);
            for (state, word) in state.iter_mut().zip(words) {
                state[lane] = word;
            }
        }
        Self(state.map(u32x8::new))
    }

    #[inline]
    fn draw(&mut self) -> u32x8 {
        let rotate = |x: u32x8, by: u32| (x << by) | (x >> (32 - by));
        let [a, b, c, d] = self.0;
        let result = rotate(a + d, 7) + a;
        let (low, high) = (c ^ a, d ^ b);
        self.0 = [a ^ high, b ^ low, low ^ (b << 9_u32), rotate(high, 11)];
        result
    }
}

struct Philox8 {
    key: [u32; 2],
    counter: [u32x8; 4],
    block: [u32x8; 4],
    used: usize,
}

impl Simd for Philox8 {
    fn new(streams: Streams, segment: u64) -> Self {
        let lanes: [u64; LANES] = std::array::from_fn(|lane| segment + lane as u64);
        let (low, high) = (lanes.map(|s| s as u32), lanes.map(|s| (s >> 32) as u32));
        let counter = [u32x8::ZERO, u32x8::new(low), u32x8::new(high), u32x8::ZERO];
        Self { key: streams.key(), counter, block: [u32x8::ZERO; 4], used: 4 }
    }

    #[inline]
    fn draw(&mut self) -> u32x8 {
        if self.used == 4 {
            let [mut a, mut b, mut c, mut d] = self.counter;
            let [mut k0, mut k1] = self.key;
            for _ in 0..10 {
                let (first_low, first) = a.mul_keep_low_high(u32x8::splat(MULTIPLIERS[0]));
                let (second_low, second) = c.mul_keep_low_high(u32x8::splat(MULTIPLIERS[1]));
                [a, b, c, d] = [
                    second ^ b ^ u32x8::splat(k0),
                    second_low,
                    first ^ d ^ u32x8::splat(k1),
                    first_low,
                ];
                (k0, k1) = (k0.wrapping_add(WEYL[0]), k1.wrapping_add(WEYL[1]));
            }
            self.block = [a, b, c, d];
            self.counter[0] += u32x8::splat(1);
            self.used = 0;
        }
        self.used += 1;
        self.block[self.used - 1]
    }
}

/// Eight segments side by side, one in each lane; the table is read lane by lane.
fn walk_lanes<S: Simd>(
    table: &[u32; 1024],
    streams: Streams,
    end: u64,
    visit: &mut dyn FnMut(&[u64]),
) {
    let group = u64::from(SEGMENT) * LANES as u64;
    for base in (0..end).step_by(group as usize) {
        let mut generator = S::new(streams, base / u64::from(SEGMENT));
        let (mut centers, mut count) = ([0; BUFFER], 0);
        let mut position = [0; LANES];
        let limit: [u32; LANES] = std::array::from_fn(|lane| {
            let start = base + lane as u64 * u64::from(SEGMENT);
            end.saturating_sub(start).min(u64::from(SEGMENT)) as u32
        });
        while (0..LANES).any(|lane| position[lane] < limit[lane]) {
            if count > BUFFER - LANES {
                visit(&centers[..count]);
                count = 0;
            }
            let draws = generator.draw().to_array();
            for lane in 0..LANES {
                let gap = gap(table, draws[lane]);
                let center = position[lane].saturating_add(gap);
                let is_center = gap != LONG && center < limit[lane];
                // Written always, kept if it counts: no branch on random bits.
                centers[count] = base + lane as u64 * u64::from(SEGMENT) + u64::from(center);
                count += usize::from(is_center);
                position[lane] = center.saturating_add(u32::from(gap != LONG));
            }
        }
        visit(&centers[..count]);
    }
}

const WALKS: [(&str, &str, Walk); 4] = [
    ("xoshiro128++", "scalar", walk::<Xoshiro>),
    ("philox4x32-10", "scalar", walk::<Philox>),
    ("xoshiro128++", "simd", walk_lanes::<Xoshiro8>),
    ("philox4x32-10", "simd", walk_lanes::<Philox8>),
];

struct Problem {
    plan: Plan,
    table: [u32; 1024],
    block: usize,
    size: usize,
    positions: u64,
}

impl Problem {
    fn new(samples: usize, channels: usize, size: usize, block: usize) -> Result<Self, Error> {
        let layer = DropBlock::new(block, 0.1)?;
        let shape = Shape::nchw(samples, channels, size, size);
        let places = (size - block + 1) as u64;
        Ok(Self {
            plan: layer.plan(shape)?,
            table: reference::gap_table(reference::gamma(&layer, &shape)),
            block,
            size,
            positions: (samples * channels) as u64 * places * places,
        })
    }

    /// Draws the centres into a buffer, and counts them.
    fn draw(&self, walk: Walk, step: u64) -> usize {
        let mut count = 0;
        walk(&self.table, Streams::new(step), self.positions, &mut |centers| {
            count += black_box(centers).len();
        });
        count
    }

    /// The mask by the rows of each block.
    fn fill(&self, walk: Walk, step: u64, mask: &mut [u64]) {
        mask.fill(0);
        let places = (self.size - self.block + 1) as u32;
        walk(&self.table, Streams::new(step), self.positions, &mut |centers| {
            for &center in centers {
                let center = center as u32;
                let (row, w) = (center / places, center % places);
                let (plane, h) = ((row / places) as usize, (row % places) as usize);
                let start = (plane * self.size + h) * self.size + w as usize;
                for bit in (start..).step_by(self.size).take(self.block) {
                    let run = ((1_u128 << self.block) - 1) << (bit % 64);
                    mask[bit / 64] |= run as u64;
                    if let Some(next) = mask.get_mut(bit / 64 + 1) {
                        *next |= (run >> 64) as u64;
                    }
                }
            }
        });
    }

    fn pipeline(
        &self,
        walk: Walk,
        step: u64,
        mask: &mut [u64],
        x: &mut [f32],
    ) -> Result<(), Error> {
        self.fill(walk, step, mask);
        self.plan.mask_from(mask)?.backward_in_place(x)
    }
}

fn main() -> Result<(), Error> {
    assert_eq!(
        Philox::block([0, 0], [0; 4]),
        [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8],
        "the known answer of Philox"
    );
    let rounds = if std::env::args().any(|arg| arg == "--bench") { 60 } else { 2 };
    println!("generator,walker,shape,stage,ns_per_element,ratio_min,ratio_median");
    for (samples, channels, size, block) in [(1, 16, 14, 7), (32, 256, 14, 7), (32, 512, 7, 3)] {
        let problem = Problem::new(samples, channels, size, block)?;
        check(&problem)?;
        bench(&problem, &format!("{samples}x{channels}x{size}x{size} k {block}"), rounds)?;
    }
    Ok(())
}

/// Both walkers of a generator agree, and xoshiro128++ gives the masks of the crate.
fn check(problem: &Problem) -> Result<(), Error> {
    let masks: Vec<Vec<u64>> = WALKS
        .iter()
        .map(|&(_, _, walk)| {
            let mut mask = vec![0; problem.plan.mask_words()];
            problem.fill(walk, 3, &mut mask);
            mask
        })
        .collect();
    let mut mask = vec![0; problem.plan.mask_words()];
    problem.plan.draw(Key::new(1).with_step(3), &mut mask)?;
    assert!(masks[0] == mask && masks[2] == mask && masks[1] == masks[3] && masks[0] != masks[1]);
    Ok(())
}

fn bench(problem: &Problem, shape: &str, rounds: usize) -> Result<(), Error> {
    let len = problem.plan.elements();
    let (mut x, mut mask) = (vec![1.0_f32; len], vec![0; problem.plan.mask_words()]);
    let repeats = (400_000 / len).max(1);
    let mut results = vec![Vec::new(); 2 * WALKS.len()];
    let mut step = 0;
    for _ in 0..rounds {
        for (i, results) in results.iter_mut().enumerate() {
            let walk = WALKS[i / 2].2;
            let start = Instant::now();
            for _ in 0..repeats {
                step += 1;
                if i % 2 == 0 {
                    black_box(problem.draw(walk, step));
                } else {
                    problem.pipeline(walk, step, &mut mask, &mut x)?;
                }
            }
            let own = start.elapsed().as_secs_f64();
            x.fill(1.0);
            let factor = black_box(1.0_f32);
            let start = Instant::now();
            for _ in 0..repeats {
                black_box(&mut x).iter_mut().for_each(|x| *x *= factor);
            }
            let floor = start.elapsed().as_secs_f64();
            results.push((own / (repeats * len) as f64 * 1e9, own / floor));
        }
    }
    for (i, results) in results.iter_mut().enumerate() {
        let fastest = results.iter().map(|r| r.0).fold(f64::INFINITY, f64::min);
        results.sort_by(|a, b| a.1.total_cmp(&b.1));
        let (generator, walker, _) = WALKS[i / 2];
        let stage = ["draw", "pipeline"][i % 2];
        let (min, median) = (results[0].1, results[results.len() / 2].1);
        println!("{generator},{walker},{shape},{stage},{fastest:.4},{min:.2},{median:.2}");
    }
    Ok(())
}
