/* SPDX-License-Identifier: Apache-2.0 */
/* What is done on a GPU with one CUDA call failing after the other.  An operation returns its status and has freed
 * everything; when it succeeds it has compared its result with that of its first run. */
#ifndef VIC_TESTS_FAULTS_OPERATIONS_CUDA_H
#define VIC_TESTS_FAULTS_OPERATIONS_CUDA_H

#include "objects.h"
#include "vicinal_dev.h"

struct cuda_operation {
    const char *name;
    vic_status (*run)(const char *argument, vic_error *err);
    const char *argument, *output; /* NULL = writes no file */
    bool or_cpu;                   /* without a GPU the CPU does it */
};

extern const struct cuda_operation cuda_operations[];
extern const int cuda_operation_count;

/* What the command printed: where it prints to while it runs. */
extern int command_output, command_errors;

void cuda_operations_setup(int gpu, void *stream);
void cuda_operations_teardown(void);

#endif
