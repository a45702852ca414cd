/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes that saturate: what does not fit size_t fits no memory either, so allocating SIZE_MAX fails.  For sums of
 * products that are reported before anyone allocates, like the size of a workspace; single products are checked by
 * mem_array(). */
#ifndef VIC_BASE_SIZES_H
#define VIC_BASE_SIZES_H

#include "vicinal.h"

#ifdef __cplusplus
extern "C" { /* the CUDA kernels are C++ */
#endif

size_t size_times(size_t a, size_t b);
size_t size_plus(size_t a, size_t b);
size_t size_round_up(size_t size, size_t unit); /* the next multiple of `unit`; SIZE_MAX when that fits no size_t */

/* Returns whether an address space can hold the elements that the strides lead to.  If not, the caller's tensor is
 * wrong whatever its data is, and arithmetic on its offsets would overflow. */
bool size_tensor_fits(const vic_tensor *t);

#ifdef __cplusplus
}
#endif

#endif
