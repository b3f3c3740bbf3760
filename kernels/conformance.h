// What the self test runs: every kind of operation that the other kernels rely on, one by one.
// src/cuda/conformance.rs says the same, in the same order.
#ifndef DROPBLOCK_CONFORMANCE_H
#define DROPBLOCK_CONFORMANCE_H

#include "element.h"
#include "noise_table.h"

typedef short i16;


// As many as the table in src/cuda/conformance.rs has.
enum { OPERATIONS = 122 };

// One number for each thread of a block, and two for all.
SHARED u64 cells[1024];
SHARED u32 totals[2];

template <class To, class From> DEVICE To as(From from) {
    static_assert(sizeof(To) == sizeof(From), "same size");
    return __builtin_bit_cast(To, from);
}

// The same value in a register of its type, of which the compiler knows nothing: so each operation
// is an instruction of its width, and nothing is computed of two at once.
#define FIXED(Type, constraint)                                                                    \
    DEVICE Type fixed(Type value) {                                                                \
        asm volatile("" : "+" constraint(value));                                                  \
        return value;                                                                              \
    }

FIXED(u16, "h")
FIXED(i16, "h")
FIXED(u32, "r")
FIXED(i32, "r")
FIXED(u64, "l")
FIXED(i64, "l")
FIXED(float, "f")
FIXED(double, "d")

// All comparisons in bits.
template <class T> DEVICE u32 compared(T a, T b) {
    return fixed((u32)(a < b)) | fixed((u32)(a <= b)) << 1 | fixed((u32)(a > b)) << 2 |
           fixed((u32)(a >= b)) << 3 | fixed((u32)(a == b)) << 4 | fixed((u32)(a != b)) << 5;
}

// 2 or 1, by a branch: the compiler may not run what is in it otherwise.
DEVICE u32 branched(bool condition) {
    u32 result = 1;
    if (condition) result = fixed(2u);
    return result;
}

template <class T> DEVICE T smaller(T a, T b) { return a < b ? a : b; }
template <class T> DEVICE T larger(T a, T b) { return a > b ? a : b; }

DEVICE u64 both(u32 low, u32 high) { return low | (u64)high << 32; }

DEVICE u32 bits(float x) { return as<u32>(fixed(x)); }
DEVICE u64 bits(double x) { return as<u64>(fixed(x)); }
DEVICE u16 half_bits(float x) { return as<u16>((_Float16)x); }

// Result after result, each for all operands.
#define RESULT(value) results[(u64)(__COUNTER__ - FIRST) * count] = fixed(value)

DEVICE void integers_of_32_bits(u64 a, u64 b, u64 *results, u64 count) {
    enum { FIRST = __COUNTER__ + 1 };
    u32 x = fixed((u32)a), y = fixed((u32)b), n = y % 32, m = fixed((u32)(a >> 32));
    i32 i = fixed((i32)x), j = fixed((i32)y);
    // C leaves division by 0 open, and that of the least number by -1.
    u32 divisor = y == 0 ? 3 : y;
    i32 signed_divisor = j == 0 || j == -1 ? 3 : j;
    RESULT(x + y);
    RESULT(x - y);
    RESULT(0 - x);
    RESULT(x * y);
    RESULT(m * x + y);
    RESULT((u32)((u64)x * m >> 32));
    RESULT((u32)((i64)i * (i32)m >> 32));
    RESULT((u64)x * y);
    RESULT((u64)((i64)i * j));
    RESULT(x / divisor);
    RESULT(x % divisor);
    RESULT((u32)(i / signed_divisor));
    RESULT((u32)(i % signed_divisor));
    RESULT(x & y);
    RESULT(x | y);
    RESULT(x ^ y);
    RESULT((u32)~x);
    RESULT(x << n);
    RESULT(x >> n);
    RESULT((u32)(i >> n));
    RESULT(x << 7 | x >> 25);
    RESULT(x << 11 | x >> 21);
    RESULT(x << n | x >> (32 - n) % 32);
    RESULT((u32)(both(x, y) << (m % 32) >> 32));
    RESULT((u32)(both(x, y) >> (m % 32)));
    RESULT(x >> 7 & 0x1fff);
    RESULT(x >> n & 0xff);
    RESULT(x == 0 ? 32 : (u32)__builtin_clz(x));
    RESULT(x == 0 ? 32 : (u32)__builtin_ctz(x));
    RESULT((u32)__builtin_bitreverse32(x));
    RESULT((u32)__builtin_popcount(x));
    RESULT(smaller(x, y));
    RESULT(larger(x, y));
    RESULT((u32)smaller(i, j));
    RESULT((u32)larger(i, j));
    RESULT(compared(x, y));
    RESULT(compared(i, j));
    RESULT(m < 32 ? x : y);
    static_assert(__COUNTER__ - FIRST == 38, "as many as the caller skips");
}

DEVICE void integers_of_64_bits(u64 a, u64 b, u64 *results, u64 count) {
    enum { FIRST = __COUNTER__ + 1 };
    i64 s = fixed((i64)a), t = fixed((i64)b);
    u32 n = (u32)b % 64;
    u64 divisor = b == 0 ? 3 : b;
    i64 signed_divisor = t == 0 || t == -1 ? 3 : t;
    RESULT(a + b);
    RESULT(a - b);
    RESULT(0 - a);
    RESULT(a * b);
    RESULT(a * (b + 1));
    RESULT((u64)((unsigned __int128)a * b >> 64));
    RESULT((u64)((__int128)s * t >> 64));
    RESULT(a / divisor);
    RESULT(a % divisor);
    RESULT((u64)(s / signed_divisor));
    RESULT((u64)(s % signed_divisor));
    RESULT(a & b);
    RESULT(a | b);
    RESULT(a ^ b);
    RESULT(~a);
    RESULT(a << n);
    RESULT(a >> n);
    RESULT((u64)(s >> n));
    RESULT(a << 17 | a >> 47);
    RESULT(a >> 9 & 0x1ffffff);
    RESULT(a == 0 ? 64 : (u64)__builtin_clzll(a));
    RESULT(a == 0 ? 64 : (u64)__builtin_ctzll(a));
    RESULT((u64)__builtin_bitreverse64(a));
    RESULT((u64)__builtin_popcountll(a));
    RESULT(smaller(a, b));
    RESULT(larger(a, b));
    RESULT((u64)smaller(s, t));
    RESULT((u64)larger(s, t));
    RESULT(compared(a, b));
    RESULT(compared(s, t));
    RESULT((u32)a < (u32)b ? a : b);
    static_assert(__COUNTER__ - FIRST == 31, "as many as the caller skips");
}

// Narrow integers, widths, and logic of conditions.
DEVICE void integers_of_other_widths(u64 a, u64 b, u64 *results, u64 count) {
    enum { FIRST = __COUNTER__ + 1 };
    u16 x = fixed((u16)a), y = fixed((u16)b);
    i16 i = fixed((i16)a), j = fixed((i16)b);
    u8 v = (u8)a, w = (u8)b;
    bool first = a < b, second = (u32)a < (u32)b, third = (i32)a < (i32)b;
    RESULT((u16)(x + y));
    RESULT((u16)(x * y));
    RESULT((u16)(x & y));
    RESULT((u16)(x | (u16)~y));
    RESULT((u16)(x >> y % 16));
    RESULT(larger(x, y));
    RESULT((u16)smaller(v, w));
    RESULT((u16)larger(v, w));
    RESULT(compared(x, y));
    RESULT(compared(i, j));
    RESULT(second ? x : y);
    RESULT((u32)a);
    RESULT((u16)a);
    RESULT((u16)(u8)a);
    RESULT((u64)(i64)(i32)a);
    RESULT((u64)(i64)(i16)a);
    RESULT((u64)(i64)(signed char)a);
    RESULT(branched(first && second));
    RESULT(branched(first || third));
    RESULT(branched(second != third));
    static_assert(__COUNTER__ - FIRST == 20, "as many as the caller skips");
}

DEVICE void floats(u64 a, u64 b, u64 *results, u64 count) {
    enum { FIRST = __COUNTER__ + 1 };
    float x = fixed(as<float>((u32)a)), y = fixed(as<float>((u32)b));
    double u = fixed(as<double>(a)), v = fixed(as<double>(b));
    _Float16 h = as<_Float16>(fixed((u16)a));
    RESULT(bits(x * y));
    RESULT(bits(x / y));
    RESULT(compared(x, y));
    RESULT(bits(x < y ? x : y));
    RESULT(bits(y == 1 ? x : x * y));
    RESULT(bits(u * v));
    RESULT(bits(u / v));
    RESULT(compared(u, v));
    RESULT(bits(u < v ? u : v));
    RESULT(bits(v == 1 ? u : u * v));
    RESULT(bits((double)x));
    RESULT(bits((float)u));
    RESULT(bits((float)h));
    RESULT(half_bits(x));
    RESULT(half_bits((float)h * y));
    RESULT(bits((float)(u32)a));
    RESULT(bits((float)(i32)a));
    RESULT(bits((float)a));
    RESULT(bits((float)(i64)a));
    RESULT(bits((double)(u32)a));
    RESULT(bits((double)(i32)a));
    RESULT(bits((double)a));
    RESULT(bits((double)(i64)a));
    static_assert(__COUNTER__ - FIRST == 23, "as many as the caller skips");
}

// Loads and stores of every width, and atomic operations on a cell of the thread's own: 10
// results.
DEVICE void memory(const u64 *operands, u64 *results, u64 count) {
    u64 a = operands[0], b = operands[1];
    u64 *cell = &cells[thread_index()];
    u64 *out = results;
    *out = a;
    ((u8 *)out)[a % 8] = (u8)b;
    out += count;
    *out = a;
    ((u16 *)out)[a % 4] = (u16)b;
    out += count;
    *out = a;
    ((u32 *)out)[a % 2] = (u32)b;
    out += count;
    *out = ((const u8 *)operands)[a % 16] | (u64)((const u16 *)operands)[a % 8] << 16 |
           (u64)((const u32 *)operands)[a % 4] << 32;
    out += count;
    *out = a;
    __atomic_fetch_add((u32 *)out, (u32)b, __ATOMIC_RELAXED);
    out += count;
    *out = a;
    __atomic_fetch_add(out, b, __ATOMIC_RELAXED);
    // In shared memory, with what was there before.
    *(volatile u64 *)cell = a;
    u32 old = __atomic_fetch_add((u32 *)cell, (u32)b, __ATOMIC_RELAXED);
    out += count;
    *out = both(old, *(volatile u32 *)cell);
    __atomic_fetch_or((u32 *)cell + 1, (u32)b, __ATOMIC_RELAXED);
    out += count;
    *out = *(volatile u64 *)cell;
    // The same through an address of which nobody knows that it is in shared memory.
    volatile u64 *far = (volatile u64 *)opaque((u64)cell);
    *far = a ^ b;
    out += count;
    *out = *far + 1;
    out += count;
    *out = (u64)(i64)QUANTILES[a % 513];
}

// For all pairs of operands, results in this order: for each pair both numbers, as 16 bytes that
// are turned by 4; for each operation its results; then, of all first operands, the sum, the sum
// of their low halves and the OR of their low halves, to which all threads add. These must be 0.
KERNEL(1024) conformance(const u64 *operands, u64 *results, u64 count) {
    u64 *of = results + 2 * count, *total = of + OPERATIONS * count;
    if (thread_index() < 2) totals[thread_index()] = 0;
    barrier();
    u64 step = (u64)block_count() * thread_count();
    for (u64 i = (u64)block_index() * thread_count() + thread_index(); i < count; i += step) {
        const u64 *pair = operands + 2 * i;
        u64 a = pair[0], b = pair[1];
        Vector v = *(const Vector *)pair;
        *(Vector *)(results + 2 * i) = v.yzwx;
        integers_of_32_bits(a, b, of + i, count);
        integers_of_64_bits(a, b, of + 38 * count + i, count);
        integers_of_other_widths(a, b, of + 69 * count + i, count);
        floats(a, b, of + 89 * count + i, count);
        memory(pair, of + 112 * count + i, count);
        __atomic_fetch_add(total, a, __ATOMIC_RELAXED);
        __atomic_fetch_add(&totals[0], (u32)a, __ATOMIC_RELAXED);
        __atomic_fetch_or(&totals[1], (u32)a, __ATOMIC_RELAXED);
    }
    barrier();
    if (thread_index() == 0) {
        __atomic_fetch_add((u32 *)(total + 1), totals[0], __ATOMIC_RELAXED);
        __atomic_fetch_or((u32 *)(total + 2), totals[1], __ATOMIC_RELAXED);
    }
}

#endif
