// Any tensor whose mask is in memory: views, masks and scales of every kind, noise, single bytes.
// An element a thread, in the order of the tensor's axes.
#ifndef DROPBLOCK_GENERAL_H
#define DROPBLOCK_GENERAL_H

#include "element.h"
#include "noise.h"

enum { AXES = 5, GENERAL_THREADS = 256 };

// The indices of a tile's first element, so that 64-bit divisions are needed once per tile.
SHARED u64 digits[AXES];
// One element.
struct Place {
    u64 element, unit, position, group, number;
};

// A tile of a tensor, of at most MAX_TILE elements.
struct Part {
    u32 len;

    // Ends with a barrier.
    MEMBER explicit Part(const Tensor &t) {
        u32 tile = even_tile(t.len);
        u64 first = (u64)block_index() * tile;
        // Rounded up to whole words, the tiles may end before the last block.
        len = first < t.len ? (u32)least<u64>(tile, t.len - first) : 0;
        if (thread_index() == 0) {
#pragma clang loop unroll(disable)
            for (int k = (int)t.rank - 1; k >= 0; --k) {
                u64 size = t.axes[k].size, rest = divide(first, size);
                digits[k] = first - rest * size;
                first = rest;
            }
        }
        barrier();
    }

    MEMBER Place locate(const Tensor &t, u32 offset) const {
        Place p = {0, 0, 0, 0, t.first_number};
        u32 carry = offset;
#pragma clang loop unroll(disable)
        for (int k = (int)t.rank - 1; k >= 0; --k) {
            const Axis &axis = t.axes[k];
            u64 index = digits[k] + carry;
            if (index < axis.size) {
                carry = 0;
            } else if (axis.size < MAX_TILE) {
                u32 rest;
                carry = divide((u32)index, axis.divisor, &rest);
                index = rest;
            } else {
                // As long as any tile.
                carry = 1;
                index -= axis.size;
            }
            p.element += index * axis.element;
            p.unit += index * axis.unit;
            p.position += index * axis.position;
            p.group += index * axis.group;
            p.number += index * axis.number;
        }
        return p;
    }
};

// One element of a type.
template <class E>
DEVICE void general_element(const Scales &s, const Tensor &t, const Place &p, int deviate, bool drop) {
    typedef typename E::Scale Scale;
    typename E::Raw *y = (typename E::Raw *)t.y + p.element;
    if (drop) {
        *y = t.fill == 1 ? E::from_deviate(deviate) : 0;
        return;
    }
    Scale scale = s.kind == 0 ? same_scale<E>(s)
                              : ((const Scale *)s.from)[s.kind == 1 ? p.group : p.position];
    *y = kept<E>(((const typename E::Raw *)t.x)[p.element], scale);
}

// Kinds 0 to 3 are scaled as f32, f64, f16 and bf16; from 4 on elements of 2^(kind - 4) bytes are
// only dropped, and not looked at.
DEVICE void general_part(u32 kind, const Scales &s, const Tensor &t, const Key &key) {
    Part part(t);
    Noise noise(key, t.fill == 1);
#pragma clang loop unroll(disable)
    for (u32 at = thread_index(); at < part.len; at += GENERAL_THREADS) {
        Place p = part.locate(t, at);
        bool drop = t.words[p.unit / 32] >> p.unit % 32 & 1;
        if (!drop && t.keep == 1) continue;
        int deviate = drop && t.fill == 1 ? noise.deviate(p.number) : 0;
        switch (kind) {
        case 0: general_element<F32>(s, t, p, deviate, drop); break;
        case 1: general_element<F64>(s, t, p, deviate, drop); break;
        case 2: general_element<F16>(s, t, p, deviate, drop); break;
        case 3: general_element<BF16>(s, t, p, deviate, drop); break;
        case 4: ((u8 *)t.y)[p.element] = (u8)t.value; break;
        case 5: ((u16 *)t.y)[p.element] = (u16)t.value; break;
        case 6: ((u32 *)t.y)[p.element] = (u32)t.value; break;
        default: ((u64 *)t.y)[p.element] = t.value;
        }
    }
}

#endif
