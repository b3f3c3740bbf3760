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
    dropblock_drawn drawn;
    dropblock_mask mask;
    uint64_t *words;
    float *from, *to;
    dropblock_tensor x, y;
};

static dropblock_tensor tensor(void *data, size_t len) {
    dropblock_tensor tensor = {DROPBLOCK_TYPE_F32, 0, NULL, 0, 0, NULL};
    tensor.data = data;
    tensor.len = len;
    return tensor;
}

static struct layer new_layer(void) {
    struct layer layer;
    size_t i;
    memset(&layer.drawn, 0, sizeof layer.drawn);
    OK(dropblock_options_init(&layer.options, sizeof layer.options, 3, 0.2, NULL));
    OK(dropblock_shape_nchw(&layer.shape, 2, 3, 9, 11));
    layer.plan = new_plan(&layer.options, &layer.shape);
    layer.words = (uint64_t *)exactly(WORDS * sizeof(uint64_t), 0);
    OK(dropblock_draw(layer.plan, &layer.drawn.key, layer.words, WORDS, &layer.mask, NULL));
    layer.drawn = layer.mask.drawn;
    layer.from = (float *)exactly(LEN * sizeof(float), 0);
    layer.to = (float *)exactly(LEN * sizeof(float), 0);
    for (i = 0; i < LEN; i++)
        layer.from[i] = layer.to[i] = (float)i + 1;
    layer.x = tensor(layer.from, LEN);
    layer.y = tensor(layer.to, LEN);
    return layer;
}

static void free_layer(struct layer *layer) {
    free(layer->plan);
    free(layer->words);
    free(layer->from);
    free(layer->to);
}

/* All passes that read x and write y refuse it alike. */
#define PASSES_REFUSE(status, argument, x, y)                                                      \
    do {                                                                                           \
        REFUSED(status, argument,                                                                  \
                dropblock_forward(l.plan, &l.drawn, x, y, &l.drawn, &error));                      \
        REFUSED(status, argument, dropblock_backward(l.plan, &l.drawn, x, y, &error));             \
        REFUSED(status, argument, dropblock_mask_forward(l.plan, &l.mask, x, y, &error));          \
        REFUSED(status, argument, dropblock_mask_backward(l.plan, &l.mask, x, y, &error));         \
    } while (0)

/* The same, with one field of x or y changed. */
#define BAD_TENSOR(status, argument, which, field, value)                                          \
    do {                                                                                           \
        dropblock_tensor x = l.x, y = l.y;                                                         \
        which.field = value;                                                                       \
        PASSES_REFUSE(status, argument, &x, &y);                                                   \
    } while (0)

static void check_tensors(void) {
    struct layer l = new_layer();
    dropblock_tensor bad, other;
    void *old = copy_of(l.from, LEN * sizeof(float));
    const dropblock_key *key = &l.drawn.key;
    const float value = 0;
    const ptrdiff_t dense[5] = {297, 99, 99, 11, 1}, backwards[5] = {-297, -99, 0, -11, -1};
    const ptrdiff_t repeated[5] = {0, 99, 0, 11, 1}, shared[5] = {297, 99, 0, 10, 1};
    ptrdiff_t far[5] = {PTRDIFF_MAX, 99, 0, 11, 1}, odd[6];
    dropblock_key late = {0, 0, 0, UINT64_MAX};

    /* Null. */
    PASSES_REFUSE(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_X, NULL, &l.y);
    PASSES_REFUSE(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_Y, &l.x, NULL);
    BAD_TENSOR(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_X, x, data, NULL);
    BAD_TENSOR(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_Y, y, data, NULL);
    REFUSED(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_VALUE,
            dropblock_drop_only(l.plan, key, &l.y, NULL, &l.drawn, &error));
    REFUSED(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_VALUE,
            dropblock_mask_drop_only(l.plan, &l.mask, &l.y, NULL, &error));

    /* Lengths of dense tensors: no element more, no element less, and none that cannot be. */
    BAD_TENSOR(DROPBLOCK_STATUS_LENGTH, DROPBLOCK_ARGUMENT_X, x, len, LEN - 1);
    CHECK(error.needed[0] == LEN && error.given[0] == LEN - 1);
    BAD_TENSOR(DROPBLOCK_STATUS_LENGTH, DROPBLOCK_ARGUMENT_X, x, len, LEN + 1);
    BAD_TENSOR(DROPBLOCK_STATUS_LENGTH, DROPBLOCK_ARGUMENT_Y, y, len, SIZE_MAX);
    BAD_TENSOR(DROPBLOCK_STATUS_LENGTH, DROPBLOCK_ARGUMENT_Y, y, len, 0);
    BAD_TENSOR(DROPBLOCK_STATUS_VALUE, DROPBLOCK_ARGUMENT_FIRST, y, first, 1);
    BAD_TENSOR(DROPBLOCK_STATUS_VALUE, DROPBLOCK_ARGUMENT_RESERVED, x, reserved, 1);

    /* Alignment. */
    BAD_TENSOR(DROPBLOCK_STATUS_MISALIGNED, DROPBLOCK_ARGUMENT_X, x, data, (char *)l.from + 1);
    BAD_TENSOR(DROPBLOCK_STATUS_MISALIGNED, DROPBLOCK_ARGUMENT_Y, y, data, (char *)l.to + 2);
    CHECK(error.needed[0] == 4);
    other = l.y;
    other.type = DROPBLOCK_TYPE_BITS64;
    other.data = (char *)l.to + 4;
    REFUSED(DROPBLOCK_STATUS_MISALIGNED, DROPBLOCK_ARGUMENT_VALUE,
            dropblock_drop_only(l.plan, key, &other, (char *)l.to + 4, &l.drawn, &error));
    memcpy((char *)odd + 1, dense, sizeof dense);
    BAD_TENSOR(DROPBLOCK_STATUS_MISALIGNED, DROPBLOCK_ARGUMENT_STRIDES, x, strides,
               (const ptrdiff_t *)(const void *)((char *)odd + 1));

    /* Views that leave their buffers, share elements, or reach too far. */
    BAD_TENSOR(DROPBLOCK_STATUS_VIEW, DROPBLOCK_ARGUMENT_X, x, strides, backwards);
    CHECK(error.needed[0] == LEN - 1 && error.needed[1] == 0);
    CHECK(error.given[0] == 0 && error.given[1] == LEN);
    l.y.strides = dense;
    BAD_TENSOR(DROPBLOCK_STATUS_VIEW, DROPBLOCK_ARGUMENT_Y, y, first, 1);
    BAD_TENSOR(DROPBLOCK_STATUS_VIEW, DROPBLOCK_ARGUMENT_Y, y, first, SIZE_MAX);
    BAD_TENSOR(DROPBLOCK_STATUS_VIEW, DROPBLOCK_ARGUMENT_Y, y, len, LEN - 1);
    BAD_TENSOR(DROPBLOCK_STATUS_ADDRESS, DROPBLOCK_ARGUMENT_Y, y, len, SIZE_MAX);
    BAD_TENSOR(DROPBLOCK_STATUS_TOO_LARGE, 0, x, strides, far);
    far[0] = PTRDIFF_MIN;
    BAD_TENSOR(DROPBLOCK_STATUS_TOO_LARGE, 0, y, strides, far);
    BAD_TENSOR(DROPBLOCK_STATUS_STRIDE, 0, y, strides, repeated);
    CHECK(error.given[0] == 0 && error.given[1] == 0);
    BAD_TENSOR(DROPBLOCK_STATUS_STRIDE, 0, y, strides, shared);
    l.y.strides = NULL;

    /* Overlap, but for a pass in place. */
    other = tensor(l.from + 1, LEN);
    PASSES_REFUSE(DROPBLOCK_STATUS_OVERLAP, DROPBLOCK_ARGUMENT_Y, &l.x, &other);
    CHECK(error.given[0] == DROPBLOCK_ARGUMENT_X);
    PASSES_REFUSE(DROPBLOCK_STATUS_OVERLAP, DROPBLOCK_ARGUMENT_Y, &other, &l.x);
    other = l.x;
    other.strides = backwards;
    other.first = LEN - 1;
    PASSES_REFUSE(DROPBLOCK_STATUS_OVERLAP, DROPBLOCK_ARGUMENT_Y, &l.x, &other);
    other = tensor(l.plan, LEN);
    PASSES_REFUSE(DROPBLOCK_STATUS_OVERLAP, DROPBLOCK_ARGUMENT_Y, &l.x, &other);
    other = tensor(l.words, WORDS * 2);
    other.strides = repeated;
    REFUSED(DROPBLOCK_STATUS_OVERLAP, DROPBLOCK_ARGUMENT_Y,
            dropblock_mask_drop_only(l.plan, &l.mask, &other, &value, &error));
    REFUSED(DROPBLOCK_STATUS_OVERLAP, DROPBLOCK_ARGUMENT_RESULT,
            dropblock_forward(l.plan, &l.drawn, &l.x, &l.y, (dropblock_drawn *)(void *)l.from,
                              &error));
    REFUSED(DROPBLOCK_STATUS_OVERLAP, DROPBLOCK_ARGUMENT_RESULT,
            dropblock_drop_only(l.plan, key, &l.y, &value,
                                (dropblock_drawn *)(void *)(l.to + 2), &error));

    /* Types: unknown, of another tensor, only for dropping. */
    bad = l.x;
    other = l.y;
    for (bad.type = 0; bad.type < 12; bad.type++) {
        other.type = bad.type;
        if (bad.type < 1 || bad.type > DROPBLOCK_TYPE_BF16)
            PASSES_REFUSE(DROPBLOCK_STATUS_VALUE, DROPBLOCK_ARGUMENT_TYPE, &bad, &other);
        if (bad.type != DROPBLOCK_TYPE_F32)
            PASSES_REFUSE(DROPBLOCK_STATUS_VALUE, DROPBLOCK_ARGUMENT_TYPE, &bad, &l.y);
        if (bad.type < 1 || bad.type > DROPBLOCK_TYPE_BITS64)
            REFUSED(DROPBLOCK_STATUS_VALUE, DROPBLOCK_ARGUMENT_TYPE,
                    dropblock_drop_only(l.plan, key, &other, &value, &l.drawn, &error));
    }

    REFUSED(DROPBLOCK_STATUS_FIRST_SAMPLE, 0,
            dropblock_drop_only(l.plan, &late, &l.y, &value, &l.drawn, &error));
    CHECK(!memcmp(old, l.from, LEN * sizeof(float)) && !memcmp(old, l.to, LEN * sizeof(float)));

    /* A tensor that repeats may be read; the same strides said twice are in place. */
    other = l.x;
    other.strides = repeated;
    OK(dropblock_mask_forward(l.plan, &l.mask, &other, &l.y, &error));
    other.strides = dense;
    bad = other;
    memcpy(far, dense, sizeof dense);
    bad.strides = far;
    OK(dropblock_mask_forward(l.plan, &l.mask, &other, &bad, &error));
    free(old);
    free_layer(&l);
}

static void check_masks(void) {
    struct layer l = new_layer(), before;
    const dropblock_key *key = &l.drawn.key;
    const float value = 0;
    void *words = copy_of(l.words, WORDS * sizeof(uint64_t));
    void *old = copy_of(l.from, LEN * sizeof(float));
    uint64_t keep[2] = {7, 7}, count = 7, *plan_words = (uint64_t *)(void *)l.plan;
    const uint64_t *odd = (const uint64_t *)(const void *)((char *)l.words + 4);
    dropblock_drop_count group = {7, 7}, sum;
    dropblock_mask bad;
    dropblock_drawn drawn;
    const dropblock_key late = {0, 0, 0, UINT64_MAX};
    float scale = 7;
    before = l;

    /* Null. */
    REFUSED(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_PLAN,
            dropblock_forward(NULL, &l.drawn, &l.x, &l.y, &l.drawn, &error));
    REFUSED(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_DRAWN,
            dropblock_backward(l.plan, NULL, &l.x, &l.y, &error));
    REFUSED(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_KEY,
            dropblock_count(l.plan, NULL, &l.drawn, &error));
    REFUSED(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_RESULT,
            dropblock_count(l.plan, key, NULL, &error));
    REFUSED(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_MASK,
            dropblock_draw(l.plan, key, l.words, WORDS, NULL, &error));
    REFUSED(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_WORDS,
            dropblock_draw(l.plan, key, NULL, WORDS, &l.mask, &error));
    REFUSED(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_MASK,
            dropblock_mask_forward(l.plan, NULL, &l.x, &l.y, &error));
    REFUSED(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_COUNT,
            dropblock_mask_with_count(l.plan, &l.mask, NULL, &error));
    REFUSED(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_CALLBACK,
            dropblock_for_each_map(l.plan, &l.drawn, NULL, NULL, &l.drawn, &error));
    REFUSED(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_CALLBACK,
            dropblock_draw_centers_from(l.plan, NULL, NULL, l.words, WORDS, &count, &error));

    /* Lengths and alignment of words. */
    REFUSED(DROPBLOCK_STATUS_LENGTH, DROPBLOCK_ARGUMENT_WORDS,
            dropblock_draw(l.plan, key, l.words, WORDS - 1, &l.mask, &error));
    CHECK(error.needed[0] == WORDS && error.given[0] == WORDS - 1);
    REFUSED(DROPBLOCK_STATUS_LENGTH, DROPBLOCK_ARGUMENT_WORDS,
            dropblock_mask_from(l.plan, l.words, 0, &l.mask, &error));
    REFUSED(DROPBLOCK_STATUS_MISALIGNED, DROPBLOCK_ARGUMENT_WORDS,
            dropblock_mask_from(l.plan, odd, WORDS, &l.mask, &error));
    CHECK(dropblock_count(l.plan, key, &l.drawn, (dropblock_error *)(void *)((char *)&error + 1)) ==
          DROPBLOCK_STATUS_MISALIGNED);
    REFUSED(DROPBLOCK_STATUS_MISALIGNED, DROPBLOCK_ARGUMENT_PLAN,
            dropblock_plan_check((const dropblock_plan *)(const void *)((char *)l.plan + 1),
                                 &error));

    /* Overlap of what is written with anything. */
    REFUSED(DROPBLOCK_STATUS_OVERLAP, DROPBLOCK_ARGUMENT_WORDS,
            dropblock_draw(l.plan, key, plan_words, WORDS, &l.mask, &error));
    REFUSED(DROPBLOCK_STATUS_OVERLAP, DROPBLOCK_ARGUMENT_MASK,
            dropblock_draw(l.plan, key, l.words, WORDS,
                           (dropblock_mask *)(void *)(l.words + WORDS - 1), &error));
    REFUSED(DROPBLOCK_STATUS_OVERLAP, DROPBLOCK_ARGUMENT_MASK,
            dropblock_mask_from(l.plan, l.words, WORDS, (dropblock_mask *)(void *)l.words,
                                &error));
    REFUSED(DROPBLOCK_STATUS_OVERLAP, DROPBLOCK_ARGUMENT_KEEP,
            dropblock_mask_keep_words(l.plan, &l.mask, 0, 0, 0, l.words, 1, &error));
    REFUSED(DROPBLOCK_STATUS_OVERLAP, DROPBLOCK_ARGUMENT_COUNT,
            dropblock_mask_count_group(l.plan, &l.mask, 0,
                                       (dropblock_drop_count *)(void *)l.plan, &error));
    REFUSED(DROPBLOCK_STATUS_OVERLAP, DROPBLOCK_ARGUMENT_RESULT,
            dropblock_count(l.plan, key, (dropblock_drawn *)(void *)l.plan, &error));
    REFUSED(DROPBLOCK_STATUS_OVERLAP, DROPBLOCK_ARGUMENT_WORDS,
            dropblock_draw_centers(l.plan, key, l.words, WORDS, l.words + 1, &error));

    /* Masks are not believed: their words, counts and flags are checked by each pass. */
#define BAD_MASK(status, argument, field, value)                                                   \
    do {                                                                                           \
        bad = l.mask;                                                                              \
        bad.field = value;                                                                         \
        REFUSED(status, argument, dropblock_mask_forward(l.plan, &bad, &l.x, &l.y, &error));       \
        REFUSED(status, argument, dropblock_mask_backward(l.plan, &bad, &l.x, &l.y, &error));      \
        REFUSED(status, argument,                                                                  \
                dropblock_mask_drop_only(l.plan, &bad, &l.y, &scale, &error));                     \
    } while (0)
    BAD_MASK(DROPBLOCK_STATUS_NULL, DROPBLOCK_ARGUMENT_WORDS, words, NULL);
    BAD_MASK(DROPBLOCK_STATUS_MISALIGNED, DROPBLOCK_ARGUMENT_WORDS, words, odd);
    BAD_MASK(DROPBLOCK_STATUS_LENGTH, DROPBLOCK_ARGUMENT_WORDS, words_len, WORDS - 1);
    BAD_MASK(DROPBLOCK_STATUS_COUNT, 0, drawn.count.total, LEN + 1);
    BAD_MASK(DROPBLOCK_STATUS_COUNT, 0, drawn.count.total, LEN - 1);
    BAD_MASK(DROPBLOCK_STATUS_COUNT, 0, drawn.count.dropped, l.mask.drawn.count.dropped + 1);
    BAD_MASK(DROPBLOCK_STATUS_COUNT, 0, drawn.count.dropped, l.mask.drawn.count.dropped - 1);
    CHECK(error.needed[0] == l.drawn.count.dropped && error.needed[1] == LEN);
    BAD_MASK(DROPBLOCK_STATUS_FIRST_SAMPLE, 0, drawn.key.first_sample, UINT64_MAX);
    BAD_MASK(DROPBLOCK_STATUS_VALUE, DROPBLOCK_ARGUMENT_HAS_KEY, has_key, 2);
    BAD_MASK(DROPBLOCK_STATUS_VALUE, DROPBLOCK_ARGUMENT_RESERVED, reserved, 1);
    l.words[0] ^= 1;
    REFUSED(DROPBLOCK_STATUS_COUNT, 0,
            dropblock_mask_forward(l.plan, &l.mask, &l.x, &l.y, &error));
    l.words[0] ^= 1;

    /* Counts that no mask has. */
    drawn = l.drawn;
    drawn.count.total = LEN - 1;
    REFUSED(DROPBLOCK_STATUS_COUNT, 0,
            dropblock_forward(l.plan, &drawn, &l.x, &l.y, &l.drawn, &error));
    memset(&drawn.count, 0, sizeof drawn.count);
    REFUSED(DROPBLOCK_STATUS_COUNT, 0, dropblock_backward(l.plan, &drawn, &l.x, &l.y, &error));
    sum = l.drawn.count;
    sum.dropped += 2;
    sum.total += 1;
    REFUSED(DROPBLOCK_STATUS_COUNT, 0,
            dropblock_mask_with_count(l.plan, &l.mask, &sum, &error));

    /* What there is not. */
    REFUSED(DROPBLOCK_STATUS_GROUP, 0,
            dropblock_mask_count_group(l.plan, &l.mask, 1, &group, &error));
    REFUSED(DROPBLOCK_STATUS_MAP, 0,
            dropblock_mask_keep_words(l.plan, &l.mask, 2, 0, 0, keep, 2, &error));
    REFUSED(DROPBLOCK_STATUS_POSITION, 0,
            dropblock_plan_position_scale_f32(l.plan, 99, &scale, &error));
    REFUSED(DROPBLOCK_STATUS_FIRST_SAMPLE, 0,
            dropblock_draw(l.plan, &late, l.words, WORDS, &l.mask, &error));
    REFUSED(DROPBLOCK_STATUS_FIRST_SAMPLE, 0,
            dropblock_mask_with_key(l.plan, &l.mask, &late, &error));
    CHECK(keep[0] == 7 && keep[1] == 7 && scale == 7 && count == 7 && group.total == 7);

    /* Nothing has been written by any of that. */
    CHECK(!memcmp(words, l.words, WORDS * sizeof(uint64_t)));
    CHECK(!memcmp(old, l.from, LEN * sizeof(float)) && !memcmp(old, l.to, LEN * sizeof(float)));
    CHECK(!memcmp(&before.drawn, &l.drawn, sizeof l.drawn));
    CHECK(!memcmp(&before.mask, &l.mask, sizeof l.mask));
    /* Of the plan only what it does can be compared, as it has gaps. */
    memset(l.words, 0, WORDS * sizeof(uint64_t));
    OK(dropblock_draw(l.plan, key, l.words, SIZE_MAX, &l.mask, &error));
    CHECK(!memcmp(words, l.words, WORDS * sizeof(uint64_t)));
    CHECK(l.mask.words_len == SIZE_MAX);

    /* Odd, but allowed: no result, a mask without a count, units past the end of a map. */
    OK(dropblock_forward(l.plan, &l.drawn, &l.x, &l.y, NULL, &error));
    OK(dropblock_drop_only(l.plan, key, &l.y, &value, NULL, &error));
    bad = l.mask;
    bad.drawn.count.dropped = 1;
    bad.drawn.count.total = 0;
    OK(dropblock_mask_forward(l.plan, &bad, &l.x, &l.y, &error));
    sum = l.drawn.count;
    sum.total += 5;
    OK(dropblock_mask_with_count(l.plan, &bad, &sum, &error));
    CHECK(bad.drawn.count.total == LEN + 5);
    OK(dropblock_mask_keep_words(l.plan, &l.mask, 1, 2, SIZE_MAX, keep, 2, &error));
    CHECK(keep[0] == 0 && keep[1] == 0);
    OK(dropblock_mask_keep_words(l.plan, &l.mask, 1, 2, 0, NULL, 0, &error));
    free(words);
    free(old);
    free_layer(&l);
}

/* A view in place, flipped, with a gap that is left alone; a plan for other samples. */
static void check_views(void) {
    struct layer l = new_layer();
    enum { ROW = 13, SIZE = 6 * 9 * ROW };
    const ptrdiff_t strides[5] = {3 * 9 * ROW, 9 * ROW, 0, -ROW, 1};
    float *padded = (float *)exactly(SIZE * sizeof(float), 0);
    dropblock_tensor view = tensor(padded, SIZE);
    dropblock_plan_memory memory;
    dropblock_plan *one = NULL;
    dropblock_drawn drawn;
    size_t i;
    for (i = 0; i < SIZE; i++)
        padded[i] = 1;
    view.first = 8 * ROW;
    view.strides = strides;
    OK(dropblock_forward(l.plan, &l.drawn, &view, &view, NULL, &error));
    for (i = 0; i < LEN; i++)
        l.from[i] = 1;
    OK(dropblock_mask_forward(l.plan, &l.mask, &l.x, &l.x, &error));
    for (i = 0; i < SIZE; i++) {
        size_t map = i / (9 * ROW), row = 8 - i / ROW % 9, column = i % ROW;
        CHECK(padded[i] == (column < 11 ? l.from[(map * 9 + row) * 11 + column] : 1));
    }
    OK(dropblock_plan_with_samples(l.plan, 1, &memory, sizeof memory, &one, &error));
    CHECK(dropblock_plan_elements(one) == LEN / 2 && dropblock_plan_groups(one) == 1);
    OK(dropblock_count(one, &l.drawn.key, &drawn, &error));
    CHECK(drawn.count.total == LEN / 2);
    REFUSED(DROPBLOCK_STATUS_TOO_LARGE, 0,
            dropblock_plan_with_samples(l.plan, SIZE_MAX, &memory, sizeof memory, &one, &error));
    REFUSED(DROPBLOCK_STATUS_MEMORY, DROPBLOCK_ARGUMENT_MEMORY,
            dropblock_plan_with_samples(l.plan, 1, &memory, 16, &one, &error));
    REFUSED(DROPBLOCK_STATUS_OVERLAP, DROPBLOCK_ARGUMENT_MEMORY,
            dropblock_plan_with_samples(one, 1, &memory, sizeof memory, &one, &error));
    free(padded);
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

/* Nothing to do: null everywhere is fine. */
static void check_empty(void) {
    struct layer l = new_layer();
    dropblock_plan_memory memory;
    dropblock_plan *plan = NULL;
    dropblock_shape shape;
    dropblock_tensor none = tensor(NULL, 0);
    dropblock_mask mask;
    dropblock_drawn drawn = {{0, 0, 0, 0}, DROPBLOCK_NO_COUNT};
    const ptrdiff_t any[5] = {PTRDIFF_MAX, PTRDIFF_MIN, 0, 1, 1};
    const float value = 0;
    uint64_t count = 7;

    OK(dropblock_shape_nchw(&shape, 0, 3, 9, 11));
    OK(dropblock_plan_init(&memory, sizeof memory, &l.options, &shape, &plan, &error));
    CHECK(dropblock_plan_elements(plan) == 0 && dropblock_plan_mask_words(plan) == 0);
    OK(dropblock_forward(plan, &drawn, &none, &none, &drawn, &error));
    CHECK(drawn.count.dropped == 0 && drawn.count.total == 0);
    OK(dropblock_backward(plan, &drawn, &none, &none, &error));
    OK(dropblock_draw(plan, &drawn.key, NULL, 0, &mask, &error));
    OK(dropblock_mask_from(plan, NULL, 0, &mask, &error));
    OK(dropblock_mask_forward(plan, &mask, &none, &none, &error));
    OK(dropblock_drop_only(plan, &drawn.key, &none, &value, &drawn, &error));
    OK(dropblock_draw_centers(plan, &drawn.key, NULL, 0, &count, &error));
    CHECK(count == 0);
    OK(dropblock_dilate(plan, NULL, 0, &error));
    /* No element, and strides of which no product fits. */
    none.strides = any;
    OK(dropblock_forward(plan, &drawn, &none, &none, &drawn, &error));
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
    check_tensors();
    check_masks();
    check_views();
    check_plans();
    check_options();
    check_empty();
    check_dilation();
    check_schedules();
    check_messages();
    return finish("hostile");
}
