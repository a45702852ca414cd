/* SPDX-License-Identifier: Apache-2.0 */
/* The gradients of a problem: its out and lse as the reference has them, random dout and dlse, a launch with poisoned
 * outputs on the CPU, and the comparison with the reference of the gradients, which is given the same. */
#ifndef VIC_TESTS_PARITY_GRADIENTS_H
#define VIC_TESTS_PARITY_GRADIENTS_H

#include "problem.h"

/* What is summed over a batch. */
struct gradient_sums {
    float *dtable;                   /* [tables, points] */
    double *dq_at, *dk_at, dcell[9]; /* [n_q, 3], [n_k, 3] by atom; dk_at NULL where queries are keys */
};

struct gradients {
    struct problem *p;
    struct tensor dout, dlse, dq, dk, dv;
    struct attention_backward_args args; /* of the first entry */
    struct gradient_sums sums;           /* of the last launch */
    double *want_dq, *want_dk, *want_dv; /* [batch, row, heads, d] */
    double *want_table;                  /* and the sums of all entries; `rough`: of the sizes of their terms */
    double *want_dq_at, *want_dk_at, want_dcell[9];
    int tables;
};

/* Sets out and lse of the problem, and what the reference says of their gradients. */
void make_gradients(struct problem *p, enum layout layout, uint64_t seed, struct gradients *g);
void free_gradients(struct gradients *g);

/* Runs the entries of the problem (p->first_entry, p->entries); what is written was full of `poison`. */
void launch_gradients(const struct kernel *kernel, struct gradients *g, int threads, int poison);

/* Every gradient of all entries, after a launch of all of them. */
void compare_gradients(const struct attention_case *c, const struct gradients *g, const char *what);

/* Two launches with different poison and threads; every element written, nothing else, and near to the reference. */
void check_gradients(const struct kernel *kernel, const struct attention_case *c, struct gradients *g);

#endif
