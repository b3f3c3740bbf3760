// The element types, as raw bits. src/element.rs says the same.
#ifndef DROPBLOCK_ELEMENT_H
#define DROPBLOCK_ELEMENT_H

#include "common.h"

template <class To, class From> DEVICE To bits_of(From from) {
    static_assert(sizeof(To) == sizeof(From), "same size");
    return __builtin_bit_cast(To, from);
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

// What is stored of an element. Words hold one element or two, doubles two words.
template <class R> struct Bits {
    typedef R Raw;
    enum { PER_VECTOR = 16 / sizeof(R), PER_WORD = 4 / sizeof(R) };
};

struct F32 : Bits<u32> {
    typedef float Scale;
    static MEMBER u32 scaled(u32 x, float scale) { return bits_of<u32>(bits_of<float>(x) * scale); }
    static MEMBER u32 from_deviate(int units) { return bits_of<u32>((float)units * 0x1p-28f); }
    template <class S> static MEMBER Vector scaled(Vector v, const S &scale) {
        return Vector{scaled(v[0], scale.at(0)), scaled(v[1], scale.at(1)),
                      scaled(v[2], scale.at(2)), scaled(v[3], scale.at(3))};
    }
};

struct F64 : Bits<u64> {
    typedef double Scale;
    static MEMBER u64 scaled(u64 x, double scale) {
        return bits_of<u64>(bits_of<double>(x) * scale);
    }
    static MEMBER u64 from_deviate(int units) { return bits_of<u64>((double)units * 0x1p-28); }
    template <class S> static MEMBER Vector scaled(Vector v, const S &scale) {
        u64 a = scaled(v[0] | (u64)v[1] << 32, scale.at(0));
        u64 b = scaled(v[2] | (u64)v[3] << 32, scale.at(1));
        return Vector{(u32)a, (u32)(a >> 32), (u32)b, (u32)(b >> 32)};
    }
};

// The halves, by words of two.
template <class H> struct Half : Bits<u16> {
    typedef float Scale;
    static MEMBER u16 scaled(u16 x, float scale) { return (u16)H::rounded(H::low(x) * scale); }
    static MEMBER u16 from_deviate(int units) { return (u16)H::rounded((float)units * 0x1p-28f); }
    template <class S> static MEMBER Vector scaled(Vector v, const S &scale) {
#pragma unroll
        for (u32 j = 0; j < 4; ++j) {
            v[j] = H::packed(H::low(v[j]) * scale.at(2 * j), H::high(v[j]) * scale.at(2 * j + 1));
        }
        return v;
    }
};

struct F16 : Half<F16> {
    static MEMBER u32 rounded(float x) { return bits_of<u16>((_Float16)x); }
    static MEMBER float low(u32 word) { return (float)bits_of<_Float16>((u16)word); }
    static MEMBER float high(u32 word) { return (float)bits_of<_Float16>((u16)(word >> 16)); }
    static MEMBER u32 packed(float low, float high) { return rounded(low) | rounded(high) << 16; }
};

struct BF16 : Half<BF16> {
    // To nearest even, by integers, in the upper half; NaN stays NaN, the one of the GPU.
    static MEMBER u32 upper(float x) {
        u32 bits = bits_of<u32>(x);
        return x != x ? 0x7fffffff : bits + 0x7fff + (bits >> 16 & 1);
    }
    static MEMBER u32 rounded(float x) { return upper(x) >> 16; }
    static MEMBER float low(u32 word) { return bits_of<float>(word << 16); }
    static MEMBER float high(u32 word) { return bits_of<float>(word & 0xffff0000); }
    static MEMBER u32 packed(float low, float high) {
        return __nvvm_prmt(upper(low), upper(high), 0x7632);
    }
};

// Scales of 1 leave everything as it is, NaN too. Scales of 0 give +0.0, whatever is kept.
template <class E> DEVICE typename E::Raw kept(typename E::Raw x, typename E::Scale scale) {
    if (scale == 0) return 0;
    return scale == 1 ? x : E::scaled(x, scale);
}

// A word of a vector where the bits of its elements are not set, else 0.
template <class E> DEVICE u32 cleared(u32 word, u32 bits) {
    if (E::PER_WORD == 2) {
        return word & ~((bits & 1 ? 0xffff : 0) | (bits & 2 ? 0xffff0000 : 0));
    }
    return bits & 1 ? 0 : word;
}

// A vector whose dropped elements are 0. The halves of a double have its bit both.
template <class E> DEVICE Vector cleared(Vector v, u32 bits) {
#pragma unroll
    for (u32 j = 0; j < 4; ++j) {
        v[j] = cleared<E>(v[j], bits >> j * (u32)E::PER_VECTOR / 4);
    }
    return v;
}

// The scales of a vector's elements: all the same, or from a border on another one.
template <class Scale> struct Same {
    Scale scale;
    MEMBER Scale at(u32) const { return scale; }
    // Of a scale of 0 the elements that have it: they become +0.0, whatever they are.
    MEMBER u32 nothing() const { return scale == 0 ? ~0u : 0; }
};

template <class Scale> struct Border {
    Scale before, after;
    u32 border;
    MEMBER Scale at(u32 j) const { return j < border ? before : after; }
    MEMBER u32 nothing() const {
        return (before == 0 ? low_bits(border) : 0) | (after == 0 ? ~low_bits(border) : 0);
    }
};

// The kept ones of a vector multiplied, the others 0.
template <class E, class S> DEVICE Vector applied(Vector v, u32 bits, const S &scale) {
    return cleared<E>(E::scaled(v, scale), bits | scale.nothing());
}

// The scale that all elements have.
template <class E> DEVICE typename E::Scale same_scale(const Scales &scales) {
    typedef typename E::Scale Scale;
    if (scales.from != nullptr) return *(const Scale *)scales.from;
    u64 bits = opaque(scales.same);
    if constexpr (sizeof(Scale) == 8) {
        return bits_of<Scale>(bits);
    } else {
        return bits_of<Scale>((u32)bits);
    }
}

#endif
