/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/symmetry.h"

#include "pattern/pattern.h"

#include <stdlib.h>

/* Going through the rows of a block mask in order, the blocks of a column must come in the order of the row of that
 * number. */
static vic_status blocks_are_symmetric(const struct pattern_rule *r, bool *out, vic_error *err)
{
    int64_t *next;
    *out = true;
    TRY(array_copy(r->ptr, r->rows + 1, sizeof *r->ptr, &next, err));
    for (int64_t row = 0; row < r->rows && *out; row++)
        for (int64_t t = r->ptr[row]; t < r->ptr[row + 1] && *out; t++) {
            int32_t column = r->index[t];
            int64_t at = next[column]++;
            *out = at < r->ptr[column + 1] && r->index[at] == row;
        }
    free(next);
    return VIC_OK;
}

/* Groups of one range, their own queries, that see as far back as ahead. */
static bool ranges_are_symmetric(const struct pattern_rule *r)
{
    if (r->count != r->keys || r->share != 1 || r->n != 2 * r->rows) return false;
    for (int64_t g = 0; g < r->rows; g++)
        if (r->ptr[g + 1] - r->ptr[g] != 2 || r->index[2 * g] != r->first[g] ||
            r->index[2 * g + 1] != r->first[g + 1])
            return false;
    return true;
}

static vic_status leaf_is_symmetric(const struct pattern_rule *r, bool *out, vic_error *err)
{
    if (r->kind == RULE_BLOCKS) return blocks_are_symmetric(r, out, err);
    *out = r->kind == RULE_CUTOFF || (r->kind == RULE_WINDOWS && r->count == r->keys) ||
           (r->kind == RULE_RANGES && ranges_are_symmetric(r));
    return VIC_OK;
}

vic_status pattern_find_symmetry(vic_pattern *p, vic_error *err)
{
    p->symmetric = p->one_set; /* a union or difference of symmetric sets is one */
    for (int64_t i = 0; i < p->n_rules && p->symmetric; i++)
        if (p->rules[i].kind != RULE_UNITE && p->rules[i].kind != RULE_SUBTRACT)
            TRY(leaf_is_symmetric(&p->rules[i], &p->symmetric, err));
    return VIC_OK;
}
