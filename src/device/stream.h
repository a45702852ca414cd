/* SPDX-License-Identifier: Apache-2.0 */
/* Streams of GPUs that do not wait for the default stream, and what is enqueued on them beside kernels.  In a build
 * without CUDA every call that can fail does, with NO_DEVICE. */
#ifndef VIC_DEVICE_STREAM_H
#define VIC_DEVICE_STREAM_H

#include "base/status.h"

vic_status device_stream_create(vic_device device, void **out, vic_error *err);
void device_stream_free(vic_device device, void *stream); /* NULL is fine */

/* Enqueues a copy between memory of the host, pinned if it is not to be waited for, and of the GPU. */
vic_status device_copy_on(vic_device device, void *to, const void *from, size_t bytes, void *stream, vic_error *err);

/* A point in a stream's work. */
vic_status device_event_create(vic_device device, void **out, vic_error *err);
void device_event_free(vic_device device, void *event); /* NULL is fine */
vic_status device_event_record(vic_device device, void *event, void *stream, vic_error *err);
/* Sets *done to whether all is done that came before it.  On failure of that work the error is told. */
vic_status device_event_done(void *event, bool *done, vic_error *err);
/* The time between two events that are done. */
vic_status device_event_between(void *from, void *to, double *seconds, vic_error *err);

/* Whether the GPU has failed in a way that only a new process mends: every call fails from then on. */
bool device_is_lost(vic_device device);

#endif
