/* SPDX-License-Identifier: Apache-2.0 */
/* The policy of the engine: what a worker that is free does next.  It depends on what waits and on the time alone, and
 * costs the same however many lanes there are. */
#ifndef VIC_ENGINE_BATCH_H
#define VIC_ENGINE_BATCH_H

#include "engine/queue.h"

enum batch_step {
    BATCH_WAIT,   /* for a query to come, or for `until`; INT64_MAX = for a query alone */
    BATCH_TAKE,   /* the first `n` queries of `lane` */
    BATCH_EXPIRE, /* every query whose deadline has come */
};

struct batch_choice {
    enum batch_step step;
    struct lane *lane;
    int64_t n;
    int64_t until;
};

/* Deadlines first.  Else, of the lanes whose version is there, the one whose first query has waited longest, and of
 * that all that wait, up to the limit.  A lane with less than that waits for more until its first query has waited for
 * the endpoint's delay; `hurry` = not at all.  Unless `computes`, lanes that compute alone are left to another worker. */
struct batch_choice batch_choose(struct queue *q, int64_t now, bool hurry, bool computes);

#endif
