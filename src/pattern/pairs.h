/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns from lists of pairs, and such lists as the blocks of a strip. */
#ifndef VIC_PATTERN_PAIRS_H
#define VIC_PATTERN_PAIRS_H

#include "pattern/assemble.h"
#include "pattern/images.h"
#include "pattern/point_set.h"

/* As the caller gives them, in any order. */
struct pair_list {
    int64_t n;
    const int32_t *query, *key;
    const int32_t *image; /* [n, 3] or NULL */
};

/* The list in CSR form by query atom, into rule->rows, n, ptr, index and image.  BAD_INPUT, with the place in the
 * list, for an atom that does not exist, an image along an axis that is not periodic, or a pair that comes twice. */
vic_status pair_list_take(const vic_pattern *p, const struct pair_list *list, struct pattern_rule *rule,
                          vic_error *err);

vic_status pattern_from_pairs(const struct point_set *queries, const struct point_set *keys,
                              const struct pair_list *list, struct pool *pool, vic_pattern **out, vic_error *err);

/* Pairs in CSR form as a source of blocks for assemble(), one after another or as a part of another source. */
struct list_source {
    const vic_pattern *p;
    const struct pattern_rule *rule;
    int32_t *row_of_key;   /* [n_k] by atom */
    struct list_map *maps; /* [workers] */
    int workers;
};
vic_status list_source_make(const vic_pattern *p, const struct pattern_rule *rule, struct pool *pool,
                            struct list_source *out, vic_error *err);
void list_source_free(struct list_source *source);
/* A strip_source, sorted or not.  All images of the list must be in the pattern's. */
vic_status list_source_strip(void *source, int64_t strip, int worker, struct block_list *out, vic_error *err);

/* Add the block images of a list to `set`. */
vic_status list_images(const vic_pattern *p, const struct pattern_rule *rule, struct image_set *set, vic_error *err);

#endif
