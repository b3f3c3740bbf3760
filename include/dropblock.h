/*
 * dropblock.h: DropBlock regularisation (Ghiasi, Lin, Le 2018, arXiv 1810.12890) on the CPU.
 * Exact, without allocation, and the same mask bits on every machine.
 *
 *     dropblock_plan_memory memory;            // 5 KiB; static, on the stack, anywhere
 *     dropblock_plan *plan;
 *     dropblock_options options;
 *     dropblock_shape shape;
 *     dropblock_key key = {2024, 17, 3, 0};    // seed, step, layer, first sample
 *     dropblock_dropped dropped;
 *
 *     dropblock_options_init(&options, sizeof options, 7, 0.1, NULL);
 *     dropblock_shape_nchw(&shape, 2, 8, 14, 14);
 *     dropblock_plan_init(&memory, sizeof memory, &options, &shape, &plan, NULL);
 *     dropblock_forward(plan, &key, DROPBLOCK_TYPE_F32, x, len, x, len, NULL, 0, &dropped, NULL);
 *     dropblock_backward(plan, &key, &dropped, DROPBLOCK_TYPE_F32, dy, len, dy, len, NULL);
 *
 * Rules that hold for every function
 *
 * - A function that can refuse returns a status, DROPBLOCK_OK or why not. On a refusal nothing is
 *   written but *error, which says what was needed and given. `error` may be null; it is left as
 *   it is on success.
 * - Null, misaligned and too short memory, unknown numbers, memory that overlaps memory which is
 *   written, and plans that are none are refused. What cannot be checked is the caller's duty: a
 *   pointer that is not null points to as much as the length beside it says, and a plan is
 *   not changed behind the library's back.
 * - Lengths are in elements, and stand behind their pointer. With length 0 a pointer may be null.
 * - Nothing is allocated, nothing is kept: all state is in the arguments. A plan may be used by any
 *   number of threads at a time.
 * - No function throws or unwinds, and callbacks must not: no C++ exception and no longjmp may
 *   leave them.
 *
 * Words: a unit is one position of a map that the mask covers; 1 = dropped. Bit i of word j of a
 * mask is unit 64 j + i, plane by plane and row by row, whatever the layout of the tensor.
 */
#ifndef DROPBLOCK_H
#define DROPBLOCK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this header; dropblock_version() gives that of the library. */
#define DROPBLOCK_VERSION_MAJOR 0
#define DROPBLOCK_VERSION_MINOR 1
#define DROPBLOCK_VERSION_PATCH 0
#define DROPBLOCK_VERSION                                                                          \
    (DROPBLOCK_VERSION_MAJOR * 1000000 + DROPBLOCK_VERSION_MINOR * 1000 + DROPBLOCK_VERSION_PATCH)

/* The version of the interface. It changes where an old program would no longer work: compare it
 * with dropblock_abi_version() where the library is loaded at run time. */
#define DROPBLOCK_ABI_VERSION 1

/* The version of the mask function. The bits for the same plan and key never change within it. */
#define DROPBLOCK_MASK_VERSION 1

uint32_t dropblock_version(void);
uint32_t dropblock_abi_version(void);
uint32_t dropblock_mask_version(void);

/* ---- Status and errors ---- */

typedef uint32_t dropblock_status;

#define DROPBLOCK_OK 0
#define DROPBLOCK_STATUS_NULL 1            /* a pointer is null */
#define DROPBLOCK_STATUS_MISALIGNED 2      /* a pointer is not aligned for its type */
#define DROPBLOCK_STATUS_OVERLAP 3         /* memory that is written overlaps other memory */
#define DROPBLOCK_STATUS_ADDRESS 4         /* a buffer is larger than memory can be */
#define DROPBLOCK_STATUS_VALUE 5           /* a number stands for nothing */
#define DROPBLOCK_STATUS_STRUCT_SIZE 6     /* a struct is smaller than any version of it */
#define DROPBLOCK_STATUS_NEWER 7           /* options of a newer version are set */
#define DROPBLOCK_STATUS_MEMORY 8          /* the memory is too small for a plan */
#define DROPBLOCK_STATUS_NOT_A_PLAN 9      /* the memory holds no plan of this library */
#define DROPBLOCK_STATUS_NO_HALF 10        /* the library was built without f16 and bf16 */
#define DROPBLOCK_STATUS_DROP_PROB 32      /* outside [0, 1] */
#define DROPBLOCK_STATUS_GAMMA 33          /* outside [0, 1] */
#define DROPBLOCK_STATUS_GAMMA_SCALE 34    /* not finite and at least 0 */
#define DROPBLOCK_STATUS_BLOCK_SIZE 35     /* 0 along an axis: given[0] */
#define DROPBLOCK_STATUS_BLOCK_FRACTION 36 /* not finite and above 0 */
#define DROPBLOCK_STATUS_RANK 37           /* the block has sizes for another number of axes */
#define DROPBLOCK_STATUS_TOO_LARGE 38      /* the shape is too large */
#define DROPBLOCK_STATUS_STRIDE 39         /* elements could coincide; given[1] is the axis */
#define DROPBLOCK_STATUS_LENGTH 40         /* a buffer has the wrong length */
#define DROPBLOCK_STATUS_OTHER_PLAN 41     /* the count belongs to a mask of another size */
#define DROPBLOCK_STATUS_GROUP 42          /* there is no such scale group */
#define DROPBLOCK_STATUS_MAP 43            /* there is no such map */
#define DROPBLOCK_STATUS_POSITION 44       /* outside the map */
#define DROPBLOCK_STATUS_FIRST_SAMPLE 45   /* too large for positions of 64 bits */
#define DROPBLOCK_STATUS_SCHEDULE_VALUE 46 /* outside [0, 2^64] */
#define DROPBLOCK_STATUS_SCHEDULE_STEP 47  /* the steps do not rise; needed[0] is the one before */
#define DROPBLOCK_STATUS_BACKEND 48        /* cannot run here */
#define DROPBLOCK_STATUS_UNKNOWN 255       /* a reason that this interface does not know */

/* Which argument, or which field of one, was refused; 0 if the status says enough. */
typedef uint32_t dropblock_argument;

#define DROPBLOCK_ARGUMENT_PLAN 1
#define DROPBLOCK_ARGUMENT_MEMORY 2
#define DROPBLOCK_ARGUMENT_OPTIONS 3
#define DROPBLOCK_ARGUMENT_SHAPE 4
#define DROPBLOCK_ARGUMENT_KEY 5
#define DROPBLOCK_ARGUMENT_X 6
#define DROPBLOCK_ARGUMENT_Y 7
#define DROPBLOCK_ARGUMENT_MASK 8
#define DROPBLOCK_ARGUMENT_DROPPED 9
#define DROPBLOCK_ARGUMENT_COUNT 10
#define DROPBLOCK_ARGUMENT_RESULT 11
#define DROPBLOCK_ARGUMENT_FILLER 12
#define DROPBLOCK_ARGUMENT_KEEP 13
#define DROPBLOCK_ARGUMENT_CALLBACK 14
#define DROPBLOCK_ARGUMENT_SOURCE 15
#define DROPBLOCK_ARGUMENT_DESTINATION 16
#define DROPBLOCK_ARGUMENT_DILATION 17
#define DROPBLOCK_ARGUMENT_SCHEDULE 18
#define DROPBLOCK_ARGUMENT_STEPS 19
#define DROPBLOCK_ARGUMENT_ERROR 20
#define DROPBLOCK_ARGUMENT_TYPE 32
#define DROPBLOCK_ARGUMENT_ELEMENT_SIZE 33
#define DROPBLOCK_ARGUMENT_PRESET 34
#define DROPBLOCK_ARGUMENT_MODE 35
#define DROPBLOCK_ARGUMENT_GAMMA 36
#define DROPBLOCK_ARGUMENT_REGION 37
#define DROPBLOCK_ARGUMENT_ALIGNMENT 38
#define DROPBLOCK_ARGUMENT_SHARING 39
#define DROPBLOCK_ARGUMENT_SCALE 40
#define DROPBLOCK_ARGUMENT_FILL 41
#define DROPBLOCK_ARGUMENT_BACKEND 42
#define DROPBLOCK_ARGUMENT_BLOCK 43
#define DROPBLOCK_ARGUMENT_LAYOUT 44
#define DROPBLOCK_ARGUMENT_MAP_RANK 45 /* the rank, or a size other than 1 of a missing axis */
#define DROPBLOCK_ARGUMENT_AXES 46
#define DROPBLOCK_ARGUMENT_COURSE 47
#define DROPBLOCK_ARGUMENT_RESERVED 48 /* a reserved field that is not 0 */

/* Says why. Which of the numbers hold something depends on the status. */
typedef struct dropblock_error {
    dropblock_status status;
    dropblock_argument argument;
    uint64_t needed[2];
    uint64_t given[2];
    double value; /* the number that was given, if it was a probability, factor or fraction */
} dropblock_error;

/* What a status means in general: a constant string, never null. */
const char *dropblock_status_message(dropblock_status status);

/* Writes the error with its numbers as text to `text`, of `text_len` bytes, ended by 0 and cut
 * where it does not fit. Returns the length of the whole without the 0; 0 if `error` is null. */
size_t dropblock_error_message(const dropblock_error *error, char *text, size_t text_len);

/* ---- Backends ---- */

/* Implementations; all give the same bits. */
typedef uint32_t dropblock_backend;

#define DROPBLOCK_BACKEND_FASTEST 0 /* the fastest that the machine has */
#define DROPBLOCK_BACKEND_SCALAR 1
#define DROPBLOCK_BACKEND_SIMD 2
#define DROPBLOCK_BACKEND_AVX2 3
#define DROPBLOCK_BACKEND_AVX512 4

/* The fastest backend that can run here. */
dropblock_backend dropblock_backend_detect(void);

/* 1 if the backend can run here, else 0. */
uint32_t dropblock_backend_is_available(dropblock_backend backend);

/* The name of a backend, as "scalar": a constant string. Null if there is none. */
const char *dropblock_backend_name(dropblock_backend backend);

/* ---- Options ---- */

/* What other implementations do; see the documentation of the Rust crate. */
typedef uint32_t dropblock_preset;

#define DROPBLOCK_PRESET_PAPER 0
#define DROPBLOCK_PRESET_TENSORFLOW 1 /* the same */
#define DROPBLOCK_PRESET_TIMM 2
#define DROPBLOCK_PRESET_TIMM_LEGACY 3
#define DROPBLOCK_PRESET_MIGUELVR 4
#define DROPBLOCK_PRESET_DRAGON 5

typedef uint32_t dropblock_mode;

#define DROPBLOCK_MODE_TRAINING 0
#define DROPBLOCK_MODE_INFERENCE 1 /* drops nothing and scales nothing */

/* How gamma, the probability of a centre, follows from the drop probability. In this and the next
 * lists 0 is what the preset says. */
typedef uint32_t dropblock_gamma;

#define DROPBLOCK_GAMMA_DEFAULT 0
#define DROPBLOCK_GAMMA_PAPER 1       /* Eq. 1 times gamma_value */
#define DROPBLOCK_GAMMA_PAPER_VALID 2 /* Eq. 1 of the valid region times gamma_value */
#define DROPBLOCK_GAMMA_EXACT 3       /* the expected dropped fraction is the drop probability */
#define DROPBLOCK_GAMMA_RAW 4         /* gamma_value itself */

/* Where centres may lie. */
typedef uint32_t dropblock_region;

#define DROPBLOCK_REGION_DEFAULT 0
#define DROPBLOCK_REGION_VALID 1 /* where the whole block fits: the paper */
#define DROPBLOCK_REGION_FULL 2  /* everywhere; blocks are clipped */

/* Where the longer half of an even block lies. */
typedef uint32_t dropblock_alignment;

#define DROPBLOCK_ALIGNMENT_DEFAULT 0
#define DROPBLOCK_ALIGNMENT_BEFORE 1
#define DROPBLOCK_ALIGNMENT_AFTER 2

/* Which parts of the tensor share one mask. */
typedef uint32_t dropblock_sharing;

#define DROPBLOCK_SHARING_DEFAULT 0
#define DROPBLOCK_SHARING_SAMPLE_CHANNEL 1 /* none: a mask for each map */
#define DROPBLOCK_SHARING_SAMPLE 2         /* a mask for each sample, shared by its channels */
#define DROPBLOCK_SHARING_CHANNEL 3        /* a mask for each channel, shared by the samples */
#define DROPBLOCK_SHARING_ALL 4

/* By what kept units are multiplied. */
typedef uint32_t dropblock_scale;

#define DROPBLOCK_SCALE_DEFAULT 0
#define DROPBLOCK_SCALE_TENSOR 1       /* units / kept units of the whole mask */
#define DROPBLOCK_SCALE_SAMPLE 2       /* the same for each sample */
#define DROPBLOCK_SCALE_CHANNEL 3      /* the same for each map */
#define DROPBLOCK_SCALE_FIXED 4        /* 1 / (1 - drop_prob) */
#define DROPBLOCK_SCALE_NONE 5         /* 1 */
#define DROPBLOCK_SCALE_PER_POSITION 6 /* 1 / the position's own probability to be kept */

/* What the forward pass writes to dropped units. */
typedef uint32_t dropblock_fill;

#define DROPBLOCK_FILL_DEFAULT 0
#define DROPBLOCK_FILL_ZERO 1
#define DROPBLOCK_FILL_NOISE 2 /* Gaussian, of mean 0 and deviation 1, from the key */

typedef uint32_t dropblock_block_kind;

#define DROPBLOCK_BLOCK_UNIFORM 0  /* `uniform` along every axis */
#define DROPBLOCK_BLOCK_HW 1       /* `height` x `width`, for 2-D maps */
#define DROPBLOCK_BLOCK_DHW 2      /* `depth` x `height` x `width`, for 3-D maps */
#define DROPBLOCK_BLOCK_RELATIVE 3 /* `fraction` of the map along every axis, at least 1 */

/* A block size. Larger than the map it is clamped to it, axis by axis. */
typedef struct dropblock_block {
    dropblock_block_kind kind;
    uint32_t reserved; /* 0 */
    double fraction;
    size_t uniform;
    size_t depth;
    size_t height;
    size_t width;
} dropblock_block;

/* The options of a layer: set by dropblock_options_init, then change what you like. All zero but
 * for `size`, `drop_prob` and `block` is the same as what it sets. */
typedef struct dropblock_options {
    uint32_t size; /* sizeof(dropblock_options), so that the struct can grow at its end */
    dropblock_preset preset;
    dropblock_mode mode;
    dropblock_gamma gamma;
    dropblock_region region;
    dropblock_alignment alignment;
    dropblock_sharing sharing;
    dropblock_scale scale;
    dropblock_fill fill;
    dropblock_backend backend;
    double drop_prob;   /* in [0, 1], the paper's 1 - keep_prob */
    double gamma_value; /* a factor, or gamma itself: see dropblock_gamma; else ignored */
    dropblock_block block;
} dropblock_options;

/* Sets the paper's options. `size` is sizeof *options; `block_size` holds along every axis. */
dropblock_status dropblock_options_init(dropblock_options *options, size_t size,
                                        size_t block_size, double drop_prob,
                                        dropblock_error *error);

/* The paper's factor of Eq. 1 in a group of residual blocks, for DROPBLOCK_GAMMA_PAPER:
 * 1 in group 4, 0.25 in group 3, else 0. */
double dropblock_paper_group_factor(size_t group);

/* ---- Shapes ---- */

typedef uint32_t dropblock_layout;

#define DROPBLOCK_LAYOUT_CHANNELS_FIRST 0
#define DROPBLOCK_LAYOUT_CHANNELS_LAST 1

/* The shape of a tensor. For a view change the strides: a crop, padded rows, a slice of the
 * channels, any order of axes. Elements between those of a view are neither read nor written. */
typedef struct dropblock_shape {
    uint32_t rank;     /* axes of the map: 1, 2 or 3 */
    uint32_t reserved; /* 0 */
    size_t samples;
    size_t channels;
    size_t depth;      /* 1 below rank 3 */
    size_t height;     /* 1 below rank 2 */
    size_t width;      /* the length at rank 1 */
    size_t strides[5]; /* of samples, channels, depth, height, width, in elements */
} dropblock_shape;

/* Sets a shape without gaps. `map` holds the sizes of `rank` axes, the last one the fastest. */
dropblock_status dropblock_shape_init(dropblock_shape *shape, size_t samples, size_t channels,
                                      const size_t *map, size_t rank, dropblock_layout layout,
                                      dropblock_error *error);

/* The same for each rank and layout. They refuse nothing but a null or misaligned pointer. */
dropblock_status dropblock_shape_ncl(dropblock_shape *shape, size_t samples, size_t channels,
                                     size_t length);
dropblock_status dropblock_shape_nlc(dropblock_shape *shape, size_t samples, size_t length,
                                     size_t channels);
dropblock_status dropblock_shape_nchw(dropblock_shape *shape, size_t samples, size_t channels,
                                      size_t height, size_t width);
dropblock_status dropblock_shape_nhwc(dropblock_shape *shape, size_t samples, size_t height,
                                      size_t width, size_t channels);
dropblock_status dropblock_shape_ncdhw(dropblock_shape *shape, size_t samples, size_t channels,
                                       size_t depth, size_t height, size_t width);
dropblock_status dropblock_shape_ndhwc(dropblock_shape *shape, size_t samples, size_t depth,
                                       size_t height, size_t width, size_t channels);

/* ---- Plans ---- */

/* A layer for tensors of one shape, in memory of the caller. It holds no pointer: it may be copied
 * with memcpy to memory of the same alignment, and needs no end. It is of this build of the
 * library, and not for files. */
typedef struct dropblock_plan dropblock_plan;

/* Upper bounds of what dropblock_plan_size() and dropblock_plan_align() return, within an ABI
 * version. */
#define DROPBLOCK_PLAN_SIZE 5120
#define DROPBLOCK_PLAN_ALIGN 8

/* Memory for a plan. */
typedef union dropblock_plan_memory {
    uint64_t words[DROPBLOCK_PLAN_SIZE / 8];
    double align;
} dropblock_plan_memory;

size_t dropblock_plan_size(void);
size_t dropblock_plan_align(void);

/* Makes a plan in `memory`, of `memory_size` bytes, and sets *plan to it. */
dropblock_status dropblock_plan_init(void *memory, size_t memory_size,
                                     const dropblock_options *options,
                                     const dropblock_shape *shape, dropblock_plan **plan,
                                     dropblock_error *error);

/* DROPBLOCK_OK for a plan. The memory must have 16 bytes at least. */
dropblock_status dropblock_plan_check(const dropblock_plan *plan, dropblock_error *error);

/* Queries. For what is no plan they return 0 or NaN. */

size_t dropblock_plan_len(const dropblock_plan *plan);      /* elements of the tensor */
size_t dropblock_plan_extent(const dropblock_plan *plan);   /* length of its buffers, with gaps */
size_t dropblock_plan_units(const dropblock_plan *plan);    /* units of the mask */
size_t dropblock_plan_mask_len(const dropblock_plan *plan); /* 64-bit words of the mask */
size_t dropblock_plan_groups(const dropblock_plan *plan);   /* scale groups */
double dropblock_plan_gamma(const dropblock_plan *plan);    /* as it is really used */
/* The exact fraction of units. This and DROPBLOCK_GAMMA_EXACT take time that grows with depth x
 * height of the block: microseconds for those of networks. */
double dropblock_plan_expected_dropped(const dropblock_plan *plan);
dropblock_backend dropblock_plan_backend(const dropblock_plan *plan);

/* Names one mask among all that a training run draws: the same key gives the same mask. */
typedef struct dropblock_key {
    uint64_t seed;
    uint64_t step;
    uint64_t layer;
    uint64_t first_sample; /* index in the whole batch of the tensor's first sample */
} dropblock_key;

/* How many units of a mask, or of a scale group, are dropped. */
typedef struct dropblock_dropped {
    uint64_t count;
    uint64_t of;
} dropblock_dropped;

/* The scale of kept units in a group of which so much is dropped; for f16 and bf16 it is that of
 * f32. With DROPBLOCK_SCALE_PER_POSITION it is 1. */
dropblock_status dropblock_plan_scale_f32(const dropblock_plan *plan,
                                          const dropblock_dropped *dropped, float *result,
                                          dropblock_error *error);
dropblock_status dropblock_plan_scale_f64(const dropblock_plan *plan,
                                          const dropblock_dropped *dropped, double *result,
                                          dropblock_error *error);

/* The scale of DROPBLOCK_SCALE_PER_POSITION at a position of the map, counted row by row. */
dropblock_status dropblock_plan_position_scale_f32(const dropblock_plan *plan, size_t position,
                                                   float *result, dropblock_error *error);
dropblock_status dropblock_plan_position_scale_f64(const dropblock_plan *plan, size_t position,
                                                   double *result, dropblock_error *error);

/* ---- Passes ----
 *
 * `x` and `y` are tensors of dropblock_plan_extent() elements in the plan's layout. If they are the
 * same pointer the pass is in place; otherwise they must not overlap, not even views that are
 * interleaved in one buffer.
 */

/* The type of the elements. */
typedef uint32_t dropblock_type;

#define DROPBLOCK_TYPE_F32 1
#define DROPBLOCK_TYPE_F64 2
#define DROPBLOCK_TYPE_F16 3  /* IEEE binary16, as uint16_t; scaled in f32 */
#define DROPBLOCK_TYPE_BF16 4 /* bfloat16, as uint16_t; scaled in f32 */

/* Forward pass. `mask` gets the mask, in dropblock_plan_mask_len() words or more; or it is null
 * with length 0, then stack is used instead. `dropped` gets the count. */
dropblock_status dropblock_forward(const dropblock_plan *plan, const dropblock_key *key,
                                   dropblock_type type, const void *x, size_t x_len, void *y,
                                   size_t y_len, uint64_t *mask, size_t mask_len,
                                   dropblock_dropped *dropped, dropblock_error *error);

/* Backward pass, from the gradient `x` of the output to the gradient `y` of the input: the mask is
 * drawn anew from the key. `dropped` is what the forward pass gave. */
dropblock_status dropblock_backward(const dropblock_plan *plan, const dropblock_key *key,
                                    const dropblock_dropped *dropped, dropblock_type type,
                                    const void *x, size_t x_len, void *y, size_t y_len,
                                    dropblock_error *error);

/* Applies a mask, forward as well as backward. `dropped` is the count of the whole mask. */
dropblock_status dropblock_apply(const dropblock_plan *plan, const uint64_t *mask,
                                 size_t mask_len, const dropblock_dropped *dropped,
                                 dropblock_type type, const void *x, size_t x_len, void *y,
                                 size_t y_len, dropblock_error *error);

/* Writes the noise of a key to the units that a mask drops, and leaves the others as they are. */
dropblock_status dropblock_fill_noise(const dropblock_plan *plan, const dropblock_key *key,
                                      const uint64_t *mask, size_t mask_len, dropblock_type type,
                                      void *y, size_t y_len, dropblock_error *error);

/* Drops without scaling: copies *filler to dropped units and leaves the others as they are. For
 * elements of any type of 1, 2, 4 or 8 bytes, aligned to their size (and so is `filler`); a
 * quantised tensor takes its zero point. `mask` as for dropblock_forward. */
dropblock_status dropblock_drop_only(const dropblock_plan *plan, const dropblock_key *key,
                                     size_t element_size, const void *filler, void *y,
                                     size_t y_len, uint64_t *mask, size_t mask_len,
                                     dropblock_dropped *dropped, dropblock_error *error);

/* The same for a mask that is there already. */
dropblock_status dropblock_fill_dropped(const dropblock_plan *plan, const uint64_t *mask,
                                        size_t mask_len, size_t element_size, const void *filler,
                                        void *y, size_t y_len, dropblock_error *error);

/* ---- Stages ----
 *
 * `mask` has dropblock_plan_mask_len() words or more. Words past these are left as they are.
 */

/* Draws centres: writes a mask of them, and how many there are. */
dropblock_status dropblock_centers(const dropblock_plan *plan, const dropblock_key *key,
                                   uint64_t *mask, size_t mask_len, uint64_t *count,
                                   dropblock_error *error);

/* Returns the next 32 random bits of a generator. */
typedef uint32_t (*dropblock_draw)(void *context);

/* Draws centres from a generator of the caller's. */
dropblock_status dropblock_centers_from_draws(const dropblock_plan *plan, dropblock_draw draw,
                                              void *context, uint64_t *mask, size_t mask_len,
                                              uint64_t *count, dropblock_error *error);

/* Expands centres to their blocks, in place. */
dropblock_status dropblock_dilate(const dropblock_plan *plan, uint64_t *mask, size_t mask_len,
                                  dropblock_error *error);

/* Both: draws the mask, and counts it. */
dropblock_status dropblock_mask(const dropblock_plan *plan, const dropblock_key *key,
                                uint64_t *mask, size_t mask_len, dropblock_dropped *dropped,
                                dropblock_error *error);

/* Counts the dropped units of a mask. */
dropblock_status dropblock_count(const dropblock_plan *plan, const uint64_t *mask,
                                 size_t mask_len, dropblock_dropped *dropped,
                                 dropblock_error *error);

/* Counts those of one scale group: the whole mask, a sample or a map. */
dropblock_status dropblock_count_group(const dropblock_plan *plan, const uint64_t *mask,
                                       size_t mask_len, size_t group, dropblock_dropped *dropped,
                                       dropblock_error *error);

/* ---- Masks in kernels of your own ---- */

/* Writes 64 units a word, 1 = kept, from a position of the map of a sample and channel of the
 * tensor on, whichever maps share the mask. Bits past the end of the map are 0. */
dropblock_status dropblock_keep_words(const dropblock_plan *plan, const uint64_t *mask,
                                      size_t mask_len, size_t sample, size_t channel,
                                      size_t position, uint64_t *keep, size_t keep_len,
                                      dropblock_error *error);

/* A plane of the mask, or a part of one. */
typedef struct dropblock_plane_part {
    size_t sample;        /* of the mask: 0 if samples share it */
    size_t channel;       /* of the mask: 0 if channels share it */
    size_t position;      /* the first position of the part, counted row by row */
    size_t len;           /* how many positions */
    const uint64_t *keep; /* bit i of word j is position 64 j + i of the part, 1 = kept, then 0 */
    size_t keep_len;      /* how many words */
} dropblock_plane_part;

/* Is shown a part, which is gone when it returns. */
typedef void (*dropblock_visit)(void *context, const dropblock_plane_part *part);

/* Generates the mask without a buffer and shows it plane by plane, in order; a plane of more than
 * 16384 positions in parts. With DROPBLOCK_SCALE_TENSOR call it twice, or have the count from
 * elsewhere. */
dropblock_status dropblock_for_each_plane(const dropblock_plan *plan, const dropblock_key *key,
                                          dropblock_visit visit, void *context,
                                          dropblock_dropped *dropped, dropblock_error *error);

/* ---- Dilation alone ---- */

typedef uint32_t dropblock_axes;

#define DROPBLOCK_AXES_ALL 0
#define DROPBLOCK_AXES_ROWS 1 /* along rows only */
#define DROPBLOCK_AXES_COLS 2 /* along columns, and depth */

/* Dilation of maps by a rectangular block: each position gets the maximum over the centres whose
 * block covers it. */
typedef struct dropblock_dilation {
    uint32_t rank; /* as in dropblock_shape */
    dropblock_axes axes;
    dropblock_alignment alignment; /* by default the longer half lies before the centre */
    dropblock_backend backend;
    size_t depth;
    size_t height;
    size_t width;
    dropblock_block block;
} dropblock_dilation;

/* Sets a dilation along all axes by a block of the same size along each. */
dropblock_status dropblock_dilation_init(dropblock_dilation *dilation, const size_t *map,
                                         size_t rank, size_t block_size, dropblock_error *error);

/* The number of 64-bit words that hold the bits of so many maps. */
dropblock_status dropblock_dilation_words(const dropblock_dilation *dilation, size_t maps,
                                          size_t *result, dropblock_error *error);

/* Dilates bytes, any number of maps one behind the other; in place if both pointers are the same.
 * Both lengths are equal, and those of whole maps. */
dropblock_status dropblock_dilate_bytes(const dropblock_dilation *dilation, const uint8_t *source,
                                        size_t source_len, uint8_t *destination,
                                        size_t destination_len, dropblock_error *error);

/* Dilates bits in place, of so many maps without padding between rows or maps. */
dropblock_status dropblock_dilate_bits(const dropblock_dilation *dilation, size_t maps,
                                       uint64_t *mask, size_t mask_len, dropblock_error *error);

/* ---- Schedules ---- */

typedef uint32_t dropblock_course;

#define DROPBLOCK_COURSE_CONSTANT 0 /* always `start` */
#define DROPBLOCK_COURSE_LINEAR 1   /* from `start` to `end` */
#define DROPBLOCK_COURSE_COSINE 2   /* the same, slow at both ends */
#define DROPBLOCK_COURSE_STEPS 3    /* `start`, then from each listed step on its value */
#define DROPBLOCK_COURSE_PAPER 4    /* linearly from 0 to `end`, a drop probability */
#define DROPBLOCK_COURSE_DARKNET 5  /* linearly from 0 to `end`, reached at 0.85 of the total */

typedef struct dropblock_step {
    uint64_t step;
    double value;
} dropblock_step;

/* A drop probability, block size or factor of gamma as a function of the step. Values lie in
 * [0, 2^64]; what a course does not need is ignored. */
typedef struct dropblock_schedule {
    dropblock_course course;
    uint32_t reserved; /* 0 */
    double start;
    double end;
    uint64_t held;               /* for so many steps more the start value holds */
    const dropblock_step *steps; /* rising from at least 1; only for DROPBLOCK_COURSE_STEPS */
    size_t steps_len;
} dropblock_schedule;

/* Sets a schedule that is not held and has no list. */
dropblock_status dropblock_schedule_init(dropblock_schedule *schedule, dropblock_course course,
                                         double start, double end, dropblock_error *error);

/* The value when `step` of `total` steps are done: the start value at 0, the end value from `total`
 * on. */
dropblock_status dropblock_schedule_at(const dropblock_schedule *schedule, uint64_t step,
                                       uint64_t total, double *result, dropblock_error *error);

/* The same as a block size: rounded down, at least 1. */
dropblock_status dropblock_schedule_block_size(const dropblock_schedule *schedule, uint64_t step,
                                               uint64_t total, size_t *result,
                                               dropblock_error *error);

#ifdef __cplusplus
}
#endif

#endif
