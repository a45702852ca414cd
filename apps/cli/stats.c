/* SPDX-License-Identifier: Apache-2.0 */
#include "stats.h"

#include <math.h>
#include <stdlib.h>

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void sort_doubles(double *values, int64_t count)
{
    qsort(values, (size_t)count, sizeof *values, compare_doubles);
}

double quantile(const double *sorted, int64_t count, double share)
{
    double at = share * (double)(count - 1);
    int64_t below = (int64_t)at, above = below + 1 < count ? below + 1 : below;
    return sorted[below] + (sorted[above] - sorted[below]) * (at - (double)below);
}

/* Asked of the values themselves: around a rounded mean, equal ones seem to vary a little. */
static bool varies(const double *x, int64_t count)
{
    for (int64_t i = 1; i < count; i++)
        if (x[i] != x[0]) return true;
    return false;
}

double variation(const int64_t *counts, int64_t count)
{
    double mean = 0.0, squares = 0.0;
    for (int64_t i = 0; i < count; i++) mean += (double)counts[i] / (double)count;
    for (int64_t i = 0; i < count; i++) squares += ((double)counts[i] - mean) * ((double)counts[i] - mean);
    return count < 2 || mean == 0.0 ? NAN : sqrt(squares / (double)(count - 1)) / mean;
}

double pearson(const double *x, const double *y, int64_t count)
{
    double mx = 0, my = 0, sxx = 0, syy = 0, sxy = 0;
    for (int64_t i = 0; i < count; i++) {
        mx += x[i] / (double)count;
        my += y[i] / (double)count;
    }
    for (int64_t i = 0; i < count; i++) {
        sxx += (x[i] - mx) * (x[i] - mx);
        syy += (y[i] - my) * (y[i] - my);
        sxy += (x[i] - mx) * (y[i] - my);
    }
    return varies(x, count) && varies(y, count) ? sxy / sqrt(sxx * syy) : (double)NAN;
}

struct ranked {
    double value;
    int64_t index;
};

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->value != y->value) return x->value < y->value ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static void set_ranks(const double *values, struct ranked *work, double *ranks, int64_t count)
{
    for (int64_t i = 0; i < count; i++) work[i] = (struct ranked){ values[i], i };
    qsort(work, (size_t)count, sizeof *work, compare_ranked);
    for (int64_t first = 0, last; first < count; first = last) {
        for (last = first; last < count && work[last].value == work[first].value;) last++;
        for (int64_t i = first; i < last; i++) ranks[work[i].index] = 0.5 * (double)(first + last - 1);
    }
}

vic_status spearman(const double *x, const double *y, int64_t count, double *out, vic_error *err)
{
    struct ranked *work = NULL;
    double *ranks_x = NULL, *ranks_y = NULL;
    vic_status st;
    TRY_GOTO(allocate(count, sizeof *work, "ranks", &work, err), done);
    TRY_GOTO(allocate(count, sizeof *ranks_x, "ranks", &ranks_x, err), done);
    TRY_GOTO(allocate(count, sizeof *ranks_y, "ranks", &ranks_y, err), done);
    set_ranks(x, work, ranks_x, count);
    set_ranks(y, work, ranks_y, count);
    *out = pearson(ranks_x, ranks_y, count);
done:
    free(ranks_y);
    free(ranks_x);
    free(work);
    return st;
}
