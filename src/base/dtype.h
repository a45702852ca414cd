/* SPDX-License-Identifier: Apache-2.0 */
/* Names of devices, and which memory can be used on which device; types and tensors are in vicinal.h. */
#ifndef VIC_BASE_DTYPE_H
#define VIC_BASE_DTYPE_H

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

const char *device_type_name(vic_device_type type); /* "cpu", "cuda", "pinned host", ...; static */

/* Writes the device as "cuda:1" to `text`, and returns that. */
enum { DEVICE_TEXT = 40 };
const char *device_text(vic_device device, char text[DEVICE_TEXT]);

/* Returns whether memory of `a` can be used like memory of `b`.  Pinned host memory can on the CPU, managed memory on
 * every GPU. */
bool device_same(vic_device a, vic_device b);
bool device_is_cpu(vic_device device);  /* host memory, pinned or not */
bool device_is_cuda(vic_device device); /* memory of a GPU, or managed */

#ifdef __cplusplus
}
#endif

#endif
