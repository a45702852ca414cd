/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes that saturate: what does not fit size_t fits no memory either, so SIZE_MAX is refused where it is asked for.
 * For sums of products that are reported before anyone allocates (a workspace's); a single product is mem_array()'s. */
#ifndef VIC_BASE_SIZES_H
#define VIC_BASE_SIZES_H

#include "vicinal.h"

#ifdef __cplusplus
extern "C" { /* the CUDA kernels are C++ */
#endif

size_t size_times(size_t a, size_t b);
size_t size_plus(size_t a, size_t b);
size_t size_round_up(size_t size, size_t unit); /* the next multiple of `unit`; SIZE_MAX when that fits no size_t */

/* Do the strides lead to elements that an address space can hold?  A caller's tensor that says otherwise is wrong
 * whatever its data is, and arithmetic on its offsets would overflow. */
bool size_tensor_fits(const vic_tensor *t);

#ifdef __cplusplus
}
#endif

#endif
