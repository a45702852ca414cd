/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIC_BASE_CLOCK_H
#define VIC_BASE_CLOCK_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" { /* the CUDA kernels are C++ */
#endif

double clock_seconds(void); /* monotonic, from an arbitrary start */
int64_t clock_ns(void);     /* the same clock in whole nanoseconds */

#ifdef __cplusplus
}
#endif

#endif
