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

/* Options, shape and key; and strides of a view, if there are any. */
static int arguments(const struct vector *vector, dropblock_options *options,
                     dropblock_shape *shape, dropblock_key *key, ptrdiff_t *strides) {
    static const char *const regions[] = {"Valid", "Full", NULL};
    static const char *const alignments[] = {"Before", "After", NULL};
    /* The words of the files are older than the names of the header. */
    static const char *const sharings[] = {"SampleChannel", "Sample", "Channel", "All", NULL};
    static const char *const scales[] = {"Tensor",      "Sample", "Channel",
                                         "PerPosition", "Fixed",  "None",    NULL};
    static const char *const fills[] = {"Zero", "Noise", NULL};
    static const char *const gammas[] = {"paper", "paper-valid", "exact", "raw", NULL};
    const char *text;
    char word[16] = "";
    size_t map[3], block[3], numbers[5], rank, i;

    OK(dropblock_options_init(options, sizeof *options, 1,
                              strtod(must(vector, "drop_prob"), NULL), NULL));
    text = must(vector, "gamma");
    sscanf(text, "%15s", word);
    options->gamma.kind = place(word, gammas);
    options->gamma.has_value = text[strlen(word)] != 0;
    options->gamma.value = strtod(text + strlen(word), NULL);
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
    key->seed = number(vector, "seed", 10);
    key->step = number(vector, "step", 10);
    key->layer = number(vector, "layer", 10);
    key->first_sample = number(vector, "first_sample", 10);

    text = value(vector, "strides");
    if (!text)
        return 0;
    CHECK(list(text, numbers, 5) == 5);
    for (i = 0; i < 5; i++)
        strides[i] = (ptrdiff_t)numbers[i];
    return 1;
}

static double input(size_t i) { return (double)(i % 257) - 128.0; }

/* The elements that a view reaches: from its first unit to its last. */
static size_t reach(const dropblock_shape *shape, const ptrdiff_t *strides) {
    const size_t sizes[5] = {shape->samples, shape->channels, shape->depth, shape->height,
                             shape->width};
    size_t len = 1, i;
    for (i = 0; i < 5; i++)
        len += (sizes[i] - 1) * (size_t)strides[i];
    return len;
}

/* A vector on a backend, and how its tensors lie. */
struct run {
    dropblock_options options;
    dropblock_key key;
    dropblock_plan *plan;
    ptrdiff_t view[5];
    const ptrdiff_t *strides;
    size_t len;
};

static dropblock_tensor tensor(const struct run *run, dropblock_type type, void *data) {
    dropblock_tensor tensor = {0, 0, NULL, 0, 0, NULL};
    tensor.type = type;
    tensor.data = data;
    tensor.len = run->len;
    tensor.strides = run->strides;
    return tensor;
}

/* The stages one by one, and passes without a buffer, give what the mask gave: `words` and `y`. */
static void check_stages(const struct run *run, const dropblock_mask *mask, const float *y) {
    const dropblock_plan *plan = run->plan;
    const size_t words = mask->words_len, size = run->len * sizeof *y;
    const dropblock_key *key = &run->key;
    uint64_t *other = (uint64_t *)exactly(words * sizeof *other, 0xee), count;
    float *from = (float *)exactly(size, 0), *to = (float *)exactly(size, 0);
    const dropblock_tensor x = tensor(run, DROPBLOCK_TYPE_F32, from);
    const dropblock_tensor z = tensor(run, DROPBLOCK_TYPE_F32, to);
    dropblock_drawn drawn = {{0, 0, 0, 0}, DROPBLOCK_NO_COUNT}, counted;
    dropblock_mask again;
    size_t i;
    for (i = 0; i < run->len; i++)
        from[i] = to[i] = (float)input(i);
    drawn.key = *key;

    OK(dropblock_draw_centers(plan, key, other, words, &count, NULL));
    OK(dropblock_dilate(plan, other, words, NULL));
    CHECK(!memcmp(other, mask->words, words * sizeof *other));
    OK(dropblock_mask_from(plan, other, words, &again, NULL));
    CHECK(!memcmp(&again.drawn.count, &mask->drawn.count, sizeof again.drawn.count));
    if (run->options.fill == DROPBLOCK_FILL_NOISE) {
        CHECK(dropblock_mask_forward(plan, &again, &x, &z, NULL) == DROPBLOCK_STATUS_NO_KEY);
        OK(dropblock_mask_with_key(plan, &again, key, NULL));
    }
    OK(dropblock_mask_forward(plan, &again, &x, &z, NULL));
    CHECK(!memcmp(to, y, size));

    OK(dropblock_count(plan, key, &counted, NULL));
    CHECK(!memcmp(&counted, &mask->drawn, sizeof counted));
    /* Without a count, then with it. */
    for (i = 0; i < 2; i++) {
        OK(dropblock_forward(plan, &drawn, &x, &z, &drawn, NULL));
        CHECK(!memcmp(to, y, size) && !memcmp(&drawn, &counted, sizeof drawn));
    }
    if (run->options.fill != DROPBLOCK_FILL_NOISE) {
        OK(dropblock_backward(plan, &drawn, &x, &x, NULL));
        CHECK(!memcmp(from, y, size));
    }
    free(other);
    free(from);
    free(to);
}

static void check_other_types(const struct vector *vector, const struct run *run,
                              const dropblock_mask *mask) {
    double *wide = (double *)exactly(run->len * sizeof *wide, 0);
    signed char *small = (signed char *)exactly(run->len, 0);
    const signed char zero_point = -3;
    const dropblock_tensor x = tensor(run, DROPBLOCK_TYPE_F64, wide);
    const dropblock_tensor q = tensor(run, DROPBLOCK_TYPE_BITS8, small);
    size_t i;
    int with_mask;
    for (with_mask = 0; with_mask < 2; with_mask++) {
        for (i = 0; i < run->len; i++) {
            wide[i] = input(i);
            small[i] = (signed char)((int)(i % 251) - 128);
        }
        if (with_mask) {
            OK(dropblock_mask_forward(run->plan, mask, &x, &x, NULL));
            OK(dropblock_mask_drop_only(run->plan, mask, &q, &zero_point, NULL));
        } else {
            OK(dropblock_forward(run->plan, &mask->drawn, &x, &x, NULL, NULL));
            OK(dropblock_drop_only(run->plan, &run->key, &q, &zero_point, NULL, NULL));
        }
        CHECK(fnv(wide, run->len * sizeof *wide) == number(vector, "output_f64_fnv", 16));
        CHECK(fnv(small, run->len) == number(vector, "output_i8_fnv", 16));
    }
    free(wide);
    free(small);
}

static void check(const struct vector *vector, dropblock_backend backend) {
    struct run run;
    dropblock_shape shape;
    dropblock_tensor x;
    dropblock_mask mask;
    size_t words, bytes, i;
    uint64_t *bits;
    unsigned char *packed;
    float *y;

    run.strides = NULL;
    if (arguments(vector, &run.options, &shape, &run.key, run.view))
        run.strides = run.view;
    run.options.backend = backend;
    run.plan = new_plan(&run.options, &shape);
    run.len = run.strides ? reach(&shape, run.view) : dropblock_plan_elements(run.plan);
    words = dropblock_plan_mask_words(run.plan);
    bytes = (dropblock_plan_units(run.plan) + 7) / 8;
    CHECK(dropblock_plan_units(run.plan) == number(vector, "units", 10));

    bits = (uint64_t *)exactly(words * sizeof *bits, 0xff);
    y = (float *)exactly(run.len * sizeof *y, 0);
    for (i = 0; i < run.len; i++)
        y[i] = (float)input(i);
    x = tensor(&run, DROPBLOCK_TYPE_F32, y);
    OK(dropblock_draw(run.plan, &run.key, bits, words, &mask, NULL));
    OK(dropblock_mask_forward(run.plan, &mask, &x, &x, NULL));
    CHECK(mask.drawn.count.dropped == number(vector, "dropped", 10));
    CHECK(mask.drawn.count.total == number(vector, "units", 10));
    CHECK(fnv(y, run.len * sizeof *y) == number(vector, "output_fnv", 16));
    packed = (unsigned char *)exactly(words * 8, 0);
    for (i = 0; i < bytes; i++)
        packed[i] = (unsigned char)(bits[i / 8] >> (i % 8 * 8));
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
    check_stages(&run, &mask, y);
    if (value(vector, "output_f64_fnv"))
        check_other_types(vector, &run, &mask);
    free(bits);
    free(packed);
    free(y);
    free(run.plan);
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
