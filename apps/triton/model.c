/* SPDX-License-Identifier: Apache-2.0 */
/* Models and their instances. */
#include "backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Models ---- */

/* The configuration as Triton has it.  The text belongs to the message. */
static vic_status configuration(TRITONBACKEND_Model *handle, TRITONSERVER_Message **message, struct json *out,
                                vic_error *err)
{
    const char *text;
    size_t size;
    TRY(taken(TRITONBACKEND_ModelConfig(handle, 1, message), err));
    TRY(taken(TRITONSERVER_MessageSerializeToJson(*message, &text, &size), err));
    if (json_parse(text, size, out)) return VIC_OK;
    return fail(err, VIC_BAD_INPUT, "the configuration of the model is not JSON: %.*s",
                (int)(size < 200 ? size : 200), text);
}

/* Inputs and outputs that config.pbtxt leaves out. */
static vic_status complete(TRITONBACKEND_Model *handle, const struct config *c, struct json json, vic_error *err)
{
    TRITONSERVER_Message *message = NULL;
    char *text = NULL;
    bool wanted = false;
    vic_status st;
    if (!c->complete_inputs && !c->complete_outputs) return VIC_OK;
    TRY(taken(TRITONBACKEND_ModelAutoCompleteConfig(handle, &wanted), err));
    if (!wanted)
        return fail(err, VIC_BAD_ARGUMENT,
                    "config.pbtxt has no %s, and the server does not complete configurations (it was started with "
                    "--disable-auto-complete-config); docs/howto/triton.md has a whole one",
                    c->complete_inputs ? "inputs" : "outputs");
    TRY(config_complete(c, json, &text, err));
    TRY_GOTO(taken(TRITONSERVER_MessageNewFromSerializedJson(&message, text, strlen(text)), err), end);
    st = taken(TRITONBACKEND_ModelSetConfig(handle, 1, message), err);
end:
    if (message) noted(TRITONSERVER_MessageDelete(message));
    free(text);
    return st;
}

static vic_status load_pattern(TRITONBACKEND_Model *handle, struct model *m, vic_error *err)
{
    TRITONBACKEND_ArtifactType type;
    const char *folder;
    uint64_t version;
    char path[4096];
    vic_context *c = NULL;
    vic_context_options options = VIC_INIT(vic_context_options);
    vic_pattern_info info = VIC_INIT(vic_pattern_info);
    TRY(taken(TRITONBACKEND_ModelRepository(handle, &type, &folder), err));
    TRY(taken(TRITONBACKEND_ModelVersion(handle, &version), err));
    if (type != TRITONBACKEND_ARTIFACT_FILESYSTEM)
        return fail(err, VIC_BAD_ARGUMENT, "model repository: expected one in the file system, got type %d",
                    (int)type);
    if ((size_t)snprintf(path, sizeof path, "%s/%llu", folder, (unsigned long long)version) >= sizeof path)
        return fail(err, VIC_BAD_ARGUMENT, "%s: expected a path of less than %zu bytes", folder, sizeof path);
    options.threads = backend_build_threads(m->backend);
    TRY(vic_context_create(&options, &c, err));
    vic_status st = config_pattern(&m->config, c, path, &m->pattern, err);
    vic_context_free(c);
    if (st != VIC_OK) return st;
    TRY(vic_pattern_get(m->pattern, &info, err));
    m->n_q = info.n_q;
    m->n_k = info.n_k;
    return VIC_OK;
}

static vic_status load(TRITONBACKEND_Model *handle, struct model *m, vic_error *err)
{
    TRITONBACKEND_Backend *backend;
    TRITONSERVER_Message *message = NULL;
    const char *name;
    void *state;
    struct json json;
    vic_status st;
    TRY(taken(TRITONBACKEND_ModelName(handle, &name), err));
    snprintf(m->name, sizeof m->name, "%s", name);
    TRY(taken(TRITONBACKEND_ModelBackend(handle, &backend), err));
    TRY(taken(TRITONBACKEND_BackendState(backend, &state), err));
    m->backend = state;
    TRY_GOTO(configuration(handle, &message, &json, err), end);
    TRY_GOTO(config_read(json, &m->config, err), end);
    TRY_GOTO(load_pattern(handle, m, err), end);
    TRY_GOTO(config_check(&m->config, m->pattern, err), end);
    TRY_GOTO(complete(handle, &m->config, json, err), end);
    st = taken(TRITONBACKEND_ModelSetState(handle, m), err);
end:
    if (message) noted(TRITONSERVER_MessageDelete(message));
    return st;
}

static void model_free(struct model *m)
{
    if (!m) return;
    vic_pattern_free(m->pattern);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

TRITONSERVER_Error *TRITONBACKEND_ModelInitialize(TRITONBACKEND_Model *handle)
{
    vic_error err = { 0 };
    struct model *m = calloc(1, sizeof *m);
    if (!m) return TRITONSERVER_ErrorNew(TRITONSERVER_ERROR_UNAVAILABLE, "vicinal: out of memory");
    pthread_mutex_init(&m->lock, NULL);
    const vic_status st = load(handle, m, &err);
    if (st != VIC_OK) model_free(m);
    return given(st, &err);
}

TRITONSERVER_Error *TRITONBACKEND_ModelFinalize(TRITONBACKEND_Model *handle)
{
    void *state = NULL;
    TRITONSERVER_Error *error = TRITONBACKEND_ModelState(handle, &state);
    if (error) return error;
    model_free(state);
    return NULL;
}

/* ---- Instances ---- */

static vic_status open_endpoint(struct model *m, struct shared_endpoint *e, vic_device device, vic_error *err)
{
    vic_endpoint_options o = VIC_INIT(vic_endpoint_options);
    o.name = m->name;
    o.plan = &m->config.plan;
    o.max_batch = m->config.max_batch;
    o.max_queue = m->config.max_queue;
    o.max_delay = m->config.max_delay;
    o.timeout = m->config.timeout;
    TRY(backend_engine(m->backend, device, &e->engine, err));
    vic_status st = vic_endpoint_create(e->engine, m->pattern, &o, &e->endpoint, err);
    if (st != VIC_OK) {
        backend_engine_release(m->backend, e->engine);
        e->engine = NULL;
        return st;
    }
    e->device = device;
    return VIC_OK;
}

/* Instances on one device share an endpoint, so that their requests share launches and new positions. */
static vic_status join_endpoint(struct model *m, vic_device device, struct shared_endpoint **out, vic_error *err)
{
    struct shared_endpoint *found = NULL, *room = NULL;
    bool elsewhere = false;
    vic_status st = VIC_OK;
    pthread_mutex_lock(&m->lock);
    for (int i = 0; i < MOST_DEVICES; i++) {
        struct shared_endpoint *e = &m->endpoints[i];
        const bool same = e->device.type == device.type && e->device.index == device.index;
        if (e->users > 0 && same) found = e;
        if (e->users > 0 && !same) elsewhere = true;
        if (e->users == 0 && !room) room = e;
    }
    if (!found && elsewhere && m->config.tensors[TENSOR_POSITIONS].dtype) {
        st = fail(
            err, VIC_BAD_ARGUMENT,
            "config.pbtxt: instance_group: a model with input POSITIONS lives on one device, since each would have "
            "positions of its own; got several. Name one, as in { kind: KIND_GPU gpus: [ 0 ] }");
    } else if (!found) {
        st = room ? open_endpoint(m, room, device, err)
                  : fail(err, VIC_BAD_ARGUMENT, "more than %d devices", MOST_DEVICES);
        found = room;
    }
    if (st == VIC_OK) {
        found->users++;
        *out = found;
    }
    pthread_mutex_unlock(&m->lock);
    return st;
}

static void leave_endpoint(struct model *m, struct shared_endpoint *e)
{
    pthread_mutex_lock(&m->lock);
    if (--e->users == 0) {
        vic_endpoint_free(e->endpoint);
        backend_engine_release(m->backend, e->engine);
        *e = (struct shared_endpoint){ 0 };
    }
    pthread_mutex_unlock(&m->lock);
}

static vic_status begin(TRITONBACKEND_ModelInstance *handle, struct instance *i, vic_error *err)
{
    TRITONBACKEND_Model *model;
    TRITONSERVER_InstanceGroupKind kind;
    int32_t device;
    void *state;
    TRY(taken(TRITONBACKEND_ModelInstanceModel(handle, &model), err));
    TRY(taken(TRITONBACKEND_ModelState(model, &state), err));
    TRY(taken(TRITONBACKEND_ModelInstanceKind(handle, &kind), err));
    TRY(taken(TRITONBACKEND_ModelInstanceDeviceId(handle, &device), err));
    i->model = state;
    if (kind != TRITONSERVER_INSTANCEGROUPKIND_CPU && kind != TRITONSERVER_INSTANCEGROUPKIND_GPU)
        return fail(err, VIC_BAD_ARGUMENT, "config.pbtxt: instance_group: expected kind KIND_CPU or KIND_GPU");
    const bool gpu = kind == TRITONSERVER_INSTANCEGROUPKIND_GPU;
    i->device = (vic_device){ gpu ? VIC_CUDA : VIC_CPU, gpu ? device : 0 };
    TRY(batch_new(&i->batch, err));
    TRY(join_endpoint(i->model, i->device, &i->shared, err));
    return taken(TRITONBACKEND_ModelInstanceSetState(handle, i), err);
}

static void instance_free(struct instance *i)
{
    if (!i) return;
    if (i->shared) leave_endpoint(i->model, i->shared);
    batch_free(i->batch);
    free(i);
}

TRITONSERVER_Error *TRITONBACKEND_ModelInstanceInitialize(TRITONBACKEND_ModelInstance *handle)
{
    vic_error err = { 0 };
    vic_endpoint_info info = VIC_INIT(vic_endpoint_info);
    struct instance *i = calloc(1, sizeof *i);
    if (!i) return TRITONSERVER_ErrorNew(TRITONSERVER_ERROR_UNAVAILABLE, "vicinal: out of memory");
    const vic_status st = begin(handle, i, &err);
    if (st != VIC_OK) {
        instance_free(i);
    } else if (vic_endpoint_get(i->shared->endpoint, &info, NULL) == VIC_OK) {
        say(TRITONSERVER_LOG_INFO, "vicinal: %s: %lld queries, %lld keys, kernel %s, %.3g MB", i->model->name,
            (long long)info.n_q, (long long)info.n_k, info.kernel, (double)info.bytes * 1e-6);
    }
    return given(st, &err);
}

TRITONSERVER_Error *TRITONBACKEND_ModelInstanceFinalize(TRITONBACKEND_ModelInstance *handle)
{
    void *state = NULL;
    TRITONSERVER_Error *error = TRITONBACKEND_ModelInstanceState(handle, &state);
    if (error) return error;
    instance_free(state);
    return NULL;
}

/* Of servers that ask: not ready once the GPU has failed in a way that only a new process mends. */
TRITONSERVER_Error *TRITONBACKEND_ModelInstanceReady(TRITONBACKEND_ModelInstance *handle)
{
    void *state = NULL;
    vic_error err = { 0 };
    vic_engine_info info = VIC_INIT(vic_engine_info);
    TRITONSERVER_Error *error = TRITONBACKEND_ModelInstanceState(handle, &state);
    if (error) return error;
    const struct instance *i = state;
    vic_status st = vic_engine_get(i->shared->engine, &info, &err);
    if (st == VIC_OK && info.faulted) st = fail(&err, VIC_FAILED, "the GPU has failed: start the server anew");
    return given(st, &err);
}

TRITONSERVER_Error *TRITONBACKEND_ModelInstanceExecute(TRITONBACKEND_ModelInstance *handle,
                                                       TRITONBACKEND_Request **requests, uint32_t count)
{
    void *state = NULL;
    TRITONSERVER_Error *error = TRITONBACKEND_ModelInstanceState(handle, &state);
    if (error) return error;
    struct instance *i = state;
    return batch_run(i->batch, i, handle, requests, count);
}
