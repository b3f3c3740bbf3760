//! Dilation alone, of bits and of bytes, in time per pixel. The floor is a copy of the same bytes.

use std::hint::black_box;

use dropblock::{BlockSize, Dilation, DropBlock, Key, Map, Shape};

use crate::harness::{Candidate, Group, NANOSECONDS, Settings, backends, done, time};

const BLOCK: usize = 7;
const P: f64 = 0.1;

/// Maps and their side.
const SIZES: [(usize, usize); 6] =
    [(256, 14), (256, 28), (256, 56), (256, 112), (1, 512), (1, 4096)];

/// The centres of a mask and room for their blocks.
struct Buffers {
    bits: Vec<u64>,
    dilated_bits: Vec<u64>,
    bytes: Vec<u8>,
    dilated_bytes: Vec<u8>,
}

pub(crate) fn run(settings: &Settings) {
    for (maps, side) in SIZES {
        bench(settings, maps, side);
    }
}

fn bench(settings: &Settings, maps: usize, side: usize) {
    let shape = format!("{maps}x{side}x{side}");
    let wanted = ["dilate bits", "dilate bytes"].map(|name| settings.wants(name, &shape));
    if wanted == [false; 2] {
        return;
    }
    let len = maps * side * side;
    let mut buffers = buffers(maps, side);
    let dilation = done(Dilation::new(Map::hw(side, side), BlockSize::uniform(BLOCK)));
    let dilations: Vec<_> = backends().map(|b| (b, done(dilation.with_backend(b)))).collect();
    check(&dilations.iter().map(|d| d.1).collect::<Vec<_>>(), maps, &mut buffers);

    let mut candidates: Vec<Candidate<'_, Buffers>> = Vec::new();
    for (backend, dilation) in dilations.iter().filter(|_| wanted[0]) {
        candidates.push(Candidate {
            operation: "dilate bits",
            backend: backend.name(),
            run: Box::new(move |b| {
                b.dilated_bits.copy_from_slice(&b.bits);
                time(|| done(dilation.dilate_bits_in_place(maps, black_box(&mut b.dilated_bits))))
            }),
            floor: Some(|b| {
                time(|| black_box(&mut b.dilated_bits).copy_from_slice(black_box(&b.bits)))
            }),
        });
    }
    for (backend, dilation) in dilations.iter().filter(|_| wanted[1]) {
        candidates.push(Candidate {
            operation: "dilate bytes",
            backend: backend.name(),
            run: Box::new(move |b| {
                time(|| done(dilation.dilate(black_box(&b.bytes), black_box(&mut b.dilated_bytes))))
            }),
            floor: Some(|b| {
                time(|| black_box(&mut b.dilated_bytes).copy_from_slice(black_box(&b.bytes)))
            }),
        });
    }
    let repeats = (500_000 / len).max(1);
    let group = Group { shape: &shape, block: BLOCK, p: P, len, repeats, unit: NANOSECONDS };
    group.measure(settings, &mut candidates, &mut buffers);
}

/// Centres of the density that a layer has.
fn buffers(maps: usize, side: usize) -> Buffers {
    let plan = done(done(DropBlock::new(BLOCK, P)).plan(Shape::nchw(1, maps, side, side)));
    let mut bits = vec![0; plan.mask_words()];
    done(plan.draw_centers(Key::new(7), &mut bits));
    let bytes: Vec<u8> =
        (0..plan.elements()).map(|i| (bits[i / 64] >> (i % 64) & 1) as u8).collect();
    Buffers { dilated_bits: bits.clone(), bits, dilated_bytes: bytes.clone(), bytes }
}

/// All backends, in bits and in bytes, give the same.
fn check(dilations: &[Dilation], maps: usize, buffers: &mut Buffers) {
    let mut first = None;
    for dilation in dilations {
        buffers.dilated_bits.copy_from_slice(&buffers.bits);
        done(dilation.dilate_bits_in_place(maps, &mut buffers.dilated_bits));
        done(dilation.dilate(&buffers.bytes, &mut buffers.dilated_bytes));
        let first = first.get_or_insert_with(|| buffers.dilated_bits.clone());
        assert!(*first == buffers.dilated_bits, "the dilated bits differ");
        let bit = |i: usize| (first[i / 64] >> (i % 64) & 1) as u8;
        let mut bytes = buffers.dilated_bytes.iter().enumerate();
        assert!(bytes.all(|(i, &byte)| byte == bit(i)), "the dilated bytes differ");
    }
}
