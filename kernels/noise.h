// Gaussian noise in integers. src/noise.rs says the same.
#ifndef DROPBLOCK_NOISE_H
#define DROPBLOCK_NOISE_H

#include "noise_table.h"
#include "random.h"

// The draws of one key.
struct Noise {
    u64 a, b;

    MEMBER Noise(const Key &key, bool wanted) : a(0), b(0) {
        if (!wanted) return;
        // Mixed once more, with a word of its own ("Noise"), to share nothing with the masks.
        Words words(key);
        a = mix(words.a ^ 0x4e6f697365);
        b = mix(words.b ^ 0x4e6f697365);
    }

    // The normal deviate of a unit of the tensor, in units of 2^-28.
    MEMBER int deviate(u64 number) const {
        u64 pair = mix(mix(hash(number >> 1) ^ a) + b);
        u32 draw = number & 1 ? (u32)(pair >> 32) : (u32)pair;
        // The tail probability is tail / 2^33, at most one half.
        u32 tail = draw | 1;
        u32 leading = (u32)__builtin_clz(tail);
        u32 mantissa = (tail << leading) & 0x7fffffff;
        u32 first = (31 - leading) * 16 + (mantissa >> 28) * 2;
        i64 rest = mantissa & 0xfffffff;
        i64 z0 = QUANTILES[first], z1 = QUANTILES[first + 1], z2 = QUANTILES[first + 2];
        i64 slope = 4 * z1 - 3 * z0 - z2;
        i64 bend = 2 * (z0 + z2) - 4 * z1;
        // Shifts of negative numbers round down, with this compiler as in the definition.
        i64 z = z0 + (((slope + ((bend * rest) >> 28)) * rest) >> 28);
        return (int)(draw & 1 ? -z : z);
    }
};

#endif
