/* SPDX-License-Identifier: Apache-2.0 */
/* Several structures in one pattern: their rows follow one another without padding, so small ones share strips. */
#ifndef VIC_PATTERN_STRUCTURES_H
#define VIC_PATTERN_STRUCTURES_H

#include "base/threads.h"
#include "contract/pattern.h"

struct structures_input {
    int64_t structures;
    const int64_t *offsets;  /* [structures + 1] */
    const double *positions; /* [offsets[structures], 3] */
    const double *cells;     /* [structures, 3, 3] or NULL */
    const bool *periodic;    /* [structures, 3] or NULL: all axes where there are cells */
    double cutoff;
    bool exclude_self;
    const uint8_t *skip; /* [atoms] or NULL */
};
vic_status pattern_build_structures(const struct structures_input *input, struct pool *pool, vic_pattern **out,
                                    vic_error *err);

#endif
