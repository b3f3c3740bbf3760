// The kernels. README.md says what each does and how it is launched.
#include "apply.h"
#include "conformance.h"
#include "count.h"
#include "dilate.h"

// Bytes for the scales of a tile's groups: beside a mask those of the list, else more.
enum { LIST_BYTES = sizeof(list), POOL_BYTES = 16384 };
SHARED u64 pool[POOL_BYTES / 8];

DEVICE void write_tile(u32 *mask) {
    u32 *words = mask + tile.first / 32;
    for (u32 i = thread_index(); i < words_of((u32)tile.len); i += thread_count()) {
        words[i] = tile_bits[i];
    }
}

// Adds what the tile drops to the counts of its groups, if they are wanted.
DEVICE void count_drawn(u64 *counts, u64 group_planes) {
    if (counts == nullptr) return;
    count_tile(tile_bits, tile.first, (u32)tile.len, counts, group_planes * geometry.plane);
}

KERNEL generate(Mask mask, u32 *words, u64 *counts, u64 group_planes) {
    draw_tile(mask);
    if (words != nullptr) write_tile(words);
    count_drawn(counts, group_planes);
}

// Kinds 0 to 3 are scaled as f32, f64, f16 and bf16; from 4 on elements of 2^(kind - 4) bytes are
// only dropped.
KERNEL fused(u64 kind, Mask mask, Scales s, Tensor t, u64 *counts, u64 group_planes) {
    draw_tile(mask);
    count_drawn(counts, group_planes);
    if (t.line != 1) set_digits(t, tile.first);
    barrier();
    Drawn drawn = {tile_bits};
    switch (kind) {
    case 0: apply_tile<F32>(drawn, s, t, list, LIST_BYTES); break;
    case 1: apply_tile<F64>(drawn, s, t, list, LIST_BYTES); break;
    case 2: apply_tile<F16>(drawn, s, t, list, LIST_BYTES); break;
    case 3: apply_tile<BF16>(drawn, s, t, list, LIST_BYTES); break;
    default: drop_tile(drawn, t, (u32)kind - 4);
    }
}

// Begins the block's tile of a tensor whose mask is in memory, and returns it.
DEVICE Stored begin_stored(const u32 *words, const Tensor &t) {
    u32 units = even_tile(t.len);
    u64 first = (u64)block_index() * units;
    if (thread_index() == 0) {
        tile.first = first;
        // Rounded up to whole words, the tiles may end before the last block.
        tile.len = first < t.len ? least<u64>(units, t.len - first) : 0;
    }
    if (t.line != 1) set_digits(t, first);
    barrier();
    return {t.line == 1 ? words + first / 32 : words};
}

template <class E> DEVICE void apply(const u32 *words, const Scales &s, const Tensor &t) {
    if (thread_index() == 0) {
        // The length of a plane: that of the axes along which the position changes.
        u64 plane = 1;
        for (u32 k = 0; k < t.rank; ++k) plane *= t.axes[k].position > 0 ? t.axes[k].size : 1;
        geometry.plane = plane;
    }
    Stored stored = begin_stored(words, t);
    if (tile.len > 0) apply_tile<E>(stored, s, t, pool, POOL_BYTES);
}

#define APPLYING(name, Element)                                                                    \
    KERNEL apply_##name(const u32 *words, Scales scales, Tensor tensor) {                          \
        apply<Element>(words, scales, tensor);                                                     \
    }

APPLYING(f32, F32)
APPLYING(f64, F64)
APPLYING(f16, F16)
APPLYING(bf16, BF16)

// Kinds as for `fused`.
KERNEL drop(u64 kind, const u32 *words, Tensor t) {
    Stored stored = begin_stored(words, t);
    if (tile.len > 0) drop_tile(stored, t, (u32)kind - 4);
}

KERNEL count(const u32 *words, u64 *counts, u64 planes, u64 plane, u64 group_planes) {
    u64 len = planes * plane;
    u32 units = even_tile(len);
    u64 first = (u64)block_index() * units;
    if (first >= len) return;
    count_tile(words + first / 32, first, (u32)least<u64>(units, len - first), counts,
               group_planes * plane);
}

KERNEL dilate_bits(const u32 *source, u32 *destination, Mask mask) {
    dilate_tile(mask, source);
    write_tile(destination);
}

KERNEL dilate_bytes(const u8 *source, u8 *destination, u64 len, u64 axis_len, u64 axis_stride,
                    u64 before, u64 after) {
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
