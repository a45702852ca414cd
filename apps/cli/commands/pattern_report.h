/* SPDX-License-Identifier: Apache-2.0 */
/* What `pattern` and `run` share: building the pattern of a file, and saying what it is. */
#ifndef VICINAL_CLI_PATTERN_REPORT_H
#define VICINAL_CLI_PATTERN_REPORT_H

#include "commands/notes.h"
#include "commands/structure_options.h"
#include "json.h"

enum { PATTERN_WAYS = 7, PATTERN_OPTIONS = 3 + PATTERN_WAYS, PATTERN_WHAT = 1024 };

/* Ways to a pattern other than a cutoff (pattern_ways.c); NULL or 0 = not asked for. */
struct pattern_ways {
    const char *pairs, *exclude, *unite, *skip; /* files */
    int nearest;
    int queries, keys; /* of a window */
};

struct pattern_input {
    struct structure_options structure;
    double cutoff; /* 0 until given */
    bool no_self;
    bool force;                            /* build also what memory does not seem to hold */
    double bytes_per_query, bytes_per_key; /* besides the pattern, of an atom: tensors */
    const char *file;
    struct pattern_ways ways;
};

struct pattern_built {
    vic_structure *structure; /* NULL where none was read */
    double *positions;        /* of points that are made here, or NULL */
    vic_structure_info view;  /* what reports and pictures take; zeros where nothing is known of the atoms */
    vic_points points;        /* that the pattern is made of */
    vic_pattern *pattern;
    vic_pattern_info info;
    vic_block_mask block128; /* how many blocks of 128 x 128 there are */
    double seconds_read;
    struct notes notes;
};

void pattern_input_init(struct pattern_input *in);
void pattern_options_rows(struct pattern_input *in, struct option rows[PATTERN_OPTIONS]);

/* pattern_ways.c: its options, whether the input asks for one of them, and pattern_open() for those that do. */
void pattern_ways_rows(struct pattern_input *in, struct option rows[PATTERN_WAYS]);
extern const char pattern_notes[]; /* what stands in place of FILE */
/* Bytes that the atoms will need besides the pattern. */
double pattern_beside(const struct pattern_input *in, const vic_structure_info *v);
bool pattern_ways_asked(const struct pattern_input *in);
vic_status pattern_ways_open(vic_context *c, const struct pattern_input *in, struct pattern_built *out,
                             vic_error *err);

/* Read what `file` names and build its pattern: a structure file, or dense:N, N points that all see each other.
 * pattern_close() is harmless on a zeroed struct. */
vic_status pattern_open(vic_context *c, const struct pattern_input *in, struct pattern_built *out, vic_error *err);

/* Its parts: read (read_structure: `file` is one), build in place of the pattern that `b` holds, which is gone also
 * when this fails, and count blocks of 128 x 128. */
vic_status pattern_read_structure(const struct pattern_input *in, struct pattern_built *out, vic_error *err);
vic_status pattern_read(const struct pattern_input *in, struct pattern_built *out, vic_error *err);
vic_status pattern_build_from(vic_context *c, const struct pattern_input *in, struct pattern_built *b,
                              vic_error *err);
vic_status pattern_count_blocks(vic_context *c, struct pattern_built *b, vic_error *err);
void pattern_close(struct pattern_built *b);
double pattern_density(const struct pattern_built *b); /* of blocks of 128 x 128, of all that there could be */

/* Which pairs these are, in words ("the 16 nearest atoms of each"); `angstrom` as it can be written; returns
 * `out`. */
const char *pattern_what(const struct pattern_input *in, const struct pattern_built *b, const char *angstrom,
                         char out[PATTERN_WHAT]);

void pattern_json(struct json *j, const struct pattern_input *in,
                  const struct pattern_built *b);                         /* without seconds */
void pattern_json_seconds(struct json *j, const struct pattern_built *b); /* read, order, build */
void pattern_text(const struct pattern_input *in, const struct pattern_built *b);

#endif
