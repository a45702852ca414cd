/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns of patterns: the union and the difference of two over the same atoms, and a pattern without given pairs.
 */
#ifndef VIC_PATTERN_COMBINE_H
#define VIC_PATTERN_COMBINE_H

#include "pattern/pairs.h"

vic_status pattern_unite(const vic_pattern *a, const vic_pattern *b, struct pool *pool, vic_pattern **out,
                         vic_error *err);
/* The pairs of `a` that are not in `b`. */
vic_status pattern_difference(const vic_pattern *a, const vic_pattern *b, struct pool *pool, vic_pattern **out,
                              vic_error *err);
vic_status pattern_exclude(const vic_pattern *p, const struct pair_list *list, struct pool *pool, vic_pattern **out,
                           vic_error *err);

#endif
