// The mask of a tile, in shared memory: centres are drawn, then their blocks are set.
#ifndef DROPBLOCK_MASK_H
#define DROPBLOCK_MASK_H

#include "random.h"

enum { LIST = 1024 };

SHARED u32 tile_bits[MAX_TILE / 32];
// Centres of a tile; between two barriers also counters and scales.
SHARED u64 list[LIST];
SHARED u32 listed;

// What is known of the mask before any tile. It lies in shared memory, like the tile, so that
// nothing of it takes registers where it is not used.
struct Geometry {
    u64 map[3];
    u64 grid[3];
    u64 block[3];
    i64 reach[2][3]; // where blocks end and begin, from their cells
    u64 plane;       // units
    u64 cells;       // of the grid
    u64 units;
};
SHARED volatile Geometry geometry;

// A tile: units first to first + len, and the positions whose blocks may reach it.
struct Tile {
    u64 first;
    u64 len;
    u64 plane_start; // first unit of the plane in which the tile begins
    u64 line;        // the number of that plane's first position in the line of the whole batch
    u64 begin;       // positions, counted from there
    u64 end;
    u64 first_row;   // rows of the map that meet the tile, counted from the first of the plane
    u64 rows;
};
SHARED volatile Tile tile;

DEVICE void set_geometry(const Mask &mask, const u64 *grid) {
    if (thread_index() == 0) {
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) {
            i64 begin = (i64)(mask.shift[axis] - mask.before[axis]);
            geometry.map[axis] = mask.map[axis];
            geometry.grid[axis] = grid[axis];
            geometry.block[axis] = mask.block[axis];
            geometry.reach[0][axis] = begin + (i64)mask.block[axis] - 1;
            geometry.reach[1][axis] = begin;
        }
        geometry.plane = mask.plane;
        geometry.cells = grid[0] * grid[1] * grid[2];
        geometry.units = mask.planes * mask.plane;
    }
    barrier();
}

// A cell of the grid, or a unit of the map; the plane is counted from the tile's first.
struct Cell {
    u64 plane, d, h, w;
};

DEVICE Cell cell_of(const volatile u64 *sizes, u64 position) {
    Cell cell = {position, 0, 0, 0};
    // A loop, so that the division is there once.
#pragma clang loop unroll(disable)
    for (int axis = 2; axis >= 0; --axis) {
        u64 size = sizes[axis], outer = divide(cell.plane, size);
        cell = {outer, cell.plane - outer * size, cell.d, cell.h};
    }
    // Each went one on with every step.
    return cell;
}

// To be called first, with the grid of the mask or the map. Clears the bits of the block's tile and
// finds what reaches it.
DEVICE void begin_tile(const Mask &mask, const u64 *grid) {
    set_geometry(mask, grid);
    const volatile Geometry &g = geometry;
    u64 first = block_index() * mask.tile, len = least<u64>(g.units - first, mask.tile);
    for (u32 i = thread_index(); i < words_of((u32)len); i += thread_count()) tile_bits[i] = 0;
    if (thread_index() == 0) {
        u64 plane = divide(first, g.plane), start = plane * g.plane;
        tile.first = first;
        tile.len = len;
        tile.plane_start = start;
        tile.line = mask.first_position + plane * g.cells;
        listed = 0;
        // How many cells come before the first whose block may reach the first unit or one after
        // it, and before the end of those whose block may begin at the last unit or before it. A
        // superset: where an outer axis decides, inner ones do not count.
#pragma clang loop unroll(disable)
        for (u32 last = 0; last < 2; ++last) {
            Cell unit = cell_of(g.map, first - start + (last ? len - 1 : 0));
            u64 at[3] = {unit.d, unit.h, unit.w};
            u64 cells = unit.plane;
            bool tight = true;
#pragma unroll
            for (int axis = 0; axis < 3; ++axis) {
                i64 cell = (i64)at[axis] - g.reach[last][axis];
                u64 passed = cell < 0 ? 0 : least<u64>((u64)cell, g.grid[axis]);
                cells = cells * g.grid[axis] + (tight ? passed : 0);
                tight = tight && cell >= 0 && (u64)cell < g.grid[axis];
            }
            u64 row = (unit.plane * g.map[0] + unit.d) * g.map[1] + unit.h;
            if (last) {
                tile.end = cells + tight;
                tile.rows = row - tile.first_row + 1;
            } else {
                tile.begin = cells;
                tile.first_row = row;
            }
        }
    }
    barrier();
}

// Sets a run of the tile's bits, as far as it lies inside: both ends are counted from the tile's
// first unit.
DEVICE void set_run(i64 start, i64 end) {
    i64 len = (i64)tile.len;
    if (end <= 0 || start >= len) return;
    u32 at = (u32)most<i64>(start, 0), stop = (u32)least<i64>(end, len);
#pragma clang loop unroll(disable)
    while (at < stop) {
        u32 in_word = at % 32, part = least<u32>(32 - in_word, stop - at);
        set_bits(&tile_bits[at / 32], low_bits(part) << in_word);
        at += part;
    }
}

// Sets, in a row of the map, the run of columns from `from` to `to`, as far as they exist. Rows
// are counted from the first of the tile's first plane.
DEVICE void set_columns(u64 row, i64 from, i64 to) {
    i64 width = (i64)geometry.map[2];
    i64 start = (i64)row * width - (i64)(tile.first - tile.plane_start);
    from = most<i64>(from, 0);
    to = least<i64>(to, width);
    if (from < to) set_run(start + from, start + to);
}

// Walks one segment after the other, from centre to centre, and stops while the list is full.
struct Walker {
    Generator generator;
    u64 segment;
    u32 at;       // in the segment
    bool waiting; // whether that is a centre for which there was no room

    MEMBER explicit Walker(const Mask &mask) {
        segment = (tile.line + tile.begin) / SEGMENT + thread_index();
        waiting = false;
        at = 0;
        generator.begin(mask, segment);
    }

    MEMBER void walk(const Mask &mask, bool single) {
        // Positions in the line. There are no segments where none can reach the tile.
        u64 begin = tile.line + tile.begin, end = tile.line + tile.end;
#pragma clang loop unroll(disable)
        for (u64 start = segment * SEGMENT; start < end; start = segment * SEGMENT) {
            u32 from = begin > start ? (u32)(begin - start) : 0;
            u32 to = (u32)least<u64>(end - start, SEGMENT);
            u64 base = start - tile.line;
#pragma clang loop unroll(disable)
            while (at < to) {
                if (!waiting) {
                    u32 step = gap(mask.table, generator.next());
                    at += step;
                    if (step == LONG) continue;
                }
                if (at >= from && at < to) {
                    if (single) {
                        // Here positions are units.
                        u32 bit = (u32)(tile.plane_start + base + at - tile.first);
                        set_bits(&tile_bits[bit / 32], 1u << bit % 32);
                    } else {
                        u32 ticket = add(&listed, 1);
                        waiting = ticket >= LIST;
                        if (waiting) return;
                        list[ticket] = base + at;
                    }
                }
                ++at;
            }
            segment += thread_count();
            at = 0;
            generator.begin(mask, segment);
        }
    }
};

// Sets the rows of the listed blocks, one by each thread at a time.
DEVICE void set_listed(u32 centres) {
    const volatile Geometry &g = geometry;
    // Blocks may have more rows than the tile. The fewer are few enough for 32 bits.
    u64 block_rows = g.block[0] * g.block[1], tile_rows = tile.rows;
    bool by_block = block_rows <= tile_rows;
    u32 rows = (u32)least(block_rows, tile_rows), items = centres * rows;
#pragma clang loop unroll(disable)
    for (u32 i = thread_index(); i < items; i += thread_count()) {
        u32 centre = i / rows, row = i - centre * rows;
        Cell cell = cell_of(g.grid, list[centre]);
        // Where the block begins.
        u64 low_d = cell.d + (u64)g.reach[1][0], low_h = cell.h + (u64)g.reach[1][1];
        u64 map_row, in_d, in_h;
        if (by_block) {
            u32 height = (u32)g.block[1];
            in_d = row / height;
            in_h = row - in_d * height;
            map_row = (cell.plane * g.map[0] + low_d + in_d) * g.map[1] + low_h + in_h;
        } else {
            map_row = tile.first_row + row;
            u64 slice = divide(map_row, g.map[1]);
            // Rows of another plane are far from the block, above or below.
            in_d = slice - cell.plane * g.map[0] - low_d;
            in_h = map_row - slice * g.map[1] - low_h;
        }
        bool covered = in_d < g.block[0] && in_h < g.block[1] && low_d + in_d < g.map[0] &&
                       low_h + in_h < g.map[1];
        i64 from = (i64)cell.w + g.reach[1][2];
        if (covered) set_columns(map_row, from, from + (i64)g.block[2]);
    }
}

// Draws the mask of the block's tile. Afterwards all threads see its bits.
DEVICE void draw_tile(const Mask &mask) {
    begin_tile(mask, mask.grid);
    bool single = geometry.block[0] * geometry.block[1] * geometry.block[2] == 1 &&
                  geometry.cells == geometry.plane;
    Walker walker(mask);
    bool more;
    do {
        walker.walk(mask, single);
        barrier();
        u32 tickets = listed;
        more = tickets > LIST;
        set_listed(least<u32>(tickets, LIST));
        barrier();
        if (thread_index() == 0) listed = 0;
        barrier();
    } while (more);
}

#endif
