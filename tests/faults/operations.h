/* SPDX-License-Identifier: Apache-2.0 */
/* What is done with one failure after the other.  An operation returns its status and has freed everything; when it
 * succeeds it has looked at its result.  It runs in an empty folder with the files of operations_setup(), and
 * `output` is the only file that it may change. */
#ifndef VIC_TESTS_FAULTS_OPERATIONS_H
#define VIC_TESTS_FAULTS_OPERATIONS_H

#include "objects.h"

enum operation_kind {
    PLAIN,
    READS, /* a file: also done ten thousand times */
    DRAWS, /* pictures, 0.2 s each time and seconds under a sanitizer: there not with each failure */
};

struct operation {
    const char *name;
    vic_status (*run)(const char *argument, vic_error *err);
    const char *argument, *output; /* NULL = writes nothing */
    enum operation_kind kind;
};

extern const struct operation structure_operations[];
extern const struct operation library_operations[];
extern const struct operation cli_operations[];
extern const int structure_operation_count, library_operation_count, cli_operation_count;

/* What it is for is done when the file is refused for what is in it. */
vic_status refused(vic_status st, vic_error *err);

vic_status command(const char *line, vic_error *err); /* "info seed.pdb", with exactly one space between words */

vic_status serve_queries(const char *unused, vic_error *err); /* by an engine */
void engine_setup(void);
void engine_teardown(void);

void write_archives(void);   /* deflated.npz, wide.npz (zip64), mask.npz, pairs.npy and skip.npy, for seed.extxyz */
void structures_setup(void); /* files of structures, and what is broken; called by operations_setup() */
void structures_teardown(void);
void operations_setup(void); /* makes the files, with nothing failing */
void operations_teardown(void);

#endif
