// The mask of blocks of one unit, drawn by 1, 2, 4, 8, 16 or 32 lanes for each segment:
//
//   go on by a polynomial to where the lane's draws begin
//   for each draw: set the unit that it leads to, counted from where the lane begins
//   the last lane goes on to the end of the segment
//   for each word of the mask: OR what the lanes of its segment have there
//
// Where a lane begins is known when those before it are done, so each has a row of its own, and rows
// are shifted together in the end. What goes past a segment's end is cut off.
#ifndef DROPBLOCK_DENSE_H
#define DROPBLOCK_DENSE_H

#include "count.h"
#include "random.h"

// Of a row: the words of a segment, one for what is past its end, and one more so that lanes use
// different banks.
enum { DENSE_THREADS = 64, SEGMENT_WORDS = SEGMENT / 32, ROW = SEGMENT_WORDS + 2 };

SHARED u32 rows[DENSE_THREADS * ROW];
SHARED Vector dense_table[COLUMNS / 4];
// Positions that a lane's draws pass.
SHARED u32 reached[DENSE_THREADS];

// The word of its row that a lane works on lies in a register.
struct Lane {
    Generator generator;
    u32 at, word, bits, base;

    template <bool LONGS> MEMBER void four() {
        u32 gaps[4];
        draw((const u32 *)dense_table, generator, gaps);
#pragma unroll
        for (u32 j = 0; j < 4; ++j) {
            at += gaps[j];
            u32 next = base + least<u32>(at / 32, SEGMENT_WORDS);
            if (next != word) {
                rows[word] = bits;
                bits = 0;
                word = next;
            }
            u32 centre = LONGS && gaps[j] == LONG ? 0 : 1;
            bits |= centre << at % 32;
            at += centre;
        }
    }

    // Until so many draws are done, or the end of the segment is reached.
    template <bool LONGS> MEMBER void go_on(u32 draws, u32 before) {
#pragma clang loop unroll(disable)
        for (u32 i = 0; i < draws && before + at < SEGMENT; i += 4) four<LONGS>();
    }
};

// The word of a segment at bit `at` of it, from the lanes' rows.
DEVICE u32 joined(u32 first_row, u32 lanes, i32 at) {
    u32 bits = 0;
#pragma clang loop unroll(disable)
    for (u32 i = first_row; i < first_row + lanes && at > -32; ++i) {
        const u32 *row = rows + i * ROW;
        if (at < 0) {
            bits |= row[0] << -at;
        } else if (at < SEGMENT) {
            u32 word = (u32)at / 32, in_word = (u32)at % 32;
            u32 next = word + 1 < SEGMENT_WORDS ? row[word + 1] : 0;
            bits |= (u32)(((u64)next << 32 | row[word]) >> in_word);
        }
        // Past the end of the segment it does not matter how far.
        at -= (i32)least<u32>(reached[i], 2 * SEGMENT);
    }
    return bits;
}

DEVICE u32 draw_dense(const Mask &mask, const Jumps &jumps) {
    u32 thread = thread_index(), lanes = 1u << jumps.shift, lane = thread & (lanes - 1);
    copy_table((u32 *)dense_table, mask.table);
    for (u32 i = thread; i < DENSE_THREADS * ROW; i += DENSE_THREADS) rows[i] = 0;
    barrier();
    u32 segments = DENSE_THREADS >> jumps.shift;
    u64 segment = mask.line / SEGMENT + (u64)block_index() * segments;
    Lane own;
    own.generator.begin(Words(mask.key), segment + (thread >> jumps.shift));
    if (lanes > 1) own.generator.jump(jumps.polynomials[lane]);
    own.at = own.bits = 0;
    own.base = own.word = thread * ROW;
    // First each lane its draws, then the last one the rest, as it knows where it begins. Before that
    // none stops: where it ends counts.
    u32 draws = lanes > 1 ? jumps.draws : 0, before = 0;
#pragma clang loop unroll(disable)
    for (u32 phase = 0; phase < 2; ++phase) {
        if (jumps.longs) {
            own.go_on<true>(draws, before);
        } else {
            own.go_on<false>(draws, before);
        }
        if (phase == 1) break;
        reached[thread] = own.at;
        barrier();
        draws = lane + 1 == lanes ? SEGMENT + COLUMNS : 0;
#pragma clang loop unroll(disable)
        for (u32 i = 1; i <= lane; ++i) before += reached[thread - i];
    }
    rows[own.word] = own.bits;
    barrier();
    u32 sum = 0, padded = words_of(mask.units) * 64;
    i64 start = (i64)(segment * SEGMENT - mask.line);
#pragma clang loop unroll(disable)
    for (u32 i = thread; i < segments * SEGMENT_WORDS; i += DENSE_THREADS) {
        i64 unit = start + (i64)i * 32;
        if (unit < 0 || unit >= padded) continue;
        u32 row = (i / SEGMENT_WORDS) << jumps.shift;
        u32 left = mask.units > (u32)unit ? mask.units - (u32)unit : 0;
        u32 bits = joined(row, lanes, (i32)(i % SEGMENT_WORDS * 32)) & low_bits(left);
        mask.words[(u32)unit / 32] = bits;
        sum += (u32)__builtin_popcount(bits);
    }
    return sum;
}

#endif
