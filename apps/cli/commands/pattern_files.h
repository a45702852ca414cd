/* SPDX-License-Identifier: Apache-2.0 */
/* What patterns are made of besides structures: lists of pairs, flags of atoms, block masks, from numpy's files. */
#ifndef VICINAL_CLI_PATTERN_FILES_H
#define VICINAL_CLI_PATTERN_FILES_H

#include "cli.h"

struct pair_file {
    int64_t n;
    int32_t *query, *key, *image; /* image NULL = none given */
};

/* A .npz with i, j and perhaps image [pairs, 3], or a .npy [pairs, 2]; pairs_free() also after a failure. */
vic_status pairs_read(const char *path, struct pair_file *out, vic_error *err);
void pairs_free(struct pair_file *p);

vic_pair_list pairs_list(const struct pair_file *p); /* which borrows */

/* A .npy [atoms] of flags, 1 for atoms that are left out; *mask, freed with free(), has 1 for the others. */
vic_status skip_read(const char *path, int64_t atoms, uint8_t **mask, vic_error *err);
vic_tensor mask_tensor(uint8_t *mask, int64_t atoms); /* for vic_points; none where `mask` is NULL */

/* The pattern of a mask that scipy.sparse.save_npz() wrote: the blocks of a BSR matrix, or those of 128 x 128 that
 * the entries of a CSR matrix stand for.  `skip_path` may be NULL. */
vic_status mask_open(vic_context *c, const char *path, const char *skip_path, vic_pattern **out, vic_error *err);

#endif
