/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/self_pairs.h"

#include "base/memory.h"
#include "contract/pair_rule.h"

#include <string.h>

static size_t slot_of(int64_t id, size_t n_slots)
{
    return (size_t)(((uint64_t)id * 0x9e3779b97f4a7c15u) >> 32) & (n_slots - 1);
}

vic_status self_pairs_make(const vic_pattern *p, struct self_pairs *out, vic_error *err)
{
    *out = (struct self_pairs){ .p = p, .n_slots = 64 };
    while (out->n_slots < 2 * (size_t)p->n_k) out->n_slots *= 2;
    TRY(mem_array_zero(out->n_slots, sizeof *out->slots, "ids", &out->slots, err));
    for (int64_t row = 0; row < p->n_k; row++) {
        size_t at = slot_of(p->k_ids[p->k_order[row]], out->n_slots);
        while (out->slots[at]) at = (at + 1) & (out->n_slots - 1);
        out->slots[at] = (int32_t)row + 1;
    }
    return VIC_OK;
}

void self_pairs_free(struct self_pairs *s)
{
    free(s->slots);
}

static bool at_one_place(const vic_pattern *p, int32_t i, int32_t j, int32_t image)
{
    int32_t n[3];
    pair_image(p, image, i, j, n);
    return pair_distance2(p->q_positions + 3 * (int64_t)i, p->k_positions + 3 * (int64_t)j,
                          (const double(*)[3])p->cell, n[0], n[1], n[2]) == 0.0;
}

/* The pairs of row r of the strip, which is atom i, with one key row of the same id. */
static void remove_pairs(const vic_pattern *p, int r, int32_t i, int32_t key_row, struct block_list *l, size_t first)
{
    int32_t cluster = key_row / CLUSTER, j = p->k_order[key_row];
    uint64_t bit = (uint64_t)1 << r;
    for (size_t b = block_list_find(l, first, cluster); b < l->n && l->cluster[b] == cluster; b++) {
        uint64_t *rows = &l->bits[b].key[key_row % CLUSTER];
        if (!(*rows & bit) || !at_one_place(p, i, j, l->image[b])) continue;
        *rows &= ~bit;
        l->pairs[b]--;
    }
}

void self_pairs_remove(const struct self_pairs *s, int64_t strip, struct block_list *l, size_t first)
{
    const vic_pattern *p = s->p;
    for (int r = 0; r < STRIP && strip * STRIP + r < p->n_q; r++) {
        int32_t i = p->q_order[strip * STRIP + r];
        for (size_t at = slot_of(p->q_ids[i], s->n_slots); s->slots[at]; at = (at + 1) & (s->n_slots - 1)) {
            int32_t key_row = s->slots[at] - 1;
            if (p->k_ids[p->k_order[key_row]] == p->q_ids[i]) remove_pairs(p, r, i, key_row, l, first);
        }
    }
    block_list_drop_empty(l, first);
}
