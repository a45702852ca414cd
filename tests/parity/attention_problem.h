/* SPDX-License-Identifier: Apache-2.0 */
/* One attention case of the parity tests made ready: geometry, tensors, what the reference says, a launch with
 * poisoned outputs, and the comparison. */
#ifndef VIC_TESTS_ATTENTION_PROBLEM_H
#define VIC_TESTS_ATTENTION_PROBLEM_H

#include "base/half.h"
#include "base/threads.h"
#include "brute_pattern.h"
#include "contract/kernel_row.h"
#include "kernels/ref/attention_ref.h"

enum layout { ATOMS_HEADS, HEADS_ATOMS, PACKED_QKV, PADDED };

enum values {
    NORMAL,
    LOGITS_1E4,     /* scores up to about 10^4 */
    ALL_MINUS_1000, /* every score is -1000 */
    ONE_DOMINANT,   /* key atom 0 outweighs all others by e^60 */
    ALL_MINUS_INF,  /* every score is -inf: zeros and -inf, as without pairs */
    ZERO,           /* q = k = 0: lse is the logarithm of the number of pairs */
    GROWING,        /* scores rise with the key's atom number, so that the maximum moves again and again */
};

struct attention_case {
    const char *name;
    enum brute_cell cell;
    int64_t n_q, n_k; /* n_k -1: one set */
    double box, cutoff;
    int heads, kv_heads, d_qk, d_v; /* 0: 2, heads, 32, d_qk */
    vic_dtype dtype;
    enum layout layout;
    enum values values;
    double scale; /* 0: 1 / sqrt(d_qk) */
    bool exclude_self, coincident, pattern_order, no_lse;
    vic_radial radial;
};

struct tensor {
    unsigned char *buffer; /* owned; NULL in packed k and v */
    size_t bytes;
    struct attention_tensor view;
    int64_t rows;
    int heads, d;
    vic_dtype dtype;
};

/* A case made ready: pattern, tensors, and what the reference says. */
struct problem {
    struct brute_points points;
    struct vic_pattern pattern;
    struct attention_shape shape;
    struct tensor q, k, v, out, lse;
    struct attention_args args;
    int64_t *all_rows; /* atom -> row of q, out and lse */
    double *ref_out, *ref_lse;
    int32_t *strip_order;
};

static struct pool *pools[8]; /* by number of threads */

static size_t element_size(vic_dtype dtype)
{
    return dtype == VIC_F32 ? 4 : 2;
}

static char *element_at(const struct tensor *t, int64_t row, int head, int c)
{
    int64_t at = row * t->view.row_stride + head * t->view.head_stride + c;
    return (char *)t->view.data + at * (int64_t)element_size(t->dtype);
}

static double get(const struct tensor *t, int64_t row, int head, int c)
{
    const char *at = element_at(t, row, head, c);
    uint16_t half;
    float single;
    if (t->dtype == VIC_F32) {
        memcpy(&single, at, sizeof single);
        return single;
    }
    memcpy(&half, at, sizeof half);
    return t->dtype == VIC_F16 ? f32_from_f16(half) : f32_from_bf16(half);
}

static void set(const struct tensor *t, int64_t row, int head, int c, double x)
{
    float single = (float)x;
    uint16_t half = t->dtype == VIC_F16 ? f16_from_f32(single) : bf16_from_f32(single);
    if (t->dtype == VIC_F32)
        memcpy(element_at(t, row, head, c), &single, sizeof single);
    else
        memcpy(element_at(t, row, head, c), &half, sizeof half);
}

static struct tensor make_tensor(int64_t rows, int heads, int d, vic_dtype dtype, enum layout layout)
{
    struct tensor t = { .rows = rows, .heads = heads, .d = d, .dtype = dtype };
    int64_t lead = 0, elements = rows * heads * d;
    t.view.row_stride = (int64_t)heads * d;
    t.view.head_stride = d;
    if (layout == HEADS_ATOMS) {
        t.view.row_stride = d;
        t.view.head_stride = rows * d;
    } else if (layout == PADDED) { /* odd strides, and memory before, between and after */
        t.view.head_stride = d + 3;
        t.view.row_stride = heads * t.view.head_stride + 5;
        lead = 7;
        elements = rows * t.view.row_stride + 2 * lead;
    }
    t.bytes = (size_t)elements * element_size(dtype);
    t.buffer = brute_alloc((int64_t)t.bytes, 1);
    t.view.data = t.buffer + (size_t)lead * element_size(dtype);
    return t;
}

static void make_tensors(const struct attention_case *c, struct problem *p)
{
    const struct attention_shape *s = &p->shape;
    int64_t n_q = p->pattern.n_q, n_k = p->pattern.n_k;
    if (c->layout == PACKED_QKV) {
        p->q = make_tensor(n_q, 3 * s->heads, s->d_qk, s->dtype, ATOMS_HEADS);
        p->q.heads = s->heads;
        p->k = p->v = p->q;
        p->k.buffer = p->v.buffer = NULL;
        p->k.view.data = p->q.buffer + (size_t)s->heads * (size_t)s->d_qk * element_size(s->dtype);
        p->v.view.data = p->q.buffer + (size_t)s->heads * (size_t)s->d_qk * element_size(s->dtype) * 2;
    } else {
        p->q = make_tensor(n_q, s->heads, s->d_qk, s->dtype, c->layout);
        p->k = make_tensor(n_k, s->kv_heads, s->d_qk, s->dtype, c->layout);
        p->v = make_tensor(n_k, s->kv_heads, s->d_v, s->dtype, c->layout);
    }
    p->out = make_tensor(n_q, s->heads, s->d_v, s->dtype, c->layout == PACKED_QKV ? ATOMS_HEADS : c->layout);
    p->lse = make_tensor(n_q, s->heads, 1, VIC_F32, c->layout == PACKED_QKV ? ATOMS_HEADS : c->layout);
}

static void fill(const struct tensor *t, uint64_t *state, double size)
{
    for (int64_t row = 0; row < t->rows; row++)
        for (int head = 0; head < t->heads; head++)
            for (int c = 0; c < t->d; c++) set(t, row, head, c, size * random_normal(state));
}

/* Column 0 of q and k becomes `q` and f(key atom), the others small: scores are q * k(atom) * scale. */
static void steer(struct problem *p, double q, double k_first, double k_step, double others)
{
    for (int64_t row = 0; row < p->q.rows; row++)
        for (int head = 0; head < p->q.heads; head++)
            for (int c = 0; c < p->q.d; c++) set(&p->q, row, head, c, c == 0 ? q : others * get(&p->q, row, head, c));
    for (int64_t row = 0; row < p->k.rows; row++) {
        int64_t atom = p->args.k_rows ? row : p->pattern.k_order[row];
        for (int head = 0; head < p->k.heads; head++)
            for (int c = 0; c < p->k.d; c++)
                set(&p->k, row, head, c,
                    c == 0 ? k_first + k_step * (double)atom : others * get(&p->k, row, head, c));
    }
}

static void make_problem(const struct attention_case *c, uint64_t seed, struct problem *p)
{
    uint64_t state = seed * 77 + 5;
    vic_error err;
    int heads = c->heads ? c->heads : 2, d_qk = c->d_qk ? c->d_qk : 32;
    memset(p, 0, sizeof *p);
    p->points = brute_points(c->cell, c->n_q, c->n_k, c->n_k < 0, c->box, c->cutoff, c->coincident, seed);
    p->points.exclude_self = c->exclude_self;
    brute_build(&p->points, seed + 1, &p->pattern, NULL);
    p->shape =
        (struct attention_shape){ c->dtype, heads, c->kv_heads ? c->kv_heads : heads, d_qk, c->d_v ? c->d_v : d_qk };
    make_tensors(c, p);
    p->args = (struct attention_args){ .q = p->q.view, .k = p->k.view, .v = p->v.view, .out = p->out.view };
    if (!c->no_lse) p->args.lse = p->lse.view;
    if (!c->pattern_order) {
        p->args.q_rows = p->pattern.q_order;
        p->args.k_rows = p->pattern.k_order;
    }
    p->args.scale = c->scale != 0.0 ? c->scale : 1.0 / sqrt(d_qk);
    p->args.radial = c->radial;
    fill(&p->q, &state, c->values == ZERO ? 0.0 : 1.0);
    fill(&p->k, &state, c->values == ZERO ? 0.0 : 1.0);
    fill(&p->v, &state, 1.0);
    if (c->values == LOGITS_1E4) steer(p, 100.0, 100.0, -0.25, 1.0);
    if (c->values == ALL_MINUS_1000) steer(p, -32.0, 31.25, 0.0, 0.0);
    if (c->values == ALL_MINUS_INF) steer(p, -1.0, INFINITY, 0.0, 0.0);
    if (c->values == GROWING) steer(p, 4.0, 0.0, 0.25, 0.25);
    if (c->values == ONE_DOMINANT) {
        steer(p, 8.0, 0.0, 0.0, 0.125);
        for (int64_t row = 0; row < p->k.rows; row++)
            if ((p->args.k_rows ? row : p->pattern.k_order[row]) == 0)
                for (int head = 0; head < p->k.heads; head++) set(&p->k, row, head, 0, 7.5);
    }

    p->ref_out = brute_alloc(c->n_q * heads, sizeof(double) * (size_t)p->shape.d_v);
    p->ref_lse = brute_alloc(c->n_q * heads, sizeof(double));
    p->all_rows = brute_alloc(c->n_q, sizeof *p->all_rows);
    for (int64_t row = 0; row < c->n_q; row++)
        p->all_rows[p->pattern.q_order[row]] = c->pattern_order ? row : p->pattern.q_order[row];
    CHECK_OK(attention_ref_rows(&p->pattern, &p->shape, &p->args, pools[2], c->n_q, NULL, p->ref_out, p->ref_lse,
                                NULL, &err));
    p->strip_order = brute_permutation(p->pattern.strips, &state);
}

static void free_problem(struct problem *p)
{
    brute_free(&p->pattern);
    brute_points_free(&p->points);
    free(p->q.buffer);
    free(p->k.buffer);
    free(p->v.buffer);
    free(p->out.buffer);
    free(p->lse.buffer);
    free(p->ref_out);
    free(p->ref_lse);
    free(p->all_rows);
    free(p->strip_order);
}

/* Runs with out and lse poisoned by `poison` first. */
static void launch(const struct kernel_row *kernel, struct problem *p, int threads, int poison)
{
    struct vic_plan plan = { .pattern = &p->pattern,
                             .shape = p->shape,
                             .pattern_order = !p->args.q_rows,
                             .radial = p->args.radial.table != NULL,
                             .kernel = kernel,
                             .strip_order = p->strip_order };
    vic_error err;
    size_t used = kernel->workspace(&plan, threads), bytes = (used + 64 + 63) / 64 * 64;
    unsigned char *workspace = aligned_alloc(64, bytes);
    CHECK(workspace != NULL, "out of memory");
    memset(workspace, 0xff, bytes); /* NaNs: scratch must not be read before it is written */
    memset(p->out.buffer, poison, p->out.bytes);
    memset(p->lse.buffer, poison, p->lse.bytes);
    CHECK_OK(kernel->launch(&plan, &p->args, pools[threads], workspace, &err));
    for (size_t i = used; i < bytes; i++) CHECK(workspace[i] == 0xff, "%s wrote behind its workspace", kernel->name);
    free(workspace);
}

static unsigned char *copy_of(const struct tensor *t)
{
    unsigned char *copy = brute_alloc((int64_t)t->bytes, 1);
    memcpy(copy, t->buffer, t->bytes);
    return copy;
}

/* Bytes of `t` that belong to no element keep the poison; the elements are those of `other`, a run with a different
 * poison: so each was written. */
static void check_poison(const struct tensor *t, const unsigned char *other, int poison, int other_poison,
                         const char *what)
{
    unsigned char *inside = brute_alloc((int64_t)t->bytes, 1);
    for (int64_t row = 0; row < t->rows; row++)
        for (int head = 0; head < t->heads; head++)
            memset(inside + (element_at(t, row, head, 0) - (char *)t->buffer), 1,
                   (size_t)t->d * element_size(t->dtype));
    for (size_t i = 0; i < t->bytes; i++) {
        if (inside[i])
            CHECK(t->buffer[i] == other[i], "%s: byte %zu of %zu differs between two runs, or was not written", what,
                  i, t->bytes);
        else
            CHECK(t->buffer[i] == poison && other[i] == other_poison,
                  "%s: byte %zu of %zu is outside and was written", what, i, t->bytes);
    }
    free(inside);
}

/* The same class of number, and close. */
static bool agrees(double got, double want, double tolerance)
{
    if (isnan(want)) return isnan(got);
    if (isinf(want)) return got == want;
    return fabs(got - want) <= tolerance;
}

static void compare(const struct attention_case *c, const struct problem *p, const char *what)
{
    static const double format_error[] = { [VIC_F32] = 2e-6, [VIC_F16] = 3e-4, [VIC_BF16] = 2.4e-3 };
    /* A score s is computed in float32 with an error of some 2^-24 |s|, and so are the weights, relatively. */
    double large = c->values == LOGITS_1E4 ? 2e-2 : c->values == ALL_MINUS_1000 || c->values == GROWING ? 2e-3 : 0.0;
    double allowed = format_error[c->dtype] + large, difference2 = 0.0, size2 = 0.0;
    for (int64_t atom = 0; atom < p->pattern.n_q; atom++)
        for (int head = 0; head < p->shape.heads; head++) {
            int64_t row = p->all_rows[atom], at = atom * p->shape.heads + head;
            double lse = p->ref_lse[at];
            for (int x = 0; x < p->shape.d_v; x++) {
                double want = p->ref_out[at * p->shape.d_v + x], got = get(&p->out, row, head, x);
                CHECK(agrees(got, want, allowed * (4.0 + 2.0 * fabs(want))),
                      "%s: out[atom %lld, head %d, %d]: expected %.9g, got %.9g", what, (long long)atom, head, x,
                      want, got);
                if (!isfinite(want)) continue;
                difference2 += (got - want) * (got - want);
                size2 += want * want;
            }
            if (c->no_lse) continue;
            double got = get(&p->lse, row, head, 0);
            CHECK(agrees(got, lse, 2e-6 * (1.0 + fabs(lse))), "%s: lse[atom %lld, head %d]: expected %.9g, got %.9g",
                  what, (long long)atom, head, lse, got);
        }
    if (size2 > 0.0 && getenv("VIC_TEST_VERBOSE"))
        print_message("%s: relative error %.3g\n", what, sqrt(difference2 / size2));
    CHECK(sqrt(difference2) <= allowed * sqrt(size2), "%s: relative error %.3g, allowed %.3g", what,
          sqrt(difference2 / size2), allowed);
}

#endif
