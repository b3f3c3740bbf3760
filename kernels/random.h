// One generator per segment of 4096 positions, and the gaps between centres. src/key.rs and
// src/gap.rs say the same.
#ifndef DROPBLOCK_RANDOM_H
#define DROPBLOCK_RANDOM_H

#include "common.h"

enum { SEGMENT = 4096, COLUMNS = 1024, LONG = COLUMNS - 1 };

// The finaliser of SplitMix64.
DEVICE u64 mix(u64 z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

// One output of SplitMix64 seeded with the word.
DEVICE u64 hash(u64 word) { return mix(word + 0x9e3779b97f4a7c15); }

// The words of a key.
struct Words {
    u64 a, b;

    MEMBER explicit Words(const Key &key) : a(key.words[0]), b(key.words[1]) {
        if (key.step == nullptr) return;
        absorb(*key.step);
        absorb(key.layer);
        a &= ~1ull;
        b |= 1;
    }

    MEMBER void absorb(u64 word) {
        u64 hashed = hash(word);
        a = mix(hashed + a);
        b = mix(hashed ^ b);
    }
};

DEVICE u32 rotate(u32 x, u32 by) { return x << by | x >> (32 - by); }

// xoshiro128++ (Blackman, Vigna 2019).
struct Generator {
    u32 s0, s1, s2, s3;

    MEMBER void begin(const Words &words, u64 segment) {
        u64 hashed = hash(segment);
        u64 a = mix(hashed + words.a);
        u64 b = mix(hashed ^ words.b);
        s0 = (u32)a;
        s1 = (u32)(a >> 32);
        s2 = (u32)b;
        s3 = (u32)(b >> 32);
    }

    MEMBER void step() {
        u32 shifted = s1 << 9;
        s2 ^= s0;
        s3 ^= s1;
        s1 ^= s2;
        s0 ^= s3;
        s2 ^= shifted;
        s3 = rotate(s3, 11);
    }

    MEMBER u32 next() {
        u32 result = rotate(s0 + s3, 7) + s0;
        step();
        return result;
    }

    // Goes on as a polynomial in the step says: the sum of the states at the powers that it has.
    MEMBER void jump(const u32 *polynomial) {
        Generator sum = {0, 0, 0, 0};
#pragma clang loop unroll(disable)
        for (u32 word = 0; word < 4; ++word) {
            u32 bits = polynomial[word];
#pragma clang loop unroll_count(4)
            for (u32 i = 0; i < 32; ++i, bits >>= 1) {
                u32 wanted = 0u - (bits & 1);
                sum.s0 ^= s0 & wanted;
                sum.s1 ^= s1 & wanted;
                sum.s2 ^= s2 & wanted;
                sum.s3 ^= s3 & wanted;
                step();
            }
        }
        *this = sum;
    }
};

// Turns 32 random bits into a gap; LONG is no gap but so many positions without a centre.
DEVICE u32 gap(const u32 *table, u32 draw) {
    u32 entry = table[draw % COLUMNS];
    return (draw < (entry & ~(COLUMNS - 1u)) ? draw : entry) % COLUMNS;
}

// The next gaps.
template <u32 N> DEVICE void draw(const u32 *table, Generator &generator, u32 (&gaps)[N]) {
#pragma unroll
    for (u32 j = 0; j < N; ++j) gaps[j] = gap(table, generator.next());
}

// A copy of the gap table in shared memory, by all threads.
DEVICE void copy_table(u32 *to, const u32 *from) {
    for (u32 i = thread_index(); i < COLUMNS / 4; i += thread_count()) {
        ((Vector *)to)[i] = ((const Vector *)from)[i];
    }
}

#endif
