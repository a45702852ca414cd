/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/combine.h"

#include "base/clock.h"
#include "base/memory.h"
#include "contract/block_walk.h"
#include "pattern/assemble.h"
#include "pattern/expand.h"
#include "pattern/pattern.h"

#include <string.h>

/* ---- one pattern as a part of another ---- */

static bool same_array(const void *a, const void *b, int64_t n, size_t size)
{
    return a == b || (a && b && memcmp(a, b, (size_t)n * size) == 0);
}

static bool same_keys(const vic_pattern *a, const vic_pattern *b)
{
    if (a->k_order && b->k_order) return same_array(a->k_order, b->k_order, a->n_k, sizeof *a->k_order);
    if (!a->k_order && !b->k_order) return true;
    for (int64_t row = 0; row < a->n_k; row++)
        if (pattern_key(a, row) != pattern_key(b, row)) return false;
    return true;
}

/* The same rows and the same wraps, so that blocks can be taken as they are. */
static bool same_rows(const vic_pattern *a, const vic_pattern *b)
{
    return same_array(a->q_order, b->q_order, a->n_q, sizeof *a->q_order) && same_keys(a, b) &&
           same_array(a->q_wrap, b->q_wrap, a->n_q, sizeof *a->q_wrap) &&
           same_array(a->k_wrap, b->k_wrap, a->n_k, sizeof *a->k_wrap);
}

struct part {
    const vic_pattern *p;
    int32_t *image;           /* [p->n_images] index in the union's; NULL = it comes through its list */
    struct pattern_rule list; /* its pairs, where its rows are others */
    struct list_source source;
};

static vic_status part_list(const vic_pattern *whole, struct part *part, struct pool *pool, vic_error *err)
{
    vic_status st = VIC_OK;
    struct pair_list pairs = { .n = part->p->info.pairs };
    int32_t *query = NULL, *key = NULL, *image = NULL;
    TRY_GOTO(mem_array((size_t)pairs.n, sizeof *query, "pairs", &query, err), done);
    TRY_GOTO(mem_array((size_t)pairs.n, sizeof *key, "pairs", &key, err), done);
    TRY_GOTO(mem_array((size_t)pairs.n, 3 * sizeof *image, "pairs", &image, err), done);
    TRY_GOTO(pattern_neighbours(part->p, pool, &(struct neighbour_arrays){ .i = query, .j = key, .shift = image },
                                err),
             done);
    pairs = (struct pair_list){ pairs.n, query, key, image };
    part->list.kind = RULE_PAIRS;
    TRY_GOTO(pair_list_take(whole, &pairs, &part->list, err), done);
done:
    free(image);
    free(key);
    free(query);
    return st;
}

/* Makes ready what comes before the images are known. */
static vic_status part_open(const vic_pattern *whole, const vic_pattern *p, struct pool *pool, struct part *part,
                            struct image_set *images, vic_error *err)
{
    part->p = p;
    if (same_rows(whole, p)) {
        for (int64_t m = 0; m < p->n_images; m++) TRY(image_set_add(images, p->images[m], err));
        return mem_array((size_t)p->n_images, sizeof *part->image, "images", &part->image, err);
    }
    TRY(part_list(whole, part, pool, err));
    return list_images(whole, &part->list, images, err);
}

static vic_status part_ready(const vic_pattern *whole, struct pool *pool, struct part *part, vic_error *err)
{
    if (!part->image) return list_source_make(whole, &part->list, pool, &part->source, err);
    for (int64_t m = 0; m < part->p->n_images; m++) part->image[m] = pattern_find_image(whole, part->p->images[m]);
    return VIC_OK;
}

static void part_close(struct part *part)
{
    list_source_free(&part->source);
    rule_free(&part->list);
    free(part->image);
}

static vic_status part_strip(struct part *part, int64_t strip, int worker, struct block_list *out, vic_error *err)
{
    if (!part->image) return list_source_strip(&part->source, strip, worker, out, err);
    for (struct block_walk w = block_walk_start(part->p, strip); block_walk_next(&w);)
        TRY(block_list_add(out, w.cluster, part->image[w.image], w.bits, err));
    return VIC_OK;
}

/* ---- unions and differences ---- */

static vic_status check_same_atoms(const char *what, const vic_pattern *a, const vic_pattern *b, vic_error *err)
{
    if (a->n_q != b->n_q || a->n_k != b->n_k || a->one_set != b->one_set)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "a %s is over the same atoms: expected %lld queries and %s%lld keys in both, got %lld and "
                        "%s%lld",
                        what, (long long)a->n_q, a->one_set ? "the same " : "", (long long)a->n_k, (long long)b->n_q,
                        b->one_set ? "the same " : "", (long long)b->n_k);
    if (!a->q_positions || !b->q_positions) return VIC_OK;
    if (memcmp(a->cell, b->cell, sizeof a->cell) != 0 || memcmp(a->periodic, b->periodic, sizeof a->periodic) != 0)
        return vic_fail(err, VIC_BAD_ARGUMENT, "a %s is over the same cell: the two patterns have different ones",
                        what);
    if (!same_array(a->q_ids, b->q_ids, a->n_q, sizeof *a->q_ids) ||
        !same_array(a->k_ids, b->k_ids, a->n_k, sizeof *a->k_ids))
        return vic_fail(err, VIC_BAD_ARGUMENT, "a %s is over the same ids: the two patterns have different ones",
                        what);
    return VIC_OK;
}

static vic_status check_same_structures(const char *what, const vic_pattern *a, const vic_pattern *b, vic_error *err)
{
    if (!a->q_positions || !b->q_positions) return VIC_OK;
    if (a->structures != b->structures ||
        !same_array(a->offsets, b->offsets, a->structures + 1, sizeof *a->offsets) ||
        !same_array(a->k_offsets, b->k_offsets, a->structures + 1, sizeof *a->k_offsets))
        return vic_fail(err, VIC_BAD_ARGUMENT, "a %s is over the same structures, got %lld and %lld", what,
                        (long long)(a->structures ? a->structures : 1),
                        (long long)(b->structures ? b->structures : 1));
    for (int64_t s = 0; s < a->structures; s++)
        if (memcmp(a->cells[s].cell, b->cells[s].cell, sizeof a->cells[s].cell) != 0 ||
            memcmp(a->cells[s].periodic, b->cells[s].periodic, sizeof a->cells[s].periodic) != 0)
            return vic_fail(err, VIC_BAD_ARGUMENT, "a %s is over the same cells: structure %lld has different ones",
                            what, (long long)s);
    return VIC_OK;
}

static vic_status check_same_positions(const char *what, const vic_pattern *a, const vic_pattern *b, vic_error *err)
{
    if (!a->q_positions || !b->q_positions) return VIC_OK;
    for (int64_t i = 0; i < a->n_q + (a->one_set ? 0 : a->n_k); i++) {
        bool key = i >= a->n_q;
        int64_t atom = key ? i - a->n_q : i;
        const double *x = (key ? a->k_positions : a->q_positions) + 3 * atom;
        const double *y = (key ? b->k_positions : b->q_positions) + 3 * atom;
        if (x[0] == y[0] && x[1] == y[1] && x[2] == y[2]) continue;
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "a %s is over the same positions: %s atom %lld is at (%g, %g, %g) and at (%g, %g, %g)", what,
                        key ? "key" : "query", (long long)atom, x[0], x[1], x[2], y[0], y[1], y[2]);
    }
    return VIC_OK;
}

struct pair_of {
    struct part parts[2];
    int workers;
    struct block_list *second; /* [workers] of a difference: what goes */
};

static vic_status union_strip(void *context, int64_t strip, int worker, struct block_list *out, vic_error *err)
{
    struct pair_of *two = context;
    size_t first = out->n;
    for (int i = 0; i < 2; i++) TRY(part_strip(&two->parts[i], strip, worker, out, err));
    return block_list_unite(out, first, err);
}

static vic_status difference_strip(void *context, int64_t strip, int worker, struct block_list *out, vic_error *err)
{
    struct pair_of *two = context;
    struct block_list *second = &two->second[worker];
    size_t first = out->n;
    TRY(part_strip(&two->parts[0], strip, worker, out, err));
    TRY(block_list_unite(out, first, err));
    block_list_clear(second);
    TRY(part_strip(&two->parts[1], strip, worker, second, err));
    TRY(block_list_unite(second, 0, err));
    block_list_subtract(out, first, second);
    return VIC_OK;
}

/* The blocks of `p`, which has all but these and images. */
static vic_status combine_blocks(vic_pattern *p, const vic_pattern *a, const vic_pattern *b, strip_source *source,
                                 struct pool *pool, vic_error *err)
{
    vic_status st = VIC_OK;
    struct image_set images = { 0 };
    struct pair_of two = { .workers = pool_threads(pool) };
    TRY_GOTO(mem_array_zero((size_t)two.workers, sizeof *two.second, "workers", &two.second, err), done);
    TRY_GOTO(part_open(p, a, pool, &two.parts[0], &images, err), done);
    TRY_GOTO(part_open(p, b, pool, &two.parts[1], &images, err), done);
    TRY_GOTO(pattern_set_images(p, &images, err), done);
    for (int i = 0; i < 2; i++) TRY_GOTO(part_ready(p, pool, &two.parts[i], err), done);
    TRY_GOTO(assemble(p, pool, source, &two, err), done);
done:
    for (int i = 0; i < 2; i++) part_close(&two.parts[i]);
    for (int w = 0; two.second && w < two.workers; w++) block_list_free(&two.second[w]);
    free(two.second);
    image_set_free(&images);
    return st;
}

static vic_status combine(const char *what, enum pattern_rule_kind kind, const vic_pattern *a, const vic_pattern *b,
                          struct pool *pool, vic_pattern **out, vic_error *err)
{
    vic_status st = VIC_OK;
    double start = clock_seconds();
    bool unite = kind == RULE_UNITE;
    struct pattern_rule *rule;
    vic_pattern *p;
    *out = NULL;
    TRY(check_same_atoms(what, a, b, err));
    TRY(check_same_structures(what, a, b, err));
    TRY(check_same_positions(what, a, b, err));
    TRY(pattern_new_like(!a->q_positions && b->q_positions ? b : a, &p, err));
    TRY_GOTO(pattern_copy_rules(a, p, err), done);
    TRY_GOTO(pattern_copy_rules(b, p, err), done);
    TRY_GOTO(pattern_add_rule(p, kind, &rule, err), done);
    p->cutoff = a->cutoff;
    p->exclude_self = a->exclude_self && (b->exclude_self || !unite);
    p->info.boundary_pairs = a->info.boundary_pairs;
    if (unite) {
        p->cutoff = a->cutoff == 0 || b->cutoff == 0 ? 0 : a->cutoff > b->cutoff ? a->cutoff : b->cutoff;
        p->info.boundary_pairs += b->info.boundary_pairs;
    }
    TRY_GOTO(combine_blocks(p, a, b, unite ? union_strip : difference_strip, pool, err), done);
    p->info.seconds_build = clock_seconds() - start;
    *out = p;
    p = NULL;
done:
    pattern_release(p);
    return st;
}

vic_status pattern_unite(const vic_pattern *a, const vic_pattern *b, struct pool *pool, vic_pattern **out,
                         vic_error *err)
{
    return combine("union", RULE_UNITE, a, b, pool, out, err);
}

vic_status pattern_difference(const vic_pattern *a, const vic_pattern *b, struct pool *pool, vic_pattern **out,
                              vic_error *err)
{
    return combine("difference", RULE_SUBTRACT, a, b, pool, out, err);
}

/* ---- exclusions ---- */

struct exclusion {
    struct part part;
    const vic_pattern *p;
    const struct pattern_rule *rule;
    int32_t *row_of_key;
};

static vic_status exclude_strip(void *context, int64_t strip, int worker, struct block_list *out, vic_error *err)
{
    struct exclusion *x = context;
    const vic_pattern *p = x->p;
    const struct pattern_rule *rule = x->rule;
    size_t first = out->n;
    TRY(part_strip(&x->part, strip, worker, out, err));
    TRY(block_list_unite(out, first, err));
    for (int r = 0; r < STRIP && strip * STRIP + r < p->n_q; r++) {
        int32_t i = p->q_order[strip * STRIP + r];
        for (int64_t t = rule->ptr[i]; t < rule->ptr[i + 1]; t++) {
            int32_t row = x->row_of_key[rule->index[t]], cluster = row / CLUSTER, n[3], image = -1;
            if (rule->image) {
                if (!block_image(p, i, rule->index[t], rule->image[t], n)) continue;
                image = pattern_find_image(p, n);
                if (image < 0) continue;
            }
            for (size_t b = block_list_find(out, first, cluster); b < out->n && out->cluster[b] == cluster; b++)
                if (image < 0 || out->image[b] == image) out->bits[b].key[row % CLUSTER] &= ~((uint64_t)1 << r);
        }
    }
    return block_list_unite(out, first, err);
}

vic_status pattern_exclude(const vic_pattern *from, const struct pair_list *list, struct pool *pool,
                           vic_pattern **out, vic_error *err)
{
    vic_status st = VIC_OK;
    double start = clock_seconds();
    struct image_set images = { 0 };
    struct exclusion x = { .p = NULL };
    struct pattern_rule *rule;
    vic_pattern *p;
    *out = NULL;
    TRY(pattern_new_like(from, &p, err));
    TRY_GOTO(pattern_copy_rules(from, p, err), done);
    TRY_GOTO(pattern_add_rule(p, RULE_EXCLUDE, &rule, err), done);
    TRY_GOTO(pair_list_take(p, list, rule, err), done);
    p->cutoff = from->cutoff;
    p->exclude_self = from->exclude_self;
    p->info.boundary_pairs = from->info.boundary_pairs;
    x.p = p;
    x.rule = rule;
    TRY_GOTO(mem_array((size_t)p->n_k, sizeof *x.row_of_key, "keys", &x.row_of_key, err), done);
    for (int64_t row = 0; row < p->n_k; row++) x.row_of_key[pattern_key(p, row)] = (int32_t)row;
    TRY_GOTO(part_open(p, from, pool, &x.part, &images, err), done);
    TRY_GOTO(pattern_set_images(p, &images, err), done);
    TRY_GOTO(part_ready(p, pool, &x.part, err), done);
    TRY_GOTO(assemble(p, pool, exclude_strip, &x, err), done);
    p->info.seconds_build = clock_seconds() - start;
    *out = p;
    p = NULL;
done:
    part_close(&x.part);
    free(x.row_of_key);
    image_set_free(&images);
    pattern_release(p);
    return st;
}
