/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/ref/attention_ref.h"

#include "base/memory.h"
#include "base/sizes.h"
#include "base/switches.h"
#include "contract/distance_bias.h"
#include "contract/pair_rule.h"
#include "kernels/kernels.h"
#include "kernels/ref/images.h"
#include "kernels/ref/rows.h"
#include "kernels/ref/rules.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { DIM_MAX = 128 };

/* ---- Neighbours ---- */

/* The images of a key atom within the cutoff: how many there are, the largest of their biases b, NaN where one is, and the
 * sum of e^(b - largest).  All images share one dot product, so the key weighs e^(score + largest) * sum.  Without a
 * bias every b is 0. */
struct images {
    int32_t count;
    double largest, sum;
};

/* The biases of one head. */
struct head_bias {
    const struct attention_args *args;
    int head;
};

/* The bias of one pair with a number: of its distance, which is found where `table` is, and stored. */
static double bias_of_pair(const struct head_bias *h, const struct vic_pattern *p, int64_t query, int64_t key,
                           const int32_t image[3], int64_t number)
{
    const struct distance_bias *bias = &h->args->bias;
    double b = 0.0;
    if (bias->table)
        b = distance_bias_value(bias->table + h->head * bias->head_stride, bias->points,
                                pair_distance2(p->q_positions + 3 * query, p->k_positions + 3 * key, p->cell,
                                               image[0], image[1], image[2]),
                                p->cutoff);
    if (h->args->pair_bias.data) b += ref_pair_bias(&h->args->pair_bias, query, key, number, h->head);
    return b;
}

static void images_add(struct images *found, double b)
{
    found->count++;
    if (b == -INFINITY) return;
    if (isnan(b)) found->largest = b;
    if (b > found->largest) {
        found->sum = found->sum * exp(found->largest - b) + 1.0;
        found->largest = b;
    } else {
        found->sum += exp(b - found->largest);
    }
}

/* The images of key atom `key` around query atom `query`, the first of which has that number; `bias` may be NULL. */
static struct images images_within(const struct vic_pattern *p, const struct image_search *s, int64_t query,
                                   int64_t key, const struct head_bias *bias, int64_t number)
{
    const double *ri = p->q_positions + 3 * query, *rj = p->k_positions + 3 * key;
    double difference[3] = { rj[0] - ri[0], rj[1] - ri[1], rj[2] - ri[2] };
    double limit = p->cutoff * p->cutoff;
    int32_t first[3], last[3];
    struct images found = { 0, -INFINITY, 0.0 };
    if (!image_search_range(s, difference, first, last)) return found;
    for (int32_t n1 = first[0]; n1 <= last[0]; n1++)
        for (int32_t n2 = first[1]; n2 <= last[1]; n2++)
            for (int32_t n3 = first[2]; n3 <= last[2]; n3++) {
                if (p->exclude_self && query == key && n1 == 0 && n2 == 0 && n3 == 0) continue;
                if (!(pair_distance2(ri, rj, p->cell, n1, n2, n3) < limit)) continue;
                const int32_t image[3] = { n1, n2, n3 };
                images_add(&found, bias ? bias_of_pair(bias, p, query, key, image, number + found.count) : 0.0);
            }
    return found;
}

/* ---- One row ------------------------------------------------------------------------------------------------ */

/* A key atom within the cutoff, with its images for the head that is being computed. */
struct neighbour {
    int64_t atom, first; /* `first`: where its pairs begin among those of the row */
    struct images images;
};

/* What all workers use, and their scratch. */
struct reference {
    const struct vic_pattern *pattern;
    const struct attention_shape *shape;
    const struct attention_args *args;
    struct image_search search; /* for a pattern without rules, which is a cutoff and no more */
    struct rules *rules;        /* for all others; NULL where `search` is used */
    int64_t *first_pair;        /* [n_q + 1] numbers of the atoms' first pairs, with a pair bias */
    int32_t *q_row, *k_row;     /* atom -> tensor row */
    char *scratch;              /* per worker: neighbours [n_k], then scores [n_k] */
};

struct ref_sizes {
    size_t q_row, k_row, neighbours, scores;
};

static size_t round_up(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static struct ref_sizes ref_sizes(const struct vic_pattern *p)
{
    size_t n_q = (size_t)p->n_q, n_k = (size_t)p->n_k;
    return (struct ref_sizes){ round_up(n_q * sizeof(int32_t)), round_up(n_k * sizeof(int32_t)),
                               round_up(n_k * sizeof(struct neighbour)), round_up(n_k * sizeof(double)) };
}

static size_t ref_workspace(const struct vic_pattern *p, int threads)
{
    struct ref_sizes size = ref_sizes(p);
    return size_plus(size.q_row + size.k_row, size_times((size_t)threads, size.neighbours + size.scores));
}

/* Frees what reference_make() has allocated, also where that failed. */
static void reference_drop(struct reference *r)
{
    rules_free(r->rules);
    free(r->first_pair);
}

static vic_status reference_make(const struct vic_pattern *p, const struct attention_shape *shape,
                                 const struct attention_args *args, void *workspace, int threads, struct reference *r,
                                 vic_error *err)
{
    struct ref_sizes size = ref_sizes(p);
    char *at = workspace;
    r->pattern = p;
    r->shape = shape;
    r->args = args;
    r->q_row = (int32_t *)at;
    r->k_row = (int32_t *)(at + size.q_row);
    r->scratch = at + size.q_row + size.k_row;
    ref_atom_rows(p->n_q, p->q_order, args->q_rows, r->q_row);
    ref_atom_rows(p->n_k, p->k_order, args->k_rows, r->k_row);
    r->rules = NULL;
    r->first_pair = NULL;
    if (args->pair_bias.data) {
        TRY(mem_array((size_t)p->n_q + 1, sizeof *r->first_pair, "numbers of pairs", &r->first_pair, err));
        ref_first_pairs(p, r->first_pair);
    }
    if (p->n_rules > 0) return rules_make(p, threads, &r->rules, err);
    return image_search_make((const double(*)[3])p->cell, p->periodic,
                             largest_norm(p->n_q, p->q_positions) + largest_norm(p->n_k, p->k_positions), p->cutoff,
                             &r->search, err);
}

static int64_t neighbours_by_rules(const struct reference *r, int64_t query, int worker,
                                   const struct rule_pair **list, struct neighbour *found)
{
    int64_t pairs, n = 0;
    *list = rules_row(r->rules, query, worker, &pairs);
    for (int64_t i = 0; i < pairs; i++) {
        if (n == 0 || found[n - 1].atom != (*list)[i].key)
            found[n++] = (struct neighbour){ (*list)[i].key, i, { 0, -INFINITY, 0.0 } };
        images_add(&found[n - 1].images, 0.0);
    }
    return n;
}

/* The images of a neighbour, found once more with the biases of one head. */
static struct images images_of(const struct reference *r, int64_t query, const struct neighbour *one,
                               const struct rule_pair *list, int head)
{
    const struct vic_pattern *p = r->pattern;
    const struct head_bias bias = { r->args, head };
    const int64_t number = r->first_pair ? r->first_pair[query] : 0;
    struct images found = { 0, -INFINITY, 0.0 };
    if (!r->rules) return images_within(p, &r->search, query, one->atom, &bias, number + one->first);
    for (int64_t i = one->first; i < one->first + one->images.count; i++)
        images_add(&found, bias_of_pair(&bias, p, query, one->atom, list[i].image, number + i));
    return found;
}

/* Scores go up to 2^263 * scale.  With an extreme scale they are kept times 2^-400, so that they do not overflow, and
 * their differences are divided by that. */
static double score_unit(double scale)
{
    return fabs(scale) > 0x1p700 ? 0x1p-400 : 1.0;
}

/* By how much neighbour a's score (kept times `unit`) plus distance bias is above neighbour b's.  The two differences
 * are taken apart: beside a score of 10^20 a bias would be lost, and where two such scores are equal it decides. */
static double above(const struct neighbour *found, const double *score, double unit, int64_t a, int64_t b)
{
    return (score[a] - score[b]) / unit + (found[a].images.largest - found[b].images.largest);
}

/* out [heads, d_v] and lse [heads] of one query atom; returns its number of pairs. */
static int64_t reference_row(const struct reference *r, int64_t query, int worker, double *out, double *lse)
{
    const struct vic_pattern *p = r->pattern;
    const struct attention_shape *shape = r->shape;
    const bool biased = r->args->bias.table || r->args->pair_bias.data;
    struct ref_sizes size = ref_sizes(p);
    char *scratch = r->scratch + (size_t)worker * (size.neighbours + size.scores);
    struct neighbour *found = (struct neighbour *)scratch;
    double *score = (double *)(scratch + size.neighbours);
    const struct rule_pair *listed = NULL;
    int64_t n = 0, pairs = 0;

    if (r->rules) n = neighbours_by_rules(r, query, worker, &listed, found);
    for (int64_t key = 0; !r->rules && key < p->n_k; key++) {
        struct images images = images_within(p, &r->search, query, key, NULL, 0);
        if (images.count > 0) found[n++] = (struct neighbour){ key, pairs, images };
        pairs += images.count;
    }
    for (int64_t i = 0; r->rules && i < n; i++) pairs += found[i].images.count;
    for (int head = 0; head < shape->heads; head++) {
        int kv_head = head / (shape->heads / shape->kv_heads);
        double unit = score_unit(r->args->scale), weight = 0.0, *sum = out + (int64_t)head * shape->d_v;
        double q[DIM_MAX], key[DIM_MAX], value[DIM_MAX];
        int64_t top = -1; /* the neighbour with the largest score; one whose score is NaN makes the row NaN */
        ref_read(&r->args->q, shape->dtype, r->q_row[query], head, shape->d_qk, q);
        for (int64_t i = 0; i < n; i++) {
            int64_t row = r->k_row[found[i].atom];
            double dot = 0.0;
            if (biased) found[i].images = images_of(r, query, &found[i], listed, head);
            ref_read(&r->args->k, shape->dtype, row, kv_head, shape->d_qk, key);
            for (int c = 0; c < shape->d_qk; c++) dot += q[c] * key[c];
            score[i] = dot * (r->args->scale * unit);
            if (score[i] == -INFINITY || (found[i].images.largest == -INFINITY && !isnan(score[i]))) continue;
            if (top < 0 || isnan(score[i] + found[i].images.largest) || above(found, score, unit, i, top) > 0.0)
                top = i;
        }
        memset(sum, 0, (size_t)shape->d_v * sizeof *sum);
        lse[head] = -INFINITY;
        if (top < 0) continue;
        for (int64_t i = 0; i < n; i++) {
            int64_t row = r->k_row[found[i].atom];
            double w = found[i].images.sum * exp(above(found, score, unit, i, top));
            weight += w;
            ref_read(&r->args->v, shape->dtype, row, kv_head, shape->d_v, value);
            for (int c = 0; c < shape->d_v; c++) sum[c] += w * value[c];
        }
        for (int c = 0; c < shape->d_v; c++) sum[c] /= weight;
        lse[head] = score[top] / unit + found[top].images.largest + log(weight);
        if (isfinite(score[top]) && !isnan(lse[head])) lse[head] = fmin(fmax(lse[head], -DBL_MAX), DBL_MAX);
    }
    return pairs;
}

/* ---- Rows into arrays ---------------------------------------------------------------------------------------- */

struct rows_context {
    struct reference reference;
    const int64_t *rows;
    double *out, *lse, *own; /* `own`: one row for each worker, for results that are not wanted */
    int64_t *counts;
};

static void rows_task(void *context, int64_t task, int worker)
{
    struct rows_context *c = context;
    size_t heads = (size_t)c->reference.shape->heads, width = heads * (size_t)c->reference.shape->d_v;
    double *own = c->own + (size_t)worker * (width + heads);
    int64_t pairs = reference_row(&c->reference, c->rows ? c->rows[task] : task, worker,
                                  c->out ? c->out + (size_t)task * width : own,
                                  c->lse ? c->lse + (size_t)task * heads : own + width);
    if (c->counts) c->counts[task] = pairs;
}

vic_status attention_ref_rows(const struct vic_pattern *pattern, const struct attention_shape *shape,
                              const struct attention_args *args, struct pool *pool, int64_t n_rows,
                              const int64_t *rows, double *out, double *lse, int64_t *counts, vic_error *err)
{
    vic_status st = VIC_OK;
    char *workspace = NULL;
    struct rows_context c = { .rows = rows, .out = out, .lse = lse, .counts = counts };
    size_t threads = (size_t)pool_threads(pool), row = (size_t)shape->heads * ((size_t)shape->d_v + 1);
    if (n_rows < 0 || (!rows && n_rows != pattern->n_q))
        return vic_fail(err, VIC_BAD_ARGUMENT, "n_rows: expected the pattern's %lld query atoms, got %lld",
                        (long long)pattern->n_q, (long long)n_rows);
    for (int64_t i = 0; rows && i < n_rows; i++)
        if (rows[i] < 0 || rows[i] >= pattern->n_q)
            return vic_fail(err, VIC_BAD_ARGUMENT, "rows[%lld]: expected a query atom from 0 to %lld, got %lld",
                            (long long)i, (long long)pattern->n_q - 1, (long long)rows[i]);
    TRY_GOTO(mem_array(ref_workspace(pattern, (int)threads), 1, "bytes of scratch for the reference", &workspace,
                       err),
             done);
    TRY_GOTO(mem_array(threads * row, sizeof *c.own, "values of reference rows", &c.own, err), done);
    TRY_GOTO(reference_make(pattern, shape, args, workspace, (int)threads, &c.reference, err), done);
    pool_run(pool, n_rows, rows_task, &c);
    st = rules_status(c.reference.rules, err);
done:
    reference_drop(&c.reference);
    free(c.own);
    free(workspace);
    return st;
}

/* ---- The kernel ---------------------------------------------------------------------------------------------- */

struct launch_context {
    struct reference reference;
    double *row; /* for each worker [heads, d_v] and [heads] */
};

static void launch_task(void *context, int64_t query, int worker)
{
    struct launch_context *l = context;
    const struct attention_shape *shape = l->reference.shape;
    const struct attention_args *args = l->reference.args;
    size_t heads = (size_t)shape->heads, width = heads * (size_t)shape->d_v;
    double *out = l->row + (size_t)worker * (width + heads), *lse = out + width;
    int64_t row = l->reference.q_row[query];
    reference_row(&l->reference, query, worker, out, lse);
    for (int head = 0; head < shape->heads; head++) {
        ref_write(&args->out, shape->dtype, row, head, shape->d_v, out + (int64_t)head * shape->d_v);
        if (isfinite(lse[head])) lse[head] = fmin(fmax(lse[head], (double)-FLT_MAX), (double)FLT_MAX);
        if (args->lse.data) ref_write(&args->lse, VIC_F32, row, head, 1, &lse[head]);
    }
}

/* The kernel computes useful pairs only.  (It tests all others, which is not counted as attention.) */
static int64_t strip_pairs(const struct vic_pattern *p, int64_t strip)
{
    int64_t pairs = 0;
    for (int64_t i = p->partial_ptr[strip]; i < p->partial_ptr[strip + 1]; i++)
        for (int key = 0; key < CLUSTER; key++) pairs += __builtin_popcountll(p->partial_bits[i].key[key]);
    for (int64_t i = p->full_ptr[strip]; i < p->full_ptr[strip + 1]; i++)
        pairs += (int64_t)p->full_runs[i].count * BLOCK;
    return pairs;
}

static vic_status prepare(struct vic_plan *plan, const struct kernel_setup *setup, vic_error *err)
{
    (void)setup;
    (void)err;
    for (int64_t s = 0; s < plan->pattern->strips; s++) plan->computed_pairs += strip_pairs(plan->pattern, s);
    return VIC_OK;
}

static size_t workspace(const struct vic_plan *plan, int threads, int64_t batch, bool items)
{
    size_t row = (size_t)plan->shape.heads * ((size_t)plan->shape.d_v + 1);
    (void)batch; /* its entries are computed one after the other */
    (void)items;
    return size_plus(ref_workspace(plan->pattern, threads), size_times((size_t)threads, row * sizeof(double)));
}

static vic_status run_entry(const struct vic_plan *plan, const struct attention_args *args,
                            const struct kernel_exec *exec, vic_error *err)
{
    struct launch_context l = { 0 };
    const int threads = pool_threads(exec->pool);
    l.row = (double *)((char *)exec->workspace + ref_workspace(plan->pattern, threads));
    vic_status st = VIC_OK;
    TRY_GOTO(reference_make(plan->pattern, &plan->shape, args, exec->workspace, threads, &l.reference, err), done);
    pool_run(exec->pool, plan->pattern->n_q, launch_task, &l);
    st = rules_status(l.reference.rules, err);
done:
    reference_drop(&l.reference);
    return st;
}

static vic_status launch(const struct vic_plan *plan, const struct attention_args *args,
                         const struct kernel_exec *exec, vic_error *err)
{
    for (int64_t entry = 0; entry < args->batch; entry++) {
        const struct attention_args one = attention_entry(args, plan->shape.dtype, entry);
        TRY(run_entry(plan, &one, exec, err));
    }
    return VIC_OK;
}

static const char *unavailable(vic_device device)
{
    (void)device;
    return switch_disable_cpu_wrong();
}

const struct kernel attn_fwd_ref = {
    .name = "attn_fwd_ref",
    .operation = ATTENTION_FORWARD,
    .device = VIC_CPU,
    .dtypes = DTYPE_F32 | DTYPE_F16 | DTYPE_BF16,
    .features = FEATURE_LSE | FEATURE_GROUP_QUERY | FEATURE_UNEQUAL_DIMS | FEATURE_DISTANCE_BIAS | FEATURE_ITEMS |
                FEATURE_PAIR_BIAS,
    .dim_min = 8,
    .dim_max = DIM_MAX,
    .dim_step = 8,
    .cost = 1000.0,
    .unavailable = unavailable,
    .prepare = prepare,
    .workspace = workspace,
    .launch = launch,
};
