// Dilation of masks that were not drawn here: of bits by blocks, of bytes along one axis.
#ifndef DROPBLOCK_DILATE_H
#define DROPBLOCK_DILATE_H

#include "mask.h"

// Dilates the block's tile, in shared memory: `before` units of the source come before the plane in
// which the part begins.
DEVICE void dilate_tile(const Mask &mask, const Tile &tile, const u32 *source, u64 before) {
    for (u32 i = thread_index(); i < words_of(tile.len); i += thread_count()) tile_bits[i] = 0;
    barrier();
    if (tile.begin < tile.end) {
        u64 plane = before + (u64)tile.plane * mask.plane.d;
        u64 begin = plane + (u64)tile.begin, end = plane + (u64)tile.end;
        u32 rows = mask.block[0] * mask.block[1];
#pragma clang loop unroll(disable)
        for (u64 word = begin / 32 + thread_index(); word * 32 < end; word += thread_count()) {
            u64 unit = word * 32;
            // Not the units of other planes, nor those past the end.
            u32 bits = source[word] & low_bits((u32)least<u64>(end - unit, 32));
            if (unit < begin) bits &= ~low_bits((u32)(begin - unit));
            // Run by run, as far as it lies in a row.
#pragma clang loop unroll(disable)
            while (bits != 0) {
                u32 skip = (u32)__builtin_ctz(bits), in_row, unset = ~(bits >> skip);
                u32 position = (u32)(unit + skip - plane);
                u32 run = unset == 0 ? 32 : (u32)__builtin_ctz(unset);
                divide(position, mask.row_cells, &in_row);
                run = least(run, mask.row_cells.d - in_row);
                bits &= ~(low_bits(run) << skip);
                Corner corner(mask, tile, position);
#pragma clang loop unroll(disable)
                for (u32 row = 0; row < rows; ++row) corner.set_row(mask, tile, row, run);
            }
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
