/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "commands/serve_models.h"

#include "vicinal_dev.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SERVER_OPTIONS = 7, LIMIT_OPTIONS = 7, SAFETY_OPTIONS = 6, ENGINE_OPTIONS = 5 };

struct command_line {
    struct serve_options serve;
    struct serve_models models;
    bool no_tcp, any_device;
};

/* ---- devices ---- */

static int gpus_there(vic_device *out)
{
    vic_device_info device = VIC_INIT(vic_device_info);
    int count = 0;
    for (int i = 1; count < MOST_DEVICES && vic_device_get(i, &device, NULL) == VIC_OK; i++)
        if (device.device.type == VIC_CUDA) out[count++] = device.device;
    return count;
}

/* "cuda:0,cuda:2" */
static bool read_list(const char *text, struct serve_options *o)
{
    o->device_count = 0;
    do {
        const size_t length = strcspn(text, ",");
        char word[24], *end;
        long index = 0;
        if (length >= sizeof word || o->device_count == MOST_DEVICES) return false;
        snprintf(word, sizeof word, "%.*s", (int)length, text);
        if (strncmp(word, "cuda", 4) != 0) return false;
        if (word[4] == ':' && word[5] >= '0' && word[5] <= '9') {
            index = strtol(word + 5, &end, 10);
            if (*end || index > 1023) return false;
        } else if (word[4]) {
            return false;
        }
        for (int i = 0; i < o->device_count; i++)
            if (o->devices[i].index == index) return false;
        o->devices[o->device_count++] = (vic_device){ VIC_CUDA, (int32_t)index };
        text += length;
    } while (*text++ == ',');
    return true;
}

static vic_status take_devices(const struct option *option, const char *text, vic_error *err)
{
    struct command_line *c = option->target;
    struct serve_options *o = &c->serve;
    c->any_device = strcmp(text, "auto") == 0;
    o->device_count = 1;
    o->devices[0] = (vic_device){ VIC_CPU, 0 };
    if (strcmp(text, "cpu") == 0) return VIC_OK;
    if (strcmp(text, "all") == 0 || c->any_device) {
        const int gpus = gpus_there(o->devices);
        o->device_count = gpus == 0 || c->any_device ? 1 : gpus;
        return VIC_OK;
    }
    if (read_list(text, o)) return VIC_OK;
    return fail(err, VIC_BAD_ARGUMENT,
                "--device: expected auto, cpu, cuda, cuda:N, several as in cuda:0,cuda:1, or all, got '%s'", text);
}

/* ---- sizes ---- */

/* 64K, 16M, 2G, or bytes. */
static vic_status take_bytes(const struct option *option, const char *text, vic_error *err)
{
    static const char units[] = "KMGT";
    char *end;
    double value = strtod(text, &end);
    const char *unit = *end ? strchr(units, *end) : NULL;
    if (unit) value *= (double)(1LL << (10 * (unit - units + 1)));
    if (end == text || *text < '0' || *text > '9' || (*end && (!unit || end[1])) || !(value >= option->min) ||
        value > option->max)
        return fail(err, VIC_BAD_ARGUMENT, "%s: expected bytes from %.0f to %.0f, as in 64M or 2G, got '%s'",
                    option->name, option->min, option->max, text);
    *(int64_t *)option->target = (int64_t)value;
    return VIC_OK;
}

/* 0 is a time, too. */
static vic_status take_seconds(const struct option *option, const char *text, vic_error *err)
{
    double value;
    if (!number_real(text, &value) || value < option->min || value > option->max)
        return fail(err, VIC_BAD_ARGUMENT, "%s: expected seconds from %g to %g, got '%s'", option->name, option->min,
                    option->max, text);
    *(double *)option->target = value;
    return VIC_OK;
}

/* ---- options ---- */

static void server_rows(struct command_line *c, struct option rows[SERVER_OPTIONS])
{
    struct serve_options *o = &c->serve;
    const struct option all[SERVER_OPTIONS] = {
        { "--models", "DIR",
          "serve a model for each DIR/NAME.json: {\"structure\": \"1crn.pdb\", \"cutoff\": 8, \"heads\": 4, ...}, "
          "members being options of this command and files being sought in DIR",
          OPTION_TEXT, &c->models.folder, 0, 0, NULL, NULL },
        { "--host", "ADDRESS", "where to listen; default 127.0.0.1, and elsewhere only with --token-file",
          OPTION_TEXT, &o->host, 0, 0, NULL, NULL },
        { "--port", "N", "default 8000; 0: any that is free, which the line `ready:` names", OPTION_INT, &o->port, 0,
          65535, NULL, NULL },
        { "--unix", "PATH", "listen on this socket too, for clients of the same user", OPTION_TEXT, &o->unix_path, 0,
          0, NULL, NULL },
        { "--no-tcp", NULL, "listen on --unix alone", OPTION_FLAG, &c->no_tcp, 0, 0, NULL, NULL },
        { "--http-threads", "N", "threads that speak HTTP; default 1, 2 from 8 cores and 4 from 16 on", OPTION_INT,
          &o->loops, 1, MOST_LOOPS, NULL, NULL },
        { "--log-requests", NULL, "a line on stderr for every request, not only for those that fail", OPTION_FLAG,
          &o->log_requests, 0, 0, NULL, NULL },
    };
    memcpy(rows, all, sizeof all);
}

static void engine_rows(struct command_line *c, struct option rows[ENGINE_OPTIONS])
{
    struct serve_options *o = &c->serve;
    const struct option all[ENGINE_OPTIONS] = {
        { "--device", "WHERE",
          "auto (default: a GPU with a kernel, else the CPU), cpu, cuda, cuda:N, several (cuda:0,cuda:1) or all; each "
          "has every model, and a query goes to the one that has least to do",
          OPTION_CUSTOM, c, 0, 0, NULL, take_devices },
        { "--threads", "N", "of the CPU, that attention runs on; default: all that this process may use", OPTION_INT,
          &o->threads, 1, 4096, NULL, NULL },
        { "--build-threads", "N", "that build patterns of new positions beside it; default: half of those",
          OPTION_INT, &o->build_threads, 1, 4096, NULL, NULL },
        { "--max-launch", "N", "queries that share a launch at most; default 64", OPTION_INT, &o->max_launch, 1, 4096,
          NULL, NULL },
        { "--max-delay", "S", "seconds that a query may wait for others to share its launch; default 0",
          OPTION_CUSTOM, &o->max_delay, 0, 86400, NULL, take_seconds },
    };
    memcpy(rows, all, sizeof all);
}

static void safety_rows(struct command_line *c, struct option rows[SAFETY_OPTIONS])
{
    struct serve_options *o = &c->serve;
    const struct option all[SAFETY_OPTIONS] = {
        { "--token-file", "FILE",
          "a file of one line, the secret that clients must send (Authorization: Bearer ...) for all but health",
          OPTION_TEXT, &o->token_file, 0, 0, NULL, NULL },
        { "--allow-client-shm", NULL, "let clients of this machine register system shared memory", OPTION_FLAG,
          &o->client_shm, 0, 0, NULL, NULL },
        { "--allow-cuda-shm", NULL, "the same for memory of a GPU; for clients that you trust alone", OPTION_FLAG,
          &o->cuda_shm, 0, 0, NULL, NULL },
        { "--admin-port", "N", "load and unload models on this port of 127.0.0.1 alone; 0: any that is free",
          OPTION_INT, &o->admin_port, 0, 65535, NULL, NULL },
        { "--no-admin", NULL, "neither load nor unload", OPTION_FLAG, &o->no_admin, 0, 0, NULL, NULL },
        { "--connections", "N", "open at most; default 1024", OPTION_INT, &o->connections, 1, 100000, NULL, NULL },
    };
    memcpy(rows, all, sizeof all);
}

static void limit_rows(struct command_line *c, struct option rows[LIMIT_OPTIONS])
{
    struct serve_options *o = &c->serve;
    const struct option all[LIMIT_OPTIONS] = {
        { "--queue", "N", "queries of a model that wait or run at most, beyond which 503 is answered; default 4096",
          OPTION_INT, &o->queue, 1, 1000000, NULL, NULL },
        { "--timeout", "S", "seconds in which a query must be launched; default 0, no limit", OPTION_CUSTOM,
          &o->timeout, 0, 86400, NULL, take_seconds },
        { "--max-body", "BYTES", "of a request with tensors; default 1G", OPTION_CUSTOM, &o->max_body, 65536,
          (double)(1LL << 40), NULL, take_bytes },
        { "--memory", "BYTES", "of all bodies and answers at a time; default 4G", OPTION_CUSTOM, &o->memory, 1 << 20,
          (double)(1LL << 44), NULL, take_bytes },
        { "--idle-timeout", "S", "until a connection without a complete request is closed; default 120",
          OPTION_CUSTOM, &o->idle_timeout, 1, 86400, NULL, take_seconds },
        { "--drain-delay", "S",
          "after SIGTERM, seconds of being not ready and still answering, until balancers have noticed; default 0",
          OPTION_CUSTOM, &o->drain_delay, 0, 3600, NULL, take_seconds },
        { "--drain-timeout", "S", "seconds that requests under way then have; default 30", OPTION_CUSTOM,
          &o->drain_timeout, 0, 86400, NULL, take_seconds },
    };
    memcpy(rows, all, sizeof all);
}

static void defaults(struct command_line *c)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    c->serve = (struct serve_options){ .host = "127.0.0.1",
                                       .port = 8000,
                                       .admin_port = -1,
                                       .drain_timeout = 30,
                                       .idle_timeout = 120,
                                       .max_body = 1LL << 30,
                                       .memory = 4LL << 30,
                                       .queue = 4096,
                                       .connections = 1024,
                                       .loops = cores < 8    ? 1
                                                : cores < 16 ? 2
                                                             : 4 };
    serve_models_init(&c->models);
}

static const char notes[] =
    "Each FILE is a model under its name without folder and ending: vicinal serve 1crn.pdb --cutoff 8 serves 1crn.\n"
    "FILE may be whatever `vicinal pattern --help` names at its end.  A model takes Q, K and V [atoms, heads, head\n"
    "size] and answers O; new POSITIONS with a query change it for all that follow.  SIGTERM ends it when all that\n"
    "was accepted is answered.  docs/howto/serve.md shows clients, docs/protocol.md has routes, limits and errors.";

static vic_status check(struct command_line *c, vic_error *err)
{
    if (c->no_tcp) c->serve.port = -1;
    if (c->models.file_count == 0 && !c->models.folder)
        return fail(
            err, VIC_BAD_ARGUMENT,
            "FILE is missing: vicinal serve FILE... --cutoff R, or --models DIR; `vicinal serve --help` shows "
            "both");
    if (c->serve.memory / 2 < c->serve.max_body)
        return fail(err, VIC_BAD_ARGUMENT,
                    "--memory: expected twice --max-body or more, for a body and its answer; got %lld and %lld bytes",
                    (long long)c->serve.memory, (long long)c->serve.max_body);
    return serve_models_check(&c->models, err);
}

static vic_status run(struct command_line *c, vic_error *err)
{
    const vic_device cpu = { VIC_CPU, 0 };
    const struct option device = { .name = "--device", .target = c };
    vic_status st;
    if (c->serve.device_count == 0) TRY(take_devices(&device, "auto", err));
    c->models.threads = c->serve.build_threads ? c->serve.build_threads : c->serve.threads;
    c->serve.source = serve_models_source(&c->models);
    st = serve(&c->serve, err);
    if (st == VIC_NO_KERNEL && c->any_device && c->serve.devices[0].type == VIC_CUDA) {
        fprintf(stderr, "vicinal serve: GPU present, not used: %s\n", err->text);
        c->serve.devices[0] = cpu;
        st = serve(&c->serve, err);
    }
    vic_context_free(c->models.context);
    return st;
}

vic_status cmd_serve(int argc, char **argv, vic_error *err)
{
    static struct command_line c; /* too large for a stack that is small */
    struct option server[SERVER_OPTIONS], engine[ENGINE_OPTIONS], safety[SAFETY_OPTIONS], limits[LIMIT_OPTIONS];
    struct serve_rows rows;
    const struct option_group groups[] = {
        { "Server", server, SERVER_OPTIONS },         { "Engine", engine, ENGINE_OPTIONS },
        { "Safety", safety, SAFETY_OPTIONS },         { "Limits", limits, LIMIT_OPTIONS },
        { "Pattern", rows.pattern, PATTERN_OPTIONS }, { "Attention", rows.attention, SERVE_ATTENTION },
        { "Model", rows.model, MODEL_OPTIONS },       { "Structure", rows.structure, STRUCTURE_OPTIONS }
    };
    const struct syntax syntax = {
        "serve",
        "FILE...",
        "Keep models in memory and answer attention over HTTP by the Open Inference Protocol, for "
        "the unchanged clients of Triton and KServe.",
        notes,
        groups,
        8
    };
    bool helped;
    defaults(&c);
    server_rows(&c, server);
    engine_rows(&c, engine);
    safety_rows(&c, safety);
    limit_rows(&c, limits);
    serve_model_rows(&c.models.base, &c.models.max_batch, &rows);
    TRY(options_read_many(&syntax, argc, argv, c.models.files, MOST_MODELS, &c.models.file_count, &helped, err));
    if (helped) return VIC_OK;
    TRY(check(&c, err));
    return run(&c, err);
}
