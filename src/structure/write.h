/* SPDX-License-Identifier: Apache-2.0 */
/* What write.c gives to the writer of one format. */
#ifndef VIC_STRUCTURE_WRITE_H
#define VIC_STRUCTURE_WRITE_H

#include "structure/structure.h"

#include <stdio.h>

struct writing {
    FILE *file; /* errors of it are looked for at the end */
    const char *path, *value_name;
    const double *values; /* [atoms] */
};

/* As PDBx/mmCIF, the values as B_iso_or_equiv. */
vic_status write_mmcif(const struct writing *w, const struct vic_structure *s, vic_error *err);

#endif
