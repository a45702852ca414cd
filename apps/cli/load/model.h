/* SPDX-License-Identifier: Apache-2.0 */
/* A model as its server describes it, and an inference request for it. */
#ifndef VICINAL_CLI_MODEL_H
#define VICINAL_CLI_MODEL_H

#include "json.h"
#include "load/http.h"

enum { MODEL_TENSORS = 16, MODEL_DIMS = 8 };

struct model_tensor {
    char name[64], datatype[8]; /* "FP32" */
    int ndim;
    int64_t shape[MODEL_DIMS]; /* without -1, once asked for */
    size_t bytes;
};

struct model {
    char name[256], server[256]; /* the server's name and version */
    int inputs, outputs;
    struct model_tensor input[MODEL_TENSORS], output[MODEL_TENSORS];
};

/* Metadata and configuration.  `name` NULL: the only ready model of the repository.  Optional inputs are left out.
 * `batch`: what a first dimension of -1 becomes; above 1 without one it is put before the others. `outputs`: names
 * divided by commas; NULL = the first alone. */
vic_status model_ask(const struct http_server *s, const char *name, int batch, const char *outputs, struct model *out,
                     vic_error *err);

/* What stands in the answers of a server, on its own for tests. */
vic_status model_read_metadata(const char *text, size_t size, struct model *out, vic_error *err);
vic_status model_drop_optional(const char *config, size_t size, struct model *m, vic_error *err);
vic_status model_set_shapes(struct model *m, int batch, vic_error *err);
vic_status model_not_understood(const char *what, const struct json_cursor *c, const char *text, vic_error *err);

size_t model_input_bytes(const struct model *m);
size_t model_output_bytes(const struct model *m);

/* The request's head and JSON, behind which binary inputs go.  With regions inputs are at offset `input_at` of region
 * `inputs`, one behind the other, and outputs go likewise to `output_at` of `outputs`, each in its own 256 bytes;
 * NULL = the bytes of the request and of its answer. */
void model_request(struct buffer *to, const struct http_server *s, const struct model *m, const char *inputs,
                   size_t input_at, const char *outputs, size_t output_at);

/* Where tensor `index` of `count` begins: each at a multiple of 256 bytes.  index = count: the end. */
size_t model_place(const struct model_tensor *tensors, int index);

#endif
