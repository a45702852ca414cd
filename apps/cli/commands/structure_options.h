/* SPDX-License-Identifier: Apache-2.0 */
/* The options about which atoms to take, common to every subcommand that reads a structure. */
#ifndef VICINAL_CLI_STRUCTURE_OPTIONS_H
#define VICINAL_CLI_STRUCTURE_OPTIONS_H

#include "options.h"
#include "vicinal_structure.h"

enum { STRUCTURE_OPTIONS = 10, OUTPUT_OPTIONS = 2 };

struct structure_options {
    vic_read_options read;
    int altloc, duplicates;
    bool json;
    int threads; /* 0 = all */
};

void structure_options_init(struct structure_options *s);

/* Fill the rows for an option table; they point into *s. */
void structure_options_rows(struct structure_options *s, struct option rows[STRUCTURE_OPTIONS]);
void output_options_rows(struct structure_options *s, struct option rows[OUTPUT_OPTIONS]); /* --threads, --json */

/* The name of an option among the rows that asks for something, or NULL: for inputs that have no atoms to choose. */
const char *structure_options_asked(const struct structure_options *s);

/* Read the file as the options say, standard input where it is "-"; *seconds is what it took. */
vic_status structure_open(const struct structure_options *s, const char *path, vic_structure **out, double *seconds,
                          vic_error *err);
vic_status structure_look(const vic_structure *s, vic_structure_info *out, vic_error *err); /* vic_structure_get() */

/* Parsing, on its own for tests. */
vic_status parse_cell(const char *text, double cell[6], vic_error *err);
vic_status parse_supercell(const char *text, int32_t supercell[3], vic_error *err);
vic_status parse_pbc(const char *text, vic_pbc *pbc, bool periodic[3], vic_error *err);

#endif
