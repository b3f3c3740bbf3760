//! The host side of the CUDA path: no driver, wrong arguments, and one pass of each kind.
//!
//! Without a driver only the clear error can be seen. With `DROPBLOCK_REQUIRE_CUDA=1` a missing
//! driver or device fails the tests; otherwise they say that they were not run.

use dropblock::cuda::bytemuck::{self, Pod};
use dropblock::cuda::{self, Device, Error, Layer, Slice, SliceMut, Stream};
use dropblock::half::{bf16, f16};
use dropblock::{
    BlockSize, Buffer, DropBlock, Element, Fill, Key, Map, Plan, Region, Scale, Shape, Sharing,
    View, ViewMut,
};

/// The first device, or `None` where none is required.
pub(crate) fn device() -> Option<Device> {
    let required = std::env::var("DROPBLOCK_REQUIRE_CUDA").is_ok_and(|value| value == "1");
    match Device::new(0) {
        Ok(device) => Some(device),
        Err(error) if required => panic!("DROPBLOCK_REQUIRE_CUDA is set, and: {error}"),
        Err(error) => {
            println!("not run: {error}");
            None
        }
    }
}

fn on_device(test: impl FnOnce(&Device) -> Result<(), Error>) -> Result<(), Error> {
    device().map_or(Ok(()), |device| test(&device))
}

fn plan() -> Result<Plan, dropblock::Error> {
    DropBlock::new(3, 0.3)?.plan(Shape::nchw(2, 3, 13, 17))
}

fn length(buffer: Buffer, needed: usize, given: usize) -> Result<(), Error> {
    Err(dropblock::Error::Length { buffer, needed, given }.into())
}

#[test]
fn a_missing_driver_is_a_clear_error() {
    match Device::count() {
        Ok(0) => assert_eq!(Device::new(0).err(), Some(Error::NoDevice { given: 0, count: 0 })),
        Ok(count) => {
            let given = count + 7;
            let error = Error::NoDevice { given, count };
            assert_eq!(Device::new(given).err(), Some(error));
            assert_eq!(
                error.to_string(),
                format!("CUDA device must be below {count}, got {given}")
            );
        }
        Err(error) => {
            assert_eq!(error, Error::NoDriver);
            assert_eq!(Device::new(0).err(), Some(Error::NoDriver));
            let message = "there is no CUDA driver: libcuda.so.1 was not found";
            assert_eq!(error.to_string(), message);
            device();
        }
    }
}

#[test]
fn launches_out_of_range() -> Result<(), Error> {
    on_device(|device| {
        let stream = device.stream()?;
        let layer = || Layer::new(&plan()?, &stream);
        for given in [0, 33] {
            let error = layer()?.with_lanes(given).err();
            assert_eq!(error, Some(Error::Lanes { limit: 32, given }));
        }
        assert!(layer()?.with_lanes(1)?.with_lanes(32).is_ok());
        for given in [0, 63, 100, 65536 + 64] {
            let error = layer()?.with_tile(given).err();
            assert_eq!(error, Some(Error::Tile { limit: 65536, given }));
        }
        Ok(())
    })
}

#[test]
fn buffers_of_the_wrong_length() -> Result<(), Error> {
    on_device(|device| {
        let (plan, stream, key) = (plan()?, device.stream()?, Key::new(1));
        let layer = Layer::new(&plan, &stream)?;
        let len = plan.elements();
        let mut counts = device.zeros::<u64>(1)?;
        let mut words = device.zeros::<u64>(plan.mask_words())?;
        let (mut x, mut y) = (device.upload(&vec![5.0_f32; len])?, device.zeros::<f32>(len)?);
        let mut short = device.zeros::<f32>(len - 1)?;
        let mut none = device.zeros::<u64>(0)?;

        let forward = layer.pass().forward(key, short.slice(), y.slice_mut(), None);
        assert_eq!(forward, length(Buffer::Input, len, len - 1));
        let forward = layer.pass().forward(key, x.slice(), short.slice_mut(), None);
        assert_eq!(forward, length(Buffer::Output, len, len - 1));
        let forward = layer.pass().forward_in_place(key, x.slice_mut(), Some(none.slice_mut()));
        assert_eq!(forward, length(Buffer::Counts, 1, 0));
        let mask = layer.pass().draw(key, none.slice_mut(), Some(counts.slice_mut()));
        assert_eq!(mask, length(Buffer::Mask, plan.mask_words(), 0));
        let dilate = layer.pass().dilate(none.slice(), words.slice_mut());
        assert_eq!(dilate, length(Buffer::Mask, plan.mask_words(), 0));
        let backward = layer.pass().backward_in_place(key, None, x.slice_mut());
        assert_eq!(backward, Err(Error::Counts));
        let apply = layer.pass().apply_in_place(words.slice(), None, x.slice_mut());
        assert_eq!(apply, Err(Error::Counts));
        let wide =
            layer.pass().drop_only(key, device.zeros::<[u64; 2]>(len)?.slice_mut(), [0; 2], None);
        assert_eq!(wide, Err(Error::Type { size: 16 }));
        let download = stream.download(x.slice(), &mut [0.0; 3]);
        assert_eq!(download, length(Buffer::Output, len, 3));
        let last = key.with_first_sample(u64::MAX);
        let first = layer.pass().forward_in_place(last, x.slice_mut(), None);
        assert!(matches!(first, Err(Error::Plan(dropblock::Error::FirstSample { .. }))));

        // Nothing has been written.
        let mut host = vec![0.0; len];
        stream.download(x.slice(), &mut host)?;
        assert_eq!(host, vec![5.0; len]);
        Ok(())
    })
}

#[test]
#[allow(unsafe_code, reason = "addresses that are refused, so that none is used")]
fn addresses_that_cannot_be() -> Result<(), Error> {
    on_device(|device| {
        let (plan, stream, key) = (plan()?, device.stream()?, Key::new(1));
        let layer = Layer::new(&plan, &stream)?;
        let len = plan.elements();
        let mut memory = device.zeros::<f32>(2 * len)?;
        let at = memory.address();
        // SAFETY: all of it is refused, but for the last two calls, which stay in the buffer.
        let at = |address| unsafe { (Slice::<f32>::from_raw(at + address, len), at + address) };
        let from = |(slice, _): (Slice<'static, f32>, u64)| slice;
        let to = |(_, address): (Slice<'static, f32>, u64)| {
            // SAFETY: as above.
            unsafe { SliceMut::<f32>::from_raw(address, len) }
        };
        let forward = layer.pass().forward(key, from(at(0)), to(at(4)), None);
        assert_eq!(forward, Err(Error::Overlap));
        let forward = layer.pass().forward(key, from(at(4)), to(at(0)), None);
        assert_eq!(forward, Err(Error::Overlap));
        let forward = layer.pass().forward(key, from(at(2)), to(at(0)), None);
        assert_eq!(forward, Err(Error::Misaligned { needed: 4, given: memory.address() + 2 }));
        // SAFETY: it is refused.
        let null = unsafe { SliceMut::<f32>::from_raw(0, len) };
        assert_eq!(layer.pass().forward_in_place(key, null, None), Err(Error::Null));
        // SAFETY: it is refused.
        let counts = unsafe { SliceMut::<u64>::from_raw(memory.address() + 8, 1) };
        let forward = layer.pass().forward(key, from(at(0)), to(at(4 * len as u64)), Some(counts));
        assert_eq!(forward, Err(Error::Overlap));

        layer.pass().forward(key, from(at(0)), to(at(4 * len as u64)), None)?;
        layer.pass().forward(key, from(at(0)), to(at(0)), None)?;
        stream.synchronize()?;
        let whole = memory.slice_mut();
        assert!(whole.get(len + 1..2 * len + 1).is_none());
        Ok(())
    })
}

#[test]
#[allow(unsafe_code, reason = "addresses that are refused, and two parts of one buffer")]
fn copies_on_the_device() -> Result<(), Error> {
    on_device(|device| {
        let stream = device.stream()?;
        let source: Vec<u16> = (0..1000).collect();
        let mut all = device.upload(&source)?;
        let mut other = device.zeros::<u16>(300)?;
        let from = all.slice().get(100..400).unwrap_or_else(|| unreachable!("it is inside"));
        stream.copy(from, other.slice_mut())?;
        let mut found = vec![0; 300];
        stream.download(other.slice(), &mut found)?;
        assert_eq!(found, source[100..400]);

        let short = stream.copy(all.slice(), other.slice_mut());
        assert_eq!(short, length(Buffer::Output, 300, 1000));
        // SAFETY: refused before they are used.
        let odd = unsafe { Slice::<u16>::from_raw(all.address() + 1, 300) };
        let odd = stream.copy(odd, other.slice_mut());
        let given = all.address() + 1;
        assert_eq!(odd, Err(Error::Misaligned { needed: 2, given }));
        // SAFETY: as above.
        let null = unsafe { Slice::<u16>::from_raw(0, 300) };
        assert_eq!(stream.copy(null, other.slice_mut()), Err(Error::Null));
        // SAFETY: plain numbers in a buffer that lives to the end.
        let before = unsafe { Slice::<u16>::from_raw(all.address(), 300) };
        let over = all.slice_mut().get(299..599).unwrap_or_else(|| unreachable!("it is inside"));
        assert_eq!(stream.copy(before, over), Err(Error::Overlap));
        let next = all.slice_mut().get(300..600).unwrap_or_else(|| unreachable!("it is inside"));
        stream.copy(before, next)?;
        let mut found = vec![0; 1000];
        stream.download(all.slice(), &mut found)?;
        assert_eq!(found[..300], found[300..600]);
        // Of nothing.
        let mut none = device.zeros::<u16>(0)?;
        let nothing = device.zeros::<u16>(0)?;
        stream.copy(nothing.slice(), none.slice_mut())
    })
}

#[test]
fn a_layer_and_its_stream_move_between_threads() -> Result<(), Error> {
    on_device(|device| {
        let (plan, key) = (plan()?, Key::new(4));
        let layer = Layer::new(&plan, &device.stream()?)?;
        let mut x = device.upload(&vec![1.0_f32; plan.elements()])?;
        let (x, layer) = std::thread::scope(|scope| {
            let other = scope.spawn(move || {
                layer.pass().forward_in_place(key, x.slice_mut(), None)?;
                Ok::<_, Error>((x, layer))
            });
            other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        let (mut host, mut expected) = (vec![0.0; plan.elements()], vec![1.0; plan.elements()]);
        layer.stream().download(x.slice(), &mut host)?;
        plan.forward_in_place(key, &mut expected)?;
        assert_eq!(host, expected);
        Ok(())
    })
}

#[test]
#[allow(unsafe_code, reason = "a stream that is known to live")]
fn the_stream_of_another_is_used() -> Result<(), Error> {
    on_device(|device| {
        let (plan, key, own) = (plan()?, Key::new(4), device.stream()?);
        for raw in [own.as_raw(), std::ptr::null_mut()] {
            // SAFETY: `own` lives; null is the default stream.
            let stream = unsafe { Stream::from_raw(device, raw) };
            let layer = Layer::new(&plan, &stream)?;
            let mut x = device.upload(&vec![1.0_f64; plan.elements()])?;
            let mut counts = device.zeros::<u64>(plan.groups())?;
            layer.pass().forward_in_place(key, x.slice_mut(), Some(counts.slice_mut()))?;
            let mut expected = vec![1.0_f64; plan.elements()];
            let drawn = plan.forward_in_place(key, &mut expected)?;
            assert_eq!(Some(layer.drop_count(counts.slice())?), drawn.count());
            let mut host = vec![0.0; plan.elements()];
            stream.download(x.slice(), &mut host)?;
            assert_eq!(host, expected);
        }
        Ok(())
    })
}

#[test]
fn events_tell_the_order() -> Result<(), Error> {
    on_device(|device| {
        let (one, two) = (device.stream()?, device.stream()?);
        let mut x = device.zeros::<u32>(1000)?;
        let start = one.record()?;
        one.upload(&[7; 1000], x.slice_mut())?;
        let end = one.record()?;
        two.wait(&end)?;
        let mut host = [0; 1000];
        two.download(x.slice(), &mut host)?;
        assert_eq!(host, [7; 1000]);
        assert!(start.elapsed_ms(&end)? >= 0.0);
        Ok(())
    })
}

#[test]
fn dilation_of_bytes_and_bits() -> Result<(), Error> {
    on_device(|device| {
        let stream = device.stream()?;
        let sizes = [
            (Map::l(70), BlockSize::uniform(1)),
            (Map::l(70), BlockSize::uniform(6)),
            (Map::hw(9, 13), BlockSize::hw(4, 3)),
            (Map::hw(9, 13), BlockSize::hw(40, 1)),
            (Map::dhw(5, 6, 7), BlockSize::dhw(2, 20, 5)),
        ];
        for (map, block) in sizes {
            let maps = 3;
            let dilation = dropblock::Dilation::new(map, block)?;
            let mut there = cuda::Dilation::new(&dilation, maps, &stream)?;
            let source: Vec<u8> = (0..dilation.map_len() * maps)
                .map(|i| if i % 37 == 5 { (i * 7 % 251) as u8 } else { 0 })
                .collect();
            let mut expected = vec![0; source.len()];
            dilation.dilate(&source, &mut expected)?;
            let (from, mut to) = (device.upload(&source)?, device.zeros::<u8>(source.len())?);
            there.dilate(from.slice(), to.slice_mut())?;
            let mut host = vec![0; source.len()];
            stream.download(to.slice(), &mut host)?;
            assert_eq!(host, expected, "{map:?} {block:?}");

            let mut words = vec![0; dilation.words(maps)?];
            for (i, _) in source.iter().enumerate().filter(|(_, byte)| **byte > 0) {
                words[i / 64] |= 1 << (i % 64);
            }
            let from = device.upload(&words)?;
            let mut to = device.upload(&vec![u64::MAX; words.len()])?;
            there.dilate_bits(from.slice(), to.slice_mut())?;
            dilation.dilate_bits_in_place(maps, &mut words)?;
            let mut host = vec![0; words.len()];
            stream.download(to.slice(), &mut host)?;
            assert_eq!(host, words, "{map:?} {block:?}");
        }
        Ok(())
    })
}

/// Nothing can be dropped: a fixed scale still scales, and a view keeps what lies between.
#[test]
fn nothing_to_drop() -> Result<(), Error> {
    on_device(|device| {
        let (stream, key) = (device.stream()?, Key::new(9));
        let raw = DropBlock::new(3, 0.25)?.with_gamma(dropblock::Gamma::Raw(0.0))?;
        for scale in [Scale::PerTensor, Scale::PerMap, Scale::Fixed, Scale::Off, Scale::PerPosition]
        {
            for (shape, strides) in [
                (Shape::nchw(2, 3, 5, 7), None),
                (Shape::nhwc(2, 5, 7, 3), None),
                (Shape::nchw(2, 3, 5, 7), Some([240, 80, 0, 16, 2])),
            ] {
                let plan = raw.with_scale(scale).plan(shape)?;
                let layer = view_layer(&plan, &stream, strides)?;
                let x: Vec<f32> = (0..layer.extent()).map(|i| i as f32).collect();
                let mut expected = vec![-1.0; x.len()];
                plan.forward(key, view(&x, strides), view_mut(&mut expected, strides))?;
                let from = device.upload(&x)?;
                let mut to = device.upload(&vec![-1.0; x.len()])?;
                let mut counts = device.upload(&vec![77_u64; plan.groups()])?;
                layer.pass().forward(
                    key,
                    from.slice(),
                    to.slice_mut(),
                    Some(counts.slice_mut()),
                )?;
                assert_eq!(layer.drop_count(counts.slice())?.dropped, 0);
                let mut host = vec![0.0; x.len()];
                stream.download(to.slice(), &mut host)?;
                assert_eq!(host, expected, "{scale:?} {shape:?}");
            }
        }
        let empty = raw.plan(Shape::nchw(0, 3, 5, 7))?;
        let mut x = device.zeros::<f32>(0)?;
        Layer::new(&empty, &stream)?.pass().forward_in_place(key, x.slice_mut(), None)
    })
}

/// A layer of dense tensors, or of views with these strides.
fn view_layer(plan: &Plan, stream: &Stream, strides: Option<[usize; 5]>) -> Result<Layer, Error> {
    let layer = Layer::new(plan, stream)?;
    strides.map_or(Ok(layer), |strides| Layer::new(plan, stream)?.with_strides(strides))
}

/// The same tensors for the processor.
pub(crate) fn view<T>(x: &[T], strides: Option<[usize; 5]>) -> View<'_, T> {
    strides.map_or(x.into(), |strides| View::new(x, 0, strides.map(|stride| stride as isize)))
}

pub(crate) fn view_mut<T>(x: &mut [T], strides: Option<[usize; 5]>) -> ViewMut<'_, T> {
    match strides {
        Some(strides) => ViewMut::new(x, 0, strides.map(|stride| stride as isize)),
        None => x.into(),
    }
}

/// Every way in which units and elements, scales and groups relate, once, for every operation.
#[test]
fn every_kind_of_pass() -> Result<(), Error> {
    on_device(|device| {
        for &sharing in Sharing::ALL {
            for &scale in Scale::ALL {
                let layer = DropBlock::new(4, 0.3)?.with_sharing(sharing).with_scale(scale);
                let full = layer.with_region(Region::Full).with_fill(Fill::Noise);
                for (layer, shape, strides) in [
                    (layer, Shape::nchw(2, 3, 11, 13), None),
                    (full, Shape::nchw(3, 2, 11, 13), None),
                    (full, Shape::nhwc(2, 11, 13, 3), None),
                    (layer, Shape::ncdhw(1, 5, 3, 5, 7), None),
                    (layer, Shape::nchw(2, 3, 5, 7), Some([240, 80, 0, 16, 2])),
                    (full, Shape::nchw(2, 3, 5, 7), Some([7, 14, 0, 42, 1])),
                ] {
                    let plan = (layer.plan(shape)?, strides);
                    check_passes::<f32>(device, &plan, |i| i as f32 - 70.5)?;
                    check_passes::<f64>(device, &plan, |i| i as f64 - 70.5)?;
                    check_passes::<f16>(device, &plan, |i| f16::from_f32(i as f32 - 70.5))?;
                    check_passes::<bf16>(device, &plan, |i| bf16::from_f32(i as f32 - 70.5))?;
                }
            }
        }
        Ok(())
    })
}

/// Compares all operations of a plan with those of the processor.
fn check_passes<T: Element + Pod>(
    device: &Device,
    &(ref plan, strides): &(Plan, Option<[usize; 5]>),
    value: impl Fn(usize) -> T,
) -> Result<(), Error> {
    let (stream, key) = (device.stream()?, Key::new(5).with_step(3).with_first_sample(2));
    let layer = view_layer(plan, &stream, strides)?.with_lanes(3)?.with_tile(128)?;
    let x: Vec<T> = (0..layer.extent()).map(&value).collect();
    let from = device.upload(&x)?;
    let mut words = vec![0; plan.mask_words()];
    let mut counts = device.upload(&vec![9_u64; plan.groups()])?;
    let mut mask = device.upload(&vec![u64::MAX; plan.mask_words()])?;
    let mut centers = device.upload(&vec![u64::MAX; plan.mask_words()])?;
    let mut y = device.zeros::<T>(x.len())?;
    let mut expected = vec![T::ZERO; x.len()];
    let mut host = expected.clone();
    let mut same = |y: &cuda::Buffer<T>, expected: &[T], name: &str| -> Result<(), Error> {
        stream.download(y.slice(), &mut host)?;
        // Bits, so that the sign of a zero counts.
        let bits = |x: &[T]| bytemuck::cast_slice::<T, u8>(x).to_vec();
        assert!(bits(&host) == bits(expected), "{name} {:?} {:?}", plan.layer(), plan.shape());
        Ok(())
    };
    let same_words = |mask: &cuda::Buffer<u64>, words: &[u64], name: &str| -> Result<(), Error> {
        let mut host = vec![0; words.len()];
        stream.download(mask.slice(), &mut host)?;
        assert_eq!(host, words, "{name} {:?} {:?}", plan.layer(), plan.shape());
        Ok(())
    };

    let groups = |mask: &dropblock::Mask<'_>| -> Result<Vec<u64>, Error> {
        (0..plan.groups()).map(|group| Ok(mask.count_group(group)?.dropped)).collect()
    };
    let drawn = plan.draw(key, &mut words)?;
    let of_groups = groups(&drawn)?;
    drawn.forward(view(&x, strides), view_mut(&mut expected, strides))?;
    layer.pass().forward(key, from.slice(), y.slice_mut(), Some(counts.slice_mut()))?;
    same(&y, &expected, "forward")?;
    same_words(&counts, &of_groups, "counts")?;
    assert_eq!(layer.drop_count(counts.slice())?, drawn.count());

    expected.fill(T::ZERO);
    drawn.backward(view(&x, strides), view_mut(&mut expected, strides))?;
    let mut dx = device.zeros::<T>(x.len())?;
    layer.pass().backward(key, Some(counts.slice()), from.slice(), dx.slice_mut())?;
    same(&dx, &expected, "backward")?;

    layer.pass().draw(key, mask.slice_mut(), Some(counts.slice_mut()))?;
    same_words(&mask, drawn.dropped_words(), "mask")?;
    same_words(&counts, &of_groups, "counts of a mask")?;
    let mut in_place = device.upload(&x)?;
    layer.pass().apply_in_place(mask.slice(), Some(counts.slice()), in_place.slice_mut())?;
    let mut applied = x.clone();
    drawn.backward_in_place(view_mut(&mut applied, strides))?;
    same(&in_place, &applied, "apply")?;
    if plan.layer().fill() == Fill::Noise {
        layer.pass().fill_noise(key, mask.slice(), in_place.slice_mut())?;
        applied.copy_from_slice(&x);
        drawn.forward_in_place(view_mut(&mut applied, strides))?;
        same(&in_place, &applied, "noise")?;
    }
    layer.pass().fill_dropped(mask.slice(), in_place.slice_mut(), value(1))?;
    drawn.drop_only(view_mut(&mut applied, strides), value(1))?;
    same(&in_place, &applied, "fill")?;
    let mut in_place = device.upload(&x)?;
    let mut only = x.clone();
    layer.pass().drop_only(key, in_place.slice_mut(), value(3), Some(counts.slice_mut()))?;
    plan.drop_only(key, view_mut(&mut only, strides), value(3))?;
    same(&in_place, &only, "drop only")?;
    same_words(&counts, &of_groups, "counts of drop only")?;

    plan.draw_centers(key, &mut words)?;
    layer.pass().draw_centers(key, centers.slice_mut())?;
    same_words(&centers, &words, "centres")?;
    plan.dilate(&mut words)?;
    layer.pass().dilate(centers.slice(), mask.slice_mut())?;
    same_words(&mask, &words, "dilation")?;
    layer.pass().count(mask.slice(), counts.slice_mut())?;
    same_words(&counts, &of_groups, "count")
}
