/* SPDX-License-Identifier: Apache-2.0 */
/* What bench_serve.c, which runs the load, and bench_serve_report.c share. */
#ifndef VICINAL_CLI_BENCH_SERVE_H
#define VICINAL_CLI_BENCH_SERVE_H

#include "commands/bench.h"
#include "load/load.h"
#include "load/model.h"
#include "load/regions.h"

#include <pthread.h>

enum { MOST_TOKEN = 4096 };

struct serve_options {
    const char *url, *unix_path, *token_file, *model, *outputs;
    int connections, threads, arrivals, batch, shm, inputs, pid;
    double rate, seconds, warm_up, timeout;
    uint64_t seed;
    vic_device device;
    bool json;
};

/* What a run of it holds. */
struct serve_bench {
    struct serve_options o;
    struct http_server server;
    char token[MOST_TOKEN];
    struct model model;
    struct buffer inputs; /* of one request, one behind the other; for regions each at its place there */
    struct buffer *heads; /* [requests] */
    int head_count;
    struct http_parts *requests; /* [connections] */
    struct regions regions;
    size_t answer_room; /* that a connection's outputs take in regions.out */
    struct load_result result;

    /* What every answer must be. */
    struct buffer reference; /* the outputs of the first answer */
    pthread_mutex_t checking;
    char *fetched; /* outputs that were just read from a region */
};

vic_status bench_serve_json(const struct serve_bench *b, int argc, char **argv, vic_error *err);
void bench_serve_text(const struct serve_bench *b);

#endif
