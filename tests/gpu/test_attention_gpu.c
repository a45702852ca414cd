/* SPDX-License-Identifier: Apache-2.0 */
/* The GPU's rows against the float64 reference, through the public API: all rows of the output, poisoned before, and
 * the same bits when it is done again. */
#include "base/half.h"
#include "check.h"

enum data {
    NORMAL,
    LARGE,    /* scores up to about 1000 */
    JUMPS,    /* scores of -1000, 0, 30, 130, 1000 from key to key */
    DEEP,     /* all scores about -1000 */
    DOMINANT, /* one key above all others */
};

struct problem {
    const char *name;
    int n_q, n_k; /* n_k 0: one set */
    double size, cutoff, cell;
    bool exclude_self;
    int heads, kv_heads, d, d_v, batch; /* batch 0: no such dimension */
    enum data data;
    enum { ATOMS_FIRST, HEADS_FIRST, PADDED } layout;
};

static const vic_device gpu = { VIC_CUDA, 0 }, cpu = { VIC_CPU, 0 };
static vic_engine *engine;
static vic_error err;

static bool no_gpu(void)
{
    bool in_build = false;
    for (int i = 0; i < vic_kernel_count(); i++) {
        vic_kernel_info k = vic_kernel_get(i);
        if (strcmp(k.device, "cuda") == 0 && k.available) return false;
        if (strcmp(k.device, "cuda") == 0) print_message("skipped: %s: %s\n", k.name, k.reason);
        in_build = in_build || strcmp(k.device, "cuda") == 0;
    }
    if (!in_build) print_message("skipped: this build has no CUDA\n");
    return true;
}

static double half_to_double(uint16_t h, vic_dtype dtype)
{
    return dtype == VIC_BF16 ? f32_from_bf16(h) : f32_from_f16(h);
}

static uint16_t half_from_double(double x, vic_dtype dtype)
{
    return dtype == VIC_BF16 ? bf16_from_f32((float)x) : f16_from_f32((float)x);
}

/* A tensor over new memory of the layout asked for; *bytes is its size. */
static vic_tensor make_tensor(const struct problem *p, int64_t atoms, int heads, int d, vic_dtype dtype,
                              size_t *bytes)
{
    int64_t batch = p->batch ? p->batch : 1, pad = p->layout == PADDED ? 8 : 0;
    int64_t row = p->layout == HEADS_FIRST ? d : heads * d + pad, head = p->layout == HEADS_FIRST ? atoms * d : d;
    int64_t item = atoms * (heads * d + pad);
    vic_tensor t = VIC_TENSOR_NONE;
    *bytes = (size_t)(batch * item) * vic_dtype_size(dtype);
    t.data = malloc(*bytes + 1);
    assert_non_null(t.data);
    t.dtype = dtype;
    t.ndim = p->batch ? 4 : 3;
    const int64_t shape[4] = { batch, atoms, heads, d }, stride[4] = { item, row, head, 1 };
    memcpy(t.shape, shape + (p->batch ? 0 : 1), (size_t)t.ndim * sizeof *shape);
    memcpy(t.stride, stride + (p->batch ? 0 : 1), (size_t)t.ndim * sizeof *stride);
    return t;
}

static uint16_t *element(const vic_tensor *t, int64_t batch, int64_t atom, int64_t head, int64_t c)
{
    const int64_t *stride = t->ndim == 4 ? t->stride + 1 : t->stride;
    return (uint16_t *)t->data + (t->ndim == 4 ? batch * t->stride[0] : 0) + atom * stride[0] + head * stride[1] + c;
}

static double value_of(const struct problem *p, char which, int64_t atom, int c, uint64_t *seed)
{
    static const double levels[] = { -1000, 0, 30, 130, 1000, 0, 0, 30 };
    double normal = random_normal(seed);
    if (which == 'v' || p->data == NORMAL) return normal;
    if (p->data == LARGE) return 8 * normal;
    if (c > 0) return 0.01 * normal; /* the score is the product of the first components, times 1/sqrt(d) */
    if (which == 'q') return sqrt(p->d);
    if (p->data == JUMPS) return levels[(uint64_t)(atom * 2654435761u) >> 7 & 7] + normal;
    if (p->data == DEEP) return -1000 + normal;
    return atom % 97 == 5 ? 60.0 : normal;
}

static void fill(const struct problem *p, char which, const vic_tensor *t, uint64_t *seed)
{
    const int64_t *shape = t->ndim == 4 ? t->shape + 1 : t->shape;
    for (int64_t b = 0; b < (t->ndim == 4 ? t->shape[0] : 1); b++)
        for (int64_t i = 0; i < shape[0]; i++)
            for (int64_t h = 0; h < shape[1]; h++)
                for (int c = 0; c < shape[2]; c++)
                    *element(t, b, i, h, c) = half_from_double(value_of(p, which, i, c, seed), t->dtype);
}

static vic_tensor to_gpu(const vic_tensor *t, size_t bytes)
{
    vic_tensor on_gpu = *t;
    on_gpu.device = gpu;
    CHECK_OK(vic_memory_alloc(gpu, bytes, &on_gpu.data, &err));
    CHECK_OK(vic_memory_copy(gpu, on_gpu.data, cpu, t->data, bytes, &err));
    return on_gpu;
}

static vic_tensor item_of(const vic_tensor *t, int64_t batch)
{
    vic_tensor item = *t;
    if (t->ndim == 3) return item;
    item.ndim = 3;
    memmove(item.shape, t->shape + 1, 3 * sizeof *item.shape);
    memmove(item.stride, t->stride + 1, 3 * sizeof *item.stride);
    item.data = (uint16_t *)t->data + batch * t->stride[0];
    return item;
}

/* Relative Frobenius error of one item; the worst row is printed when it is too large. */
static void compare(const struct problem *p, const vic_plan *plan, const vic_attention_args *host,
                    const vic_tensor *out, const float *lse, int64_t batch, const char *what)
{
    size_t row = (size_t)(p->heads * p->d_v), rows = (size_t)p->n_q;
    double *expected = malloc((rows * row + 1) * sizeof *expected),
           *their_lse = malloc((rows * (size_t)p->heads + 1) * 8);
    double bound = out->dtype == VIC_BF16 ? 4e-3 : 5e-4, error = 0, size = 0, worst = 0, lse_error = 0;
    int64_t worst_row = -1;
    vic_attention_args a = *host;
    assert_true(expected && their_lse);
    a.q = item_of(&host->q, batch);
    a.k = item_of(&host->k, batch);
    a.v = item_of(&host->v, batch);
    CHECK_OK(vic_attention_reference(engine, plan, &a, p->n_q, NULL, expected, their_lse, NULL, &err));
    for (int64_t i = 0; i < p->n_q; i++) {
        double row_error = 0, row_size = 0;
        for (int h = 0; h < p->heads; h++) {
            for (int c = 0; c < p->d_v; c++) {
                double r = expected[((size_t)i * (size_t)p->heads + (size_t)h) * (size_t)p->d_v + (size_t)c];
                double x = half_to_double(*element(out, batch, i, h, c), out->dtype);
                CHECK(isfinite(x), "%s %s: atom %lld head %d column %d is %g, expected %g", p->name, what,
                      (long long)i, h, c, x, r);
                row_error += (x - r) * (x - r);
                row_size += r * r;
            }
            double l = their_lse[i * p->heads + h], x = lse[(batch * p->n_q + i) * p->heads + h];
            if (isinf(l) || isinf(x))
                CHECK(l == x, "%s %s: LSE of atom %lld is %g, expected %g", p->name, what, (long long)i, x, l);
            else
                lse_error = fmax(lse_error, fabs(l - x) / fmax(1.0, fabs(l)));
        }
        error += row_error;
        size += row_size;
        if (row_error > worst * worst * row_size) {
            worst = row_size > 0 ? sqrt(row_error / row_size) : 1;
            worst_row = i;
        }
    }
    error = size > 0 ? sqrt(error / size) : sqrt(error);
    CHECK(error <= bound, "%s %s: relative error %g, at most %g; worst atom %lld: %g", p->name, what, error, bound,
          (long long)worst_row, worst);
    CHECK(lse_error <= 1e-5, "%s %s: LSE off by %g", p->name, what, lse_error);
    free(expected);
    free(their_lse);
}

static void run_on_gpu(const vic_plan *plan, const vic_attention_args *host, size_t out_bytes, size_t lse_bytes,
                       void *out, float *lse, const size_t bytes[3])
{
    vic_attention_args a = *host;
    a.q = to_gpu(&host->q, bytes[0]);
    a.k = to_gpu(&host->k, bytes[1]);
    a.v = to_gpu(&host->v, bytes[2]);
    a.out = to_gpu(&host->out, out_bytes); /* poisoned */
    a.lse = to_gpu(&host->lse, lse_bytes);
    CHECK_OK(vic_attention(engine, plan, &a, &err));
    CHECK_OK(vic_memory_copy(cpu, out, gpu, a.out.data, out_bytes, &err));
    CHECK_OK(vic_memory_copy(cpu, lse, gpu, a.lse.data, lse_bytes, &err));
    vic_memory_free(gpu, a.q.data);
    vic_memory_free(gpu, a.k.data);
    vic_memory_free(gpu, a.v.data);
    vic_memory_free(gpu, a.out.data);
    vic_memory_free(gpu, a.lse.data);
}

static void check_problem(const struct problem *p, vic_dtype dtype)
{
    uint64_t seed = 11;
    int64_t batch = p->batch ? p->batch : 1;
    double *x = malloc((size_t)(3 * p->n_q + 3) * sizeof *x), *y = malloc((size_t)(3 * p->n_k + 3) * sizeof *y);
    double cell[3][3] = { { p->cell, 0, 0 }, { 0.3 * p->cell, p->cell, 0 }, { 0, -0.2 * p->cell, p->cell } };
    vic_pattern_options po = VIC_PATTERN_OPTIONS_INIT;
    vic_attention_args host = VIC_ATTENTION_ARGS_INIT;
    vic_pattern *pattern;
    size_t bytes[3], out_bytes, lse_bytes;
    assert_true(x && y);
    for (int i = 0; i < 3 * p->n_q; i++) x[i] = p->size * random_uniform(&seed);
    for (int i = 0; i < 3 * p->n_k; i++) y[i] = p->size * random_uniform(&seed);
    po.cutoff = p->cutoff;
    po.exclude_self = p->exclude_self;
    CHECK_OK(vic_pattern_build_points(p->n_q, x, p->n_k, p->n_k ? y : NULL,
                                      p->cell > 0 ? (const double(*)[3])cell : NULL, NULL, &po, &pattern, &err));
    int64_t n_k = p->n_k ? p->n_k : p->n_q;
    host.q = make_tensor(p, p->n_q, p->heads, p->d, dtype, &bytes[0]);
    host.k = make_tensor(p, n_k, p->kv_heads, p->d, dtype, &bytes[1]);
    host.v = make_tensor(p, n_k, p->kv_heads, p->d_v, dtype, &bytes[2]);
    host.out = make_tensor(p, p->n_q, p->heads, p->d_v, dtype, &out_bytes);
    int64_t lse_shape[3] = { batch, p->n_q, p->heads };
    lse_bytes = (size_t)(batch * p->n_q * p->heads) * sizeof(float);
    float *lse = malloc(lse_bytes + 1), *again_lse = malloc(lse_bytes + 1);
    uint16_t *again = malloc(out_bytes + 1);
    assert_true(lse && again && again_lse);
    host.lse = vic_tensor_make(lse, VIC_F32, p->batch ? 3 : 2, lse_shape + (p->batch ? 0 : 1));
    fill(p, 'q', &host.q, &seed);
    fill(p, 'k', &host.k, &seed);
    fill(p, 'v', &host.v, &seed);
    for (int order = 0; order < 2; order++) {
        vic_plan_options lo = VIC_PLAN_OPTIONS_INIT;
        vic_plan *plan, *their;
        const char *what = order ? "pattern order" : "caller's order";
        lo.heads = p->heads;
        lo.kv_heads = p->kv_heads;
        lo.head_dim = p->d;
        lo.head_dim_v = p->d_v;
        lo.dtype = dtype;
        lo.device = gpu;
        lo.pattern_order = order == 1;
        CHECK_OK(vic_plan_create(pattern, &lo, &plan, &err));
        lo.device = cpu;
        CHECK_OK(vic_plan_create(pattern, &lo, &their, &err));
        memset(host.out.data, 0xff, out_bytes);
        memset(lse, 0xff, lse_bytes);
        uint16_t *out = malloc(out_bytes + 1);
        assert_non_null(out);
        for (int repeat = 0; repeat < 2; repeat++) {
            run_on_gpu(plan, &host, out_bytes, lse_bytes, repeat ? again : out, again_lse, bytes);
            if (repeat) assert_memory_equal(out, again, out_bytes);
        }
        vic_tensor result = host.out;
        result.data = out;
        /* The reference numbers atoms: with rows in pattern order its row i is the tensor's row of atom i. */
        if (order == 0) {
            for (int64_t b = 0; b < batch; b++) compare(p, their, &host, &result, again_lse, b, what);
        } else {
            size_t ignored;
            vic_tensor sorted = make_tensor(p, p->n_q, p->heads, p->d_v, dtype, &ignored);
            const int32_t *rows = vic_pattern_query_order(pattern);
            float *sorted_lse = malloc(lse_bytes + 1);
            assert_non_null(sorted_lse);
            for (int64_t b = 0; b < batch; b++)
                for (int64_t r = 0; r < p->n_q; r++)
                    for (int h = 0; h < p->heads; h++) {
                        for (int c = 0; c < p->d_v; c++)
                            *element(&sorted, b, rows[r], h, c) = *element(&result, b, r, h, c);
                        sorted_lse[(b * p->n_q + rows[r]) * p->heads + h] =
                            again_lse[(b * p->n_q + r) * p->heads + h];
                    }
            for (int64_t b = 0; b < batch; b++) compare(p, their, &host, &sorted, sorted_lse, b, what);
            free(sorted.data);
            free(sorted_lse);
        }
        free(out);
        vic_plan_free(plan);
        vic_plan_free(their);
    }
    free(host.q.data);
    free(host.k.data);
    free(host.v.data);
    free(host.out.data);
    free(lse);
    free(again);
    free(again_lse);
    vic_pattern_free(pattern);
    free(x);
    free(y);
}

static const struct problem problems[] = {
    { "no atom", 0, 0, 10, 5, 0, false, 1, 1, 64, 64, 0, NORMAL, ATOMS_FIRST },
    { "one atom", 1, 0, 10, 5, 0, false, 1, 1, 64, 64, 0, NORMAL, ATOMS_FIRST },
    { "one atom, alone", 1, 0, 10, 5, 0, true, 2, 2, 64, 64, 0, NORMAL, ATOMS_FIRST },
    { "63 atoms", 63, 0, 12, 5, 0, false, 1, 1, 64, 64, 0, NORMAL, ATOMS_FIRST },
    { "64 atoms", 64, 0, 12, 5, 0, false, 1, 1, 64, 64, 0, NORMAL, ATOMS_FIRST },
    { "65 atoms", 65, 0, 12, 5, 0, false, 1, 1, 64, 64, 0, NORMAL, ATOMS_FIRST },
    { "257 atoms", 257, 0, 14, 5, 0, false, 3, 3, 64, 64, 0, NORMAL, ATOMS_FIRST },
    { "no self pairs", 300, 0, 16, 5, 0, true, 2, 2, 64, 64, 0, NORMAL, ATOMS_FIRST },
    { "rows without pairs", 600, 0, 90, 6, 0, true, 1, 1, 64, 64, 0, NORMAL, ATOMS_FIRST },
    { "each alone", 600, 0, 900, 3, 0, false, 1, 1, 64, 64, 0, NORMAL, ATOMS_FIRST },
    { "thousands", 5000, 0, 38, 7, 0, false, 4, 4, 64, 64, 0, NORMAL, ATOMS_FIRST },
    { "periodic", 3000, 0, 30, 7, 30, false, 2, 2, 64, 64, 0, NORMAL, ATOMS_FIRST },
    { "many images", 100, 0, 8, 13, 8, true, 1, 1, 64, 64, 0, NORMAL, ATOMS_FIRST },
    { "two sets", 200, 1500, 25, 7, 0, false, 2, 2, 64, 64, 0, NORMAL, ATOMS_FIRST },
    { "few keys", 1500, 30, 25, 9, 0, false, 2, 2, 64, 64, 0, NORMAL, ATOMS_FIRST },
    { "everything", 1100, 0, 20, 90, 0, false, 2, 2, 64, 64, 0, NORMAL, ATOMS_FIRST },
    { "half of everything", 2000, 0, 20, 14, 0, false, 1, 1, 64, 64, 0, NORMAL, ATOMS_FIRST },
    { "head size 8", 500, 0, 18, 6, 0, false, 2, 2, 8, 8, 0, NORMAL, ATOMS_FIRST },
    { "head size 32", 1500, 0, 25, 7, 0, false, 4, 4, 32, 32, 0, NORMAL, ATOMS_FIRST },
    { "head size 40", 500, 0, 18, 6, 0, false, 2, 2, 40, 40, 0, NORMAL, ATOMS_FIRST },
    { "head size 72", 500, 0, 18, 6, 0, false, 2, 2, 72, 72, 0, NORMAL, ATOMS_FIRST },
    { "head size 128", 1500, 0, 25, 7, 0, false, 2, 2, 128, 128, 0, NORMAL, ATOMS_FIRST },
    { "head sizes 64 and 16", 500, 0, 18, 6, 0, false, 2, 2, 64, 16, 0, NORMAL, ATOMS_FIRST },
    { "head sizes 24 and 128", 500, 0, 18, 6, 0, false, 2, 2, 24, 128, 0, NORMAL, ATOMS_FIRST },
    { "group-query heads", 700, 0, 18, 6, 0, false, 6, 2, 64, 64, 0, NORMAL, ATOMS_FIRST },
    { "heads first", 700, 0, 18, 6, 0, false, 3, 3, 64, 64, 0, NORMAL, HEADS_FIRST },
    { "padded rows", 700, 0, 18, 6, 0, false, 3, 3, 64, 64, 0, NORMAL, PADDED },
    { "batch", 700, 0, 18, 6, 0, false, 2, 2, 64, 64, 3, NORMAL, ATOMS_FIRST },
    { "batch, 128", 400, 0, 18, 6, 0, false, 4, 2, 128, 64, 2, NORMAL, HEADS_FIRST },
    { "large scores", 1500, 0, 25, 7, 0, false, 2, 2, 64, 64, 0, LARGE, ATOMS_FIRST },
    { "jumps", 3000, 0, 30, 8, 0, false, 2, 2, 64, 64, 0, JUMPS, ATOMS_FIRST },
    { "jumps, 32", 3000, 0, 30, 8, 0, true, 2, 2, 32, 32, 0, JUMPS, ATOMS_FIRST },
    { "jumps, 128", 3000, 0, 30, 8, 0, false, 2, 2, 128, 128, 0, JUMPS, ATOMS_FIRST },
    { "jumps, everything", 1000, 0, 20, 90, 0, false, 1, 1, 64, 64, 0, JUMPS, ATOMS_FIRST },
    { "all at -1000", 1500, 0, 25, 7, 0, false, 2, 2, 64, 64, 0, DEEP, ATOMS_FIRST },
    { "one dominant key", 1500, 0, 25, 7, 0, false, 2, 2, 64, 64, 0, DOMINANT, ATOMS_FIRST },
};

static void against_reference(vic_dtype dtype)
{
    if (no_gpu()) skip();
    const char *small = getenv("VIC_TEST_SMALL"); /* for compute-sanitizer */
    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
        if (small && *small && problems[i].n_q > 700) continue;
        print_message("%s, %s\n", problems[i].name, vic_dtype_name(dtype));
        check_problem(&problems[i], dtype);
    }
}

static void float16(void **state)
{
    (void)state;
    against_reference(VIC_F16);
}

static void bfloat16(void **state)
{
    (void)state;
    against_reference(VIC_BF16);
}

static int start(void **state)
{
    (void)state;
    CHECK_OK(vic_engine_create(NULL, &engine, &err));
    return 0;
}

static int stop(void **state)
{
    (void)state;
    vic_engine_free(engine);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(float16), cmocka_unit_test(bfloat16) };
    return cmocka_run_group_tests_name("gpu_attention", tests, start, stop);
}
