/* SPDX-License-Identifier: Apache-2.0 */
/* A regular file of known size, read in pieces. */
#ifndef VICINAL_CLI_INFILE_H
#define VICINAL_CLI_INFILE_H

#include "cli.h"

struct infile {
    int descriptor;
    uint64_t size;
    const char *path;
};

vic_status infile_open(struct infile *in, const char *path, vic_error *err); /* CANNOT_READ also for folders, pipes */
vic_status infile_read(struct infile *in, uint64_t at, void *out, size_t count, vic_error *err);
void infile_close(struct infile *in);

#endif
