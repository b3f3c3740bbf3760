// Small helpers of all kernels.
#ifndef DROPBLOCK_COMMON_H
#define DROPBLOCK_COMMON_H

#include "device.h"

// Units or elements of a tile, at most.
enum { MAX_TILE = 65536 };

// 16 bytes, loaded and stored at once.
typedef u32 Vector __attribute__((ext_vector_type(4)));

template <class T> DEVICE T least(T a, T b) { return a < b ? a : b; }
template <class T> DEVICE T most(T a, T b) { return a > b ? a : b; }

// n / d rounded down, and what is left. The reciprocal is too small by less than one, so that the
// product with n is by less than two: one correction suffices.
DEVICE u32 divide(u32 n, Div by, u32 *rest) {
    u32 quotient = __nvvm_mulhi_ui(n, by.m), left = n - quotient * by.d;
    bool more = left >= by.d;
    *rest = more ? left - by.d : left;
    return quotient + more;
}

// a / b rounded down. Where both fit, in 32 bits. Else bit by bit: rare, and the few quotients
// that are needed then are short. The compiler's own division would cost a dozen registers.
DEVICE u64 divide(u64 a, u64 b) {
    if ((a | b) >> 32 == 0) return (u32)a / (u32)b;
    if (a < b) return 0;
    u64 quotient = 0;
    b = opaque(b);
    u32 shift = (u32)(__builtin_clzll(b) - __builtin_clzll(a));
    b <<= shift;
#pragma clang loop unroll(disable)
    for (u32 i = 0; i <= shift; ++i, b >>= 1) {
        bool fits = a >= b;
        quotient = quotient << 1 | fits;
        a -= fits ? b : 0;
    }
    return quotient;
}

// The order of additions and of ORs changes nothing, so relaxed atomics do.
template <class T> DEVICE T add(T *at, T value) {
    return __atomic_fetch_add(at, value, __ATOMIC_RELAXED);
}
DEVICE void set_bits(u32 *at, u32 bits) { __atomic_fetch_or(at, bits, __ATOMIC_RELAXED); }

// The lowest `n` bits, n from 0 to 32.
DEVICE u32 low_bits(u32 n) { return n < 32 ? (1u << n) - 1 : ~0u; }

// 64-bit words of so many bits.
DEVICE u32 words_of(u32 bits) { return (bits + 63) / 64; }

// Units per tile where the launch does not say it: whole words, at most as many tiles as blocks.
DEVICE u32 even_tile(u64 len) {
    return (u32)((divide(len - 1, block_count()) + 64) / 64 * 64);
}

// The group of a unit of the line, counted from the first, and how many units of the group there are
// from it on, or 2^32 - 1.
DEVICE u32 group_of(const Periods &periods, u32 at, u32 *left) {
    if (at < periods.left) {
        *left = periods.left - at;
        return 0;
    }
    u32 rest, group = 1 + divide(at - periods.left, periods.length, &rest);
    *left = periods.length.d - rest;
    return group;
}

#endif
