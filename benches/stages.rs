//! `cargo bench --bench stages`: each stage and the whole passes with criterion, named
//! `stage/backend/shape`, beside a copy of the tensor as the lower bound. For figures to quote
//! see `floor`, which measures the bound in the same round.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dropblock::{
    Backend, BlockSize, Dilation, Drawn, DropBlock, Error, Key, Map, Plan, Shape, reference,
};

fn done<T>(result: Result<T, Error>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

fn plans(samples: usize, channels: usize, size: usize) -> (String, Vec<Plan>) {
    let layer = done(DropBlock::new(7, 0.1));
    let shape = Shape::nchw(samples, channels, size, size);
    let plan = |backend| done(done(layer.with_backend(backend)).plan(shape));
    (format!("{samples}x{channels}x{size}x{size}"), Backend::available().map(plan).collect())
}

fn stages(criterion: &mut Criterion) {
    for (samples, channels, size) in [(1, 16, 14), (8, 256, 14), (2, 64, 56)] {
        let (shape, plans) = plans(samples, channels, size);
        let len = plans[0].elements();
        let (mut x, mut y) = (vec![1.0_f32; len], vec![0.0_f32; len]);
        let mut expected = vec![false; len];
        let key = Key::new(1);
        reference::mask(plans[0].layer(), plans[0].shape(), &key, &mut expected);
        for plan in &plans {
            let mut words = vec![0; plan.mask_words()];
            let count = done(plan.draw(key, &mut words)).count();
            let bit = |i: usize| words[i / 64] >> (i % 64) & 1 == 1;
            assert!(expected.iter().enumerate().all(|(i, &expected)| bit(i) == expected));

            let mut step = 0;
            let mut next = || {
                step += 1;
                key.with_step(step)
            };
            let mut run = |stage: &str, body: &mut dyn FnMut(Key)| {
                let mut group = criterion.benchmark_group(stage);
                group.throughput(Throughput::Elements(len as u64));
                let id = BenchmarkId::new(plan.backend().name(), &shape);
                group.bench_function(id, |bencher| bencher.iter(|| body(next())));
                group.finish();
            };
            run("centers", &mut |key| {
                black_box(done(plan.draw_centers(key, &mut words)));
            });
            run("mask", &mut |key| {
                black_box(done(plan.draw(key, &mut words)));
            });
            run("count", &mut |_| {
                black_box(done(plan.mask_from(&words)));
            });
            run("dilate", &mut |_| done(plan.dilate(black_box(&mut words))));
            let mask = done(plan.draw(key, &mut words));
            run("apply", &mut |_| done(mask.backward(&x, &mut y)));
            run("forward", &mut |key| {
                done(done(plan.draw(key, &mut words)).forward(&x, &mut y));
            });
            run("forward_no_mask", &mut |key| {
                done(plan.forward(key, &x, &mut y));
            });
            run("backward", &mut |key| {
                done(plan.backward(Drawn::from(key).with_count(count), &x, &mut y));
            });
        }
        let mut group = criterion.benchmark_group("floor");
        group.throughput(Throughput::Elements(len as u64));
        group.bench_function(BenchmarkId::new("copy", &shape), |bencher| {
            bencher.iter(|| black_box(&mut x).copy_from_slice(black_box(&y)));
        });
        group.finish();
    }
}

fn bytes(criterion: &mut Criterion) {
    for size in [14, 56, 512] {
        let mut group = criterion.benchmark_group("dilate_bytes");
        group.throughput(Throughput::Elements((size * size) as u64));
        let source: Vec<u8> = (0..size * size).map(|i| u8::from(i % 97 == 0)).collect();
        let mut results = Vec::new();
        for backend in Backend::available() {
            let dilation = done(Dilation::new(Map::hw(size, size), BlockSize::uniform(7)));
            let dilation = done(dilation.with_backend(backend));
            let mut result = vec![0; source.len()];
            done(dilation.dilate(&source, &mut result));
            let id = BenchmarkId::new(backend.name(), format!("{size}x{size}"));
            group.bench_function(id, |bencher| {
                bencher.iter(|| done(dilation.dilate(black_box(&source), &mut result)));
            });
            results.push(result);
        }
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
        group.finish();
    }
}

criterion_group!(benches, stages, bytes);
criterion_main!(benches);
