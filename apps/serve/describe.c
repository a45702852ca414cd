/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "describe.h"

#include <stdio.h>
#include <string.h>

static struct model *find(struct request *r)
{
    struct model *model = r->name_good ? models_find(&r->loop->server->models, r->name) : NULL;
    if (!model) {
        refuse(&r->why, 404, "Request for unknown model: '%s' is not found", r->name);
    } else if (r->version_given && !r->version_good) {
        refuse(&r->why, 404, "Request for unknown model: '%s' has version 1 alone", r->name);
        model_release(model);
        model = NULL;
    }
    return model;
}

/* Ends an answer that was written as JSON. */
static unsigned finish(struct request *r, struct json *j)
{
    r->text = j->text;
    return 200;
}

/* ---- the server ---- */

unsigned describe_server(struct request *r)
{
    const struct server *server = r->loop->server;
    const bool local = r->connection->gate->local;
    struct json j = { 0 };
    json_put_object(&j, NULL);
    json_put_text(&j, "name", "vicinal");
    json_put_text(&j, "version", vic_version());
    json_put_array(&j, "extensions");
    if (!server->options->no_admin) {
        json_put_text(&j, NULL, "model_repository");
        json_put_text(&j, NULL, "model_repository(unload_dependents)");
    }
    json_put_text(&j, NULL, "model_configuration");
    if (local && server->options->client_shm) json_put_text(&j, NULL, "system_shared_memory");
    if (local && server->options->cuda_shm) json_put_text(&j, NULL, "cuda_shared_memory");
    json_put_text(&j, NULL, "binary_tensor_data");
    json_put_text(&j, NULL, "parameters");
    json_put_text(&j, NULL, "statistics");
    json_put_array_end(&j);
    json_put_object_end(&j);
    return finish(r, &j);
}

/* ---- a model's tensors ---- */

/* Calls `add` for Q, K and V, or for O. */
static void each_tensor(const struct model *model, bool outputs, struct json *j,
                        void (*add)(struct json *j, const struct model *model, const char *name,
                                    const int64_t shape[3]))
{
    const vic_plan_options *p = &model->plan;
    const int64_t shapes[][3] = { { model->n_q, p->heads, p->head_dim },
                                  { model->n_k, p->kv_heads, p->head_dim },
                                  { model->n_k, p->kv_heads, p->head_dim_v },
                                  { model->n_q, p->heads, p->head_dim_v } };
    static const char *const names[] = { "Q", "K", "V", "O" };
    for (int i = outputs ? 3 : 0; i < (outputs ? 4 : 3); i++) add(j, model, names[i], shapes[i]);
}

static void add_sizes(struct json *j, const char *key, const int64_t shape[3], bool batched)
{
    json_put_array(j, key);
    if (batched) json_put_int(j, NULL, -1);
    for (int i = 0; i < 3; i++) json_put_int(j, NULL, shape[i]);
    json_put_array_end(j);
}

static void add_metadata(struct json *j, const struct model *model, const char *name, const int64_t shape[3])
{
    json_put_object(j, NULL);
    json_put_text(j, "name", name);
    json_put_text(j, "datatype", type_name(model->plan.dtype));
    add_sizes(j, "shape", shape, model->max_batch > 0);
    json_put_object_end(j);
}

unsigned describe_model(struct request *r)
{
    struct model *model = find(r);
    struct json j = { 0 };
    if (!model) return r->why.status;
    json_put_object(&j, NULL);
    json_put_text(&j, "name", model->name);
    json_put_array(&j, "versions");
    json_put_text(&j, NULL, "1");
    json_put_array_end(&j);
    json_put_text(&j, "platform", "vicinal");
    json_put_array(&j, "inputs");
    each_tensor(model, false, &j, add_metadata);
    json_put_array_end(&j);
    json_put_array(&j, "outputs");
    each_tensor(model, true, &j, add_metadata);
    json_put_array_end(&j);
    json_put_object_end(&j);
    model_release(model);
    return finish(r, &j);
}

/* ---- its configuration, with all members that Triton's has, since clients look for some of them ---- */

static void add_input_config(struct json *j, const struct model *model, const char *name, const int64_t shape[3])
{
    char type[24];
    snprintf(type, sizeof type, "TYPE_%s", type_name(model->plan.dtype));
    json_put_object(j, NULL);
    json_put_text(j, "name", name);
    json_put_text(j, "data_type", type);
    if (*name != 'O') json_put_text(j, "format", "FORMAT_NONE");
    add_sizes(j, "dims", shape, false);
    if (*name == 'O') json_put_text(j, "label_filename", "");
    json_put_bool(j, "is_shape_tensor", false);
    if (*name != 'O') json_put_bool(j, "allow_ragged_batch", false);
    if (*name != 'O') json_put_bool(j, "optional", false);
    json_put_bool(j, "is_non_linear_format_io", false);
    json_put_object_end(j);
}

static void add_parameter(struct json *j, const char *name, const char *value)
{
    json_put_object(j, name);
    json_put_text(j, "string_value", value);
    json_put_object_end(j);
}

static void add_number_parameter(struct json *j, const char *name, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)value);
    add_parameter(j, name, text);
}

static void add_groups(struct json *j, const struct model *model)
{
    const struct serve_options *options = model->owner->options;
    json_put_array(j, "instance_group");
    for (int i = 0; i < model->owner->engines; i++) {
        const bool gpu = options->devices[i].type == VIC_CUDA;
        char name[MOST_NAME + 16];
        snprintf(name, sizeof name, "%s_%d", model->name, i);
        json_put_object(j, NULL);
        json_put_text(j, "name", name);
        json_put_text(j, "kind", gpu ? "KIND_GPU" : "KIND_CPU");
        json_put_int(j, "count", 1);
        json_put_array(j, "gpus");
        if (gpu) json_put_int(j, NULL, options->devices[i].index);
        json_put_array_end(j);
        json_put_raw(j, "secondary_devices", "[]");
        json_put_raw(j, "profile", "[]");
        json_put_bool(j, "passive", false);
        json_put_text(j, "host_policy", "");
        json_put_object_end(j);
    }
    json_put_array_end(j);
}

static void add_parameters(struct json *j, const struct model *model)
{
    const vic_plan_options *p = &model->plan;
    json_put_object(j, "parameters");
    add_number_parameter(j, "heads", p->heads);
    add_number_parameter(j, "kv_heads", p->kv_heads);
    add_number_parameter(j, "head_dim", p->head_dim);
    add_number_parameter(j, "head_dim_v", p->head_dim_v);
    add_parameter(j, "optional_inputs", "POSITIONS,CELL");
    add_parameter(j, "optional_outputs", "LSE");
    json_put_object_end(j);
}

static void add_config(struct json *j, const struct model *model)
{
    json_put_object(j, NULL);
    json_put_text(j, "name", model->name);
    json_put_text(j, "platform", "");
    json_put_text(j, "backend", "vicinal");
    json_put_text(j, "runtime", "");
    json_put_raw(j, "version_policy", "{\"latest\":{\"num_versions\":1}}");
    json_put_int(j, "max_batch_size", model->max_batch);
    json_put_array(j, "input");
    each_tensor(model, false, j, add_input_config);
    json_put_array_end(j);
    json_put_array(j, "output");
    each_tensor(model, true, j, add_input_config);
    json_put_array_end(j);
    json_put_raw(j, "batch_input", "[]");
    json_put_raw(j, "batch_output", "[]");
    json_put_raw(
        j, "optimization",
        "{\"priority\":\"PRIORITY_DEFAULT\",\"input_pinned_memory\":{\"enable\":true},\"output_pinned_memory\":"
        "{\"enable\":true},\"gather_kernel_buffer_threshold\":0,\"eager_batching\":false}");
    if (model->max_batch > 0) {
        json_put_object(j, "dynamic_batching");
        json_put_array(j, "preferred_batch_size");
        json_put_int(j, NULL, model->max_batch);
        json_put_array_end(j);
        json_put_int(j, "max_queue_delay_microseconds", 0);
        json_put_bool(j, "preserve_ordering", false);
        json_put_int(j, "priority_levels", 0);
        json_put_int(j, "default_priority_level", 0);
        json_put_raw(j, "priority_queue_policy", "{}");
        json_put_object_end(j);
    }
    add_groups(j, model);
    json_put_text(j, "default_model_filename", "");
    json_put_raw(j, "cc_model_filenames", "{}");
    json_put_raw(j, "metric_tags", "{}");
    add_parameters(j, model);
    json_put_raw(j, "model_warmup", "[]");
    json_put_object_end(j);
}

unsigned describe_config(struct request *r)
{
    struct model *model = find(r);
    struct json j = { 0 };
    if (!model) return r->why.status;
    add_config(&j, model);
    model_release(model);
    return finish(r, &j);
}

/* ---- statistics ---- */

static void add_duration(struct json *j, const char *key, uint64_t count, uint64_t ns)
{
    json_put_object(j, key);
    json_put_int(j, "count", (int64_t)count);
    json_put_int(j, "ns", (int64_t)ns);
    json_put_object_end(j);
}

/* Every query of a launch tells how long that took: a launch of n counts n times, and its time n times. */
static void add_launches(struct json *j, const struct model *model)
{
    const struct model_counts *counts = &model->counts;
    json_put_array(j, "batch_stats");
    for (uint64_t i = 1; i < LAUNCH_SIZES; i++) {
        const uint64_t launches = (counts->launch[i].answers + i - 1) / i;
        if (launches == 0) continue;
        json_put_object(j, NULL);
        json_put_int(j, "batch_size", (int64_t)i);
        add_duration(j, "compute_input", launches, counts->launch[i].input_ns / i);
        add_duration(j, "compute_infer", launches, counts->launch[i].compute_ns / i);
        add_duration(j, "compute_output", launches, counts->launch[i].output_ns / i);
        json_put_object_end(j);
    }
    json_put_array_end(j);
}

void model_info(const struct model *model, vic_endpoint_info *out)
{
    *out = (vic_endpoint_info)VIC_INIT(vic_endpoint_info);
    for (int i = 0; i < model->owner->engines; i++) {
        vic_endpoint_info info = VIC_INIT(vic_endpoint_info);
        if (vic_endpoint_get(model->endpoint[i], &info, NULL) != VIC_OK) continue;
        if (info.version > out->version) out->version = info.version;
        out->n_q = info.n_q;
        out->n_k = info.n_k;
        out->kernel = info.kernel;
        out->bytes += info.bytes;
        out->waiting += info.waiting;
        out->running += info.running;
        out->updates += info.updates;
        out->launches += info.launches;
        out->answered += info.answered;
        for (int b = 0; b < VIC_BATCH_BUCKETS; b++) out->batch[b] += info.batch[b];
        for (int s = 0; s < VIC_STAGES; s++) {
            out->time_ns[s] += info.time_ns[s];
            for (int b = 0; b < VIC_TIME_BUCKETS; b++) out->time[s][b] += info.time[s][b];
        }
    }
}

static void add_statistics(void *to, struct model *model)
{
    const struct model_counts *c = &model->counts;
    const uint64_t success = c->success;
    vic_endpoint_info info;
    struct json *j = to;
    model_info(model, &info);
    json_put_object(j, NULL);
    json_put_text(j, "name", model->name);
    json_put_text(j, "version", "1");
    json_put_int(j, "last_inference", c->last_ms);
    json_put_int(j, "inference_count", (int64_t)c->inferences);
    json_put_int(j, "execution_count", (int64_t)info.launches);
    json_put_object(j, "inference_stats");
    add_duration(j, "success", success, c->success_ns);
    add_duration(j, "fail", c->failed, c->failed_ns);
    add_duration(j, "queue", success, c->stage_ns[VIC_STAGE_QUEUE]);
    add_duration(j, "compute_input", success, c->stage_ns[VIC_STAGE_INPUT]);
    add_duration(j, "compute_infer", success, c->stage_ns[VIC_STAGE_COMPUTE]);
    add_duration(j, "compute_output", success, c->stage_ns[VIC_STAGE_OUTPUT]);
    add_duration(j, "cache_hit", 0, 0);
    add_duration(j, "cache_miss", 0, 0);
    json_put_object_end(j);
    json_put_raw(j, "response_stats", "{}");
    add_launches(j, model);
    json_put_raw(j, "memory_usage", "[]");
    json_put_object_end(j);
}

static unsigned statistics(struct request *r, struct model *one)
{
    struct json j = { 0 };
    json_put_object(&j, NULL);
    json_put_array(&j, "model_stats");
    if (one)
        add_statistics(&j, one);
    else
        models_each(&r->loop->server->models, add_statistics, &j);
    json_put_array_end(&j);
    json_put_object_end(&j);
    return finish(r, &j);
}

unsigned describe_statistics(struct request *r)
{
    struct model *model = find(r);
    unsigned status;
    if (!model) return r->why.status;
    status = statistics(r, model);
    model_release(model);
    return status;
}

unsigned describe_all_statistics(struct request *r)
{
    return statistics(r, NULL);
}

/* ---- for the status page ---- */

static void add_status(void *to, struct model *model)
{
    struct json *j = to;
    vic_endpoint_info info;
    model_info(model, &info);
    json_put_object(j, NULL);
    json_put_text(j, "name", model->name);
    json_put_int(j, "atoms", info.n_q);
    json_put_int(j, "heads", model->plan.heads);
    json_put_int(j, "head_dim", model->plan.head_dim);
    json_put_text(j, "dtype", vic_dtype_name(model->plan.dtype));
    json_put_text(j, "kernel", info.kernel ? info.kernel : "");
    json_put_int(j, "bytes", (int64_t)info.bytes);
    json_put_int(j, "version", (int64_t)info.version);
    json_put_int(j, "waiting", info.waiting);
    json_put_int(j, "running", info.running);
    json_put_int(j, "answered", (int64_t)model->counts.success);
    json_put_int(j, "failed", (int64_t)model->counts.failed);
    json_put_int(j, "launches", (int64_t)info.launches);
    json_put_array(j, "microseconds"); /* how many took at most 2^i */
    for (int b = 0; b < VIC_TIME_BUCKETS; b++) json_put_int(j, NULL, (int64_t)info.time[VIC_STAGE_TOTAL][b]);
    json_put_array_end(j);
    json_put_object_end(j);
}

unsigned describe_status(struct request *r)
{
    struct server *server = r->loop->server;
    struct json j = { 0 };
    json_put_object(&j, NULL);
    json_put_text(&j, "version", vic_version());
    json_put_bool(&j, "ready", server->ready);
    json_put_real(&j, "seconds", seconds_now() - server->started);
    json_put_int(&j, "connections", server->connections);
    json_put_int(&j, "under_way", server->under_way);
    json_put_int(&j, "requests", (int64_t)server->requests);
    json_put_int(&j, "refused", (int64_t)server->refused);
    json_put_int(&j, "memory", (int64_t)server->room.used);
    json_put_int(&j, "memory_most", (int64_t)server->room.most);
    json_put_int(&j, "regions", region_table_count(server->regions));
    json_put_array(&j, "devices");
    for (int i = 0; i < server->options->device_count; i++) {
        const vic_device device = server->options->devices[i];
        char name[24];
        snprintf(name, sizeof name, device.type == VIC_CUDA ? "cuda:%d" : "cpu", device.index);
        json_put_text(&j, NULL, name);
    }
    json_put_array_end(&j);
    json_put_array(&j, "models");
    models_each(&server->models, add_status, &j);
    json_put_array_end(&j);
    json_put_object_end(&j);
    return finish(r, &j);
}
