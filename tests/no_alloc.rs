//! No operation allocates: an allocator that counts stands in for the system's.

use std::alloc::{GlobalAlloc, Layout as Memory, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use dropblock::{
    Backend, BlockSize, Dilation, DropBlock, Error, Fill, Gamma, Key, Layout, Map, Region, Scale,
    Schedule, Shape,
};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

#[allow(unsafe_code, reason = "an allocator cannot be written without")]
// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, memory: Memory) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
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

#[test]
fn no_operation_allocates() -> Result<(), Error> {
    let len = 2 * 5 * 130 * 131;
    let (mut x, mut y) = (vec![1.0_f32; len], vec![1.0_f32; len]);
    let mut mask = vec![0; len / 64 + 1];
    let (mut quantised, mut view) =
        (vec![1_i8; len], vec![1_i8; (1 << 18) + (1 << 17) + 129 * 140 + 131]);
    let mut bytes = vec![1; 130 * 131];
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
        for scale in
            [Scale::Tensor, Scale::Sample, Scale::Channel, Scale::Fixed, Scale::PerPosition]
        {
            for backend in Backend::available() {
                for region in [Region::Valid, Region::Full] {
                    let layer = DropBlock::new(5, 0.1)?.with_gamma(Gamma::Exact)?;
                    let layer =
                        layer.with_scale(scale).with_region(region).with_backend(backend)?;
                    let layer = layer.with_fill(Fill::Noise);
                    let plan = layer.plan(Shape::new(2, 5, Map::hw(130, 131), layout))?;
                    let key = Key::new(1);
                    let dropped = plan.forward(key, &x, &mut y, Some(&mut mask))?;
                    plan.forward_in_place(key, &mut x, None)?;
                    plan.backward(key, &dropped, &x, &mut y)?;
                    plan.apply_in_place(&mask, &dropped, &mut x)?;
                    plan.centers(key, &mut mask)?;
                    plan.dilate(&mut mask)?;
                    plan.count_group(&mask, 0)?;
                    plan.drop_only(key, &mut quantised, 3, None)?;
                    plan.mask(key, &mut mask)?;
                    plan.fill_dropped(&mask, &mut quantised, 3)?;
                    plan.fill_noise(key, &mask, &mut x)?;
                    let mut kept = 0;
                    plan.for_each_plane(key, |part| {
                        kept += part.mask.keep_runs().map(|run| run.len()).sum::<usize>();
                    })?;
                    let row = plan.view(&mask, 1, 4)?.part(131..262);
                    kept += row.keep_lanes::<8>(9).len() + row.keep_word(3).count_ones() as usize;
                    assert!(kept > 0);
                    let crop = plan.shape().with_strides([1 << 18, 1 << 15, 0, 140, 1]);
                    layer.plan(crop)?.drop_only(key, &mut view, 3, Some(&mut mask))?;
                    let _ = Schedule::cosine(0.0, 0.1)?.at(7, 100);
                    let dilation = Dilation::new(Map::hw(130, 131), BlockSize::hw(3, 8))?;
                    dilation.with_backend(backend)?.dilate_in_place(&mut bytes)?;
                }
            }
        }
    }
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed), before);
    Ok(())
}
