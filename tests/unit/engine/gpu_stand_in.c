/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/engine/gpu_stand_in.h"

#include "base/clock.h"
#include "base/memory.h"
#include "contract/kernel.h"

#include <stdatomic.h>
#include <string.h>

/* The linker puts these in the place of the functions without __wrap_. */
#define WRAP(name, ...)                                                                                              \
    vic_status __wrap_##name(__VA_ARGS__);                                                                           \
    vic_status __wrap_##name(__VA_ARGS__)
#define WRAP_VOID(name, ...)                                                                                         \
    void __wrap_##name(__VA_ARGS__);                                                                                 \
    void __wrap_##name(__VA_ARGS__)

/* Used by one thread, as a worker does. */
struct stream {
    int64_t recorded, done; /* events, in order */
    int64_t since;          /* when the last one was told to be done: then the next begins */
};

struct event {
    struct stream *stream;
    int64_t number; /* of the stream's */
    int64_t recorded;
};

_Atomic int stand_in_most_busy;
static atomic_int busy; /* streams */
static _Atomic int64_t takes;
static atomic_bool failing, lost;
static atomic_long things;

void stand_in_takes(int64_t ns)
{
    takes = ns;
}

void stand_in_fail(bool for_good)
{
    lost = for_good;
    failing = true;
}

void stand_in_mend(void)
{
    failing = lost = false;
}

long stand_in_things(void)
{
    return things;
}

static vic_status state(vic_error *err)
{
    return lost ? vic_fail(err, VIC_FAILED, "the stand-in is lost") : VIC_OK;
}

static vic_status make(size_t bytes, void **out, vic_error *err)
{
    *out = NULL;
    TRY(state(err));
    TRY(mem_array_zero(bytes ? bytes : 1, 1, "bytes of the stand-in", out, err));
    things++;
    return VIC_OK;
}

static void unmake(void *thing)
{
    if (thing) things--;
    free(thing);
}

/* ---- src/device/memory.h ---- */

WRAP(device_start, vic_device device, vic_error *err)
{
    (void)device;
    return state(err);
}

WRAP(device_alloc, vic_device device, size_t bytes, void **out, vic_error *err)
{
    (void)device;
    return make(bytes, out, err);
}

WRAP_VOID(device_free, vic_device device, void *memory)
{
    (void)device;
    unmake(memory);
}

WRAP(device_copy, vic_device to_device, void *to, vic_device from_device, const void *from, size_t bytes,
     vic_error *err)
{
    (void)to_device, (void)from_device;
    memcpy(to, from, bytes);
    return state(err);
}

static void note_done(struct stream *s, int64_t number)
{
    if (number <= s->done) return;
    s->done = number;
    if (s->done == s->recorded) busy--;
}

WRAP(device_wait, vic_device device, void *stream, vic_error *err)
{
    struct stream *s = stream;
    (void)device;
    if (s) note_done(s, s->recorded);
    return state(err);
}

WRAP(device_pool_create, vic_device device, void **pool, vic_error *err)
{
    (void)device;
    return make(1, pool, err);
}

WRAP_VOID(device_pool_free, vic_device device, void *pool)
{
    (void)device;
    unmake(pool);
}

WRAP(device_alloc_on, vic_device device, void *pool, size_t bytes, void *stream, void **out, vic_error *err)
{
    (void)device, (void)pool, (void)stream;
    return make(bytes, out, err);
}

WRAP_VOID(device_free_on, vic_device device, void *memory, void *stream)
{
    (void)device, (void)stream;
    unmake(memory);
}

WRAP(device_alloc_host, size_t bytes, void **out, vic_error *err)
{
    return make(bytes, out, err);
}

WRAP_VOID(device_free_host, void *memory)
{
    unmake(memory);
}

/* ---- src/device/stream.h ---- */

WRAP(device_stream_create, vic_device device, void **out, vic_error *err)
{
    (void)device;
    return make(sizeof(struct stream), out, err);
}

WRAP_VOID(device_stream_free, vic_device device, void *stream)
{
    (void)device;
    unmake(stream);
}

WRAP(device_copy_on, vic_device device, void *to, const void *from, size_t bytes, void *stream, vic_error *err)
{
    (void)device, (void)stream;
    memcpy(to, from, bytes);
    return state(err);
}

WRAP(device_event_create, vic_device device, void **out, vic_error *err)
{
    (void)device;
    return make(sizeof(struct event), out, err);
}

WRAP_VOID(device_event_free, vic_device device, void *event)
{
    (void)device;
    unmake(event);
}

WRAP(device_event_record, vic_device device, void *event, void *stream, vic_error *err)
{
    (void)device;
    struct stream *s = stream;
    if (s->recorded == s->done && ++busy > stand_in_most_busy) stand_in_most_busy = busy;
    *(struct event *)event = (struct event){ s, ++s->recorded, clock_ns() };
    return state(err);
}

WRAP(device_event_done, void *event, bool *done, vic_error *err)
{
    const struct event *e = event;
    const int64_t now = clock_ns(), since = e->stream->since;
    *done = now - (e->recorded > since ? e->recorded : since) >= takes;
    if (*done) e->stream->since = now;
    if (*done) note_done(e->stream, e->number);
    if (!*done || !failing) return VIC_OK;
    return vic_fail(err, VIC_FAILED, "work on the stand-in failed");
}

WRAP(device_event_between, void *from, void *to, double *seconds, vic_error *err)
{
    (void)err;
    *seconds = 1e-9 * (double)(((struct event *)to)->recorded - ((struct event *)from)->recorded);
    return VIC_OK;
}

bool __wrap_device_is_lost(vic_device device);
bool __wrap_device_is_lost(vic_device device)
{
    (void)device;
    return lost;
}

/* ---- plans of a GPU are those of the CPU ---- */

vic_status __real_vic_plan_create(vic_context *c, const vic_pattern *p, const vic_plan_options *options,
                                  vic_plan **out, vic_error *err);
WRAP(vic_plan_create, vic_context *c, const vic_pattern *p, const vic_plan_options *options, vic_plan **out,
     vic_error *err)
{
    vic_plan_options o = *options;
    if (o.device.type != VIC_CUDA) return __real_vic_plan_create(c, p, options, out, err);
    o.device = (vic_device){ VIC_CPU, 0 };
    TRY(__real_vic_plan_create(c, p, &o, out, err));
    (*out)->device = options->device;
    return VIC_OK;
}
