/* Calls that must be refused, each with its status, and nothing written; and what is allowed
 * though it looks odd. */

#include <math.h>

#include "check.h"

enum { LEN = 2 * 3 * 9 * 11, WORDS = (LEN + 63) / 64 };

static dropblock_error error;

/* The call is refused so, and says of which argument. */
#define REFUSED(status_, argument_, call)                                                          \
    do {                                                                                           \
        memset(&error, 0, sizeof error);                                                           \
        CHECK((call) == (status_));                                                                \
        CHECK(error.status == (status_));                                                          \
        CHECK(error.argument == (argument_));                                                      \
        check_message();                                                                           \
    } while (0)

/* The message fits or is cut, and always ends. */
static void check_message(void) {
    char text[200], cut[8];
    size_t len = dropblock_error_message(&error, text, sizeof text);
    CHECK(len > 0 && len < sizeof text && strlen(text) == len);
    CHECK(dropblock_error_message(&error, cut, sizeof cut) == len);
    CHECK(strlen(cut) == (len < 7 ? len : 7) && !strncmp(text, cut, strlen(cut)));
    CHECK(dropblock_error_message(&error, NULL, 0) == len);
}

struct layer {
    dropblock_options options;
    dropblock_shape shape;
    dropblock_plan *plan;
    dropblock_key key;
    dropblock_dropped dropped;
    uint64_t *mask;
    float *x, *y;
};

static struct layer new_layer(void) {
    struct layer layer;
    size_t i;
    memset(&layer.key, 0, sizeof layer.key);
    OK(dropblock_options_init(&layer.options, sizeof layer.options, 3, 0.2, NULL));
    OK(dropblock_shape_nchw(&layer.shape, 2, 3, 9, 11));
    layer.plan = new_plan(&layer.options, &layer.shape);
    layer.mask = (uint64_t *)exactly(WORDS * sizeof(uint64_t), 0);
    OK(dropblock_mask(layer.plan, &layer.key, layer.mask, WORDS, &layer.dropped, NULL));
    layer.x = (float *)exactly(LEN * sizeof(float), 0);
    layer.y = (float *)exactly(LEN * sizeof(float), 0);
    for (i = 0; i < LEN; i++)
        layer.x[i] = layer.y[i] = (float)i + 1;
    return layer;
}

static void free_layer(struct layer *layer) {
    free(layer->plan);
    free(layer->mask);
    free(layer->x);
    free(layer->y);
}

#define F32 DROPBLOCK_TYPE_F32

static void check_passes(void) {
    struct layer l = new_layer(), before;
    const uint64_t filler = 0;
    void *mask = copy_of(l.mask, WORDS * sizeof(uint64_t));
    void *tensor = copy_of(l.x, LEN * sizeof(float));
    float *misaligned = (float *)(void *)((char *)l.y + 1);
    uint64_t *plan_words = (uint64_t *)(void *)l.plan;
    before = l;

    /* Null. */
    REFUSED(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_PLAN,
            dropblock_forward(NULL, &l.key, F32, l.x, LEN, l.y, LEN, NULL, 0, &l.dropped, &error));
    REFUSED(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_KEY,
            dropblock_forward(l.plan, NULL, F32, l.x, LEN, l.y, LEN, NULL, 0, &l.dropped, &error));
    REFUSED(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_X,
            dropblock_forward(l.plan, &l.key, F32, NULL, LEN, l.y, LEN, NULL, 0, &l.dropped,
                              &error));
    REFUSED(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_Y,
            dropblock_forward(l.plan, &l.key, F32, l.x, LEN, NULL, LEN, NULL, 0, &l.dropped,
                              &error));
    REFUSED(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_MASK,
            dropblock_forward(l.plan, &l.key, F32, l.x, LEN, l.y, LEN, NULL, WORDS, &l.dropped,
                              &error));
    REFUSED(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_DROPPED,
            dropblock_forward(l.plan, &l.key, F32, l.x, LEN, l.y, LEN, NULL, 0, NULL, &error));
    REFUSED(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_DROPPED,
            dropblock_backward(l.plan, &l.key, NULL, F32, l.x, LEN, l.y, LEN, &error));
    REFUSED(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_FILLER,
            dropblock_drop_only(l.plan, &l.key, 4, NULL, l.y, LEN, NULL, 0, &l.dropped, &error));
    REFUSED(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_MASK,
            dropblock_apply(l.plan, NULL, WORDS, &l.dropped, F32, l.x, LEN, l.y, LEN, &error));

    /* Lengths: no element more, no element less, and none that cannot be. */
    REFUSED(DROPBLOCK_STATUS_LENGTH, DROPBLOCK_ARGUMENT_X,
            dropblock_forward(l.plan, &l.key, F32, l.x, LEN - 1, l.y, LEN, NULL, 0, &l.dropped,
                              &error));
    CHECK(error.needed[0] == LEN && error.given[0] == LEN - 1);
    REFUSED(DROPBLOCK_STATUS_LENGTH, DROPBLOCK_ARGUMENT_Y,
            dropblock_forward(l.plan, &l.key, F32, l.x, LEN, l.y, SIZE_MAX, NULL, 0, &l.dropped,
                              &error));
    REFUSED(DROPBLOCK_STATUS_LENGTH, DROPBLOCK_ARGUMENT_MASK,
            dropblock_forward(l.plan, &l.key, F32, l.x, LEN, l.y, LEN, l.mask, WORDS - 1,
                              &l.dropped, &error));
    REFUSED(DROPBLOCK_STATUS_LENGTH, DROPBLOCK_ARGUMENT_MASK,
            dropblock_fill_dropped(l.plan, l.mask, 0, 4, &filler, l.y, LEN, &error));
    /* A mask may be longer: the rest is not touched. */
    OK(dropblock_mask(l.plan, &l.key, l.mask, SIZE_MAX, &l.dropped, &error));

    /* Alignment. */
    REFUSED(DROPBLOCK_STATUS_MISALIGNED, DROPBLOCK_ARGUMENT_Y,
            dropblock_forward(l.plan, &l.key, F32, l.x, LEN, misaligned, LEN, NULL, 0, &l.dropped,
                              &error));
    CHECK(error.needed[0] == 4);
    REFUSED(DROPBLOCK_STATUS_MISALIGNED, DROPBLOCK_ARGUMENT_X,
            dropblock_backward(l.plan, &l.key, &l.dropped, F32, misaligned, LEN, l.y, LEN,
                               &error));
    REFUSED(DROPBLOCK_STATUS_MISALIGNED, DROPBLOCK_ARGUMENT_MASK,
            dropblock_count(l.plan, (const uint64_t *)(const void *)((char *)l.mask + 4), WORDS,
                            &l.dropped, &error));
    REFUSED(DROPBLOCK_STATUS_MISALIGNED, DROPBLOCK_ARGUMENT_PLAN,
            dropblock_plan_check((const dropblock_plan *)(const void *)((char *)l.plan + 1),
                                 &error));
    CHECK(dropblock_count(l.plan, l.mask, WORDS, &l.dropped,
                          (dropblock_error *)(void *)((char *)&error + 1)) ==
          DROPBLOCK_STATUS_MISALIGNED);

    /* Overlap: of what is written with anything. */
    REFUSED(DROPBLOCK_STATUS_OVERLAP, DROPBLOCK_ARGUMENT_Y,
            dropblock_forward(l.plan, &l.key, F32, l.x, LEN, l.x + 1, LEN, NULL, 0, &l.dropped,
                              &error));
    CHECK(error.given[0] == DROPBLOCK_ARGUMENT_X);
    REFUSED(DROPBLOCK_STATUS_OVERLAP, DROPBLOCK_ARGUMENT_Y,
            dropblock_backward(l.plan, &l.key, &l.dropped, F32, l.x + 1, LEN, l.x, LEN, &error));
    REFUSED(DROPBLOCK_STATUS_OVERLAP, DROPBLOCK_ARGUMENT_Y,
            dropblock_forward(l.plan, &l.key, F32, l.x, LEN, l.x, LEN, (uint64_t *)(void *)l.x,
                              WORDS, &l.dropped, &error));
    REFUSED(DROPBLOCK_STATUS_OVERLAP, DROPBLOCK_ARGUMENT_MASK,
            dropblock_forward(l.plan, &l.key, F32, l.x, LEN, l.y, LEN, (uint64_t *)(void *)l.x,
                              WORDS, &l.dropped, &error));
    REFUSED(DROPBLOCK_STATUS_OVERLAP, DROPBLOCK_ARGUMENT_MASK,
            dropblock_mask(l.plan, &l.key, plan_words, WORDS, &l.dropped, &error));
    REFUSED(DROPBLOCK_STATUS_OVERLAP, DROPBLOCK_ARGUMENT_Y,
            dropblock_fill_dropped(l.plan, l.mask, WORDS, 1, &filler, l.mask, LEN, &error));
    REFUSED(DROPBLOCK_STATUS_OVERLAP, DROPBLOCK_ARGUMENT_MASK,
            dropblock_mask(l.plan, &l.key, l.mask, WORDS,
                           (dropblock_dropped *)(void *)(l.mask + WORDS - 1), &error));
    REFUSED(DROPBLOCK_STATUS_OVERLAP, DROPBLOCK_ARGUMENT_KEEP,
            dropblock_keep_words(l.plan, l.mask, WORDS, 0, 0, 0, l.mask, 1, &error));
    REFUSED(DROPBLOCK_STATUS_OVERLAP, DROPBLOCK_ARGUMENT_DROPPED,
            dropblock_count(l.plan, l.mask, WORDS, (dropblock_dropped *)(void *)l.plan, &error));

    /* Numbers that stand for nothing. */
    REFUSED(DROPBLOCK_STATUS_VALUE, DROPBLOCK_ARGUMENT_TYPE,
            dropblock_forward(l.plan, &l.key, 0, l.x, LEN, l.y, LEN, NULL, 0, &l.dropped, &error));
    REFUSED(DROPBLOCK_STATUS_VALUE, DROPBLOCK_ARGUMENT_TYPE,
            dropblock_forward(l.plan, &l.key, UINT32_MAX, l.x, LEN, l.y, LEN, NULL, 0, &l.dropped,
                              &error));
    REFUSED(DROPBLOCK_STATUS_VALUE, DROPBLOCK_ARGUMENT_ELEMENT_SIZE,
            dropblock_drop_only(l.plan, &l.key, 3, &filler, l.y, LEN, NULL, 0, &l.dropped,
                                &error));
    REFUSED(DROPBLOCK_STATUS_VALUE, DROPBLOCK_ARGUMENT_ELEMENT_SIZE,
            dropblock_drop_only(l.plan, &l.key, SIZE_MAX, &filler, l.y, LEN, NULL, 0, &l.dropped,
                                &error));

    /* What belongs to something else. */
    {
        const dropblock_dropped other = {1, LEN + 1}, more = {LEN + 1, LEN};
        REFUSED(DROPBLOCK_STATUS_OTHER_PLAN, 0,
                dropblock_backward(l.plan, &l.key, &other, F32, l.x, LEN, l.y, LEN, &error));
        REFUSED(DROPBLOCK_STATUS_OTHER_PLAN, 0,
                dropblock_apply(l.plan, l.mask, WORDS, &more, F32, l.x, LEN, l.y, LEN, &error));
    }
    REFUSED(DROPBLOCK_STATUS_GROUP, 0,
            dropblock_count_group(l.plan, l.mask, WORDS, 1, &l.dropped, &error));
    {
        uint64_t keep[2] = {7, 7};
        float scale = 7;
        REFUSED(DROPBLOCK_STATUS_MAP, 0,
                dropblock_keep_words(l.plan, l.mask, WORDS, 2, 0, 0, keep, 2, &error));
        REFUSED(DROPBLOCK_STATUS_POSITION, 0,
                dropblock_plan_position_scale_f32(l.plan, 99, &scale, &error));
        CHECK(keep[0] == 7 && keep[1] == 7 && scale == 7);
        OK(dropblock_keep_words(l.plan, l.mask, WORDS, 1, 2, SIZE_MAX, keep, 2, &error));
        CHECK(keep[0] == 0 && keep[1] == 0);
        OK(dropblock_keep_words(l.plan, l.mask, WORDS, 1, 2, 0, NULL, 0, &error));
    }
    {
        dropblock_key late = {0, 0, 0, UINT64_MAX};
        REFUSED(DROPBLOCK_STATUS_FIRST_SAMPLE, 0,
                dropblock_mask(l.plan, &late, l.mask, WORDS, &l.dropped, &error));
    }
    REFUSED(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_CALLBACK,
            dropblock_for_each_plane(l.plan, &l.key, NULL, NULL, &l.dropped, &error));
    {
        uint64_t count;
        REFUSED(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_CALLBACK,
                dropblock_centers_from_draws(l.plan, NULL, NULL, l.mask, WORDS, &count, &error));
    }

    /* Nothing has been written by any of that. */
    CHECK(!memcmp(mask, l.mask, WORDS * sizeof(uint64_t)));
    CHECK(!memcmp(tensor, l.x, LEN * sizeof(float)));
    CHECK(!memcmp(tensor, l.y, LEN * sizeof(float)));
    CHECK(!memcmp(&before.dropped, &l.dropped, sizeof l.dropped));
    /* Of the plan only what it does can be compared, as it has gaps. */
    OK(dropblock_mask(l.plan, &l.key, l.mask, WORDS, &l.dropped, &error));
    CHECK(!memcmp(mask, l.mask, WORDS * sizeof(uint64_t)));
    CHECK(!memcmp(&before.dropped, &l.dropped, sizeof l.dropped));
    free(mask);
    free(tensor);
    free_layer(&l);
}

static void check_plans(void) {
    struct layer l = new_layer();
    dropblock_plan_memory memory, garbage;
    dropblock_plan *plan = NULL;
    size_t size = dropblock_plan_size(), i;
    const dropblock_plan *no_plan;

    CHECK(size <= DROPBLOCK_PLAN_SIZE && size <= sizeof memory);
    CHECK(dropblock_plan_align() <= DROPBLOCK_PLAN_ALIGN);
    memset(&memory, 0x5a, sizeof memory);
    REFUSED(DROPBLOCK_STATUS_MEMORY, DROPBLOCK_ARGUMENT_MEMORY,
            dropblock_plan_init(&memory, size - 1, &l.options, &l.shape, &plan, &error));
    CHECK(error.needed[0] == size && error.given[0] == size - 1);
    REFUSED(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_MEMORY,
            dropblock_plan_init(NULL, size, &l.options, &l.shape, &plan, &error));
    REFUSED(DROPBLOCK_STATUS_MISALIGNED, DROPBLOCK_ARGUMENT_MEMORY,
            dropblock_plan_init((char *)&memory + 4, size, &l.options, &l.shape, &plan, &error));
    REFUSED(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_PLAN,
            dropblock_plan_init(&memory, size, &l.options, &l.shape, NULL, &error));
    REFUSED(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_OPTIONS,
            dropblock_plan_init(&memory, size, NULL, &l.shape, &plan, &error));
    REFUSED(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_SHAPE,
            dropblock_plan_init(&memory, size, &l.options, NULL, &plan, &error));
    REFUSED(DROPBLOCK_STATUS_OVERLAP, DROPBLOCK_ARGUMENT_MEMORY,
            dropblock_plan_init(&memory, size, &l.options, &l.shape,
                                (dropblock_plan **)(void *)&memory, &error));
    CHECK(!plan);
    for (i = 0; i < sizeof memory; i++)
        CHECK(((unsigned char *)&memory)[i] == 0x5a);

    /* Memory that is no plan: zeros, noise, the first half of the magic words, one bit off. */
    for (i = 0; i < 4; i++) {
        dropblock_dropped dropped;
        memset(&garbage, i == 0 ? 0 : 0x9c, sizeof garbage);
        if (i >= 2)
            memcpy(&garbage, l.plan, i == 2 ? 8 : size);
        if (i == 3)
            garbage.words[1] ^= 1;
        no_plan = (const dropblock_plan *)(const void *)&garbage;
        REFUSED(DROPBLOCK_STATUS_NOT_A_PLAN, DROPBLOCK_ARGUMENT_PLAN,
                dropblock_plan_check(no_plan, &error));
        REFUSED(DROPBLOCK_STATUS_NOT_A_PLAN, DROPBLOCK_ARGUMENT_PLAN,
                dropblock_forward(no_plan, &l.key, F32, l.x, LEN, l.y, LEN, NULL, 0, &dropped,
                                  &error));
        CHECK(dropblock_plan_len(no_plan) == 0 && dropblock_plan_mask_len(no_plan) == 0);
        CHECK(dropblock_plan_extent(no_plan) == 0 && dropblock_plan_units(no_plan) == 0);
        CHECK(dropblock_plan_groups(no_plan) == 0 && dropblock_plan_backend(no_plan) == 0);
        CHECK(isnan(dropblock_plan_gamma(no_plan)));
        CHECK(isnan(dropblock_plan_expected_dropped(no_plan)));
    }
    CHECK(dropblock_plan_len(NULL) == 0 && isnan(dropblock_plan_gamma(NULL)));

    /* A copy is a plan. */
    memcpy(&garbage, l.plan, size);
    no_plan = (const dropblock_plan *)(const void *)&garbage;
    OK(dropblock_plan_check(no_plan, &error));
    CHECK(dropblock_plan_len(no_plan) == LEN && dropblock_plan_mask_len(no_plan) == WORDS);
    free_layer(&l);
}

static void check_options(void) {
    struct layer l = new_layer();
    dropblock_plan_memory memory;
    dropblock_plan *plan = NULL;
    dropblock_options bad, *larger;
    dropblock_shape shape;
    size_t i;

#define PLAN(options, shape)                                                                       \
    dropblock_plan_init(&memory, sizeof memory, options, shape, &plan, &error)
#define BAD(status, argument, field, value)                                                        \
    do {                                                                                           \
        bad = l.options;                                                                           \
        bad.field = value;                                                                         \
        REFUSED(status, argument, PLAN(&bad, &l.shape));                                           \
    } while (0)
    /* Of every enumeration: one above the last, and the last number of all. */
#define BAD_NUMBER(argument, field, last)                                                          \
    do {                                                                                           \
        BAD(DROPBLOCK_STATUS_VALUE, argument, field, (last) + 1);                                  \
        BAD(DROPBLOCK_STATUS_VALUE, argument, field, UINT32_MAX);                                  \
        CHECK(error.given[0] == UINT32_MAX);                                                       \
    } while (0)
    BAD_NUMBER(DROPBLOCK_ARGUMENT_PRESET, preset, DROPBLOCK_PRESET_DRAGON);
    BAD_NUMBER(DROPBLOCK_ARGUMENT_MODE, mode, DROPBLOCK_MODE_INFERENCE);
    BAD_NUMBER(DROPBLOCK_ARGUMENT_GAMMA, gamma, DROPBLOCK_GAMMA_RAW);
    BAD_NUMBER(DROPBLOCK_ARGUMENT_REGION, region, DROPBLOCK_REGION_FULL);
    BAD_NUMBER(DROPBLOCK_ARGUMENT_ALIGNMENT, alignment, DROPBLOCK_ALIGNMENT_AFTER);
    BAD_NUMBER(DROPBLOCK_ARGUMENT_SHARING, sharing, DROPBLOCK_SHARING_ALL);
    BAD_NUMBER(DROPBLOCK_ARGUMENT_SCALE, scale, DROPBLOCK_SCALE_PER_POSITION);
    BAD_NUMBER(DROPBLOCK_ARGUMENT_FILL, fill, DROPBLOCK_FILL_NOISE);
    BAD_NUMBER(DROPBLOCK_ARGUMENT_BACKEND, backend, DROPBLOCK_BACKEND_AVX512);
    BAD_NUMBER(DROPBLOCK_ARGUMENT_BLOCK, block.kind, DROPBLOCK_BLOCK_RELATIVE);
    BAD_NUMBER(DROPBLOCK_ARGUMENT_RESERVED, block.reserved, 0);
    BAD(DROPBLOCK_STATUS_DROP_PROB, 0, drop_prob, NAN);
    BAD(DROPBLOCK_STATUS_DROP_PROB, 0, drop_prob, -0.1);
    BAD(DROPBLOCK_STATUS_BLOCK_SIZE, 0, block.uniform, 0);
    BAD(DROPBLOCK_STATUS_STRUCT_SIZE, DROPBLOCK_ARGUMENT_OPTIONS, size, 0);
    BAD(DROPBLOCK_STATUS_STRUCT_SIZE, DROPBLOCK_ARGUMENT_OPTIONS, size, sizeof bad - 1);
    BAD(DROPBLOCK_STATUS_NEWER, DROPBLOCK_ARGUMENT_OPTIONS, size, UINT32_MAX);
    bad = l.options;
    bad.gamma = DROPBLOCK_GAMMA_RAW;
    bad.gamma_value = 1.5;
    REFUSED(DROPBLOCK_STATUS_GAMMA, 0, PLAN(&bad, &l.shape));
    CHECK(error.value == 1.5);
    bad.gamma = DROPBLOCK_GAMMA_PAPER;
    bad.gamma_value = -1;
    REFUSED(DROPBLOCK_STATUS_GAMMA_SCALE, 0, PLAN(&bad, &l.shape));
    bad = l.options;
    bad.block.kind = DROPBLOCK_BLOCK_DHW;
    bad.block.depth = bad.block.height = bad.block.width = 2;
    REFUSED(DROPBLOCK_STATUS_RANK, 0, PLAN(&bad, &l.shape));
    bad.block.kind = DROPBLOCK_BLOCK_RELATIVE;
    bad.block.fraction = INFINITY;
    REFUSED(DROPBLOCK_STATUS_BLOCK_FRACTION, 0, PLAN(&bad, &l.shape));
    for (i = DROPBLOCK_BACKEND_FASTEST; i <= DROPBLOCK_BACKEND_AVX512; i++) {
        bad = l.options;
        bad.backend = (dropblock_backend)i;
        if (dropblock_backend_is_available(bad.backend))
            OK(PLAN(&bad, &l.shape));
        else
            REFUSED(DROPBLOCK_STATUS_BACKEND, 0, PLAN(&bad, &l.shape));
    }
    CHECK(!dropblock_backend_is_available(5) && !dropblock_backend_name(5));

    /* Options of a newer header: taken if what is new is not set. */
    larger = (dropblock_options *)exactly(sizeof *larger + 24, 0xff);
    OK(dropblock_options_init(larger, sizeof *larger + 24, 3, 0.2, &error));
    CHECK(larger->size == sizeof *larger + 24);
    OK(PLAN(larger, &l.shape));
    ((unsigned char *)larger)[sizeof *larger + 23] = 1;
    REFUSED(DROPBLOCK_STATUS_NEWER, DROPBLOCK_ARGUMENT_OPTIONS, PLAN(larger, &l.shape));
    free(larger);
    bad = l.options;
    REFUSED(DROPBLOCK_STATUS_STRUCT_SIZE, DROPBLOCK_ARGUMENT_OPTIONS,
            dropblock_options_init(&bad, sizeof bad - 1, 3, 0.2, &error));
    REFUSED(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_OPTIONS,
            dropblock_options_init(NULL, sizeof bad, 3, 0.2, &error));
    REFUSED(DROPBLOCK_STATUS_DROP_PROB, 0,
            dropblock_options_init(&bad, sizeof bad, 3, 1.2, &error));
    CHECK(!memcmp(&bad, &l.options, sizeof bad));
    /* All zero but for three fields is what the initialiser sets. */
    {
        dropblock_plan *zero = NULL;
        dropblock_plan_memory other;
        memset(&bad, 0, sizeof bad);
        bad.size = sizeof bad;
        bad.drop_prob = 0.2;
        bad.block.uniform = 3;
        OK(dropblock_plan_init(&other, sizeof other, &bad, &l.shape, &zero, &error));
        CHECK(dropblock_plan_gamma(zero) == dropblock_plan_gamma(l.plan));
    }

    /* Shapes. */
    shape = l.shape;
    shape.samples = SIZE_MAX;
    REFUSED(DROPBLOCK_STATUS_TOO_LARGE, 0, PLAN(&l.options, &shape));
    shape.samples = 0;
    shape.width = SIZE_MAX;
    REFUSED(DROPBLOCK_STATUS_TOO_LARGE, 0, PLAN(&l.options, &shape));
    OK(dropblock_shape_nchw(&shape, SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX));
    REFUSED(DROPBLOCK_STATUS_TOO_LARGE, 0, PLAN(&l.options, &shape));
    shape = l.shape;
    shape.strides[3] = 1;
    REFUSED(DROPBLOCK_STATUS_STRIDE, 0, PLAN(&l.options, &shape));
    for (i = 0; i < 5; i++) {
        shape = l.shape;
        shape.strides[i] = SIZE_MAX;
        if (i != 2) /* depth has size 1 */
            CHECK(PLAN(&l.options, &shape) != DROPBLOCK_OK);
    }
    shape = l.shape;
    shape.depth = 2;
    REFUSED(DROPBLOCK_STATUS_VALUE, DROPBLOCK_ARGUMENT_MAP_RANK, PLAN(&l.options, &shape));
    shape.rank = 4;
    REFUSED(DROPBLOCK_STATUS_VALUE, DROPBLOCK_ARGUMENT_MAP_RANK, PLAN(&l.options, &shape));
    shape = l.shape;
    shape.reserved = 1;
    REFUSED(DROPBLOCK_STATUS_VALUE, DROPBLOCK_ARGUMENT_RESERVED, PLAN(&l.options, &shape));
    {
        const size_t map[3] = {3, 4, 5};
        REFUSED(DROPBLOCK_STATUS_VALUE, DROPBLOCK_ARGUMENT_LAYOUT,
                dropblock_shape_init(&shape, 1, 1, map, 3, 2, &error));
        REFUSED(DROPBLOCK_STATUS_VALUE, DROPBLOCK_ARGUMENT_MAP_RANK,
                dropblock_shape_init(&shape, 1, 1, map, 0, 0, &error));
        REFUSED(DROPBLOCK_STATUS_VALUE, DROPBLOCK_ARGUMENT_MAP_RANK,
                dropblock_shape_init(&shape, 1, 1, map, 4, 0, &error));
        REFUSED(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_SHAPE,
                dropblock_shape_init(&shape, 1, 1, NULL, 3, 0, &error));
    }
    CHECK(dropblock_shape_nhwc(NULL, 1, 1, 1, 1) == DROPBLOCK_STATUS_NULL);
    free_layer(&l);
}

/* Nothing to do: null everywhere is fine. */
static void check_empty(void) {
    struct layer l = new_layer();
    dropblock_plan_memory memory;
    dropblock_plan *plan = NULL;
    dropblock_shape shape;
    dropblock_dropped dropped = {7, 7};
    const float filler = 0;
    uint64_t count = 7;

    OK(dropblock_shape_nchw(&shape, 0, 3, 9, 11));
    OK(dropblock_plan_init(&memory, sizeof memory, &l.options, &shape, &plan, &error));
    CHECK(dropblock_plan_extent(plan) == 0 && dropblock_plan_mask_len(plan) == 0);
    OK(dropblock_forward(plan, &l.key, F32, NULL, 0, NULL, 0, NULL, 0, &dropped, &error));
    CHECK(dropped.count == 0 && dropped.of == 0);
    OK(dropblock_backward(plan, &l.key, &dropped, F32, NULL, 0, NULL, 0, &error));
    OK(dropblock_apply(plan, NULL, 0, &dropped, F32, NULL, 0, NULL, 0, &error));
    OK(dropblock_drop_only(plan, &l.key, 4, &filler, NULL, 0, NULL, 0, &dropped, &error));
    OK(dropblock_centers(plan, &l.key, NULL, 0, &count, &error));
    CHECK(count == 0);
    OK(dropblock_dilate(plan, NULL, 0, &error));
    /* No element, and strides of which no product fits. */
    shape.strides[3] = shape.strides[4] = SIZE_MAX;
    OK(dropblock_plan_init(&memory, sizeof memory, &l.options, &shape, &plan, &error));
    free_layer(&l);
}

static void check_dilation(void) {
    const size_t map[2] = {4, 6}, huge[2] = {SIZE_MAX, 3};
    uint8_t bytes[24] = {0}, to[24];
    uint64_t bits[1] = {UINT64_C(1) << 7 | UINT64_C(1) << 23};
    dropblock_dilation dilation, bad;
    size_t words = 7, i;

    bytes[7] = 5;
    bytes[23] = 9;
    OK(dropblock_dilation_init(&dilation, map, 2, 3, &error));
    OK(dropblock_dilate_bytes(&dilation, bytes, 24, to, 24, &error));
    OK(dropblock_dilation_words(&dilation, 1, &words, &error));
    CHECK(words == 1);
    OK(dropblock_dilate_bits(&dilation, 1, bits, 1, &error));
    for (i = 0; i < 24; i++) {
        size_t row = i / 6, column = i % 6;
        int block = row < 3 && column < 3, corner = row >= 2 && column >= 4;
        CHECK(to[i] == (block ? 5 : corner ? 9 : 0));
        CHECK((bits[0] >> i & 1) == (uint64_t)(block || corner));
    }
    /* Rows, then columns, in place. */
    dilation.axes = DROPBLOCK_AXES_ROWS;
    OK(dropblock_dilate_bytes(&dilation, bytes, 24, bytes, 24, &error));
    dilation.axes = DROPBLOCK_AXES_COLS;
    OK(dropblock_dilate_bytes(&dilation, bytes, 24, bytes, 24, &error));
    CHECK(!memcmp(bytes, to, sizeof to));
    OK(dropblock_dilate_bytes(&dilation, NULL, 0, NULL, 0, &error));

    {
        uint8_t maps[30] = {0};
        REFUSED(DROPBLOCK_STATUS_OVERLAP, DROPBLOCK_ARGUMENT_DESTINATION,
                dropblock_dilate_bytes(&dilation, maps, 24, maps + 6, 24, &error));
    }
    bad = dilation;
    bad.axes = 3;
    REFUSED(DROPBLOCK_STATUS_VALUE, DROPBLOCK_ARGUMENT_AXES,
            dropblock_dilate_bits(&bad, 1, bits, 1, &error));
    REFUSED(DROPBLOCK_STATUS_LENGTH, DROPBLOCK_ARGUMENT_SOURCE,
            dropblock_dilate_bytes(&dilation, bytes, 23, to, 24, &error));
    REFUSED(DROPBLOCK_STATUS_LENGTH, DROPBLOCK_ARGUMENT_DESTINATION,
            dropblock_dilate_bytes(&dilation, bytes, 24, to, 0, &error));
    REFUSED(DROPBLOCK_STATUS_LENGTH, DROPBLOCK_ARGUMENT_MASK,
            dropblock_dilate_bits(&dilation, 3, bits, 1, &error));
    REFUSED(DROPBLOCK_STATUS_TOO_LARGE, 0,
            dropblock_dilate_bits(&dilation, SIZE_MAX, bits, 1, &error));
    REFUSED(DROPBLOCK_STATUS_TOO_LARGE, 0,
            dropblock_dilation_init(&bad, huge, 2, 3, &error));
    REFUSED(DROPBLOCK_STATUS_BLOCK_SIZE, 0, dropblock_dilation_init(&bad, map, 2, 0, &error));
    CHECK(!memcmp(bytes, to, sizeof to) && words == 1);
}

static void check_schedules(void) {
    const dropblock_step steps[] = {{400, 5}, {800, 7}}, falling[] = {{400, 5}, {400, 7}};
    dropblock_schedule schedule;
    size_t size = 0;
    double value = 0;

    OK(dropblock_schedule_init(&schedule, DROPBLOCK_COURSE_LINEAR, 0, 0.1, &error));
    schedule.held = 100;
    OK(dropblock_schedule_at(&schedule, 550, 1000, &value, &error));
    CHECK(value == 0.05);
    OK(dropblock_schedule_init(&schedule, DROPBLOCK_COURSE_STEPS, 3, 0, &error));
    schedule.steps = steps;
    schedule.steps_len = 2;
    OK(dropblock_schedule_block_size(&schedule, 550, 1000, &size, &error));
    CHECK(size == 5);
    OK(dropblock_schedule_at(&schedule, 1000, 1000, &value, &error));
    CHECK(value == 7);
    schedule.steps = falling;
    REFUSED(DROPBLOCK_STATUS_SCHEDULE_STEP, 0,
            dropblock_schedule_at(&schedule, 0, 1000, &value, &error));
    schedule.steps = NULL;
    REFUSED(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_STEPS,
            dropblock_schedule_at(&schedule, 0, 1000, &value, &error));
    schedule.steps = steps;
    schedule.steps_len = SIZE_MAX;
    REFUSED(DROPBLOCK_STATUS_ADDRESS, DROPBLOCK_ARGUMENT_STEPS,
            dropblock_schedule_at(&schedule, 0, 1000, &value, &error));
    REFUSED(DROPBLOCK_STATUS_SCHEDULE_VALUE, 0,
            dropblock_schedule_init(&schedule, DROPBLOCK_COURSE_COSINE, -1, 0, &error));
    REFUSED(DROPBLOCK_STATUS_DROP_PROB, 0,
            dropblock_schedule_init(&schedule, DROPBLOCK_COURSE_PAPER, 0, 2, &error));
    REFUSED(DROPBLOCK_STATUS_VALUE, DROPBLOCK_ARGUMENT_COURSE,
            dropblock_schedule_init(&schedule, 6, 0, 0, &error));
    CHECK(value == 7);
}

/* Every status has a message of its own, and every struct of errors some text. */
static void check_messages(void) {
    const char *none = dropblock_status_message(UINT32_MAX);
    unsigned named = 0;
    uint32_t i, j;
    for (i = 0; i < 300; i++)
        named += strcmp(dropblock_status_message(i), none) != 0;
    CHECK(named == 29);
    for (i = 0; i < 300; i++)
        for (j = 0; j < 60; j++) {
            memset(&error, 0xff, sizeof error);
            error.status = i;
            error.argument = j;
            check_message();
        }
    CHECK(dropblock_error_message(NULL, NULL, 0) == 0);
    {
        char text[4] = "abc";
        CHECK(dropblock_error_message(NULL, text, sizeof text) == 0 && text[0] == 0);
    }
}

int main(void) {
    CHECK(dropblock_version() == DROPBLOCK_VERSION);
    CHECK(dropblock_abi_version() == DROPBLOCK_ABI_VERSION);
    CHECK(dropblock_mask_version() == DROPBLOCK_MASK_VERSION);
    check_passes();
    check_plans();
    check_options();
    check_empty();
    check_dilation();
    check_schedules();
    check_messages();
    return finish("hostile");
}
