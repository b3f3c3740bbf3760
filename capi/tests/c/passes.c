/* Calls of passes and masks that must be refused, each with its status, and nothing written; and
 * what is allowed though it looks odd. */

#include "layer.h"

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

int main(void) {
    check_tensors();
    check_masks();
    check_views();
    check_empty();
    return finish("passes");
}
