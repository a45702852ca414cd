/* SPDX-License-Identifier: Apache-2.0 */
/* Dense arrays in files: .npy (numpy), .npz (several, zipped), .safetensors.  What comes from strangers is checked
 * before anything is allocated: a header that lies is an error that says so, never a crash. */
#ifndef VICINAL_CLI_ARRAY_H
#define VICINAL_CLI_ARRAY_H

#include "cli.h"

enum { ARRAY_DIMS = 8 };

/* Row-major, little-endian. */
struct array {
    vic_dtype dtype;
    int ndim;
    int64_t shape[ARRAY_DIMS];
    size_t bytes;
    void *data; /* malloc()ed by the readers */
};

/* One array to write, with its name.  `type` is numpy's name of an element as the file shall say it: "<f4", "<i4". */
struct npz_member {
    const char *name, *type;
    int ndim;
    int64_t shape[ARRAY_DIMS];
    size_t item;
    const void *data;
};

struct safetensors_member {
    const char *name;
    vic_dtype dtype;
    int ndim;
    int64_t shape[ARRAY_DIMS];
    const void *data;
};

vic_status npy_read(const char *path, struct array *out, vic_error *err);
/* With `tensor` NULL the file must hold exactly one tensor, or one of the name `otherwise`. */
vic_status safetensors_read(const char *path, const char *tensor, const char *otherwise, struct array *out,
                            vic_error *err);
/* The same without the numbers: shape and type, data NULL. */
vic_status npy_look(const char *path, struct array *out, vic_error *err);
vic_status safetensors_look(const char *path, const char *tensor, const char *otherwise, struct array *out,
                            vic_error *err);
vic_status npy_write(const char *path, const struct npz_member *array, vic_error *err);
vic_status npz_write(const char *path, const struct npz_member *arrays, int count, vic_error *err);
/* `metadata`: a JSON object whose values are texts, or NULL. */
vic_status safetensors_write(const char *path, const char *metadata, const struct safetensors_member *tensors,
                             int count, vic_error *err);
void array_free(struct array *a);

/* The parsers, apart from files, for tests: `bytes` is the start of the file, `file_size` its whole size.  On success
 * the data begins at *data_at and lies in the file. */
vic_status npy_parse(const char *path, const char *bytes, size_t size, uint64_t file_size, struct array *out,
                     uint64_t *data_at, vic_error *err);
vic_status safetensors_parse(const char *path, const char *header, size_t size, uint64_t file_size,
                             const char *tensor, const char *otherwise, struct array *out, uint64_t *data_at,
                             vic_error *err);

/* Shape and numpy's name of the type, whatever it is. */
vic_status npy_parse_header(const char *path, const char *bytes, size_t size, struct array *out, char type[16],
                            uint64_t *data_at, vic_error *err);

struct buffer;
void npy_header(const struct npz_member *array, struct buffer *out); /* magic, version, padded dictionary */

/* The records of a zip archive, apart from files too: an archive past 4 GiB is no test.  An entry's record stands
 * before its bytes and, `central`, in the directory of `size` bytes at `start`, which npz_end() ends. */
struct npz_entry {
    char name[64];
    uint64_t size, offset;
    uint32_t crc;
};
void npz_entry(struct buffer *b, const struct npz_entry *e, bool central);
void npz_end(struct buffer *b, int count, uint64_t start, uint64_t size);

/* Bytes of a shape; false on a negative entry or overflow. */
bool array_bytes(int ndim, const int64_t *shape, size_t item, size_t *bytes);
const char *shape_text(int ndim, const int64_t *shape, char out[128]); /* "[660, 4, 64]" */
const char *npy_type(vic_dtype dtype);                                 /* "<f4"; NULL for bfloat16 */
vic_dtype npy_dtype(const char *type);                                 /* VIC_DTYPE_UNKNOWN for others */

/* Elements as doubles, whatever their type; storing rounds to nearest even. */
double element_load(vic_dtype dtype, const void *data, int64_t index);
void element_store(vic_dtype dtype, void *data, int64_t index, double value);

#endif
