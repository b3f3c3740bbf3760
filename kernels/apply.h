// From a tile of the mask to the elements: scaled, filled with a value or with noise.
#ifndef DROPBLOCK_APPLY_H
#define DROPBLOCK_APPLY_H

#include "element.h"
#include "mask.h"
#include "noise.h"
#include "place.h"

// The mask of a tile that was drawn here: a unit is an element of the tile.
struct Drawn {
    enum { SCALES = 1 }; // whatever `Tensor::keep` says
    const u32 *words;

    MEMBER u32 bits(u32 at, u32 count) const { return words[at / 32] >> at % 32 & low_bits(count); }
    // `place` is not needed: axes stand in the order of the units.
    MEMBER bool bit(u32 at, const Place &) const { return words[at / 32] >> at % 32 & 1; }
    MEMBER u32 gather(const Tensor &t, u32 at, u32 count, u64 *element) const {
        *element = locate(t, at).element;
        return bits(at, count);
    }
};

// A mask in memory. As a line its words begin with those of the tile, else with the mask.
struct Stored {
    enum { SCALES = 0 };
    const u32 *words;

    MEMBER u32 bits(u32 at, u32 count) const { return words[at / 32] >> at % 32 & low_bits(count); }
    MEMBER bool bit(u32, const Place &p) const { return words[p.unit / 32] >> p.unit % 32 & 1; }
    // The bits of neighbouring elements, and where the first of them lies.
    MEMBER u32 gather(const Tensor &t, u32 at, u32 count, u64 *element) const {
        u64 step = t.axes[t.rank - 1].unit;
        Place p;
        p.left = 0;
        u32 bits = 0;
#pragma clang loop unroll(disable)
        for (u32 j = 0; j < count; ++j) {
            if (p.left == 0) {
                p = locate(t, at + j);
                if (j == 0) {
                    *element = p.element;
                    if (step == 0 && p.left >= count) return bit(at, p) ? low_bits(count) : 0;
                }
            }
            bits |= (u32)bit(at + j, p) << j;
            p.unit += step;
            --p.left;
        }
        return bits;
    }
};

// The scales of elements of a line: all the same, or from a table by scale group or by position.
// A vector's come from two places of the table at most, before and after a border.
template <class E> struct Uniform {
    enum { SAME = 1 };
    typename E::Scale scale;

    MEMBER void begin(u32, u32) {}
    MEMBER typename E::Scale at(u32) const { return scale; }
};

template <class E> struct ByGroup {
    enum { SAME = 0 };
    const typename E::Scale *table;
    typename E::Scale before, after;
    u32 border;

    MEMBER explicit ByGroup(const typename E::Scale *table) : table(table) {}
    MEMBER void begin(u32 at, u32 count) {
        u32 index = periods.index(at);
        border = periods.left(at, index);
        before = table[index];
        after = border < count ? table[index + 1] : before;
    }
    MEMBER typename E::Scale at(u32 j) const { return j < border ? before : after; }
};

template <class E> struct ByPosition {
    enum { SAME = 0 };
    const typename E::Scale *table, *before, *after;
    u32 border;

    MEMBER explicit ByPosition(const typename E::Scale *table) : table(table) {}
    MEMBER void begin(u32 at, u32) {
        border = periods.left(at, periods.index(at));
        before = table + periods.place(at);
        after = table - border;
    }
    MEMBER typename E::Scale at(u32 j) const { return (j < border ? before : after)[j]; }
};

// The kept ones of a vector multiplied, the dropped ones replaced.
template <class E, class S> DEVICE Vector scaled(Vector v, u32 bits, u64 value, const S &scale) {
    typedef typename E::Raw Raw;
#pragma unroll
    for (u32 j = 0; j < E::PER_VECTOR; ++j) {
        Raw x = kept<E>(get<Raw>(v, j), scale.at(j));
        put<Raw>(v, j, bits >> j & 1 ? (Raw)value : x);
    }
    return v;
}

// Scales a part of a line, which begins at element `first`. Vectors are moved whole if `wide`: a
// table of scales must not change more than once within one.
template <class E, class B, class S>
DEVICE void scale_line(const B &mask, const Tensor &t, u64 first, u32 len, S scale, bool wide) {
    typedef typename E::Raw Raw;
    enum { V = E::PER_VECTOR };
    const Raw *x = (const Raw *)t.x + first;
    Raw *y = (Raw *)t.y + first;
    u32 vectors = wide && t.vector == 1 ? len / V : 0, threads = thread_count();
    if (S::SAME) {
        // Two loads are on their way before the first is used.
#pragma clang loop unroll(disable)
        for (u32 i = thread_index(); i < vectors; i += 2 * threads) {
            u32 j = i + threads;
            bool both = j < vectors;
            Vector v = ((const Vector *)x)[i], w = v;
            if (both) w = ((const Vector *)x)[j];
            ((Vector *)y)[i] = scaled<E>(v, mask.bits(i * V, V), t.value, scale);
            if (both) ((Vector *)y)[j] = scaled<E>(w, mask.bits(j * V, V), t.value, scale);
        }
    } else {
#pragma clang loop unroll(disable)
        for (u32 i = thread_index(); i < vectors; i += threads) {
            u32 bits = mask.bits(i * V, V);
            Vector v = ((const Vector *)x)[i];
            scale.begin(i * V, V);
            ((Vector *)y)[i] = scaled<E>(v, bits, t.value, scale);
        }
    }
#pragma clang loop unroll(disable)
    for (u32 at = vectors * V + thread_index(); at < len; at += threads) {
        scale.begin(at, 1);
        y[at] = mask.bits(at, 1) ? (Raw)t.value : kept<E>(x[at], scale.at(0));
    }
}

// Elements of `1 << shift` bytes that are only written, never looked at; the value is repeated to 8.
struct Cells {
    u8 *y;
    u64 value;
    u32 shift;

    MEMBER void write(u64 element) const {
        u8 *at = y + (element << shift);
        switch (shift) {
        case 0: *at = (u8)value; break;
        case 1: *(u16 *)at = (u16)value; break;
        case 2: *(u32 *)at = (u32)value; break;
        default: *(u64 *)at = value;
        }
    }

    // Writes those of a vector's elements whose bits are set, from the given one on.
    MEMBER void write_set(u64 element, u32 bits, u32 per_vector) const {
        if (bits == low_bits(per_vector)) {
            u32 low = (u32)value, high = (u32)(value >> 32);
            *(Vector *)(y + (element << shift)) = Vector{low, high, low, high};
            return;
        }
#pragma clang loop unroll(disable)
        for (; bits != 0; bits &= bits - 1) write(element + __builtin_ctz(bits));
    }
};

// Writes the value to the dropped elements of a tile.
template <class B> DEVICE void drop_tile(const B &mask, const Tensor &t, u32 shift) {
    u32 len = (u32)tile.len, per_vector = 16 >> shift;
    bool line = t.line == 1;
    u64 first = line ? tile.first : 0;
    Cells cells = {(u8 *)t.y, t.value, shift};
    u32 vectors = (line ? t.vector == 1 : side_by_side(t, per_vector)) ? len / per_vector : 0;
#pragma clang loop unroll(disable)
    for (u32 i = thread_index(); i < vectors; i += thread_count()) {
        u32 at = i * per_vector;
        u64 element = first + at;
        u32 bits = line ? mask.bits(at, per_vector) : mask.gather(t, at, per_vector, &element);
        if (bits != 0) cells.write_set(element, bits, per_vector);
    }
#pragma clang loop unroll(disable)
    for (u32 at = vectors * per_vector + thread_index(); at < len; at += thread_count()) {
        u64 element = first + at;
        bool dropped;
        if (line) {
            dropped = mask.bits(at, 1);
        } else {
            Place p = locate(t, at);
            dropped = mask.bit(at, p);
            element = p.element;
        }
        if (dropped) cells.write(element);
    }
}

// Writes noise to the dropped elements of a tile.
template <class E, class B> DEVICE void fill(const B &mask, const Tensor &t) {
    typedef typename E::Raw Raw;
    Raw *y = (Raw *)t.y;
    u32 len = (u32)tile.len;
#pragma clang loop unroll(disable)
    for (u32 at = thread_index(); at < len; at += thread_count()) {
        u64 element = tile.first + at, number = t.first_number + element;
        bool dropped;
        if (t.line == 1) {
            dropped = mask.bits(at, 1);
        } else {
            Place p = locate(t, at);
            dropped = mask.bit(at, p);
            element = p.element;
            number = p.number;
        }
        if (dropped) y[element] = E::from_deviate(deviate(t.noise, number));
    }
}

template <class E> DEVICE typename E::Scale scale_of(const Scales &s, u64 group) {
    u64 dropped = s.counts[group];
    u64 kept = s.group_units > dropped ? s.group_units - dropped : 0;
    return ratio(s.group_units, kept, typename E::Scale());
}

// The scales of groups `first` to `first + count` to the pool, which must be free. Ends with a
// barrier.
template <class E>
DEVICE void set_scales(const Scales &s, u64 first, u32 count, typename E::Scale *pool) {
#pragma clang loop unroll(disable)
    for (u32 i = thread_index(); i < count; i += thread_count()) {
        pool[i] = scale_of<E>(s, first + i);
    }
    barrier();
}

// Scales a tile of a line whose planes are so long. `pool` has room for so many scales.
template <class E, class B>
DEVICE void scale_tile_of_line(const B &mask, const Scales &s, const Tensor &t,
                               typename E::Scale *pool, u32 room) {
    typedef typename E::Scale Scale;
    enum { V = E::PER_VECTOR };
    u32 len = (u32)tile.len;
    if (s.kind == 2) {
        u64 first = tile.first, plane = geometry.plane;
        if (thread_index() == 0) periods.set(first, plane);
        barrier();
        ByPosition<E> scales((const Scale *)s.positions);
        scale_line<E>(mask, t, first, len, scales, plane >= V);
        return;
    }
    // Parts that meet no more groups than have room.
    u64 most_units = s.kind == 1 ? (u64)(room - 2) * least<u64>(s.group_units, MAX_TILE) : len;
    u32 part = most_units >= len ? len : (u32)most_units / 64 * 64;
#pragma clang loop unroll(disable)
    for (u32 at = 0; at < len; at += part) {
        u32 n = least<u32>(part, len - at);
        B rest = {mask.words + at / 32};
        Uniform<E> uniform = {(Scale)s.factor};
        if (s.kind == 1) {
            u64 first = tile.first + at;
            // Of the last part all threads are done.
            barrier();
            if (thread_index() == 0) periods.set(first, s.group_units);
            barrier();
            u32 met = periods.index(n - 1) + 1;
            set_scales<E>(s, periods.first, met, pool);
            if (met > 1) {
                ByGroup<E> scales(pool);
                scale_line<E>(rest, t, first, n, scales, s.group_units >= V);
                continue;
            }
            uniform.scale = pool[0];
        }
        scale_line<E>(rest, t, tile.first + at, n, uniform, true);
    }
}

// The groups that a tile of a tensor meets: strides are not negative, so that they lie between
// those of the least and the greatest indices that occur.
struct Groups {
    u64 first, last;

    MEMBER Groups(const Tensor &t, u32 len) {
        first = last = 0;
        u64 carry = len - 1;
        // From the innermost axis. Where an outer index changes, inner ones may take any value.
#pragma clang loop unroll(disable)
        for (int k = (int)t.rank - 1; k >= 0; --k) {
            u64 size = t.axes[k].size, stride = t.axes[k].group;
            u64 low = digits[k], high = low + carry;
            carry = divide(high, size);
            if (carry > 0) {
                low = 0;
                high = size - 1;
            }
            first += low * stride;
            last += high * stride;
        }
    }
};

// Scales a tile of a tensor by its axes.
template <class E, class B>
DEVICE void scale_tile_by_axes(const B &mask, const Scales &s, const Tensor &t,
                               typename E::Scale *pool, u32 room) {
    u32 len = (u32)tile.len;
    typedef typename E::Raw Raw;
    typedef typename E::Scale Scale;
    enum { V = E::PER_VECTOR };
    const Raw *x = (const Raw *)t.x;
    Raw *y = (Raw *)t.y;
    Uniform<E> uniform = {(Scale)s.factor};
    bool one = s.kind == 0, table = false;
    u64 first_group = 0;
    if (s.kind == 1) {
        Groups groups(t, len);
        first_group = groups.first;
        table = groups.last - groups.first < room;
        one = groups.last == groups.first;
        // At least one: the compiler reads that of the first group before it knows whether it is
        // wanted.
        set_scales<E>(s, first_group, table ? (u32)(groups.last - first_group) + 1 : 1, pool);
        if (one) uniform.scale = pool[0];
    }
    u32 vectors = one && side_by_side(t, V) ? len / V : 0;
#pragma clang loop unroll(disable)
    for (u32 i = thread_index(); i < vectors; i += thread_count()) {
        u64 element;
        u32 bits = mask.gather(t, i * V, V, &element);
        Vector v = *(const Vector *)(x + element);
        *(Vector *)(y + element) = scaled<E>(v, bits, t.value, uniform);
    }
#pragma clang loop unroll(disable)
    for (u32 at = vectors * V + thread_index(); at < len; at += thread_count()) {
        Place p = locate(t, at);
        if (mask.bit(at, p)) {
            y[p.element] = (Raw)t.value;
            continue;
        }
        Scale scale = uniform.scale;
        if (s.kind == 2) {
            scale = ((const Scale *)s.positions)[p.position];
        } else if (!one) {
            scale = table ? pool[p.group - first_group] : scale_of<E>(s, p.group);
        }
        y[p.element] = kept<E>(x[p.element], scale);
    }
}

// Everything that a scaling kernel does with a tile, whose digits are set where it is no line.
// `memory` is for scales, so many bytes.
template <class E, class B>
DEVICE void apply_tile(const B &mask, const Scales &s, const Tensor &t, u64 *memory, u32 bytes) {
    typedef typename E::Scale Scale;
    Scale *pool = (Scale *)memory;
    u32 room = bytes / sizeof(Scale);
    if (B::SCALES || t.keep == 0) {
        if (t.line == 1) {
            scale_tile_of_line<E>(mask, s, t, pool, room);
        } else {
            scale_tile_by_axes<E>(mask, s, t, pool, room);
        }
    }
    if (t.fill == 1) {
        // Other threads may have written these elements.
        barrier();
        fill<E>(mask, t);
    }
}

#endif
