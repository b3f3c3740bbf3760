// Where the elements of a tensor lie that is not one line: from a flat index along the axes to
// the element's offset, its bit and so on.
#ifndef DROPBLOCK_PLACE_H
#define DROPBLOCK_PLACE_H

#include "common.h"

enum { AXES = 5 };

// The indices of a tile's first element, so that 64-bit divisions are needed once per tile.
SHARED volatile u64 digits[AXES];

// Finds the indices; all threads must have passed a barrier before they use them.
DEVICE void set_digits(const Tensor &t, u64 first) {
    if (thread_index() != 0) return;
#pragma clang loop unroll(disable)
    for (int k = (int)t.rank - 1; k >= 0; --k) {
        u64 size = t.axes[k].size, rest = divide(first, size);
        digits[k] = first - rest * size;
        first = rest;
    }
}

// One element.
struct Place {
    u64 element, unit, position, group, number;
    u32 left; // elements to the end of the innermost axis, this one included, MAX_TILE at most
};

// The place of an element by its offset in the tile, which is below MAX_TILE.
DEVICE Place locate(const Tensor &t, u32 offset) {
    Place p = {0, 0, 0, 0, t.first_number, 1};
    u64 carry = offset;
#pragma clang loop unroll(disable)
    for (int k = (int)t.rank - 1; k >= 0; --k) {
        const Axis &axis = t.axes[k];
        u64 size = axis.size, index = digits[k] + carry;
        if (index < size) {
            carry = 0;
        } else if (size < MAX_TILE) {
            carry = (u32)index / (u32)size;
            index -= carry * size;
        } else {
            // As long as any tile.
            carry = 1;
            index -= size;
        }
        p.element += index * axis.element;
        p.unit += index * axis.unit;
        p.position += index * axis.position;
        p.group += index * axis.group;
        p.number += index * axis.number;
        if (k == (int)t.rank - 1) p.left = (u32)least<u64>(size - index, MAX_TILE);
    }
    return p;
}

// Whether so many neighbouring elements, a power of two, counted from a multiple of that number,
// lie side by side in memory, at a multiple of it. Pointers must be aligned.
DEVICE bool side_by_side(const Tensor &t, u32 count) {
    bool dense = true, rows = t.rank > 0;
    u64 step = 1;
#pragma clang loop unroll(disable)
    for (int k = (int)t.rank - 1; k >= 0; --k) {
        const Axis &axis = t.axes[k];
        bool inner = k == (int)t.rank - 1;
        dense = dense && axis.element == step;
        rows = rows && (inner ? axis.element == 1 && (axis.size & (count - 1)) == 0
                              : (axis.element & (count - 1)) == 0);
        step *= axis.size;
    }
    return t.vector == 1 && (dense || rows);
}

#endif
