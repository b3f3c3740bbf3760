// The kernels. README.md says what each does and how it is launched.
#include "apply.h"
#include "conformance.h"
#include "count.h"
#include "dense.h"
#include "dilate.h"
#include "general.h"
#include "mask.h"

// Writes the tile, and returns how many bits of it this thread has written.
DEVICE u32 write_tile(const Mask &mask, const Tile &tile) {
    u64 *words = (u64 *)mask.words + tile.first / 64;
    u32 sum = 0;
    for (u32 i = thread_index(); i < words_of(tile.len); i += thread_count()) {
        u64 bits = tile_bits[i];
        words[i] = bits;
        sum += (u32)__builtin_popcountll(bits);
    }
    return sum;
}

KERNEL_OF_BLOCKS(GENERATE_THREADS, 4) generate(Mask mask, Count count) {
    begin_total();
    Tile tile(mask);
    draw_tile(mask, tile);
    u32 dropped = write_tile(mask, tile);
    if (count.groups != nullptr) {
        count_groups((const u32 *)tile_bits, tile.first, tile.len, count.periods, count.groups);
    }
    finish_total(count, dropped);
}

KERNEL(DENSE_THREADS) dense(Mask mask, Jumps jumps, Count count) {
    begin_total();
    finish_total(count, draw_dense(mask, jumps));
}

SHARED u32 turned_words[TURNED * MAX_CHANNELS / 32];

#define APPLYING(name, Element)                                                                    \
    KERNEL(LINE_THREADS) apply_##name(Line line) { apply_line<Element>(line); }

// What is not here for doubles goes through `general`.
#define APPLYING_IN_EVERY_WAY(name, Element)                                                       \
    APPLYING(name, Element)                                                                        \
    KERNEL(THREADS) groups_##name(Line line) { apply_groups<Element>(line); }                      \
    KERNEL(THREADS) shared_##name(Shared shared) { apply_shared<Element>(shared); }                \
    KERNEL(THREADS) last_##name(Last last) { apply_last<Element>(last, turned_words); }

APPLYING(f64, F64)
APPLYING_IN_EVERY_WAY(f32, F32)
APPLYING_IN_EVERY_WAY(f16, F16)
APPLYING_IN_EVERY_WAY(bf16, BF16)

SHARED Vector staged_words[THREADS];

// Elements of `1 << shift` bytes; the value is repeated to 8.
KERNEL(THREADS) drop(u64 shift, u64 value, Line line) {
    staged_words[thread_index()] = four_words(line);
    barrier();
    switch (shift) {
    case 0: drop_line<u8>(line, staged_words, (u8)value); break;
    case 1: drop_line<u16>(line, staged_words, (u16)value); break;
    case 2: drop_line<u32>(line, staged_words, (u32)value); break;
    default: drop_line<u64>(line, staged_words, value);
    }
}

KERNEL(GENERAL_THREADS) general(u64 kind, Scales scales, Tensor tensor, Key key) {
    general_part((u32)kind, scales, tensor, key);
}

// The scale of each group from its count, as floats (1) or doubles (2), or none (0). The counts also go
// to `moved`, or null, and are 0 afterwards if `reset` is 1.
KERNEL(THREADS) scales(u64 *counts, u64 *moved, u64 reset, u64 groups, u64 units, void *scales,
                       u64 kind) {
    u64 group = (u64)block_index() * THREADS + thread_index();
    if (group >= groups) return;
    u64 dropped = counts[group], kept = units > dropped ? units - dropped : 0;
    if (moved != nullptr) moved[group] = dropped;
    if (reset == 1) counts[group] = 0;
    if (kind == 1) ((float *)scales)[group] = ratio(units, kept, float());
    if (kind == 2) ((double *)scales)[group] = ratio(units, kept, double());
}

// A part of a mask of `len` units, by tiles of `tile`.
KERNEL(THREADS) count(const u32 *words, u64 *counts, u64 len, u64 tile, Periods periods) {
    u32 first = block_index() * (u32)tile;
    count_groups(words + first / 32, first, least((u32)tile, (u32)len - first), periods, counts);
}

KERNEL(GENERATE_THREADS) dilate_bits(const u32 *source, u64 before, Mask mask) {
    Tile tile(mask);
    dilate_tile(mask, tile, source, before);
    write_tile(mask, tile);
}

KERNEL(THREADS) dilate_bytes(const u8 *source, u8 *destination, u64 len, u64 axis_len,
                             u64 axis_stride, u64 before, u64 after) {
    u64 parts = (axis_len + OUTPUTS - 1) / OUTPUTS;
    u64 line = axis_len * axis_stride, items = divide(len, line) * parts * axis_stride;
    u64 step = (u64)block_count() * thread_count();
    // Neighbouring threads work on neighbouring lines.
    for (u64 i = (u64)block_index() * thread_count() + thread_index(); i < items; i += step) {
        u64 row = divide(i, axis_stride), inner = i - row * axis_stride;
        u64 outer = divide(row, parts), part = row - outer * parts;
        u64 start = outer * line + inner;
        dilate_outputs(source + start, destination + start, part * OUTPUTS, axis_len, axis_stride,
                       before, after);
    }
}

struct Values {
    u32 words[512];
};

// Copies values that come with the launch, so that no memory of the host is needed until it runs.
KERNEL(THREADS) store(u32 *to, u64 count, Values values) {
    for (u32 i = thread_index(); i < count; i += THREADS) to[i] = values.words[i];
}
