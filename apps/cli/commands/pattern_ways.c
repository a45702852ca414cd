/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns that are not the cutoff of a structure file: what the words of a command line ask for. */
#include "arrays/ints.h"
#include "commands/memory_room.h"
#include "commands/pattern_files.h"
#include "commands/pattern_report.h"
#include "progress.h"
#include "vicinal_dev.h"

#include <stdlib.h>
#include <string.h>

const char pattern_notes[] =
    "In place of a structure FILE may be a pattern (.vnp, as `pattern -o` writes it); a block mask as\n"
    "scipy.sparse.save_npz() writes it (BSR: its blocks; CSR: one entry for each block of 128 x 128);\n"
    "blocks:ROWSxCOLUMNS:n=COUNT or density=SHARE, with ,seed=N and ,block=SIZE (128) as wanted; or\n"
    "atoms:N, N atoms without positions, for --pairs and --windows.";

/* ---- options ---- */

static vic_status take_window(const struct option *o, const char *text, vic_error *err)
{
    struct pattern_ways *ways = o->target;
    char first[24], second[24];
    const char *comma = strchr(text, ',');
    int64_t queries = 0, keys = 0;
    if (!comma || !trimmed(text, (size_t)(comma - text), first, sizeof first) ||
        !trimmed(comma + 1, strlen(comma + 1), second, sizeof second) || !number_int64(first, &queries) ||
        !number_int64(second, &keys) || queries < 1 || keys < 1 || queries > INT32_MAX || keys > INT32_MAX)
        return fail(err, VIC_BAD_ARGUMENT, "--windows: expected QUERIES,KEYS as in 32,128, got '%s'", text);
    ways->queries = (int)queries;
    ways->keys = (int)keys;
    return VIC_OK;
}

static vic_status take_origin(const struct option *o, const char *text, vic_error *err)
{
    static const char *const names[] = { "origin:800", "origin:1600", "origin:3200" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i] + strlen("origin:"), text) != 0) continue;
        *(const char **)o->target = names[i];
        return VIC_OK;
    }
    return fail(err, VIC_BAD_ARGUMENT, "--origin: expected 800, 1600 or 3200, got '%s'", text);
}

void pattern_ways_rows(struct pattern_input *in, struct option rows[PATTERN_WAYS])
{
    struct pattern_ways *w = &in->ways;
    const struct option all[PATTERN_WAYS] = {
        { "--nearest", "K", "attend to the K nearest atoms, itself among them unless --no-self", OPTION_INT,
          &w->nearest, 1, 1e9, NULL, NULL },
        { "--windows", "Q,K", "by atom number: Q queries attend to the K keys around them, as in 32,128",
          OPTION_CUSTOM, w, 0, 0, NULL, take_window },
        { "--pairs", "FILE",
          "attend to the pairs in FILE.npz (i, j and perhaps image [pairs, 3]) or FILE.npy [pairs, 2]", OPTION_INPUT,
          &w->pairs, 0, 0, NULL, NULL },
        { "--unite", "FILE.vnp", "attend to the pairs of this pattern too", OPTION_INPUT, &w->unite, 0, 0, NULL,
          NULL },
        { "--exclude-pairs", "FILE", "leave out these pairs, under every image where FILE gives none", OPTION_INPUT,
          &w->exclude, 0, 0, NULL, NULL },
        { "--skip", "FILE.npy", "[atoms]: 1 for those that neither attend nor are attended to", OPTION_INPUT,
          &w->skip, 0, 0, NULL, NULL },
        { "--origin", "SHAPE",
          "in place of FILE: 800, 1600 or 3200 full blocks of 128 x 128 on a square grid, 80 % empty", OPTION_CUSTOM,
          &in->file, 0, 0, NULL, take_origin },
    };
    memcpy(rows, all, sizeof all);
}

/* ---- what is asked for ---- */

enum source { SOURCE_STRUCTURE, SOURCE_GENERATED, SOURCE_ATOMS, SOURCE_MASK, SOURCE_PATTERN, SOURCE_UNREADABLE };

/* Texts first: a file of such a name is reached as ./atoms:8. */
static enum source source_of(const char *text)
{
    if (strncmp(text, "blocks:", 7) == 0 || strncmp(text, "origin:", 7) == 0) return SOURCE_GENERATED;
    if (strncmp(text, "atoms:", 6) == 0) return SOURCE_ATOMS;
    if (strcmp(text, "-") == 0) return SOURCE_STRUCTURE; /* standard input, read once */
    switch (file_kind(text)) {
    case FILE_ZIP: return SOURCE_MASK;
    case FILE_VNP: return SOURCE_PATTERN;
    case FILE_UNREADABLE: return SOURCE_UNREADABLE;
    default: return SOURCE_STRUCTURE;
    }
}

static bool any_way(const struct pattern_ways *w)
{
    return w->pairs || w->exclude || w->unite || w->skip || w->nearest || w->queries;
}

bool pattern_ways_asked(const struct pattern_input *in)
{
    return any_way(&in->ways) || source_of(in->file) != SOURCE_STRUCTURE;
}

/* One way and one alone; which ones a source has. */
static vic_status check_ways(const struct pattern_input *in, enum source source, vic_error *err)
{
    static const char *const sources[] = { "a structure", "a mask of generated blocks", "atoms without positions",
                                           "a block mask", "a pattern" };
    const struct pattern_ways *w = &in->ways;
    bool geometry = source == SOURCE_STRUCTURE, bare = geometry || source == SOURCE_ATOMS;
    const struct {
        const char *name;
        bool given, allowed;
    } ways[] = { { "--cutoff", in->cutoff != 0.0, geometry },
                 { "--nearest", w->nearest != 0, geometry },
                 { "--pairs", w->pairs != NULL, bare },
                 { "--windows", w->queries != 0, bare } };
    const char *first = NULL;
    for (int i = 0; i < 4; i++) {
        if (!ways[i].given) continue;
        if (!ways[i].allowed)
            return fail(err, VIC_BAD_ARGUMENT, "%s: %s is %s, and has no use for it", ways[i].name, in->file,
                        sources[source]);
        if (first)
            return fail(err, VIC_BAD_ARGUMENT,
                        "%s and %s: expected one of them; write one pattern with -o FILE.vnp and give it as --unite "
                        "FILE.vnp for the pairs of both",
                        first, ways[i].name);
        first = ways[i].name;
    }
    if (!first && bare)
        return fail(err, VIC_BAD_ARGUMENT, "%s: state who attends to whom, by %s--pairs FILE or --windows Q,K",
                    in->file, geometry ? "--cutoff R, --nearest K, " : "");
    if (in->no_self && in->cutoff == 0 && !w->nearest)
        return fail(err, VIC_BAD_ARGUMENT,
                    "--no-self goes with --cutoff and --nearest alone; --exclude-pairs takes out "
                    "pairs of any pattern");
    if (!geometry && structure_options_asked(&in->structure))
        return fail(err, VIC_BAD_ARGUMENT, "%s: %s is %s, and has no use for it%s",
                    structure_options_asked(&in->structure), in->file, sources[source],
                    source == SOURCE_PATTERN ? "; give it where the pattern is made of the structure" : "");
    if (w->skip && (source == SOURCE_PATTERN || source == SOURCE_GENERATED))
        return fail(err, VIC_BAD_ARGUMENT, "--skip: %s is %s, and has no use for it", in->file, sources[source]);
    return VIC_OK;
}

/* ---- patterns ---- */

/* The library knows the pairs, not the file that they came from. */
static vic_status in_file(const char *path, vic_status st, vic_error *err)
{
    vic_error why = *err;
    return st == VIC_BAD_INPUT ? fail(err, st, "%s: %s", path, why.text) : st;
}

static vic_status from_list(vic_context *c, const char *path, const vic_points *points, vic_pattern **out,
                            vic_error *err)
{
    struct pair_file pairs;
    vic_status st = pairs_read(path, &pairs, err);
    if (st == VIC_OK) {
        const vic_pair_list list = pairs_list(&pairs);
        st = in_file(path, vic_pattern_pairs(c, points, NULL, &list, NULL, out, err), err);
    }
    pairs_free(&pairs);
    return st;
}

/* The order of the atoms' numbers is that of the rows, wherever they are. */
static vic_status by_number(vic_context *c, const struct pattern_ways *w, const vic_points *points, vic_pattern **out,
                            vic_error *err)
{
    const vic_points numbers = { .size = sizeof numbers, .n = points->n, .mask = points->mask };
    return vic_pattern_windows(c, &numbers, w->queries, w->keys, NULL, out, err);
}

/* The ways whose memory is known before. */
static vic_status by_distance(vic_context *c, const struct pattern_input *in, const vic_points *points,
                              struct pattern_built *out, vic_error *err)
{
    vic_pattern_options options = { .size = sizeof options, .exclude_self = in->no_self };
    struct memory_guard guard;
    int nearest = in->ways.nearest;
    vic_status st;
    TRY(memory_guard_open(&guard, in->force, pattern_beside(in, &out->view), &options, err));
    if (nearest)
        st = vic_pattern_nearest(c, points, NULL, nearest, &options, &out->pattern, err);
    else
        st = vic_pattern_cutoff(c, points, NULL, in->cutoff, &options, &out->pattern, err);
    return memory_guard_close(&guard, nearest, in->cutoff, st, err);
}

static vic_status open_points(vic_context *c, const struct pattern_input *in, struct pattern_built *out,
                              vic_error *err)
{
    const struct pattern_ways *w = &in->ways;
    vic_points points = out->points;
    uint8_t *mask = NULL;
    vic_status st;
    if (w->skip) TRY(skip_read(w->skip, points.n, &mask, err));
    points.mask = mask_tensor(mask, points.n);
    progress_phase("building the pattern");
    if (w->pairs)
        st = from_list(c, w->pairs, &points, &out->pattern, err);
    else if (w->queries)
        st = by_number(c, w, &points, &out->pattern, err);
    else
        st = by_distance(c, in, &points, out, err);
    free(mask);
    return st;
}

/* Atoms without positions. */
static vic_status read_atoms(const char *text, struct pattern_built *out, vic_error *err)
{
    int64_t atoms = 0;
    if (!number_int64(text + 6, &atoms) || atoms < 0 || atoms > INT32_MAX)
        return fail(err, VIC_BAD_ARGUMENT, "atoms:N: expected a number of atoms, got '%s'", text + 6);
    out->points = (vic_points){ .size = sizeof out->points, .n = atoms };
    return VIC_OK;
}

static vic_status open_source(vic_context *c, const struct pattern_input *in, struct pattern_built *out,
                              enum source source, vic_error *err)
{
    double start = seconds_now();
    switch (source) {
    case SOURCE_GENERATED: return vic_pattern_generate(c, in->file, NULL, &out->pattern, err);
    case SOURCE_MASK: return mask_open(c, in->file, in->ways.skip, &out->pattern, err);
    case SOURCE_PATTERN:
        progress_phase("reading the pattern");
        TRY(vic_pattern_load(c, in->file, &out->pattern, err));
        out->seconds_read = seconds_now() - start;
        return VIC_OK;
    case SOURCE_ATOMS: TRY(read_atoms(in->file, out, err)); return open_points(c, in, out, err);
    default: TRY(pattern_read_structure(in, out, err)); return open_points(c, in, out, err);
    }
}

/* Put `next` in the place of the pattern. */
static void replace(struct pattern_built *b, vic_pattern *next)
{
    vic_pattern_free(b->pattern);
    b->pattern = next;
}

static vic_status unite(vic_context *c, const char *path, struct pattern_built *b, vic_error *err)
{
    vic_pattern *other = NULL, *both = NULL;
    vic_status st;
    TRY(vic_pattern_load(c, path, &other, err));
    st = vic_pattern_union(c, b->pattern, other, &both, err);
    vic_pattern_free(other);
    if (st == VIC_OK) replace(b, both);
    return st;
}

static vic_status exclude(vic_context *c, const char *path, struct pattern_built *b, vic_error *err)
{
    vic_pattern *rest = NULL;
    struct pair_file pairs;
    vic_status st = pairs_read(path, &pairs, err);
    if (st == VIC_OK) {
        const vic_pair_list list = pairs_list(&pairs);
        st = in_file(path, vic_pattern_exclude(c, b->pattern, &list, &rest, err), err);
    }
    pairs_free(&pairs);
    if (st == VIC_OK) replace(b, rest);
    return st;
}

/* A pattern from a file knows positions and cell: enough for pictures and distances. */
static vic_status take_view(struct pattern_built *b, vic_error *err)
{
    vic_structure_info *v = &b->view;
    if (!b->structure && b->info.positions && b->info.one_set)
        TRY(vic_pattern_positions(b->pattern, VIC_QUERY, &v->positions, err));
    v->atoms = b->info.n_q;
    memcpy(v->periodic, b->info.periodic, sizeof v->periodic); /* windows know no images */
    if (b->structure) return VIC_OK;
    memcpy(v->cell, b->info.cell, sizeof v->cell);
    v->has_cell = v->periodic[0] || v->periodic[1] || v->periodic[2];
    return VIC_OK;
}

vic_status pattern_ways_open(vic_context *c, const struct pattern_input *in, struct pattern_built *out,
                             vic_error *err)
{
    enum source source = source_of(in->file);
    /* Before options are held against what it may be. */
    if (source == SOURCE_UNREADABLE) return file_unreadable(in->file, err);
    TRY(check_ways(in, source, err));
    TRY(open_source(c, in, out, source, err));
    if (in->ways.unite) TRY(unite(c, in->ways.unite, out, err));
    if (in->ways.exclude) TRY(exclude(c, in->ways.exclude, out, err));
    out->info = (vic_pattern_info)VIC_INIT(vic_pattern_info);
    TRY(vic_pattern_get(out->pattern, &out->info, err));
    return take_view(out, err);
}
