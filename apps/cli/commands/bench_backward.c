/* SPDX-License-Identifier: Apache-2.0 */
/* The gradients of the attention that bench_measure.c has timed: checked, then timed. */
#include "arrays/tensor_io.h"
#include "commands/bench.h"
#include "progress.h"
#include "vicinal_dev.h"

#include <math.h>
#include <stdlib.h>

enum { DOUT, DQ, DK, DV, TENSORS };
static const vic_device cpu = { VIC_CPU, 0 };

/* In memory of the CPU, and in that of the plan's device, where it is another. */
struct tensors {
    struct array host[TENSORS];
    vic_tensor device[TENSORS];
};

static vic_status tensors_make(const struct bench_options *o, const struct bench_result *r, struct tensors *t,
                               vic_error *err)
{
    const struct run_options *run = &o->run;
    const struct array *const like[TENSORS] = { &r->run.out, &r->run.q, &r->run.k, &r->run.v };
    const vic_device device = r->run.info.device;
    TRY(tensor_generate(run->seed, INPUTS, run->dtype, r->run.out.shape, run->pattern.structure.threads,
                        &t->host[DOUT], err));
    for (int i = DQ; i < TENSORS; i++) {
        t->host[i] = *like[i];
        t->host[i].data = NULL;
        TRY(allocate((int64_t)like[i]->bytes, 1, "the gradients", &t->host[i].data, err));
    }
    for (int i = 0; i < TENSORS && device.type != VIC_CPU; i++)
        TRY(run_to_device(device, &t->host[i], i == DOUT, &t->device[i], err));
    return VIC_OK;
}

static void tensors_free(vic_device device, struct tensors *t)
{
    for (int i = 0; i < TENSORS; i++) {
        vic_memory_free(device, t->device[i].data);
        array_free(&t->host[i]);
    }
}

/* Of the items together (`item` -1), or of one of them, in memory of the CPU or of the device. */
static vic_attention_backward_args arguments(const struct bench_options *o, const struct tensors *t,
                                             const vic_attention_args *forward, vic_device device, int item)
{
    vic_attention_backward_args a = VIC_INIT(vic_attention_backward_args);
    vic_tensor *const to[TENSORS] = { &a.dout, &a.dq, &a.dk, &a.dv };
    a.q = forward->q;
    a.k = forward->k;
    a.v = forward->v;
    a.out = forward->out;
    a.lse = forward->lse;
    a.scale = forward->scale;
    a.workspace = forward->workspace;
    a.workspace_size = forward->workspace_size;
    for (int i = 0; i < TENSORS; i++)
        *to[i] = bench_view(&t->host[i], device.type == VIC_CPU ? t->host[i].data : t->device[i].data, device,
                            o->batch, item);
    return a;
}

/* ---- check ---- */

/* The sum of products of two tensors, and that of its terms' squares. */
static void dot(const struct array *a, const struct array *b, double *sum, double *squares)
{
    const int64_t n = (int64_t)(a->bytes / vic_dtype_size(a->dtype));
    *sum = *squares = 0.0;
    for (int64_t i = 0; i < n; i++) {
        const double x = element_load(a->dtype, a->data, i) * element_load(b->dtype, b->data, i);
        *sum += x;
        *squares += x * x;
    }
}

/* Two sums that are the same for gradients: q . dq and k . dk, and v . dv and out . dout; relative to the root of the sum
 * of the terms' squares, as each term has a rounding error of its own. */
static double sums_error(const struct bench_result *r, const struct tensors *t)
{
    const struct array *const sides[2][4] = { { &r->run.q, &t->host[DQ], &r->run.k, &t->host[DK] },
                                              { &r->run.v, &t->host[DV], &r->run.out, &t->host[DOUT] } };
    double error = 0.0;
    for (int i = 0; i < 2; i++) {
        double one, other, squares, more;
        dot(sides[i][0], sides[i][1], &one, &squares);
        dot(sides[i][2], sides[i][3], &other, &more);
        const double size = sqrt(squares + more);
        const double off = size > 0.0 ? fabs(one - other) / size : fabs(one - other);
        error = isnan(off) ? HUGE_VAL : fmax(error, off);
    }
    return error;
}

/* Relative Frobenius error of dq, dk and dv, the largest of the three, for the first item. */
static vic_status reference_error(const struct bench_options *o, const struct bench_result *r,
                                  const struct tensors *t, double *error, vic_error *err)
{
    const vic_attention_args forward = bench_item(o, &r->run, 0);
    const vic_attention_backward_args a = arguments(o, t, &forward, cpu, 0);
    const vic_tensor *const got[] = { &a.dq, &a.dk, &a.dv };
    vic_reference_gradients g = VIC_INIT(vic_reference_gradients);
    double **const want[] = { &g.dq, &g.dk, &g.dv };
    vic_status st = VIC_OK;
    *error = 0.0;
    for (int i = 0; i < 3; i++)
        TRY_GOTO(allocate(got[i]->shape[0], (size_t)(got[i]->shape[1] * got[i]->shape[2]) * sizeof **want[i],
                          "the reference", want[i], err),
                 done);
    TRY_GOTO(vic_attention_backward_reference(r->run.context, r->run.plan, &a, &g, err), done);
    for (int i = 0; i < 3; i++) {
        const int64_t n = got[i]->shape[0] * got[i]->shape[1] * got[i]->shape[2];
        double difference = 0.0, size = 0.0;
        for (int64_t x = 0; x < n; x++) {
            const double off = element_load(got[i]->dtype, got[i]->data, x) - (*want[i])[x];
            difference += off * off;
            size += (*want[i])[x] * (*want[i])[x];
        }
        const double relative = size > 0.0 ? sqrt(difference / size) : sqrt(difference);
        *error = isnan(relative) ? HUGE_VAL : fmax(*error, relative);
    }
done:
    free(g.dq);
    free(g.dk);
    free(g.dv);
    return st;
}

/* Gradients are sums of products of rounded weights: twice what results may be off. */
static vic_status check(const struct bench_options *o, struct bench_result *r, const struct tensors *t,
                        vic_error *err)
{
    static const double most_tests = 1e8; /* of the reference: some seconds */
    struct bench_backward *b = &r->backward;
    progress_phase("checking the gradients");
    b->whole = (double)r->built.info.n_q * (double)r->built.info.n_k * o->run.kv_heads <= most_tests;
    b->bound = 2.0 * r->run.check.bound;
    if (b->whole)
        TRY(reference_error(o, r, t, &b->error, err));
    else
        b->error = sums_error(r, t);
    if (b->error <= b->bound) return VIC_OK;
    return fail(err, VIC_FAILED, "the gradients of %s are off by %.3g (%s), at most %.3g is right: nothing was timed",
                r->run.info.backward_kernel, b->error, b->whole ? "against float64" : "by the sums that must agree",
                b->bound);
}

/* ---- all ---- */

static vic_status measure(const struct bench_result *r, const vic_attention_backward_args *a,
                          const vic_time_options *o, struct bench_times *out, vic_error *err)
{
    double *seconds = NULL;
    vic_status st;
    TRY(allocate(o->launches, sizeof *seconds, "the times", &seconds, err));
    st = vic_attention_backward_time(r->run.context, r->run.plan, a, o, seconds, err);
    if (st == VIC_OK) *out = bench_times_of(seconds, o->launches);
    free(seconds);
    return st;
}

vic_status bench_backward(const struct bench_options *o, struct bench_result *r, const vic_attention_args *args,
                          vic_error *err)
{
    const vic_device device = r->run.info.device;
    vic_time_options options = VIC_INIT(vic_time_options);
    struct tensors t = { 0 };
    vic_status st = VIC_OK;
    TRY_GOTO(tensors_make(o, r, &t, err), done);
    const vic_attention_backward_args a = arguments(o, &t, args, device, -1);
    const double start = seconds_now();
    TRY_GOTO(vic_attention_backward(r->run.context, r->run.plan, &a, err), done);
    TRY_GOTO(vic_context_wait(r->run.context, err), done);
    const double first = seconds_now() - start;
    for (int i = DQ; i < TENSORS && device.type != VIC_CPU; i++)
        TRY_GOTO(run_from_device(&t.device[i], &t.host[i], err), done);
    TRY_GOTO(check(o, r, &t, err), done);
    progress_phase("timing the gradients");
    bench_launches(o, device, first, &options);
    TRY_GOTO(measure(r, &a, &options, &r->backward.single, err), done);
    if (device.type == VIC_CPU) goto done;
    options = (vic_time_options){
        .size = sizeof options, .warm_up = 1, .launches = BENCH_REPLAYS, .in_graph = o->in_graph
    };
    TRY_GOTO(measure(r, &a, &options, &r->backward.graph, err), done);
done:
    tensors_free(device, &t);
    return st;
}
