/* SPDX-License-Identifier: Apache-2.0 */
#include "run.h"
#include "tensor_io.h"

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
    vic_pattern_counts(p->pattern, r->pattern_counts);
    return vic_attention_reference(p->engine, p->plan, &p->args, n, r->rows, r->out, r->lse, r->counts, err);
}

static double type_bound(vic_dtype dtype, double largest_lse)
{
    switch (dtype) {
    case VIC_F16: return 5e-4;
    case VIC_BF16: return 4e-3;
    default: return 2e-6 * fmax(1.0, largest_lse / 8.0);
    }
}

static double not_less(double a, double b)
{
    return isnan(a) || isnan(b) ? HUGE_VAL : fmax(a, b);
}

/* -inf on both sides agrees. */
static double lse_error(double got, double expected)
{
    return got == expected ? 0.0 : fabs(got - expected);
}

static void compare(const struct run_problem *p, const struct reference *r, struct run_check *out)
{
    int64_t width = (int64_t)p->heads * p->head_dim_v, dv = p->head_dim_v;
    double difference = 0.0, size = 0.0, largest_lse = 0.0, typical;
    for (int64_t i = 0; i < out->rows * width; i++) size += r->out[i] * r->out[i];
    /* A row that happens to cancel to nearly nothing is measured against a hundredth of the usual size. */
    typical = 1e-2 * sqrt(size / fmax(1.0, (double)(out->rows * p->heads)));
    out->worst_row = out->rows ? r->rows[0] : -1;
    for (int64_t i = 0; i < out->rows; i++) {
        int64_t row = r->rows[i];
        out->count_mismatches += r->counts[i] != r->pattern_counts[row];
        for (int64_t h = 0; h < p->heads; h++) {
            double row_difference = 0.0, row_size = 0.0, error;
            double lse = (double)((const float *)p->args.lse.data)[row * p->heads + h];
            for (int64_t c = 0; c < dv; c++) {
                double expected = r->out[(i * p->heads + h) * dv + c];
                double d = element_load(p->dtype, p->args.out.data, (row * p->heads + h) * dv + c) - expected;
                row_difference += d * d;
                row_size += expected * expected;
            }
            difference += row_difference;
            error = row_difference == 0.0 ? 0.0 : sqrt(row_difference) / fmax(sqrt(row_size), typical);
            error = not_less(error, 0.0);
            if (error > out->worst_row_error) {
                out->worst_row_error = error;
                out->worst_row = row;
            }
            out->lse_max_error = not_less(out->lse_max_error, lse_error(lse, r->lse[i * p->heads + h]));
            if (isfinite(r->lse[i * p->heads + h])) largest_lse = fmax(largest_lse, fabs(r->lse[i * p->heads + h]));
        }
    }
    out->relative_frobenius = difference == 0.0 ? 0.0 : not_less(sqrt(difference / size), 0.0);
    out->bound = type_bound(p->dtype, largest_lse);
    out->pass = out->relative_frobenius <= out->bound && out->worst_row_error <= 16.0 * out->bound &&
                out->lse_max_error <= 4.0 * out->bound && out->count_mismatches == 0;
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
