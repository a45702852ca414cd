/* SPDX-License-Identifier: Apache-2.0 */
/* SM clock and power of a GPU while something runs, by NVML, which belongs to the driver and is opened at run
 * time. */
#ifndef VICINAL_CLI_GPU_WATCH_H
#define VICINAL_CLI_GPU_WATCH_H

#include "cli.h"

struct gpu_state {
    double sm_mhz, watt;
};

/* What was seen from start to stop; `samples` 0: nothing, and `note` says why. */
struct gpu_seen {
    struct gpu_state before, after;
    int64_t samples;
    double least_mhz, median_mhz, most_watt; /* in between */
    const char *note;                        /* static */
};

struct gpu_watch;

/* Always succeeds: a watch that cannot see reports that at the end.  stop() frees. */
struct gpu_watch *gpu_watch_start(vic_device device);
void gpu_watch_stop(struct gpu_watch *w, struct gpu_seen *out);

/* A GPU's use at the moment; false where NVML says nothing.  Any thread. */
struct gpu_use {
    char uuid[96];
    double utilization, watt; /* utilization: 0 to 1 */
    uint64_t memory_used, memory_total;
};
bool gpu_use_now(vic_device device, struct gpu_use *out);

#endif
