/* SPDX-License-Identifier: Apache-2.0 */
/* One attention case of the parity tests made ready: geometry, tensors, what the reference says, a launch with
 * poisoned outputs on the CPU or a GPU, and the comparison. */
#ifndef VIC_TESTS_PARITY_PROBLEM_H
#define VIC_TESTS_PARITY_PROBLEM_H

#include "base/threads.h"
#include "case.h"
#include "contract/kernel.h"
#include "device/memory.h"
#include "kernels/kernels.h"
#include "kernels/ref/attention_ref.h"
#include "plan/plan.h"
#include <float.h>

/* A case made ready: pattern, tensors, and what the reference says. */
struct problem {
    struct brute_points points;
    struct vic_pattern pattern;
    vic_pattern *built; /* what `pattern` is a view of, where the library built it */
    struct attention_shape shape;
    struct tensor q, k, v, out, lse;
    struct attention_args args; /* of the first entry; a launch takes `entries` from `first_entry` on */
    int first_entry, entries;
    int64_t *all_rows;         /* atom -> row of q, out and lse */
    double *ref_out, *ref_lse; /* [batch, n_q, heads, ...] by atom */
    int64_t *pairs;            /* [n_q] by atom */
};

extern struct pool *pools[8]; /* by number of threads */

extern vic_device_type tested;                 /* VIC_CPU, or VIC_CUDA where main() says so */
extern enum kernel_operation tested_operation; /* ATTENTION_FORWARD, or the other where main() says so */

/* As the library makes it; of masks that are NULL all points take part. */
vic_pattern *case_pattern(const struct attention_case *c, const struct brute_points *in, const bool *mask,
                          const bool *key_mask);

/* One entry's arguments. */
struct attention_args entry_args(const struct problem *p, int entry);

/* Tables of a distance bias that differ from head to head: rough numbers; `infinite`: with -inf at the end, in the
 * middle and at the start. */
float *make_tables(int heads, int points, bool infinite, uint64_t seed);

void make_problem(const struct attention_case *c, uint64_t seed, struct problem *p);

void free_problem(struct problem *p);

static const vic_device the_gpu = { VIC_CUDA, 0 }, the_cpu = { VIC_CPU, 0 };

/* Why the first device of its kind cannot run it, or NULL. */
const char *unavailable(const struct kernel *kernel);

struct plan_request request_of(const struct problem *p, const struct kernel *kernel);

void *to_gpu(const unsigned char *from, size_t bytes);

void from_gpu(unsigned char *to, const void *from, size_t bytes);

/* Set by tests that want a plan made in another way than the kernel would. */
extern vic_status (*prepare_instead)(struct vic_plan *plan, const struct kernel_setup *setup, vic_error *err);

/* The status comes back, so that a test may ask for a refusal. */
vic_status launch_on_gpu(const struct kernel *kernel, struct problem *p, vic_error *err);

/* Runs with out and lse poisoned by `poison` first. */
void launch(const struct kernel *kernel, struct problem *p, int threads, int poison);

unsigned char *copy_of(const struct tensor *t);

/* Bytes of `t` that belong to no element keep the poison; the elements are those of `other`, a run with a different
 * poison: so each was written. */
void check_poison(const struct tensor *t, const unsigned char *other, int poison, int other_poison, const char *what);

/* The same class of number, and close. */
bool agrees(double got, double want, double tolerance);

/* Of a result, relative to its size. */
double allowed_error(const struct attention_case *c);

/* An LSE beyond float32 is its last finite number. */
double lse_as_float(double lse);

void compare(const struct attention_case *c, const struct problem *p, const char *what);

int start_pools(void **state);

int stop_pools(void **state);

#endif
