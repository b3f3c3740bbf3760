//! One case: options, shape and key, with buffers on the heap and the oracle beside them.

use dropblock::{
    Alignment, Backend, BlockSize, DropBlock, Dropped, Element, Fill, Gamma, Key, Layout, Map,
    Plan, Region, Scale, Shape, Sharing, reference,
};
use proptest::prelude::*;

/// Written before and after every buffer that an operation may write.
const CANARY: u64 = 0xc0ff_ee00_dead_beef;
const PADDING: usize = 9;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) layer: DropBlock,
    pub(crate) shape: Shape,
    pub(crate) key: Key,
    pub(crate) first_sample: u64,
    pub(crate) noise: bool,
}

impl Case {
    pub(crate) fn plan(&self, backend: Backend) -> Plan {
        self.layer
            .with_backend(backend)
            .and_then(|layer| layer.plan(self.shape))
            .unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn expected_mask(&self) -> Vec<bool> {
        let plan = self.plan(Backend::Scalar);
        let mut mask = vec![true; plan.units()];
        reference::mask(&self.layer, &self.shape, &self.key, &mut mask);
        mask
    }

    /// What an operation makes of `y`, whose elements between those of a view must survive.
    pub(crate) fn expected<T: Element>(&self, mask: &[bool], x: &[T], y: &[T]) -> Vec<T> {
        let mut y = y.to_vec();
        reference::apply(&self.layer, &self.shape, mask, x, &mut y);
        y
    }

    /// What a forward pass makes of `y`: the same, and noise if there is any.
    pub(crate) fn expected_forward<T: Element>(&self, mask: &[bool], x: &[T], y: &[T]) -> Vec<T> {
        let mut y = self.expected(mask, x, y);
        if self.noise {
            reference::fill_noise(&self.layer, &self.shape, &self.key, mask, &mut y);
        }
        y
    }
}

/// A tensor with a NaN, infinities, zeros and denormals among ordinary values.
pub(crate) fn tensor(len: usize) -> Vec<f32> {
    let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, f32::MIN_POSITIVE / 8.0];
    (0..len)
        .map(|i| match i % 29 {
            rest if rest < special.len() => special[rest],
            rest => (rest as f32 - 11.0) * 0.37 + i as f32 * 1e-4,
        })
        .collect()
}

pub(crate) fn bits_of(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

pub(crate) fn count(mask: &[bool]) -> Dropped {
    Dropped { count: mask.iter().filter(|&&dropped| dropped).count() as u64, of: mask.len() as u64 }
}

/// Packs a mask into words, as the crate lays it out.
pub(crate) fn pack(mask: &[bool]) -> Vec<u64> {
    let word = |units: &[bool]| (0..).zip(units).map(|(i, &unit)| u64::from(unit) << i).sum();
    mask.chunks(64).map(word).collect()
}

/// Runs `write` on a dirty buffer of `len` words amid canaries, and returns the buffer.
pub(crate) fn guarded_words<R>(len: usize, write: impl FnOnce(&mut [u64]) -> R) -> (Vec<u64>, R) {
    let mut buffer = vec![CANARY; len + 2 * PADDING];
    let result = write(&mut buffer[PADDING..PADDING + len]);
    assert!(buffer[..PADDING].iter().chain(&buffer[PADDING + len..]).all(|&word| word == CANARY));
    (buffer[PADDING..PADDING + len].to_vec(), result)
}

/// Runs `write` on `x` amid canaries, and returns the result.
pub(crate) fn guarded<R>(x: &[f32], write: impl FnOnce(&mut [f32]) -> R) -> (Vec<f32>, R) {
    let canary = f32::from_bits(CANARY as u32);
    let mut buffer = vec![canary; x.len() + 2 * PADDING];
    let inside = PADDING..PADDING + x.len();
    buffer[inside.clone()].copy_from_slice(x);
    let result = write(&mut buffer[inside.clone()]);
    for (i, value) in buffer.iter().enumerate() {
        assert!(inside.contains(&i) || value.to_bits() == CANARY as u32, "canary {i} is dead");
    }
    (buffer[inside].to_vec(), result)
}

/// Small masks as text, `.` kept and `#` dropped, planes apart by an empty line.
pub(crate) fn draw(mask: &[bool], map: Map) -> String {
    let [d, h, w] = map.size();
    let mut text = String::new();
    for (row, units) in mask.chunks(w.max(1)).enumerate() {
        if row > 0 && row % (d * h) == 0 {
            text.push('\n');
        }
        text.extend(units.iter().map(|&dropped| if dropped { '#' } else { '.' }));
        text.push('\n');
    }
    text
}

pub(crate) fn gammas() -> impl Strategy<Value = Gamma> {
    prop_oneof![
        2 => Just(Gamma::Paper { scale: 1.0 }),
        1 => (0.0..40.0).prop_map(|scale| Gamma::Paper { scale }),
        1 => (0.0..4.0).prop_map(|scale| Gamma::PaperValid { scale }),
        2 => Just(Gamma::Exact),
        1 => (0.0..=1.0_f64).prop_map(Gamma::Raw),
        1 => (0.0..0.01_f64).prop_map(Gamma::Raw),
        1 => prop_oneof![Just(0.0), Just(1.0), Just(1e-12), Just(1.0 / 32.0)].prop_map(Gamma::Raw),
    ]
}

/// Maps of every rank, of sizes around the word and the lane, and a few that are empty.
pub(crate) fn maps() -> impl Strategy<Value = Map> {
    let edge = || prop_oneof![1..20_usize, Just(31), Just(32), Just(33), 62..67_usize];
    prop_oneof![
        1 => (1..700_usize).prop_map(Map::l),
        1 => prop_oneof![Just(4095_usize), Just(4096), Just(4097), Just(17_000)].prop_map(Map::l),
        6 => (edge(), edge()).prop_map(|(h, w)| Map::hw(h, w)),
        1 => (100..160_usize, 120..150_usize).prop_map(|(h, w)| Map::hw(h, w)),
        2 => (1..6_usize, 1..9_usize, 1..20_usize).prop_map(|(d, h, w)| Map::dhw(d, h, w)),
        1 => Just(Map::dhw(5, 60, 61)),
        1 => prop_oneof![Just(Map::hw(0, 3)), Just(Map::l(0)), Just(Map::dhw(2, 3, 0))],
    ]
}

fn blocks(rank: u8) -> BoxedStrategy<BlockSize> {
    let uniform = prop_oneof![4 => 1..9_usize, 1 => 9..80_usize].prop_map(BlockSize::uniform);
    let relative = (0.001..1.2).prop_map(BlockSize::relative);
    let uniform = prop_oneof![6 => uniform, 1 => relative];
    match rank {
        2 => prop_oneof![uniform, (1..9_usize, 1..70_usize).prop_map(|(h, w)| BlockSize::hw(h, w))]
            .boxed(),
        3 => prop_oneof![
            uniform,
            (1..7_usize, 1..7_usize, 1..7_usize).prop_map(|(d, h, w)| BlockSize::dhw(d, h, w))
        ]
        .boxed(),
        _ => uniform.boxed(),
    }
}

/// The layout, or for a view the order of the axes in memory and what lies behind each.
fn views() -> impl Strategy<Value = Result<Layout, ([usize; 5], [usize; 5])>> {
    let order = prop_oneof![
        Just([0, 1, 2, 3, 4]),
        Just([0, 2, 3, 4, 1]),
        Just([1, 0, 2, 3, 4]),
        Just([0, 2, 1, 3, 4]),
        Just([0, 3, 1, 2, 4]),
        Just([4, 1, 0, 3, 2]),
    ];
    // Behind each axis: channels to skip, padded rows, a crop.
    let gaps = prop::array::uniform5(prop_oneof![3 => Just(0_usize), 1 => 1..4_usize]);
    prop_oneof![
        2 => Just(Ok(Layout::ChannelsFirst)),
        2 => Just(Ok(Layout::ChannelsLast)),
        3 => (order, gaps).prop_map(Err),
    ]
}

fn view(shape: Shape, (order, gaps): ([usize; 5], [usize; 5])) -> Shape {
    let [d, h, w] = shape.map().size();
    let sizes = [shape.samples(), shape.channels(), d, h, w];
    let mut strides = [0; 5];
    let mut stride = 1;
    for (&axis, gap) in order.iter().zip(gaps).rev() {
        strides[axis] = stride + usize::from(stride == 1) * gap;
        stride = strides[axis] * (sizes[axis].max(1) + gap);
        if sizes[axis] < 2 && gap > 1 {
            // Never used, and hence allowed to be anything.
            strides[axis] = [0, usize::MAX][gap % 2];
        }
    }
    shape.with_strides(strides)
}

fn keys() -> impl Strategy<Value = (Key, u64)> {
    let word = || prop_oneof![Just(0), Just(u64::MAX), 0..9_u64, any::<u64>()];
    let sample = prop_oneof![3 => Just(0), 1 => 1..50_u64, 1 => 1_000_000_000..1_000_000_050_u64];
    (word(), word(), word(), sample).prop_map(|(seed, step, layer, sample)| {
        (Key::new(seed).step(step).layer(layer).first_sample(sample), sample)
    })
}

prop_compose! {
    pub(crate) fn cases()(map in maps())(
        map in Just(map),
        block in blocks(map.rank()),
        drop_prob in prop_oneof![0.0..=1.0_f64, Just(0.1), Just(0.0), Just(1.0)],
        gamma in gammas(),
        region in prop_oneof![Just(Region::Valid), Just(Region::Full)],
        alignment in prop_oneof![Just(Alignment::Before), Just(Alignment::After)],
        sharing in prop_oneof![
            3 => Just(Sharing::SampleChannel),
            1 => Just(Sharing::Sample),
            1 => Just(Sharing::Channel),
            1 => Just(Sharing::All),
        ],
        scale in prop_oneof![
            Just(Scale::Tensor),
            Just(Scale::Sample),
            Just(Scale::Channel),
            Just(Scale::Fixed),
            Just(Scale::None),
            Just(Scale::PerPosition),
        ],
        layout in views(),
        (samples, channels) in prop_oneof![
            8 => (1..4_usize, 1..6_usize),
            1 => (1..3_usize, 62..67_usize),
            1 => (1..3_usize, Just(130_usize)),
            1 => Just((0, 3)),
            1 => Just((3, 0)),
        ],
        (key, first_sample) in keys(),
        noise in prop_oneof![3 => Just(false), 1 => Just(true)],
    ) -> Case {
        // Large maps with few planes, or the oracle takes too long.
        let len = map.len().unwrap_or(0).max(1);
        let channels = channels.min((200_000 / len).max(1));
        let layer = DropBlock::new(1, drop_prob)
            .and_then(|layer| layer.with_block_size(block))
            .and_then(|layer| layer.with_gamma(gamma))
            .unwrap_or_else(|error| panic!("{error}"))
            .with_region(region)
            .with_alignment(alignment)
            .with_sharing(sharing)
            .with_scale(scale)
            .with_fill(if noise { Fill::Noise } else { Fill::Zero });
        let new = |layout| Shape::new(samples, channels, map, layout);
        let shape = layout.map(new);
        let shape = shape.unwrap_or_else(|order| view(new(Layout::ChannelsFirst), order));
        Case { layer, shape, key, first_sample, noise }
    }
}
