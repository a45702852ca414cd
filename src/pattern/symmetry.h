/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIC_PATTERN_SYMMETRY_H
#define VIC_PATTERN_SYMMETRY_H

#include "base/status.h"
#include "contract/pattern.h"

/* p->symmetric, by the rules alone; lists of pairs are not looked at, and count as not symmetric. */
vic_status pattern_find_symmetry(vic_pattern *p, vic_error *err);

#endif
