/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/strip_order.h"

#include "base/memory.h"
#include "kernels/cpu/attention_cpu.h"

#include <string.h>

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

/* The pairs that P V is computed for: 16 for every (key, row group) with a bit.  The scores of a group are computed
 * for a multiple of STEP_KEYS keys in each chunk, which adds 1 to 3 % to that half of the work. */
static int64_t strip_pairs(const struct vic_pattern *p, int64_t strip)
{
    int64_t keys = 0;
    for (int64_t i = p->partial_ptr[strip]; i < p->partial_ptr[strip + 1]; i++) {
        uint16_t groups[CLUSTER * STRIP_GROUPS];
        int in_block = 0;
        _Static_assert(sizeof groups == sizeof p->partial_bits[i], "a block is its groups");
        memcpy(groups, &p->partial_bits[i], sizeof groups);
        for (int g = 0; g < CLUSTER * STRIP_GROUPS; g++) in_block += groups[g] != 0;
        keys += in_block;
    }
    for (int64_t i = p->full_ptr[strip]; i < p->full_ptr[strip + 1]; i++)
        keys += (int64_t)p->full_runs[i].count * CLUSTER * STRIP_GROUPS;
    return keys * GROUP_ROWS;
}

vic_status strip_order_make(const struct vic_pattern *p, int32_t **out, int64_t *pairs, vic_error *err)
{
    vic_status st = VIC_OK;
    int64_t *work = NULL;
    int32_t *order = NULL;
    TRY_GOTO(mem_array((size_t)p->strips, sizeof *order, "strips", &order, err), done);
    TRY_GOTO(mem_array((size_t)p->strips, sizeof *work, "strips", &work, err), done);
    *pairs = 0;
    for (int64_t s = 0; s < p->strips; s++) {
        work[s] = strip_pairs(p, s);
        *pairs += work[s];
    }
    TRY_GOTO(strip_order(p->strips, work, order, err), done);
    *out = order;
    order = NULL;
done:
    free(work);
    free(order);
    return st;
}
