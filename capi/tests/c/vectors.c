/* The golden vectors of tests/vectors, through the C interface, on every backend that can run.
 *
 *     vectors MASKS.TXT VARIANTS.TXT */

#include <inttypes.h>

#include "check.h"

#define FNV_START UINT64_C(0xcbf29ce484222325)

static uint64_t fnv(const void *bytes, size_t len) {
    const unsigned char *byte = (const unsigned char *)bytes;
    uint64_t hash = FNV_START;
    size_t i;
    for (i = 0; i < len; i++)
        hash = (hash ^ byte[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* A block of the file: lines `name = value`. */
struct vector {
    char names[32][24];
    char values[32][320];
    unsigned len;
};

static const char *value(const struct vector *vector, const char *name) {
    unsigned i;
    for (i = 0; i < vector->len; i++)
        if (!strcmp(vector->names[i], name))
            return vector->values[i];
    return NULL;
}

static const char *must(const struct vector *vector, const char *name) {
    const char *found = value(vector, name);
    if (!found) {
        fprintf(stderr, "no line `%s`\n", name);
        exit(2);
    }
    return found;
}

static uint64_t number(const struct vector *vector, const char *name, int base) {
    return strtoull(must(vector, name), NULL, base);
}

/* The place of a word in a list that ends with NULL, counted from 1. */
static uint32_t place(const char *word, const char *const *list) {
    uint32_t i;
    for (i = 0; list[i]; i++)
        if (!strcmp(word, list[i]))
            return i + 1;
    fprintf(stderr, "`%s` is unknown\n", word);
    exit(2);
}

/* Reads `[1, 2, 3]`; returns how many. */
static size_t list(const char *text, size_t *numbers, size_t most) {
    size_t len = 0;
    while (*text && *text != ']') {
        char *end;
        text += strspn(text, "[, ");
        if (len == most)
            exit(2);
        numbers[len++] = (size_t)strtoull(text, &end, 10);
        text = end;
    }
    return len;
}

static void arguments(const struct vector *vector, dropblock_options *options,
                      dropblock_shape *shape, dropblock_key *key) {
    static const char *const regions[] = {"Valid", "Full", NULL};
    static const char *const alignments[] = {"Before", "After", NULL};
    static const char *const sharings[] = {"SampleChannel", "Sample", "Channel", "All", NULL};
    static const char *const scales[] = {"Tensor", "Sample",      "Channel", "Fixed",
                                         "None",   "PerPosition", NULL};
    static const char *const fills[] = {"Zero", "Noise", NULL};
    static const char *const gammas[] = {"paper", "paper-valid", "exact", "raw", NULL};
    const char *text;
    char word[16] = "";
    size_t map[3], block[3], rank;

    OK(dropblock_options_init(options, sizeof *options, 1,
                              strtod(must(vector, "drop_prob"), NULL), NULL));
    text = must(vector, "gamma");
    sscanf(text, "%15s", word);
    options->gamma = place(word, gammas);
    options->gamma_value = strtod(text + strlen(word), NULL);
    options->region = place(must(vector, "region"), regions);
    options->alignment = place(must(vector, "alignment"), alignments);
    options->sharing = place(must(vector, "sharing"), sharings);
    options->scale = place(must(vector, "scale"), scales);
    text = value(vector, "fill");
    if (text)
        options->fill = place(text, fills);

    text = must(vector, "block");
    if (!strncmp(text, "relative ", 9)) {
        options->block.kind = DROPBLOCK_BLOCK_RELATIVE;
        options->block.fraction = strtod(text + 9, NULL);
    } else {
        switch (list(text, block, 3)) {
        case 1:
            options->block.uniform = block[0];
            break;
        case 2:
            options->block.kind = DROPBLOCK_BLOCK_HW;
            options->block.height = block[0];
            options->block.width = block[1];
            break;
        default:
            options->block.kind = DROPBLOCK_BLOCK_DHW;
            options->block.depth = block[0];
            options->block.height = block[1];
            options->block.width = block[2];
        }
    }

    rank = list(must(vector, "map"), map, 3);
    OK(dropblock_shape_init(shape, (size_t)number(vector, "samples", 10),
                            (size_t)number(vector, "channels", 10), map, rank,
                            DROPBLOCK_LAYOUT_CHANNELS_FIRST, NULL));
    text = value(vector, "strides");
    if (text)
        CHECK(list(text, shape->strides, 5) == 5);

    key->seed = number(vector, "seed", 10);
    key->step = number(vector, "step", 10);
    key->layer = number(vector, "layer", 10);
    key->first_sample = number(vector, "first_sample", 10);
}

static double input(size_t i) { return (double)(i % 257) - 128.0; }

/* The stages one by one give what the passes give. */
static void check_stages(const dropblock_plan *plan, const dropblock_options *options,
                         const dropblock_key *key, const uint64_t *mask, const float *y) {
    size_t words = dropblock_plan_mask_len(plan), len = dropblock_plan_extent(plan), i;
    uint64_t *other = (uint64_t *)exactly(words * sizeof *other, 0xee), count;
    float *x = (float *)exactly(len * sizeof *x, 0);
    float *to = (float *)exactly(len * sizeof *to, 0);
    dropblock_dropped dropped, again;
    for (i = 0; i < len; i++)
        x[i] = to[i] = (float)input(i);

    OK(dropblock_centers(plan, key, other, words, &count, NULL));
    OK(dropblock_dilate(plan, other, words, NULL));
    CHECK(!memcmp(other, mask, words * sizeof *mask));
    memset(other, 0x77, words * sizeof *other);
    OK(dropblock_mask(plan, key, other, words, &dropped, NULL));
    CHECK(!memcmp(other, mask, words * sizeof *mask));
    OK(dropblock_count(plan, other, words, &again, NULL));
    CHECK(!memcmp(&dropped, &again, sizeof again));

    OK(dropblock_apply(plan, mask, words, &dropped, DROPBLOCK_TYPE_F32, x, len, to, len, NULL));
    if (options->fill == DROPBLOCK_FILL_NOISE)
        OK(dropblock_fill_noise(plan, key, mask, words, DROPBLOCK_TYPE_F32, to, len, NULL));
    CHECK(!memcmp(to, y, len * sizeof *y));
    for (i = 0; i < len; i++)
        to[i] = x[i];
    OK(dropblock_forward(plan, key, DROPBLOCK_TYPE_F32, x, len, to, len, NULL, 0, &again, NULL));
    CHECK(!memcmp(to, y, len * sizeof *y) && again.count == dropped.count);

    if (options->fill != DROPBLOCK_FILL_NOISE) {
        OK(dropblock_backward(plan, key, &dropped, DROPBLOCK_TYPE_F32, x, len, x, len, NULL));
        CHECK(!memcmp(x, y, len * sizeof *y));
    }
    free(other);
    free(x);
    free(to);
}

static void check(const struct vector *vector, dropblock_backend backend) {
    dropblock_options options;
    dropblock_shape shape;
    dropblock_key key;
    dropblock_plan *plan;
    dropblock_dropped dropped = {0, 0};
    size_t len, words, bytes, i;
    uint64_t *mask;
    unsigned char *packed;
    float *y;

    arguments(vector, &options, &shape, &key);
    options.backend = backend;
    plan = new_plan(&options, &shape);
    len = dropblock_plan_extent(plan);
    words = dropblock_plan_mask_len(plan);
    bytes = (dropblock_plan_units(plan) + 7) / 8;
    CHECK(dropblock_plan_units(plan) == number(vector, "units", 10));

    mask = (uint64_t *)exactly(words * sizeof *mask, 0xff);
    y = (float *)exactly(len * sizeof *y, 0);
    for (i = 0; i < len; i++)
        y[i] = (float)input(i);
    OK(dropblock_forward(plan, &key, DROPBLOCK_TYPE_F32, y, len, y, len, mask, words, &dropped,
                         NULL));
    CHECK(dropped.count == number(vector, "dropped", 10));
    CHECK(dropped.of == number(vector, "units", 10));
    CHECK(fnv(y, len * sizeof *y) == number(vector, "output_fnv", 16));
    packed = (unsigned char *)exactly(words * 8, 0);
    for (i = 0; i < bytes; i++)
        packed[i] = (unsigned char)(mask[i / 8] >> (i % 8 * 8));
    CHECK(fnv(packed, bytes) == number(vector, "mask_fnv", 16));
    if (value(vector, "mask")) {
        const char *text = must(vector, "mask");
        CHECK(strlen(text) == 2 * bytes);
        for (i = 0; i < bytes; i++) {
            unsigned byte = 256;
            sscanf(text + 2 * i, "%2x", &byte);
            CHECK(packed[i] == byte);
        }
    }
    check_stages(plan, &options, &key, mask, y);

    if (value(vector, "output_f64_fnv")) {
        double *wide = (double *)exactly(len * sizeof *wide, 0);
        signed char *small = (signed char *)exactly(len, 0);
        const signed char zero_point = -3;
        for (i = 0; i < len; i++) {
            wide[i] = input(i);
            small[i] = (signed char)((int)(i % 251) - 128);
        }
        OK(dropblock_forward(plan, &key, DROPBLOCK_TYPE_F64, wide, len, wide, len, NULL, 0,
                             &dropped, NULL));
        CHECK(fnv(wide, len * sizeof *wide) == number(vector, "output_f64_fnv", 16));
        OK(dropblock_drop_only(plan, &key, 1, &zero_point, small, len, NULL, 0, &dropped, NULL));
        CHECK(fnv(small, len) == number(vector, "output_i8_fnv", 16));
        for (i = 0; i < len; i++)
            small[i] = (signed char)((int)(i % 251) - 128);
        OK(dropblock_fill_dropped(plan, mask, words, 1, &zero_point, small, len, NULL));
        CHECK(fnv(small, len) == number(vector, "output_i8_fnv", 16));
        free(wide);
        free(small);
    }
    free(mask);
    free(packed);
    free(y);
    free(plan);
}

static void check_all(const struct vector *vector) {
    dropblock_backend backend;
    for (backend = DROPBLOCK_BACKEND_SCALAR; dropblock_backend_name(backend); backend++)
        if (dropblock_backend_is_available(backend))
            check(vector, backend);
}

static unsigned check_file(const char *path) {
    struct vector vector;
    char line[400];
    unsigned vectors = 0;
    FILE *file = fopen(path, "r");
    if (!file) {
        perror(path);
        exit(2);
    }
    vector.len = 0;
    for (;;) {
        char *end = fgets(line, sizeof line, file);
        if (end && sscanf(line, "%23s = %319[^\n]", vector.names[vector.len],
                          vector.values[vector.len]) == 2) {
            if (++vector.len == 32)
                exit(2);
            continue;
        }
        if (vector.len) {
            check_all(&vector);
            vectors++;
        }
        vector.len = 0;
        if (!end)
            break;
    }
    fclose(file);
    return vectors;
}

int main(int argc, char **argv) {
    unsigned vectors = 0;
    int i;
    for (i = 1; i < argc; i++)
        vectors += check_file(argv[i]);
    printf("%u vectors\n", vectors);
    CHECK(vectors > 100);
    return finish("vectors");
}
