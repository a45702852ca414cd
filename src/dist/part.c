/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/memory.h"
#include "dist/dist.h"
#include "pattern/block_list.h"
#include "pattern/expand.h"
#include "pattern/pattern.h"
#include "pattern/statistics.h"
#include "pattern/transpose.h"

#include <string.h>

/* A part while it is made: `out` has the rows of some strips of `whole`, and as columns the local rows of a domain's other
 * side, in the order of the whole.  Whole clusters come over, so that each row's sums have the same terms in the same
 * order. */
struct part {
    const vic_pattern *whole;
    vic_pattern *out;
    int64_t strips;
    int32_t *strip;    /* [strips] of the whole */
    int32_t *row;      /* [out->n_q] row -> row of the whole */
    int32_t *column;   /* [out->n_k] local row -> row of the whole */
    int32_t *renumber; /* [clusters of the whole] -> cluster of the part */
};

static void part_free(struct part *part)
{
    free(part->strip);
    free(part->row);
    free(part->column);
    free(part->renumber);
    pattern_release(part->out);
}

/* ---- rows and columns ---- */

static vic_status take_rows(const struct vic_dist *d, int32_t domain, vic_side which, vic_dist_part kind,
                            struct part *part, int64_t *n_rows, vic_error *err)
{
    const struct dist_side *side = &d->sides[which];
    int64_t most = side->first[domain + 1] - side->first[domain];
    TRY(mem_array((size_t)most, sizeof *part->strip, "strips", &part->strip, err));
    TRY(mem_array((size_t)most * STRIP, sizeof *part->row, "rows", &part->row, err));
    *n_rows = 0;
    for (int64_t s = side->first[domain]; s < side->first[domain + 1]; s++) {
        if (side->interior[s] != (kind == VIC_INTERIOR)) continue;
        part->strip[part->strips++] = (int32_t)s;
        for (int64_t r = s * STRIP; r < (s + 1) * STRIP && r < side->n; r++) part->row[(*n_rows)++] = (int32_t)r;
    }
    return VIC_OK;
}

/* One cluster more of the part's columns; `local` is the local row of its first one. */
static void take_cluster(const struct dist_side *side, int64_t cluster, int64_t local, int32_t *next_cluster,
                         int64_t *next_row, struct part *part)
{
    part->renumber[cluster] = (*next_cluster)++;
    for (int64_t r = 0; r < cluster_rows(side, cluster); r++) {
        part->out->k_order[(*next_row)++] = (int32_t)(local + r);
        part->column[local + r] = (int32_t)(cluster * CLUSTER + r);
    }
}

/* Clusters in the order of the whole: the halo's below the domain's own, these, the halo's above. */
static vic_status take_columns(const struct vic_dist *d, int32_t domain, vic_side which, vic_dist_part kind,
                               struct part *part, vic_error *err)
{
    const struct dist_side *side = &d->sides[which];
    const struct dist_rows *rows = &d->rows[which][domain];
    int64_t begin = side->first[domain] * STRIP_CLUSTERS, end = side->first[domain + 1] * STRIP_CLUSTERS, row = 0;
    int64_t halo = rows->own;
    size_t i = 0, n = kind == VIC_BOUNDARY ? rows->n_clusters : 0;
    int32_t cluster = 0;
    TRY(mem_array((size_t)part->out->n_k, sizeof *part->column, "rows", &part->column, err));
    TRY(mem_array((size_t)part->out->n_k, sizeof *part->out->k_order, "rows", &part->out->k_order, err));
    TRY(mem_array((size_t)side->clusters, sizeof *part->renumber, "clusters", &part->renumber, err));
    if (end > side->clusters) end = side->clusters;
    for (int64_t c = 0; c < side->clusters; c++) part->renumber[c] = -1;
    for (; i < n && rows->clusters[i] < begin; halo += cluster_rows(side, rows->clusters[i++]))
        take_cluster(side, rows->clusters[i], halo, &cluster, &row, part);
    for (int64_t c = begin; c < end; c++) take_cluster(side, c, cluster_local(side, c), &cluster, &row, part);
    for (; i < n; halo += cluster_rows(side, rows->clusters[i++]))
        take_cluster(side, rows->clusters[i], halo, &cluster, &row, part);
    return VIC_OK;
}

/* ---- blocks ---- */

static vic_status take_blocks(struct part *part, vic_error *err)
{
    const vic_pattern *w = part->whole;
    vic_pattern *p = part->out;
    TRY(mem_array((size_t)part->strips + 1, sizeof *p->partial_ptr, "strips", &p->partial_ptr, err));
    TRY(mem_array((size_t)part->strips + 1, sizeof *p->full_ptr, "strips", &p->full_ptr, err));
    p->partial_ptr[0] = p->full_ptr[0] = 0;
    for (int64_t s = 0; s < part->strips; s++) {
        int32_t from = part->strip[s];
        p->partial_ptr[s + 1] = p->partial_ptr[s] + w->partial_ptr[from + 1] - w->partial_ptr[from];
        p->full_ptr[s + 1] = p->full_ptr[s] + w->full_ptr[from + 1] - w->full_ptr[from];
    }
    p->n_partial = p->partial_ptr[part->strips];
    TRY(mem_array((size_t)p->n_partial, sizeof *p->partial_cluster, "blocks", &p->partial_cluster, err));
    TRY(mem_array((size_t)p->n_partial, sizeof *p->partial_image, "blocks", &p->partial_image, err));
    TRY(mem_array((size_t)p->n_partial, sizeof *p->partial_bits, "block masks", &p->partial_bits, err));
    TRY(mem_array((size_t)p->full_ptr[part->strips], sizeof *p->full_runs, "runs of full blocks", &p->full_runs,
                  err));
    for (int64_t s = 0; s < part->strips; s++) {
        int64_t from = w->partial_ptr[part->strip[s]], to = p->partial_ptr[s], n = p->partial_ptr[s + 1] - to;
        for (int64_t i = 0; i < n; i++) {
            p->partial_cluster[to + i] = part->renumber[w->partial_cluster[from + i]];
            p->partial_image[to + i] = w->partial_image[from + i];
            p->partial_bits[to + i] = w->partial_bits[from + i];
            p->info.pairs += block_pairs(&p->partial_bits[to + i]);
        }
        from = w->full_ptr[part->strip[s]];
        for (int64_t i = p->full_ptr[s]; i < p->full_ptr[s + 1]; i++) {
            p->full_runs[i] = w->full_runs[from++];
            p->full_runs[i].first = part->renumber[p->full_runs[i].first]; /* a run's clusters stay neighbours */
            p->n_full += p->full_runs[i].count;
        }
    }
    p->info.pairs += p->n_full * BLOCK;
    return VIC_OK;
}

/* ---- what is known of the points ---- */

/* *out [n, width] of `size` bytes: by point of the part, from what the whole has by point; NULL stays NULL.
 * `order` may be NULL, as k_order of the contract. */
static vic_status gather(const void *from, size_t size, const int32_t *order, const int32_t *rows, int64_t n,
                         void *out, vic_error *err)
{
    char *to;
    if (!from) return VIC_OK;
    TRY(mem_array((size_t)n, size, "values of points", &to, err));
    for (int64_t i = 0; i < n; i++)
        memcpy(to + (size_t)i * size, (const char *)from + (size_t)(order ? order[rows[i]] : rows[i]) * size, size);
    memcpy(out, &to, sizeof to);
    return VIC_OK;
}

/* Ids of the whole, without which a part could not tell a self pair. */
static vic_status take_ids(const struct part *part, vic_error *err)
{
    const vic_pattern *w = part->whole;
    vic_pattern *p = part->out;
    if (!w->one_set && !w->q_ids) return VIC_OK;
    TRY(mem_array((size_t)p->n_q, sizeof *p->q_ids, "ids", &p->q_ids, err));
    TRY(mem_array((size_t)p->n_k, sizeof *p->k_ids, "ids", &p->k_ids, err));
    for (int64_t i = 0; i < p->n_q; i++) {
        int32_t point = w->q_order[part->row[i]];
        p->q_ids[i] = w->q_ids ? w->q_ids[point] : point;
    }
    for (int64_t i = 0; i < p->n_k; i++) {
        int32_t point = pattern_key(w, part->column[i]);
        p->k_ids[i] = w->k_ids ? w->k_ids[point] : point;
    }
    return VIC_OK;
}

static vic_status take_points(const struct part *part, vic_error *err)
{
    const vic_pattern *w = part->whole;
    vic_pattern *p = part->out;
    TRY(mem_array((size_t)p->n_q, sizeof *p->q_order, "rows", &p->q_order, err));
    for (int64_t i = 0; i < p->n_q; i++) p->q_order[i] = (int32_t)i;
    TRY(array_copy(w->images, w->n_images, sizeof *w->images, &p->images, err));
    p->n_images = w->n_images;
    TRY(gather(w->q_wrap, sizeof *w->q_wrap, w->q_order, part->row, p->n_q, &p->q_wrap, err));
    TRY(gather(w->k_wrap, sizeof *w->k_wrap, w->k_order, part->column, p->n_k, &p->k_wrap, err));
    TRY(take_ids(part, err));
    if (w->structures > 0) return VIC_OK; /* local rows are not by structure, so there is no cell for each */
    memcpy(p->cell, w->cell, sizeof p->cell);
    memcpy(p->periodic, w->periodic, sizeof p->periodic);
    p->cutoff = w->cutoff;
    TRY(gather(w->q_positions, 3 * sizeof *w->q_positions, w->q_order, part->row, p->n_q, &p->q_positions, err));
    return gather(w->k_positions, 3 * sizeof *w->k_positions, w->k_order, part->column, p->n_k, &p->k_positions, err);
}

/* ---- rules ---- */

/* Whether the whole's rule says of the part's points what it says of the whole's. */
static bool keeps_rule(const vic_pattern *w)
{
    return w->structures == 0 && (w->n_rules == 0 || (w->n_rules == 1 && w->rules[0].kind == RULE_CUTOFF));
}

static vic_status take_cutoff(const struct part *part, vic_error *err)
{
    const vic_pattern *w = part->whole;
    struct pattern_rule *rule;
    part->out->exclude_self = w->exclude_self;
    if (w->n_rules == 0) return VIC_OK;
    TRY(pattern_add_rule(part->out, RULE_CUTOFF, &rule, err));
    rule->cutoff = w->rules[0].cutoff;
    rule->exclude_self = w->rules[0].exclude_self;
    TRY(gather(w->rules[0].q_skip, 1, w->q_order, part->row, part->out->n_q, &rule->q_skip, err));
    return gather(w->rules[0].k_skip, 1, w->k_order, part->column, part->out->n_k, &rule->k_skip, err);
}

/* All pairs one by one, from the blocks. */
static vic_status list_pairs(const struct part *part, struct pool *pool, vic_error *err)
{
    vic_status st = VIC_OK;
    vic_pattern *p = part->out;
    struct pattern_rule *rule;
    int32_t *query = NULL;
    size_t pairs = (size_t)p->info.pairs;
    TRY(pattern_add_rule(p, RULE_PAIRS, &rule, err));
    rule->rows = p->n_q;
    rule->n = p->info.pairs;
    TRY(mem_array_zero((size_t)p->n_q + 1, sizeof *rule->ptr, "queries", &rule->ptr, err));
    TRY(mem_array(pairs, sizeof *rule->index, "pairs", &rule->index, err));
    TRY(mem_array(pairs, sizeof *rule->image, "images of pairs", &rule->image, err));
    TRY(mem_array(pairs, sizeof *query, "pairs", &query, err));
    const struct neighbour_arrays arrays = { .i = query, .j = rule->index, .shift = rule->image[0] };
    TRY_GOTO(pattern_neighbours(p, pool, &arrays, err), done);
    for (size_t t = 0; t < pairs; t++) rule->ptr[query[t] + 1]++;
    for (int64_t i = 0; i < p->n_q; i++) rule->ptr[i + 1] += rule->ptr[i];
done:
    free(query);
    return st;
}

/* ---- a part ---- */

static vic_status make_part(const struct vic_dist *d, int32_t domain, vic_side side, vic_dist_part kind,
                            struct pool *pool, struct part *part, vic_error *err)
{
    const struct dist_rows *columns = &d->rows[other_side(side)][domain];
    int64_t n_rows, n_columns = columns->own + (kind == VIC_BOUNDARY ? columns->halo : 0);
    part->whole = d->walk[side];
    TRY(take_rows(d, domain, side, kind, part, &n_rows, err));
    TRY(pattern_new(n_rows, n_columns, false, &part->out, err));
    TRY(take_columns(d, domain, other_side(side), kind, part, err));
    TRY(take_points(part, err));
    TRY(take_blocks(part, err));
    if (keeps_rule(part->whole))
        TRY(take_cutoff(part, err));
    else
        TRY(list_pairs(part, pool, err));
    return pattern_statistics(part->out, pool, err);
}

vic_status dist_make_pattern(const struct vic_dist *d, int32_t domain, vic_side side, vic_dist_part kind,
                             struct pool *pool, vic_pattern **out, vic_error *err)
{
    vic_status st = VIC_OK;
    struct part part = { .whole = NULL };
    double start = clock_seconds();
    *out = NULL;
    TRY_GOTO(make_part(d, domain, side, kind, pool, &part, err), done);
    part.out->info.seconds_build = clock_seconds() - start;
    if (side == VIC_KEY) /* the rows that were taken are its keys */
        TRY_GOTO(pattern_transpose(part.out, pool, out, err), done);
    else
        *out = pattern_retain(part.out);
done:
    part_free(&part);
    return st;
}
