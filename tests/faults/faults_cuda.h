/* SPDX-License-Identifier: Apache-2.0 */
/* CUDA calls that fail when told to (faults.h), and what is counted of them.  They go to the real runtime where this
 * machine has a Hopper GPU, else to the stand-in. */
#ifndef VIC_TESTS_FAULTS_FAULTS_CUDA_H
#define VIC_TESTS_FAULTS_FAULTS_CUDA_H

#include <stdbool.h>

/* What exists now, and how many kernels were launched since the start. */
struct cuda_counts {
    long memory, pools, streams, events, graphs, replays, launches;
};

bool cuda_calls_open(void); /* is there a GPU?  Before anything else */
bool cuda_calls_real(void); /* what it answered */
struct cuda_counts cuda_calls_counts(void);

/* The error that cudaGetLastError() would give, which does not go away by asking; or leave one there, as a caller of
 * the library may have done, or none. */
int cuda_calls_pending(void);
void cuda_calls_leave(bool error);

int cuda_calls_devices(void);
int cuda_calls_current(void);
void cuda_calls_choose(int device);
void *cuda_calls_stream(void); /* makes one, not counted */
void cuda_calls_stream_free(void *stream);
void cuda_calls_wait(void *stream);

/* CUDA's words for the failure of this call (or cuBLAS's, or the number where there are no words). */
const char *cuda_calls_reason(const char *call);

#endif
