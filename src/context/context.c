/* SPDX-License-Identifier: Apache-2.0 */
#include "context/context.h"

#include "base/dtype.h"
#include "base/memory.h"
#include "base/switches.h"
#include "device/memory.h"

static vic_status check_options(const vic_context_options *o, vic_error *err)
{
    if (o->device.type != VIC_CPU && o->device.type != VIC_CUDA)
        return vic_fail(err, VIC_BAD_ARGUMENT, "device.type: expected VIC_CPU, VIC_CUDA or 0 (the CPU), got %d",
                        (int)o->device.type);
    if (o->device.index < 0 || (o->device.type == VIC_CPU && o->device.index != 0))
        return vic_fail(err, VIC_NO_DEVICE, "device.index: there is no device %d of this type", o->device.index);
    if (o->device.type == VIC_CPU && (o->stream || o->allocate || o->release))
        return vic_fail(err, VIC_BAD_ARGUMENT, "stream, allocate, release: a CPU has none: set device to a GPU's");
    if (!o->allocate != !o->release)
        return vic_fail(err, VIC_BAD_ARGUMENT, "%s is NULL: give both allocate and release, or neither",
                        o->allocate ? "release" : "allocate");
    return VIC_OK;
}

vic_status context_create(const vic_context_options *options, struct vic_context **out, vic_error *err)
{
    vic_status st = VIC_OK;
    struct vic_context *c = NULL;
    vic_context_options o = *options;
    *out = NULL;
    if (o.device.type == VIC_DEVICE_UNKNOWN) o.device = (vic_device){ VIC_CPU, 0 };
    TRY(check_options(&o, err));
    if (o.device.type == VIC_CUDA) TRY(device_start(o.device, err));
    TRY(mem_array_zero(1, sizeof *c, "context", &c, err));
    c->options = o;
    TRY_GOTO(scratch_create(&c->kept, err), done);
    TRY_GOTO(pool_create(o.threads, &c->pool, err), done);
    if (o.device.type == VIC_CUDA && !o.allocate) TRY_GOTO(device_pool_create(o.device, &c->scratch, err), done);
    *out = c;
    c = NULL;
done:
    context_free(c);
    return st;
}

void context_free(struct vic_context *c)
{
    if (!c || pool_is_foreign(c->pool)) return;
    pool_free(c->pool);
    device_pool_free(c->options.device, c->scratch);
    scratch_free(c->kept);
    free(c);
}

vic_status context_enter(const struct vic_context *c, struct pool **pool, vic_error *err)
{
    *pool = c ? c->pool : NULL;
    log_to(c ? c->options.log : NULL, c ? c->options.user : NULL);
    if (!c || !pool_is_foreign(c->pool)) return VIC_OK;
    return vic_fail(err, VIC_FAILED,
                    "the context was made in another process, before fork(), and its threads are not here: make one "
                    "in this process");
}

vic_status context_stream(const struct vic_context *c, vic_device device, void *stream, struct context_stream *out,
                          vic_error *err)
{
    char here[DEVICE_TEXT], there[DEVICE_TEXT];
    if (c && !device_same(c->options.device, device))
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "the context is of %s, and the work on %s: make a context with that device, or give NULL",
                        device_text(c->options.device, here), device_text(device, there));
    *out = (struct context_stream){ device, stream ? stream : c ? c->options.stream : NULL, !stream && !c };
    return VIC_OK;
}

vic_status context_stream_end(const struct context_stream *s, vic_error *err)
{
    return s->wait ? device_wait(s->device, s->stream, err) : VIC_OK;
}
