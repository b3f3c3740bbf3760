// Counting the dropped units: of the whole mask, with the scale that follows, or of groups.
#ifndef DROPBLOCK_COUNT_H
#define DROPBLOCK_COUNT_H

#include "common.h"
#include "element.h"

// One for each bank, so that neighbouring threads do not wait.
SHARED u32 counters[32];

// To be called before a barrier, and `finish_total` after it with what each thread has counted.
DEVICE void begin_total() {
    if (thread_index() < 32) counters[thread_index()] = 0;
}

// Adds a block's count to the total. One atomic holds the sum and the number of blocks that are done:
// the block that comes last knows the total and leaves the state as it was found. It also writes the
// scales, a float and a double, or the first block does, if the total was known before.
DEVICE void finish_total(const Count &count, u32 dropped) {
    if (count.state == nullptr && count.known == nullptr) return;
    if (dropped > 0) add(&counters[thread_index() % 32], dropped);
    barrier();
    if (thread_index() > 0) return;
    u64 total;
    if (count.known != nullptr) {
        if (block_index() > 0) return;
        total = *count.known;
    } else {
        u32 sum = 0;
        for (u32 i = 0; i < 32; ++i) sum += counters[i];
        u64 before = add(count.state, (u64)sum << 24 | 1);
        if ((u32)before % (1u << 24) != block_count() - 1) return;
        total = (before >> 24) + sum + (count.more ? *count.total : 0);
        __atomic_exchange_n(count.state, 0ull, __ATOMIC_RELAXED);
        *count.total = total;
    }
    if (count.scales == nullptr) return;
    u64 kept = count.units > total ? count.units - total : 0;
    *(float *)count.scales = ratio(count.units, kept, float());
    ((double *)count.scales)[1] = ratio(count.units, kept, double());
}

// Adds the set bits of a tile of `len` units, which begins at unit `first` of the line, to the
// counts of their groups: a thread counts a short one, a warp a long one.
DEVICE void count_groups(const u32 *words, u32 first, u32 len, const Periods &periods, u64 *counts) {
    u32 left, begin = group_of(periods, first, &left);
    u32 end = group_of(periods, first + len - 1, &left) + 1;
    bool wide = periods.length.d > 512;
    u32 lanes = wide ? 32 : 1, lane = thread_index() % lanes;
    // Warps take the same rounds with all their lanes.
#pragma clang loop unroll(disable)
    for (u32 group = begin + thread_index() / lanes; group < end; group += thread_count() / lanes) {
        // Both ends of the group, counted from the tile's first unit.
        u64 after = (u64)periods.left + (u64)group * periods.length.d;
        u64 before = group == 0 ? 0 : after - periods.length.d;
        u32 from = before > first ? (u32)(before - first) : 0;
        u32 to = (u32)least<u64>(after - first, len), sum = 0;
#pragma clang loop unroll(disable)
        for (u32 word = from / 32 + lane; word * 32 < to; word += lanes) {
            u32 bits = words[word] & low_bits(to - word * 32);
            if (word == from / 32) bits &= ~low_bits(from % 32);
            sum += (u32)__builtin_popcount(bits);
        }
        if (wide) {
#pragma unroll
            for (u32 bit = 16; bit > 0; bit /= 2) sum += of_partner(sum, bit);
        }
        if (lane == 0 && sum > 0) add(&counts[periods.first + group], (u64)sum);
    }
}

#endif
