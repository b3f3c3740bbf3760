//! What stands beside the passes: dilation alone, views, shards, presets, schedules, scales.

use dropblock::{
    Backend, BlockSize, Dilation, DropBlock, Keep, Key, Map, Scale, Schedule, Shape, View, ViewMut,
};

use crate::checksum::Checksum;
use crate::sample::Sample;
use crate::{Failure, Memory, same};

/// Runs all checks.
pub(crate) fn run(
    memory: &mut Memory,
    backend: Backend,
    checksum: &mut Checksum,
) -> Result<(), Failure> {
    dilation(memory, backend, checksum)?;
    kept(memory, backend, checksum)?;
    flipped(memory, backend)?;
    shards(memory, backend)?;
    presets(memory, backend, checksum)?;
    schedules(checksum)?;
    positions(backend, checksum)
}

/// Bytes and bits are dilated alike.
fn dilation(memory: &mut Memory, backend: Backend, checksum: &mut Checksum) -> Result<(), Failure> {
    for (map, block) in [
        (Map::l(301), BlockSize::uniform(9)),
        (Map::hw(13, 70), BlockSize::hw(5, 2)),
        (Map::dhw(4, 9, 11), BlockSize::dhw(2, 3, 4)),
        (Map::hw(6, 5), BlockSize::uniform(40)),
    ] {
        let dilation = Dilation::new(map, block)?.with_backend(backend)?;
        let maps = 3;
        let units = dilation.map_len() * maps;
        let bits = &mut memory.mask[..dilation.words(maps)?];
        let bytes: &mut [u8] = &mut bytemuck::cast_slice_mut(&mut memory.tensor)[..units];
        bits.fill(0);
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from(i % 97 == 31);
            bits[i / 64] |= u64::from(*byte) << (i % 64);
        }
        dilation.dilate_in_place(bytes)?;
        dilation.dilate_bits_in_place(maps, bits)?;
        let equal =
            (0..).zip(&*bytes).all(|(i, &byte)| u64::from(byte) == bits[i / 64] >> (i % 64) & 1);
        same(equal, "dilation of bytes and bits")?;
        bits.iter().for_each(|&word| checksum.word(word));
        // Grey values.
        (0..).zip(&mut *bytes).for_each(|(i, byte): (u32, _)| *byte = (i * 37 % 251) as u8);
        dilation.dilate_in_place(bytes)?;
        checksum.bytes(bytes);
    }
    Ok(())
}

/// Words, lanes and runs say the same of a mask.
fn kept(memory: &mut Memory, backend: Backend, checksum: &mut Checksum) -> Result<(), Failure> {
    let plan = DropBlock::new(3, 0.3)?.with_backend(backend)?.plan(Shape::nchw(2, 3, 9, 13))?;
    let mask = plan.draw(Key::new(3), &mut memory.mask[..plan.mask_words()])?;
    for (sample, channel) in [(0, 0), (0, 2), (1, 1)] {
        let keep = mask.map(sample, channel)?.keep();
        same(keep.len() == 9 * 13, "length of a map")?;
        for run in keep.runs() {
            checksum.word(run.start as u64);
            checksum.word(run.end as u64);
            same(run.clone().all(|unit| keep.is_kept(unit)), "runs")?;
        }
        for unit in (0..keep.len()).step_by(19) {
            let lanes = keep.lanes::<19>(unit);
            let word = keep.word(unit);
            let equal = (0..).zip(lanes).all(|(i, lane)| (lane == !0) == (word >> i & 1 == 1));
            same(equal, "lanes and words")?;
            checksum.word(word);
        }
    }
    let all = Keep::new(mask.dropped_words(), 0..plan.units())?;
    let kept: usize = all.runs().map(|run| run.len()).sum();
    same(kept as u64 == mask.count().total - mask.count().dropped, "kept units")
}

/// A tensor is read and written from its last row to its first, with other strides for the output.
fn flipped(memory: &mut Memory, backend: Backend) -> Result<(), Failure> {
    const LEN: usize = 2 * 3 * 9 * 13;
    let plan = DropBlock::new(3, 0.3)?.with_backend(backend)?.plan(Shape::nchw(2, 3, 9, 13))?;
    let mask = plan.draw(Key::new(4), &mut memory.mask[..plan.mask_words()])?;
    let (x, y) = memory.tensor.split_at_mut(512);
    let x: &mut [f32] = &mut bytemuck::cast_slice_mut(x)[..LEN];
    let y: &mut [f32] = &mut bytemuck::cast_slice_mut(y)[..2 * LEN];
    (0..).zip(&mut *x).for_each(|(i, x): (u16, _)| *x = 1.0 + f32::from(i));
    let input = View::new(x, LEN - 1, [-351, -117, 0, -13, -1]);
    mask.forward(input, ViewMut::new(y, 2 * LEN - 1, [-702, -234, 0, -26, -2]))?;
    x.reverse();
    mask.forward_in_place(&mut *x)?;
    let equal = x.iter().zip(y.iter().rev().step_by(2)).all(|(x, y)| x.to_bits() == y.to_bits());
    same(equal, "signed strides")
}

/// The parts of a batch have the parts of its mask.
fn shards(memory: &mut Memory, backend: Backend) -> Result<(), Failure> {
    let layer = DropBlock::new(4, 0.25)?.with_backend(backend)?;
    let whole = layer.plan(Shape::nchw(4, 2, 8, 8))?;
    let part = whole.with_samples(2)?;
    let (words, other) = memory.mask.split_at_mut(512);
    let key = Key::new(u64::MAX).with_first_sample(1 << 33);
    let whole = whole.draw(key, words)?;
    // Two samples of two channels of 64 units are four words.
    let part = part.draw(key.with_first_sample((1 << 33) + 2), other)?;
    same(whole.dropped_words()[4..8] == part.dropped_words()[..4], "mask of a shard")?;
    same(part.with_count(whole.count()).is_ok(), "count of a shard")
}

fn presets(memory: &mut Memory, backend: Backend, checksum: &mut Checksum) -> Result<(), Failure> {
    for layer in [
        DropBlock::tensorflow(5, 0.2)?,
        DropBlock::timm(5, 0.2)?,
        DropBlock::timm_legacy(5, 0.2)?,
        DropBlock::miguelvr(5, 0.2)?,
        DropBlock::dragon(5, 0.2)?,
    ] {
        let plan = layer.with_backend(backend)?.plan(Shape::nchw(2, 3, 10, 11))?;
        let y: &mut [f32] = &mut bytemuck::cast_slice_mut(&mut memory.tensor)[..plan.elements()];
        crate::sample::fill(y, 2);
        plan.forward_in_place(Key::new(8), &mut *y)?;
        checksum.word(crate::sample::hash(y));
    }
    Ok(())
}

fn schedules(checksum: &mut Checksum) -> Result<(), Failure> {
    for schedule in [
        Schedule::paper(0.1)?,
        Schedule::linear(0.0, 0.3)?,
        Schedule::cosine(0.02, 0.3)?.after(10),
        Schedule::darknet(0.2)?,
    ] {
        for step in 0..100 {
            checksum.word(schedule.at(step, 100).to_bits());
        }
    }
    Ok(())
}

/// The scale of each position.
fn positions(backend: Backend, checksum: &mut Checksum) -> Result<(), Failure> {
    let layer = DropBlock::new(3, 0.2)?.with_scale(Scale::PerPosition).with_backend(backend)?;
    let plan = layer.plan(Shape::nchw(1, 1, 7, 9))?;
    for position in 0..63 {
        plan.position_scale::<f32>(position)?.hash(checksum);
        plan.position_scale::<f64>(position)?.hash(checksum);
        plan.position_scale::<half::bf16>(position)?.hash(checksum);
    }
    Ok(())
}
