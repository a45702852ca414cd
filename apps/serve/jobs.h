/* SPDX-License-Identifier: Apache-2.0 */
/* One thread for what takes long: loading, unloading, and letting models go. */
#ifndef VICINAL_SERVE_JOBS_H
#define VICINAL_SERVE_JOBS_H

#include "cli.h"

struct job {
    struct job *next;
    void (*run)(struct job *job);
};

vic_status jobs_start(vic_error *err);
void jobs_add(struct job *job); /* in this order */
void jobs_stop(void);           /* when all are done */

#endif
