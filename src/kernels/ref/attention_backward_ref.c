/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/ref/attention_backward_ref.h"

#include "base/memory.h"
#include "base/switches.h"
#include "contract/pair_rule.h"
#include "kernels/kernels.h"
#include "kernels/ref/attention_ref.h"
#include "kernels/ref/rows.h"
#include "kernels/ref/rules.h"

#include <math.h>
#include <string.h>

enum { DIM_MAX = 128, CELL = 9 };

/* A key head with its query heads is a task, which goes through all pairs, query by query, so that every sum has one
 * order.  What is summed over heads or over a batch too is kept apart for each key head until the end. */
struct backward {
    struct vic_pattern pattern; /* a view of the plan's, with rules also where it is a cutoff alone */
    struct pattern_rule cutoff;
    const struct attention_shape *shape;
    const struct attention_backward_args *args; /* of one problem */
    struct rules *rules;
    int32_t *q_row, *k_row; /* atom -> tensor row */
    double *out, *lse;      /* computed anew, by atom: [n_q, heads, d_v], [n_q, heads]; NULL = those of args */
    double *dq, *dk, *dv;   /* [row, heads, d] */
    double *dtable;         /* [heads, points] */
    int64_t *first_pair;    /* [n_q + 1] numbers of the atoms' first pairs, with a pair bias */
    double *dpairs;         /* [pairs, heads] */
    double *dcell, *dq_places, *dk_places; /* [kv_heads, CELL], [kv_heads, n_q, 3], [kv_heads, n_k, 3] */
};

/* ---- One row ------------------------------------------------------------------------------------------------ */

/* A query row of one head. */
struct row {
    int64_t query;
    int head, kv_head;
    double lse, projected; /* projected: dout . out - dlse */
    double q[DIM_MAX], dout[DIM_MAX], dq[DIM_MAX];
};

static double dot(int n, const double *a, const double *b)
{
    double sum = 0.0;
    for (int c = 0; c < n; c++) sum += a[c] * b[c];
    return sum;
}

static void add(int n, double factor, const double *from, double *to)
{
    for (int c = 0; c < n; c++) to[c] += factor * from[c];
}

/* Returns false for a row without weights, which has no gradients and gives none. */
static bool row_read(const struct backward *b, int64_t query, int head, struct row *row)
{
    const struct attention_shape *s = b->shape;
    const struct attention_backward_args *a = b->args;
    const int64_t at = b->q_row[query];
    double out[DIM_MAX], dlse = 0.0;
    row->query = query;
    row->head = head;
    row->kv_head = head / (s->heads / s->kv_heads);
    memset(row->dq, 0, sizeof row->dq);
    memset(row->dout, 0, sizeof row->dout);
    if (b->lse)
        row->lse = b->lse[query * s->heads + head];
    else
        ref_read(&a->lse, VIC_F32, at, head, 1, &row->lse);
    if (row->lse == -INFINITY) return false;
    ref_read(&a->q, s->dtype, at, head, s->d_qk, row->q);
    if (b->out)
        memcpy(out, b->out + (query * s->heads + head) * s->d_v, (size_t)s->d_v * sizeof *out);
    else
        ref_read(&a->out, s->dtype, at, head, s->d_v, out);
    if (a->dlse.data) ref_read(&a->dlse, VIC_F32, at, head, 1, &dlse);
    row->projected = -dlse;
    if (!a->dout.data) return true;
    ref_read(&a->dout, s->dtype, at, head, s->d_v, row->dout);
    row->projected += dot(s->d_v, row->dout, out);
    return true;
}

/* What a pair's weight is, and how it changes with the squared distance: weight = exp(score + b - lse), slope =
 * weight b'(d2).  Next to -inf b' has a pole where the weight is 0, and only their product is formed. */
struct pair_weight {
    double weight, slope;
    struct distance_bias_place at;
    bool low, high; /* which ends of the interval are finite */
};

static struct pair_weight weigh(const struct backward *b, const struct row *row, double score, double d2)
{
    const struct distance_bias *bias = &b->args->bias;
    const double cutoff = b->pattern.cutoff, rate = (bias->points - 1) / (cutoff * cutoff);
    const float *table = bias->table + row->head * bias->head_stride;
    struct pair_weight w = { .at = distance_bias_find(bias->points, d2, cutoff) };
    const double low = (double)table[w.at.m], high = (double)table[w.at.m + 1];
    w.low = low != -INFINITY;
    w.high = high != -INFINITY;
    if (w.low && w.high) {
        w.weight = exp(score + (low + w.at.f * (high - low)) - row->lse);
        w.slope = w.weight * (high - low) * rate;
    } else if (w.low) {
        w.slope = -exp(score + low - row->lse) * rate;
        w.weight = exp(score + low - row->lse) * w.at.rest;
    } else if (w.high) {
        w.slope = exp(score + high - row->lse) * rate;
        w.weight = exp(score + high - row->lse) * w.at.f;
    }
    return w;
}

/* Adds what a pair gives to the table, the positions and the cell; `pull`: the gradient of its weight's logarithm, by
 * which `weight` and `slope` are to be multiplied. */
static void add_through_bias(const struct backward *b, const struct row *row, const struct rule_pair *pair,
                             const struct pair_weight *w, double pull)
{
    const struct vic_pattern *p = &b->pattern;
    const double *ri = p->q_positions + 3 * row->query, *rj = p->k_positions + 3 * pair->key;
    double *table = b->dtable + (int64_t)row->head * b->args->bias.points + w->at.m;
    double *cell = b->dcell + (int64_t)row->kv_head * CELL, shift[3];
    double *query = b->dq_places + 3 * (row->kv_head * p->n_q + row->query);
    double *key = b->dk_places + 3 * (row->kv_head * p->n_k + pair->key);
    const double ds = w->weight * pull, force = 2.0 * w->slope * pull;
    if (w->low) table[0] += w->high ? ds * (1.0 - w->at.f) : ds;
    if (w->high) table[1] += w->low ? ds * w->at.f : ds;
    pair_shift((const double(*)[3])p->cell, pair->image[0], pair->image[1], pair->image[2], shift);
    for (int x = 0; x < 3; x++) {
        const double pulled = force * ((rj[x] - ri[x]) + shift[x]);
        query[x] -= pulled;
        key[x] += pulled;
        for (int axis = 0; axis < 3; axis++) cell[3 * axis + x] += pulled * pair->image[axis];
    }
}

/* Adds what a row gives to the gradients of its keys, and returns what they give to it in row->dq. */
static void row_pairs(const struct backward *b, struct row *row, const struct rule_pair *pairs, int64_t n)
{
    const struct attention_shape *s = b->shape;
    const struct attention_backward_args *a = b->args;
    const struct vic_pattern *p = &b->pattern;
    double k[DIM_MAX], v[DIM_MAX];
    for (int64_t i = 0; i < n;) {
        const int32_t key = pairs[i].key;
        const int64_t at = b->k_row[key];
        double weight = 0.0;
        ref_read(&a->k, s->dtype, at, row->kv_head, s->d_qk, k);
        ref_read(&a->v, s->dtype, at, row->kv_head, s->d_v, v);
        const double score = dot(s->d_qk, row->q, k) * a->scale;
        const double pull = dot(s->d_v, row->dout, v) - row->projected;
        for (; i < n && pairs[i].key == key; i++) { /* all its images have one score */
            const int64_t number = b->first_pair ? b->first_pair[row->query] + i : 0;
            double biased = score;
            struct pair_weight w;
            if (b->first_pair) biased += ref_pair_bias(&a->pair_bias, row->query, key, number, row->head);
            if (a->bias.table) {
                const int32_t *m = pairs[i].image;
                w = weigh(b, row, biased,
                          pair_distance2(p->q_positions + 3 * row->query, p->k_positions + 3 * (int64_t)key,
                                         (const double(*)[3])p->cell, m[0], m[1], m[2]));
                add_through_bias(b, row, &pairs[i], &w, pull);
            } else {
                w.weight = exp(biased - row->lse);
            }
            if (b->first_pair) b->dpairs[number * s->heads + row->head] += w.weight * pull;
            weight += w.weight;
        }
        add(s->d_qk, weight * pull * a->scale, k, row->dq);
        add(s->d_qk, weight * pull * a->scale, row->q, b->dk + (at * s->kv_heads + row->kv_head) * s->d_qk);
        add(s->d_v, weight, row->dout, b->dv + (at * s->kv_heads + row->kv_head) * s->d_v);
    }
}

static void head_task(void *context, int64_t kv_head, int worker)
{
    const struct backward *b = context;
    const struct attention_shape *s = b->shape;
    const int group = s->heads / s->kv_heads;
    struct row row;
    for (int64_t query = 0; query < b->pattern.n_q; query++) {
        int64_t n;
        const struct rule_pair *pairs = rules_row(b->rules, query, worker, &n);
        for (int head = (int)kv_head * group; head < ((int)kv_head + 1) * group; head++) {
            double *dq = b->dq + ((int64_t)b->q_row[query] * s->heads + head) * s->d_qk;
            if (row_read(b, query, head, &row)) row_pairs(b, &row, pairs, n);
            memcpy(dq, row.dq, (size_t)s->d_qk * sizeof *dq);
        }
    }
}

/* ---- All of them --------------------------------------------------------------------------------------------- */

static void backward_free(struct backward *b)
{
    rules_free(b->rules);
    free(b->q_row);
    free(b->k_row);
    free(b->out);
    free(b->lse);
    free(b->dq);
    free(b->dk);
    free(b->dv);
    free(b->dtable);
    free(b->first_pair);
    free(b->dpairs);
    free(b->dcell);
    free(b->dq_places);
    free(b->dk_places);
}

/* Room for the results of one problem, and zeros for what is summed.  backward_free() it, also when this fails. */
static vic_status backward_make(const struct vic_pattern *p, const struct attention_shape *s,
                                const struct attention_backward_args *args, int threads, struct backward *b,
                                vic_error *err)
{
    const size_t n_q = (size_t)p->n_q, n_k = (size_t)p->n_k, heads = (size_t)s->heads, kv_heads = (size_t)s->kv_heads;
    memset(b, 0, sizeof *b);
    b->pattern = *p;
    b->shape = s;
    if (p->n_rules == 0) {
        b->cutoff =
            (struct pattern_rule){ .kind = RULE_CUTOFF, .cutoff = p->cutoff, .exclude_self = p->exclude_self };
        b->pattern.rules = &b->cutoff;
        b->pattern.n_rules = 1;
    }
    TRY(rules_make(&b->pattern, threads, &b->rules, err));
    TRY(mem_array(n_q, sizeof *b->q_row, "atoms", &b->q_row, err));
    TRY(mem_array(n_k, sizeof *b->k_row, "atoms", &b->k_row, err));
    ref_atom_rows(p->n_q, p->q_order, args->q_rows, b->q_row);
    ref_atom_rows(p->n_k, p->k_order, args->k_rows, b->k_row);
    TRY(mem_array(n_q, heads * (size_t)s->d_qk * sizeof(double), "gradients of queries", &b->dq, err));
    TRY(mem_array(n_k, kv_heads * (size_t)s->d_qk * sizeof(double), "gradients of keys", &b->dk, err));
    TRY(mem_array(n_k, kv_heads * (size_t)s->d_v * sizeof(double), "gradients of values", &b->dv, err));
    if (args->pair_bias.data) {
        TRY(mem_array(n_q + 1, sizeof *b->first_pair, "numbers of pairs", &b->first_pair, err));
        ref_first_pairs(p, b->first_pair);
        TRY(mem_array_zero((size_t)b->first_pair[n_q], heads * sizeof *b->dpairs, "gradients of pairs", &b->dpairs,
                           err));
    }
    if (!args->bias.table) return VIC_OK;
    TRY(mem_array_zero(heads, (size_t)args->bias.points * sizeof(double), "gradients of tables", &b->dtable, err));
    TRY(mem_array_zero(kv_heads, CELL * sizeof(double), "gradients of the cell", &b->dcell, err));
    TRY(mem_array_zero(n_q, 3 * kv_heads * sizeof(double), "gradients of positions", &b->dq_places, err));
    return mem_array_zero(n_k, 3 * kv_heads * sizeof(double), "gradients of positions", &b->dk_places, err);
}

/* out and lse in float64. */
static vic_status compute_anew(struct backward *b, const struct vic_pattern *p,
                               const struct attention_backward_args *args, struct pool *pool, vic_error *err)
{
    const struct attention_shape *s = b->shape;
    const struct attention_args forward = { .q = args->q,
                                            .k = args->k,
                                            .v = args->v,
                                            .q_rows = args->q_rows,
                                            .k_rows = args->k_rows,
                                            .scale = args->scale,
                                            .batch = 1,
                                            .bias = args->bias,
                                            .pair_bias = args->pair_bias };
    const size_t n_q = (size_t)p->n_q, heads = (size_t)s->heads;
    TRY(mem_array(n_q, heads * (size_t)s->d_v * sizeof(double), "reference rows", &b->out, err));
    TRY(mem_array(n_q, heads * sizeof(double), "reference rows", &b->lse, err));
    return attention_ref_rows(p, s, &forward, pool, p->n_q, NULL, b->out, b->lse, NULL, err);
}

/* dq, dk and dv of one problem; adds to what is summed over several. */
static vic_status backward_run(struct backward *b, const struct attention_backward_args *args, struct pool *pool,
                               vic_error *err)
{
    const struct attention_shape *s = b->shape;
    const size_t keys = (size_t)b->pattern.n_k * (size_t)s->kv_heads;
    b->args = args;
    memset(b->dk, 0, keys * (size_t)s->d_qk * sizeof *b->dk);
    memset(b->dv, 0, keys * (size_t)s->d_v * sizeof *b->dv);
    pool_run(pool, s->kv_heads, head_task, b);
    return rules_status(b->rules, err);
}

/* to [n] = the sum of `parts` arrays [n], in their order; NULL = not wanted. */
static void sum_parts(const double *from, int parts, int64_t n, double *to)
{
    if (!to) return;
    for (int64_t i = 0; i < n; i++) to[i] = 0.0;
    for (int part = 0; part < parts; part++)
        for (int64_t i = 0; i < n; i++) to[i] += from[part * n + i];
}

/* What is summed over heads and problems; the members of `out` may be NULL. */
static void backward_sums(const struct backward *b, const struct attention_backward_args *args,
                          const vic_reference_gradients *out)
{
    const struct vic_pattern *p = &b->pattern;
    const int kv_heads = b->shape->kv_heads, heads = b->shape->heads;
    double *dq = out->dquery_positions;
    if (!args->bias.table) return;
    if (args->bias.head_stride == 0)
        sum_parts(b->dtable, heads, args->bias.points, out->dbias);
    else if (out->dbias)
        memcpy(out->dbias, b->dtable, (size_t)heads * (size_t)args->bias.points * sizeof *b->dtable);
    sum_parts(b->dcell, kv_heads, CELL, out->dcell);
    sum_parts(b->dq_places, kv_heads, 3 * p->n_q, dq);
    if (!p->one_set) {
        sum_parts(b->dk_places, kv_heads, 3 * p->n_k, out->dkey_positions);
        return;
    }
    for (int part = 0; dq && part < kv_heads; part++)
        for (int64_t i = 0; i < 3 * p->n_k; i++) dq[i] += b->dk_places[part * 3 * p->n_k + i];
}

static void copy_out(const double *from, int64_t rows, int64_t width, double *to)
{
    if (to) memcpy(to, from, (size_t)(rows * width) * sizeof *to);
}

vic_status attention_backward_ref(const struct vic_pattern *pattern, const struct attention_shape *shape,
                                  const struct attention_backward_args *args, bool anew, struct pool *pool,
                                  const vic_reference_gradients *out, vic_error *err)
{
    vic_status st = VIC_OK;
    struct backward b;
    TRY_GOTO(backward_make(pattern, shape, args, pool_threads(pool), &b, err), done);
    if (anew) TRY_GOTO(compute_anew(&b, pattern, args, pool, err), done);
    TRY_GOTO(backward_run(&b, args, pool, err), done);
    copy_out(b.dq, pattern->n_q, (int64_t)shape->heads * shape->d_qk, out->dq);
    copy_out(b.dk, pattern->n_k, (int64_t)shape->kv_heads * shape->d_qk, out->dk);
    copy_out(b.dv, pattern->n_k, (int64_t)shape->kv_heads * shape->d_v, out->dv);
    if (b.first_pair) copy_out(b.dpairs, b.first_pair[pattern->n_q], shape->heads, out->dpair_bias);
    backward_sums(&b, args, out);
done:
    backward_free(&b);
    return st;
}

/* ---- The kernel ---------------------------------------------------------------------------------------------- */

static void write_rows(const double *from, int64_t rows, int heads, int d, vic_dtype dtype,
                       const struct attention_tensor *to)
{
    for (int64_t row = 0; to->data && row < rows; row++)
        for (int head = 0; head < heads; head++) ref_write(to, dtype, row, head, d, from + (row * heads + head) * d);
}

static void write_table(const double *from, int64_t n, float *to)
{
    for (int64_t i = 0; i < n; i++) to[i] = (float)from[i];
}

/* Zeros in every element of windows, also those of no pair. */
static void clear_windows(const struct vic_pattern *p, int heads, const struct pair_bias *to)
{
    const struct pair_bias one = *to;
    const int64_t lead = (one.key_window - one.window) / 2, windows = (p->n_q + one.window - 1) / one.window;
    for (int64_t i = 0; i < windows * one.window; i++)
        for (int64_t c = 0; c < one.key_window; c++)
            for (int head = 0; head < heads; head++)
                ref_write_pair(&one, i, i / one.window * one.window - lead + c, 0, head, 0.0);
}

/* Writes the gradients of all pairs, summed over heads where these share an element. */
static vic_status write_pairs(const struct backward *b, const struct pair_bias *to, vic_error *err)
{
    const int heads = b->shape->heads, tables = to->head_stride ? heads : 1;
    if (to->window) clear_windows(&b->pattern, tables, to);
    for (int64_t query = 0; query < b->pattern.n_q; query++) {
        int64_t n;
        const struct rule_pair *pairs = rules_row(b->rules, query, 0, &n);
        for (int64_t i = 0; i < n; i++) {
            const int64_t number = b->first_pair[query] + i;
            double sum = 0.0;
            for (int head = 0; head < heads; head++) {
                sum += b->dpairs[number * heads + head];
                if (tables > 1 || head + 1 == heads)
                    ref_write_pair(to, query, pairs[i].key, number, tables > 1 ? head : 0, sum);
                if (tables > 1) sum = 0.0;
            }
        }
    }
    return rules_status(b->rules, err);
}

static vic_status launch(const struct vic_plan *plan, const struct attention_backward_args *args,
                         const struct kernel_exec *exec, vic_error *err)
{
    vic_status st = VIC_OK;
    const struct attention_shape *s = &plan->shape;
    const struct vic_pattern *p = plan->pattern;
    const int tables = args->bias.head_stride ? s->heads : 1;
    vic_reference_gradients sums = { .dquery_positions = args->dq_positions,
                                     .dkey_positions = args->dk_positions,
                                     .dcell = args->dcell };
    double *table = NULL;
    struct backward b;
    TRY_GOTO(backward_make(p, s, args, pool_threads(exec->pool), &b, err), done);
    if (args->dtable)
        TRY_GOTO(mem_array((size_t)tables, (size_t)args->bias.points * sizeof *table, "gradients of tables", &table,
                           err),
                 done);
    for (int64_t entry = 0; entry < args->batch; entry++) {
        const struct attention_backward_args one = attention_backward_entry(args, s->dtype, entry);
        const struct pair_bias *dpairs = &one.dpair_bias;
        TRY_GOTO(backward_run(&b, &one, exec->pool, err), done);
        if (dpairs->data && (dpairs->batch_stride != 0 || entry + 1 == args->batch)) {
            TRY_GOTO(write_pairs(&b, dpairs, err), done);
            memset(b.dpairs, 0, (size_t)(b.first_pair[p->n_q] * s->heads) * sizeof *b.dpairs);
        }
        write_rows(b.dq, p->n_q, s->heads, s->d_qk, s->dtype, &one.dq);
        write_rows(b.dk, p->n_k, s->kv_heads, s->d_qk, s->dtype, &one.dk);
        write_rows(b.dv, p->n_k, s->kv_heads, s->d_v, s->dtype, &one.dv);
    }
    sums.dbias = table;
    backward_sums(&b, args, &sums);
    if (table) write_table(table, (int64_t)tables * args->bias.points, args->dtable);
done:
    free(table);
    backward_free(&b);
    return st;
}

static vic_status prepare(struct vic_plan *plan, const struct kernel_setup *setup, vic_error *err)
{
    (void)setup;
    (void)err;
    plan->computed_pairs = plan->pattern->info.pairs;
    return VIC_OK;
}

/* How many pairs a row has, and how many points a table, it does not know before: it allocates when it runs. */
static size_t workspace(const struct vic_plan *plan, int threads, int64_t batch, bool items)
{
    (void)plan;
    (void)threads;
    (void)batch;
    (void)items;
    return 0;
}

static const char *unavailable(vic_device device)
{
    (void)device;
    return switch_disable_cpu_wrong();
}

const struct kernel attn_bwd_ref = {
    .name = "attn_bwd_ref",
    .operation = ATTENTION_BACKWARD,
    .device = VIC_CPU,
    .dtypes = DTYPE_F32 | DTYPE_F16 | DTYPE_BF16,
    .features = FEATURE_LSE | FEATURE_GROUP_QUERY | FEATURE_UNEQUAL_DIMS | FEATURE_DISTANCE_BIAS | FEATURE_PAIR_BIAS,
    .dim_min = 8,
    .dim_max = DIM_MAX,
    .dim_step = 8,
    .cost = 1000.0,
    .unavailable = unavailable,
    .prepare = prepare,
    .workspace = workspace,
    .launch_backward = launch,
};
