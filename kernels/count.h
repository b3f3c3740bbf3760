// Counting the dropped units of a tile by group.
#ifndef DROPBLOCK_COUNT_H
#define DROPBLOCK_COUNT_H

#include "mask.h"

enum { COUNTERS = sizeof(list) / 4 };

// Adds the set bits of a tile of `len` units, which begins at unit `first`, to the counts of
// their groups. The list must be free; it is again when all threads have passed the next barrier.
DEVICE void count_tile(const u32 *words, u64 first, u32 len, u64 *counts, u64 group_units) {
    u32 *counter = (u32 *)list;
    const volatile Periods &groups = periods;
    if (thread_index() == 0) periods.set(first, group_units);
    barrier();
    u32 met = groups.index(len - 1) + 1;
    bool one = met == 1, shared = met <= COUNTERS;
    // One group has a counter for each bank, so that neighbouring threads do not wait.
    u32 counters = one ? 32 : met;
    if (shared) {
        for (u32 i = thread_index(); i < counters; i += thread_count()) counter[i] = 0;
    }
    barrier();
    u32 group = one ? thread_index() % 32 : 0, sum = 0;
    for (u32 word = thread_index(); word * 32 < len; word += thread_count()) {
        u32 bits = words[word], at = word * 32, stop = least<u32>(at + 32, len);
        if (one) {
            sum += (u32)__builtin_popcount(bits & low_bits(stop - at));
            continue;
        }
#pragma clang loop unroll(disable)
        while (at < stop) {
            u32 in = groups.index(at);
            u32 part = least<u32>(groups.left(at, in), stop - at);
            u32 dropped = (u32)__builtin_popcount(bits & low_bits(part));
            bits = part < 32 ? bits >> part : 0;
            at += part;
            if (in != group || !shared) {
                if (sum > 0) add(&counter[group], sum);
                group = in;
                sum = 0;
            }
            if (shared) {
                sum += dropped;
            } else if (dropped > 0) {
                add(&counts[groups.first + in], dropped);
            }
        }
    }
    if (shared && sum > 0) add(&counter[group], sum);
    barrier();
    if (one) {
        if (thread_index() == 0) {
            u32 all = 0;
            for (u32 i = 0; i < 32; ++i) all += counter[i];
            if (all > 0) add(&counts[groups.first], all);
        }
    } else if (shared) {
        for (u32 i = thread_index(); i < met; i += thread_count()) {
            if (counter[i] > 0) add(&counts[groups.first + i], counter[i]);
        }
    }
}

#endif
