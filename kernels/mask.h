// The mask of a tile, in shared memory: centres are drawn, then their blocks are set.
//
//   draw the centres whose blocks may reach the tile, and list them
//   for each row of each listed block: set its bits
//
// 1. The centres of a segment are drawn by several threads where they are many: each begins a
//    multiple of 8 draws on, where a matrix takes the generator.
// 2. A block that lies whole in the map and the tile is listed by its first bit, and its rows are
//    one pattern; any other is listed by its position, and its rows are clipped.
// 3. Blocks for which the list has no room are set at once. Blocks of one unit always are.
#ifndef DROPBLOCK_MASK_H
#define DROPBLOCK_MASK_H

#include "random.h"

enum { LIST = 1024, WHOLE = 1u << 31, AT_ONCE = 4, DRAWS = 8, GENERATE_THREADS = 256 };

SHARED u64 tile_bits[MAX_TILE / 64];
SHARED Vector gap_table[COLUMNS / 4];
SHARED u32 list[LIST];
SHARED u32 listed;
// Positions that the draws of a thread pass.
SHARED u32 passed[GENERATE_THREADS];

// A tile: where it begins in the part and in its plane, and the positions whose blocks may reach it.
// Units and positions are counted from the first of the plane in which the tile begins.
struct Tile {
    u32 first, len, start;
    u32 plane; // counted from that in which the part begins
    i32 begin, end;
    u64 line;  // the plane's first position in the line of the whole batch

    MEMBER explicit Tile(const Mask &mask) {
        first = block_index() * mask.tile;
        len = least(mask.tile, mask.units - first);
        u32 last, rest;
        plane = divide(mask.start + first, mask.plane, &start);
        u32 planes = divide(mask.start + first + len - 1, mask.plane, &last) - plane;
        // How many steps along the outermost axis come before the first whose blocks may reach the
        // tile, and before those whose blocks begin past it.
        i32 grid = (i32)mask.outer_grid;
        i32 low = (i32)divide(start, mask.outer, &rest) - mask.outer_offset;
        i32 high = (i32)divide(last, mask.outer, &rest) - mask.outer_offset + 1;
        low = least(most(low - (i32)mask.outer_block + 1, 0), grid);
        high = least(most(high, 0), grid);
        begin = low * (i32)mask.outer_cells;
        end = (i32)(planes * mask.cells.d) + high * (i32)mask.outer_cells;
        line = mask.line + (u64)plane * mask.cells.d;
    }

    MEMBER u64 first_segment() const { return (line + (u64)begin) / SEGMENT; }
    MEMBER u32 segments() const {
        return begin < end ? (u32)((line + (u64)end - 1) / SEGMENT - first_segment()) + 1 : 0;
    }
};

// Sets a run of the tile's bits: both ends are counted from its first unit and may lie outside.
DEVICE void set_run(const Tile &tile, i32 from, i32 to) {
    u32 *words = (u32 *)tile_bits;
    from = most(from, 0);
    to = least(to, (i32)tile.len);
#pragma clang loop unroll(disable)
    while (from < to) {
        u32 in_word = (u32)from % 32, part = least<u32>(32 - in_word, (u32)(to - from));
        set_bits(&words[from / 32], low_bits(part) << in_word);
        from += (i32)part;
    }
}

// The unit in which a position's block begins, or would if the map were larger.
struct Corner {
    i32 plane, d, h, w; // the plane's first unit, counted from that of the tile

    MEMBER Corner(const Mask &mask, const Tile &tile, u32 position) {
        u32 rest, in_plane, in_slice;
        plane = (i32)(divide(position, mask.cells, &in_plane) * mask.plane.d - tile.start);
        d = (i32)divide(in_plane, mask.slice_cells, &in_slice) + mask.offset[0];
        h = (i32)divide(in_slice, mask.row_cells, &rest) + mask.offset[1];
        w = (i32)rest + mask.offset[2];
    }

    // Sets row `row` of the blocks of `run` positions side by side.
    MEMBER void set_row(const Mask &mask, const Tile &tile, u32 row, u32 run) const {
        u32 in_slice, slice = divide(row, mask.block_height, &in_slice);
        u32 z = (u32)d + slice, y = (u32)h + in_slice;
        if (z >= mask.map[0] || y >= mask.map[1]) return;
        i32 width = (i32)mask.map[2];
        i32 start = plane + (i32)((z * mask.map[1] + y) * mask.map[2]);
        i32 end = least(w + (i32)(run - 1 + mask.block[2]), width);
        set_run(tile, start + most(w, 0), start + end);
    }
};

DEVICE void set_pattern(const Mask &mask, u32 at) {
    u64 bits = (u64)mask.pattern << at % 32;
    u32 *word = (u32 *)tile_bits + at / 32, high = (u32)(bits >> 32);
    set_bits(word, (u32)bits);
    if (high != 0) set_bits(word + 1, high);
}

// Sets every `step`th row of a listed block.
DEVICE void set_rows(const Mask &mask, const Tile &tile, u32 entry, u32 row, u32 step) {
    u32 rows = mask.block[0] * mask.block[1];
    if (entry & WHOLE) {
        u32 slice = mask.map[1] * mask.map[2];
#pragma clang loop unroll(disable)
        for (; row < rows; row += step) {
            u32 in_slice, z = divide(row, mask.block_height, &in_slice);
            set_pattern(mask, (entry & ~WHOLE) + z * slice + in_slice * mask.map[2]);
        }
        return;
    }
    Corner corner(mask, tile, entry);
#pragma clang loop unroll(disable)
    for (; row < rows; row += step) corner.set_row(mask, tile, row, 1);
}

DEVICE u32 entry_of(const Mask &mask, const Tile &tile, u32 position) {
    Corner at(mask, tile, position);
    i32 start = at.plane + (at.d * (i32)mask.map[1] + at.h) * (i32)mask.map[2] + at.w;
    bool inside = at.d >= 0 && at.h >= 0 && at.w >= 0 &&
                  (u32)at.d + mask.block[0] <= mask.map[0] &&
                  (u32)at.h + mask.block[1] <= mask.map[1] &&
                  (u32)at.w + mask.block[2] <= mask.map[2];
    bool whole = mask.pattern != 0 && inside && start >= 0 && (u32)start + mask.span <= tile.len;
    return whole ? (u32)start | WHOLE : position;
}

// What a thread draws of a segment: positions from `at` on, counted from that of the segment, are
// wanted if they are in `from` to `to`.
struct Walk {
    i32 base, from, to, at;

    MEMBER Walk(const Tile &tile, u64 segment) {
        base = (i32)(i64)(segment * SEGMENT - tile.line);
        from = tile.begin - base;
        to = least<i32>(tile.end - base, SEGMENT);
        at = 0;
    }

    // Lists the centres that gaps lead to, or sets them.
    MEMBER void emit(const Mask &mask, const Tile &tile, const u32 (&gaps)[AT_ONCE]) {
        u32 position[AT_ONCE], hits = 0;
#pragma unroll
        for (u32 j = 0; j < AT_ONCE; ++j) {
            bool centre = gaps[j] != LONG;
            at += (i32)gaps[j];
            position[j] = (u32)(base + at);
            hits |= (u32)(centre && at >= from && at < to) << j;
            at += centre;
        }
        if (hits == 0) return;
        if (mask.single) {
#pragma unroll
            for (u32 j = 0; j < AT_ONCE; ++j) {
                u32 bit = position[j] - tile.start;
                if (hits >> j & 1 && bit < tile.len) {
                    set_bits((u32 *)tile_bits + bit / 32, 1u << bit % 32);
                }
            }
            return;
        }
        u32 ticket = add(&listed, (u32)__builtin_popcount(hits));
        u32 entry[AT_ONCE];
#pragma unroll
        for (u32 j = 0; j < AT_ONCE; ++j) entry[j] = entry_of(mask, tile, position[j]);
#pragma unroll
        for (u32 j = 0; j < AT_ONCE; ++j) {
            u32 place = ticket + (u32)__builtin_popcount(hits & ((1u << j) - 1));
            if (hits >> j & 1 && place < LIST) list[place] = entry[j];
        }
        // Those for which there is no room.
#pragma clang loop unroll(disable)
        for (; hits != 0; hits >>= 1) {
            if (hits & 1 && ticket++ >= LIST) set_rows(mask, tile, entry[0], 0, 1);
            entry[0] = entry[1];
            entry[1] = entry[2];
            entry[2] = entry[3];
        }
    }
};

// One bit of the state that a matrix makes of another one.
DEVICE bool product(Vector row, u32 s0, u32 s1, u32 s2, u32 s3) {
    u32 bits = (row[0] & s0) ^ (row[1] & s1) ^ (row[2] & s2) ^ (row[3] & s3);
    return __builtin_popcount(bits) & 1;
}

// A segment that is shared by several threads: the one of a thread, and its part of it.
struct Share {
    u32 segment, part;
    bool mine, last;
    Generator generator;
    u32 gaps[DRAWS];

    // Lane l of warp w has part w + l / segments * warps of segment l % segments. Ends with a barrier.
    MEMBER Share(const Mask &mask, const Tile &tile, const Words &words, u32 segments) {
        u32 warps = thread_count() / 32, warp = thread_index() / 32, lane = thread_index() % 32;
        u32 round = lane / segments, slot = 0;
        segment = lane - round * segments;
        part = warp + round * warps;
        mine = part < mask.lanes;
        last = part + 1 == mask.lanes;
        generator.begin(words, tile.first_segment() + segment);
        // A warp makes the states of its parts, one after another: every lane four bits of each.
#pragma clang loop unroll(disable)
        for (u32 i = warp; i < mask.lanes; i += warps) {
            const Vector *rows = (const Vector *)mask.jumps + i * 128 + lane;
            Vector a = rows[0], b = rows[32], c = rows[64], d = rows[96];
#pragma clang loop unroll(disable)
            for (u32 k = 0; k < segments; ++k, ++slot) {
                u32 s0 = of_lane(generator.s0, slot), s1 = of_lane(generator.s1, slot);
                u32 s2 = of_lane(generator.s2, slot), s3 = of_lane(generator.s3, slot);
                u32 n0 = ballot(product(a, s0, s1, s2, s3));
                u32 n1 = ballot(product(b, s0, s1, s2, s3));
                u32 n2 = ballot(product(c, s0, s1, s2, s3));
                u32 n3 = ballot(product(d, s0, s1, s2, s3));
                if (lane == slot) generator = {n0, n1, n2, n3};
            }
        }
        u32 sum = 0;
        if (mine) {
            draw((const u32 *)gap_table, generator, gaps);
#pragma unroll
            for (u32 j = 0; j < DRAWS; ++j) sum += gaps[j] + (gaps[j] != LONG);
            passed[segment * mask.lanes + part] = sum;
        }
        barrier();
    }

    // Where it begins.
    MEMBER i32 start(const Mask &mask) const {
        i32 at = 0;
#pragma clang loop unroll(disable)
        for (u32 i = 0; i < part; ++i) at += (i32)passed[segment * mask.lanes + i];
        return at;
    }
};

// Draws the centres of the tile's segments: what was drawn as a share of one, then until its end; or
// whole segments, one after another.
DEVICE void draw_segments(const Mask &mask, const Tile &tile) {
    Words words(mask.key);
    u32 segments = tile.segments(), warps = thread_count() / 32, step = thread_count();
    u32 segment = thread_index(), ready = 0;
    bool more = true;
    i32 start = 0;
    Generator generator;
    u32 drawn[DRAWS];
    if (mask.lanes > 1 && segments > 0 && (mask.lanes + warps - 1) / warps * segments <= 32) {
        Share share(mask, tile, words, segments);
        segment = share.mine ? share.segment : segments;
        step = segments;
        more = share.last;
        ready = DRAWS / AT_ONCE;
        start = share.mine ? share.start(mask) : 0;
        generator = share.generator;
#pragma unroll
        for (u32 j = 0; j < DRAWS; ++j) drawn[j] = share.gaps[j];
    }
#pragma clang loop unroll(disable)
    for (; segment < segments; segment += step) {
        Walk walk(tile, tile.first_segment() + segment);
        walk.at = start;
        if (ready == 0) generator.begin(words, tile.first_segment() + segment);
#pragma clang loop unroll(disable)
        while (walk.at < walk.to && (ready > 0 || more)) {
            u32 gaps[AT_ONCE];
            if (ready > 0) {
                --ready;
#pragma unroll
                for (u32 j = 0; j < AT_ONCE; ++j) {
                    gaps[j] = drawn[j];
                    drawn[j] = drawn[AT_ONCE + j];
                }
            } else {
                draw((const u32 *)gap_table, generator, gaps);
            }
            walk.emit(mask, tile, gaps);
        }
    }
}

// Draws the mask of the tile. Afterwards all threads see its bits.
DEVICE void draw_tile(const Mask &mask, const Tile &tile) {
    copy_table((u32 *)gap_table, mask.table);
    for (u32 i = thread_index(); i < words_of(tile.len); i += thread_count()) tile_bits[i] = 0;
    if (thread_index() == 0) listed = 0;
    barrier();
    draw_segments(mask, tile);
    barrier();
    if (mask.single) return;
    // A listed block is shared by as many threads as there are to spare.
    u32 centres = least<u32>(listed, LIST), rows = mask.block[0] * mask.block[1], shift = 0;
#pragma clang loop unroll(disable)
    while (centres << shift < thread_count() && 1u << shift < rows) ++shift;
#pragma clang loop unroll(disable)
    for (u32 i = thread_index(); i < centres << shift; i += thread_count()) {
        set_rows(mask, tile, list[i >> shift], i & ((1u << shift) - 1), 1u << shift);
    }
    barrier();
}

#endif
