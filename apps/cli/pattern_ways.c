/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns that are not the cutoff of a structure file: what the words of a command line ask for. */
#include "ints.h"
#include "memory_room.h"
#include "pattern_files.h"
#include "pattern_report.h"
#include "progress.h"

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
    if (in->no_self && !in->cutoff && !w->nearest)
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

static vic_status from_list(const struct pattern_input *in, const struct pattern_built *b, int64_t atoms,
                            const vic_pattern_options *options, vic_pattern **out, vic_error *err)
{
    struct pair_file pairs;
    vic_status st = pairs_read(in->ways.pairs, &pairs, err);
    if (st == VIC_OK)
        st = in_file(in->ways.pairs,
                     vic_pattern_from_pairs(b->structure, atoms, 0, pairs.n, pairs.query, pairs.key, pairs.image,
                                            options, out, err),
                     err);
    pairs_free(&pairs);
    return st;
}

/* The ways whose memory is known before. */
static vic_status by_distance(const struct pattern_input *in, struct pattern_built *out, vic_pattern_options *options,
                              vic_error *err)
{
    struct memory_guard guard;
    int nearest = in->ways.nearest;
    vic_status st;
    TRY(memory_guard_open(&guard, in->force, pattern_beside(in, &out->view), options, err));
    if (nearest)
        st = vic_pattern_nearest(out->structure, nearest, options, &out->pattern, err);
    else
        st = vic_pattern_build(out->structure, options, &out->pattern, err);
    return memory_guard_close(&guard, nearest, in->cutoff, st, err);
}

/* Of a structure, or of atoms without positions where there is none. */
static vic_status open_atoms(const struct pattern_input *in, struct pattern_built *out, int64_t atoms,
                             vic_pattern_options *options, vic_error *err)
{
    const struct pattern_ways *w = &in->ways;
    uint8_t *skip = NULL;
    vic_status st;
    if (w->skip) TRY(skip_read(w->skip, atoms, &skip, err));
    options->skip = skip;
    options->cutoff = in->cutoff;
    options->exclude_self = in->no_self;
    progress_phase("building the pattern");
    if (w->pairs)
        st = from_list(in, out, atoms, options, &out->pattern, err);
    else if (w->queries)
        st = vic_pattern_windows(atoms, w->queries, w->keys, options, &out->pattern, err);
    else
        st = by_distance(in, out, options, err);
    options->skip = NULL;
    free(skip);
    return st;
}

static vic_status open_source(const struct pattern_input *in, struct pattern_built *out, enum source source,
                              vic_error *err)
{
    vic_pattern_options options = VIC_PATTERN_OPTIONS_INIT;
    double start = seconds_now();
    int64_t atoms = 0;
    options.threads = in->structure.threads;
    switch (source) {
    case SOURCE_GENERATED: return vic_pattern_generate(in->file, &options, &out->pattern, err);
    case SOURCE_MASK: return mask_open(in->file, in->ways.skip, &options, &out->pattern, err);
    case SOURCE_PATTERN:
        progress_phase("reading the pattern");
        TRY(vic_pattern_load(in->file, &out->pattern, err));
        out->seconds_read = seconds_now() - start;
        return VIC_OK;
    case SOURCE_ATOMS:
        if (!number_int64(in->file + 6, &atoms) || atoms < 0 || atoms > INT32_MAX)
            return fail(err, VIC_BAD_ARGUMENT, "atoms:N: expected a number of atoms, got '%s'", in->file + 6);
        return open_atoms(in, out, atoms, &options, err);
    default:
        TRY(structure_open(&in->structure, in->file, &out->structure, &out->seconds_read, err));
        out->view = vic_structure_get(out->structure);
        notes_structure(&out->notes, &out->view);
        return open_atoms(in, out, out->view.atoms, &options, err);
    }
}

/* Put `next` in the place of the pattern, with the times of both. */
static void replace(struct pattern_built *b, vic_pattern *next)
{
    vic_pattern_free(b->pattern);
    b->pattern = next;
}

static vic_status combine(const struct pattern_ways *w, struct pattern_built *b, vic_error *err)
{
    vic_pattern *other = NULL, *next = NULL;
    struct pair_file pairs;
    vic_status st;
    if (w->unite) {
        TRY(vic_pattern_load(w->unite, &other, err));
        st = vic_pattern_unite(b->pattern, other, &next, err);
        vic_pattern_free(other);
        if (st != VIC_OK) return st;
        replace(b, next);
    }
    if (w->exclude) {
        st = pairs_read(w->exclude, &pairs, err);
        if (st == VIC_OK)
            st = in_file(w->exclude,
                         vic_pattern_exclude(b->pattern, pairs.n, pairs.query, pairs.key, pairs.image, &next, err),
                         err);
        pairs_free(&pairs);
        if (st != VIC_OK) return st;
        replace(b, next);
    }
    return VIC_OK;
}

/* A pattern from a file knows positions and cell: enough for pictures and distances. */
static vic_status take_view(struct pattern_built *b, vic_error *err)
{
    const double *positions = vic_pattern_positions(b->pattern, VIC_QUERY);
    bool one_set = vic_pattern_query_order(b->pattern) == vic_pattern_key_order(b->pattern), read = b->structure;
    if (!b->structure && positions && one_set)
        TRY(vic_structure_from_arrays(b->info.n_q, positions, (const double(*)[3])b->info.cell, b->info.periodic,
                                      NULL, &b->structure, err));
    if (b->structure) b->view = vic_structure_get(b->structure);
    b->view.atoms = b->info.n_q;
    memcpy(b->view.periodic, b->info.periodic, sizeof b->view.periodic); /* windows know no images */
    if (!read) b->view.has_cell = b->info.periodic[0] || b->info.periodic[1] || b->info.periodic[2];
    return VIC_OK;
}

vic_status pattern_ways_open(const struct pattern_input *in, struct pattern_built *out, vic_error *err)
{
    enum source source = source_of(in->file);
    /* Before options are held against what it may be. */
    if (source == SOURCE_UNREADABLE) return file_unreadable(in->file, err);
    TRY(check_ways(in, source, err));
    TRY(open_source(in, out, source, err));
    TRY(combine(&in->ways, out, err));
    out->info = vic_pattern_get(out->pattern);
    return take_view(out, err);
}
