/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a pattern: made empty here, filled by one of the ways, shared, released. */
#ifndef VIC_PATTERN_PATTERN_H
#define VIC_PATTERN_PATTERN_H

#include "base/status.h"
#include "contract/pattern.h"

/* A pattern of these sizes with nothing else in it; with one_set n_k is not looked at.  The one place that makes a
 * struct vic_pattern.  BAD_ARGUMENT for sizes that no pattern can have. */
vic_status pattern_new(int64_t n_q, int64_t n_k, bool one_set, vic_pattern **out, vic_error *err);
/* Another one with the same atoms: positions, cell, structures, orders and wraps are copies; there are neither images
 * nor blocks nor rules. */
vic_status pattern_new_like(const vic_pattern *p, vic_pattern **out, vic_error *err);

vic_pattern *pattern_retain(const vic_pattern *p); /* any thread */
void pattern_release(vic_pattern *p);              /* frees with the last reference; NULL is fine */
bool pattern_is_alone(const vic_pattern *p); /* whether there is but one reference, which is then the caller's */
/* Releases what is kept of it on GPUs, which no longer holds when its memory becomes another pattern. */
void pattern_leave_devices(vic_pattern *p);

/* Where queries are keys, both sides are the same arrays: to be called once those of the queries are there. */
void pattern_share_sides(vic_pattern *p);
/* The rows of `cell` along periodic axes; zeros along the others. */
void pattern_set_cell(vic_pattern *p, const double cell[3][3], const bool periodic[3]);
/* Copies of global ids; NULL = none, and where one side of two sets has some, the other's are its atoms' numbers. */
vic_status pattern_set_ids(vic_pattern *p, const int64_t *q_ids, const int64_t *k_ids, vic_error *err);
/* Rows in the order of the atoms, as where there is no geometry; O(n_q). */
vic_status pattern_plain_order(vic_pattern *p, vic_error *err);
/* The order of the keys as an array [n_k] that lives as long as the pattern.  Any thread; O(n_k) the first time where
 * rows are in the order of the atoms. */
vic_status pattern_key_order(const vic_pattern *p, const int32_t **out, vic_error *err);

/* *slot = a copy of count elements; NULL stays NULL. */
vic_status array_copy(const void *from, int64_t count, size_t size, void *slot, vic_error *err);

/* "cutoff: expected ..." where it is not one. */
vic_status cutoff_check(double cutoff, vic_error *err);

/* ---- rules ---- */

const char *pattern_kind(const vic_pattern *p); /* of vic_pattern_info */

/* A new rule at the end, its arrays empty; *out lives until the next one. */
vic_status pattern_add_rule(vic_pattern *p, enum pattern_rule_kind kind, struct pattern_rule **out, vic_error *err);
/* The rules of `from` behind those of `p`; a pattern without any has the one that its cutoff stands for. */
vic_status pattern_copy_rules(const vic_pattern *from, vic_pattern *p, vic_error *err);
void rule_free(struct pattern_rule *rule); /* the arrays that it owns */

/* Copies of what takes no part, given by atom [n_q] and [n_k]; NULL = all do.  With one_set `k` is not looked at. */
vic_status rule_set_skip(const vic_pattern *p, struct pattern_rule *rule, const uint8_t *q, const uint8_t *k,
                         vic_error *err);
/* Rows of the strip that take part. */
uint64_t skip_rows(const vic_pattern *p, const uint8_t *q_skip, int64_t strip);

/* ---- info ---- */

/* The counts and sizes in p->info that follow from the pattern, beside info.pairs, which is there. */
void pattern_fill_info(vic_pattern *p);

#endif
