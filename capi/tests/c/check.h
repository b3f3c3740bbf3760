/* What the test programs share: a check that counts, and exact memory from the heap, so that
 * sanitizers and valgrind see every step past its end. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dropblock.h"

static unsigned checks, failures;

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        checks++;                                                                                  \
        if (!(condition)) {                                                                        \
            failures++;                                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
        }                                                                                          \
    } while (0)

/* An operation that must succeed. */
#define OK(call)                                                                                   \
    do {                                                                                           \
        dropblock_status ok_status = (call);                                                       \
        checks++;                                                                                  \
        if (ok_status != DROPBLOCK_OK) {                                                           \
            failures++;                                                                            \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call,                          \
                    dropblock_status_message(ok_status));                                          \
        }                                                                                          \
    } while (0)

/* Exactly so many bytes, all of the same value. */
static inline void *exactly(size_t bytes, int value) {
    void *memory = malloc(bytes ? bytes : 1);
    if (!memory)
        abort();
    memset(memory, value, bytes);
    return memory;
}

static inline void *copy_of(const void *memory, size_t bytes) {
    void *copy = exactly(bytes, 0);
    if (bytes)
        memcpy(copy, memory, bytes);
    return copy;
}

/* A plan in memory that is no larger than it needs to be. */
static inline dropblock_plan *new_plan(const dropblock_options *options,
                                       const dropblock_shape *shape) {
    dropblock_plan *plan = NULL;
    dropblock_error error;
    size_t size = dropblock_plan_size();
    void *memory = exactly(size, 0xa5);
    dropblock_status status = dropblock_plan_init(memory, size, options, shape, &plan, &error);
    if (status != DROPBLOCK_OK) {
        char text[160];
        dropblock_error_message(&error, text, sizeof text);
        fprintf(stderr, "no plan: %s\n", text);
        abort();
    }
    return plan;
}

static inline int finish(const char *name) {
    printf("%s: %u checks, %u failures\n", name, checks, failures);
    return failures != 0;
}

#endif
