//! No operation allocates: an allocator that counts stands in for the system's. Every public
//! function that runs without the feature `rayon` is called here.

use std::alloc::{GlobalAlloc, Layout as Memory, System};
use std::cell::Cell;
use std::fmt::{self, Write};
use std::hint::black_box;

use dropblock::{
    Alignment, Backend, BlockSize, Dilation, DropBlock, Dropped, Element, Error, Fill, Gamma, Key,
    Layout, Map, MaskView, Plan, Region, Scale, Schedule, Shape, Sharing, reference,
};

struct Counting;

thread_local! {
    /// Of this thread: the one that waits for the test's end may allocate meanwhile.
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
    tensors::<half::f16>()?;
    #[cfg(feature = "half")]
    tensors::<half::bf16>()?;
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
        DropBlock::new(7, 0.1)?.with_block_size(BlockSize::relative(0.25))?.inference(),
    ] {
        let plan = layer.with_alignment(Alignment::After).plan(shape)?;
        assert!(plan.gamma() <= 1.0 && plan.expected_dropped() <= 1.0);
        assert!(plan.options().drop_prob() <= 1.0 && !plan.is_empty());
        let numbers = [plan.len(), plan.extent(), plan.units(), plan.mask_len(), plan.groups()];
        assert!(numbers.iter().all(|&number| number > 0));
        assert_eq!(plan.shape().extent(), shape.len());
    }
    let errors = [
        DropBlock::new(0, 0.1).err(),
        DropBlock::new(7, 1.5).err(),
        DropBlock::new(7, 0.1)?.plan(Shape::nchw(usize::MAX, 1, 1, 1)).err(),
        DropBlock::new(7, 0.1)?.plan(shape.with_strides([0; 5])).err(),
        MaskView::new(&[], 0..9).err(),
    ];
    for error in errors {
        let mut text = Text { bytes: [0; 256], len: 0 };
        assert!(error.is_some_and(|error| write!(text, "{error}").is_ok()) && text.len > 0);
    }
    let mut text = Text { bytes: [0; 256], len: 0 };
    assert!(write!(text, "{} {:?}", Backend::detect(), Backend::ALL).is_ok());
    Ok(())
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
                let dilation = Dilation::aligned(map, BlockSize::uniform(8), Alignment::After)?;
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

/// All operations on tensors of every rank and layout, with every scale and sharing.
fn tensors<T: Element>() -> Result<(), Error> {
    let gaps = |shape: Shape| shape.with_strides([1 << 18, 1 << 15, 1 << 12, 140, 1]);
    let shapes = [Layout::ChannelsFirst, Layout::ChannelsLast].map(|layout| {
        [
            Shape::new(2, 3, Map::hw(130, 131), layout),
            Shape::new(2, 66, Map::hw(9, 10), layout),
            Shape::new(3, 2, Map::l(4097), layout),
            Shape::new(2, 5, Map::dhw(3, 11, 12), layout),
            gaps(Shape::new(2, 5, Map::hw(130, 131), layout)),
            gaps(Shape::new(2, 3, Map::dhw(3, 11, 12), layout)),
        ]
    });
    let sharings = [Sharing::SampleChannel, Sharing::Sample, Sharing::Channel, Sharing::All];
    let mut turn = 0;
    for shape in shapes.into_iter().flatten() {
        for scale in [
            Scale::Tensor,
            Scale::Sample,
            Scale::Channel,
            Scale::Fixed,
            Scale::None,
            Scale::PerPosition,
        ] {
            turn += 1;
            let layer = DropBlock::new(5, 0.1)?
                .with_gamma(if turn % 3 == 0 { Gamma::Raw(0.0) } else { Gamma::Exact })?
                .with_scale(scale)
                .with_region([Region::Valid, Region::Full][turn % 2])
                .with_sharing(sharings[turn / 2 % 4])
                .with_fill([Fill::Zero, Fill::Noise][turn / 5 % 2]);
            let mut buffers = Buffers::<T>::new(&layer.plan(shape)?);
            for backend in Backend::available() {
                let result = count_allocations(|| {
                    every_operation(&layer.with_backend(backend)?.plan(shape)?, &mut buffers)
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
    quantised: Vec<i8>,
    mask: Vec<u64>,
}

impl<T: Element> Buffers<T> {
    fn new(plan: &Plan) -> Self {
        Self {
            x: vec![T::ONE; plan.extent()],
            y: vec![T::ONE; plan.extent()],
            quantised: vec![1; plan.extent()],
            mask: vec![0; plan.mask_len()],
        }
    }
}

fn every_operation<T: Element>(plan: &Plan, buffers: &mut Buffers<T>) -> Result<(), Error> {
    let Buffers { x, y, quantised, mask } = buffers;
    let key = Key::new(1).step(2).layer(3).first_sample(4);
    let _ = plan.backend();

    // The stages one by one, then joined.
    plan.centers(key, mask)?;
    plan.centers_from_rng(&mut reference::generator(&key, 0), mask)?;
    plan.dilate(mask)?;
    let dropped: Dropped = plan.count(mask)?;
    plan.count_group(mask, 0)?;
    plan.apply(mask, &dropped, x, y)?;
    plan.apply_in_place(mask, &dropped, x)?;
    plan.fill_dropped(mask, quantised, 3)?;
    plan.fill_noise(key, mask, x)?;
    plan.mask(key, mask)?;

    plan.forward(key, x, y, Some(mask))?;
    plan.forward(key, x, y, None)?;
    let dropped = plan.forward_in_place(key, x, Some(mask))?;
    plan.forward_in_place(key, x, None)?;
    plan.backward(key, &dropped, x, y)?;
    plan.backward_in_place(key, &dropped, x)?;
    plan.drop_only(key, quantised, 3, None)?;
    plan.drop_only(key, quantised, 3, Some(mask))?;
    let _ = (plan.scale::<T>(&dropped), plan.position_scale::<T>(7)?);
    let _ = (dropped.scale::<T>(), dropped.fraction());

    // Masks in loops of the caller's.
    let mut kept = 0;
    plan.for_each_plane(key, |part| {
        kept += part.mask.keep_runs().map(|run| run.len()).sum::<usize>();
    })?;
    let view: MaskView<'_> = plan.view(mask, 1, 1)?;
    let row = view.part(11..62);
    kept += row.keep_lanes::<8>(9).len() + row.keep_word(3).count_ones() as usize;
    kept += usize::from(row.is_kept(4)) + view.dropped().count as usize + row.len();
    assert!(kept > 0 && !row.is_empty());
    Ok(())
}
