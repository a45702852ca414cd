/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in for a GPU in tests of the engine: its memory is the host's, work is done when it is enqueued, by the
 * kernels of the CPU, so that results are real, and is told to be done some time later.  It takes the place of
 * src/device in the programs that are linked with it. */
#ifndef VIC_TESTS_ENGINE_GPU_STAND_IN_H
#define VIC_TESTS_ENGINE_GPU_STAND_IN_H

#include <stdbool.h>
#include <stdint.h>

/* How long work is told to be under way, in ns; also what has begun. */
void stand_in_takes(int64_t ns);
/* Streams that had work under way at the same time, at most, since this was last set to 0. */
extern _Atomic int stand_in_most_busy;
/* From now on work fails, and with `lost` everything does. */
void stand_in_fail(bool lost);
void stand_in_mend(void);
/* Pieces of memory, streams and events that there are. */
long stand_in_things(void);

#endif
