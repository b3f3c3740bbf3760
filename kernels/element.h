// The element types, as raw bits. src/element.rs says the same.
#ifndef DROPBLOCK_ELEMENT_H
#define DROPBLOCK_ELEMENT_H

#include "common.h"

// 16 bytes, loaded and stored at once.
typedef u32 Vector __attribute__((ext_vector_type(4)));

template <class To, class From> DEVICE To bits_of(From from) {
    static_assert(sizeof(To) == sizeof(From), "same size");
    return __builtin_bit_cast(To, from);
}

// Element j of a vector.
template <class Raw> DEVICE Raw get(const Vector &v, u32 j) {
    if (sizeof(Raw) == 8) return (Raw)(v[2 * j] | (u64)v[2 * j + 1] << 32);
    u32 per_word = 4 / sizeof(Raw);
    return (Raw)(v[j / per_word] >> (j % per_word * 8 * sizeof(Raw)));
}

template <class Raw> DEVICE void put(Vector &v, u32 j, Raw value) {
    if (sizeof(Raw) == 8) {
        v[2 * j] = (u32)value;
        v[2 * j + 1] = (u32)((u64)value >> 32);
    } else {
        u32 per_word = 4 / sizeof(Raw), width = 8 * sizeof(Raw) % 32;
        u32 mask = per_word == 1 ? ~0u : ((1u << width) - 1) << (j % per_word * width);
        u32 moved = (u32)value << (j % per_word * width);
        v[j / per_word] = (v[j / per_word] & ~mask) | (moved & mask);
    }
}

// numerator / denominator rounded once, for numerator >= denominator, both below 2^53; 0 if the
// denominator is 0.
DEVICE double ratio(u64 numerator, u64 denominator, double) {
    return denominator == 0 ? 0.0 : (double)numerator / (double)denominator;
}

DEVICE float ratio(u64 numerator, u64 denominator, float) {
    if (denominator == 0) return 0.0f;
    u64 quotient = divide(numerator, denominator);
    u64 rest = numerator - quotient * denominator;
    // More bits until there are 31 or more; the lowest is made sticky, so that the conversion
    // rounds as the true quotient would be rounded.
    u32 more = 0;
#pragma clang loop unroll(disable)
    for (; quotient >> 30 == 0; ++more) {
        rest <<= 1;
        bool fits = rest >= denominator;
        quotient = quotient << 1 | fits;
        rest -= fits ? denominator : 0;
    }
    return (float)(quotient | (rest != 0)) * bits_of<float>((127 - more) << 23);
}

// What is stored of an element.
template <class R> struct Bits {
    typedef R Raw;
    enum { PER_VECTOR = 16 / sizeof(R) };
};

struct F32 : Bits<u32> {
    typedef float Scale;
    static MEMBER u32 scaled(u32 x, float scale) { return bits_of<u32>(bits_of<float>(x) * scale); }
    static MEMBER u32 from_deviate(int units) { return bits_of<u32>((float)units * 0x1p-28f); }
};

struct F64 : Bits<u64> {
    typedef double Scale;
    static MEMBER u64 scaled(u64 x, double scale) {
        return bits_of<u64>(bits_of<double>(x) * scale);
    }
    static MEMBER u64 from_deviate(int units) { return bits_of<u64>((double)units * 0x1p-28); }
};

struct F16 : Bits<u16> {
    typedef float Scale;
    static MEMBER u16 from_float(float x) { return bits_of<u16>((_Float16)x); }
    static MEMBER u16 scaled(u16 x, float scale) {
        return from_float((float)bits_of<_Float16>(x) * scale);
    }
    static MEMBER u16 from_deviate(int units) { return from_float((float)units * 0x1p-28f); }
};

struct BF16 : Bits<u16> {
    typedef float Scale;
    // To nearest even, by integers; NaN stays NaN.
    static MEMBER u16 from_float(float x) {
        u32 bits = bits_of<u32>(x);
        bool nan = (bits & 0x7fffffff) > 0x7f800000;
        u32 rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
        return (u16)(nan ? bits >> 16 | 0x40 : rounded);
    }
    static MEMBER u16 scaled(u16 x, float scale) {
        return from_float(bits_of<float>((u32)x << 16) * scale);
    }
    static MEMBER u16 from_deviate(int units) { return from_float((float)units * 0x1p-28f); }
};

// Scales of 1 leave everything as it is, NaN too. Scales of 0 give +0.0, whatever is kept.
template <class E> DEVICE typename E::Raw kept(typename E::Raw x, typename E::Scale scale) {
    if (scale == 0) return 0;
    return scale == 1 ? x : E::scaled(x, scale);
}

#endif
