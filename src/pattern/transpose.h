/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIC_PATTERN_TRANSPOSE_H
#define VIC_PATTERN_TRANSPOSE_H

#include "base/threads.h"
#include "contract/pattern.h"

/* Queries and keys change places: (j, i, -n) for every (i, j, n).  Of one that is p->symmetric it is another
 * reference to the pattern itself. */
vic_status pattern_transpose(const vic_pattern *p, struct pool *pool, vic_pattern **out, vic_error *err);

/* t[4 g + ...]: of a block's bits, 16 keys by 64 rows, the four squares of 16 rows turned round: bit 16 g + c of
 * word r says what bit 16 g + r of word c said. */
void block_turn(struct block_bits *bits);

#endif
