/* SPDX-License-Identifier: Apache-2.0 */
/* A stand-in for the functions of Triton that the backend calls: requests, responses and buffers as plain structs, with
 * what the backend did to them, and each call that can fail failing when it is told to.  Included once in a program. */
#ifndef VIC_TESTS_TRITON_STAND_IN_H
#define VIC_TESTS_TRITON_STAND_IN_H

#include "check.h"
#include "triton/triton_api.h"

#include <stdatomic.h>

enum { MOST_PIECES = 3, MOST_TENSORS = 6, MOST_BYTES = 1 << 20 };

struct TRITONSERVER_Error {
    TRITONSERVER_Error_Code code;
    char text[1100];
};
struct TRITONSERVER_Message {
    char *json;
};
struct TRITONBACKEND_Backend {
    TRITONSERVER_Message config;
    void *state;
};
struct TRITONBACKEND_BackendAttribute {
    TRITONSERVER_InstanceGroupKind kinds[4];
    int groups;
    bool parallel;
};
struct TRITONBACKEND_Model {
    TRITONBACKEND_Backend *backend;
    const char *name, *folder, *config;
    bool complete;
    char *completed; /* what the backend made of `config` */
    void *state;
};
struct TRITONBACKEND_ModelInstance {
    TRITONBACKEND_Model *model;
    TRITONSERVER_InstanceGroupKind kind;
    int32_t device;
    void *state;
    atomic_int good, bad, batches;
    atomic_bool disorder; /* a report whose times do not rise */
};
struct piece {
    const void *data;
    uint64_t bytes;
    TRITONSERVER_MemoryType memory;
};
struct TRITONBACKEND_Input {
    const char *name;
    TRITONSERVER_DataType type;
    int64_t shape[6];
    uint32_t dims;
    uint64_t bytes;
    uint32_t pieces;
    struct piece piece[MOST_PIECES];
};
struct TRITONBACKEND_Output {
    char name[16];
    TRITONSERVER_DataType type;
    int64_t shape[6];
    uint32_t dims;
    size_t bytes;
    size_t skew; /* of the buffer from an address divisible by 64 */
    char *memory, *data;
};
struct TRITONBACKEND_Response {
    TRITONBACKEND_Request *request;
};
struct TRITONBACKEND_Request {
    TRITONBACKEND_Input inputs[MOST_TENSORS];
    uint32_t input_count;
    const char *outputs[MOST_TENSORS];
    uint32_t output_count;
    size_t skew; /* of its output buffers */
    atomic_bool cancelled;
    uint64_t timeout;
    /* What came: */
    int responses, sent, deleted, released;
    TRITONBACKEND_Response response;
    TRITONBACKEND_Output given[2];
    uint32_t given_count;
    TRITONSERVER_Error_Code code;
    char error[1100];
    bool failed;
    int64_t version;
};

/* The linker puts these in the place of the C library's (--wrap), for all that is linked into the program. */
void *__real_malloc(size_t bytes); /* of the stand-in's own, which do not fail */
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);

static atomic_long allocations, failing_allocation; /* the number of the one that fails; 0 = none */

static bool out_of_memory(void)
{
    return ++allocations == failing_allocation;
}

void *__wrap_malloc(size_t bytes)
{
    return out_of_memory() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return out_of_memory() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *memory, size_t bytes)
{
    return out_of_memory() ? NULL : __real_realloc(memory, bytes);
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
    return out_of_memory() ? NULL : __real_aligned_alloc(alignment, bytes);
}

static atomic_int errors_alive, messages_alive, lines_logged;
static atomic_long calls, failing_call; /* the number of the call that fails; 0 = none */

TRITONSERVER_Error *TRITONSERVER_ErrorNew(TRITONSERVER_Error_Code code, const char *text)
{
    TRITONSERVER_Error *error = __real_malloc(sizeof *error);
    assert_non_null(error);
    error->code = code;
    snprintf(error->text, sizeof error->text, "%s", text);
    errors_alive++;
    return error;
}

void TRITONSERVER_ErrorDelete(TRITONSERVER_Error *error)
{
    assert_non_null(error);
    errors_alive--;
    free(error);
}

const char *TRITONSERVER_ErrorMessage(TRITONSERVER_Error *error)
{
    return error->text;
}

/* At the head of each function that can fail. */
#define MAY_FAIL()                                                                                                   \
    do {                                                                                                             \
        if (++calls == failing_call) return TRITONSERVER_ErrorNew(TRITONSERVER_ERROR_INTERNAL, __func__);            \
    } while (0)

TRITONSERVER_Error *TRITONSERVER_LogMessage(TRITONSERVER_LogLevel level, const char *file, int line, const char *text)
{
    (void)level, (void)file, (void)line;
    assert_true(strlen(text) > 0 && text[strlen(text) - 1] != '\n');
    lines_logged++;
    MAY_FAIL();
    return NULL;
}

static TRITONSERVER_Message *message_new(const char *json, size_t size)
{
    TRITONSERVER_Message *message = __real_malloc(sizeof *message);
    assert_non_null(message);
    message->json = __real_malloc(size + 1);
    assert_non_null(message->json);
    memcpy(message->json, json, size);
    message->json[size] = '\0';
    messages_alive++;
    return message;
}

TRITONSERVER_Error *TRITONSERVER_MessageSerializeToJson(TRITONSERVER_Message *message, const char **json,
                                                        size_t *size)
{
    MAY_FAIL();
    *json = message->json;
    *size = strlen(message->json);
    return NULL;
}

TRITONSERVER_Error *TRITONSERVER_MessageNewFromSerializedJson(TRITONSERVER_Message **message, const char *json,
                                                              size_t size)
{
    MAY_FAIL();
    *message = message_new(json, size);
    return NULL;
}

TRITONSERVER_Error *TRITONSERVER_MessageDelete(TRITONSERVER_Message *message)
{
    messages_alive--;
    free(message->json);
    free(message);
    MAY_FAIL();
    return NULL;
}

/* ---- Backend ---- */

static uint32_t interface_minor = TRITON_API_MINOR;

TRITONSERVER_Error *TRITONBACKEND_ApiVersion(uint32_t *major, uint32_t *minor)
{
    MAY_FAIL();
    *major = TRITON_API_MAJOR;
    *minor = interface_minor;
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_BackendConfig(TRITONBACKEND_Backend *backend, TRITONSERVER_Message **config)
{
    MAY_FAIL();
    *config = &backend->config;
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_BackendState(TRITONBACKEND_Backend *backend, void **state)
{
    MAY_FAIL();
    *state = backend->state;
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_BackendSetState(TRITONBACKEND_Backend *backend, void *state)
{
    MAY_FAIL();
    backend->state = state;
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_BackendAttributeAddPreferredInstanceGroup(TRITONBACKEND_BackendAttribute *attribute,
                                                                            TRITONSERVER_InstanceGroupKind kind,
                                                                            uint64_t count, const uint64_t *devices,
                                                                            uint64_t device_count)
{
    MAY_FAIL();
    assert_int_equal(count, 1);
    assert_null(devices);
    assert_int_equal(device_count, 0);
    attribute->kinds[attribute->groups++] = kind;
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_BackendAttributeSetParallelModelInstanceLoading(
    TRITONBACKEND_BackendAttribute *attribute, bool on)
{
    MAY_FAIL();
    attribute->parallel = on;
    return NULL;
}

/* ---- Models and instances ---- */

TRITONSERVER_Error *TRITONBACKEND_ModelName(TRITONBACKEND_Model *model, const char **name)
{
    MAY_FAIL();
    *name = model->name;
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_ModelVersion(TRITONBACKEND_Model *model, uint64_t *version)
{
    (void)model;
    MAY_FAIL();
    *version = 1;
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_ModelRepository(TRITONBACKEND_Model *model, TRITONBACKEND_ArtifactType *type,
                                                  const char **folder)
{
    MAY_FAIL();
    *type = TRITONBACKEND_ARTIFACT_FILESYSTEM;
    *folder = model->folder;
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_ModelConfig(TRITONBACKEND_Model *model, uint32_t config_version,
                                              TRITONSERVER_Message **config)
{
    MAY_FAIL();
    assert_int_equal(config_version, 1);
    *config = message_new(model->config, strlen(model->config));
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_ModelAutoCompleteConfig(TRITONBACKEND_Model *model, bool *wanted)
{
    MAY_FAIL();
    *wanted = model->complete;
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_ModelSetConfig(TRITONBACKEND_Model *model, uint32_t config_version,
                                                 TRITONSERVER_Message *config)
{
    MAY_FAIL();
    assert_int_equal(config_version, 1);
    assert_true(model->complete);
    free(model->completed);
    model->completed = __real_malloc(strlen(config->json) + 1);
    assert_non_null(model->completed);
    strcpy(model->completed, config->json);
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_ModelBackend(TRITONBACKEND_Model *model, TRITONBACKEND_Backend **backend)
{
    MAY_FAIL();
    *backend = model->backend;
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_ModelState(TRITONBACKEND_Model *model, void **state)
{
    MAY_FAIL();
    *state = model->state;
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_ModelSetState(TRITONBACKEND_Model *model, void *state)
{
    MAY_FAIL();
    model->state = state;
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_ModelInstanceKind(TRITONBACKEND_ModelInstance *instance,
                                                    TRITONSERVER_InstanceGroupKind *kind)
{
    MAY_FAIL();
    *kind = instance->kind;
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_ModelInstanceDeviceId(TRITONBACKEND_ModelInstance *instance, int32_t *device)
{
    MAY_FAIL();
    *device = instance->device;
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_ModelInstanceModel(TRITONBACKEND_ModelInstance *instance,
                                                     TRITONBACKEND_Model **model)
{
    MAY_FAIL();
    *model = instance->model;
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_ModelInstanceState(TRITONBACKEND_ModelInstance *instance, void **state)
{
    MAY_FAIL();
    *state = instance->state;
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_ModelInstanceSetState(TRITONBACKEND_ModelInstance *instance, void *state)
{
    MAY_FAIL();
    instance->state = state;
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_ModelInstanceReportStatistics(TRITONBACKEND_ModelInstance *instance,
                                                                TRITONBACKEND_Request *request, bool success,
                                                                uint64_t start, uint64_t compute_start,
                                                                uint64_t compute_end, uint64_t end)
{
    assert_int_equal(request->released, 0);
    if (start == 0 || start > compute_start || compute_start > compute_end || compute_end > end)
        instance->disorder = true;
    success ? instance->good++ : instance->bad++;
    MAY_FAIL();
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_ModelInstanceReportBatchStatistics(TRITONBACKEND_ModelInstance *instance,
                                                                     uint64_t batch, uint64_t start,
                                                                     uint64_t compute_start, uint64_t compute_end,
                                                                     uint64_t end)
{
    if (batch == 0 || start == 0 || start > compute_start || compute_start > compute_end || compute_end > end)
        instance->disorder = true;
    instance->batches++;
    MAY_FAIL();
    return NULL;
}

/* ---- Requests and responses ---- */

TRITONSERVER_Error *TRITONBACKEND_RequestIsCancelled(TRITONBACKEND_Request *request, bool *cancelled)
{
    MAY_FAIL();
    *cancelled = request->cancelled;
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_InferenceRequestTimeoutMicroseconds(TRITONBACKEND_Request *request,
                                                                      uint64_t *timeout)
{
    MAY_FAIL();
    *timeout = request->timeout;
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_RequestInputCount(TRITONBACKEND_Request *request, uint32_t *count)
{
    MAY_FAIL();
    *count = request->input_count;
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_RequestInputByIndex(TRITONBACKEND_Request *request, uint32_t index,
                                                      TRITONBACKEND_Input **input)
{
    MAY_FAIL();
    assert_true(index < request->input_count);
    *input = &request->inputs[index];
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_RequestOutputCount(TRITONBACKEND_Request *request, uint32_t *count)
{
    MAY_FAIL();
    *count = request->output_count;
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_RequestOutputName(TRITONBACKEND_Request *request, uint32_t index, const char **name)
{
    MAY_FAIL();
    assert_true(index < request->output_count);
    *name = request->outputs[index];
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_RequestRelease(TRITONBACKEND_Request *request, uint32_t flags)
{
    assert_int_equal(flags, TRITONSERVER_REQUEST_RELEASE_ALL);
    request->released++;
    MAY_FAIL();
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_InputProperties(TRITONBACKEND_Input *input, const char **name,
                                                  TRITONSERVER_DataType *type, const int64_t **shape, uint32_t *dims,
                                                  uint64_t *bytes, uint32_t *buffers)
{
    MAY_FAIL();
    *name = input->name;
    *type = input->type;
    *shape = input->shape;
    *dims = input->dims;
    *bytes = input->bytes;
    *buffers = input->pieces;
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_InputBuffer(TRITONBACKEND_Input *input, uint32_t index, const void **data,
                                              uint64_t *bytes, TRITONSERVER_MemoryType *memory, int64_t *device)
{
    MAY_FAIL();
    assert_true(index < input->pieces);
    *data = input->piece[index].data;
    *bytes = input->piece[index].bytes;
    *memory = input->piece[index].memory;
    *device = 0;
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_ResponseNew(TRITONBACKEND_Response **response, TRITONBACKEND_Request *request)
{
    MAY_FAIL();
    request->responses++;
    request->response.request = request;
    *response = &request->response;
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_ResponseDelete(TRITONBACKEND_Response *response)
{
    response->request->deleted++;
    MAY_FAIL();
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_ResponseSetIntParameter(TRITONBACKEND_Response *response, const char *name,
                                                          int64_t value)
{
    MAY_FAIL();
    assert_string_equal(name, "positions_version");
    response->request->version = value;
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_ResponseOutput(TRITONBACKEND_Response *response, TRITONBACKEND_Output **output,
                                                 const char *name, TRITONSERVER_DataType type, const int64_t *shape,
                                                 uint32_t dims)
{
    MAY_FAIL();
    TRITONBACKEND_Request *r = response->request;
    assert_true(r->given_count < 2);
    TRITONBACKEND_Output *made = &r->given[r->given_count++];
    snprintf(made->name, sizeof made->name, "%s", name);
    made->type = type;
    made->dims = dims;
    made->skew = r->skew;
    memcpy(made->shape, shape, dims * sizeof *shape);
    *output = made;
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_OutputBuffer(TRITONBACKEND_Output *output, void **data, uint64_t bytes,
                                               TRITONSERVER_MemoryType *memory, int64_t *device)
{
    MAY_FAIL();
    assert_true(bytes < MOST_BYTES);
    output->bytes = bytes;
    output->memory = __real_aligned_alloc(64, (bytes + output->skew) / 64 * 64 + 64);
    assert_non_null(output->memory);
    output->data = output->memory + output->skew;
    *memory = TRITONSERVER_MEMORY_CPU;
    *device = 0;
    *data = output->data;
    return NULL;
}

TRITONSERVER_Error *TRITONBACKEND_ResponseSend(TRITONBACKEND_Response *response, uint32_t flags,
                                               TRITONSERVER_Error *error)
{
    TRITONBACKEND_Request *r = response->request;
    assert_int_equal(flags, TRITONSERVER_RESPONSE_COMPLETE_FINAL);
    assert_int_equal(r->released, 0);
    r->sent++;
    r->failed = error != NULL;
    if (error) {
        r->code = error->code;
        snprintf(r->error, sizeof r->error, "%s", error->text);
    }
    MAY_FAIL();
    return NULL;
}

#endif
