/* SPDX-License-Identifier: Apache-2.0 */
/* What every report says of a structure, in text, JSON and pictures: along which axes it is periodic, its space group
 * and whether that was applied, and what was decided in reading. */
#ifndef VICINAL_CLI_STRUCTURE_REPORT_H
#define VICINAL_CLI_STRUCTURE_REPORT_H

#include "json.h"
#include "vicinal_structure.h"

enum { STRUCTURE_CAPTION = 512 };

/* `v` may be all zeros: atoms without a structure.  `read`: as the structure was asked for. */
void structure_text(const vic_structure_info *v, const vic_read_options *read); /* rows */
void structure_json(struct json *j, const vic_structure_info *v,
                    const vic_read_options *read); /* periodic, space_group, symmetry, ... */
/* One sentence for a picture; returns `out`. */
const char *structure_caption(const vic_structure_info *v, const vic_read_options *read, char out[STRUCTURE_CAPTION]);

#endif
