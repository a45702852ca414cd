/* SPDX-License-Identifier: Apache-2.0 */
/* The tensors of a run: read from files, or generated. */
#ifndef VICINAL_CLI_TENSOR_IO_H
#define VICINAL_CLI_TENSOR_IO_H

#include "arrays/array.h"

/* Read `given` = FILE.npy, FILE.safetensors or FILE.safetensors:NAME, which must hold `shape` of `dtype`: precision
 * is never changed in silence.  `option` ("q") names it in errors, and is the tensor looked for in a file of
 * several. */
vic_status tensor_load(const char *given, const char *option, vic_dtype dtype, const int64_t shape[3],
                       struct array *out, vic_error *err);

/* Its shape and type alone, without the numbers; and the check of its type. */
vic_status tensor_look(const char *given, const char *option, struct array *out, vic_error *err);
vic_status tensor_check_type(const char *given, const char *option, vic_dtype dtype, const struct array *a,
                             vic_error *err);

/* Standard normal numbers; `stream` distinguishes q, k and v.  Each row (first index) has a sequence of its own, made
 * with correctly rounded operations only: the same bits on every machine and for every number of threads. */
vic_status tensor_generate(uint64_t seed, int stream, vic_dtype dtype, const int64_t shape[3], int threads,
                           struct array *out, vic_error *err);

/* A .npy or .safetensors name, by its ending. */
enum tensor_format { FORMAT_NONE, FORMAT_NPY, FORMAT_SAFETENSORS };
enum tensor_format tensor_format(const char *path, size_t length);

uint64_t splitmix64(uint64_t *state);
double random_unit(uint64_t *state); /* [0, 1) */

#endif
