/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIC_PATTERN_PAIR_NUMBERS_H
#define VIC_PATTERN_PAIR_NUMBERS_H

#include "base/threads.h"
#include "contract/pair_bias.h"
#include "contract/pattern.h"

/* The numbers of a pattern's pairs.  *out is freed by pair_numbers_free(), and is NULL on failure.  Memory: 4 bytes a
 * pair.  BAD_ARGUMENT for 2^32 pairs or more. */
vic_status pair_numbers_make(const vic_pattern *p, struct pool *pool, struct pair_numbers **out, vic_error *err);
/* `transposed` is the transpose of `p`, or `p` itself where that is its own: of each of its pairs the number that the
 * same pair has in `p`.  Takes 8 more bytes a pair meanwhile. */
vic_status pair_numbers_transposed(const vic_pattern *p, const struct pair_numbers *numbers,
                                   const vic_pattern *transposed, struct pool *pool, struct pair_numbers **out,
                                   vic_error *err);
void pair_numbers_free(struct pair_numbers *numbers); /* NULL is fine */
size_t pair_numbers_bytes(const vic_pattern *p);      /* of one such object */

#endif
