/* SPDX-License-Identifier: Apache-2.0 */
/* Self pairs by global ids: pairs of atoms with the same id at the same place (contract/pattern.h). */
#ifndef VIC_PATTERN_SELF_PAIRS_H
#define VIC_PATTERN_SELF_PAIRS_H

#include "pattern/block_list.h"

struct self_pairs {
    const vic_pattern *p;
    int32_t *slots; /* key row + 1, found by hashing its id; 0 = empty */
    size_t n_slots;
};

/* For the pattern `p`, whose positions, orders, wraps, images and ids are there. */
vic_status self_pairs_make(const vic_pattern *p, struct self_pairs *out, vic_error *err);
void self_pairs_free(struct self_pairs *s);

/* Take them out of the blocks of a strip, which are those of the list from `first` on, sorted and counted. */
void self_pairs_remove(const struct self_pairs *s, int64_t strip, struct block_list *l, size_t first);

#endif
