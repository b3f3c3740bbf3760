//! One case: options, shape, key and where the elements lie, with buffers on the heap and the
//! oracle beside them.

use dropblock::{
    Alignment, Backend, BlockSize, DropBlock, DropCount, Element, Fill, Gamma, Key, Layout, Map,
    Plan, Region, Scale, Shape, Sharing, View, ViewMut, reference,
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
    /// Where the elements of an input and of an output lie; `None` for dense.
    pub(crate) input: Option<Place>,
    pub(crate) output: Option<Place>,
}

impl Case {
    /// A case of dense tensors.
    pub(crate) fn new(layer: DropBlock, shape: Shape, key: Key) -> Self {
        Self { layer, shape, key, input: None, output: None }
    }

    pub(crate) fn plan(&self, backend: Backend) -> Plan {
        self.layer
            .with_backend(backend)
            .and_then(|layer| layer.plan(self.shape))
            .unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn is_noisy(&self) -> bool {
        self.layer.fill() == Fill::Noise
    }

    pub(crate) fn expected_mask(&self) -> Vec<bool> {
        let mut mask = vec![true; reference::units(&self.layer, &self.shape)];
        reference::mask(&self.layer, &self.shape, &self.key, &mut mask);
        mask
    }

    /// What a backward pass makes of the dense tensors `x` and `y`.
    pub(crate) fn expected<T: Element>(&self, mask: &[bool], x: &[T], y: &[T]) -> Vec<T> {
        let mut y = y.to_vec();
        reference::apply(&self.layer, &self.shape, mask, x, &mut y);
        y
    }

    /// What a forward pass makes of them: the same, and noise if there is any.
    pub(crate) fn expected_forward<T: Element>(&self, mask: &[bool], x: &[T], y: &[T]) -> Vec<T> {
        let mut y = self.expected(mask, x, y);
        if self.is_noisy() {
            reference::fill_noise(&self.layer, &self.shape, &self.key, mask, &mut y);
        }
        y
    }

    /// The length of the buffer of an input, and of an output.
    pub(crate) fn lens(&self) -> [usize; 2] {
        [self.input, self.output].map(|place| place.unwrap_or(Place::dense(&self.shape)).len)
    }

    /// What a pass from the buffer `x` to the buffer `y` makes of `y`, whose elements between those
    /// of the view must survive.
    pub(crate) fn expected_out<T: Element>(
        &self,
        (mask, forward): (&[bool], bool),
        x: &[T],
        y: &[T],
    ) -> Vec<T> {
        self.expected_between(self.input, (mask, forward), x, y)
    }

    /// What a pass in place makes of the buffer `x`, which lies as outputs do.
    pub(crate) fn expected_in_place<T: Element>(
        &self,
        (mask, forward): (&[bool], bool),
        x: &[T],
    ) -> Vec<T> {
        self.expected_between(self.output, (mask, forward), x, x)
    }

    fn expected_between<T: Element>(
        &self,
        input: Option<Place>,
        (mask, forward): (&[bool], bool),
        x: &[T],
        y: &[T],
    ) -> Vec<T> {
        let dense = gather(input, &self.shape, x, T::ZERO);
        let result = if forward {
            self.expected_forward(mask, &dense, &dense)
        } else {
            self.expected(mask, &dense, &dense)
        };
        let mut y = y.to_vec();
        scatter(self.output, &self.shape, &result, &mut y);
        y
    }

    /// The buffer as an input.
    pub(crate) fn view<'t, T>(&self, x: &'t [T]) -> View<'t, T> {
        self.input.map_or_else(
            || View::from(x),
            |Place { first, strides, .. }| View::new(x, first, strides),
        )
    }

    /// The buffer as an output.
    pub(crate) fn view_mut<'t, T>(&self, y: &'t mut [T]) -> ViewMut<'t, T> {
        match self.output {
            None => ViewMut::from(y),
            Some(Place { first, strides, .. }) => ViewMut::new(y, first, strides),
        }
    }
}

/// Where the elements of a view lie in a buffer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    pub(crate) len: usize,
    pub(crate) first: usize,
    /// Of samples, channels, depth, height and width.
    pub(crate) strides: [isize; 5],
}

pub(crate) fn sizes(shape: &Shape) -> [usize; 5] {
    let [d, h, w] = shape.map().size();
    [shape.samples(), shape.channels(), d, h, w]
}

impl Place {
    pub(crate) fn dense(shape: &Shape) -> Self {
        let order = match shape.layout() {
            Layout::ChannelsLast => [0, 2, 3, 4, 1],
            _ => [0, 1, 2, 3, 4],
        };
        Self::of(shape, (order, [0; 5]))
    }

    /// The axes in this order in memory, the last one innermost, with a gap behind each.
    fn of(shape: &Shape, (order, gaps): ([usize; 5], [usize; 5])) -> Self {
        let sizes = sizes(shape);
        let mut strides = [0; 5];
        let mut stride = 1 + gaps[order[4]];
        for (i, &axis) in order.iter().enumerate().rev() {
            strides[axis] = stride as isize;
            let gap = if sizes[axis] > 1 && i > 0 { gaps[order[i - 1]] } else { 0 };
            stride *= sizes[axis] + gap;
        }
        let last: isize =
            strides.iter().zip(sizes).map(|(s, n)| s * n.saturating_sub(1) as isize).sum();
        let len = if sizes.contains(&0) { 0 } else { last as usize + 1 };
        Self { len, first: 0, strides }
    }

    /// Strides in a buffer that is no longer than it must be.
    pub(crate) fn tight(shape: &Shape, strides: [isize; 5]) -> Self {
        let (mut first, mut len) = (0, 1);
        for (size, stride) in sizes(shape).into_iter().zip(strides) {
            let reach = size.saturating_sub(1) * stride.unsigned_abs();
            first += if stride < 0 { reach } else { 0 };
            len += reach;
        }
        Self { len, first, strides }
    }

    /// The element of each unit: sample by sample, channel by channel, row by row.
    pub(crate) fn elements(self, shape: &Shape) -> impl Iterator<Item = usize> {
        let sizes = sizes(shape);
        (0..sizes.iter().product()).map(move |mut unit| {
            let mut element = self.first as isize;
            for axis in (0..5).rev() {
                element += (unit % sizes[axis]) as isize * self.strides[axis];
                unit /= sizes[axis];
            }
            element as usize
        })
    }
}

/// The elements of a view as a dense tensor of the shape.
pub(crate) fn gather<T: Copy>(place: Option<Place>, shape: &Shape, x: &[T], zero: T) -> Vec<T> {
    let Some(place) = place else { return x.to_vec() };
    let dense = Place::dense(shape);
    let mut tensor = vec![zero; dense.len];
    for (to, from) in dense.elements(shape).zip(place.elements(shape)) {
        tensor[to] = x[from];
    }
    tensor
}

/// A dense tensor of the shape, written to where the elements of a view lie.
pub(crate) fn scatter<T: Copy>(place: Option<Place>, shape: &Shape, dense: &[T], y: &mut [T]) {
    let place = place.unwrap_or(Place::dense(shape));
    for (from, to) in Place::dense(shape).elements(shape).zip(place.elements(shape)) {
        y[to] = dense[from];
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

pub(crate) fn count(mask: &[bool]) -> DropCount {
    let dropped = mask.iter().filter(|&&dropped| dropped).count() as u64;
    DropCount { dropped, total: mask.len() as u64 }
}

/// A buffer of quiet NaN, each with a payload of its own.
pub(crate) fn dirty(len: usize) -> Vec<f32> {
    (0..len as u32).map(|i| f32::from_bits(0x7fc0_0000 | i & 0x003f_ffff)).collect()
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

/// What a view of a tensor is made of: the order of the axes in memory, what lies behind each, which
/// are walked backwards, which repeat, what lies before and after all, and the stride of an axis that
/// has no second index.
#[derive(Clone, Copy, Debug)]
struct Recipe {
    order: [usize; 5],
    gaps: [usize; 5],
    backwards: [bool; 5],
    repeats: [bool; 5],
    around: [usize; 2],
    unused: isize,
}

fn recipes(repeat: u32) -> impl Strategy<Value = Recipe> {
    let order = prop_oneof![
        Just([0, 1, 2, 3, 4]),
        Just([0, 2, 3, 4, 1]),
        Just([1, 0, 2, 3, 4]),
        Just([0, 2, 1, 3, 4]),
        Just([0, 3, 1, 2, 4]),
        Just([4, 1, 0, 3, 2]),
    ];
    // Channels to skip, padded rows, a crop, steps of 2.
    let gaps = prop::array::uniform5(prop_oneof![3 => Just(0_usize), 1 => 1..4_usize]);
    let backwards = prop_oneof![
        2 => Just([false; 5]),
        1 => Just([true; 5]),
        2 => prop::array::uniform5(any::<bool>()),
    ];
    let repeats = prop_oneof![
        4 => Just([false; 5]),
        repeat => prop::array::uniform5(prop::bool::weighted(0.3)),
    ];
    let unused = prop_oneof![Just(0), Just(isize::MAX), Just(isize::MIN), -9..9_isize];
    (order, gaps, backwards, repeats, prop::array::uniform2(0..20_usize), unused).prop_map(
        |(order, gaps, backwards, repeats, around, unused)| Recipe {
            order,
            gaps,
            backwards,
            repeats,
            around,
            unused,
        },
    )
}

impl Recipe {
    fn place(self, shape: &Shape) -> Place {
        let sizes = sizes(shape);
        let mut strides = Place::of(shape, (self.order, self.gaps)).strides;
        let (mut before, mut after) = (0, 0);
        for axis in 0..5 {
            if sizes[axis] < 2 {
                // Never used, and hence allowed to be anything.
                strides[axis] = self.unused;
                continue;
            }
            if self.repeats[axis] {
                strides[axis] = 0;
            }
            let reach = (sizes[axis] - 1) * strides[axis] as usize;
            if self.backwards[axis] {
                strides[axis] = -strides[axis];
                before += reach;
            } else {
                after += reach;
            }
        }
        let first = self.around[0] + before;
        let is_empty = sizes.contains(&0);
        let len = if is_empty { self.around[1] } else { first + after + 1 + self.around[1] };
        Place { len, first, strides }
    }
}

/// Layouts, and views for input and output: in place the output's counts.
fn places() -> impl Strategy<Value = (Layout, [Option<Recipe>; 2])> {
    let layout = || prop_oneof![Just(Layout::ChannelsFirst), Just(Layout::ChannelsLast)];
    let view = |repeat| prop_oneof![1 => Just(None), 4 => recipes(repeat).prop_map(Some)];
    prop_oneof![
        4 => layout().prop_map(|layout| (layout, [None; 2])),
        // The same strides for both.
        1 => (layout(), recipes(0)).prop_map(|(layout, both)| (layout, [Some(both); 2])),
        3 => (layout(), view(2), view(0)).prop_map(|(layout, x, y)| (layout, [x, y])),
    ]
}

fn keys() -> impl Strategy<Value = Key> {
    let word = || prop_oneof![Just(0), Just(u64::MAX), 0..9_u64, any::<u64>()];
    let sample = prop_oneof![3 => Just(0), 1 => 1..50_u64, 1 => 1_000_000_000..1_000_000_050_u64];
    (word(), word(), word(), sample).prop_map(|(seed, step, layer, sample)| {
        Key::new(seed).with_step(step).with_layer(layer).with_first_sample(sample)
    })
}

prop_compose! {
    pub(crate) fn cases()(map in maps())(
        map in Just(map),
        block in blocks(map.rank()),
        drop_prob in prop_oneof![0.0..=1.0_f64, Just(0.1), Just(0.0), Just(1.0)],
        gamma in gammas(),
        region in prop::sample::select(Region::ALL),
        alignment in prop::sample::select(Alignment::ALL),
        sharing in prop_oneof![
            3 => Just(Sharing::None),
            1 => Just(Sharing::OverChannels),
            1 => Just(Sharing::OverSamples),
            1 => Just(Sharing::OverAll),
        ],
        scale in prop::sample::select(Scale::ALL),
        (layout, places) in places(),
        (samples, channels) in prop_oneof![
            8 => (1..4_usize, 1..6_usize),
            1 => (1..3_usize, 62..67_usize),
            1 => (1..3_usize, Just(130_usize)),
            1 => Just((0, 3)),
            1 => Just((3, 0)),
        ],
        key in keys(),
        fill in prop_oneof![3 => Just(Fill::Zero), 1 => Just(Fill::Noise)],
        training in prop::bool::weighted(0.95),
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
            .with_fill(fill)
            .with_training(training);
        let shape = Shape::new(samples, channels, map, layout);
        let [input, output] = places.map(|place| place.map(|recipe| recipe.place(&shape)));
        Case { layer, shape, key, input, output }
    }
}
