//! No operation allocates: an allocator that counts stands in for the system's. Every public
//! function that runs without the feature `rayon` is called here.

use std::alloc::{GlobalAlloc, Layout as Memory, System};
use std::cell::Cell;
use std::fmt::{self, Write};
use std::hash::{Hash, Hasher};
use std::hint::black_box;
use std::mem::MaybeUninit;

use dropblock::{
    Alignment, Backend, BlockSize, Dilation, Drawn, DropBlock, DropCount, Element, Error, Fill,
    Gamma, Keep, Key, Layout, Map, Mask, Plan, Region, Scale, Schedule, Shape, Sharing, View,
    ViewMut,
};
use rand_xoshiro::Xoshiro128PlusPlus;
use rand_xoshiro::rand_core::SeedableRng as _;

struct Counting;

thread_local! {
    /// Those of this thread: the harness allocates in its own while a test runs.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

#[allow(unsafe_code, reason = "an allocator cannot be written without")]
// SAFETY: every call goes to the system's allocator as it is. `realloc` and `alloc_zeroed` are the
// provided ones, which call `alloc`.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, memory: Memory) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(memory) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, memory: Memory) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, memory) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs a part and returns what it returned, or the number of allocations if there were any.
fn count_allocations<R>(part: impl FnOnce() -> R) -> Result<R, usize> {
    let before = ALLOCATIONS.get();
    let result = part();
    match ALLOCATIONS.get() - before {
        0 => Ok(result),
        allocations => Err(allocations),
    }
}

#[test]
fn no_operation_allocates() -> Result<(), Error> {
    assert_eq!(
        count_allocations(|| drop(black_box(vec![1_u8; 3]))),
        Err(1),
        "the allocator counts"
    );
    assert_eq!(count_allocations(schedules), Ok(Ok(())), "schedules");
    assert_eq!(count_allocations(presets_and_errors), Ok(Ok(())), "presets and errors");
    dilations()?;
    tensors::<f32>()?;
    tensors::<f64>()?;
    #[cfg(feature = "half")]
    tensors::<dropblock::half::f16>()?;
    #[cfg(feature = "half")]
    tensors::<dropblock::half::bf16>()?;
    Ok(())
}

fn schedules() -> Result<(), Error> {
    for schedule in [
        Schedule::constant(0.1)?,
        Schedule::linear(0.0, 0.1)?,
        Schedule::cosine(0.0, 0.1)?,
        Schedule::steps(3.0, &[(400, 5.0), (800, 7.0)])?,
        Schedule::paper(0.1)?,
        Schedule::darknet(7.0)?.after(100),
    ] {
        for step in [0, 1, 450, 999, 1000, u64::MAX] {
            let _ = (schedule.at(step, 1000), schedule.block_size(step, 1000));
        }
    }
    Ok(())
}

/// Text on the stack.
struct Text {
    bytes: [u8; 256],
    len: usize,
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        let place = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

fn presets_and_errors() -> Result<(), Error> {
    let shape = Shape::nchw(2, 3, 14, 14);
    for layer in [
        DropBlock::new(7, 0.1)?,
        DropBlock::tensorflow(7, 0.1)?,
        DropBlock::timm(7, 0.1)?,
        DropBlock::timm_legacy(7, 0.1)?,
        DropBlock::miguelvr(7, 0.1)?,
        DropBlock::dragon(7, 0.1)?,
        DropBlock::new(7, 0.1)?.with_gamma(Gamma::Exact)?,
        DropBlock::new(7, 0.1)?.with_gamma(Gamma::paper_group(3))?,
        DropBlock::new(7, 0.1)?.with_block_size(BlockSize::relative(0.25))?.with_training(false),
        DropBlock::new(7, 0.1)?.with_drop_prob(0.2)?.with_training(true),
    ] {
        let plan = layer.with_alignment(Alignment::After).plan(shape)?;
        assert!(plan.gamma() <= 1.0 && plan.expected_dropped() <= 1.0);
        assert!(plan.layer().drop_prob() <= 1.0 && layer.gamma() == plan.layer().gamma());
        assert_eq!(
            (layer.block_size(), layer.region()),
            (layer.block_size(), plan.layer().region())
        );
        assert_eq!(
            (layer.sharing(), layer.scale()),
            (plan.layer().sharing(), plan.layer().scale())
        );
        assert_eq!((layer.fill(), plan.layer().alignment()), (Fill::Zero, Alignment::After));
        assert_eq!(layer.is_training(), plan.layer().is_training());
        let numbers = [plan.elements(), plan.units(), plan.mask_words(), plan.groups()];
        assert!(numbers.iter().all(|&number| number > 0));
        assert_eq!(Ok(plan.elements()), plan.shape().len());
        let last = plan.with_samples(1)?;
        assert!(last != plan && last.with_samples(2)? == plan);
        let mut hasher = std::hash::DefaultHasher::new();
        plan.hash(&mut hasher);
        assert_ne!(hasher.finish(), 0);
    }
    let errors = [
        DropBlock::new(0, 0.1).err(),
        DropBlock::new(7, 1.5).err(),
        DropBlock::new(7, 0.1)?.plan(Shape::nchw(usize::MAX, 1, 1, 1)).err(),
        DropBlock::new(7, 0.1)?.plan(Shape::nchw(1, 1, 1, usize::MAX)).err(),
        Schedule::steps(0.0, &[(0, 1.0); 33]).err(),
        Keep::new(&[], 0..9).err(),
        stride_error(&DropBlock::new(7, 0.1)?.plan(Shape::nchw(1, 2, 3, 4))?),
    ];
    for error in errors {
        let mut text = Text { bytes: [0; 256], len: 0 };
        assert!(error.is_some_and(|error| write!(text, "{error}").is_ok()) && text.len > 0);
    }
    let mut text = Text { bytes: [0; 256], len: 0 };
    assert!(write!(text, "{} {:?}", Backend::detect(), Backend::ALL).is_ok());
    Ok(())
}

fn stride_error(plan: &Plan) -> Option<Error> {
    plan.forward_in_place(Key::new(1), ViewMut::new(&mut [0.0_f32; 99], 0, [0; 5])).err()
}

fn dilations() -> Result<(), Error> {
    for map in [Map::l(17_000), Map::hw(130, 131), Map::dhw(5, 60, 61)] {
        let len = 3 * map.len()?;
        let (source, mut bytes) = (vec![1; len], vec![0; len]);
        let mut bits = vec![1; len.div_ceil(64)];
        for backend in Backend::available() {
            let result = count_allocations(|| {
                let dilation = Dilation::new(map, BlockSize::uniform(3))?;
                dilation.with_backend(backend)?.dilate_in_place(&mut bytes)?;
                let dilation =
                    Dilation::new(map, BlockSize::uniform(8))?.with_alignment(Alignment::After);
                let dilation = dilation.with_backend(backend)?;
                dilation.dilate(&source, &mut bytes)?;
                dilation.dilate_rows_in_place(&mut bytes)?;
                dilation.dilate_cols_in_place(&mut bytes)?;
                assert_eq!(dilation.words(3)?, bits.len());
                dilation.dilate_bits_in_place(3, &mut bits)?;
                dilation.dilate_bit_rows_in_place(3, &mut bits)?;
                dilation.dilate_bit_cols_in_place(3, &mut bits)
            });
            assert_eq!(result, Ok(Ok(())), "{backend} {map:?}");
        }
    }
    Ok(())
}

/// All operations on tensors of every rank and layout, dense and as views, with every scale and
/// sharing.
fn tensors<T: Element>() -> Result<(), Error> {
    let shapes = Layout::ALL.iter().map(|&layout| {
        [
            Shape::new(2, 3, Map::hw(130, 131), layout),
            Shape::new(2, 66, Map::hw(9, 10), layout),
            Shape::new(3, 2, Map::l(4097), layout),
            Shape::new(2, 5, Map::dhw(3, 11, 12), layout),
        ]
    });
    let mut turn = 0;
    for shape in shapes.into_iter().flatten() {
        for &scale in Scale::ALL {
            turn += 1;
            let layer = DropBlock::new(5, 0.1)?
                .with_gamma(if turn % 3 == 0 { Gamma::Raw(0.0) } else { Gamma::Exact })?
                .with_scale(scale)
                .with_region(Region::ALL[turn % 2])
                .with_sharing(Sharing::ALL[turn / 2 % 4])
                .with_fill(Fill::ALL[turn / 5 % 2]);
            let mut buffers = Buffers::<T>::new(&layer.plan(shape)?);
            for backend in Backend::available() {
                let result = count_allocations(|| {
                    let plan = layer.with_backend(backend)?.plan(shape)?;
                    let maps = maps_of_the_callers(&plan, &mut buffers)?;
                    every_operation(&plan, maps, &mut buffers)?;
                    views(&plan, &mut buffers)
                });
                assert_eq!(result, Ok(Ok(())), "{layer:?} {shape:?}");
            }
        }
    }
    Ok(())
}

struct Buffers<T> {
    x: Vec<T>,
    y: Vec<T>,
    fresh: Vec<MaybeUninit<T>>,
    /// Room for a view, and its strides.
    wide: Vec<T>,
    strides: [isize; 5],
    quantised: Vec<i8>,
    words: Vec<u64>,
}

impl<T: Element> Buffers<T> {
    fn new(plan: &Plan) -> Self {
        let [_, h, w] = plan.shape().map().size();
        // Rows from the last to the first, each with a gap behind it.
        let row = w + 3;
        let plane = plan.shape().map().size()[0] * h * row;
        let sample = plan.shape().channels() * plane;
        let strides = [sample, plane, h * row, row, 1].map(|stride| stride as isize);
        let [sample_stride, channel, slice, row_stride, step] = strides;
        Self {
            x: vec![T::ONE; plan.elements()],
            y: vec![T::ONE; plan.elements()],
            fresh: vec![MaybeUninit::new(T::ONE); plan.elements()],
            wide: vec![T::ONE; plan.shape().samples() * sample],
            strides: [sample_stride, channel, slice, -row_stride, step],
            quantised: vec![1; plan.elements()],
            words: vec![0; plan.mask_words()],
        }
    }
}

fn every_operation<T: Element>(
    plan: &Plan,
    kept: usize,
    buffers: &mut Buffers<T>,
) -> Result<(), Error> {
    let Buffers { x, y, fresh, quantised, words, .. } = buffers;
    let key = Key::new(1).with_step(2).with_layer(3).with_first_sample(4);
    assert!(kept > 0 && Key::from_words(key.to_words()) == key);
    let _ = plan.backend();

    // The stages one by one, then joined.
    plan.draw_centers(key, words)?;
    plan.draw_centers_from(&mut Xoshiro128PlusPlus::seed_from_u64(1), words)?;
    plan.dilate(words)?;
    let mask: Mask<'_> = plan.mask_from(words)?.with_key(key)?;
    mask.count_group(0)?;
    let mask = mask.with_count(mask.count())?;
    mask.forward(&*x, &mut *y)?;
    mask.forward(&*x, ViewMut::uninit(fresh))?;
    mask.forward_in_place(&mut *x)?;
    mask.backward(&*x, &mut *y)?;
    mask.backward_in_place(&mut *x)?;
    mask.drop_only(&mut *quantised, 3)?;

    let mask = plan.draw(key, words)?;
    mask.forward_in_place(&mut *x)?;
    let drawn = mask.drawn().unwrap_or(Drawn::from(key));
    let drawn = Drawn::from_words(drawn.to_words());
    assert_eq!(plan.count(key)?, drawn);
    for drawn in [drawn, Drawn::from(key)] {
        plan.forward(drawn, &*x, &mut *y)?;
        plan.forward(drawn, &*x, ViewMut::uninit(fresh))?;
        plan.forward_in_place(drawn, &mut *x)?;
        plan.backward(drawn, &*x, &mut *y)?;
        plan.backward_in_place(drawn, &mut *x)?;
    }
    plan.drop_only(key, &mut *quantised, 3)?;
    let count: DropCount = drawn.count().unwrap_or_default();
    let _ = (plan.scale::<T>(count), plan.position_scale::<T>(7)?, count.fraction());
    // Errors as well.
    let wrong = Drawn::from(key).with_count(DropCount { dropped: 1, total: 0 });
    assert!(plan.backward_in_place(wrong, &mut *x).is_err());
    assert!(mask.with_count(DropCount { dropped: 1, total: 0 }).is_err());
    assert!(mask.forward(&x[1..], &mut *y).is_err());
    Ok(())
}

/// Tensors that do not lie as the plan's shape says.
fn views<T: Element>(plan: &Plan, buffers: &mut Buffers<T>) -> Result<(), Error> {
    let Buffers { x, y, wide, strides, words, .. } = buffers;
    let (key, row) = (Key::new(1), strides[3].unsigned_abs());
    let first = (plan.shape().map().size()[1] - 1) * row;
    let mask = plan.draw(key, words)?;
    mask.forward(&*x, ViewMut::new(wide, first, *strides))?;
    mask.forward_in_place(ViewMut::new(wide, first, *strides))?;
    mask.backward(View::new(wide, first, *strides), &mut *y)?;
    mask.drop_only(ViewMut::new(wide, first, *strides), T::ZERO)?;
    plan.forward(key, &*x, ViewMut::new(wide, first, *strides))?;
    plan.forward_in_place(key, ViewMut::new(wide, first, *strides))?;
    plan.backward(key, View::new(wide, first, *strides), &mut *y)?;
    plan.backward(key, View::new(wide, 0, [0; 5]), &mut *y)?;
    plan.backward_in_place(key, ViewMut::new(wide, first, *strides))?;
    plan.drop_only(key, ViewMut::new(wide, first, *strides), T::ZERO)?;
    Ok(())
}

/// Masks in loops of the caller's.
fn maps_of_the_callers<T: Element>(plan: &Plan, buffers: &mut Buffers<T>) -> Result<usize, Error> {
    let key = Key::new(1);
    let mut kept = 0;
    plan.for_each_map(key, |part| {
        let _ = (part.sample(), part.channel(), part.elements(), part.scale::<T>());
        kept += part.keep().runs().map(|run| run.len()).sum::<usize>();
    })?;
    let mask = plan.draw(key, &mut buffers.words)?;
    kept += mask.dropped_words().len();
    if let Ok(maps) = mask.maps() {
        kept += maps.map(|map| map.positions().len()).sum::<usize>();
    }
    let keep: Keep<'_> = mask.map(1, 1)?.keep();
    let row = keep.part(11..62);
    kept += row.lanes::<8>(9).len() + row.word(3).count_ones() as usize;
    kept += usize::from(row.is_kept(4)) + row.len();
    assert!(!row.is_empty());
    Ok(kept)
}
