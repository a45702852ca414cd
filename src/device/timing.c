/* SPDX-License-Identifier: Apache-2.0 */
#include "device/timing.h"
#include "base/memory.h"
#include "device/cuda_check.h"

#ifdef VIC_HAVE_CUDA

/* So many launches are enqueued at a time without waiting.  Then the host's work for a launch is hidden behind the
 * launches before, and the events measure the device alone. */
enum { QUEUED = 500 };

struct timer {
    cudaStream_t stream;
    cudaEvent_t *events; /* [2 * QUEUED] before and after each launch */
    int made;
    cudaGraph_t graph;
    cudaGraphExec_t replay; /* NULL: the work itself is launched */
    void *flush;            /* memory that is written before each launch, to clear L2; NULL = L2 is left as it is */
    size_t flush_bytes;
    device_work *work;
    void *context;
};

static vic_status capture(struct timer *t, int launches, vic_error *err)
{
    vic_status st = VIC_OK, ended;
    TRY(cuda_check(cudaStreamBeginCapture(t->stream, cudaStreamCaptureModeThreadLocal), "capturing a graph", err));
    for (int i = 0; i < launches && st == VIC_OK; i++) st = t->work(t->context, t->stream, err);
    ended = cuda_check(cudaStreamEndCapture(t->stream, &t->graph), "capturing a graph", st == VIC_OK ? err : NULL);
    TRY(st);
    TRY(ended);
    return cuda_check(cudaGraphInstantiate(&t->replay, t->graph, 0), "making a graph", err);
}

static vic_status timer_open(struct timer *t, vic_device device, const vic_time_options *o, vic_error *err)
{
    int l2 = 0;
    TRY(cuda_check(cudaStreamCreateWithFlags(&t->stream, cudaStreamNonBlocking), "making a stream", err));
    TRY(mem_array_zero(2 * QUEUED, sizeof(cudaEvent_t), "events", &t->events, err));
    for (; t->made < 2 * QUEUED; t->made++)
        TRY(cuda_check(cudaEventCreate(&t->events[t->made]), "making an event", err));
    if (o->cold) {
        TRY(cuda_check(cudaDeviceGetAttribute(&l2, cudaDevAttrL2CacheSize, device.index), "querying the GPU", err));
        t->flush_bytes = 2 * (size_t)l2;
        TRY(cuda_check(cudaMalloc(&t->flush, t->flush_bytes), "allocating GPU memory to flush L2", err));
    }
    /* Copies of the tensors on the default stream must be over, because this stream does not wait for them. */
    TRY(cuda_check(cudaDeviceSynchronize(), "waiting for the GPU", err));
    return o->in_graph > 0 ? capture(t, o->in_graph, err) : VIC_OK;
}

static void timer_close(struct timer *t)
{
    if (t->stream) cuda_forget(cudaStreamSynchronize(t->stream));
    if (t->replay) cuda_forget(cudaGraphExecDestroy(t->replay));
    if (t->graph) cuda_forget(cudaGraphDestroy(t->graph));
    if (t->flush) cuda_forget(cudaFree(t->flush));
    for (int i = 0; i < t->made; i++) cuda_forget(cudaEventDestroy(t->events[i]));
    free(t->events);
    if (t->stream) cuda_forget(cudaStreamDestroy(t->stream));
}

static vic_status launch_once(struct timer *t, cudaEvent_t from, cudaEvent_t to, vic_error *err)
{
    if (t->flush) TRY(cuda_check(cudaMemsetAsync(t->flush, 0, t->flush_bytes, t->stream), "flushing L2", err));
    TRY(cuda_check(cudaEventRecord(from, t->stream), "recording an event", err));
    if (t->replay)
        TRY(cuda_check(cudaGraphLaunch(t->replay, t->stream), "launching a graph", err));
    else
        TRY(t->work(t->context, t->stream, err));
    return cuda_check(cudaEventRecord(to, t->stream), "recording an event", err);
}

/* Sets seconds[i] to the time of launch i, times `factor`. */
static vic_status time_queue(struct timer *t, int launches, double *seconds, double factor, vic_error *err)
{
    for (int i = 0; i < launches; i++) TRY(launch_once(t, t->events[2 * i], t->events[2 * i + 1], err));
    TRY(cuda_check(cudaStreamSynchronize(t->stream), "waiting for the GPU", err));
    for (int i = 0; i < launches; i++) {
        float ms;
        TRY(cuda_check(cudaEventElapsedTime(&ms, t->events[2 * i], t->events[2 * i + 1]), "reading the events", err));
        seconds[i] = 1e-3 * (double)ms * factor;
    }
    return VIC_OK;
}

vic_status device_time(vic_device device, device_work *work, void *context, const vic_time_options *o,
                       double *seconds, vic_error *err)
{
    vic_status st = VIC_OK;
    struct timer t = { .work = work, .context = context };
    struct device_scope scope;
    TRY_GOTO(device_enter(&scope, device, err), done);
    TRY_GOTO(timer_open(&t, device, o, err), done);
    for (int i = 0; i < o->warm_up; i++) TRY_GOTO(launch_once(&t, t.events[0], t.events[1], err), done);
    for (int at = 0; at < o->launches; at += QUEUED) {
        int queued = o->launches - at < QUEUED ? o->launches - at : QUEUED;
        TRY_GOTO(time_queue(&t, queued, seconds + at, 1.0 / (o->in_graph > 0 ? o->in_graph : 1), err), done);
    }
done:
    timer_close(&t);
    device_leave(&scope);
    return st;
}

#else

vic_status device_time(vic_device device, device_work *work, void *context, const vic_time_options *o,
                       double *seconds, vic_error *err)
{
    (void)device;
    (void)work;
    (void)context;
    (void)o;
    (void)seconds;
    return cuda_missing(err);
}

#endif
