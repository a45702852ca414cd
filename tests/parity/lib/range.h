/* SPDX-License-Identifier: Apache-2.0 */
/* Finite inputs that leave float32: scores that overflow in the end or on the way, sums of values that would, numbers
 * at float32's lower end, scales of any size.  What test_range.c and test_range_answers.c share. */
#ifndef VIC_TESTS_PARITY_RANGE_H
#define VIC_TESTS_PARITY_RANGE_H

#include "contract/distance_bias.h"
#include "run.h"
#include <float.h>

enum { N = 120, POINTS = 20 };

/* ---- Problems whose values a test writes ---------------------------------------------------------------------- */

typedef double value_of(uint64_t *state, int64_t row, int head, int c);

void refer(struct problem *p);

void write_problem(struct problem *p, uint64_t seed, value_of *q, value_of *k, value_of *v);

double normal(uint64_t *state, int64_t row, int head, int c);

double zero(uint64_t *state, int64_t row, int head, int c);

/* ---- Comparison ------------------------------------------------------------------------------------------------ */

/* What float32 may lose of one row and head.  A score that float32 holds is off by its terms' rounding, and so its
 * weight, relatively; that counts for nothing in rows that are done in double, those with a pair whose score is
 * surely beyond float32. */
struct limits {
    bool wide, pairs;
    double scores;       /* the error of a score */
    double values[128];  /* the largest |v| of the neighbours, by column */
    double largest;      /* ... of all columns */
    double most, fewest; /* neighbours' exact scores, without the bias */
};

double distance2(const struct problem *p, int64_t atom, int64_t key);

bool is_pair(const struct problem *p, int64_t atom, int64_t key);

struct limits find_limits(const struct problem *p, int64_t atom, int head);

/* What rounding to the type leaves of a number, and its smallest one. */
double type_error(vic_dtype dtype);

double smallest(vic_dtype dtype);

struct compared {
    const struct problem *p;
    const char *what;
    int64_t rows, wide;
};

void check_kernel_in_range(const struct kernel *kernel, void *context);

struct attention_case case_of(vic_dtype dtype, int d);

extern double q_value, k_value; /* of same_q(), same_k() */

extern int flip; /* components from here on have the other sign */

double same_q(uint64_t *state, int64_t row, int head, int c);

double same_k(uint64_t *state, int64_t row, int head, int c);

#endif
