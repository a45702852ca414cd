/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/cutoff.h"

#include "pattern/build.h"
#include "pattern/groups.h"
#include "pattern/pattern.h"

#include <string.h>

static vic_status build_plain(const struct point_set *q, const struct point_set *k, const struct cutoff_input *in,
                              struct pool *pool, vic_pattern **out, vic_error *err)
{
    struct pattern_input input = { .n_q = q->n,
                                   .n_k = k ? k->n : 0,
                                   .q_positions = q->positions,
                                   .k_positions = k ? k->positions : NULL,
                                   .q_ids = q->ids,
                                   .k_ids = k ? k->ids : NULL,
                                   .cutoff = in->cutoff,
                                   .exclude_self = in->exclude_self,
                                   .max_bytes = in->max_bytes,
                                   .estimate = in->estimate };
    struct pattern_cell cell;
    point_set_cell(q, &cell);
    memcpy(input.cell, cell.cell, sizeof input.cell);
    memcpy(input.periodic, cell.periodic, sizeof input.periodic);
    return pattern_build(&input, pool, out, err);
}

static vic_status check_positions(const char *what, const struct point_set *s, vic_error *err)
{
    if (!s || s->positions || s->n <= 0) return VIC_OK;
    return vic_fail(err, VIC_BAD_ARGUMENT, "%spositions is NULL, but there are %lld atoms", what, (long long)s->n);
}

vic_status pattern_cutoff(const struct point_set *queries, const struct point_set *keys,
                          const struct cutoff_input *in, struct pool *pool, vic_pattern **out, vic_error *err)
{
    const struct point_set q = point_set_placed(queries), none = { .n = 0 },
                           k = point_set_placed(keys ? keys : &none);
    const struct pattern_rule rule = { .kind = RULE_CUTOFF, .cutoff = in->cutoff, .exclude_self = in->exclude_self };
    *out = NULL;
    TRY(cutoff_check(in->cutoff, err));
    TRY(point_sets_check(queries, keys, err));
    TRY(check_positions("", &q, err));
    TRY(check_positions("key_", &k, err));
    if (q.groups > 0 || q.mask || (keys && k.mask))
        return groups_build(&q, keys ? &k : NULL, &rule, in->max_bytes, in->estimate, pool, out, err);
    return build_plain(&q, keys ? &k : NULL, in, pool, out, err);
}
