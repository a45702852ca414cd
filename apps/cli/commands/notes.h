/* SPDX-License-Identifier: Apache-2.0 */
/* What a user should know beside the figures: rows "note" in text, the array "notes" in JSON. */
#ifndef VICINAL_CLI_NOTES_H
#define VICINAL_CLI_NOTES_H

#include "json.h"
#include "vicinal_structure.h"

enum { MOST_NOTES = 16 };

struct notes {
    char text[MOST_NOTES][512];
    int n;
};

void notes_add(struct notes *notes, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Also on stderr, at once: for what is probably a mistake. */
void notes_warn(struct notes *notes, const char *format, ...) __attribute__((format(printf, 2, 3)));
void notes_json(struct json *j, const struct notes *notes); /* "notes": [...] */
void notes_text(const struct notes *notes);

/* What was decided in reading (vic_structure_info's notes), and a warning where no matter is so dense: the usual
 * reason is nanometres where angstrom are expected. */
void notes_structure(struct notes *notes, const vic_structure_info *v);

/* Where no atom has a neighbour but itself: the usual reason is a cutoff in nanometres. */
void notes_lonely(struct notes *notes, int64_t atoms, int64_t pairs, bool no_self, double cutoff);

#endif
