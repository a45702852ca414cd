/* SPDX-License-Identifier: Apache-2.0 */
#include "arrays/tensor_io.h"
#include "commands/run.h"
#include "vicinal_dev.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ALL_ROWS = 4096, SAMPLED_ROWS = 512 };

struct reference {
    int64_t *rows;
    double *out, *lse;
    int64_t *counts, *pattern_counts;
};

/* One row out of each of `count` equal parts, so that the sample covers the whole structure. */
static void sample_rows(uint64_t seed, int64_t atoms, int64_t count, int64_t *rows)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t first = atoms * i / count, last = atoms * (i + 1) / count;
        double inside = count < atoms ? random_unit(&seed) : 0.0;
        rows[i] = first + (int64_t)(inside * (double)(last - first));
    }
}

static vic_status make_reference(const struct run_problem *p, int64_t n, struct reference *r, vic_error *err)
{
    int64_t heads = p->heads;
    TRY(allocate(n, sizeof *r->rows, "the check", &r->rows, err));
    TRY(allocate(n, (size_t)(heads * p->head_dim_v) * sizeof *r->out, "the reference", &r->out, err));
    TRY(allocate(n, (size_t)heads * sizeof *r->lse, "the reference", &r->lse, err));
    TRY(allocate(n, sizeof *r->counts, "the reference", &r->counts, err));
    TRY(allocate(p->atoms, sizeof *r->pattern_counts, "the check", &r->pattern_counts, err));
    sample_rows(p->seed, p->atoms, n, r->rows);
    TRY(vic_pattern_counts(p->pattern, r->pattern_counts, err));
    return vic_attention_reference(p->context, p->plan, &p->args, n, r->rows, r->out, r->lse, r->counts, err);
}

static double type_bound(vic_dtype dtype)
{
    switch (dtype) {
    case VIC_F16: return 5e-4;
    case VIC_BF16: return 4e-3;
    default: return 2e-6;
    }
}

/* Half of the distance of the type's smallest numbers: what rounding takes from any element. */
static double type_floor(vic_dtype dtype)
{
    switch (dtype) {
    case VIC_F16: return 0x1p-25;
    case VIC_BF16: return 0x1p-134;
    default: return 0x1p-150;
    }
}

static double not_less(double a, double b)
{
    return isnan(a) || isnan(b) ? HUGE_VAL : fmax(a, b);
}

/* -inf on both sides agrees; one beyond float32's range is given as its last number. */
static double lse_error(double got, double expected)
{
    if (isfinite(expected)) expected = fmin(fmax(expected, (double)-FLT_MAX), (double)FLT_MAX);
    return got == expected ? 0.0 : fabs(got - expected);
}

/* What a comparison gathers, one head of one atom at a time. */
struct sums {
    double difference, size, largest_lse;
    double typical; /* a row that cancels to nearly nothing is measured against a hundredth of the usual size */
};

static void sums_start(struct sums *s, double size, int64_t vectors)
{
    *s = (struct sums){ .size = size };
    s->typical = 1e-2 * sqrt(size / fmax(1.0, (double)vectors));
}

static void compare_head(const struct run_problem *p, int64_t atom, int64_t head, const double *expected,
                         double expected_lse, struct sums *s, struct run_check *out)
{
    int64_t at = (p->place ? p->place[atom] : atom) * p->heads + head;
    double difference = 0.0, size = 0.0, error, lse = (double)((const float *)p->args.lse.data)[at];
    double lost = 1.001 * type_floor(p->dtype); /* by way of float32 halves are rounded twice */
    for (int64_t c = 0; c < p->head_dim_v; c++) {
        double d = fabs(element_load(p->dtype, p->args.out.data, at * p->head_dim_v + c) - expected[c]);
        d = d <= lost ? 0.0 : d - lost;
        difference += d * d;
        size += expected[c] * expected[c];
    }
    s->difference += difference;
    error = not_less(difference == 0.0 ? 0.0 : sqrt(difference) / fmax(sqrt(size), s->typical), 0.0);
    if (error > out->worst_row_error) {
        out->worst_row_error = error;
        out->worst_row = atom;
    }
    out->lse_max_error = not_less(out->lse_max_error, lse_error(lse, expected_lse));
    if (isfinite(expected_lse)) s->largest_lse = fmax(s->largest_lse, fmin(fabs(expected_lse), (double)FLT_MAX));
}

static void conclude(const struct run_problem *p, const struct sums *s, struct run_check *out)
{
    /* A score has an error of some 2^-24 of its size, and so has its weight, relatively; at 10^7 and more weights are
     * anything, but results that are half wrong are no results. */
    double scores = 2e-6 * fmax(1.0, s->largest_lse / 8.0), most = fmax(type_bound(p->dtype), scores);
    out->relative_frobenius = s->difference == 0.0 ? 0.0 : not_less(sqrt(s->difference / s->size), 0.0);
    out->bound = fmin(most, 0.5);
    out->pass = out->relative_frobenius <= out->bound && out->worst_row_error <= 16.0 * out->bound &&
                out->lse_max_error <= 4.0 * most && out->count_mismatches == 0;
}

static void compare(const struct run_problem *p, const struct reference *r, struct run_check *out)
{
    int64_t width = (int64_t)p->heads * p->head_dim_v, dv = p->head_dim_v;
    struct sums s;
    double size = 0.0;
    for (int64_t i = 0; i < out->rows * width; i++) size += r->out[i] * r->out[i];
    sums_start(&s, size, out->rows * p->heads);
    out->worst_row = out->rows ? r->rows[0] : -1;
    for (int64_t i = 0; i < out->rows; i++) {
        out->count_mismatches += r->counts[i] != r->pattern_counts[r->rows[i]];
        for (int64_t h = 0; h < p->heads; h++)
            compare_head(p, r->rows[i], h, &r->out[(i * p->heads + h) * dv], r->lse[i * p->heads + h], &s, out);
    }
    conclude(p, &s, out);
}

vic_status run_check(const struct run_problem *p, struct run_check *out, vic_error *err)
{
    struct reference r = { 0 };
    vic_status st;
    memset(out, 0, sizeof *out);
    out->rows = p->atoms <= ALL_ROWS ? p->atoms : SAMPLED_ROWS;
    st = make_reference(p, out->rows, &r, err);
    if (st == VIC_OK) compare(p, &r, out);
    free(r.pattern_counts);
    free(r.counts);
    free(r.lse);
    free(r.out);
    free(r.rows);
    return st;
}

/* ---- against the best CPU kernel ---- */

static void compare_twin(const struct run_problem *p, const struct array *values, const float *lse,
                         struct run_check *out)
{
    enum { MOST_COMPONENTS = 128 };
    int64_t dv = p->head_dim_v, vectors = p->atoms * p->heads;
    double expected[MOST_COMPONENTS], size = 0.0;
    struct sums s;
    for (int64_t i = 0; i < vectors * dv; i++) {
        double x = element_load(p->dtype, values->data, i);
        size += x * x;
    }
    sums_start(&s, size, vectors);
    out->rows = p->atoms;
    out->worst_row = p->atoms ? 0 : -1;
    for (int64_t i = 0; i < vectors; i++) {
        int64_t atom = i / p->heads, h = i % p->heads, at = (p->place ? p->place[atom] : atom) * p->heads + h;
        for (int64_t c = 0; c < dv; c++) expected[c] = element_load(p->dtype, values->data, at * dv + c);
        compare_head(p, atom, h, expected, (double)lse[at], &s, out);
    }
    conclude(p, &s, out);
}

/* Asked for by name, so that VIC_FORCE_KERNEL, which may name the GPU's, does not reach it. */
static const char *best_cpu_kernel(void)
{
    vic_kernel_info kernel = VIC_INIT(vic_kernel_info);
    for (int i = 0; i < vic_kernel_count() && vic_kernel_get(i, &kernel, NULL) == VIC_OK; i++)
        if (strcmp(kernel.device, "cpu") == 0 && kernel.available && !kernel.backward) return kernel.name;
    return NULL;
}

vic_status run_check_twin(const struct run_problem *p, const vic_plan_options *plan, struct run_check *out,
                          const char **kernel, vic_error *err)
{
    vic_status st;
    vic_plan_options options = *plan;
    vic_plan_info info = VIC_INIT(vic_plan_info);
    vic_plan *twin = NULL;
    vic_attention_args args = p->args;
    struct array values = { .dtype = p->dtype };
    float *lse = NULL;
    memset(out, 0, sizeof *out);
    options.device = (vic_device){ VIC_CPU, 0 };
    options.kernel = *kernel = best_cpu_kernel();
    TRY(vic_plan_get(p->plan, &info, err));
    if (!*kernel || strcmp(*kernel, info.kernel) == 0) return VIC_OK;
    TRY_GOTO(vic_plan_create(p->context, p->pattern, &options, &twin, err), done);
    TRY_GOTO(allocate(p->atoms, (size_t)(p->heads * p->head_dim_v) * vic_dtype_size(p->dtype), "the CPU's result",
                      &values.data, err),
             done);
    TRY_GOTO(allocate(p->atoms, (size_t)p->heads * sizeof *lse, "the CPU's log-sum-exp", &lse, err), done);
    args.out.data = values.data;
    args.lse.data = lse;
    args.workspace = NULL;
    TRY_GOTO(vic_attention(p->context, twin, &args, err), done);
    compare_twin(p, &values, lse, out);
done:
    free(lse);
    free(values.data);
    vic_plan_free(twin);
    return st;
}
