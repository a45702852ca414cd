/* SPDX-License-Identifier: Apache-2.0 */
/* Attention with a pair bias and its gradients, computed pair by pair in float64 from the neighbour list alone, and the
 * tensors of such a problem in either layout: for tests of the API. */
#ifndef VIC_TESTS_UNIT_API_PAIR_BIAS_SYSTEM_H
#define VIC_TESTS_UNIT_API_PAIR_BIAS_SYSTEM_H

#include "base/half.h"
#include "contract/distance_bias.h"
#include "objects.h"

#include <math.h>

enum { HEADS = 6, KV_HEADS = 3, D = 16, D_V = 24, POINTS = 12, MOST_BATCH = 3 };

struct pair_case {
    const char *name;
    vic_pattern *(*make)(vic_context *c);
    vic_pair_bias layout; /* 0 = PAIRS */
    int64_t window, keys; /* of WINDOWS */
    int batch;            /* 0 = no batch dimension */
    bool shared;          /* the bias and its gradient have no batch dimension */
    bool stride_0;        /* they have, with a stride of 0 */
    bool one_head;        /* they have a stride of 0 for heads */
    bool heads_first;     /* else the heads are side by side */
    bool pattern_order;
    bool distance;  /* there is a distance bias, too */
    bool minus_inf; /* some numbers are -inf, and all of query 3 */
    vic_dtype type; /* of q, k, v; 0 = float32 */
    vic_dtype bias_type, gradient_type;
};

struct pair_system {
    const struct pair_case *c;
    vic_context *context;
    vic_pattern *pattern;
    vic_pattern_info info;
    int64_t pairs;
    int32_t *i, *j;
    double *d;
    int entries;
    /* Inputs in float64, rounded to the tensors' types, rows as the points: [entry, n, heads, d]; z [entry, pairs, heads]. */
    double *q, *k, *v, *dout, *dlse, *z;
    float table[HEADS * POINTS];
    /* What is to come out of it. */
    double *out, *lse, *dq, *dk, *dv, *dz;
};

static inline double *numbers(int64_t n)
{
    double *x = calloc((size_t)n + 1, sizeof *x);
    assert_non_null(x);
    return x;
}

static inline double rounded(double x, vic_dtype type)
{
    const float f = (float)x;
    if (type == VIC_F16) return (double)f32_from_f16(f16_from_f32(f));
    if (type == VIC_BF16) return (double)f32_from_bf16(bf16_from_f32(f));
    return (double)f;
}

static inline void put(void *to, vic_dtype type, int64_t at, double x)
{
    if (type == VIC_F32) ((float *)to)[at] = (float)x;
    if (type == VIC_F16) ((uint16_t *)to)[at] = f16_from_f32((float)x);
    if (type == VIC_BF16) ((uint16_t *)to)[at] = bf16_from_f32((float)x);
}

static inline double take(const void *from, vic_dtype type, int64_t at)
{
    if (type == VIC_F16) return (double)f32_from_f16(((const uint16_t *)from)[at]);
    if (type == VIC_BF16) return (double)f32_from_bf16(((const uint16_t *)from)[at]);
    return (double)((const float *)from)[at];
}

static inline double *random_numbers(int64_t n, vic_dtype type, uint64_t *random)
{
    double *x = numbers(n);
    for (int64_t i = 0; i < n; i++) x[i] = rounded(random_normal(random), type);
    return x;
}

/* ---- what is to come out ---- */

/* One row of one head.  Two passes over its pairs: weights, then gradients. */
static inline void evaluate_row(struct pair_system *s, int b, int64_t first, int64_t end, int64_t i, int h,
                                double *weight)
{
    const int64_t row = (b * s->info.n_q + i) * HEADS + h;
    const double scale = 1.0 / sqrt((double)D), *q = s->q + row * D, *dout = s->dout + row * D_V;
    double *out = s->out + row * D_V, most = -INFINITY, sum = 0.0, projected;
    for (int64_t n = first; n < end; n++) {
        const double *k = s->k + ((b * s->info.n_k + s->j[n]) * KV_HEADS + h / 2) * D;
        double score = s->z[(b * s->pairs + n) * HEADS + h];
        for (int c = 0; c < D; c++) score += scale * q[c] * k[c];
        if (s->c->distance)
            score += distance_bias_value(s->table + h * POINTS, POINTS, s->d[n] * s->d[n], s->info.cutoff);
        weight[n - first] = score;
        most = fmax(most, score);
    }
    for (int c = 0; c < D_V; c++) out[c] = 0.0;
    s->lse[row] = -INFINITY;
    if (most == -INFINITY) return;
    for (int64_t n = first; n < end; n++) sum += exp(weight[n - first] - most);
    s->lse[row] = most + log(sum);
    for (int64_t n = first; n < end; n++) {
        const double *v = s->v + ((b * s->info.n_k + s->j[n]) * KV_HEADS + h / 2) * D_V;
        weight[n - first] = exp(weight[n - first] - s->lse[row]);
        for (int c = 0; c < D_V; c++) out[c] += weight[n - first] * v[c];
    }
    projected = -s->dlse[row];
    for (int c = 0; c < D_V; c++) projected += dout[c] * out[c];
    for (int64_t n = first; n < end; n++) {
        const int64_t key = (b * s->info.n_k + s->j[n]) * KV_HEADS + h / 2;
        double ds = -projected;
        for (int c = 0; c < D_V; c++) ds += dout[c] * s->v[key * D_V + c];
        ds *= weight[n - first];
        s->dz[(b * s->pairs + n) * HEADS + h] = ds;
        for (int c = 0; c < D_V; c++) s->dv[key * D_V + c] += weight[n - first] * dout[c];
        for (int c = 0; c < D; c++) s->dq[row * D + c] += scale * ds * s->k[key * D + c];
        for (int c = 0; c < D; c++) s->dk[key * D + c] += scale * ds * q[c];
    }
}

static inline void evaluate(struct pair_system *s)
{
    double *weight = numbers(s->pairs);
    for (int b = 0; b < s->entries; b++)
        for (int64_t first = 0, end; first < s->pairs; first = end) {
            for (end = first; end < s->pairs && s->i[end] == s->i[first];) end++;
            for (int h = 0; h < HEADS; h++) evaluate_row(s, b, first, end, s->i[first], h, weight);
        }
    free(weight);
}

/* ---- making one ---- */

static inline struct pair_system make_pairs(const struct pair_case *c, uint64_t seed)
{
    struct pair_system s = { .c = c, .context = context_of(2), .entries = c->batch ? c->batch : 1 };
    const vic_dtype type = c->type ? c->type : VIC_F32, bias_type = c->bias_type ? c->bias_type : VIC_F32;
    uint64_t random = seed;
    vic_error err;
    s.pattern = c->make(s.context);
    s.info = (vic_pattern_info)VIC_INIT(vic_pattern_info);
    CHECK_OK(vic_pattern_get(s.pattern, &s.info, &err));
    s.pairs = s.info.pairs;
    s.i = calloc((size_t)s.pairs + 1, sizeof *s.i);
    s.j = calloc((size_t)s.pairs + 1, sizeof *s.j);
    s.d = numbers(s.pairs);
    assert_true(s.i && s.j);
    vic_neighbors list = { .size = sizeof list, .pairs = s.pairs, .i = s.i, .j = s.j };
    if (s.info.positions) list.d = s.d;
    CHECK_OK(vic_pattern_neighbors(s.context, s.pattern, &list, &err));
    const int64_t queries = s.entries * s.info.n_q * HEADS, keys = s.entries * s.info.n_k * KV_HEADS;
    s.q = random_numbers(queries * D, type, &random);
    s.k = random_numbers(keys * D, type, &random);
    s.v = random_numbers(keys * D_V, type, &random);
    s.dout = random_numbers(queries * D_V, type, &random);
    s.dlse = random_numbers(queries, VIC_F32, &random);
    s.z = random_numbers(s.entries * s.pairs * HEADS, bias_type, &random);
    for (int x = 0; x < HEADS * POINTS; x++) s.table[x] = (float)random_normal(&random);
    for (int64_t x = 0; x < s.entries * s.pairs * HEADS; x++) {
        const int64_t b = x / (s.pairs * HEADS), n = x / HEADS % s.pairs;
        if (c->minus_inf && (x % 7 == 0 || s.i[n] == 3)) s.z[x] = -INFINITY;
        if (c->one_head) s.z[x] = s.z[x - x % HEADS];
        if (b > 0 && (c->shared || c->stride_0)) s.z[x] = s.z[n * HEADS + x % HEADS];
    }
    s.out = numbers(queries * D_V);
    s.lse = numbers(queries);
    s.dq = numbers(queries * D);
    s.dk = numbers(keys * D);
    s.dv = numbers(keys * D_V);
    s.dz = numbers(s.entries * s.pairs * HEADS);
    for (int64_t x = 0; x < queries; x++) s.lse[x] = -INFINITY;
    evaluate(&s);
    return s;
}

static inline void drop_pairs(struct pair_system *s)
{
    void *const all[] = { s->i, s->j,   s->d,   s->q,  s->k,  s->v,  s->dout, s->dlse,
                          s->z, s->out, s->lse, s->dq, s->dk, s->dv, s->dz };
    for (size_t x = 0; x < sizeof all / sizeof *all; x++) free(all[x]);
    vic_pattern_free(s->pattern);
    vic_context_free(s->context);
}

/* ---- a pair bias in memory ---- */

struct stored {
    vic_tensor t;
    int64_t elements;   /* of the memory, which has room between and behind the tensor's own */
    int64_t strides[3]; /* of the entry, the head; and of the first dimension of a layout */
};

/* `bytes` everywhere at first. */
static inline struct stored store_make(const struct pair_system *s, vic_dtype type, int bytes)
{
    const struct pair_case *c = s->c;
    struct stored to = { .t = { .device = { VIC_CPU, 0 }, .dtype = type ? type : VIC_F32 } };
    const bool batch = c->batch && !c->shared, windows = c->layout == VIC_PAIR_BIAS_WINDOWS;
    const int64_t rows = windows ? (s->info.n_q + c->window - 1) / c->window * c->window * c->keys : s->pairs;
    const int64_t head = c->one_head      ? 0
                         : c->heads_first ? rows + 2
                                          : 1,
                  row = c->heads_first || c->one_head ? 1 : HEADS + 1;
    const int64_t entry = c->stride_0 ? 0 : (rows + 2) * (HEADS + 1) + 3;
    int n = 0;
    if (batch) {
        to.t.shape[n] = s->entries;
        to.t.stride[n++] = entry;
    }
    if (windows) {
        to.t.shape[n] = rows / (c->window * c->keys);
        to.t.stride[n++] = row * c->window * c->keys;
        to.t.shape[n] = c->window; /* queries step fastest: not the order of the shape */
        to.t.stride[n++] = row;
        to.t.shape[n] = c->keys;
        to.t.stride[n++] = row * c->window;
    } else {
        to.t.shape[n] = s->pairs;
        to.t.stride[n++] = row;
    }
    to.t.shape[n] = HEADS;
    to.t.stride[n++] = head;
    to.t.ndim = n;
    to.elements = (batch ? s->entries : 1) * ((rows + 2) * (HEADS + 1) + 3);
    to.t.data = malloc((size_t)to.elements * vic_dtype_size(to.t.dtype));
    assert_non_null(to.t.data);
    memset(to.t.data, bytes, (size_t)to.elements * vic_dtype_size(to.t.dtype));
    return to;
}

/* Where a pair's number is. */
static inline int64_t store_at(const struct pair_system *s, const struct stored *to, int b, int64_t n, int h)
{
    const struct pair_case *c = s->c;
    const int lead = c->batch && !c->shared;
    const int64_t *stride = to->t.stride + lead;
    int64_t at = lead ? b * to->t.stride[0] : 0;
    if (c->layout != VIC_PAIR_BIAS_WINDOWS) return at + n * stride[0] + h * stride[1];
    const int64_t w = s->i[n] / c->window, first = w * c->window + c->window / 2 - c->keys / 2;
    return at + w * stride[0] + s->i[n] % c->window * stride[1] + (s->j[n] - first) * stride[2] + h * stride[3];
}

/* The bias; what belongs to no pair is NaN. */
static inline struct stored store_bias(const struct pair_system *s)
{
    struct stored to = store_make(s, s->c->bias_type, 0xff);
    for (int b = 0; b < s->entries; b++)
        for (int64_t n = 0; n < s->pairs; n++)
            for (int h = 0; h < HEADS; h++)
                put(to.t.data, to.t.dtype, store_at(s, &to, b, n, h), s->z[(b * s->pairs + n) * HEADS + h]);
    return to;
}

/* A gradient: each pair's, 0 in other elements of windows, and what is no element untouched.  `absolute`: what the
 * rounding of out does to it. */
static inline void check_gradient(const struct pair_system *s, const struct stored *got, double tolerance,
                                  double absolute, const char *what)
{
    double *want = numbers(got->elements), *size = numbers(got->elements);
    bool *element = calloc((size_t)got->elements + 1, sizeof *element);
    assert_non_null(element);
    const vic_tensor *t = &got->t;
    int64_t count = 1;
    for (int x = 0; x < t->ndim; x++) count *= t->shape[x];
    for (int64_t x = 0; x < count; x++) {
        int64_t at = 0, left = x;
        for (int dim = t->ndim - 1; dim >= 0; left /= t->shape[dim--]) at += left % t->shape[dim] * t->stride[dim];
        element[at] = true;
    }
    for (int b = 0; b < s->entries; b++)
        for (int64_t n = 0; n < s->pairs; n++)
            for (int h = 0; h < HEADS; h++) {
                const int64_t at = store_at(s, got, b, n, h);
                want[at] += s->dz[(b * s->pairs + n) * HEADS + h];
                size[at] += fabs(s->dz[(b * s->pairs + n) * HEADS + h]);
            }
    for (int64_t at = 0; at < got->elements; at++) {
        const double x = take(t->data, t->dtype, at);
        if (!element[at])
            CHECK(isnan(x), "%s: element %lld, which is none, was written", what, (long long)at);
        else
            CHECK(fabs(x - want[at]) <= tolerance * (size[at] + fabs(want[at])) + (size[at] == 0.0 ? 0.0 : absolute),
                  "%s: dpair_bias at %lld: expected %.9g, got %.9g", what, (long long)at, want[at], x);
    }
    free(want);
    free(size);
    free(element);
}

#endif
