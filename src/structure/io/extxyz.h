/* SPDX-License-Identifier: Apache-2.0 */
/* The comment line of an XYZ frame.  Extended XYZ has key=value pairs there, of which three matter here; i-PI has the
 * cell's edges and angles. */
#ifndef VIC_STRUCTURE_IO_EXTXYZ_H
#define VIC_STRUCTURE_IO_EXTXYZ_H

#include "structure/io/format.h"

struct extxyz_header {
    bool extended; /* has Lattice, Properties or pbc; otherwise plain XYZ, and the line is a title */
    bool has_lattice, has_pbc;
    char lattice_problem[200]; /* why the cell cannot be read; then there is none */
    double lattice[3][3];
    bool pbc[3];
    bool has_parameters; /* i-PI's; those of no cell are left out */
    double parameters[6];
    bool unit_assumed;         /* they have no unit */
    struct piece cell_left;    /* what looks like a cell in another form, which is not read */
    int64_t position, species; /* the columns where they stand, from 0; species -1: none */
    int64_t columns;           /* as many as Properties has; -1 where what follows the used ones is not understood */
    bool words_before;         /* a column of words stands before a used one: a blank in it would move what follows */
};

/* file and line number are for messages; the header points into `comment`. */
vic_status extxyz_read_header(const char *file, int64_t number, struct piece comment, struct extxyz_header *out,
                              vic_error *err);

#endif
