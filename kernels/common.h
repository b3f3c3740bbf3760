// Small helpers of all kernels.
#ifndef DROPBLOCK_COMMON_H
#define DROPBLOCK_COMMON_H

#include "device.h"

// Units or elements of a tile, at most.
enum { MAX_TILE = 65536 };

template <class T> DEVICE T least(T a, T b) { return a < b ? a : b; }
template <class T> DEVICE T most(T a, T b) { return a > b ? a : b; }

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
DEVICE u32 add(u32 *at, u32 value) { return __atomic_fetch_add(at, value, __ATOMIC_RELAXED); }
DEVICE void add(u64 *at, u64 value) { __atomic_fetch_add(at, value, __ATOMIC_RELAXED); }
DEVICE void set_bits(u32 *at, u32 bits) { __atomic_fetch_or(at, bits, __ATOMIC_RELAXED); }

// The lowest `n` bits, n from 0 to 32.
DEVICE u32 low_bits(u32 n) { return n < 32 ? (1u << n) - 1 : ~0u; }

// 32-bit words of so many bits in whole 64-bit words.
DEVICE u32 words_of(u32 bits) { return (bits + 63) / 64 * 2; }

// Units per tile where the launch does not say it: whole words, at most as many tiles as blocks.
DEVICE u32 even_tile(u64 len) {
    return (u32)((divide(len - 1, block_count()) + 64) / 64 * 64);
}

// Cuts a line, of which a tile begins at `start`, into periods: groups or planes. Offsets in the
// tile are below MAX_TILE, so that one multiplication by a reciprocal divides.
struct Periods {
    u64 first;      // the period in which the tile begins
    u64 offset;     // and where in it
    u32 boundary;   // the tile's offset of the next period, MAX_TILE if it is not reached
    u32 period;     // at most MAX_TILE, as longer ones do not end twice
    u32 reciprocal; // 2^32 / period rounded up, 0 for 1

    MEMBER void set(u64 start, u64 length) volatile {
        u64 index = divide(start, length), rest = start - index * length;
        u32 least_period = (u32)least<u64>(length, MAX_TILE);
        first = index;
        offset = rest;
        boundary = (u32)least<u64>(length - rest, MAX_TILE);
        period = least_period;
        reciprocal = ~0u / least_period + 1;
    }

    // How many periods end after `rest` units from a boundary. The reciprocal is too large by
    // less than period / 2^32, and rest * period is below 2^32.
    MEMBER u32 quotient(u32 rest) const volatile {
        u32 factor = reciprocal;
        return factor == 0 ? rest : (u32)(((u64)rest * factor) >> 32);
    }

    // The period of an offset in the tile, counted from the first.
    MEMBER u32 index(u32 at) const volatile {
        u32 start = boundary;
        return at < start ? 0 : 1 + quotient(at - start);
    }

    // How many units there are from an offset in the tile, which lies in the period `index`, to the
    // end of that period, or fewer if that is past any tile.
    MEMBER u32 left(u32 at, u32 index) const volatile { return boundary + index * period - at; }

    // Where in its period an offset in the tile lies.
    MEMBER u64 place(u32 at) const volatile {
        u32 start = boundary;
        if (at < start) return offset + at;
        u32 rest = at - start;
        return rest - quotient(rest) * period;
    }
};

// Those of the tile at hand: set by one thread, then a barrier.
SHARED volatile Periods periods;

#endif
