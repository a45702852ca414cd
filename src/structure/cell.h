/* SPDX-License-Identifier: Apache-2.0 */
/* Plain algebra of a crystal's cell: three row vectors, a cell[0], b cell[1], c cell[2]. */
#ifndef VIC_STRUCTURE_CELL_H
#define VIC_STRUCTURE_CELL_H

#include <stdbool.h>
#include <stddef.h>

/* C does not turn double[3][3] into const double[3][3] by itself. */
#define CELL(matrix) ((const double(*)[3])(matrix))

/* a, b, c, alpha, beta, gamma -> row vectors, a along x, b in the xy plane (the PDB's convention).  Right angles give
 * exact zeros.  false: `why` (of why_size bytes) says what is wrong with which parameter, as "expected ..., found
 * ...". */
bool cell_from_parameters(const double parameters[6], double cell[3][3], char *why, size_t why_size);

void cell_to_parameters(const double cell[3][3], double parameters[6]); /* angles of zero vectors are 90 */

bool cell_is_zero(const double cell[3][3]);
bool cell_is_full(const double cell[3][3]);    /* three independent vectors */
bool cell_is_upright(const double cell[3][3]); /* a along +x, b in the xy plane with +y, c with +z */
double cell_volume(const double cell[3][3]);   /* signed: negative for a left-handed cell */
void cell_invert(const double cell[3][3], double inverse[3][3]); /* of a full cell */

/* The periodic vectors must be finite and independent.  false: `why` as above. */
bool cell_check_periodic(const double cell[3][3], const bool periodic[3], char *why, size_t why_size);

/* row = row . matrix: cartesian = fractional . cell, fractional = cartesian . inverse */
void cell_multiply(const double row[3], const double matrix[3][3], double out[3]);

/* Turn `cell` into the frame of the file's own matrix fract = matrix . r (PDB's SCALEn, fract_transf_matrix), which
 * is printed too coarsely to give the lengths.  false, and no change, when that matrix describes another cell. */
bool cell_turn_to_frame(const double fractional_matrix[3][3], double cell[3][3]);

#endif
