// What the kernels need of the CUDA dialect, so that no CUDA header is needed:
// attributes, the thread's place, the barrier, atomics.
#ifndef DROPBLOCK_DEVICE_H
#define DROPBLOCK_DEVICE_H

#include "params.h"

typedef long long i64;

// A kernel has a fixed number of threads, and so many blocks of it shall fit on a multiprocessor: with
// more, an assembler may spill registers.
#define KERNEL_OF_BLOCKS(threads, blocks)                                                          \
    extern "C" __attribute__((global)) __attribute__((launch_bounds(threads, blocks))) void
#define KERNEL(threads) KERNEL_OF_BLOCKS(threads, 1)
// Everything is inlined: the kernels call nothing, and use no stack.
#define DEVICE static inline __attribute__((device)) __attribute__((always_inline))
#define MEMBER inline __attribute__((device)) __attribute__((always_inline))
#define SHARED static __attribute__((shared))
// Visible from outside, or the compiler would move it to constant memory, which serves one address
// at a time.
#define DEVICE_TABLE __attribute__((device))

DEVICE u32 thread_index() { return __nvvm_read_ptx_sreg_tid_x(); }
DEVICE u32 thread_count() { return __nvvm_read_ptx_sreg_ntid_x(); }
DEVICE u32 block_index() { return __nvvm_read_ptx_sreg_ctaid_x(); }
DEVICE u32 block_count() { return __nvvm_read_ptx_sreg_nctaid_x(); }

// All threads of the block wait here, and see what the others have written.
DEVICE void barrier() { __syncthreads(); }

// Of the lanes of a whole warp: the bits of a condition, the value of one lane, and that of the
// lane whose number differs in one bit.
DEVICE u32 ballot(bool condition) { return __nvvm_vote_ballot_sync(~0u, condition); }
DEVICE u32 of_lane(u32 value, u32 lane) {
    return (u32)__nvvm_shfl_sync_idx_i32(~0u, (int)value, (int)lane, 31);
}
DEVICE u32 of_partner(u32 value, u32 bit) {
    return (u32)__nvvm_shfl_sync_bfly_i32(~0u, (int)value, (int)bit, 31);
}

// A value of which the compiler knows nothing: what is computed from it stays where it is needed,
// rather than in a register from the kernel's beginning.
DEVICE u64 opaque(u64 value) {
    asm volatile("" : "+l"(value));
    return value;
}

#endif
