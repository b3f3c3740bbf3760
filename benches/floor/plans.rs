//! What a plan costs to build, in microseconds; it has no floor.

use std::hint::black_box;

use dropblock::{Backend, DropBlock, Region, Shape};

use crate::harness::{Candidate, Group, MICROSECONDS, Settings, done, time};
use crate::passes::{base, volume};

pub(crate) fn run(settings: &Settings) {
    bench(settings, base(), 7, Region::Valid);
    bench(settings, base(), 7, Region::Full);
    bench(settings, volume(), 3, Region::Valid);
}

fn bench(settings: &Settings, shape: Shape, block: usize, region: Region) {
    let layer = done(DropBlock::new(block, 0.1)).with_region(region);
    let region = if region == Region::Full { " full region" } else { "" };
    let name = format!("{}{region}", crate::passes::name(&shape));
    if !settings.wants("plan", &name) {
        return;
    }
    let run = |(): &mut ()| {
        time(|| {
            black_box(done(black_box(&layer).plan(black_box(shape))));
        })
    };
    let backend = Backend::detect().name();
    let candidate = Candidate { operation: "plan", backend, run: Box::new(run), floor: None };
    let group = Group { shape: &name, block, p: 0.1, len: 1, repeats: 100, unit: MICROSECONDS };
    group.measure(settings, &mut [candidate], &mut ());
}
