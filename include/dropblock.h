/*
 * dropblock.h: DropBlock regularisation (Ghiasi, Lin, Le 2018, arXiv 1810.12890) on the CPU.
 * Exact, without allocation, and the same mask bits on every machine.
 *
 *     dropblock_plan_memory memory;            // 5 KiB; static, on the stack, anywhere
 *     dropblock_plan *plan;
 *     dropblock_options options;
 *     dropblock_shape shape;
 *     dropblock_tensor x = {DROPBLOCK_TYPE_F32, 0, data, 3136, 0, NULL};
 *     dropblock_tensor dy = {DROPBLOCK_TYPE_F32, 0, gradient, 3136, 0, NULL};
 *     dropblock_drawn drawn = {{2024, 17, 3, 0}, DROPBLOCK_NO_COUNT};
 *                                              // seed, step, layer, first sample
 *
 *     dropblock_options_init(&options, sizeof options, 7, 0.1, NULL);
 *     dropblock_shape_nchw(&shape, 2, 8, 14, 14);
 *     dropblock_plan_init(&memory, sizeof memory, &options, &shape, &plan, NULL);
 *     dropblock_forward(plan, &drawn, &x, &x, &drawn, NULL);
 *     dropblock_backward(plan, &drawn, &dy, &dy, NULL);
 *
 * With a mask that is kept between the passes:
 *
 *     uint64_t words[49];                      // dropblock_plan_mask_words(plan)
 *     dropblock_mask mask;
 *
 *     dropblock_draw(plan, &drawn.key, words, 49, &mask, NULL);
 *     dropblock_mask_forward(plan, &mask, &x, &x, NULL);
 *     dropblock_mask_backward(plan, &mask, &dy, &dy, NULL);
 *
 * Rules that hold for every function
 *
 * - A function that can refuse returns a status: DROPBLOCK_OK, or why not. On a refusal nothing is
 *   written but *error, which says what was needed and given. `error` may be null; on success it
 *   is left as it is.
 * - These are refused: null, misaligned or too short memory, numbers that are in no list, memory
 *   that is written and overlaps other memory, and plans that are none. Structs that are only read
 *   are copied first, so that a result may take their place. What cannot be checked is the
 *   caller's duty: a pointer that is not null points to as much as the length beside it says, and
 *   nobody changes a plan behind the library's back.
 * - Lengths are in elements of what the pointer points to. With length 0 a pointer may be null.
 * - Nothing is allocated and nothing is kept: all state is in the arguments. Any number of threads
 *   may use a plan at a time.
 * - No function throws or unwinds, and callbacks must not: no C++ exception and no longjmp may
 *   leave them.
 *
 * A unit is one position of a map that the mask covers. Bit i of word j of a mask is unit 64 j + i,
 * map by map and row by row, whatever the layout of the tensor; 1 = dropped. Where the name says
 * `keep`, 1 = kept.
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
#define DROPBLOCK_STATUS_VALUE 5           /* a number is outside needed[0] to needed[1] */
#define DROPBLOCK_STATUS_STRUCT_SIZE 6     /* a struct is smaller than any version of it */
#define DROPBLOCK_STATUS_NEWER 7           /* options of a newer version are set */
#define DROPBLOCK_STATUS_MEMORY 8          /* the memory is too small for a plan */
#define DROPBLOCK_STATUS_NOT_A_PLAN 9      /* the memory holds no plan of this library */
#define DROPBLOCK_STATUS_NO_HALF 10        /* the library was built without f16 and bf16 */
#define DROPBLOCK_STATUS_GAMMA_VALUE 11    /* gamma needs a value, or has one it does not take */
#define DROPBLOCK_STATUS_DROP_PROB 32      /* outside [0, 1] */
#define DROPBLOCK_STATUS_GAMMA 33          /* outside [0, 1] */
#define DROPBLOCK_STATUS_GAMMA_SCALE 34    /* not finite and at least 0 */
#define DROPBLOCK_STATUS_BLOCK_SIZE 35     /* 0 along an axis; given[1] is the axis */
#define DROPBLOCK_STATUS_BLOCK_FRACTION 36 /* not finite and above 0 */
#define DROPBLOCK_STATUS_RANK 37           /* the block has sizes for another number of axes */
#define DROPBLOCK_STATUS_TOO_LARGE 38      /* too many elements, or a view that reaches too far */
#define DROPBLOCK_STATUS_STRIDE 39         /* units would share an element; given[1] is the axis */
#define DROPBLOCK_STATUS_LENGTH 40         /* a buffer has the wrong length */
#define DROPBLOCK_STATUS_COUNT 41          /* no mask of the plan has such a count */
#define DROPBLOCK_STATUS_GROUP 42          /* there is no such scale group */
#define DROPBLOCK_STATUS_MAP 43            /* there is no such map */
#define DROPBLOCK_STATUS_POSITION 44       /* outside the map */
#define DROPBLOCK_STATUS_FIRST_SAMPLE 45   /* too large for positions of 64 bits */
#define DROPBLOCK_STATUS_SCHEDULE_VALUE 46 /* outside [0, 2^64] */
#define DROPBLOCK_STATUS_SCHEDULE_STEP 47  /* the steps do not rise; needed[0] is the one before */
#define DROPBLOCK_STATUS_BACKEND 48        /* cannot run here */
#define DROPBLOCK_STATUS_SCALE 49          /* scales per sample or map take no count of others */
#define DROPBLOCK_STATUS_VIEW 50           /* leaves its buffer: elements before and after first */
#define DROPBLOCK_STATUS_UNINIT 51         /* only from the Rust crate */
#define DROPBLOCK_STATUS_NO_KEY 52         /* noise needs a key, and the mask has none */
#define DROPBLOCK_STATUS_LAYOUT 53         /* only from the Rust crate */
#define DROPBLOCK_STATUS_AXIS 54           /* an axis of the map is too long: given[1] */
#define DROPBLOCK_STATUS_SCHEDULE_STEPS 55 /* too many steps */
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
#define DROPBLOCK_ARGUMENT_WORDS 9
#define DROPBLOCK_ARGUMENT_COUNT 10
#define DROPBLOCK_ARGUMENT_DRAWN 11
#define DROPBLOCK_ARGUMENT_RESULT 12
#define DROPBLOCK_ARGUMENT_VALUE 13
#define DROPBLOCK_ARGUMENT_KEEP 14
#define DROPBLOCK_ARGUMENT_CALLBACK 15 /* draw or visit */
#define DROPBLOCK_ARGUMENT_SOURCE 16
#define DROPBLOCK_ARGUMENT_DESTINATION 17
#define DROPBLOCK_ARGUMENT_DILATION 18
#define DROPBLOCK_ARGUMENT_SCHEDULE 19
#define DROPBLOCK_ARGUMENT_STEPS 20
#define DROPBLOCK_ARGUMENT_STRIDES 21
#define DROPBLOCK_ARGUMENT_ERROR 22
#define DROPBLOCK_ARGUMENT_TYPE 32
#define DROPBLOCK_ARGUMENT_PRESET 33
#define DROPBLOCK_ARGUMENT_MODE 34
#define DROPBLOCK_ARGUMENT_GAMMA 35
#define DROPBLOCK_ARGUMENT_HAS_VALUE 36
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
#define DROPBLOCK_ARGUMENT_FIRST 48
#define DROPBLOCK_ARGUMENT_HAS_KEY 49
#define DROPBLOCK_ARGUMENT_RESERVED 50 /* a reserved field that is not 0 */

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
typedef uint32_t dropblock_gamma_kind;

#define DROPBLOCK_GAMMA_DEFAULT 0
#define DROPBLOCK_GAMMA_PAPER 1       /* Eq. 1 times the value, or times 1 without one */
#define DROPBLOCK_GAMMA_PAPER_VALID 2 /* the same with Eq. 1 of the valid region */
#define DROPBLOCK_GAMMA_EXACT 3       /* the expected dropped fraction is the drop probability */
#define DROPBLOCK_GAMMA_RAW 4         /* the value, in [0, 1], whatever the drop probability */

/* Gamma: {DROPBLOCK_GAMMA_EXACT, 0, 0}, {DROPBLOCK_GAMMA_PAPER, 1, 0.25} or
 * {DROPBLOCK_GAMMA_RAW, 1, 0.01}. Refused with DROPBLOCK_STATUS_GAMMA_VALUE: RAW without a value,
 * DEFAULT and EXACT with one, and a value other than 0 where has_value is 0. */
typedef struct dropblock_gamma {
    dropblock_gamma_kind kind;
    uint32_t has_value; /* 1 if `value` is set, else 0 */
    double value;       /* a factor, finite and at least 0, or gamma itself; 0 if it is not set */
} dropblock_gamma;

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

/* Which maps of the tensor share one mask. */
typedef uint32_t dropblock_sharing;

#define DROPBLOCK_SHARING_DEFAULT 0
#define DROPBLOCK_SHARING_NONE 1          /* a mask for each channel of each sample: the paper */
#define DROPBLOCK_SHARING_OVER_CHANNELS 2 /* a mask for each sample, shared by its channels */
#define DROPBLOCK_SHARING_OVER_SAMPLES 3  /* a mask for each channel, shared by the samples */
#define DROPBLOCK_SHARING_OVER_ALL 4      /* one mask */

/* By what kept units are multiplied. */
typedef uint32_t dropblock_scale;

#define DROPBLOCK_SCALE_DEFAULT 0
#define DROPBLOCK_SCALE_PER_TENSOR 1   /* units / kept units of the whole mask: the paper */
#define DROPBLOCK_SCALE_PER_SAMPLE 2   /* the same for each sample of the mask */
#define DROPBLOCK_SCALE_PER_MAP 3      /* the same for each map of the mask */
#define DROPBLOCK_SCALE_PER_POSITION 4 /* 1 / the position's own probability to be kept */
#define DROPBLOCK_SCALE_FIXED 5        /* 1 / (1 - drop_prob); +0.0 everywhere if drop_prob is 1 */
#define DROPBLOCK_SCALE_OFF 6          /* 1 */

/* What the forward pass writes to dropped units. */
typedef uint32_t dropblock_fill;

#define DROPBLOCK_FILL_DEFAULT 0
#define DROPBLOCK_FILL_ZERO 1
#define DROPBLOCK_FILL_NOISE 2 /* Gaussian, of mean 0 and deviation 1, drawn from the key */

typedef uint32_t dropblock_block_kind;

#define DROPBLOCK_BLOCK_UNIFORM 0  /* `uniform` along every axis */
#define DROPBLOCK_BLOCK_HW 1       /* `height` x `width`, for 2-D maps */
#define DROPBLOCK_BLOCK_DHW 2      /* `depth` x `height` x `width`, for 3-D maps */
#define DROPBLOCK_BLOCK_RELATIVE 3 /* `fraction` of the map along every axis, at least 1 */

/* A block size, at least 1 along every axis. One that is larger than the map is clamped to the map,
 * axis by axis. */
typedef struct dropblock_block {
    dropblock_block_kind kind;
    uint32_t reserved; /* 0 */
    double fraction;
    size_t uniform;
    size_t depth;
    size_t height;
    size_t width;
} dropblock_block;

/* The options of a layer: dropblock_options_init sets them, then change what you like. All zero but
 * for `size`, `drop_prob` and `block` is what it sets. */
typedef struct dropblock_options {
    uint32_t size; /* sizeof(dropblock_options), so that the struct can grow at its end */
    dropblock_preset preset;
    dropblock_mode mode;
    dropblock_region region;
    dropblock_alignment alignment;
    dropblock_sharing sharing;
    dropblock_scale scale;
    dropblock_fill fill;
    dropblock_backend backend;
    uint32_t reserved; /* 0 */
    double drop_prob;  /* in [0, 1], the paper's 1 - keep_prob */
    dropblock_gamma gamma;
    dropblock_block block;
} dropblock_options;

/* Sets the paper's options: Eq. 1, centres in the valid region, a mask for each map, one scale for
 * the tensor. `size` is sizeof *options; `block_size`, at least 1, holds along every axis;
 * `drop_prob` is in [0, 1]. Refuses other values, and a size of no version. */
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

/* The shape of a tensor, and the order of its axes. Tensors that lie otherwise are views: see
 * dropblock_tensor. */
typedef struct dropblock_shape {
    uint32_t rank; /* axes of the map: 1, 2 or 3 */
    dropblock_layout layout;
    size_t samples;
    size_t channels;
    size_t depth;  /* 1 below rank 3 */
    size_t height; /* 1 below rank 2 */
    size_t width;  /* the length at rank 1 */
} dropblock_shape;

/* Sets a shape. `map` holds the sizes of `rank` axes, 1 to 3, the fastest one last. Refuses other
 * ranks and unknown layouts; dropblock_plan_init refuses shapes that are too large. */
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

/* Makes a plan in `memory`, of `memory_size` bytes, and sets *result to it. Takes about 5
 * microseconds, longer with DROPBLOCK_GAMMA_EXACT and deep or high blocks. Refuses options and
 * shapes that cannot be: DROP_PROB, GAMMA, GAMMA_SCALE, GAMMA_VALUE, BLOCK_SIZE, BLOCK_FRACTION,
 * RANK, AXIS (above 2^31), TOO_LARGE, BACKEND, VALUE, STRUCT_SIZE, NEWER; and MEMORY. */
dropblock_status dropblock_plan_init(void *memory, size_t memory_size,
                                     const dropblock_options *options,
                                     const dropblock_shape *shape, dropblock_plan **result,
                                     dropblock_error *error);

/* Makes a plan of the same layer for another number of samples, as the last batch of an epoch has,
 * in other memory. Refuses TOO_LARGE, MEMORY. */
dropblock_status dropblock_plan_with_samples(const dropblock_plan *plan, size_t samples,
                                             void *memory, size_t memory_size,
                                             dropblock_plan **result, dropblock_error *error);

/* DROPBLOCK_OK for a plan. The memory must have 16 bytes at least. */
dropblock_status dropblock_plan_check(const dropblock_plan *plan, dropblock_error *error);

/* Questions. For what is no plan the answer is 0 or NaN. */

/* Elements of the tensor: the length of a dense buffer. */
size_t dropblock_plan_elements(const dropblock_plan *plan);
/* Units of the mask: fewer than elements if maps share it. */
size_t dropblock_plan_units(const dropblock_plan *plan);
/* 64-bit words of a mask: units / 64, rounded up. */
size_t dropblock_plan_mask_words(const dropblock_plan *plan);
/* Parts of the mask that have a scale of their own: 1, its samples, or its maps. */
size_t dropblock_plan_groups(const dropblock_plan *plan);
/* Gamma as it is really used, in [0, 1]. */
double dropblock_plan_gamma(const dropblock_plan *plan);
/* The exact expected fraction of dropped units, in [0, 1]. This and DROPBLOCK_GAMMA_EXACT take time
 * that grows with depth x height of the block: microseconds for those of networks. */
double dropblock_plan_expected_dropped(const dropblock_plan *plan);
dropblock_backend dropblock_plan_backend(const dropblock_plan *plan);

/* Names one mask among all that a training run draws: the same key gives the same mask. Only a
 * first sample can be too large: then positions of the whole batch have no number below 2^64. */
typedef struct dropblock_key {
    uint64_t seed;
    uint64_t step;         /* each training step draws new masks */
    uint64_t layer;        /* layers of the same shape draw different masks */
    uint64_t first_sample; /* index in the whole batch of the tensor's first sample */
} dropblock_key;

/* How many units of a mask, or of a scale group, are dropped. */
typedef struct dropblock_drop_count {
    uint64_t dropped; /* at most `total` */
    uint64_t total;
} dropblock_drop_count;

/* The initialiser of a count that is not known. */
#define DROPBLOCK_NO_COUNT {1, 0}

/* A key and the count of its mask: all that a backward pass needs of the forward pass. For a shard
 * of a batch the count is the sum over all shards. More dropped units than units mean that there
 * is no count: then it is counted where the scale needs it. */
typedef struct dropblock_drawn {
    dropblock_key key;
    dropblock_drop_count count;
} dropblock_drawn;

/* The scale of kept units in a group with this count; f16 and bf16 have that of f32. 1 with
 * DROPBLOCK_SCALE_PER_POSITION. */
dropblock_status dropblock_plan_scale_f32(const dropblock_plan *plan,
                                          const dropblock_drop_count *count, float *result,
                                          dropblock_error *error);
dropblock_status dropblock_plan_scale_f64(const dropblock_plan *plan,
                                          const dropblock_drop_count *count, double *result,
                                          dropblock_error *error);

/* The scale of DROPBLOCK_SCALE_PER_POSITION at a position of the map, counted row by row. Refuses
 * POSITION outside the map. */
dropblock_status dropblock_plan_position_scale_f32(const dropblock_plan *plan, size_t position,
                                                   float *result, dropblock_error *error);
dropblock_status dropblock_plan_position_scale_f64(const dropblock_plan *plan, size_t position,
                                                   double *result, dropblock_error *error);

/* ---- Tensors ---- */

/* The type of the elements. */
typedef uint32_t dropblock_type;

#define DROPBLOCK_TYPE_F32 1
#define DROPBLOCK_TYPE_F64 2
#define DROPBLOCK_TYPE_F16 3    /* IEEE binary16, as uint16_t; scaled in f32 */
#define DROPBLOCK_TYPE_BF16 4   /* bfloat16, as uint16_t; scaled in f32 */
#define DROPBLOCK_TYPE_BITS8 5  /* any type of so many bits, only to drop without scaling */
#define DROPBLOCK_TYPE_BITS16 6
#define DROPBLOCK_TYPE_BITS32 7
#define DROPBLOCK_TYPE_BITS64 8

/* A tensor of the plan's shape in a buffer of the caller's. Without strides it is dense: it lies as
 * the shape says, `len` is dropblock_plan_elements() and `first` is 0. With strides it is a view: a
 * crop, padded rows, a slice of the channels, a flipped axis, any order of axes. Elements that are
 * not part of it are neither read nor written. */
typedef struct dropblock_tensor {
    dropblock_type type;
    uint32_t reserved; /* 0 */
    void *data;        /* aligned for the type; not written to if the tensor is only read */
    size_t len;        /* of the whole buffer */
    size_t first;      /* the element of the first unit */
    /* Null, or five distances in elements: of samples, channels, depth, height, width. They may be
     * negative, and 0 in a tensor that is only read, which then repeats. What is given for an axis
     * of size 1 or a missing one does not matter. */
    const ptrdiff_t *strides;
} dropblock_tensor;

/* ---- Passes without a mask buffer ----
 *
 * The mask is drawn in tiles on the stack. `x` is read and `y` written, both of the plan's shape
 * and of the same type, F32 to BF16. If they have the same data, length, first element and strides
 * the pass is in place; otherwise their buffers must not overlap. A dense `y` that is not in place
 * need not be initialised.
 *
 * Passes refuse tensors that do not fit: LENGTH, VIEW, STRIDE (only of `y`), TOO_LARGE, VALUE and
 * NO_HALF for the type; keys with FIRST_SAMPLE; counts with COUNT, and with SCALE if they are of
 * more than the mask and scales are per sample or per map.
 */

/* Forward pass. Dropped units become 0 or noise, others are multiplied by the scale. Where nothing
 * is dropped or scaled elements are copied bit for bit. *result, unless it is null, is what the
 * backward pass needs: the key and the count; it may be *drawn. */
dropblock_status dropblock_forward(const dropblock_plan *plan, const dropblock_drawn *drawn,
                                   const dropblock_tensor *x, const dropblock_tensor *y,
                                   dropblock_drawn *result, dropblock_error *error);

/* Backward pass from the gradient `x` of the output to the gradient `y` of the input: the same mask
 * and scale, and no noise. */
dropblock_status dropblock_backward(const dropblock_plan *plan, const dropblock_drawn *drawn,
                                    const dropblock_tensor *x, const dropblock_tensor *y,
                                    dropblock_error *error);

/* Drops without scaling: copies *value to dropped units and leaves the others as they are. Elements
 * may have any type, of which only the bits matter; *value is one of them. A quantised tensor takes
 * its zero point. *result as for the forward pass. */
dropblock_status dropblock_drop_only(const dropblock_plan *plan, const dropblock_key *key,
                                     const dropblock_tensor *y, const void *value,
                                     dropblock_drawn *result, dropblock_error *error);

/* Counts the mask of a key, before the first pass: for a shard of a batch, whose scale follows from
 * the sum over all shards, or for a kernel of the caller's. Refuses FIRST_SAMPLE. */
dropblock_status dropblock_count(const dropblock_plan *plan, const dropblock_key *key,
                                 dropblock_drawn *result, dropblock_error *error);

/* ---- Masks ----
 *
 * `words` has dropblock_plan_mask_words() words or more, else LENGTH is the refusal. Words past
 * these are left as they are.
 */

/* A mask that is at hand. It points to its words, which must live as long. No function believes it:
 * words are counted again, and the count is checked against them, so that any values may be set
 * here. */
typedef struct dropblock_mask {
    const uint64_t *words;
    size_t words_len;
    dropblock_drawn drawn; /* its key, all 0 without one, and the count its scale follows from */
    uint32_t has_key;      /* 1 or 0 */
    uint32_t reserved;     /* 0 */
} dropblock_mask;

/* Draws a mask: writes its words, and sets *mask to it. Bits past the last unit become 0. Refuses
 * FIRST_SAMPLE. */
dropblock_status dropblock_draw(const dropblock_plan *plan, const dropblock_key *key,
                                uint64_t *words, size_t words_len, dropblock_mask *mask,
                                dropblock_error *error);

/* Sets *mask to a mask of the caller's own, or one that was drawn before, and counts it. It has no
 * key, which only noise needs. Bits past the last unit do not matter. */
dropblock_status dropblock_mask_from(const dropblock_plan *plan, const uint64_t *words,
                                     size_t words_len, dropblock_mask *mask,
                                     dropblock_error *error);

/* Sets the count from which the scale of the tensor follows: for a shard of a batch, the sum over
 * all shards. Refuses COUNT unless what it adds to the mask's own count is a count, and SCALE if
 * scales are per sample or per map. */
dropblock_status dropblock_mask_with_count(const dropblock_plan *plan, dropblock_mask *mask,
                                           const dropblock_drop_count *count,
                                           dropblock_error *error);

/* Sets the key from which noise is drawn. Refuses FIRST_SAMPLE. */
dropblock_status dropblock_mask_with_key(const dropblock_plan *plan, dropblock_mask *mask,
                                         const dropblock_key *key, dropblock_error *error);

/* The passes with this mask. They refuse what those without a buffer refuse, and the forward pass
 * with noise NO_KEY. */
dropblock_status dropblock_mask_forward(const dropblock_plan *plan, const dropblock_mask *mask,
                                        const dropblock_tensor *x, const dropblock_tensor *y,
                                        dropblock_error *error);
dropblock_status dropblock_mask_backward(const dropblock_plan *plan, const dropblock_mask *mask,
                                         const dropblock_tensor *x, const dropblock_tensor *y,
                                         dropblock_error *error);
dropblock_status dropblock_mask_drop_only(const dropblock_plan *plan, const dropblock_mask *mask,
                                          const dropblock_tensor *y, const void *value,
                                          dropblock_error *error);

/* Counts the dropped units of one scale group, below dropblock_plan_groups(): the whole mask,
 * sample `group` of the mask, or map `group` of the mask, sample by sample. Refuses GROUP. */
dropblock_status dropblock_mask_count_group(const dropblock_plan *plan, const dropblock_mask *mask,
                                            size_t group, dropblock_drop_count *count,
                                            dropblock_error *error);

/* ---- Masks in kernels of your own ---- */

/* Writes `keep_len` words of 64 units each, 1 = kept, from a position on of the map of a sample and
 * channel of the tensor, whichever maps share its mask. Bits past the end of the map are 0. Refuses
 * MAP. */
dropblock_status dropblock_mask_keep_words(const dropblock_plan *plan, const dropblock_mask *mask,
                                           size_t sample, size_t channel, size_t position,
                                           uint64_t *keep, size_t keep_len,
                                           dropblock_error *error);

/* A map of the tensor, or a part of one. */
typedef struct dropblock_map_part {
    size_t sample;
    size_t channel;
    size_t position;      /* the first position of the part, counted row by row */
    size_t len;           /* how many positions: at most 16384 */
    const uint64_t *keep; /* bit i of word j is position 64 j + i of the part, 1 = kept, then 0 */
    size_t keep_len;      /* how many words */
    double scale_f64;     /* of kept units; 1 with DROPBLOCK_SCALE_PER_POSITION */
    float scale_f32;
    uint32_t reserved; /* 0 */
} dropblock_map_part;

/* Is shown a part, which is gone when the function returns. */
typedef void (*dropblock_visit)(void *context, const dropblock_map_part *part);

/* Draws the mask without a buffer and visits all maps of the tensor, in the order of the mask; a
 * map of more than 16384 positions in parts. Without a count the mask is counted first where the
 * scale follows from it. *result as for the forward pass. Refuses FIRST_SAMPLE, COUNT, SCALE. */
dropblock_status dropblock_for_each_map(const dropblock_plan *plan, const dropblock_drawn *drawn,
                                        dropblock_visit visit, void *context,
                                        dropblock_drawn *result, dropblock_error *error);

/* ---- Stages 1 and 2 alone ----
 *
 * `words` as for dropblock_draw. dropblock_draw_centers and dropblock_dilate together draw the
 * mask, of which dropblock_mask_from makes a mask.
 */

/* Draws centres: sets the bit of each block's centre, and *result to their number. Refuses
 * FIRST_SAMPLE. */
dropblock_status dropblock_draw_centers(const dropblock_plan *plan, const dropblock_key *key,
                                        uint64_t *words, size_t words_len, uint64_t *result,
                                        dropblock_error *error);

/* Returns the next 32 random bits of a generator. */
typedef uint32_t (*dropblock_draw_bits)(void *context);

/* Draws centres from a generator of the caller's, in the order of the mask. */
dropblock_status dropblock_draw_centers_from(const dropblock_plan *plan, dropblock_draw_bits draw,
                                             void *context, uint64_t *words, size_t words_len,
                                             uint64_t *result, dropblock_error *error);

/* Expands centres to their blocks, in place, clipped at the border of the map. */
dropblock_status dropblock_dilate(const dropblock_plan *plan, uint64_t *words, size_t words_len,
                                  dropblock_error *error);

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

/* Sets a dilation along all axes by a block of the same size, at least 1, along each. `map` as for
 * dropblock_shape_init. */
dropblock_status dropblock_dilation_init(dropblock_dilation *dilation, const size_t *map,
                                         size_t rank, size_t block_size, dropblock_error *error);

/* The number of 64-bit words that hold the bits of so many maps. Refuses TOO_LARGE. */
dropblock_status dropblock_dilation_words(const dropblock_dilation *dilation, size_t maps,
                                          size_t *result, dropblock_error *error);

/* Dilates bytes, any number of maps one behind the other; in place if both pointers are the same.
 * Both lengths are equal, and those of whole maps, else LENGTH is the refusal. */
dropblock_status dropblock_dilate_bytes(const dropblock_dilation *dilation, const uint8_t *source,
                                        size_t source_len, uint8_t *destination,
                                        size_t destination_len, dropblock_error *error);

/* Dilates bits in place, of so many maps without padding between rows or maps. Refuses LENGTH below
 * dropblock_dilation_words(). */
dropblock_status dropblock_dilate_bits(const dropblock_dilation *dilation, size_t maps,
                                       uint64_t *words, size_t words_len, dropblock_error *error);

/* ---- Schedules ---- */

typedef uint32_t dropblock_course;

#define DROPBLOCK_COURSE_CONSTANT 0 /* always `start` */
#define DROPBLOCK_COURSE_LINEAR 1   /* from `start` to `end` */
#define DROPBLOCK_COURSE_COSINE 2   /* the same, slow at both ends */
#define DROPBLOCK_COURSE_STEPS 3    /* `start`, then from each listed step on its value */
#define DROPBLOCK_COURSE_PAPER 4    /* linearly from 0 to `end`, a drop probability */
#define DROPBLOCK_COURSE_DARKNET 5  /* linearly from 0 to `end`, reached at 0.85 of the total */

/* The most steps that a schedule can list. */
#define DROPBLOCK_SCHEDULE_MAX_STEPS 32

typedef struct dropblock_step {
    uint64_t step;
    double value;
} dropblock_step;

/* A drop probability, block size or factor of gamma as a function of the step. Values lie in
 * [0, 2^64], drop probabilities of DROPBLOCK_COURSE_PAPER in [0, 1]; what a course does not need is
 * ignored. */
typedef struct dropblock_schedule {
    dropblock_course course;
    uint32_t reserved; /* 0 */
    double start;
    double end;
    uint64_t held;               /* for so many steps more the start value holds */
    const dropblock_step *steps; /* rising from at least 1; only for DROPBLOCK_COURSE_STEPS */
    size_t steps_len;            /* at most DROPBLOCK_SCHEDULE_MAX_STEPS */
} dropblock_schedule;

/* Sets a schedule that is not held and has no list. This and the next refuse SCHEDULE_VALUE,
 * SCHEDULE_STEP, SCHEDULE_STEPS and, for DROPBLOCK_COURSE_PAPER, DROP_PROB. */
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
