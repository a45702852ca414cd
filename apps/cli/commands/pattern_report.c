/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/pattern_report.h"

#include "arrays/tensor_io.h"
#include "commands/memory_room.h"
#include "commands/structure_report.h"
#include "numbers.h"
#include "plots/svg.h"
#include "progress.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK_PAIRS = 64 * 16 };

void pattern_input_init(struct pattern_input *in)
{
    memset(in, 0, sizeof *in);
    structure_options_init(&in->structure);
}

void pattern_options_rows(struct pattern_input *in, struct option rows[PATTERN_OPTIONS])
{
    const struct option all[3] = {
        { "--cutoff", "R",
          "attend to all atoms nearer than R angstrom (required unless one of the following is given)", OPTION_REAL,
          &in->cutoff, 0, 1e6, NULL, NULL },
        { "--no-self", NULL, "leave out each atom's pair with itself", OPTION_FLAG, &in->no_self, 0, 0, NULL, NULL },
        { "--force", NULL, "build also what does not seem to fit the memory there is", OPTION_FLAG, &in->force, 0, 0,
          NULL, NULL },
    };
    memcpy(rows, all, sizeof all);
    pattern_ways_rows(in, rows + 3);
}

/* ---- what the operand names ---- */

enum input_kind { INPUT_FILE, INPUT_DENSE };

/* The one place where this is decided.  A file of such a name is reached as ./dense:8. */
static enum input_kind input_kind(const char *text)
{
    return strncmp(text, "dense:", 6) == 0 ? INPUT_DENSE : INPUT_FILE;
}

/* N points in a box of 1 A, so that any cutoff from 2 A on joins them all. */
static vic_status dense_open(const char *text, struct pattern_built *out, vic_error *err)
{
    enum { MOST = 1 << 20 };
    int64_t n = 0;
    uint64_t state = 1;
    if (!number_int64(text + 6, &n) || n < 1 || n > MOST)
        return fail(err, VIC_BAD_ARGUMENT, "dense:N: expected a number of points from 1 to %d, got '%s'", MOST,
                    text + 6);
    TRY(allocate(n, 3 * sizeof *out->positions, "the points", &out->positions, err));
    for (int64_t i = 0; i < 3 * n; i++) out->positions[i] = random_unit(&state);
    out->view.atoms = n;
    out->view.positions = out->positions;
    out->points = (vic_points)VIC_INIT(vic_points);
    out->points.positions = vic_tensor_make(out->positions, VIC_F64, 2, (const int64_t[]){ n, 3 });
    return VIC_OK;
}

static double cutoff_of(const struct pattern_input *in)
{
    return input_kind(in->file) == INPUT_DENSE ? 2.0 : in->cutoff;
}

double pattern_beside(const struct pattern_input *in, const vic_structure_info *v)
{
    return (double)v->atoms * (in->bytes_per_query + in->bytes_per_key);
}

vic_status pattern_build_from(vic_context *c, const struct pattern_input *in, struct pattern_built *b, vic_error *err)
{
    vic_pattern_options options = { .size = sizeof options, .exclude_self = in->no_self };
    const double cutoff = cutoff_of(in);
    struct memory_guard guard;
    vic_status st;
    vic_pattern_free(b->pattern);
    b->pattern = NULL;
    progress_phase("building the pattern");
    TRY(memory_guard_open(&guard, in->force, pattern_beside(in, &b->view), &options, err));
    st = vic_pattern_cutoff(c, &b->points, NULL, cutoff, &options, &b->pattern, err);
    TRY(memory_guard_close(&guard, 0, cutoff, st, err));
    b->info = (vic_pattern_info)VIC_INIT(vic_pattern_info);
    return vic_pattern_get(b->pattern, &b->info, err);
}

vic_status pattern_count_blocks(vic_context *c, struct pattern_built *b, vic_error *err)
{
    b->block128 = (vic_block_mask){ .size = sizeof b->block128, .query_block = 128, .key_block = 128 };
    return vic_pattern_block_mask(c, b->pattern, &b->block128, err);
}

vic_status pattern_read_structure(const struct pattern_input *in, struct pattern_built *out, vic_error *err)
{
    TRY(structure_open(&in->structure, in->file, &out->structure, &out->seconds_read, err));
    TRY(structure_look(out->structure, &out->view, err));
    out->points = (vic_points)VIC_INIT(vic_points);
    TRY(vic_structure_points(out->structure, &out->points, err));
    out->points.n = out->view.atoms;
    notes_structure(&out->notes, &out->view);
    return VIC_OK;
}

static vic_status read_input(const struct pattern_input *in, struct pattern_built *out, vic_error *err)
{
    memset(out, 0, sizeof *out);
    switch (input_kind(in->file)) {
    case INPUT_DENSE:
        if (in->cutoff != 0.0)
            return fail(err, VIC_BAD_ARGUMENT, "--cutoff: %s has none, all points see each other", in->file);
        if (structure_options_asked(&in->structure))
            return fail(err, VIC_BAD_ARGUMENT, "%s: %s is no structure, and has no use for it",
                        structure_options_asked(&in->structure), in->file);
        TRY(dense_open(in->file, out, err));
        break;
    case INPUT_FILE:
        if (in->cutoff == 0.0)
            return fail(err, VIC_BAD_ARGUMENT,
                        "--cutoff is missing: give how far attention reaches, as in --cutoff 8");
        TRY(pattern_read_structure(in, out, err));
        break;
    }
    return VIC_OK;
}

vic_status pattern_read(const struct pattern_input *in, struct pattern_built *out, vic_error *err)
{
    memset(out, 0, sizeof *out);
    if (pattern_ways_asked(in))
        return fail(err, VIC_BAD_ARGUMENT, "only patterns of a structure and a cutoff are built here");
    return read_input(in, out, err);
}

vic_status pattern_open(vic_context *c, const struct pattern_input *in, struct pattern_built *out, vic_error *err)
{
    if (pattern_ways_asked(in)) {
        memset(out, 0, sizeof *out);
        TRY(pattern_ways_open(c, in, out, err));
    } else {
        TRY(read_input(in, out, err));
        TRY(pattern_build_from(c, in, out, err));
    }
    TRY(pattern_count_blocks(c, out, err));
    if (in->cutoff != 0.0) notes_lonely(&out->notes, out->info.n_q, out->info.pairs, in->no_self, in->cutoff);
    return VIC_OK;
}

void pattern_close(struct pattern_built *b)
{
    vic_pattern_free(b->pattern);
    vic_structure_free(b->structure);
    free(b->positions);
    memset(b, 0, sizeof *b);
}

static double ratio(double part, double whole)
{
    return whole > 0.0 ? part / whole : 0.0;
}

double pattern_density(const struct pattern_built *b)
{
    const vic_block_mask *m = &b->block128;
    return ratio((double)(m->partial + m->full), (double)m->rows * (double)m->columns);
}

static double fill(const vic_pattern_info *info)
{
    return ratio((double)info->pairs, (double)info->blocks * BLOCK_PAIRS);
}

/* The pairs by the words of the command line; of a pattern that was read, by its kind. */
static void first_what(const struct pattern_input *in, const struct pattern_built *b, const char *angstrom, char *out)
{
    static const char *const kinds[][2] = {
        { "nearest", "the nearest atoms of each" },  { "blocks", "the blocks of a mask" },
        { "pairs", "the pairs of a list" },          { "windows", "windows of consecutive atoms" },
        { "union", "the pairs of two patterns" },    { "exclusion", "a pattern without the pairs of a list" },
        { "ranges", "ranges of consecutive atoms" }, { "difference", "a pattern without the pairs of another" },
    };
    const struct pattern_ways *w = &in->ways;
    if (w->nearest)
        snprintf(out, PATTERN_WHAT, "the %d nearest atoms of each%s", w->nearest,
                 in->no_self ? "" : ", itself among them");
    else if (w->queries)
        snprintf(out, PATTERN_WHAT, "windows by atom number, %d atoms attending to the %d around them", w->queries,
                 w->keys);
    else if (w->pairs)
        snprintf(out, PATTERN_WHAT, "the pairs of %s", base_name(w->pairs));
    else if (in->cutoff > 0.0 || (b->info.cutoff > 0.0 && !w->unite && !w->exclude))
        snprintf(out, PATTERN_WHAT, "all pairs nearer than %s %s%s",
                 plain_text(in->cutoff > 0.0 ? in->cutoff : b->info.cutoff).s, angstrom,
                 in->no_self ? ", without self pairs" : "");
    else if (w->unite || w->exclude)
        snprintf(out, PATTERN_WHAT, "the pairs of %s", base_name(in->file));
    else
        for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
            if (strcmp(b->info.kind, kinds[k][0]) == 0) snprintf(out, PATTERN_WHAT, "%s", kinds[k][1]);
}

const char *pattern_what(const struct pattern_input *in, const struct pattern_built *b, const char *angstrom,
                         char out[PATTERN_WHAT])
{
    const struct pattern_ways *w = &in->ways;
    size_t used;
    snprintf(out, PATTERN_WHAT, "%s", b->info.kind);
    first_what(in, b, angstrom, out);
    used = strlen(out);
    if (w->unite)
        used += (size_t)snprintf(out + used, PATTERN_WHAT - used, ", and the pairs of %.200s", base_name(w->unite));
    if (w->exclude && used < PATTERN_WHAT)
        used += (size_t)snprintf(out + used, PATTERN_WHAT - used, ", without those of %.200s", base_name(w->exclude));
    if (w->skip && used < PATTERN_WHAT)
        snprintf(out + used, PATTERN_WHAT - used, ", atoms left out by %.200s", base_name(w->skip));
    return out;
}

void pattern_json(struct json *j, const struct pattern_input *in, const struct pattern_built *b)
{
    const vic_pattern_info *info = &b->info;
    json_put_text(j, "file", in->file);
    json_put_text(j, "kind", info->kind);
    if (info->cutoff > 0.0)
        json_put_real(j, "cutoff", info->cutoff);
    else
        json_put_null(j, "cutoff");
    if (b->view.has_cell) {
        json_put_array(j, "cell");
        for (int k = 0; k < 3; k++) {
            json_put_array(j, NULL);
            for (int x = 0; x < 3; x++) json_put_real(j, NULL, b->view.cell[3 * k + x]);
            json_put_array_end(j);
        }
        json_put_array_end(j);
    } else {
        json_put_null(j, "cell");
    }
    structure_json(j, &b->view, &in->structure.read);
    json_put_int(j, "atoms", info->n_q);
    if (info->n_k != info->n_q) json_put_int(j, "keys", info->n_k);
    if (info->groups != 1) json_put_int(j, "structures", info->groups);
    json_put_int(j, "pairs", info->pairs);
    json_put_real(j, "pairs_per_atom", ratio((double)info->pairs, (double)info->n_q));
    json_put_int(j, "max_pairs", info->max_pairs);
    json_put_int(j, "boundary_pairs", info->boundary_pairs);
    json_put_int(j, "strips", info->strips);
    json_put_int(j, "blocks", info->blocks);
    json_put_int(j, "full_blocks", info->full_blocks);
    json_put_int(j, "block_pairs", BLOCK_PAIRS * info->blocks);
    json_put_real(j, "fill", fill(info));
    json_put_object(j, "block128");
    json_put_int(j, "count", b->block128.partial + b->block128.full);
    json_put_real(j, "density", pattern_density(b));
    json_put_int(j, "full", b->block128.full);
    json_put_object_end(j);
    json_put_int(j, "bytes", (int64_t)info->bytes);
    notes_json(j, &b->notes);
}

void pattern_json_seconds(struct json *j, const struct pattern_built *b)
{
    json_put_real(j, "read", b->seconds_read);
    json_put_real(j, "order", b->info.seconds_order);
    json_put_real(j, "build", b->info.seconds_build);
}

void pattern_text(const struct pattern_input *in, const struct pattern_built *b)
{
    const vic_pattern_info *info = &b->info;
    char what[PATTERN_WHAT];
    text_title("%s", in->file);
    text_row("atoms", "%s", count_text(info->n_q).s);
    if (info->n_k != info->n_q) text_row("keys", "%s", count_text(info->n_k).s);
    if (info->groups != 1) text_row("structures", "%s", count_text(info->groups).s);
    if (b->view.positions) structure_text(&b->view, &in->structure.read);
    if (strcmp(info->kind, "cutoff") != 0) text_row("kind", "%s: %s", info->kind, pattern_what(in, b, "A", what));
    if (info->cutoff > 0.0)
        text_row("cutoff", "%s A%s", plain_text(info->cutoff).s, in->no_self ? ", without self pairs" : "");
    text_row("pairs", "%s   %s per atom, at most %s", count_text(info->pairs).s,
             real_text(ratio((double)info->pairs, (double)info->n_q), 4).s, count_text(info->max_pairs).s);
    if (info->boundary_pairs)
        text_row("boundary pairs", "%s at the cutoff within rounding", count_text(info->boundary_pairs).s);
    text_row("blocks", "%s of 64 x 16 in %s, %s full", count_text(info->blocks).s, counted(info->strips, "strip").s,
             count_text(info->full_blocks).s);
    text_row("fill", "%s %% of %s block pairs", real_text(100.0 * fill(info), 3).s,
             count_text(BLOCK_PAIRS * info->blocks).s);
    text_row("128x128 blocks", "%s (%s %% of all), %s full", count_text(b->block128.partial + b->block128.full).s,
             real_text(100.0 * pattern_density(b), 3).s, count_text(b->block128.full).s);
    text_row("memory", "%s", bytes_text(info->bytes).s);
    text_row("read", "%s", seconds_text(b->seconds_read).s);
    text_row("order, build", "%s, %s", seconds_text(info->seconds_order).s, seconds_text(info->seconds_build).s);
    notes_text(&b->notes);
}
