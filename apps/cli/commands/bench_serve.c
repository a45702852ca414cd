/* SPDX-License-Identifier: Apache-2.0 */
/* Load on a server: what is asked for, and the run.  How load is made: load/load.h. */
#include "commands/bench_serve.h"

#include "arrays/tensor_io.h"
#include "infile.h"
#include "numbers.h"
#include "progress.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOAD_OPTIONS = 8, REQUEST_OPTIONS = 7, SERVER_OPTIONS = 3, CHECK_EVERY = 1000 };

/* ---- options ---- */

static vic_status take_unix(const struct option *o, const char *text, vic_error *err)
{
    struct serve_options *s = o->target;
    if (!*text) return fail(err, VIC_BAD_ARGUMENT, "--unix: expected PATH, got nothing");
    s->unix_path = text;
    s->url = "--unix";
    return VIC_OK;
}

static vic_status take_cuda(const struct option *o, const char *text, vic_error *err)
{
    struct serve_options *s = o->target;
    int64_t index = 0;
    if (strncmp(text, "cuda", 4) != 0 || (text[4] && text[4] != ':') ||
        (text[4] && !(number_int64(text + 5, &index) && index >= 0 && index < 1024)))
        return fail(err, VIC_BAD_ARGUMENT, "--device: expected cuda or cuda:N, got '%s'", text);
    s->device = (vic_device){ VIC_CUDA, (int32_t)index };
    return VIC_OK;
}

static void load_rows(struct serve_options *s, struct option rows[LOAD_OPTIONS])
{
    const struct option all[LOAD_OPTIONS] = {
        { "--connections", "N", "connections that stay open; default 16", OPTION_INT, &s->connections, 1, 65536, NULL,
          NULL },
        { "--rate", "R", "open loop: R requests a second are due, whatever the answers; default: closed loop",
          OPTION_REAL, &s->rate, 0, 1e8, NULL, NULL },
        { "--arrivals", "HOW", "open loop: even (default) or random (exponential gaps)", OPTION_CHOICE, &s->arrivals,
          0, 0, "even|random", NULL },
        { "--seconds", "S", "that are measured; default 10", OPTION_REAL, &s->seconds, 0, 86400, NULL, NULL },
        { "--warm-up", "S", "seconds of load before; default 1", OPTION_REAL, &s->warm_up, -1e-9, 3600, NULL, NULL },
        { "--timeout", "S", "seconds that an answer may take; default 10", OPTION_REAL, &s->timeout, 0, 3600, NULL,
          NULL },
        { "--threads", "N", "of this load generator; default: a quarter of the processors, at least 1", OPTION_INT,
          &s->threads, 1, 256, NULL, NULL },
        { "--json", NULL, "one JSON object on stdout, and nothing else", OPTION_FLAG, &s->json, 0, 0, NULL, NULL },
    };
    memcpy(rows, all, sizeof all);
}

static void request_rows(struct serve_options *s, struct option rows[REQUEST_OPTIONS])
{
    const struct option all[REQUEST_OPTIONS] = {
        { "--model", "NAME", "default: the only one that the server has", OPTION_TEXT, &s->model, 0, 0, NULL, NULL },
        { "--batch", "B", "first dimension of all tensors, where the model leaves it open; default 1", OPTION_INT,
          &s->batch, 1, 4096, NULL, NULL },
        { "--outputs", "NAMES", "outputs to ask for, divided by commas; default: the model's first", OPTION_TEXT,
          &s->outputs, 0, 0, NULL, NULL },
        { "--inputs", "WHICH", "normal (default: random numbers, as `vicinal run` takes them) or zero", OPTION_CHOICE,
          &s->inputs, 0, 0, "normal|zero", NULL },
        { "--seed", "N", "of random inputs and gaps; default 0", OPTION_UINT64, &s->seed, 0, 0, NULL, NULL },
        { "--shm", "KIND", "none (default: tensors in the bodies), system or cuda: memory shared with the server",
          OPTION_CHOICE, &s->shm, 0, 0, "none|system|cuda", NULL },
        { "--device", "WHERE", "the GPU of --shm cuda; default cuda:0", OPTION_CUSTOM, s, 0, 0, NULL, take_cuda },
    };
    memcpy(rows, all, sizeof all);
}

static void server_rows(struct serve_options *s, struct option rows[SERVER_OPTIONS])
{
    const struct option all[SERVER_OPTIONS] = {
        { "--unix", "PATH", "the server's unix socket, in place of URL", OPTION_CUSTOM, s, 0, 0, NULL, take_unix },
        { "--token-file", "FILE", "whose first line is sent as a bearer token", OPTION_INPUT, &s->token_file, 0, 0,
          NULL, NULL },
        { "--pid", "N", "the server's process on this machine: processor time and memory are told", OPTION_INT,
          &s->pid, 1, 1 << 30, NULL, NULL },
    };
    memcpy(rows, all, sizeof all);
}

static vic_status complete(struct serve_bench *b, vic_error *err)
{
    struct serve_options *s = &b->o;
    double cpu;
    int64_t rss;
    if (s->arrivals == 1 && s->rate <= 0.0)
        return fail(err, VIC_BAD_ARGUMENT, "--arrivals random needs an open loop: give --rate too");
    if (s->device.type == VIC_CUDA && s->shm != REGIONS_CUDA)
        return fail(err, VIC_BAD_ARGUMENT, "--device chooses the GPU of --shm cuda: give that too");
    if (s->shm == REGIONS_CUDA && s->device.type != VIC_CUDA) s->device = (vic_device){ VIC_CUDA, 0 };
    if (s->pid && !process_look(s->pid, &cpu, &rss))
        return fail(err, VIC_BAD_ARGUMENT, "--pid: this machine has no process %d", s->pid);
    if (s->threads == 0) s->threads = (int)(sysconf(_SC_NPROCESSORS_ONLN) / 4);
    if (s->threads == 0) s->threads = 1;
    if (s->threads > s->connections) s->threads = s->connections;
    return VIC_OK;
}

static vic_status read_token(struct serve_bench *b, vic_error *err)
{
    struct infile in;
    size_t size;
    vic_status st;
    if (!b->o.token_file) return VIC_OK;
    TRY(infile_open(&in, b->o.token_file, err));
    size = in.size < sizeof b->token ? (size_t)in.size : sizeof b->token - 1;
    st = infile_read(&in, 0, b->token, size, err);
    infile_close(&in);
    if (st != VIC_OK) return st;
    b->token[strcspn(b->token, "\r\n")] = '\0';
    if (!b->token[0])
        return fail(err, VIC_BAD_INPUT, "--token-file %s: expected a token in its first line, found none",
                    b->o.token_file);
    b->server.token = b->token;
    return VIC_OK;
}

/* ---- requests ---- */

static vic_dtype real_type(const char *datatype)
{
    if (strcmp(datatype, "FP32") == 0) return VIC_F32;
    if (strcmp(datatype, "FP16") == 0) return VIC_F16;
    return strcmp(datatype, "BF16") == 0 ? VIC_BF16 : VIC_DTYPE_UNKNOWN;
}

/* Rows are the first dimensions, as in `vicinal run`, which makes the same numbers of the same seed for a lone set. */
static vic_status add_input(struct serve_bench *b, int index, vic_error *err)
{
    const struct model_tensor *t = &b->model.input[index];
    const vic_dtype dtype = real_type(t->datatype);
    struct array values = { 0 };
    int64_t shape[3] = { 1, 1, 1 };
    vic_status st;
    for (int i = 0; i < t->ndim; i++) shape[i < t->ndim - 2 ? 0 : i - t->ndim + 3] *= t->shape[i];
    if (dtype == VIC_DTYPE_UNKNOWN || b->o.inputs == 1)
        st = allocate((int64_t)t->bytes, 1, "the inputs", &values.data, err);
    else
        st = tensor_generate(b->o.seed, index, dtype, shape, 0, &values, err);
    if (st == VIC_OK) buffer_add(&b->inputs, values.data, t->bytes);
    if (st == VIC_OK) st = buffer_check(&b->inputs, "the inputs", err);
    free(values.data);
    return st;
}

static vic_status make_inputs(struct serve_bench *b, vic_error *err)
{
    static const char padding[256];
    for (int i = 0; i < b->model.inputs; i++) {
        TRY(add_input(b, i, err));
        if (b->o.shm != REGIONS_NONE)
            buffer_add(&b->inputs, padding, model_place(b->model.input, i + 1) - b->inputs.size);
    }
    return buffer_check(&b->inputs, "the inputs", err);
}

static vic_status make_requests(struct serve_bench *b, vic_error *err)
{
    const bool shared = b->o.shm != REGIONS_NONE;
    const int count = shared ? b->o.connections : 1; /* with regions each connection has a place for its answers */
    TRY(allocate(count, sizeof *b->heads, "the requests", &b->heads, err));
    TRY(allocate(b->o.connections, sizeof *b->requests, "the requests", &b->requests, err));
    if (shared) {
        size_t bytes;
        b->answer_room = model_place(b->model.output, b->model.outputs);
        if (!size_product((int64_t)b->answer_room, b->o.connections, 1, &bytes))
            return fail(err, VIC_NO_MEMORY, "answers of %d connections do not fit this machine", b->o.connections);
        TRY(regions_open(&b->server, (enum region_kind)b->o.shm, b->o.device, b->inputs.data, b->inputs.size, bytes,
                         &b->regions, err));
    }
    b->head_count = count;
    for (int i = 0; i < count; i++) {
        struct buffer *head = &b->heads[i];
        model_request(head, &b->server, &b->model, shared ? b->regions.in.name : NULL, 0,
                      shared ? b->regions.out.name : NULL, (size_t)i * b->answer_room);
        TRY(buffer_check(head, "the requests", err));
    }
    for (int i = 0; i < b->o.connections; i++) {
        const struct buffer *head = &b->heads[shared ? i : 0];
        b->requests[i] = (struct http_parts){ head->data, shared ? NULL : b->inputs.data, head->size,
                                              shared ? 0 : b->inputs.size };
    }
    return VIC_OK;
}

/* ---- what answers must be ---- */

/* The outputs of an answer that has come over this connection; NULL where they are not to be had. */
static const char *outputs_of(struct serve_bench *b, int connection, const char *body, size_t json, size_t size)
{
    vic_error err;
    if (b->o.shm == REGIONS_NONE) return size - json == b->reference.size ? body + json : NULL;
    if (regions_read(&b->regions, (size_t)connection * b->answer_room, b->fetched, b->answer_room, &err) != VIC_OK)
        return NULL;
    return b->fetched;
}

static bool is_right(void *user, int connection, const char *body, const struct http_head *head)
{
    struct serve_bench *b = user;
    const char *outputs;
    bool same;
    pthread_mutex_lock(&b->checking);
    outputs = outputs_of(b, connection, body, head->json_size, head->body_size);
    same = outputs && memcmp(outputs, b->reference.data, b->reference.size) == 0;
    pthread_mutex_unlock(&b->checking);
    return same;
}

/* One request before all others: a server that refuses it is not loaded, and says why. */
static vic_status try_one(struct serve_bench *b, vic_error *err)
{
    struct buffer answer = { 0 };
    size_t json = 0;
    int status = 0;
    vic_status st;
    TRY_GOTO(http_exchange(&b->server, "a first inference", &b->requests[0], &status, &json, &answer, err), done);
    if (status != 200) {
        st = fail(err, VIC_FAILED, "%s: a first inference of model %s: the server answers %d: %.400s",
                  b->server.label, b->model.name, status, answer.data);
        goto done;
    }
    if (b->o.shm == REGIONS_NONE && answer.size - json != model_output_bytes(&b->model)) {
        st = fail(err, VIC_FAILED, "%s: expected %zu bytes of outputs, got %zu", b->server.label,
                  model_output_bytes(&b->model), answer.size - json);
        goto done;
    }
    if (b->o.shm == REGIONS_NONE) {
        buffer_add(&b->reference, answer.data + json, answer.size - json);
    } else {
        TRY_GOTO(allocate((int64_t)b->answer_room, 1, "an answer", &b->fetched, err), done);
        TRY_GOTO(regions_read(&b->regions, 0, b->fetched, b->answer_room, err), done);
        buffer_add(&b->reference, b->fetched, b->answer_room);
    }
    st = buffer_check(&b->reference, "an answer", err);
done:
    buffer_free(&answer);
    return st;
}

/* ---- the run ---- */

static vic_status run(struct serve_bench *b, vic_error *err)
{
    struct load_options load = { .server = &b->server,
                                 .connections = b->o.connections,
                                 .threads = b->o.threads,
                                 .rate = b->o.rate,
                                 .random_gaps = b->o.arrivals == 1,
                                 .seed = b->o.seed,
                                 .warm_up = b->o.warm_up,
                                 .seconds = b->o.seconds,
                                 .timeout = b->o.timeout,
                                 .pid = b->o.pid,
                                 .right = is_right,
                                 .user = b,
                                 .check_every = CHECK_EVERY };
    TRY(complete(b, err));
    load.threads = b->o.threads;
    TRY(http_server_find(b->o.url, b->o.unix_path, &b->server, err));
    TRY(read_token(b, err));
    TRY(model_ask(&b->server, b->o.model, b->o.batch, b->o.outputs, &b->model, err));
    TRY(make_inputs(b, err));
    TRY(make_requests(b, err));
    load.requests = b->requests;
    TRY(try_one(b, err));
    progress_phase("load");
    TRY(load_run(&load, &b->result, err));
    progress_end();
    return VIC_OK;
}

static void release(struct serve_bench *b)
{
    load_free(&b->result);
    regions_close(&b->server, &b->regions);
    for (int i = 0; i < b->head_count; i++) buffer_free(&b->heads[i]);
    free(b->heads);
    free(b->requests);
    free(b->fetched);
    buffer_free(&b->inputs);
    buffer_free(&b->reference);
    pthread_mutex_destroy(&b->checking);
}

static int64_t answers_of(const struct load_result *r)
{
    int64_t count = 0;
    for (int i = 0; i < LOAD_CODES; i++) count += r->codes[i];
    return count;
}

/* Said after the report: a run without a right answer, or with a wrong one, has failed. */
static vic_status verdict(const struct load_result *r, vic_error *err)
{
    if (r->different > 0)
        return fail(err, VIC_FAILED,
                    "%s of %s answers that were compared differ from the first one, to the same request",
                    count_text(r->different).s, count_text(r->checked).s);
    if (r->latency.count == 0)
        return fail(err, VIC_FAILED, "of %s none was answered with status 200; %s came with another",
                    counted(r->due, "request").s, counted(answers_of(r), "answer").s);
    return VIC_OK;
}

static const char notes[] =
    "URL: http://HOST:PORT of `vicinal serve`, Triton or another server of the Open Inference Protocol (KServe v2).\n"
    "Shapes and types are asked of the server.  In a closed loop each connection has one request under way; in an "
    "open\nloop latencies count from when a request was due, so that waiting for a server that stands still is not "
    "left out.\nOne answer in 1,000 is compared with the first one, bit for bit.";

vic_status bench_serve(int argc, char **argv, vic_error *err)
{
    struct serve_bench *b = NULL;
    struct option load[LOAD_OPTIONS], request[REQUEST_OPTIONS], server[SERVER_OPTIONS];
    const struct option_group groups[] = { { "Load", load, LOAD_OPTIONS },
                                           { "Requests", request, REQUEST_OPTIONS },
                                           { "Server", server, SERVER_OPTIONS } };
    const struct syntax syntax = {
        "bench serve", "URL", "How many requests a second a server answers, and how soon.", notes, groups, 3
    };
    bool helped;
    vic_status st;
    TRY(allocate(1, sizeof *b, "the load", &b, err));
    pthread_mutex_init(&b->checking, NULL);
    b->o = (struct serve_options){ .connections = 16, .batch = 1, .seconds = 10.0, .warm_up = 1.0, .timeout = 10.0 };
    load_rows(&b->o, load);
    request_rows(&b->o, request);
    server_rows(&b->o, server);
    TRY_GOTO(options_read(&syntax, argc, argv, &b->o.url, &helped, err), done);
    if (helped) goto done;
    TRY_GOTO(run(b, err), done);
    if (b->o.json)
        TRY_GOTO(bench_serve_json(b, argc, argv, err), done);
    else
        bench_serve_text(b);
    st = verdict(&b->result, err);
    if (st != VIC_OK) (void)text_end(&(vic_error){ VIC_OK, "" });
done:
    release(b);
    free(b);
    return st;
}
