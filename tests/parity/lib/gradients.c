/* SPDX-License-Identifier: Apache-2.0 */
#include "gradients.h"

#include "kernels/ref/attention_backward_ref.h"
#include "run.h"

static void fill(const struct tensor *t, uint64_t *state)
{
    for (int entry = 0; entry < t->batch; entry++) {
        struct tensor one = entry_of(t, entry);
        for (int64_t row = 0; row < t->rows; row++)
            for (int head = 0; head < t->heads; head++)
                for (int c = 0; c < t->d; c++) set(&one, row, head, c, random_normal(state));
    }
}

/* What the forward pass would have given, exactly rounded. */
static void set_results(struct problem *p)
{
    const struct attention_shape *s = &p->shape;
    for (int entry = 0; entry < p->q.batch; entry++) {
        struct tensor out = entry_of(&p->out, entry), lse = entry_of(&p->lse, entry);
        for (int64_t atom = 0; atom < p->pattern.n_q; atom++)
            for (int head = 0; head < s->heads; head++) {
                int64_t at = (entry * p->pattern.n_q + atom) * s->heads + head;
                for (int c = 0; c < s->d_v; c++) set(&out, p->all_rows[atom], head, c, p->ref_out[at * s->d_v + c]);
                set(&lse, p->all_rows[atom], head, 0, lse_as_float(p->ref_lse[at]));
            }
    }
}

static struct attention_backward_args entry_gradients(const struct gradients *g, int entry)
{
    const struct problem *p = g->p;
    struct attention_backward_args a = g->args;
    const struct tensor *const tensors[] = { &p->q,    &p->k,    &p->v,  &p->out, &p->lse,
                                             &g->dout, &g->dlse, &g->dq, &g->dk,  &g->dv };
    struct attention_tensor *const views[] = {
        &a.q, &a.k, &a.v, &a.out, &a.lse, &a.dout, &a.dlse, &a.dq, &a.dk, &a.dv
    };
    for (int i = 0; i < 10; i++) {
        *views[i] = tensors[i]->view;
        if (views[i]->data) *views[i] = entry_of(tensors[i], entry).view;
    }
    return a;
}

static void add(double *to, const double *from, int64_t n)
{
    for (int64_t i = 0; i < n; i++) to[i] += from[i];
}

static void ask_reference(struct gradients *g)
{
    const struct problem *p = g->p;
    const struct attention_shape *s = &p->shape;
    const int64_t n_q = p->pattern.n_q, n_k = p->pattern.n_k, table = (int64_t)g->tables * g->args.bias.points;
    double *one_table = brute_alloc(table, sizeof *one_table), one_cell[9];
    double *one_q = brute_alloc(3 * n_q, sizeof *one_q), *one_k = brute_alloc(3 * n_k, sizeof *one_k);
    vic_error err;
    g->want_dq = brute_alloc(p->entries * n_q * s->heads, sizeof(double) * (size_t)s->d_qk);
    g->want_dk = brute_alloc(p->entries * n_k * s->kv_heads, sizeof(double) * (size_t)s->d_qk);
    g->want_dv = brute_alloc(p->entries * n_k * s->kv_heads, sizeof(double) * (size_t)s->d_v);
    g->want_table = brute_alloc(table, sizeof *g->want_table);
    g->want_dq_at = brute_alloc(3 * n_q, sizeof *g->want_dq_at);
    g->want_dk_at = brute_alloc(3 * n_k, sizeof *g->want_dk_at);
    for (int entry = 0; entry < p->entries; entry++) {
        const struct attention_backward_args a = entry_gradients(g, entry);
        vic_reference_gradients to = { .size = sizeof to,
                                       .dq = g->want_dq + entry * n_q * s->heads * s->d_qk,
                                       .dk = g->want_dk + entry * n_k * s->kv_heads * s->d_qk,
                                       .dv = g->want_dv + entry * n_k * s->kv_heads * s->d_v };
        if (a.bias.table) {
            to.dbias = one_table;
            to.dquery_positions = one_q;
            to.dkey_positions = p->pattern.one_set ? NULL : one_k;
            to.dcell = one_cell;
        }
        CHECK_OK(attention_backward_ref(&p->pattern, s, &a, false, pools[7], &to, &err));
        if (!a.bias.table) continue;
        add(g->want_table, one_table, table);
        add(g->want_dq_at, one_q, 3 * n_q);
        if (!p->pattern.one_set) add(g->want_dk_at, one_k, 3 * n_k);
        add(g->want_dcell, one_cell, 9);
    }
    free(one_table);
    free(one_q);
    free(one_k);
}

void make_gradients(struct problem *p, enum layout layout, uint64_t seed, struct gradients *g)
{
    const struct attention_shape *s = &p->shape;
    const enum layout to = layout == PACKED_QKV ? ATOMS_HEADS : layout;
    const int batch = p->q.batch;
    const int64_t n_q = p->pattern.n_q, n_k = p->pattern.n_k;
    memset(g, 0, sizeof *g);
    g->p = p;
    g->dout = make_tensor(batch, n_q, s->heads, s->d_v, s->dtype, to, tested == VIC_CUDA && !p->args.q_rows);
    g->dlse = make_tensor(batch, n_q, s->heads, 1, VIC_F32, to, false);
    g->dq = make_tensor(batch, n_q, s->heads, s->d_qk, s->dtype, to, false);
    g->dk = make_tensor(batch, n_k, s->kv_heads, s->d_qk, s->dtype, to, false);
    g->dv = make_tensor(batch, n_k, s->kv_heads, s->d_v, s->dtype, to, false);
    fill(&g->dout, &seed);
    fill(&g->dlse, &seed);
    set_results(p);
    g->args = (struct attention_backward_args){
        .q_rows = p->args.q_rows, .k_rows = p->args.k_rows, .scale = p->args.scale, .batch = 1, .bias = p->args.bias
    };
    if (p->args.bias.table) {
        g->tables = p->args.bias.head_stride ? s->heads : 1;
        g->sums.dtable = brute_alloc((int64_t)g->tables * p->args.bias.points, sizeof *g->sums.dtable);
        g->sums.dq_at = brute_alloc(3 * n_q, sizeof *g->sums.dq_at);
        if (!p->pattern.one_set) g->sums.dk_at = brute_alloc(3 * n_k, sizeof *g->sums.dk_at);
        g->args.dtable = g->sums.dtable;
        g->args.dtable_head_stride = g->tables > 1 ? p->args.bias.points : 0;
        g->args.dq_positions = g->sums.dq_at;
        g->args.dk_positions = g->sums.dk_at;
        g->args.dcell = g->sums.dcell;
    }
    ask_reference(g);
}

void free_gradients(struct gradients *g)
{
    void *const all[] = { g->dout.buffer, g->dlse.buffer, g->dq.buffer,  g->dk.buffer, g->dv.buffer,
                          g->sums.dtable, g->sums.dq_at,  g->sums.dk_at, g->want_dq,   g->want_dk,
                          g->want_dv,     g->want_table,  g->want_dq_at, g->want_dk_at };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static void run_on_cpu(const vic_plan *plan, const struct attention_backward_args *args, int threads)
{
    const struct kernel *kernel = plan->kernel;
    vic_error err;
    size_t used = kernel->workspace(plan, threads, args->batch, false), bytes = (used + 64 + 63) / 64 * 64;
    unsigned char *workspace = aligned_alloc(64, bytes);
    CHECK(workspace != NULL, "out of memory");
    memset(workspace, 0xff, bytes); /* NaNs: scratch must not be read before it is written */
    const struct kernel_exec exec = { .pool = pools[threads], .workspace = workspace };
    CHECK_OK(kernel->launch_backward(plan, args, &exec, &err));
    for (size_t i = used; i < bytes; i++) CHECK(workspace[i] == 0xff, "%s wrote behind its workspace", kernel->name);
    free(workspace);
}

static void run_on_gpu(const vic_plan *plan, struct gradients *g, const struct attention_backward_args *of_host)
{
    enum { TENSORS = 10, INPUTS = 7, GUARD = 256 };
    struct problem *p = g->p;
    struct attention_backward_args args = *of_host;
    struct tensor *const owners[TENSORS] = { &p->q,    &p->k,    &p->v,  &p->out, &p->lse,
                                             &g->dout, &g->dlse, &g->dq, &g->dk,  &g->dv };
    struct attention_tensor *const views[TENSORS] = { &args.q,    &args.k,    &args.v,  &args.out, &args.lse,
                                                      &args.dout, &args.dlse, &args.dq, &args.dk,  &args.dv };
    void *copies[TENSORS];
    vic_error err;
    for (int i = 0; i < TENSORS; i++) {
        const bool packed = owners[i]->buffer == NULL; /* k and v, in the buffer of q */
        const unsigned char *buffer = packed ? p->q.buffer : owners[i]->buffer;
        copies[i] = packed ? copies[0] : to_gpu(buffer, owners[i]->bytes);
        if (views[i]->data) views[i]->data = (char *)copies[i] + ((unsigned char *)views[i]->data - buffer);
    }
    const size_t used = plan->kernel->workspace(plan, 1, args.batch, false);
    unsigned char *guard = brute_alloc((int64_t)(used + GUARD), 1);
    memset(guard, 0xff, used + GUARD); /* NaNs: scratch must not be read before it is written */
    void *workspace = to_gpu(guard, used + GUARD);
    const struct kernel_exec exec = { .workspace = workspace };
    CHECK_OK(plan->kernel->launch_backward(plan, &args, &exec, &err));
    CHECK_OK(device_wait(the_gpu, NULL, &err));
    for (int i = INPUTS; i < TENSORS; i++) from_gpu(owners[i]->buffer, copies[i], owners[i]->bytes);
    from_gpu(guard, workspace, used + GUARD);
    for (size_t i = used; i < used + GUARD; i++)
        CHECK(guard[i] == 0xff, "%s wrote behind its workspace", plan->kernel->name);
    device_free(the_gpu, workspace);
    free(guard);
    for (int i = 0; i < TENSORS; i++)
        if (i == 0 || copies[i] != copies[0]) device_free(the_gpu, copies[i]);
}

void launch_gradients(const struct kernel *kernel, struct gradients *g, int threads, int poison)
{
    struct problem *p = g->p;
    struct plan_request request = request_of(p, kernel);
    struct attention_backward_args args = entry_gradients(g, p->first_entry);
    vic_plan *plan;
    vic_error err;
    memset(g->dq.buffer, poison, g->dq.bytes);
    memset(g->dk.buffer, poison, g->dk.bytes);
    memset(g->dv.buffer, poison, g->dv.bytes);
    if (g->sums.dtable) {
        memset(g->sums.dtable, poison, (size_t)(g->tables * p->args.bias.points) * sizeof *g->sums.dtable);
        memset(g->sums.dq_at, poison, (size_t)(3 * p->pattern.n_q) * sizeof *g->sums.dq_at);
        if (g->sums.dk_at) memset(g->sums.dk_at, poison, (size_t)(3 * p->pattern.n_k) * sizeof *g->sums.dk_at);
        memset(g->sums.dcell, poison, sizeof g->sums.dcell);
    }
    request.operation = ATTENTION_BACKWARD;
    args.batch = p->entries;
    if (args.dcell) args.dcell = g->sums.dcell; /* of this copy */
    CHECK_OK(plan_make(&p->pattern, &request, kernel, &(struct kernel_setup){ .pool = pools[threads] }, &plan, &err));
    if (kernel->device == VIC_CUDA)
        run_on_gpu(plan, g, &args);
    else
        run_on_cpu(plan, &args, threads);
    plan_free(plan);
}

/* ---- comparison ---- */

/* Weights have the error of scores in float32; what it comes to is relative to the sizes of the terms, whose sum may be
 * small.  This is such a size: 8 for random tensors, and more where q or k is steered to large scores. */
static double size_of_terms(const struct gradients *g)
{
    const struct tensor *const factors[] = { &g->p->q, &g->p->k };
    double largest = 0.0;
    for (int t = 0; t < 2; t++) {
        const struct tensor one = entry_of(factors[t], 0);
        for (int64_t row = 0; row < one.rows; row++)
            for (int head = 0; head < one.heads; head++)
                for (int x = 0; x < one.d; x++) {
                    const double size = fabs(get(&one, row, head, x));
                    if (isfinite(size)) largest = fmax(largest, size);
                }
    }
    return fmax(8.0, largest * fabs(g->args.scale));
}

/* A kernel's scores have errors that its own lse has too, so that they cancel; here it is given an lse without them.
 * Large scores show it. */
static double allowed_gradient_error(const struct attention_case *c)
{
    return allowed_error(c) * (c->values == NORMAL ? 1.0 : 8.0);
}

static void compare_tensor(const struct attention_case *c, const struct gradients *g, const struct tensor *got,
                           const double *want, const char *name, const char *what)
{
    const double allowed = allowed_gradient_error(c), terms = size_of_terms(g);
    double difference2 = 0.0, size2 = 0.0, count = 0.0;
    for (int entry = 0; entry < g->p->entries; entry++) {
        const struct tensor one = entry_of(got, entry);
        for (int64_t row = 0; row < got->rows; row++)
            for (int head = 0; head < got->heads; head++) {
                const double *expected = want + ((entry * got->rows + row) * got->heads + head) * got->d;
                double largest = 0.0;
                for (int x = 0; x < got->d; x++) largest = fmax(largest, fabs(expected[x]));
                for (int x = 0; x < got->d; x++) {
                    const double value = get(&one, row, head, x);
                    CHECK(agrees(value, expected[x], allowed * (terms + 2.0 * largest)),
                          "%s: %s[entry %d, row %lld, head %d, %d]: expected %.9g, got %.9g", what, name, entry,
                          (long long)row, head, x, expected[x], value);
                    difference2 += (value - expected[x]) * (value - expected[x]);
                    size2 += expected[x] * expected[x];
                    count += 1.0;
                }
            }
    }
    if (size2 > 0.0 && getenv("VIC_TEST_VERBOSE"))
        print_message("%s: %s: relative error %.3g\n", what, name, sqrt(difference2 / size2));
    CHECK(sqrt(difference2) <= 2.0 * allowed * (sqrt(size2) + terms / 80.0 * sqrt(count)),
          "%s: %s: relative error %.3g", what, name, sqrt(difference2 / size2));
}

/* Sums of many terms of either sign: `terms` of them, of a size of about 1. */
static void compare_sum(const struct attention_case *c, double got, double want, double size, const char *name,
                        int64_t at, const char *what)
{
    CHECK(agrees(got, want, 4.0 * allowed_error(c) * (size + fabs(want))), "%s: %s[%lld]: expected %.9g, got %.9g",
          what, name, (long long)at, want, got);
}

static double largest_of(const double *x, int64_t n)
{
    double largest = 1.0;
    for (int64_t i = 0; i < n; i++) largest = fmax(largest, fabs(x[i]));
    return largest;
}

void compare_gradients(const struct attention_case *c, const struct gradients *g, const char *what)
{
    const struct problem *p = g->p;
    const int64_t table = (int64_t)g->tables * p->args.bias.points, n_q = 3 * p->pattern.n_q,
                  n_k = 3 * p->pattern.n_k;
    compare_tensor(c, g, &g->dq, g->want_dq, "dq", what);
    compare_tensor(c, g, &g->dk, g->want_dk, "dk", what);
    compare_tensor(c, g, &g->dv, g->want_dv, "dv", what);
    if (!g->args.dtable) return;
    const double at_size = largest_of(g->want_dq_at, n_q), table_size = largest_of(g->want_table, table);
    for (int64_t i = 0; i < table; i++)
        compare_sum(c, (double)g->sums.dtable[i], g->want_table[i], table_size, "dtable", i, what);
    for (int64_t i = 0; i < n_q; i++)
        compare_sum(c, g->sums.dq_at[i], g->want_dq_at[i], at_size, "dq_positions", i, what);
    for (int64_t i = 0; i < n_k && g->sums.dk_at; i++)
        compare_sum(c, g->sums.dk_at[i], g->want_dk_at[i], at_size, "dk_positions", i, what);
    for (int i = 0; i < 9; i++)
        compare_sum(c, g->sums.dcell[i], g->want_dcell[i], largest_of(g->want_dcell, 9) + at_size, "dcell", i, what);
}

/* ---- runs ---- */

/* What is summed over the batch, as bytes, so that two launches can be held against each other. */
static unsigned char *sums_copy(const struct gradients *g, size_t *size)
{
    const struct problem *p = g->p;
    const size_t table = g->args.dtable ? (size_t)(g->tables * p->args.bias.points) * sizeof(float) : 0;
    const size_t n_q = g->args.dtable ? (size_t)(3 * p->pattern.n_q) * sizeof(double) : 0;
    const size_t n_k = g->sums.dk_at ? (size_t)(3 * p->pattern.n_k) * sizeof(double) : 0;
    unsigned char *copy = brute_alloc((int64_t)(table + n_q + n_k + sizeof g->sums.dcell), 1);
    if (table) memcpy(copy, g->sums.dtable, table);
    if (n_q) memcpy(copy + table, g->sums.dq_at, n_q);
    if (n_k) memcpy(copy + table + n_q, g->sums.dk_at, n_k);
    memcpy(copy + table + n_q + n_k, g->sums.dcell, sizeof g->sums.dcell);
    *size = table + n_q + n_k + (g->args.dtable ? sizeof g->sums.dcell : 0);
    return copy;
}

void check_gradients(const struct kernel *kernel, const struct attention_case *c, struct gradients *g)
{
    static const int threads[] = { 1, 3, 7 };
    const struct tensor *const written[] = { &g->dq, &g->dk, &g->dv };
    unsigned char *copies[3];
    char what[256];
    size_t size;
    snprintf(what, sizeof what, "%s, %s, case \"%s\"", kernel->name, vic_dtype_name(type_of(c)), c->name);
    launch_gradients(kernel, g, 2, 0x00);
    compare_gradients(c, g, what);
    for (int i = 0; i < 3; i++) copies[i] = copy_of(written[i]);
    unsigned char *sums = sums_copy(g, &size);
    for (size_t t = 0; t < (small() || SANITIZED > 0 ? 1 : sizeof threads / sizeof *threads); t++) {
        launch_gradients(kernel, g, threads[t], 0xc5);
        for (int i = 0; i < 3; i++) check_poison(written[i], copies[i], 0xc5, 0x00, what);
        unsigned char *again = sums_copy(g, &size);
        CHECK(memcmp(sums, again, size) == 0, "%s: other sums with %d threads", what, threads[t]);
        free(again);
    }
    for (int i = 0; i < 3; i++) free(copies[i]);
    free(sums);
}
