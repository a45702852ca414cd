/* SPDX-License-Identifier: Apache-2.0 */
/* The comment line of an extended XYZ frame: key=value pairs, of which three matter here. */
#ifndef VIC_STRUCTURE_IO_EXTXYZ_H
#define VIC_STRUCTURE_IO_EXTXYZ_H

#include "structure/io/format.h"

struct extxyz_header {
    bool extended; /* has Lattice, Properties or pbc; otherwise plain XYZ, and the line is a title */
    bool has_lattice, has_pbc;
    char lattice_problem[200]; /* why Lattice cannot be read; then has_lattice is false */
    double lattice[3][3];
    bool pbc[3];
    int64_t position, species; /* the columns where they stand, from 0; species -1: none */
    int64_t columns;           /* as many as Properties has; -1 where what follows the used ones is not understood */
    bool words_before;         /* a column of words stands before a used one: a blank in it would move what follows */
};

/* file and line number are for messages; the header points into `comment`. */
vic_status extxyz_read_header(const char *file, int64_t number, struct piece comment, struct extxyz_header *out,
                              vic_error *err);

#endif
