// What the kernels need of the CUDA dialect, so that no CUDA header is needed:
// attributes, the thread's place, the barrier, atomics.
#ifndef DROPBLOCK_DEVICE_H
#define DROPBLOCK_DEVICE_H

#include "params.h"

typedef long long i64;

// A kernel may be launched with any number of threads that a block can have. One block on a
// multiprocessor is enough: or an assembler may spill registers for the sake of more.
#define KERNEL extern "C" __attribute__((global)) __attribute__((launch_bounds(1024, 1))) void
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

// A value of which the compiler knows nothing: what is computed from it stays where it is needed,
// rather than in a register from the kernel's beginning.
DEVICE u64 opaque(u64 value) {
    asm volatile("" : "+l"(value));
    return value;
}

#endif
