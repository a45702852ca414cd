/* SPDX-License-Identifier: Apache-2.0 */
/* The only door to gemmi (C++): CIF syntax, space groups, and its correctly rounded number reader.  No exception
 * crosses; failures come back as text. */
#ifndef VIC_STRUCTURE_IO_GEMMI_SHIM_H
#define VIC_STRUCTURE_IO_GEMMI_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Any decimal number, independent of the locale. */
bool shim_read_double(const char *text, const char *end, double *value);

/* ---- Space groups ---- */

enum { SHIM_MAX_OPERATIONS = 192 }; /* the face-centred cubic groups */

/* x' = rotation x + translation, fractional coordinates. */
struct shim_operation {
    double rotation[3][3];
    double translation[3];
};

/* Operations of a Hermann-Mauguin name (or number), identity first, in gemmi's order; 0 for a name that is not known,
 * -1 without memory.  alpha and gamma tell R3 on hexagonal from R3 on rhombohedral axes. */
int shim_space_group(const char *name, double alpha, double gamma,
                     struct shim_operation operations[SHIM_MAX_OPERATIONS]);

/* ---- CIF ---- */

struct shim_cif;

/* Columns of _atom_site, in the order of shim_cell's argument.  An absent column gives NULL. */
enum shim_column {
    SHIM_X,
    SHIM_Y,
    SHIM_Z,
    SHIM_ID,
    SHIM_GROUP,
    SHIM_SYMBOL,
    SHIM_NAME,
    SHIM_AUTH_NAME,
    SHIM_ALTLOC,
    SHIM_RESIDUE,
    SHIM_AUTH_RESIDUE,
    SHIM_CHAIN,
    SHIM_AUTH_CHAIN,
    SHIM_SEQUENCE,
    SHIM_AUTH_SEQUENCE,
    SHIM_INSERTION,
    SHIM_OCCUPANCY,
    SHIM_B_FACTOR,
    SHIM_MODEL,
    SHIM_COLUMNS
};
extern const char *const shim_column_names[SHIM_COLUMNS]; /* "Cartn_x", ... */

struct shim_text {
    const char *text; /* NULL when the column or the tag is absent; quotes taken off; not always terminated */
    size_t length;
    bool null; /* an unquoted ? or . */
};

/* Parse, and find the first block with macromolecular atoms.  false: `why` tells (from gemmi, "line:column: ..." at
 * its start where it knows them; *line is that line or 0; -1 = out of memory).  *rows = 0 when no block has
 * _atom_site.Cartn_x. */
bool shim_cif_open(const char *text, size_t size, struct shim_cif **out, int64_t *rows, int64_t *line, char *why,
                   size_t why_size);
bool shim_cif_has_fractional_sites(const struct shim_cif *cif); /* _atom_site_fract_x: a small-molecule CIF */
struct shim_text shim_cif_site(const struct shim_cif *cif, int64_t row, enum shim_column column);
struct shim_text shim_cif_value(const struct shim_cif *cif, const char *tag); /* of the same block */
bool shim_cif_no_memory(const struct shim_cif *cif);     /* a value was not found for want of memory */
int64_t shim_cif_sites_line(const struct shim_cif *cif); /* line of the atoms' loop_, or 0 when it is not a loop */
void shim_cif_close(struct shim_cif *cif);

#ifdef __cplusplus
}
#endif
#endif
