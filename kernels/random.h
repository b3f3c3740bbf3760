// One generator per segment of 4096 positions, and the gaps between centres. src/rng.rs and
// src/gap.rs say the same.
#ifndef DROPBLOCK_RANDOM_H
#define DROPBLOCK_RANDOM_H

#include "common.h"

enum { SEGMENT = 4096, COLUMN_BITS = 10, COLUMNS = 1 << COLUMN_BITS, LONG = COLUMNS - 1 };

// The finaliser of SplitMix64.
DEVICE u64 mix(u64 z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

// One output of SplitMix64 seeded with the word.
DEVICE u64 hash(u64 word) { return mix(word + 0x9e3779b97f4a7c15); }

DEVICE u32 rotate(u32 x, u32 by) { return x << by | x >> (32 - by); }

// xoshiro128++ (Blackman, Vigna 2019).
struct Generator {
    u32 s0, s1, s2, s3;

    MEMBER void begin(const Mask &mask, u64 segment) {
        u64 hashed = hash(segment);
        u64 a = mix(hashed + mask.key[0]);
        u64 b = mix(hashed ^ mask.key[1]);
        s0 = (u32)a;
        s1 = (u32)(a >> 32);
        s2 = (u32)b;
        s3 = (u32)(b >> 32);
    }

    MEMBER u32 next() {
        u32 result = rotate(s0 + s3, 7) + s0;
        u32 shifted = s1 << 9;
        s2 ^= s0;
        s3 ^= s1;
        s1 ^= s2;
        s0 ^= s3;
        s2 ^= shifted;
        s3 = rotate(s3, 11);
        return result;
    }
};

// Turns 32 random bits into a gap; LONG is no gap but so many positions without a centre.
DEVICE u32 gap(const u32 *table, u32 draw) {
    u32 column = draw % COLUMNS;
    u32 entry = table[column];
    return draw >> COLUMN_BITS < entry >> COLUMN_BITS ? column : entry % COLUMNS;
}

#endif
