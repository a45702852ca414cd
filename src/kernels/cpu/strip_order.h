/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIC_KERNELS_CPU_STRIP_ORDER_H
#define VIC_KERNELS_CPU_STRIP_ORDER_H

#include "base/status.h"
#include "contract/pattern.h"

/* Sets order [strips] to the permutation of the strips in which threads take them, where `work`[strip] is the time
 * that a strip takes.  Strips that follow each other in the pattern share most of their keys and values, which are
 * then still in the caches, so most strips keep the pattern's order.  The lightest eighth comes last (at least the
 * 64 lightest), the heavier of them first, so that threads end together; in small patterns, which the caches hold
 * anyway, these are all strips. */
vic_status strip_order(int64_t strips, const int64_t *work, int32_t *order, vic_error *err);

/* The same for the strips of a pattern, in an array of its own, which the caller frees; *pairs is the number of pairs
 * that one head computes with. */
vic_status strip_order_make(const struct vic_pattern *p, int32_t **order, int64_t *pairs, vic_error *err);

#endif
