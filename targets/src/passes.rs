//! Forward and backward passes of every layout, type, scale, sharing and fill. Each way through the
//! crate must give what the others give.

use dropblock::{
    Backend, BlockSize, DropBlock, Dropped, Fill, Gamma, Key, Plan, Region, Scale, Shape, Sharing,
};
use half::{bf16, f16};

use crate::checksum::Checksum;
use crate::sample::{Sample, fill, hash};
use crate::{Failure, Memory, same};

/// Every rank, both layouts, more channels than a word has bits, a view with gaps.
const SHAPES: [(Shape, BlockSize); 8] = [
    (Shape::ncl(2, 5, 61), BlockSize::uniform(6)),
    (Shape::nlc(2, 61, 5), BlockSize::uniform(6)),
    (Shape::nchw(2, 3, 11, 13), BlockSize::hw(3, 4)),
    (Shape::nhwc(2, 11, 13, 3), BlockSize::hw(3, 4)),
    (Shape::nhwc(1, 3, 4, 70), BlockSize::uniform(2)),
    (Shape::ncdhw(2, 3, 4, 5, 7), BlockSize::dhw(2, 3, 2)),
    (Shape::ndhwc(2, 4, 5, 7, 3), BlockSize::dhw(2, 3, 2)),
    (Shape::nchw(2, 3, 9, 10).with_strides([9 * 11 * 4, 1, 0, 11 * 4, 4]), BlockSize::uniform(3)),
];

const SCALES: [Scale; 6] =
    [Scale::Tensor, Scale::Sample, Scale::Channel, Scale::Fixed, Scale::None, Scale::PerPosition];

/// Gamma, region, sharing and fill.
const DRAWS: [(Gamma, Region, Sharing, Fill); 6] = [
    (Gamma::Paper { scale: 1.0 }, Region::Valid, Sharing::SampleChannel, Fill::Zero),
    (Gamma::Exact, Region::Full, Sharing::SampleChannel, Fill::Zero),
    (Gamma::PaperValid { scale: 1.0 }, Region::Full, Sharing::Sample, Fill::Noise),
    (Gamma::Exact, Region::Valid, Sharing::Channel, Fill::Noise),
    (Gamma::Raw(0.01), Region::Valid, Sharing::All, Fill::Zero),
    (Gamma::Raw(0.0), Region::Valid, Sharing::SampleChannel, Fill::Zero),
];

/// Runs all passes.
pub(crate) fn run(
    memory: &mut Memory,
    backend: Backend,
    checksum: &mut Checksum,
) -> Result<(), Failure> {
    let mut step = 0;
    for (shape, block_size) in SHAPES {
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
                let key = Key::new(0xfeed).step(step).layer(7).first_sample(11);
                stages(&plan, key, &mut memory.mask, checksum)?;
                passes::<f32>(&plan, key, memory, checksum)?;
                passes::<f64>(&plan, key, memory, checksum)?;
                passes::<f16>(&plan, key, memory, checksum)?;
                passes::<bf16>(&plan, key, memory, checksum)?;
            }
        }
    }
    Ok(())
}

/// Centres, dilation and count, one by one and together.
fn stages(plan: &Plan, key: Key, mask: &mut [u64], checksum: &mut Checksum) -> Result<(), Failure> {
    let (mask, other) = mask.split_at_mut(512);
    let (mask, other) = (&mut mask[..plan.mask_len()], &mut other[..plan.mask_len()]);
    mask.fill(!0);
    other.fill(!0);
    let dropped = plan.mask(key, mask)?;
    checksum.word(plan.centers(key, other)?);
    plan.dilate(other)?;
    same(mask == other, "centers and dilate")?;
    same(plan.count(other)? == dropped, "count")?;
    let groups = (0..plan.groups()).map(|group| plan.count_group(mask, group));
    let sum = groups.sum::<Result<Count, _>>()?;
    same(sum.0 == dropped, "counts of the groups")?;
    mask.iter().for_each(|&word| checksum.word(word));
    checksum.word(dropped.count);
    Ok(())
}

/// A sum of counts.
struct Count(Dropped);

impl core::iter::Sum<Dropped> for Count {
    fn sum<I: Iterator<Item = Dropped>>(counts: I) -> Self {
        Self(counts.fold(Dropped::default(), |sum, part| Dropped {
            count: sum.count + part.count,
            of: sum.of + part.of,
        }))
    }
}

/// Forward and backward: with a mask buffer and without, in place and out of place.
fn passes<T: Sample>(
    plan: &Plan,
    key: Key,
    memory: &mut Memory,
    checksum: &mut Checksum,
) -> Result<(), Failure> {
    let mask = &mut memory.mask[..plan.mask_len()];
    let (x, y) = memory.tensor.split_at_mut(1024);
    let x: &mut [T] = &mut bytemuck::cast_slice_mut(x)[..plan.extent()];
    let y: &mut [T] = &mut bytemuck::cast_slice_mut(y)[..plan.extent()];

    // What lies between the elements of a view is not touched, so it must be equal beforehand.
    fill(x, 0);
    fill(y, 0);
    let dropped = plan.forward(key, x, y, Some(mask))?;
    let forward = hash(y);
    checksum.word(forward);
    same(plan.forward(key, x, y, None)? == dropped, "count without a mask")?;
    same(hash(y) == forward, "forward without a mask")?;
    same(plan.forward_in_place(key, x, None)? == dropped, "count in place without a mask")?;
    same(hash(x) == forward, "forward in place without a mask")?;
    fill(x, 0);
    same(plan.forward_in_place(key, x, Some(mask))? == dropped, "count in place")?;
    same(hash(x) == forward, "forward in place")?;

    fill(x, 5);
    fill(y, 5);
    plan.backward(key, &dropped, x, y)?;
    let backward = hash(y);
    checksum.word(backward);
    plan.apply(mask, &dropped, x, y)?;
    same(hash(y) == backward, "apply")?;
    plan.backward_in_place(key, &dropped, x)?;
    same(hash(x) == backward, "backward in place")?;
    fill(x, 5);
    plan.apply_in_place(mask, &dropped, x)?;
    same(hash(x) == backward, "apply in place")
}
