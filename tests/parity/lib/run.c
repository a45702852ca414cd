/* SPDX-License-Identifier: Apache-2.0 */
#include "run.h"

#include "gradients.h"

static bool is_tested(const struct kernel *kernel)
{
    return kernel->device == tested && kernel->operation == tested_operation;
}

bool small(void)
{
    const char *value = getenv("VIC_TEST_SMALL");
    return SANITIZED == 2 || (value && *value);
}

bool nothing_to_test(void)
{
    const char *why = "this build has no CUDA";
    for (int i = 0; i < kernel_table_size; i++) {
        if (!is_tested(kernel_table[i])) continue;
        why = unavailable(kernel_table[i]);
        if (!why) return false;
    }
    print_message("skipped: %s\n", why);
    return true;
}

/* The GPU's kernels of gradients must be requested by name: that of the cheapest which takes the shape. */
static const char *gradients_by_name(const struct attention_shape *shape)
{
    const struct kernel *best = NULL;
    for (int i = 0; i < kernel_table_size; i++) {
        const struct kernel *kernel = kernel_table[i], *fits;
        const struct plan_request request = {
            .operation = ATTENTION_BACKWARD, .shape = *shape, .device = the_gpu, .kernel = kernel->name
        };
        vic_error err;
        if (!is_tested(kernel) || plan_choose(&request, kernel_table, kernel_table_size, &fits, &err) != VIC_OK)
            continue;
        if (!best || kernel->cost < best->cost) best = kernel;
    }
    CHECK(best != NULL, "no kernel of gradients takes %s, head sizes %d and %d", vic_dtype_name(shape->dtype),
          shape->d_qk, shape->d_v);
    return best->name;
}

void for_each_kernel(const struct attention_shape *shape, void (*body)(const struct kernel *, void *), void *context)
{
    struct plan_request request = { .operation = tested_operation, .shape = *shape, .device = the_gpu };
    const struct kernel *chosen;
    vic_error err;
    int ran = 0;
    for (int i = 0; tested == VIC_CPU && i < kernel_table_size; i++)
        if (is_tested(kernel_table[i]) && !unavailable(kernel_table[i])) {
            body(kernel_table[i], context);
            ran++;
        }
    CHECK(tested == VIC_CUDA || ran > 0, "no kernel was tested");
    if (tested != VIC_CUDA) return;
    if (tested_operation == ATTENTION_BACKWARD) request.kernel = gradients_by_name(shape);
    CHECK_OK(plan_choose(&request, kernel_table, kernel_table_size, &chosen, &err));
    body(chosen, context);
}

void check_kernel(const struct kernel *kernel, void *context)
{
    struct checked *x = context;
    char what[256];
    snprintf(what, sizeof what, "%s, %s, case \"%s\", seed %llu", kernel->name, vic_dtype_name(type_of(x->c)),
             x->c->name, (unsigned long long)x->seed);
    launch(kernel, x->p, 2, 0x00);
    if (small()) {
        compare(x->c, x->p, what);
        return;
    }
    unsigned char *out = copy_of(&x->p->out), *lse = copy_of(&x->p->lse);
    launch(kernel, x->p, 1, 0xc5);
    check_poison(&x->p->out, out, 0xc5, 0x00, what);
    if (x->c->no_lse)
        for (size_t i = 0; i < x->p->lse.bytes; i++) CHECK(x->p->lse.buffer[i] == 0xc5, "%s: lse written", what);
    else
        check_poison(&x->p->lse, lse, 0xc5, 0x00, what);
    compare(x->c, x->p, what);
    free(out);
    free(lse);
}

struct checked_gradients {
    const struct attention_case *c;
    struct gradients *g;
};

static void check_backward_kernel(const struct kernel *kernel, void *context)
{
    const struct checked_gradients *x = context;
    check_gradients(kernel, x->c, x->g);
}

static void run_one(const struct attention_case *c, uint64_t seed)
{
    struct problem p;
    struct checked x = { c, &p, seed };
    make_problem(c, seed, &p);
    if (tested_operation == ATTENTION_BACKWARD) {
        struct gradients g;
        struct checked_gradients y = { c, &g };
        make_gradients(&p, c->layout, seed, &g);
        for_each_kernel(&p.shape, check_backward_kernel, &y);
        free_gradients(&g);
    } else {
        for_each_kernel(&p.shape, check_kernel, &x);
    }
    free_problem(&p);
}

void run_case(const struct attention_case *c, uint64_t seed)
{
    enum { MOST = SANITIZED == 2 ? 300 : 700, MOST_KEYS = 3000, MOST_QUERIES_BACKWARD = SANITIZED > 0 ? 200 : 700 };
    struct attention_case half = *c;
    /* Under a sanitizer the large ones, which are for values, took nine tenths of the time. */
    if ((small() || SANITIZED > 0) && (c->n_q > MOST || c->n_k > MOST_KEYS)) return;
    if (tested_operation == ATTENTION_BACKWARD && c->n_q > MOST_QUERIES_BACKWARD) return; /* the reference is slow */
    /* Infinite keys: on a GPU 0 times infinity is computed. */
    if (tested_operation == ATTENTION_BACKWARD && tested == VIC_CUDA && c->values == ALL_MINUS_INF) return;
    if (tested != VIC_CUDA || type_of(c) != VIC_F32) {
        run_one(c, seed);
        return;
    }
    for (int t = 1; t < TYPES; t++) {
        half.dtype = types[t];
        run_one(&half, seed);
    }
}

int types_to_run(void)
{
    return tested == VIC_CUDA ? 1 : TYPES;
}

int first_type(void)
{
    return tested == VIC_CUDA ? 1 : 0;
}

void check_rows_kept(const struct problem *p, const unsigned char *out, const unsigned char *lse, const bool *kept,
                     const char *what)
{
    for (int entry = 0; entry < p->entries; entry++) {
        struct tensor values = entry_of(&p->out, p->first_entry + entry),
                      sums = entry_of(&p->lse, p->first_entry + entry);
        for (int64_t row = 0; row < p->pattern.n_q; row++)
            for (int head = 0; kept[row] && head < p->shape.heads; head++) {
                const char *at = element_at(&values, row, head, 0), *sum = element_at(&sums, row, head, 0);
                CHECK(memcmp(at, out + (at - (char *)p->out.buffer),
                             (size_t)p->shape.d_v * element_size(p->shape.dtype)) == 0,
                      "%s: other bits in out of row %lld, head %d", what, (long long)row, head);
                CHECK(memcmp(sum, lse + (sum - (char *)p->lse.buffer), sizeof(float)) == 0,
                      "%s: other bits in lse of row %lld, head %d", what, (long long)row, head);
            }
    }
}

void check_entries(const struct kernel *kernel, void *context)
{
    static const int ranges[][2] = { { 0, 1 }, { 1, 1 }, { 2, 1 }, { 1, 2 } };
    struct problem *p = context;
    bool *all = brute_alloc(p->pattern.n_q, sizeof *all);
    char what[160];
    for (int64_t row = 0; row < p->pattern.n_q; row++) all[row] = true;
    launch(kernel, p, 2, 0);
    unsigned char *out = copy_of(&p->out), *lse = copy_of(&p->lse);
    for (size_t i = small() ? 3 : 0; i < sizeof ranges / sizeof *ranges; i++) {
        p->first_entry = ranges[i][0];
        p->entries = ranges[i][1];
        snprintf(what, sizeof what, "%s, %d entries from %d on", kernel->name, p->entries, p->first_entry);
        launch(kernel, p, 2, 0xc5);
        check_rows_kept(p, out, lse, all, what);
    }
    p->first_entry = 0;
    p->entries = p->q.batch;
    free(out);
    free(lse);
    free(all);
}
