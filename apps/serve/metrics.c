/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "metrics.h"

#include "describe.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Figures are taken once, so that all that is written of a model is of one moment, or nearly. */
struct sample {
    char name[MOST_NAME + 1];
    vic_endpoint_info info;
    uint64_t success, failed, inferences, success_ns, stage_ns[VIC_STAGES];
};

struct samples {
    struct sample *list;
    int count, room;
};

static void take(void *to, struct model *model)
{
    struct samples *s = to;
    struct sample *one;
    if (s->count == s->room) return;
    one = &s->list[s->count++];
    memcpy(one->name, model->name, sizeof one->name);
    model_info(model, &one->info);
    one->success = model->counts.success;
    one->failed = model->counts.failed;
    one->inferences = model->counts.inferences;
    one->success_ns = model->counts.success_ns;
    for (int i = 0; i < VIC_STAGES; i++) one->stage_ns[i] = model->counts.stage_ns[i];
}

static void head(struct buffer *b, const char *name, const char *type, const char *help)
{
    buffer_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* ---- of each model ---- */

enum figure {
    SUCCESS,
    FAILURE,
    INFERENCES,
    LAUNCHES,
    REQUEST_US,
    QUEUE_US,
    INPUT_US,
    COMPUTE_US,
    OUTPUT_US,
    PENDING,
    DEPTH,
    VERSION,
    UPDATES
};

static uint64_t figure(const struct sample *s, enum figure which)
{
    switch (which) {
    case SUCCESS: return s->success;
    case FAILURE: return s->failed;
    case INFERENCES: return s->inferences;
    case LAUNCHES: return s->info.launches;
    case REQUEST_US: return s->success_ns / 1000;
    case QUEUE_US: return s->stage_ns[VIC_STAGE_QUEUE] / 1000;
    case INPUT_US: return s->stage_ns[VIC_STAGE_INPUT] / 1000;
    case COMPUTE_US: return s->stage_ns[VIC_STAGE_COMPUTE] / 1000;
    case OUTPUT_US: return s->stage_ns[VIC_STAGE_OUTPUT] / 1000;
    case PENDING:
    case DEPTH: return (uint64_t)s->info.waiting;
    case VERSION: return s->info.version;
    default: return s->info.updates;
    }
}

static void write_figures(struct buffer *b, const struct samples *s)
{
    static const struct {
        enum figure which;
        const char *name, *type, *help;
    } rows[] = {
        { SUCCESS, "nv_inference_request_success", "counter", "Inference requests answered" },
        { FAILURE, "nv_inference_request_failure", "counter", "Inference requests refused or failed" },
        { INFERENCES, "nv_inference_count", "counter", "Inferences: a request with a batch counts each item" },
        { LAUNCHES, "nv_inference_exec_count", "counter", "Launches, each of one query or several" },
        { REQUEST_US, "nv_inference_request_duration_us", "counter", "Microseconds of answered requests, in all" },
        { QUEUE_US, "nv_inference_queue_duration_us", "counter", "Microseconds that they waited" },
        { INPUT_US, "nv_inference_compute_input_duration_us", "counter", "Microseconds of copying inputs" },
        { COMPUTE_US, "nv_inference_compute_infer_duration_us", "counter", "Microseconds of the kernel" },
        { OUTPUT_US, "nv_inference_compute_output_duration_us", "counter", "Microseconds of copying outputs" },
        { PENDING, "nv_inference_pending_request_count", "gauge", "Queries that wait" },
        { DEPTH, "vicinal_queue_depth", "gauge", "Queries that wait" },
        { VERSION, "vicinal_positions_version", "gauge", "Number of the positions that queries are answered with" },
        { UPDATES, "vicinal_updates_total", "counter", "Changes of the positions" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        head(b, rows[i].name, rows[i].type, rows[i].help);
        for (int m = 0; m < s->count; m++)
            buffer_printf(b, "%s{model=\"%s\",version=\"1\"} %" PRIu64 "\n", rows[i].name, s->list[m].name,
                          figure(&s->list[m], rows[i].which));
    }
}

static void write_batches(struct buffer *b, const struct samples *s)
{
    head(b, "vicinal_batch_size", "histogram", "Queries of a launch");
    for (int m = 0; m < s->count; m++) {
        const struct sample *one = &s->list[m];
        uint64_t sum = 0;
        for (int i = 0; i < VIC_BATCH_BUCKETS; i++) {
            sum += one->info.batch[i];
            buffer_printf(b, "vicinal_batch_size_bucket{model=\"%s\",version=\"1\",le=\"%d\"} %" PRIu64 "\n",
                          one->name, 1 << i, sum);
        }
        buffer_printf(b,
                      "vicinal_batch_size_bucket{model=\"%s\",version=\"1\",le=\"+Inf\"} %" PRIu64
                      "\nvicinal_batch_size_sum{model=\"%s\",version=\"1\"} %" PRIu64
                      "\nvicinal_batch_size_count{model=\"%s\",version=\"1\"} %" PRIu64 "\n",
                      one->name, sum, one->name, one->info.answered, one->name, sum);
    }
}

static void write_stage(struct buffer *b, const struct sample *s, const char *stage, int index)
{
    uint64_t sum = 0;
    for (int i = 0; i < VIC_TIME_BUCKETS; i++) {
        sum += s->info.time[index][i];
        if (i < VIC_TIME_BUCKETS - 1) /* the last one has no upper end */
            buffer_printf(b,
                          "vicinal_stage_seconds_bucket{model=\"%s\",version=\"1\",stage=\"%s\",le=\"%.9g\"} %" PRIu64
                          "\n",
                          s->name, stage, 1e-6 * (double)(1u << i), sum);
    }
    buffer_printf(b,
                  "vicinal_stage_seconds_bucket{model=\"%s\",version=\"1\",stage=\"%s\",le=\"+Inf\"} %" PRIu64
                  "\nvicinal_stage_seconds_sum{model=\"%s\",version=\"1\",stage=\"%s\"} %.9g"
                  "\nvicinal_stage_seconds_count{model=\"%s\",version=\"1\",stage=\"%s\"} %" PRIu64 "\n",
                  s->name, stage, sum, s->name, stage, 1e-9 * (double)s->info.time_ns[index], s->name, stage, sum);
}

static void write_stages(struct buffer *b, const struct samples *s)
{
    static const char *const stages[VIC_STAGES] = { "queue", "input", "compute", "output", "total" };
    head(b, "vicinal_stage_seconds", "histogram", "Where the time of answered queries went");
    for (int m = 0; m < s->count; m++)
        for (int i = 0; i < VIC_STAGES; i++) write_stage(b, &s->list[m], stages[i], i);
}

/* ---- of the server ---- */

static void write_one(struct buffer *b, const char *name, const char *type, const char *help, uint64_t value)
{
    head(b, name, type, help);
    buffer_printf(b, "%s %" PRIu64 "\n", name, value);
}

static void write_server(struct buffer *b, struct server *server)
{
    write_one(b, "vicinal_ready", "gauge", "1 while the server wants requests", server->ready);
    write_one(b, "vicinal_connections", "gauge", "Open connections", (uint64_t)server->connections);
    write_one(b, "vicinal_requests_under_way", "gauge", "Requests being worked on", (uint64_t)server->under_way);
    write_one(b, "vicinal_requests_total", "counter", "HTTP requests answered", server->requests);
    write_one(b, "vicinal_requests_refused_total", "counter", "Of these with an error", server->refused);
    write_one(b, "vicinal_memory_bytes", "gauge", "Memory of bodies and answers in use", server->room.used);
    write_one(b, "vicinal_regions", "gauge", "Shared memory regions", (uint64_t)region_table_count(server->regions));
}

static void write_gpus(struct buffer *b, const struct server *server)
{
    static const char *const names[] = { "nv_gpu_utilization", "nv_gpu_power_usage", "nv_gpu_memory_used_bytes",
                                         "nv_gpu_memory_total_bytes" };
    static const char *const help[] = { "Share of time that the GPU was busy, 0 to 1", "Watt", "Bytes", "Bytes" };
    const struct serve_options *options = server->options;
    struct serve_gpu gpus[MOST_DEVICES];
    int count = 0;
    for (int i = 0; i < options->device_count && options->source.watch_gpu; i++)
        if (options->devices[i].type == VIC_CUDA &&
            options->source.watch_gpu(options->source.user, options->devices[i], &gpus[count]))
            count++;
    for (int i = 0; i < 4 && count > 0; i++) {
        head(b, names[i], "gauge", help[i]);
        for (int g = 0; g < count; g++) {
            const double values[] = { gpus[g].utilization, gpus[g].power_watt, (double)gpus[g].memory_used,
                                      (double)gpus[g].memory_total };
            buffer_printf(b, "%s{gpu_uuid=\"%s\"} %.17g\n", names[i], gpus[g].uuid, values[i]);
        }
    }
}

unsigned metrics_write(struct request *r)
{
    struct server *server = r->loop->server;
    struct samples samples = { .room = MOST_MODELS };
    samples.list = calloc(MOST_MODELS, sizeof *samples.list);
    if (!samples.list) return refuse(&r->why, 503, "no memory for the metrics"), 503;
    models_each(&server->models, take, &samples);
    write_server(&r->text, server);
    write_figures(&r->text, &samples);
    write_batches(&r->text, &samples);
    write_stages(&r->text, &samples);
    write_gpus(&r->text, server);
    free(samples.list);
    return 200;
}
