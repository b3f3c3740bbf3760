// The kernels. README.md says what each does and how it is launched.
#include "apply.h"
#include "conformance.h"
#include "count.h"
#include "dilate.h"

// Bytes for the scales of a tile's groups: beside a mask those of the list, else more.
enum { LIST_BYTES = sizeof(list), POOL_BYTES = 16384 };
SHARED u64 pool[POOL_BYTES / 8];

// Units of a tile where the mask is in memory.
enum { STORED_TILE = 32768 };

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
    barrier();
}

KERNEL generate(Mask mask, u32 *words, u64 *counts, u64 group_planes) {
    u64 tiles = set_geometry(mask, mask.grid);
    for (u64 i = block_index(); i < tiles; i += block_count()) {
        draw_tile(mask, i);
        if (words != nullptr) write_tile(words);
        count_drawn(counts, group_planes);
        barrier();
    }
}

template <class E>
DEVICE void fused(const Mask &mask, const Scales &s, const Tensor &t, u64 *counts,
                  u64 group_planes) {
    typedef typename E::Scale Scale;
    u64 tiles = set_geometry(mask, mask.grid);
    for (u64 i = block_index(); i < tiles; i += block_count()) {
        draw_tile(mask, i);
        count_drawn(counts, group_planes);
        if (t.line != 1) set_digits(t, tile.first);
        barrier();
        Drawn drawn = {tile_bits};
        apply_tile<E>(drawn, s, t, (Scale *)list, LIST_BYTES / sizeof(Scale));
        barrier();
    }
}

template <class Raw>
DEVICE void fused_drop(const Mask &mask, const Tensor &t, u64 *counts, u64 group_planes) {
    u64 tiles = set_geometry(mask, mask.grid);
    for (u64 i = block_index(); i < tiles; i += block_count()) {
        draw_tile(mask, i);
        count_drawn(counts, group_planes);
        if (t.line != 1) set_digits(t, tile.first);
        barrier();
        Drawn drawn = {tile_bits};
        drop<Raw>(drawn, t);
        barrier();
    }
}

// Begins a tile of a tensor whose mask is in memory, and returns it.
DEVICE Stored begin_stored(const u32 *words, const Tensor &t, u64 first, u32 most_units) {
    if (thread_index() == 0) {
        tile.first = first;
        tile.len = least<u64>(most_units, t.len - first);
    }
    if (t.line != 1) set_digits(t, first);
    barrier();
    return {t.line == 1 ? words + first / 32 : words};
}

template <class E> DEVICE void apply(const u32 *words, const Scales &s, const Tensor &t) {
    typedef typename E::Scale Scale;
    if (thread_index() == 0) {
        // The length of a plane: that of the axes along which the position changes.
        u64 plane = 1;
        for (u32 k = 0; k < t.rank; ++k) plane *= t.axes[k].position > 0 ? t.axes[k].size : 1;
        geometry.plane = plane;
    }
    u32 most_units = even_tile(t.len, STORED_TILE);
    for (u64 first = (u64)block_index() * most_units; first < t.len;
         first += (u64)block_count() * most_units) {
        Stored stored = begin_stored(words, t, first, most_units);
        apply_tile<E>(stored, s, t, (Scale *)pool, POOL_BYTES / sizeof(Scale));
        barrier();
    }
}

template <class Raw> DEVICE void drop_stored(const u32 *words, const Tensor &t) {
    u32 most_units = even_tile(t.len, STORED_TILE);
    for (u64 first = (u64)block_index() * most_units; first < t.len;
         first += (u64)block_count() * most_units) {
        Stored stored = begin_stored(words, t, first, most_units);
        drop<Raw>(stored, t);
        barrier();
    }
}

#define SCALING(name, Element)                                                                     \
    KERNEL fused_##name(Mask mask, Scales scales, Tensor tensor, u64 *counts, u64 group_planes) {  \
        fused<Element>(mask, scales, tensor, counts, group_planes);                                \
    }                                                                                              \
    KERNEL apply_##name(const u32 *words, Scales scales, Tensor tensor) {                          \
        apply<Element>(words, scales, tensor);                                                     \
    }

SCALING(f32, F32)
SCALING(f64, F64)
SCALING(f16, F16)
SCALING(bf16, BF16)

#define DROPPING(width, Raw)                                                                       \
    KERNEL fused_drop_##width(Mask mask, Tensor tensor, u64 *counts, u64 group_planes) {           \
        fused_drop<Raw>(mask, tensor, counts, group_planes);                                       \
    }                                                                                              \
    KERNEL drop_##width(const u32 *words, Tensor tensor) { drop_stored<Raw>(words, tensor); }

DROPPING(8, u8)
DROPPING(16, u16)
DROPPING(32, u32)
DROPPING(64, u64)

KERNEL count(const u32 *words, u64 *counts, u64 planes, u64 plane, u64 group_planes) {
    u64 units = planes * plane;
    u32 most_units = even_tile(units, STORED_TILE);
    for (u64 first = (u64)block_index() * most_units; first < units;
         first += (u64)block_count() * most_units) {
        u32 len = (u32)least<u64>(most_units, units - first);
        count_tile(words + first / 32, first, len, counts, group_planes * plane);
        barrier();
    }
}

KERNEL dilate_bits(const u32 *source, u32 *destination, Mask mask) {
    u64 tiles = set_geometry(mask, mask.map);
    for (u64 i = block_index(); i < tiles; i += block_count()) {
        dilate_tile(mask, source, i);
        write_tile(destination);
        barrier();
    }
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
