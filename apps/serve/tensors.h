/* SPDX-License-Identifier: Apache-2.0 */
/* What the JSON of an inference request says: read and checked by itself, before a model or the bytes behind it are
 * looked at.  A pure function of the text, so that the same text need not be read twice. */
#ifndef VICINAL_SERVE_TENSORS_H
#define VICINAL_SERVE_TENSORS_H

#include "limits.h"
#include "vicinal.h"

#include <jansson.h>

enum input { INPUT_Q, INPUT_K, INPUT_V, INPUT_POSITIONS, INPUT_CELL, INPUTS };
enum output { OUTPUT_O, OUTPUT_LSE, OUTPUTS };
extern const char *const input_names[INPUTS];
extern const char *const output_names[OUTPUTS];

enum place {
    PLACE_NONE, /* not there, or not wanted */
    PLACE_BINARY,
    PLACE_JSON,
    PLACE_REGION
};

struct tensor_head {
    enum place place;
    vic_dtype dtype; /* inputs; of a type that vicinal knows, else unknown and `type` is its name */
    char type[16];
    int rank;
    int64_t shape[MOST_RANK];
    size_t bytes;  /* of shape and type; of an output in a region the room there */
    size_t offset; /* among the binary tensors, or in the region */
    char region[MOST_NAME + 1];
    const json_t *data; /* PLACE_JSON: of `root` */
};

struct infer_head {
    struct tensor_head input[INPUTS], output[OUTPUTS];
    enum output order[OUTPUTS]; /* in which outputs were asked for */
    int outputs;
    char id[MOST_ID]; /* as JSON, with its quotes; "" = none */
    double timeout;   /* seconds; 0 = none given */
    size_t binary;    /* bytes behind the JSON */
    json_t *root;     /* only where some tensor is JSON; infer_head_close() */
};

/* Why a request is refused, for the client: nothing of this machine's inside. */
struct refusal {
    unsigned status; /* of HTTP; 0 = not refused */
    char text[600];
};
bool refuse(struct refusal *why, unsigned status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* false: refused. */
bool infer_head_read(const char *text, size_t size, struct infer_head *out, struct refusal *why);
void infer_head_close(struct infer_head *head);

/* Numbers of an input that is JSON, flat or nested as its shape is, into `to`, `bytes` long. */
bool infer_numbers(const struct tensor_head *t, const char *name, void *to, struct refusal *why);

/* Types by the protocol's names ("FP32"); "" and unknown where there is none. */
vic_dtype type_by_name(const char *name);
const char *type_name(vic_dtype dtype);

/* Names of models and regions: [A-Za-z0-9_.-]{1,64}. */
bool good_name(const char *name);

/* Bytes of a shape; false when they do not fit. */
bool shape_bytes(int rank, const int64_t *shape, size_t element, size_t *out);
const char *shape_words(int rank, const int64_t *shape, char out[96]); /* "[5,2,8]" */

#endif
