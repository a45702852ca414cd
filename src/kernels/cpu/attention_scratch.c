/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/attention_cpu.h"

#include <string.h>

static size_t round_up(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* Sets *part (where `s` is given) and returns the offset behind it.  Sizes cannot overflow: heads are an int, and the
 * other factors together stay below 2^18. */
static size_t place(struct strip_scratch *s, void *part, size_t offset, size_t floats)
{
    void *at = (char *)s + offset;
    if (s) memcpy(part, &at, sizeof at);
    return offset + round_up(floats * sizeof(float));
}

static size_t lay_out(const struct attention_shape *shape, bool radial, struct strip_scratch *s)
{
    struct strip_scratch none;
    struct strip_scratch *to = s ? s : &none;
    size_t heads = (size_t)shape->heads, d_qk = (size_t)shape->d_qk, d_v = (size_t)shape->d_v;
    size_t end = round_up(sizeof *s);
    to->k_float = to->v_float = to->beyond = NULL;
    to->terms = NULL;
    to->point = NULL;
    if (shape->dtype != VIC_F32) {
        end = place(s, &to->k_float, end, CHUNK * d_qk);
        end = place(s, &to->v_float, end, CHUNK * d_v);
    }
    if (radial) {
        end = place(s, &to->terms, end, CHUNK * GROUP);
        end = place(s, &to->point, end, (size_t)GROUPS * CHUNK * GROUP);
        end = place(s, &to->beyond, end, (size_t)GROUPS * CHUNK * GROUP);
    }
    end = place(s, &to->query, end, heads * STRIP * d_qk);
    end = place(s, &to->sum, end, heads * STRIP * d_v);
    end = place(s, &to->max, end, heads * STRIP);
    end = place(s, &to->lowest, end, heads * STRIP);
    end = place(s, &to->weight, end, heads * STRIP);
    if (s) s->todo = (uint8_t *)s + end;
    return end + round_up(heads * GROUPS);
}

size_t strip_scratch_size(const struct attention_shape *shape, bool radial)
{
    return lay_out(shape, radial, NULL);
}

struct strip_scratch *strip_scratch_place(const struct attention_shape *shape, bool radial, void *memory)
{
    struct strip_scratch *s = memory;
    lay_out(shape, radial, s);
    return s;
}
