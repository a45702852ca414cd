/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays of whole numbers from .npy and .npz files: pairs, block masks, flags. */
#ifndef VICINAL_CLI_INTS_H
#define VICINAL_CLI_INTS_H

#include "arrays/array.h"

struct ints {
    int ndim;
    int64_t shape[ARRAY_DIMS];
    int64_t count;
    int64_t *values; /* NULL when only the shape was asked for */
};
void ints_free(struct ints *a);

/* A .npy of booleans or integers of any size. */
vic_status ints_read_npy(const char *path, struct ints *out, vic_error *err);

/* The same as a member "NAME.npy" of a .npz, stored or deflated.  Absent: *found is false, and that is no error. */
vic_status ints_read_npz(const char *path, const char *name, bool *found, struct ints *out, vic_error *err);
/* Its shape alone, whatever its type; `text` gets the characters of a string of up to 15 ("bsr"), else "". */
vic_status ints_read_shape(const char *path, const char *name, bool *found, struct ints *out, char text[16],
                           vic_error *err);

/* What a file begins with. */
enum file_kind { FILE_OTHER, FILE_ZIP, FILE_NPY, FILE_VNP, FILE_UNREADABLE };
vic_status file_unreadable(const char *path, vic_error *err); /* says why, for a file of that kind */
enum file_kind file_kind(const char *path);                   /* OTHER also for folders, pipes and names of nothing */

#endif
