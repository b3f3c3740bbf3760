//! Forward and backward passes of every layout, type, scale, sharing and fill. Each way through the
//! crate must give what the others give.

use dropblock::{
    Backend, BlockSize, Drawn, DropBlock, DropCount, Fill, Gamma, Key, Plan, Region, Scale, Shape,
    Sharing,
};
use half::{bf16, f16};

use crate::checksum::Checksum;
use crate::place::Place;
use crate::sample::{Sample, fill, hash};
use crate::{Failure, Memory, same};

/// Every rank, both layouts, more channels than a word has bits, a view with gaps.
const SHAPES: [(Shape, BlockSize, Option<[isize; 5]>); 8] = [
    (Shape::ncl(2, 5, 61), BlockSize::uniform(6), None),
    (Shape::nlc(2, 61, 5), BlockSize::uniform(6), None),
    (Shape::nchw(2, 3, 11, 13), BlockSize::hw(3, 4), None),
    (Shape::nhwc(2, 11, 13, 3), BlockSize::hw(3, 4), None),
    (Shape::nhwc(1, 3, 4, 70), BlockSize::uniform(2), None),
    (Shape::ncdhw(2, 3, 4, 5, 7), BlockSize::dhw(2, 3, 2), None),
    (Shape::ndhwc(2, 4, 5, 7, 3), BlockSize::dhw(2, 3, 2), None),
    (Shape::nchw(2, 3, 9, 10), BlockSize::uniform(3), Some([9 * 11 * 4, 1, 0, 11 * 4, 4])),
];

/// In the order of the checksum.
const SCALES: [Scale; 6] = [
    Scale::PerTensor,
    Scale::PerSample,
    Scale::PerMap,
    Scale::Fixed,
    Scale::Off,
    Scale::PerPosition,
];

/// Gamma, region, sharing and fill.
const DRAWS: [(Gamma, Region, Sharing, Fill); 6] = [
    (Gamma::Paper { scale: 1.0 }, Region::Valid, Sharing::None, Fill::Zero),
    (Gamma::Exact, Region::Full, Sharing::None, Fill::Zero),
    (Gamma::PaperValid { scale: 1.0 }, Region::Full, Sharing::OverChannels, Fill::Noise),
    (Gamma::Exact, Region::Valid, Sharing::OverSamples, Fill::Noise),
    (Gamma::Raw(0.01), Region::Valid, Sharing::OverAll, Fill::Zero),
    (Gamma::Raw(0.0), Region::Valid, Sharing::None, Fill::Zero),
];

/// Runs all passes.
pub(crate) fn run(
    memory: &mut Memory,
    backend: Backend,
    checksum: &mut Checksum,
) -> Result<(), Failure> {
    let mut step = 0;
    for (shape, block_size, strides) in SHAPES {
        for scale in SCALES {
            for (gamma, region, sharing, fill) in DRAWS {
                step += 1;
                let plan = DropBlock::new(1, 0.2)?
                    .with_block_size(block_size)?
                    .with_gamma(gamma)?
                    .with_region(region)
                    .with_sharing(sharing)
                    .with_scale(scale)
                    .with_fill(fill)
                    .with_backend(backend)?
                    .plan(shape)?;
                same(plan.backend() == backend, "backend")?;
                checksum.word(plan.gamma().to_bits());
                checksum.word(plan.expected_dropped().to_bits());
                let place = Place::new(&plan, strides);
                let key = Key::from_words([0xfeed, step, 7, 11]);
                stages(&plan, key, &mut memory.mask, checksum)?;
                passes::<f32>(&plan, place, key, memory, checksum)?;
                passes::<f64>(&plan, place, key, memory, checksum)?;
                passes::<f16>(&plan, place, key, memory, checksum)?;
                passes::<bf16>(&plan, place, key, memory, checksum)?;
            }
        }
    }
    Ok(())
}

/// Centres, dilation and count, one by one and together.
fn stages(plan: &Plan, key: Key, mask: &mut [u64], checksum: &mut Checksum) -> Result<(), Failure> {
    let (words, other) = mask.split_at_mut(512);
    let (words, other) = (&mut words[..plan.mask_words()], &mut other[..plan.mask_words()]);
    words.fill(!0);
    other.fill(!0);
    let mask = plan.draw(key, words)?;
    checksum.word(plan.draw_centers(key, other)?);
    plan.dilate(other)?;
    same(mask.dropped_words() == other, "centers and dilate")?;
    same(plan.mask_from(other)?.count() == mask.count(), "count")?;
    same(plan.count(key)?.count() == Some(mask.count()), "count without a mask")?;
    let groups = (0..plan.groups()).map(|group| mask.count_group(group));
    let sum = groups.sum::<Result<Count, _>>()?;
    same(sum.0 == mask.count(), "counts of the groups")?;
    mask.dropped_words().iter().for_each(|&word| checksum.word(word));
    checksum.word(mask.count().dropped);
    Ok(())
}

/// A sum of counts.
struct Count(DropCount);

impl core::iter::Sum<DropCount> for Count {
    fn sum<I: Iterator<Item = DropCount>>(counts: I) -> Self {
        Self(counts.fold(DropCount::default(), |sum, part| DropCount {
            dropped: sum.dropped + part.dropped,
            total: sum.total + part.total,
        }))
    }
}

/// Forward and backward: with a mask buffer and without, in place and out of place.
fn passes<T: Sample>(
    plan: &Plan,
    place: Place,
    key: Key,
    memory: &mut Memory,
    checksum: &mut Checksum,
) -> Result<(), Failure> {
    let mask = plan.draw(key, &mut memory.mask[..plan.mask_words()])?;
    let drawn = mask.drawn();
    let (x, y) = memory.tensor.split_at_mut(1024);
    let x: &mut [T] = &mut bytemuck::cast_slice_mut(x)[..place.len];
    let y: &mut [T] = &mut bytemuck::cast_slice_mut(y)[..place.len];

    // What lies between the elements of a view is not touched, so it must be equal beforehand.
    fill(x, 0);
    fill(y, 0);
    mask.forward(place.view(x), place.view_mut(y))?;
    let forward = hash(y);
    checksum.word(forward);
    let without = plan.forward(key, place.view(x), place.view_mut(y))?;
    same(Some(without) == drawn, "count without a mask")?;
    same(hash(y) == forward, "forward without a mask")?;
    let without = plan.forward_in_place(without, place.view_mut(x))?;
    same(Some(without) == drawn, "count in place without a mask")?;
    same(hash(x) == forward, "forward in place without a mask")?;
    fill(x, 0);
    mask.forward_in_place(place.view_mut(x))?;
    same(hash(x) == forward, "forward in place")?;

    fill(x, 5);
    fill(y, 5);
    plan.backward(without, place.view(x), place.view_mut(y))?;
    let backward = hash(y);
    checksum.word(backward);
    mask.backward(place.view(x), place.view_mut(y))?;
    same(hash(y) == backward, "backward with a mask")?;
    plan.backward_in_place(Drawn::from(key), place.view_mut(x))?;
    same(hash(x) == backward, "backward in place")?;
    fill(x, 5);
    mask.backward_in_place(place.view_mut(x))?;
    same(hash(x) == backward, "backward in place with a mask")
}
