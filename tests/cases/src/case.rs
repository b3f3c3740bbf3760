//! One case, what the reference makes of it, and the generator.

use dropblock::{
    Backend, DropBlock, Element, Fill, Key, Layout, Map, Plan, Shape, View, ViewMut, reference,
};

use crate::{Options, Place, Source, gather, scatter, sizes};

/// Options, a shape and a key that fit together, and where the elements lie.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The options.
    pub layer: DropBlock,
    /// The shape of the tensors.
    pub shape: Shape,
    /// The key.
    pub key: Key,
    /// Where the elements of an input lie; `None` for dense.
    pub input: Option<Place>,
    /// Where those of an output lie, and in place.
    pub output: Option<Place>,
}

impl Case {
    /// A case of dense tensors.
    pub fn new(layer: DropBlock, shape: Shape, key: Key) -> Self {
        Self { layer, shape, key, input: None, output: None }
    }

    /// The same with views of these strides, none of which goes backwards.
    pub fn with_strides(self, strides: Option<[isize; 5]>) -> Self {
        let place = strides.map(|strides| match Place::tight(&self.shape, strides) {
            empty if sizes(&self.shape).contains(&0) => Place { len: 0, ..empty },
            place => place,
        });
        Self { input: place, output: place, ..self }
    }

    /// The plan with this backend.
    pub fn plan(&self, backend: Backend) -> Plan {
        self.layer
            .with_backend(backend)
            .and_then(|layer| layer.plan(self.shape))
            .unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Whether a forward pass fills with noise.
    pub fn is_noisy(&self) -> bool {
        self.layer.fill() == Fill::Noise
    }

    /// The reference's mask.
    pub fn expected_mask(&self) -> Vec<bool> {
        let mut mask = vec![true; reference::units(&self.layer, &self.shape)];
        reference::mask(&self.layer, &self.shape, &self.key, &mut mask);
        mask
    }

    /// What a backward pass makes of the dense tensors `x` and `y`.
    pub fn expected<T: Element>(&self, mask: &[bool], x: &[T], y: &[T]) -> Vec<T> {
        let mut y = y.to_vec();
        reference::apply(&self.layer, &self.shape, mask, x, &mut y);
        y
    }

    /// What a forward pass makes of them: the same, and noise if there is any.
    pub fn expected_forward<T: Element>(&self, mask: &[bool], x: &[T], y: &[T]) -> Vec<T> {
        let mut y = self.expected(mask, x, y);
        if self.is_noisy() {
            reference::fill_noise(&self.layer, &self.shape, &self.key, mask, &mut y);
        }
        y
    }

    /// The length of the buffer of an input, and of an output.
    pub fn lens(&self) -> [usize; 2] {
        [self.input, self.output].map(|place| place.unwrap_or(Place::dense(&self.shape)).len)
    }

    /// What a pass from the buffer `x` to the buffer `y` makes of `y`, whose elements between those
    /// of the view must survive.
    pub fn expected_out<T: Element>(
        &self,
        (mask, forward): (&[bool], bool),
        x: &[T],
        y: &[T],
    ) -> Vec<T> {
        self.expected_between(self.input, (mask, forward), x, y)
    }

    /// What a pass in place makes of the buffer `x`, which lies as outputs do.
    pub fn expected_in_place<T: Element>(
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
    pub fn view<'t, T>(&self, x: &'t [T]) -> View<'t, T> {
        self.input.map_or_else(
            || View::from(x),
            |Place { first, strides, .. }| View::new(x, first, strides),
        )
    }

    /// The buffer as an output.
    pub fn view_mut<'t, T>(&self, y: &'t mut [T]) -> ViewMut<'t, T> {
        match self.output {
            None => ViewMut::from(y),
            Some(Place { first, strides, .. }) => ViewMut::new(y, first, strides),
        }
    }
}

/// Generation.
impl Case {
    /// Any case of so many elements at most, and the options of its layer.
    pub fn draw(source: &mut impl Source, most: usize) -> (Options, Self) {
        let map = draw_map(source, most);
        let options = Options::draw(source, map.rank());
        let layer = options.layer().unwrap_or_else(|error| panic!("{error}: {options:?}"));
        let (samples, channels) = match source.below(24) {
            0..=17 => (1 + source.below(3), 1 + source.below(5)),
            18 | 19 => (1 + source.below(2), 62 + source.below(5)),
            20 | 21 => (1 + source.below(2), 130),
            22 => (0, 3),
            _ => (3, 0),
        };
        // Large maps with few planes, or the reference takes too long.
        let planes = (most / map.len().unwrap_or(0).max(1)).max(1);
        let samples = samples.min(planes);
        let channels = channels.min(planes / samples.max(1));
        let layout = source.pick(Layout::ALL);
        let shape = Shape::new(samples, channels, map, layout);
        let key = draw_key(source);
        let [input, output] = match source.below(8) {
            0..=3 => [None; 2],
            // The same strides for both.
            4 => [Some(Place::draw(source, &shape, false)); 2],
            _ => [true, false].map(|may_repeat| {
                let is_dense = source.one_in(5);
                (!is_dense).then(|| Place::draw(source, &shape, may_repeat))
            }),
        };
        (options, Self { layer, shape, key, input, output })
    }
}

/// Maps of every rank, of sizes around the word and the lane, and a few that are empty; of so many
/// positions at most.
pub fn draw_map(source: &mut impl Source, most: usize) -> Map {
    let (rank, [mut d, mut h, mut w]) = match source.below(13) {
        0..=5 => (2, [1, draw_edge(source), draw_edge(source)]),
        6 => (1, [1, 1, 1 + source.below(699)]),
        7 => (3, [1 + source.below(5), 1 + source.below(8), 1 + source.below(19)]),
        8 => (3, [1 + source.below(5), 1 + source.below(11), draw_edge(source)]),
        9 => (1, [1, 1, source.pick(&[4095, 4096, 4097, 17_000])]),
        10 => (2, [1, 100 + source.below(60), 120 + source.below(30)]),
        11 => (3, [5, 60, 61]),
        _ => source.pick(&[(2, [1, 0, 3]), (1, [1, 1, 0]), (3, [2, 3, 0])]),
    };
    while d * h * w > most.max(1) {
        let longest = [&mut d, &mut h, &mut w].into_iter().max();
        longest.into_iter().for_each(|size| *size /= 2);
    }
    match rank {
        1 => Map::l(w),
        2 => Map::hw(h, w),
        _ => Map::dhw(d, h, w),
    }
}

fn draw_edge(source: &mut impl Source) -> usize {
    match source.below(5) {
        0 | 1 => 1 + source.below(19),
        2 => 31 + source.below(3),
        _ => 62 + source.below(5),
    }
}

fn draw_key(source: &mut impl Source) -> Key {
    let mut word = || match source.below(4) {
        0 => 0,
        1 => source.below(9) as u64,
        2 => u64::MAX,
        _ => source.bytes(8),
    };
    let key = Key::new(word()).with_step(word()).with_layer(word());
    key.with_first_sample(match source.below(8) {
        0..=5 => 0,
        6 => 1 + source.below(49) as u64,
        _ => 1_000_000_000 + source.below(50) as u64,
    })
}

/// Packs a mask into words, as the crate lays it out.
pub fn pack(mask: &[bool]) -> Vec<u64> {
    let word = |units: &[bool]| (0..).zip(units).map(|(i, &unit)| u64::from(unit) << i).sum();
    mask.chunks(64).map(word).collect()
}
