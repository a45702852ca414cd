/* SPDX-License-Identifier: Apache-2.0 */
/* The comment line of an extended XYZ frame: key=value pairs, of which three matter here. */
#ifndef VIC_STRUCTURE_IO_EXTXYZ_H
#define VIC_STRUCTURE_IO_EXTXYZ_H

#include "structure/io/format.h"

enum { EXTXYZ_MAX_PROPERTIES = 128 };

struct extxyz_property {
    struct piece name;
    char type; /* S, R, I, L */
    int64_t columns;
};

struct extxyz_header {
    bool extended; /* has Lattice, Properties or pbc; otherwise plain XYZ, and the line is a title */
    bool has_lattice, has_pbc;
    double lattice[3][3];
    bool pbc[3];
    struct extxyz_property properties[EXTXYZ_MAX_PROPERTIES];
    int property_count;
    int species, position; /* indices of the two that are used */
};

/* file and line number are for messages; the header points into `comment`. */
vic_status extxyz_read_header(const char *file, int64_t number, struct piece comment, struct extxyz_header *out,
                              vic_error *err);

bool extxyz_read_flag(struct piece p, bool *value); /* T, F, true, false, .true., 1, 0 */

#endif
