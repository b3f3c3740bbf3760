/* The same as passes.c for all that makes a plan, or needs none. */

#include <math.h>

#include "layer.h"

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
    REFUSED(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_RESULT,
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
        memset(&garbage, i == 0 ? 0 : 0x9c, sizeof garbage);
        if (i >= 2)
            memcpy(&garbage, l.plan, i == 2 ? 8 : size);
        if (i == 3)
            garbage.words[1] ^= 1;
        no_plan = (const dropblock_plan *)(const void *)&garbage;
        REFUSED(DROPBLOCK_STATUS_NOT_A_PLAN, DROPBLOCK_ARGUMENT_PLAN,
                dropblock_plan_check(no_plan, &error));
        REFUSED(DROPBLOCK_STATUS_NOT_A_PLAN, DROPBLOCK_ARGUMENT_PLAN,
                dropblock_forward(no_plan, &l.drawn, &l.x, &l.y, &l.drawn, &error));
        CHECK(dropblock_plan_elements(no_plan) == 0 && dropblock_plan_mask_words(no_plan) == 0);
        CHECK(dropblock_plan_units(no_plan) == 0);
        CHECK(dropblock_plan_groups(no_plan) == 0 && dropblock_plan_backend(no_plan) == 0);
        CHECK(isnan(dropblock_plan_gamma(no_plan)));
        CHECK(isnan(dropblock_plan_expected_dropped(no_plan)));
    }
    CHECK(dropblock_plan_elements(NULL) == 0 && isnan(dropblock_plan_gamma(NULL)));

    /* A copy is a plan. */
    memcpy(&garbage, l.plan, size);
    no_plan = (const dropblock_plan *)(const void *)&garbage;
    OK(dropblock_plan_check(no_plan, &error));
    CHECK(dropblock_plan_elements(no_plan) == LEN && dropblock_plan_mask_words(no_plan) == WORDS);
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
    BAD_NUMBER(DROPBLOCK_ARGUMENT_GAMMA, gamma.kind, DROPBLOCK_GAMMA_RAW);
    BAD_NUMBER(DROPBLOCK_ARGUMENT_HAS_VALUE, gamma.has_value, 1);
    BAD_NUMBER(DROPBLOCK_ARGUMENT_REGION, region, DROPBLOCK_REGION_FULL);
    BAD_NUMBER(DROPBLOCK_ARGUMENT_ALIGNMENT, alignment, DROPBLOCK_ALIGNMENT_AFTER);
    BAD_NUMBER(DROPBLOCK_ARGUMENT_SHARING, sharing, DROPBLOCK_SHARING_OVER_ALL);
    BAD_NUMBER(DROPBLOCK_ARGUMENT_SCALE, scale, DROPBLOCK_SCALE_OFF);
    BAD_NUMBER(DROPBLOCK_ARGUMENT_FILL, fill, DROPBLOCK_FILL_NOISE);
    BAD_NUMBER(DROPBLOCK_ARGUMENT_BACKEND, backend, DROPBLOCK_BACKEND_AVX512);
    BAD_NUMBER(DROPBLOCK_ARGUMENT_BLOCK, block.kind, DROPBLOCK_BLOCK_RELATIVE);
    BAD_NUMBER(DROPBLOCK_ARGUMENT_RESERVED, block.reserved, 0);
    BAD_NUMBER(DROPBLOCK_ARGUMENT_RESERVED, reserved, 0);
    BAD(DROPBLOCK_STATUS_DROP_PROB, 0, drop_prob, NAN);
    BAD(DROPBLOCK_STATUS_DROP_PROB, 0, drop_prob, -0.1);
    BAD(DROPBLOCK_STATUS_BLOCK_SIZE, 0, block.uniform, 0);
    BAD(DROPBLOCK_STATUS_STRUCT_SIZE, DROPBLOCK_ARGUMENT_OPTIONS, size, 0);
    BAD(DROPBLOCK_STATUS_STRUCT_SIZE, DROPBLOCK_ARGUMENT_OPTIONS, size, sizeof bad - 1);
    BAD(DROPBLOCK_STATUS_NEWER, DROPBLOCK_ARGUMENT_OPTIONS, size, UINT32_MAX);
    /* A gamma that needs a value, and values that would be ignored. */
    BAD(DROPBLOCK_STATUS_GAMMA_VALUE, DROPBLOCK_ARGUMENT_GAMMA, gamma.kind, DROPBLOCK_GAMMA_RAW);
    BAD(DROPBLOCK_STATUS_GAMMA_VALUE, DROPBLOCK_ARGUMENT_GAMMA, gamma.value, 0.5);
    BAD(DROPBLOCK_STATUS_GAMMA_VALUE, DROPBLOCK_ARGUMENT_GAMMA, gamma.has_value, 1);
    bad = l.options;
    bad.gamma.kind = DROPBLOCK_GAMMA_RAW;
    bad.gamma.has_value = 1;
    OK(PLAN(&bad, &l.shape));
    CHECK(dropblock_plan_gamma(plan) == 0);
    bad.gamma.value = 1.5;
    REFUSED(DROPBLOCK_STATUS_GAMMA, 0, PLAN(&bad, &l.shape));
    CHECK(error.value == 1.5);
    bad.gamma.kind = DROPBLOCK_GAMMA_PAPER;
    bad.gamma.value = -1;
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
    REFUSED(DROPBLOCK_STATUS_AXIS, 0, PLAN(&l.options, &shape));
    CHECK(error.given[1] == 2);
    OK(dropblock_shape_nchw(&shape, SIZE_MAX, SIZE_MAX, 9, 11));
    REFUSED(DROPBLOCK_STATUS_TOO_LARGE, 0, PLAN(&l.options, &shape));
    shape = l.shape;
    shape.depth = 2;
    REFUSED(DROPBLOCK_STATUS_VALUE, DROPBLOCK_ARGUMENT_MAP_RANK, PLAN(&l.options, &shape));
    shape.rank = 4;
    REFUSED(DROPBLOCK_STATUS_VALUE, DROPBLOCK_ARGUMENT_MAP_RANK, PLAN(&l.options, &shape));
    shape = l.shape;
    shape.layout = 2;
    REFUSED(DROPBLOCK_STATUS_VALUE, DROPBLOCK_ARGUMENT_LAYOUT, PLAN(&l.options, &shape));
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
    REFUSED(DROPBLOCK_STATUS_LENGTH, DROPBLOCK_ARGUMENT_WORDS,
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
    schedule.steps_len = DROPBLOCK_SCHEDULE_MAX_STEPS + 1;
    REFUSED(DROPBLOCK_STATUS_SCHEDULE_STEPS, 0,
            dropblock_schedule_at(&schedule, 0, 1000, &value, &error));
    schedule.steps_len = SIZE_MAX;
    REFUSED(DROPBLOCK_STATUS_SCHEDULE_STEPS, 0,
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
    CHECK(named == 37);
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
    check_plans();
    check_options();
    check_dilation();
    check_schedules();
    check_messages();
    return finish("hostile");
}
