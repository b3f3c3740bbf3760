// Dilation of masks that were not drawn here: of bits by blocks, of bytes along one axis.
#ifndef DROPBLOCK_DILATE_H
#define DROPBLOCK_DILATE_H

#include "mask.h"

// Sets the blocks of `run` cells side by side, all rows that lie in the tile.
DEVICE void set_blocks(const Cell &cell, u64 run) {
    const volatile Geometry &g = geometry;
    i64 from = (i64)cell.w + g.reach[1][2];
    i64 to = from + (i64)(run - 1 + g.block[2]);
    u64 first_d = (u64)most<i64>((i64)cell.d + g.reach[1][0], 0);
    u64 first_h = (u64)most<i64>((i64)cell.h + g.reach[1][1], 0);
    u64 end_d = least<u64>((u64)((i64)cell.d + g.reach[0][0] + 1), g.map[0]);
    u64 end_h = least<u64>((u64)((i64)cell.h + g.reach[0][1] + 1), g.map[1]);
    u64 end_row = tile.first_row + tile.rows;
#pragma clang loop unroll(disable)
    for (u64 d = first_d; d < end_d; ++d) {
        u64 slice = (cell.plane * g.map[0] + d) * g.map[1];
        u64 row = most<u64>(slice + first_h, tile.first_row);
        u64 end = least<u64>(slice + end_h, end_row);
#pragma clang loop unroll(disable)
        for (; row < end; ++row) set_columns(row, from, to);
    }
}

// Sets the blocks of a word's runs. Units are counted from the first of the tile's first plane.
DEVICE void dilate_word(u32 bits, u64 unit) {
    u64 width = geometry.map[2];
#pragma clang loop unroll(disable)
    while (bits != 0) {
        u32 skip = (u32)__builtin_ctz(bits);
        bits >>= skip;
        unit += skip;
        Cell cell = cell_of(geometry.grid, unit);
        u32 run = bits == ~0u ? 32 : (u32)__builtin_ctz(~bits);
        run = (u32)least<u64>(run, width - cell.w);
        set_blocks(cell, run);
        bits = run < 32 ? bits >> run : 0;
        unit += run;
    }
}

// Dilates the block's tile of the destination, in shared memory.
DEVICE void dilate_tile(const Mask &mask, const u32 *source) {
    begin_tile(mask, mask.map);
    if (tile.begin < tile.end) {
        u64 begin = tile.plane_start + tile.begin, end = tile.plane_start + tile.end;
        u64 word = begin / 32 + thread_index(), last = (end - 1) / 32;
        for (; word <= last; word += thread_count()) {
            u64 unit = word * 32;
            u32 bits = source[word];
            // Units of other planes, and past the end.
            u32 skip = unit < begin ? (u32)(begin - unit) : 0;
            bits &= low_bits((u32)least<u64>(end - unit, 32));
            dilate_word(bits >> skip, unit + skip - tile.plane_start);
        }
    }
    barrier();
}

enum { OUTPUTS = 4 };

// The largest byte of `count` along an axis.
DEVICE u8 largest(const u8 *source, u64 stride, u64 count, u8 so_far) {
#pragma clang loop unroll(disable)
    for (; count > 0; --count, source += stride) so_far = most(so_far, *source);
    return so_far;
}

// A few outputs side by side along the axis, whose windows have most of their bytes in common.
DEVICE void dilate_outputs(const u8 *source, u8 *destination, u64 at, u64 axis_len, u64 stride,
                           u64 before, u64 after) {
    u64 stop = least<u64>(at + OUTPUTS, axis_len);
    // The part of all windows: there is none where they are short.
    u64 from = stop - 1 > after ? stop - 1 - after : 0;
    u64 to = at + least<u64>(before, axis_len - 1 - at) + 1;
    bool shared = from < to;
    u8 common = shared ? largest(source + from * stride, stride, to - from, 0) : 0;
#pragma clang loop unroll(disable)
    for (; at < stop; ++at) {
        u64 start = at > after ? at - after : 0;
        u64 end = at + least<u64>(before, axis_len - 1 - at) + 1;
        u64 left = shared ? from : end, right = shared ? to : end;
        u8 value = largest(source + start * stride, stride, left - start, common);
        destination[at * stride] = largest(source + right * stride, stride, end - right, value);
    }
}

#endif
