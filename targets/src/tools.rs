//! What stands beside the passes: dilation alone, views, shards, presets, schedules, scales.

use dropblock::{
    Backend, BlockSize, Dilation, DropBlock, Key, Map, MaskView, Scale, Schedule, Shape,
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
    views(memory, backend, checksum)?;
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
fn views(memory: &mut Memory, backend: Backend, checksum: &mut Checksum) -> Result<(), Failure> {
    let plan = DropBlock::new(3, 0.3)?.with_backend(backend)?.plan(Shape::nchw(2, 3, 9, 13))?;
    let mask = &mut memory.mask[..plan.mask_len()];
    plan.mask(Key::new(3), mask)?;
    for (sample, channel) in [(0, 0), (0, 2), (1, 1)] {
        let view = plan.view(mask, sample, channel)?;
        same(view.len() == 9 * 13, "length of a view")?;
        for run in view.keep_runs() {
            checksum.word(run.start as u64);
            checksum.word(run.end as u64);
            same(run.clone().all(|unit| view.is_kept(unit)), "runs")?;
        }
        for unit in (0..view.len()).step_by(19) {
            let lanes = view.keep_lanes::<19>(unit);
            let word = view.keep_word(unit);
            let equal = (0..).zip(lanes).all(|(i, lane)| (lane == !0) == (word >> i & 1 == 1));
            same(equal, "lanes and words")?;
            checksum.word(word);
        }
        same(MaskView::new(mask, 0..plan.units())?.dropped() == plan.count(mask)?, "dropped")?;
    }
    Ok(())
}

/// The parts of a batch have the parts of its mask.
fn shards(memory: &mut Memory, backend: Backend) -> Result<(), Failure> {
    let layer = DropBlock::new(4, 0.25)?.with_backend(backend)?;
    let whole = layer.plan(Shape::nchw(4, 2, 8, 8))?;
    let part = layer.plan(Shape::nchw(2, 2, 8, 8))?;
    let (mask, other) = memory.mask.split_at_mut(512);
    let key = Key::new(u64::MAX).first_sample(1 << 33);
    whole.mask(key, mask)?;
    // Two samples of two channels of 64 units are four words.
    part.mask(key.first_sample((1 << 33) + 2), other)?;
    same(mask[4..8] == other[..4], "mask of a shard")
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
        let y: &mut [f32] = &mut bytemuck::cast_slice_mut(&mut memory.tensor)[..plan.len()];
        crate::sample::fill(y, 2);
        plan.forward_in_place(Key::new(8), y, None)?;
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
