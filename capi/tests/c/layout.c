/* Sizes and offsets of the structs, as the library has them: its tests read this list. It is enough
 * that it compiles. The numbers are those of 64-bit machines; elsewhere the header only has to
 * compile. */

#include <stddef.h>
#include <stdint.h>

#include "dropblock.h"

#if SIZE_MAX == UINT64_MAX && UINTPTR_MAX == UINT64_MAX
#define SIZE(type, size) _Static_assert(sizeof(type) == (size), #type)
#define FIELD(type, field, offset) _Static_assert(offsetof(type, field) == (offset), #type "." #field)

SIZE(dropblock_error, 48);
FIELD(dropblock_error, status, 0);
FIELD(dropblock_error, argument, 4);
FIELD(dropblock_error, needed, 8);
FIELD(dropblock_error, given, 24);
FIELD(dropblock_error, value, 40);

SIZE(dropblock_key, 32);
FIELD(dropblock_key, seed, 0);
FIELD(dropblock_key, step, 8);
FIELD(dropblock_key, layer, 16);
FIELD(dropblock_key, first_sample, 24);

SIZE(dropblock_drop_count, 16);
FIELD(dropblock_drop_count, dropped, 0);
FIELD(dropblock_drop_count, total, 8);

SIZE(dropblock_drawn, 48);
FIELD(dropblock_drawn, key, 0);
FIELD(dropblock_drawn, count, 32);

SIZE(dropblock_block, 48);
FIELD(dropblock_block, kind, 0);
FIELD(dropblock_block, reserved, 4);
FIELD(dropblock_block, fraction, 8);
FIELD(dropblock_block, uniform, 16);
FIELD(dropblock_block, depth, 24);
FIELD(dropblock_block, height, 32);
FIELD(dropblock_block, width, 40);

SIZE(dropblock_gamma, 16);
FIELD(dropblock_gamma, kind, 0);
FIELD(dropblock_gamma, has_value, 4);
FIELD(dropblock_gamma, value, 8);

SIZE(dropblock_options, 112);
FIELD(dropblock_options, size, 0);
FIELD(dropblock_options, preset, 4);
FIELD(dropblock_options, mode, 8);
FIELD(dropblock_options, region, 12);
FIELD(dropblock_options, alignment, 16);
FIELD(dropblock_options, sharing, 20);
FIELD(dropblock_options, scale, 24);
FIELD(dropblock_options, fill, 28);
FIELD(dropblock_options, backend, 32);
FIELD(dropblock_options, reserved, 36);
FIELD(dropblock_options, drop_prob, 40);
FIELD(dropblock_options, gamma, 48);
FIELD(dropblock_options, block, 64);

SIZE(dropblock_shape, 48);
FIELD(dropblock_shape, rank, 0);
FIELD(dropblock_shape, layout, 4);
FIELD(dropblock_shape, samples, 8);
FIELD(dropblock_shape, channels, 16);
FIELD(dropblock_shape, depth, 24);
FIELD(dropblock_shape, height, 32);
FIELD(dropblock_shape, width, 40);

SIZE(dropblock_tensor, 40);
FIELD(dropblock_tensor, type, 0);
FIELD(dropblock_tensor, reserved, 4);
FIELD(dropblock_tensor, data, 8);
FIELD(dropblock_tensor, len, 16);
FIELD(dropblock_tensor, first, 24);
FIELD(dropblock_tensor, strides, 32);

SIZE(dropblock_mask, 72);
FIELD(dropblock_mask, words, 0);
FIELD(dropblock_mask, words_len, 8);
FIELD(dropblock_mask, drawn, 16);
FIELD(dropblock_mask, has_key, 64);
FIELD(dropblock_mask, reserved, 68);

SIZE(dropblock_map_part, 64);
FIELD(dropblock_map_part, sample, 0);
FIELD(dropblock_map_part, channel, 8);
FIELD(dropblock_map_part, position, 16);
FIELD(dropblock_map_part, len, 24);
FIELD(dropblock_map_part, keep, 32);
FIELD(dropblock_map_part, keep_len, 40);
FIELD(dropblock_map_part, scale_f64, 48);
FIELD(dropblock_map_part, scale_f32, 56);
FIELD(dropblock_map_part, reserved, 60);

SIZE(dropblock_dilation, 88);
FIELD(dropblock_dilation, rank, 0);
FIELD(dropblock_dilation, axes, 4);
FIELD(dropblock_dilation, alignment, 8);
FIELD(dropblock_dilation, backend, 12);
FIELD(dropblock_dilation, depth, 16);
FIELD(dropblock_dilation, height, 24);
FIELD(dropblock_dilation, width, 32);
FIELD(dropblock_dilation, block, 40);

SIZE(dropblock_step, 16);
FIELD(dropblock_step, step, 0);
FIELD(dropblock_step, value, 8);

SIZE(dropblock_schedule, 48);
FIELD(dropblock_schedule, course, 0);
FIELD(dropblock_schedule, reserved, 4);
FIELD(dropblock_schedule, start, 8);
FIELD(dropblock_schedule, end, 16);
FIELD(dropblock_schedule, held, 24);
FIELD(dropblock_schedule, steps, 32);
FIELD(dropblock_schedule, steps_len, 40);
#endif

_Static_assert(sizeof(dropblock_status) == 4, "numbers have 32 bits");
_Static_assert(sizeof(dropblock_plan_memory) == DROPBLOCK_PLAN_SIZE, "no padding");

int main(void) { return 0; }
