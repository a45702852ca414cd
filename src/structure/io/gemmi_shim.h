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
 * -1 without memory.  alpha and gamma distinguish R3 on hexagonal from R3 on rhombohedral axes.  *two_origins: the group is
 * described from either of two origins (F d -3 m :1 and :2), and the name does not say from which. */
int shim_space_group(const char *name, double alpha, double gamma,
                     struct shim_operation operations[SHIM_MAX_OPERATIONS], bool *two_origins);
/* The same from a Hall symbol, which leaves no choice of origin or axes open. */
int shim_space_group_hall(const char *hall, struct shim_operation operations[SHIM_MAX_OPERATIONS]);

/* ---- CIF ---- */

/* Blocks, tags and values of a text, which must outlive it: what is handed out points into that text. */
struct shim_cif;

struct shim_text {
    const char *text; /* NULL when the column or the tag is absent; quotes taken off; not terminated */
    size_t length;
    bool null; /* absent, or an unquoted ? or . */
};

/* false: `why` is the reason (from gemmi, "line:column: ..." at its start where it knows them; *line is that line or 0,
 * and -1 when memory ran out). */
bool shim_cif_open(const char *text, size_t size, struct shim_cif **out, int64_t *line, char *why, size_t why_size);
int shim_cif_blocks(const struct shim_cif *cif);
void shim_cif_close(struct shim_cif *cif); /* NULL is fine */

/* Tags are compared without regard to case; a '?' in `tag` stands for '.' or '_', between which the dictionaries of
 * small molecules waver.  A loop of one row counts as a value. */
struct shim_text shim_cif_value(const struct shim_cif *cif, int block, const char *tag);

enum { SHIM_MOST_COLUMNS = 24 };

/* Some columns of one loop, or of tag-value pairs, which make a table of one row. */
struct shim_table {
    int64_t rows;
    int64_t line; /* of loop_, or of the first pair */
    int block;
    int loop;                       /* -1: pairs */
    int columns[SHIM_MOST_COLUMNS]; /* -1: absent */
};

/* The table that holds tags[0]; false when the block has none. */
bool shim_cif_table(const struct shim_cif *cif, int block, const char *const *tags, int count,
                    struct shim_table *out);
/* Absent where the table has no such column or row. */
struct shim_text shim_cif_cell(const struct shim_cif *cif, const struct shim_table *table, int64_t row, int column);

#ifdef __cplusplus
}
#endif
#endif
