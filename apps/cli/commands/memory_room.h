/* SPDX-License-Identifier: Apache-2.0 */
/* What memory there is, and refusing what will not fit before it is built. */
#ifndef VICINAL_CLI_MEMORY_ROOM_H
#define VICINAL_CLI_MEMORY_ROOM_H

#include "cli.h"

struct memory_room {
    uint64_t bytes;   /* UINT64_MAX: unknown */
    const char *from; /* where that is from: "RLIMIT_AS (ulimit -v)"; static */
};

/* The least of what the system has free, what the control groups of this process leave it, and its address space.
 * `root` stands before the paths of /proc and /sys, for tests; "" for this machine. */
struct memory_room memory_room(const char *root);

/* Around a call that builds a pattern. */
struct memory_guard {
    struct memory_room room;
    double beside; /* bytes that are needed besides the pattern: tensors, results */
    vic_pattern_estimate estimate;
};

/* Sets the limit in `options`, none with `force`.  NO_MEMORY when what is needed besides is too much already. */
vic_status memory_guard_open(struct memory_guard *g, bool force, double beside, vic_pattern_options *options,
                             vic_error *err);
/* `st` as it came; where the build was refused, `err` explains it in the command's words.  `nearest` 0: by a cutoff. */
vic_status memory_guard_close(const struct memory_guard *g, int nearest, double cutoff, vic_status st,
                              vic_error *err);

/* NO_MEMORY when `bytes` for `what` are not there, unless forced. */
vic_status memory_check(bool force, double bytes, const char *what, const char *advice, vic_error *err);

#endif
