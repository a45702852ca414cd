/* SPDX-License-Identifier: Apache-2.0 */
/* Block masks made from a text, so that benchmarks and tests name the same one everywhere. */
#ifndef VIC_PATTERN_GENERATE_H
#define VIC_PATTERN_GENERATE_H

#include "base/threads.h"
#include "contract/pattern.h"

/* "blocks:63x63:n=800,seed=1", "blocks:126x126:density=0.2,block=64", "origin:800". */
vic_status pattern_generate(const char *text, struct pool *pool, vic_pattern **out, vic_error *err);

#endif
