/* SPDX-License-Identifier: Apache-2.0 */
#include "base/overlap.h"

#include <stdlib.h>

/* Two elements meet where the sum of steps of one from the other, each along a dimension, is the distance of their
 * first ones: an equation in whole numbers, of as many unknowns as both have dimensions (those with the same step are
 * one).  Largest steps first, what the others can reach leaves one or two values for each. */
enum { MOST_AXES = 2 * VIC_MAX_DIMS, MOST_TRIES = 10000 };

struct axis {
    int64_t step, from, to; /* bytes step * x with from <= x <= to */
};

struct equation {
    struct axis axes[MOST_AXES]; /* steps fall */
    int count, tries;
};

static void add_axis(struct equation *e, struct axis x)
{
    int at = 0;
    while (at < e->count && e->axes[at].step > x.step) at++;
    if (at < e->count && e->axes[at].step == x.step) {
        e->axes[at].from += x.from;
        e->axes[at].to += x.to;
        return;
    }
    for (int i = e->count++; i > at; i--) e->axes[i] = e->axes[i - 1];
    e->axes[at] = x;
}

/* The dimensions of one tensor; `sign` -1: of the one that is gone from. */
static void add_tensor(struct equation *e, const vic_tensor *t, int sign)
{
    for (int i = 0; i < t->ndim; i++) {
        int64_t last = t->shape[i] - 1;
        if (last < 1 || t->stride[i] == 0) continue; /* never stepped along: any stride */
        int64_t step = t->stride[i] * (int64_t)vic_dtype_size(t->dtype) * sign;
        add_axis(e, step > 0 ? (struct axis){ step, 0, last } : (struct axis){ -step, -last, 0 });
    }
}

static int64_t floor_divide(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Has the sum of axes `at` and behind a value from `low` to `high`? */
static bool reaches(struct equation *e, int at, int64_t low, int64_t high)
{
    int64_t below = 0, above = 0;
    if (at == e->count) return low <= 0 && high >= 0;
    if (--e->tries < 0) return true;
    for (int i = at + 1; i < e->count; i++) {
        below += e->axes[i].step * e->axes[i].from;
        above += e->axes[i].step * e->axes[i].to;
    }
    const struct axis *x = &e->axes[at];
    int64_t first = -floor_divide(above - low, x->step), last = floor_divide(high - below, x->step);
    if (first < x->from) first = x->from;
    if (last > x->to) last = x->to;
    for (int64_t i = first; i <= last; i++)
        if (reaches(e, at + 1, low - i * x->step, high - i * x->step)) return true;
    return false;
}

static bool has_elements(const vic_tensor *t)
{
    if (!t->data) return false; /* and what else it has may be anything */
    for (int i = 0; i < t->ndim; i++)
        if (t->shape[i] == 0) return false;
    return true;
}

/* Bytes before and behind a tensor's first element that it reaches. */
static void span(const vic_tensor *t, int64_t size, int64_t *before, int64_t *behind)
{
    *before = 0;
    *behind = size;
    for (int i = 0; i < t->ndim; i++) {
        int64_t reach = (t->shape[i] - 1) * t->stride[i] * size;
        *(reach < 0 ? before : behind) += reach;
    }
}

bool tensors_overlap(const vic_tensor *a, const vic_tensor *b)
{
    int64_t size_a = (int64_t)vic_dtype_size(a->dtype), size_b = (int64_t)vic_dtype_size(b->dtype);
    int64_t apart = (int64_t)((uintptr_t)a->data - (uintptr_t)b->data);
    int64_t a_before, a_behind, b_before, b_behind;
    if (!has_elements(a) || !has_elements(b)) return false;
    span(a, size_a, &a_before, &a_behind);
    span(b, size_b, &b_before, &b_behind);
    if (apart + a_before >= b_behind || apart + a_behind <= b_before) return false; /* the usual answer */
    struct equation e = { .count = 0, .tries = MOST_TRIES };
    add_tensor(&e, a, 1);
    add_tensor(&e, b, -1);
    return reaches(&e, 0, 1 - size_a - apart, size_b - 1 - apart);
}

static bool row_major(const vic_tensor *t)
{
    int64_t step = 1;
    for (int i = t->ndim - 1; i >= 0; i--) {
        if (t->shape[i] > 1 && t->stride[i] != step) return false;
        step *= t->shape[i];
    }
    return true;
}

bool tensor_overlaps_itself(const vic_tensor *t)
{
    struct equation e = { .count = 0, .tries = MOST_TRIES };
    int64_t size = (int64_t)vic_dtype_size(t->dtype), reach = size;
    if (!has_elements(t) || row_major(t)) return false;
    for (int i = 0; i < t->ndim; i++)
        for (int j = 0; j <= i; j++)
            if (t->shape[i] > 1 && (t->stride[i] == 0 || (j < i && t->shape[j] > 1 && t->stride[i] == t->stride[j])))
                return true;
    add_tensor(&e, t, 1);
    for (int i = e.count - 1; i >= 0; i--) {
        if (e.axes[i].step < reach) return true;
        reach += e.axes[i].step * (e.axes[i].to - e.axes[i].from);
    }
    return false;
}
