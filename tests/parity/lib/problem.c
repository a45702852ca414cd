/* SPDX-License-Identifier: Apache-2.0 */
#include "problem.h"

struct pool *pools[8];

vic_device_type tested = VIC_CPU;
enum kernel_operation tested_operation = ATTENTION_FORWARD;
vic_status (*prepare_instead)(struct vic_plan *plan, const struct kernel_setup *setup, vic_error *err);

float *make_tables(int heads, int points, bool infinite, uint64_t seed)
{
    float *t = brute_alloc((int64_t)heads * points, sizeof *t);
    for (int i = 0; i < heads * points; i++) t[i] = (float)(2.0 * random_normal(&seed));
    for (int head = 0; infinite && head < heads; head++) {
        float *own = t + head * points;
        own[points - 1] = -INFINITY;
        if (head % 3 == 1) own[0] = own[points / 2] = own[points / 2 + 1] = -INFINITY;
        if (head % 3 == 2)
            for (int m = points / 3; m < points; m++) own[m] = -INFINITY;
    }
    return t;
}

static void make_tensors(const struct attention_case *c, struct problem *p)
{
    const struct attention_shape *s = &p->shape;
    int64_t n_q = p->pattern.n_q, n_k = p->pattern.n_k;
    int batch = c->batch ? c->batch : 1;
    bool even = tested == VIC_CUDA && c->pattern_order;
    enum layout out = c->layout == PACKED_QKV ? ATOMS_HEADS : c->layout;
    if (c->layout == PACKED_QKV) {
        size_t third = (size_t)s->heads * (size_t)s->d_qk * element_size(s->dtype);
        p->q = make_tensor(batch, n_q, 3 * s->heads, s->d_qk, s->dtype, ATOMS_HEADS, even);
        p->q.heads = s->heads;
        p->k = p->v = p->q;
        p->k.buffer = p->v.buffer = NULL;
        p->k.view.data = p->q.buffer + third;
        p->v.view.data = p->q.buffer + 2 * third;
    } else {
        p->q = make_tensor(batch, n_q, s->heads, s->d_qk, s->dtype, c->layout, even);
        p->k = make_tensor(batch, n_k, s->kv_heads, s->d_qk, s->dtype, c->layout, even);
        p->v = make_tensor(batch, n_k, s->kv_heads, s->d_v, s->dtype, c->layout, even);
    }
    p->out = make_tensor(batch, n_q, s->heads, s->d_v, s->dtype, out, even);
    p->lse = make_tensor(batch, n_q, s->heads, 1, VIC_F32, out, even);
}

static void fill(const struct tensor *t, uint64_t *state, double size)
{
    for (int entry = 0; entry < t->batch; entry++) {
        struct tensor one = entry_of(t, entry);
        for (int64_t row = 0; row < t->rows; row++)
            for (int head = 0; head < t->heads; head++)
                for (int c = 0; c < t->d; c++) set(&one, row, head, c, size * random_normal(state));
    }
}

/* The first component of key atom `atom`, where it decides the scores. */
static double leading_key(enum values values, int64_t atom, double normal)
{
    static const double jumps[] = { -1000, 0, 30, 130, 1000, 0, 0, 30 };
    static const double steps[] = { 0, 30, 160, 1160, 100, -1000, 130, 0 };
    switch (values) {
    case LOGITS_1E4: return 100.0 - 0.25 * (double)atom;
    case ALL_MINUS_1000: return 31.25;
    case ALL_MINUS_INF: return INFINITY;
    case BELOW_FLOAT: return -1e20;
    case SCALED_BELOW_FLOAT: return -1e15;
    case GROWING: return 0.25 * (double)atom;
    case ONE_DOMINANT: return atom == 0 ? 7.5 : 0.0;
    case JUMPS: return jumps[(uint64_t)(atom * 2654435761u) >> 7 & 7] + normal;
    case STEPS: return steps[atom / 64 % 8] + normal;
    case DEEP: return -1000 + normal;
    default: return normal;
    }
}

/* Column 0 of q becomes `q`, that of k leading_key(), the others small: scores are q * k(atom) * scale. */
static void steer(struct problem *p, enum values values, double q, double others)
{
    for (int entry = 0; entry < p->q.batch; entry++) {
        struct tensor queries = entry_of(&p->q, entry), keys = entry_of(&p->k, entry);
        for (int64_t row = 0; row < queries.rows; row++)
            for (int head = 0; head < queries.heads; head++)
                for (int c = 0; c < queries.d; c++)
                    set(&queries, row, head, c, c == 0 ? q : others * get(&queries, row, head, c));
        for (int64_t row = 0; row < keys.rows; row++) {
            int64_t atom = p->args.k_rows ? row : p->pattern.k_order[row];
            for (int head = 0; head < keys.heads; head++)
                for (int c = 0; c < keys.d; c++) {
                    double x = get(&keys, row, head, c);
                    set(&keys, row, head, c, c == 0 ? leading_key(values, atom, x) : others * x);
                }
        }
    }
}

static void make_values(const struct attention_case *c, struct problem *p, uint64_t *state)
{
    double size = c->values == ZERO ? 0.0 : c->values == LARGE ? 8.0 : 1.0, root = sqrt(p->shape.d_qk);
    fill(&p->q, state, size);
    fill(&p->k, state, size);
    fill(&p->v, state, 1.0);
    switch (c->values) {
    case LOGITS_1E4: steer(p, c->values, 100.0, 1.0); break;
    case ALL_MINUS_1000: steer(p, c->values, -32.0, 0.0); break;
    case ALL_MINUS_INF: steer(p, c->values, -1.0, 0.0); break;
    case BELOW_FLOAT: steer(p, c->values, 1e20, 0.0); break;
    case SCALED_BELOW_FLOAT: steer(p, c->values, 1e15, 0.0); break;
    case GROWING: steer(p, c->values, 4.0, 0.25); break;
    case ONE_DOMINANT: steer(p, c->values, 8.0, 0.125); break;
    case JUMPS:
    case STEPS:
    case DEEP: steer(p, c->values, root, 0.01); break;
    default: break;
    }
}

static void make_line(const struct attention_case *c, struct brute_points *points)
{
    memset(points->q, 0, (size_t)(3 * points->n_q) * sizeof *points->q);
    if (!points->one_set) memset(points->k, 0, (size_t)(3 * points->n_k) * sizeof *points->k);
    for (int64_t i = 0; i < points->n_q; i++) points->q[3 * i] = (double)i * (c->n_k < 0 ? 1.0 : 4.0);
    for (int64_t i = 0; i < points->n_k && !points->one_set; i++) points->k[3 * i] = (double)i;
    points->keep_order = true;
}

vic_pattern *case_pattern(const struct attention_case *c, const struct brute_points *in, const bool *mask,
                          const bool *key_mask)
{
    const vic_pattern_options o = { .size = sizeof o, .exclude_self = c->exclude_self };
    bool periodic = in->periodic[0] || in->periodic[1] || in->periodic[2];
    vic_points queries = points_at(in->n_q, in->q, periodic ? &in->cell[0][0] : NULL);
    vic_points keys = points_at(in->n_k, in->k, NULL);
    vic_pattern *p;
    vic_error err;
    queries.periodic = in->periodic;
    if (mask) queries.mask = tensor_of(mask, VIC_BOOL, 1, &in->n_q);
    if (key_mask) keys.mask = tensor_of(key_mask, VIC_BOOL, 1, &in->n_k);
    CHECK_OK(vic_pattern_cutoff(NULL, &queries, in->one_set ? NULL : &keys, c->cutoff, &o, &p, &err));
    return p;
}

static void make_pattern(const struct attention_case *c, uint64_t seed, struct problem *p)
{
    const struct brute_points *in = &p->points;
    if (c->way) {
        p->built = c->way(c, in, seed);
        p->pattern = *p->built;
        CHECK(p->pattern.n_q == c->n_q && (c->n_k < 0 || p->pattern.n_k == c->n_k), "%s: other sizes", c->name);
        return;
    }
    if (!c->built) {
        brute_build(in, seed, &p->pattern, NULL);
        return;
    }
    p->built = case_pattern(c, in, NULL, NULL);
    p->pattern = *p->built;
}

struct attention_args entry_args(const struct problem *p, int entry)
{
    struct attention_args a = p->args;
    a.q = entry_of(&p->q, entry).view;
    a.k = entry_of(&p->k, entry).view;
    a.v = entry_of(&p->v, entry).view;
    a.out = entry_of(&p->out, entry).view;
    if (a.lse.data) a.lse = entry_of(&p->lse, entry).view;
    return a;
}

void make_problem(const struct attention_case *c, uint64_t seed, struct problem *p)
{
    uint64_t state = seed * 77 + 5;
    vic_error err;
    int heads = c->heads ? c->heads : 2, d_qk = c->d_qk ? c->d_qk : 32;
    memset(p, 0, sizeof *p);
    p->points = brute_points(c->cell, c->n_q, c->n_k, c->n_k < 0, c->box, c->cutoff, c->coincident, seed);
    p->points.exclude_self = c->exclude_self;
    if (c->line) make_line(c, &p->points);
    make_pattern(c, seed + 1, p);
    p->pattern.references = 1 << 20; /* plans take and give back theirs; free_problem() frees */
    p->shape = (struct attention_shape){ type_of(c), heads, c->kv_heads ? c->kv_heads : heads, d_qk,
                                         c->d_v ? c->d_v : d_qk };
    make_tensors(c, p);
    p->entries = p->q.batch;
    p->args =
        (struct attention_args){ .q = p->q.view, .k = p->k.view, .v = p->v.view, .out = p->out.view, .batch = 1 };
    if (!c->no_lse) p->args.lse = p->lse.view;
    if (!c->pattern_order) {
        p->args.q_rows = p->pattern.q_order;
        p->args.k_rows = p->pattern.k_order;
    }
    p->args.scale = c->scale != 0.0 ? c->scale : 1.0 / sqrt(d_qk);
    p->args.bias = c->bias;
    make_values(c, p, &state);

    p->ref_out = brute_alloc(p->entries * c->n_q * heads, sizeof(double) * (size_t)p->shape.d_v);
    p->ref_lse = brute_alloc(p->entries * c->n_q * heads, sizeof(double));
    p->pairs = brute_alloc(c->n_q, sizeof *p->pairs);
    p->all_rows = brute_alloc(c->n_q, sizeof *p->all_rows);
    for (int64_t row = 0; row < c->n_q; row++)
        p->all_rows[p->pattern.q_order[row]] = c->pattern_order ? row : p->pattern.q_order[row];
    for (int entry = 0; entry < p->entries; entry++) {
        struct attention_args args = entry_args(p, entry);
        int64_t vectors = entry * c->n_q * heads;
        CHECK_OK(attention_ref_rows(&p->pattern, &p->shape, &args, pools[7], c->n_q, NULL,
                                    p->ref_out + vectors * p->shape.d_v, p->ref_lse + vectors, p->pairs, &err));
    }
}

void free_problem(struct problem *p)
{
    if (p->built)
        vic_pattern_free(p->built);
    else
        brute_free(&p->pattern);
    brute_points_free(&p->points);
    free(p->q.buffer);
    free(p->k.buffer);
    free(p->v.buffer);
    free(p->out.buffer);
    free(p->lse.buffer);
    free(p->ref_out);
    free(p->ref_lse);
    free(p->pairs);
    free(p->all_rows);
}

const char *unavailable(const struct kernel *kernel)
{
    return kernel->unavailable((vic_device){ kernel->device, 0 });
}

struct plan_request request_of(const struct problem *p, const struct kernel *kernel)
{
    return (struct plan_request){ .shape = p->shape,
                                  .device = { kernel->device, 0 },
                                  .pattern_order = !p->args.q_rows,
                                  .features = p->args.bias.table ? FEATURE_DISTANCE_BIAS : 0 };
}

static void launch_on_cpu(const struct kernel *kernel, struct problem *p, int threads)
{
    const struct plan_request request = request_of(p, kernel);
    struct attention_args args = entry_args(p, p->first_entry);
    vic_plan *plan;
    vic_error err;
    args.batch = p->entries;
    CHECK_OK(plan_make(&p->pattern, &request, kernel, &(struct kernel_setup){ .pool = pools[threads] }, &plan, &err));
    size_t used = kernel->workspace(plan, threads, p->entries, false), bytes = (used + 64 + 63) / 64 * 64;
    unsigned char *workspace = aligned_alloc(64, bytes);
    CHECK(workspace != NULL, "out of memory");
    memset(workspace, 0xff, bytes); /* NaNs: scratch must not be read before it is written */
    const struct kernel_exec exec = { .pool = pools[threads], .workspace = workspace };
    CHECK_OK(kernel->launch(plan, &args, &exec, &err));
    for (size_t i = used; i < bytes; i++) CHECK(workspace[i] == 0xff, "%s wrote behind its workspace", kernel->name);
    free(workspace);
    plan_free(plan);
}

void *to_gpu(const unsigned char *from, size_t bytes)
{
    void *to = NULL;
    vic_error err;
    CHECK_OK(device_alloc(the_gpu, bytes, &to, &err));
    CHECK_OK(device_copy(the_gpu, to, the_cpu, from, bytes, &err));
    return to;
}

void from_gpu(unsigned char *to, const void *from, size_t bytes)
{
    vic_error err;
    CHECK_OK(device_copy(the_cpu, to, the_gpu, from, bytes, &err));
}

/* Where a view into `host` lies in its copy. */
static void move_view(struct attention_tensor *view, const unsigned char *host, void *copy)
{
    if (view->data) view->data = (char *)copy + ((unsigned char *)view->data - host);
}

vic_status launch_on_gpu(const struct kernel *kernel, struct problem *p, vic_error *err)
{
    enum { GUARD = 256 };
    vic_status st;
    const struct plan_request request = request_of(p, kernel);
    struct kernel used_kernel = *kernel;
    struct tensor *owners[] = { &p->q, p->k.buffer ? &p->k : &p->q, p->v.buffer ? &p->v : &p->q, &p->out, &p->lse };
    struct attention_args args = entry_args(p, p->first_entry);
    struct attention_tensor *views[] = { &args.q, &args.k, &args.v, &args.out, &args.lse };
    void *copies[5], *workspace;
    unsigned char *guard;
    vic_plan *plan = NULL;
    args.batch = p->entries;
    if (prepare_instead) used_kernel.prepare = prepare_instead;
    st = plan_make(&p->pattern, &request, &used_kernel, &(struct kernel_setup){ .pool = pools[7] }, &plan, err);
    if (st != VIC_OK) return st;
    for (int i = 0; i < 5; i++) {
        bool packed = i > 0 && owners[i] == &p->q;
        copies[i] = packed ? copies[0] : to_gpu(owners[i]->buffer, owners[i]->bytes);
        move_view(views[i], owners[i]->buffer, copies[i]);
    }
    size_t used = kernel->workspace(plan, 1, p->entries, false);
    guard = brute_alloc((int64_t)(used + GUARD), 1);
    memset(guard, 0xff, used + GUARD); /* NaNs: scratch must not be read before it is written */
    workspace = to_gpu(guard, used + GUARD);
    const struct kernel_exec exec = { .workspace = workspace };
    st = kernel->launch(plan, &args, &exec, err);
    if (st == VIC_OK) st = device_wait(the_gpu, NULL, err);
    from_gpu(p->out.buffer, copies[3], p->out.bytes);
    from_gpu(p->lse.buffer, copies[4], p->lse.bytes);
    from_gpu(guard, workspace, used + GUARD);
    for (size_t i = used; i < used + GUARD; i++)
        CHECK(guard[i] == 0xff, "%s wrote behind its workspace", kernel->name);
    device_free(the_gpu, workspace);
    free(guard);
    for (int i = 0; i < 5; i++)
        if (i == 0 || copies[i] != copies[0]) device_free(the_gpu, copies[i]);
    plan_free(plan);
    return st;
}

void launch(const struct kernel *kernel, struct problem *p, int threads, int poison)
{
    vic_error err;
    memset(p->out.buffer, poison, p->out.bytes);
    memset(p->lse.buffer, poison, p->lse.bytes);
    if (kernel->device == VIC_CUDA)
        CHECK_OK(launch_on_gpu(kernel, p, &err));
    else
        launch_on_cpu(kernel, p, threads);
}

unsigned char *copy_of(const struct tensor *t)
{
    unsigned char *copy = brute_alloc((int64_t)t->bytes, 1);
    memcpy(copy, t->buffer, t->bytes);
    return copy;
}

void check_poison(const struct tensor *t, const unsigned char *other, int poison, int other_poison, const char *what)
{
    unsigned char *inside = brute_alloc((int64_t)t->bytes, 1);
    for (int entry = 0; entry < t->batch; entry++) {
        struct tensor one = entry_of(t, entry);
        for (int64_t row = 0; row < t->rows; row++)
            for (int head = 0; head < t->heads; head++)
                memset(inside + (element_at(&one, row, head, 0) - (char *)t->buffer), 1,
                       (size_t)t->d * element_size(t->dtype));
    }
    for (size_t i = 0; i < t->bytes; i++) {
        if (inside[i])
            CHECK(t->buffer[i] == other[i], "%s: byte %zu of %zu differs between two runs, or was not written", what,
                  i, t->bytes);
        else
            CHECK(t->buffer[i] == poison && other[i] == other_poison,
                  "%s: byte %zu of %zu is outside and was written", what, i, t->bytes);
    }
    free(inside);
}

bool agrees(double got, double want, double tolerance)
{
    if (isnan(want)) return isnan(got);
    if (isinf(want)) return got == want;
    return fabs(got - want) <= tolerance;
}

/* Scores are float32 sums, weights of the half types halves: what comes of that, relative to the values. */
double allowed_error(const struct attention_case *c)
{
    static const double cpu[TYPES] = { 2e-6, 3e-4, 2.4e-3 }, gpu[TYPES] = { NAN, 5e-4, 4e-3 };
    /* A score s has an error of some 2^-24 |s|, and so has its weight, relatively. */
    static const double scores[VALUES] = {
        [LOGITS_1E4] = 2e-2, [ALL_MINUS_1000] = 2e-3, [GROWING] = 2e-3, [LARGE] = 5e-4,
        [JUMPS] = 5e-4,      [STEPS] = 5e-4,          [DEEP] = 5e-4,
    };
    int type = 0;
    while (types[type] != type_of(c)) type++;
    return (tested == VIC_CUDA ? gpu : cpu)[type] + scores[c->values];
}

/* A GPU's kernels have scores in float32: where all of a row's are below that, or -inf, it is NaN, which is not what
 * a row without pairs is.  The CPU's know better; what infinite keys give there is what the reference gives. */
static bool gives_nan(const struct attention_case *c, int64_t pairs)
{
    bool below = c->values == ALL_MINUS_INF || c->values == BELOW_FLOAT || c->values == SCALED_BELOW_FLOAT;
    return tested == VIC_CUDA && below && pairs > 0;
}

double lse_as_float(double lse)
{
    return isfinite(lse) ? fmin(fmax(lse, (double)-FLT_MAX), (double)FLT_MAX) : lse;
}

static void compare_entry(const struct attention_case *c, const struct problem *p, int entry, const char *what)
{
    double allowed = allowed_error(c), lse_allowed = tested == VIC_CUDA ? 1e-5 : 2e-6, difference2 = 0.0, size2 = 0.0;
    /* Large terms that cancel leave the error of the terms, not of the sum. */
    double cancelled = c->values != LARGE ? 0.0 : tested == VIC_CUDA ? 1e-3 : 1e-4;
    struct tensor out = entry_of(&p->out, entry), lse = entry_of(&p->lse, entry);
    for (int64_t atom = 0; atom < p->pattern.n_q; atom++)
        for (int head = 0; head < p->shape.heads; head++) {
            int64_t row = p->all_rows[atom], at = (entry * p->pattern.n_q + atom) * p->shape.heads + head;
            bool nothing = gives_nan(c, p->pairs[atom]);
            double expected = nothing ? NAN : lse_as_float(p->ref_lse[at]);
            for (int x = 0; x < p->shape.d_v; x++) {
                double want = nothing ? NAN : p->ref_out[at * p->shape.d_v + x], got = get(&out, row, head, x);
                CHECK(agrees(got, want, allowed * (4.0 + 2.0 * fabs(want))),
                      "%s: out[entry %d, atom %lld, head %d, %d]: expected %.9g, got %.9g", what, entry,
                      (long long)atom, head, x, want, got);
                if (!isfinite(want)) continue;
                difference2 += (got - want) * (got - want);
                size2 += want * want;
            }
            if (c->no_lse) continue;
            double got = get(&lse, row, head, 0);
            CHECK(agrees(got, expected, lse_allowed * (1.0 + fabs(expected)) + cancelled),
                  "%s: lse[entry %d, atom %lld, head %d]: expected %.9g, got %.9g", what, entry, (long long)atom,
                  head, expected, got);
        }
    if (size2 > 0.0 && getenv("VIC_TEST_VERBOSE"))
        print_message("%s: relative error %.3g\n", what, sqrt(difference2 / size2));
    CHECK(sqrt(difference2) <= allowed * sqrt(size2), "%s: relative error %.3g, allowed %.3g", what,
          sqrt(difference2 / size2), allowed);
}

void compare(const struct attention_case *c, const struct problem *p, const char *what)
{
    for (int entry = 0; entry < p->entries; entry++) compare_entry(c, p, entry, what);
}

int start_pools(void **state)
{
    static const int threads[] = { 1, 2, 3, 7 };
    vic_error err;
    (void)state;
    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++)
        CHECK_OK(pool_create(threads[i], &pools[threads[i]], &err));
    return 0;
}

int stop_pools(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof pools / sizeof *pools; i++) pool_free(pools[i]);
    return 0;
}
