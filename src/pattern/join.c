/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns of parts of the atoms, built each on its own, put into one: several structures, whose rows follow one
 * another without padding, and structures of which some atoms take no part. */
#include "base/clock.h"
#include "base/memory.h"
#include "pattern/assemble.h"
#include "pattern/frame.h"
#include "pattern/pattern.h"
#include "pattern/ways.h"

#include <string.h>

/* A structure so large gets all threads for itself. */
enum { LARGE = 1 << 14 };

/* The atoms of one side that take part, and the rows that the whole gives them: rows are handed out in this order. */
struct side {
    int64_t n, kept;
    int32_t *atoms; /* [kept], then the others, [n] in all */
};

struct part {
    vic_pattern *p;
    int64_t q_first, k_first; /* its first place in the sides, which is its first row */
    int32_t *image;           /* [p->n_images] index in the whole's images */
};

struct join {
    vic_pattern *whole;
    struct side q, k; /* k is q where one_set */
    int64_t n_parts;
    struct part *parts;
    int64_t *first; /* [n_parts + 1] q_first of all, for searching */
};

static vic_status side_make(int64_t n, const uint8_t *skip, struct side *out, vic_error *err)
{
    int64_t others;
    out->n = n;
    TRY(mem_array((size_t)n, sizeof *out->atoms, "atoms", &out->atoms, err));
    for (int64_t i = 0; i < n; i++)
        if (!skip || !skip[i]) out->atoms[out->kept++] = (int32_t)i;
    others = out->kept;
    for (int64_t i = 0; i < n; i++)
        if (skip && skip[i]) out->atoms[others++] = (int32_t)i;
    return VIC_OK;
}

/* ---- the whole ---- */

static vic_status join_order(const struct join *j, bool keys, const int32_t **out, vic_error *err)
{
    const struct side *side = keys ? &j->k : &j->q;
    int32_t *order;
    TRY(mem_array((size_t)side->n, sizeof *order, "rows", &order, err));
    *out = order;
    for (int64_t i = 0; i < j->n_parts; i++) {
        const struct part *part = &j->parts[i];
        int64_t first = keys ? part->k_first : part->q_first, n = keys ? part->p->n_k : part->p->n_q;
        const int32_t *own = keys ? part->p->k_order : part->p->q_order;
        for (int64_t row = 0; row < n; row++) order[first + row] = side->atoms[first + own[row]];
    }
    for (int64_t row = side->kept; row < side->n; row++) order[row] = side->atoms[row];
    return VIC_OK;
}

/* Atoms of parts that are not periodic, and those that take no part, are not wrapped. */
static vic_status join_wraps(const struct join *j, bool keys, const int32_t (**out)[3], vic_error *err)
{
    const struct side *side = keys ? &j->k : &j->q;
    int32_t(*wraps)[3];
    bool any = false;
    for (int64_t i = 0; i < j->n_parts; i++) any |= j->parts[i].p->q_wrap != NULL;
    if (!any) return VIC_OK;
    TRY(mem_array_zero((size_t)side->n, sizeof *wraps, "wraps", &wraps, err));
    *out = (const int32_t(*)[3])wraps;
    for (int64_t i = 0; i < j->n_parts; i++) {
        const struct part *part = &j->parts[i];
        int64_t first = keys ? part->k_first : part->q_first, n = keys ? part->p->n_k : part->p->n_q;
        const int32_t(*own)[3] = keys ? part->p->k_wrap : part->p->q_wrap;
        for (int64_t atom = 0; own && atom < n; atom++)
            memcpy(wraps[side->atoms[first + atom]], own[atom], sizeof *wraps);
    }
    return VIC_OK;
}

static vic_status join_images(struct join *j, vic_error *err)
{
    struct image_set set = { 0 };
    vic_status st = VIC_OK;
    for (int64_t i = 0; i < j->n_parts; i++)
        for (int64_t m = 0; m < j->parts[i].p->n_images; m++)
            TRY_GOTO(image_set_add(&set, j->parts[i].p->images[m], err), done);
    TRY_GOTO(frame_set_images(j->whole, &set, err), done);
    for (int64_t i = 0; i < j->n_parts; i++) {
        struct part *part = &j->parts[i];
        TRY_GOTO(mem_array((size_t)part->p->n_images, sizeof *part->image, "images", &part->image, err), done);
        for (int64_t m = 0; m < part->p->n_images; m++)
            part->image[m] = frame_find_image(j->whole, part->p->images[m]);
    }
done:
    image_set_free(&set);
    return st;
}

/* A block of a part, whose rows stand `down` rows below those of the strip, and whose first key is `key` of all. */
static vic_status add_moved(struct block_entries *out, const struct block_walk *w, int64_t down, int64_t key,
                            int32_t image, vic_error *err)
{
    struct block_bits two[2] = { { { 0 } }, { { 0 } } };
    int offset = (int)(key % CLUSTER);
    for (int c = 0; c < CLUSTER; c++) {
        uint64_t bits = w->bits->key[c];
        two[(offset + c) / CLUSTER].key[(offset + c) % CLUSTER] = down >= 0 ? bits << down : bits >> -down;
    }
    TRY(entries_add(out, (int32_t)(key / CLUSTER), image, &two[0], err));
    return offset > 0 ? entries_add(out, (int32_t)(key / CLUSTER) + 1, image, &two[1], err) : VIC_OK;
}

static vic_status join_strip(void *context, int64_t strip, int worker, struct block_entries *out, vic_error *err)
{
    const struct join *j = context;
    int64_t first_row = strip * STRIP, low = 0, high = j->n_parts;
    (void)worker;
    while (low < high) { /* the first part that ends behind the strip's first row */
        int64_t middle = low + (high - low) / 2;
        if (j->first[middle + 1] <= first_row)
            low = middle + 1;
        else
            high = middle;
    }
    for (int64_t i = low; i < j->n_parts && j->first[i] < first_row + STRIP; i++) {
        const struct part *part = &j->parts[i];
        int64_t from = first_row - part->q_first;
        for (int64_t s = from > 0 ? from / STRIP : 0; s < part->p->strips && s * STRIP < from + STRIP; s++)
            for (struct block_walk w = block_walk_start(part->p, s); block_walk_next(&w);)
                TRY(add_moved(out, &w, s * STRIP - from, part->k_first + (int64_t)w.cluster * CLUSTER,
                              part->image[w.image], err));
    }
    return VIC_OK;
}

/* All that follows from the parts. */
static vic_status join_parts(struct join *j, struct pool *pool, vic_error *err)
{
    vic_pattern *p = j->whole;
    TRY(mem_array((size_t)j->n_parts + 1, sizeof *j->first, "structures", &j->first, err));
    for (int64_t i = 0; i < j->n_parts; i++) {
        j->first[i] = j->parts[i].q_first;
        p->info.boundary_pairs += j->parts[i].p->info.boundary_pairs;
        p->info.seconds_order += j->parts[i].p->info.seconds_order;
    }
    j->first[j->n_parts] = j->q.kept;
    TRY(join_order(j, false, &p->q_order, err));
    TRY(join_wraps(j, false, &p->q_wrap, err));
    if (p->one_set) {
        p->k_positions = p->q_positions;
        p->k_order = p->q_order;
        p->k_wrap = p->q_wrap;
    } else {
        TRY(join_order(j, true, &p->k_order, err));
        TRY(join_wraps(j, true, &p->k_wrap, err));
    }
    TRY(join_images(j, err));
    TRY(assemble(p, pool, join_strip, j, err));
    return pattern_finish(p, pool, err);
}

static void join_free(struct join *j)
{
    for (int64_t i = 0; j->parts && i < j->n_parts; i++) {
        pattern_release(j->parts[i].p);
        free(j->parts[i].image);
    }
    free(j->parts);
    free(j->first);
    if (j->k.atoms != j->q.atoms) free(j->k.atoms);
    free(j->q.atoms);
    pattern_release(j->whole);
}

static vic_status whole_make(int64_t n_q, int64_t n_k, bool one_set, double cutoff, bool exclude_self,
                             const uint8_t *q_skip, const uint8_t *k_skip, struct join *j, vic_error *err)
{
    struct pattern_rule *rule;
    vic_pattern *p;
    TRY(mem_array_zero(1, sizeof *p, "pattern", &p, err));
    j->whole = p;
    p->references = 1;
    p->one_set = one_set;
    p->n_q = n_q;
    p->n_k = one_set ? n_q : n_k;
    p->strips = (p->n_q + STRIP - 1) / STRIP;
    p->clusters = (p->n_k + CLUSTER - 1) / CLUSTER;
    p->cutoff = cutoff;
    p->exclude_self = exclude_self && one_set;
    TRY(frame_add_rule(p, RULE_CUTOFF, &rule, err));
    rule->cutoff = cutoff;
    rule->exclude_self = p->exclude_self;
    TRY(frame_set_skip(p, rule, q_skip, k_skip, err));
    TRY(side_make(p->n_q, q_skip, &j->q, err));
    if (!one_set) return side_make(p->n_k, k_skip, &j->k, err);
    j->k = j->q;
    return VIC_OK;
}

static vic_status kept_positions(const struct side *side, int64_t first, int64_t n, const double *positions,
                                 double **out, vic_error *err)
{
    TRY(mem_array((size_t)n, 3 * sizeof **out, "positions", out, err));
    for (int64_t i = 0; i < n; i++)
        memcpy(*out + 3 * i, positions + 3 * (int64_t)side->atoms[first + i], 3 * sizeof **out);
    return VIC_OK;
}

/* ---- one structure without some atoms ---- */

vic_status pattern_build_skipping(const struct pattern_input *in, const uint8_t *q_skip, const uint8_t *k_skip,
                                  struct pool *pool, vic_pattern **out, vic_error *err)
{
    vic_status st = VIC_OK;
    double start = clock_seconds(), *q = NULL, *k = NULL;
    struct join j = { .n_parts = 1 };
    struct pattern_input kept = *in;
    bool one_set = in->k_positions == NULL;
    *out = NULL;
    if (in->n_q < 0 || in->n_k < 0 || in->n_q > INT32_MAX - STRIP || in->n_k > INT32_MAX - STRIP)
        return pattern_build(in, pool, out, err); /* which says what is wrong */
    TRY_GOTO(whole_make(in->n_q, in->n_k, one_set, in->cutoff, in->exclude_self, q_skip, k_skip, &j, err), done);
    TRY_GOTO(frame_copy_positions(one_set ? "input" : "query", in->n_q, in->q_positions, &j.whole->q_positions, err),
             done);
    TRY_GOTO(mem_array_zero(1, sizeof *j.parts, "structures", &j.parts, err), done);
    TRY_GOTO(kept_positions(&j.q, 0, j.q.kept, in->q_positions, &q, err), done);
    kept.n_q = j.q.kept;
    kept.q_positions = q;
    if (!one_set) {
        TRY_GOTO(frame_copy_positions("key", in->n_k, in->k_positions, &j.whole->k_positions, err), done);
        TRY_GOTO(kept_positions(&j.k, 0, j.k.kept, in->k_positions, &k, err), done);
        kept.n_k = j.k.kept;
        kept.k_positions = k;
    }
    TRY_GOTO(pattern_build(&kept, pool, &j.parts[0].p, err), done);
    memcpy(j.whole->cell, j.parts[0].p->cell, sizeof j.whole->cell);
    memcpy(j.whole->periodic, j.parts[0].p->periodic, sizeof j.whole->periodic);
    TRY_GOTO(join_parts(&j, pool, err), done);
    j.whole->info.seconds_build = clock_seconds() - start - j.whole->info.seconds_order;
    *out = j.whole;
    j.whole = NULL;
done:
    free(k);
    free(q);
    join_free(&j);
    return st;
}

/* ---- several structures ---- */

static vic_status check_structures(const struct structures_input *in, vic_error *err)
{
    if (in->structures < 1 || in->structures > INT32_MAX)
        return vic_fail(err, VIC_BAD_ARGUMENT, "structures: expected 1 to %d, got %lld", INT32_MAX,
                        (long long)in->structures);
    if (in->offsets[0] != 0)
        return vic_fail(err, VIC_BAD_ARGUMENT, "offsets[0]: expected 0, got %lld", (long long)in->offsets[0]);
    for (int64_t s = 0; s < in->structures; s++)
        if (in->offsets[s + 1] < in->offsets[s])
            return vic_fail(err, VIC_BAD_ARGUMENT, "offsets[%lld]: expected at least %lld, as before it, got %lld",
                            (long long)s + 1, (long long)in->offsets[s], (long long)in->offsets[s + 1]);
    if (in->offsets[in->structures] > INT32_MAX - STRIP)
        return vic_fail(err, VIC_BAD_ARGUMENT, "%lld atoms: a pattern holds at most %d",
                        (long long)in->offsets[in->structures], INT32_MAX - STRIP);
    if (!in->positions && in->offsets[in->structures] > 0)
        return vic_fail(err, VIC_BAD_ARGUMENT, "positions is NULL, but there are %lld atoms",
                        (long long)in->offsets[in->structures]);
    for (int64_t s = 0; in->periodic && !in->cells && s < in->structures; s++)
        for (int x = 0; x < 3; x++)
            if (in->periodic[3 * s + x])
                return vic_fail(err, VIC_BAD_ARGUMENT, "structure %lld: periodic along %c, but no cells were given",
                                (long long)s, 'a' + x);
    return VIC_OK;
}

/* A cell of zeros says that this structure has none. */
static void take_cell(const struct structures_input *in, int64_t s, struct pattern_cell *out)
{
    bool has_cell = false;
    memset(out, 0, sizeof *out);
    for (int i = 0; in->cells && i < 9; i++) has_cell |= in->cells[9 * s + i] != 0.0;
    for (int x = 0; x < 3; x++) {
        out->periodic[x] = in->periodic ? in->periodic[3 * s + x] : has_cell;
        if (out->periodic[x]) memcpy(out->cell[x], in->cells + 9 * s + 3 * x, sizeof out->cell[x]);
    }
}

struct builds {
    const struct structures_input *in;
    struct join *j;
    int64_t *kept_first; /* [structures + 1] in the atoms that take part */
    struct pool **pools; /* [workers] of one thread each */
    vic_status *status;  /* [structures] */
};

static vic_status build_one(const struct builds *b, int64_t s, struct pool *pool, vic_error *err)
{
    const vic_pattern *whole = b->j->whole;
    struct part *part = &b->j->parts[s];
    double *own = NULL;
    vic_error reason;
    vic_status st;
    struct pattern_input input = { .n_q = b->kept_first[s + 1] - b->kept_first[s],
                                   .cutoff = b->in->cutoff,
                                   .exclude_self = b->in->exclude_self };
    memcpy(input.cell, whole->cells[s].cell, sizeof input.cell);
    memcpy(input.periodic, whole->cells[s].periodic, sizeof input.periodic);
    part->q_first = part->k_first = b->kept_first[s];
    if (b->in->skip) {
        TRY(kept_positions(&b->j->q, part->q_first, input.n_q, whole->q_positions, &own, err));
        input.q_positions = own;
    } else {
        input.q_positions = whole->q_positions + 3 * b->in->offsets[s];
    }
    st = pattern_build(&input, pool, &part->p, &reason);
    free(own);
    if (st != VIC_OK) return vic_fail(err, st, "structure %lld: %.980s", (long long)s, reason.text);
    return VIC_OK;
}

static void build_task(void *context, int64_t s, int worker)
{
    struct builds *b = context;
    if (b->kept_first[s + 1] - b->kept_first[s] < LARGE) b->status[s] = build_one(b, s, b->pools[worker], NULL);
}

/* Small structures side by side, a thread each; large ones one by one with all threads. */
static vic_status build_all(struct builds *b, struct pool *pool, vic_error *err)
{
    int64_t n = b->in->structures;
    pool_run(pool, n, build_task, b);
    for (int64_t s = 0; s < n; s++) {
        bool large = b->kept_first[s + 1] - b->kept_first[s] >= LARGE;
        if (large) TRY(build_one(b, s, pool, err));
        if (b->status[s] != VIC_OK) return build_one(b, s, pool, err); /* once more, for its words */
    }
    return VIC_OK;
}

static vic_status make_cells(const struct structures_input *in, vic_pattern *whole, vic_error *err)
{
    struct pattern_cell *cells;
    int64_t *offsets;
    size_t n = (size_t)in->structures;
    TRY(mem_array(n + 1, sizeof *offsets, "structures", &offsets, err));
    memcpy(offsets, in->offsets, (n + 1) * sizeof *offsets);
    whole->offsets = offsets;
    whole->structures = in->structures;
    TRY(mem_array(n, sizeof *cells, "structures", &cells, err));
    whole->cells = cells;
    for (int64_t s = 0; s < in->structures; s++) take_cell(in, s, &cells[s]);
    return VIC_OK;
}

static void count_kept(const struct structures_input *in, int64_t *first)
{
    first[0] = 0;
    for (int64_t s = 0; s < in->structures; s++) {
        first[s + 1] = first[s];
        for (int64_t i = in->offsets[s]; i < in->offsets[s + 1]; i++) first[s + 1] += !(in->skip && in->skip[i]);
    }
}

vic_status pattern_build_structures(const struct structures_input *in, struct pool *pool, vic_pattern **out,
                                    vic_error *err)
{
    vic_status st = VIC_OK;
    double start = clock_seconds();
    struct join j = { 0 };
    struct builds b = { .in = in, .j = &j };
    int workers = pool_threads(pool);
    *out = NULL;
    TRY(check_structures(in, err));
    size_t n = (size_t)in->structures;
    TRY_GOTO(whole_make(in->offsets[n], 0, true, in->cutoff, in->exclude_self, in->skip, NULL, &j, err), done);
    TRY_GOTO(frame_copy_positions("input", j.whole->n_q, in->positions, &j.whole->q_positions, err), done);
    TRY_GOTO(make_cells(in, j.whole, err), done);
    TRY_GOTO(mem_array_zero(n, sizeof *j.parts, "structures", &j.parts, err), done);
    j.n_parts = in->structures;
    TRY_GOTO(mem_array(n + 1, sizeof *b.kept_first, "structures", &b.kept_first, err), done);
    TRY_GOTO(mem_array_zero(n, sizeof *b.status, "structures", &b.status, err), done);
    TRY_GOTO(mem_array_zero((size_t)workers, sizeof *b.pools, "workers", &b.pools, err), done);
    for (int w = 0; w < workers; w++) TRY_GOTO(pool_create(1, &b.pools[w], err), done);
    count_kept(in, b.kept_first);
    TRY_GOTO(build_all(&b, pool, err), done);
    TRY_GOTO(join_parts(&j, pool, err), done);
    j.whole->info.seconds_order = 0; /* of parts at once: all of it is in the build */
    j.whole->info.seconds_build = clock_seconds() - start;
    *out = j.whole;
    j.whole = NULL;
done:
    for (int w = 0; b.pools && w < workers; w++) pool_free(b.pools[w]);
    free(b.pools);
    free(b.status);
    free(b.kept_first);
    join_free(&j);
    return st;
}
