/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIC_BASE_CLOCK_H
#define VIC_BASE_CLOCK_H

#ifdef __cplusplus
extern "C" { /* the CUDA kernels are C++ */
#endif

double clock_seconds(void); /* monotonic, from an arbitrary start */

#ifdef __cplusplus
}
#endif

#endif
