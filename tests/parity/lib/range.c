/* SPDX-License-Identifier: Apache-2.0 */
#include "range.h"

/* ---- Problems whose values a test writes ---------------------------------------------------------------------- */

static void write_values(const struct tensor *t, uint64_t *state, value_of *of)
{
    for (int entry = 0; entry < t->batch; entry++) {
        struct tensor one = entry_of(t, entry);
        for (int64_t row = 0; row < t->rows; row++)
            for (int head = 0; head < t->heads; head++)
                for (int c = 0; c < t->d; c++) set(&one, row, head, c, of(state, row, head, c));
    }
}

void refer(struct problem *p)
{
    vic_error err;
    for (int entry = 0; entry < p->entries; entry++) {
        struct attention_args args = entry_args(p, entry);
        int64_t vectors = entry * p->pattern.n_q * p->shape.heads;
        CHECK_OK(attention_ref_rows(&p->pattern, &p->shape, &args, pools[7], p->pattern.n_q, NULL,
                                    p->ref_out + vectors * p->shape.d_v, p->ref_lse + vectors, NULL, &err));
    }
}

void write_problem(struct problem *p, uint64_t seed, value_of *q, value_of *k, value_of *v)
{
    write_values(&p->q, &seed, q);
    write_values(&p->k, &seed, k);
    write_values(&p->v, &seed, v);
    refer(p);
}

double normal(uint64_t *state, int64_t row, int head, int c)
{
    (void)row, (void)head, (void)c;
    return random_normal(state);
}

double zero(uint64_t *state, int64_t row, int head, int c)
{
    (void)state, (void)row, (void)head, (void)c;
    return 0.0;
}

/* ---- Comparison ------------------------------------------------------------------------------------------------ */

double distance2(const struct problem *p, int64_t atom, int64_t key)
{
    return pair_distance2(p->points.q + 3 * atom, p->points.q + 3 * key, p->points.cell, 0, 0, 0);
}

bool is_pair(const struct problem *p, int64_t atom, int64_t key)
{
    return distance2(p, atom, key) < p->pattern.cutoff * p->pattern.cutoff &&
           !(p->points.exclude_self && key == atom);
}

struct limits find_limits(const struct problem *p, int64_t atom, int head)
{
    int kv_head = head / (p->shape.heads / p->shape.kv_heads);
    struct limits l = { .most = -INFINITY, .fewest = INFINITY };
    for (int64_t key = 0; key < p->pattern.n_k; key++) {
        double dot = 0.0, terms = 0.0;
        if (!is_pair(p, atom, key)) continue;
        for (int c = 0; c < p->shape.d_qk; c++) {
            double term = get(&p->q, atom, head, c) * get(&p->k, key, kv_head, c);
            dot += term;
            terms += fabs(term);
        }
        l.pairs = true;
        l.wide = l.wide || fabs(dot) >= 0x1p129 || fabs(dot * p->args.scale) >= 0x1p129;
        l.scores = fmax(l.scores, fabs(p->args.scale) * terms * (p->shape.d_qk + 4.0) * 0x1p-24 + 0x1p-20);
        l.most = fmax(l.most, dot * p->args.scale);
        l.fewest = fmin(l.fewest, dot * p->args.scale);
        for (int c = 0; c < p->shape.d_v; c++) {
            l.values[c] = fmax(l.values[c], fabs(get(&p->v, key, kv_head, c)));
            l.largest = fmax(l.largest, l.values[c]);
        }
    }
    l.wide = l.wide || fabs(p->args.scale) > 0x1p100;
    if (l.wide) l.scores = 0.0;
    return l;
}

double type_error(vic_dtype dtype)
{
    return dtype == VIC_F32 ? 0x1p-24 : dtype == VIC_F16 ? 0x1p-11 : 0x1p-8;
}

double smallest(vic_dtype dtype)
{
    return dtype == VIC_F32 ? 0x1p-149 : dtype == VIC_F16 ? 0x1p-24 : 0x1p-133;
}

static void check_row(const struct kernel *kernel, struct compared *x, int64_t atom, int head)
{
    const struct problem *p = x->p;
    struct limits l = find_limits(p, atom, head);
    int64_t at = atom * p->shape.heads + head;
    double lse = get(&p->lse, atom, head, 0), want_lse = lse_as_float(p->ref_lse[at]);
    x->rows += l.pairs;
    x->wide += l.wide && l.pairs;
    CHECK(agrees(lse, want_lse, 1e-6 * (1.0 + fabs(want_lse)) + fmin(l.scores, 1e300)),
          "%s, %s: lse[%lld, %d]: expected %.9g, got %.9g", kernel->name, x->what, (long long)atom, head, want_lse,
          lse);
    CHECK((lse == -INFINITY) == !l.pairs, "%s, %s: lse[%lld, %d] is %g", kernel->name, x->what, (long long)atom, head,
          lse);
    for (int c = 0; c < p->shape.d_v; c++) {
        double want = p->ref_out[at * p->shape.d_v + c], got = get(&p->out, atom, head, c);
        double allowed = l.values[c] * fmin(2.0, 2e-6 + type_error(p->shape.dtype) + 4.0 * l.scores) +
                         smallest(p->shape.dtype) + (l.wide || l.largest < 0x1p-111 ? 0.0 : N * 0x1p-149);
        CHECK(isfinite(got) && fabs(got - want) <= allowed,
              "%s, %s: out[%lld, %d, %d]: expected %.9g, got %.9g, allowed %.3g", kernel->name, x->what,
              (long long)atom, head, c, want, got, allowed);
        CHECK(fabs(got) <= l.values[c] * (1.0 + 1e-5 + type_error(p->shape.dtype)) + smallest(p->shape.dtype),
              "%s, %s: out[%lld, %d, %d]: %.9g is no mean of values up to %.9g", kernel->name, x->what,
              (long long)atom, head, c, got, l.values[c]);
    }
}

void check_kernel_in_range(const struct kernel *kernel, void *context)
{
    struct compared *x = context;
    struct problem *p = (struct problem *)(uintptr_t)x->p;
    launch(kernel, p, 2, 0x00);
    unsigned char *out = copy_of(&p->out), *lse = copy_of(&p->lse);
    launch(kernel, p, 1, 0xc5);
    check_poison(&p->out, out, 0xc5, 0x00, x->what);
    check_poison(&p->lse, lse, 0xc5, 0x00, x->what);
    for (int64_t atom = 0; atom < p->pattern.n_q; atom++)
        for (int head = 0; head < p->shape.heads; head++) check_row(kernel, x, atom, head);
    free(out);
    free(lse);
}

struct attention_case case_of(vic_dtype dtype, int d)
{
    return (struct attention_case){
        .name = "range", .n_q = N, .n_k = -1, .box = 9, .cutoff = 4, .d_qk = d, .d_v = 24, .dtype = dtype
    };
}

double q_value, k_value;

int flip;

double same_q(uint64_t *state, int64_t row, int head, int c)
{
    (void)state, (void)row, (void)head, (void)c;
    return q_value;
}

double same_k(uint64_t *state, int64_t row, int head, int c)
{
    (void)state, (void)row, (void)head;
    return c >= flip ? -k_value : k_value;
}
