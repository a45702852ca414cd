/* SPDX-License-Identifier: Apache-2.0 */
/* Attention and its gradients over a structure, on the CPU: seconds of each, and with --check how far the gradients
 * are from the float64 reference.  Prints one JSON object.
 *
 *     bench_backward STRUCTURE CUTOFF [HEADS [HEAD_DIM [REPEATS [f32|f16|bf16 [bias]]]]] [--check]
 *
 * `bias`: with a distance bias, and its gradients, too.  VIC_THREADS, VIC_FORCE_KERNEL and VIC_FORCE_BACKWARD_KERNEL
 * apply. */
#include "base/clock.h"
#include "base/half.h"
#include "vicinal_dev.h"
#include "vicinal_structure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POINTS = 33 };

static vic_error err;

static void must(vic_status st)
{
    if (st == VIC_OK) return;
    fprintf(stderr, "bench_backward: %s\n", err.text);
    exit(1);
}

static void *must_have(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    if (!memory) {
        fprintf(stderr, "bench_backward: out of memory\n");
        exit(1);
    }
    return memory;
}

static double uniform(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) * 0x1p-53;
}

static double normal(uint64_t *state)
{
    double u = 1.0 - uniform(state);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * uniform(state));
}

struct bench {
    vic_context *context;
    vic_pattern *pattern;
    vic_plan *plan;
    int64_t atoms;
    int heads, dim, repeats;
    vic_dtype dtype;
    bool bias, check;
    vic_attention_args forward;
    vic_attention_backward_args backward;
};

static double element(const vic_tensor *t, int64_t i)
{
    if (t->dtype == VIC_F32) return (double)((const float *)t->data)[i];
    uint16_t half = ((const uint16_t *)t->data)[i];
    return (double)(t->dtype == VIC_F16 ? f32_from_f16(half) : f32_from_bf16(half));
}

static int64_t elements(const vic_tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->ndim; i++) n *= t->shape[i];
    return n;
}

/* A tensor of normal numbers; of zeros without a seed. */
static vic_tensor tensor(const struct bench *b, vic_dtype dtype, int dims, uint64_t seed)
{
    const int64_t shape[] = { b->atoms, b->heads, b->dim };
    int64_t n = b->atoms * b->heads * (dims == 3 ? b->dim : 1);
    void *data = must_have((size_t)n, dtype == VIC_F32 ? 4 : 2);
    for (int64_t i = 0; i < n && seed; i++) {
        float x = (float)normal(&seed);
        if (dtype == VIC_F32)
            ((float *)data)[i] = x;
        else
            ((uint16_t *)data)[i] = dtype == VIC_F16 ? f16_from_f32(x) : bf16_from_f32(x);
    }
    return vic_tensor_make(data, dtype, dims, shape);
}

static void make_tensors(struct bench *b)
{
    vic_attention_backward_args *a = &b->backward;
    *a = (vic_attention_backward_args)VIC_INIT(vic_attention_backward_args);
    b->forward = (vic_attention_args)VIC_INIT(vic_attention_args);
    vic_tensor *const read[] = { &a->q, &a->k, &a->v, &a->dout };
    for (uint64_t i = 0; i < 4; i++) *read[i] = tensor(b, b->dtype, 3, i + 1);
    vic_tensor *const written[] = { &a->out, &a->dq, &a->dk, &a->dv };
    for (int i = 0; i < 4; i++) *written[i] = tensor(b, b->dtype, 3, 0);
    a->lse = tensor(b, VIC_F32, 2, 0);
    a->dlse = tensor(b, VIC_F32, 2, 5);
    if (b->bias) {
        float *table = must_have(POINTS, sizeof *table);
        for (int i = 0; i < POINTS; i++)
            table[i] = i == POINTS - 1 ? -INFINITY : (float)cos(0.3 * i); /* to 0 at the cutoff */
        a->bias = vic_tensor_make(table, VIC_F32, 2, (const int64_t[]){ 1, POINTS });
        a->dbias = vic_tensor_make(must_have(POINTS, sizeof *table), VIC_F32, 2, (const int64_t[]){ 1, POINTS });
        a->dquery_positions = vic_tensor_make(must_have((size_t)b->atoms, 3 * sizeof(double)), VIC_F64, 2,
                                              (const int64_t[]){ b->atoms, 3 });
    }
    vic_attention_args *f = &b->forward;
    f->q = a->q;
    f->k = a->k;
    f->v = a->v;
    f->out = a->out;
    f->lse = a->lse;
    f->bias = a->bias;
}

static int by_size(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static void print_times(const char *name, double *seconds, int n)
{
    qsort(seconds, (size_t)n, sizeof *seconds, by_size);
    printf("\"%s\": {\"min\": %.6f, \"median\": %.6f}", name, seconds[0], seconds[n / 2]);
}

static void print_error(const char *name, const vic_tensor *got, const double *want)
{
    double difference = 0.0, size = 0.0;
    for (int64_t i = 0; i < elements(got); i++) {
        double x = got->dtype == VIC_F64 ? ((const double *)got->data)[i] : element(got, i);
        difference += (x - want[i]) * (x - want[i]);
        size += want[i] * want[i];
    }
    printf(", \"%s\": %.3g", name, sqrt(difference / size));
}

static void check(const struct bench *b)
{
    const vic_attention_backward_args *a = &b->backward;
    size_t n = (size_t)(b->atoms * b->heads * b->dim);
    vic_reference_gradients want = { .size = sizeof want,
                                     .dq = must_have(n, sizeof(double)),
                                     .dk = must_have(n, sizeof(double)),
                                     .dv = must_have(n, sizeof(double)) };
    if (b->bias) {
        want.dbias = must_have(POINTS, sizeof(double));
        want.dquery_positions = must_have((size_t)b->atoms, 3 * sizeof(double));
    }
    must(vic_attention_backward_reference(b->context, b->plan, a, &want, &err));
    printf(", \"relative error\": {\"of\": \"Frobenius\"");
    print_error("dq", &a->dq, want.dq);
    print_error("dk", &a->dk, want.dk);
    print_error("dv", &a->dv, want.dv);
    if (b->bias) {
        print_error("dbias", &a->dbias, want.dbias);
        print_error("positions", &a->dquery_positions, want.dquery_positions);
    }
    printf("}");
}

int main(int argc, char **argv)
{
    const vic_read_options read = { .size = sizeof read, .pbc = VIC_PBC_SET }; /* open */
    struct bench b = { .heads = 4, .dim = 64, .repeats = 5, .dtype = VIC_F32 };
    vic_points points = VIC_INIT(vic_points);
    vic_plan_info info = VIC_INIT(vic_plan_info);
    vic_structure_info atoms = VIC_INIT(vic_structure_info);
    vic_structure *s;
    if (argc > 3 && strcmp(argv[argc - 1], "--check") == 0) {
        b.check = true;
        argc--;
    }
    if (argc < 3) {
        fprintf(stderr, "usage: bench_backward STRUCTURE CUTOFF [HEADS [HEAD_DIM [REPEATS [f32|f16|bf16 [bias]]]]] "
                        "[--check]\n");
        return 2;
    }
    if (argc > 3) b.heads = atoi(argv[3]);
    if (argc > 4) b.dim = atoi(argv[4]);
    if (argc > 5) b.repeats = atoi(argv[5]);
    if (b.repeats < 1) b.repeats = 1;
    if (argc > 6) b.dtype = strcmp(argv[6], "f16") == 0 ? VIC_F16 : strcmp(argv[6], "bf16") == 0 ? VIC_BF16 : VIC_F32;
    b.bias = argc > 7;
    must(vic_context_create(NULL, &b.context, &err));
    must(vic_structure_read(argv[1], &read, &s, &err));
    must(vic_structure_get(s, &atoms, &err));
    must(vic_structure_points(s, &points, &err));
    must(vic_pattern_cutoff(b.context, &points, NULL, strtod(argv[2], NULL), NULL, &b.pattern, &err));
    b.atoms = atoms.atoms;
    const vic_plan_options o = { .size = sizeof o,
                                 .dtype = b.dtype,
                                 .heads = b.heads,
                                 .head_dim = b.dim,
                                 .bias = b.bias ? VIC_BIAS_DISTANCE : VIC_BIAS_NONE,
                                 .backward = true };
    must(vic_plan_create(b.context, b.pattern, &o, &b.plan, &err));
    must(vic_plan_get(b.plan, &info, &err));
    make_tensors(&b);
    double *seconds = must_have((size_t)b.repeats, sizeof *seconds);
    const vic_time_options time = { .size = sizeof time, .warm_up = -1, .launches = b.repeats };
    printf("{\"atoms\": %lld, \"heads\": %d, \"head size\": %d, \"kernels\": [\"%s\", \"%s\"], ", (long long)b.atoms,
           b.heads, b.dim, info.kernel, info.backward_kernel);
    must(vic_attention_time(b.context, b.plan, &b.forward, &time, seconds, &err));
    print_times("forward", seconds, b.repeats);
    printf(", ");
    must(vic_attention_backward_time(b.context, b.plan, &b.backward, &time, seconds, &err));
    print_times("backward", seconds, b.repeats);
    if (b.check) check(&b);
    printf("}\n");
    return 0;
}
