/* A layer forward and backward, in place, without a heap. Prints what was dropped. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dropblock.h"

enum { LEN = 2 * 8 * 14 * 14 };

static dropblock_plan_memory memory;
static float x[LEN], dy[LEN];

/* Says why, and ends with 1, if something is refused. */
static int refused(dropblock_status status, const dropblock_error *error) {
    char text[128];
    if (status == DROPBLOCK_OK)
        return 0;
    dropblock_error_message(error, text, sizeof text);
    fprintf(stderr, "%s: %s\n", dropblock_status_message(status), text);
    return 1;
}

int main(void) {
    dropblock_options options;
    dropblock_shape shape;
    dropblock_plan *plan;
    dropblock_error error;
    const dropblock_tensor in = {DROPBLOCK_TYPE_F32, 0, x, LEN, 0, NULL};
    const dropblock_tensor out = {DROPBLOCK_TYPE_F32, 0, dy, LEN, 0, NULL};
    /* Seed, step, layer, first sample: this names the mask among all. */
    dropblock_drawn drawn = {{2024, 17, 3, 0}, DROPBLOCK_NO_COUNT};
    size_t i;

    for (i = 0; i < LEN; i++)
        x[i] = dy[i] = 1.0f;

    /* Once per layer: block size 7, drop probability 0.1. */
    if (refused(dropblock_options_init(&options, sizeof options, 7, 0.1, &error), &error) ||
        refused(dropblock_shape_nchw(&shape, 2, 8, 14, 14), NULL) ||
        refused(dropblock_plan_init(&memory, sizeof memory, &options, &shape, &plan, &error),
                &error))
        return 1;

    /* Each step. The backward pass draws the same mask anew: only `drawn` is kept. */
    if (refused(dropblock_forward(plan, &drawn, &in, &in, &drawn, &error), &error) ||
        refused(dropblock_backward(plan, &drawn, &out, &out, &error), &error))
        return 1;

    if (memcmp(x, dy, sizeof x) != 0)
        return 1;
    printf("%" PRIu64 " of %" PRIu64 " units dropped, %.4f expected, backend %s\n",
           drawn.count.dropped, drawn.count.total, dropblock_plan_expected_dropped(plan),
           dropblock_backend_name(dropblock_plan_backend(plan)));
    return 0;
}
