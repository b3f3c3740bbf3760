/* What the programs of hostile calls share: a refusal that is checked, and a layer with its plan,
 * mask and tensors. */
#ifndef LAYER_H
#define LAYER_H

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
static inline void check_message(void) {
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

static inline dropblock_tensor tensor(void *data, size_t len) {
    dropblock_tensor tensor = {DROPBLOCK_TYPE_F32, 0, NULL, 0, 0, NULL};
    tensor.data = data;
    tensor.len = len;
    return tensor;
}

static inline struct layer new_layer(void) {
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

static inline void free_layer(struct layer *layer) {
    free(layer->plan);
    free(layer->words);
    free(layer->from);
    free(layer->to);
}

#endif
