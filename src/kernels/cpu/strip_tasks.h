/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIC_KERNELS_CPU_STRIP_TASKS_H
#define VIC_KERNELS_CPU_STRIP_TASKS_H

#include <stdint.h>

/* The strips of all entries follow each other: number at = entry * strips + its place in strip_order.  A task is
 * TOGETHER of them, which share keys and values, and each of which knows the next.  The last SINGLE strips per thread
 * are tasks by themselves, so that threads end together. */
enum { TOGETHER = 4, SINGLE = 8 };

struct strip_tasks {
    int64_t total;    /* strips of all entries */
    int64_t together; /* so many tasks have TOGETHER strips; the others have one */
    int64_t count;    /* tasks */
};

static inline struct strip_tasks strip_tasks_make(int64_t total, int threads)
{
    int64_t many = total - (int64_t)threads * SINGLE, together = many > 0 ? many / TOGETHER : 0;
    return (struct strip_tasks){ total, together, together + (total - together * TOGETHER) };
}

/* The number of a task's first strip; for a task behind the last one, the number of strips. */
static inline int64_t strip_tasks_first(const struct strip_tasks *t, int64_t task)
{
    int64_t together = task < t->together ? task : t->together;
    int64_t at = together * TOGETHER + (task - together);
    return at < t->total ? at : t->total;
}

#endif
