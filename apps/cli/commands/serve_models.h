/* SPDX-License-Identifier: Apache-2.0 */
/* Models of `serve`: each is a file on the command line or a JSON file in --models, whose members are the options of the
 * command, and so is what a client that loads may say. */
#ifndef VICINAL_CLI_SERVE_MODELS_H
#define VICINAL_CLI_SERVE_MODELS_H

#include "commands/run.h"
#include "serve/serve.h"

enum { SERVE_ATTENTION = 7, MODEL_OPTIONS = 1 };

struct serve_models {
    struct run_options base; /* of the command line; where others say nothing */
    int max_batch;
    const char *files[MOST_MODELS];
    int file_count;
    const char *folder; /* NULL: none */
    int threads; /* of the context, which the first model opens: no thread shall be there before signals are blocked */
    vic_context *context;
};

void serve_models_init(struct serve_models *m);
/* The rows of what may differ from model to model; they point into *run and *max_batch. */
struct serve_rows {
    struct option pattern[PATTERN_OPTIONS], attention[ATTENTION_OPTIONS], structure[STRUCTURE_OPTIONS];
    struct option model[MODEL_OPTIONS];
};
void serve_model_rows(struct run_options *run, int *max_batch, struct serve_rows *rows);

struct serve_source serve_models_source(struct serve_models *m);
/* BAD_ARGUMENT: two files of one name, or a name that the protocol does not take. */
vic_status serve_models_check(const struct serve_models *m, vic_error *err);

#endif
