/* SPDX-License-Identifier: Apache-2.0 */
/* The space group of a file's cell: which operations it has, and their application. */
#ifndef VIC_STRUCTURE_SYMMETRY_H
#define VIC_STRUCTURE_SYMMETRY_H

#include "structure/io/format.h"
#include "structure/structure.h"

/* How many operations the file's cell leaves to be applied (s->unapplied_operations, as in vic_structure_info): none
 * where symmetry is asked for, or where the cell is not the file's.  `name` is for messages. */
vic_status symmetry_count(const struct file_content *c, const char *name, const vic_read_options *options,
                          struct vic_structure *s, vic_error *err);

/* The file's own list, else its Hall symbol, else its Hermann-Mauguin name; see expand_symmetry(). */
vic_status symmetry_apply(const struct file_content *c, const char *name, const vic_read_options *options,
                          struct vic_structure *s, vic_error *err);

#endif
