/* SPDX-License-Identifier: Apache-2.0 */
/* How long work takes on a GPU, measured by events on the device itself. */
#ifndef VIC_DEVICE_TIMING_H
#define VIC_DEVICE_TIMING_H

#include "base/status.h"
#include "vicinal_dev.h"

/* Enqueues the work once on `stream`. */
typedef vic_status device_work(void *context, void *stream, vic_error *err);

/* Sets seconds [o->launches] as described at vic_attention_time(); `o` has been checked.  In a build without CUDA:
 * NO_DEVICE. */
vic_status device_time(vic_device device, device_work *work, void *context, const vic_time_options *o,
                       double *seconds, vic_error *err);

#endif
