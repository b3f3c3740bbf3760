// Applying a mask in memory, as fast as the memory allows: what the tensor's vectors, of 16 bytes,
// have in common decides which kernel can. All others go through general.h.
//
// Elements are loaded before the mask and the scale, so that the kernel waits once.
#ifndef DROPBLOCK_APPLY_H
#define DROPBLOCK_APPLY_H

#include "element.h"

enum { LINE_THREADS = 128, THREADS = 256, GROUP_VECTORS = 2 * THREADS };

// The bits of the elements of a vector, and more above them.
template <class E> DEVICE u32 bits_at(const u32 *words, u32 vector) {
    enum { V = E::PER_VECTOR };
    return words[vector / (32 / V)] >> vector % (32 / V) * V;
}

// One element behind the last whole vector.
template <class E> DEVICE void apply_one(const Line &line, u32 at, typename E::Scale scale) {
    typedef typename E::Raw Raw;
    bool dropped = line.words[at / 32] >> at % 32 & 1;
    ((Raw *)line.y)[at] = dropped ? 0 : kept<E>(((const Raw *)line.x)[at], scale);
}

// `N` vectors a thread, at the distance of a block of threads from each other.
template <class E> DEVICE void apply_line(const Line &line) {
    typedef Same<typename E::Scale> Scale;
    enum { N = E::PER_WORD == 2 ? 2 : 1, V = E::PER_VECTOR };
    const Vector *x = (const Vector *)line.x;
    Vector *y = (Vector *)line.y;
    u32 first = block_index() * N * LINE_THREADS + thread_index();
    if (block_index() < line.whole) {
        Vector v[N];
        u32 bits[N];
#pragma unroll
        for (u32 k = 0; k < N; ++k) v[k] = x[first + k * LINE_THREADS];
#pragma unroll
        for (u32 k = 0; k < N; ++k) bits[k] = bits_at<E>(line.words, first + k * LINE_THREADS);
        Scale scale = {same_scale<E>(line.scales)};
#pragma unroll
        for (u32 k = 0; k < N; ++k) {
            y[first + k * LINE_THREADS] = applied<E>(v[k], bits[k], scale);
        }
        return;
    }
    // The end of the line.
    u32 vectors = line.len / V, at = vectors * V + thread_index();
    Scale scale = {same_scale<E>(line.scales)};
#pragma clang loop unroll(disable)
    for (u32 k = 0; k < N && first < vectors; ++k, first += LINE_THREADS) {
        y[first] = applied<E>(x[first], bits_at<E>(line.words, first), scale);
    }
    if (at < line.len) apply_one<E>(line, at, scale.scale);
}

// A line of several groups, none shorter than a vector, so that at most one border is in it.
template <class E> DEVICE void apply_groups(const Line &line) {
    typedef typename E::Scale Scale;
    enum { V = E::PER_VECTOR };
    const Scale *scales = (const Scale *)line.scales.from + line.periods.first;
    u32 vectors = line.len / V, first = block_index() * GROUP_VECTORS + thread_index(), left;
    Vector v[2];
#pragma unroll
    for (u32 k = 0; k < 2; ++k) {
        u32 at = first + k * THREADS;
        if (at < vectors) v[k] = ((const Vector *)line.x)[at];
    }
#pragma unroll
    for (u32 k = 0; k < 2; ++k) {
        u32 at = first + k * THREADS;
        if (at >= vectors) continue;
        const Scale *scale = scales + group_of(line.periods, at * V, &left);
        Border<Scale> border = {scale[0], scale[left < V ? 1 : 0], left};
        ((Vector *)line.y)[at] = applied<E>(v[k], bits_at<E>(line.words, at), border);
    }
    u32 at = vectors * V + thread_index();
    if (block_index() == line.whole && at < line.len) {
        apply_one<E>(line, at, scales[group_of(line.periods, at, &left)]);
    }
}

// One mask for several maps or samples: a thread serves the same vector of four of them.
template <class E> DEVICE void apply_shared(const Shared &shared) {
    u32 thread = block_index() * THREADS + thread_index();
    if (thread >= shared.threads) return;
    u32 vector, quad, vectors = shared.inner.d;
    u32 rest = divide(thread, shared.inner, &vector), outer = divide(rest, shared.quads, &quad);
    u64 at = (u64)(outer * shared.repeat + 4 * quad) * vectors + vector;
    const Vector *x = (const Vector *)shared.x + at;
    Vector *y = (Vector *)shared.y + at;
    u32 left = shared.repeat - 4 * quad;
    Vector v[4];
#pragma unroll
    for (u32 k = 0; k < 4; ++k) {
        if (k < left) v[k] = x[(u64)k * vectors];
    }
    u32 bits = bits_at<E>(shared.words, outer * vectors + vector);
    Same<typename E::Scale> scale = {same_scale<E>(shared.scales)};
#pragma unroll
    for (u32 k = 0; k < 4; ++k) {
        if (k < left) y[(u64)k * vectors] = applied<E>(v[k], bits, scale);
    }
}

enum { TURNED = 32, MAX_CHANNELS = 2048 };

// Bit i of lane j becomes bit j of lane i.
DEVICE u32 turned(u32 bits, u32 lane) {
#pragma unroll
    for (u32 i = 0; i < 5; ++i) {
        // Of 2 `step` bits the lower half: all ones, divided by 2^step + 1.
        u32 step = 16 >> i, low = (u32)(0xffffffffull / ((1ull << step) + 1));
        u32 other = of_partner(bits, step);
        bits = lane & step ? (bits & ~low) | (other >> step & low)
                           : (bits & low) | (other << step & ~low);
    }
    return bits;
}

// Channels last: a block takes 32 positions and all channels. Warps turn 32 channels at a time, so
// that the bits of a position lie side by side, in `words` for each position; then the block is one
// line of vectors.
template <class E> DEVICE void apply_last(const Last &last, u32 *words) {
    enum { V = E::PER_VECTOR, N = 2 };
    u32 thread = thread_index(), lane = thread % 32, tile;
    u32 sample = divide(block_index(), last.tiles, &tile), first = tile * TURNED;
    u32 positions = least<u32>(last.plane - first, TURNED), channels = last.channels.d;
    u32 vectors = positions * channels / V, groups = (channels + 31) / 32;
    u64 begin = ((u64)sample * last.plane + first) * channels / V;
    const Vector *x = (const Vector *)last.x + begin;
    Vector *y = (Vector *)last.y + begin;
    Vector v[N];
#pragma unroll
    for (u32 k = 0; k < N; ++k) {
        if (thread + k * THREADS < vectors) v[k] = x[thread + k * THREADS];
    }
#pragma clang loop unroll(disable)
    for (u32 group = thread / 32; group < groups; group += THREADS / 32) {
        u32 channel = group * 32 + lane, low = 0, high = 0;
        u64 unit = ((u64)sample * channels + channel) * last.plane + first;
        u32 in_word = (u32)unit % 32;
        if (channel < channels) {
            low = last.words[unit / 32];
            if (in_word + positions > 32) high = last.words[unit / 32 + 1];
        }
        u32 bits = (u32)(((u64)high << 32 | low) >> in_word);
        words[lane * groups + group] = turned(bits, lane);
    }
    Same<typename E::Scale> scale = {same_scale<E>(last.scales)};
    barrier();
#pragma clang loop unroll(disable)
    for (u32 i = thread; i < vectors; i += N * THREADS) {
        if (i != thread) {
#pragma unroll
            for (u32 k = 0; k < N; ++k) {
                if (i + k * THREADS < vectors) v[k] = x[i + k * THREADS];
            }
        }
#pragma unroll
        for (u32 k = 0; k < N; ++k) {
            u32 at = i + k * THREADS, channel;
            if (at >= vectors) continue;
            u32 position = divide(at * V, last.channels, &channel);
            u32 bits = words[position * groups + channel / 32] >> channel % 32;
            y[at] = applied<E>(v[k], bits, scale);
        }
    }
}

// Dropping only, elements of one size: a warp takes 128 words, and its lanes write the 32 elements
// of one word at a time, those that are dropped.
template <class R> DEVICE void drop_line(const Line &line, const Vector *words, R value) {
    u32 thread = thread_index(), lane = thread % 32;
    u32 first = (block_index() * THREADS + thread - lane) * 128;
    R *y = (R *)line.y + first + lane;
#pragma clang loop unroll_count(2)
    for (u32 i = 0; i < 32; ++i, y += 128) {
        Vector bits = words[thread - lane + i];
#pragma unroll
        for (u32 k = 0; k < 4; ++k) {
            if (bits[k] >> lane & 1) y[32 * k] = value;
        }
    }
}

// Four words a thread, those past the end 0.
DEVICE Vector four_words(const Line &line) {
    u32 word = (block_index() * THREADS + thread_index()) * 4, pairs = words_of(line.len);
    const u64 *words = (const u64 *)line.words;
    u64 a = word / 2 < pairs ? words[word / 2] : 0;
    u64 b = word / 2 + 1 < pairs ? words[word / 2 + 1] : 0;
    Vector bits = {(u32)a, (u32)(a >> 32), (u32)b, (u32)(b >> 32)};
    if (block_index() >= line.whole) {
#pragma unroll
        for (u32 k = 0; k < 4; ++k) {
            u32 start = (word + k) * 32;
            bits[k] &= low_bits(line.len > start ? line.len - start : 0);
        }
    }
    return bits;
}

#endif
