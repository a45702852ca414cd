/* SPDX-License-Identifier: Apache-2.0 */
/* The order of atoms: k-d bisection, so that near atoms stand in near rows. */
#ifndef VIC_PATTERN_ORDER_H
#define VIC_PATTERN_ORDER_H

#include "base/threads.h"

/* order[row] = atom, for n points [n, 3].  A range of rows is halved across the longest side of its points' box, at a
 * multiple of 256 rows while it is longer than that, then of 64 (strips), 16 (clusters) and 8; the eight of a leaf
 * stand along their longest side.  Coordinates count in steps of 2^-32 of the longest side of all points' box, equal
 * ones are told apart by index: so the order is a function of the points alone, whatever the number of threads. */
vic_status order_kd(int64_t n, const double (*points)[3], struct pool *pool, int32_t *order, vic_error *err);

#endif
