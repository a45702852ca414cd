/* SPDX-License-Identifier: Apache-2.0 */
#include "device/permute.h"

#include <string.h>

enum { TASK_ROWS = 512 };

struct permuting {
    const struct device_permutation *m;
    const int32_t *order;
};

static void permute_task(void *context, int64_t task, int worker)
{
    const struct permuting *p = context;
    const struct device_permutation *m = p->m;
    (void)worker;
    for (int64_t row = task * TASK_ROWS; row < m->n && row < (task + 1) * TASK_ROWS; row++) {
        const char *from = (const char *)m->from + (m->scatter ? row : p->order[row]) * m->from_row;
        char *to = (char *)m->to + (m->scatter ? p->order[row] : row) * m->to_row;
        for (int64_t a = 0; a < m->inner[0]; a++)
            for (int64_t b = 0; b < m->inner[1]; b++)
                memcpy(to + a * m->to_inner[0] + b * m->to_inner[1],
                       from + a * m->from_inner[0] + b * m->from_inner[1], (size_t)m->run);
    }
}

void cpu_permute(const struct device_permutation *m, const int32_t *order, struct pool *pool)
{
    struct permuting work = { m, order };
    pool_run(pool, (m->n + TASK_ROWS - 1) / TASK_ROWS, permute_task, &work);
}
