/* SPDX-License-Identifier: Apache-2.0 */
/* `pattern --pairs-out`: all pairs of a pattern, with what makes sense of them. */
#ifndef VICINAL_CLI_PAIRS_OUT_H
#define VICINAL_CLI_PAIRS_OUT_H

#include "commands/pattern_report.h"

/* A .npz with i, j [pairs] and image [pairs, 3]; positions [atoms, 3] where they are known, and key_positions where
 * keys are other atoms; cell [3, 3] where an axis is periodic, and periodic [3]; d [pairs], the distances |r_j - r_i
 * + image . cell|; metadata, a text of JSON (metadata.h).  Several structures have no cell in common, and so no d. */
vic_status pairs_write(vic_context *c, const char *path, const struct pattern_input *in,
                       const struct pattern_built *b, vic_error *err);

#endif
