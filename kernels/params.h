// The parameters of the kernels, as the host lays them out: numbers of 32 bits stand in pairs, so
// neither side has padding.
#ifndef DROPBLOCK_PARAMS_H
#define DROPBLOCK_PARAMS_H

typedef unsigned long long u64;
typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned char u8;
typedef int i32;

// A divisor and its reciprocal: 2^32 / d rounded down, at most 2^32 - 1.
struct Div {
    u32 d, m;
};

// The words of a key: finished, or those of the seed alone if the step is read on the device.
struct Key {
    u64 words[2];
    const u64 *step; // null: `words` are finished
    u64 layer;       // absorbed after the step
};

// How a mask is drawn, or a part of it with fewer than 2^30 units: what one launch does. Three
// axes are always depth, height, width.
struct Mask {
    Key key;
    u64 line; // number of the first position of the plane in which the part begins, in the line of
              // the whole batch; for `dense` of the part's first position
    const u32 *table;       // the gap table, 1024 entries, at a multiple of 16 bytes
    const void *jumps;      // 32 matrices of 128 rows: 8 i draws on
    u32 *words;             // of the part, at a multiple of 8 bytes
    Div plane, cells;       // units and positions of a plane, fewer than 2^30
    Div slice_cells;        // positions of one step along the depth
    Div row_cells;          // and along the height
    Div outer;              // units of one step along the outermost axis that is not 1
    Div block_height;       //
    u32 outer_cells;        // positions of one step along that axis
    u32 outer_grid;         // positions along it
    u32 outer_block;        // size of a block along it
    i32 outer_offset;       // and where a block begins, counted from its position
    u32 map[3];             //
    u32 block[3];           // at most the map
    i32 offset[3];          // a block begins at its position's cell + offset, clipped to the map
    u32 span;               // units from the first of an unclipped block to its last
    u32 pattern;            // the bits of a row of a block, 0 if they are more than 32
    u32 single;             // 1: blocks of one unit, and positions are units
    u32 units;              // of the part
    u32 start;              // where in its plane the part begins
    u32 tile;               // units of a tile, a multiple of 64, at most 65536
    u32 lanes;              // threads that share a segment, 1 to 32
};

// How lanes share a segment in `dense`: lane i begins i * draws draws on, by a polynomial.
struct Jumps {
    u32 draws; // a multiple of 4
    u32 shift; // lanes are 1 << shift, at most 32
    u32 longs; // whether a draw may be no gap
    u32 polynomials[32][4];
    u32 unused;
};

// Cuts a line into groups: how many units are left of the one in which it begins, and the length
// of the others; both at most 2^32 - 1.
struct Periods {
    Div length;
    u32 left;
    u32 unused;
    u64 first; // the number of the group in which it begins
};

// What is counted, and the scale that follows.
struct Count {
    u64 *state;       // sum << 24 | blocks that are done; 0 between launches. Null: no total
    u64 *total;       // where the last block writes it
    const u64 *known; // a total that is known: only the scale is written. Or null
    u64 *scales;      // a float and a double, 8 bytes each, or null
    u64 units;        // of the whole mask, below 2^53
    u64 more;         // 1: the total is added to that of the parts before
    u64 *groups;      // dropped units of each group, added to; or null
    Periods periods;
};

// The scales of kept elements: floats, or doubles for f64.
struct Scales {
    u64 kind;         // 0 all the same, 1 by group, 2 by position
    u64 same;         // kind 0: the bits, where `from` is null
    const void *from; // one scale, or one for each group or position
};

// A part of a tensor that is one line of fewer than 2^31 elements, each with a unit of its own.
struct Line {
    const void *x;
    void *y; // may equal x; never overlaps it otherwise
    const u32 *words;
    Scales scales;   // kind 0, for `groups_*` 1
    Periods periods; // `groups_*`
    u32 len;         // elements
    u32 whole;       // blocks of threads that have no end of the line
};

// A tensor as [outer][repeat][inner], whose mask is [outer][inner].
struct Shared {
    const void *x;
    void *y;
    const u32 *words;
    Scales scales; // kind 0
    Div inner;   // vectors
    Div quads;   // `repeat` in fours, rounded up
    u32 repeat;  //
    u32 threads; // that have work
};

// Samples of positions of channels, of which each has a mask of its own.
struct Last {
    const void *x;
    void *y;
    const u32 *words;
    Scales scales; // kind 0
    Div tiles;    // 32 positions of a sample
    Div channels; // at most 2048, a multiple of the elements of a vector
    u32 plane;    // positions of a sample
    u32 unused;
};

// One axis of a tensor: its size, and what one step along it adds to the element's offset, the bit
// of the mask, the position in the map, the scale group and the noise number.
struct Axis {
    u64 size;
    u64 element;
    u64 unit;
    u64 position;
    u64 group;
    u64 number;
    Div divisor; // the size, if it is below 65536
};

// Any tensor and what becomes of its elements.
struct Tensor {
    const void *x;
    void *y;
    const u32 *words;
    u64 rank;         // axes in use, 0 to 5, outermost first; all longer than 1
    Axis axes[5];
    u64 len;          // elements: product of the sizes
    u64 fill;         // dropped elements: 0 `value`, 1 noise
    u64 keep;         // kept elements: 0 scaled, 1 left alone (then y is x)
    u64 value;        // bits of the value for dropped elements, repeated to 8 bytes
    u64 first_number; // added to the noise numbers
};

#endif
