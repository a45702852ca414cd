/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns that are not the cutoff of a structure file: what the words of a command line ask for. */
#include "ints.h"
#include "pattern_report.h"
#include "progress.h"

#include <stdlib.h>
#include <string.h>

enum { CSR_BLOCK = 128 };

const char pattern_notes[] =
    "In place of a structure FILE may be a pattern (.vnp, as `pattern -o` writes it); a block mask as\n"
    "scipy.sparse.save_npz() writes it (BSR: its blocks; CSR: one entry for each block of 128 x 128);\n"
    "blocks:ROWSxCOLUMNS:n=COUNT or density=SHARE, with ,seed=N and ,block=SIZE (128) as wanted; or\n"
    "atoms:N, N atoms without positions, for --pairs and --windows.";

/* ---- options ---- */

static vic_status take_window(const struct option *o, const char *text, vic_error *err)
{
    struct pattern_ways *ways = o->target;
    char first[24] = "";
    const char *comma = strchr(text, ',');
    int64_t queries = 0, keys = 0;
    if (comma && (size_t)(comma - text) < sizeof first) memcpy(first, text, (size_t)(comma - text));
    if (!comma || !number_int64(first, &queries) || !number_int64(comma + 1, &keys) || queries < 1 || keys < 1 ||
        queries > INT32_MAX || keys > INT32_MAX)
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
        { "--nearest", "K", "attend to the K nearest atoms, itself among them (but for --no-self)", OPTION_INT,
          &w->nearest, 1, 1e9, NULL, NULL },
        { "--windows", "Q,K", "by atom number: Q queries attend to the K keys around them, as in 32,128",
          OPTION_CUSTOM, w, 0, 0, NULL, take_window },
        { "--pairs", "FILE",
          "attend to the pairs in FILE.npz (i, j and perhaps image [pairs, 3]) or FILE.npy [pairs, 2]", OPTION_TEXT,
          &w->pairs, 0, 0, NULL, NULL },
        { "--unite", "FILE.vnp", "attend to the pairs of this pattern too", OPTION_TEXT, &w->unite, 0, 0, NULL,
          NULL },
        { "--exclude-pairs", "FILE", "leave out these pairs, under every image where FILE gives none", OPTION_TEXT,
          &w->exclude, 0, 0, NULL, NULL },
        { "--skip", "FILE.npy", "[atoms]: 1 for those that neither attend nor are attended to", OPTION_TEXT, &w->skip,
          0, 0, NULL, NULL },
        { "--origin", "SHAPE",
          "in place of FILE: 800, 1600 or 3200 full blocks of 128 x 128 on a square grid, 80 % empty", OPTION_CUSTOM,
          &in->file, 0, 0, NULL, take_origin },
    };
    memcpy(rows, all, sizeof all);
}

/* ---- what is asked for ---- */

enum source { SOURCE_STRUCTURE, SOURCE_GENERATED, SOURCE_ATOMS, SOURCE_MASK, SOURCE_PATTERN };

/* Texts first: a file of such a name is reached as ./atoms:8. */
static enum source source_of(const char *text)
{
    if (strncmp(text, "blocks:", 7) == 0 || strncmp(text, "origin:", 7) == 0) return SOURCE_GENERATED;
    if (strncmp(text, "atoms:", 6) == 0) return SOURCE_ATOMS;
    switch (file_kind(text)) {
    case FILE_ZIP: return SOURCE_MASK;
    case FILE_VNP: return SOURCE_PATTERN;
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
    static const char *const sources[] = { "a structure", "generated blocks", "atoms without positions",
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
            return fail(err, VIC_BAD_ARGUMENT, "%s: %s is %s, which has no use for it", ways[i].name, in->file,
                        sources[source]);
        if (first)
            return fail(err, VIC_BAD_ARGUMENT,
                        "%s and %s: expected one of them; write one pattern with -o FILE.vnp and give it as --unite "
                        "FILE.vnp for the pairs of both",
                        first, ways[i].name);
        first = ways[i].name;
    }
    if (!first && bare)
        return fail(err, VIC_BAD_ARGUMENT, "%s: say who attends to whom, by %s--pairs FILE or --windows Q,K",
                    in->file, geometry ? "--cutoff R, --nearest K, " : "");
    if (in->no_self && !in->cutoff && !w->nearest)
        return fail(err, VIC_BAD_ARGUMENT,
                    "--no-self goes with --cutoff and --nearest alone; --exclude-pairs takes out "
                    "pairs of any pattern");
    if (w->skip && (source == SOURCE_PATTERN || source == SOURCE_GENERATED))
        return fail(err, VIC_BAD_ARGUMENT, "--skip: %s is %s, which has no use for it", in->file, sources[source]);
    return VIC_OK;
}

/* ---- files ---- */

static vic_status to_int32(const char *path, const char *what, const struct ints *a, int32_t *out, vic_error *err)
{
    for (int64_t i = 0; i < a->count; i++) {
        if (a->values[i] < INT32_MIN || a->values[i] > INT32_MAX)
            return fail(err, VIC_BAD_INPUT, "%s: %s[%lld]: expected a number of 32 bits, found %lld", path, what,
                        (long long)i, (long long)a->values[i]);
        out[i] = (int32_t)a->values[i];
    }
    return VIC_OK;
}

struct pairs {
    int64_t n;
    int32_t *query, *key, *image; /* image NULL = none given */
};

static void pairs_free(struct pairs *p)
{
    free(p->query);
    free(p->key);
    free(p->image);
}

static vic_status take_column(const char *path, const char *name, const struct ints *a, int64_t n, int64_t width,
                              int32_t **out, vic_error *err)
{
    char shape[128];
    bool good = width == 1 ? a->ndim == 1 : a->ndim == 2 && a->shape[1] == width;
    if (!good || a->shape[0] != n)
        return fail(err, VIC_BAD_INPUT, "%s: %s: expected shape [%lld%s], as i has, found %s", path, name,
                    (long long)n, width == 1 ? "" : ", 3", shape_text(a->ndim, a->shape, shape));
    TRY(allocate(a->count, sizeof **out, "the list of pairs", out, err));
    return to_int32(path, name, a, *out, err);
}

static vic_status read_pairs_npz(const char *path, struct pairs *out, vic_error *err)
{
    static const char *const names[] = { "i", "j", "image" };
    int32_t **columns[] = { &out->query, &out->key, &out->image };
    vic_status st = VIC_OK;
    for (int c = 0; c < 3 && st == VIC_OK; c++) {
        struct ints a = { .ndim = 0 };
        bool found = false;
        st = ints_read_npz(path, names[c], &found, &a, err);
        if (st == VIC_OK && !found && c < 2)
            st = fail(err, VIC_BAD_INPUT, "%s: expected an array '%s' of pairs, found none of this name", path,
                      names[c]);
        if (c == 0) out->n = a.ndim > 0 ? a.shape[0] : 0;
        if (st == VIC_OK && found) st = take_column(path, names[c], &a, out->n, c == 2 ? 3 : 1, columns[c], err);
        ints_free(&a);
    }
    return st;
}

static vic_status read_pairs_npy(const char *path, struct pairs *out, vic_error *err)
{
    struct ints a;
    char shape[128];
    vic_status st;
    TRY(ints_read_npy(path, &a, err));
    if (a.ndim != 2 || a.shape[1] != 2) {
        st = fail(err, VIC_BAD_INPUT, "%s: expected shape [pairs, 2], found %s", path,
                  shape_text(a.ndim, a.shape, shape));
        goto done;
    }
    out->n = a.shape[0];
    TRY_GOTO(allocate(out->n, sizeof *out->query, "the list of pairs", &out->query, err), done);
    TRY_GOTO(allocate(out->n, sizeof *out->key, "the list of pairs", &out->key, err), done);
    for (int64_t i = 0; i < out->n; i++) {
        const struct ints row = { .count = 2, .values = a.values + 2 * i };
        int32_t pair[2];
        TRY_GOTO(to_int32(path, "pair", &row, pair, err), done);
        out->query[i] = pair[0];
        out->key[i] = pair[1];
    }
done:
    ints_free(&a);
    return st;
}

static vic_status read_pairs(const char *path, struct pairs *out, vic_error *err)
{
    memset(out, 0, sizeof *out);
    return file_kind(path) == FILE_ZIP ? read_pairs_npz(path, out, err) : read_pairs_npy(path, out, err);
}

static vic_status read_skip(const char *path, int64_t atoms, uint8_t **out, vic_error *err)
{
    struct ints a;
    char shape[128];
    vic_status st;
    TRY(ints_read_npy(path, &a, err));
    if (a.ndim != 1 || a.count != atoms) {
        st = fail(err, VIC_BAD_INPUT, "%s: expected shape [%lld], one for each atom, found %s", path,
                  (long long)atoms, shape_text(a.ndim, a.shape, shape));
        goto done;
    }
    TRY_GOTO(allocate(atoms, 1, "flags of atoms", out, err), done);
    for (int64_t i = 0; i < atoms; i++) (*out)[i] = a.values[i] != 0;
done:
    ints_free(&a);
    return st;
}

/* ---- block masks ---- */

struct mask {
    struct ints indptr, indices, shape, data;
    int64_t n_q, n_k, block;
};

static vic_status read_mask(const char *path, struct mask *m, vic_error *err)
{
    static const char *const names[] = { "indptr", "indices", "shape" };
    struct ints *arrays[] = { &m->indptr, &m->indices, &m->shape }, text;
    char format[16] = "", ignored[16];
    bool found;
    TRY(ints_read_shape(path, "format", &found, &text, format, err));
    if (!found || (strcmp(format, "bsr") != 0 && strcmp(format, "csr") != 0))
        return fail(err, VIC_BAD_INPUT,
                    "%s: expected a block mask as scipy.sparse.save_npz() writes a bsr or csr matrix, found %s%s",
                    path, found ? "the format " : "no such thing", found ? format : "");
    for (int i = 0; i < 3; i++) {
        TRY(ints_read_npz(path, names[i], &found, arrays[i], err));
        if (!found || arrays[i]->ndim != 1)
            return fail(err, VIC_BAD_INPUT, "%s: expected an array '%s' of one dimension, found %s", path, names[i],
                        found ? "another" : "none");
    }
    if (m->shape.count != 2 || m->shape.values[0] < 0 || m->shape.values[1] < 0 || m->shape.values[0] > INT32_MAX ||
        m->shape.values[1] > INT32_MAX)
        return fail(err, VIC_BAD_INPUT, "%s: shape: expected rows and columns below 2^31", path);
    m->block = CSR_BLOCK;
    m->n_q = m->shape.values[0];
    m->n_k = m->shape.values[1];
    if (strcmp(format, "csr") == 0) {
        m->n_q *= CSR_BLOCK;
        m->n_k *= CSR_BLOCK;
    } else {
        TRY(ints_read_shape(path, "data", &found, &m->data, ignored, err));
        if (!found || m->data.ndim != 3 || m->data.shape[1] != m->data.shape[2])
            return fail(err, VIC_BAD_INPUT, "%s: data: expected shape [blocks, size, size], blocks being square",
                        path);
        m->block = m->data.shape[1];
    }
    return VIC_OK;
}

static vic_status check_mask(const char *path, const struct mask *m, vic_error *err)
{
    int64_t rows = m->block > 0 ? (m->n_q + m->block - 1) / m->block : 0;
    if (m->indptr.count != rows + 1)
        return fail(err, VIC_BAD_INPUT, "%s: indptr: expected %lld entries, one more than block rows, found %lld",
                    path, (long long)rows + 1, (long long)m->indptr.count);
    if (m->indptr.values[rows] != m->indices.count)
        return fail(err, VIC_BAD_INPUT, "%s: indptr: expected to end in %lld, the number of indices, found %lld",
                    path, (long long)m->indices.count, (long long)m->indptr.values[rows]);
    return VIC_OK;
}

static vic_status open_mask(const char *path, const struct pattern_ways *w, vic_pattern_options *options,
                            vic_pattern **out, vic_error *err)
{
    struct mask m;
    int32_t *column = NULL;
    uint8_t *skip = NULL;
    vic_status st;
    memset(&m, 0, sizeof m);
    TRY_GOTO(read_mask(path, &m, err), done);
    TRY_GOTO(check_mask(path, &m, err), done);
    TRY_GOTO(allocate(m.indices.count, sizeof *column, "the block mask", &column, err), done);
    TRY_GOTO(to_int32(path, "indices", &m.indices, column, err), done);
    if (w->skip && m.n_q != m.n_k) {
        st = fail(err, VIC_BAD_ARGUMENT, "--skip: the mask is not square, so queries and keys are different atoms");
        goto done;
    }
    if (w->skip) TRY_GOTO(read_skip(w->skip, m.n_q, &skip, err), done);
    options->skip = skip;
    st = vic_pattern_from_blocks(m.n_q, m.n_q == m.n_k ? 0 : m.n_k, m.block, m.indptr.values, column, options, out,
                                 err);
    options->skip = NULL;
done:
    free(skip);
    free(column);
    ints_free(&m.indptr);
    ints_free(&m.indices);
    ints_free(&m.shape);
    return st;
}

/* ---- patterns ---- */

static vic_status from_list(const struct pattern_input *in, const struct pattern_built *b, int64_t atoms,
                            const vic_pattern_options *options, vic_pattern **out, vic_error *err)
{
    struct pairs pairs;
    vic_status st = read_pairs(in->ways.pairs, &pairs, err);
    if (st == VIC_OK)
        st = vic_pattern_from_pairs(b->structure, atoms, 0, pairs.n, pairs.query, pairs.key, pairs.image, options,
                                    out, err);
    pairs_free(&pairs);
    return st;
}

/* Of a structure, or of atoms without positions where there is none. */
static vic_status open_atoms(const struct pattern_input *in, struct pattern_built *out, int64_t atoms,
                             vic_pattern_options *options, vic_error *err)
{
    const struct pattern_ways *w = &in->ways;
    uint8_t *skip = NULL;
    vic_status st;
    if (w->skip) TRY(read_skip(w->skip, atoms, &skip, err));
    options->skip = skip;
    options->cutoff = in->cutoff;
    options->exclude_self = in->no_self;
    progress_phase("building the pattern");
    if (w->pairs)
        st = from_list(in, out, atoms, options, &out->pattern, err);
    else if (w->queries)
        st = vic_pattern_windows(atoms, w->queries, w->keys, options, &out->pattern, err);
    else if (w->nearest)
        st = vic_pattern_nearest(out->structure, w->nearest, options, &out->pattern, err);
    else
        st = vic_pattern_build(out->structure, options, &out->pattern, err);
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
    case SOURCE_MASK: return open_mask(in->file, &in->ways, &options, &out->pattern, err);
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
        return open_atoms(in, out, vic_structure_get(out->structure).atoms, &options, err);
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
    struct pairs pairs;
    vic_status st;
    if (w->unite) {
        TRY(vic_pattern_load(w->unite, &other, err));
        st = vic_pattern_unite(b->pattern, other, &next, err);
        vic_pattern_free(other);
        if (st != VIC_OK) return st;
        replace(b, next);
    }
    if (w->exclude) {
        st = read_pairs(w->exclude, &pairs, err);
        if (st == VIC_OK)
            st = vic_pattern_exclude(b->pattern, pairs.n, pairs.query, pairs.key, pairs.image, &next, err);
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
    bool one_set = vic_pattern_query_order(b->pattern) == vic_pattern_key_order(b->pattern);
    if (!b->structure && positions && one_set)
        TRY(vic_structure_from_arrays(b->info.n_q, positions, (const double(*)[3])b->info.cell, b->info.periodic,
                                      NULL, &b->structure, err));
    if (b->structure) b->view = vic_structure_get(b->structure);
    b->view.atoms = b->info.n_q;
    b->view.has_cell = b->view.has_cell && (b->info.periodic[0] || b->info.periodic[1] || b->info.periodic[2]);
    return VIC_OK;
}

vic_status pattern_ways_open(const struct pattern_input *in, struct pattern_built *out, vic_error *err)
{
    enum source source = source_of(in->file);
    TRY(check_ways(in, source, err));
    TRY(open_source(in, out, source, err));
    TRY(combine(&in->ways, out, err));
    out->info = vic_pattern_get(out->pattern);
    return take_view(out, err);
}

vic_status pattern_needs_positions(const struct pattern_input *in, const struct pattern_built *b, const char *what,
                                   vic_error *err)
{
    if (b->view.positions) return VIC_OK;
    return fail(err, VIC_BAD_ARGUMENT, "%s needs the positions of one set of atoms, which %s does not have", what,
                in->file);
}
