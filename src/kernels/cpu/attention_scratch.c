/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sizes.h"
#include "kernels/cpu/attention_cpu.h"

#include <string.h>

static size_t round_up(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* Sets the pointer *array to `offset` bytes behind `s`, where `s` is given, and returns the offset at which the array
 * ends.  Sizes cannot overflow: heads are an int, and the other factors together stay below 2^18. */
static size_t add_array(struct strip_scratch *s, void *array, size_t offset, size_t floats)
{
    if (s) {
        void *at = (char *)s + offset;
        memcpy(array, &at, sizeof at);
    }
    return offset + round_up(floats * sizeof(float));
}

static size_t lay_out(const struct attention_shape *shape, const struct strip_use *use, struct strip_scratch *s)
{
    const bool bias = use->bias, gradients = use->gradients;
    struct strip_scratch none;
    struct strip_scratch *to = s ? s : &none;
    size_t heads = (size_t)shape->heads, d_qk = (size_t)shape->d_qk, d_v = (size_t)shape->d_v;
    size_t end = round_up(sizeof *s);
    to->k_float = to->v_float = to->bias_fraction = NULL;
    to->value = to->query_sum = to->key_lse = to->key_project = NULL;
    to->bias = to->pull = to->exponent = NULL;
    to->bias_point = NULL;
    to->pair_bias = to->pair_sums = NULL;
    if (shape->dtype != VIC_F32) {
        end = add_array(s, &to->k_float, end, CHUNK * d_qk);
        end = add_array(s, &to->v_float, end, CHUNK * d_v);
    }
    if (bias) {
        end = add_array(s, &to->bias, end, CHUNK * GROUP_ROWS);
        end = add_array(s, &to->bias_point, end, (size_t)STRIP_GROUPS * CHUNK * GROUP_ROWS);
        end = add_array(s, &to->bias_fraction, end, (size_t)STRIP_GROUPS * CHUNK * GROUP_ROWS);
    }
    if (use->pair_bias)
        end = add_array(s, &to->pair_bias, end, (size_t)STRIP_GROUPS * CHUNK * HEADS_STAGED * GROUP_ROWS);
    end = add_array(s, &to->query, end, heads * STRIP * d_qk);
    end = add_array(s, &to->sum, end, heads * STRIP * d_v);
    end = add_array(s, &to->max, end, heads * STRIP);
    end = add_array(s, &to->lowest, end, heads * STRIP);
    end = add_array(s, &to->weight, end, heads * STRIP);
    if (gradients) {
        end = add_array(s, &to->value, end, heads * STRIP * d_v);
        end = add_array(s, &to->query_sum, end, heads * STRIP * d_qk);
        end = add_array(s, &to->pull, end, (CHUNK + KEY_PAD) * GROUP_ROWS);
        end = add_array(s, &to->key_lse, end, CHUNK);
        end = add_array(s, &to->key_project, end, CHUNK);
        if (bias) end = add_array(s, &to->exponent, end, CHUNK * GROUP_ROWS);
    }
    if (s) s->todo = (uint8_t *)s + end;
    return end + round_up(heads * STRIP_GROUPS);
}

/* How many pairs a strip has is not limited. */
size_t strip_scratch_size(const struct attention_shape *shape, const struct strip_use *use)
{
    size_t sums = size_times(size_times((size_t)use->pair_sums, (size_t)shape->heads), sizeof(float));
    return size_plus(lay_out(shape, use, NULL), size_plus(sums, 63) / 64 * 64);
}

struct strip_scratch *strip_scratch_place(const struct attention_shape *shape, const struct strip_use *use,
                                          void *memory)
{
    struct strip_scratch *s = memory;
    size_t end = lay_out(shape, use, s);
    if (use->pair_sums > 0) s->pair_sums = (float *)(void *)((char *)memory + end);
    return s;
}
