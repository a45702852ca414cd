/* SPDX-License-Identifier: Apache-2.0 */
/* What src/pattern will have. */
#include "pattern/build.h"
#include "pattern/join.h"
#include "pattern/point_set.h"
#include "pattern/nearest.h"
#include "pattern/pattern.h"
#include "pattern/expand.h"
#include "contract/block_walk.h"
#include <string.h>

static inline vic_status pattern_update(vic_pattern **p, const struct point_set *q, const struct point_set *k, struct pool *pool, vic_error *err)
{
    vic_pattern *old = *p;
    struct pattern_input input = { .n_q = old->n_q, .n_k = old->one_set ? 0 : old->n_k, .q_positions = q->positions,
                                   .k_positions = k ? k->positions : NULL, .cutoff = old->cutoff, .exclude_self = old->exclude_self };
    if (old->n_rules > 0)
        return vic_fail(err, VIC_BAD_ARGUMENT, "only the pattern of a cutoff follows its atoms, got one of kind %s", pattern_kind(old));
    memcpy(input.cell, q->cells ? q->cells : &old->cell[0][0], sizeof input.cell);
    memcpy(input.periodic, old->periodic, sizeof input.periodic);
    *p = NULL;
    return pattern_rebuild(&input, old, pool, p, err);
}
