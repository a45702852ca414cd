/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIC_KERNELS_CPU_STRIP_ORDER_H
#define VIC_KERNELS_CPU_STRIP_ORDER_H

#include "base/status.h"

/* In which order threads take strips, of which `work`[strip] is the time: order [strips], a permutation.  Strips that
 * follow each other in the pattern share most of their keys and values, which are then still in the caches: so they
 * go in its order.  The lightest come last, the heavier of them first, so that threads end together; in small
 * patterns, which the caches hold anyway, that is all of them. */
vic_status strip_order(int64_t strips, const int64_t *work, int32_t *order, vic_error *err);

#endif
