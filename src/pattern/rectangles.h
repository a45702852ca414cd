/* SPDX-License-Identifier: Apache-2.0 */
/* What block masks, windows and ranges share: rows as bits, and masks. */
#ifndef VIC_PATTERN_RECTANGLES_H
#define VIC_PATTERN_RECTANGLES_H

#include "pattern/block_list.h"

/* Bits low .. high - 1 of 64. */
static inline uint64_t row_bits(int low, int high)
{
    uint64_t below = high >= STRIP ? UINT64_MAX : ((uint64_t)1 << high) - 1;
    return low >= high ? 0 : below & ~(((uint64_t)1 << low) - 1);
}

/* Take out what takes no part by the rule's masks, of the blocks of a strip from `first` on. */
void mask_blocks(const vic_pattern *p, const struct pattern_rule *rule, int64_t strip, struct block_list *l,
                 size_t first);

#endif
