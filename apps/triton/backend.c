/* SPDX-License-Identifier: Apache-2.0 */
/* The backend as a whole: one a process, made when the first model needs it. */
#define _GNU_SOURCE
#include "backend.h"

#include "vicinal_dev.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* ---- Engines ---- */

static void engine_log(void *user, const char *line)
{
    (void)user;
    say(TRITONSERVER_LOG_INFO, "vicinal: %s", line);
}

static struct shared_engine *find(struct backend *b, vic_device device)
{
    struct shared_engine *room = NULL;
    for (int i = 0; i < MOST_DEVICES; i++) {
        struct shared_engine *e = &b->engines[i];
        if (e->engine && e->device.type == device.type && e->device.index == device.index) return e;
        if (!e->engine && !room) room = e;
    }
    return room;
}

vic_status backend_engine(struct backend *b, vic_device device, vic_engine **out, vic_error *err)
{
    vic_status st = VIC_OK;
    *out = NULL;
    pthread_mutex_lock(&b->lock);
    struct shared_engine *e = find(b, device);
    if (!e) {
        st = fail(err, VIC_BAD_ARGUMENT, "models on more than %d devices", MOST_DEVICES);
    } else if (!e->engine) {
        vic_engine_options o = VIC_INIT(vic_engine_options);
        o.device = device;
        o.threads = b->threads;
        o.build_threads = b->build_threads;
        o.streams = b->streams;
        o.staging_bytes = (size_t)b->staging_mb << 20;
        o.log = engine_log;
        st = vic_engine_create(&o, &e->engine, err);
        e->device = device;
        e->users = 0;
    }
    if (st == VIC_OK) {
        e->users++;
        *out = e->engine;
    }
    pthread_mutex_unlock(&b->lock);
    return st;
}

void backend_engine_release(struct backend *b, const vic_engine *engine)
{
    vic_engine *last = NULL;
    pthread_mutex_lock(&b->lock);
    for (int i = 0; i < MOST_DEVICES; i++) {
        struct shared_engine *e = &b->engines[i];
        if (!engine || e->engine != engine || --e->users > 0) continue;
        last = e->engine;
        e->engine = NULL;
    }
    pthread_mutex_unlock(&b->lock);
    vic_engine_free(last);
}

int32_t backend_build_threads(const struct backend *b)
{
    cpu_set_t set;
    if (b->build_threads > 0) return b->build_threads;
    const int all = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return all > 1 ? all / 2 : 1;
}

/* ---- Options of the server's command line ---- */

static vic_status read_options(struct json json, struct backend *b, vic_error *err)
{
    struct json name, value = { NULL, NULL };
    const struct json given = json_member(json, "cmdline");
    while (json_next(given, &name, &value)) {
        /* Triton adds settings of its own to everybody's. */
        static const char *const of_triton[] = { "auto-complete-config", "backend-directory",
                                                 "min-compute-capability", "default-max-batch-size",
                                                 "backend-config" };
        struct {
            const char *name;
            int64_t most, value;
        } known[] = {
            { "threads", 65536, 0 }, { "build-threads", 65536, 0 }, { "streams", 64, 0 }, { "staging-mb", 1 << 20, 0 }
        };
        char key[64] = "";
        bool found = false;
        (void)json_string(name, key, sizeof key);
        for (size_t i = 0; i < sizeof of_triton / sizeof *of_triton; i++) found = found || !strcmp(key, of_triton[i]);
        if (found) continue;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
            if (strcmp(key, known[i].name) != 0) continue;
            found = true;
            if (!json_int(value, &known[i].value) || known[i].value < 1 || known[i].value > known[i].most)
                return fail(err, VIC_BAD_ARGUMENT,
                            "--backend-config=vicinal,%s: expected a whole number from 1 to %lld, got %.*s", key,
                            (long long)known[i].most, (int)(value.end - value.begin), value.begin);
        }
        if (!found)
            say(TRITONSERVER_LOG_WARN,
                "--backend-config=vicinal,%s: not known, and ignored; there are threads, build-threads, streams and "
                "staging-mb",
                key);
        if (known[0].value) b->threads = (int32_t)known[0].value;
        if (known[1].value) b->build_threads = (int32_t)known[1].value;
        if (known[2].value) b->streams = (int32_t)known[2].value;
        if (known[3].value) b->staging_mb = known[3].value;
    }
    return VIC_OK;
}

static vic_status start(TRITONBACKEND_Backend *handle, struct backend *b, vic_error *err)
{
    uint32_t major = 0, minor = 0;
    TRITONSERVER_Message *message = NULL;
    const char *text;
    size_t size;
    struct json json;
    TRY(taken(TRITONBACKEND_ApiVersion(&major, &minor), err));
    if (major != TRITON_API_MAJOR || minor < TRITON_API_MINOR)
        return fail(
            err, VIC_NO_KERNEL,
            "vicinal %s needs a Triton whose interface for backends is %d.%d or a later %d, got %u.%u; Triton "
            "2.51 (24.10) has it",
            vic_version(), TRITON_API_MAJOR, TRITON_API_MINOR, TRITON_API_MAJOR, major, minor);
    TRY(vic_switches_check(err));
    TRY(taken(TRITONBACKEND_BackendConfig(handle, &message), err));
    TRY(taken(TRITONSERVER_MessageSerializeToJson(message, &text, &size), err));
    if (!json_parse(text, size, &json))
        return fail(err, VIC_BAD_INPUT, "the configuration of the backend is not JSON: %.*s",
                    (int)(size < 200 ? size : 200), text);
    TRY(read_options(json, b, err));
    say(TRITONSERVER_LOG_INFO, "vicinal %s, %s", vic_version(), vic_build_info());
    return taken(TRITONBACKEND_BackendSetState(handle, b), err);
}

TRITONSERVER_Error *TRITONBACKEND_Initialize(TRITONBACKEND_Backend *handle)
{
    vic_error err = { 0 };
    struct backend *b = calloc(1, sizeof *b);
    if (!b) return TRITONSERVER_ErrorNew(TRITONSERVER_ERROR_UNAVAILABLE, "vicinal: out of memory");
    pthread_mutex_init(&b->lock, NULL);
    const vic_status st = start(handle, b, &err);
    if (st != VIC_OK) free(b);
    return given(st, &err);
}

TRITONSERVER_Error *TRITONBACKEND_Finalize(TRITONBACKEND_Backend *handle)
{
    void *state = NULL;
    TRITONSERVER_Error *error = TRITONBACKEND_BackendState(handle, &state);
    if (error) return error;
    free(state);
    return NULL;
}

/* Models whose configuration names no instances get one on a GPU with a kernel of ours, else one on the CPU. */
TRITONSERVER_Error *TRITONBACKEND_GetBackendAttribute(TRITONBACKEND_Backend *handle,
                                                      TRITONBACKEND_BackendAttribute *attribute)
{
    vic_kernel_info info = VIC_INIT(vic_kernel_info);
    bool gpu = false;
    TRITONSERVER_Error *error = NULL;
    (void)handle;
    for (int i = 0; i < vic_kernel_count(); i++)
        if (vic_kernel_get(i, &info, NULL) == VIC_OK) gpu = gpu || (info.available && !strcmp(info.device, "cuda"));
    if (gpu)
        error = TRITONBACKEND_BackendAttributeAddPreferredInstanceGroup(attribute, TRITONSERVER_INSTANCEGROUPKIND_GPU,
                                                                        1, NULL, 0);
    if (!error)
        error = TRITONBACKEND_BackendAttributeAddPreferredInstanceGroup(attribute, TRITONSERVER_INSTANCEGROUPKIND_CPU,
                                                                        1, NULL, 0);
    return error ? error : TRITONBACKEND_BackendAttributeSetParallelModelInstanceLoading(attribute, true);
}
