/* SPDX-License-Identifier: Apache-2.0 */
/* A file that is complete or not there: written beside its place under a temporary name, and renamed when done.
 * Devices and pipes (/dev/null) are written in place.  After a failed write the later ones do nothing.  A signal that
 * ends the command removes what is not complete (unfinished.h). */
#ifndef VICINAL_CLI_OUTFILE_H
#define VICINAL_CLI_OUTFILE_H

#include "cli.h"

#include <stdio.h>

struct outfile {
    FILE *stream;
    char *path;      /* where it shall be, symbolic links followed */
    char *temporary; /* NULL when written in place */
    const char *shown;
    int failure; /* errno of the first failed write */
};

/* CANNOT_WRITE for a directory, a folder that is missing or not writable. */
vic_status outfile_open(struct outfile *o, const char *path, vic_error *err);
int outfile_descriptor(const struct outfile *o); /* for a writer that wants one, in place of outfile_write() */
void outfile_write(struct outfile *o, const void *bytes, size_t count);
/* Give the file its name; any write that failed is reported here and leaves nothing behind. */
vic_status outfile_commit(struct outfile *o, vic_error *err);
void outfile_abandon(struct outfile *o); /* remove what was written; harmless after commit and on a zeroed struct */

/* All of it in one call. */
vic_status outfile_save(const char *path, const void *bytes, size_t count, vic_error *err);

/* Would outfile_open() refuse?  Asked before the work, so that nobody computes for an hour to learn it then. */
vic_status outfile_probe(const char *path, vic_error *err);

#endif
