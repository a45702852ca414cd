/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/rectangles.h"

#include "pattern/pattern.h"

void mask_blocks(const vic_pattern *p, const struct pattern_rule *rule, int64_t strip, struct block_list *l,
                 size_t first)
{
    const uint8_t *k_skip = rule->k_skip;
    uint64_t rows;
    if (!rule->q_skip && !k_skip) return;
    rows = skip_rows(p, rule->q_skip, strip);
    for (size_t i = first; i < l->n; i++)
        for (int c = 0; c < CLUSTER; c++) {
            int64_t key = (int64_t)l->cluster[i] * CLUSTER + c;
            bool out = key >= p->n_k || (k_skip && k_skip[pattern_key(p, key)]);
            l->bits[i].key[c] = out ? 0 : l->bits[i].key[c] & rows;
        }
}
