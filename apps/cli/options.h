/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines by table: what a subcommand accepts, how values are checked, and its --help, all from the same
 * rows. */
#ifndef VICINAL_CLI_OPTIONS_H
#define VICINAL_CLI_OPTIONS_H

#include "cli.h"

enum option_kind {
    OPTION_FLAG,   /* bool *: set to true */
    OPTION_TEXT,   /* const char **: points into argv */
    OPTION_INPUT,  /* the same, and it may be the name of a file, or FILE:NAME, that is read */
    OPTION_OUTPUT, /* the same, the name of a file that is written; `choices` are its endings, ".npy|.npz" */
    OPTION_INT,    /* int *: min <= value <= max */
    OPTION_UINT64, /* uint64_t * */
    OPTION_REAL,   /* double *: finite, min < value <= max (open below, for lengths) */
    OPTION_CHOICE, /* int *: index in `choices`, words divided by '|' */
    OPTION_CUSTOM, /* parse() */
};

struct option {
    const char *name;  /* "--cutoff", "-o" */
    const char *value; /* as --help calls it: "R"; NULL for a flag */
    const char *help;
    enum option_kind kind;
    void *target;
    double min, max;
    const char *choices;
    vic_status (*parse)(const struct option *o, const char *text, vic_error *err);
};

struct option_group {
    const char *title;
    const struct option *options;
    int count;
};

/* What a subcommand accepts.  `operand` is "FILE" when it takes one (and needs it), else NULL. */
struct syntax {
    const char *command, *operand, *summary;
    const char *notes; /* paragraphs after the options; may be NULL */
    const struct option_group *groups;
    int group_count;
};

/* Read argv by the table.  Accepts `--name value`, `--name=value`, `-o value`, operands anywhere, `--` before
 * operands that begin with a dash.  An option may set *operand: then none is expected.  Files are held against each
 * other and against their endings (files.h).
 * --help prints the help on stdout and sets *helped: the caller returns at once.
 * Fails with BAD_ARGUMENT; the text names the option, what was expected, what came, and the nearest known name. */
vic_status options_read(const struct syntax *s, int argc, char **argv, const char **operand, bool *helped,
                        vic_error *err);

/* The same for any number of operands up to `most`, or none. */
vic_status options_read_many(const struct syntax *s, int argc, char **argv, const char **operands, int most,
                             int *count, bool *helped, vic_error *err);

/* The option of that name in the table, or NULL; and its value set as if it had been on the line. */
const struct option *options_find(const struct syntax *s, const char *name);
vic_status options_set(const struct option *o, const char *value, vic_error *err);

/* The help text, on stdout. */
void options_help(const struct syntax *s);

/* Whole-token numbers: the complete text must be one, in range; no spaces, no locale, no hexadecimal. */
bool number_int64(const char *text, int64_t *out);
bool number_uint64(const char *text, uint64_t *out);
bool number_real(const char *text, double *out);

/* `text` without the blanks around it, copied; false when it does not fit. */
bool trimmed(const char *text, size_t length, char *out, size_t size);

/* Edit distance with transpositions, case ignored; at most 64 characters of each are looked at. */
int edit_distance(const char *a, const char *b);

/* The nearest of `count` names, or NULL when none is near enough to be meant. */
const char *nearest_name(const char *given, const char *const *names, int count);

#endif
