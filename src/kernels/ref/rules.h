/* SPDX-License-Identifier: Apache-2.0 */
/* The pairs of a row by the rules of contract/pattern.h, one by one and by brute force: the pattern's blocks, images,
 * wraps and orders are not used. */
#ifndef VIC_KERNELS_REF_RULES_H
#define VIC_KERNELS_REF_RULES_H

#include "base/status.h"
#include "contract/pattern.h"

struct rule_pair {
    int32_t key, image[3];
};

struct rules;
vic_status rules_make(const struct vic_pattern *p, int workers, struct rules **out, vic_error *err);
void rules_free(struct rules *rules); /* NULL is fine */

/* Returns the pairs of a query atom, sorted by key and image; they live until this worker's next call.  Where memory
 * runs out, or atoms are too far apart, there are none, and rules_status() returns why. */
const struct rule_pair *rules_row(struct rules *rules, int64_t query, int worker, int64_t *n);
vic_status rules_status(const struct rules *rules, vic_error *err); /* NULL = OK */

#endif
