/* SPDX-License-Identifier: Apache-2.0 */
/* What a model's config.pbtxt says: the parameters of docs/howto/triton.md, inputs and outputs. */
#ifndef VICINAL_TRITON_CONFIG_H
#define VICINAL_TRITON_CONFIG_H

#include "triton.h"
#include "vicinal_structure.h"

/* Inputs first, then outputs. */
enum { TENSOR_Q, TENSOR_K, TENSOR_V, TENSOR_POSITIONS, TENSOR_CELL, INPUTS, TENSOR_O = INPUTS, TENSOR_LSE, TENSORS };
extern const char *const tensor_names[TENSORS];

struct config_tensor {
    vic_dtype dtype; /* unknown = the configuration does not have it */
    int ndim;
    int64_t shape[3]; /* without the batch dimension; -1 = any */
};

struct config {
    char file[512]; /* of the version's folder: a structure, a pattern; or a text for vic_pattern_generate() */
    double cutoff;
    int64_t nearest;
    bool no_self;
    vic_read_options read;

    vic_dtype positions; /* of the parameter */
    char kernel[64];
    vic_plan_options plan;
    double scale; /* 0 = 1 / sqrt(head size), but with zero_scale 0 */
    bool zero_scale;
    int32_t max_batch, max_queue;
    double max_delay, timeout; /* seconds */

    bool batches;                           /* max_batch_size > 0: tensors have a batch dimension in front */
    bool complete_inputs, complete_outputs; /* there are none: config_complete() fills them in */
    struct config_tensor tensors[TENSORS];
};

/* Reads what Triton's JSON says, and checks what can be checked without the pattern. */
vic_status config_read(struct json json, struct config *out, vic_error *err);

/* Fills tensors that are to be completed, and holds the others against the pattern. */
vic_status config_check(struct config *config, const vic_pattern *pattern, vic_error *err);

/* The JSON with the inputs and outputs that were missing; freed by free(). */
vic_status config_complete(const struct config *config, struct json json, char **out, vic_error *err);

/* The model's pattern, from files of `folder`. */
vic_status config_pattern(const struct config *config, vic_context *c, const char *folder, vic_pattern **out,
                          vic_error *err);

#endif
