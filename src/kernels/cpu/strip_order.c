/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/strip_order.h"

#include "base/memory.h"

enum { FEWEST_LAST = 64 };

struct weighed_strip {
    int64_t work;
    int32_t strip;
};

static int by_strip(const void *a, const void *b)
{
    const struct weighed_strip *p = a, *q = b;
    return (p->strip > q->strip) - (p->strip < q->strip);
}

static int heaviest_first(const void *a, const void *b)
{
    const struct weighed_strip *p = a, *q = b;
    if (p->work != q->work) return p->work > q->work ? -1 : 1;
    return by_strip(a, b);
}

vic_status strip_order(int64_t strips, const int64_t *work, int32_t *order, vic_error *err)
{
    struct weighed_strip *weighed;
    int64_t last = strips / 8 > FEWEST_LAST ? strips / 8 : FEWEST_LAST;
    TRY(mem_array((size_t)strips, sizeof *weighed, "strips", &weighed, err));
    for (int64_t s = 0; s < strips; s++) weighed[s] = (struct weighed_strip){ work[s], (int32_t)s };
    qsort(weighed, (size_t)strips, sizeof *weighed, heaviest_first);
    if (strips > last) qsort(weighed, (size_t)(strips - last), sizeof *weighed, by_strip);
    for (int64_t s = 0; s < strips; s++) order[s] = weighed[s].strip;
    free(weighed);
    return VIC_OK;
}
