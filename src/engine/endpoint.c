/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/dtype.h"
#include "base/memory.h"
#include "context/context.h"
#include "device/memory.h"
#include "engine/engine.h"
#include "pattern/pattern.h"

#include <math.h>
#include <string.h>

static const char make_one[] = "make one first, with vic_endpoint_create()";

/* ---- options ---- */

static vic_status check_number(const char *name, int value, int most, vic_error *err)
{
    if (value >= 0 && value <= most) return VIC_OK;
    return vic_fail(err, VIC_BAD_ARGUMENT, "%s: expected 0 (the default) to %d, got %d", name, most, value);
}

static vic_status check_seconds(const char *name, double value, vic_error *err)
{
    if (value >= 0) return VIC_OK;
    return vic_fail(err, VIC_BAD_ARGUMENT, "%s: expected seconds, 0 or more, got %g", name, value);
}

static vic_status copy_text(const char *text, char **out, vic_error *err)
{
    TRY(mem_array(strlen(text) + 1, 1, "characters of a name", out, err));
    memcpy(*out, text, strlen(text) + 1);
    return VIC_OK;
}

/* More than thirty years are as good as that. */
static int64_t to_ns(double seconds)
{
    return (int64_t)(1e9 * fmin(seconds, 1e9));
}

static vic_status take_options(vic_endpoint *e, const vic_endpoint_options *o, vic_error *err)
{
    char here[DEVICE_TEXT], there[DEVICE_TEXT];
    const vic_device device = e->engine->options.device;
    NEED_STRUCT(vic_plan_options, plan, o->plan, err);
    TRY(check_number("max_batch", o->max_batch, MOST_BATCH, err));
    TRY(check_number("max_queue", o->max_queue, INT32_MAX, err));
    TRY(check_seconds("max_delay", o->max_delay, err));
    TRY(check_seconds("timeout", o->timeout, err));
    if (plan.device.type != VIC_DEVICE_UNKNOWN && !device_same(plan.device, device))
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "plan.device: the engine runs on %s, got %s: leave it 0, or make another engine",
                        device_text(device, here), device_text(plan.device, there));
    if (plan.pair_bias != VIC_PAIR_BIAS_NONE)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "plan.pair_bias: queries bring no pair bias: leave it VIC_PAIR_BIAS_NONE, or call "
                        "vic_attention()");
    plan.device = device;
    TRY(copy_text(o->name ? o->name : "endpoint", &e->name, err));
    if (plan.kernel) TRY(copy_text(plan.kernel, &e->kernel, err));
    plan.kernel = e->kernel;
    plan.backward = false; /* no query asks for gradients */
    plan.backward_kernel = NULL;
    e->plan_options = plan;
    e->max_batch = o->max_batch ? o->max_batch : 64;
    e->max_queue = o->max_queue ? o->max_queue : 4096;
    e->max_delay = to_ns(o->max_delay);
    e->timeout = o->timeout > 0 ? to_ns(o->timeout) : INT64_MAX;
    return VIC_OK;
}

/* Checks the table of the distance bias, and copies it to where launches read it. */
static vic_status take_bias(vic_endpoint *e, const vic_plan *plan, const vic_tensor *t, vic_error *err)
{
    struct distance_bias found = { 0 };
    vic_plan on_cpu = *plan;
    on_cpu.device = (vic_device){ VIC_CPU, 0 };
    TRY(context_bind_bias(&on_cpu, t, &found, err));
    if (!found.table) return VIC_OK;
    const size_t heads = (size_t)t->shape[0], row = (size_t)t->shape[1] * sizeof(float);
    TRY(mem_array(heads, row, "table of the distance bias", &e->bias_memory, err));
    for (size_t h = 0; h < heads; h++)
        memcpy((char *)e->bias_memory + h * row, found.table + (int64_t)h * t->stride[0], row);
    e->bias = vic_tensor_make(e->bias_memory, VIC_F32, 2, t->shape);
    if (device_is_cpu(plan->device)) return VIC_OK;
    TRY(device_alloc(plan->device, heads * row, &e->bias.data, err));
    e->bias.device = plan->device;
    return device_copy(plan->device, e->bias.data, on_cpu.device, e->bias_memory, heads * row, err);
}

/* ---- life ---- */

/* A version that is ready, of another family than those before; not yet the endpoint's. */
static vic_status first_version(vic_endpoint *e, const vic_pattern *pattern, struct version **out, vic_error *err)
{
    vic_plan *plan = NULL;
    const struct model model = model_of(pattern, 0);
    *out = NULL;
    TRY(vic_plan_create(e->engine->build_context, pattern, &e->plan_options, &plan, err));
    vic_status st = version_new(e, &model, out, err);
    if (st != VIC_OK) {
        vic_plan_free(plan);
        return st;
    }
    (*out)->plan = plan;
    (*out)->pattern = pattern_retain(pattern);
    (*out)->ready = true;
    return VIC_OK;
}

/* Under the lock.  Takes over the caller's reference. */
static uint64_t put_version(vic_endpoint *e, struct version *v)
{
    v->number = ++e->last_number;
    v->model.family = ++e->last_family;
    e->versions++;
    if (e->newest) version_release(e->newest);
    if (e->current) version_release(e->current);
    version_retain(v);
    e->newest = e->current = v;
    return v->number;
}

static void free_memory(vic_endpoint *e)
{
    pattern_release(e->spare);
    if (e->bias.device.type == VIC_CUDA) device_free(e->bias.device, e->bias.data);
    free(e->bias_memory);
    free(e->kernel);
    free(e->name);
    free(e);
}

vic_status vic_endpoint_create(vic_engine *engine, const vic_pattern *pattern, const vic_endpoint_options *options,
                               vic_endpoint **out, vic_error *err)
{
    vic_status st = VIC_OK;
    vic_endpoint *e = NULL;
    struct version *v = NULL;
    NEED_OUT(out);
    NEED(engine, "engine", "make one first, with vic_engine_create()");
    NEED(pattern, "pattern", "make one first, with vic_pattern_cutoff() or another constructor");
    NEED_STRUCT(vic_endpoint_options, o, options, err);
    TRY(engine_check_process(engine, err));
    TRY(mem_array_zero(1, sizeof *e, "endpoint", &e, err));
    e->engine = engine;
    TRY_GOTO(take_options(e, &o, err), done);
    TRY_GOTO(first_version(e, pattern, &v, err), done);
    e->shape = v->plan->shape;
    TRY_GOTO(take_bias(e, v->plan, &o.bias, err), done);
    pthread_mutex_lock(&engine->lock);
    put_version(e, v);
    engine->endpoints++;
    pthread_mutex_unlock(&engine->lock);
    *out = e;
    return VIC_OK;
done:
    if (v) pattern_release(version_destroy(v));
    free_memory(e);
    return st;
}

/* Takes the endpoint's waiting queries out of the queue. */
static void take_waiting(vic_endpoint *e, struct launch *l)
{
    struct lane *lane = e->engine->queue.lanes;
    while (lane) {
        struct lane *next = lane->next;
        if (lane->version->endpoint == e)
            for (int64_t left = lane->waiting; left > 0; left--) launch_add(e->engine, l, lane->head);
        lane = next;
    }
}

void vic_endpoint_free(vic_endpoint *e)
{
    struct launch l = { .n = 0 };
    if (!e || engine_check_process(e->engine, NULL) != VIC_OK) return;
    vic_engine *engine = e->engine;
    pthread_mutex_lock(&engine->lock);
    e->closing = true;
    l.taken = clock_ns();
    take_waiting(e, &l);
    pthread_mutex_unlock(&engine->lock);
    l.status = vic_fail(&l.error, VIC_CANCELLED, "endpoint %s was freed before the query was launched", e->name);
    launch_answer(engine, &l);
    pthread_mutex_lock(&engine->lock);
    version_release(e->newest);
    version_release(e->current);
    e->newest = e->current = NULL;
    while (e->running > 0 || e->versions > 0) engine_wait(engine, &engine->idle, INT64_MAX);
    engine->endpoints--;
    pthread_mutex_unlock(&engine->lock);
    free_memory(e);
}

vic_status vic_endpoint_replace(vic_endpoint *e, const vic_pattern *pattern, uint64_t *version, vic_error *err)
{
    struct version *v;
    NEED(e, "endpoint", make_one);
    NEED(pattern, "pattern", "make one first, with vic_pattern_cutoff() or another constructor");
    TRY(engine_check_process(e->engine, err));
    TRY(first_version(e, pattern, &v, err));
    pthread_mutex_lock(&e->engine->lock);
    uint64_t number = put_version(e, v);
    vic_pattern *spare = e->spare; /* of other points */
    e->spare = NULL;
    pthread_mutex_unlock(&e->engine->lock);
    pattern_release(spare);
    if (version) *version = number;
    return VIC_OK;
}

/* ---- what is asked of it ---- */

/* The lock of an endpoint that is only read. */
static vic_endpoint *locked(const vic_endpoint *given)
{
    vic_endpoint *e = (vic_endpoint *)(uintptr_t)given;
    pthread_mutex_lock(&e->engine->lock);
    return e;
}

vic_status vic_endpoint_pattern(const vic_endpoint *given, vic_pattern **out, vic_error *err)
{
    NEED_OUT(out);
    NEED(given, "endpoint", make_one);
    TRY(engine_check_process(given->engine, err));
    vic_endpoint *e = locked(given);
    struct version *v = e->newest;
    version_retain(v);
    while (!version_settled(v)) engine_wait(e->engine, &e->engine->idle, INT64_MAX);
    *out = pattern_retain(version_used(v)->pattern);
    version_release(v);
    pthread_mutex_unlock(&e->engine->lock);
    return VIC_OK;
}

vic_status vic_endpoint_get(const vic_endpoint *given, vic_endpoint_info *out, vic_error *err)
{
    vic_endpoint_info info = VIC_INIT(vic_endpoint_info);
    NEED(given, "endpoint", make_one);
    TRY(engine_check_process(given->engine, err));
    vic_endpoint *e = locked(given);
    const struct version *v = e->current;
    const struct counts *c = &e->counts;
    info.version = v->number;
    info.n_q = v->model.n_q;
    info.n_k = v->model.n_k;
    info.kernel = v->plan->kernel->name;
    info.bytes = v->pattern->info.bytes + v->plan->bytes;
    info.waiting = e->waiting;
    info.updates_waiting = e->updates_waiting;
    info.accepted = c->accepted;
    info.answered = c->answered;
    info.failed = c->failed;
    info.expired = c->expired;
    info.cancelled = c->cancelled;
    /* Those whose callbacks have yet to return are counted as what they are told, and not as running. */
    info.running = (int64_t)(c->accepted - c->answered - c->failed - c->expired - c->cancelled) - e->waiting;
    info.refused = c->refused;
    info.launches = c->launches;
    info.updates = c->updates;
    memcpy(info.time_ns, c->time_ns, sizeof info.time_ns);
    memcpy(info.time, c->time, sizeof info.time);
    memcpy(info.batch, c->batch, sizeof info.batch);
    pthread_mutex_unlock(&e->engine->lock);
    return struct_give(out, &info, sizeof info, "vic_endpoint_info", err);
}
