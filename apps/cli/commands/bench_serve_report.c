/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/bench_serve.h"
#include "numbers.h"
#include "stats.h"
#include "text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static double rate_of(const struct serve_bench *b)
{
    return (double)b->result.done / b->result.seconds;
}

static void tensors_json(struct json *j, const char *key, const struct model_tensor *tensors, int count)
{
    json_put_array(j, key);
    for (int i = 0; i < count; i++) {
        json_put_object(j, NULL);
        json_put_text(j, "name", tensors[i].name);
        json_put_text(j, "datatype", tensors[i].datatype);
        json_put_array(j, "shape");
        for (int k = 0; k < tensors[i].ndim; k++) json_put_int(j, NULL, tensors[i].shape[k]);
        json_put_array_end(j);
        json_put_object_end(j);
    }
    json_put_array_end(j);
}

static void json_load(struct json *j, const struct serve_options *o)
{
    static const char *const kinds[] = { "none", "system", "cuda" };
    json_put_text(j, "loop", o->rate > 0.0 ? "open" : "closed");
    json_put_int(j, "connections", o->connections);
    json_put_int(j, "threads", o->threads);
    if (o->rate > 0.0) json_put_real(j, "rate_asked", o->rate);
    if (o->rate > 0.0) json_put_text(j, "arrivals", o->arrivals == 1 ? "random" : "even");
    json_put_real(j, "seconds", o->seconds);
    json_put_real(j, "warm_up", o->warm_up);
    json_put_text(j, "shm", kinds[o->shm]);
    json_put_text(j, "inputs_are", o->inputs == 1 ? "zero" : "normal");
}

static void json_process(struct json *j, const struct serve_bench *b)
{
    const struct load_result *r = &b->result;
    json_put_real(j, "client_cpu_seconds", r->own_cpu);
    if (isnan(r->server_cpu)) return;
    json_put_object(j, "server_process");
    json_put_real(j, "cpu_seconds", r->server_cpu);
    json_put_real(j, "cpu_seconds_per_answer", r->done > 0 ? r->server_cpu / (double)r->done : NAN);
    json_put_int(j, "rss_before", r->rss_before);
    json_put_int(j, "rss_after", r->rss_after);
    json_put_object_end(j);
}

vic_status bench_serve_json(const struct serve_bench *b, int argc, char **argv, vic_error *err)
{
    const struct load_result *r = &b->result;
    struct json j = { 0 };
    char code[16];
    vic_status st;
    json_put_object(&j, NULL);
    bench_json_command(&j, "serve", argc, argv);
    json_put_text(&j, "url", b->server.label);
    json_put_text(&j, "server", b->model.server);
    json_put_text(&j, "model", b->model.name);
    tensors_json(&j, "inputs", b->model.input, b->model.inputs);
    tensors_json(&j, "outputs", b->model.output, b->model.outputs);
    json_put_int(&j, "request_bytes", (int64_t)(b->requests[0].head_size + b->requests[0].body_size));
    json_load(&j, &b->o);
    json_put_int(&j, "due", r->due);
    json_put_int(&j, "answers", r->done);
    json_put_real(&j, "answers_per_second", rate_of(b));
    json_put_array(&j, "each_second");
    for (int64_t i = 0; i < r->whole_seconds; i++) json_put_int(&j, NULL, r->each_second[i]);
    json_put_array_end(&j);
    json_put_real(&j, "relative_sigma", variation(r->each_second, r->whole_seconds));
    json_put_object(&j, "status");
    for (int i = 0; i < LOAD_CODES; i++) {
        if (r->codes[i] == 0) continue;
        snprintf(code, sizeof code, "%d", i);
        json_put_int(&j, code, r->codes[i]);
    }
    json_put_object_end(&j);
    histogram_json(&j, "latency", &r->latency);
    histogram_json(&j, "service", &r->service);
    histogram_json(&j, "refusals", &r->refusals);
    json_put_int(&j, "unsent", r->unsent);
    json_put_int(&j, "connections_lost", r->lost);
    json_put_int(&j, "connections_refused", r->refused);
    json_put_int(&j, "late", r->late);
    json_put_int(&j, "not_http", r->wrong);
    json_put_int(&j, "checked", r->checked);
    json_put_int(&j, "different", r->different);
    json_process(&j, b);
    json_put_object_end(&j);
    st = json_print(&j, err);
    json_free(&j);
    return st;
}

static void text_tensors(const char *label, const struct model_tensor *tensors, int count, const char *where)
{
    char line[512];
    size_t used = 0, bytes = 0;
    for (int i = 0; i < count && used < sizeof line; i++) {
        used += (size_t)snprintf(line + used, sizeof line - used, "%s%s %s [", i ? ", " : "", tensors[i].name,
                                 tensors[i].datatype);
        for (int k = 0; k < tensors[i].ndim && used < sizeof line; k++)
            used +=
                (size_t)snprintf(line + used, sizeof line - used, "%s%" PRId64, k ? ", " : "", tensors[i].shape[k]);
        if (used < sizeof line) used += (size_t)snprintf(line + used, sizeof line - used, "]");
        bytes += tensors[i].bytes;
    }
    text_row(label, "%s; %s a request, %s", count ? line : "none", bytes_text(bytes).s, where);
}

static void text_times(const char *label, const struct histogram *h)
{
    if (h->count == 0) return;
    printf("  %-18s%12s %10s %10s %10s %10s %10s\n", label, count_text(h->count).s,
           seconds_text(histogram_quantile(h, 0.5)).s, seconds_text(histogram_quantile(h, 0.95)).s,
           seconds_text(histogram_quantile(h, 0.99)).s, seconds_text(histogram_quantile(h, 0.999)).s,
           seconds_text(histogram_quantile(h, 1.0)).s);
}

static void text_failures(const struct load_result *r)
{
    for (int i = 0; i < LOAD_CODES; i++)
        if (r->codes[i] > 0 && i != 200) text_row("status", "%d: %s", i, counted(r->codes[i], "answer").s);
    if (r->unsent) text_row("unsent", "%s of %s that were due", count_text(r->unsent).s, count_text(r->due).s);
    if (r->lost) text_row("lost", "%s broke under a request", counted(r->lost, "connection").s);
    if (r->refused) text_row("not made", "%s", counted(r->refused, "connection").s);
    if (r->late) text_row("late", "%s", counted(r->late, "answer").s);
    if (r->wrong) text_row("not HTTP", "%s", counted(r->wrong, "answer").s);
}

void bench_serve_text(const struct serve_bench *b)
{
    static const char *const places[] = { "in the body", "in shared memory", "in shared memory of the GPU" };
    const struct serve_options *o = &b->o;
    const struct load_result *r = &b->result;
    const double sigma = variation(r->each_second, r->whole_seconds);
    char loop[96] = "closed loop";
    text_title("%s: %s", b->server.label, b->model.server);
    text_row("model", "%s", b->model.name);
    text_tensors("inputs", b->model.input, b->model.inputs, places[o->shm]);
    text_tensors("outputs", b->model.output, b->model.outputs, places[o->shm]);
    if (o->rate > 0.0)
        snprintf(loop, sizeof loop, "open loop, %s requests a second at %s times", plain_text(o->rate).s,
                 o->arrivals == 1 ? "random" : "even");
    text_row("load", "%s; %s, %s, %s after %s", loop, counted(o->connections, "connection").s,
             counted(o->threads, "thread").s, seconds_text(o->seconds).s, seconds_text(o->warm_up).s);
    text_row("answers", "%s, %s a second", count_text(r->done).s, fixed_text(rate_of(b), 1).s);
    if (!isnan(sigma))
        text_row("variation", "%s %% (sigma over mean of %s)", fixed_text(100.0 * sigma, 2).s,
                 counted(r->whole_seconds, "second").s);
    printf("  %-18s%12s %10s %10s %10s %10s %10s\n", "", "answers", "P50", "P95", "P99", "P99.9", "most");
    text_times("latency", &r->latency);
    if (o->rate > 0.0) text_times("from sending", &r->service);
    text_times("refused (503)", &r->refusals);
    text_failures(r);
    text_row("compared", "%s with the first answer, %s different", count_text(r->checked).s,
             count_text(r->different).s);
    if (!isnan(r->server_cpu))
        text_row("server", "%s of processor time an answer, %s processors; %s before, %s after",
                 seconds_text(r->done ? r->server_cpu / (double)r->done : 0.0).s,
                 fixed_text(r->server_cpu / r->seconds, 2).s, bytes_text((uint64_t)r->rss_before).s,
                 bytes_text((uint64_t)r->rss_after).s);
    text_row("this program", "%s processors", fixed_text(r->own_cpu / r->seconds, 2).s);
}
