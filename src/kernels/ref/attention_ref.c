/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/ref/attention_ref.h"

#include "base/half.h"
#include "base/memory.h"
#include "base/switches.h"
#include "base/vec3.h"
#include "contract/pair_rule.h"
#include "contract/radial.h"
#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

enum { DIM_MAX = 128 };

/* ---- Which images of a key can be within the cutoff --------------------------------------------------------- */

/* For a displacement x, dual[a] . x is its coordinate along cell vector a.  |dual[a] . x| <= |dual[a]| |x|, so x
 * within the cutoff lies within reach[a] = |dual[a]| * cutoff of 0 along every periodic axis. */
struct image_search {
    double dual[3][3];
    double reach[3]; /* widened, so that rounding cannot lose an image: the pair rule alone decides */
};

static double largest_norm(int64_t n, const double *positions)
{
    double largest = 0.0;
    for (int64_t i = 0; i < n; i++) largest = fmax(largest, vec3_dot(positions + 3 * i, positions + 3 * i));
    return sqrt(largest);
}

static vic_status image_search_make(const struct vic_pattern *p, struct image_search *s, vic_error *err)
{
    double basis[3][3], extent = largest_norm(p->n_q, p->q_positions) + largest_norm(p->n_k, p->k_positions);
    memset(s, 0, sizeof *s);
    /* Open axes get vectors at right angles to the periodic ones, so that the duals of the periodic vectors lie in
     * the span of those. */
    memcpy(basis, p->cell, sizeof basis);
    for (int a = 0; a < 3; a++) {
        const double *b = basis[(a + 1) % 3], *c = basis[(a + 2) % 3];
        if (!p->periodic[a] || p->periodic[(a + 1) % 3]) continue;
        if (p->periodic[(a + 2) % 3]) {
            vec3_cross(c, basis[a], basis[(a + 1) % 3]);
        } else {
            int least = 0;
            double axis[3] = { 0.0, 0.0, 0.0 };
            for (int i = 1; i < 3; i++)
                if (fabs(basis[a][i]) < fabs(basis[a][least])) least = i;
            axis[least] = 1.0;
            vec3_cross(basis[a], axis, basis[(a + 1) % 3]);
            vec3_cross(basis[a], b, basis[(a + 2) % 3]);
        }
    }
    for (int a = 0; a < 3; a++) {
        const double *b = basis[(a + 1) % 3], *c = basis[(a + 2) % 3];
        double norm, most;
        if (!p->periodic[a]) continue;
        vec3_cross(b, c, s->dual[a]);
        double volume = vec3_dot(basis[a], s->dual[a]);
        for (int i = 0; i < 3; i++) s->dual[a][i] /= volume;
        norm = sqrt(vec3_dot(s->dual[a], s->dual[a]));
        most = norm * (extent + p->cutoff);
        if (!(most < 1e9))
            return vic_fail(err, VIC_BAD_INPUT,
                            "positions and cutoff span %g cells along axis %d: expected fewer than 1e9; wrap the "
                            "positions into the cell, or check it",
                            most, a + 1);
        s->reach[a] = norm * p->cutoff + 1e-6 * (1.0 + most);
    }
    return VIC_OK;
}

/* *first .. *last: the integers n for which n + (coordinate of r_key - r_query) can be in reach along `axis`. */
static void image_range(const struct image_search *s, int axis, const double difference[3], int32_t *first,
                        int32_t *last)
{
    double at = vec3_dot(s->dual[axis], difference), low = -at - s->reach[axis], high = -at + s->reach[axis];
    *first = (int32_t)low; /* towards 0: then up or down to the ceiling and the floor */
    *first += (double)*first < low;
    *last = (int32_t)high;
    *last -= (double)*last > high;
}

/* The images of a key atom within the cutoff: how many, the largest of their radial terms and the sum of e^(b -
 * largest). All share one dot product, so the key weighs e^(score + largest) * sum.  Without a radial term every b is
 * 0. */
struct images {
    int32_t count;
    double largest, sum;
};

static void images_add(struct images *found, double b)
{
    found->count++;
    if (b == -INFINITY) return;
    if (b > found->largest) {
        found->sum = found->sum * exp(found->largest - b) + 1.0;
        found->largest = b;
    } else {
        found->sum += exp(b - found->largest);
    }
}

/* Those of key atom `key` around query atom `query`; `table` is one head's, or NULL. */
static struct images images_within(const struct vic_pattern *p, const struct image_search *s, int64_t query,
                                   int64_t key, const float *table, int points)
{
    const double *ri = p->q_positions + 3 * query, *rj = p->k_positions + 3 * key;
    double difference[3] = { rj[0] - ri[0], rj[1] - ri[1], rj[2] - ri[2] };
    double limit = p->cutoff * p->cutoff;
    int32_t first[3] = { 0, 0, 0 }, last[3] = { 0, 0, 0 };
    struct images found = { 0, -INFINITY, 0.0 };
    for (int a = 0; a < 3; a++) {
        if (!p->periodic[a]) continue;
        image_range(s, a, difference, &first[a], &last[a]);
        if (first[a] > last[a]) return found;
    }
    for (int32_t n1 = first[0]; n1 <= last[0]; n1++)
        for (int32_t n2 = first[1]; n2 <= last[1]; n2++)
            for (int32_t n3 = first[2]; n3 <= last[2]; n3++) {
                if (p->exclude_self && query == key && n1 == 0 && n2 == 0 && n3 == 0) continue;
                double d2 = pair_distance2(ri, rj, p->cell, n1, n2, n3);
                if (d2 < limit) images_add(&found, table ? radial_value(table, points, d2, p->cutoff) : 0.0);
            }
    return found;
}

/* ---- One row ------------------------------------------------------------------------------------------------ */

/* A key atom within the cutoff, with its images for the head at hand. */
struct neighbour {
    int64_t atom;
    struct images images;
};

/* What the tasks share, and one worker's scratch. */
struct reference {
    const struct vic_pattern *pattern;
    const struct attention_shape *shape;
    const struct attention_args *args;
    struct image_search search;
    int32_t *q_row, *k_row; /* atom -> tensor row */
    char *scratch;          /* per worker: neighbours [n_k], then scores [n_k] */
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
    return size.q_row + size.k_row + (size_t)threads * (size.neighbours + size.scores);
}

/* With `rows` the tensors are in the caller's order, where the row is the atom; else in pattern order. */
static void atom_rows(int64_t n, const int32_t *order, const int32_t *rows, int32_t *row_of_atom)
{
    for (int64_t row = 0; row < n; row++) row_of_atom[order[row]] = rows ? rows[row] : (int32_t)row;
}

static vic_status reference_make(const struct vic_pattern *p, const struct attention_shape *shape,
                                 const struct attention_args *args, void *workspace, struct reference *r,
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
    atom_rows(p->n_q, p->q_order, args->q_rows, r->q_row);
    atom_rows(p->n_k, p->k_order, args->k_rows, r->k_row);
    return image_search_make(p, &r->search, err);
}

static double element(const struct attention_tensor *t, vic_dtype dtype, int64_t row, int head, int c)
{
    int64_t at = row * t->row_stride + head * t->head_stride + c;
    if (dtype == VIC_F32) return ((const float *)t->data)[at];
    uint16_t half = ((const uint16_t *)t->data)[at];
    return dtype == VIC_F16 ? f32_from_f16(half) : f32_from_bf16(half);
}

/* out [heads, d_v] and lse [heads] of one query atom; returns its number of pairs. */
static int64_t reference_row(const struct reference *r, int64_t query, int worker, double *out, double *lse)
{
    const struct vic_pattern *p = r->pattern;
    const struct attention_shape *shape = r->shape;
    const vic_radial *radial = &r->args->radial;
    struct ref_sizes size = ref_sizes(p);
    char *scratch = r->scratch + (size_t)worker * (size.neighbours + size.scores);
    struct neighbour *found = (struct neighbour *)scratch;
    double *score = (double *)(scratch + size.neighbours);
    int64_t n = 0, pairs = 0;

    for (int64_t key = 0; key < p->n_k; key++) {
        struct images images = images_within(p, &r->search, query, key, NULL, 0);
        if (images.count == 0) continue;
        found[n++] = (struct neighbour){ key, images };
        pairs += images.count;
    }
    for (int head = 0; head < shape->heads; head++) {
        int kv_head = head / (shape->heads / shape->kv_heads);
        double max = -INFINITY, weight = 0.0, *sum = out + (int64_t)head * shape->d_v;
        double q[DIM_MAX];
        for (int c = 0; c < shape->d_qk; c++) q[c] = element(&r->args->q, shape->dtype, r->q_row[query], head, c);
        for (int64_t i = 0; i < n; i++) {
            int64_t row = r->k_row[found[i].atom];
            double dot = 0.0;
            if (radial->table)
                found[i].images = images_within(p, &r->search, query, found[i].atom,
                                                radial->table + head * radial->head_stride, radial->points);
            for (int c = 0; c < shape->d_qk; c++) dot += q[c] * element(&r->args->k, shape->dtype, row, kv_head, c);
            score[i] = dot * r->args->scale + found[i].images.largest;
            if (score[i] > max || isnan(score[i])) max = score[i]; /* a NaN makes the row NaN */
        }
        memset(sum, 0, (size_t)shape->d_v * sizeof *sum);
        lse[head] = -INFINITY;
        if (max == -INFINITY) continue;
        for (int64_t i = 0; i < n; i++) {
            int64_t row = r->k_row[found[i].atom];
            double w = found[i].images.sum * exp(score[i] - max);
            weight += w;
            for (int c = 0; c < shape->d_v; c++) sum[c] += w * element(&r->args->v, shape->dtype, row, kv_head, c);
        }
        for (int c = 0; c < shape->d_v; c++) sum[c] /= weight;
        lse[head] = max + log(weight);
    }
    return pairs;
}

/* ---- Rows into arrays ---------------------------------------------------------------------------------------- */

struct rows_context {
    struct reference reference;
    const int64_t *rows;
    double *out, *lse, *own; /* own: per worker one row, for results that are not wanted */
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
    TRY_GOTO(reference_make(pattern, shape, args, workspace, &c.reference, err), done);
    pool_run(pool, n_rows, rows_task, &c);
done:
    free(c.own);
    free(workspace);
    return st;
}

/* ---- The kernel row ------------------------------------------------------------------------------------------ */

struct launch_context {
    struct reference reference;
    double *row; /* per worker [heads, d_v] and [heads] */
};

static void store(const struct attention_tensor *t, vic_dtype dtype, int64_t row, int head, int c, double x)
{
    int64_t at = row * t->row_stride + head * t->head_stride + c;
    if (dtype == VIC_F32)
        ((float *)t->data)[at] = (float)x;
    else if (dtype == VIC_F16)
        ((uint16_t *)t->data)[at] = f16_from_f32((float)x);
    else
        ((uint16_t *)t->data)[at] = bf16_from_f32((float)x);
}

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
        for (int c = 0; c < shape->d_v; c++)
            store(&args->out, shape->dtype, row, head, c, out[(int64_t)head * shape->d_v + c]);
        if (args->lse.data) store(&args->lse, VIC_F32, row, head, 0, lse[head]);
    }
}

static size_t workspace(const struct vic_plan *plan, int threads)
{
    size_t row = (size_t)plan->shape.heads * ((size_t)plan->shape.d_v + 1);
    return ref_workspace(plan->pattern, threads) + (size_t)threads * row * sizeof(double);
}

static vic_status launch(const struct vic_plan *plan, const struct attention_args *args, struct pool *pool,
                         void *memory, vic_error *err)
{
    struct launch_context l;
    l.row = (double *)((char *)memory + ref_workspace(plan->pattern, pool_threads(pool)));
    TRY(reference_make(plan->pattern, &plan->shape, args, memory, &l.reference, err));
    pool_run(pool, plan->pattern->n_q, launch_task, &l);
    return VIC_OK;
}

/* It computes useful pairs only (and tests all others, which is not counted as attention). */
static int64_t strip_pairs(const struct vic_pattern *p, int64_t strip)
{
    int64_t pairs = 0;
    for (int64_t i = p->partial_ptr[strip]; i < p->partial_ptr[strip + 1]; i++)
        for (int key = 0; key < CLUSTER; key++) pairs += __builtin_popcountll(p->partial_bits[i].key[key]);
    for (int64_t i = p->full_ptr[strip]; i < p->full_ptr[strip + 1]; i++)
        pairs += (int64_t)p->full_runs[i].count * BLOCK;
    return pairs;
}

const struct kernel_row attn_fwd_ref = {
    .name = "attn_fwd_ref",
    .device = VIC_CPU,
    .dtypes = 1u << VIC_F32 | 1u << VIC_F16 | 1u << VIC_BF16,
    .features = FEATURE_LSE | FEATURE_GROUP_QUERY | FEATURE_UNEQUAL_DIMS | FEATURE_RADIAL,
    .dim_min = 8,
    .dim_max = DIM_MAX,
    .dim_step = 8,
    .cost = 1000.0,
    .unavailable = switch_disable_cpu_wrong,
    .strip_pairs = strip_pairs,
    .workspace = workspace,
    .launch = launch,
};
