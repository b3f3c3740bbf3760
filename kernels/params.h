// The parameters of the kernels, as the host lays them out: every field is
// eight bytes, so neither side has padding.
#ifndef DROPBLOCK_PARAMS_H
#define DROPBLOCK_PARAMS_H

typedef unsigned long long u64;
typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned char u8;

// How the mask of a plan is drawn. Three axes are always depth, height, width.
struct Mask {
    u64 key[2];         // the two words of the mask's key
    u64 first_position; // number of the mask's first position in the line of the whole batch
    u64 planes;         // of the mask
    u64 positions;      // possible centres of one plane: product of `grid`
    u64 plane;          // units of one plane: product of `map`
    u64 map[3];
    u64 grid[3];
    u64 block[3];       // size of a block, at most the map
    u64 before[3];      // a block begins at cell + shift - before, clipped to the map
    u64 shift[3];       // added to a cell of the grid
    const u32 *table;   // the gap table, 1024 entries
    u64 tile;           // units of a tile, a multiple of 64
};

// What kept elements are multiplied by.
struct Scales {
    u64 kind;              // 0 `factor`; 1 from `counts` by group; 2 by position
    double factor;         // kind 0; exact in the kernel's type of scales
    const u64 *counts;     // kind 1: dropped units of each group
    u64 group_units;       // kind 1: units of a group, below 2^53
    const void *positions; // kind 2: `plane` scales, double for f64, float for the others
};

// One axis of a tensor: its size, and what one step along it adds to the
// element's offset, the bit of the mask, the position in the map, the scale
// group and the noise number.
struct Axis {
    u64 size;
    u64 element;
    u64 unit;
    u64 position;
    u64 group;
    u64 number;
};

// A tensor and what becomes of its elements.
struct Tensor {
    const void *x;
    void *y;          // may equal x; never overlaps it otherwise
    u64 rank;         // axes in use, 0 to 5, outermost first; all longer than 1
    Axis axes[5];
    u64 len;          // elements: product of the sizes
    u64 line;         // 1: element i is unit i, for all i
    u64 vector;       // 1: x and y are 16-byte aligned
    u64 fill;         // dropped elements: 0 `value`, 1 noise
    u64 keep;         // `apply_*`, kept elements: 0 scaled, 1 left alone (then y is x)
    u64 value;        // bits of the value for dropped elements, repeated to 8 bytes
    u64 noise[2];     // the two words of the noise's key
    u64 first_number; // added to the noise numbers
};

#endif
